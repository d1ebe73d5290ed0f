//! Promise: the commands tell what the proxy would do, in words and exit codes that tools can build on: 0 fine, 1 findings,
//! 2 usage.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use serde_json::{Value, json};
use std::path::Path;
use support::process::{Folder, example, run, run_with_input};

#[test]
fn check_says_right_or_everything_that_is_wrong() {
    let folder = Folder::new();
    for entry in std::fs::read_dir(Path::new(&example("")).canonicalize().unwrap()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            // What the examples include, and their cases.
            continue;
        }
        let (code, out, err) = run(&["check", "-c", path.to_str().unwrap()]);
        assert_eq!((code, err.as_str()), (0, ""), "{}", path.display());
        assert!(out.contains("right"), "{out}");
    }
    let three = "version: 1\nlisteners: [{ name: apps, bind: nowhere }]\nclouds:\n  openai:\n    endpoints:\n      - { name: a, dialect: opnai, url: \"http://127.0.0.1:9000\", credential: none }\ncontract:\n  enforce: r\n  readings: { r: { stateful_from: never } }\n  terms: [{ id: all, ony: openai }]\n";
    let file = folder.file("three.yaml", three);
    let (code, out, err) = run(&["check", "--config", &file]);
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    for place in ["three.yaml:2:33:", "three.yaml:6:29:", "three.yaml:10:"] {
        assert!(err.contains(place), "a fault at {place} in {err}");
    }
    assert!(err.contains('^') && err.contains("openai"), "a caret, and what to write instead: {err}");
    assert!(err.trim_end().ends_with("faults"), "and how many: {err}");
    let (code, _, err) = run(&["check", "-c", &folder.file("bytes.yaml", "")]);
    assert_eq!(code, 1, "{err}");
    assert_eq!(run(&["check", "-c", "/nowhere/at/all.yaml"]).0, 2);
}

#[test]
fn a_call_that_cannot_be_understood_ends_with_2_and_says_why() {
    let folder = Folder::new();
    let (config, chat) = (example("three-clouds.yaml"), folder.file("chat.http", CHAT));
    let explain = |more: &[&str]| {
        let mut arguments = vec!["explain", "-c", &config, "--request", &chat];
        arguments.extend_from_slice(more);
        run(&arguments)
    };
    assert_eq!(explain(&[]).0, 0, "the crossing");
    for more in [
        &["--at", "yesterday"][..],
        &["--at", "2026-02-30"],
        &["--pin", "resp_1"],
        &["--pin", "resp_1=nowhere"],
        &["--down", "nowhere"],
        &["--format", "yaml"],
        &["--unknown"],
    ] {
        let (code, out, err) = explain(more);
        assert_eq!((code, out.as_str()), (2, ""), "{more:?}");
        assert!(!err.is_empty(), "{more:?}");
    }
    for arguments in [
        &[][..],
        &["nonsense"],
        &["check"],
        &["explain", "-c", &config],
        &["explain", "-c", &config, "--request", "/nowhere/at/all"],
        &["explain", "-c", &config, "--request", &folder.file("no.http", "hello")],
        &[
            "explain",
            "-c",
            &config,
            "--request",
            &folder.file("short.http", "POST / HTTP/1.1\nHost: a\nContent-Length: 9\n\n{}"),
        ],
        &["run"],
        &["run", "-c", "/nowhere/at/all.yaml"],
        &["run", "-c", &config, "--threads", "0"],
    ] {
        let (code, _, err) = run(arguments);
        assert_eq!(code, 2, "{arguments:?}");
        assert!(!err.is_empty(), "{arguments:?}");
    }
    let faulty = folder.file("faulty.yaml", "version: 2\n");
    assert_eq!(run(&["explain", "-c", &faulty, "--request", &chat]).0, 1, "a fault of the file is a finding");
    assert_eq!(run(&["run", "-c", &faulty]).0, 1);
}

#[test]
fn schema_prints_a_json_schema_that_names_every_section() {
    let (code, out, _) = run(&["schema"]);
    let schema: Value = serde_json::from_str(&out).expect("valid JSON");
    assert_eq!((code, &schema["type"]), (0, &json!("object")));
    for section in ["version", "listeners", "clouds", "contract", "sessions", "limits", "telemetry"] {
        assert!(schema["properties"].get(section).is_some(), "{section}");
    }
    assert!(schema["$schema"].as_str().is_some_and(|text| text.contains("json-schema.org")));
}

const CHAT: &str = "POST /v1/chat/completions HTTP/1.1\nHost: a\nAuthorization: Bearer app\nContent-Type: application/json\n\n{\"model\":\"gpt-5.5\",\"messages\":[]}\n";
const TURN: &str = "POST /v1/responses HTTP/1.1\nHost: a\nAuthorization: Bearer app\nContent-Type: application/json\n\n{\"model\":\"gpt-5.5\",\"input\":\"a\",\"previous_response_id\":\"resp_1\"}\n";
const STORED: &str = "POST /v1/responses HTTP/1.1\nHost: a\nAuthorization: Bearer app\n\n{\"model\":\"gpt-5.5\",\"input\":\"a\"}\n";

