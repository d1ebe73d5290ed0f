//! Promise: where one request ends and the next begins is never in doubt; where it is, the connection ends.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use serde_json::json;
use support::raw::{End, Raw};
use support::{Clouds, QUIET, SPLIT, address, chat, proxy};
use tokio::io::AsyncWriteExt;

const CHAT: &str = "/v1/chat/completions";
const HEAD: &str = "POST /v1/chat/completions HTTP/1.1\r\nhost: proxy\r\nauthorization: Bearer app\r\ncontent-type: application/json\r\n";

fn requests(clouds: &Clouds) -> u64 {
    clouds.all().iter().map(|cloud| cloud.counts().requests).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_kept_after_a_success_and_after_a_refusal_of_a_body_that_was_read() {
    let clouds = Clouds::start().await;
    let running = proxy(&clouds.config(SPLIT, QUIET)).await;
    let mut client = Raw::connect(address(&running)).await;
    let good = chat().to_string();
    let unknown =
        json!({ "model": "gpt-5.5", "input": "x", "previous_response_id": "resp_nobody" }).to_string();
    let other = json!({ "model": "no-such-model", "messages": [] }).to_string();
    for turn in 0..3 {
        assert_eq!(client.ask(CHAT, "", &good).await.status, 200, "turn {turn}");
        assert_eq!(client.ask("/v1/responses", "", &unknown).await.reason(), "unknown_handle", "turn {turn}");
        assert_eq!(client.ask(CHAT, "", &other).await.reason(), "not_served", "turn {turn}");
        client.send("GET /v1/models HTTP/1.1\r\nhost: proxy\r\n\r\n").await;
        assert_eq!(client.answer().await.unwrap().status, 200, "no body at all, turn {turn}");
    }
    assert_eq!(requests(&clouds), 6, "refused ones reached nobody");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unread_body_is_never_taken_for_the_next_request() {
    let clouds = Clouds::start().await;
    let running = proxy(&clouds.config(SPLIT, QUIET)).await;
    let good = chat().to_string();
    let hidden = format!("{HEAD}content-length: {}\r\n\r\n{good}", good.len());
    for (what, line) in [("encoded", "content-encoding: gzip\r\n"), ("malformed", "")] {
        let mut client = Raw::connect(address(&running)).await;
        client.post(CHAT, line, &hidden).await;
        let answer = client.answer().await.expect("a refusal");
        assert!((400..500).contains(&answer.status), "{what}: {}", answer.status);
        client.post(CHAT, "", &good).await;
        // Either the connection was kept, and this is the answer to the second request; or it was closed.
        if let Some(answer) = client.answer().await {
            assert_eq!(answer.status, 200, "{what}");
            assert_eq!(requests(&clouds), 1, "{what}: one request, one arrival");
            clouds.all().iter().for_each(|cloud| cloud.clear());
        }
        assert_eq!(requests(&clouds), 0, "{what}: what hides in a body is no request");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_are_not_there_are_not_waited_for() {
    let clouds = Clouds::start().await;
    let running = proxy(&clouds.config(SPLIT, QUIET)).await;
    let empty = ["content-length: 0\r\n\r\n", "transfer-encoding: chunked\r\n\r\n0\r\n\r\n", "\r\n"];
    for framing in empty {
        let mut client = Raw::connect(address(&running)).await;
        client.send(format!("{HEAD}{framing}")).await;
        let answer = client.answer().await.unwrap();
        assert_eq!(
            (answer.status, answer.reason()),
            (400, "body_malformed"),
            "{framing:?}: {}",
            answer.text()
        );
    }
    assert_eq!(requests(&clouds), 0);
    let mut client = Raw::connect(address(&running)).await;
    for framing in ["", "content-length: 0\r\n"] {
        client.send(format!("GET /v1/models HTTP/1.1\r\nhost: proxy\r\n{framing}\r\n")).await;
        assert_eq!(client.answer().await.unwrap().status, 200, "{framing:?}");
    }
    let seen: Vec<_> = [&clouds.azure_one, &clouds.azure_two].iter().flat_map(|cloud| cloud.seen()).collect();
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|seen| seen.body_bytes == 0 && seen.header("transfer-encoding").is_none()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_length_that_lies_reaches_nobody() {
    let clouds = Clouds::start().await;
    let running = proxy(&clouds.config(SPLIT, QUIET)).await;
    let good = chat().to_string();

    // Longer than what comes: the client ends its half.
    let mut client = Raw::connect(address(&running)).await;
    client.send(format!("{HEAD}content-length: {}\r\n\r\n{good}", good.len() + 5)).await;
    client.stream.shutdown().await.unwrap();
    if let Some(answer) = client.answer().await {
        assert!((400..500).contains(&answer.status), "{}", answer.status);
    }
    assert_eq!(requests(&clouds), 0, "longer");

    // Shorter: what is left over is read as a head, and is none.
    let mut client = Raw::connect(address(&running)).await;
    client.send(format!("{HEAD}content-length: {}\r\n\r\n{good}", good.len() - 1)).await;
    let answer = client.answer().await.unwrap();
    assert_eq!(answer.status, 400, "shorter");
    assert_eq!(requests(&clouds), 0, "shorter");

    for (what, chunks) in [
        ("no number", "zz\r\n{}\r\n0\r\n\r\n".to_owned()),
        ("a sign", format!("+{:x}\r\n{good}\r\n0\r\n\r\n", good.len())),
        ("a prefix", format!("0x{:x}\r\n{good}\r\n0\r\n\r\n", good.len())),
        ("a number that wraps", format!("1{:016x}\r\n{good}\r\n0\r\n\r\n", good.len())),
        ("nothing behind the chunk", format!("{:x}\r\n{good}0\r\n\r\n", good.len())),
        ("another length than it says", format!("{:x}\r\n{good}\r\n0\r\n\r\n", good.len() - 2)),
    ] {
        let mut client = Raw::connect(address(&running)).await;
        client.send(format!("{HEAD}transfer-encoding: chunked\r\n\r\n{chunks}")).await;
        if let Some(answer) = client.answer().await {
            assert!((400..500).contains(&answer.status), "{what}: {}", answer.status);
            assert_eq!(answer.end, End::Whole, "{what}");
        }
        assert!(client.is_closed().await, "{what}: nobody knows where the next request would begin");
        assert_eq!(requests(&clouds), 0, "{what}");
    }
    assert_eq!(
        Raw::connect(address(&running)).await.ask(CHAT, "", &good).await.status,
        200,
        "a fresh one works"
    );
}
