//! Each check of the oracle is seen to fail at a relay that does one thing wrong, and to hold at one that does nothing wrong,
//! however badly clients and clouds behave.

mod common;

use std::io;
use std::time::Duration;

use common::relay::{Wrong, relay};
use riparian_loadtest::{
    CloudSpec, FakeCloud, Findings, Kind, Mix, Outcome, Plan, Report, Rules, Run, Sight, Verdict, drive,
    oracle,
};

async fn start() -> io::Result<FakeCloud> {
    let spec = CloudSpec::new(Kind::OpenAi, "one").credential("k").streaming(6, Duration::from_millis(1));
    FakeCloud::start(spec).await
}

async fn run(target: String, mix: &str, cloud: &FakeCloud, rules: &Rules) -> (Run, Findings, Report) {
    let mut plan = Plan::new(target, 200.0, Duration::from_millis(400));
    plan.mix = mix.parse::<Mix>().expect("a good mix");
    plan.credential = Some("k".to_owned());
    plan.within = Duration::from_secs(5);
    let run = drive::run(plan, |_| {}).await.expect("a good plan");
    // A client that vanished has left, but the cloud may not know yet.
    assert!(cloud.wait_for(Duration::from_secs(5), |counts| counts.open == 0).await, "{:?}", cloud.counts());
    let sights = [Sight::from(cloud)];
    let findings = oracle::judge(rules, &run, &sights);
    let report = Report::new(rules, &run, &sights, findings.clone());
    assert!(run.samples.len() > 20, "{report}");
    (run, findings, report)
}

/// What a relay's mistake must be found as, and how often at least.
#[tokio::test]
async fn every_mistake_is_found_as_what_it_is() -> io::Result<()> {
    type Count = fn(&Findings) -> usize;
    let altered: Count = |findings| findings.altered.len();
    let broken: Count = |findings| findings.broken.len();
    let table: [(Wrong, &str, Count); 8] = [
        (Wrong::RequestByte, "chat,chain; sizes: 1k,16k", altered),
        (Wrong::AnswerByte, "chat,chat-stream", altered),
        (Wrong::ShortStream, "chat-stream,chain-stream", broken),
        (Wrong::MadeUpDone, "chat-stream", broken),
        (Wrong::AnswerBefore, "chat,chat-stream", |findings| findings.cross_talk.len()),
        (Wrong::Twice, "chat,response", |findings| findings.repeated.len()),
        (Wrong::HalfBody, "chat; sizes: 16k; clients: vanish-sending", altered),
        (Wrong::HiddenFailure, "chat; faults: status-503,status-500", broken),
    ];
    for (wrong, mix, count) in table {
        let cloud = start().await?;
        let addr = relay(&cloud, wrong).await;
        let (run, findings, report) = run(format!("http://{addr}/v1"), mix, &cloud, &Rules::default()).await;
        let found = count(&findings);
        // On a busy machine a client that vanishes may be gone before anybody has read its head.
        let enough = run.samples.len() * 9 / 10;
        assert!(found >= enough, "{wrong:?}: {found} of {}\n{report}", run.samples.len());
        assert!(!findings.is_clean(), "{wrong:?}");
        let all = findings.violations().count();
        assert_eq!(all, found, "{wrong:?} is found as nothing else\n{report}");
    }
    Ok(())
}

const NASTY: &str = "chat=3,chat-stream=3,embeddings,response=2,chain=2,chain-stream=2,conversation; \
    sizes: plan=2,1k=4,16k=2,100k=2,1m=1; answers: plan,20/1ms/64b; \
    clients: good=80,slow-reader=5,vanish-sending=5,vanish-reading=5,slow-sender=1; \
    faults: none=80,reset-before-headers=3,reset-mid-body=3,status-503:1=3,status-429=3,cut-mid-stream=3,gzip=3,slow-first-byte:30=2";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_clients_and_failing_clouds_are_no_findings() -> io::Result<()> {
    for through_relay in [false, true] {
        let cloud = start().await?;
        let target = match through_relay {
            true => format!("http://{}/v1", relay(&cloud, Wrong::Nothing).await),
            false => cloud.base_url(),
        };
        let (run, findings, report) = run(target, NASTY, &cloud, &Rules::default()).await;
        assert!(findings.is_clean(), "{report}");
        let of = |verdict: fn(&Verdict) -> bool| {
            run.samples.iter().filter(|sample| verdict(&sample.verdict)).count()
        };
        assert!(of(|verdict| *verdict == Verdict::Left) > 0, "some clients vanished\n{report}");
        assert!(of(|verdict| *verdict == Verdict::Whole) > run.samples.len() / 2, "{report}");
        let plain = run.samples.iter().filter(|sample| !sample.recipe.excuses());
        assert!(
            plain.clone().all(|sample| sample.verdict == Verdict::Whole),
            "the others were not disturbed\n{report}"
        );
        // Half a body is never in the journal as a whole one.
        let gone: Vec<_> =
            cloud.seen().into_iter().filter(|seen| seen.outcome == Outcome::ClientGone).collect();
        assert!(gone.iter().all(|seen| seen.answer_sha256 == [0; 32]), "{report}");
    }
    Ok(())
}

#[tokio::test]
async fn a_stall_is_excused_and_a_stall_that_nobody_asked_for_is_not() -> io::Result<()> {
    let cloud = start().await?;
    let mut plan = Plan::new(cloud.base_url(), 100.0, Duration::from_millis(200));
    plan.credential = Some("k".to_owned());
    plan.within = Duration::from_millis(300);
    plan.mix = "chat,chat-stream; faults: stall,stall-mid-stream".parse().expect("a good mix");
    let stalled = drive::run(plan.clone(), |_| {}).await.expect("a good plan");
    let findings = oracle::judge(&Rules::default(), &stalled, &[Sight::from(&cloud)]);
    assert!(findings.is_clean() && findings.excused > 0, "{findings:?}");
    cloud.clear();
    cloud.fault(riparian_loadtest::Fault::Stall).await;
    plan.mix = "chat".parse().expect("a good mix");
    let stalled = drive::run(plan, |_| {}).await.expect("a good plan");
    let findings = oracle::judge(&Rules::default(), &stalled, &[Sight::from(&cloud)]);
    assert_eq!((findings.unanswered.len(), findings.excused), (stalled.samples.len(), 0));
    Ok(())
}

const CONTRACT: &str = "
clouds: { openai: {}, azure: {} }
contract:
  enforce: strict
  readings: { strict: { stateful_from: creates } }
  terms:
    - { id: past, until: 2020-01-01, only: [azure] }
    - { id: stateless, from: 2020-01-01, when: { class: stateless, vendor: openai }, only: [openai] }
    - { id: stateful, from: 2020-01-01, when: { class: stateful }, only: [CLOUD] }
";

#[tokio::test]
async fn a_leak_is_judged_by_the_text_of_the_configuration() -> io::Result<()> {
    let mix = "chat=2,chat-stream,embeddings,response,chain,conversation";
    for (stateful, leaks) in [("openai", false), ("azure", true)] {
        let rules = Rules::from_config(&CONTRACT.replace("CLOUD", stateful), |_| Err("none".to_owned()))
            .expect("a contract");
        let cloud = start().await?;
        let (_, findings, report) = run(cloud.base_url(), mix, &cloud, &rules).await;
        assert_eq!(!findings.leaks.is_empty(), leaks, "{report}");
        assert_eq!(findings.is_clean(), !leaks, "{report}");
        assert!(findings.leaks.iter().all(|leak| leak.what.starts_with("stateful POST")), "{report}");
    }
    Ok(())
}
