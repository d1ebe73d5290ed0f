//! Promise: what cites state goes to the endpoint that holds it, at once and every time, and nobody else ever sees its handle.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use riparian_loadtest::Fault;
use riparian_loadtest::cloud::sha256;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use support::turns::{
    ANYWHERE, assert_nothing_misplaced, first, follow_up, id_in, last_seen, named, session, streamed,
    with_header,
};
use support::wire::{SOON, open, piece};
use support::{Clouds, QUIET, address, get, json, ours, post, proxy, send};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_stays_with_its_owner_plain_and_streamed() {
    let clouds = Clouds::start().await;
    let running = proxy(&clouds.config(ANYWHERE, QUIET)).await;
    let mut owners = std::collections::HashSet::new();
    for chain in 0..24 {
        let stream = |turn: usize| (chain + turn).is_multiple_of(2);
        let (mut body, mut owner, mut tag) = (first(), String::new(), String::new());
        for turn in 0..4 {
            if stream(turn) {
                body = streamed(body);
            }
            let answer = send(address(&running), post("/v1/responses", &body)).await;
            assert_eq!(answer.status(), 200, "chain {chain}, turn {turn}: {:?}", answer.body());
            let (endpoint, reason) = (ours(&answer, "endpoint").to_owned(), ours(&answer, "reason"));
            if turn == 0 {
                (owner, tag) = (endpoint, session(&answer));
                owners.insert(owner.clone());
                assert_eq!(reason, "designated");
            } else {
                assert_eq!((&endpoint, reason), (&owner, "held"), "chain {chain}, turn {turn}");
            }
            assert!(!tag.is_empty() && session(&answer) == tag, "one session a chain, said each time");
            let seen = last_seen(named(&clouds, &owner));
            assert_eq!(seen.header("x-riparian-session"), Some(tag.as_str()), "and said upstream");
            let id = if stream(turn) {
                id_in(answer.body())
            } else {
                json(&answer)["id"].as_str().unwrap().to_owned()
            };
            body = follow_up(&id);
        }
    }
    assert!(owners.len() > 1, "chains begin at more than one endpoint: {owners:?}");
    assert_nothing_misplaced(&clouds);
    let continued: u64 = clouds.all().iter().map(|cloud| cloud.counts().continues).sum();
    assert_eq!(continued, 24 * 3);
}

