//! Promise: what a contract can and cannot do is proved beforehand, over every request that there can be; a finding comes with a request
//! that shows it on a running proxy; and what is not proved is not put into force, unless somebody says so in as many words.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use http::Request;
use http_body_util::Full;
use hyper::body::Bytes;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;
use support::process::{Folder, Process, example, riparian, run};
use support::{Clouds, QUIET, ours, send};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/examples")
}

fn prove(path: &Path) -> (i32, String, String) {
    run(&["prove", "-c", path.to_str().unwrap()])
}

#[test]
fn every_shipped_example_is_proved() {
    for entry in std::fs::read_dir(examples()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let (code, out, err) = prove(&path);
        assert_eq!((code, err.as_str()), (0, ""), "{}: {out}", path.display());
        assert!(out.contains("proved: complete, without conflicts, no dead terms"), "{out}");
    }
}

#[test]
fn the_dispute_of_early_2026_is_shown() {
    let (code, out, _) = prove(&examples().join("early-2026.yaml"));
    assert_eq!(code, 0, "{out}");
    for line in [
        "the readings disagree (band: conservative):",
        "from 2026-02-27T00:00:00Z, grade continues and above: stateless goes to azure, stateful to aws",
        "from 2026-02-27T00:00:00Z, called inside a stateful session, grade pure and above: stateless goes to azure, stateful to aws",
    ] {
        assert!(out.contains(line), "{line}\n{out}");
    }
}

#[test]
fn a_certificate_is_the_same_each_time_and_another_for_another_contract() {
    let certificate = |name: &str| -> Value {
        let (code, out, _) =
            run(&["prove", "--format", "json", "-c", examples().join(name).to_str().unwrap()]);
        assert_eq!(code, 0);
        serde_json::from_str(&out).unwrap()
    };
    let first = certificate("dated.yaml");
    assert_eq!(first, certificate("dated.yaml"));
    assert_eq!(first["certificate"]["result"], "proved");
    assert!(first["certificate"]["cells"].as_u64().unwrap() > 1_000_000, "{first}");
    assert_ne!(first["digest"], certificate("settlement.yaml")["digest"]);
    // The included file is a part of what is certified.
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("contracts")).unwrap();
    std::fs::copy(examples().join("dated.yaml"), folder.path().join("dated.yaml")).unwrap();
    let counsels = std::fs::read_to_string(examples().join("contracts/2026-as-reported.yaml")).unwrap();
    std::fs::write(folder.path().join("contracts/2026-as-reported.yaml"), counsels + "# read again\n")
        .unwrap();
    let path = folder.path().join("dated.yaml");
    let (_, out, _) = run(&["prove", "--format", "json", "-c", path.to_str().unwrap()]);
    let other: Value = serde_json::from_str(&out).unwrap();
    assert_ne!(other["certificate"]["config"], first["certificate"]["config"]);
}

/// The line behind `try`, as a request.
fn request(found: &str) -> Request<Full<Bytes>> {
    let line = found.lines().find_map(|line| line.trim().strip_prefix("try ")).expect("a curl").trim();
    let method = line.split("-X ").nth(1).unwrap().split(' ').next().unwrap();
    let quoted: Vec<&str> = line.split('\'').skip(1).step_by(2).collect();
    let path = quoted[0].splitn(4, '/').nth(3).unwrap();
    let mut request = Request::builder().method(method).uri(format!("/{path}")).header("host", "proxy");
    request = request.header("authorization", "Bearer app");
    let body = if line.contains(" -d '") { *quoted.last().unwrap() } else { "" };
    for header in &quoted[1..quoted.len() - usize::from(!body.is_empty())] {
        let (name, value) = header.split_once(": ").unwrap();
        request = request.header(name, value);
    }
    request.body(Full::new(Bytes::from(body.to_owned()))).unwrap()
}

