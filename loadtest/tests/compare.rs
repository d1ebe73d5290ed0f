//! A comparison from end to end, with peers that need no installation: a proxy in this test that passes on as it should, and ones
//! that do not, each in its own way. A comparison that a wrong answer cannot fail would be worth nothing.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use riparian_loadtest::compare::model::{ADDED_P50, CPU_REQUEST, LATENCY_P50, RATE};
use riparian_loadtest::compare::{self, Comparison, Other, Peer, Plan, Work};
use riparian_loadtest::html;

/// What a proxy does to the bytes of an answer.
type Touch = fn(&mut Vec<u8>);

/// Passes bytes on, puts the cloud's key in the place of the client's, and touches the answer.
fn proxy(cloud: SocketAddr, touch: Touch) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(upstream) = TcpStream::connect(cloud) else { continue };
            client.set_nodelay(true).expect("a socket");
            upstream.set_nodelay(true).expect("a socket");
            let (from, to) = (client.try_clone().expect("a socket"), upstream.try_clone().expect("a socket"));
            std::thread::spawn(move || pass(from, to, attach_key));
            std::thread::spawn(move || pass(upstream, client, touch));
        }
    });
    address
}

/// A request of these works comes in one piece: client and proxy share a machine, and it is far below a segment of loopback.
fn attach_key(bytes: &mut Vec<u8>) {
    let text = String::from_utf8(std::mem::take(bytes)).expect("text");
    *bytes = text.replace("authorization: Bearer sk-of-the-client", "api-key: canned-key").into_bytes();
}

fn pass(mut from: TcpStream, mut to: TcpStream, touch: Touch) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        let mut bytes = buffer[..read].to_vec();
        touch(&mut bytes);
        if to.write_all(&bytes).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both); // closed already: as it should be
}

fn replace(bytes: &mut Vec<u8>, what: &str, with: &str) {
    let text = String::from_utf8(std::mem::take(bytes)).expect("text");
    *bytes = text.replace(what, with).into_bytes();
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|probe| probe.local_addr()).expect("a free port")
}

fn run(peers: &[(&str, Touch)], works: &[Work], own: Option<PathBuf>) -> Comparison {
    let cloud = free_address();
    let mut plan = Plan::new("/no/such/program");
    plan.peers = vec![Peer::Straight];
    plan.peers.extend(peers.iter().map(|(name, touch)| {
        let (name, address) = ((*name).to_owned(), proxy(cloud, *touch));
        Peer::Other(Other { name, address, pid: Some(std::process::id()), is_gateway: true })
    }));
    plan.works = works.to_vec();
    (plan.rounds, plan.duration) = (2, Duration::from_millis(200));
    (plan.own, plan.cloud) = (own, Some(cloud));
    compare::run(&plan, |_| {}).expect("the cloud starts")
}

#[test]
fn a_proxy_that_passes_on_is_measured() {
    let own = PathBuf::from(env!("CARGO_BIN_EXE_riparian-loadtest"));
    let works = [Work::Post1k, Work::Post1kAt500, Work::SseFirst];
    let found = run(&[("plain", |_| {})], &works, Some(own));
    assert!(found.is_clean(), "{:?}", found.faults);
    for work in ["post-1k", "post-1k-500"] {
        for (peer, figure) in
            [("plain", CPU_REQUEST), ("plain", LATENCY_P50), ("plain", RATE), ("straight", RATE)]
        {
            let value = found.median(work, peer, figure).unwrap_or_default();
            assert!(value > 0.0, "{work} {peer} {}: {value}", figure.name);
        }
        assert_eq!(
            found.median(work, "straight", CPU_REQUEST),
            None,
            "there is no proxy whose time that would be"
        );
    }
    assert!(found.median("post-1k-500", "plain", ADDED_P50).is_some(), "told against the straight way");
    let rate = found.median("post-1k-500", "straight", RATE).unwrap_or_default();
    assert!(rate > 250.0, "500 a second, on a machine that others use too: {rate}");
    let page = html::comparison(&found);
    assert!(page.contains("plain") && page.contains("</html>"));
}

#[test]
fn a_proxy_that_answers_wrongly_fails_the_run_and_is_named() {
    let wrong: [(&str, Touch, Work); 4] = [
        ("alters", |bytes| replace(bytes, "2.31 m", "2.32 m"), Work::Post1k),
        ("refuses", |bytes| replace(bytes, "HTTP/1.1 200", "HTTP/1.1 503"), Work::Post1k),
        // Only streams are wrong, so that it starts well; their lengths stay.
        ("finishes", |bytes| replace(bytes, "[DONE]", "[DUNE]"), Work::SseFirst),
        ("swallows", |bytes| replace(bytes, "choices\":[],", "choices\":[]\n\n"), Work::SseFirst),
    ];
    for (name, touch, work) in wrong {
        let found = run(&[(name, touch)], &[work], None);
        assert!(!found.is_clean(), "{name} went unnoticed");
        assert!(found.faults.iter().all(|fault| fault.contains(name)), "{:?}", found.faults);
        let measured = found.works.iter().flat_map(|work| &work.peers).any(|result| result.peer == name);
        assert!(!measured, "{name} has figures although it failed");
        assert!(html::comparison(&found).contains("FAULT"));
    }
}

#[test]
fn who_is_not_installed_is_named_with_what_installs_it() {
    let mut plan = Plan::new("/no/such/program");
    plan.works = Vec::new();
    plan.own = None;
    let why = compare::run(&plan, |_| {}).expect_err("Riparian is not there");
    assert!(why.contains("/no/such/program") && why.contains("cargo build"), "{why}");
    plan.peers = vec![Peer::Nginx, Peer::Haproxy, Peer::Envoy];
    let found = compare::run(&plan, |_| {}).expect("nothing to do");
    assert_eq!(found.peers.len() + found.missing.len(), 3, "nobody is skipped in silence");
    assert!(found.missing.iter().all(|missing| missing.install.contains("install")));
}
