//! Promise: HTTP/2 and TLS, on both sides, change nothing of what is promised; an endpoint that cannot be verified gets no request.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use bytes::Bytes;
use http::{Request, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::SendRequest;
use riparian_loadtest::{CloudSpec, FAULT_HEADER, FakeCloud, Kind, NONCE_HEADER, Protocol};
use riparian_proxy::server::Running;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use support::h2::{Authority, connect, file, over};
use support::origin::endpoints;
use support::raw::{PATIENCE, Raw, eventually};
use support::{Clouds, QUIET, SPLIT, chat, proxy};

const CHAT: &str = "/v1/chat/completions";
const PLAIN: &str = "listeners: [{ name: apps, bind: 127.0.0.1:0 }]";

fn h2c(config: &str) -> String {
    config.replace(PLAIN, "listeners: [{ name: apps, bind: 127.0.0.1:0, protocol: h2c }]")
}

fn request(path: &str, body: &Value) -> Request<Full<Bytes>> {
    Request::post(format!("http://proxy{path}"))
        .header("authorization", "Bearer app")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body.to_string())))
        .unwrap()
}

fn streamed() -> Value {
    let mut body = chat();
    body["stream"] = json!(true);
    body
}

fn address(running: &Running) -> SocketAddr {
    support::address(running)
}

