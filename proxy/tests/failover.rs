//! Promise: failover stays inside the designation; what may have been processed is not sent twice; nothing is tried again after
//! the first byte.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use riparian_loadtest::{
    FAULT_HEADER, FakeCloud, Fault, Mix, NONCE_HEADER, Plan, Rules, Sight, drive, oracle,
};
use riparian_proxy::server::Running;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::origin::{EVENTS, Origin, chunk, endpoints};
use support::raw::{Answer, End, Raw, eventually};
use support::{Clouds, SPLIT, address, chat, proxy};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Notify;

const CHAT: &str = "/v1/chat/completions";

/// Endpoints that fail stay up, so that requests go on to try them.
const STAY_UP: &str = "
telemetry: { access_log: off }
limits: { connect_within: 1s, first_byte_within: 3s, idle: 3s }
health: { down_after: 1000 }
retries: { budget_floor: 1000 }
";

async fn ask(running: &Running, lines: &str) -> Answer {
    Raw::connect(address(running)).await.ask(CHAT, lines, chat().to_string()).await
}

fn session(number: usize) -> String {
    format!("x-session-id: s{number}\r\n")
}

/// A session whose requests meet `first` before any other endpoint.
async fn session_at(running: &Running, first: &str) -> String {
    for number in 0..64 {
        let lines = session(number);
        if ask(running, &lines).await.header("x-riparian-endpoint") == Some(first) {
            return lines;
        }
    }
    panic!("64 sessions, and none at {first}");
}

fn metric(running: &Running, name: &str) -> f64 {
    let text = running.house.metrics.render();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
}

fn arrivals(clouds: &Clouds) -> [u64; 4] {
    clouds.all().map(|cloud| cloud.counts().requests)
}

/// An address at which nobody listens.
async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_connection_goes_on_to_the_next_endpoint_of_the_set() {
    let clouds = Clouds::start().await;
    let running = proxy(&clouds.config(SPLIT, STAY_UP)).await;
    let lines = session_at(&running, "azure-one").await;
    clouds.azure_one.fault(Fault::Refuse).await;
    clouds.all().iter().for_each(|cloud| cloud.clear());
    let answer = ask(&running, &lines).await;
    assert_eq!((answer.status, answer.header("x-riparian-endpoint")), (200, Some("azure-two")));
    assert_eq!(arrivals(&clouds), [0, 1, 0, 0]);

    clouds.azure_two.fault(Fault::Refuse).await;
    let answer = ask(&running, &lines).await;
    assert_eq!(
        (answer.status, answer.reason()),
        (502, "upstream_connect"),
        "and then there is none: {}",
        answer.text()
    );
    assert_eq!(arrivals(&clouds), [0, 1, 0, 0], "no other cloud stands in");
}

