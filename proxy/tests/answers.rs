//! Promise: an answer that two parsers could read differently goes no further, and its connection is not used again.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use std::time::{Duration, Instant};
use support::origin::{Origin, endpoints};
use support::raw::{Answer, Raw, eventually};
use support::{QUIET, address, chat, proxy};
use tokio::io::AsyncWriteExt;

const CHAT: &str = "/v1/chat/completions";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";

fn long(bytes: usize) -> String {
    "a".repeat(bytes)
}

/// Asks twice over connections of its own; what the endpoint said to the first must not be heard by the second.
async fn ask_twice(what: &str, said: Vec<u8>) -> (Answer, Origin) {
    let hostile = std::sync::atomic::AtomicBool::new(true);
    let origin = Origin::start(move |mut caller| {
        let said = hostile.swap(false, std::sync::atomic::Ordering::SeqCst).then(|| said.clone());
        async move {
            while caller.request().await.is_some() {
                match &said {
                    Some(said) => caller.say(said).await,
                    None => caller.say(OK).await,
                };
            }
        }
    })
    .await;
    let running = proxy(&endpoints(&[("one", &origin.url(), "")], QUIET)).await;
    let first = Raw::connect(address(&running)).await.ask(CHAT, "", chat().to_string()).await;
    let second = Raw::connect(address(&running)).await.ask(CHAT, "", chat().to_string()).await;
    assert_eq!(
        (second.status, second.text().as_str()),
        (200, "{}"),
        "{what}: the next request gets its own answer"
    );
    assert_eq!(origin.connections(), 2, "{what}: the connection is not used again");
    (first, origin)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hostile_answer_is_refused_and_its_connection_is_not_used_again() {
    let bomb = format!("HTTP/1.1 200 OK\r\nx: {}\r\ncontent-length: 2\r\n\r\n{{}}", long(2 << 20));
    let refused: Vec<(&str, Vec<u8>)> = vec![
        (
            "two codings",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n".to_vec(),
        ),
        (
            "length and coding",
            b"HTTP/1.1 200 OK\r\ncontent-length: 40\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\nEVIL".to_vec(),
        ),
        ("two lengths", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 9\r\n\r\n{}EVIL".to_vec()),
        ("a list of lengths", b"HTTP/1.1 200 OK\r\ncontent-length: 2, 9\r\n\r\n{}".to_vec()),
        ("a length that is none", b"HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\n{}".to_vec()),
        (
            "an unasked 101",
            b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: evil\r\n\r\nEVIL".to_vec(),
        ),
        ("garbage", b"SSH-2.0-OpenSSH_9.6\r\n\r\n".to_vec()),
        ("a NUL in a header", b"HTTP/1.1 200 OK\r\nx: \0\r\ncontent-length: 2\r\n\r\n{}".to_vec()),
        ("megabytes of headers", bomb.into_bytes()),
    ];
    for (what, said) in refused {
        let (answer, _origin) = ask_twice(what, said).await;
        assert_eq!(answer.status, 502, "{what}: {} {}", answer.status, answer.text());
        assert_eq!(answer.reason(), "upstream_reset", "{what}");
        assert!(!answer.text().contains("EVIL"), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folded_line_of_an_answer_is_unfolded() {
    // RFC 9112, 5.2: a gateway refuses such an answer or puts spaces in place of the fold.
    let origin = Origin::saying(
        "HTTP/1.1 200 OK\r\nx-folded: y\r\n \tset-cookie: z\r\ncontent-length: 2\r\n\r\n{}",
        false,
    )
    .await;
    let running = proxy(&endpoints(&[("one", &origin.url(), "")], QUIET)).await;
    let answer = Raw::connect(address(&running)).await.ask(CHAT, "", chat().to_string()).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "{}"));
    assert_eq!(answer.header("set-cookie"), None, "{:?}", answer.headers);
    let folded = answer.header("x-folded").unwrap();
    assert!(folded.starts_with('y') && folded.ends_with("set-cookie: z"), "{folded:?}");
    assert!(!folded.contains(['\r', '\n']), "{folded:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_answer_that_nobody_asked_for_is_nobodys() {
    let both =
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nEVIL";
    let (answer, _origin) = ask_twice("at once", both.into()).await;
    assert!(answer.status == 502 || answer.text() == "{}", "{} {}", answer.status, answer.text());

    // The second one comes when the connection already waits for its next use.
    let origin = Origin::start(|mut caller| async move {
        while caller.request().await.is_some() {
            caller.say(OK).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            caller.say("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nEVIL").await;
        }
    })
    .await;
    let running = proxy(&endpoints(&[("one", &origin.url(), "")], QUIET)).await;
    for turn in 0..6 {
        let answer = Raw::connect(address(&running)).await.ask(CHAT, "", chat().to_string()).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "{}"), "turn {turn}");
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    assert_eq!(origin.connections(), 6, "none of them is used again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interim_answers_without_end_are_no_answer() {
    for interim in [
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n",
        "HTTP/1.1 102 Processing\r\n\r\n",
    ] {
        let origin = Origin::start(move |mut caller| async move {
            caller.request().await;
            while caller.say(interim).await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        let running = proxy(&endpoints(&[("one", &origin.url(), "")], QUIET)).await;
        let began = Instant::now();
        let mut client = Raw::connect(address(&running)).await;
        client.post(CHAT, "", chat().to_string()).await;
        let answer = loop {
            let answer = client.answer().await.expect("a final answer");
            if answer.status >= 200 {
                break answer;
            }
            assert!(began.elapsed() < Duration::from_secs(15), "{interim:?} goes on and on");
        };
        assert!(matches!(answer.status, 502 | 504), "{interim:?}: {}", answer.status);
        eventually("nothing is carried any more", || running.house.gate.streams() == 0).await;
    }
    // A few are fine.
    let said = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n";
    let origin = Origin::saying(format!("{said}{OK}"), false).await;
    let running = proxy(&endpoints(&[("one", &origin.url(), "")], QUIET)).await;
    let mut client = Raw::connect(address(&running)).await;
    for _ in 0..2 {
        client.post(CHAT, "", chat().to_string()).await;
        let answer = loop {
            let answer = client.answer().await.expect("a final answer");
            if answer.status >= 200 {
                break answer;
            }
        };
        assert_eq!((answer.status, answer.text().as_str()), (200, "{}"));
    }
    client.stream.shutdown().await.unwrap();
}
