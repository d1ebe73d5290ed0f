//! Promise: HTTP/2 in the clear changes nothing of what is promised.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use riparian_loadtest::{CloudSpec, FAULT_HEADER, FakeCloud, Kind, NONCE_HEADER};
use serde_json::{Value, json};
use std::time::Duration;
use support::h2::{ask, connect, request, streamed};
use support::origin::endpoints;
use support::raw::{PATIENCE, Raw, eventually};
use support::{Clouds, QUIET, SPLIT, address, chat, proxy};

const CHAT: &str = "/v1/chat/completions";
const PLAIN: &str = "listeners: [{ name: apps, bind: 127.0.0.1:0 }]";

fn h2c(config: &str) -> String {
    config.replace(PLAIN, "listeners: [{ name: apps, bind: 127.0.0.1:0, protocol: h2c }]")
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
        // A cut that is seen before anything was passed on is a 502.
        if cut.status() != 502 || fault.starts_with("stall") {
            assert_eq!(cut.status(), 200, "{fault}");
            assert!(cut.into_body().collect().await.is_err(), "{fault}: it must not look complete");
        }
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
    let slow = CloudSpec::new(Kind::OpenAi, "one").streaming(3000, Duration::from_millis(20));
    let cloud = FakeCloud::start(slow).await.unwrap();
    // Nothing ends by itself meanwhile.
    let patient = QUIET.replace("_within: 2s", "_within: 60s").replace("idle: 2s", "idle: 60s");
    let config = endpoints(&[("one", &cloud.url(), "")], &patient)
        .replace("credential: none", "credential: passthrough");
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
    assert!(cloud.wait_for(PATIENCE, |counts| counts.client_gone == 1).await, "in mid-stream");

    let pending = tokio::spawn(sender.send_request(own("stall")));
    assert!(cloud.wait_for(PATIENCE, |counts| counts.requests == 2).await);
    pending.abort();
    assert!(cloud.wait_for(PATIENCE, |counts| counts.client_gone == 2).await, "before the first byte");

    let mut answer = sender.send_request(own("")).await.unwrap();
    answer.frame().await.unwrap().unwrap();
    drop((answer, sender));
    assert!(cloud.wait_for(PATIENCE, |counts| counts.client_gone == 3).await, "with its whole connection");
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
