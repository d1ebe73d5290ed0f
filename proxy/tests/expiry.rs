//! Promise: a boundary passes with nobody touching anything, and what lives by a term that ends does as that term's `on_expiry` says; it
//! is announced before, and a term that ends with none after it is warned of.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use http::Response;
use hyper::body::Bytes;
use riparian_config::Timestamp;
use riparian_proxy::server::Running;
use serde_json::json;
use std::net::SocketAddr;
use std::time::Duration;
use support::raw::{PATIENCE, Raw, eventually};
use support::socket::{Socket, SocketCloud, echo};
use support::turns::{first, follow_up};
use support::{Clouds, QUIET, address, json as body_of, metric, ours, post, proxy, proxy_before, send};

const RESPONSES: &str = "/v1/responses";

/// Everything is azure's until `boundary`, and aws' from then on.
fn terms(boundary: Timestamp, on_expiry: &str, more: &str) -> String {
    format!(
        "enforce: r\nreadings: {{ r: {{ stateful_from: never }} }}\nclock_skew: 0s\nterms:\n\
         - {{ id: before, until: {boundary}, only: azure, on_expiry: {on_expiry} }}\n- {{ id: after, from: {boundary}, {more} }}"
    )
}

async fn until(boundary: Timestamp) {
    let left = Duration::try_from(boundary.duration_since(Timestamp::now())).unwrap_or_default();
    tokio::time::sleep(left + Duration::from_millis(20)).await;
}

fn id(answer: &Response<Bytes>) -> String {
    body_of(answer)["id"].as_str().unwrap_or_else(|| panic!("no id: {answer:?}")).to_owned()
}

async fn begin(at: SocketAddr) -> String {
    let begun = send(at, post(RESPONSES, &first())).await;
    assert_eq!(ours(&begun, "cloud"), "azure", "{begun:?}");
    id(&begun)
}

