//! Every stage, and the whole decision, each as a case with a name: what the instruction counts, the benches by thread and
//! the count of allocations run.
//!
//! What a case works on is made once and leaked, so that a case is a plain closure that any thread can have its own of.

use crate::bodies::{self, BODIES};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use riparian_config::{Config, Grade, Timestamp};
use riparian_filters::classify::{Body, classify};
use riparian_filters::decide::{Asker, Moment, Recalled, decide};
use riparian_filters::decision::Decision;
use riparian_filters::head::{Head, HeadLimits, check};
use riparian_filters::identify::{Identity, Keys, LastTenant, SessionId};
use riparian_filters::judge::{Facts, HealthView, Owner, judge};
use riparian_filters::learn::Learner;
use riparian_filters::policy::{EndpointId, Policy};
use riparian_filters::readings::Classes;
use riparian_filters::rewrite;
use riparian_filters::scan::{Scanner, Signals, Watch};
use riparian_filters::select::select;
use smallvec::SmallVec;
use std::hint::black_box;
use std::time::Duration;

/// One thing to measure.
pub struct Case {
    /// `stage/what`.
    pub name: String,
    /// Makes the closure that does it once; each thread has its own.
    pub make: Box<dyn Fn() -> Run + Send + Sync>,
}

/// Does it once.
pub type Run = Box<dyn FnMut()>;

/// What one read of a socket brings at most.
pub const CHUNK_BYTES: usize = 16 * 1024;

/// Within the shipped example's first epoch of exclusive terms.
const NOW_SECONDS: i64 = 1_774_000_000;

const CHAT: &str = "/v1/chat/completions";
const RESPONSES: &str = "/v1/responses";

/// All of them, the cheap ones first.
#[must_use]
pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    heads(&mut cases);
    parts(&mut cases);
    contracts(&mut cases);
    answers(&mut cases);
    scans(&mut cases);
    wholes(&mut cases);
    cases
}

fn add<R: FnMut() + 'static>(
    cases: &mut Vec<Case>,
    name: impl Into<String>,
    make: impl Fn() -> R + Send + Sync + 'static,
) {
    cases.push(Case { name: name.into(), make: Box::new(move || Box::new(make())) });
}

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

/// A configuration, compiled.
#[must_use]
pub fn policy(text: &str) -> &'static Policy {
    let config = Config::parse(text, "bench").unwrap_or_else(|faults| panic!("{faults}"));
    leak(Policy::compile(config, Keys::derive(b"bench")).expect("the built-in surfaces"))
}

fn now() -> Timestamp {
    Timestamp::from_second(NOW_SECONDS).expect("a year that there is")
}

fn moment() -> Moment<'static> {
    Moment { now: now(), health: HealthView { down: &[0; 8] }, in_flight: &[], random: [7; 16] }
}

/// What an SDK of today sends along; `session` adds the name of a session.
fn headers(session: bool) -> HeaderMap {
    let lines = [
        ("host", "127.0.0.1:8080"),
        ("accept-encoding", "gzip, deflate"),
        ("connection", "keep-alive"),
        ("accept", "application/json"),
        ("content-type", "application/json"),
        ("user-agent", "OpenAI/Python 2.8.1"),
        ("x-stainless-lang", "python"),
        ("x-stainless-package-version", "2.8.1"),
        ("x-stainless-os", "Linux"),
        ("x-stainless-retry-count", "0"),
        ("authorization", "Bearer sk-0123456789abcdef0123456789abcdef"),
        ("content-length", "1024"),
    ];
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if session {
        let value = HeaderValue::from_static("0b6f3d0e-4a8c-4a52-9d1c-2f7f5f6f7d11");
        headers.insert(HeaderName::from_static("x-session-id"), value);
    }
    headers
}

fn scan(policy: &Policy, surface: usize, body: &[u8]) -> Signals {
    let mut scanner = Scanner::new(policy.watch(surface));
    for chunk in body.chunks(CHUNK_BYTES) {
        scanner.feed(chunk).expect("a right body");
    }
    scanner.finish().expect("a whole body")
}