/// `explain` of a request against three clouds and a contract with dates.
fn explain(request: &str, more: &[&str]) -> (i32, Value) {
    let folder = Folder::new();
    let (config, request) = (example("three-clouds.yaml"), folder.file("request.http", request));
    let mut arguments = vec!["explain", "-c", &config, "--request", &request, "--format", "json"];
    arguments.extend_from_slice(more);
    let (code, out, err) = run(&arguments);
    assert_eq!(err, "", "{more:?}");
    (code, serde_json::from_str(&out).unwrap_or_else(|_| panic!("one JSON object: {out}")))
}

/// What tools build on; a name that goes or changes here breaks them.
const DOCUMENTED: [&str; 16] = [
    "surface",
    "grade",
    "class",
    "vendor",
    "model",
    "session",
    "tenant",
    "handles",
    "epoch",
    "terms",
    "candidates",
    "endpoint",
    "verdict",
    "reason",
    "status",
    "cloud",
];

#[test]
fn an_explanation_has_every_documented_name_for_each_verdict() {
    let at = ["--at", "2026-03-15"];
    let (code, free) = explain(CHAT, &at);
    assert_eq!(code, 0);
    let (_, hold) = explain(TURN, &["--at", "2026-03-15", "--pin", "resp_1=bedrock-use1"]);
    let (_, refused) = explain(TURN, &at);
    let (_, unread) = explain("POST /v1/responses HTTP/1.1\nHost: a\n\n{", &at);
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    for explanation in [&free, &hold, &refused, &unread] {
        assert_eq!(names(explanation), names(&free), "the same names for each verdict");
        for name in DOCUMENTED {
            assert!(explanation.get(name).is_some(), "{name} in {explanation}");
        }
    }
    let told = |value: &Value| DOCUMENTED.map(|name| (name, value[name].clone()));
    let (tenant, endpoint, candidates) = (&free["tenant"], &free["endpoint"], &free["candidates"]);
    assert_eq!(tenant.as_str().unwrap().len(), 32);
    assert_eq!(candidates.as_array().unwrap().len(), 2);
    assert_eq!(
        told(&free),
        [
            ("surface", json!("openai.chat.create")),
            ("grade", json!("pure")),
            ("class", json!("stateless")),
            ("vendor", json!("openai")),
            ("model", json!("gpt-5.5")),
            ("session", Value::Null),
            ("tenant", tenant.clone()),
            ("handles", json!([])),
            ("epoch", json!(1)),
            ("terms", json!(["azure-stateless"])),
            ("candidates", candidates.clone()),
            ("endpoint", endpoint.clone()),
            ("verdict", json!("free")),
            ("reason", json!("designated")),
            ("status", json!(200)),
            ("cloud", json!("azure")),
        ]
    );
    assert_eq!(
        told(&hold),
        [
            ("surface", json!("openai.responses.create")),
            ("grade", json!("continues")),
            ("class", json!("stateful")),
            ("vendor", json!("openai")),
            ("model", json!("gpt-5.5")),
            ("session", hold["session"].clone()),
            ("tenant", tenant.clone()),
            ("handles", json!(["resp_1"])),
            ("epoch", json!(1)),
            ("terms", json!(["aws-agents"])),
            ("candidates", json!(["bedrock-use1"])),
            ("endpoint", json!("bedrock-use1")),
            ("verdict", json!("hold")),
            ("reason", json!("held")),
            ("status", json!(200)),
            ("cloud", json!("aws")),
        ]
    );
    assert_eq!(
        told(&refused),
        [
            ("surface", json!("openai.responses.create")),
            ("grade", json!("continues")),
            ("class", json!("stateful")),
            ("vendor", json!("openai")),
            ("model", json!("gpt-5.5")),
            ("session", refused["session"].clone()),
            ("tenant", tenant.clone()),
            ("handles", json!(["resp_1"])),
            ("epoch", json!(1)),
            ("terms", json!(["aws-agents"])),
            ("candidates", json!([])),
            ("endpoint", Value::Null),
            ("verdict", json!("refuse")),
            ("reason", json!("unknown_handle")),
            ("status", json!(400)),
            ("cloud", Value::Null),
        ]
    );
    assert_eq!(
        (&unread["verdict"], &unread["reason"], &unread["status"], &unread["grade"], &unread["class"]),
        (&json!("refuse"), &json!("body_malformed"), &json!(400), &json!("unknown"), &json!("stateful"))
    );
}

