//! Promise: a pin is made for what an endpoint keeps and for nothing else, and pins stay few and do not last for ever.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use riparian_loadtest::Fault;
use serde_json::json;
use std::time::{Duration, Instant};
use support::turns::{ANYWHERE, assert_nothing_misplaced, first, follow_up, id_in, streamed, with_header};
use support::wire::SOON;
use support::{Clouds, QUIET, address, get, json, ours, post, proxy, send};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_stored_leaves_no_pin() {
    let clouds = Clouds::start().await;
    let running = proxy(&clouds.config(ANYWHERE, QUIET)).await;
    let mut not_stored = first();
    not_stored["store"] = false.into();
    let mut with_tool = not_stored.clone();
    with_tool["tools"] = json!([{ "type": "code_interpreter", "container": { "type": "auto" } }]);
    for (body, grade, pins) in [
        (not_stored.clone(), "pure", 0),
        (streamed(not_stored), "pure", 0),
        // It makes a container, which lives on; and the answer says that it was not stored itself.
        (with_tool.clone(), "creates", 1),
        (streamed(with_tool), "creates", 2),
    ] {
        let answer = send(address(&running), post("/v1/responses", &body)).await;
        assert_eq!((answer.status().as_u16(), ours(&answer, "grade")), (200, grade), "{body}");
        let id = if body["stream"] == true {
            id_in(answer.body())
        } else {
            json(&answer)["id"].as_str().unwrap().to_owned()
        };
        assert_eq!(running.house.pins.len(), pins, "{body}");
        let answer = send(address(&running), post("/v1/responses", &follow_up(&id))).await;
        assert_eq!(ours(&answer, "reason"), "unknown_handle", "{body}");
    }
    // An answer that is an error bears nothing.
    clouds
        .all()
        .iter()
        .for_each(|cloud| cloud.fault_next(1, Fault::Status { status: 500, retry_after_seconds: None }));
    assert_eq!(send(address(&running), post("/v1/responses", &first())).await.status(), 500);
    assert_eq!(running.house.pins.len(), 2);
    assert_nothing_misplaced(&clouds);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pins_are_bounded_and_end() {
    let clouds = Clouds::start().await;
    let sessions = |pins: &str| format!("{QUIET}\nsessions: {{ pins: {{ {pins} }} }}");
    // A response and its output item are a handle each.
    let running = proxy(&clouds.config(ANYWHERE, &sessions("max: 10, per_tenant: 6"))).await;
    let create = async |tenant: &str| {
        let request = with_header(post("/v1/responses", &first()), "authorization", tenant);
        json(&send(address(&running), request).await)["id"].as_str().unwrap().to_owned()
    };
    let reason = async |tenant: &str, handle: &str| {
        let request = with_header(get(&format!("/v1/responses/{handle}")), "authorization", tenant);
        ours(&send(address(&running), request).await, "reason").to_owned()
    };
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(create("a").await);
    }
    for (at, id) in ids.iter().enumerate() {
        let expected = if at < 2 { "unknown_handle" } else { "held" };
        assert_eq!(reason("a", id).await, expected, "the tenant's own oldest go: {at}");
    }
    for _ in 0..3 {
        create("b").await;
    }
    assert_eq!(running.house.pins.len(), 10);
    assert_eq!(reason("a", &ids[2]).await, "unknown_handle", "the oldest of all goes");
    assert_eq!(reason("a", &ids[4]).await, "held");

    let running = proxy(&clouds.config(ANYWHERE, &sessions("ttl: 300ms, sweep: 50ms"))).await;
    let created = send(address(&running), post("/v1/responses", &first())).await;
    let path = format!("/v1/responses/{}", json(&created)["id"].as_str().unwrap());
    let deadline = Instant::now() + SOON;
    while !running.house.pins.is_empty() {
        assert!(Instant::now() < deadline, "what has expired is swept");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let answer = send(address(&running), get(&path)).await;
    assert_eq!((answer.status().as_u16(), ours(&answer, "reason")), (404, "unknown_handle"));
    assert_nothing_misplaced(&clouds);
}

/// Answers are read also where nobody said that they may be: an encoded one tells of no handle, and that is counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_cannot_be_read_leaves_no_pin_and_passes_whole() {
    let clouds = Clouds::start().await;
    let running = proxy(&clouds.config(&ANYWHERE.replace("[azure, openai]", "openai"), QUIET)).await;
    clouds.openai.fault_next(1, Fault::Gzip);
    let answer = send(address(&running), post("/v1/responses", &first())).await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["content-encoding"]),
        (200, &"gzip".parse().unwrap())
    );
    assert!(answer.body().starts_with(&[0x1f, 0x8b]), "as it came");
    assert_eq!(running.house.pins.len(), 0);
    // The next one is read again.
    let answer = send(address(&running), post("/v1/responses", &first())).await;
    assert_eq!((answer.status().as_u16(), running.house.pins.len()), (200, 2), "the response and its item");
}
