//! Promise: a body is read whole before a cloud is chosen, and arrives there byte for byte; what cannot be read goes nowhere.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_types, reason = "a test may")]

mod support;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use riparian_loadtest::cloud::{hex, sha256};
use riparian_loadtest::{FakeCloud, Fault};
use serde_json::json;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::origin::{Origin, endpoints};
use support::raw::{Raw, eventually};
use support::{Clouds, QUIET, SPLIT, address, chat, proxy};
use tokio::io::AsyncReadExt;

const CHAT: &str = "/v1/chat/completions";
const HEAD: &str = "POST /v1/chat/completions HTTP/1.1\r\nhost: proxy\r\nauthorization: Bearer app\r\ncontent-type: application/json\r\n";

/// Time for large bodies in a build without optimisation.
const PATIENT: &str =
    "telemetry: { access_log: off }\nlimits: { body_within: 60s }\nhealth: { down_after: 1000 }";

fn requests(clouds: &Clouds) -> u64 {
    clouds.all().iter().map(|cloud| cloud.counts().requests).sum()
}

fn in_chunks(body: &[u8], mut size: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + 1024);
    let mut rest = body;
    while !rest.is_empty() {
        let (piece, left) = rest.split_at(size.min(rest.len()));
        out.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        out.extend_from_slice(piece);
        out.extend_from_slice(b"\r\n");
        rest = left;
        size = size * 2 + 1;
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}

/// 20 MB with everything in it that a scanner could trip over, and the model's name last. Twice: as the client names the model
/// and as the endpoint does.
fn large() -> (Vec<u8>, Vec<u8>) {
    let word = "lorem \\\"model\\\": \\\"x\\\" \\u00e9 水 {[}] ";
    let text = word.repeat((20 << 20) / word.len());
    let with = |model: &str| {
        format!(
            "{{ \"messages\" :[{{\"role\":\"user\",\n\"content\":\"{text}\"}}],\t\"model\":\"{model}\"  }}\n"
        )
        .into_bytes()
    };
    (with("gpt-5.5"), with("gpt-prod"))
}

/// A session whose requests meet `first` before any other endpoint.
async fn session_at(address: std::net::SocketAddr, first: &str) -> String {
    for number in 0..64 {
        let line = format!("x-session-id: s{number}\r\n");
        let answer = Raw::connect(address).await.ask(CHAT, &line, chat().to_string()).await;
        if answer.header("x-riparian-endpoint") == Some(first) {
            return line;
        }
    }
    panic!("64 sessions, and none at {first}");
}

