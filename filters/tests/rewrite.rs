//! What the chosen endpoint sees: each form of a client's path, against each dialect, with and without a path of the endpoint's own.
#![allow(clippy::unwrap_used, reason = "a test may")]

use riparian_config::{Config, EndpointName};
use riparian_filters::identify::Keys;
use riparian_filters::policy::{Place, Policy, takes_model};
use riparian_filters::rewrite::{
    ModelSpan, Splice, keyless, splice, stays_behind, stays_dated, target, unsigned, verbatim,
};
use riparian_filters::scan::Scanner;

const CONFIG: &str = r#"
version: 1
listeners: [{ name: apps, bind: 127.0.0.1:8080 }]
clouds:
  one:
    endpoints:
      - { name: openai, dialect: openai, url: "http://127.0.0.1:9000", credential: none }
      - { name: openai-gw, dialect: openai, url: "http://127.0.0.1:9000/api/llm/v1", credential: none }
      - { name: azure, dialect: azure-openai, url: "http://127.0.0.1:9001", credential: none, models: { gpt-5.5: gpt55-prod, odd: "a b/c%?#é" } }
      - { name: azure-gw, dialect: azure-openai, url: "http://127.0.0.1:9001/openai/v1", credential: none, models: { gpt-5.5: gpt55-prod } }
      - { name: bedrock, dialect: bedrock-openai, url: "http://127.0.0.1:9002", credential: none, models: { gpt-5.5: openai.gpt-5.5, "ft:x": "arn:aws:bedrock:us-east-1:1:custom/x" } }
      - { name: same, dialect: azure-openai, url: "http://127.0.0.1:9003", credential: none }
contract:
  enforce: r
  readings: { r: { stateful_from: continues } }
  terms: [{ id: all, only: one }]
"#;

fn policy() -> Policy {
    // No configuration may name such a deployment; the rewriter must be safe on its own.
    let text = CONFIG.replace("a b/c%?#é", "odd");
    let mut config = Config::parse(&text, "test").unwrap_or_else(|faults| panic!("{faults}"));
    for endpoint in &mut config.clouds[0].endpoints {
        for (_, own) in endpoint.models.iter_mut().flatten().filter(|(name, _)| name == "odd") {
            "a b/c%?#é".clone_into(own);
        }
    }
    Policy::compile(config, Keys::derive(b"test")).expect("the built-in surfaces")
}

fn place<'p>(policy: &'p Policy, name: &str) -> &'p Place {
    policy.place(policy.endpoint_named(&EndpointName::new(name).unwrap()).expect("an endpoint of the test"))
}

/// The target that `endpoint` sees of `POST path`, or of `GET path` for operations without a body.
fn seen(policy: &Policy, endpoint: &str, path: &str, model: Option<&str>) -> String {
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let recognised = ["POST", "GET"].iter().find_map(|method| policy.named(method, path)).expect("known");
    target(policy, place(policy, endpoint), &recognised, model, query)
}

/// Client's path, its model, and what each endpoint sees.
type Row = (&'static str, &'static str, [(&'static str, &'static str); 5]);

