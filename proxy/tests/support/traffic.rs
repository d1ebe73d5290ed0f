//! Requests of every kind, whose secrets must show nowhere.

use super::raw::{Answer, Raw};
use riparian_loadtest::FAULT_HEADER;
use serde_json::{Value, json};
use std::net::SocketAddr;

pub const CHAT: &str = "/v1/chat/completions";

/// One request to the operators' listener.
pub async fn admin(address: SocketAddr, request: &str) -> Answer {
    let mut client = Raw::connect(address).await;
    client.send(format!("{request} HTTP/1.1\r\nhost: admin\r\n\r\n")).await;
    client.answer().await.unwrap()
}

/// A few requests of every kind, with a session and a tenant that must show nowhere.
pub async fn traffic(proxy: SocketAddr) {
    let secret = "authorization: Bearer canary-client-key\r\nx-session-id: canary-session\r\nx-canary: canary-header\r\n";
    let mut client = Raw::connect(proxy).await;
    let said = |model: &str, stream: bool| {
        json!({ "model": model, "messages": [{ "role": "user", "content": "canary-prompt" }], "stream": stream }).to_string()
    };
    for stream in [false, true] {
        assert_eq!(client.ask(CHAT, secret, said("gpt-5.5", stream)).await.status, 200);
    }
    let first = client
        .ask("/v1/responses", secret, json!({ "model": "gpt-5.5", "input": "canary-prompt" }).to_string())
        .await;
    let id = serde_json::from_slice::<Value>(&first.body).unwrap()["id"].clone();
    let next =
        json!({ "model": "gpt-5.5", "input": "canary-prompt", "previous_response_id": id, "stream": true });
    assert_eq!(client.ask("/v1/responses", secret, next.to_string()).await.status, 200);
    let unknown =
        json!({ "model": "gpt-5.5", "input": "canary-prompt", "previous_response_id": "resp_canary-handle" });
    assert_eq!(client.ask("/v1/responses", secret, unknown.to_string()).await.reason(), "unknown_handle");
    assert_eq!(client.ask(CHAT, secret, said("canary-no-such-model", false)).await.reason(), "not_served");
    assert_eq!(client.ask("/v1/canary-path?canary-query", secret, "{}").await.reason(), "unrecognised");
    assert_eq!(
        client.ask(CHAT, secret, "{\"canary-key\":1,\"canary-key\":2,\"model\":\"canary-\",").await.status,
        400
    );
    for fault in ["status-500", "stall-mid-stream", "reset-before-headers"] {
        let lines = format!("{secret}{FAULT_HEADER}: {fault}\r\n");
        let answer = Raw::connect(proxy).await.ask(CHAT, &lines, said("gpt-5.5", true)).await;
        assert!(matches!(answer.status, 200 | 500 | 502), "{fault}: {}", answer.status);
    }
    let mut client = Raw::connect(proxy).await;
    client.send("GET /canary-path HTTP/1.1\r\nhost: canary-host\r\ncanary bad line\r\n\r\n").await;
    assert_eq!(client.answer().await.unwrap().status, 400);
}

/// How many they are.
pub const REQUESTS: u64 = 12;
