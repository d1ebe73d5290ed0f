//! Promise: the contract is amended under load, in each way in which the shipped examples let the dispute end: no stream is dropped where
//! sessions are grandfathered or drained, sockets are closed within a second where they are cut, and nothing reaches a cloud that the
//! terms of the moment do not allow. Judged by what the clouds saw.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use riparian_config::Timestamp;
use riparian_loadtest::{CloudSpec, FakeCloud, Kind};
use riparian_proxy::server::Running;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use support::raw::{End, Raw};
use support::socket::Socket;
use support::turns::{first, follow_up, streamed};
use support::{KEY, address, json as body_of, post, proxy, send};

/// How one of the examples ends.
struct Ending {
    name: &'static str,
    text: &'static str,
    /// Where stateless calls, and what begins state, may go afterwards.
    stateless: &'static [&'static str],
    begins: &'static [&'static str],
    /// What was begun with the second cloud goes on there.
    goes_on: bool,
}

const ENDINGS: [Ending; 4] = [
    Ending {
        name: "settlement",
        text: include_str!("../../config/examples/settlement.yaml"),
        stateless: &["azure", "aws"],
        begins: &["azure", "aws"],
        goes_on: true,
    },
    Ending {
        name: "carve-out",
        text: include_str!("../../config/examples/carve-out.yaml"),
        stateless: &["azure"],
        begins: &["aws"],
        goes_on: true,
    },
    Ending {
        name: "injunction",
        text: include_str!("../../config/examples/injunction.yaml"),
        stateless: &["azure"],
        begins: &["azure"],
        goes_on: false,
    },
    Ending {
        name: "divorce",
        text: include_str!("../../config/examples/divorce.yaml"),
        stateless: &["openai"],
        begins: &["openai"],
        goes_on: true,
    },
];

const STREAMS: usize = 8;
const SOCKETS: usize = 4;
/// Streams last from before the boundary until well after it.
const CHUNKS: usize = 80;
const PACE: Duration = Duration::from_millis(100);

/// The example over these clouds, with its boundary at `boundary`, and with clocks that agree.
fn config(ending: &Ending, clouds: &[FakeCloud; 3], boundary: Timestamp) -> String {
    let mut text =
        ending.text.replace("2026-04-28", "2126-01-01").replace("2026-04-27", &boundary.to_string());
    text = text.replace("  band: enforced", "  band: enforced\n  clock_skew: 0s");
    text = text.replace("127.0.0.1:8080", "127.0.0.1:0").replace("127.0.0.1:9901", "127.0.0.1:0");
    for dialect in ["azure-openai", "bedrock-openai"] {
        text = text.replace(&format!("dialect: {dialect}"), "dialect: openai");
    }
    let urls = [
        "https://contoso.openai.azure.com",
        "https://bedrock-runtime.us-east-1.amazonaws.com",
        "https://api.openai.com",
    ];
    for (url, cloud) in urls.iter().zip(clouds) {
        text = text.replace(&format!("url: {url}"), &format!("url: \"{}\"", cloud.url()));
    }
    let secret = std::env::temp_dir().join(format!("riparian-amended-{}", std::process::id()));
    std::fs::write(&secret, KEY).unwrap();
    for (kind, variable) in [
        ("api_key", "AZURE_OPENAI_API_KEY"),
        ("bearer", "AWS_BEARER_TOKEN_BEDROCK"),
        ("bearer", "OPENAI_API_KEY"),
    ] {
        text = text.replace(
            &format!("{{ {kind}: {{ env: {variable} }} }}"),
            &format!("{{ bearer: {{ file: {} }} }}", secret.display()),
        );
    }
    for model in ["gpt55-prod", "openai.gpt-5.5"] {
        text = text.replace(&format!("{{ gpt-5.5: {model} }}"), "{ gpt-5.5: gpt-5.5 }");
    }
    format!("{text}\ntelemetry: {{ access_log: off }}\nlimits: {{ idle: 60s, first_byte_within: 20s }}\n")
}

async fn cloud(name: &'static str) -> FakeCloud {
    let spec = CloudSpec::new(Kind::OpenAi, name).credential(KEY).models(["gpt-5.5"]).streaming(CHUNKS, PACE);
    FakeCloud::start(spec).await.unwrap()
}

/// Sends stateless calls and begins sessions until it is told to stop; each tells what it is in a header of its own.
async fn load(at: SocketAddr, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Acquire) {
        for (path, body, what) in
            [("/v1/chat/completions", support::chat(), "stateless"), ("/v1/responses", first(), "begins")]
        {
            let mut request = post(path, &body);
            request.headers_mut().insert("x-what", what.parse().unwrap());
            let answer = send(at, request).await;
            assert_eq!(answer.status(), 200, "{what}: {:?}", answer.body());
        }
    }
}

