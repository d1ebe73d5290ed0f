//! Promise: everything has a limit; at the limit new work is refused, what is there goes on, and nothing is left behind.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use riparian_loadtest::{CloudSpec, FAULT_HEADER, FakeCloud, Kind};
use riparian_proxy::server::Running;
use serde_json::json;
use std::time::{Duration, Instant};
use support::origin::endpoints;
use support::raw::{End, PATIENCE, Raw, eventually};
use support::{Clouds, QUIET, SPLIT, address, chat, proxy};

const CHAT: &str = "/v1/chat/completions";

fn streamed() -> String {
    let mut body = chat();
    body["stream"] = json!(true);
    body.to_string()
}

fn gauge(running: &Running, name: &str) -> f64 {
    let text = running.house.metrics.render();
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap().parse().unwrap()
}

/// Every gauge of what is going on is back at nothing.
async fn back_to_nothing(running: &Running) {
    for name in ["riparian_streams_open", "riparian_held_bytes", "riparian_connections_open"] {
        eventually(&format!("{name} is 0"), || gauge(running, name).abs() < 0.5).await;
    }
    eventually("the gate is empty", || running.house.gate.streams() == 0 && running.house.gate.held() == 0)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_in_flight_have_a_limit_and_it_recovers() {
    let spec =
        CloudSpec::new(Kind::OpenAi, "one").credential("app").streaming(500, Duration::from_millis(20));
    let cloud = FakeCloud::start(spec).await.unwrap();
    let few = "telemetry: { access_log: off }\nlimits: { streams: 5 }";
    let running = proxy(
        &endpoints(&[("one", &cloud.url(), "")], few).replace("credential: none", "credential: passthrough"),
    )
    .await;
    let mut open = Vec::new();
    for _ in 0..5 {
        let mut client = Raw::connect(address(&running)).await;
        client.post(CHAT, "", streamed()).await;
        assert_eq!(client.head().await.unwrap().status, 200);
        open.push(client);
    }
    assert!((gauge(&running, "riparian_streams_open") - 5.0).abs() < 0.5);
    for (what, body) in [("small", chat().to_string()), ("large", "x".repeat(4 << 20))] {
        for _ in 0..3 {
            let mut client = Raw::connect(address(&running)).await;
            let answer = client.ask(CHAT, "", &body).await;
            assert_eq!((answer.status, answer.reason()), (503, "overloaded"), "{what}");
            assert!(answer.header("retry-after").is_some(), "{what}");
        }
    }
    assert_eq!(cloud.counts().requests, 5, "what was refused reached nobody");
    for client in &mut open {
        assert!(client.chunk().await.unwrap().is_some(), "those that are there go on");
    }
    drop(open.pop());
    eventually("one has ended", || running.house.gate.streams() == 4).await;
    let mut client = Raw::connect(address(&running)).await;
    assert_eq!(client.ask(CHAT, "", chat().to_string()).await.status, 200, "there is room again");
    drop((open, client));
    back_to_nothing(&running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_behind_however_a_request_ends() {
    let clouds = Clouds::start().await;
    let running = proxy(&clouds.config(SPLIT, QUIET)).await;
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n";
    let mut waiting = Vec::new();
    for round in 0..10 {
        for fault in [
            "",
            "cut-mid-stream",
            "reset-before-headers",
            "reset-mid-body:10",
            "status-500",
            "slow-first-byte:50",
        ] {
            let lines = if fault.is_empty() { String::new() } else { format!("{FAULT_HEADER}: {fault}\r\n") };
            Raw::connect(address(&running)).await.ask(CHAT, &lines, streamed()).await;
        }
        for bytes in [
            "".to_owned(),
            "POST".to_owned(),
            "BAD\r\n\r\n".to_owned(),
            format!("{head}content-length: 100\r\n\r\n"),
            format!("{head}content-length: 100\r\n\r\n{{\"model\":"),
            format!("{head}transfer-encoding: chunked\r\n\r\n5\r\n{{\"mod"),
            format!("{head}transfer-encoding: chunked\r\n\r\nzz\r\n"),
            format!("{head}content-length: {}\r\n\r\n{}", streamed().len(), streamed()),
            format!(
                "{head}{FAULT_HEADER}: stall\r\ncontent-length: {}\r\n\r\n{}",
                streamed().len(),
                streamed()
            ),
        ] {
            let mut client = Raw::connect(address(&running)).await;
            client.send(bytes).await;
            // Every second one goes at once, the others when the proxy gives them up, or at the end.
            if round % 2 == 1 {
                waiting.push(client);
            }
        }
    }
    let body =
        json!({ "model": "gpt-5.5", "messages": [{ "role": "user", "content": "x".repeat(1 << 20) }] })
            .to_string();
    let answer = Raw::connect(address(&running)).await.ask(CHAT, "", body).await;
    assert_eq!((answer.status, answer.end), (200, End::Whole), "it still works");
    drop(waiting);
    back_to_nothing(&running).await;
    for cloud in clouds.all() {
        assert!(
            cloud.wait_for(PATIENCE, |counts| counts.open == 0).await,
            "{}: {:?}",
            cloud.name(),
            cloud.counts()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_connection_is_closed() {
    let clouds = Clouds::start().await;
    let quick = "telemetry: { access_log: off }\nlimits: { keepalive: 1s }";
    let running = proxy(&clouds.config(SPLIT, quick)).await;
    let mut fresh = Raw::connect(address(&running)).await;
    let mut used = Raw::connect(address(&running)).await;
    assert_eq!(used.ask(CHAT, "", chat().to_string()).await.status, 200);
    let began = Instant::now();
    assert!(fresh.is_closed().await && used.is_closed().await);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    back_to_nothing(&running).await;
}