const CONTRACT: &str = "
enforce: strict
readings: { strict: { stateful_from: creates } }
terms:
  - { id: whole, only: [azure, aws] }
  - { id: stateless-on-azure, cite: \"Section 1\", when: { class: stateless }, only: [azure] }
  - { id: stateful-on-aws, cite: \"Section 2\", when: { class: stateful }, only: [aws] }
otherwise: refuse
prove:
  - claim: no stateless call leaves azure
    given: { class: stateless, model: gpt-5.5 }
    then: { only: [azure] }
  - claim: a chat goes somewhere
    given: { surface: openai.chat.create, grade: pure, model: gpt-5.5 }
    then: { is: allowed }
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_one_of_its_terms_a_contract_is_refused_and_the_curl_shows_why() {
    let (clouds, folder) = (Clouds::start().await, tempfile::tempdir().unwrap());
    let path = folder.path().join("riparian.yaml");
    std::fs::write(&path, clouds.config(CONTRACT, QUIET)).unwrap();
    assert_eq!(prove(&path).0, 0, "{}", prove(&path).1);

    let without: String = CONTRACT
        .lines()
        .filter(|line| !line.contains("id: stateless-on-azure"))
        .map(|line| format!("{line}\n"))
        .collect();
    std::fs::write(&path, clouds.config(&without, QUIET)).unwrap();
    let (code, out, _) = prove(&path);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("claim: \"no stateless call leaves azure\" does not hold"), "{out}");
    assert!(out.contains("goes to  azure, aws"), "{out}");

    let mut refused = Process::run(&path);
    assert_eq!(refused.ends(Duration::from_secs(60)).code(), Some(1));
    assert!(
        refused.said.iter().any(|line| line.contains("is not proved, and is not put into force")),
        "{:#?}",
        refused.said
    );

    // Told so in words, it runs; and the request does what the finding says.
    let mut running = Process::run_with(&path, &["--even-if-unproved"]);
    running.says("does not hold");
    let at = running.listens("apps");
    let mut reached = std::collections::BTreeSet::new();
    for _ in 0..40 {
        let answer = send(at, request(&out)).await;
        assert_eq!(ours(&answer, "class"), "stateless");
        reached.insert(ours(&answer, "cloud").to_owned());
    }
    assert!(reached.contains("aws"), "a stateless call left azure, as was said: {reached:?}");
}

/// The demo's contract without one of its terms, before the demo's clouds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_curl_that_is_sent_to_the_demo_does_what_the_finding_says() {
    let shipped = std::fs::read_to_string(example("demo.yaml")).unwrap();
    let (begin, end) =
        (shipped.find("    - id: stateless-on-azure"), shipped.find("    - id: stateful-on-aws"));
    let term = begin.unwrap()..end.unwrap();
    let without = [&shipped[..term.start], &shipped[term.end..]].concat();
    let without = without.replace("127.0.0.1:8080", "127.0.0.1:0").replace("127.0.0.1:9901", "127.0.0.1:0");
    let folder = Folder::new();
    let file = folder.file("mine.yaml", &without);
    let (code, out, _) = prove(Path::new(&file));
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("claim: \"chat completions go somewhere\" does not hold"), "{out}");

    let (code, shown, said) = run(&["demo", "-c", &file]);
    assert_eq!(code, 1, "{shown}{said}");
    assert!(said.contains("chat completions go somewhere") && !shown.contains("clients"), "{shown}{said}");

    let mut demo = Process::showing(riparian(&["demo", "-c", &file, "--even-if-unproved"]));
    let at = demo.says("clients").rsplit("http://").next().unwrap().trim_end_matches("/v1").parse().unwrap();
    demo.says("It stays up");
    let found = out.split("\"chat completions go somewhere\"").nth(1).unwrap();
    let answer = send(at, request(found)).await;
    assert_eq!((answer.status().as_u16(), ours(&answer, "reason")), (403, "no_term"), "{found}");
    let stored = send(at, support::post("/v1/responses", &support::turns::first())).await;
    assert_eq!((stored.status().as_u16(), ours(&stored, "cloud")), (200, "aws"), "the others are in force");

    let elsewhere = folder.file("elsewhere.yaml", &shipped.replace("127.0.0.1:9104", "127.0.0.1:9105"));
    let (code, _, said) = run(&["demo", "-c", &elsewhere]);
    assert_eq!(code, 1);
    assert!(
        said.contains("endpoint `openai-api` is at 127.0.0.1:9105, and the demo sends nothing"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_that_is_not_proved_leaves_the_old_contract_in_force() {
    let (clouds, folder) = (Clouds::start().await, tempfile::tempdir().unwrap());
    let path = folder.path().join("riparian.yaml");
    std::fs::write(&path, clouds.config(CONTRACT, QUIET)).unwrap();
    let mut running = Process::run(&path);
    let at = running.listens("apps");
    let conflict = CONTRACT.replace("only: [azure]", "only: [openai]");
    std::fs::write(&path, clouds.config(&conflict, QUIET)).unwrap();
    running.signal("HUP");
    running
        .says("conflict: between them these terms leave no cloud: `whole`; `stateless-on-azure` (Section 1)");
    running.says("stays in force");
    let answer = send(at, support::post("/v1/chat/completions", &support::chat())).await;
    assert_eq!((answer.status().as_u16(), ours(&answer, "cloud")), (200, "azure"));
}
