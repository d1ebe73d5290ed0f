//! Promise: a session is recognised by what can be trusted to name it, told to both sides, and keeps to one endpoint where it may.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use support::turns::{ANYWHERE, first, follow_up, last_seen, session, with_header};
use support::wire::Capture;
use support::{Clouds, QUIET, address, chat, get, json, ours, post, proxy, send};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_the_lineages_then_the_tags_then_what_the_head_says() {
    let clouds = Clouds::start().await;
    let running = proxy(&clouds.config(ANYWHERE, QUIET)).await;
    let stored = || post("/v1/responses", &first());
    let of = async |request| session(&send(address(&running), request).await);

    let (minted, another) =
        (send(address(&running), stored()).await, send(address(&running), stored()).await);
    assert_ne!(session(&minted), session(&another), "each is a session of its own");
    let tag = session(&minted);
    assert!(tag.starts_with("s1.") && !tag.contains("resp_"), "opaque: {tag}");
    assert_eq!(
        of(with_header(stored(), "x-riparian-session", &tag)).await,
        tag,
        "echoed, it is the same session"
    );

    let own = of(with_header(stored(), "x-session-id", "mine")).await;
    assert_eq!(of(with_header(stored(), "x-session-id", "mine")).await, own);
    assert_ne!(of(with_header(stored(), "x-session-id", "yours")).await, own);
    let elsewhere =
        with_header(with_header(stored(), "x-session-id", "mine"), "authorization", "Bearer other");
    assert_ne!(of(elsewhere).await, own, "it means something only within its tenant");
    let both = with_header(with_header(stored(), "x-session-id", "mine"), "x-riparian-session", &tag);
    assert_eq!(of(both).await, tag, "our own tag is believed first");

    for name in ["x-claude-code-session-id", "session_id", "x-litellm-session-id", "mcp-session-id"] {
        let vendor = of(with_header(stored(), name, "v")).await;
        assert_eq!(of(with_header(stored(), name, "v")).await, vendor, "{name}");
        assert_ne!(vendor, own);
        let both = with_header(with_header(stored(), name, "v"), "x-session-id", "mine");
        assert_eq!(of(both).await, own, "the configured header comes before {name}");
    }

    let id = json(&minted)["id"].as_str().unwrap().to_owned();
    let chained = with_header(post("/v1/responses", &follow_up(&id)), "x-session-id", "mine");
    assert_eq!(of(chained).await, tag, "the lineage comes before what the head says");

    // A stateless request has a session only if it names one, and nothing is made up for it.
    assert_eq!(of(post("/v1/chat/completions", &chat())).await, "");
    assert_eq!(of(with_header(post("/v1/chat/completions", &chat()), "x-session-id", "mine")).await, own);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_tag_is_no_session_and_goes_nowhere() {
    let clouds = Clouds::start().await;
    let running = proxy(&clouds.config(&ANYWHERE.replace("[azure, openai]", "openai"), QUIET)).await;
    let created = send(address(&running), post("/v1/responses", &first())).await;
    let tag = session(&created);
    let mut bent = tag.clone().into_bytes();
    bent[20] = if bent[20] == b'A' { b'B' } else { b'A' };
    let bent = String::from_utf8(bent).unwrap();
    for forged in
        [bent.as_str(), "s1.", "s1.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "canary", &"x".repeat(4000)]
    {
        let request = with_header(post("/v1/chat/completions", &chat()), "x-riparian-session", forged);
        let answer = send(address(&running), request).await;
        assert_eq!((answer.status().as_u16(), session(&answer).as_str()), (200, ""), "{forged}");
        assert_eq!(last_seen(&clouds.openai).header("x-riparian-session"), None, "{forged}");
        let request = with_header(post("/v1/responses", &first()), "x-riparian-session", forged);
        let answer = send(address(&running), request).await;
        assert!(session(&answer) != tag && session(&answer) != forged, "a session of its own instead");
        assert_eq!(last_seen(&clouds.openai).header("x-riparian-session"), Some(session(&answer).as_str()));
    }
    let stolen = with_header(post("/v1/responses", &first()), "x-riparian-session", &tag);
    let answer = send(address(&running), with_header(stolen, "authorization", "Bearer other")).await;
    assert_ne!(session(&answer), tag, "another tenant's tag is none");
    // Two tags are none: which one would it be?
    let mut doubled = with_header(post("/v1/responses", &first()), "x-riparian-session", &tag);
    doubled.headers_mut().append("x-riparian-session", tag.parse().unwrap());
    assert_ne!(session(&send(address(&running), doubled).await), tag);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn baggage_carries_the_session_beside_what_others_put_there() {
    let clouds = Clouds::start().await;
    let contract = ANYWHERE.replace("[azure, openai]", "openai");
    let running = proxy(&clouds.config(&contract, &format!("{QUIET}\nsessions: {{ baggage: true }}"))).await;
    let mut request =
        with_header(post("/v1/responses", &first()), "baggage", "a=1;p=2, riparian.session=forged");
    request.headers_mut().append("baggage", "b=3".parse().unwrap());
    let answer = send(address(&running), request).await;
    let expected = format!("a=1;p=2,b=3,riparian.session={}", session(&answer));
    assert_eq!(last_seen(&clouds.openai).header("baggage"), Some(expected.as_str()));
    send(address(&running), with_header(post("/v1/chat/completions", &chat()), "baggage", "a=1")).await;
    assert_eq!(last_seen(&clouds.openai).header("baggage"), Some("a=1"), "no session, nothing added");
    let running = proxy(&clouds.config(&contract, QUIET)).await;
    send(address(&running), post("/v1/responses", &first())).await;
    assert_eq!(last_seen(&clouds.openai).header("baggage"), None, "only if configured");
}

/// Requests of one key meet one endpoint; different keys meet both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_and_a_cache_key_keep_to_one_endpoint_of_a_cloud() {
    let clouds = Clouds::start().await;
    let running = proxy(&clouds.config(&ANYWHERE.replace("[azure, openai]", "azure"), QUIET)).await;
    let endpoint = async |request| ours(&send(address(&running), request).await, "endpoint").to_owned();
    let named = |key: &str| with_header(post("/v1/chat/completions", &chat()), "x-session-id", key);
    let cached = |key: &str| {
        let mut body = chat();
        body["prompt_cache_key"] = key.into();
        post("/v1/chat/completions", &body)
    };
    for make in [&named as &dyn Fn(&str) -> Request<Full<Bytes>>, &cached] {
        let mut met = std::collections::HashSet::new();
        for key in 0..24 {
            let key = format!("key {key}");
            let first = endpoint(make(&key)).await;
            for _ in 0..3 {
                assert_eq!(endpoint(make(&key)).await, first, "{key}");
            }
            met.insert(first);
        }
        assert_eq!(met.len(), 2, "keys are spread over both");
    }
    // The session outranks the cache key.
    let at = endpoint(named("s")).await;
    for key in 0..8 {
        assert_eq!(endpoint(with_header(cached(&key.to_string()), "x-session-id", "s")).await, at);
    }
    // Without either, requests are spread.
    let mut met = std::collections::HashSet::new();
    for _ in 0..64 {
        met.insert(endpoint(post("/v1/chat/completions", &chat())).await);
    }
    assert_eq!(met.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_header_may_be_called_otherwise() {
    let capture = Capture::start().await;
    let config = format!(
        "version: 1
listeners: [{{ name: apps, bind: 127.0.0.1:0 }}]
clouds: {{ acme: {{ endpoints: [{{ name: acme-one, dialect: openai, url: {}, credential: none }}] }} }}
contract: {{ enforce: r, readings: {{ r: {{ stateful_from: never }} }}, terms: [{{ id: all, only: acme }}] }}
sessions: {{ header: x-agent-run }}
{QUIET}",
        capture.url()
    );
    let running = proxy(&config).await;
    let of = async |name, value| {
        session(&send(address(&running), with_header(get("/v1/models"), name, value)).await)
    };
    let run = of("x-agent-run", "1").await;
    assert!(!run.is_empty());
    assert_eq!(of("x-agent-run", "1").await, run);
    assert_eq!(of("x-session-id", "1").await, "", "the default name is not it any more");
    assert!(
        capture
            .seen()
            .iter()
            .all(|seen| seen.header("x-agent-run").or(seen.header("x-session-id")) == Some("1")),
        "the client's own header goes on"
    );
}
