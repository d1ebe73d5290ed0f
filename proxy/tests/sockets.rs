//! Promise: a socket is relayed whole and in order, for as long as the contract allows it, and what is said on it is held to the contract
//! message by message.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_types, reason = "a test may")]

mod support;

use riparian_loadtest::{CloudSpec, FakeCloud, Kind};
use riparian_proxy::server::Running;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use support::h2::{Authority, file};
use support::origin::{Origin, endpoints};
use support::raw::{End, Raw, eventually};
use support::socket::{
    BINARY, CLOSE, PING, Said, Socket, SocketCloud, TEXT, answer, echo, frame, header, read_head, request,
};
use support::{QUIET, address, proxy};
use tokio::io::AsyncWriteExt;

const REALTIME: &str = "/v1/realtime?model=gpt-realtime";
const RESPONSES: &str = "/v1/responses";

/// Nothing ends by itself, however slow the machine is.
fn patient() -> String {
    QUIET.replace("idle: 2s", "idle: 60s").replace("body_within: 2s", "body_within: 60s")
}

async fn echoing() -> (SocketCloud, Running) {
    let cloud = SocketCloud::start(echo).await;
    let running = proxy(&endpoints(&[("one", &cloud.url(), "")], &patient())).await;
    (cloud, running)
}

fn code(event: &Value) -> (u64, &str) {
    assert_eq!(event["type"], "error");
    (event["status"].as_u64().unwrap(), event["error"]["code"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_messages_come_back_whole_and_in_order_however_they_are_cut() {
    let (cloud, running) = echoing().await;
    for path in [REALTIME, RESPONSES] {
        let mut client = Socket::open(address(&running), path).await;
        let texts: Vec<String> = (0..1000)
            .map(|number: usize| {
                let filler = "é".repeat(client.below(if number.is_multiple_of(50) { 90_000 } else { 300 }));
                json!({ "type": "x", "number": number, "text": filler }).to_string()
            })
            .collect();
        let mut waiting = std::collections::VecDeque::new();
        let (mut sent, mut pongs) = (0, 0);
        while sent < texts.len() || !waiting.is_empty() {
            // Some ahead, so that both directions are busy.
            while sent < texts.len() && waiting.len() < 8 {
                let bytes = client.fragments(TEXT, texts[sent].as_bytes());
                for piece in bytes.chunks(1 + client.below(20_000)) {
                    client.send(piece).await;
                }
                waiting.push_back(sent);
                sent += 1;
            }
            match client.next().await {
                Said::Text(text) => {
                    let due = waiting.pop_front().expect("something was sent");
                    assert!(text == texts[due], "{path}: message {due} came back otherwise");
                }
                Said::Pong(_) => pongs += 1,
                Said::Ping(_) => {}
                other => panic!("{path}: {other:?}"),
            }
        }
        assert!(pongs > 0, "{path}: pings between fragments were answered");
        client.close(1000, "done").await;
        assert_eq!(client.closed().await, (1000, "done".to_owned()), "{path}");
        assert_eq!(client.next().await, Said::End, "{path}: and then the connection ends");
    }
    assert_eq!(cloud.connections(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_go_on_as_they_came() {
    let heard = Arc::new(std::sync::Mutex::new(Vec::new()));
    let into = Arc::clone(&heard);
    let said: Vec<u8> = {
        let mut server = Socket::over(tokio::io::empty(), Vec::new(), false);
        let parts = (0..40).map(|number| {
            let text = json!({ "number": number, "x": "y".repeat(number * 97) }).to_string();
            server.fragments(TEXT, text.as_bytes())
        });
        parts.collect::<Vec<_>>().concat()
    };
    let (says, close) = (said.clone(), frame(0x80 | CLOSE, None, &[0x03, 0xe8]));
    let cloud = SocketCloud::start(move |mut socket| {
        let (into, says, close) = (Arc::clone(&into), says.clone(), close.clone());
        async move {
            socket.keeps = true;
            socket.send([says, close].concat()).await;
            while socket.next().await != Said::End {}
            into.lock().unwrap().extend_from_slice(&socket.read);
        }
    })
    .await;
    let running = proxy(&endpoints(&[("one", &cloud.url(), "")], &patient())).await;
    let mut client = Socket::open(address(&running), REALTIME).await;
    client.keeps = true;
    let mut sent = Vec::new();
    for number in 0..40 {
        let text = json!({ "number": number, "x": "y".repeat(number * 131) }).to_string();
        let kind = if number % 7 == 6 { BINARY } else { TEXT };
        sent.extend(client.fragments(kind, text.as_bytes()));
    }
    sent.extend(client.frame(0x80 | CLOSE, &[0x03, 0xe8]));
    for piece in sent.chunks(777) {
        client.send(piece).await;
    }
    assert_eq!(client.closed().await, (1000, String::new()));
    assert!(client.read.starts_with(&said), "what the endpoint said, byte for byte");
    eventually("the endpoint has heard all", || !heard.lock().unwrap().is_empty()).await;
    // Control frames do not wait for the message that they stand in; taken out, the rest is the same.
    assert_eq!(
        without_pings(&heard.lock().unwrap()),
        without_pings(&sent),
        "what the client said, byte for byte"
    );
}

/// Frames as they are, less the pings.
fn without_pings(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while let [first, second, ..] = bytes {
        let (wide, short) = match second & 0x7f {
            126 => (2, u64::from(u16::from_be_bytes([bytes[2], bytes[3]]))),
            127 => (8, u64::from_be_bytes(bytes[2..10].try_into().unwrap())),
            short => (0, u64::from(short)),
        };
        let whole = 2 + wide + 4 + usize::try_from(short).unwrap();
        if first & 0x0f != PING {
            frames.push(bytes[..whole].to_vec());
        }
        bytes = &bytes[whole..];
    }
    frames
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn big_messages_pass_up_to_the_limit_and_not_beyond() {
    let cloud = SocketCloud::start(echo).await;
    let limits = patient().replace("limits: {", "limits: { body: 6MiB, held_bodies: 8MiB,");
    let running = proxy(&endpoints(&[("one", &cloud.url(), "")], &limits)).await;
    for path in [REALTIME, RESPONSES] {
        let mut client = Socket::open(address(&running), path).await;
        let text = json!({ "model": "gpt-realtime", "x": "y".repeat(5 << 20) }).to_string();
        client.text(&text).await;
        assert!(client.hear().await == text, "{path}");
        eventually("what was held is given back", || running.house.gate.held() == 0).await;
        let too_long = json!({ "x": "y".repeat(7 << 20) }).to_string();
        let bytes = client.frame(0x80 | TEXT, too_long.as_bytes());
        // It is refused by what its head says; whether the rest is taken does not matter.
        client.send(&bytes[..1 << 16]).await;
        assert_eq!(code(&client.json().await), (413, "body_too_large"), "{path}");
        assert_eq!(client.closed().await.0, 1009, "{path}");
        assert_eq!(running.house.gate.held(), 0);
    }
    // In fragments that are each short enough.
    let mut client = Socket::open(address(&running), RESPONSES).await;
    let piece = "y".repeat(1 << 20);
    let mut bytes = client.frame(TEXT, format!("{{\"x\":\"{piece}").as_bytes());
    for _ in 0..6 {
        bytes.extend(client.frame(0, piece.as_bytes()));
    }
    client.send(&bytes).await;
    assert_eq!(code(&client.json().await), (413, "body_too_large"));
    assert_eq!(client.closed().await.0, 1009);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_socket_is_refused_before_anything_is_connected() {
    let (cloud, running) = echoing().await;
    let at = address(&running);
    let key = "sec-websocket-key: x\r\n";
    let cases = [
        ("no socket here", request("/v1/models", ""), 426, "upgrade_refused"),
        ("no such operation", request("/v1/nothing", ""), 426, "upgrade_refused"),
        ("another protocol", request(RESPONSES, "upgrade: h2c\r\n"), 426, "upgrade_refused"),
        ("another version", request(RESPONSES, "sec-websocket-version: 8\r\n"), 426, "socket_version"),
        ("another version", request(REALTIME, "sec-websocket-version: 14\r\n"), 426, "socket_version"),
        ("a bad key", request(RESPONSES, key), 400, "head_malformed"),
        ("a bad key", request(REALTIME, key), 400, "head_malformed"),
        ("bytes behind it", request(REALTIME, "") + "\u{1}", 400, "head_malformed"),
        ("a body", request(REALTIME, "content-length: 2\r\n") + "{}", 400, "head_malformed"),
        ("another method", request("/v1/responses", "").replace("GET", "POST"), 426, "upgrade_refused"),
    ];
    for (what, bytes, status, reason) in cases {
        let mut client = Raw::connect(at).await;
        client.send(bytes).await;
        let answer = client.answer().await.unwrap();
        assert_eq!((answer.status, answer.reason(), answer.end), (status, reason, End::Whole), "{what}");
        if reason == "socket_version" {
            assert_eq!(answer.header("sec-websocket-version"), Some("13"), "RFC 6455, 4.4");
            assert_eq!(answer.header("upgrade"), Some("websocket"));
        }
        assert!(client.is_closed().await, "{what}: what follows could be anything");
    }
    // The other way round: what is a socket is nothing else.
    let mut client = Raw::connect(at).await;
    client.send("GET /v1/responses HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let answer = client.answer().await.unwrap();
    assert_eq!((answer.status, answer.reason()), (426, "upgrade_required"));
    assert_eq!(answer.header("upgrade"), Some("websocket"));
    assert_eq!(cloud.connections(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_http2_none_is_carried() {
    let cloud = SocketCloud::start(echo).await;
    let config = endpoints(&[("one", &cloud.url(), "")], QUIET).replace(
        "listeners: [{ name: apps, bind: 127.0.0.1:0 }]",
        "listeners: [{ name: apps, bind: 127.0.0.1:0, protocol: h2c }]",
    );
    let running = proxy(&config).await;
    let mut sender = support::h2::connect(address(&running)).await;
    let request =
        http::Request::get("http://proxy/v1/responses").body(http_body_util::Full::default()).unwrap();
    let (status, headers, _) = support::h2::ask(&mut sender, request).await;
    assert_eq!((status.as_u16(), headers["x-riparian-reason"].to_str().unwrap()), (426, "upgrade_required"));
    assert_eq!(cloud.connections(), 0);
}

/// pingora's issue 946: a 101 that comes early, or not alone, loses frames or the tunnel.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_of_an_endpoint_that_answers_at_once() {
    let number = Arc::new(AtomicUsize::new(0));
    let cloud = SocketCloud::raw(move |mut stream, _| {
        let early = number.fetch_add(1, Ordering::SeqCst);
        async move {
            let hello =
                [frame(0x80 | TEXT, None, b"{\"hello\":1}"), frame(0x80 | TEXT, None, b"{\"hello\":2}")]
                    .concat();
            let mut head = Vec::new();
            if early.is_multiple_of(2) {
                // It says that it has switched as soon as it knows what it is asked, and reads on later.
                while !String::from_utf8_lossy(&head).to_ascii_lowercase().contains("sec-websocket-key: ")
                    || !head.ends_with(b"\r\n")
                {
                    head.push(tokio::io::AsyncReadExt::read_u8(&mut stream).await.unwrap());
                }
                let text = answer(&String::from_utf8(head.clone()).unwrap());
                stream.write_all(&[text.as_bytes(), &hello].concat()).await.unwrap();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(tokio::io::AsyncReadExt::read_u8(&mut stream).await.unwrap());
                }
            } else {
                let head = read_head(&mut stream).await.unwrap();
                stream.write_all(&[answer(&head).as_bytes(), &hello].concat()).await.unwrap();
            }
            echo(Socket::over(stream, Vec::new(), false)).await;
        }
    })
    .await;
    let running = proxy(&endpoints(&[("one", &cloud.url(), "")], &patient())).await;
    let at = address(&running);
    let one = move |path: &'static str| async move {
        let mut client = Socket::open(at, path).await;
        if path == RESPONSES {
            client.text("{\"first\":true}").await;
        }
        for due in ["{\"hello\":1}", "{\"hello\":2}"] {
            assert_eq!(client.hear().await, due);
        }
        if path == RESPONSES {
            assert_eq!(client.hear().await, "{\"first\":true}");
        }
        client.close(1000, "").await;
        assert_eq!(client.closed().await.0, 1000);
    };
    let mut whole = 0;
    for _ in 0..50 {
        let sockets: Vec<_> =
            (0..20).map(|number| tokio::spawn(one(if number < 10 { REALTIME } else { RESPONSES }))).collect();
        for socket in sockets {
            socket.await.unwrap();
            whole += 1;
        }
    }
    assert_eq!((whole, cloud.connections()), (1000, 1000), "none of a thousand is lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_does_not_take_the_socket() {
    let refusal = "{\"error\":{\"message\":\"no\",\"type\":\"invalid_request_error\",\"param\":null,\"code\":\"nope\"}}";
    let refuses = Origin::saying(
        format!(
            "HTTP/1.1 403 Forbidden\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{refusal}",
            refusal.len()
        ),
        false,
    )
    .await;
    let running = proxy(&endpoints(&[("one", &refuses.url(), "")], QUIET)).await;
    let Err(answer) = Socket::try_open(address(&running), REALTIME, "").await else { panic!("not taken") };
    assert_eq!((answer.status, answer.text().as_str(), answer.end), (403, refusal, End::Whole), "as it came");
    let mut client = Socket::open(address(&running), RESPONSES).await;
    client.text("{\"model\":\"gpt-5.5\"}").await;
    let event = client.json().await;
    assert_eq!((code(&event), event["error"]["message"].as_str()), ((403, "nope"), Some("no")));
    assert_eq!(client.closed().await.0, 1008);

    let wrong = Origin::start(|mut caller| async move {
        while caller.request().await.is_some() {
            caller
                .say("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
                .await;
        }
    })
    .await;
    let running = proxy(&endpoints(&[("one", &wrong.url(), "")], QUIET)).await;
    let Err(answer) = Socket::try_open(address(&running), REALTIME, "").await else { panic!("not believed") };
    assert_eq!((answer.status, answer.reason()), (502, "upstream_reset"));
    let mut client = Socket::open(address(&running), RESPONSES).await;
    client.text("{\"model\":\"gpt-5.5\"}").await;
    assert_eq!(code(&client.json().await), (502, "upstream_reset"));
    assert_eq!(client.closed().await.0, 1011);

    // One that is not there.
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let running = proxy(&endpoints(&[("one", &format!("http://{nobody}"), "")], QUIET)).await;
    let Err(answer) = Socket::try_open(address(&running), REALTIME, "").await else { panic!("nobody there") };
    assert_eq!((answer.status, answer.reason()), (502, "upstream_connect"));
    let mut client = Socket::open(address(&running), RESPONSES).await;
    client.text("{\"model\":\"gpt-5.5\"}").await;
    assert_eq!(code(&client.json().await), (502, "upstream_connect"));
    assert_eq!(client.closed().await.0, 1011);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_whose_endpoint_dies_says_so_after_all_that_was_said() {
    let cloud = SocketCloud::start(|mut socket| async move {
        let text = socket.hear().await;
        match text.as_str() {
            "{\"end\":\"between\"}" => socket.text("{\"last\":1}").await,
            "{\"end\":\"within\"}" => socket.send(b"\x81\x05Hel").await,
            "{\"end\":\"nonsense\"}" => {
                socket.text("{\"last\":1}").await;
                socket.send(b"\xff\x00").await;
            }
            _ => {
                socket.text("{\"last\":1}").await;
                socket.close(4001, "mine").await;
            }
        }
    })
    .await;
    let running = proxy(&endpoints(&[("one", &cloud.url(), "")], QUIET)).await;
    for path in [REALTIME, RESPONSES] {
        for (how, expected) in [("between", 1011), ("nonsense", 1011), ("closed", 4001)] {
            let mut client = Socket::open(address(&running), path).await;
            client.text(json!({ "end": how }).to_string()).await;
            assert_eq!(client.hear().await, "{\"last\":1}", "{path} {how}");
            assert_eq!(client.closed().await.0, expected, "{path} {how}");
        }
        let mut client = Socket::open(address(&running), path).await;
        client.text("{\"end\":\"within\"}").await;
        assert_eq!(client.closed().await.0, 1006, "within a frame nothing can be said");
    }
    eventually("nothing is left", || running.house.gate.streams() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_away_is_not_spoken_for() {
    let codes = Arc::new(std::sync::Mutex::new(Vec::new()));
    let into = Arc::clone(&codes);
    let cloud = SocketCloud::start(move |mut socket| {
        let into = Arc::clone(&into);
        async move {
            let text = socket.hear().await;
            socket.text(text).await;
            let code = socket.closed().await.0;
            into.lock().unwrap().push(code);
        }
    })
    .await;
    let running = proxy(&endpoints(&[("one", &cloud.url(), "")], &patient())).await;
    for path in [REALTIME, RESPONSES] {
        let mut client = Socket::open(address(&running), path).await;
        client.text("{\"x\":1}").await;
        client.hear().await;
        drop(client);
        eventually("the endpoint knows", || !codes.lock().unwrap().is_empty()).await;
        assert_eq!(codes.lock().unwrap().pop(), Some(1001), "{path}");
        eventually("nothing is left", || running.house.gate.streams() == 0).await;
    }
    // One that goes before it has said what it wants leaves no trace.
    let before = cloud.connections();
    drop(Socket::open(address(&running), RESPONSES).await);
    eventually("nothing is left", || running.house.gate.streams() == 0).await;
    assert_eq!(cloud.connections(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_that_break_the_rules_end_the_socket() {
    let (_cloud, running) = echoing().await;
    for path in [REALTIME, RESPONSES] {
        for (what, bytes, expected) in [
            ("no mask", frame(0x81, None, b"{}"), 1002),
            ("a reserved bit", frame(0xc1, Some([1, 2, 3, 4]), b"{}"), 1002),
            ("a continuation of nothing", frame(0x80, Some([1, 2, 3, 4]), b"{}"), 1002),
            ("half a close code", frame(0x88, Some([1, 2, 3, 4]), b"x"), 1002),
            ("a close code that is none", frame(0x88, Some([1, 2, 3, 4]), &[0x03, 0xed]), 1002),
            ("text that is none", frame(0x81, Some([1, 2, 3, 4]), b"{\"x\":\"\xff\"}"), 1007),
        ] {
            let mut client = Socket::open(address(&running), path).await;
            client.send(bytes).await;
            assert_eq!(client.closed().await.0, expected, "{path}: {what}");
        }
    }
    // No bytes but those of a message choose a cloud.
    let mut client = Socket::open(address(&running), RESPONSES).await;
    let bytes = client.frame(0x80 | BINARY, b"\x01\x02");
    client.send(bytes).await;
    assert_eq!(client.closed().await.0, 1003);
    // Where the cloud is chosen, they are nobody's business.
    let mut client = Socket::open(address(&running), REALTIME).await;
    let bytes = client.frame(0x80 | BINARY, b"\x01\x02");
    client.send(bytes).await;
    assert_eq!(client.message().await, Said::Binary(b"\x01\x02".to_vec()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_cannot_be_read_is_refused_and_the_socket_stays() {
    let (_cloud, running) = echoing().await;
    for path in [REALTIME, RESPONSES] {
        let mut client = Socket::open(address(&running), path).await;
        client.text("{\"first\":1}").await;
        assert_eq!(client.hear().await, "{\"first\":1}");
        for (text, status, reason) in [
            ("hello", 400, "body_malformed"),
            ("[]", 400, "body_malformed"),
            ("{\"type\":\"x\",\"type\":\"y\"}", 400, "body_ambiguous"),
            ("{} {}", 400, "body_ambiguous"),
        ] {
            client.text(text).await;
            assert_eq!(code(&client.json().await), (status, reason), "{path}: {text}");
        }
        // JSON is JSON, whatever its frame says.
        let bytes = client.frame(0x80 | BINARY, b" {\"x\":1,\"x\":2}");
        client.send(bytes).await;
        let event = client.json().await;
        assert!(path == REALTIME || code(&event) == (400, "body_ambiguous"), "{path}: {event}");
        client.text("{\"second\":1}").await;
        assert_eq!(client.hear().await, "{\"second\":1}", "{path}: and it goes on");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_the_first_message_pings_are_answered_and_silence_has_an_end() {
    let cloud = SocketCloud::start(echo).await;
    let limits = QUIET.replace("idle: 2s", "idle: 700ms").replace("body_within: 2s", "body_within: 500ms");
    let running = proxy(&endpoints(&[("one", &cloud.url(), "")], &limits)).await;
    let mut client = Socket::open(address(&running), RESPONSES).await;
    let ping = client.frame(0x80 | PING, b"are you there?");
    client.send(ping).await;
    assert_eq!(client.next().await, Said::Pong(b"are you there?".to_vec()));
    assert_eq!(client.closed().await.0, 1001, "silence");
    let mut client = Socket::open(address(&running), RESPONSES).await;
    let part = client.frame(TEXT, b"{\"x\":");
    client.send(part).await;
    assert_eq!(code(&client.json().await), (408, "body_timeout"));
    assert_eq!(client.closed().await.0, 1008, "half a message");
    let mut client = Socket::open(address(&running), RESPONSES).await;
    client.close(1000, "never mind").await;
    assert_eq!(client.closed().await.0, 1000);
    assert_eq!(cloud.connections(), 0);
    for path in [REALTIME, RESPONSES] {
        let mut client = Socket::open(address(&running), path).await;
        client.text("{\"x\":1}").await;
        client.hear().await;
        for _ in 0..4 {
            // What is said keeps it open, a ping as well as anything.
            tokio::time::sleep(Duration::from_millis(300)).await;
            let ping = client.frame(0x80 | PING, b"");
            client.send(ping).await;
            assert_eq!(client.next().await, Said::Pong(vec![]), "{path}");
        }
        let began = Instant::now();
        assert_eq!(client.closed().await.0, 1001, "{path}");
        assert!((600..1500).contains(&began.elapsed().as_millis()), "{path}: {:?}", began.elapsed());
        let mut client = Socket::open(address(&running), path).await;
        client.text("{\"x\":1}").await;
        client.hear().await;
        let part = client.frame(TEXT, b"{\"x\":");
        client.send(part).await;
        assert_eq!(code(&client.json().await), (408, "body_timeout"), "{path}");
        assert_eq!(client.closed().await.0, 1008, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_reads_slowly_slows_down_whoever_sends_and_loses_nothing() {
    const MESSAGES: usize = 600;
    let sent = Arc::new(AtomicUsize::new(0));
    let counts = Arc::clone(&sent);
    let text = |number: usize| json!({ "number": number, "x": "y".repeat(64 * 1024) }).to_string();
    let cloud = SocketCloud::start(move |mut socket| {
        let counts = Arc::clone(&counts);
        async move {
            for number in 0..MESSAGES {
                socket.text(text(number)).await;
                counts.fetch_add(1, Ordering::SeqCst);
            }
            socket.close(1000, "").await;
            socket.closed().await;
        }
    })
    .await;
    let running = proxy(&endpoints(&[("one", &cloud.url(), "")], &patient())).await;
    let mut client = Socket::open(address(&running), REALTIME).await;
    let mut stopped = usize::MAX;
    while stopped != sent.load(Ordering::SeqCst) {
        stopped = sent.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert!(stopped < MESSAGES / 2, "{stopped} messages of 64 KiB are somewhere on the way");
    for number in 0..MESSAGES {
        assert!(client.hear().await == text(number), "{number}");
    }
    client.close(1000, "").await;
    assert_eq!(client.closed().await.0, 1000);

    // One that does not read at all is cut off.
    let running = proxy(&endpoints(&[("one", &cloud.url(), "")], QUIET)).await;
    let began = Instant::now();
    let client = Socket::open(address(&running), REALTIME).await;
    eventually("it is given up", || running.house.gate.streams() == 0).await;
    assert!(began.elapsed() >= Duration::from_millis(1900), "limits.idle is 2 s: {:?}", began.elapsed());
    drop(client);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_over_tls() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let (certificate, key) = authority.sign("localhost", false);
    let acceptor = support::socket::tls(&certificate, &key);
    let cloud = SocketCloud::raw(move |stream, seen| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let Some(head) = read_head(&mut stream).await else { return };
            stream.write_all(answer(&head).as_bytes()).await.unwrap();
            seen.lock().unwrap().push(head);
            let mut socket = Socket::over(stream, Vec::new(), false);
            while let Said::Text(text) = socket.message().await {
                socket.text(text).await;
            }
        }
    })
    .await;
    let url = format!("https://localhost:{}", cloud.address.port());
    let ca = file(&folder, "ca.pem", &authority.pem());
    for version in ["", ", http_version: 2"] {
        let more = format!("{version}, ca: {{ file: {} }}", ca.display());
        let running = proxy(&endpoints(&[("one", &url, &more)], &patient())).await;
        for path in [REALTIME, RESPONSES] {
            let mut client = Socket::open(address(&running), path).await;
            for number in 0..100 {
                let text = json!({ "number": number, "x": "y".repeat(number * 1000) }).to_string();
                client.text(&text).await;
                assert!(client.hear().await == text, "{path} {number}");
            }
        }
    }
    let running = proxy(&endpoints(&[("one", &url, "")], &patient())).await;
    let Err(answer) = Socket::try_open(address(&running), REALTIME, "").await else { panic!("not verified") };
    assert_eq!((answer.status, answer.reason()), (502, "tls_verify"));
    assert_eq!(cloud.heads().len(), 4);

    // And from a client over TLS.
    let (certificate, key) = authority.sign("localhost", false);
    let (certificate, key) = (file(&folder, "tls.crt", &certificate), file(&folder, "tls.key", &key));
    let tls = format!(
        "bind: 127.0.0.1:0, tls: {{ certificate: {{ file: {} }}, key: {{ file: {} }} }} }}]",
        certificate.display(),
        key.display()
    );
    let config = endpoints(&[("one", &url, &format!(", ca: {{ file: {} }}", ca.display()))], &patient());
    let running = proxy(&config.replacen("bind: 127.0.0.1:0 }]", &tls, 1)).await;
    for path in [REALTIME, RESPONSES] {
        let mut raw = Raw::over(authority.connect(address(&running), &["http/1.1"]).await);
        raw.send(request(path, "")).await;
        assert_eq!(raw.head().await.unwrap().status, 101);
        let (stream, buffer) = raw.into_parts();
        let mut client = Socket::over(stream, buffer, true);
        for number in 0..100 {
            let text = json!({ "number": number, "x": "y".repeat(number * 1000) }).to_string();
            client.text(&text).await;
            assert!(client.hear().await == text, "{path} {number}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_handshake_is_our_own_and_no_secret_is_in_it() {
    let cloud = SocketCloud::start(echo).await;
    let running = proxy(&endpoints(&[("one", &cloud.url(), "")], QUIET)).await;
    let lines = "sec-websocket-protocol: openai-insecure-api-key.sk-canary, x\r\nsec-websocket-extensions: permessage-deflate\r\nopenai-beta: realtime=v1\r\nx-riparian-cloud: forged\r\n";
    for path in [REALTIME, RESPONSES] {
        let (mut client, head) = Socket::try_open(address(&running), path, lines).await.ok().unwrap();
        assert_eq!(head.header("sec-websocket-extensions"), None);
        assert_eq!(head.header("x-request-id"), (path == REALTIME).then_some("theirs"), "{path}");
        assert!(
            head.header("x-riparian-decision").is_some()
                && head.header("x-riparian-session").is_some() == (path == REALTIME)
        );
        assert_eq!(head.header("sec-websocket-protocol"), (path == RESPONSES).then_some("x"), "{path}");
        client.text("{\"x\":1}").await;
        client.hear().await;
    }
    for head in cloud.heads() {
        assert_ne!(header(&head, "sec-websocket-key"), Some("dGhlIHNhbXBsZSBub25jZQ=="), "made anew");
        assert_eq!(header(&head, "sec-websocket-version"), Some("13"));
        assert_eq!(header(&head, "sec-websocket-extensions"), None, "what is compressed cannot be judged");
        assert_eq!(header(&head, "sec-websocket-protocol"), Some("x"));
        assert_eq!(header(&head, "connection"), Some("Upgrade"));
        assert_eq!(header(&head, "openai-beta"), Some("realtime=v1"));
        assert_eq!(header(&head, "content-length"), None);
        assert!(
            !head.contains("canary") && !head.contains("Bearer app") && !head.contains("forged"),
            "{head}"
        );
        assert_eq!(header(&head, "host"), Some(cloud.address.to_string().as_str()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_requests_do_not_notice() {
    let cloud = FakeCloud::start(CloudSpec::new(Kind::OpenAi, "one").credential("app")).await.unwrap();
    let config =
        endpoints(&[("one", &cloud.url(), "")], QUIET).replace("credential: none", "credential: passthrough");
    let running = proxy(&config).await;
    // A fake cloud that takes no sockets answers as it answers anything that it does not know.
    let Err(answer) = Socket::try_open(address(&running), REALTIME, "").await else { panic!("taken") };
    assert!(answer.status >= 400 && answer.end == End::Whole, "{}", answer.status);
    let chat = support::chat().to_string();
    let answer = Raw::connect(address(&running)).await.ask("/v1/chat/completions", "", chat).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}