/// The follow-up leaves in the instant in which the id is there, while the stream that told of it is still running.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follow_up_may_be_sent_as_soon_as_the_id_is_seen() {
    let clouds = Clouds::start_paced(Duration::from_millis(20)).await;
    let running = proxy(&clouds.config(ANYWHERE, QUIET)).await;
    let address = address(&running);
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            tokio::spawn(async move {
                let answer = open(address, post("/v1/responses", &streamed(first()))).await;
                let owner = answer.headers()["x-riparian-endpoint"].clone();
                let mut body = answer.into_body();
                let mut event = Vec::new();
                while !event.ends_with(b"\n\n") {
                    event.extend_from_slice(&piece(&mut body).await.expect("the stream goes on"));
                }
                let followed = send(address, post("/v1/responses", &follow_up(&id_in(&event)))).await;
                assert_eq!(followed.status(), 200, "{:?}", followed.body());
                assert_eq!(followed.headers()["x-riparian-endpoint"], owner);
                let mut rest = 0;
                while piece(&mut body).await.is_some() {
                    rest += 1;
                }
                assert!(rest > 0, "the first stream was still running");
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_nothing_misplaced(&clouds);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stored_response_is_read_cancelled_and_deleted_at_its_owner() {
    let clouds = Clouds::start().await;
    let running = proxy(&clouds.config(ANYWHERE, QUIET)).await;
    for _ in 0..8 {
        let mut body = first();
        body["background"] = true.into();
        let created = send(address(&running), post("/v1/responses", &body)).await;
        let (id, owner) =
            (json(&created)["id"].as_str().unwrap().to_owned(), ours(&created, "endpoint").to_owned());
        let path = format!("/v1/responses/{id}");
        let read = send(address(&running), get(&path)).await;
        assert_eq!((read.status().as_u16(), ours(&read, "endpoint")), (200, owner.as_str()));
        assert_eq!(json(&read)["id"], id.as_str());
        assert_eq!(session(&read), session(&created), "the lineage of a path's handle");
        let items = send(address(&running), get(&format!("{path}/input_items?limit=3"))).await;
        assert_eq!((items.status().as_u16(), ours(&items, "endpoint")), (200, owner.as_str()));
        let cancelled = send(address(&running), post(&format!("{path}/cancel"), &json!({}))).await;
        assert_eq!((cancelled.status().as_u16(), ours(&cancelled, "endpoint")), (200, owner.as_str()));
        let mut delete = get(&path);
        *delete.method_mut() = http::Method::DELETE;
        let deleted = send(address(&running), delete).await;
        assert_eq!((deleted.status().as_u16(), ours(&deleted, "endpoint")), (200, owner.as_str()));
        assert_eq!(json(&deleted)["deleted"], true);
    }
    assert_nothing_misplaced(&clouds);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_stays_with_its_owner_in_both_spellings() {
    let clouds = Clouds::start().await;
    let running = proxy(&clouds.config(ANYWHERE, QUIET)).await;
    for _ in 0..8 {
        let created = send(address(&running), post("/v1/conversations", &json!({}))).await;
        assert_eq!((created.status().as_u16(), ours(&created, "grade")), (200, "creates"));
        let (id, owner) =
            (json(&created)["id"].as_str().unwrap().to_owned(), ours(&created, "endpoint").to_owned());
        let mut response = String::new();
        for conversation in [json!(id), json!({ "id": id })] {
            let body =
                json!({ "model": "gpt-5.5", "input": "a", "store": true, "conversation": conversation });
            let answer = send(address(&running), post("/v1/responses", &body)).await;
            assert_eq!((answer.status().as_u16(), ours(&answer, "endpoint")), (200, owner.as_str()));
            assert_eq!((ours(&answer, "reason"), session(&answer)), ("held", session(&created)));
            response = json(&answer)["id"].as_str().unwrap().to_owned();
        }
        // What was born in the conversation belongs to its session.
        let followed = send(address(&running), post("/v1/responses", &follow_up(&response))).await;
        assert_eq!((ours(&followed, "endpoint"), session(&followed)), (owner.as_str(), session(&created)));
        let read = send(address(&running), get(&format!("/v1/conversations/{id}"))).await;
        assert_eq!((read.status().as_u16(), ours(&read, "endpoint")), (200, owner.as_str()));
    }
    assert_nothing_misplaced(&clouds);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_tenants_handle_is_answered_as_an_unknown_one() {
    let clouds = Clouds::start().await;
    let running = proxy(&clouds.config(ANYWHERE, QUIET)).await;
    let created = send(address(&running), post("/v1/responses", &first())).await;
    let id = json(&created)["id"].as_str().unwrap().to_owned();
    let unknown = format!("resp_{}", "0".repeat(id.len() - 5));
    let before = clouds.all().map(|cloud| cloud.counts().requests);
    let as_other = |request| with_header(request, "authorization", "Bearer other");
    // Everything of an answer but what differs from decision to decision.
    let told = |answer: Response<Bytes>, handle: &str| {
        let decision = ours(&answer, "decision").to_owned();
        let headers: Vec<_> = answer
            .headers()
            .iter()
            .filter(|(name, _)| *name != "x-riparian-decision" && *name != "date")
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let body = String::from_utf8(answer.body().to_vec()).unwrap();
        (answer.status(), headers, body.replace(&decision, "").replace(handle, ""))
    };
    for make in [
        (|handle| post("/v1/responses", &follow_up(handle))) as fn(&str) -> Request<Full<Bytes>>,
        |handle| post("/v1/responses", &streamed(follow_up(handle))),
        |handle| get(&format!("/v1/responses/{handle}")),
        |handle| {
            post(
                "/v1/responses",
                &json!({ "model": "gpt-5.5", "input": [{ "type": "item_reference", "id": handle }] }),
            )
        },
    ] {
        let foreign = send(address(&running), as_other(make(&id))).await;
        assert_eq!(ours(&foreign, "reason"), "unknown_handle");
        let never_seen = send(address(&running), as_other(make(&unknown))).await;
        assert_eq!(told(foreign, &id), told(never_seen, &unknown));
    }
    // The same credential in another header is another tenant, too.
    let mut moved = post("/v1/responses", &follow_up(&id));
    moved.headers_mut().remove("authorization");
    let answer = send(address(&running), with_header(moved, "api-key", "app")).await;
    assert_eq!(ours(&answer, "reason"), "unknown_handle");
    assert_eq!(clouds.all().map(|cloud| cloud.counts().requests), before, "nothing was sent");
    let own = send(address(&running), post("/v1/responses", &follow_up(&id))).await;
    assert_eq!(own.status(), 200, "the crossing: its own tenant");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_that_is_down_is_waited_for_and_never_replaced() {
    let clouds = Clouds::start().await;
    let rest = format!("{QUIET}\nhealth: {{ down_after: 2, down_for: 1s }}");
    let running = proxy(&clouds.config(ANYWHERE, &rest)).await;
    let created = send(address(&running), post("/v1/responses", &first())).await;
    let id = json(&created)["id"].as_str().unwrap().to_owned();
    let owner = named(&clouds, ours(&created, "endpoint"));
    owner.fault(Fault::Refuse).await;
    let before = clouds.all().map(|cloud| cloud.counts().requests);
    for _ in 0..6 {
        for request in [post("/v1/responses", &follow_up(&id)), get(&format!("/v1/responses/{id}"))] {
            let answer = send(address(&running), request).await;
            assert_eq!((answer.status().as_u16(), ours(&answer, "reason")), (503, "owner_unavailable"));
            assert_eq!(json(&answer)["error"]["code"], "owner_unavailable");
            assert_eq!(answer.headers()["retry-after"], "1", "health.down_for");
            assert!(!answer.headers().contains_key("x-should-retry"), "this one an SDK may try again");
        }
    }
    assert_eq!(clouds.all().map(|cloud| cloud.counts().requests), before, "nobody saw the handle");
    let other = send(address(&running), post("/v1/responses", &first())).await;
    assert_eq!(other.status(), 200, "what begins anew goes on elsewhere");
    owner.heal().await.unwrap();
    let deadline = Instant::now() + SOON;
    loop {
        let answer = send(address(&running), post("/v1/responses", &follow_up(&id))).await;
        if answer.status() == 200 {
            assert_eq!(ours(&answer, "endpoint"), owner.name());
            break;
        }
        assert!(Instant::now() < deadline, "it is tried again when it is back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_nothing_misplaced(&clouds);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_that_takes_the_owner_away_or_its_cloud_refuses_and_guesses_nothing() {
    let clouds = Clouds::start().await;
    let to = |cloud: &str| ANYWHERE.replace("[azure, openai]", cloud);
    let config = clouds.config(&to("openai"), QUIET);
    let running = proxy(&config).await;
    let created = send(address(&running), post("/v1/responses", &first())).await;
    assert_eq!(ours(&created, "endpoint"), "openai-one");
    let id = json(&created)["id"].as_str().unwrap().to_owned();
    let turn = || send(address(&running), post("/v1/responses", &follow_up(&id)));
    let before = clouds.all().map(|cloud| cloud.counts().requests);

    running.reload(&clouds.config(&to("azure"), QUIET), "test.yaml").await.unwrap();
    let answer = turn().await;
    assert_eq!((answer.status().as_u16(), ours(&answer, "reason")), (403, "owner_not_designated"));
    let error = &json(&answer)["error"];
    assert_eq!((&error["param"], &error["terms"]), (&json!("previous_response_id"), &json!(["all"])));

    running.reload(&config.replace("name: openai-one", "name: openai-two"), "test.yaml").await.unwrap();
    let answer = turn().await;
    assert_eq!((answer.status().as_u16(), ours(&answer, "reason")), (403, "owner_removed"));

    // The same name in another cloud is not the owner.
    let moved = config.replace("  openai:\n", "  other:\n").replace("only: openai", "only: other");
    assert_ne!(moved, config);
    running.reload(&moved, "test.yaml").await.unwrap_or_else(|fault| panic!("{fault}"));
    let answer = turn().await;
    assert_eq!((answer.status().as_u16(), ours(&answer, "reason")), (403, "owner_removed"));
    assert_eq!(clouds.all().map(|cloud| cloud.counts().requests), before, "nothing was sent");

    running.reload(&config, "test.yaml").await.unwrap();
    let answer = turn().await;
    assert_eq!((answer.status().as_u16(), ours(&answer, "reason")), (200, "held"), "the pin outlived it all");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn state_of_two_owners_is_served_by_none() {
    let clouds = Clouds::start().await;
    let running = proxy(&clouds.config(ANYWHERE, QUIET)).await;
    let response = send(address(&running), post("/v1/responses", &first())).await;
    let deadline = Instant::now() + SOON;
    let (same, other) = loop {
        // Two conversations, one at the response's owner and one elsewhere.
        assert!(Instant::now() < deadline, "conversations begin at every endpoint");
        let (a, b) = (
            send(address(&running), post("/v1/conversations", &json!({}))).await,
            send(address(&running), post("/v1/conversations", &json!({}))).await,
        );
        let at_owner = |answer: &Response<Bytes>| ours(answer, "endpoint") == ours(&response, "endpoint");
        match (at_owner(&a), at_owner(&b)) {
            (true, false) => break (json(&a)["id"].clone(), json(&b)["id"].clone()),
            (false, true) => break (json(&b)["id"].clone(), json(&a)["id"].clone()),
            _ => {}
        }
    };
    let both = |conversation: &Value| {
        let mut body = follow_up(json(&response)["id"].as_str().unwrap());
        body["conversation"] = conversation.clone();
        post("/v1/responses", &body)
    };
    let before = clouds.all().map(|cloud| cloud.counts().requests);
    let answer = send(address(&running), both(&other)).await;
    assert_eq!((answer.status().as_u16(), ours(&answer, "reason")), (400, "owners_differ"));
    assert_eq!(clouds.all().map(|cloud| cloud.counts().requests), before, "nothing was sent");
    // With one owner it goes there, and what the vendor says of it is the vendor's business.
    let answer = send(address(&running), both(&same)).await;
    assert_eq!((ours(&answer, "endpoint"), ours(&answer, "reason")), (ours(&response, "endpoint"), "held"));
    // One that is known does not vouch for one that is not.
    let answer = send(address(&running), both(&json!("conv_unknown"))).await;
    assert_eq!((answer.status().as_u16(), ours(&answer, "reason")), (400, "unknown_handle"));
}

/// Whatever spelling a handle is cited in, its owner gets the bytes as they came.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handle_is_known_in_any_spelling() {
    let clouds = Clouds::start().await;
    let running = proxy(&clouds.config(ANYWHERE, QUIET)).await;
    let created = send(address(&running), post("/v1/responses", &first())).await;
    let id = json(&created)["id"].as_str().unwrap().to_owned();
    let owner = named(&clouds, ours(&created, "endpoint"));
    let escaped: String = id.chars().map(|char| format!("\\u{:04x}", char as u32)).collect();
    let own = if owner.name() == "openai-one" { "gpt-5.5" } else { "gpt-prod" };
    let body = |model: &str| {
        format!("{{\"previous\\u005fresponse_id\":\"{escaped}\",\"input\":\"b\", \"model\":\"{model}\"}}")
    };
    let mut request = post("/v1/responses", &Value::Null);
    *request.body_mut() = Full::new(Bytes::from(body("gpt-5.5")));
    let answer = send(address(&running), request).await;
    assert_eq!((answer.status().as_u16(), ours(&answer, "endpoint")), (200, owner.name()));
    assert_eq!(last_seen(owner).body_sha256, sha256(body(own).as_bytes()));
    let in_path = format!("/v1/responses/{}", id.replace('_', "%5F"));
    let answer = send(address(&running), get(&in_path)).await;
    assert_eq!(ours(&answer, "reason"), "held");
    assert!(last_seen(owner).target.ends_with(&in_path["/v1".len()..]), "{}", last_seen(owner).target);
}
