//! The driver and the oracle find what is wrong, and find nothing where nothing is.

mod common;

use std::io;
use std::time::Duration;

use bytes::Bytes;
use common::careless_relay;
use riparian_loadtest::{
    CloudSpec, FakeCloud, Fault, Findings, Kind, Mix, Plan, Report, Rules, Run, Sight, drive, oracle,
};

async fn start(name: &str, cloud: &str) -> io::Result<FakeCloud> {
    let mut spec = CloudSpec::new(Kind::OpenAi, name).credential("k").streaming(6, Duration::from_millis(1));
    spec.cloud = cloud.to_owned();
    FakeCloud::start(spec).await
}

async fn run(target: String, mix: &str, clouds: &[&FakeCloud], rules: &[&str]) -> (Run, Findings, Report) {
    let mut plan = Plan::new(target, 400.0, Duration::from_millis(300));
    plan.mix = mix.parse::<Mix>().expect("a good mix");
    plan.credential = Some("k".to_owned());
    plan.padding_bytes = 300;
    let run = drive::run(plan, |_| {}).await.expect("a good plan");
    let rules = Rules::parse(rules.iter().copied()).expect("good rules");
    let sights: Vec<Sight> = clouds.iter().map(|&cloud| cloud.into()).collect();
    let findings = oracle::judge(&rules, &run, &sights);
    let report = Report::new(&rules, &run, &sights, findings.clone());
    (run, findings, report)
}

const ALL: &str = "chat=2,chat-stream=2,embeddings=2,response=2,chain=1,chain-stream=1,conversation=1";

#[tokio::test]
async fn a_faultless_way_has_no_findings() -> io::Result<()> {
    let cloud = start("one", "openai").await?;
    let rules = ["stateless=openai", "stateful=openai", "creates=stateful"];
    let (run, findings, report) = run(cloud.base_url(), ALL, &[&cloud], &rules).await;
    assert!(run.samples.len() > 50, "{report}");
    assert!(findings.is_clean(), "{report}");
    assert!(run.samples.iter().all(|sample| sample.status == Some(200)), "{report}");
    assert!(run.samples.iter().any(|sample| sample.recipe.turn == 3), "chains have follow-ups");
    let counts = cloud.counts();
    assert!(counts.continues > 0 && counts.creates > 0 && counts.stateless > 0, "{counts:?}");
    assert_eq!(report.json()["findings"]["leaks"], 0);
    assert_eq!(report.json()["requests"], run.samples.len());
    Ok(())
}

#[tokio::test]
async fn a_round_robin_leaks_and_misplaces() -> io::Result<()> {
    let (one, two) = (start("one", "azure").await?, start("two", "aws").await?);
    let relay = careless_relay(&[&one, &two], Bytes::clone).await;
    let rules = ["stateless=azure", "stateful=aws"];
    let (_, findings, report) = run(format!("http://{relay}/v1"), ALL, &[&one, &two], &rules).await;
    assert!(!findings.leaks.is_empty() && !findings.misplaced.is_empty(), "{report}");
    assert!(
        findings.leaks.iter().any(|leak| leak.endpoint == "two" && leak.what.starts_with("stateless")),
        "{report}"
    );
    assert!(findings.altered.is_empty() && findings.cross_talk.is_empty(), "{report}");
    assert!(!findings.is_clean());
    Ok(())
}

fn reserialise(body: &Bytes) -> Bytes {
    let value: serde_json::Value = serde_json::from_slice(body).expect("JSON");
    value.to_string().into()
}

fn splice(body: &Bytes) -> Bytes {
    let text = String::from_utf8(body.to_vec()).expect("text");
    text.replacen(r#""model": "gpt-5.5""#, r#""model": "gpt55-prod""#, 1).into()
}

#[tokio::test]
async fn altered_bytes_are_found_and_a_spliced_model_is_not() -> io::Result<()> {
    let spec = CloudSpec::new(Kind::OpenAi, "one").credential("k").models(["gpt-5.5", "gpt55-prod"]);
    let cloud = FakeCloud::start(spec).await?;
    let relay = careless_relay(&[&cloud], splice).await;
    let (_, findings, report) = run(format!("http://{relay}/v1"), "chat,chain", &[&cloud], &[]).await;
    assert!(findings.is_clean(), "only the model was changed\n{report}");
    assert!(cloud.seen().iter().all(|seen| seen.model.as_deref() == Some("gpt55-prod")));
    cloud.clear();
    let relay = careless_relay(&[&cloud], reserialise).await;
    let (run, findings, report) = run(format!("http://{relay}/v1"), "chat,chain", &[&cloud], &[]).await;
    assert_eq!(findings.altered.len(), run.samples.len(), "{report}");
    Ok(())
}

#[tokio::test]
async fn cuts_and_silence_are_told_apart() -> io::Result<()> {
    let cloud = start("one", "openai").await?;
    cloud.fault(Fault::CutMidStream).await;
    let (run, findings, report) = run(cloud.base_url(), "chat-stream", &[&cloud], &[]).await;
    assert_eq!(findings.cut.len(), run.samples.len(), "{report}");
    assert!(findings.broken.is_empty(), "the transport reported every cut\n{report}");
    cloud.fault(Fault::Refuse).await;
    let (run, findings, report) = self::run(cloud.base_url(), "chat", &[&cloud], &[]).await;
    assert!(!run.samples.is_empty() && findings.unanswered.len() == run.samples.len(), "{report}");
    Ok(())
}