/// A stream whose session begins before the boundary.
async fn stream(at: SocketAddr) -> End {
    let mut client = Raw::connect(at).await;
    let mut body = streamed(first());
    body["store"] = true.into();
    client.post("/v1/responses", "x-what: before\r\n", body.to_string()).await;
    let head = client.head().await.unwrap();
    assert_eq!(head.status, 200);
    client.body(head).await.end
}

async fn socket(running: &Running) -> Socket {
    let mut client = Socket::open(address(running), "/v1/responses").await;
    client.text(json!({ "type": "response.create", "model": "gpt-5.5", "input": "hello" }).to_string()).await;
    client.json().await;
    client
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contract_is_amended_under_load() {
    for ending in ENDINGS {
        amend(&ending).await;
    }
}

async fn amend(ending: &Ending) {
    let clouds = [cloud("azure").await, cloud("aws").await, cloud("openai").await];
    let far = "2100-01-01T00:00:00Z".parse().unwrap();
    let running = proxy(&config(ending, &clouds, far)).await;
    let at = address(&running);
    let name = ending.name;

    let begun = send(at, post("/v1/responses", &first())).await;
    assert_eq!(support::ours(&begun, "cloud"), "aws", "{name}: {begun:?}");
    let chain = body_of(&begun)["id"].as_str().unwrap().to_owned();
    let mut sockets = Vec::new();
    for _ in 0..SOCKETS {
        sockets.push(socket(&running).await);
    }
    let streams: Vec<_> = (0..STREAMS).map(|_| tokio::spawn(stream(at))).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let loads: Vec<_> = (0..2).map(|_| tokio::spawn(load(at, Arc::clone(&stop)))).collect();

    // The amended contract is put into force, and its boundary passes by itself.
    let boundary = Timestamp::now() + Duration::from_secs(4);
    running.reload(&config(ending, &clouds, boundary), "amended.yaml").await.unwrap();
    let left =
        Duration::try_from(boundary.duration_since(Timestamp::now())).expect("reloaded before the boundary");
    tokio::time::sleep(left).await;
    let passed = Instant::now();

    for mut client in sockets {
        if ending.goes_on {
            continue;
        }
        // Whatever was under way on it may still arrive; then it is closed.
        let closed = tokio::time::timeout(Duration::from_secs(1), client.closed()).await;
        assert_eq!(
            closed.unwrap_or_else(|_| panic!("{name}: a socket outlived the boundary")).0,
            1008,
            "{name}"
        );
        assert!(passed.elapsed() < Duration::from_secs(1), "{name}");
    }
    let answer = send(at, post("/v1/responses", &follow_up(&chain))).await;
    let expected = if ending.goes_on { (200, "held") } else { (403, "owner_not_designated") };
    assert_eq!((answer.status().as_u16(), support::ours(&answer, "reason")), expected, "{name}: {answer:?}");

    tokio::time::sleep(Duration::from_millis(700)).await;
    stop.store(true, Ordering::Release);
    for load in loads {
        load.await.unwrap();
    }
    for stream in streams {
        assert_eq!(stream.await.unwrap(), End::Whole, "{name}: a stream was dropped");
    }
    judge(ending, &clouds, passed);
    drop(running);
    for cloud in clouds {
        cloud.stop().await;
    }
}

/// What arrived where, and when: a request that was judged just before the boundary may arrive just behind it.
fn judge(ending: &Ending, clouds: &[FakeCloud; 3], passed: Instant) {
    let slack = Duration::from_millis(500);
    let (mut before, mut after) = (0, 0);
    for cloud in clouds {
        for seen in cloud.seen() {
            let Some(what) = seen.header("x-what") else { continue };
            let old: &[&str] = if what == "stateless" { &["azure"] } else { &["aws"] };
            let new = match what {
                "stateless" => ending.stateless,
                "begins" => ending.begins,
                _ => &[],
            };
            let is = |set: &[&str]| set.contains(&cloud.name());
            if seen.at < passed {
                assert!(is(old), "{}: {what} reached {} before the boundary", ending.name, cloud.name());
                before += 1;
            } else {
                let late = seen.at < passed + slack;
                assert!(is(new) || (late && is(old)), "{}: {what} reached {}", ending.name, cloud.name());
                after += u32::from(is(new));
            }
        }
    }
    assert!(before > 10 && after > 10, "{}: {before} before and {after} after", ending.name);
}