#[rustfmt::skip]
const CREATE: &[Row] = &[
    // Versioned, in both spellings.
    ("/v1/chat/completions", "gpt-5.5", [
        ("openai", "/v1/chat/completions"), ("openai-gw", "/api/llm/v1/chat/completions"),
        ("azure", "/openai/v1/chat/completions"), ("azure-gw", "/openai/v1/chat/completions"),
        ("bedrock", "/openai/v1/chat/completions"),
    ]),
    ("/openai/v1/chat/completions?api-version=preview&a=b", "gpt-5.5", [
        ("openai", "/v1/chat/completions?a=b"), ("openai-gw", "/api/llm/v1/chat/completions?a=b"),
        ("azure", "/openai/v1/chat/completions?api-version=preview&a=b"),
        ("azure-gw", "/openai/v1/chat/completions?api-version=preview&a=b"),
        ("bedrock", "/openai/v1/chat/completions?a=b"),
    ]),
    // A deployment: Azure's own stays dated, under the endpoint's own deployment; elsewhere the model is in the body.
    ("/openai/deployments/gpt-5.5/chat/completions?api-version=2024-10-21", "gpt-5.5", [
        ("openai", "/v1/chat/completions"), ("openai-gw", "/api/llm/v1/chat/completions"),
        ("azure", "/openai/deployments/gpt55-prod/chat/completions?api-version=2024-10-21"),
        ("azure-gw", "/openai/v1/chat/completions"), ("bedrock", "/openai/v1/chat/completions"),
    ]),
    ("/openai/deployments/gpt%2D5.5/embeddings?x=%20y&api-version=2024-10-21&z", "gpt-5.5", [
        ("openai", "/v1/embeddings?x=%20y&z"), ("openai-gw", "/api/llm/v1/embeddings?x=%20y&z"),
        ("azure", "/openai/deployments/gpt55-prod/embeddings?x=%20y&api-version=2024-10-21&z"),
        ("azure-gw", "/openai/v1/embeddings?x=%20y&z"), ("bedrock", "/openai/v1/embeddings?x=%20y&z"),
    ]),
    // Dated without a deployment.
    ("/openai/responses?api-version=2025-03-01-preview", "gpt-5.5", [
        ("openai", "/v1/responses"), ("openai-gw", "/api/llm/v1/responses"),
        ("azure", "/openai/responses?api-version=2025-03-01-preview"),
        ("azure-gw", "/openai/v1/responses"), ("bedrock", "/openai/v1/responses"),
    ]),
    // The model in the path.
    ("/v1/models/gpt-5.5", "gpt-5.5", [
        ("openai", "/v1/models/gpt-5.5"), ("openai-gw", "/api/llm/v1/models/gpt-5.5"),
        ("azure", "/openai/v1/models/gpt55-prod"), ("azure-gw", "/openai/v1/models/gpt55-prod"),
        ("bedrock", "/openai/v1/models/openai.gpt-5.5"),
    ]),
    ("/openai/models/gpt%2d5%2E5?api-version=1", "gpt-5.5", [
        ("openai", "/v1/models/gpt-5.5"), ("openai-gw", "/api/llm/v1/models/gpt-5.5"),
        ("azure", "/openai/models/gpt55-prod?api-version=1"), ("azure-gw", "/openai/v1/models/gpt55-prod"),
        ("bedrock", "/openai/v1/models/openai.gpt-5.5"),
    ]),
    ("/v1/models", "", [
        ("openai", "/v1/models"), ("openai-gw", "/api/llm/v1/models"), ("azure", "/openai/v1/models"),
        ("azure-gw", "/openai/v1/models"), ("bedrock", "/openai/v1/models"),
    ]),
    // A handle in the path goes as it came, escapes and all.
    ("/v1/responses/resp%5F1?include[]=a&include[]=b", "", [
        ("openai", "/v1/responses/resp%5F1?include[]=a&include[]=b"),
        ("openai-gw", "/api/llm/v1/responses/resp%5F1?include[]=a&include[]=b"),
        ("azure", "/openai/v1/responses/resp%5F1?include[]=a&include[]=b"),
        ("azure-gw", "/openai/v1/responses/resp%5F1?include[]=a&include[]=b"),
        ("bedrock", "/openai/v1/responses/resp%5F1?include[]=a&include[]=b"),
    ]),
    ("/openai/responses/resp_1/input_items?api-version=1&after=x", "", [
        ("openai", "/v1/responses/resp_1/input_items?after=x"),
        ("openai-gw", "/api/llm/v1/responses/resp_1/input_items?after=x"),
        ("azure", "/openai/responses/resp_1/input_items?api-version=1&after=x"),
        ("azure-gw", "/openai/v1/responses/resp_1/input_items?after=x"),
        ("bedrock", "/openai/v1/responses/resp_1/input_items?after=x"),
    ]),
];

#[test]
fn every_form_for_every_dialect() {
    let policy = policy();
    for (path, model, endpoints) in CREATE {
        let model = Some(*model).filter(|model| !model.is_empty());
        for (endpoint, expected) in endpoints {
            assert_eq!(seen(&policy, endpoint, path, model), *expected, "{path} at {endpoint}");
        }
    }
}

