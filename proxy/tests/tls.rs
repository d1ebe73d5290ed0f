//! Promise: TLS, and HTTP/2 to the endpoint, change nothing of what is promised; an endpoint that cannot be verified gets no request.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use http::Version;
use riparian_loadtest::{CloudSpec, FAULT_HEADER, FakeCloud, Kind, Protocol};
use serde_json::json;
use support::h2::{Authority, ask, file, over, request, streamed};
use support::origin::endpoints;
use support::raw::{End, Raw};
use support::{Clouds, QUIET, SPLIT, address, chat, proxy};

const CHAT: &str = "/v1/chat/completions";
const PLAIN: &str = "listeners: [{ name: apps, bind: 127.0.0.1:0 }]";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tls_listener_speaks_what_alpn_agrees_on() {
    let clouds = Clouds::start().await;
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let (certificate, key) = authority.sign("localhost", false);
    let (certificate, key) = (file(&folder, "tls.crt", &certificate), file(&folder, "tls.key", &key));
    let tls = format!(
        "listeners: [{{ name: apps, bind: 127.0.0.1:0, tls: {{ certificate: {{ file: {} }}, key: {{ file: {} }} }} }}]",
        certificate.display(),
        key.display()
    );
    let running = proxy(&clouds.config(SPLIT, QUIET).replace(PLAIN, &tls)).await;

    let stream = authority.connect(address(&running), &["h2", "http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    let mut sender = over(stream).await;
    assert_eq!(ask(&mut sender, request(CHAT, &chat())).await.0, 200);
    let (_, _, body) = ask(&mut sender, request(CHAT, &streamed())).await;
    assert!(body.ends_with(b"data: [DONE]\n\n"));

    for protocols in [&["http/1.1"][..], &[]] {
        let stream = authority.connect(address(&running), protocols).await;
        let mut client = Raw::over(stream);
        for _ in 0..2 {
            assert_eq!(client.ask(CHAT, "", chat().to_string()).await.status, 200, "{protocols:?}");
        }
        client.send("GET / HTTP/1.1\r\n\r\n").await;
        assert_eq!(client.answer().await.unwrap().status, 400, "the head is checked behind TLS, too");
    }

    let mut client = Raw::connect(address(&running)).await;
    client.send("GET /v1/models HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut answer = Vec::new();
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut client.stream, &mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "nothing is answered in the clear");
    let mut silent = Raw::connect(address(&running)).await;
    assert!(silent.is_closed().await, "a handshake that does not come has a deadline");
}

async fn cloud(protocol: Protocol) -> FakeCloud {
    FakeCloud::start(CloudSpec::new(Kind::OpenAi, "one").credential("app").protocol(protocol)).await.unwrap()
}

/// The fake cloud under the name that certificates are made for.
fn named(cloud: &FakeCloud) -> String {
    cloud.url().replace("127.0.0.1", "localhost")
}

fn passing(endpoint: (&str, &str, &str)) -> String {
    endpoints(&[endpoint], QUIET).replace("credential: none", "credential: passthrough")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_to_the_endpoint_in_the_clear_and_over_tls() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let ca = format!(", ca: {{ file: {} }}", file(&folder, "ca.pem", &authority.pem()).display());
    for (what, h2, tls) in
        [("h2c", true, false), ("h2 over TLS", true, true), ("HTTP/1.1 over TLS", false, true)]
    {
        let (cert_pem, key_pem) = authority.sign("localhost", false);
        let cloud = cloud(if tls { Protocol::Tls { cert_pem, key_pem, h2 } } else { Protocol::H2c }).await;
        let version = if h2 { ", http_version: 2" } else { "" };
        let more = format!("{version}{}", if tls { ca.as_str() } else { "" });
        let running = proxy(&passing(("one", &named(&cloud), &more))).await;
        let mut client = Raw::connect(address(&running)).await;
        for _ in 0..3 {
            let answer = client.ask(CHAT, "", chat().to_string()).await;
            assert_eq!(answer.status, 200, "{what}: {}", answer.text());
            let answer = client.ask(CHAT, "", streamed().to_string()).await;
            assert!(answer.text().ends_with("data: [DONE]\n\n"), "{what}");
        }
        let large =
            json!({ "model": "gpt-5.5", "messages": [{ "role": "user", "content": "x".repeat(1 << 20) }] });
        assert_eq!(client.ask(CHAT, "", large.to_string()).await.status, 200, "{what}: more than a window");
        let mut cut = Raw::connect(address(&running)).await;
        let answer =
            cut.ask(CHAT, &format!("{FAULT_HEADER}: cut-mid-stream\r\n"), streamed().to_string()).await;
        assert!(answer.status == 502 || answer.end == End::Cut, "{what}: a stream that was reset");
        assert_eq!(
            client.ask(CHAT, "", chat().to_string()).await.status,
            200,
            "{what}: and the next one works"
        );

        let seen = cloud.seen();
        let version = if h2 { Version::HTTP_2 } else { Version::HTTP_11 };
        assert!(seen.iter().all(|seen| seen.version == version), "{what}");
        let authority = named(&cloud).split_once("://").unwrap().1.to_owned();
        assert!(
            seen.iter().all(|seen| seen.header("host") == Some(&authority)),
            "{what}: {:?}",
            seen[0].headers
        );
        assert_eq!(cloud.counts().ok, 8, "{what}");
        if h2 {
            assert_eq!(cloud.counts().connections, 1, "{what}: all on one connection");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_cannot_be_verified_gets_no_request() {
    let (authority, other, folder) = (Authority::new(), Authority::new(), tempfile::tempdir().unwrap());
    let ca = format!(", ca: {{ file: {} }}", file(&folder, "ca.pem", &authority.pem()).display());
    let good = authority.sign("localhost", false);
    for (what, (cert_pem, key_pem), trust) in [
        ("another authority", other.sign("localhost", false), ca.as_str()),
        ("the system's authorities", good.clone(), ""),
        ("expired", authority.sign("localhost", true), &ca),
        ("another name", authority.sign("elsewhere.example", false), &ca),
    ] {
        for h2 in [false, true] {
            let version = if h2 { ", http_version: 2" } else { "" };
            let cloud =
                cloud(Protocol::Tls { cert_pem: cert_pem.clone(), key_pem: key_pem.clone(), h2 }).await;
            let running = proxy(&passing(("one", &named(&cloud), &format!("{version}{trust}")))).await;
            let answer = Raw::connect(address(&running)).await.ask(CHAT, "", chat().to_string()).await;
            assert_eq!((answer.status, answer.reason()), (502, "tls_verify"), "{what}: {}", answer.text());
            assert_eq!(
                cloud.counts().requests,
                0,
                "{what}: nothing was sent, neither verified nor in the clear"
            );
        }
    }
    // One that speaks no TLS at all is not spoken to in the clear.
    let cloud = cloud(Protocol::Http1).await;
    let url = named(&cloud).replace("http:", "https:");
    let running = proxy(&passing(("one", &url, &ca))).await;
    let answer = Raw::connect(address(&running)).await.ask(CHAT, "", chat().to_string()).await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert_eq!(cloud.counts().requests, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_was_to_speak_http2_and_does_not_is_an_error() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let ca =
        format!(", http_version: 2, ca: {{ file: {} }}", file(&folder, "ca.pem", &authority.pem()).display());
    let (cert_pem, key_pem) = authority.sign("localhost", false);
    let cloud = cloud(Protocol::Tls { cert_pem, key_pem, h2: false }).await;
    let running = proxy(&passing(("one", &named(&cloud), &ca))).await;
    let answer = Raw::connect(address(&running)).await.ask(CHAT, "", chat().to_string()).await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert_eq!(cloud.counts().requests, 0);
}
