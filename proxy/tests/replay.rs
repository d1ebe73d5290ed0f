//! Promise: recorded decisions come out under the contract that they were made under as they did, and under another as it has them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use serde_json::{Value, json};
use support::process::{Folder, Process, example, run, run_with_input};
use support::turns::{first, follow_up};
use support::{Clouds, QUIET, SPLIT, chat, json as body, post, send};

fn replay(config: &str, log: &str) -> (i32, Value) {
    let (code, out, err) = run(&["replay", "-c", config, log, "--format", "json"]);
    assert_eq!(err, "");
    (code, serde_json::from_str(&out).unwrap_or_else(|_| panic!("one object: {out}")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxys_own_log_is_judged_again() {
    let clouds = Clouds::start().await;
    let folder = Folder::new();
    let file = |name: &str, text: &str| folder.file(name, text);
    let log = folder.0.path().join("access.log").display().to_string();
    let logging = QUIET.replace("access_log: off", &format!("access_log: {{ file: {log} }}"));
    let text = clouds.config(SPLIT, &logging);
    let config = file("config.yaml", &text);
    let mut running = Process::run(config.as_ref());
    let address = running.listens("apps");
    for _ in 0..3 {
        send(address, post("/v1/chat/completions", &chat())).await;
    }
    let created = send(address, post("/v1/responses", &first())).await;
    let handle = body(&created)["id"].as_str().unwrap().to_owned();
    send(address, post("/v1/responses", &follow_up(&handle))).await;
    send(address, post("/v1/responses", &follow_up("resp_0"))).await;
    send(address, post("/v1/chat/completions", &json!({}))).await;
    running.signal("TERM");
    assert!(running.ends(std::time::Duration::from_secs(20)).success());

    let (code, told) = replay(&config, &log);
    assert_eq!((code, &told["decisions"], &told["unjudged"]), (0, &json!(6), &json!(1)), "{told}");
    assert_eq!(told["changes"], json!([]), "under its own contract");

    let moved = file("moved.yaml", &text.replace("only: [azure]", "only: [openai]"));
    let (code, told) = replay(&moved, &log);
    assert_eq!((code, &told["otherwise"]["requests"]), (1, &json!(3)), "{told}");
    assert_eq!(told["changes"][0]["was"], json!({ "cloud": "azure" }));
    assert_eq!(told["changes"][0]["is"], json!({ "cloud": "openai" }));
    assert_eq!(told["changes"][0]["terms_are"], json!([{ "id": "stateless-on-azure", "cite": "Section 1" }]));

    // A chain does not move to where its state is not.
    let left = file("left.yaml", &text.replace("only: [aws]", "only: [openai]"));
    let (_, told) = replay(&left, &log);
    let changes: Vec<_> =
        told["changes"].as_array().unwrap().iter().map(|it| (&it["is"], &it["requests"])).collect();
    assert_eq!(changes.len(), 2, "{told}");
    assert!(changes.contains(&(&json!({ "cloud": "openai" }), &json!(1))), "its first turn: {told}");
    assert!(
        changes.contains(&(&json!({ "refused": "owner_not_designated" }), &json!(1))),
        "its second: {told}"
    );
    let (code, out, _) = run(&["replay", "-c", &left, &log]);
    assert_eq!(code, 1);
    for words in [
        "6 decisions",
        "2 would come out otherwise",
        "refused (owner_not_designated)",
        "stateful-on-aws: Section 2",
        "what the record cannot say",
        "cite state",
    ] {
        assert!(out.contains(words), "{words} in {out}");
    }
}

#[test]
fn entries_of_the_ledger_and_tokens_count_too() {
    let config = format!("{}/../config/examples/three-clouds.yaml", env!("CARGO_MANIFEST_DIR"));
    let lines = [
        json!({ "v": 1, "kind": "started", "time": "2026-03-10T10:00:00Z" }),
        json!({ "v": 1, "kind": "sent", "time": "2026-03-10T10:00:00Z", "surface": "openai.chat.create", "verdict": "free" }),
        json!({ "v": 1, "kind": "ended", "time": "2026-03-10T10:00:01Z", "surface": "openai.chat.create", "grade": "pure", "model": "gpt-5.5",
            "vendor": "openai", "terms": ["old"], "verdict": "free", "reason": "designated", "cloud": "openai", "endpoint": "openai-api",
            "usage": { "input": 100, "output": 11, "partial": false } }),
        json!({ "v": 1, "kind": "refused", "time": "2026-03-10T10:00:02Z", "reason": "head_malformed", "count": 4 }),
        json!({ "time": "2026-03-10T10:00:03Z", "surface": "openai.chat.create", "grade": "pure", "model": "gpt-5.5", "verdict": "refuse",
            "reason": "no_term", "cloud": "none", "endpoint": "none", "terms": [], "input_tokens": null }),
        json!({ "time": "2026-05-10T10:00:03Z", "surface": "openai.chat.create", "grade": "pure", "model": "gpt-5.5", "verdict": "free",
            "reason": "designated", "cloud": "aws", "endpoint": "bedrock-use1", "terms": [], "input_tokens": 5, "output_tokens": 6 }),
    ];
    let mut log: String = lines.iter().map(|line| format!("{line}\n")).collect();
    log.push_str(&format!("not JSON\n\n\"{}\"\n", "x".repeat(3 << 20)));
    let (code, out, err) =
        run_with_input(&["replay", "-c", &config, "-", "--format", "json"], log.as_bytes());
    assert_eq!((code, err.as_str()), (1, ""));
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&told["decisions"], &told["tokens"], &told["unjudged"], &told["unread"]),
        (&json!(3), &json!(122), &json!(4), &json!(2))
    );
    let changes = told["changes"].as_array().unwrap();
    let of = |was: Value| {
        changes.iter().find(|change| change["was"] == was).unwrap_or_else(|| panic!("{was} in {told}"))
    };
    let moved = of(json!({ "cloud": "openai" }));
    assert_eq!(
        (&moved["is"], &moved["tokens"], &moved["still_allowed"]),
        (&json!({ "cloud": "azure" }), &json!(111), &json!(false))
    );
    assert_eq!(of(json!({ "refused": "no_term" }))["is"], json!({ "cloud": "azure" }));
    let preferred = of(json!({ "cloud": "aws" }));
    assert_eq!((&preferred["is"], &preferred["still_allowed"]), (&json!({ "cloud": "azure" }), &json!(true)));
    assert_eq!(run_with_input(&["replay", "-c", &config, "-"], b"hello\n").0, 2, "nothing of it is a record");
    assert_eq!(run(&["replay", "-c", &config, "/nowhere/at/all"]).0, 2);
}

/// Three turns of one session: the term that sent it there has ended before the second, and long before the third.
#[test]
fn a_session_that_outlives_its_term_does_as_the_term_says() {
    let folder = Folder::new();
    let config = |on_expiry: &str| {
        let text = std::fs::read_to_string(example("three-clouds.yaml")).unwrap();
        let contract = format!(
            "contract:\n  enforce: r\n  readings: {{ r: {{ stateful_from: creates }} }}\n  terms:\n  - {{ id: before, until: 2026-04-01, only: azure, on_expiry: {on_expiry} }}\n  - {{ id: after, from: 2026-04-01, only: aws }}\nsessions: {{ idle: 1h }}\n"
        );
        let (head, rest) = text.split_once("\ncontract:\n").unwrap();
        let after = rest.lines().skip_while(|line| line.is_empty() || line.starts_with([' ', '#']));
        let after: String = after.map(|line| format!("{line}\n")).collect();
        folder.file(&format!("{on_expiry}.yaml"), &format!("{head}\n{contract}{after}"))
    };
    let turn = |time: &str, verdict: &str| {
        json!({ "time": time, "surface": "openai.responses.create", "grade": if verdict == "free" { "creates" } else { "continues" }, "model": "gpt-5.5",
            "verdict": verdict, "reason": if verdict == "free" { "designated" } else { "held" }, "cloud": "azure", "endpoint": "azure-eastus2", "terms": [],
            "session": "s1" })
        .to_string()
    };
    let begun = turn("2026-03-31T23:50:00Z", "free");
    let went_on = [turn("2026-04-01T00:10:00Z", "hold"), turn("2026-04-03T00:00:00Z", "hold")];
    let refused = |on_expiry: &str, log: &str| {
        let (_, out, err) =
            run_with_input(&["replay", "-c", &config(on_expiry), "-", "--format", "json"], log.as_bytes());
        assert_eq!(err, "");
        let told: Value = serde_json::from_str(&out).unwrap();
        let changes = told["changes"].as_array().unwrap().iter();
        let mut refused: Vec<_> = changes
            .map(|it| (it["is"]["refused"].as_str().unwrap().to_owned(), it["requests"].as_u64().unwrap()))
            .collect();
        refused.sort();
        (refused, told["not_known"].to_string())
    };
    let whole = format!("{begun}\n{}\n{}\n", went_on[0], went_on[1]);
    assert_eq!(refused("grandfather", &whole).0, []);
    assert_eq!(refused("drain", &whole).0, [("session_drained".to_owned(), 1)]);
    assert_eq!(refused("cut", &whole).0, [("owner_not_designated".to_owned(), 2)]);
    // Nobody knows when a session began that was there before the record.
    let (cut_off, noted) = refused("grandfather", &format!("{}\n", went_on[0]));
    assert_eq!(cut_off, [("owner_not_designated".to_owned(), 1)]);
    assert!(noted.contains("1 of them in sessions that the record does not begin"), "{noted}");
}