fn heads(cases: &mut Vec<Case>) {
    let policy = policy(crate::CONFIG);
    let limits = HeadLimits { bytes: 32 * 1024, target: 8 * 1024, lines: 100 };
    let sent = leak(headers(true));
    add(cases, "head/check", move || {
        move || {
            let head = Head { method: &Method::POST, path: CHAT, query: None, headers: sent };
            check(black_box(&head), limits).expect("a right head");
        }
    });
    for (name, path) in [
        ("chat", CHAT),
        ("azure", "/openai/deployments/gpt-5.5/chat/completions"),
        ("handle", "/v1/responses/resp_68aa01f2c4d8819"),
    ] {
        let method = if name == "handle" { "GET" } else { "POST" };
        add(cases, format!("recognise/{name}"), move || {
            move || {
                black_box(policy.named(black_box(method), black_box(path))).expect("a known operation");
            }
        });
    }
    add(cases, "identify/again", move || {
        let mut last = LastTenant::default();
        move || {
            black_box(policy.identify(&mut last, &head(CHAT, black_box(sent))));
        }
    });
    add(cases, "identify/tenant", move || {
        move || {
            black_box(policy.keys.tenant(black_box(sent)));
        }
    });
    let tenant = policy.keys.tenant(sent);
    for (name, lines) in [("no_session", leak(headers(false))), ("session", sent)] {
        add(cases, format!("identify/{name}"), move || {
            move || {
                black_box(policy.keys.session(tenant, black_box(lines), &policy.config.sessions.header));
            }
        });
    }
    add(cases, "identify/pin", move || {
        move || {
            black_box(policy.keys.pin(tenant, "response", black_box("resp_68aa01f2c4d8819")));
        }
    });
}

fn parts(cases: &mut Vec<Case>) {
    let policy = policy(crate::CONFIG);
    let found = leak(policy.named("POST", RESPONSES).expect("a known operation"));
    let signals = leak(scan(policy, found.surface, crate::turn(1024).as_bytes()));
    let sent = leak(headers(true));
    let given = Body { signals: Some(signals), form: None };
    add(cases, "classify/turn", move || {
        move || {
            black_box(classify(policy, black_box(found), &head(RESPONSES, sent), given))
                .expect("it names a model");
        }
    });
    let first = policy.place(EndpointId(0));
    add(cases, "rewrite/target", move || {
        move || {
            black_box(rewrite::target(policy, first, black_box(found), Some("gpt-5.5"), None));
        }
    });
}

fn head<'h>(path: &'h str, headers: &'h HeaderMap) -> Head<'h> {
    Head { method: &Method::POST, path, query: None, headers }
}

/// A stateless request's facts, so that every endpoint of the candidate set has its chance.
fn facts(policy: &Policy) -> Facts<'static> {
    Facts {
        now: now(),
        surface: policy.named("POST", CHAT).map(|found| found.surface),
        grade: Grade::Pure,
        model: Some("gpt-5.5"),
        owners: &[],
        caller: None,
        narrow: None,
        since: &[],
        rested: Duration::ZERO,
        classes: Classes::default(),
        located: None,
        tenant: 0,
        home: None,
        health: HealthView { down: &[0; 8] },
        affinity: Some(7),
        seed: 7,
        in_flight: &[],
    }
}

fn contracts(cases: &mut Vec<Case>) {
    for (kind, sizes) in [("terms", [10, 100, 1000]), ("endpoints", [3, 30, 300])] {
        for size in sizes {
            let (terms, endpoints) = if kind == "terms" { (size, 3) } else { (10, size) };
            let policy = policy(&crate::config(terms, endpoints));
            let facts = leak(facts(policy));
            let ruling = leak(judge(policy, facts));
            add(cases, format!("judge/{kind}/{size}"), move || {
                move || {
                    black_box(judge(policy, black_box(facts)).epoch);
                }
            });
            if kind == "endpoints" {
                let mut key = 0;
                add(cases, format!("select/{kind}/{size}"), move || {
                    move || {
                        key += 1;
                        let facts = Facts { affinity: Some(key), ..*facts };
                        black_box(select(policy, black_box(ruling), &facts));
                    }
                });
            }
        }
    }
}

