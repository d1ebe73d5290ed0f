//! Promise: whoever a connection reached is compared with whom the cloud's witness names; nobody else gets a byte of a request, and
//! another endpoint of the same set may stand in where nothing is pinned.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_types, reason = "a test may")]

mod support;

use riparian_loadtest::{CloudSpec, FakeCloud, Kind, Protocol};
use riparian_proxy::server::Running;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use support::h2::{Authority, file};
use support::origin::{Caller, Origin, endpoints};
use support::raw::{Raw, eventually};
use support::script::{said, scripted, two};
use support::socket::{Socket, SocketCloud, echo};
use support::turns::{first, follow_up};
use support::{QUIET, address, chat, json, ours, post, proxy, send};
use tokio::io::AsyncReadExt;

const CHAT: &str = "/v1/chat/completions";
const HERE: &str = "addresses: [127.0.0.0/8, \"::1\"]";
const ELSEWHERE: &str = "addresses: [20.0.0.0/8, \"2603:1000::/24\"]";

/// One endpoint in a cloud with this witness.
fn witnessed(url: &str, more: &str, witness: &str) -> String {
    let config =
        endpoints(&[("one", url, more)], QUIET).replace("credential: none", "credential: passthrough");
    config.replace("  only:\n", &format!("  only:\n    witness: {{ {witness} }}\n"))
}

fn mismatches(running: &Running) -> String {
    let text = running.house.metrics.render();
    let line = text.lines().find(|line| line.starts_with("riparian_egress_mismatches_total")).unwrap();
    line.rsplit(' ').next().unwrap().to_owned()
}

async fn ask(running: &Running) -> (u16, String) {
    let answer = Raw::connect(address(running)).await.ask(CHAT, "", chat().to_string()).await;
    (answer.status, answer.reason().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_the_address_and_the_certificate_are_both_looked_at() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let ca = format!(", ca: {{ file: {} }}", file(&folder, "ca.pem", &authority.pem()).display());
    for h2 in [false, true] {
        let (cert_pem, key_pem) = authority.sign("localhost", false);
        let spec = CloudSpec::new(Kind::OpenAi, "one").credential("app");
        let cloud = FakeCloud::start(spec.protocol(Protocol::Tls { cert_pem, key_pem, h2 })).await.unwrap();
        let url = cloud.url().replace("127.0.0.1", "localhost");
        let more = format!("{ca}{}", if h2 { ", http_version: 2" } else { "" });
        let name = |names: &str| format!("certificate_names: [{names}]");
        for wrong in [
            ELSEWHERE.to_owned(),
            name("\"*.openai.azure.com\""),
            format!("{HERE}, {}", name("\"*.elsewhere.localhost\"")),
            format!("{ELSEWHERE}, {}", name("localhost")),
        ] {
            let running = proxy(&witnessed(&url, &more, &wrong)).await;
            for count in ["1", "2"] {
                assert_eq!(ask(&running).await, (502, "egress_mismatch".to_owned()), "{wrong}");
                assert_eq!(mismatches(&running), count);
            }
        }
        assert_eq!(cloud.counts().requests, 0, "nothing was sent");
        for right in [
            HERE.to_owned(),
            name("\"*.openai.azure.com\", localhost"),
            format!("{HERE}, {}", name("localhost")),
        ] {
            let before = cloud.counts().connections;
            let running = proxy(&witnessed(&url, &more, &right)).await;
            let mut client = Raw::connect(address(&running)).await;
            for _ in 0..3 {
                assert_eq!(client.ask(CHAT, "", chat().to_string()).await.status, 200, "{right}");
            }
            assert_eq!(mismatches(&running), "0");
            assert_eq!(
                cloud.counts().connections - before,
                1,
                "a connection that was looked at is used again"
            );
        }
    }
}

/// An upstream that counts the bytes it hears.
async fn listening() -> (Origin, Arc<AtomicUsize>) {
    let heard = Arc::new(AtomicUsize::new(0));
    let counts = Arc::clone(&heard);
    let origin = Origin::start(move |mut caller: Caller| {
        let counts = Arc::clone(&counts);
        async move {
            let mut bytes = [0; 1024];
            while let Ok(read @ 1..) = caller.stream.read(&mut bytes).await {
                counts.fetch_add(read, Ordering::SeqCst);
            }
        }
    })
    .await;
    (origin, heard)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_not_named_hears_no_byte() {
    for version in ["", ", http_version: 2"] {
        let (origin, heard) = listening().await;
        let running = proxy(&witnessed(&origin.url(), version, ELSEWHERE)).await;
        assert_eq!(ask(&running).await, (502, "egress_mismatch".to_owned()));
        eventually("it was connected to", || origin.connections() == 1).await;
        drop(running);
        assert_eq!(heard.load(Ordering::SeqCst), 0, "{version}");
    }
    let cloud = SocketCloud::start(echo).await;
    let running = proxy(&witnessed(&cloud.url(), "", ELSEWHERE)).await;
    let refused = Socket::try_open(address(&running), "/v1/realtime?model=gpt-realtime", "").await;
    let Err(answer) = refused else { panic!("a socket was opened") };
    assert_eq!(answer.status, 502);
    assert!(cloud.heads().is_empty(), "no handshake was sent");
    let running = proxy(&witnessed(&cloud.url(), "", HERE)).await;
    let mut client = Socket::open(address(&running), "/v1/realtime?model=gpt-realtime").await;
    client.text(json!({ "type": "x" }).to_string()).await;
    assert_eq!(client.json().await["type"], "x");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_of_the_set_stands_in_where_nothing_is_pinned_and_nowhere_else() {
    let cloud = |name: &'static str| {
        move |_: &str, _: &[u8]| said(&json!({ "id": format!("resp_{name}"), "store": true }))
    };
    let (a, b) = (scripted(cloud("a")).await, scripted(cloud("b")).await);
    let plain = two("openai", &a.0.url(), &b.0.url(), "", "health: { down_after: 1000 }");
    let running = proxy(&plain).await;
    let address = address(&running);
    let mut at_a = None;
    for _ in 0..32 {
        let answer = send(address, post("/v1/responses", &first())).await;
        if ours(&answer, "cloud") == "a" {
            at_a = Some(json(&answer)["id"].as_str().unwrap().to_owned());
            break;
        }
    }
    let at_a = at_a.expect("one begins at a");
    // From here on what is at a's address is not a. A connection from before, which nobody looked at, is not used any more.
    let moved = plain.replace("a: { endpoints", &format!("a: {{ witness: {{ {ELSEWHERE} }}, endpoints"));
    running.reload(&moved, "test.yaml").await.unwrap_or_else(|fault| panic!("{fault}"));
    let (seen_a, seen_b) = (a.1.lock().unwrap().len(), b.1.lock().unwrap().len());
    for _ in 0..16 {
        let answer = send(address, post("/v1/responses", &first())).await;
        assert_eq!((answer.status().as_u16(), ours(&answer, "cloud")), (200, "b"));
    }
    let answer = send(address, post("/v1/responses", &follow_up(&at_a))).await;
    assert_eq!((answer.status().as_u16(), ours(&answer, "reason")), (502, "egress_mismatch"));
    assert_eq!(a.1.lock().unwrap().len(), seen_a, "a has heard no more");
    assert_eq!(b.1.lock().unwrap().len(), seen_b + 16, "and b nothing of what is a's");
    assert_ne!(mismatches(&running), "0");
}
