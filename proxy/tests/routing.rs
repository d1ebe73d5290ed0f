//! Promise: a request goes to a cloud that the contract designates, as that cloud's endpoint must see it, or nowhere.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use riparian_loadtest::cloud::sha256;
use riparian_loadtest::{Credential, FakeCloud, Outcome, Seen};
use serde_json::json;
use support::{Clouds, QUIET, SPLIT, address, chat, json, ours, post, proxy, send};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stateless_goes_to_one_cloud_and_stateful_to_the_other() {
    let clouds = Clouds::start().await;
    let running = proxy(&clouds.config(SPLIT, QUIET)).await;
    let answer = send(address(&running), post("/v1/chat/completions", &chat())).await;
    assert_eq!(answer.status(), 200);
    assert_eq!((ours(&answer, "cloud"), ours(&answer, "class")), ("azure", "stateless"));

    let stored = json!({ "model": "gpt-5.5", "input": "hello" });
    let answer = send(address(&running), post("/v1/responses", &stored)).await;
    assert_eq!(answer.status(), 200);
    assert_eq!((ours(&answer, "cloud"), ours(&answer, "class")), ("aws", "stateful"));

    let [one, two, aws, openai] = clouds.all().map(|cloud| cloud.counts().requests);
    assert_eq!((one + two, aws, openai), (1, 1, 0), "requests at azure, aws and openai");
}

/// Everything to one cloud.
fn all_to(cloud: &str) -> String {
    format!(
        "enforce: r\nreadings: {{ r: {{ stateful_from: never }} }}\nterms: [{{ id: all, only: {cloud} }}]"
    )
}

/// One cloud of three, its endpoints, and what it calls `gpt-5.5`.
struct Target<'c> {
    name: &'static str,
    own: &'static str,
    base: &'static str,
    endpoints: Vec<&'c FakeCloud>,
}

fn targets(clouds: &Clouds) -> [Target<'_>; 3] {
    [
        Target {
            name: "azure",
            own: "gpt-prod",
            base: "/openai/v1",
            endpoints: vec![&clouds.azure_one, &clouds.azure_two],
        },
        Target { name: "aws", own: "openai.gpt", base: "/openai/v1", endpoints: vec![&clouds.aws] },
        Target { name: "openai", own: "gpt-5.5", base: "/v1", endpoints: vec![&clouds.openai] },
    ]
}

/// What reached the clouds since the last call, with the cloud's endpoint.
fn newly_seen(clouds: &Clouds) -> Vec<(String, Seen)> {
    let seen = clouds.all().map(|cloud| {
        let seen = cloud.seen().into_iter().map(|seen| (cloud.name().to_owned(), seen)).collect::<Vec<_>>();
        cloud.clear();
        seen
    });
    seen.into_iter().flatten().collect()
}

/// An operation, the dated form that it has, what it is at the fake clouds, and who serves it.
struct Row {
    line: &'static str,
    dated: Option<&'static str>,
    body: &'static str,
    operation: &'static str,
    aws: bool,
}

const fn row(
    line: &'static str,
    dated: Option<&'static str>,
    body: &'static str,
    operation: &'static str,
    aws: bool,
) -> Row {
    Row { line, dated, body, operation, aws }
}

const DEPLOYMENT: Option<&str> = Some("/openai/deployments/gpt-5.5");
const PLAIN: Option<&str> = Some("/openai");

