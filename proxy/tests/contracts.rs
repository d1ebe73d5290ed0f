//! Promise: the terms in force decide where a request may go; what they do not allow is refused, in words that a client
//! can act on, and never sent anywhere.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use http::Request;
use http_body_util::Full;
use riparian_config::Timestamp;
use riparian_loadtest::Fault;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use support::wire::SOON;
use support::{Clouds, QUIET, address, chat, get, json, ours, post, proxy, proxy_before, send};

/// Chat completions are stateless, whatever is stored is not.
fn contract(terms: &[&str]) -> String {
    format!("enforce: r\nreadings: {{ r: {{ stateful_from: creates }} }}\nterms: [{}]", terms.join(", "))
}

fn requests(clouds: &Clouds) -> [u64; 4] {
    clouds.all().map(|cloud| cloud.counts().requests)
}

/// Cloud and reason of a chat completion under these terms.
async fn where_to(clouds: &Clouds, terms: &[&str]) -> (String, String) {
    let running = proxy(&clouds.config(&contract(terms), QUIET)).await;
    let answer = send(address(&running), post("/v1/chat/completions", &chat())).await;
    (ours(&answer, "cloud").to_owned(), ours(&answer, "reason").to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn terms_narrow_order_and_refuse() {
    let clouds = Clouds::start().await;
    let allowed = |cloud: &str| (cloud.to_owned(), "designated".to_owned());
    let refused = |reason: &str| ("none".to_owned(), reason.to_owned());
    for (terms, expected) in [
        (&["{ id: a, only: aws }"][..], allowed("aws")),
        (&["{ id: a, only: [aws, openai] }", "{ id: b, only: [azure, openai] }"], allowed("openai")),
        (&["{ id: a, only: [aws, azure] }", "{ id: b, never: azure }"], allowed("aws")),
        (&["{ id: a, never: [azure, aws] }"], allowed("openai")),
        (&["{ id: a, prefer: [openai, aws] }"], allowed("openai")),
        (&["{ id: a, only: [azure, aws] }", "{ id: b, prefer: [openai, aws] }"], allowed("aws")),
        // A term that does not speak of the request changes nothing.
        (&["{ id: a, only: aws }", "{ id: b, when: { class: stateful }, only: azure }"], allowed("aws")),
        (&["{ id: a, only: aws }", "{ id: b, until: 2020-01-01T00:00:00Z, never: aws }"], allowed("aws")),
        (&["{ id: a, only: aws }", "{ id: b, from: 2120-01-01T00:00:00Z, never: aws }"], allowed("aws")),
        (&["{ id: a, when: { class: stateful }, only: aws }"], refused("no_term")),
        (&["{ id: a, until: 2020-01-01T00:00:00Z, only: aws }"], refused("no_term")),
        (&["{ id: a, from: 2120-01-01T00:00:00Z, only: aws }"], refused("no_term")),
        (&["{ id: a, when: { vendor: anthropic }, only: aws }"], refused("no_term")),
        (&["{ id: a, when: { model: gpt-4* }, only: aws }"], refused("no_term")),
        (&["{ id: a, only: aws }", "{ id: b, only: azure }"], refused("terms_conflict")),
        (&["{ id: a, only: aws }", "{ id: b, never: aws }"], refused("forbidden")),
        (&["{ id: a, never: [azure, aws, openai] }"], refused("forbidden")),
    ] {
        let before = requests(&clouds).iter().sum::<u64>();
        let found = where_to(&clouds, terms).await;
        assert_eq!(found, expected, "{terms:?}");
        let sent = requests(&clouds).iter().sum::<u64>() - before;
        assert_eq!(sent, u64::from(expected.0 != "none"), "requests that left under {terms:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_preferred_cloud_that_is_down_gives_way_to_the_next_of_the_set_and_to_no_other() {
    let clouds = Clouds::start().await;
    clouds.aws.fault(Fault::Refuse).await;
    let terms = ["{ id: a, only: [aws, openai], prefer: [aws, openai] }"];
    let running = proxy(&clouds.config(&contract(&terms), QUIET)).await;
    let answer = send(address(&running), post("/v1/chat/completions", &chat())).await;
    assert_eq!((answer.status().as_u16(), ours(&answer, "cloud")), (200, "openai"));
    clouds.openai.fault(Fault::Refuse).await;
    for _ in 0..5 {
        let answer = send(address(&running), post("/v1/chat/completions", &chat())).await;
        assert!([502, 503].contains(&answer.status().as_u16()), "{}", answer.status());
    }
    assert_eq!(requests(&clouds), [0, 0, 0, 1]);
}

/// The only cloud that may have it is down: it goes nowhere. For stateless requests, for such as leave state, and for such as
/// cite it; until the endpoint counts as down, while it does, and when it is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_goes_elsewhere_while_the_only_designated_cloud_is_down() {
    let clouds = Clouds::start().await;
    let rest = format!(
        "{QUIET}\nhealth: {{ down_after: 2, down_for: 1s }}\nretries: {{ attempts: 5, budget_percent: 100 }}"
    );
    let running = proxy(&clouds.config(&contract(&["{ id: only-aws, only: aws }"]), &rest)).await;
    let stored = json!({ "model": "gpt-5.5", "input": "a" });
    let first = send(address(&running), post("/v1/responses", &stored)).await;
    let held = json!({ "model": "gpt-5.5", "input": "b", "previous_response_id": json(&first)["id"] });
    clouds.aws.fault(Fault::Refuse).await;
    for round in 0..10 {
        for (path, body, reasons) in [
            ("/v1/chat/completions", &chat(), ["upstream_connect", "endpoints_down"]),
            ("/v1/responses", &stored, ["upstream_connect", "endpoints_down"]),
            ("/v1/responses", &held, ["owner_unavailable", "owner_unavailable"]),
        ] {
            let answer = send(address(&running), post(path, body)).await;
            let reason = ours(&answer, "reason");
            assert!(reasons.contains(&reason), "round {round}, {path}: {reason}");
            let expected = if reason == "upstream_connect" { 502 } else { 503 };
            assert_eq!(answer.status(), expected, "round {round}, {path}: {reason}");
            assert_eq!(answer.headers().contains_key("retry-after"), expected == 503, "{reason}");
            assert_eq!(json(&answer)["error"]["code"], reason);
        }
    }
    assert_eq!(requests(&clouds), [0, 0, 1, 0], "only what was sent before the cloud went down");
    clouds.aws.heal().await.unwrap();
    let deadline = Instant::now() + SOON;
    while send(address(&running), post("/v1/responses", &held)).await.status() != 200 {
        assert!(Instant::now() < deadline, "it is tried again when it is back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let [one, two, _, openai] = requests(&clouds);
    assert_eq!([one, two, openai], [0, 0, 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn terms_change_by_themselves_when_their_time_comes() {
    let clouds = Clouds::start().await;
    let terms = |boundary: Timestamp| {
        format!(
            "enforce: r\nreadings: {{ r: {{ stateful_from: never }} }}\nclock_skew: 0s\nterms:\n\
             - {{ id: before, until: {boundary}, only: azure }}\n- {{ id: after, from: {boundary}, only: aws }}"
        )
    };
    let (running, boundary) = proxy_before(|boundary| clouds.config(&terms(boundary), QUIET)).await;
    let deadline = Instant::now() + SOON;
    let (mut before, mut after) = (0, 0);
    while after < 5 {
        assert!(Instant::now() < deadline, "the boundary passes");
        let began = Timestamp::now();
        let answer = send(address(&running), post("/v1/chat/completions", &chat())).await;
        let ended = Timestamp::now();
        assert_eq!(answer.status(), 200);
        match ours(&answer, "cloud") {
            "azure" => {
                assert!(
                    began < boundary,
                    "sent at {began} to the cloud that was designated until {boundary}"
                );
                before += 1;
            }
            "aws" => {
                assert!(
                    ended >= boundary,
                    "answered at {ended} by the cloud that is designated from {boundary}"
                );
                after += 1;
            }
            other => panic!("sent to {other}"),
        }
    }
    assert!(before > 0, "the proxy started well before the boundary");
    let [one, two, aws, openai] = requests(&clouds);
    assert_eq!((one + two, aws, openai), (before, after, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn near_a_boundary_only_what_both_sides_allow() {
    let clouds = Clouds::start().await;
    let boundary = Timestamp::now() + Duration::from_secs(60);
    let terms = |before: &str, after: &str| {
        format!(
            "enforce: r\nreadings: {{ r: {{ stateful_from: never }} }}\nclock_skew: 1h\nterms:\n\
             - {{ id: before, until: {boundary}, only: {before} }}\n- {{ id: after, from: {boundary}, only: {after} }}"
        )
    };
    let running = proxy(&clouds.config(&terms("[azure, aws]", "[aws, openai]"), QUIET)).await;
    for _ in 0..10 {
        let answer = send(address(&running), post("/v1/chat/completions", &chat())).await;
        assert_eq!((answer.status().as_u16(), ours(&answer, "cloud")), (200, "aws"));
    }
    let running = proxy(&clouds.config(&terms("azure", "openai"), QUIET)).await;
    let answer = send(address(&running), post("/v1/chat/completions", &chat())).await;
    assert_eq!((answer.status().as_u16(), ours(&answer, "reason")), (503, "epoch_boundary"));
    assert!(answer.headers().contains_key("retry-after"), "it passes");
    let error = &json(&answer)["error"];
    assert_eq!(error["terms"], json!(["before", "after"]));
    assert_eq!(requests(&clouds), [0, 0, 10, 0]);
}

/// The envelope of the vendor, so that an unchanged SDK raises the exception of the status.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_has_the_vendors_envelope_and_what_helps() {
    let clouds = Clouds::start().await;
    let terms = [
        "{ id: stateless-on-azure, cite: \"Section 1\", when: { class: stateless }, only: [azure] }",
        "{ id: audio-on-aws, cite: \"Section 2\", when: { surface: openai.audio.* }, only: [aws] }",
    ];
    let running = proxy(&clouds.config(&contract(&terms), QUIET)).await;
    let chain = |handle: &str| json!({ "model": "gpt-5.5", "store": false, "previous_response_id": handle });
    let allow_handles = ["{ id: all, only: azure }"];
    let handles = proxy(&clouds.config(&contract(&allow_handles), QUIET)).await;
    let speech = json!({ "model": "gpt-5.5", "input": "a" });
    let rows = [
        // status, type, code, param, terms
        (
            &running,
            post("/v1/responses", &json!({ "model": "gpt-5.5", "input": "a" })),
            403,
            "permission_error",
            "no_term",
            Value::Null,
            json!([]),
        ),
        (
            &running,
            post("/v1/audio/speech", &speech),
            403,
            "permission_error",
            "terms_conflict",
            Value::Null,
            json!(["stateless-on-azure", "audio-on-aws"]),
        ),
        (
            &running,
            post("/v1/other", &chat()),
            403,
            "permission_error",
            "unrecognised",
            Value::Null,
            json!([]),
        ),
        (
            &running,
            post("/v1/chat/completions", &json!({ "model": "gpt-9", "messages": [] })),
            404,
            "not_found_error",
            "not_served",
            json!("model"),
            json!(["stateless-on-azure"]),
        ),
        (
            &running,
            post("/v1/chat/completions", &json!({ "messages": [] })),
            400,
            "invalid_request_error",
            "model_missing",
            Value::Null,
            json!([]),
        ),
        (
            &handles,
            post("/v1/responses", &chain("resp_1")),
            400,
            "invalid_request_error",
            "unknown_handle",
            json!("previous_response_id"),
            json!(["all"]),
        ),
        (
            &handles,
            post("/v1/responses", &json!({ "model": "gpt-5.5", "conversation": { "id": "conv_1" } })),
            400,
            "invalid_request_error",
            "unknown_handle",
            json!("conversation.id"),
            json!(["all"]),
        ),
        (
            &handles,
            get("/v1/responses/resp_1"),
            404,
            "not_found_error",
            "unknown_handle",
            json!("response"),
            json!(["all"]),
        ),
    ];
    for (running, request, status, kind, code, param, terms) in rows {
        let case = format!("{} {code}", request.uri());
        let answer = send(address(running), request).await;
        let error = json(&answer)["error"].clone();
        assert_eq!(answer.status(), status, "{case}: {error}");
        assert_eq!(
            (&error["type"], &error["code"], &error["param"]),
            (&json!(kind), &json!(code), &param),
            "{case}"
        );
        assert_eq!(error["terms"], terms, "{case}");
        assert_eq!(answer.headers()["content-type"], "application/json", "{case}");
        assert_eq!(answer.headers()["x-should-retry"], "false", "{case}");
        assert!(!answer.headers().contains_key("retry-after"), "{case}");
        assert_eq!(ours(&answer, "reason"), code, "{case}");
        let decision = ours(&answer, "decision");
        let message = error["message"].as_str().unwrap();
        assert_eq!((decision.len(), error["decision"].as_str()), (16, Some(decision)), "{case}");
        assert!(message.contains(decision), "{case}: {message}");
        for term in terms.as_array().unwrap() {
            assert!(message.contains(term.as_str().unwrap()), "{case}: {message}");
        }
        assert!(!message.contains("127.0.0.1"), "no address in {message}");
    }
    let answer = send(address(&running), post("/v1/audio/speech", &speech)).await;
    assert!(
        json(&answer)["error"]["message"].as_str().unwrap().contains("Section 2"),
        "the term's source is cited"
    );
    assert_eq!(requests(&clouds), [0; 4]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_headers_are_on_every_answer_unless_they_are_turned_off() {
    let clouds = Clouds::start().await;
    let names = ["decision", "cloud", "endpoint", "grade", "class", "reason"];
    let quiet = QUIET.replace("access_log: off", "access_log: off, response_headers: false");
    for (rest, expected) in [(QUIET, true), (quiet.as_str(), false)] {
        let running = proxy(&clouds.config(&contract(&["{ id: a, only: aws }"]), rest)).await;
        for (path, status) in [("/v1/chat/completions", 200), ("/v1/other", 403)] {
            // What a client claims to have been told must not come back as ours.
            let mut request = post(path, &chat());
            request.headers_mut().insert("x-riparian-cloud", "forged".parse().unwrap());
            let answer = send(address(&running), request).await;
            assert_eq!(answer.status(), status);
            for name in names {
                assert_eq!(!ours(&answer, name).is_empty(), expected, "{name} on {path}");
            }
        }
        let head = Request::get("/v1/models").body(Full::default()).unwrap();
        let answer = send(address(&running), head).await;
        assert_eq!(
            (answer.status().as_u16(), ours(&answer, "reason")),
            (400, if expected { "head_malformed" } else { "" })
        );
    }
}