fn answers(cases: &mut Vec<Case>) {
    let policy = policy(crate::CONFIG);
    let surface = policy.named("POST", RESPONSES).expect("a known operation").surface;
    let answer = policy.answer(surface).expect("responses give birth to handles");
    for (name, content_type, text) in [
        ("json", "application/json", crate::answer_json()),
        ("sse", "text/event-stream", crate::answer_events(50)),
    ] {
        let text = leak(text);
        add(cases, format!("learn/{name}"), move || {
            move || {
                let mut learner = Learner::new(answer, content_type).expect("a type that it reads");
                for chunk in black_box(text.as_bytes()).chunks(600) {
                    let told = learner.feed(answer, chunk, |learned| {
                        black_box(&learned);
                    });
                    told.expect("a right answer");
                }
            }
        });
    }
}

fn scans(cases: &mut Vec<Case>) {
    let watch =
        leak(Watch::compile(&bodies::surface(), &riparian_config::Surfaces::default()).expect("few signals"));
    for bytes in [1024, 64 * 1024] {
        for (name, make) in BODIES {
            let body = leak(make(bytes));
            add(cases, format!("scan/{name}/{}k", bytes / 1024), move || {
                let mut scanner = Scanner::new(watch);
                move || {
                    scanner.again();
                    for chunk in black_box(body.as_bytes()).chunks(CHUNK_BYTES) {
                        scanner.feed(chunk).expect("a right body");
                    }
                    black_box(scanner.end().expect("a whole body").held(0));
                }
            });
        }
    }
}

/// What a connection keeps from request to request.
struct Kept {
    scanner: Scanner<&'static Watch>,
    tenant: LastTenant,
}

/// Everything from the first byte of the body to the list of endpoints, but for the pin table's answer, which is a value here.
fn whole(policy: &'static Policy, kept: &mut Kept, path: &str, headers: &HeaderMap, body: &[u8]) -> Decision {
    let recognised = policy.recognise(&head(path, headers)).expect("a known operation");
    kept.scanner.restart(policy.watch(recognised.surface));
    for chunk in body.chunks(CHUNK_BYTES) {
        kept.scanner.feed(chunk).expect("a right body");
    }
    let signals = kept.scanner.end().expect("a whole body");
    let given = Body { signals: Some(signals), form: None };
    let classified = classify(policy, &recognised, &head(path, headers), given).expect("it names a model");
    let Identity { tenant, session: named, .. } = policy.identify(&mut kept.tenant, &head(path, headers));
    let owners: SmallVec<[Owner; 4]> = classified
        .handles
        .iter()
        .map(|handle| {
            black_box(policy.keys.pin(tenant, handle.namespace.as_str(), &handle.value));
            Owner::Endpoint(EndpointId(2))
        })
        .collect();
    let lineage = (!owners.is_empty()).then(|| SessionId::mint([9; 16]));
    decide(
        policy,
        &classified,
        &Asker { tenant, caller: None, named: named, inner: None, narrow: None },
        Recalled { owners: &owners, located: None, lineage, since: &[], rested: Duration::ZERO },
        moment(),
    )
}

fn wholes(cases: &mut Vec<Case>) {
    let policy = policy(crate::CONFIG);
    for (name, path, body, session) in [
        ("chat/1k", CHAT, bodies::chat_text(1024), false),
        ("session/1k", CHAT, bodies::chat_text(1024), true),
        ("turn/1k", RESPONSES, crate::turn(1024), true),
        ("chat/64k", CHAT, bodies::chat_text(64 * 1024), false),
    ] {
        let (headers, body) = (leak(headers(session)), leak(body));
        let surface = policy.named("POST", path).expect("a known operation").surface;
        let keep =
            move || Kept { scanner: Scanner::new(policy.watch(surface)), tenant: LastTenant::default() };
        let decision = whole(policy, &mut keep(), path, headers, body.as_bytes());
        assert!(!decision.verdict.endpoints().is_empty(), "the case measures what is allowed");
        add(cases, format!("whole/{name}"), move || {
            let mut kept = keep();
            move || {
                black_box(whole(policy, &mut kept, path, headers, black_box(body.as_bytes())));
            }
        });
    }
}
