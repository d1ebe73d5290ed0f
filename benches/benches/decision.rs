//! Stages 4, 7 and 8: what it costs to come to a decision, part by part, whole, and as a contract grows.
//!
//! `cargo bench -p riparian-benches --bench decision`

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use http::{HeaderMap, HeaderValue, Method};
use riparian_config::{Config, Grade, Timestamp};
use riparian_filters::classify::{Body, classify};
use riparian_filters::decide::{Asker, Moment, Recalled, decide};
use riparian_filters::decision::Decision;
use riparian_filters::head::Head;
use riparian_filters::identify::{Keys, SessionId};
use riparian_filters::judge::{Facts, Freedom, HealthView, Owner, judge};
use riparian_filters::policy::{EndpointId, Policy};
use riparian_filters::readings::Classes;
use riparian_filters::rewrite;
use riparian_filters::scan::{Scanner, Signals};
use riparian_filters::select::select;
use riparian_filters::table::Table;
use std::hint::black_box;
use std::time::Duration;

const SIZES: [usize; 3] = [1024, 64 * 1024, 1024 * 1024];
const CHUNK_BYTES: usize = 16 * 1024;
const PATH: &str = "/v1/responses";
/// Within the example's first epoch of exclusive terms.
const NOW_SECONDS: i64 = 1_774_000_000;

fn policy(text: &str) -> Policy {
    let config = Config::parse(text, "bench").unwrap_or_else(|faults| panic!("{faults}"));
    Policy::compile(config, Keys::derive(b"bench")).expect("the built-in surfaces")
}

fn now() -> Timestamp {
    Timestamp::from_second(NOW_SECONDS).expect("a year that there is")
}

fn scan(policy: &Policy, surface: usize, body: &[u8]) -> Signals {
    let mut scanner = Scanner::new(policy.watch(surface));
    for chunk in body.chunks(CHUNK_BYTES) {
        scanner.feed(chunk).expect("a right body");
    }
    scanner.finish().expect("a whole body")
}

fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("authorization", HeaderValue::from_static("Bearer sk-0123456789abcdef0123456789abcdef"));
    headers.insert("x-session-id", HeaderValue::from_static("0b6f3d0e-4a8c-4a52-9d1c-2f7f5f6f7d11"));
    headers
}

fn head(headers: &HeaderMap) -> Head<'_> {
    Head { method: &Method::POST, path: PATH, query: None, headers }
}

fn moment() -> Moment<'static> {
    Moment { now: now(), health: HealthView { down: &[0; 8] }, in_flight: &[], random: [7; 16] }
}

/// Everything between the body's last byte and the endpoint's target, the pin table's answer included as a value.
fn from_signals(policy: &Policy, headers: &HeaderMap, signals: &Signals) -> (Decision, String) {
    let recognised = policy.named("POST", PATH).expect("a known operation");
    let body = Body { signals: Some(signals), form: None };
    let classified = classify(policy, &recognised, &head(headers), body).expect("it names a model");
    let tenant = policy.keys.tenant(headers);
    let named = policy.keys.session(tenant, headers, &policy.config.sessions.header);
    for handle in &classified.handles {
        black_box(policy.keys.pin(tenant, handle.namespace.as_str(), &handle.value));
    }
    let home = policy.places().iter().position(|place| place.endpoint.dialect.as_str() == "bedrock-openai");
    let home = EndpointId(u16::try_from(home.unwrap_or(0)).expect("few endpoints"));
    let owners = [Owner::Endpoint(home); 64];
    let recalled = Recalled {
        owners: &owners[..classified.handles.len()],
        located: None,
        lineage: Some(SessionId::mint([9; 16])),
        since: &[],
        rested: Duration::ZERO,
    };
    let decision = decide(
        policy,
        &classified,
        &Asker { tenant, caller: None, named: named, inner: None, narrow: None },
        recalled,
        moment(),
    );
    let first = *decision.verdict.endpoints().first().expect("it is allowed");
    let target = rewrite::target(policy, policy.place(first), &recognised, classified.model.as_deref(), None);
    (decision, target)
}

