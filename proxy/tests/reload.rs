//! Promise: a new configuration is in force whole, or the old one stays and it is said why; no stream notices.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use riparian_loadtest::{CloudSpec, FakeCloud, Kind};
use riparian_proxy::server::Running;
use serde_json::json;
use std::time::Duration;
use support::h2::{Authority, file};
use support::origin::endpoints;
use support::raw::{Answer, End, Raw};
use support::{Clouds, QUIET, SPLIT, address, chat, proxy};

const CHAT: &str = "/v1/chat/completions";

async fn ask(running: &Running, lines: &str) -> Answer {
    Raw::connect(address(running)).await.ask(CHAT, lines, chat().to_string()).await
}

fn streamed() -> String {
    let mut body = chat();
    body["stream"] = json!(true);
    body.to_string()
}

fn has_line(running: &Running, wanted: &str) -> bool {
    running.house.metrics.render().lines().any(|line| line == wanted)
}

/// The contract of [`SPLIT`] with stateless calls at another cloud.
fn moved() -> String {
    SPLIT.replace("only: [azure]", "only: [openai]")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_requests_follow_the_new_contract_and_an_open_stream_ends_under_the_old() {
    let mut clouds = Clouds::start().await;
    let slow = |name: &str| {
        CloudSpec::new(Kind::Azure, name)
            .credential(support::KEY)
            .models(["gpt-prod"])
            .streaming(20, Duration::from_millis(50))
    };
    clouds.azure_one = FakeCloud::start(slow("azure-one")).await.unwrap();
    clouds.azure_two = FakeCloud::start(slow("azure-two")).await.unwrap();
    let running = proxy(&clouds.config(SPLIT, QUIET)).await;
    let before = running.house.snapshot.load().hash.clone();
    let mut open = Raw::connect(address(&running)).await;
    open.post(CHAT, "", streamed()).await;
    let head = open.head().await.unwrap();
    assert_eq!(head.header("x-riparian-cloud"), Some("azure"));
    open.chunk().await.unwrap().expect("it has begun");

    running.reload(&clouds.config(&moved(), QUIET), "new.yaml").await.unwrap();
    let answer = ask(&running, "").await;
    assert_eq!(
        (answer.status, answer.header("x-riparian-cloud")),
        (200, Some("openai")),
        "new requests, new contract"
    );
    let rest = open.body(head).await;
    assert_eq!(rest.end, End::Whole);
    assert!(rest.text().ends_with("data: [DONE]\n\n"), "the open stream went on to its end");
    let answer = open.ask(CHAT, "", chat().to_string()).await;
    assert_eq!(
        answer.header("x-riparian-cloud"),
        Some("openai"),
        "its connection is an old one, the request is new"
    );

    let after = running.house.snapshot.load().hash.clone();
    assert_ne!(before, after);
    assert!(has_line(&running, &format!("riparian_config_info{{hash=\"{after}\"}} 1")));
    assert!(has_line(&running, &format!("riparian_config_info{{hash=\"{before}\"}} 0")));
    assert!(has_line(&running, "riparian_config_last_reload_success 1"));
    assert!(has_line(&running, "riparian_config_reloads_total{result=\"taken\"} 1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_right_changes_nothing_and_says_why() {
    let clouds = Clouds::start().await;
    let good = clouds.config(SPLIT, QUIET);
    let running = proxy(&good).await;
    let before = running.house.snapshot.load().hash.clone();
    let moved = clouds.config(&moved(), QUIET);
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("no-such-secret").display().to_string();
    let secret = good.split("file: ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    let bad = [
        ("no YAML", "version: [1".to_owned(), "bad.yaml:2:1"),
        ("empty", String::new(), "bad.yaml"),
        ("an unknown key", moved.replace("clouds:\n", "clowds:\n"), "clowds"),
        ("a key twice", moved.replace("version: 1\n", "version: 1\nversion: 1\n"), "version"),
        ("a term without a cloud", moved.replace("only: [openai]", "only: [nowhere]"), "nowhere"),
        ("a reading that is not there", moved.replace("enforce: strict", "enforce: lax"), "lax"),
        ("a secret that is not there", moved.replacen(&secret, &missing, 1), "no-such-secret"),
        (
            "a listener more",
            moved.replace("bind: 127.0.0.1:0 }]", "bind: 127.0.0.1:0 }, { name: more, bind: 127.0.0.1:0 }]"),
            "listeners",
        ),
        ("another address", moved.replacen("127.0.0.1:0", "127.0.0.1:1", 1), "listeners"),
        (
            "another protocol",
            moved.replace("bind: 127.0.0.1:0 }]", "bind: 127.0.0.1:0, protocol: h2c }]"),
            "listeners",
        ),
        (
            "another admin address",
            moved.replace("admin: { bind: 127.0.0.1:0 }", "admin: { bind: 127.0.0.1:1 }"),
            "admin",
        ),
        ("another log", moved.replace("access_log: off", "access_log: stderr"), "access_log"),
        ("another pin table", format!("{moved}sessions: {{ pins: {{ ttl: 1h }} }}\n"), "sessions.pins"),
    ];
    for (at, (what, text, why)) in bad.iter().enumerate() {
        let fault = running.reload(text, "bad.yaml").await.expect_err(what).to_string();
        assert!(fault.contains(why), "{what}: {fault}");
        assert_eq!(running.house.snapshot.load().hash, before, "{what}: the old one stays, whole");
        assert_eq!(ask(&running, "").await.header("x-riparian-cloud"), Some("azure"), "{what}");
        assert!(has_line(&running, "riparian_config_last_reload_success 0"), "{what}");
        assert!(
            has_line(&running, &format!("riparian_config_reloads_total{{result=\"refused\"}} {}", at + 1)),
            "{what}"
        );
    }
    let fault = running
        .reload(&bad[2].1.replace("version: 1", "version: 2"), "bad.yaml")
        .await
        .unwrap_err()
        .to_string();
    assert!(fault.contains("clowds") && fault.contains("version"), "every fault at once: {fault}");

    running.reload(&moved, "good.yaml").await.unwrap();
    assert_eq!(
        ask(&running, "").await.header("x-riparian-cloud"),
        Some("openai"),
        "and a good one is taken afterwards"
    );
    assert!(has_line(&running, "riparian_config_last_reload_success 1"));
    assert_eq!(clouds.openai.counts().requests, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_reloads_and_none_of_a_hundred_streams_is_dropped() {
    const STREAMS: usize = 100;
    let spec = |name: &str| {
        CloudSpec::new(Kind::OpenAi, name).credential("app").streaming(30, Duration::from_millis(100))
    };
    let one = FakeCloud::start(spec("one")).await.unwrap();
    let two = FakeCloud::start(spec("two")).await.unwrap();
    let config = |first: &FakeCloud, more: &str| {
        let rest = format!(
            "telemetry: {{ access_log: off }}\nlimits: {{ first_byte_within: 60s, idle: 60s }}\n{more}"
        );
        endpoints(&[("first", &first.url(), "")], &rest)
            .replace("credential: none", "credential: passthrough")
    };
    let running = proxy(&config(&one, "")).await;
    let address = address(&running);
    let streams: Vec<_> = (0..STREAMS)
        .map(|number| {
            tokio::spawn(async move {
                let mut client = Raw::connect(address).await;
                client.ask(CHAT, &format!("x-loadtest-nonce: nonce-{number:016}\r\n"), streamed()).await
            })
        })
        .collect();
    assert!(
        one.wait_for(Duration::from_secs(20), |counts| counts.open == STREAMS as u64).await,
        "{:?}",
        one.counts()
    );
    for number in 0..20 {
        // The same name at another address and back, and another limit each time.
        let (cloud, other) = if number % 2 == 0 { (&two, &one) } else { (&one, &two) };
        let before = (cloud.counts().requests, other.counts().requests);
        running
            .reload(&config(cloud, &format!("health: {{ down_after: {} }}", number + 2)), "new.yaml")
            .await
            .unwrap();
        let mut client = Raw::connect(address).await;
        client.post(CHAT, "", chat().to_string()).await;
        assert_eq!(client.answer().await.unwrap().status, 200, "reload {number}");
        assert_eq!(
            (cloud.counts().requests, other.counts().requests),
            (before.0 + 1, before.1),
            "reload {number}"
        );
    }
    for (number, stream) in streams.into_iter().enumerate() {
        let answer = stream.await.unwrap();
        assert_eq!((answer.status, answer.end), (200, End::Whole), "stream {number}");
        assert!(
            answer.text().contains(&format!("29:nonce-{number:016}")),
            "stream {number} is whole, and its own"
        );
        assert!(answer.text().ends_with("data: [DONE]\n\n"), "stream {number}");
    }
    assert_eq!(one.counts().client_gone + two.counts().client_gone, 0);
    assert!(has_line(&running, "riparian_config_reloads_total{result=\"taken\"} 20"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_and_certificates_are_read_anew() {
    let folder = tempfile::tempdir().unwrap();
    let cloud = FakeCloud::start(CloudSpec::new(Kind::OpenAi, "one").credential("second-key")).await.unwrap();
    let secret = file(&folder, "secret", "first-key");
    let (first, second) = (Authority::new(), Authority::new());
    let (certificate, key) = first.sign("localhost", false);
    let (certificate, key) = (file(&folder, "tls.crt", &certificate), file(&folder, "tls.key", &key));
    let config = endpoints(&[("one", &cloud.url(), "")], QUIET)
        .replace("credential: none", &format!("credential: {{ bearer: {{ file: {} }} }}", secret.display()))
        .replace(
            "bind: 127.0.0.1:0 }]",
            &format!(
                "bind: 127.0.0.1:0, tls: {{ certificate: {{ file: {} }}, key: {{ file: {} }} }} }}]",
                certificate.display(),
                key.display()
            ),
        );
    let running = proxy(&config).await;
    let mut old = Raw::over(first.connect(address(&running), &["http/1.1"]).await);
    assert_eq!(old.ask(CHAT, "", chat().to_string()).await.status, 401, "the cloud has another key");

    file(&folder, "secret", "second-key\n");
    let (pem, new_key) = second.sign("localhost", false);
    file(&folder, "tls.crt", &pem);
    let fault = running.reload(&config, "same.yaml").await.unwrap_err().to_string();
    assert!(fault.contains("listener apps"), "a certificate without its key: {fault}");
    assert_eq!(
        old.ask(CHAT, "", chat().to_string()).await.status,
        401,
        "nothing of it was taken, the secret neither"
    );

    file(&folder, "tls.key", &new_key);
    running.reload(&config, "same.yaml").await.unwrap();
    let mut new = Raw::over(second.connect(address(&running), &["http/1.1"]).await);
    assert_eq!(new.ask(CHAT, "", chat().to_string()).await.status, 200);
    assert_eq!(old.ask(CHAT, "", chat().to_string()).await.status, 200, "connections that were there go on");
}
