//! Promise: whatever the family, what lives at an endpoint is gone back to there: sessions that clients invent, sealed blobs, files,
//! handles in headers and in every kind of answer; and what is not known is refused in the words of the client's own API.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::Full;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use support::origin::Origin;
use support::script::{Seen, answer, event, said, scripted, two};
use support::{address, get, json, ours, post, proxy, send};

/// A request with these header lines.
fn asking(
    method: Method,
    path: &str,
    lines: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in [("host", "proxy"), ("authorization", "Bearer app")].iter().chain(lines) {
        request = request.header(*name, *value);
    }
    request.body(Full::new(body.into())).unwrap()
}

const JSON: (&str, &str) = ("content-type", "application/json");

fn count(seen: &Seen, part: &str) -> usize {
    seen.lock().unwrap().iter().filter(|(head, _)| head.contains(part)).count()
}

fn said_everywhere(body: Value) -> impl Fn(&str, &[u8]) -> Vec<u8> + Send + Sync + Clone + 'static {
    move |_, _| said(&body)
}

async fn both(
    dialect: &str,
    answer: impl Fn(&str, &[u8]) -> Vec<u8> + Send + Sync + Clone + 'static,
    rest: &str,
) -> ((Origin, Seen), (Origin, Seen), riparian_proxy::server::Running) {
    let (a, b) = (scripted(answer.clone()).await, scripted(answer).await);
    let running = proxy(&two(dialect, &a.0.url(), &b.0.url(), "", rest)).await;
    (a, b, running)
}

const SESSION: &str = "x-amzn-bedrock-agentcore-runtime-session-id";

