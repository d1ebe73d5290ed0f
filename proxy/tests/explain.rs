//! Promise: `explain` comes to the decision that the running proxy comes to, for any request, allowed or not.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use serde_json::{Value, json};
use support::process::{Folder, run};
use support::turns::first;
use support::wire::send_bytes;
use support::{Clouds, QUIET, address, json, ours, post, proxy, send};

const CONTRACT: &str = "
enforce: r
readings: { r: { stateful_from: creates } }
terms:
  - { id: stateless-on-azure, when: { vendor: openai, class: stateless }, only: azure }
  - { id: stateful-elsewhere, when: { class: stateful }, only: [aws, openai], prefer: [aws] }
  - { id: no-voice, when: { surface: openai.audio.speech }, never: [azure, aws, openai] }
  - { id: pictures-on-aws, when: { surface: openai.images.* }, only: aws }
";

fn with_body(line: &str, lines: &str, body: &str) -> String {
    format!(
        "{line} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer app\r\n{lines}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn with_json(line: &str, body: &str) -> String {
    with_body(line, "Content-Type: application/json\r\n", body)
}

/// Name, and the request's bytes. `RESP` lives in aws, `CONV` in openai.
fn requests() -> Vec<(&'static str, String)> {
    let chat = r#"{"model":"gpt-5.5","messages":[]}"#;
    let form = "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\ngpt-5.5\r\n--b--\r\n";
    let turn = |rest: &str| format!(r#"{{"model":"gpt-5.5","input":"a"{rest}}}"#);
    vec![
        ("chat", with_json("POST /v1/chat/completions", chat)),
        (
            "chat, dated",
            with_json(
                "POST /openai/deployments/gpt-5.5/chat/completions?api-version=2024-10-21",
                r#"{"messages":[]}"#,
            ),
        ),
        (
            "chat, chunked",
            format!(
                "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{chat}\r\n0\r\n\r\n",
                chat.len()
            ),
        ),
        (
            "chat in a session",
            with_body(
                "POST /v1/chat/completions",
                "Content-Type: application/json\r\nX-Session-Id: s\r\n",
                chat,
            ),
        ),
        ("embeddings", with_json("POST /v1/embeddings", r#"{"model":"text-embedding-3-small","input":"a"}"#)),
        (
            "cached",
            with_json(
                "POST /v1/chat/completions",
                r#"{"model":"gpt-5.5","messages":[],"prompt_cache_key":"k"}"#,
            ),
        ),
        ("models", "GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        (
            "form",
            with_body(
                "POST /v1/audio/transcriptions",
                "Content-Type: multipart/form-data; boundary=b\r\n",
                form,
            ),
        ),
        ("stored", with_json("POST /v1/responses", &turn(""))),
        ("not stored", with_json("POST /v1/responses", &turn(r#","store":false"#))),
        ("held", with_json("POST /v1/responses", &turn(r#","previous_response_id":"RESP""#))),
        (
            "held by a path",
            "GET /v1/responses/RESP HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer app\r\n\r\n".to_owned(),
        ),
        (
            "two owners",
            with_json("POST /v1/responses", &turn(r#","previous_response_id":"RESP","conversation":"CONV""#)),
        ),
        ("unknown", with_json("POST /v1/responses", &turn(r#","previous_response_id":"resp_0""#))),
        (
            "unknown in a path",
            "GET /v1/responses/resp_0 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer app\r\n\r\n".to_owned(),
        ),
        ("no term", with_json("POST /v1/chat/completions", r#"{"model":"claude-x","messages":[]}"#)),
        ("forbidden", with_json("POST /v1/audio/speech", r#"{"model":"gpt-5.5","input":"a"}"#)),
        ("conflict", with_json("POST /v1/images/generations", r#"{"model":"gpt-5.5","prompt":"a"}"#)),
        ("not served", with_json("POST /v1/chat/completions", r#"{"model":"gpt-9","messages":[]}"#)),
        ("no model", with_json("POST /v1/chat/completions", r#"{"messages":[]}"#)),
        (
            "two models",
            with_json(
                "POST /openai/deployments/gpt-5.5/chat/completions?api-version=1",
                r#"{"model":"gpt-9"}"#,
            ),
        ),
        ("malformed", with_json("POST /v1/chat/completions", "{\"model\":\"gpt-5.5\",}")),
        (
            "ambiguous",
            with_json("POST /v1/chat/completions", r#"{"model":"gpt-5.5","mod\u0065l":"gpt-5.5"}"#),
        ),
        ("empty", with_json("POST /v1/chat/completions", "")),
        ("encoded", with_body("POST /v1/chat/completions", "Content-Encoding: gzip\r\n", chat)),
        ("no JSON", with_body("POST /v1/chat/completions", "Content-Type: text/plain\r\n", chat)),
        ("too large", with_json("POST /v1/chat/completions", &format!("{}{chat}", " ".repeat(4096)))),
        ("unrecognised", with_json("POST /v9/chat", chat)),
        ("no host", "GET /v1/models HTTP/1.1\r\nAuthorization: Bearer app\r\n\r\n".to_owned()),
        ("trace", "TRACE /v1/models HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        (
            "upgrade",
            "GET /v1/models HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
                .to_owned(),
        ),
        ("socket by none", "GET /v1/responses HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        (
            "socket version",
            "GET /v1/responses HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\n\r\n"
                .to_owned(),
        ),
        ("nomination", "GET /v1/models HTTP/1.1\r\nHost: a\r\nConnection: host\r\n\r\n".to_owned()),
        ("long target", format!("GET /v1/{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(9000))),
        ("long head", format!("GET /v1/models HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(40_000))),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn explain_and_the_running_proxy_agree() {
    let clouds = Clouds::start().await;
    let config = clouds.config(CONTRACT, &QUIET.replace("limits: {", "limits: { body: 4KiB,"));
    let running = proxy(&config).await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let config = file("riparian.yaml", &config);
    let at_aws = loop {
        let created = send(address(&running), post("/v1/responses", &first())).await;
        if ours(&created, "cloud") == "aws" {
            break json(&created)["id"].as_str().unwrap().to_owned();
        }
    };
    let created = send(address(&running), post("/v1/conversations", &json!({}))).await;
    assert_eq!(ours(&created, "endpoint"), "openai-one", "only there are conversations");
    let conversation = json(&created)["id"].as_str().unwrap().to_owned();
    let pins = [format!("{at_aws}=aws-one"), format!("{conversation}=openai-one")];
    let mut reasons = std::collections::BTreeSet::new();
    for (name, request) in requests() {
        let request =
            request.replace("\"RESP\"", &format!("\"{at_aws}\"")).replace("/RESP ", &format!("/{at_aws} "));
        let request = resized(&request.replace("\"CONV\"", &format!("\"{conversation}\"")));
        let live = send_bytes(address(&running), request.as_bytes()).await;
        let path = file("request.http", &request);
        let arguments = [
            "explain",
            "-c",
            &config,
            "--request",
            &path,
            "--format",
            "json",
            "--pin",
            &pins[0],
            "--pin",
            &pins[1],
        ];
        let (code, out, err) = run(&arguments);
        assert_eq!((code, err.as_str()), (0, ""), "{name}");
        let told: Value = serde_json::from_str(&out).unwrap();
        let text = |field: &str| told[field].as_str().unwrap_or("none").to_owned();
        let said = ["reason", "cloud", "grade", "class"];
        assert_eq!(
            said.map(|field| (field, text(field))),
            said.map(|field| (field, live.header(&format!("x-riparian-{field}")).unwrap().to_owned())),
            "{name}: explain, and the proxy"
        );
        let status = live.line.split(' ').nth(1).unwrap();
        assert_eq!(told["status"].to_string(), status, "{name}");
        if text("verdict") == "hold" {
            assert_eq!(Some(text("endpoint").as_str()), live.header("x-riparian-endpoint"), "{name}");
        }
        if text("verdict") == "refuse" {
            let body: Value = serde_json::from_slice(&live.body).unwrap();
            assert_eq!(body["error"]["terms"], told["terms"], "{name}");
        }
        reasons.insert(text("reason"));
    }
    assert!(reasons.len() >= 20, "the requests differ: {reasons:?}");
}

/// The same request with the length that its body has by now.
fn resized(request: &str) -> String {
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let lines: Vec<_> = head
        .split("\r\n")
        .map(|line| {
            if line.starts_with("Content-Length:") {
                format!("Content-Length: {}", body.len())
            } else {
                line.to_owned()
            }
        })
        .collect();
    format!("{}\r\n\r\n{body}", lines.join("\r\n"))
}

/// `explain` against the shipped example.
fn shipped(request: &str, more: &[&str]) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("request.http").display().to_string();
    std::fs::write(&path, request).unwrap();
    let config = format!("{}/../config/examples/three-clouds.yaml", env!("CARGO_MANIFEST_DIR"));
    let mut arguments = vec!["explain", "-c", &config, "--request", &path];
    arguments.extend_from_slice(more);
    let (code, out, err) = run(&arguments);
    assert_eq!(err, "", "{more:?}");
    (code, out)
}

const TURN: &str = "POST /v1/responses HTTP/1.1\nHost: a\nAuthorization: Bearer canary-key\n\n{\"model\":\"gpt-5.5\",\"input\":\"it's\",\"previous_response_id\":\"resp_1\"}";

#[test]
fn everything_around_a_decision_is_told() {
    let pinned = ["--at", "2026-03-15", "--pin", "resp_1=bedrock-use1", "--format", "json"];
    let told: Value = serde_json::from_str(&shipped(TURN, &pinned).1).unwrap();
    assert_eq!(
        told["signals"],
        json!([
            { "at": "/store", "when": "/store unless false", "grade": "creates", "decided": false, "handle": null },
            { "at": "/previous_response_id", "when": "/previous_response_id", "grade": "continues", "decided": true, "handle": "response" },
        ])
    );
    assert_eq!(told["cited"][0]["endpoint"], json!("bedrock-use1"));
    let readings: Vec<_> = told["readings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| {
            (
                it["reading"].as_str().unwrap(),
                it["class"].as_str().unwrap(),
                it["clouds"].clone(),
                it["enforced"].clone(),
            )
        })
        .collect();
    assert_eq!(
        readings,
        [
            ("runtime-is-the-product", "stateless", json!(["azure"]), json!(false)),
            ("memory-is-state", "stateful", json!(["aws"]), json!(true)),
            ("every-call-is-a-call", "stateless", json!(["azure"]), json!(false)),
        ]
    );
    assert_eq!(
        told["band"],
        json!({ "band": "enforced", "in_band": true, "does": "the enforced reading decides alone" })
    );
    assert_eq!(told["terms_matched"][0]["id"], json!("aws-agents"));
    assert_eq!(told["terms_matched"][1]["enforced"], json!(false), "the other readings' term");
    assert_eq!(told["terms_not_matched"][0]["why"], json!("it begins at 2026-04-27T00:00:00Z"));
    let why = |told: &Value, name: &str| {
        let endpoints = told["endpoints"].as_array().unwrap();
        let one = endpoints.iter().find(|it| it["endpoint"] == json!(name)).unwrap();
        one["why"].as_str().unwrap().to_owned()
    };
    assert_eq!(why(&told, "bedrock-use1"), "it holds the response that the request cites");
    assert_eq!(why(&told, "openai-api"), "its cloud is not designated by aws-agents");
    assert_eq!(told["retry"]["next"], json!([]));
    // Whatever is tried, is tried because it may be; the others, for no reason but the first that there is.
    let narrow = TURN
        .replace("Host: a\n", "Host: a\nX-Riparian-Clouds: azure, aws\n")
        .replace(",\"previous_response_id\":\"resp_1\"", "");
    let told: Value = serde_json::from_str(
        &shipped(&narrow, &["--at", "2026-05-15", "--down", "azure-eastus2", "--format", "json"]).1,
    )
    .unwrap();
    assert_eq!(told["candidates"], json!(["azure-swedencentral", "bedrock-use1"]));
    assert_eq!(told["narrowed_to"], json!(["azure", "aws"]));
    assert_eq!(why(&told, "openai-api"), "the request's own x-riparian-clouds header leaves its cloud out");
    assert_eq!(why(&told, "azure-eastus2"), "it is down");
    assert!(why(&told, "azure-swedencentral").starts_with("its cloud is preferred by any-cloud"));
    assert_eq!((&told["retry"]["next"], &told["retry"]["attempts"]), (&json!(["bedrock-use1"]), &json!(2)));
}

#[test]
fn one_request_at_three_dates_and_under_two_readings() {
    let arguments = [
        "--at",
        "2026-02-01",
        "--at",
        "2026-03-15",
        "--at",
        "2026-05-01",
        "--reading",
        "memory-is-state",
        "--reading",
        "every-call-is-a-call",
        "--pin",
        "resp_1=bedrock-use1",
    ];
    let (code, out) = shipped(TURN, &arguments);
    assert_eq!(code, 0);
    let rows: Vec<Vec<&str>> = out
        .lines()
        .map(|line| line.split("  ").map(str::trim).filter(|it| !it.is_empty()).collect())
        .collect();
    assert_eq!(rows[0], ["at", "under", "class", "goes to", "by"]);
    assert_eq!(rows[5], ["2026-03-15", "memory-is-state", "stateful", "aws", "aws-agents"]);
    assert_eq!(
        rows[6],
        [
            "2026-03-15",
            "every-call-is-a-call",
            "stateless",
            "refused: owner_not_designated",
            "azure-stateless"
        ]
    );
    assert_eq!(rows[8], ["2026-05-01", "memory-is-state", "stateful", "aws", "any-cloud"]);
    let (_, out) = shipped(TURN, &[&arguments[..], &["--format", "json"]].concat());
    let told: Value = serde_json::from_str(&out).unwrap();
    let all = told["explanations"].as_array().unwrap();
    assert_eq!(all.len(), 9, "as the file has it, and under each of two, at three dates");
    assert_eq!((&all[0]["under"], &all[1]["under"]), (&Value::Null, &json!("memory-is-state")));
    assert_eq!(shipped(TURN, &[&arguments[..], &["--expect-allowed"]].concat()).0, 1);
}

#[test]
fn the_readme_shows_what_explain_prints() {
    let root = format!("{}/..", env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(format!("{root}/README.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("turn.http").display().to_string();
    std::fs::write(&path, TURN.replace("canary-key", "app")).unwrap();
    let pin = ["--request", &path, "--pin", "resp_1=bedrock-use1"];
    let (demo, dated) =
        (format!("{root}/config/examples/demo.yaml"), format!("{root}/config/examples/dated.yaml"));
    let one = [&["explain", "-c", &demo, "--at", "2026-11-21"][..], &pin].concat();
    let dates = ["--at", "2025-11-15", "--at", "2026-03-15", "--at", "2026-05-01"];
    let readings = ["--reading", "memory-is-state", "--reading", "every-call-is-a-call"];
    let table = [&["explain", "-c", &dated][..], &pin, &dates, &readings].concat();
    for arguments in [one, table] {
        let (code, out, err) = run(&arguments);
        assert_eq!((code, err.as_str()), (0, ""));
        assert!(readme.contains(&out), "README.md shows, to the letter:\n{out}");
    }
}

#[test]
fn a_lease_is_told_with_the_term_that_it_lives_by() {
    let folder = Folder::new();
    let file = |name, text| folder.file(name, text);
    let config = file(
        "config.yaml",
        r#"
version: 1
listeners: [{ name: apps, bind: "127.0.0.1:0" }]
clouds:
  azure: { endpoints: [{ name: one, dialect: openai, url: "http://127.0.0.1:9001", credential: none }] }
  aws: { endpoints: [{ name: two, dialect: openai, url: "http://127.0.0.1:9002", credential: none }] }
contract:
  enforce: r
  readings: { r: { stateful_from: never } }
  terms:
    - { id: before, until: 2026-04-27, only: aws, on_expiry: drain }
    - { id: after, from: 2026-04-27, only: azure }
"#,
    );
    let request = file("request.http", TURN);
    let explain = |more: &[&str]| {
        let mut arguments = vec![
            "explain",
            "-c",
            &config,
            "--request",
            &request,
            "--pin",
            "resp_1=two",
            "--at",
            "2026-05-01",
            "--format",
            "json",
        ];
        arguments.extend_from_slice(more);
        serde_json::from_str::<Value>(&run(&arguments).1).unwrap()
    };
    let told = explain(&["--since", "2026-04-20", "--rested", "5m"]);
    assert_eq!(
        told["lease"],
        json!({ "on_expiry": "drain", "since": "2026-04-20T00:00:00Z", "terms": ["before"] })
    );
    assert_eq!(told["endpoint"], json!("two"));
    assert_eq!(explain(&["--since", "2026-04-20"])["reason"], json!("session_drained"));
    assert_eq!(explain(&[])["reason"], json!("owner_not_designated"), "it was never lawful there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_running_proxy_explains_with_its_own_pins_and_shows_no_secret() {
    let clouds = Clouds::start().await;
    let running = proxy(&clouds.config(CONTRACT, QUIET)).await;
    let admin = running.admin.unwrap();
    let created = send(address(&running), post("/v1/responses", &first())).await;
    let handle = json(&created)["id"].as_str().unwrap().to_owned();
    let pinned = running.house.pins.len();
    let turn = with_json(
        "POST /v1/responses",
        &format!(r#"{{"model":"gpt-5.5","input":"canary-prompt","previous_response_id":"{handle}"}}"#),
    );
    let ask = |target: &'static str, asked: String| async move {
        let request = http::Request::post(target)
            .header("host", "admin")
            .body(http_body_util::Full::new(bytes::Bytes::from(asked)))
            .unwrap();
        send(admin, request).await
    };
    let answer = ask("/explain", turn.clone()).await;
    assert_eq!(answer.status(), 200);
    let text = String::from_utf8(answer.body().to_vec()).unwrap();
    for secret in ["canary-prompt", "Bearer", &handle] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    let told = json(&answer);
    assert_eq!((&told["verdict"], &told["endpoint"]), (&json!("hold"), &json!(ours(&created, "endpoint"))));
    assert_eq!(told["cited"][0]["state"], json!("pinned"));
    let unknown = ask("/explain", resized(&turn.replace(&handle, "resp_0"))).await;
    assert_eq!(json(&unknown)["reason"], json!("unknown_handle"));
    assert!(!json(&unknown)["detail"].as_str().unwrap_or("").contains("nobody was asked"), "nobody would be");
    let dated = ask("/explain?at=2026-03-15T00%3A00%3A00Z", turn.clone()).await;
    assert_eq!(json(&dated)["at"], json!("2026-03-15T00:00:00Z"));
    for (target, asked, status) in [
        ("/explain?at=yesterday", turn.clone(), 400),
        ("/explain?secret=1", turn.clone(), 400),
        ("/explain", "canary-nonsense".to_owned(), 400),
        ("/explain", "x".repeat((1 << 20) + 1), 413),
    ] {
        let answer = ask(target, asked).await;
        assert_eq!(answer.status(), status, "{target}");
        assert!(!String::from_utf8_lossy(answer.body()).contains("canary"), "{target}");
    }
    assert_eq!(support::traffic::admin(admin, "GET /explain").await.status, 405);
    assert_eq!(running.house.pins.len(), pinned, "nothing was bound");
    let asking = format!("{QUIET}\nsessions: {{ unknown_handle: ask }}");
    running.reload(&clouds.config(CONTRACT, &asking), "test.yaml").await.unwrap();
    let unknown = ask("/explain", resized(&turn.replace(&handle, "resp_0"))).await;
    assert_eq!(json(&unknown)["reason"], json!("unknown_handle"));
    let detail = json(&unknown)["detail"].as_str().unwrap().to_owned();
    assert!(detail.starts_with("nobody was asked; the running proxy"), "{detail}");
    assert_eq!(clouds.all().iter().map(|cloud| cloud.counts().requests).sum::<u64>(), 1, "nor was anybody");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_curl_of_a_request_does_at_a_running_proxy_what_explain_says() {
    let curl = std::process::Command::new("curl").arg("--version").output();
    assert!(curl.is_ok(), "there is no curl here; .ci/setup sees to it");
    let clouds = Clouds::start().await;
    let running = proxy(&clouds.config(CONTRACT, QUIET)).await;
    let text = clouds
        .config(CONTRACT, QUIET)
        .replace("bind: 127.0.0.1:0 }]", &format!("bind: \"{}\" }}]", address(&running)));
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let config = file("riparian.yaml", text.as_bytes());
    let spoken = TURN.replace("resp_1", "resp_'$(echo no)");
    let large = with_json(
        "POST /v1/responses",
        &format!(r#"{{"model":"gpt-5.5","input":"{}"}}"#, "é".repeat(100_000)),
    );
    for (request, reason) in [
        (&spoken, "unknown_handle"),
        (&with_json("POST /v1/chat/completions?a=%20", r#"{"model":"gpt-5.5","messages":[]}"#), "designated"),
        (&large, "designated"),
        (&"GET /v1/models HTTP/1.1\nHost: a\nX-Empty:\n\n".to_owned(), "designated"),
    ] {
        let path = file("request.http", request.as_bytes());
        let (code, command, err) = run(&["explain", "-c", &config, "--request", &path, "--curl"]);
        assert_eq!((code, err.as_str()), (0, ""));
        assert!(!command.contains("Bearer"), "no credential: {command}");
        // Too long for an argument of its own.
        let script = file("script.sh", command.as_bytes());
        let mut shell = std::process::Command::new("sh");
        let output = tokio::task::spawn_blocking(move || {
            shell.arg(&script).env("AUTHORIZATION", "Bearer canary-key").output().unwrap()
        });
        let output = output.await.unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            said.contains(&format!("x-riparian-reason: {reason}")),
            "{said} {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
