//! Promise: what is said on a socket is held to the contract and to the pins, message by message, and the contract ends a socket that it does
//! not allow any more.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use riparian_proxy::server::Running;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};
use support::raw::{Raw, eventually};
use support::socket::{Socket, SocketCloud, TEXT, echo, responses};
use support::{QUIET, address, proxy};

const REALTIME: &str = "/v1/realtime?model=gpt-5.5";
const RESPONSES: &str = "/v1/responses";

async fn responding(name: &'static str) -> SocketCloud {
    let number = Arc::new(AtomicUsize::new(0));
    SocketCloud::start(move |socket| responses(socket, name, Arc::clone(&number))).await
}

/// Two clouds with an endpoint each; `terms` says which is meant for what.
fn config(a: &SocketCloud, b: &SocketCloud, terms: &str, rest: &str) -> String {
    format!(
        "version: 1
listeners: [{{ name: apps, bind: 127.0.0.1:0 }}]
admin: {{ bind: 127.0.0.1:0 }}
clouds:
  alpha: {{ endpoints: [{{ name: one, dialect: openai, url: \"{}\", credential: none, models: {{ gpt-5.5: prod-a, gpt-realtime: live-a, only-a: only-a }} }}] }}
  beta: {{ endpoints: [{{ name: two, dialect: openai, url: \"{}\", credential: none, models: {{ gpt-5.5: prod-b, gpt-realtime: live-b }} }}] }}
contract:
  enforce: never
  readings: {{ never: {{ stateful_from: never }} }}
  clock_skew: 100ms
  terms: {terms}
{}
",
        a.url(),
        b.url(),
        rest.trim_matches('\n')
    )
}

const ALPHA: &str = "[{ id: all, cite: \"Section 1\", only: [alpha] }]";
const BETA: &str = "[{ id: all, cite: \"Section 2\", only: [beta] }]";

/// Reloads compile tables, which takes its time in a test build: nothing else must end meanwhile.
fn patient() -> String {
    QUIET.replace("idle: 2s", "idle: 60s").replace("body_within: 2s", "body_within: 60s")
}

fn create(more: Value) -> String {
    let mut event = json!({ "type": "response.create", "model": "gpt-5.5", "input": "hello" });
    if let Value::Object(more) = more {
        event.as_object_mut().unwrap().extend(more);
    }
    event.to_string()
}

/// A turn: what the endpoint was asked, and the id that it gave.
async fn turn(client: &mut Socket, more: Value) -> (Value, String) {
    client.text(create(more)).await;
    let created = client.json().await;
    assert_eq!(created["type"], "response.created", "{created}");
    assert_eq!(client.json().await["type"], "response.completed");
    (created["response"]["asked"].clone(), created["response"]["id"].as_str().unwrap().to_owned())
}

async fn refused(client: &mut Socket, more: Value) -> (u64, String, Value) {
    client.text(create(more)).await;
    let event = client.json().await;
    assert_eq!(event["type"], "error", "{event}");
    let error = &event["error"];
    (event["status"].as_u64().unwrap(), error["code"].as_str().unwrap().to_owned(), error["param"].clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_message_chooses_the_cloud_and_its_model_is_the_endpoints_own() {
    let (a, b) = (responding("a").await, responding("b").await);
    let terms = "[{ id: x, when: { model: [gpt-5.5] }, only: [beta] }, { id: y, when: { model: [only-a] }, only: [alpha] }]";
    let running = proxy(&config(&a, &b, terms, &patient())).await;
    let mut client = Socket::open(address(&running), RESPONSES).await;
    assert_eq!(a.connections() + b.connections(), 0, "nobody is connected to before it is known whom");
    let (asked, id) = turn(&mut client, json!({})).await;
    assert_eq!((asked["model"].as_str(), id.as_str()), (Some("prod-b"), "resp_b_0"));
    assert_eq!((asked["input"].as_str(), asked["type"].as_str()), (Some("hello"), Some("response.create")));
    // A model that is meant for the other cloud concerns the message alone.
    let (status, code, _) = refused(&mut client, json!({ "model": "only-a" })).await;
    assert_eq!((status, code.as_str()), (403, "owner_not_designated"));
    // One that nobody speaks of, either.
    let (status, code, _) = refused(&mut client, json!({ "model": "unheard-of" })).await;
    assert_eq!((status, code.as_str()), (403, "no_term"));
    let (asked, _) = turn(&mut client, json!({ "previous_response_id": id })).await;
    assert_eq!(asked["model"], "prod-b", "and it goes on");
    // In fragments it is put together and goes out as one frame.
    let text = create(json!({}));
    let bytes = client.fragments(TEXT, text.as_bytes());
    client.send(bytes).await;
    assert_eq!(client.json().await["response"]["asked"]["model"], "prod-b");
    client.json().await;
    client.close(1000, "").await;
    assert_eq!(client.closed().await.0, 1000);
    assert_eq!((a.connections(), b.connections()), (0, 1));

    let mut client = Socket::open(address(&running), RESPONSES).await;
    let (status, code, _) = refused(&mut client, json!({ "model": "unheard-of" })).await;
    assert_eq!((status, code.as_str()), (403, "no_term"));
    assert_eq!(client.closed().await.0, 1008, "a first message that may go nowhere ends the socket");
    assert_eq!((a.connections(), b.connections()), (0, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_is_judged_by_its_head() {
    let (a, b) = (SocketCloud::start(echo).await, SocketCloud::start(echo).await);
    let terms = "[{ id: x, when: { model: [gpt-realtime] }, only: [beta] }]";
    let running = proxy(&config(&a, &b, terms, QUIET)).await;
    let (mut client, head) =
        Socket::try_open(address(&running), "/v1/realtime?model=gpt-realtime&x=y", "").await.ok().unwrap();
    assert_eq!(head.header("x-riparian-cloud"), Some("beta"));
    assert_eq!(head.header("x-riparian-grade"), Some("connection"));
    let text = "{\"type\":\"session.update\",\"session\":{}}";
    client.text(text).await;
    assert_eq!(client.hear().await, text);
    let seen = &b.heads()[0];
    assert!(
        seen.starts_with("GET /v1/realtime?model=live-b&x=y HTTP/1.1\r\n"),
        "its own name for the model: {seen}"
    );
    let Err(answer) = Socket::try_open(address(&running), REALTIME, "").await else { panic!("no term") };
    assert_eq!((answer.status, answer.reason()), (403, "no_term"));
    assert_eq!((a.connections(), b.connections()), (0, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handles_on_a_socket_belong_to_its_tenant_and_its_endpoint() {
    let (a, b) = (responding("a").await, responding("b").await);
    let terms = "[{ id: x, when: { model: [only-a] }, only: [alpha] }, { id: y, when: { model: [gpt-5.5] }, only: [alpha, beta], prefer: [beta] }]";
    let running = proxy(&config(&a, &b, terms, &patient())).await;
    let at = address(&running);
    let mut first = Socket::open(at, RESPONSES).await;
    let (_, in_alpha) = turn(&mut first, json!({ "model": "only-a" })).await;
    let mut second = Socket::open(at, RESPONSES).await;
    let (_, stored) = turn(&mut second, json!({})).await;
    let (_, loose) = turn(&mut second, json!({ "store": false })).await;
    assert!(in_alpha.starts_with("resp_a") && stored.starts_with("resp_b") && loose.starts_with("resp_b"));

    // On the socket both go on, stored or not.
    turn(&mut second, json!({ "previous_response_id": stored })).await;
    turn(&mut second, json!({ "previous_response_id": loose, "store": false })).await;
    for (what, handle, expected) in [
        ("that nobody knows", "resp_never_seen", (400, "unknown_handle")),
        ("of the other cloud", in_alpha.as_str(), (400, "owners_differ")),
    ] {
        let (status, code, param) = refused(&mut second, json!({ "previous_response_id": handle })).await;
        assert_eq!((status, code.as_str()), expected, "{what}");
        assert!(param == "previous_response_id" || code == "owners_differ", "{what}: {param}");
    }
    turn(&mut second, json!({ "previous_response_id": stored })).await;

    // Another socket knows what was stored, and goes where that is; what was not stored is known to nobody.
    let mut third = Socket::open(at, RESPONSES).await;
    turn(&mut third, json!({ "previous_response_id": stored })).await;
    let (_, code, _) = refused(&mut third, json!({ "previous_response_id": loose })).await;
    assert_eq!(code, "unknown_handle");
    let mut fourth = Socket::open(at, RESPONSES).await;
    turn(&mut fourth, json!({ "previous_response_id": in_alpha, "model": "gpt-5.5" })).await;
    assert_eq!(a.connections(), 2, "although the other cloud is preferred");
    let mut fifth = Socket::open(at, RESPONSES).await;
    let (_, code, _) = refused(&mut fifth, json!({ "previous_response_id": loose })).await;
    assert_eq!((code.as_str(), fifth.closed().await.0), ("unknown_handle", 1008));

    // Another tenant's is an unknown one.
    let other = "authorization: Bearer other\r\n";
    let (mut sixth, _) = Socket::try_open(at, RESPONSES, other).await.ok().unwrap();
    let (_, code, _) = refused(&mut sixth, json!({ "previous_response_id": stored })).await;
    assert_eq!((code.as_str(), sixth.closed().await.0), ("unknown_handle", 1008));
    // A browser's key in its subprotocol is the same tenant as in a header.
    let browser = "sec-websocket-protocol: realtime, openai-insecure-api-key.app\r\nauthorization:\r\n";
    let head = support::socket::request(RESPONSES, browser).replace("authorization:\r\n", "");
    let mut raw = Raw::connect(at).await;
    raw.send(head).await;
    let answer = raw.head().await.unwrap();
    assert_eq!((answer.status, answer.header("sec-websocket-protocol")), (101, Some("realtime")));
    let (stream, buffer) = raw.into_parts();
    let mut seventh = Socket::over(stream, buffer, true);
    turn(&mut seventh, json!({ "previous_response_id": stored })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_learned_on_a_socket_is_known_to_requests_and_the_other_way_round() {
    let (a, b) = (responding("a").await, responding("b").await);
    let terms = "[{ id: all, only: [alpha, beta], prefer: [beta] }]";
    let running = proxy(&config(&a, &b, terms, &patient())).await;
    let mut client = Socket::open(address(&running), RESPONSES).await;
    client.text(create(json!({}))).await;
    // The pin is there before the client can know the handle.
    let created = client.json().await;
    let id = created["response"]["id"].as_str().unwrap();
    let known = format!("GET /v1/responses/{id} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer app\r\n\r\n");
    let mut raw = Raw::connect(address(&running)).await;
    raw.send(known.clone()).await;
    let answer = raw.answer().await.unwrap();
    // The endpoint takes nothing but sockets; what counts is where the request was sent.
    assert_eq!((answer.header("x-riparian-endpoint"), answer.reason()), (Some("two"), "upstream_reset"));
    let mut raw = Raw::connect(address(&running)).await;
    raw.send(known.replace("Bearer app", "Bearer other")).await;
    assert_eq!(raw.answer().await.unwrap().reason(), "unknown_handle");
    let mut raw = Raw::connect(address(&running)).await;
    raw.send(known.replace(id, "resp_never_seen")).await;
    assert_eq!(raw.answer().await.unwrap().reason(), "unknown_handle");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_that_takes_the_cloud_away_closes_its_sockets() {
    let (a, b) = (SocketCloud::start(echo).await, SocketCloud::start(echo).await);
    let running = proxy(&config(&a, &b, ALPHA, &patient())).await;
    let at = address(&running);
    let mut sockets = Vec::new();
    for number in 0..10 {
        let mut client = Socket::open(at, if number < 5 { REALTIME } else { RESPONSES }).await;
        client.text(create(json!({}))).await;
        client.hear().await;
        sockets.push(client);
    }
    // One that has not said yet what it wants has no cloud to lose.
    let mut silent = Socket::open(at, RESPONSES).await;
    // One whose answer is under way in fragments.
    let mut within = Socket::open(at, REALTIME).await;
    let half = within.frame(TEXT, b"{\"x\":");
    within.send(half).await;

    running
        .reload(&config(&a, &b, ALPHA, &patient()).replace("Section 1", "Section 1a"), "test.yaml")
        .await
        .unwrap();
    for client in &mut sockets {
        client.text("{\"still\":1}").await;
        assert_eq!(client.hear().await, "{\"still\":1}", "a reload that changes nothing for it");
    }
    let before = (a.connections(), b.connections());
    running.reload(&config(&a, &b, BETA, &patient()), "test.yaml").await.unwrap();
    for client in sockets.iter_mut().chain([&mut within]) {
        assert_eq!(client.closed().await, (1008, "the contract's terms changed".to_owned()));
    }
    assert_eq!(before, (a.connections(), b.connections()), "and nothing moves anywhere else");
    silent.text(create(json!({}))).await;
    assert_eq!(serde_json::from_str::<Value>(&silent.hear().await).unwrap()["model"], "prod-b");
    eventually("all but one are gone", || running.house.gate.streams() == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_boundary_closes_sockets_when_it_comes() {
    let (a, b) = (SocketCloud::start(echo).await, SocketCloud::start(echo).await);
    let boundary = riparian_config::Timestamp::now() + Duration::from_secs(12);
    let terms = format!(
        "[{{ id: before, until: {boundary}, when: {{ model: [gpt-5.5] }}, only: [alpha] }}, {{ id: after, from: {boundary}, when: {{ model: [gpt-5.5] }}, only: [beta] }}, {{ id: always, when: {{ model: [gpt-realtime] }}, only: [alpha] }}]"
    );
    let running = proxy(&config(&a, &b, &terms, &patient())).await;
    let mut sockets = Vec::new();
    for path in [REALTIME, RESPONSES] {
        let mut client = Socket::open(address(&running), path).await;
        client.text(create(json!({}))).await;
        client.hear().await;
        sockets.push(client);
    }
    let mut stays = Socket::open(address(&running), "/v1/realtime?model=gpt-realtime").await;
    assert!(riparian_config::Timestamp::now() < boundary, "the test is slower than it should be");
    for client in &mut sockets {
        assert_eq!(client.closed().await, (1008, "the contract's terms changed".to_owned()));
    }
    let now = riparian_config::Timestamp::now();
    let off = now.duration_since(boundary);
    assert!(off.as_millis().abs() < 1000, "within a second of it, the skew before it included: {off}");
    stays.text("{\"x\":1}").await;
    assert_eq!(stays.hear().await, "{\"x\":1}", "one that is allowed on both sides stays");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_judged_by_the_configuration_that_is_in_force_when_it_is_whole() {
    let (a, b) = (responding("a").await, responding("b").await);
    let both = "[{ id: all, only: [alpha, beta], prefer: [alpha] }]";
    let less = "[{ id: all, only: [alpha, beta], prefer: [alpha] }, { id: less, when: { model: [only-a] }, never: [alpha] }]";
    let running = proxy(&config(&a, &b, both, &patient())).await;
    let mut client = Socket::open(address(&running), RESPONSES).await;
    turn(&mut client, json!({})).await;
    let text = create(json!({ "model": "only-a" }));
    let (first, rest) = text.split_at(20);
    let bytes = client.frame(TEXT, first.as_bytes());
    client.send(bytes).await;
    eventually("the first half is held", || running.house.gate.held() > 0).await;
    running.reload(&config(&a, &b, less, &patient()), "test.yaml").await.unwrap();
    let bytes = client.frame(0x80, rest.as_bytes());
    client.send(bytes).await;
    let event = client.json().await;
    assert_eq!(
        (event["status"].as_u64(), event["error"]["code"].as_str()),
        (Some(403), Some("owner_not_designated"))
    );
    turn(&mut client, json!({})).await;
}

async fn drained(running: Running) -> bool {
    running.drain().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_ends_takes_no_new_sockets_and_gives_living_ones_their_time() {
    let (a, b) = (SocketCloud::start(echo).await, SocketCloud::start(echo).await);
    let limits = QUIET.replace("limits: {", "limits: { drain_within: 4s,").replace("idle: 2s", "idle: 60s");
    let running = proxy(&config(&a, &b, ALPHA, &limits)).await;
    let at = address(&running);
    let mut client = Socket::open(at, REALTIME).await;
    let mut by_message = Socket::open(at, RESPONSES).await;
    by_message.text(create(json!({}))).await;
    by_message.hear().await;
    let mut silent = Socket::open(at, RESPONSES).await;
    // It has been spoken to before, so that its connection is there.
    let mut late = Raw::connect(at).await;
    late.send("GET /v1/responses HTTP/1.1\r\nhost: a\r\n\r\n").await;
    late.answer().await.unwrap();
    let began = Instant::now();
    let drain = tokio::spawn(drained(running));
    assert_eq!(silent.closed().await.0, 1001, "nothing was begun on it");
    for client in [&mut client, &mut by_message] {
        client.text("{\"x\":1}").await;
        assert_eq!(client.hear().await, "{\"x\":1}", "it goes on");
    }
    for client in [&mut client, &mut by_message] {
        assert_eq!(client.closed().await, (1001, "the proxy ends".to_owned()));
        client.close(1001, "").await;
    }
    let taken = began.elapsed();
    assert!(taken > Duration::from_secs(2) && taken < Duration::from_secs(4), "{taken:?}");
    assert!(drain.await.unwrap(), "everything has ended by itself");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_counts_as_a_stream_and_leaves_one_line() {
    let (a, b) = (responding("a").await, responding("b").await);
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let rest = QUIET
        .replace("access_log: off", &format!("access_log: {{ file: {} }}", log.display()))
        .replace("limits: {", "limits: { streams: 2,");
    let running = proxy(&config(&a, &b, ALPHA, &rest)).await;
    let at = address(&running);
    let mut client = Socket::open(at, RESPONSES).await;
    let (_, canary) = turn(&mut client, json!({ "input": "canary" })).await;
    refused(&mut client, json!({ "previous_response_id": "resp_canary" })).await;
    let mut second = Socket::open(at, RESPONSES).await;
    let Err(answer) = Socket::try_open(at, REALTIME, "").await else { panic!("over the limit") };
    assert_eq!((answer.status, answer.reason()), (503, "overloaded"));
    client.close(4000, "bye").await;
    assert_eq!(client.closed().await.0, 4000);
    refused(&mut second, json!({ "model": "unheard-of" })).await;
    assert_eq!(second.closed().await.0, 1008);
    eventually("both have ended", || running.house.gate.streams() == 0).await;
    running.house.log.flush();
    let text = std::fs::read_to_string(&log).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3, "{text}");
    let whole = lines.iter().find(|line| line["close"] == 4000).unwrap();
    for (key, value) in [
        ("surface", json!("openai.responses.socket")),
        ("grade", json!("connection")),
        ("endpoint", json!("one")),
        ("status", json!(101)),
        ("outcome", json!("ok")),
        ("messages_received", json!(1)),
        ("messages_refused", json!(1)),
        ("messages_sent", json!(2)),
        ("model", json!("gpt-5.5")),
    ] {
        assert_eq!(whole[key], value, "{key}");
    }
    assert!(
        whole["request_bytes"].as_u64().unwrap() > 100 && whole["response_bytes"].as_u64().unwrap() > 100
    );
    let refused = lines.iter().find(|line| line["close"] == 1008).unwrap();
    assert_eq!((&refused["outcome"], &refused["reason"]), (&json!("refused"), &json!("not_served")));
    for secret in ["canary", "Bearer", canary.as_str(), "hello"] {
        assert!(!text.contains(secret), "{secret} in the log");
    }
    let metrics = running.house.metrics.render();
    assert!(
        metrics.contains("riparian_refusals_total{reason=\"unknown_handle\"} 1"),
        "refused messages are counted"
    );
}
