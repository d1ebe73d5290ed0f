//! Promise: where the readings of a contract disagree, the band decides, what the others would have said is counted and nothing is
//! mirrored; a request's own header takes away and adds nothing; terms of tenants and of data regions reach whom they name.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::Full;
use hyper::body::Bytes;
use serde_json::{Value, json};
use support::{Clouds, QUIET, SPLIT, address, chat, json as body_of, metric, ours, post, proxy, send};

/// One reading calls what continues stateful, another nothing, and a third whatever is stored.
fn contract(band: &str, enforce: &str) -> String {
    format!(
        "enforce: {enforce}\nband: {band}\nreadings:\n  wide: {{ stateful_from: continues }}\n  strict: {{ stateful_from: never }}\n  \
         eager: {{ stateful_from: creates }}\nterms:\n\
         - {{ id: calls, when: {{ class: stateless }}, only: [azure, aws] }}\n\
         - {{ id: agents, when: {{ class: stateful }}, only: [aws, openai] }}\n\
         - {{ id: speech, when: {{ class: stateful, surface: openai.embeddings.create }}, only: [openai] }}\n"
    )
}

fn stored() -> Value {
    json!({ "model": "gpt-5.5", "input": "hello" })
}

fn with(mut request: Request<Full<Bytes>>, name: &'static str, value: &str) -> Request<Full<Bytes>> {
    request.headers_mut().append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    request
}

