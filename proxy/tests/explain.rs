//! Promise: `explain` comes to the decision that the running proxy comes to, for any request, allowed or not.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use serde_json::{Value, json};
use support::process::run;
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
