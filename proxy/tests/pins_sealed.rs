//! Promise: with the store `sealed` replicas that share nothing but secrets bring every follow-up to its owner; endpoints see bare handles
//! only, and clients sealed ones only; a seal that was edited, has ended, or is another caller's, is a handle that nobody knows.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_types, reason = "a test may")]

mod support;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::Full;
use riparian_filters::eventstream::{Piece, Splitter};
use riparian_proxy::credentials::Secrets;
use riparian_proxy::server::Running;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use support::origin::{EVENTS, Origin, chunk};
use support::script::{Seen, answer, event, said, scripted, two};
use support::socket::{Socket, SocketCloud, responses};
use support::turns::{ANYWHERE, assert_nothing_misplaced, first, follow_up, id_in, streamed};
use support::{Clouds, QUIET, address, get, json, ours, post, send};

const MARK: &str = ".rv1-";

/// `sessions` with these keys of seals, the first one first.
fn sealed(keys: &[&str], more: &str) -> String {
    let keys: Vec<_> = keys.iter().map(|key| format!("{{ env: {key} }}")).collect();
    format!(
        "sessions: {{ key: {{ env: ROOT }}, pins: {{ store: sealed, keys: [{}]{more} }} }}\n",
        keys.join(", ")
    )
}

/// A replica; its secrets are the same everywhere, and which of them it uses the configuration says.
async fn replica(config: &str) -> Running {
    let secrets = ["ROOT", "OLD", "NEW"].map(|name| (name.to_owned(), format!("{name}-{}", "x".repeat(40))));
    let secrets = Secrets::with_variables(secrets);
    Running::start_with(config, "test.yaml", secrets, 2).await.unwrap_or_else(|fault| panic!("{fault}"))
}

fn is_sealed(handle: &str) -> bool {
    handle.contains(MARK)
}

fn bare(handle: &str) -> &str {
    handle.split(MARK).next().unwrap()
}

fn code(answer: &Response<Bytes>) -> (u16, String) {
    let body = json(answer);
    let code = body["riparian"]["code"].as_str().or(body["error"]["code"].as_str()).unwrap_or("");
    (answer.status().as_u16(), code.to_owned())
}

/// Two scripted clouds that speak `dialect` and answer alike, and a replica between.
async fn both(
    dialect: &str,
    answer: impl Fn(&str, &[u8]) -> Vec<u8> + Send + Sync + Clone + 'static,
    rest: &str,
) -> ((Origin, Seen), (Origin, Seen), Running) {
    let (a, b) = (scripted(answer.clone()).await, scripted(answer).await);
    let running = replica(&two(dialect, &a.0.url(), &b.0.url(), "", rest)).await;
    (a, b, running)
}

