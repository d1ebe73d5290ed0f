//! Promise: a head that two parsers could read differently goes no further, and nothing is left of it on a connection.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use riparian_proxy::server::Running;
use std::time::{Duration, Instant};
use support::origin::{Origin, endpoints};
use support::raw::{End, Raw};
use support::{QUIET, address, chat, proxy};

const CHAT: &str = "/v1/chat/completions";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";

async fn good_origin() -> (Origin, Running) {
    let origin = Origin::saying(OK, false).await;
    let running = proxy(&endpoints(&[("one", &origin.url(), "")], QUIET)).await;
    (origin, running)
}

/// A head with the lines that a request needs, but for `Host`.
fn with(line: &str, lines: &str) -> String {
    format!("{line}\r\n{lines}authorization: Bearer app\r\ncontent-type: application/json\r\n\r\n")
}

fn post(lines: &str) -> String {
    with("POST /v1/chat/completions HTTP/1.1", lines)
}

fn long(bytes: usize) -> String {
    "a".repeat(bytes)
}

/// What must not pass, with the status that says so.
fn hostile() -> Vec<(&'static str, u16, String)> {
    let get = |target: &str| with(&format!("GET {target} HTTP/1.1"), "host: a\r\n");
    vec![
        ("no Host", 400, post("content-length: 2\r\n")),
        ("two Hosts", 400, post("host: a\r\nhost: a\r\ncontent-length: 2\r\n")),
        ("a Host with a path", 400, post("host: a/b\r\ncontent-length: 2\r\n")),
        ("a Host with a user", 400, post("host: a@b\r\ncontent-length: 2\r\n")),
        ("two lengths", 400, post("host: a\r\ncontent-length: 2\r\ncontent-length: 2\r\n")),
        ("two lengths that differ", 400, post("host: a\r\ncontent-length: 2\r\ncontent-length: 20\r\n")),
        ("a list of lengths", 400, post("host: a\r\ncontent-length: 2, 2\r\n")),
        ("a signed length", 400, post("host: a\r\ncontent-length: +2\r\n")),
        ("a negative length", 400, post("host: a\r\ncontent-length: -2\r\n")),
        ("a length in hex", 400, post("host: a\r\ncontent-length: 0x2\r\n")),
        ("an empty length", 400, post("host: a\r\ncontent-length: \r\n")),
        ("a length that wraps", 400, post("host: a\r\ncontent-length: 18446744073709551618\r\n")),
        ("length and coding", 400, post("host: a\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n")),
        ("coding and length", 400, post("host: a\r\ntransfer-encoding: chunked\r\ncontent-length: 2\r\n")),
        ("two codings", 400, post("host: a\r\ntransfer-encoding: gzip, chunked\r\n")),
        ("chunked twice", 400, post("host: a\r\ntransfer-encoding: chunked, chunked\r\n")),
        (
            "chunked in two lines",
            400,
            post("host: a\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n"),
        ),
        (
            "chunked and identity",
            400,
            post("host: a\r\ntransfer-encoding: chunked\r\ntransfer-encoding: identity\r\n"),
        ),
        ("identity", 400, post("host: a\r\ntransfer-encoding: identity\r\n")),
        ("a coding that looks like chunked", 400, post("host: a\r\ntransfer-encoding: xchunked\r\n")),
        ("a quoted coding", 400, post("host: a\r\ntransfer-encoding: \"chunked\"\r\n")),
        ("chunked behind a vertical tab", 400, post("host: a\r\ntransfer-encoding: \x0bchunked\r\n")),
        ("a coding with a parameter", 400, post("host: a\r\ntransfer-encoding: chunked;x=y\r\n")),
        ("a length that looks like one", 400, post("host: a\r\ncontent_length: 2\r\n")),
        ("a coding that looks like one", 400, post("host: a\r\ntransfer_encoding: chunked\r\n")),
        ("a space before the colon", 400, post("host: a\r\ncontent-length : 2\r\n")),
        ("a tab before the colon", 400, post("host: a\r\ntransfer-encoding\t: chunked\r\n")),
        ("no name", 400, post("host: a\r\n: x\r\n")),
        ("no colon", 400, post("host: a\r\nx\r\n")),
        ("a folded line", 400, post("host: a\r\nx: y\r\n z: w\r\n")),
        ("a folded coding", 400, post("host: a\r\ntransfer-encoding:\r\n chunked\r\n")),
        ("a first line that begins with a space", 400, post(" host: a\r\n")),
        ("a bare line feed in a line", 400, post("host: a\r\nx: y\ncontent-length: 2\r\n")),
        ("a bare carriage return in a line", 400, post("host: a\r\nx: y\rcontent-length: 2\r\n")),
        ("line feeds alone", 400, "GET /v1/models HTTP/1.1\nhost: a\n\n".to_owned()),
        ("a NUL in a value", 400, post("host: a\r\nx: y\0z\r\n")),
        ("a control byte in a value", 400, post("host: a\r\nx: \x01\r\n")),
        ("a control byte in a name", 400, post("host: a\r\nx\x01: y\r\n")),
        ("a byte of UTF-8 in a name", 400, post("host: a\r\n\u{e9}: y\r\n")),
        ("a control byte in the target", 400, get("/v1/models\x01")),
        ("a NUL in the target", 400, get("/v1/models\0")),
        ("a delete in the target", 400, get("/v1/models\x7f")),
        ("UTF-8 in the target", 400, get("/v1/mod\u{e9}ls")),
        ("a fragment", 400, get("/v1/models#x")),
        ("a space in the target", 400, get("/v1/models x")),
        ("absolute form", 400, get("http://elsewhere/v1/models")),
        ("absolute form of this host", 400, get("http://a/v1/models")),
        ("asterisk form", 400, with("OPTIONS * HTTP/1.1", "host: a\r\n")),
        ("authority form", 405, with("CONNECT elsewhere:443 HTTP/1.1", "host: a\r\n")),
        ("TRACE", 405, with("TRACE /v1/models HTTP/1.1", "host: a\r\n")),
        ("HTTP/1.0", 400, with("GET /v1/models HTTP/1.0", "host: a\r\n")),
        ("HTTP/1.2", 400, with("GET /v1/models HTTP/1.2", "host: a\r\n")),
        ("HTTP/2.0", 400, with("GET /v1/models HTTP/2.0", "host: a\r\n")),
        ("http/1.1", 400, with("GET /v1/models http/1.1", "host: a\r\n")),
        ("HTTP/0.9", 400, "GET /v1/models\r\n\r\n".to_owned()),
        ("a preface of HTTP/2", 400, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()),
        ("two spaces", 400, with("GET  /v1/models HTTP/1.1", "host: a\r\n")),
        ("a tab between words", 400, with("GET\t/v1/models HTTP/1.1", "host: a\r\n")),
        ("no method", 400, with(" /v1/models HTTP/1.1", "host: a\r\n")),
        ("an empty line first", 400, format!("\r\n{}", get("/v1/models"))),
        ("two credentials", 400, post("host: a\r\nauthorization: Bearer other\r\n")),
        (
            "a socket asked for",
            426,
            with("GET /v1/models HTTP/1.1", "host: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n"),
        ),
        (
            "a socket asked for in a list",
            426,
            with("GET /v1/models HTTP/1.1", "host: a\r\nconnection: keep-alive, Upgrade\r\nupgrade: h2c\r\n"),
        ),
        (
            "900 KB of headers",
            431,
            with("GET /v1/models HTTP/1.1", &format!("host: a\r\nx: {}\r\n", long(900 << 10))),
        ),
        (
            "too many lines",
            431,
            with("GET /v1/models HTTP/1.1", &format!("host: a\r\n{}", "x: y\r\n".repeat(101))),
        ),
        ("a long target", 414, get(&format!("/v1/models?{}", long(9 << 10)))),
        ("a target without end", 431, format!("GET /{}", long(64 << 10))),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_two_parsers_could_read_differently_reaches_nobody() {
    let (origin, running) = good_origin().await;
    for (what, status, head) in hostile() {
        // Behind each stands a request that must not be found there.
        let behind = format!("{}{}", with("GET /v1/models HTTP/1.1", "host: hidden\r\n"), "0\r\n\r\n");
        for bytes in [head.clone(), format!("{head}{behind}")] {
            let mut client = Raw::connect(address(&running)).await;
            client.send(bytes).await;
            let answer = client.answer().await.unwrap_or_else(|| panic!("{what}: closed without a word"));
            assert_eq!((answer.status, answer.end), (status, End::Whole), "{what}: {}", answer.text());
            assert!(answer.header("x-riparian-decision").is_some(), "{what}: it is our refusal");
            assert!(answer.text().starts_with("{\"error\":"), "{what}: in the vendor's envelope");
            assert!(client.is_closed().await, "{what}: the connection is closed");
            assert_eq!(origin.connections(), 0, "{what}: before anything was connected");
        }
    }
    let answer = Raw::connect(address(&running)).await.ask(CHAT, "", chat().to_string()).await;
    assert_eq!((answer.status, origin.requests()), (200, 1), "a fresh request works");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_one_reading_passes_however_it_is_written() {
    let (origin, running) = good_origin().await;
    let body = chat().to_string();
    let length = body.len();
    let chunked = format!("{length:X};ext=\"a;b\"\r\n{body}\r\n0\r\ntrailer: x\r\n\r\n");
    let cases = [
        ("capitals", format!("POST {CHAT} HTTP/1.1\r\nHOST: A:80\r\nCONTENT-LENGTH: {length}\r\n\r\n{body}")),
        (
            "no space behind colons",
            format!("POST {CHAT} HTTP/1.1\r\nhost:a\r\ncontent-length:{length}\r\n\r\n{body}"),
        ),
        (
            "spaces around values",
            format!("POST {CHAT} HTTP/1.1\r\nhost: \t a \t\r\ncontent-length:   {length}  \r\n\r\n{body}"),
        ),
        (
            "an address as Host",
            format!("POST {CHAT} HTTP/1.1\r\nhost: [::1]:80\r\ncontent-length: {length}\r\n\r\n{body}"),
        ),
        (
            "zeroes before the length",
            format!("POST {CHAT} HTTP/1.1\r\nhost: a\r\ncontent-length: 000{length}\r\n\r\n{body}"),
        ),
        ("chunks", format!("POST {CHAT} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: Chunked\r\n\r\n{chunked}")),
        (
            "100 lines",
            format!(
                "POST {CHAT} HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n{}\r\n{body}",
                "x: y\r\n".repeat(98)
            ),
        ),
        (
            "a value that is no ASCII",
            format!(
                "POST {CHAT} HTTP/1.1\r\nhost: a\r\nx: caf\u{e9}\r\ncontent-length: {length}\r\n\r\n{body}"
            ),
        ),
        (
            "an upgrade that is not nominated",
            format!(
                "POST {CHAT} HTTP/1.1\r\nhost: a\r\nupgrade: h2c\r\ncontent-length: {length}\r\n\r\n{body}"
            ),
        ),
    ];
    for (at, (what, bytes)) in cases.iter().enumerate() {
        let mut client = Raw::connect(address(&running)).await;
        for byte_by_byte in [false, true] {
            if byte_by_byte {
                for byte in bytes.as_bytes() {
                    client.send([*byte]).await;
                }
            } else {
                client.send(bytes).await;
            }
            let answer = client.answer().await.unwrap();
            assert_eq!(answer.status, 200, "{what}, byte by byte: {byte_by_byte}: {}", answer.text());
        }
        assert_eq!(origin.requests(), 2 * at + 2, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_drips_has_a_deadline() {
    let (origin, running) = good_origin().await;
    let began = Instant::now();
    let mut silent = Raw::connect(address(&running)).await;
    silent.send("P").await;
    let mut dripping = Raw::connect(address(&running)).await;
    dripping.send("GET /v1/models HTTP/1.1\r\nhost: a\r\n").await;
    let drip = async {
        for number in 0..100 {
            dripping.send(format!("x-{number}: y\r\n")).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        () = drip => panic!("all of it was taken"),
        answer = silent.answer() => {
            let answer = answer.unwrap();
            assert_eq!((answer.status, answer.reason()), (408, "head_timeout"));
        }
    }
    let answer = dripping.answer().await.unwrap();
    assert_eq!(
        (answer.status, answer.reason()),
        (408, "head_timeout"),
        "bytes that drip do not move the deadline"
    );
    assert!(began.elapsed() >= Duration::from_millis(900), "head_within is 1 s: {:?}", began.elapsed());
    assert!(silent.is_closed().await && dripping.is_closed().await);
    // The same on a connection that has served before: the deadline is each head's own.
    let mut kept = Raw::connect(address(&running)).await;
    kept.ask(CHAT, "", chat().to_string()).await;
    kept.send("GET /").await;
    assert_eq!(kept.answer().await.unwrap().status, 408);
    assert_eq!(origin.requests(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_sent_ahead_are_answered_in_order_or_not_at_all() {
    let origin = Origin::start(|mut caller| async move {
        while let Some((_, body)) = caller.request().await {
            let text = String::from_utf8(body).unwrap();
            let number = &text[text.find("number").unwrap()..][..8];
            caller.say(format!("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n{number}")).await;
        }
    })
    .await;
    let running = proxy(&endpoints(&[("one", &origin.url(), "")], QUIET)).await;
    let request = |number: usize| {
        let body = format!("{{\"model\":\"gpt-5.5\",\"messages\":[],\"user\":\"number{number:02}\"}}");
        format!("POST {CHAT} HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    };
    for cut in [0, 1, 40, 90] {
        let mut client = Raw::connect(address(&running)).await;
        let ahead = [request(1), request(2), request(3)].concat();
        let (first, rest) = ahead.split_at(ahead.len() - cut);
        client.send(first).await;
        let mut answered = 0;
        for number in 1..=3 {
            if number == 3 {
                client.send(rest).await;
            }
            let Some(answer) = client.answer().await else { break };
            assert_eq!(
                (answer.status, answer.text()),
                (200, format!("number{number:02}")),
                "cut {cut} bytes before the end"
            );
            answered = number;
        }
        assert!(answered >= 1, "the first at least");
    }

    // What follows is judged like any other head.
    let mut client = Raw::connect(address(&running)).await;
    let before = origin.requests();
    client.send(format!("{}{}", request(1), post("content-length: 2\r\n"))).await;
    assert_eq!(client.answer().await.unwrap().text(), "number01");
    if let Some(answer) = client.answer().await {
        assert_eq!((answer.status, answer.reason()), (400, "head_malformed"));
    }
    assert!(client.is_closed().await);
    assert_eq!(origin.requests(), before + 1);
}
