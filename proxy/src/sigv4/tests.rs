//! AWS's published signatures (the v4 test suite of its own SDKs, header form), and some of botocore 1.44.5's for Bedrock.

use super::*;
use std::time::Duration;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// 2015-08-30T12:36:00Z, the suite's own moment.
fn moment() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160)
}

fn signer(service: &str, token: Option<&str>) -> Signer {
    let sigv4 =
        SigV4 { service: service.to_owned(), region: "us-east-1".to_owned(), source: AwsKeys::Environment };
    let variables = [
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("AWS_SESSION_TOKEN", token.unwrap_or("")),
    ];
    let secrets = Secrets::with_variables(variables.map(|(name, value)| (name.to_owned(), value.to_owned())));
    Signer::read(&sigv4, &secrets).unwrap()
}

fn map(headers: &[(&'static str, &'static str)]) -> http::HeaderMap {
    let mut map = http::HeaderMap::new();
    for (name, value) in headers {
        map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    map
}

/// One of the suite's requests.
struct Row {
    name: &'static str,
    request: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    token: Option<&'static str>,
    signature: &'static str,
}

const fn row(name: &'static str, request: &'static str, signature: &'static str) -> Row {
    Row { name, request, headers: &[], body: "", token: None, signature }
}

const TOKEN: &str = "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267";

#[rustfmt::skip]
const SUITE: &[Row] = &[
    row("get-vanilla", "GET /", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    row("get-vanilla-query-order-key-case", "GET /?Param2=value2&Param1=value1", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
    row("get-vanilla-query-order-encoded", "GET /?Param-3=Value3&Param=Value2&%E1%88%B4=Value1", "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac"),
    row("get-vanilla-query-unreserved", "GET /?-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz=-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"),
    row("get-vanilla-utf8-query", "GET /?ሴ=bar", "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"),
    row("get-vanilla-empty-query-key", "GET /?Param1=value1", "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"),
    row("get-utf8", "GET /ሴ", "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"),
    row("get-unreserved", "GET /-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"),
    row("get-relative-normalized", "GET /example/..", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    row("get-slashes-normalized", "GET //example//", "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84"),
    row("post-vanilla", "POST /", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    row("post-vanilla-query", "POST /?Param1=value1", "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"),
    Row { token: Some(TOKEN), ..row("get-vanilla-with-session-token", "GET /", "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8") },
    Row { headers: &[("my-header1", "value2"), ("my-header1", "value2"), ("my-header1", "value1")], ..row("get-header-key-duplicate", "GET /", "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea") },
    Row { headers: &[("my-header1", " value1"), ("my-header2", " \"a   b   c\"")], ..row("get-header-value-trim", "GET /", "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736") },
    Row {
        headers: &[("content-type", "application/x-www-form-urlencoded"), ("content-length", "13")],
        body: "Param1=value1",
        ..row("post-x-www-form-urlencoded", "POST /", "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b")
    },
    Row {
        headers: &[("content-type", "application/x-www-form-urlencoded; charset=utf-8"), ("content-length", "13")],
        body: "Param1=value1",
        ..row("post-x-www-form-urlencoded-parameters", "POST /", "328d1b9eaadca9f5818ef05e8392801e091653bafec24fcab71e7344e7f51422")
    },
];

#[test]
fn awss_published_signatures_are_ours() {
    for Row { name, request, headers, body, token, signature } in SUITE {
        let (method, target) = request.split_once(' ').unwrap();
        let pieces = body.split_inclusive('=').map(|piece| Bytes::from_static(piece.as_bytes()));
        let body: Vec<Bytes> = pieces.collect();
        // The suite sends the digest where it signs a body, and not elsewhere.
        let digest =
            if body.is_empty() { PayloadChecksumKind::NoHeader } else { PayloadChecksumKind::XAmzSha256 };
        let request = Unsigned { method, authority: "example.amazonaws.com", target, body: &body };
        let lines = signer("service", *token)
            .sign_with(digest, request, map(headers).iter(), moment())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let line = |name: &str| lines.iter().find(|line| line.0 == name).map(|line| line.1.to_str().unwrap());
        let authorization = line("authorization").unwrap();
        assert!(authorization.ends_with(&format!("Signature={signature}")), "{name}: {authorization}");
        let scope = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, ";
        assert!(authorization.starts_with(scope), "{name}: {authorization}");
        assert_eq!(line("x-amz-date"), Some("20150830T123600Z"), "{name}");
        assert_eq!(line("x-amz-security-token"), *token, "{name}");
    }
}

#[test]
fn bedrocks_paths_are_signed_as_botocore_signs_them() {
    let agent = "/runtimes/arn%3Aaws%3Abedrock-agentcore%3Aus-east-1%3A123456789012%3Aruntime%2Fmy_agent-AbC123\
        /invocations?qualifier=DEFAULT";
    let session = ("x-amzn-bedrock-agentcore-runtime-session-id", "0123456789abcdef0123456789abcdef0");
    let json = ("content-type", "application/json");
    let model = "/model/us.anthropic.claude-sonnet-4-20250514-v1%3A0/converse-stream";
    let sessions = "/sessions/a%20b/?maxResults=5&nextToken=a%2Bb%2F%3D&empty=";
    for (method, service, target, headers, body, token, signature) in [
        (
            "POST",
            "bedrock-agentcore",
            agent,
            &[json, session][..],
            "{\"prompt\":\"Hi\"}",
            Some("a-session-token"),
            "61d5a5ad1197006c6cdf1e1eeaf335eea61ea4cd76f0aa6f9ef8e74d06f88b51",
        ),
        (
            "POST",
            "bedrock-runtime",
            model,
            &[json],
            "{\"messages\":[]}",
            None,
            "5ad41e4a167f7d2c4c767232d410e581ca2aaee24950ae347445bc8a9fc7b365",
        ),
        (
            "GET",
            "bedrock-agent-runtime",
            sessions,
            &[],
            "",
            None,
            "24791640e33254477156a9130e5ebc59c55aec731b7c346eeca0c0da73acd3b1",
        ),
    ] {
        let authority = format!("{service}.us-east-1.amazonaws.com");
        let name = if service == "bedrock-agentcore" { service } else { "bedrock" };
        let body = [Bytes::from_static(body.as_bytes())];
        let request = Unsigned { method, authority: &authority, target, body: &body };
        let headers = map(headers);
        let headers = headers.iter().filter(|(name, _)| is_signed(name));
        let lines =
            signer(name, token).sign_with(PayloadChecksumKind::NoHeader, request, headers, moment()).unwrap();
        let authorization = lines.iter().find(|line| line.0 == "authorization").unwrap().1.to_str().unwrap();
        assert!(authorization.ends_with(signature), "{service}: {authorization}");
    }
}

#[test]
fn what_may_change_on_the_way_is_not_signed() {
    let headers = map(&[
        ("accept-encoding", "identity"),
        ("content-length", "2"),
        ("content-type", "application/json"),
        ("traceparent", "00-0-0-00"),
        ("user-agent", "sdk"),
        ("x-amz-target", "T"),
        ("x-amzn-bedrock-trace", "ENABLED"),
        ("x-amzn-trace-id", "Root=1"),
    ]);
    let request = Unsigned { method: "POST", authority: "h", target: "/", body: &[] };
    let lines = signer("bedrock", Some("t")).sign(request, headers.iter(), moment()).unwrap();
    let authorization = lines.iter().find(|line| line.0 == "authorization").unwrap().1.to_str().unwrap();
    let signed = "SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date;x-amz-security-token;x-amz-target;\
        x-amzn-bedrock-trace, ";
    assert!(authorization.contains(signed), "{authorization}");
}

#[test]
fn keys_come_whole_or_not_at_all_and_are_not_shown() {
    let environment = SigV4 { service: "s".to_owned(), region: "r".to_owned(), source: AwsKeys::Environment };
    let read = |variables: &[(&str, &str)]| {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        // What the machine itself may have set does not count.
        let unset = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];
        let unset = unset.map(|name| (name.to_owned(), String::new()));
        Signer::read(&environment, &Secrets::with_variables(unset.into_iter().chain(variables)))
    };
    let (id, secret) = (("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "canary"));
    assert!(read(&[id]).unwrap_err().to_string().contains("AWS_SECRET_ACCESS_KEY"));
    assert!(read(&[secret]).unwrap_err().to_string().contains("AWS_ACCESS_KEY_ID"));
    let broken = read(&[id, secret, ("AWS_SESSION_TOKEN", "canary\n")]).unwrap_err().to_string();
    assert!(broken.contains("AWS_SESSION_TOKEN") && !broken.contains("canary"), "{broken}");
    let signer = read(&[id, secret, ("AWS_SESSION_TOKEN", "canary")]).unwrap();
    assert_eq!(signer.credentials.session_token(), Some("canary"));
    assert!(!format!("{signer:?}").contains("canary"));
    assert_eq!(read(&[id, secret]).unwrap().credentials.session_token(), None);
}
