//! Many open streams: held, measured, and seen to break.

use std::io;
use std::time::Duration;

use riparian_loadtest::streams::{self, StreamsPlan};
use riparian_loadtest::{CloudSpec, FakeCloud, Fault, Kind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

fn plan(target: String) -> StreamsPlan {
    let mut plan = StreamsPlan::new(target);
    plan.streams = 200;
    plan.open_rate = 2000.0;
    plan.hold = Duration::from_millis(600);
    plan.gap = Duration::from_millis(50);
    plan.before = Duration::from_millis(200);
    plan.fresh_rate = 100.0;
    plan.credential = Some("k".to_owned());
    plan.within = Duration::from_secs(5);
    plan
}

async fn cloud() -> io::Result<FakeCloud> {
    FakeCloud::start(CloudSpec::new(Kind::OpenAi, "one").credential("k")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_are_held_while_fresh_requests_go_on() -> io::Result<()> {
    let cloud = cloud().await?;
    let mut plan = plan(cloud.base_url());
    plan.pid = Some(std::process::id());
    let report = streams::run(&plan, |_| {}).await.expect("a good plan");
    assert!(report.is_clean(), "{report}");
    assert!(report.held_chunks >= 200 * 5 && report.gap.p50_us >= 30_000, "{report}");
    assert!(report.before.answered > 0 && report.during.answered > 0, "{report}");
    assert!(report.memory.iter().any(|point| point.open == 200), "{:?}", report.memory);
    assert!(report.bytes_per_stream().is_some() && report.target_cpu.is_some(), "{report}");
    assert_eq!(report.json()["opened"], 200);
    // The clients' own close is a close: nothing goes on behind their backs.
    assert!(cloud.wait_for(Duration::from_secs(5), |counts| counts.open == 0).await, "{:?}", cloud.counts());
    Ok(())
}

#[tokio::test]
async fn refused_streams_are_told_by_their_reason() -> io::Result<()> {
    let cloud = cloud().await?;
    cloud.fault(Fault::Status { status: 503, retry_after_seconds: None }).await;
    let report = streams::run(&plan(cloud.base_url()), |_| {}).await.expect("a good plan");
    assert!(!report.is_clean() && report.opened == 0, "{report}");
    assert_eq!(report.broken.get("HTTP/1.1 503 Service Unavailable"), Some(&200), "{report}");
    assert!(report.during.failed > 0, "{report}");
    Ok(())
}

/// Answers every request with one event and the end of the stream, however politely.
async fn short_answers() -> io::Result<std::net::SocketAddr> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                    let answer =
                        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\ndata: x\n\n\r\n0\r\n\r\n";
                    if stream.write_all(answer).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    Ok(addr)
}

#[tokio::test]
async fn a_stream_that_ends_is_broken_even_if_its_connection_stays() -> io::Result<()> {
    let mut plan = plan(format!("http://{}/v1", short_answers().await?));
    plan.before = Duration::ZERO;
    let report = streams::run(&plan, |_| {}).await.expect("a good plan");
    assert!(!report.is_clean(), "{report}");
    assert_eq!(report.broken.get("the stream was ended"), Some(&200), "{report}");
    Ok(())
}
