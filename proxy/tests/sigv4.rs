//! Promise: an endpoint that asks for AWS signatures gets requests that are signed for it, and nothing of the client's own signature.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use std::time::{Duration, SystemTime};
use support::h2::capture;
use support::sigv4::Verifier;
use support::wire::{Capture, Captured};
use support::{QUIET, address, proxy, send};
use tokio::net::TcpListener;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const TOKEN: &str = "a-session-token+/==";

fn verifier() -> Verifier {
    Verifier {
        access_key_id: "AKIDEXAMPLE",
        secret_access_key: SECRET,
        session_token: Some(TOKEN),
        service: "bedrock",
        region: "us-east-1",
        now: SystemTime::now(),
    }
}

fn verify(verifier: &Verifier, seen: &Captured) -> Result<(), String> {
    let mut parts = seen.line.split(' ');
    verifier.verify(parts.next().unwrap(), parts.next().unwrap(), &seen.headers, &seen.body)
}

/// Keys in files, for a region that the endpoint names.
struct Keys(tempfile::TempDir);

impl Keys {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, value) in [("id", "AKIDEXAMPLE"), ("secret", SECRET), ("token", TOKEN)] {
            std::fs::write(folder.path().join(name), format!("{value}\n")).unwrap();
        }
        Self(folder)
    }

    fn credential(&self) -> String {
        let file = |name: &str| format!("{{ file: {} }}", self.0.path().join(name).display());
        format!(
            "{{ sigv4: {{ access_key_id: {}, secret_access_key: {}, session_token: {} }} }}",
            file("id"),
            file("secret"),
            file("token")
        )
    }
}

/// A proxy before endpoints of one cloud: region, URL, HTTP version.
async fn before(keys: &Keys, endpoints: &[(&str, &str, u8)]) -> riparian_proxy::server::Running {
    let lines: String = endpoints
        .iter()
        .enumerate()
        .map(|(at, (region, url, version))| {
            format!(
                "      - {{ name: e{at}, dialect: bedrock-openai, url: {url}, region: {region}, http_version: {version}, \
                 credential: {}, models: {{ gpt-5.5: openai.gpt-oss-120b-1:0 }} }}\n",
                keys.credential()
            )
        })
        .collect();
    let config = format!(
        "version: 1
listeners: [{{ name: apps, bind: 127.0.0.1:0 }}]
clouds:
  aws:
    endpoints:
{lines}contract:
  enforce: r
  readings: {{ r: {{ stateful_from: never }} }}
  terms: [{{ id: all, only: aws }}, {{ id: others, when: {{ grade: unknown }}, only: aws }}]
{QUIET}"
    );
    proxy(&config).await
}

/// What a client of AWS sends, signed by itself.
fn signed(request: http::request::Builder, body: &'static str) -> Request<Full<Bytes>> {
    request
        .header("host", "proxy")
        .header(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=canary/20150830/eu-west-9/bedrock/aws4_request, SignedHeaders=host, Signature=canary",
        )
        .header("x-amz-date", "20150830T123600Z-canary")
        .header("x-amz-content-sha256", "canary")
        .header("x-amz-security-token", "canary")
        .header("x-amz-target", "  Service.Operation   1 ")
        .header("x-amzn-bedrock-guardrailidentifier", "g-1")
        .header("user-agent", "Boto3/1.44")
        .body(Full::new(Bytes::from_static(body.as_bytes())))
        .unwrap()
}

fn requests() -> Vec<Request<Full<Bytes>>> {
    let json = |request: http::request::Builder| request.header("content-type", "application/json");
    let arn = "/v9/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Aagent%2Fx%20y%2f%C3%A9/~a:b@c/do";
    let query = "?z=1&a=%2Fb%2f%20c&a=&B&%C3%A9=~&X-Amz-Signature=canary&X-Amz-Credential=canary&X-Amz-Expires=canary";
    let chat = r#"{"messages":[],"model":"gpt-5.5","user":"é"}"#;
    vec![
        signed(Request::get("/v1/models"), ""),
        signed(Request::get(format!("{arn}{query}")), ""),
        signed(Request::delete("/v9/a.b/"), ""),
        signed(json(Request::post(format!("{arn}{query}"))), "{\"prompt\":\"Hi\"}"),
        signed(json(Request::post("/v1/chat/completions")), chat),
        signed(json(Request::post("/v1/chat/completions?a=1")), chat),
    ]
}