/// Status, cloud and reason of a follow-up, and the handle that it leaves.
async fn go_on(at: SocketAddr, handle: &str) -> (u16, String, String, Option<String>) {
    let answer = send(at, post(RESPONSES, &follow_up(handle))).await;
    let next = answer.status().is_success().then(|| id(&answer));
    (answer.status().as_u16(), ours(&answer, "cloud").to_owned(), ours(&answer, "reason").to_owned(), next)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_grandfathered_until_its_own_end() {
    let clouds = Clouds::start().await;
    let (running, boundary) =
        proxy_before(|boundary| clouds.config(&terms(boundary, "grandfather", "only: aws"), QUIET)).await;
    let at = address(&running);
    let mut handle = begin(at).await;
    until(boundary).await;
    for turn in 0..4 {
        let (status, cloud, reason, next) = go_on(at, &handle).await;
        assert_eq!((status, cloud.as_str(), reason.as_str()), (200, "azure", "held"), "turn {turn}");
        handle = next.unwrap();
    }
    let fresh = send(at, post(RESPONSES, &first())).await;
    assert_eq!(ours(&fresh, "cloud"), "aws", "what begins now goes where the terms send it");
    eventually("four turns are counted", || metric::<u64>(&running, "riparian_leased_requests_total") == 4)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_cut_where_its_term_says_so_and_where_it_says_nothing() {
    for on_expiry in ["cut", "cut, parties: [Acme]"] {
        let clouds = Clouds::start().await;
        let (running, boundary) =
            proxy_before(|boundary| clouds.config(&terms(boundary, on_expiry, "only: aws"), QUIET)).await;
        let at = address(&running);
        let handle = begin(at).await;
        until(boundary).await;
        let (status, cloud, reason, _) = go_on(at, &handle).await;
        assert_eq!((status, cloud.as_str(), reason.as_str()), (403, "none", "owner_not_designated"));
        assert_eq!(clouds.aws.counts().requests, 0, "and it is not tried anywhere else");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_drained_by_its_rest() {
    let (clouds, rest) = (Clouds::start().await, format!("{QUIET}\nsessions: {{ idle: 4s }}"));
    let config = |boundary| clouds.config(&terms(boundary, "drain", "only: aws"), &rest);
    let (running, boundary) = proxy_before(config).await;
    let at = address(&running);
    let mut handle = begin(at).await;
    let mut after = 0;
    while after < 3 {
        after += u32::from(Timestamp::now() > boundary);
        let (status, cloud, _, next) = go_on(at, &handle).await;
        assert_eq!((status, cloud.as_str()), (200, "azure"), "while it is in use");
        handle = next.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    tokio::time::sleep(Duration::from_millis(4500)).await;
    let (status, _, reason, _) = go_on(at, &handle).await;
    assert_eq!((status, reason.as_str()), (403, "session_drained"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_term_in_force_forbids_no_session_outlives() {
    let clouds = Clouds::start().await;
    let (running, boundary) =
        proxy_before(|boundary| clouds.config(&terms(boundary, "grandfather", "never: azure"), QUIET)).await;
    let at = address(&running);
    let handle = begin(at).await;
    until(boundary).await;
    let (status, _, reason, _) = go_on(at, &handle).await;
    assert_eq!((status, reason.as_str()), (403, "owner_not_designated"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_do_as_their_term_says() {
    for (on_expiry, closed) in [("grandfather", false), ("drain", false), ("cut", true)] {
        let (a, b) = (SocketCloud::start(echo).await, SocketCloud::start(echo).await);
        let config = |boundary| {
            format!(
                "version: 1
listeners: [{{ name: apps, bind: 127.0.0.1:0 }}]
clouds:
  azure: {{ endpoints: [{{ name: one, dialect: openai, url: \"{}\", credential: none }}] }}
  aws: {{ endpoints: [{{ name: two, dialect: openai, url: \"{}\", credential: none }}] }}
contract:
{}
{}
",
                a.url(),
                b.url(),
                terms(boundary, on_expiry, "only: aws")
                    .lines()
                    .map(|line| format!("  {line}\n"))
                    .collect::<String>(),
                QUIET.replace("idle: 2s", "idle: 60s").replace("body_within: 2s", "body_within: 60s"),
            )
        };
        let (running, boundary) = proxy_before(config).await;
        let mut client = Socket::open(address(&running), "/v1/realtime?model=gpt-5.5").await;
        client.text(json!({ "type": "a" }).to_string()).await;
        client.json().await;
        until(boundary).await;
        if closed {
            let closed = tokio::time::timeout(PATIENCE, client.closed()).await;
            assert_eq!(closed.expect("closed by the boundary").0, 1008, "{on_expiry}");
        } else {
            tokio::time::sleep(Duration::from_millis(600)).await;
            client.text(json!({ "type": "b" }).to_string()).await;
            assert_eq!(client.json().await["type"], "b", "{on_expiry}: it goes on");
        }
        assert_eq!((a.connections(), b.connections()), (1, 0));
    }
}

async fn admin(running: &Running, path: &str) -> String {
    let mut raw = Raw::connect(running.admin.unwrap()).await;
    raw.send(format!("GET {path} HTTP/1.1\r\nhost: admin\r\n\r\n")).await;
    raw.answer().await.expect("an answer").text()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_boundary_is_announced_and_the_end_of_all_terms_is_warned_of() {
    let clouds = Clouds::start().await;
    let running = proxy(&clouds.config(
        "enforce: r\nreadings: { r: { stateful_from: never } }\nterms:\n- { id: old, until: 2100-01-01, only: azure }\n- { id: new, from: 2100-01-01, only: aws }",
        QUIET,
    ))
    .await;
    let ready = admin(&running, "/readyz?verbose").await;
    assert!(ready.starts_with("ok\n") && ready.contains("epoch 0, 1 terms in force"), "{ready}");
    assert!(
        ready.contains("next boundary 2100-01-01T00:00:00Z, in ") && ready.contains("old end, new begin"),
        "{ready}"
    );
    assert!(!ready.contains("warning"), "{ready}");
    assert_eq!(admin(&running, "/readyz").await, "ok\n");

    let end = Timestamp::now() + Duration::from_secs(3600);
    let contract = format!(
        "enforce: r\nreadings: {{ r: {{ stateful_from: never }} }}\nterms: [{{ id: last, until: {end}, only: azure }}]"
    );
    let running = proxy(&clouds.config(&contract, QUIET)).await;
    let ready = admin(&running, "/readyz?verbose").await;
    assert!(ready.contains(&format!("warning: the last term in force ends at {end}")), "{ready}");
    eventually("the gauges show it", || {
        let shown = |name: &str| metric::<f64>(&running, name);
        let at = end.as_duration().as_secs_f64();
        (shown("riparian_next_boundary_timestamp_seconds") - at).abs() < 1.0
            && (shown("riparian_terms_end_timestamp_seconds") - at).abs() < 1.0
    })
    .await;
}