/// Takes no more connections: their first packets are dropped, as by a network that swallows them.
async fn swallowing() -> (TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address)).await
    {
        waiting.push(stream.unwrap());
        assert!(waiting.len() < 64, "this system does not bound its backlog");
    }
    (listener, waiting)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_swallowed_times_out_and_the_next_endpoint_is_tried() {
    let (listener, _waiting) = swallowing().await;
    let black = format!("http://{}", listener.local_addr().unwrap());
    let good = Origin::saying("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", false).await;
    let running = proxy(&endpoints(&[("black", &black, ""), ("good", &good.url(), "")], STAY_UP)).await;
    let began = Instant::now();
    let mut sessions = (0..64).map(session);
    while metric(&running, "riparian_retries_total") < 1.0 {
        let answer =
            ask(&running, &sessions.next().expect("one of them meets the swallowing one first")).await;
        assert_eq!((answer.status, answer.header("x-riparian-endpoint")), (200, Some("good")));
    }
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());

    let alone = proxy(&endpoints(&[("black", &black, "")], STAY_UP)).await;
    let answer = ask(&alone, "").await;
    assert_eq!((answer.status, answer.reason()), (504, "upstream_timeout"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_that_may_have_been_processed_is_not_sent_twice() {
    let clouds = Clouds::start().await;
    let running = proxy(&clouds.config(SPLIT, STAY_UP)).await;
    for fault in [Fault::ResetBeforeHeaders, Fault::ResetMidBody(1 << 20)] {
        clouds.azure_one.fault(fault).await;
        clouds.azure_two.fault(fault).await;
        clouds.all().iter().for_each(|cloud| cloud.clear());
        let body =
            json!({ "model": "gpt-5.5", "messages": [{ "role": "user", "content": "x".repeat(4 << 20) }] })
                .to_string();
        let answer = Raw::connect(address(&running)).await.ask(CHAT, "", &body).await;
        assert_eq!((answer.status, answer.reason()), (502, "upstream_reset"), "{fault:?}: {}", answer.text());
        assert_eq!(arrivals(&clouds).iter().sum::<u64>(), 1, "{fault:?}: over all clouds");

        clouds.all().iter().for_each(|cloud| cloud.clear());
        let answer = Raw::connect(address(&running)).await.ask(CHAT, "idempotency-key: k\r\n", &body).await;
        assert_eq!(answer.status, 502, "{fault:?}");
        assert_eq!(arrivals(&clouds), [1, 1, 0, 0], "{fault:?}: one that says it may be, inside the set");
    }
    clouds.azure_one.heal().await.unwrap();
    clouds.azure_two.heal().await.unwrap();
    let lines = session_at(&running, "azure-one").await;
    clouds.azure_one.fault(Fault::ResetBeforeHeaders).await;
    let answer = ask(&running, &format!("{lines}idempotency-key: k\r\n")).await;
    assert_eq!((answer.status, answer.header("x-riparian-endpoint")), (200, Some("azure-two")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_get_is_sent_again_inside_the_set() {
    let clouds = Clouds::start().await;
    let running = proxy(&clouds.config(SPLIT, STAY_UP)).await;
    clouds.azure_one.fault_next(1, Fault::ResetBeforeHeaders);
    clouds.azure_two.fault_next(1, Fault::ResetBeforeHeaders);
    let mut client = Raw::connect(address(&running)).await;
    client.send("GET /v1/models HTTP/1.1\r\nhost: proxy\r\n\r\n").await;
    let answer = client.answer().await.unwrap();
    assert_eq!(answer.status, 502, "both have failed it");
    assert_eq!(arrivals(&clouds), [1, 1, 0, 0], "each once, and no other cloud");
    clouds.azure_one.fault_next(1, Fault::ResetBeforeHeaders);
    for turn in 0..8 {
        let mut client = Raw::connect(address(&running)).await;
        client.send("GET /v1/models HTTP/1.1\r\nhost: proxy\r\n\r\n").await;
        assert_eq!(client.answer().await.unwrap().status, 200, "turn {turn}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_of_an_endpoint_is_an_answer_whatever_its_status() {
    let clouds = Clouds::start().await;
    let running = proxy(&clouds.config(SPLIT, STAY_UP)).await;
    for status in [400, 401, 404, 408, 409, 429, 500, 502, 503, 504] {
        clouds.all().iter().for_each(|cloud| cloud.clear());
        let answer =
            ask(&running, &format!("{FAULT_HEADER}: status-{status}:7\r\nidempotency-key: k\r\n")).await;
        assert_eq!((answer.status, answer.header("retry-after")), (status, Some("7")));
        assert_eq!(answer.reason(), "designated", "{status}: it is not our refusal");
        assert_eq!(arrivals(&clouds).iter().sum::<u64>(), 1, "{status}: not tried again");
    }
    for name in ["azure-one", "azure-two"] {
        let up = format!("riparian_endpoint_up{{cloud=\"azure\",endpoint=\"{name}\"}}");
        assert!((metric(&running, &up) - 1.0).abs() < f64::EPSILON, "a status takes no endpoint out");
    }

    let body = "{\"error\":{\"message\":\"slow down\"}}";
    let said = format!(
        "HTTP/1.1 429 Calm Down\r\ncontent-type: application/json\r\nretry-after: 3\r\nretry-after-ms: 2500\r\nx-ratelimit-remaining-tokens: 0\r\nx-ratelimit-reset-tokens: 6m0s\r\nx-request-id: req_1\r\nx-should-retry: true\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let origin = Origin::saying(said, false).await;
    let running = proxy(&endpoints(&[("one", &origin.url(), ""), ("two", &origin.url(), "")], STAY_UP)).await;
    let answer = ask(&running, "").await;
    assert_eq!((answer.status, answer.text().as_str()), (429, body));
    for (name, value) in [
        ("retry-after", "3"),
        ("retry-after-ms", "2500"),
        ("x-ratelimit-remaining-tokens", "0"),
        ("x-ratelimit-reset-tokens", "6m0s"),
        ("x-request-id", "req_1"),
        ("x-should-retry", "true"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    assert_eq!(origin.requests(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retries_have_a_budget() {
    let (one, two, three) = (nobody().await, nobody().await, nobody().await);
    let urls = [one, two, three].map(|address| format!("http://{address}"));
    let tight = "
telemetry: { access_log: off }
health: { down_after: 1000 }
retries: { attempts: 3, budget_percent: 0, budget_floor: 1 }
";
    let running =
        proxy(&endpoints(&[("one", &urls[0], ""), ("two", &urls[1], ""), ("three", &urls[2], "")], tight))
            .await;
    let began = Instant::now();
    for _ in 0..30 {
        let answer = ask(&running, "").await;
        assert_eq!((answer.status, answer.reason()), (502, "upstream_connect"));
    }
    let seconds = began.elapsed().as_secs_f64();
    let (taken, denied) =
        (metric(&running, "riparian_retries_total"), metric(&running, "riparian_retries_denied_total"));
    assert!((1.0..=seconds + 2.0).contains(&taken), "one a second, in {seconds} s: {taken}");
    assert!(denied >= 30.0 - taken, "the others were denied: {denied}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_refuses_counts_as_down_and_is_tried_again_later() {
    let clouds = Clouds::start().await;
    let health = "
telemetry: { access_log: off }
health: { down_after: 2, down_for: 2s }
retries: { budget_floor: 1000 }
";
    let running = proxy(&clouds.config(SPLIT, health)).await;
    let lines = session_at(&running, "azure-one").await;
    let retries = || metric(&running, "riparian_retries_total");
    let up = || metric(&running, "riparian_endpoint_up{cloud=\"azure\",endpoint=\"azure-one\"}") > 0.5;
    clouds.azure_one.fault(Fault::Refuse).await;
    clouds.azure_two.clear();
    for _ in 0..10 {
        assert_eq!(ask(&running, &lines).await.status, 200);
    }
    assert!((2.0..=3.0).contains(&retries()), "two failures, then it is left alone: {}", retries());
    assert!(!up(), "and the metrics say so");

    clouds.azure_two.fault(Fault::Refuse).await;
    for _ in 0..3 {
        ask(&running, &lines).await;
    }
    let answer = ask(&running, &lines).await;
    assert_eq!((answer.status, answer.reason()), (503, "endpoints_down"), "{}", answer.text());
    assert_eq!(answer.header("retry-after"), Some("2"), "health.down_for");

    clouds.azure_one.heal().await.unwrap();
    clouds.azure_one.clear();
    let deadline = Instant::now() + Duration::from_secs(15);
    while ask(&running, &lines).await.header("x-riparian-endpoint") != Some("azure-one") {
        assert!(Instant::now() < deadline, "it is up again, and nobody tries it");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(up());
    assert_eq!(
        clouds.aws.counts().requests + clouds.openai.counts().requests,
        0,
        "meanwhile nobody stood in"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_tried_again_after_the_first_byte() {
    let cut = [EVENTS.as_bytes(), &chunk("data: half\n\n")].concat();
    let headless = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n".to_vec();
    for said in [cut, headless] {
        let told = Arc::new(Notify::new());
        let cutting = || {
            let (said, wait) = (said.clone(), Arc::clone(&told));
            Origin::start(move |mut caller| {
                let (said, wait) = (said.clone(), Arc::clone(&wait));
                async move {
                    caller.request().await;
                    caller.say(said).await;
                    wait.notified().await;
                }
            })
        };
        let (one, two) = (cutting().await, cutting().await);
        let running = proxy(&endpoints(&[("one", &one.url(), ""), ("two", &two.url(), "")], STAY_UP)).await;
        let mut client = Raw::connect(address(&running)).await;
        client.post(CHAT, "idempotency-key: k\r\n", chat().to_string()).await;
        let head = client.head().await.unwrap();
        told.notify_one();
        let answer = client.body(head).await;
        assert_eq!((answer.status, answer.end), (200, End::Cut));
        assert_eq!(one.requests() + two.requests(), 1);
        assert!(metric(&running, "riparian_retries_total") < 0.5);
    }
}

/// Breaks one endpoint after the other, in a way drawn at random, until it is aborted.
async fn trouble(clouds: &Clouds) {
    let faults = [
        Fault::Refuse,
        Fault::ResetBeforeHeaders,
        Fault::ResetMidBody(50),
        Fault::Status { status: 429, retry_after_seconds: Some(1) },
        Fault::Status { status: 503, retry_after_seconds: None },
        Fault::CutMidStream,
        Fault::StallMidStream,
        Fault::SlowFirstByte(Duration::from_millis(100)),
    ];
    loop {
        let cloud: &FakeCloud = clouds.all()[rand::random_range(0..3)];
        cloud.fault(faults[rand::random_range(0..faults.len())]).await;
        tokio::time::sleep(Duration::from_millis(rand::random_range(10..150))).await;
        if rand::random_bool(0.7) {
            cloud.heal().await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_requests_under_random_faults_and_none_outside_its_designation() {
    let clouds = Clouds::start().await;
    let quick = "
telemetry: { access_log: off }
limits: { connect_within: 1s, first_byte_within: 2s, idle: 1s }
health: { down_after: 3, down_for: 200ms }
";
    // Embeddings are not served by aws, but they are stateless and belong to azure.
    let running = proxy(&clouds.config(SPLIT, quick)).await;
    let mut plan = Plan::new(format!("http://{}/v1", address(&running)), 300.0, Duration::from_secs(10));
    plan.seed = rand::random();
    plan.mix = "chat=4,chat-stream=4,embeddings=1,response=2,chain=2,chain-stream=2".parse::<Mix>().unwrap();
    plan.padding_bytes = 200;
    plan.credential = Some("app".to_owned());
    plan.within = Duration::from_secs(20);
    let seed = plan.seed;
    let run = tokio::select! {
        run = drive::run(plan, |_| {}) => run.unwrap(),
        () = trouble(&clouds) => unreachable!("it goes on for ever"),
    };
    let rules = Rules::parse(["stateless=azure", "stateful=aws", "creates=stateful"]).unwrap();
    let sights = clouds.all().map(Sight::from);
    let findings = oracle::judge(&rules, &run, &sights);
    let violations: Vec<_> = findings.violations().take(5).collect();
    assert!(violations.is_empty(), "seed {seed}: {violations:?}");
    assert!(findings.repeated.is_empty(), "seed {seed}: a POST arrived twice: {:?}", findings.repeated);
    let whole = run.samples.iter().filter(|sample| sample.verdict == drive::Verdict::Whole).count();
    assert!(run.samples.len() > 2000 && whole > 100, "{whole} of {}", run.samples.len());
    assert!(whole < run.samples.len(), "there was trouble");

    // Whatever the trouble did, nothing of it is left.
    eventually("nothing is carried any more", || running.house.gate.streams() == 0).await;
    eventually("no byte is held any more", || running.house.gate.held() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooled_connection_that_the_endpoint_has_closed_is_not_met_by_the_next_request() {
    let clouds = Clouds::start().await;
    let running = proxy(&clouds.config(SPLIT, STAY_UP)).await;
    for turn in 0..5 {
        for number in 0..8 {
            let nonce = format!("{NONCE_HEADER}: nonce-{turn:08}{number:08}\r\n");
            assert_eq!(ask(&running, &nonce).await.status, 200, "turn {turn}");
        }
        for cloud in [&clouds.azure_one, &clouds.azure_two] {
            cloud.fault(Fault::Refuse).await;
            cloud.heal().await.unwrap();
        }
    }
    assert_eq!(arrivals(&clouds).iter().sum::<u64>(), 40);
}