#[test]
fn only_the_parameter_of_that_name_is_dropped() {
    let policy = policy();
    for (query, expected) in [
        ("", ""),
        ("api-version=1", ""),
        ("api-version", ""),
        ("api-version=1&api-version=2", ""),
        ("&&a=1&&", "?a=1"),
        ("x=api-version=1", "?x=api-version=1"),
        ("api-version2=1&API-VERSION=3", "?api-version2=1&API-VERSION=3"),
        ("a=%26api-version%3D1", "?a=%26api-version%3D1"),
        ("a=1?b=2", "?a=1?b=2"),
    ] {
        let path = format!("/v1/chat/completions?{query}");
        let expected = format!("/v1/chat/completions{expected}");
        assert_eq!(seen(&policy, "openai", &path, Some("gpt-5.5")), expected, "{query}");
    }
}

#[test]
fn an_endpoints_own_name_cannot_break_out_of_its_segment() {
    let policy = policy();
    let path = "/openai/deployments/odd/chat/completions?api-version=1";
    let expected = "/openai/deployments/a%20b%2Fc%25%3F%23%C3%A9/chat/completions?api-version=1";
    assert_eq!(seen(&policy, "azure", path, Some("odd")), expected);
    assert_eq!(
        seen(&policy, "azure", "/v1/models/odd", Some("odd")),
        "/openai/v1/models/a%20b%2Fc%25%3F%23%C3%A9"
    );
    let arn = seen(&policy, "bedrock", "/v1/models/ft:x", Some("ft:x"));
    assert_eq!(arn, "/openai/v1/models/arn:aws:bedrock:us-east-1:1:custom%2Fx");
}

#[test]
fn a_deployment_is_its_own_model_where_there_is_no_map() {
    let policy = policy();
    let path = "/openai/deployments/my%20prod/chat/completions?api-version=1";
    let expected = "/openai/deployments/my%20prod/chat/completions?api-version=1";
    assert_eq!(seen(&policy, "same", path, Some("my prod")), expected);
}

#[test]
fn an_operation_that_is_not_recognised_goes_as_it_came() {
    assert_eq!(verbatim("/v9/x%2Fy", Some("api-version=1&&")), "/v9/x%2Fy?api-version=1&&");
    assert_eq!(verbatim("/v9", None), "/v9");
    assert_eq!(verbatim("/v9", Some("")), "/v9?");
}

#[test]
fn a_signature_in_the_query_stays_behind() {
    let signed = "a=1&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKID%2F20261121&x-amz-date=1&X-Amz-Expires=60&\
        X-Amz-SignedHeaders=host&b&X-Amz-Security-Token=t&X-Amz-Signature=0&&X-Amz-Target=c";
    assert_eq!(unsigned(signed), "a=1&b&&X-Amz-Target=c");
    assert_eq!(unsigned("X-Amz-Signature"), "");
    assert_eq!(keyless("alt=sse&key=secret&monkey=1&key"), "alt=sse&monkey=1");
    assert_eq!(keyless("alt=sse"), "alt=sse");
    for kept in ["", "&", "a=X-Amz-Signature", "X-Amz-Signatures=1"] {
        assert_eq!(unsigned(kept), kept);
    }
}

/// The body that `endpoint` sees, put together as the proxy does: scan, splice, and nothing else.
fn body(policy: &Policy, endpoint: &str, path: &str, body: &str) -> String {
    let recognised = policy.named("POST", path).expect("known");
    let place = place(policy, endpoint);
    let mut scanner = Scanner::new(policy.watch(recognised.surface));
    scanner.feed(body.as_bytes()).unwrap();
    let signals = scanner.finish().unwrap();
    let model = recognised.deployment().or(signals.model());
    let span = match signals.model_span() {
        Some(at) => ModelSpan::Json(at),
        None if stays_dated(place, recognised.form) => ModelSpan::None,
        None if takes_model(policy.surface(recognised.surface)) => {
            ModelSpan::Absent(signals.root_open(), !signals.root_is_empty())
        }
        None => ModelSpan::None,
    };
    match splice(place, model, &span) {
        None => body.to_owned(),
        Some(Splice { at, with }) => {
            let at = usize::try_from(at.start).unwrap()..usize::try_from(at.end).unwrap();
            [&body[..at.start], std::str::from_utf8(&with).unwrap(), &body[at.end..]].concat()
        }
    }
}