fn invocation(session: &str) -> Request<Full<Bytes>> {
    asking(Method::POST, "/runtimes/r1/invocations", &[JSON, (SESSION, session)], "{}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_a_client_invents_lives_where_its_first_request_went() {
    let (a, b, running) = both("bedrock-agentcore", said_everywhere(json!({})), "").await;
    let address = address(&running);
    let sessions: Vec<String> =
        (0..16).map(|n| format!("session-{n:02}-0123456789abcdef0123456789")).collect();
    // All first requests of a session at once, and those of all sessions with them.
    let tasks: Vec<_> = sessions
        .iter()
        .flat_map(|session| (0..8).map(move |_| session.clone()))
        .map(|session| tokio::spawn(async move { send(address, invocation(&session)).await }))
        .collect();
    for task in tasks {
        let answer = task.await.unwrap();
        assert_eq!((answer.status().as_u16(), ours(&answer, "grade")), (200, "runtime"));
    }
    let owners: BTreeSet<bool> = sessions
        .iter()
        .map(|session| {
            let (at_a, at_b) = (count(&a.1, session), count(&b.1, session));
            assert!(at_a == 0 || at_b == 0, "{session} is at {at_a} and {at_b}");
            assert_eq!(at_a + at_b, 8);
            at_a > 0
        })
        .collect();
    assert_eq!(owners.len(), 2, "sessions begin at both");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_endpoint_is_never_tried_for_an_invented_session() {
    let (_live, seen, running) = {
        let live = scripted(said_everywhere(json!({}))).await;
        let dead = Origin::saying("", true).await;
        let url = dead.url();
        drop(dead);
        let running =
            proxy(&two("bedrock-agentcore", &live.0.url(), &url, "", "health: { down_after: 1000 }")).await;
        (live.0, live.1, running)
    };
    let (mut lost, mut live) = (0, 0);
    for n in 0..24 {
        let session = format!("session-{n:02}-0123456789abcdef0123456789");
        let first = send(address(&running), invocation(&session)).await;
        let again = send(address(&running), invocation(&session)).await;
        if first.status() == 200 {
            live += 1;
            assert_eq!(again.status(), 200);
        } else {
            lost += 1;
            assert_eq!(again.status(), 503, "nobody stands in");
            assert_eq!(json(&again)["riparian"]["code"], "owner_unavailable");
            assert_eq!(count(&seen, &session), 0, "the other one has not heard of it");
        }
    }
    assert!(lost > 0 && live > 0, "{lost} lost, {live} live");
}

fn turn(blob: &str) -> Value {
    json!({ "model": "gpt-5.5", "store": false, "input": [{ "type": "reasoning", "encrypted_content": blob }] })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sealed_blob_goes_back_to_its_issuer_and_stays_stateless() {
    // Each makes a blob of its own, longer than any handle, in a plain answer or in the last event of a stream.
    let cloud = |name: &'static str| {
        move |_: &str, body: &[u8]| {
            let blob = format!("{name}-{}", "gAAAA".repeat(20_000));
            let body: Value = serde_json::from_slice(body).unwrap();
            let item = json!({ "type": "reasoning", "encrypted_content": blob });
            if body["stream"] == true {
                let event = json!({ "type": "response.output_item.done", "item": item });
                return answer(
                    "text/event-stream",
                    &[],
                    format!("event: x\ndata: {event}\n\ndata: [DONE]\n\n"),
                );
            }
            said(&json!({ "id": "resp_1", "store": false, "output": [item] }))
        }
    };
    let (a, b) = (scripted(cloud("a-one")).await, scripted(cloud("b-one")).await);
    let running = proxy(&two("openai", &a.0.url(), &b.0.url(), "", "")).await;
    let ask = async |body: &Value| send(address(&running), post("/v1/responses", body)).await;
    let mut owners = BTreeSet::new();
    for n in 0..24 {
        let mut first = json!({ "model": "gpt-5.5", "store": false, "input": "x" });
        first["stream"] = json!(n % 2 == 0);
        let begun = ask(&first).await;
        let owner = ours(&begun, "endpoint").to_owned();
        let blob = format!("{owner}-{}", "gAAAA".repeat(20_000));
        let next = ask(&turn(&blob)).await;
        assert_eq!((next.status().as_u16(), ours(&next, "endpoint")), (200, &*owner));
        assert_eq!((ours(&next, "grade"), ours(&next, "class")), ("sealed", "stateless"));
        owners.insert(owner);
    }
    assert_eq!(owners.len(), 2);
    let foreign = ask(&turn("nobody here sealed this")).await;
    assert_eq!((foreign.status().as_u16(), ours(&foreign, "reason")), (400, "unknown_handle"));
    let both = json!({ "model": "gpt-5.5", "store": false, "input": [
        { "encrypted_content": format!("a-one-{}", "gAAAA".repeat(20_000)) },
        { "encrypted_content": format!("b-one-{}", "gAAAA".repeat(20_000)) },
    ] });
    let split = ask(&both).await;
    assert_eq!((split.status().as_u16(), ours(&split, "reason")), (400, "owners_differ"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_handles_with_two_owners_are_refused_and_both_are_named() {
    let cloud = |name: &'static str| {
        move |head: &str, _: &[u8]| {
            let kind = if head.starts_with("POST /v1/conversations") { "conv" } else { "resp" };
            said(&json!({ "id": format!("{kind}_{name}"), "store": true }))
        }
    };
    let (a, b) = (scripted(cloud("a")).await, scripted(cloud("b")).await);
    let running = proxy(&two("openai", &a.0.url(), &b.0.url(), "", "")).await;
    let ask = async |path: &str, body: Value| send(address(&running), post(path, &body)).await;
    for _ in 0..32 {
        ask("/v1/responses", json!({ "model": "m", "input": "x" })).await;
        ask("/v1/conversations", json!({})).await;
    }
    let body = json!({ "model": "m", "previous_response_id": "resp_a", "conversation": "conv_b" });
    let refused = ask("/v1/responses", body).await;
    assert_eq!(refused.status(), 400, "{:?}", refused.body());
    let error = &json(&refused)["error"];
    assert_eq!(error["code"], "owners_differ");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("previous_response_id") && message.contains("conversation"), "{message}");
    let fine = json!({ "model": "m", "previous_response_id": "resp_a", "conversation": "conv_a" });
    assert_eq!(ask("/v1/responses", fine).await.status(), 200);
}

fn chat_with_file(file: &str) -> Value {
    json!({ "model": "m", "messages": [{ "role": "user", "content": [{ "type": "file", "file": { "file_id": file } }] }] })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_locates_a_request_and_makes_no_conversation_of_it() {
    let cloud = |name: &'static str| move |_: &str, _: &[u8]| said(&json!({ "id": format!("file-{name}") }));
    let (a, b) = (scripted(cloud("a")).await, scripted(cloud("b")).await);
    let config = two("openai", &a.0.url(), &b.0.url(), "", "");
    // One more file lives at `b-one`, and was not uploaded through the proxy.
    let config = config.replace("name: b-one,", "name: b-one, resources: [file-old],");
    let running = proxy(&config).await;
    for _ in 0..24 {
        let form = "--x\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nuser_data\r\n--x--\r\n";
        let kind = ("content-type", "multipart/form-data; boundary=x");
        let uploaded = send(address(&running), asking(Method::POST, "/v1/files", &[kind], form)).await;
        assert_eq!((uploaded.status().as_u16(), ours(&uploaded, "grade")), (200, "creates"));
    }
    for (file, endpoint) in [("file-a", "a-one"), ("file-b", "b-one"), ("file-old", "b-one")] {
        for _ in 0..6 {
            let asked = send(address(&running), post("/v1/chat/completions", &chat_with_file(file))).await;
            assert_eq!((asked.status().as_u16(), ours(&asked, "endpoint")), (200, endpoint), "{file}");
            assert_eq!((ours(&asked, "grade"), ours(&asked, "class")), ("pure", "stateless"), "{file}");
        }
    }
    let unknown = send(address(&running), post("/v1/chat/completions", &chat_with_file("file-zzz"))).await;
    assert_eq!((unknown.status().as_u16(), ours(&unknown, "reason")), (400, "unknown_handle"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_handle_is_asked_for_where_the_configuration_says_so() {
    let cloud = |has: &'static str| {
        move |head: &str, _: &[u8]| match head.starts_with("GET /v1/responses/") && !head.contains(has) {
            true => b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec(),
            false => said(&json!({ "id": "resp_new", "store": true })),
        }
    };
    let (a, b) = (scripted(cloud("resp_of_a")).await, scripted(cloud("resp_of_b")).await);
    let running =
        proxy(&two("openai", &a.0.url(), &b.0.url(), "", "sessions: { unknown_handle: ask }")).await;
    let follow = async |id: &str| {
        let body = json!({ "model": "m", "previous_response_id": id });
        send(address(&running), post("/v1/responses", &body)).await
    };
    for (id, endpoint) in [("resp_of_a", "a-one"), ("resp_of_b", "b-one")] {
        let asked = count(&a.1, &format!("GET /v1/responses/{}", id.replace('_', "%5F")))
            + count(&b.1, "GET /v1/responses/");
        assert_eq!(asked, if id == "resp_of_a" { 0 } else { count(&b.1, "GET /v1/responses/") });
        for _ in 0..3 {
            let answer = follow(id).await;
            assert_eq!((answer.status().as_u16(), ours(&answer, "endpoint")), (200, endpoint), "{id}");
        }
    }
    let asked = count(&a.1, "GET /v1/responses/") + count(&b.1, "GET /v1/responses/");
    assert!(asked <= 4, "each was asked for once: {asked}");
    assert!(
        a.1.lock().unwrap().iter().all(|(head, _)| !head.contains("Bearer app")),
        "and without the client's credential"
    );
    let unknown = follow("resp_of_nobody").await;
    assert_eq!((unknown.status().as_u16(), ours(&unknown, "reason")), (400, "unknown_handle"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_and_unknown_handles_go_home() {
    let rest = "sessions: { unknown_handle: home, home: b }";
    let (a, b, running) = both("openai", said_everywhere(json!({ "id": "resp_1", "data": [] })), rest).await;
    for n in 0..8 {
        let list = send(address(&running), get("/v1/files")).await;
        assert_eq!((list.status().as_u16(), ours(&list, "endpoint")), (200, "b-one"));
        let body = json!({ "model": "m", "previous_response_id": format!("resp_old_{n}") });
        let old = send(address(&running), post("/v1/responses", &body)).await;
        assert_eq!((old.status().as_u16(), ours(&old, "endpoint")), (200, "b-one"));
    }
    assert_eq!((a.1.lock().unwrap().len(), b.1.lock().unwrap().len()), (0, 16));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_without_a_home_is_always_answered_by_the_same_endpoint() {
    let (a, b, running) = both("openai", said_everywhere(json!({ "data": [] })), "").await;
    for _ in 0..8 {
        send(address(&running), get("/v1/files")).await;
    }
    let (at_a, at_b) = (a.1.lock().unwrap().len(), b.1.lock().unwrap().len());
    assert!(at_a + at_b == 8 && (at_a == 0 || at_b == 0), "{at_a} and {at_b}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_api_deletes_is_not_known_any_more() {
    let (_a, _b, running) = both("openai", said_everywhere(json!({ "id": "conv_1" })), "").await;
    let conversation =
        async |method| send(address(&running), asking(method, "/v1/conversations/conv_1", &[], "")).await;
    send(address(&running), post("/v1/conversations", &json!({}))).await;
    assert_eq!(conversation(Method::GET).await.status(), 200);
    assert_eq!(conversation(Method::DELETE).await.status(), 200);
    let gone = conversation(Method::GET).await;
    assert_eq!((gone.status().as_u16(), ours(&gone, "reason")), (404, "unknown_handle"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_keeps_nothing_gives_birth_to_nothing() {
    let answer = said_everywhere(json!({ "id": "resp_1", "store": true }));
    let (a, b) = (scripted(answer.clone()).await, scripted(answer).await);
    let running = proxy(&two("openai", &a.0.url(), &b.0.url(), ", zero_retention: true", "")).await;
    let created =
        send(address(&running), post("/v1/responses", &json!({ "model": "m", "input": "x" }))).await;
    assert_eq!(
        (created.status().as_u16(), ours(&created, "grade")),
        (200, "pure"),
        "an absent `store` is false there"
    );
    let body = json!({ "model": "m", "previous_response_id": "resp_1" });
    let next = send(address(&running), post("/v1/responses", &body)).await;
    assert_eq!((next.status().as_u16(), ours(&next, "reason")), (400, "unknown_handle"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signature_in_an_aws_event_stream_goes_back_to_its_issuer() {
    let cloud = |name: &'static str| {
        move |head: &str, _: &[u8]| match head.contains("converse-stream") {
            true => {
                let delta =
                    json!({ "delta": { "reasoningContent": { "signature": format!("seal-of-{name}") } } });
                let stream = [event(&json!({ "role": "assistant" })), event(&delta)].concat();
                answer("application/vnd.amazon.eventstream", &[], stream)
            }
            false => said(&json!({})),
        }
    };
    let (a, b) = (scripted(cloud("a-one")).await, scripted(cloud("b-one")).await);
    let running = proxy(&two("bedrock", &a.0.url(), &b.0.url(), "", "")).await;
    let mut owners = BTreeSet::new();
    for _ in 0..16 {
        let path = "/model/us.anthropic.claude-sonnet-5/converse-stream";
        let begun = send(address(&running), post(path, &json!({ "messages": [] }))).await;
        assert_eq!(begun.status(), 200, "{:?}", begun.body());
        let owner = ours(&begun, "endpoint").to_owned();
        let part =
            json!({ "reasoningContent": { "reasoningText": { "signature": format!("seal-of-{owner}") } } });
        let turn = json!({ "messages": [{ "role": "assistant", "content": [part] }] });
        let next = send(address(&running), post("/model/us.anthropic.claude-sonnet-5/converse", &turn)).await;
        assert_eq!((next.status().as_u16(), ours(&next, "endpoint")), (200, &*owner), "{:?}", next.body());
        owners.insert(owner);
    }
    assert_eq!(owners.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_mcp_session_is_born_in_a_header_and_ends_with_its_delete() {
    let cloud = |name: &'static str| {
        move |_: &str, body: &[u8]| {
            let initialize = body.windows(10).any(|part| part == b"initialize");
            let lines = [("mcp-session-id", name)];
            let lines = if initialize { &lines[..] } else { &[] };
            answer("application/json", lines, json!({ "jsonrpc": "2.0", "id": 1, "result": {} }).to_string())
        }
    };
    let (a, b) = (scripted(cloud("session-a-one")).await, scripted(cloud("session-b-one")).await);
    let running = proxy(&two("mcp", &a.0.url(), &b.0.url(), "", "")).await;
    let call = async |method: Method, session: Option<&str>, body: &'static str| {
        let mut lines = vec![JSON, ("accept", "application/json, text/event-stream")];
        lines.extend(session.map(|session| ("mcp-session-id", session)));
        send(address(&running), asking(method, "/mcp", &lines, body)).await
    };
    const CALL: &str = r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"x"}}"#;
    for _ in 0..16 {
        let begun =
            call(Method::POST, None, r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#).await;
        let session = begun.headers()["mcp-session-id"].to_str().unwrap().to_owned();
        let owner = ours(&begun, "endpoint").to_owned();
        let next = call(Method::POST, Some(&session), CALL).await;
        assert_eq!((next.status().as_u16(), ours(&next, "endpoint")), (200, &*owner));
    }
    let ended = call(Method::DELETE, Some("session-a-one"), "").await;
    assert_eq!(ended.status(), 200);
    let gone = call(Method::POST, Some("session-a-one"), CALL).await;
    assert_eq!(gone.status(), 404, "the client begins anew");
    assert_eq!(json(&gone)["error"]["data"]["code"], "unknown_handle");
}

/// The status, and what the client's own SDK would read.
type Refused = (
    &'static str,
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
    u16,
    fn(&Response<Bytes>) -> bool,
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_in_the_words_of_the_clients_own_api() {
    let cases: [Refused; 5] = [
        (
            "anthropic",
            "/v1/messages/batches/msgbatch_1",
            "",
            &[("anthropic-version", "2023-06-01")],
            404,
            |answer| {
                let body = json(answer);
                body["type"] == "error" && body["error"]["type"] == "not_found_error"
            },
        ),
        ("bedrock-agents", "/sessions/11111111-1111-1111-1111-111111111111/", "", &[], 404, |answer| {
            answer.headers()["x-amzn-errortype"] == "ResourceNotFoundException"
                && json(answer)["message"].is_string()
        }),
        ("google", "/v1beta/interactions/int_1", "", &[], 404, |answer| {
            json(answer)["error"]["status"] == "NOT_FOUND" && json(answer)["error"]["code"] == 404
        }),
        ("a2a", "/tasks/task-1", "", &[("a2a-version", "1.0")], 404, |answer| {
            json(answer)["error"]["code"] == -32001 && json(answer)["jsonrpc"] == "2.0"
        }),
        ("openai", "/v1/assistants", "", &[("openai-beta", "assistants=v2")], 410, |answer| {
            json(answer)["error"]["code"] == "retired"
        }),
    ];
    for (dialect, path, body, lines, status, is_read) in cases {
        let (a, b, running) = both(dialect, said_everywhere(json!({})), "").await;
        let refused = send(address(&running), asking(Method::GET, path, lines, body)).await;
        assert_eq!(refused.status(), status, "{dialect}: {:?}", refused.body());
        assert!(is_read(&refused), "{dialect}: {:?} {:?}", refused.headers(), refused.body());
        assert_eq!(a.1.lock().unwrap().len() + b.1.lock().unwrap().len(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operators_own_surfaces_are_carried_without_a_rebuild() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("ours.yaml"),
        "family: ours
handles: { job: { title: Job } }
surfaces:
  - { id: ours.jobs.create, title: Begin a job, vendor: openai, methods: [POST], path: /jobs, served_by: [openai], body: json, grade: creates, births: [{ handle: job, json: /job/id }] }
  - { id: ours.jobs.get, title: Get a job, vendor: openai, methods: [GET], path: \"/jobs/{job}\", served_by: [openai], grade: continues, path_handle: job }
",
    )
    .unwrap();
    let cloud = |name: &'static str| {
        move |_: &str, _: &[u8]| said(&json!({ "job": { "id": format!("job-{name}") } }))
    };
    let (a, b) = (scripted(cloud("a-one")).await, scripted(cloud("b-one")).await);
    let config = two("openai", &a.0.url(), &b.0.url(), "", "surfaces: [ours.yaml]");
    let file = folder.path().join("riparian.yaml").display().to_string();
    let running = riparian_proxy::server::Running::start(&config, &file)
        .await
        .unwrap_or_else(|fault| panic!("{fault}"));
    let at: SocketAddr = address(&running);
    for _ in 0..8 {
        let begun = send(at, post("/jobs", &json!({}))).await;
        let owner = ours(&begun, "endpoint").to_owned();
        let got = send(at, get(&format!("/jobs/job-{owner}"))).await;
        assert_eq!((got.status().as_u16(), ours(&got, "endpoint")), (200, &*owner));
    }
}
