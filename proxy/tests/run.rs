//! Promise: a running process answers its signals: it reloads whole or not at all, drains without cutting a stream, and a
//! process that cannot listen ends at once.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use riparian_loadtest::{CloudSpec, FakeCloud, Kind};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use support::origin::{EVENTS, Origin, chunk};
use support::process::Process;
use support::raw::Raw;
use support::wire::{SOON, open, piece};
use support::{chat, h2, ours, post, send};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

/// Far less than the minute that streams would be given.
const AT_ONCE: Duration = Duration::from_secs(10);

/// A configuration's file, with a listener for each protocol.
struct File(tempfile::TempDir);

impl File {
    fn new(url: &str) -> Self {
        let file = Self(tempfile::tempdir().unwrap());
        file.write(&config(url, 0));
        file
    }

    fn write(&self, text: &str) {
        std::fs::write(self.path(), text).unwrap();
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("riparian.yaml")
    }
}

fn config(url: &str, port: u16) -> String {
    format!(
        "version: 1
listeners: [{{ name: apps, bind: 127.0.0.1:{port} }}, {{ name: two, bind: 127.0.0.1:0, protocol: h2c }}]
clouds: {{ acme: {{ endpoints: [{{ name: acme-one, dialect: openai, url: \"{url}\", credential: passthrough }}] }} }}
contract: {{ enforce: r, readings: {{ r: {{ stateful_from: never }} }}, terms: [{{ id: all, only: acme }}] }}
telemetry: {{ access_log: off }}
limits: {{ drain_within: 1m, keepalive: 1m }}
"
    )
}

#[test]
fn a_port_that_is_taken_ends_the_process() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let file = File::new("http://127.0.0.1:1");
    for text in [
        config("http://127.0.0.1:1", port),
        config("http://127.0.0.1:1", 0)
            .replace("clouds:", &format!("admin: {{ bind: 127.0.0.1:{port} }}\nclouds:")),
    ] {
        file.write(&text);
        let mut process = Process::run(&file.path());
        let status = process.ends(SOON);
        assert_eq!(status.code(), Some(1));
        let said = process.said.join("\n");
        assert!(said.contains(&format!("127.0.0.1:{port}")), "which address: {said}");
        assert!(!said.contains("listening"), "nothing was served before: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hangup_reloads_whole_or_not_at_all() {
    let (one, two) = (cloud("one").await, cloud("two").await);
    let file = File::new(&one.url());
    let mut process = Process::run(&file.path());
    let address = process.listens("apps");
    // Right behind the listener's line: by then a signal must not end the process any more.
    file.write(&config(&two.url(), 0));
    process.signal("HUP");
    process.says("reloaded");
    assert_eq!(send(address, post("/v1/chat/completions", &chat())).await.status(), 200);
    assert_eq!((one.counts().requests, two.counts().requests), (0, 1));

    for (bad, why) in [
        (config(&one.url(), 0).replace("only: acme", "only: acne"), "riparian.yaml:4:"),
        (config(&one.url(), 0).replace("version: 1", "version: 1\nnonsense: true"), "riparian.yaml:2:"),
        (
            config(&one.url(), 0)
                .replace("credential: passthrough", "credential: { bearer: { file: /nowhere } }"),
            "acme-one",
        ),
        (config(&one.url(), 0).replace("name: two", "name: three"), "restart"),
        (String::new(), "riparian.yaml"),
    ] {
        file.write(&bad);
        process.signal("HUP");
        let from = process.said.len();
        process.says("not reloaded");
        let said = process.said[from..].join("\n");
        assert!(said.contains(why), "{why} in {said}");
        let answer = send(address, post("/v1/chat/completions", &chat())).await;
        assert_eq!((answer.status().as_u16(), ours(&answer, "reason")), (200, "designated"));
    }
    std::fs::remove_file(file.path()).unwrap();
    process.signal("HUP");
    process.says("not reloaded");
    assert_eq!((one.counts().requests, two.counts().requests), (0, 6), "what was in force stayed in force");

    file.write(&config(&one.url(), 0));
    process.signal("HUP");
    process.says("reloaded");
    assert_eq!(send(address, post("/v1/chat/completions", &chat())).await.status(), 200);
    assert_eq!((one.counts().requests, two.counts().requests), (1, 6));
}

async fn cloud(name: &str) -> FakeCloud {
    FakeCloud::start(CloudSpec::new(Kind::OpenAi, name).credential("app")).await.unwrap()
}

/// An origin whose stream sends one event, and the rest when it is told to.
async fn gated() -> (Origin, watch::Sender<bool>) {
    let (sender, gate) = watch::channel(false);
    let origin = Origin::start(move |mut caller| {
        let mut gate = gate.clone();
        async move {
            while caller.request().await.is_some() {
                caller.say(EVENTS).await;
                caller.say(chunk("data: first\n\n")).await;
                let _ = gate.wait_for(|open| *open).await;
                for _ in 0..64 {
                    caller.say(chunk(format!("data: {}\n\n", "x".repeat(8192)))).await;
                }
                caller.say(chunk("data: last\n\n")).await;
                caller.say("0\r\n\r\n").await;
            }
        }
    })
    .await;
    (origin, sender)
}

/// Reads to the end of a stream that must end as it should.
async fn rest(mut body: Incoming) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(more) = piece(&mut body).await {
        bytes.extend_from_slice(&more);
    }
    bytes
}

async fn is_refused(address: SocketAddr) {
    let deadline = Instant::now() + SOON;
    while TcpStream::connect(address).await.is_ok() {
        assert!(Instant::now() < deadline, "new connections are refused");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_lets_streams_end_whole_and_ends_with_the_last() {
    let (origin, gate) = gated().await;
    let file = File::new(&origin.url());
    let mut process = Process::run(&file.path());
    let (one, two) = (process.listens("apps"), process.listens("two"));
    let h1 = open(one, post("/v1/chat/completions", &chat())).await;
    let mut request = post("/v1/chat/completions", &chat());
    *request.uri_mut() = format!("http://{two}/v1/chat/completions").parse().unwrap();
    request.headers_mut().remove("host");
    let mut sender = h2::connect(two).await;
    let h2 = sender.send_request(request).await.unwrap();
    let mut bodies = Vec::new();
    for answer in [h1, h2] {
        assert_eq!(answer.status(), 200);
        let mut body = answer.into_body();
        assert_eq!(piece(&mut body).await.unwrap(), "data: first\n\n");
        bodies.push(body);
    }
    process.signal("TERM");
    is_refused(one).await;
    is_refused(two).await;
    assert!(process.is_running(), "two streams are open");
    gate.send_replace(true);
    for body in bodies {
        let rest = rest(body).await;
        assert_eq!(rest.len(), 64 * (8192 + 8) + "data: last\n\n".len());
        assert!(rest.ends_with(b"data: last\n\n"));
    }
    assert_eq!(process.ends(AT_ONCE).code(), Some(0));
    assert_eq!(origin.requests(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_process_ends_at_once_whoever_is_still_connected() {
    for signal in ["TERM", "INT"] {
        let origin = Origin::saying("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", false).await;
        let file = File::new(&origin.url());
        let mut process = Process::run(&file.path());
        let (one, two) = (process.listens("apps"), process.listens("two"));
        // Idle after a request, in both versions; connected without a word; and gone deaf behind the preface of HTTP/2.
        let mut kept = Raw::connect(one).await;
        assert_eq!(kept.ask("/v1/chat/completions", "", chat().to_string()).await.status, 200);
        let mut sender = h2::connect(two).await;
        let mut request = post("/v1/chat/completions", &chat());
        *request.uri_mut() = format!("http://{two}/v1/chat/completions").parse().unwrap();
        request.headers_mut().remove("host");
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), answer.into_body().collect().await.unwrap().to_bytes().len()),
            (200, 0)
        );
        let silent = (TcpStream::connect(one).await.unwrap(), TcpStream::connect(two).await.unwrap());
        let mut deaf = TcpStream::connect(two).await.unwrap();
        deaf.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
        deaf.read_u8().await.expect("its settings come back");
        process.signal(signal);
        assert_eq!(process.ends(AT_ONCE).code(), Some(0), "{signal}");
        drop((kept, sender, silent, deaf));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_cuts_what_is_left_and_the_cut_shows() {
    let (origin, _gate) = gated().await;
    let file = File::new(&origin.url());
    let mut process = Process::run(&file.path());
    let one = process.listens("apps");
    let mut body = open(one, post("/v1/chat/completions", &chat())).await.into_body();
    assert_eq!(piece(&mut body).await.unwrap(), "data: first\n\n");
    process.signal("TERM");
    is_refused(one).await;
    assert!(process.is_running());
    process.signal("TERM");
    assert_eq!(process.ends(AT_ONCE).code(), Some(0));
    let cut = tokio::time::timeout(SOON, body.frame()).await.unwrap();
    assert!(cut.is_some_and(|frame| frame.is_err()), "the stream does not look complete");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_cut_by_the_end_has_its_line_in_the_log() {
    let origin = Origin::start(|mut caller| async move {
        while caller.request().await.is_some() {
            caller.say([EVENTS.as_bytes(), &chunk("data: {}\n\n")].concat()).await;
            caller.gone().await;
        }
    })
    .await;
    let file = File::new(&origin.url());
    let log = file.0.path().join("access.log");
    let to_file = format!("access_log: {{ file: {} }}", log.display());
    file.write(&config(&origin.url(), 0).replace("access_log: off", &to_file));
    let mut process = Process::run(&file.path());
    let apps = process.listens("apps");
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = Raw::connect(apps).await;
        client.post("/v1/chat/completions", "", chat().to_string()).await;
        assert_eq!(client.head().await.unwrap().status, 200);
        assert_eq!(client.chunk().await.unwrap().unwrap(), b"data: {}\n\n");
        clients.push(client);
    }
    process.signal("INT");
    assert_eq!(process.ends(AT_ONCE).code(), Some(0));
    let lines = std::fs::read_to_string(&log).unwrap();
    assert_eq!(lines.lines().count(), clients.len(), "{lines}");
    assert!(lines.lines().all(|line| line.contains("\"outcome\":\"truncated\"")), "none was whole: {lines}");
}
