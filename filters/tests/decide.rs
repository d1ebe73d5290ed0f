//! From what was found in a request to one decision: where its session comes from, and what keeps it in its place.
#![allow(clippy::unwrap_used, reason = "a test may")]

use http::{HeaderMap, HeaderValue, Method};
use riparian_config::{Config, Grade, Timestamp};
use riparian_filters::classify::{Body, Classified, classify, unrecognised};
use riparian_filters::decide::{Asker, Moment, Recalled, decide};
use riparian_filters::decision::{Decision, Reason, Verdict};
use riparian_filters::head::Head;
use riparian_filters::identify::{Keys, Session, SessionId, SessionSource, Tenant};
use riparian_filters::judge::{HealthView, Owner};
use riparian_filters::policy::{EndpointId, Policy};
use riparian_filters::scan::{Scanner, Signals};
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

const CONFIG: &str = r#"
version: 1
listeners: [{ name: apps, bind: 127.0.0.1:8080 }]
clouds:
  azure:
    endpoints:
      - { name: a0, dialect: azure-openai, url: "http://127.0.0.1:9000", credential: none, weight: 70 }
      - { name: a1, dialect: azure-openai, url: "http://127.0.0.1:9001", credential: none, weight: 30 }
  aws:
    endpoints:
      - { name: b2, dialect: bedrock-openai, url: "http://127.0.0.1:9002", credential: none }
      - { name: b3, dialect: bedrock-openai, url: "http://127.0.0.1:9003", credential: none }
  openai:
    endpoints:
      - { name: o4, dialect: openai, url: "http://127.0.0.1:9004", credential: none }
balance: BALANCE
contract:
  enforce: r
  readings: { r: { stateful_from: creates } }
  terms:
    - { id: stateless, when: { class: stateless }, only: [azure, aws], prefer: [aws, azure] }
    - { id: stateful, when: { class: stateful }, only: azure }
"#;

fn policy(balance: &str) -> Policy {
    let config = Config::parse(&CONFIG.replace("BALANCE", balance), "test");
    let config = config.unwrap_or_else(|faults| panic!("{faults}"));
    Policy::compile(config, Keys::derive(b"test")).expect("the built-in surfaces")
}

/// What differs from request to request.
#[derive(Clone, Copy)]
struct Ask<'a> {
    path: &'a str,
    body: &'a str,
    named: Option<Session>,
    owners: &'a [Owner],
    lineage: Option<SessionId>,
    down: u64,
    in_flight: &'a [u32],
    random: u8,
}