#[test]
fn an_explanation_follows_the_contracts_dates() {
    let table = |request, at: &str, more: &[&str]| {
        let (_, told) = explain(request, &[&["--at", at], more].concat());
        (told["reason"].as_str().unwrap().to_owned(), told["cloud"].as_str().unwrap_or("none").to_owned())
    };
    let expect = |reason: &str, cloud: &str| (reason.to_owned(), cloud.to_owned());
    let (aws, azure) = (["--pin", "resp_1=bedrock-use1"], ["--pin", "resp_1=azure-eastus2"]);
    // Before the first term; while one cloud has stateless calls and the other stateful ones; when all is open.
    assert_eq!(table(CHAT, "2026-02-26", &[]), expect("no_term", "none"));
    assert_eq!(table(TURN, "2026-02-26", &aws), expect("no_term", "none"));
    assert_eq!(table(CHAT, "2026-03-15", &[]), expect("designated", "azure"));
    assert_eq!(
        table(STORED, "2026-03-15", &[]),
        expect("designated", "azure"),
        "under the reading that is enforced"
    );
    assert_eq!(table(TURN, "2026-03-15", &aws), expect("held", "aws"));
    assert_eq!(table(TURN, "2026-03-15", &azure), expect("owner_not_designated", "none"));
    assert_eq!(table(CHAT, "2026-05-01", &[]), expect("designated", "azure"), "preferred");
    assert_eq!(table(TURN, "2026-05-01", &azure), expect("held", "azure"));
    // At the boundary, to the second and with the skew.
    assert_eq!(table(CHAT, "2026-02-27T00:00:04Z", &[]), expect("no_term", "none"));
    assert_eq!(table(CHAT, "2026-02-27T00:00:05Z", &[]), expect("designated", "azure"));
    let down = ["--down", "azure-eastus2", "--down", "azure-swedencentral"];
    assert_eq!(table(CHAT, "2026-04-26T23:59:54.999Z", &down), expect("endpoints_down", "none"));
    assert_eq!(
        table(CHAT, "2026-04-27T00:00:00Z", &down),
        expect("endpoints_down", "none"),
        "what both sides allow"
    );
    assert_eq!(table(CHAT, "2026-04-27T00:00:05Z", &down), expect("designated", "aws"));
    // Down is waited for or gone round, as far as the terms go.
    assert_eq!(
        table(TURN, "2026-03-15", &["--pin", "resp_1=bedrock-use1", "--down", "bedrock-use1"]),
        expect("owner_unavailable", "none")
    );
    let one = explain(CHAT, &["--at", "2026-03-15", "--down", "azure-eastus2"]).1;
    assert_eq!(one["candidates"], json!(["azure-swedencentral"]));
    let all = explain(CHAT, &["--at", "2026-05-01"]).1;
    let clouds: Vec<_> =
        all["candidates"].as_array().unwrap().iter().map(|name| &name.as_str().unwrap()[..5]).collect();
    assert_eq!(clouds, ["azure", "azure", "bedro", "opena"], "preferred clouds first");
}

#[test]
fn expect_allowed_makes_a_refusal_a_finding() {
    assert_eq!(explain(CHAT, &["--at", "2026-03-15", "--expect-allowed"]).0, 0);
    assert_eq!(explain(CHAT, &["--at", "2026-02-26", "--expect-allowed"]).0, 1);
    assert_eq!(
        explain(CHAT, &["--at", "2026-02-26"]).0,
        0,
        "without it the explanation is what was asked for"
    );
    assert_eq!(explain(TURN, &["--expect-allowed"]).0, 1);
}

#[test]
fn text_says_the_same_as_json() {
    let folder = Folder::new();
    let config = example("three-clouds.yaml");
    let text = |request: &str, more: &[&str]| {
        let request = folder.file("request.http", request);
        let mut arguments = vec!["explain", "-c", &config, "--request", &request, "--at", "2026-03-15"];
        arguments.extend_from_slice(more);
        let (code, out, _) = run(&arguments);
        assert_eq!(code, 0);
        out
    };
    let has = |out: &str, lines: &[&str]| {
        for line in lines {
            assert!(out.lines().any(|found| found == *line), "{line:?} in\n{out}");
        }
    };
    has(
        &text(CHAT, &[]),
        &[
            "surface    openai.chat.create",
            "model      gpt-5.5",
            "grade      pure",
            "class      stateless under memory-is-state",
            "vendor     openai",
            "verdict    free",
            "term       azure-stateless: Joint statement of 2026-02-27: the first cloud stays the exclusive provider of stateless APIs",
            "at         2026-03-15T00:00:00Z, epoch 1",
        ],
    );
    has(
        &text(TURN, &["--pin", "resp_1=bedrock-use1"]),
        &[
            "handle     resp_1 (response)",
            "grade      continues",
            "verdict    hold",
            "goes to    bedrock-use1 in aws, and nowhere else",
        ],
    );
    has(&text(TURN, &[]), &["verdict    refuse", "reason     unknown_handle, status 400"]);
    has(
        &text("GET /v9 HTTP/1.1\nHost: a\n\n", &[]),
        &["surface    unrecognised", "reason     unrecognised, status 403"],
    );
    // Standard input, CRLF or not.
    let arguments = ["explain", "-c", &config, "--request", "-", "--at", "2026-03-15"];
    let (code, out, _) = run_with_input(&arguments, CHAT.replace('\n', "\r\n").as_bytes());
    assert_eq!((code, out), (0, text(CHAT, &[])));
}
