//! Each fault does what it says, and is recorded for what it was.

mod common;

use std::io::{self, Read as _};
use std::time::{Duration, Instant};

use common::Client;
use http_body_util::BodyExt as _;
use riparian_loadtest::{CloudSpec, FAULT_HEADER, FakeCloud, Fault, Kind, Outcome, Protocol};

const CHAT: &str = r#"{"model":"gpt-5.5","messages":[]}"#;
const STREAM: &str = r#"{"model":"gpt-5.5","messages":[],"stream":true}"#;
const LINE: &str = "POST /v1/chat/completions";

async fn start() -> io::Result<FakeCloud> {
    FakeCloud::start(CloudSpec::new(Kind::OpenAi, "c")).await
}

#[tokio::test]
async fn refuse_closes_the_port_and_heal_opens_the_same() -> io::Result<()> {
    let cloud = start().await?;
    let client = Client::new();
    let first = client.send(&cloud, "POST /v1/responses", r#"{"model":"gpt-5.5","input":"x"}"#).await.json();
    let addr = cloud.addr();
    for _ in 0..3 {
        cloud.fault(Fault::Refuse).await;
        let refused = tokio::net::TcpStream::connect(addr).await.expect_err("the port is closed");
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        assert!(client.open(&cloud, LINE, CHAT).await.is_err(), "no idle connection is left to be used");
        assert!(std::net::TcpListener::bind(addr).is_ok(), "nobody listens");
        cloud.heal().await?;
        assert_eq!(client.send(&cloud, LINE, CHAT).await.status, 200);
    }
    let line = format!("GET /v1/responses/{}", first["id"].as_str().expect("an id"));
    assert_eq!(client.send(&cloud, &line, "").await.status, 200, "its state outlives the outage");
    Ok(())
}

#[tokio::test]
async fn resets_come_without_an_answer() -> io::Result<()> {
    for protocol in [Protocol::Http1, Protocol::H2c] {
        let client = if matches!(protocol, Protocol::H2c) { Client::h2c() } else { Client::new() };
        let cloud = FakeCloud::start(CloudSpec::new(Kind::OpenAi, "c").protocol(protocol)).await?;
        for fault in [Fault::ResetBeforeHeaders, Fault::ResetMidBody(4)] {
            cloud.fault_next(1, fault);
            assert!(client.open(&cloud, LINE, CHAT).await.is_err(), "{fault:?}");
        }
        assert_eq!(client.send(&cloud, LINE, CHAT).await.status, 200, "the fault was for one request");
        let outcomes: Vec<_> = cloud.seen().iter().map(|seen| seen.outcome).collect();
        assert_eq!(outcomes, [Outcome::Faulted, Outcome::Faulted, Outcome::Ok]);
    }
    Ok(())
}

#[tokio::test]
async fn a_reset_is_a_reset_on_the_wire() -> io::Result<()> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let cloud = start().await?;
    cloud.fault(Fault::ResetBeforeHeaders).await;
    let mut stream = tokio::net::TcpStream::connect(cloud.addr()).await?;
    stream.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}").await?;
    let error = stream.read(&mut [0; 16]).await.expect_err("neither an answer nor a polite end");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    Ok(())
}

#[tokio::test]
async fn statuses_come_in_the_vendors_envelope() -> io::Result<()> {
    let cloud = start().await?;
    let client = Client::new();
    let reply = client.send_with(&cloud, LINE, CHAT, &[(FAULT_HEADER, "status-429:7")]).await;
    assert_eq!((reply.status.as_u16(), &reply.headers["retry-after"]), (429, &"7".parse().expect("a value")));
    assert_eq!(reply.json()["error"]["code"], "rate_limit_exceeded");
    for status in [500, 503] {
        cloud.fault(Fault::Status { status, retry_after_seconds: None }).await;
        assert_eq!(client.send(&cloud, LINE, CHAT).await.status, status);
    }
    assert_eq!(cloud.counts().faulted, 3);
    assert_eq!(client.send_with(&cloud, LINE, CHAT, &[(FAULT_HEADER, "nonsense")]).await.status, 400);
    Ok(())
}

#[tokio::test]
async fn a_cut_stream_does_not_end_well() -> io::Result<()> {
    for protocol in [Protocol::Http1, Protocol::H2c] {
        let client = if matches!(protocol, Protocol::H2c) { Client::h2c() } else { Client::new() };
        let cloud = FakeCloud::start(CloudSpec::new(Kind::OpenAi, "c").protocol(protocol)).await?;
        cloud.fault(Fault::CutMidStream).await;
        let mut body = client.open(&cloud, LINE, STREAM).await.expect("a head").into_body();
        let mut bytes = 0;
        let ended_well = loop {
            match body.frame().await {
                Some(Ok(frame)) => bytes += frame.data_ref().map_or(0, bytes::Bytes::len),
                Some(Err(_)) => break false,
                None => break true,
            }
        };
        assert!(!ended_well && bytes > 0, "half of the stream arrives, then an error: {bytes} bytes");
        assert_eq!(cloud.seen()[0].outcome, Outcome::Faulted);
    }
    Ok(())
}

#[tokio::test]
async fn stalls_last_until_the_client_gives_up() -> io::Result<()> {
    let cloud = start().await?;
    for (fault, body) in [(Fault::Stall, CHAT), (Fault::StallMidStream, STREAM)] {
        cloud.clear();
        cloud.fault(fault).await;
        let client = Client::new();
        let exchange = async {
            let response = client.open(&cloud, LINE, body).await.expect("a head");
            response.into_body().collect().await.map(http_body_util::Collected::to_bytes)
        };
        assert!(
            tokio::time::timeout(Duration::from_millis(100), exchange).await.is_err(),
            "{fault:?} answered"
        );
        drop(client);
        assert!(cloud.wait_for(Duration::from_secs(5), |counts| counts.client_gone == 1).await, "{fault:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_slow_first_byte_is_slow_and_gzip_is_gzip() -> io::Result<()> {
    let cloud = start().await?;
    let client = Client::new();
    cloud.fault_next(1, Fault::SlowFirstByte(Duration::from_millis(60)));
    let start = Instant::now();
    assert_eq!(client.send(&cloud, LINE, CHAT).await.status, 200);
    assert!(start.elapsed() >= Duration::from_millis(60));
    cloud.fault(Fault::Gzip).await;
    for (body, end) in [(CHAT, "}"), (STREAM, "data: [DONE]\n\n")] {
        let reply = client.send(&cloud, LINE, body).await;
        assert_eq!(reply.headers["content-encoding"], "gzip");
        let mut text = String::new();
        flate2::read::GzDecoder::new(&reply.body[..]).read_to_string(&mut text)?;
        assert!(text.ends_with(end), "{text}");
    }
    Ok(())
}