#[test]
fn nothing_of_a_body_changes_but_the_models_name() {
    let policy = policy();
    let chat = "/v1/chat/completions";
    let deployment = "/openai/deployments/gpt-5.5/chat/completions";
    for (endpoint, path, sent, expected) in [
        (
            "azure",
            chat,
            r#"{"a":1, "model" : "gpt-5.5" ,"b":[]}"#,
            r#"{"a":1, "model" : "gpt55-prod" ,"b":[]}"#,
        ),
        (
            "azure",
            chat,
            r#"{"m":"gpt-5.5","model":"gpt\u002d5.5"}"#,
            r#"{"m":"gpt-5.5","model":"gpt55-prod"}"#,
        ),
        ("bedrock", chat, " \n{\"model\":\"gpt-5.5\"}\n", " \n{\"model\":\"openai.gpt-5.5\"}\n"),
        // Its own name is the client's: not a byte changes, not even the spelling.
        ("openai", chat, r#"{"model":"gpt\u002d5.5"}"#, r#"{"model":"gpt\u002d5.5"}"#),
        // The path named the model.
        ("openai", deployment, r#"{"messages":[]}"#, r#"{"model":"gpt-5.5","messages":[]}"#),
        ("bedrock", deployment, "{ }", r#"{"model":"openai.gpt-5.5" }"#),
        ("azure-gw", deployment, r#"{"a":1}"#, r#"{"model":"gpt55-prod","a":1}"#),
        ("azure", deployment, r#"{"a":1}"#, r#"{"a":1}"#),
        ("azure", deployment, r#"{"model":"gpt-5.5"}"#, r#"{"model":"gpt55-prod"}"#),
        // It may be absent, and stays so.
        (
            "azure",
            "/v1/responses",
            r#"{"previous_response_id":"resp_1"}"#,
            r#"{"previous_response_id":"resp_1"}"#,
        ),
        ("azure", "/v1/conversations", r#"{"model":"gpt-5.5"}"#, r#"{"model":"gpt-5.5"}"#),
    ] {
        assert_eq!(body(&policy, endpoint, path, sent), expected, "{path} at {endpoint}");
    }
}

#[test]
fn a_forms_field_takes_the_name_as_it_is() {
    let policy = policy();
    let azure = place(&policy, "azure");
    let form = ModelSpan::Form(10..17);
    assert_eq!(
        splice(azure, Some("gpt-5.5"), &form),
        Some(Splice { at: 10..17, with: b"gpt55-prod".to_vec() })
    );
    assert_eq!(splice(place(&policy, "openai"), Some("gpt-5.5"), &form), None);
    assert_eq!(splice(azure, None, &form), None);
    assert_eq!(splice(azure, Some("gpt-5.5"), &ModelSpan::None), None);
    let absent = ModelSpan::AbsentInForm(b"x y".to_vec());
    let part = b"--x y\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\ngpt55-prod\r\n".to_vec();
    assert_eq!(splice(azure, Some("gpt-5.5"), &absent), Some(Splice { at: 0..0, with: part }));
    assert_eq!(splice(azure, None, &absent), None, "nobody named one");
}

#[test]
fn what_stays_behind_and_what_goes_on() {
    for name in [
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "proxy-connection",
        "authorization",
        "api-key",
        "x-api-key",
        "x-amz-date",
        "x-amz-content-sha256",
        "x-amz-security-token",
        "cookie",
        "proxy-authorization",
        "host",
        "content-length",
        "expect",
        "x-riparian-session",
        "x_riparian_session",
    ] {
        assert!(stays_behind(name, None), "{name}");
    }
    for name in [
        "content-type",
        "accept",
        "user-agent",
        "openai-organization",
        "idempotency-key",
        "traceparent",
        "x-session-id",
    ] {
        assert!(!stays_behind(name, Some("close, te")), "{name}");
    }
}
