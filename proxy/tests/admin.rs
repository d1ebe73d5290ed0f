//! Promise: the operator sees what happened, exactly and in words from closed sets.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use riparian_filters::decision::Reason;
use riparian_proxy::metrics::{Operation, Outcome};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use support::exposition::{Family, parse, total};
use support::origin::{EVENTS, Origin, chunk, endpoints};
use support::raw::{End, Raw, eventually};
use support::traffic::{CHAT, REQUESTS, admin, traffic};
use support::{Clouds, QUIET, SPLIT, address, chat, proxy};
use tokio::sync::Notify;

async fn scrape(address: SocketAddr) -> BTreeMap<String, Family> {
    let answer = admin(address, "GET /metrics").await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, Some("text/plain; version=0.0.4; charset=utf-8"))
    );
    parse(&answer.text())
}

/// What `docs` and dashboards build on: every family with its type and labels.
const FAMILIES: &[(&str, &str, &[&str])] = &[
    ("riparian_access_log_dropped_total", "counter", &[]),
    ("riparian_answers_unread_total", "counter", &[]),
    ("riparian_band_requests_total", "counter", &[]),
    ("riparian_config_info", "gauge", &["hash"]),
    ("riparian_config_last_reload_success", "gauge", &[]),
    ("riparian_config_loaded_timestamp_seconds", "gauge", &[]),
    ("riparian_config_reloads_total", "counter", &["result"]),
    ("riparian_connections_open", "gauge", &[]),
    ("riparian_decision_seconds", "histogram", &[]),
    ("riparian_egress_mismatches_total", "counter", &[]),
    ("riparian_endpoint_up", "gauge", &["cloud", "endpoint"]),
    ("riparian_epoch", "gauge", &[]),
    ("riparian_first_byte_seconds", "histogram", &["cloud"]),
    ("riparian_handles_learned_total", "counter", &[]),
    ("riparian_held_bytes", "gauge", &[]),
    ("riparian_leased_requests_total", "counter", &[]),
    ("riparian_next_boundary_timestamp_seconds", "gauge", &[]),
    ("riparian_pins", "gauge", &[]),
    ("riparian_pins_breaker", "gauge", &[]),
    ("riparian_pins_evicted_total", "counter", &[]),
    ("riparian_pins_journal_rewrites_total", "counter", &[]),
    ("riparian_pins_operations_total", "counter", &["operation", "outcome"]),
    ("riparian_pins_seconds", "histogram", &["operation"]),
    ("riparian_refusals_total", "counter", &["reason"]),
    ("riparian_request_bytes_total", "counter", &["cloud"]),
    ("riparian_request_seconds", "histogram", &["cloud"]),
    ("riparian_requests_total", "counter", &["class", "cloud", "endpoint", "grade", "outcome", "surface"]),
    ("riparian_response_bytes_total", "counter", &["cloud"]),
    ("riparian_retries_denied_total", "counter", &[]),
    ("riparian_retries_total", "counter", &[]),
    ("riparian_sessions_begun_total", "counter", &[]),
    ("riparian_sessions_live", "gauge", &[]),
    ("riparian_sessions_multi_turn_total", "counter", &[]),
    ("riparian_sessions_single_turn_total", "counter", &[]),
    ("riparian_streams_open", "gauge", &[]),
    ("riparian_term_tokens_total", "counter", &["class", "cloud", "direction", "tenant", "term"]),
    ("riparian_terms_end_timestamp_seconds", "gauge", &[]),
    ("riparian_tokens_total", "counter", &["class", "cloud", "direction", "tenant"]),
    ("riparian_usage_missing_total", "counter", &[]),
    ("riparian_usage_partial_total", "counter", &[]),
    ("riparian_usage_unpriced_total", "counter", &[]),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_exposition_is_strict_and_counts_what_happened() {
    let clouds = Clouds::start().await;
    let config = clouds.config(SPLIT, QUIET);
    let running = proxy(&config).await;
    let at = running.admin.unwrap();
    traffic(address(&running)).await;
    running.reload(&config, "same.yaml").await.unwrap();
    eventually("all is settled", || running.house.gate.streams() == 0).await;
    let mut families = scrape(at).await;
    // The gauge of requests goes down before the last one is settled.
    while total(&families, "riparian_requests_total", &[]) < REQUESTS {
        families = scrape(at).await;
    }

    let found: Vec<_> = families
        .iter()
        .map(|(name, family)| {
            let mut labels: BTreeSet<_> =
                family.samples.iter().flat_map(|sample| sample.labels.keys().map(String::as_str)).collect();
            labels.remove("le");
            (name.as_str(), family.kind.as_str(), labels.into_iter().collect::<Vec<_>>())
        })
        .collect();
    let expected: Vec<_> =
        FAMILIES.iter().map(|(name, kind, labels)| (*name, *kind, labels.to_vec())).collect();
    assert_eq!(found, expected);

    let requests = |labels: &[(&str, &str)]| total(&families, "riparian_requests_total", labels);
    assert_eq!(requests(&[]), REQUESTS, "one each, and none twice");
    assert_eq!(requests(&[("cloud", "azure")]), 5);
    assert_eq!(
        requests(&[("cloud", "aws"), ("endpoint", "aws-one"), ("class", "stateful"), ("outcome", "ok")]),
        2
    );
    assert_eq!(
        requests(&[("surface", "openai.responses.create"), ("grade", "continues"), ("cloud", "aws")]),
        1
    );
    assert_eq!(
        requests(&[("surface", "openai.responses.create"), ("grade", "creates"), ("cloud", "aws")]),
        1
    );
    assert_eq!(requests(&[("cloud", "azure"), ("grade", "pure"), ("outcome", "ok")]), 2);
    assert_eq!(requests(&[("outcome", "server_error")]), 1);
    assert_eq!(requests(&[("outcome", "truncated")]), 1);
    assert_eq!(requests(&[("outcome", "failed")]), 1);
    assert_eq!(requests(&[("outcome", "refused"), ("cloud", "none"), ("endpoint", "none")]), 5);
    assert_eq!(requests(&[("surface", "unrecognised")]), 2);
    for (reason, count) in [
        ("unknown_handle", 1),
        ("not_served", 1),
        ("unrecognised", 1),
        ("head_malformed", 1),
        ("upstream_reset", 1),
        ("overloaded", 0),
    ] {
        assert_eq!(total(&families, "riparian_refusals_total", &[("reason", reason)]), count, "{reason}");
    }
    assert_eq!(total(&families, "riparian_refusals_total", &[]), 6);
    assert_eq!(total(&families, "riparian_handles_learned_total", &[]), 4);
    assert_eq!(total(&families, "riparian_pins", &[]), 4);
    for name in [
        "riparian_streams_open",
        "riparian_held_bytes",
        "riparian_retries_total",
        "riparian_access_log_dropped_total",
    ] {
        assert_eq!(total(&families, name, &[]), 0, "{name}");
    }
    assert_eq!(total(&families, "riparian_endpoint_up", &[]), 4);
    let seen: u64 = clouds.all().iter().map(|cloud| cloud.counts().body_bytes).sum();
    let bytes = total(&families, "riparian_request_bytes_total", &[("cloud", "azure")])
        + total(&families, "riparian_request_bytes_total", &[("cloud", "aws")]);
    assert!(bytes.abs_diff(seen) < 5 * 20, "but for the names of models: {bytes} and {seen}");
    let counted = |name: &str| {
        let samples = families[name].samples.iter().filter(|sample| sample.name.ends_with("_count"));
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
        let sum = samples.map(|sample| sample.value).sum::<f64>() as u64;
        sum
    };
    assert_eq!(counted("riparian_request_seconds"), REQUESTS);
    assert_eq!(counted("riparian_first_byte_seconds"), 6, "the answers that began");
    assert_eq!(
        counted("riparian_decision_seconds"),
        10,
        "all but those whose head or body could not be read"
    );

    let closed: BTreeSet<&str> = Outcome::ALL
        .iter()
        .map(|outcome| outcome.as_str())
        .chain(Reason::ALL.iter().map(|reason| reason.as_str()))
        .chain(["azure", "aws", "openai", "none", "azure-one", "azure-two", "aws-one", "openai-one"])
        .chain([
            "pure",
            "cached",
            "sealed",
            "creates",
            "continues",
            "connection",
            "runtime",
            "unknown",
            "stateless",
            "stateful",
        ])
        .chain(Operation::ALL.iter().map(|operation| operation.as_str()))
        .chain(["ok", "late", "resting", "refused", "forged", "failed"])
        .chain(["input", "cached", "cache_write", "output", "reasoning", "other"])
        .chain(["stateless-on-azure", "stateful-on-aws"])
        .chain(["taken", "refused", "unrecognised", "openai.chat.completions", "openai.responses.create"])
        .collect();
    for sample in families.values().flat_map(|family| &family.samples) {
        for (label, value) in &sample.labels {
            let bounded = closed.contains(value.as_str())
                || matches!(label.as_str(), "le" | "hash")
                || value.starts_with("openai.chat");
            assert!(bounded, "{label}={value} of {} is from no closed set", sample.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_and_readiness_are_told_apart_and_nothing_else_is_answered() {
    let clouds = Clouds::start().await;
    let running = proxy(&clouds.config(SPLIT, QUIET)).await;
    let at = running.admin.unwrap();
    for path in ["/livez", "/readyz"] {
        assert_eq!(admin(at, &format!("GET {path}")).await.status, 200, "{path}");
        assert_eq!(admin(at, &format!("POST {path}")).await.status, 405, "{path}: read-only");
        assert_eq!(admin(at, &format!("DELETE {path}")).await.status, 405, "{path}: read-only");
    }
    for path in ["/", "/metrics/", "/config", "/v1/models", "/livez/../metrics"] {
        assert_eq!(admin(at, &format!("GET {path}")).await.status, 404, "{path}");
    }
    let mut client = Raw::connect(address(&running)).await;
    client.send("GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(client.answer().await.unwrap().reason(), "unrecognised", "and clients do not get at it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_is_told_and_can_be_watched() {
    let told = Arc::new(Notify::new());
    let wait = Arc::clone(&told);
    let origin = Origin::start(move |mut caller| {
        let wait = Arc::clone(&wait);
        async move {
            caller.request().await;
            caller.say(EVENTS).await;
            wait.notified().await;
            caller.say(chunk("")).await;
        }
    })
    .await;
    let running =
        proxy(&endpoints(&[("one", &origin.url(), "")], QUIET.replace("idle: 2s", "idle: 60s").as_str()))
            .await;
    let at = running.admin.unwrap();
    let mut client = Raw::connect(address(&running)).await;
    client.post(CHAT, "", chat().to_string()).await;
    let head = client.head().await.unwrap();
    let drain = tokio::spawn(running.drain());
    loop {
        let answer = admin(at, "GET /readyz").await;
        if answer.status == 503 {
            assert_eq!(answer.text(), "draining\n");
            break;
        }
    }
    assert_eq!(admin(at, "GET /livez").await.status, 200, "it lives, and is watched while it drains");
    assert_eq!(admin(at, "GET /metrics").await.status, 200);
    told.notify_one();
    assert_eq!(client.body(head).await.end, End::Whole, "the stream that was open ends by itself");
    assert!(tokio::time::timeout(Duration::from_secs(20), drain).await.unwrap().unwrap());
}
