//! Promise: a stateless request takes no lock, so that no request waits for another.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use riparian_proxy::locks;
use serde_json::json;
use support::raw::Raw;
use support::{Clouds, SPLIT, address, chat, proxy};

const CHAT: &str = "/v1/chat/completions";

/// With the access log on, into a file: it is part of what a request costs.
fn rest(log: &std::path::Path) -> String {
    format!("telemetry: {{ access_log: {{ file: {} }} }}", log.display())
}

// The only test of this file: the count is the process'.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stateless_request_takes_no_lock_and_a_stateful_one_does() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let clouds = Clouds::start().await;
    let running = proxy(&clouds.config(SPLIT, &rest(log.path()))).await;
    let streamed = json!({ "model": "gpt-5.5", "stream": true, "messages": [] }).to_string();
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(Raw::connect(address(&running)).await);
    }
    // What each thread makes once: handles of metrics, connections.
    for client in &mut clients {
        assert_eq!(client.ask(CHAT, "", chat().to_string()).await.status, 200);
        assert_eq!(client.ask(CHAT, "", &streamed).await.status, 200);
    }
    settled(&running, 8).await;

    let before = locks::taken();
    for _ in 0..25 {
        for client in &mut clients {
            assert_eq!(client.ask(CHAT, "", chat().to_string()).await.status, 200);
            assert_eq!(client.ask(CHAT, "", &streamed).await.status, 200);
        }
    }
    settled(&running, 208).await;
    assert_eq!(locks::taken(), before, "200 stateless requests took a lock");

    let stored = json!({ "model": "gpt-5.5", "input": "remember this" }).to_string();
    assert_eq!(clients[0].ask("/v1/responses", "", &stored).await.status, 200);
    assert!(locks::taken() > before, "a handle was learned: the count counts");
}

async fn settled(running: &riparian_proxy::server::Running, requests: u64) {
    support::raw::eventually("all are settled", || {
        let text = running.house.metrics.render();
        let count: f64 = text
            .lines()
            .filter(|line| line.starts_with("riparian_requests_total{"))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum();
        (count - requests as f64).abs() < 0.5
    })
    .await;
}