fn arrived(cloud: &FakeCloud, expected: &(u64, String)) {
    let seen = cloud.seen();
    let last = seen.last().expect("a request");
    assert_eq!(&(last.body_bytes, last.body_sha256_hex()), expected, "every byte but the model's name");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_megabytes_fail_over_from_a_refused_endpoint_to_the_next_of_the_same_cloud() {
    let clouds = Clouds::start().await;
    let config = clouds.config(SPLIT, PATIENT).replace(
        "127.0.0.1:0 }]\nadmin",
        "127.0.0.1:0 }, { name: h2c, bind: 127.0.0.1:0, protocol: h2c }]\nadmin",
    );
    let running = proxy(&config).await;
    let (h1, h2c) = (running.listeners[0].1, running.listeners[1].1);
    let session = session_at(h1, "azure-one").await;
    clouds.azure_one.fault(Fault::Refuse).await;
    clouds.all().iter().for_each(|cloud| cloud.clear());
    let (body, expected) = large();
    let expected = (expected.len() as u64, hex(&sha256(&expected)));
    let retries = || {
        running
            .house
            .metrics
            .render()
            .lines()
            .find_map(|line| line.strip_prefix("riparian_retries_total ")?.parse::<u64>().ok())
    };

    let answer = Raw::connect(h1).await.ask(CHAT, &session, &body).await;
    assert_eq!(
        (answer.status, answer.header("x-riparian-endpoint")),
        (200, Some("azure-two")),
        "by its length: {}",
        answer.text()
    );
    arrived(&clouds.azure_two, &expected);
    assert_eq!(retries(), Some(1), "it was tried at the refused endpoint first");

    let mut client = Raw::connect(h1).await;
    client.send(format!("{HEAD}{session}transfer-encoding: chunked\r\n\r\n")).await;
    client.send(in_chunks(&body, 7)).await;
    let answer = client.answer().await.unwrap();
    assert_eq!(
        (answer.status, answer.header("x-riparian-endpoint")),
        (200, Some("azure-two")),
        "in chunks: {}",
        answer.text()
    );
    arrived(&clouds.azure_two, &expected);
    assert_eq!(retries(), Some(2));

    let (name, value) = session.trim().split_once(": ").unwrap();
    let request = Request::post(format!("http://proxy{CHAT}"))
        .header("authorization", "Bearer app")
        .header("content-type", "application/json")
        .header(name, value)
        .body(Full::new(Bytes::from(body)))
        .unwrap();
    let mut sender = support::h2::connect(h2c).await;
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 200, "over HTTP/2");
    assert_eq!(answer.headers()["x-riparian-endpoint"], "azure-two");
    answer.into_body().collect().await.unwrap();
    arrived(&clouds.azure_two, &expected);
    assert_eq!(retries(), Some(3));

    let [one, two, aws, openai] = clouds.all().map(|cloud| cloud.counts().requests);
    assert_eq!((one, two, aws, openai), (0, 3, 0, 0), "each once, and none outside the designation");
    eventually("no byte is held any more", || running.house.gate.held() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_waits_to_be_told_to_go_on_is_told() {
    let seen = Arc::new(Mutex::new(String::new()));
    let heads = Arc::clone(&seen);
    let origin = Origin::start(move |mut caller| {
        let heads = Arc::clone(&heads);
        async move {
            while let Some((head, _)) = caller.request().await {
                heads.lock().unwrap().push_str(&head.to_ascii_lowercase());
                caller.say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
            }
        }
    })
    .await;
    let running = proxy(&endpoints(&[("one", &origin.url(), "")], QUIET)).await;
    let body = chat().to_string();
    let mut client = Raw::connect(address(&running)).await;
    for turn in 0..3 {
        for framing in [format!("content-length: {}", body.len()), "transfer-encoding: chunked".to_owned()] {
            client.send(format!("{HEAD}expect: 100-continue\r\n{framing}\r\n\r\n")).await;
            let interim = client.head().await.expect("told to go on, on a connection that is kept");
            assert_eq!(interim.status, 100, "turn {turn}, {framing}");
            if framing.starts_with('t') {
                client.send(in_chunks(body.as_bytes(), 10)).await;
            } else {
                client.send(&body).await;
            }
            let answer = client.answer().await.unwrap();
            assert_eq!((answer.status, answer.text().as_str()), (200, "{}"), "turn {turn}, {framing}");
        }
    }
    assert!(!seen.lock().unwrap().contains("expect"), "the endpoint is not asked again");
    assert_eq!(origin.requests(), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_over_the_limit_is_refused_and_the_refusal_arrives() {
    let clouds = Clouds::start().await;
    let small = "telemetry: { access_log: off }\nlimits: { body: 64KiB, body_within: 5s }";
    let running = proxy(&clouds.config(SPLIT, small)).await;
    let body = vec![b' '; 4 << 20];
    for round in 0..4 {
        let mut client = Raw::connect(address(&running)).await;
        let answer = client.ask(CHAT, "", &body).await;
        assert_eq!((answer.status, answer.reason()), (413, "body_too_large"), "by its length, round {round}");
        assert!(client.is_closed().await, "what was not read is not read as a request");

        let mut client = Raw::connect(address(&running)).await;
        client.send(format!("{HEAD}transfer-encoding: chunked\r\n\r\n")).await;
        client.send(in_chunks(&body, 1000)).await;
        let answer = client.answer().await.expect("an answer, although the body was not read to its end");
        assert_eq!((answer.status, answer.reason()), (413, "body_too_large"), "in chunks, round {round}");
        assert!(client.is_closed().await);
    }

    let mut client = Raw::connect(address(&running)).await;
    client.send(format!("{HEAD}expect: 100-continue\r\ncontent-length: 65537\r\n\r\n")).await;
    assert_eq!(client.answer().await.unwrap().status, 413, "told before it sends a byte");

    // White space before the first token counts as body, but is nothing that a limit of 64 KiB would not take.
    let body = format!("{:1$}", chat(), 10);
    let padded = format!("{}{body}", " ".repeat((64 << 10) - body.len()));
    assert_eq!(
        Raw::connect(address(&running)).await.ask(CHAT, "", padded).await.status,
        200,
        "to the limit it passes"
    );
    assert_eq!(requests(&clouds), 1, "only the one that passes reached a cloud");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_held_bodies_together_have_a_limit_and_it_recovers() {
    let clouds = Clouds::start().await;
    let small =
        "telemetry: { access_log: off }\nlimits: { body: 512KiB, held_bodies: 640KiB, body_within: 20s }";
    let running = proxy(&clouds.config(SPLIT, small)).await;
    let body =
        json!({ "model": "gpt-5.5", "messages": [{ "role": "user", "content": "x".repeat(500 << 10) }] })
            .to_string();
    let mut first = Raw::connect(address(&running)).await;
    first.send(format!("{HEAD}content-length: {}\r\n\r\n{}", body.len(), &body[..400 << 10])).await;
    eventually("400 KiB are held", || running.house.gate.held() >= 400 << 10).await;
    let answer = Raw::connect(address(&running)).await.ask(CHAT, "", &body).await;
    assert_eq!((answer.status, answer.reason()), (503, "overloaded"));
    assert!(answer.header("retry-after").is_some());
    assert_eq!(
        Raw::connect(address(&running)).await.ask(CHAT, "", chat().to_string()).await.status,
        200,
        "small ones fit"
    );
    first.send(&body[400 << 10..]).await;
    assert_eq!(first.answer().await.unwrap().status, 200, "the one that was there first is served");
    let answer = Raw::connect(address(&running)).await.ask(CHAT, "", &body).await;
    assert_eq!(answer.status, 200, "and then there is room again");
    assert_eq!(requests(&clouds), 3);
    eventually("no byte is held any more", || running.house.gate.held() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_in_one_way_goes_nowhere() {
    let clouds = Clouds::start().await;
    let running = proxy(&clouds.config(SPLIT, QUIET)).await;
    let deep = format!("{{\"model\":\"gpt-5.5\",\"x\":{}", "[".repeat(100_000));
    let malformed: [(&str, &[u8]); 12] = [
        ("no JSON", b"model=gpt"),
        ("half", b"{\"model\":\"gpt-5.5\""),
        ("trailing bytes", b"{\"model\":\"gpt-5.5\"} {}"),
        ("a root that is no object", b"[{\"model\":\"gpt-5.5\"}]"),
        ("a byte order mark", b"\xef\xbb\xbf{\"model\":\"gpt-5.5\"}"),
        ("no UTF-8", b"{\"model\":\"gpt-5.5\",\"x\":\"\xff\"}"),
        ("a comment", b"{\"model\":\"gpt-5.5\"/**/}"),
        ("a comma at the end", b"{\"model\":\"gpt-5.5\",}"),
        ("single quotes", b"{'model':'gpt-5.5'}"),
        ("a model that is no text", b"{\"model\":5,\"messages\":[]}"),
        ("too deep", deep.as_bytes()),
        ("nothing", b""),
    ];
    for (what, body) in malformed {
        let answer = Raw::connect(address(&running)).await.ask(CHAT, "", body).await;
        assert_eq!(answer.status, 400, "{what}: {}", answer.text());
    }
    let ambiguous: [(&str, &[u8]); 3] = [
        ("a key twice", b"{\"model\":\"gpt-5.5\",\"messages\":[],\"model\":\"other\"}"),
        (
            "the same key in two spellings",
            b"{\"model\":\"gpt-5.5\",\"messages\":[],\"mod\\u0065l\":\"other\"}",
        ),
        ("twice the same", b"{\"model\":\"gpt-5.5\",\"messages\":[],\"model\":\"gpt-5.5\"}"),
    ];
    for (what, body) in ambiguous {
        let answer = Raw::connect(address(&running)).await.ask(CHAT, "", body).await;
        assert_eq!((answer.status, answer.reason()), (400, "body_ambiguous"), "{what}: {}", answer.text());
    }
    let body = chat().to_string();
    for (what, line) in [
        ("encoded", "content-encoding: gzip\r\n"),
        ("encoded twice", "content-encoding: identity, gzip\r\n"),
        ("encoded in the second line", "content-encoding: identity\r\ncontent-encoding: gzip\r\n"),
    ] {
        let answer = Raw::connect(address(&running)).await.ask(CHAT, line, &body).await;
        assert_eq!((answer.status, answer.reason()), (415, "body_encoded"), "{what}: {}", answer.text());
    }
    for kind in [
        "application/json; charset=utf-16",
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
        "application/json2",
    ] {
        let mut client = Raw::connect(address(&running)).await;
        client
            .send(format!("POST {CHAT} HTTP/1.1\r\nhost: proxy\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}", body.len()))
            .await;
        let answer = client.answer().await.unwrap();
        assert_eq!((answer.status, answer.reason()), (415, "body_encoded"), "{kind}: {}", answer.text());
    }
    let mut client = Raw::connect(address(&running)).await;
    client
        .send(format!("POST {CHAT} HTTP/1.1\r\nhost: proxy\r\ncontent-type: application/json\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n{body}", body.len()))
        .await;
    let answer = client.answer().await.unwrap();
    assert!(
        matches!(answer.status, 400 | 415),
        "two types, of which an origin may take either: {}",
        answer.status
    );
    assert_eq!(requests(&clouds), 0, "none of all these reached a cloud");
    assert_eq!(
        Raw::connect(address(&running)).await.ask(CHAT, "content-encoding: identity\r\n", &body).await.status,
        200
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_does_not_come_in_time_is_not_waited_for() {
    let clouds = Clouds::start().await;
    let running = proxy(&clouds.config(SPLIT, QUIET)).await;
    let body = chat().to_string();
    let began = Instant::now();
    let mut still = Raw::connect(address(&running)).await;
    still.send(format!("{HEAD}content-length: {}\r\n\r\n{}", body.len(), &body[..10])).await;
    let mut dripping = Raw::connect(address(&running)).await;
    dripping.send(format!("{HEAD}transfer-encoding: chunked\r\n\r\n")).await;
    let drip = async {
        for byte in body.as_bytes() {
            dripping.send(format!("1\r\n{}\r\n", *byte as char)).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        () = drip => panic!("all of it was taken"),
        answer = still.answer() => {
            let answer = answer.expect("told so");
            assert_eq!((answer.status, answer.reason()), (408, "body_timeout"));
        }
    }
    let answer = dripping.answer().await.expect("told so");
    assert_eq!(
        (answer.status, answer.reason()),
        (408, "body_timeout"),
        "bytes that drip do not move the deadline"
    );
    assert!(began.elapsed() >= Duration::from_millis(1900), "body_within is 2 s: {:?}", began.elapsed());
    assert!(still.is_closed().await && dripping.is_closed().await);
    assert_eq!(requests(&clouds), 0);
    eventually("no byte is held any more", || running.house.gate.held() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_refuses_before_it_has_read_the_body_is_heard() {
    // More than all sockets on the way hold, so that the proxy is still writing when the answer comes.
    let body = json!({ "model": "gpt-5.5", "messages": [], "user": "x".repeat(24 << 20) }).to_string();
    let said = "HTTP/1.1 413 Content Too Large\r\ncontent-length: 2\r\n\r\n{}";
    let origin = Origin::start(move |mut caller| async move {
        let mut some = [0; 1024];
        if caller.stream.read(&mut some).await.is_ok_and(|read| read > 0) {
            caller.say(said).await;
            // It reads no further, and does not close either.
            std::future::pending::<()>().await;
        }
    })
    .await;
    let running = proxy(&endpoints(&[("one", &origin.url(), "")], PATIENT)).await;
    for turn in 1..=2 {
        let answer = Raw::connect(address(&running)).await.ask(CHAT, "", &body).await;
        assert_eq!((answer.status, answer.text().as_str()), (413, "{}"), "turn {turn}");
        assert_eq!(
            origin.connections(),
            turn,
            "half a request was sent: nothing may follow on its connection"
        );
    }
}
