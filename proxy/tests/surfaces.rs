//! Promise: `riparian surfaces` shows every API operation that is known, and `docs/surfaces.md` is what it writes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use riparian_config::Surfaces;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use support::process::run;

#[test]
fn the_page_in_the_docs_is_the_generated_one() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/surfaces.md");
    let (code, generated, err) = run(&["surfaces", "--markdown"]);
    assert_eq!((code, err.as_str()), (0, ""));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&page, &generated).unwrap();
    }
    let written = std::fs::read_to_string(&page).unwrap();
    let differs = written.lines().zip(generated.lines()).find(|(written, generated)| written != generated);
    assert!(written == generated, "UPDATE_GOLDEN=1 writes it: {differs:?}");
}

#[test]
fn the_page_has_every_row_of_the_taxonomy_once_a_family() {
    let (_, page, _) = run(&["surfaces", "--markdown"]);
    let told: Vec<&str> =
        page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let known = Surfaces::built_in();
    let rows: BTreeSet<&str> =
        known.surfaces.iter().flat_map(|surface| surface.rows.iter().map(String::as_str)).collect();
    assert_eq!(rows.len(), 72);
    for row in rows {
        assert_eq!(told.iter().filter(|told| **told == row).count(), 1, "{row}");
    }
    for kind in &known.kinds {
        assert!(told.contains(&kind.name.as_str()), "{}", kind.name);
    }
}

#[test]
fn json_has_every_surface_and_every_kind_of_handle() {
    let (code, out, _) = run(&["surfaces", "--json"]);
    let page: Value = serde_json::from_str(&out).expect("valid JSON");
    assert_eq!(code, 0);
    let known = Surfaces::built_in();
    let families = page["families"].as_array().unwrap();
    let surfaces = families.iter().flat_map(|family| family["surfaces"].as_array().unwrap());
    let ids: BTreeSet<&str> = surfaces.map(|surface| surface["id"].as_str().unwrap()).collect();
    assert_eq!(ids, known.surfaces.iter().map(|surface| surface.id.as_str()).collect());
    let kinds = page["handles"].as_array().unwrap();
    assert_eq!(kinds.len(), known.kinds.len());
    let response = kinds.iter().find(|kind| kind["name"] == "response").unwrap();
    assert_eq!(response["lives_seconds"], 30 * 24 * 60 * 60);
}

#[test]
fn text_shows_one_family_when_asked() {
    let (code, out, _) = run(&["surfaces", "--family", "mcp"]);
    assert_eq!(code, 0);
    for words in ["mcp.call", "POST /mcp", "header:mcp-session-id", "continues", "born", "mcp_session"] {
        assert!(out.contains(words), "{words} in {out}");
    }
    assert!(!out.contains("openai."), "{out}");
    let (code, all, _) = run(&["surfaces"]);
    assert!(code == 0 && all.contains("mcp.call") && all.contains("openai.responses.create"), "{all}");
    let (code, out, err) = run(&["surfaces", "--family", "nobody"]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("anthropic"), "it says which there are: {err}");
    assert_eq!(run(&["surfaces", "--json", "--markdown"]).0, 2);
}

#[test]
fn an_operators_own_surfaces_are_shown_with_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write(
        "ours.yaml",
        "family: ours\nhandles: { basket: { title: Basket, idle: 90m } }\nsurfaces:\n  - { id: ours.basket, title: Get a basket, vendor: openai, methods: [GET], path: \"/baskets/{basket}\", served_by: [openai], grade: continues, path_handle: basket }\n",
    );
    write(
        "riparian.yaml",
        "version: 1\nsurfaces: [ours.yaml]\nlisteners: [{ name: apps, bind: 127.0.0.1:8080 }]\nclouds: { openai: { endpoints: [{ name: a, dialect: openai, url: \"http://127.0.0.1:9000\", credential: none }] } }\ncontract: { enforce: r, readings: { r: { stateful_from: never } }, terms: [{ id: all, only: openai }] }\n",
    );
    let config = folder.path().join("riparian.yaml").display().to_string();
    let (code, out, err) = run(&["surfaces", "-c", &config, "--family", "ours"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("ours.basket") && out.contains("90m unused"), "{out}");
    assert_eq!(run(&["surfaces", "--family", "ours"]).0, 2, "and without it they are not there");
    write("riparian.yaml", "version: 2\n");
    assert_eq!(run(&["surfaces", "-c", &config]).0, 1, "a fault of the file is a finding");
    assert_eq!(run(&["surfaces", "-c", "/nowhere/at/all.yaml"]).0, 2);
}
