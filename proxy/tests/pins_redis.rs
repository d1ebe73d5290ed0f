//! Promise: replicas that share a Redis know each other's pins; and while it cannot be asked, or cannot be believed, what cites state is
//! refused and everything else goes on.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use riparian_config::{RedisUrl, SecretRef, Store};
use riparian_filters::identify::Keys;
use riparian_proxy::credentials::Secrets;
use riparian_proxy::metrics::PinMetrics;
use riparian_proxy::pins::{OpenFault, Opening, StoreFault};
use riparian_proxy::server::Running;
use std::time::{Duration, Instant};
use support::raw::eventually;
use support::redis_server::RedisServer;
use support::stores::{Ground, at, born, handle, keys, limits, owner, tenant};
use support::turns::{ANYWHERE, assert_nothing_misplaced, first, follow_up};
use support::{Clouds, QUIET, address, chat, json, ours, post, proxy, send};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_know_each_others_pins_and_the_redis_learns_no_handle() {
    let ground = Ground::redis();
    let (one, other) = (ground.open().await, ground.open().await);
    assert_eq!(one.learn(tenant("a"), &[born("resp_secret", "e-1")]).await, Ok(1));
    assert_eq!(owner(&other, "resp_secret").await.as_deref(), Some("e-1"));
    assert_eq!(other.learn(tenant("a"), &[born("resp_secret", "e-2")]).await, Ok(0));
    other.forget(&[handle("resp_secret")]).await.unwrap();
    assert_eq!(owner(&one, "resp_secret").await, None);

    one.learn(tenant("a"), &[born("resp_secret", "e-1")]).await.unwrap();
    let names = ground.redis.as_ref().unwrap().keys();
    assert_eq!(names, [format!("test:{}", handle("resp_secret"))], "a prefix and a digest");
    let mut connection = ground.redis.as_ref().unwrap().connection();
    let left: i64 = redis::cmd("PTTL").arg(&names[0]).query(&mut connection).unwrap();
    assert!((3_500_000..=3_600_000).contains(&left), "it ends by itself: {left}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_was_not_written_there_by_us_is_a_fault_and_no_pin() {
    let ground = Ground::redis();
    let store = ground.open().await;
    store
        .learn(tenant("a"), &[born("mine", "e-1"), born("evil", "e-evil"), born("fine", "e-1")])
        .await
        .unwrap();
    let mut connection = ground.redis.as_ref().unwrap().connection();
    let name = |of: &str| format!("test:{}", handle(of));
    let mut get = |of: &str| -> Vec<u8> { redis::cmd("GET").arg(name(of)).query(&mut connection).unwrap() };
    let (mine, evil) = (get("mine"), get("evil"));
    let mut flipped = mine.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let mut moved = mine.clone();
    let at = moved.windows(3).position(|three| three == b"e-1").unwrap();
    moved[at + 2] = b'2';
    for (what, value) in [
        ("another handle's", evil),
        ("one bit", flipped),
        ("another endpoint", moved),
        ("cut", mine[..mine.len() - 1].to_vec()),
        ("nothing", Vec::new()),
        ("somebody's", b"hello".to_vec()),
        ("numbers for the script", vec![0xFF; 200]),
    ] {
        let _: () = redis::cmd("SET").arg(name("mine")).arg(value).query(&mut connection).unwrap();
        let recalled = store.recall(&[handle("mine")]).await;
        assert!(matches!(recalled, Err(StoreFault::Forged | StoreFault::Refused)), "{what}: {recalled:?}");
        let bound = store.bind(tenant("a"), born("mine", "e-1")).await;
        assert!(matches!(bound, Err(StoreFault::Forged | StoreFault::Refused)), "{what}: {bound:?}");
        let both = store.recall(&[handle("fine"), handle("mine")]).await;
        assert!(both.is_err(), "{what}: not the other one either");
    }
    let _: () = redis::cmd("SET").arg(name("mine")).arg(&mine).query(&mut connection).unwrap();
    eventually_known(&store, "mine").await;
    // A replica under another key sees other names; put there by hand, the value is not believed.
    let other = Keys::derive(b"another key");
    let other_store = ground.try_open(&other).await.unwrap();
    let theirs = other.pin(tenant("a"), "response", "mine");
    let _: () = redis::cmd("SET").arg(format!("test:{theirs}")).arg(&mine).query(&mut connection).unwrap();
    assert_eq!(other_store.recall(&[theirs]).await.unwrap_err(), StoreFault::Forged);
}

async fn eventually_known(store: &riparian_proxy::pins::PinStore, name: &str) {
    let deadline = Instant::now() + support::wire::SOON;
    while !store.recall(&[handle(name)]).await.is_ok_and(|pins| pins[0].is_some()) {
        assert!(Instant::now() < deadline, "{name} is known");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_gone_is_left_alone_after_a_while_and_tried_again() {
    let mut ground = Ground::redis();
    if let Store::Redis(redis) = &mut ground.store {
        redis.within = Duration::from_millis(50);
    }
    let store = ground.open().await;
    store.learn(tenant("a"), &[born("before", "e")]).await.unwrap();
    ground.server().kill();
    let mut outcomes = Vec::new();
    for _ in 0..8 {
        outcomes.push(store.recall(&[handle("before")]).await.unwrap_err());
    }
    assert_eq!(outcomes[0], StoreFault::Late, "{outcomes:?}");
    assert_eq!(outcomes[7], StoreFault::Resting, "{outcomes:?}");
    let mut resting = 0;
    for _ in 0..100 {
        let fault = store.learn(tenant("a"), &[born("now", "e")]).await.unwrap_err();
        resting += u32::from(fault == StoreFault::Resting);
    }
    assert!(resting > 50, "nobody waits for it: {resting} of 100 were not asked");

    ground.server().restart();
    let deadline = Instant::now() + support::wire::SOON;
    while store.learn(tenant("a"), &[born("after", "e")]).await.is_err() {
        assert!(Instant::now() < deadline, "it is asked again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(owner(&store, "after").await.as_deref(), Some("e"));
    assert_eq!(owner(&store, "before").await, None, "it kept nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_hangs_is_waited_for_as_long_as_it_may_take() {
    let mut ground = Ground::redis();
    if let Store::Redis(redis) = &mut ground.store {
        redis.within = Duration::from_millis(100);
    }
    let store = ground.open().await;
    store.learn(tenant("a"), &[born("one", "e")]).await.unwrap();
    ground.server().signal("STOP");
    let asked = Instant::now();
    assert_eq!(store.recall(&[handle("one")]).await.unwrap_err(), StoreFault::Late);
    let took = asked.elapsed();
    assert!(took >= Duration::from_millis(100) && took < Duration::from_secs(2), "{took:?}");
    ground.server().signal("CONT");
    eventually_known(&store, "one").await;
}

/// A connection that broke while nobody asked fails no request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_breaks_is_made_again_within_the_question() {
    let ground = Ground::redis();
    let store = ground.open().await;
    store.learn(tenant("a"), &[born("one", "e")]).await.unwrap();
    let mut connection = ground.redis.as_ref().unwrap().connection();
    for _ in 0..5 {
        let killed: i64 = redis::cmd("CLIENT")
            .arg("KILL")
            .arg("TYPE")
            .arg("normal")
            .arg("SKIPME")
            .arg("yes")
            .query(&mut connection)
            .unwrap();
        assert!(killed >= 1);
        assert_eq!(owner(&store, "one").await.as_deref(), Some("e"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_takes_no_writes_refuses_births_and_answers_questions() {
    let server = RedisServer::start_with(&["--maxmemory-policy", "noeviction"]);
    let store = Store::Redis(at(server.port()));
    let open = Opening::begin(&store).unwrap();
    let store = open.open(limits(), &keys(), &Secrets::system(), PinMetrics::noop()).await.unwrap();
    store.learn(tenant("a"), &[born("one", "e")]).await.unwrap();
    let mut connection = server.connection();
    let _: () = redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg("1").query(&mut connection).unwrap();
    assert_eq!(store.learn(tenant("a"), &[born("two", "e")]).await, Err(StoreFault::Refused));
    assert_eq!(store.bind(tenant("a"), born("three", "e")).await, Err(StoreFault::Refused));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_and_a_certificate_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let issued =
        rcgen::generate_simple_self_signed(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
    let certificate = file("cert.pem", &issued.cert.pem());
    let key = file("key.pem", &issued.signing_key.serialize_pem());
    let (good, bad) = (file("good", "open sesame\n"), file("bad", "guess\n"));
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let mut arguments = vec!["--requirepass", "open sesame", "--tls-port", &free, "--tls-auth-clients", "no"];
    let (cert, key) = (certificate.to_str().unwrap(), key.to_str().unwrap());
    arguments.extend(["--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert]);
    let server = RedisServer::start_with(&arguments);
    let _ = rustls::crypto::ring::default_provider().install_default();

    let open = async |tls: bool, password: Option<&std::path::PathBuf>, ca: Option<&std::path::PathBuf>| {
        let port = if tls { free.parse().unwrap() } else { server.port() };
        let mut config = at(port);
        config.url = RedisUrl { tls, host: "127.0.0.1".to_owned(), port, database: 0 };
        config.password = password.map(|path| SecretRef::File(path.clone()));
        config.ca = ca.cloned();
        let opening = Opening::begin(&Store::Redis(config)).unwrap();
        opening.open(limits(), &keys(), &Secrets::system(), PinMetrics::noop()).await
    };
    for (tls, password, ca, works) in [
        (false, Some(&good), None, true),
        (false, Some(&bad), None, false),
        (false, None, None, false),
        (true, Some(&good), Some(&certificate), true),
        (true, Some(&good), None, false),
    ] {
        let store = open(tls, password, ca).await.unwrap();
        let learned = store.learn(tenant("a"), &[born("one", "e")]).await;
        assert_eq!(learned.is_ok(), works, "tls {tls}, password {password:?}, ca {ca:?}: {learned:?}");
    }
    let fault = open(true, Some(&folder.path().join("nowhere")), None).await.unwrap_err();
    assert!(matches!(fault, OpenFault::Password(_)), "{fault}");
    let fault = open(true, Some(&good), Some(&folder.path().join("nowhere"))).await.unwrap_err();
    assert!(matches!(fault, OpenFault::Certificates(..)), "{fault}");
}

/// Two replicas and what a client sees of them: one of its follow-ups here, one there, and the Redis away in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_redis_what_cites_state_is_refused_and_all_else_goes_on() {
    let (clouds, mut server) = (Clouds::start().await, RedisServer::start());
    let key = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(key.path(), "a key of at least thirty-two bytes, shared").unwrap();
    let redis = format!("{{ url: \"{}\", within: 200ms }}", server.url());
    let sessions = format!(
        "{QUIET}\nsessions: {{ key: {{ file: {} }}, pins: {{ store: redis, redis: {redis} }} }}",
        key.path().display()
    );
    let config = clouds.config(ANYWHERE, &sessions);
    let replicas = [proxy(&config).await, proxy(&config).await];
    let mut owners = Vec::new();
    for at in 0..6 {
        let answer = send(address(&replicas[at % 2]), post("/v1/responses", &first())).await;
        assert_eq!(answer.status(), 200);
        owners.push((json(&answer)["id"].as_str().unwrap().to_owned(), ours(&answer, "endpoint").to_owned()));
    }
    let ask = async |replica: &Running, id: &str| {
        send(address(replica), post("/v1/responses", &follow_up(id))).await
    };
    for (at, (id, endpoint)) in owners.iter().enumerate() {
        let answer = ask(&replicas[(at + 1) % 2], id).await;
        assert_eq!((ours(&answer, "reason"), ours(&answer, "endpoint")), ("held", endpoint.as_str()));
    }

    let values: Vec<String> = server.keys();
    let mut connection = server.connection();
    for name in &values {
        let value: Vec<u8> = redis::cmd("GET").arg(name).query(&mut connection).unwrap();
        let _: () =
            redis::cmd("SET").arg(name).arg([&value[..], b"!"].concat()).query(&mut connection).unwrap();
    }
    let before: u64 = clouds.all().iter().map(|cloud| cloud.counts().requests).sum();
    let answer = ask(&replicas[0], &owners[0].0).await;
    assert_eq!((answer.status().as_u16(), ours(&answer, "reason")), (503, "pins_unavailable"), "forged");

    server.kill();
    for replica in &replicas {
        for (id, _) in &owners {
            let answer = ask(replica, id).await;
            assert_eq!((answer.status().as_u16(), ours(&answer, "reason")), (503, "pins_unavailable"));
            assert!(answer.headers().contains_key("retry-after"), "it will pass");
            assert_eq!(json(&answer)["error"]["code"], "pins_unavailable");
        }
    }
    let after: u64 = clouds.all().iter().map(|cloud| cloud.counts().requests).sum();
    assert_eq!(before, after, "nobody guessed");
    for replica in &replicas {
        let answer = send(address(replica), post("/v1/chat/completions", &chat())).await;
        assert_eq!((answer.status().as_u16(), ours(&answer, "reason")), (200, "designated"));
        let open = |line: &str| line == "riparian_pins_breaker 2" || line == "riparian_pins_breaker 1";
        assert!(replica.house.metrics.render().lines().any(open), "it shows");
    }
    server.restart();
    for replica in &replicas {
        let deadline = Instant::now() + support::wire::SOON;
        loop {
            let created = send(address(replica), post("/v1/responses", &first())).await;
            let answer = ask(replica, json(&created)["id"].as_str().unwrap()).await;
            if ours(&answer, "reason") == "held" {
                break;
            }
            assert!(
                Instant::now() < deadline,
                "it goes on when the Redis is back: {}",
                ours(&answer, "reason")
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        eventually("the breaker is closed", || {
            replica.house.metrics.render().lines().any(|line| line == "riparian_pins_breaker 0")
        })
        .await;
    }
    assert_nothing_misplaced(&clouds);
}