async fn ask(
    sender: &mut SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> (StatusCode, http::HeaderMap, Bytes) {
    let answer = sender.send_request(request).await.unwrap();
    let (head, body) = answer.into_parts();
    assert_eq!(head.version, Version::HTTP_2);
    (head.status, head.headers, body.collect().await.unwrap().to_bytes())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_and_streamed_over_http2_in_the_clear() {
    let clouds = Clouds::start().await;
    let running = proxy(&h2c(&clouds.config(SPLIT, QUIET))).await;
    let mut sender = connect(address(&running)).await;
    let (status, headers, body) = ask(&mut sender, request(CHAT, &chat())).await;
    assert_eq!(status, 200);
    assert_eq!(
        (&headers["x-riparian-cloud"], &headers["x-riparian-class"]),
        (&"azure".parse().unwrap(), &"stateless".parse().unwrap())
    );
    assert!(serde_json::from_slice::<Value>(&body).is_ok());
    for hop in ["connection", "transfer-encoding", "keep-alive"] {
        assert!(!headers.contains_key(hop), "{hop} has no place in HTTP/2");
    }

    let (status, headers, body) = ask(&mut sender, request(CHAT, &streamed())).await;
    assert_eq!(
        (status, &headers["content-type"]),
        (StatusCode::OK, &"text/event-stream; charset=utf-8".parse().unwrap())
    );
    assert!(body.ends_with(b"data: [DONE]\n\n"));

    let (_, _, body) =
        ask(&mut sender, request("/v1/responses", &json!({ "model": "gpt-5.5", "input": "x" }))).await;
    let id = serde_json::from_slice::<Value>(&body).unwrap()["id"].clone();
    let next = json!({ "model": "gpt-5.5", "input": "x", "previous_response_id": id, "stream": true });
    let (status, headers, _) = ask(&mut sender, request("/v1/responses", &next)).await;
    assert_eq!((status, &headers["x-riparian-reason"]), (StatusCode::OK, &"held".parse().unwrap()));

    let get = Request::get("http://proxy/v1/models").body(Full::default()).unwrap();
    assert_eq!(ask(&mut sender, get).await.0, 200);
    let unknown = json!({ "model": "gpt-5.5", "input": "x", "previous_response_id": "resp_nobody" });
    let (status, _, body) = ask(&mut sender, request("/v1/responses", &unknown)).await;
    assert_eq!(status, 400);
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["error"]["code"], "unknown_handle");
    assert_eq!(
        ask(&mut sender, request(CHAT, &chat())).await.0,
        200,
        "a refusal ends its stream, not the connection"
    );
    assert_eq!(clouds.aws.counts().foreign_handle, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_streams_on_one_connection_do_not_mix() {
    let clouds = Clouds::start().await;
    let running = proxy(&h2c(&clouds.config(SPLIT, QUIET))).await;
    let sender = connect(address(&running)).await;
    let streams: Vec<_> = (0..60)
        .map(|number| {
            let mut sender = sender.clone();
            tokio::spawn(async move {
                let nonce = format!("nonce-{number:016}");
                let mut request = request(CHAT, &streamed());
                request.headers_mut().insert(NONCE_HEADER, nonce.parse().unwrap());
                let (status, _, body) = ask(&mut sender, request).await;
                assert_eq!(status, 200);
                let text = String::from_utf8(body.to_vec()).unwrap();
                assert!(text.contains(&nonce) && text.ends_with("data: [DONE]\n\n"));
                for (at, _) in text.match_indices("nonce-") {
                    assert_eq!(&text[at..at + nonce.len()], nonce);
                }
            })
        })
        .collect();
    for stream in streams {
        stream.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_stream_is_reset_and_its_neighbours_go_on() {
    let clouds = Clouds::start().await;
    let running = proxy(&h2c(&clouds.config(SPLIT, QUIET))).await;
    let mut sender = connect(address(&running)).await;
    for fault in ["cut-mid-stream", "stall-mid-stream"] {
        let mut cut = request(CHAT, &streamed());
        cut.headers_mut().insert(FAULT_HEADER, fault.parse().unwrap());
        let mut neighbour = request(CHAT, &streamed());
        neighbour.headers_mut().insert(FAULT_HEADER, "slow-first-byte:300".parse().unwrap());
        let beside = sender.send_request(neighbour);
        let cut = sender.clone().send_request(cut).await.unwrap();
        assert_eq!(cut.status(), 200);
        assert!(cut.into_body().collect().await.is_err(), "{fault}: it must not look complete");
        let beside = beside.await.unwrap().into_body().collect().await.unwrap().to_bytes();
        assert!(beside.ends_with(b"data: [DONE]\n\n"), "{fault}");
        assert_eq!(ask(&mut sender, request(CHAT, &chat())).await.0, 200, "{fault}: the connection goes on");
    }
    let mut stalled = request(CHAT, &streamed());
    stalled.headers_mut().insert(FAULT_HEADER, "stall".parse().unwrap());
    assert_eq!(ask(&mut sender, stalled).await.0, 504, "late before the first byte");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_resets_its_stream_takes_the_request_along() {
    let slow = CloudSpec::new(Kind::OpenAi, "one").streaming(1000, Duration::from_millis(20));
    let cloud = FakeCloud::start(slow).await.unwrap();
    let config =
        endpoints(&[("one", &cloud.url(), "")], QUIET).replace("credential: none", "credential: passthrough");
    let running = proxy(&h2c(&config)).await;
    let mut sender = connect(address(&running)).await;
    let own = |fault: &str| {
        let mut request = request(CHAT, &streamed());
        request.headers_mut().insert("authorization", "Bearer key-of-one".parse().unwrap());
        if !fault.is_empty() {
            request.headers_mut().insert(FAULT_HEADER, fault.parse().unwrap());
        }
        request
    };
    let mut answer = sender.send_request(own("")).await.unwrap();
    answer.frame().await.unwrap().unwrap();
    drop(answer);
    assert!(cloud.wait_for(Duration::from_secs(5), |counts| counts.client_gone == 1).await, "in mid-stream");

    let pending = tokio::spawn(sender.send_request(own("stall")));
    assert!(cloud.wait_for(PATIENCE, |counts| counts.requests == 2).await);
    pending.abort();
    // `first_byte_within` would end it after 2 s, too: to be told apart it must be gone sooner.
    assert!(
        cloud.wait_for(Duration::from_millis(1500), |counts| counts.client_gone == 2).await,
        "before the first byte"
    );

    let mut answer = sender.send_request(own("")).await.unwrap();
    answer.frame().await.unwrap().unwrap();
    drop((answer, sender));
    assert!(
        cloud.wait_for(Duration::from_secs(5), |counts| counts.client_gone == 3).await,
        "with its whole connection"
    );
    eventually("nothing is carried any more", || running.house.gate.streams() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_are_judged_over_http2_too() {
    let clouds = Clouds::start().await;
    let running = proxy(&h2c(&clouds.config(SPLIT, QUIET))).await;
    let with = |name: &'static str, value: String| {
        let mut request = request(CHAT, &chat());
        request.headers_mut().append(name, value.parse().unwrap());
        request
    };
    let mut sender = connect(address(&running)).await;
    assert_eq!(
        ask(&mut sender, with("authorization", "Bearer other".to_owned())).await.0,
        400,
        "two credentials"
    );
    assert_eq!(ask(&mut sender, with("content_length", "5".to_owned())).await.0, 400, "a look-alike");
    let mut long = request(CHAT, &chat());
    *long.uri_mut() = format!("http://proxy{CHAT}?{}", "a".repeat(9 << 10)).parse().unwrap();
    assert_eq!(ask(&mut sender, long).await.0, 414);
    let mut many = request(CHAT, &chat());
    (0..120).for_each(|number| {
        many.headers_mut().append("x-many", format!("{number}").parse().unwrap());
    });
    assert_eq!(ask(&mut sender, many).await.0, 431);

    // Over the limit that we announce, a client does not even send it, or the server answers for us; it never passes.
    let big = sender.send_request(with("x-big", "a".repeat(100 << 10))).await;
    assert!(big.as_ref().map_or(true, |answer| answer.status() == 431), "{big:?}");
    assert_eq!(
        clouds.all().iter().map(|cloud| cloud.counts().requests).sum::<u64>(),
        0,
        "none of these reached a cloud"
    );
    let mut fresh = connect(address(&running)).await;
    assert_eq!(ask(&mut fresh, request(CHAT, &chat())).await.0, 200);

    // A body over the limit.
    let small = "telemetry: { access_log: off }\nlimits: { body: 64KiB }";
    let running = proxy(&h2c(&clouds.config(SPLIT, small))).await;
    let mut sender = connect(address(&running)).await;
    let large =
        json!({ "model": "gpt-5.5", "messages": [{ "role": "user", "content": "x".repeat(2 << 20) }] });
    match sender.send_request(request(CHAT, &large)).await {
        Ok(answer) => assert_eq!(answer.status(), 413),
        Err(error) => panic!("a refusal that does not arrive: {error:?}"),
    }
    assert_eq!(ask(&mut sender, request(CHAT, &chat())).await.0, 200, "the connection goes on");
    eventually("no byte is held any more", || running.house.gate.held() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_http2_is_not_answered_on_its_listener() {
    let clouds = Clouds::start().await;
    let running = proxy(&h2c(&clouds.config(SPLIT, QUIET))).await;
    for bytes in [
        "GET /v1/models HTTP/1.1\r\nhost: a\r\n\r\n",
        "PRI * HTTP/2.1\r\n\r\nSM\r\n\r\n",
        "\x16\x03\x01",
        "PRI * HTTP/2.0\r\n",
    ] {
        let mut client = Raw::connect(address(&running)).await;
        client.send(bytes).await;
        assert!(
            client.is_closed().await,
            "{bytes:?}: closed without a word, the last one at the head's deadline"
        );
    }
    let mut client = Raw::connect(address(&running)).await;
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n garbage that is no frame at all, and more of it").await;
    eventually("garbage behind the preface ends the connection", || {
        running.house.metrics.render().lines().any(|line| line == "riparian_connections_open 0")
    })
    .await;
    assert_eq!(clouds.all().iter().map(|cloud| cloud.counts().requests).sum::<u64>(), 0);
}

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
        assert_eq!(answer.end, support::raw::End::Cut, "{what}: a stream that was reset");
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