const CHAT: Ask<'static> = Ask {
    path: "/v1/chat/completions",
    body: r#"{"model":"gpt-5.5","messages":[]}"#,
    named: None,
    owners: &[],
    lineage: None,
    down: 0,
    in_flight: &[],
    random: 1,
};
const RESPONSE: Ask<'static> =
    Ask { path: "/v1/responses", body: r#"{"model":"gpt-5.5","input":"x"}"#, ..CHAT };
const TURN: Ask<'static> = Ask { body: r#"{"model":"gpt-5.5","previous_response_id":"resp_1"}"#, ..RESPONSE };

fn signals(policy: &Policy, surface: usize, body: &str) -> Signals {
    let mut scanner = Scanner::new(policy.watch(surface));
    scanner.feed(body.as_bytes()).unwrap();
    scanner.finish().unwrap()
}

fn tenant(policy: &Policy, credential: &str) -> Tenant {
    let mut headers = HeaderMap::new();
    headers.insert("authorization", HeaderValue::from_str(credential).unwrap());
    policy.keys.tenant(&headers)
}

fn run_as(policy: &Policy, tenant: Tenant, ask: Ask<'_>) -> Decision {
    let recognised = policy.named("POST", ask.path).expect("a known operation");
    let signals = signals(policy, recognised.surface, ask.body);
    let body = Body { signals: Some(&signals), form: None };
    let (method, headers) = (Method::POST, HeaderMap::new());
    let head = Head { method: &method, path: ask.path, query: None, headers: &headers };
    finish(policy, tenant, ask, &classify(policy, &recognised, &head, body).expect("it has a model"))
}

fn finish(policy: &Policy, tenant: Tenant, ask: Ask<'_>, classified: &Classified<'_>) -> Decision {
    let down = [ask.down];
    let moment = Moment {
        now: Timestamp::from_second(1_772_150_400).unwrap(),
        health: HealthView { down: &down },
        in_flight: ask.in_flight,
        random: [ask.random; 16],
    };
    let recalled = Recalled {
        owners: ask.owners,
        located: None,
        lineage: ask.lineage,
        since: &[],
        rested: Duration::ZERO,
    };
    decide(
        policy,
        classified,
        &Asker { tenant, caller: None, named: ask.named, inner: None, narrow: None },
        recalled,
        moment,
    )
}

fn run(policy: &Policy, ask: Ask<'_>) -> Decision {
    run_as(policy, tenant(policy, "Bearer k"), ask)
}

fn order(decision: &Decision) -> Vec<u16> {
    decision.verdict.endpoints().iter().map(|id| id.0).collect()
}

fn named(n: u8, source: SessionSource) -> Option<Session> {
    Some(Session { id: SessionId::mint([n; 16]), source })
}

#[test]
fn where_a_session_comes_from() {
    let policy = policy("rendezvous");
    let lineage = Some(SessionId::mint([9; 16]));
    let owner = &[Owner::Endpoint(EndpointId(0))][..];
    let header = named(2, SessionSource::Header);
    let session = |ask: Ask<'_>| run(&policy, ask).session.map(|session| (session.source, session.id));
    let id = |n: u8| SessionId::mint([n; 16]);
    for (what, ask, expected) in [
        ("stateless, nothing named", CHAT, None),
        ("stateless, named", Ask { named: header, ..CHAT }, Some((SessionSource::Header, id(2)))),
        ("it creates state", RESPONSE, Some((SessionSource::Minted, id(1)))),
        ("it creates state, named", Ask { named: header, ..RESPONSE }, Some((SessionSource::Header, id(2)))),
        (
            "it creates state, tagged",
            Ask { named: named(3, SessionSource::Tag), ..RESPONSE },
            Some((SessionSource::Tag, id(3))),
        ),
        ("it goes on", Ask { owners: owner, lineage, ..TURN }, Some((SessionSource::Lineage, id(9)))),
        (
            "it goes on, and says otherwise",
            Ask { owners: owner, lineage, named: header, ..TURN },
            Some((SessionSource::Lineage, id(9))),
        ),
        (
            "it goes on, and nothing is known",
            Ask { owners: &[Owner::Unknown], ..TURN },
            Some((SessionSource::Minted, id(1))),
        ),
    ] {
        assert_eq!(session(ask), expected, "{what}");
    }
    let cached = r#"{"model":"gpt-5.5","messages":[],"prompt_cache_key":"k"}"#;
    assert_eq!(session(Ask { body: cached, ..CHAT }), None, "a cache is no session");
}

#[test]
fn what_cannot_be_read_has_no_session_of_its_own() {
    let policy = policy("rendezvous");
    let decision = finish(&policy, tenant(&policy, "k"), CHAT, &unrecognised());
    assert_eq!(decision.session, None);
    assert_eq!((decision.surface, decision.grade), (None, Grade::Unknown));
    assert_eq!(decision.verdict, Verdict::Refuse(Reason::Unrecognised));
}

#[test]
fn one_decision_says_it_all() {
    let policy = policy("rendezvous");
    let decision = run(&policy, RESPONSE);
    let surface = policy.surface(decision.surface.expect("known"));
    assert_eq!(surface.id.as_str(), "openai.responses.create");
    let vendor = &policy.config.surfaces.vendors[decision.vendor.expect("a model of somebody's")];
    let words =
        (decision.grade.as_str(), decision.class.as_str(), vendor.name.as_str(), decision.verdict.as_str());
    assert_eq!(words, ("creates", "stateful", "openai", "free"));
    assert_eq!((&decision.terms[..], decision.epoch), (&[1][..], 0));
    let pure = r#"{"model":"claude-sonnet-5","store":false}"#;
    let decision = run(&policy, Ask { body: pure, ..RESPONSE });
    let vendor = &policy.config.surfaces.vendors[decision.vendor.expect("a model of somebody's")];
    assert_eq!(
        (decision.grade.as_str(), decision.class.as_str(), vendor.name.as_str()),
        ("pure", "stateless", "anthropic")
    );
    assert_eq!(&decision.terms[..], &[0]);
}

#[test]
fn a_session_meets_the_same_endpoint_whatever_the_moment() {
    let policy = policy("rendezvous");
    let mut firsts = BTreeSet::new();
    for session in 0..64 {
        let ask = Ask { named: named(session, SessionSource::Header), ..CHAT };
        let first = order(&run(&policy, ask));
        for random in 2..20 {
            assert_eq!(order(&run(&policy, Ask { random, ..ask })), first, "session {session}");
        }
        firsts.insert(first[0]);
    }
    assert_eq!(firsts.len(), 2, "sessions spread over both endpoints of the preferred cloud: {firsts:?}");
}

#[test]
fn without_a_session_the_moment_spreads_and_a_cache_key_gathers() {
    let policy = policy("rendezvous");
    let firsts = |ask: Ask<'_>| -> BTreeSet<u16> {
        (0..64).map(|random| order(&run(&policy, Ask { random, ..ask }))[0]).collect()
    };
    assert_eq!(firsts(CHAT).len(), 2, "stateless requests spread");
    let cached = Ask { body: r#"{"model":"gpt-5.5","messages":[],"prompt_cache_key":"k"}"#, ..CHAT };
    assert_eq!(firsts(cached).len(), 1, "requests of one cache key gather");
    let key_of = |name: &str| order(&run_as(&policy, tenant(&policy, name), cached));
    let orders: BTreeSet<_> = (0..32).map(|n| key_of(&format!("Bearer {n}"))).collect();
    assert!(orders.len() > 1, "one tenant's cache key means nothing to another's");
}

#[test]
fn no_session_decides_a_cloud() {
    let policy = policy("rendezvous");
    let set = |ask: Ask<'_>| -> BTreeSet<u16> { order(&run(&policy, ask)).into_iter().collect() };
    for n in 0..=255 {
        for source in [SessionSource::Header, SessionSource::Tag, SessionSource::Vendor("session-id")] {
            let named = named(n, source);
            assert_eq!(set(Ask { named, ..CHAT }), BTreeSet::from([0, 1, 2, 3]));
            assert_eq!(set(Ask { named, ..RESPONSE }), BTreeSet::from([0, 1]));
        }
        // Nor does the session of a handle: what the pin says and what the contract says, decide.
        let ask = Ask {
            lineage: Some(SessionId::mint([n; 16])),
            owners: &[Owner::Endpoint(EndpointId(1))],
            ..TURN
        };
        assert_eq!(run(&policy, ask).verdict, Verdict::Hold(EndpointId(1)));
        let outside = Ask { owners: &[Owner::Endpoint(EndpointId(2))], ..ask };
        assert_eq!(run(&policy, outside).verdict, Verdict::Refuse(Reason::OwnerNotDesignated));
    }
}

#[test]
fn the_preferred_cloud_comes_first_and_the_next_one_behind_it() {
    for balance in ["rendezvous", "least_in_flight"] {
        let policy = policy(balance);
        // The preferred ones have much to do, the others nothing: preference is the contract's, load is ours.
        let in_flight = &[0, 0, 90, 80, 0][..];
        for random in 0..64 {
            let order = order(&run(&policy, Ask { random, in_flight, ..CHAT }));
            assert!(order[..2].iter().all(|id| [2, 3].contains(id)), "{balance}: {order:?}");
            assert_eq!(order.len(), 4, "{balance}: {order:?}");
        }
        let down = Ask { down: 0b1100, ..CHAT };
        assert!(order(&run(&policy, down)).iter().all(|id| [0, 1].contains(id)), "{balance}: the next cloud");
    }
}

#[test]
fn shares_follow_the_weights() {
    let policy = policy("rendezvous");
    let mut wins: HashMap<u16, u32> = HashMap::new();
    for n in 0..4000u32 {
        let mut id = [7; 16];
        id[..4].copy_from_slice(&n.to_le_bytes());
        let session = Session { id: SessionId::mint(id), source: SessionSource::Header };
        *wins.entry(order(&run(&policy, Ask { named: Some(session), ..RESPONSE }))[0]).or_default() += 1;
    }
    assert!((2680..2920).contains(&wins[&0]), "70 per cent of 4,000 is 2,800: {wins:?}");
}

#[test]
fn the_least_busy_for_its_weight_comes_first() {
    let policy = policy("least_in_flight");
    for (in_flight, first) in [
        (&[0, 0][..], 0),
        (&[69, 0][..], 1),
        (&[5, 2][..], 0),
        (&[7, 2][..], 1),
        (&[700, 299][..], 1),
        (&[699, 300][..], 0),
        // What is not known has nothing to do.
        (&[9][..], 1),
        (&[], 0),
    ] {
        for random in 0..32 {
            let found = order(&run(&policy, Ask { in_flight, random, ..RESPONSE }));
            assert_eq!(found[0], first, "{in_flight:?}");
        }
    }
    let all: BTreeSet<u16> = (0..64)
        .map(|random| order(&run(&policy, Ask { random, in_flight: &[9, 9, 5, 5], ..CHAT }))[0])
        .collect();
    assert_eq!(all, BTreeSet::from([2, 3]), "equally busy ones are told apart by the hash");
}
