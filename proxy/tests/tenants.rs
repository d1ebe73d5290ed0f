//! Promise: a named caller keeps its state whatever it proves itself with, and nobody else ever meets it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use riparian_proxy::server::Running;
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};
use support::h2::{Authority, ask, file, over, request};
use support::raw::{Raw, eventually};
use support::turns::{ANYWHERE, assert_nothing_misplaced, first, follow_up, session, with_header};
use support::{Clouds, QUIET, address, chat, get, json, ours, post, proxy, send};

const CHAT: &str = "/v1/chat/completions";
const RESPONSES: &str = "/v1/responses";

/// `shop` with two keys and a certificate, `bank` with one key; the keys are files of the folder.
fn tenants(folder: &tempfile::TempDir) -> String {
    let key = |name: &str, value: &str| file(folder, name, &format!("{value}\n")).display().to_string();
    format!(
        "tenants:
  shop: {{ credentials: [{{ file: {} }}, {{ file: {} }}], subjects: [\"CN=shop,O=acme\"], home: openai }}
  bank: {{ credentials: [{{ file: {} }}] }}
",
        key("one", "canary-shop-one"),
        key("two", "canary-shop-two"),
        key("bank", "canary-bank"),
    )
}

fn with(request: Request<Full<Bytes>>, name: &'static str, value: &str) -> Request<Full<Bytes>> {
    let mut request = request;
    request.headers_mut().remove("authorization");
    with_header(request, name, value)
}

fn bearer(request: Request<Full<Bytes>>, key: &str) -> Request<Full<Bytes>> {
    with(request, "authorization", &format!("Bearer {key}"))
}

fn id(answer: &Response<Bytes>) -> String {
    json(answer)["id"].as_str().unwrap().to_owned()
}

/// What a client can tell of an answer, but for its own decision's number.
fn seen(answer: &Response<Bytes>) -> (u16, Vec<(String, String)>, Value) {
    let mut headers: Vec<_> = answer
        .headers()
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "x-riparian-decision" | "content-length" | "date"))
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    headers.sort();
    let mut body = json(answer);
    let decision = body["error"]["decision"].take().as_str().unwrap().to_owned();
    let message = body["error"]["message"].as_str().unwrap().replace(&decision, "");
    body["error"]["message"] = message.into();
    (answer.status().as_u16(), headers, body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_outlives_its_callers_key() {
    let (clouds, folder) = (Clouds::start().await, tempfile::tempdir().unwrap());
    let text = clouds.config(ANYWHERE, &format!("{QUIET}\n{}", tenants(&folder)));
    let running = proxy(&text).await;
    let at = address(&running);
    let begun = send(at, bearer(post(RESPONSES, &first()), "canary-shop-one")).await;
    let mut handle = id(&begun);
    for next in [
        bearer(post(RESPONSES, &follow_up(&handle)), "canary-shop-two"),
        with(post(RESPONSES, &follow_up(&handle)), "api-key", "canary-shop-two"),
        with(post(RESPONSES, &follow_up(&handle)), "x-api-key", "canary-shop-one"),
        with(post(RESPONSES, &follow_up(&handle)), "x-goog-api-key", "canary-shop-one"),
        with(post("/v1/responses?key=canary-shop-one", &follow_up(&handle)), "accept", "*/*"),
    ] {
        let answer = send(at, next).await;
        assert_eq!((answer.status().as_u16(), ours(&answer, "reason")), (200, "held"));
        assert_eq!(session(&answer), session(&begun), "and its session");
        handle = id(&answer);
    }
    // Keys are read anew at a reload: one goes, another comes, and connections that are open do not matter.
    let mut client = Raw::connect(at).await;
    let ask = async |client: &mut Raw, key: &str, handle: &str| {
        let line = format!("authorization: Bearer {key}\r\n");
        client.ask(RESPONSES, &line, follow_up(handle).to_string()).await
    };
    assert_eq!(ask(&mut client, "canary-shop-one", &handle).await.reason(), "held");
    assert_eq!(ask(&mut client, "canary-shop-next", &handle).await.reason(), "unknown_handle");
    std::fs::write(folder.path().join("one"), "canary-shop-next").unwrap();
    running.reload(&text, "test.yaml").await.unwrap();
    assert_eq!(ask(&mut client, "canary-shop-next", &handle).await.reason(), "held");
    assert_eq!(ask(&mut client, "canary-shop-one", &handle).await.reason(), "unknown_handle");
    assert_nothing_misplaced(&clouds);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn anothers_handle_is_answered_as_one_that_nobody_has() {
    let (clouds, folder) = (Clouds::start().await, tempfile::tempdir().unwrap());
    let running = proxy(&clouds.config(ANYWHERE, &format!("{QUIET}\n{}", tenants(&folder)))).await;
    let at = address(&running);
    for (owner, others) in [
        ("canary-shop-one", ["canary-bank", "stranger", "shop"]),
        ("stranger", ["canary-shop-one", "canary-bank", "another-stranger"]),
    ] {
        let created = send(at, bearer(post(RESPONSES, &first()), owner)).await;
        let (handle, tag) = (id(&created), session(&created));
        for other in others {
            let of = async |handle: &str| {
                seen(&send(at, bearer(post(RESPONSES, &follow_up(handle)), other)).await)
            };
            assert_eq!(of(&handle).await, of("resp_nobody").await, "{other}");
            let of = async |handle: &str| {
                seen(&send(at, bearer(get(&format!("/v1/responses/{handle}")), other)).await)
            };
            assert_eq!(of(&handle).await, of("resp_nobody").await, "{other}");
            let stolen = with_header(post(RESPONSES, &first()), "x-riparian-session", &tag);
            assert_ne!(
                session(&send(at, bearer(stolen, other)).await),
                tag,
                "{other} has no part in the session"
            );
        }
        let next = send(at, bearer(post(RESPONSES, &follow_up(&handle)), owner)).await;
        assert_eq!(ours(&next, "reason"), "held");
    }
    assert_nothing_misplaced(&clouds);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_has_a_home_of_its_own() {
    let (clouds, folder) = (Clouds::start().await, tempfile::tempdir().unwrap());
    let sessions = "sessions: { unknown_handle: home, home: azure }";
    let running =
        proxy(&clouds.config(ANYWHERE, &format!("{QUIET}\n{sessions}\n{}", tenants(&folder)))).await;
    let cloud = async |key: &str| {
        let answer = send(address(&running), bearer(post(RESPONSES, &follow_up("resp_before")), key)).await;
        ours(&answer, "cloud").to_owned()
    };
    assert_eq!(cloud("canary-shop-two").await, "openai");
    assert_eq!(cloud("canary-bank").await, "azure", "that of all");
    assert_eq!(cloud("stranger").await, "azure");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_is_refused_where_nobody_else_is_let_in() {
    let (clouds, folder) = (Clouds::start().await, tempfile::tempdir().unwrap());
    let rest = format!("{QUIET}\n{}unknown_caller: refuse", tenants(&folder));
    let running = proxy(&clouds.config(ANYWHERE, &rest)).await;
    let at = address(&running);
    for key in ["stranger", "", "canary-shop-on", "shop"] {
        let answer = send(at, bearer(post(CHAT, &chat()), key)).await;
        assert_eq!((answer.status().as_u16(), ours(&answer, "reason")), (401, "unknown_caller"), "{key:?}");
        let error = &json(&answer)["error"];
        assert_eq!(
            (&error["code"], &error["type"]),
            (&"unknown_caller".into(), &"authentication_error".into())
        );
        assert_eq!(answer.headers()["www-authenticate"], "Bearer");
        assert_eq!(answer.headers()["x-should-retry"], "false");
    }
    let two = with_header(bearer(post(CHAT, &chat()), "canary-bank"), "api-key", "canary-shop-one");
    assert_eq!(send(at, two).await.status(), 401, "two callers in one request are nobody");
    let anthropic = send(at, bearer(post("/v1/messages", &chat()), "stranger")).await;
    assert_eq!(
        (anthropic.status().as_u16(), json(&anthropic)["type"].clone()),
        (401, "error".into()),
        "in its words"
    );
    let socket = "GET /v1/realtime?model=gpt-5.5 HTTP/1.1\r\nhost: a\r\nauthorization: Bearer stranger\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let mut client = Raw::connect(at).await;
    client.send(socket).await;
    assert_eq!(client.answer().await.unwrap().status, 401, "on a socket, too");
    assert!(clouds.all().iter().all(|cloud| cloud.seen().is_empty()), "nothing was sent anywhere");
    for key in ["canary-shop-one", "canary-shop-two", "canary-bank"] {
        assert_eq!(send(at, bearer(post(CHAT, &chat()), key)).await.status(), 200, "{key}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_cannot_be_known_keeps_the_proxy_from_starting() {
    let (clouds, folder) = (Clouds::start().await, tempfile::tempdir().unwrap());
    let section = tenants(&folder);
    let text = clouds.config(ANYWHERE, &format!("{QUIET}\n{section}"));
    let running = proxy(&text).await;
    let fault = async |running: &Running| running.reload(&text, "test.yaml").await.unwrap_err().to_string();
    std::fs::write(folder.path().join("bank"), "canary-shop-two\n").unwrap();
    let both = fault(&running).await;
    assert!(both.contains("tenant bank") && both.contains("of shop") && !both.contains("canary"), "{both}");
    std::fs::remove_file(folder.path().join("two")).unwrap();
    let gone = fault(&running).await;
    assert!(gone.contains("tenant shop") && gone.contains("cannot be read"), "{gone}");
    let answer = send(address(&running), bearer(post(CHAT, &chat()), "canary-bank")).await;
    assert_eq!(answer.status(), 200, "the old one stays in force");
}

/// A configuration whose listener asks for certificates of `ca`.
fn with_tls(config: &str, folder: &tempfile::TempDir, server: &Authority, ca: &Path, word: &str) -> String {
    let (certificate, key) = server.sign("localhost", false);
    let (certificate, key) = (file(folder, "tls.crt", &certificate), file(folder, "tls.key", &key));
    let tls = format!(
        "listeners: [{{ name: apps, bind: 127.0.0.1:0, tls: {{ certificate: {{ file: {} }}, key: {{ file: {} }}, client_ca: {{ file: {} }}{word} }} }}]",
        certificate.display(),
        key.display(),
        ca.display()
    );
    config.replace("listeners: [{ name: apps, bind: 127.0.0.1:0 }]", &tls)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_says_who_asks_on_both_protocols() {
    let (clouds, folder) = (Clouds::start().await, tempfile::tempdir().unwrap());
    let (server, clients) = (Authority::new(), Authority::new());
    let ca = file(&folder, "clients.crt", &clients.pem());
    let plain = clouds.config(ANYWHERE, &format!("{QUIET}\n{}", tenants(&folder)));
    let running = proxy(&with_tls(&plain, &folder, &server, &ca, ", client_certificate: optional")).await;
    let at = address(&running);
    let shop = clients.client(["acme", "shop"]);

    let mut by_key = Raw::over(server.connect(at, &["http/1.1"]).await);
    let key = "authorization: Bearer canary-shop-one\r\n";
    let begun = by_key.ask(RESPONSES, key, first().to_string()).await;
    assert_eq!(begun.status, 200, "optional: a key will do");
    let id = |body: &[u8]| serde_json::from_slice::<Value>(body).unwrap()["id"].as_str().unwrap().to_owned();
    let mut handle = id(&begun.body);

    // Whatever credential comes with it, the certificate's subject is who asks.
    let mut over_h1 = Raw::over(server.connect_as(at, &["http/1.1"], Some(&shop)).await.unwrap());
    for key in ["authorization: Bearer canary-bank\r\n", "authorization: Bearer changes\r\n"] {
        let answer = over_h1.ask(RESPONSES, key, follow_up(&handle).to_string()).await;
        assert_eq!((answer.status, answer.reason()), (200, "held"));
        handle = id(&answer.body);
    }
    let mut over_h2 = over(server.connect_as(at, &["h2"], Some(&shop)).await.unwrap()).await;
    for _ in 0..2 {
        let (status, headers, body) = ask(&mut over_h2, request(RESPONSES, &follow_up(&handle))).await;
        assert_eq!((status.as_u16(), &headers["x-riparian-reason"]), (200, &"held".parse().unwrap()));
        handle = id(&body);
    }

    // A subject that has no name is a tenant of its own, and no key makes it another.
    let other = clients.client(["acme", "other"]);
    for protocol in ["a", "b"] {
        let mut other = Raw::over(server.connect_as(at, &["http/1.1"], Some(&other)).await.unwrap());
        let answer = other.ask(RESPONSES, key, follow_up(&handle).to_string()).await;
        assert_eq!(answer.reason(), "unknown_handle", "{protocol}");
    }
    // Certificates of others, or that name nobody, end the handshake also where none is needed.
    for bad in [&Authority::new().client(["acme", "shop"]), &clients.client(["", ""])] {
        assert!(!answers(&server, at, Some(bad)).await);
    }
    assert_nothing_misplaced(&clouds);
}

/// Whether anybody answers over TLS.
async fn answers(server: &Authority, at: std::net::SocketAddr, client: Option<&(String, String)>) -> bool {
    // With TLS 1.3 a client learns of its refusal when it reads.
    let Ok(stream) = server.connect_as(at, &["http/1.1"], client).await else { return false };
    let mut raw = Raw::over(stream);
    raw.post(CHAT, "", chat().to_string()).await;
    raw.answer().await.is_some()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_is_required_is_required() {
    let (clouds, folder) = (Clouds::start().await, tempfile::tempdir().unwrap());
    let (server, clients, later) = (Authority::new(), Authority::new(), Authority::new());
    let ca = file(&folder, "clients.crt", &clients.pem());
    let rest = format!("{QUIET}\n{}unknown_caller: refuse", tenants(&folder));
    let text = with_tls(&clouds.config(ANYWHERE, &rest), &folder, &server, &ca, "");
    let running = proxy(&text).await;
    let at = address(&running);
    let shop = clients.client(["acme", "shop"]);
    assert!(answers(&server, at, Some(&shop)).await);
    assert!(!answers(&server, at, None).await, "none");
    assert!(!answers(&server, at, Some(&server.client(["acme", "shop"]))).await, "of another authority");
    let mut other = Raw::over(
        server.connect_as(at, &["http/1.1"], Some(&clients.client(["acme", "other"]))).await.unwrap(),
    );
    let key = "authorization: Bearer canary-shop-one\r\n";
    assert_eq!(other.ask(CHAT, key, chat().to_string()).await.status, 401, "its certificate says who it is");

    // Another authority, for connections that are made from then on.
    std::fs::write(&ca, later.pem()).unwrap();
    running.reload(&text, "test.yaml").await.unwrap();
    assert!(!answers(&server, at, Some(&shop)).await);
    assert!(answers(&server, at, Some(&later.client(["acme", "shop"]))).await);
    std::fs::write(&ca, "").unwrap();
    let fault = running.reload(&text, "test.yaml").await.unwrap_err().to_string();
    assert!(fault.contains("clients.crt"), "{fault}");
    assert!(answers(&server, at, Some(&later.client(["acme", "shop"]))).await, "nothing has changed");
}

fn count(running: &Running, name: &str) -> u64 {
    support::metric(running, &format!("riparian_sessions_{name}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_and_the_metrics_have_a_sessions_turns_and_what_it_is_a_part_of() {
    let (clouds, folder) = (Clouds::start().await, tempfile::tempdir().unwrap());
    let log = folder.path().join("access.log");
    let quiet = QUIET.replace("access_log: off", &format!("access_log: {{ file: {} }}", log.display()));
    let running = proxy(&clouds.config(ANYWHERE, &format!("{quiet}\n{}", tenants(&folder)))).await;
    let at = address(&running);
    // A line is written as its exchange ends, which the client does not see: the next one waits for it.
    let lines = || -> Vec<Value> {
        running.house.log.flush();
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let written = |count: usize| {
        let lines = &lines;
        async move { eventually(&format!("{count} lines"), || lines().len() == count).await }
    };
    let begun = send(at, bearer(post(RESPONSES, &first()), "canary-shop-one")).await;
    let tag = session(&begun);
    written(1).await;
    send(at, bearer(post(RESPONSES, &follow_up(&id(&begun))), "canary-shop-two")).await;
    written(2).await;
    send(at, bearer(post(RESPONSES, &first()), "canary-bank")).await;
    written(3).await;
    send(at, bearer(post(CHAT, &chat()), "stranger")).await;
    written(4).await;
    send(at, bearer(post(RESPONSES, &follow_up("resp_nobody")), "canary-shop-one")).await;
    written(5).await;
    // An inner call of the first session, by its own caller and by another's.
    let inner = |key: &str| {
        let baggage = format!("a=1,riparian.session={tag};p=1");
        bearer(with_header(post(CHAT, &chat()), "baggage", &baggage), key)
    };
    for (key, count) in [("canary-shop-two", 6), ("canary-bank", 7)] {
        assert_eq!(send(at, inner(key)).await.status(), 200);
        written(count).await;
    }
    let passed_on = |cloud: &&riparian_loadtest::FakeCloud| {
        cloud.seen().iter().any(|seen| seen.header("baggage").is_some_and(|baggage| baggage.contains(&tag)))
    };
    assert!(clouds.all().iter().any(passed_on), "what others put there goes on");
    let lines = lines();
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(!text.contains("canary") && !text.contains(&tag) && !text.contains("resp_"), "{text}");
    let column = |name: &str| lines.iter().map(|line| line[name].clone()).collect::<Vec<_>>();
    let null = Value::Null;
    assert_eq!(
        column("caller"),
        [
            "shop".into(),
            "shop".into(),
            "bank".into(),
            null.clone(),
            "shop".into(),
            "shop".into(),
            "bank".into()
        ]
    );
    let numbers = |name: &str| column(name).iter().map(Value::as_u64).collect::<Vec<_>>();
    assert_eq!(numbers("session_turn"), [Some(1), Some(2), Some(1), None, None, None, None]);
    // Each answer here tells of as many: the response, and what it consists of.
    let handles = numbers("session_handles");
    let each = handles[0].filter(|each| *each > 0).unwrap();
    assert_eq!(handles, [Some(each), Some(2 * each), Some(each), None, None, None, None]);
    let ages = numbers("session_age_ms");
    assert!(ages[1] >= ages[0] && ages[2].is_some() && ages[3].is_none(), "{ages:?}");
    assert_eq!((&lines[0]["session"], &lines[0]["tenant"]), (&lines[1]["session"], &lines[1]["tenant"]));
    assert_eq!(lines[5]["parent_session"], lines[0]["session"]);
    assert_eq!(
        column("parent_session").iter().filter(|parent| !parent.is_null()).count(),
        1,
        "another tenant's tag is not believed"
    );

    assert_eq!((count(&running, "begun_total"), count(&running, "multi_turn_total")), (2, 1));
    assert_eq!((count(&running, "live"), count(&running, "single_turn_total")), (2, 0));
    running.house.sessions.sweep(Instant::now() + Duration::from_secs(3600), Duration::from_secs(1800));
    assert_eq!((count(&running, "live"), count(&running, "single_turn_total")), (0, 1));
}
