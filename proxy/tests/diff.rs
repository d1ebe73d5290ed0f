//! Promise: what changes between two contracts is said in words, every kind of request considered; and how many live sessions it touches.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use serde_json::{Value, json};
use support::process::{Folder, Process, run};
use support::turns::{first, session};
use support::{Clouds, QUIET, SPLIT, ours, post, send};

fn shipped() -> String {
    std::fs::read_to_string(format!("{}/../config/examples/three-clouds.yaml", env!("CARGO_MANIFEST_DIR")))
        .unwrap()
}

/// What changes from the shipped example to it with these words replaced.
fn diff(replaced: &[(&str, &str)]) -> (i32, String, Value) {
    let folder = Folder::new();
    let old = folder.file("old.yaml", &shipped());
    let mut text = shipped();
    for (from, to) in replaced {
        assert!(text.contains(from), "{from} is in the example");
        text = text.replace(from, to);
    }
    let new = folder.file("new.yaml", &text);
    let (code, out, err) = run(&["diff", &old, &new]);
    assert_eq!(err, "");
    let (_, told, _) = run(&["diff", &old, &new, "--format", "json"]);
    (code, out, serde_json::from_str(&told).unwrap())
}

#[test]
fn the_same_contract_changes_nothing() {
    let (code, out, told) = diff(&[("clock_skew: 5s", "clock_skew: 9s")]);
    assert_eq!((code, &told["changes"]), (0, &json!([])), "{out}");
    assert!(
        out.starts_with("clock_skew: 5s -> 9s\n") && out.contains("no kind of request goes elsewhere"),
        "{out}"
    );
}

#[test]
fn a_term_that_changes_is_one_line() {
    let (code, out, told) = diff(&[("only: [aws]", "only: [aws, openai]")]);
    assert_eq!(code, 1);
    let line = "openai.conversations.* openai.responses.*, continues..runtime, stateful, vendor openai, from 2026-02-27 until 2026-04-27: aws -> aws, openai";
    assert_eq!(out.lines().next(), Some(line), "{out}");
    assert_eq!(out.lines().count(), 2, "{out}");
    let change = &told["changes"][0];
    assert_eq!(change["was"], json!({ "to": ["aws"] }));
    assert_eq!(change["is"], json!({ "to": ["aws", "openai"] }));
    assert_eq!(change["terms_are"], json!(["aws-agents"]));
    assert_eq!(
        (&change["from"], &change["until"]),
        (&json!("2026-02-27T00:00:00Z"), &json!("2026-04-27T00:00:00Z"))
    );
}

#[test]
fn a_date_that_moves_changes_the_time_between() {
    let (_, out, told) = diff(&[("    - id: any-cloud\n", "    - id: any-cloud\n      until: 2026-10-01\n")]);
    assert_eq!(
        out.lines().next(),
        Some(
            "every operation, pure..creates, stateless, vendor openai, from 2026-10-01: azure, aws, openai -> refused (no_term)"
        ),
        "{out}"
    );
    let changes = told["changes"].as_array().unwrap();
    assert!(changes.iter().all(|change| change["from"] == json!("2026-10-01T00:00:00Z")), "{out}");
    assert_eq!(changes[0]["terms_are"], json!([]));
}

#[test]
fn another_reading_and_another_order_are_changes() {
    let (code, out, _) = diff(&[("enforce: memory-is-state", "enforce: every-call-is-a-call")]);
    assert_eq!(code, 1);
    assert!(out.starts_with("enforce: memory-is-state -> every-call-is-a-call\n"), "{out}");
    assert!(out.contains("stateful, now stateless, vendor openai, from 2026-02-27 until 2026-04-27: aws -> azure\n    by aws-agents -> azure-stateless\n"), "{out}");
    let (_, out, _) = diff(&[("prefer: [azure, aws]", "prefer: [aws, azure]")]);
    assert!(out.contains("azure, aws, openai -> aws, azure, openai, in another order"), "{out}");
}

#[test]
fn models_and_callers_are_told_apart_where_a_term_does() {
    let tenants = "\ntenants:\n  shop: { credentials: [{ env: NO_SUCH_VARIABLE }] }\n  bank: { credentials: [{ env: NO_SUCH_VARIABLE_2 }] }\n";
    let one = format!(
        "    - {{ id: own, from: 2026-04-27, when: {{ tenant: shop, model: gpt-5* }}, never: [openai] }}\n  otherwise: refuse\n{tenants}"
    );
    let (_, out, told) = diff(&[("  otherwise: refuse\n", &one)]);
    assert_eq!(
        out.lines().next(),
        Some(
            "every operation, pure..creates, stateless, vendor openai, model gpt-5*, caller shop, from 2026-04-27: azure, aws, openai -> azure, aws"
        ),
        "{out}"
    );
    let changes = told["changes"].as_array().unwrap();
    assert!(changes.iter().all(|change| change["callers"] == json!(["shop"])), "{out}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_pins_are_counted_where_they_live() {
    let clouds = Clouds::start().await;
    let folder = Folder::new();
    let text = clouds.config(SPLIT, QUIET);
    let old = folder.file("old.yaml", &text);
    let new = folder.file("new.yaml", &text.replace("only: [aws]", "only: [openai]"));
    let journal = folder.0.path().join("riparian-pins").display().to_string();
    let mut running = Process::run(old.as_ref());
    let address = running.listens("apps");
    let mut sessions = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let answer = send(address, post("/v1/responses", &first())).await;
        assert_eq!(ours(&answer, "cloud"), "aws");
        sessions.insert(session(&answer));
    }
    let diff = |pins: &str| run(&["diff", &old, &new, "--pins", pins]);
    let (code, out, err) = diff(&journal);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("a running proxy holds it"), "{err}");
    // A copy of what is in use was never closed, and may have been torn.
    let copy = folder.0.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    let told = "live pins of 3 sessions are in aws, which it leaves out";
    let deadline = std::time::Instant::now() + support::wire::SOON;
    loop {
        std::fs::copy(format!("{journal}/pins.redb"), copy.join("pins.redb")).unwrap();
        let (_, out, err) = diff(copy.to_str().unwrap());
        if out.contains(told) {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "the pins are in a copy, sooner or later: {out}{err}");
    }
    running.signal("TERM");
    assert!(running.ends(std::time::Duration::from_secs(20)).success());
    let before = std::fs::read(format!("{journal}/pins.redb")).unwrap();
    let (code, out, err) = diff(&journal);
    assert_eq!((code, err.as_str()), (1, ""));
    assert!(out.contains(told), "{out}");
    assert_eq!(std::fs::read(format!("{journal}/pins.redb")).unwrap(), before, "only looked at");
    assert_eq!(diff("/nowhere/at/all").0, 2);
}
