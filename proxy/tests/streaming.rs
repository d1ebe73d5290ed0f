//! Promise: a stream passes as it comes, piece by piece and byte for byte; and one that is cut never looks complete.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use riparian_loadtest::{CloudSpec, FAULT_HEADER, FakeCloud, Fault, Kind, NONCE_HEADER};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use support::origin::{EVENTS, Origin, chunk, endpoints};
use support::raw::{Answer, End, PATIENCE, Raw, eventually};
use support::{Clouds, QUIET, SPLIT, address, chat, proxy};
use tokio::net::TcpSocket;
use tokio::sync::Notify;

/// Timeouts that no test here runs into by accident.
const PATIENT: &str = "
telemetry: { access_log: off }
limits: { first_byte_within: 60s, idle: 60s }
";

fn streamed() -> Vec<u8> {
    let mut body = chat();
    body["stream"] = json!(true);
    body.to_string().into_bytes()
}

async fn ask(client: &mut Raw, extra: &str) -> Answer {
    client.post("/v1/chat/completions", extra, streamed()).await;
    client.head().await.expect("a head")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_chunk_arrives_while_the_cloud_still_holds_the_next() {
    let told = Arc::new(Notify::new());
    let wait = Arc::clone(&told);
    let origin = Origin::start(move |mut caller| {
        let wait = Arc::clone(&wait);
        async move {
            caller.request().await;
            caller.say(EVENTS).await;
            for number in 0..5 {
                caller.say(chunk(format!("data: {number}\n\n"))).await;
                wait.notified().await;
            }
            caller.say(chunk("")).await;
        }
    })
    .await;
    let running = proxy(&endpoints(&[("one", &origin.url(), "")], PATIENT)).await;
    let mut client = Raw::connect(address(&running)).await;
    let head = ask(&mut client, "").await;
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    for number in 0..5 {
        let piece = client.chunk().await.expect("not cut").expect("not over");
        assert_eq!(
            piece,
            format!("data: {number}\n\n").into_bytes(),
            "the gate opens only after this chunk was read"
        );
        told.notify_one();
    }
    assert_eq!(client.chunk().await, Ok(None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_head_of_a_stream_does_not_wait_for_its_first_event() {
    let told = Arc::new(Notify::new());
    let wait = Arc::clone(&told);
    let origin = Origin::start(move |mut caller| {
        let wait = Arc::clone(&wait);
        async move {
            caller.request().await;
            caller.say(EVENTS).await;
            wait.notified().await;
            caller.say(chunk("data: x\n\n")).await;
            caller.say(chunk("")).await;
        }
    })
    .await;
    let running = proxy(&endpoints(&[("one", &origin.url(), "")], PATIENT)).await;
    let mut client = Raw::connect(address(&running)).await;
    let head = ask(&mut client, "").await;
    told.notify_one();
    assert_eq!(client.body(head).await.text(), "data: x\n\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_byte_is_the_clouds_whatever_it_is() {
    // Line ends of every kind, comments, a BOM, bytes that are no UTF-8, pieces that end anywhere, and no `[DONE]`.
    let pieces: [&[u8]; 6] = [
        b"\xef\xbb\xbf: hello\r\n\r\nda",
        b"ta: {\"a\":\"\xe6\xb0",
        b"\xb4\"}\r\rdata:x\n",
        b"\n\xff\xfe\x00\n\n",
        b"event: done\ndata: [DONE",
        b"x]\n",
    ];
    let said: Vec<u8> = [EVENTS.as_bytes().to_vec()]
        .into_iter()
        .chain(pieces.map(chunk))
        .chain([chunk("")])
        .flatten()
        .collect();
    let origin = Origin::saying(said, false).await;
    let running = proxy(&endpoints(&[("one", &origin.url(), "")], PATIENT)).await;
    for _ in 0..3 {
        let mut client = Raw::connect(address(&running)).await;
        let head = ask(&mut client, "").await;
        let answer = client.body(head).await;
        assert_eq!((answer.body, answer.end), (pieces.concat(), End::Whole));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_stops_reading_stops_the_cloud() {
    const TOTAL: usize = 128 << 20;
    const PIECE: usize = 64 << 10;
    let written = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&written);
    let origin = Origin::start(move |mut caller| {
        let count = Arc::clone(&count);
        async move {
            caller.request().await;
            caller.say(EVENTS).await;
            let piece = chunk(vec![b'x'; PIECE]);
            for _ in 0..TOTAL / PIECE {
                if !caller.say(&piece).await {
                    return;
                }
                count.fetch_add(PIECE, Ordering::SeqCst);
            }
            caller.say(chunk("")).await;
        }
    })
    .await;
    let running = proxy(&endpoints(&[("one", &origin.url(), "")], PATIENT)).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 << 10).unwrap();
    let mut client = Raw::over(socket.connect(address(&running)).await.unwrap());
    let head = ask(&mut client, "").await;

    // Until nothing moves any more for a second.
    let (mut before, mut since) = (0, Instant::now());
    while since.elapsed() < Duration::from_secs(1) {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = written.load(Ordering::SeqCst);
        if now != before {
            (before, since) = (now, Instant::now());
        }
    }
    assert!(before < TOTAL / 4, "{before} bytes were taken from the cloud for a client that reads none");
    let answer = client.body(head).await;
    assert_eq!((answer.body.len(), answer.end), (TOTAL, End::Whole), "and when it reads again, it gets all");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_never_reads_again_is_cut_off() {
    let origin = Origin::start(|mut caller| async move {
        caller.request().await;
        caller.say(EVENTS).await;
        let piece = chunk(vec![b'x'; 64 << 10]);
        while caller.say(&piece).await {}
    })
    .await;
    let quick = "telemetry: { access_log: off }\nlimits: { idle: 1s }";
    let running = proxy(&endpoints(&[("one", &origin.url(), "")], quick)).await;
    let mut client = Raw::connect(address(&running)).await;
    let _head = ask(&mut client, "").await;
    eventually("it is not held for a client that does not read", || running.house.gate.streams() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_away_takes_its_request_along() {
    let slow = CloudSpec::new(Kind::OpenAi, "one").streaming(3000, Duration::from_millis(20));
    let cloud = FakeCloud::start(slow).await.unwrap();
    let running = proxy(
        &endpoints(&[("one", &cloud.url(), "")], PATIENT)
            .replace("credential: none", "credential: passthrough"),
    )
    .await;
    let mut client = Raw::connect(address(&running)).await;
    let head = ask(&mut client, "authorization: Bearer key-of-one\r\n").await;
    assert_eq!(head.status, 200);
    client.chunk().await.expect("not cut").expect("a first chunk");
    drop(client);
    // Tokens are billed: a stream that went on to its end would not be counted.
    assert!(cloud.wait_for(PATIENCE, |counts| counts.client_gone == 1).await, "in mid-stream");

    cloud.fault(Fault::Stall).await;
    let mut client = Raw::connect(address(&running)).await;
    client.post("/v1/chat/completions", "", streamed()).await;
    assert!(cloud.wait_for(PATIENCE, |counts| counts.requests == 2).await);
    drop(client);
    assert!(cloud.wait_for(PATIENCE, |counts| counts.client_gone == 2).await, "before the first byte");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_stream_never_looks_complete() {
    let clouds = Clouds::start().await;
    let running = proxy(&clouds.config(SPLIT, QUIET)).await;
    for (fault, path) in [
        ("cut-mid-stream", "chat/completions"),
        ("stall-mid-stream", "chat/completions"),
        ("cut-mid-stream", "responses"),
        ("stall-mid-stream", "responses"),
    ] {
        let mut client = Raw::connect(address(&running)).await;
        let body = match path {
            "responses" => {
                json!({ "model": "gpt-5.5", "input": "hello", "stream": true }).to_string().into_bytes()
            }
            _ => streamed(),
        };
        let began = Instant::now();
        client.post(&format!("/v1/{path}"), &format!("{FAULT_HEADER}: {fault}\r\n"), body).await;
        let answer = client.answer().await.unwrap();
        // A cut that comes in one piece with all that stands before it may be seen first: then nothing was passed on, and it is a 502.
        if answer.status == 502 && fault.starts_with("cut") {
            continue;
        }
        assert_eq!((answer.status, answer.end), (200, End::Cut), "{fault} at {path}: {}", answer.text());
        assert!(
            !answer.text().contains("[DONE]") && !answer.text().contains("response.completed"),
            "{fault}: an end was made up"
        );
        if fault.starts_with("stall") {
            assert!(
                began.elapsed() >= Duration::from_millis(1900),
                "limits.idle is 2 s; cut after {:?}",
                began.elapsed()
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_or_a_short_answer_is_passed_on_as_cut() {
    let by_length = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    let by_chunks = [EVENTS.as_bytes(), &chunk("data: half\n\n")].concat();
    for (what, said, rest) in [
        ("length", by_length.as_bytes(), "\"half\":"),
        ("chunks", &by_chunks, ""),
        ("chunk", &by_chunks, "40\r\ndata: half"),
        ("no chunk", &by_chunks, "zz\r\n"),
    ] {
        for reset in [false, true] {
            let (said, told) = (said.to_vec(), Arc::new(Notify::new()));
            let wait = Arc::clone(&told);
            let origin = Origin::start(move |mut caller| {
                let (said, wait) = (said.clone(), Arc::clone(&wait));
                async move {
                    caller.request().await;
                    caller.say(said).await;
                    wait.notified().await;
                    caller.say(rest).await;
                    if reset {
                        caller.stream.set_zero_linger().unwrap();
                    }
                }
            })
            .await;
            let running = proxy(&endpoints(&[("one", &origin.url(), "")], QUIET)).await;
            let mut client = Raw::connect(address(&running)).await;
            let head = ask(&mut client, "").await;
            assert_eq!(head.status, 200, "{what}, reset: {reset}");
            told.notify_one();
            let answer = client.body(head).await;
            assert_eq!(answer.end, End::Cut, "{what}, reset: {reset}: {answer:?}");
            assert_eq!(
                origin.requests(),
                1,
                "{what}, reset: {reset}: nothing is sent again after the first byte"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_ends_with_its_connection_is_complete_and_the_connection_not_kept() {
    // RFC 9112, 6.3, rule 8: such an answer cannot be told from a cut one; it ends downstream as it ended upstream.
    let origin =
        Origin::saying("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: x\n\n", true).await;
    let running = proxy(&endpoints(&[("one", &origin.url(), "")], QUIET)).await;
    for _ in 0..2 {
        let mut client = Raw::connect(address(&running)).await;
        let head = ask(&mut client, "").await;
        assert_eq!(client.body(head).await.text(), "data: x\n\n");
    }
    assert_eq!(origin.connections(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_late_is_a_timeout() {
    let clouds = Clouds::start().await;
    let running = proxy(&clouds.config(SPLIT, QUIET)).await;
    let mut client = Raw::connect(address(&running)).await;
    let began = Instant::now();
    client.post("/v1/chat/completions", &format!("{FAULT_HEADER}: stall\r\n"), streamed()).await;
    let answer = client.answer().await.unwrap();
    assert_eq!((answer.status, answer.reason()), (504, "upstream_timeout"), "{}", answer.text());
    assert!(
        began.elapsed() >= Duration::from_millis(1900),
        "first_byte_within is 2 s; {:?}",
        began.elapsed()
    );
    let seen: u64 = clouds.all().iter().map(|cloud| cloud.counts().requests).sum();
    assert_eq!(seen, 1, "a POST that may have been processed is not sent twice");

    let mut client = Raw::connect(address(&running)).await;
    client
        .post("/v1/chat/completions", &format!("{FAULT_HEADER}: slow-first-byte:1000\r\n"), streamed())
        .await;
    assert_eq!(client.answer().await.unwrap().status, 200, "slow is not late");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_takes_longer_than_any_limit_but_never_pauses_is_whole() {
    let spec = CloudSpec::new(Kind::OpenAi, "one").streaming(16, Duration::from_millis(250));
    let cloud = FakeCloud::start(spec).await.unwrap();
    let config =
        endpoints(&[("one", &cloud.url(), "")], QUIET).replace("credential: none", "credential: passthrough");
    let running = proxy(&config).await;
    let mut client = Raw::connect(address(&running)).await;
    let path = "/v1/chat/completions";
    assert_eq!(client.ask(path, "", streamed()).await.status, 401, "the cloud's own refusal passes");
    let answer = client.ask(path, "authorization: Bearer key-of-one\r\n", streamed()).await;
    assert_eq!((answer.status, answer.end), (200, End::Whole));
    assert!(answer.text().ends_with("data: [DONE]\n\n"), "the cloud's own end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_streams_at_once_and_no_byte_of_one_in_another() {
    let clouds = Clouds::start().await;
    let running = proxy(&clouds.config(SPLIT, PATIENT)).await;
    let address = address(&running);
    let streams = (0..50).map(|number| {
        tokio::spawn(async move {
            let mut client = Raw::connect(address).await;
            for turn in 0..4 {
                let nonce = format!("nonce-{number:08}{turn:08}");
                let stateful = (number + turn) % 2 == 0;
                let (path, body) = match stateful {
                    true => ("/v1/responses", json!({ "model": "gpt-5.5", "input": "x", "stream": true })),
                    false => ("/v1/chat/completions", serde_json::from_slice::<Value>(&streamed()).unwrap()),
                };
                client.post(path, &format!("{NONCE_HEADER}: {nonce}\r\n"), body.to_string()).await;
                let answer = client.answer().await.unwrap();
                assert_eq!((answer.status, answer.end), (200, End::Whole));
                let text = answer.text();
                assert!(text.contains(&nonce), "its own nonce is in it");
                for (at, _) in text.match_indices("nonce-") {
                    assert_eq!(&text[at..at + nonce.len()], nonce, "nothing of another stream");
                }
            }
        })
    });
    for stream in streams.collect::<Vec<_>>() {
        stream.await.unwrap();
    }
    let [one, two, aws, openai] = clouds.all().map(|cloud| cloud.counts().requests);
    assert_eq!((one + two, aws, openai), (100, 100, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_arrived_already_leaves_in_few_pieces_and_nothing_waits_for_more() {
    const EACH: usize = 500;
    let event = |number: usize| format!("data: {{\"n\":{number}}}\n\n");
    let burst: Vec<u8> = (0..EACH).flat_map(|number| chunk(event(number))).collect();
    let heard = Arc::new(Notify::new());
    let gate = Arc::clone(&heard);
    let origin = Origin::start(move |mut caller| {
        let (burst, gate) = (burst.clone(), Arc::clone(&gate));
        async move {
            while caller.request().await.is_some() {
                caller.say([EVENTS.as_bytes(), &burst].concat()).await;
                // Were any of it held back until there is more, this would not end.
                gate.notified().await;
                caller.say([chunk("data: [DONE]\n\n"), b"0\r\n\r\n".to_vec()].concat()).await;
            }
        }
    })
    .await;
    let running = proxy(&endpoints(&[("one", &origin.url(), "")], PATIENT)).await;
    let mut client = Raw::connect(address(&running)).await;
    assert_eq!(ask(&mut client, "").await.status, 200);
    let (mut pieces, mut text) = (0, Vec::new());
    let expected: String = (0..EACH).map(event).collect();
    while text.len() < expected.len() {
        text.extend(client.chunk().await.unwrap().expect("not over yet"));
        pieces += 1;
    }
    assert_eq!(String::from_utf8(text).unwrap(), expected);
    assert!(pieces <= EACH / 10, "{EACH} chunks that had arrived left in {pieces} pieces");
    heard.notify_one();
    assert_eq!(client.chunk().await.unwrap().unwrap(), b"data: [DONE]\n\n");
    assert_eq!(client.chunk().await, Ok(None));
}