fn by_body(criterion: &mut Criterion) {
    let policy = policy(riparian_benches::CONFIG);
    let headers = headers();
    let surface = policy.named("POST", PATH).expect("a known operation").surface;
    for bytes in SIZES {
        let body = riparian_benches::turn(bytes);
        let signals = scan(&policy, surface, body.as_bytes());
        let found = policy.named("POST", PATH).expect("a known operation");
        let given = Body { signals: Some(&signals), form: None };
        let classified = classify(&policy, &found, &head(&headers), given).expect("it names a model");
        let owners = vec![Owner::Endpoint(EndpointId(2)); classified.handles.len()];
        let facts = Facts {
            now: now(),
            surface: classified.surface,
            grade: classified.grade,
            model: classified.model.as_deref(),
            owners: &owners,
            caller: None,
            narrow: None,
            since: &[],
            rested: Duration::ZERO,
            classes: policy.classes(classified.surface, classified.grade, classified.fired, None),
            located: None,
            tenant: 0,
            home: None,
            health: HealthView { down: &[0; 8] },
            affinity: Some(7),
            seed: 7,
            in_flight: &[],
        };
        let ruling = judge(&policy, &facts);
        assert_eq!(ruling.outcome, Ok(Freedom::Held(EndpointId(2))), "the bench measures what is allowed");

        let mut group = criterion.benchmark_group("body");
        let mut bench = |name: &str, run: &mut dyn FnMut()| {
            group.bench_function(BenchmarkId::new(name, bytes), |bencher| bencher.iter(&mut *run));
        };
        bench("classify", &mut || {
            black_box(classify(&policy, black_box(&found), &head(&headers), given))
                .expect("it names a model");
        });
        bench("judge", &mut || {
            black_box(judge(&policy, black_box(&facts)));
        });
        bench("select", &mut || {
            black_box(select(&policy, black_box(&ruling), &facts));
        });
        bench("decide", &mut || {
            black_box(from_signals(&policy, &headers, black_box(&signals)));
        });
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_with_input(
            BenchmarkId::new("scan_and_decide", bytes),
            body.as_bytes(),
            |bencher, body| {
                bencher.iter(|| {
                    let signals = scan(&policy, surface, black_box(body));
                    from_signals(&policy, &headers, &signals)
                });
            },
        );
        group.finish();
    }
}

/// A stateless request, so that every endpoint of the candidate set is scored.
fn facts(policy: &Policy) -> Facts<'static> {
    Facts {
        now: now(),
        surface: policy.named("POST", "/v1/chat/completions").map(|found| found.surface),
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

fn by_contract(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("contract");
    for (kind, sizes) in [("terms", [10, 100, 1000]), ("endpoints", [3, 30, 300])] {
        for size in sizes {
            let (terms, endpoints) = if kind == "terms" { (size, 3) } else { (10, size) };
            let policy = policy(&riparian_benches::config(terms, endpoints));
            let facts = facts(&policy);
            let ruling = judge(&policy, &facts);
            let candidates = select(&policy, &ruling, &facts).endpoints().len();
            assert_eq!(candidates, (endpoints / 3 * 2).min(16), "two of three clouds are allowed");
            group.bench_function(BenchmarkId::new(format!("judge/{kind}"), size), |bencher| {
                bencher.iter(|| judge(&policy, black_box(&facts)).epoch);
            });
            group.bench_function(BenchmarkId::new(format!("select/{kind}"), size), |bencher| {
                bencher.iter(|| select(&policy, black_box(&ruling), &facts));
            });
        }
    }
    group.finish();
}

/// What a reload costs.
fn compile(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("compile");
    group.sample_size(10);
    for terms in [10, 100, 1000] {
        let text = riparian_benches::config(terms, 3);
        let config = Config::parse(&text, "bench").unwrap_or_else(|faults| panic!("{faults}"));
        group.bench_function(BenchmarkId::new("table", terms), |bencher| {
            bencher.iter(|| Table::compile(black_box(&config)));
        });
    }
    group.finish();
}

criterion_group!(benches, by_body, by_contract, compile);
criterion_main!(benches);
