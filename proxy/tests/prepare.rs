//! Promise: an origin sees what is meant for it, whole, and nothing else of what the client sent.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use http::Request;
use http_body_util::Full;
use support::wire::{Capture, send_bytes};
use support::{KEY, QUIET, address, chat, get, ours, post, proxy, send};

/// A proxy before one origin that keeps what it is sent.
async fn before(capture: &Capture, credential: &str, contract: &str) -> riparian_proxy::server::Running {
    proxy(&config(capture, "openai", credential, contract)).await
}

fn config(capture: &Capture, dialect: &str, credential: &str, contract: &str) -> String {
    format!(
        "version: 1
listeners: [{{ name: apps, bind: 127.0.0.1:0 }}]
clouds:
  acme:
    endpoints: [{{ name: acme-one, dialect: {dialect}, url: {}, credential: {credential} }}]
contract: {{ enforce: r, readings: {{ r: {{ stateful_from: never }} }}, terms: [{contract}] }}
{QUIET}",
        capture.url()
    )
}

const ANY: &str = "{ id: all, only: acme }";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn googles_key_in_the_query_goes_on_only_where_credentials_go_through() {
    for (credential, goes_on) in [("none", false), ("passthrough", true)] {
        let capture = Capture::start().await;
        let running = proxy(&config(&capture, "google", credential, ANY)).await;
        let path = "/v1beta/models/gemini-x:generateContent?alt=json&key=canary-client-key";
        let answer = send(address(&running), post(path, &serde_json::json!({ "contents": [] }))).await;
        assert_eq!(answer.status(), 200, "{:?}", answer.body());
        let line = &capture.seen()[0].line;
        assert!(line.contains("alt=json") && line.contains("canary") == goes_on, "{credential}: {line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_origin_sees_only_what_is_meant_for_it() {
    let capture = Capture::start().await;
    let running = before(&capture, "none", ANY).await;
    let sent = "POST /v1/chat/completions HTTP/1.1\r\n\
        Host: somebody-else.example\r\n\
        Content-Type: application/json\r\nContent-Length: 34\r\n\
        Authorization: Bearer canary-client-key\r\napi-key: canary-client-key\r\nX-Api-Key: canary-client-key\r\n\
        Cookie: canary-client-key\r\nProxy-Authorization: canary-client-key\r\nX-Goog-Api-Key: canary-client-key\r\n\
        x-amz-security-token: canary-client-key\r\n\
        X-Riparian-Cloud: openai\r\nx_riparian_session: forged\r\nX-RIPARIAN_grade: pure\r\nx-riparian-session: forged\r\n\
        Connection: keep-alive, X-Nominated\r\nConnection: x-second, X-Third\r\n\
        X-Nominated: hop\r\nX-Second: hop\r\nX-Third: hop\r\n\
        Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: trailers\r\nTrailer: x-end\r\n\
        Accept-Encoding: gzip, br\r\n\
        X-Custom: kept\r\nX-Custom: twice\r\nUser-Agent: sdk/1\r\nOpenAI-Beta: assistants=v2\r\n\r\n\
        {\"model\":\"gpt-5.5\", \"messages\":[]}";
    let answer = send_bytes(address(&running), sent.as_bytes()).await;
    assert_eq!(answer.line, "HTTP/1.1 200 OK");
    let [seen] = &capture.seen()[..] else { panic!("not seen once") };
    assert_eq!(seen.line, "POST /v1/chat/completions HTTP/1.1");
    let mut headers: Vec<_> = seen.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    headers.sort();
    let host = format!("host: {}", capture.address);
    let mut expected = vec![
        "accept-encoding: identity",
        "content-length: 34",
        "content-type: application/json",
        host.as_str(),
        "openai-beta: assistants=v2",
        "user-agent: sdk/1",
        "x-custom: kept",
        "x-custom: twice",
    ];
    expected.sort_unstable();
    assert_eq!(headers, expected);
    assert_eq!(seen.body, b"{\"model\":\"gpt-5.5\", \"messages\":[]}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_may_not_nominate_away_what_the_origin_needs() {
    let capture = Capture::start().await;
    let running = before(&capture, "none", ANY).await;
    for nominated in
        ["host", "Content-Length", "close, authorization", "x-forwarded-for", "\"x\"", "a,b,c,d,e,f,g,h,i,j"]
    {
        let sent = format!("GET /v1/models HTTP/1.1\r\nHost: a\r\nConnection: {nominated}\r\n\r\n");
        let answer = send_bytes(address(&running), sent.as_bytes()).await;
        assert_eq!(answer.line, "HTTP/1.1 400 Bad Request", "{nominated}");
        assert_eq!(answer.header("x-riparian-reason"), Some("head_malformed"), "{nominated}");
    }
    assert_eq!(capture.seen().len(), 0, "nothing was sent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chunked_body_arrives_with_its_length() {
    let capture = Capture::start().await;
    let running = before(&capture, "none", ANY).await;
    let sent = "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
        Transfer-Encoding: chunked\r\n\r\n7\r\n{\"model\r\n1a;ext=1\r\n\":\"gpt-5.5\",\"messages\":[]}\r\n0\r\n\r\n";
    assert_eq!(send_bytes(address(&running), sent.as_bytes()).await.line, "HTTP/1.1 200 OK");
    let [seen] = &capture.seen()[..] else { panic!("not seen once") };
    assert_eq!((seen.header("content-length"), seen.header("transfer-encoding")), (Some("33"), None));
    assert_eq!(seen.body, b"{\"model\":\"gpt-5.5\",\"messages\":[]}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clients_credential_goes_through_only_where_the_configuration_says_so() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), format!("{KEY}\n")).unwrap();
    let bearer = format!("{{ bearer: {{ file: {} }} }}", secret.path().display());
    let own = format!("Bearer {KEY}");
    let (authorization, api_key) = (("authorization", "Bearer client"), ("api-key", "client"));
    for (credential, sent, expected) in [
        ("none", &[authorization, api_key][..], &[][..]),
        ("passthrough", &[authorization], &[authorization]),
        ("passthrough", &[api_key], &[api_key]),
        ("passthrough", &[authorization, api_key], &[api_key]),
        ("passthrough", &[], &[]),
        (&bearer, &[authorization, api_key], &[("authorization", own.as_str())]),
        (&bearer, &[], &[("authorization", own.as_str())]),
    ] {
        let capture = Capture::start().await;
        let running = before(&capture, credential, ANY).await;
        let mut request = Request::get("/v1/models").header("host", "a").header("cookie", "client");
        for (name, value) in sent {
            request = request.header(*name, *value);
        }
        let answer = send(address(&running), request.body(Full::default()).unwrap()).await;
        assert_eq!(answer.status(), 200);
        let [seen] = &capture.seen()[..] else { panic!("not seen once") };
        let carried: Vec<_> = seen
            .headers
            .iter()
            .filter(|(name, _)| ["authorization", "api-key", "cookie"].contains(&name.as_str()))
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(carried, expected, "credential {credential}, client sent {sent:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_recognised_is_refused_unless_a_term_names_it() {
    let odd = "POST /v2/odd//path/..%2fx?q=%20&api-version=1 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer client\r\n\
        Content-Type: text/plain\r\nContent-Length: 9\r\n\r\nno {json}";
    let capture = Capture::start().await;
    let running = before(&capture, "none", ANY).await;
    let answer = send_bytes(address(&running), odd.as_bytes()).await;
    assert_eq!(answer.line, "HTTP/1.1 403 Forbidden");
    assert_eq!(answer.header("x-riparian-reason"), Some("unrecognised"));
    for near in
        ["/v1/chat/completions/", "//v1/chat/completions", "/v1/chat%2Fcompletions", "/v1/Chat/completions"]
    {
        let answer = send(address(&running), post(near, &chat())).await;
        assert_eq!((answer.status().as_u16(), ours(&answer, "reason")), (403, "unrecognised"), "{near}");
    }
    assert_eq!(capture.seen().len(), 0, "nothing was sent");

    let running = before(&capture, "none", "{ id: odd, when: { grade: unknown }, only: acme }").await;
    let answer = send_bytes(address(&running), odd.as_bytes()).await;
    assert_eq!(
        (answer.line.as_str(), answer.header("x-riparian-grade")),
        ("HTTP/1.1 200 OK", Some("unknown"))
    );
    let [seen] = &capture.seen()[..] else { panic!("not seen once") };
    assert_eq!(seen.line, "POST /v2/odd//path/..%2fx?q=%20&api-version=1 HTTP/1.1", "as it came");
    assert_eq!((seen.body.as_slice(), seen.header("authorization")), (&b"no {json}"[..], None));
    let answer = send(address(&running), get("/v1/models")).await;
    assert_eq!(ours(&answer, "reason"), "no_term", "what is recognised is not grade unknown");
}