fn outcome(answer: &Response<Bytes>) -> (u16, &str, &str) {
    (answer.status().as_u16(), ours(answer, "cloud"), ours(answer, "reason"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_band_decides_where_readings_disagree() {
    let clouds = Clouds::start().await;
    for (band, enforce, of_stored) in [
        ("enforced", "wide", (200, "azure", "designated")),
        ("enforced", "eager", (200, "aws", "designated")),
        ("conservative", "wide", (200, "aws", "designated")),
        ("conservative", "strict", (200, "aws", "designated")),
        ("refuse", "wide", (403, "none", "readings_disagree")),
    ] {
        let contract = contract(band, enforce).replace("prefer", "");
        let running = proxy(&clouds.config(&contract, QUIET)).await;
        let at = address(&running);
        // Of what all readings call stateless none disagrees.
        assert_eq!(send(at, post("/v1/chat/completions", &chat())).await.status(), 200, "{band} {enforce}");
        let mut seen = Vec::new();
        for _ in 0..12 {
            let answer = send(at, post("/v1/responses", &stored())).await;
            seen.push(format!("{:?}", outcome(&answer)));
            if of_stored.0 == 403 {
                assert_eq!(body_of(&answer)["error"]["code"], "readings_disagree");
            }
        }
        if band != "enforced" {
            let due = format!("{of_stored:?}");
            assert!(seen.iter().all(|one| *one == due), "{band} {enforce}: {seen:?}, not {due}");
        }
        assert!(seen.contains(&format!("{of_stored:?}")), "{band} {enforce}: {seen:?}");
        let counted = || metric::<u64>(&running, "riparian_band_requests_total") == 12;
        support::raw::eventually(&format!("{band} {enforce}: twelve are counted"), counted).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_other_readings_would_have_said_is_counted_by_reading_and_term() {
    let clouds = Clouds::start().await;
    let contract = "enforce: strict\nband: enforced\nreadings:\n  strict: { stateful_from: never }\n  eager: { stateful_from: creates }\n  \
         wide: { stateful_from: runtime }\nterms:\n\
         - { id: calls, when: { class: stateless }, only: [azure] }\n- { id: agents, when: { class: stateful }, only: [aws] }\n";
    let running = proxy(&clouds.config(contract, QUIET)).await;
    let at = address(&running);
    let first = send(at, post("/v1/responses", &stored())).await;
    assert_eq!(outcome(&first), (200, "azure", "designated"));
    let id = body_of(&first)["id"].as_str().unwrap().to_owned();
    let turn = json!({ "model": "gpt-5.5", "input": "more", "previous_response_id": id });
    assert_eq!(send(at, post("/v1/responses", &turn)).await.status(), 200);
    send(at, post("/v1/chat/completions", &chat())).await;
    support::raw::eventually("three requests are settled", || {
        metric::<u64>(
            &running,
            "riparian_divergent_requests_total{reading=\"eager\",term=\"agents\",outcome=\"elsewhere\"}",
        ) == 2
    })
    .await;
    let sessions =
        "riparian_divergent_sessions_total{reading=\"eager\",term=\"agents\",outcome=\"elsewhere\"}";
    assert_eq!(metric::<u64>(&running, sessions), 1, "one session of two turns");
    assert!(!running.house.metrics.render().contains("reading=\"wide\""), "that one agrees");
    assert_eq!(clouds.aws.counts().requests, 0, "nothing is mirrored");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_header_narrows_and_never_widens() {
    let clouds = Clouds::start().await;
    let contract =
        "enforce: r\nreadings: { r: { stateful_from: never } }\nterms: [{ id: two, only: [azure, aws] }]\n";
    let running = proxy(&clouds.config(contract, QUIET)).await;
    let at = address(&running);
    let ask = |clouds: &'static [&str]| async move {
        let request = clouds.iter().fold(post("/v1/chat/completions", &chat()), |request, line| {
            with(request, "x-riparian-clouds", line)
        });
        send(at, request).await
    };
    for (lines, due) in [
        (&["aws"][..], (200, "aws", "designated")),
        (&["openai, aws"], (200, "aws", "designated")),
        (&["openai"], (403, "none", "narrowed")),
        (&["azure", "aws"], (400, "none", "narrowing_malformed")),
        (&["elsewhere"], (400, "none", "narrowing_malformed")),
        (&[""], (400, "none", "narrowing_malformed")),
    ] {
        for _ in 0..5 {
            let answer = ask(lines).await;
            assert_eq!(outcome(&answer), due, "{lines:?}");
        }
    }
    assert_eq!(clouds.openai.counts().requests, 0);
    let passed_on = |cloud: &&riparian_loadtest::FakeCloud| {
        cloud.seen().iter().any(|seen| seen.header("x-riparian-clouds").is_some())
    };
    assert!(!clouds.all().iter().any(passed_on), "it is for us alone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_inside_a_session_is_judged_as_its_reading_has_it() {
    let clouds = Clouds::start().await;
    for (inner_calls, cloud) in [("own", "azure"), ("inherit", "aws")] {
        let contract = SPLIT.replace(
            "stateful_from: creates",
            &format!("stateful_from: creates, inner_calls: {inner_calls}"),
        );
        let running = proxy(&clouds.config(&contract, QUIET)).await;
        let at = address(&running);
        let first = send(at, post("/v1/responses", &stored())).await;
        let tag = ours(&first, "session").to_owned();
        assert!(!tag.is_empty(), "{first:?}");
        let inner =
            with(post("/v1/chat/completions", &chat()), "baggage", &format!("riparian.session={tag}"));
        assert_eq!(outcome(&send(at, inner).await).1, cloud, "{inner_calls}");
        let forged = with(post("/v1/chat/completions", &chat()), "baggage", "riparian.session=s1.forged");
        assert_eq!(outcome(&send(at, forged).await).1, "azure", "{inner_calls}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reading_says_more_of_surfaces_and_signals() {
    let clouds = Clouds::start().await;
    let of = |more: &str| SPLIT.replace("stateful_from: creates", &format!("stateful_from: creates, {more}"));
    let turn = json!({ "model": "gpt-5.5", "input": "a", "store": false, "prompt_cache_key": "k" });
    for (more, body, cloud) in [
        ("surfaces: { openai.responses.*: stateless }", stored(), "azure"),
        ("surfaces: { openai.responses.create: stateful }", turn.clone(), "aws"),
        ("signals: { /prompt_cache_key: stateful }", turn.clone(), "aws"),
        ("signals: { /prompt_cache_key: stateless }", turn.clone(), "azure"),
        ("signals: { /store: stateless }", stored(), "azure"),
    ] {
        let running = proxy(&clouds.config(&of(more), QUIET)).await;
        let answer = send(address(&running), post("/v1/responses", &body)).await;
        assert_eq!(outcome(&answer), (200, cloud, "designated"), "{more}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn terms_of_tenants_and_data_regions_reach_whom_they_name() {
    let (clouds, folder) = (Clouds::start().await, tempfile::tempdir().unwrap());
    let key = |name: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, name).unwrap();
        path.display().to_string()
    };
    let tenants = format!(
        "tenants:\n  shop: {{ credentials: [{{ file: {} }}], data_region: eu }}\n  bank: {{ credentials: [{{ file: {} }}] }}\n",
        key("key-of-shop"),
        key("key-of-bank"),
    );
    let contract = "enforce: r\nreadings: { r: { stateful_from: never } }\nterms:\n\
         - { id: all, never: [openai] }\n- { id: eu, when: { data_region: eu }, only: azure }\n- { id: bank, when: { tenant: bank }, only: aws }\n";
    let running = proxy(&clouds.config(contract, &format!("{QUIET}\n{tenants}"))).await;
    let at = address(&running);
    for (who, due) in
        [("key-of-shop", &["azure"][..]), ("key-of-bank", &["aws"]), ("stranger", &["azure", "aws"])]
    {
        for _ in 0..6 {
            let mut request = post("/v1/chat/completions", &chat());
            request.headers_mut().insert("authorization", format!("Bearer {who}").parse().unwrap());
            let answer = send(at, request).await;
            assert!(due.contains(&ours(&answer, "cloud")), "{who}: {:?}", outcome(&answer));
        }
    }
}