/// Where requests went since the last time: one of the two, and what it was sent.
fn went(a: &Seen, b: &Seen) -> (&'static str, String, String) {
    let (mut a, mut b) = (std::mem::take(&mut *a.lock().unwrap()), std::mem::take(&mut *b.lock().unwrap()));
    assert_eq!(a.len() + b.len(), 1, "one request at one of the two");
    let (name, (head, body)) = a.pop().map_or_else(|| ("b", b.remove(0)), |seen| ("a", seen));
    let body = String::from_utf8(body).unwrap();
    assert!(!head.contains(MARK) && !body.contains(MARK), "no seal reaches an endpoint: {head}{body}");
    (name, head, body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_over_two_replicas_that_share_nothing_but_secrets() {
    let clouds = Clouds::start().await;
    let config = clouds.config(ANYWHERE, &format!("{}{QUIET}", sealed(&["OLD"], "")));
    let replicas = [replica(&config).await, replica(&config).await];
    let mut owners = BTreeSet::new();
    for chain in 0..30 {
        let one = address(&replicas[chain % 2]);
        let other = address(&replicas[(chain + 1) % 2]);
        let begun = if chain % 3 == 0 { streamed(first()) } else { first() };
        let answer = send(one, post("/v1/responses", &begun)).await;
        assert_eq!(answer.status(), 200, "{:?}", answer.body());
        let mut id = match chain % 3 {
            0 => id_in(answer.body()),
            _ => json(&answer)["id"].as_str().unwrap().to_owned(),
        };
        let owner = ours(&answer, "endpoint").to_owned();
        for turn in 0..3 {
            assert!(is_sealed(&id), "{id}");
            let at = if turn % 2 == 0 { other } else { one };
            let answer = send(at, post("/v1/responses", &follow_up(&id))).await;
            assert_eq!(
                (answer.status().as_u16(), ours(&answer, "endpoint")),
                (200, owner.as_str()),
                "{turn}"
            );
            let body = json(&answer);
            assert_eq!(body["previous_response_id"], id.as_str(), "cited and told again in the same words");
            let next = body["id"].as_str().unwrap().to_owned();
            // What it made can be asked for by its path, and deleted.
            let fetched = send(other, get(&format!("/v1/responses/{next}"))).await;
            assert_eq!((fetched.status().as_u16(), ours(&fetched, "endpoint")), (200, owner.as_str()));
            assert_eq!(json(&fetched)["id"], next.as_str());
            id = next;
        }
        let mut delete = get(&format!("/v1/responses/{id}"));
        *delete.method_mut() = Method::DELETE;
        let deleted = send(one, delete).await;
        assert_eq!((deleted.status().as_u16(), ours(&deleted, "endpoint")), (200, owner.as_str()));
        owners.insert(owner);
    }
    assert_eq!(owners.len(), 3, "chains began everywhere");
    assert_nothing_misplaced(&clouds);
    let known: BTreeSet<String> = clouds
        .all()
        .iter()
        .flat_map(|cloud| cloud.seen())
        .flat_map(|seen| {
            assert!(!seen.target.contains(MARK), "{}", seen.target);
            seen.cited
        })
        .collect();
    assert!(known.len() > 36 && known.iter().all(|id| !is_sealed(id)), "{known:?}");
    assert_eq!(replicas.iter().map(|one| one.house.pins.len()).sum::<u64>(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_good_seal_is_a_handle_that_nobody_knows() {
    let clouds = Clouds::start().await;
    let config = |more: &str| clouds.config(ANYWHERE, &format!("{}{QUIET}", sealed(&["OLD"], more)));
    let running = replica(&config("")).await;
    let address = address(&running);
    let fresh = async || {
        let answer = send(address, post("/v1/responses", &first())).await;
        json(&answer)["id"].as_str().unwrap().to_owned()
    };
    let ask = async |id: &str| code(&send(address, post("/v1/responses", &follow_up(id))).await);
    let unknown = ask("resp_never").await;
    assert_eq!(unknown.0, 400, "{unknown:?}");
    let id = fresh().await;
    let asked: usize = clouds.all().iter().map(|cloud| cloud.seen().len()).sum();
    assert_eq!(ask(bare(&id)).await, unknown, "without its seal");
    for at in bare(&id).len() + MARK.len()..id.len() {
        let mut edited = id.clone().into_bytes();
        edited[at] = if edited[at] == b'A' { b'B' } else { b'A' };
        assert_eq!(ask(&String::from_utf8(edited).unwrap()).await, unknown, "letter {at}");
    }
    assert_eq!(ask(&id[..id.len() - 4]).await, unknown, "cut");
    assert_eq!(ask(&format!("x{id}x")).await, unknown);
    let other = fresh().await;
    let id = id.as_str();
    let swapped = format!("{}{}", bare(&other), &id[bare(id).len()..]);
    assert_eq!(ask(&swapped).await, unknown, "another handle's");
    let mut stranger = post("/v1/responses", &follow_up(&other));
    stranger.headers_mut().insert("authorization", "Bearer somebody else".parse().unwrap());
    assert_eq!(code(&send(address, stranger).await), unknown, "another caller's");
    let path = send(address, get(&format!("/v1/responses/{swapped}"))).await;
    assert_eq!(path.status(), 404);
    let after: usize = clouds.all().iter().map(|cloud| cloud.seen().len()).sum();
    assert_eq!(after, asked + 1, "one was made meanwhile, and none of the others reached a cloud");
    assert_eq!(ask(id).await.0, 200, "it was good all the time");

    let brief = replica(&config(", ttl: 2s")).await;
    let brief_at = support::address(&brief);
    let born = std::time::Instant::now();
    let answer = send(brief_at, post("/v1/responses", &first())).await;
    let id = json(&answer)["id"].as_str().unwrap().to_owned();
    while code(&send(brief_at, post("/v1/responses", &follow_up(&id))).await) != unknown {
        assert!(born.elapsed() < support::wire::SOON, "it ends");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(born.elapsed() >= std::time::Duration::from_millis(900), "but not at once");
    for cloud in clouds.all() {
        assert!(cloud.seen().iter().flat_map(|seen| &seen.cited).all(|id| !is_sealed(id)));
    }
    assert_nothing_misplaced(&clouds);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_changed_by_reloads_and_no_client_notices() {
    let clouds = Clouds::start().await;
    let config = |keys: &[&str]| clouds.config(ANYWHERE, &format!("{}{QUIET}", sealed(keys, "")));
    let running = replica(&config(&["OLD"])).await;
    let address = address(&running);
    let ask = async |body: Value| send(address, post("/v1/responses", &body)).await;
    let old = json(&ask(first()).await)["id"].as_str().unwrap().to_owned();
    for keys in [&["OLD", "NEW"][..], &["NEW", "OLD"]] {
        running.reload(&config(keys), "test.yaml").await.unwrap_or_else(|fault| panic!("{fault}"));
        assert_eq!(ask(follow_up(&old)).await.status(), 200, "{keys:?}");
    }
    let new = json(&ask(first()).await)["id"].as_str().unwrap().to_owned();
    running.reload(&config(&["NEW"]), "test.yaml").await.unwrap_or_else(|fault| panic!("{fault}"));
    assert_eq!(ask(follow_up(&new)).await.status(), 200);
    assert_eq!(ask(follow_up(&old)).await.status(), 400, "its key is gone");
    let other = clouds.config(ANYWHERE, QUIET);
    assert!(running.reload(&other, "test.yaml").await.is_err(), "another store takes a restart");
    assert_nothing_misplaced(&clouds);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_cut_anywhere_is_sealed_everywhere() {
    let event = |kind: &str, body: Value| format!("event: {kind}\ndata: {body}\n\n");
    let blob = "gAAAA".repeat(300);
    let text = [
        event("response.created", json!({ "type": "response.created", "response": { "id": "resp_streamed", "store": true, "output": [] } })),
        event("response.output_item.added", json!({ "item": { "id": "msg_streamed", "type": "message" } })),
        event("response.output_text.delta", json!({ "item_id": "msg_streamed", "delta": "resp_streamed is \"resp_streamed\"" })),
        event("response.output_item.done", json!({ "item": { "id": "rs_streamed", "encrypted_content": blob } })),
        event("response.completed", json!({ "response": { "id": "resp_streamed", "output": [{ "id": "msg_streamed" }, { "id": "rs_streamed", "encrypted_content": blob }] } })),
    ]
    .concat();
    let text: Arc<str> = text.into();
    let say = |text: Arc<str>, size: usize| {
        move |_: &str, _: &[u8]| {
            let chunks: Vec<u8> = text.as_bytes().chunks(size).flat_map(chunk).collect();
            [EVENTS.as_bytes(), &chunks, b"0\r\n\r\n"].concat()
        }
    };
    let mut expected: Option<String> = None;
    for size in [1, 2, 3, 7, 16, 61, 256, 1000, 100_000] {
        let cloud = scripted(say(Arc::clone(&text), size)).await;
        let url = cloud.0.url();
        let running =
            replica(&two("openai", &url, &url.replace("127.0.0.1", "localhost"), "", &sealed(&["OLD"], "")))
                .await;
        let answer = send(address(&running), post("/v1/responses", &streamed(first()))).await;
        let got = String::from_utf8(answer.body().to_vec()).unwrap();
        let events: Vec<Value> = got
            .lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .map(|data| serde_json::from_str(data).unwrap())
            .collect();
        assert_eq!(events.len(), 5, "{size}: {got}");
        let id = events[0]["response"]["id"].as_str().unwrap();
        let item = events[1]["item"]["id"].as_str().unwrap();
        let sealed_blob = events[3]["item"]["encrypted_content"].as_str().unwrap();
        assert!(is_sealed(id) && is_sealed(item) && is_sealed(sealed_blob), "{size}: {got}");
        assert_eq!(
            (bare(id), bare(item), bare(sealed_blob)),
            ("resp_streamed", "msg_streamed", blob.as_str())
        );
        assert_eq!(events[2]["item_id"], item, "{size}");
        assert_eq!(events[2]["delta"], "resp_streamed is \"resp_streamed\"", "prose stays prose");
        assert_eq!(events[4]["response"]["id"], id);
        assert_eq!(events[4]["response"]["output"][0]["id"], item);
        assert_eq!(events[4]["response"]["output"][1]["encrypted_content"], sealed_blob);
        // Sessions differ from request to request, so the letters do; the shape does not.
        let shape: String = got
            .split(MARK)
            .map(|part| part.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || "-_".contains(c)))
            .collect();
        assert_eq!(*expected.get_or_insert(shape.clone()), shape, "{size}");

        let turn = json!({ "model": "gpt-5.5", "store": false, "input": [{ "type": "reasoning", "id": item, "encrypted_content": sealed_blob }] });
        cloud.1.lock().unwrap().clear();
        let answer = send(address(&running), post("/v1/responses", &turn)).await;
        assert_eq!(
            (answer.status().as_u16(), ours(&answer, "grade")),
            (200, "sealed"),
            "{:?}",
            answer.body()
        );
        let (_, body) = cloud.1.lock().unwrap().pop().unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["input"][0]["encrypted_content"], blob.as_str());
        assert_eq!(body["input"][0]["id"], "rs_streamed".replace("rs_", "msg_"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handles_in_headers_queries_paths_and_nested_places() {
    // MCP: a session in a header, both ways.
    let number = Arc::new(AtomicUsize::new(0));
    let mcp = move |head: &str, body: &[u8]| {
        let body: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        let session = match body["method"] == "initialize" {
            true => format!("mcp-session-number-{}", number.fetch_add(1, Ordering::SeqCst)),
            false => head
                .lines()
                .find_map(|line| {
                    line.to_ascii_lowercase().strip_prefix("mcp-session-id: ").map(str::to_owned)
                })
                .unwrap(),
        };
        let body = json!({ "jsonrpc": "2.0", "id": 1, "result": {} });
        answer("application/json", &[("mcp-session-id", &session)], body.to_string())
    };
    let (a, b, running) = both("mcp", mcp, &sealed(&["OLD"], "")).await;
    let call = async |method: &str, session: Option<&str>| {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": {} });
        let mut request = post("/mcp", &body);
        if let Some(session) = session {
            request.headers_mut().insert("mcp-session-id", session.parse().unwrap());
        }
        send(address(&running), request).await
    };
    let mut owners = BTreeSet::new();
    for _ in 0..12 {
        let begun = call("initialize", None).await;
        let (owner, ..) = went(&a.1, &b.1);
        let session = begun.headers()["mcp-session-id"].to_str().unwrap();
        assert!(is_sealed(session), "{session}");
        for _ in 0..3 {
            let answer = call("tools/list", Some(session)).await;
            assert_eq!(
                (answer.status().as_u16(), &answer.headers()["mcp-session-id"]),
                (200, &begun.headers()["mcp-session-id"])
            );
            let (again, head, _) = went(&a.1, &b.1);
            assert_eq!(again, owner);
            assert!(head.contains(bare(session)));
        }
        owners.insert(owner);
    }
    assert_eq!(owners.len(), 2);
    assert_eq!(call("tools/list", Some("mcp-session-number-0")).await.status(), 404, "without its seal");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conversations_items_and_files_by_path_body_and_escape() {
    let cloud = move |head: &str, body: &[u8]| {
        let body: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        let target = head.split(' ').nth(1).unwrap();
        match target {
            "/v1/conversations" => said(&json!({ "id": "conv_one", "object": "conversation" })),
            _ if target.ends_with("/items") => said(
                &json!({ "data": [{ "id": "msg_one" }, { "id": "msg_two" }], "conversation": "conv_one" }),
            ),
            _ => said(
                &json!({ "id": "resp_one", "store": true, "conversation": body["conversation"], "output": [{ "id": "msg_three" }] }),
            ),
        }
    };
    let (a, b, running) = both("openai", cloud, &sealed(&["OLD"], "")).await;
    let address = address(&running);
    let made = send(address, post("/v1/conversations", &json!({}))).await;
    let (owner, ..) = went(&a.1, &b.1);
    let conversation = json(&made)["id"].as_str().unwrap().to_owned();
    assert_eq!(made.headers().get("content-length"), None, "its length is told by its end");
    let items =
        send(address, post(&format!("/v1/conversations/{conversation}/items"), &json!({ "items": [] })))
            .await;
    let (again, head, _) = went(&a.1, &b.1);
    assert!(again == owner && head.starts_with("POST /v1/conversations/conv_one/items "), "{head}");
    let items = json(&items);
    assert_eq!(items["conversation"], conversation.as_str(), "what was cited is told as it was cited");
    let second = items["data"][1]["id"].as_str().unwrap();
    // Two handles in one path, one of them with an escape.
    let escaped = conversation.replacen('_', "%5F", 1);
    let got = send(address, get(&format!("/v1/conversations/{escaped}/items/{second}"))).await;
    assert_eq!(got.status(), 200, "{:?}", got.body());
    let (again, head, _) = went(&a.1, &b.1);
    assert!(again == owner && head.contains("/conversations/conv%5Fone/items/msg_two "), "{head}");
    // As JSON writers spell it that escape more than they must.
    let text = json!({ "model": "gpt-5.5", "input": [{ "type": "item_reference", "id": second }], "conversation": { "id": conversation } }).to_string();
    let text = text.replace("conv_one", "\\u0063onv_one");
    let mut request = post("/v1/responses", &json!({}));
    *request.body_mut() = Full::new(Bytes::from(text));
    let answer = send(address, request).await;
    assert_eq!(answer.status(), 200, "{:?}", answer.body());
    let (again, _, body) = went(&a.1, &b.1);
    assert_eq!(again, owner);
    assert!(body.contains("\"\\u0063onv_one\"") && body.contains("\"msg_two\""), "{body}");
    let answer = json(&answer);
    assert_eq!(answer["conversation"]["id"], conversation.as_str());
    assert!(is_sealed(answer["output"][0]["id"].as_str().unwrap()));
    // Owners that differ still do.
    let mut other = None;
    for _ in 0..32 {
        let made = send(address, post("/v1/conversations", &json!({}))).await;
        if went(&a.1, &b.1).0 != owner {
            other = Some(json(&made)["id"].as_str().unwrap().to_owned());
            break;
        }
    }
    let both = json!({ "model": "gpt-5.5", "input": "x", "conversation": other.expect("one begins elsewhere"), "previous_response_id": answer["id"] });
    assert_eq!(code(&send(address, post("/v1/responses", &both)).await).1, "owners_differ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_a_client_invents_is_refused() {
    for home in ["", "unknown_handle: home\n  home: a\n  "] {
        let sessions = sealed(&["OLD"], "")
            .replace("{ key", &format!("\n  {home}key"))
            .replace(" } } }\n", " }\n")
            .replace("}, pins", "}\n  pins")
            .replace(" } }\n", " }\n");
        let (a, b, running) =
            both("bedrock-agentcore", |_: &str, _: &[u8]| said(&json!({})), &sessions).await;
        let request = Request::post("/runtimes/r1/invocations")
            .header("host", "proxy")
            .header("authorization", "Bearer app")
            .header("content-type", "application/json")
            .header("x-amzn-bedrock-agentcore-runtime-session-id", "session-0123456789abcdef0123456789")
            .body(Full::new(Bytes::from_static(b"{}")))
            .unwrap();
        let answer = send(address(&running), request).await;
        assert_eq!(code(&answer).1, "unknown_handle", "{home}: {:?}", answer.body());
        assert!(a.1.lock().unwrap().is_empty() && b.1.lock().unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handles_on_sockets_are_sealed_and_opened_also_elsewhere() {
    let number = Arc::new(AtomicUsize::new(0));
    let (one, two_) = (Arc::clone(&number), number);
    let a = SocketCloud::start(move |socket| responses(socket, "a", Arc::clone(&one))).await;
    let b = SocketCloud::start(move |socket| responses(socket, "b", Arc::clone(&two_))).await;
    let config = two("openai", &a.url(), &b.url(), "", &sealed(&["OLD"], ""));
    let replicas = [replica(&config).await, replica(&config).await];
    for turn in 0..8 {
        let mut client = Socket::open(address(&replicas[turn % 2]), "/v1/responses").await;
        let create = |more: Value| {
            let mut event = json!({ "type": "response.create", "model": "gpt-5.5", "input": "x" });
            event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            event.to_string()
        };
        client.text(create(json!({}))).await;
        let (created, completed) = (client.json().await, client.json().await);
        let id = created["response"]["id"].as_str().unwrap().to_owned();
        assert!(is_sealed(&id) && completed["response"]["id"] == id.as_str(), "{created} {completed}");
        client.text(create(json!({ "previous_response_id": id }))).await;
        let created = client.json().await;
        let next = created["response"]["id"].as_str().unwrap_or_else(|| panic!("{created}")).to_owned();
        // The cloud repeats what it was asked: bare there, and here as the client calls it.
        assert_eq!(created["response"]["asked"]["previous_response_id"], id.as_str());
        client.json().await;
        client.text(create(json!({ "previous_response_id": bare(&next).replace("resp", "rsp") }))).await;
        assert_eq!(client.json().await["type"], "error", "what nobody knows");
        client.close(1000, "").await;

        // On another socket, of another replica: its first message goes where the response lives.
        let mut client = Socket::open(address(&replicas[(turn + 1) % 2]), "/v1/responses").await;
        client.text(create(json!({ "previous_response_id": next }))).await;
        let created = client.json().await;
        let third = created["response"]["id"].as_str().unwrap_or_else(|| panic!("{created}"));
        let cloud = |id: &str| id.split('_').nth(1).unwrap().to_owned();
        assert_eq!(cloud(third), cloud(&next));
        client.close(1000, "").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signature_in_an_aws_event_stream_is_sealed_in_a_message_of_its_own_length() {
    let cloud = |name: &'static str| {
        move |head: &str, _: &[u8]| match head.contains("converse-stream") {
            true => {
                let signature = format!("a-signature-of-{name}");
                let delta = json!({ "delta": { "reasoningContent": { "signature": signature } } });
                let stream =
                    [event(&json!({ "role": "assistant" })), event(&delta), event(&json!({}))].concat();
                let chunks: Vec<u8> = stream.chunks(11).flat_map(chunk).collect();
                let head = EVENTS.replace("text/event-stream", "application/vnd.amazon.eventstream");
                [head.as_bytes(), &chunks, b"0\r\n\r\n"].concat()
            }
            false => said(&json!({})),
        }
    };
    let (a, b) = (scripted(cloud("a")).await, scripted(cloud("b")).await);
    let running = replica(&two("bedrock", &a.0.url(), &b.0.url(), "", &sealed(&["OLD"], ""))).await;
    let address = address(&running);
    let mut owners = BTreeSet::new();
    for _ in 0..12 {
        let path = "/model/us.anthropic.claude-sonnet-5";
        let begun = send(address, post(&format!("{path}/converse-stream"), &json!({ "messages": [] }))).await;
        assert_eq!(begun.status(), 200, "{:?}", begun.body());
        let (owner, ..) = went(&a.1, &b.1);
        let (mut splitter, mut payloads) = (Splitter::default(), Vec::new());
        let read = splitter.feed(begun.body(), |piece| {
            if let Piece::Payload(payload) = piece {
                payloads.push(serde_json::from_slice::<Value>(payload).unwrap());
            }
        });
        assert_eq!((read, splitter.finish(), payloads.len()), (Ok(()), Ok(()), 3), "whole messages");
        let signature = payloads[1]["delta"]["reasoningContent"]["signature"].as_str().unwrap();
        assert!(is_sealed(signature) && bare(signature).ends_with(owner), "{signature}");
        let part = json!({ "reasoningContent": { "reasoningText": { "signature": signature } } });
        let turn = json!({ "messages": [{ "role": "assistant", "content": [part] }] });
        let next = send(address, post(&format!("{path}/converse"), &turn)).await;
        assert_eq!(next.status(), 200, "{:?}", next.body());
        let (again, _, body) = went(&a.1, &b.1);
        assert!(again == owner && body.contains(&format!("\"{}\"", bare(signature))), "{body}");
        owners.insert(owner);
    }
    assert_eq!(owners.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_running_proxy_explains_what_a_seal_says() {
    let clouds = Clouds::start().await;
    let running = replica(&clouds.config(ANYWHERE, &format!("{}{QUIET}", sealed(&["OLD"], "")))).await;
    let begun = send(address(&running), post("/v1/responses", &first())).await;
    let id = json(&begun)["id"].as_str().unwrap().to_owned();
    let turn = follow_up(&id).to_string();
    let head = "Host: proxy\r\nContent-Type: application/json\r\nAuthorization: Bearer";
    for (request, known) in [
        (format!("POST /v1/responses HTTP/1.1\r\n{head} app\r\n\r\n{turn}"), true),
        (format!("GET /v1/responses/{id} HTTP/1.1\r\n{head} app\r\n\r\n"), true),
        (format!("POST /v1/responses HTTP/1.1\r\n{head} another\r\n\r\n{turn}"), false),
        (format!("GET /v1/responses/{} HTTP/1.1\r\n{head} app\r\n\r\n", bare(&id)), false),
    ] {
        let asked = Request::post("/explain").header("host", "admin").body(Full::new(Bytes::from(request)));
        let answer = send(running.admin.unwrap(), asked.unwrap()).await;
        assert_eq!(answer.status(), 200, "{answer:?}");
        assert!(!String::from_utf8_lossy(answer.body()).contains(bare(&id)), "{answer:?}");
        let told = json(&answer);
        let owner = if known { json!(ours(&begun, "endpoint")) } else { Value::Null };
        assert_eq!(told["endpoint"], owner, "{told:#}");
        let (state, reason) = if known { ("pinned", "held") } else { ("unknown", "unknown_handle") };
        assert_eq!(
            (&told["cited"][0]["state"], &told["reason"]),
            (&json!(state), &json!(reason)),
            "{told:#}"
        );
    }
}
