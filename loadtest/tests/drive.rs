//! The driver's ways: connections, protocols, sizes, courses of answers, progress.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use riparian_loadtest::{CloudSpec, FakeCloud, Http, Kind, Plan, Protocol, Verdict, drive};

fn plan(target: String, mix: &str) -> Plan {
    let mut plan = Plan::new(target, 200.0, Duration::from_millis(300));
    plan.mix = mix.parse().expect("a good mix");
    plan.credential = Some("k".to_owned());
    plan
}

fn spec() -> CloudSpec {
    CloudSpec::new(Kind::OpenAi, "one").credential("k")
}

async fn whole(plan: Plan) -> drive::Run {
    let run = drive::run(plan, |_| {}).await.expect("a good plan");
    let odd = run.samples.iter().find(|sample| sample.verdict != Verdict::Whole);
    assert!(odd.is_none() && !run.samples.is_empty(), "{odd:?}");
    run
}

#[tokio::test]
async fn a_set_number_of_connections_is_kept() -> io::Result<()> {
    let cloud = FakeCloud::start(spec()).await?;
    let mut plan = plan(cloud.base_url(), "chat; answers: plan");
    plan.connections = Some(3);
    let run = whole(plan).await;
    assert!(run.samples.len() > 20);
    assert!((1..=3).contains(&cloud.counts().connections), "{:?}", cloud.counts());
    Ok(())
}

#[tokio::test]
async fn http2_shares_a_few_connections() -> io::Result<()> {
    let cloud = FakeCloud::start(spec().protocol(Protocol::H2c)).await?;
    let mut plan = plan(cloud.base_url(), "chat,chat-stream,chain; sizes: 1k,100k");
    plan.http = Http::Two;
    plan.connections = Some(2);
    whole(plan).await;
    assert_eq!(cloud.counts().connections, 2);
    assert!(cloud.seen().iter().all(|seen| seen.version == http::Version::HTTP_2));
    Ok(())
}

#[tokio::test]
async fn over_tls_alpn_decides_and_the_authority_is_checked() -> io::Result<()> {
    let cert = rcgen::generate_simple_self_signed(["localhost".to_owned()]).map_err(io::Error::other)?;
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).map_err(io::Error::other)?;
    for h2 in [false, true] {
        let (cert_pem, key_pem) = (cert.cert.pem(), cert.signing_key.serialize_pem());
        let cloud = FakeCloud::start(spec().protocol(Protocol::Tls { cert_pem, key_pem, h2 })).await?;
        let target = format!("https://localhost:{}/v1", cloud.addr().port());
        let mut plan = plan(target, "chat,chat-stream");
        plan.http = Http::ByAlpn;
        plan.ca_pem = Some(cert.cert.pem());
        whole(plan.clone()).await;
        let version = if h2 { http::Version::HTTP_2 } else { http::Version::HTTP_11 };
        assert!(cloud.seen().iter().all(|seen| seen.version == version), "h2: {h2}");
        plan.ca_pem = Some(other.cert.pem());
        let run = drive::run(plan.clone(), |_| {}).await.expect("a good plan");
        assert!(run.samples.iter().all(|sample| matches!(sample.verdict, Verdict::Unanswered(_))));
        plan.ca_pem = None;
        let why = drive::run(plan, |_| {}).await.expect_err("nobody vouches for it");
        assert!(why.contains("--ca"), "{why}");
    }
    Ok(())
}

#[tokio::test]
async fn answers_go_as_they_were_asked_to() -> io::Result<()> {
    let cloud = FakeCloud::start(spec()).await?;
    let run = whole(plan(cloud.base_url(), "chat-stream; answers: 12/10ms/100b")).await;
    for sample in &run.samples {
        assert!(sample.answer_bytes > 12 * 100, "{} bytes", sample.answer_bytes);
        assert!(sample.duration >= Duration::from_millis(110), "{:?}", sample.duration);
        assert!(sample.gap_max >= Some(Duration::from_millis(5)), "{:?}", sample.gap_max);
    }
    let run = whole(plan(cloud.base_url(), "chat; answers: 12/0ms/100b")).await;
    assert!(run.samples.iter().all(|sample| sample.answer_bytes > 12 * 100));
    Ok(())
}

#[tokio::test]
async fn bodies_come_in_the_sizes_of_the_mix() -> io::Result<()> {
    let cloud = FakeCloud::start(spec()).await?;
    let mut plan = plan(cloud.base_url(), "chat=3,response; sizes: 1k=6,16k=3,100k=2,1m=1,10m=1");
    plan.rate = 60.0;
    whole(plan).await;
    let sizes = [1usize << 10, 16 << 10, 100 << 10, 1 << 20, 10 << 20].map(|bytes| bytes as u64);
    let seen = cloud.seen();
    assert!(seen.iter().all(|seen| sizes.contains(&seen.body_bytes)));
    assert!(seen.iter().any(|seen| seen.body_bytes >= 16 << 10));
    Ok(())
}

#[tokio::test]
async fn progress_is_told_and_the_drivers_own_time_counted() -> io::Result<()> {
    let cloud = FakeCloud::start(spec()).await?;
    let told = Arc::new(Mutex::new(Vec::new()));
    let mut plan = plan(cloud.base_url(), "chat");
    plan.duration = Duration::from_millis(1500);
    let run = {
        let told = Arc::clone(&told);
        drive::run(plan, move |progress| told.lock().expect("nobody panics here").push(*progress)).await
    };
    let run = run.expect("a good plan");
    let told = told.lock().expect("nobody panics here");
    let last = told.last().expect("the end is told");
    assert!(told.len() >= 2 && told[0].rate > 20.0 && told[0].p50 > Duration::ZERO, "{told:?}");
    assert_eq!((last.ended, last.in_flight, last.findings), (run.samples.len() as u64, 0, 0));
    assert!(run.own_cpu > Duration::ZERO);
    Ok(())
}