fn check(seen: &[Captured]) {
    assert_eq!(seen.len(), requests().len());
    for seen in seen {
        if let Err(why) = verify(&verifier(), seen) {
            panic!("{}: {why}", seen.line);
        }
        assert!(
            !format!("{seen:?}").contains("canary"),
            "of the client's signature nothing arrives: {seen:?}"
        );
        let authorization = seen.header("authorization").unwrap();
        for name in ["x-amz-target", "x-amzn-bedrock-guardrailidentifier"] {
            assert!(authorization.contains(name), "{name}: {authorization}");
        }
        for name in ["user-agent", "accept-encoding", "content-length", "connection"] {
            assert!(!authorization.contains(name), "{name} may change: {authorization}");
        }
    }
    let spliced = r#"{"messages":[],"model":"openai.gpt-oss-120b-1:0","user":"é"}"#;
    assert_eq!(
        String::from_utf8_lossy(&seen[4].body),
        spliced,
        "the body that is signed is the one that goes out"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_is_signed_anew_over_http1() {
    let (keys, capture) = (Keys::new(), Capture::start().await);
    let running = before(&keys, &[("us-east-1", &capture.url(), 1)]).await;
    for request in requests() {
        assert_eq!(send(address(&running), request).await.status(), 200);
    }
    check(&capture.seen());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_is_signed_anew_over_http2() {
    let (keys, (endpoint, seen)) = (Keys::new(), capture().await);
    let running = before(&keys, &[("us-east-1", &format!("http://{endpoint}"), 2)]).await;
    for request in requests() {
        assert_eq!(send(address(&running), request).await.status(), 200);
    }
    check(&seen.lock().unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bedrocks_own_paths_are_signed_as_they_go_out() {
    let (keys, capture) = (Keys::new(), Capture::start().await);
    let config = format!(
        "version: 1
listeners: [{{ name: apps, bind: 127.0.0.1:0 }}]
clouds:
  aws:
    endpoints:
      - name: native
        dialect: bedrock
        url: {}
        region: us-east-1
        credential: {}
        models: {{ claude: \"us.anthropic.claude:0\", \"us.anthropic.claude:0\": \"us.anthropic.claude:0\" }}
contract: {{ enforce: r, readings: {{ r: {{ stateful_from: never }} }}, terms: [{{ id: all, only: aws }}] }}
{QUIET}",
        capture.url(),
        keys.credential()
    );
    let running = proxy(&config).await;
    for model in ["claude", "us.anthropic.claude%3A0", "us.anthropic.claude:0"] {
        let request =
            Request::post(format!("/model/{model}/converse")).header("content-type", "application/json");
        let answer = send(address(&running), signed(request, r#"{"messages":[]}"#)).await;
        assert_eq!(answer.status(), 200, "{model}: {:?}", answer.body());
    }
    let seen = capture.seen();
    assert_eq!(seen.len(), 3);
    let own = "POST /model/us.anthropic.claude:0/converse HTTP/1.1";
    assert!(seen.iter().all(|seen| seen.line.replace("%3A", ":") == own), "{seen:?}");
    for seen in &seen {
        verify(&verifier(), seen).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_attempt_is_signed_for_its_own_endpoint() {
    let (keys, capture) = (Keys::new(), Capture::start().await);
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let [there, closed] = [capture.url(), format!("http://{closed}")];
    for endpoints in [
        [("us-east-1", there.as_str(), 1), ("eu-west-1", closed.as_str(), 1)],
        [("eu-west-1", closed.as_str(), 1), ("us-east-1", there.as_str(), 1)],
    ] {
        let running = before(&keys, &endpoints).await;
        for _ in 0..4 {
            let chat = r#"{"model":"gpt-5.5","messages":[]}"#;
            let request = Request::post("/v1/chat/completions").header("content-type", "application/json");
            assert_eq!(send(address(&running), signed(request, chat)).await.status(), 200);
        }
    }
    let seen = capture.seen();
    assert_eq!(seen.len(), 8);
    for seen in seen {
        verify(&verifier(), &seen).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_signed_so_is_not_taken() {
    let (keys, capture) = (Keys::new(), Capture::start().await);
    let running = before(&keys, &[("us-east-1", &capture.url(), 1)]).await;
    let request = Request::post("/v9/a%2Fb?c=1").header("content-type", "application/json");
    assert_eq!(send(address(&running), signed(request, "{}")).await.status(), 200);
    let [seen] = &capture.seen()[..] else { panic!("not seen once") };
    verify(&verifier(), seen).unwrap();

    let minutes = |count: u64| Duration::from_secs(count * 60);
    for (why, verifier) in [
        ("another secret", Verifier { secret_access_key: "another", ..verifier() }),
        ("another key", Verifier { access_key_id: "AKIDOTHER", ..verifier() }),
        ("no token", Verifier { session_token: None, ..verifier() }),
        ("another region", Verifier { region: "us-west-2", ..verifier() }),
        ("another service", Verifier { service: "s3", ..verifier() }),
        ("too late", Verifier { now: SystemTime::now() + minutes(6), ..verifier() }),
        ("too early", Verifier { now: SystemTime::now() - minutes(6), ..verifier() }),
    ] {
        assert!(verify(&verifier, seen).is_err(), "{why}");
    }
    let mut changed = seen.clone();
    changed.body = b"{ }".to_vec();
    assert!(verify(&verifier(), &changed).is_err(), "another body");
    for line in
        ["GET /v9/a%2Fb?c=1 x", "POST /v9/a/b?c=1 x", "POST /v9/a%252Fb?c=1 x", "POST /v9/a%2Fb?c=2 x"]
    {
        let changed = Captured { line: line.to_owned(), ..seen.clone() };
        assert!(verify(&verifier(), &changed).is_err(), "{line}");
    }
    for name in ["host", "content-type", "x-amz-target", "x-amz-content-sha256", "x-amz-date"] {
        let mut changed = seen.clone();
        changed.headers.iter_mut().find(|(known, _)| known == name).unwrap().1.push('0');
        assert!(verify(&verifier(), &changed).is_err(), "{name}");
    }
}