const ROWS: &[Row] = &[
    row("POST /chat/completions", DEPLOYMENT, r#"{"model":"gpt-5.5","messages":[]}"#, "chat.create", true),
    row("POST /completions", DEPLOYMENT, r#"{"model":"gpt-5.5","prompt":"a"}"#, "completions", false),
    row("POST /embeddings", DEPLOYMENT, r#"{"model":"gpt-5.5","input":"a"}"#, "embeddings", false),
    row(
        "POST /images/generations",
        DEPLOYMENT,
        r#"{"model":"gpt-5.5","prompt":"a"}"#,
        "images.generate",
        false,
    ),
    row("POST /audio/speech", DEPLOYMENT, r#"{"model":"gpt-5.5","input":"a"}"#, "audio.speech", false),
    row("POST /images/edits", DEPLOYMENT, FORM, "images.edit", false),
    row("POST /audio/transcriptions", DEPLOYMENT, FORM, "audio.transcribe", false),
    row("POST /audio/translations", DEPLOYMENT, FORM, "audio.transcribe", false),
    row(
        "POST /responses",
        PLAIN,
        r#"{"model":"gpt-5.5","input":"a","store":false}"#,
        "responses.create",
        true,
    ),
    row("POST /responses", PLAIN, r#"{"model":"gpt-5.5","input":"a"}"#, "responses.create", true),
    row("POST /conversations", PLAIN, "{}", "conversations.create", false),
    row("GET /models", PLAIN, "", "models.list", true),
    row("GET /models/gpt-5.5", PLAIN, "", "models.get", true),
];

const FORM: &str = "--b0undary\r\nContent-Disposition: form-data; name=\"file\"; filename=\"model\"\r\n\
    Content-Type: audio/wav\r\n\r\nRIFF\r\n--b0undar\u{0}\u{1}\u{7f} gpt-5.5\r\n\
    --b0undary\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\ngpt-5.5\r\n\
    --b0undary\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\ngpt-5.5\r\n--b0undary--\r\n";

fn request(method: &str, target: &str, body: &str) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(target).header("host", "proxy");
    if body.starts_with("--") {
        request = request.header("content-type", "multipart/form-data; boundary=b0undary");
    } else if !body.is_empty() {
        request = request.header("content-type", "application/json");
    }
    request
        .header("authorization", "Bearer canary-client-key")
        .header("api-key", "canary-client-key")
        .body(Full::new(Bytes::from(body.to_owned())))
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_reaches_the_cloud_that_has_it_in_its_own_words() {
    let clouds = Clouds::start().await;
    for target in targets(&clouds) {
        let running = proxy(&clouds.config(&all_to(target.name), QUIET)).await;
        for Row { line, dated, body, operation, aws } in ROWS {
            let (method, tail) = line.split_once(' ').unwrap();
            let forms = [Some("/v1"), Some("/openai/v1"), *dated];
            for form in forms.into_iter().flatten() {
                let is_dated = Some(form) == *dated;
                let query = if is_dated { "?x=%20y&api-version=2025-03-01-preview" } else { "?x=%20y" };
                let case = format!("{method} {form}{tail} to {}", target.name);
                let answer =
                    send(address(&running), request(method, &format!("{form}{tail}{query}"), body)).await;
                let seen = newly_seen(&clouds);
                if target.name == "aws" && !aws {
                    assert_eq!((answer.status().as_u16(), seen.len()), (404, 0), "{case}");
                    assert_eq!(json(&answer)["error"]["code"], "not_served", "{case}");
                    continue;
                }
                assert_eq!(answer.status(), 200, "{case}: {:?}", answer.body());
                let [(name, seen)] = &seen[..] else { panic!("{case}: seen {} times", seen.len()) };
                let origin = target.endpoints.iter().find(|cloud| cloud.name() == name);
                let origin = origin.unwrap_or_else(|| panic!("{case}: seen at {name}"));
                assert_eq!((ours(&answer, "cloud"), ours(&answer, "endpoint")), (target.name, name.as_str()));

                let own_tail = tail.replace("gpt-5.5", target.own);
                let expected = if is_dated && target.name == "azure" {
                    format!("{}{own_tail}{query}", form.replace("gpt-5.5", target.own))
                } else {
                    format!("{}{own_tail}?x=%20y", target.base)
                };
                assert_eq!((seen.method.as_str(), &seen.target), (method, &expected), "{case}");
                assert_eq!(seen.operation, Some(*operation), "{case}");
                assert_eq!(seen.outcome, Outcome::Ok, "{case}");
                assert_eq!((seen.credential, seen.stray_credential), (Credential::Right, false), "{case}");
                assert_eq!(seen.header("host"), Some(origin.addr().to_string().as_str()), "{case}");
                assert_eq!(seen.header("accept-encoding"), Some("identity"), "{case}");
                let spliced = spliced(body, target.own);
                let length = (method == "POST").then(|| spliced.len().to_string());
                assert_eq!(seen.header("content-length"), length.as_deref(), "{case}");
                assert_eq!(seen.body_sha256, sha256(spliced.as_bytes()), "{case}: the body");
            }
        }
    }
}

/// What the origin must get: the model under its own name, and every other byte as it was.
fn spliced(body: &str, own: &str) -> String {
    let (before, after) = if body.starts_with("--") {
        ("name=\"model\"\r\n\r\ngpt-5.5", format!("name=\"model\"\r\n\r\n{own}"))
    } else {
        ("\"model\":\"gpt-5.5\"", format!("\"model\":\"{own}\""))
    };
    body.replacen(before, &after, 1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_json_body_nothing_but_the_model_changes() {
    let clouds = Clouds::start().await;
    let running = proxy(&clouds.config(&all_to("aws"), QUIET)).await;
    // What stands for the model, in its place between bytes that a parser and printer would not give back.
    let bodies = [
        "\r\n{ \"messages\" : [ { \"role\":\"user\",\"content\":\"h\\u00e9\\/ \\ud83d\\ude00 é \\\"model\\\":\\\"gpt-5.5\\\"\" } ],\n\t\"model\"\t:  MODEL \n,\"top_p\":1.0e-0,\"seed\":123456789012345678901234567890 }\n\n ",
        "{\"mod\\u0065l\":MODEL,\"messages\":[],\"x\":{\"model\":\"gpt-5.5\"}}",
        "{\"messages\":[{\"model\":\"a\",\"model \":\"gpt-5.5\"}],\"mod\u{435}l\":\"gpt-5.5\",\"\u{ff4d}odel\":1,\"Model\":\"gpt-5.5\",\"model\":MODEL}",
        "{\"model\":MODEL,\"messages\":[],\"metadata\":{\"mod\\u0435l\":\"gpt-5.5\",\"\\u006dodel2\":\"\\u0000\"}}",
    ];
    for body in bodies {
        for asked in ["\"gpt-5.5\"", "\"gpt\\u002d5\\u002e5\""] {
            let sent = body.replace("MODEL", asked);
            let answer = send(address(&running), request("POST", "/v1/chat/completions", &sent)).await;
            assert_eq!(answer.status(), 200, "{sent}: {:?}", answer.body());
            let [(_, seen)] = &newly_seen(&clouds)[..] else { panic!("not seen once: {sent}") };
            let expected = body.replace("MODEL", "\"openai.gpt\"");
            assert_eq!(seen.body_bytes, expected.len() as u64, "{sent}");
            assert_eq!(seen.body_sha256, sha256(expected.as_bytes()), "{sent}");
            assert_eq!(seen.model.as_deref(), Some("openai.gpt"));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_only_the_path_names_is_put_into_the_body_where_paths_name_none() {
    let clouds = Clouds::start().await;
    let form = "--b0undary\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nRIFF\r\n--b0undary--";
    let part = |own| format!("--b0undary\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n{own}\r\n");
    for target in targets(&clouds) {
        let running = proxy(&clouds.config(&all_to(target.name), QUIET)).await;
        let own = target.own;
        for (tail, body, put_in) in [
            (
                "/chat/completions",
                " { \"messages\":[]}",
                format!(" {{\"model\":\"{own}\", \"messages\":[]}}"),
            ),
            ("/audio/transcriptions", form, format!("{}{form}", part(own))),
        ] {
            let path = format!("/openai/deployments/gpt-5.5{tail}?api-version=2024-10-21");
            let answer = send(address(&running), request("POST", &path, body)).await;
            let seen = newly_seen(&clouds);
            if target.name == "aws" && tail.starts_with("/audio") {
                assert_eq!((answer.status().as_u16(), seen.len()), (404, 0));
                continue;
            }
            assert_eq!(answer.status(), 200, "{tail} to {}: {:?}", target.name, answer.body());
            // Azure's own dated path names it already: there the body stays whole.
            let expected = if target.name == "azure" { body } else { &put_in };
            let [(_, seen)] = &seen[..] else { panic!("not seen once") };
            assert_eq!(seen.body_sha256, sha256(expected.as_bytes()), "{tail} to {}", target.name);
            assert_eq!(seen.model.as_deref(), Some(own));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_no_designated_endpoint_has_is_not_served() {
    let clouds = Clouds::start().await;
    let running = proxy(&clouds.config(&all_to("aws"), QUIET)).await;
    // The other clouds have this model; they are not designated.
    let body = json!({ "model": "text-embedding-3-small", "messages": [] });
    let answer = send(address(&running), post("/v1/chat/completions", &body)).await;
    let error = &json(&answer)["error"];
    assert_eq!(
        (answer.status().as_u16(), &error["code"], &error["param"]),
        (404, &json!("not_served"), &json!("model"))
    );
    assert_eq!((ours(&answer, "reason"), ours(&answer, "cloud")), ("not_served", "none"));
    let answer =
        send(address(&running), post("/v1/embeddings", &json!({ "model": "gpt-5.5", "input": "a" }))).await;
    assert_eq!(json(&answer)["error"]["code"], "not_served", "the operation is not there");
    let answer = send(address(&running), post("/v1/chat/completions", &chat())).await;
    assert_eq!(answer.status(), 200, "the crossing");
    assert_eq!(clouds.all().map(|cloud| cloud.counts().requests), [0, 0, 1, 0]);
}
