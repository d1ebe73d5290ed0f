//! A decision allocates nothing: from the first byte of the body to the list of endpoints, for requests as they usually are, once
//! a connection has its scanner. Counted by the thread, so that other tests do not disturb it.
#![allow(clippy::unwrap_used, reason = "a test may")]

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use riparian_config::{Config, Timestamp};
use riparian_filters::classify::{Body, classify};
use riparian_filters::decide::{Asker, Moment, Recalled, decide};
use riparian_filters::head::Head;
use riparian_filters::identify::{Identity, Keys, LastTenant, SessionId};
use riparian_filters::judge::{HealthView, Owner};
use riparian_filters::policy::{EndpointId, Policy};
use riparian_filters::scan::Scanner;
use smallvec::SmallVec;
use std::time::Duration;

/// Three clouds of `each` endpoints, so that long lists of candidates are among the cases.
fn policy(each: usize, balance: &str) -> Policy {
    let mut text = String::from("version: 1\nlisteners: [{ name: apps, bind: 127.0.0.1:8080 }]\nclouds:\n");
    for cloud in 0..3 {
        text.push_str(&format!("  c{cloud}:\n    endpoints:\n"));
        for at in 0..each {
            let url = format!("\"http://127.0.0.1:{}\"", 10_000 + cloud * each + at);
            text.push_str(&format!(
                "      - {{ name: e{cloud}-{at}, dialect: openai, url: {url}, credential: none, models: {{ gpt-5.5: own }} }}\n"
            ));
        }
    }
    text.push_str(&format!("balance: {balance}\ncontract:\n  enforce: r\n"));
    text.push_str("  readings: { r: { stateful_from: never } }\n  terms:\n");
    for at in 0..4 {
        text.push_str(&format!("    - {{ id: t{at}, only: [c0, c1, c2], prefer: [c1] }}\n"));
    }
    text.push_str("tenants: { shop: { credentials: [{ env: SHOP_KEY }], home: c1 } }\n");
    let config = Config::parse(&text, "test").unwrap_or_else(|faults| panic!("{faults}"));
    let mut policy = Policy::compile(config, Keys::derive(b"test")).unwrap();
    // Of the stranger's length, so that the stranger's is looked for.
    policy.know(0, &"k".repeat(KEY.1.len() - "Bearer ".len())).unwrap();
    policy
}

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    headers
}

const KEY: (&str, &str) = ("authorization", "Bearer sk-0123456789abcdef0123456789abcdef");
const SESSION: (&str, &str) = ("x-session-id", "0b6f3d0e-4a8c-4a52-9d1c-2f7f5f6f7d11");

fn bodies() -> Vec<(&'static str, String)> {
    let text = "Which way does the water \\\"go\\\", and why? \\u00e9\\n".repeat(12);
    let message = format!(r#"{{"role":"user","content":"{text}"}}"#);
    let tool = r#"{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"a":{"type":"string"}}}}}"#;
    let turn = format!(
        r#"{{"model":"gpt-5.5","previous_response_id":"resp_68aa01f2c4d8819","prompt_cache_key":"team-7","input":"{text}"}}"#
    );
    vec![
        (
            "/v1/chat/completions",
            format!(r#"{{"model":"gpt-5.5","messages":[{message},{message}],"tools":[{tool}]}}"#),
        ),
        (
            "/v1/chat/completions",
            format!(r#"{{"model":"gpt-5.5","messages":[{}]}}"#, [&*message; 200].join(",")),
        ),
        ("/v1/responses", turn),
        ("/v1/responses", format!(r#"{{"model":"gpt-5.5","store":false,"input":[{message}]}}"#)),
        ("/openai/deployments/gpt-5.5/chat/completions", format!(r#"{{"messages":[{message}]}}"#)),
    ]
}

#[test]
fn from_the_body_to_the_endpoints_nothing_is_allocated() {
    for (each, balance) in [(1, "rendezvous"), (40, "rendezvous"), (40, "least_in_flight")] {
        let policy = policy(each, balance);
        for (path, body) in bodies() {
            for lines in [&[KEY][..], &[KEY, SESSION], &[SESSION], &[]] {
                let headers = headers(lines);
                let surface = policy.named("POST", path).unwrap().surface;
                let mut scanner = Scanner::new(policy.watch(surface));
                let mut last = LastTenant::default();
                let mut decided = 0;
                let counted = allocation_counter::measure(|| {
                    for pieces in [1, 7, 1500] {
                        let head = Head { method: &Method::POST, path, query: None, headers: &headers };
                        let recognised = policy.recognise(&head).expect("known");
                        scanner.restart(policy.watch(recognised.surface));
                        for chunk in body.as_bytes().chunks(body.len().div_ceil(pieces)) {
                            scanner.feed(chunk).expect("right");
                        }
                        let signals = scanner.end().expect("whole");
                        let given = Body { signals: Some(signals), form: None };
                        let classified =
                            classify(&policy, &recognised, &head, given).expect("it names a model");
                        let Identity { tenant, session: named, .. } = policy.identify(&mut last, &head);
                        let mut owners: SmallVec<[Owner; 4]> = SmallVec::new();
                        for handle in &classified.handles {
                            let _ = policy.keys.pin(tenant, handle.namespace.as_str(), &handle.value);
                            owners.push(Owner::Endpoint(EndpointId(0)));
                        }
                        let lineage = (!owners.is_empty()).then(|| SessionId::mint([9; 16]));
                        let moment = Moment {
                            now: Timestamp::from_second(1_774_000_000).expect("a year that there is"),
                            health: HealthView { down: &[2] },
                            in_flight: &[1; 8],
                            random: [7; 16],
                        };
                        let recalled = Recalled {
                            owners: &owners,
                            located: None,
                            lineage,
                            since: &[],
                            rested: Duration::ZERO,
                        };
                        let decision = decide(
                            &policy,
                            &classified,
                            &Asker { tenant, caller: None, named, inner: None, narrow: None },
                            recalled,
                            moment,
                        );
                        decided += decision.verdict.endpoints().len();
                    }
                });
                assert!(decided > 0, "{path} is allowed");
                assert_eq!(
                    counted.count_total,
                    0,
                    "{path}, {} headers, {each} endpoints a cloud",
                    lines.len()
                );
            }
        }
    }
}
