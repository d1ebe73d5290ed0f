//! The truth tables of what changes with time and with who reads it, as data: bands, what the request's header leaves, and what
//! becomes of sessions when a term ends.

use super::compile;
use super::spec::BASE;
use http::HeaderMap;
use riparian_config::{Grade, OnExpiry, Timestamp};
use riparian_filters::decision::Verdict;
use riparian_filters::judge::{Facts, HealthView, Owner, judge};
use riparian_filters::policy::{EndpointId, NARROW, Policy};
use riparian_filters::select::select;
use std::time::Duration;

/// The contract changes at 0, which is [`BASE`]; the clock may be off by 5 s.
fn policy(band: &str, terms: &str) -> Policy {
    let at = |seconds: i64| Timestamp::from_second(BASE + seconds).unwrap().to_string();
    let terms = terms.replace("@-200", &at(-200)).replace("@0", &at(0));
    compile(&format!(
        r#"
version: 1
listeners: [{{ name: apps, bind: 127.0.0.1:8080 }}]
clouds:
  azure: {{ endpoints: [{{ name: a, dialect: openai, url: "http://127.0.0.1:9000", credential: none }}] }}
  aws: {{ endpoints: [{{ name: b, dialect: openai, url: "http://127.0.0.1:9001", credential: none }}] }}
sessions: {{ idle: 60s }}
contract:
  enforce: memory-is-state
  band: {band}
  clock_skew: 5s
  readings: {{ memory-is-state: {{ stateful_from: continues }}, every-call-is-a-call: {{ stateful_from: never }} }}
  terms:
{terms}"#
    ))
}

struct Asked<'a> {
    surface: &'a str,
    grade: &'a str,
    now: i64,
    narrow: &'a str,
    /// Since when each handle that it cites lives at the first endpoint.
    since: &'a [i64],
    rested: Duration,
    down: u64,
}

/// The outcome, the endpoints in their order, and by which kind of expiry the session goes on.
fn ask(policy: &Policy, asked: &Asked<'_>) -> (&'static str, Vec<u16>, Option<OnExpiry>) {
    let surfaces = &policy.config.surfaces.surfaces;
    let surface = surfaces.iter().position(|known| known.id.as_str() == asked.surface);
    let grade = Grade::parse(asked.grade).expect("a grade");
    let instant = |seconds: i64| Timestamp::from_second(BASE + seconds).unwrap();
    let owners: Vec<Owner> = asked.since.iter().map(|_| Owner::Endpoint(EndpointId(0))).collect();
    let since: Vec<Timestamp> = asked.since.iter().copied().map(instant).collect();
    let mut headers = HeaderMap::new();
    if !asked.narrow.is_empty() {
        headers.insert(NARROW, asked.narrow.parse().unwrap());
    }
    let facts = Facts {
        now: instant(asked.now),
        surface: Some(surface.expect("a built-in surface")),
        grade,
        classes: policy.classes(surface, grade, 0, None),
        model: None,
        caller: None,
        narrow: policy.narrow(&headers).expect("they are clouds"),
        owners: &owners,
        since: &since,
        rested: asked.rested,
        located: None,
        tenant: 0,
        home: None,
        health: HealthView { down: &[asked.down] },
        affinity: None,
        seed: 1,
        in_flight: &[],
        favoured: riparian_filters::table::CloudSet::NONE,
    };
    let ruling = judge(policy, &facts);
    let verdict: Verdict = select(policy, &ruling, &facts);
    let mut endpoints: Vec<u16> = verdict.endpoints().iter().map(|id| id.0).collect();
    endpoints.sort_unstable();
    (verdict.reason().as_str(), endpoints, ruling.lease.filter(|_| ruling.outcome.is_ok()))
}

const A: &str = "azure";
const B: &str = "aws";
const BOTH: &str = "azure aws";

/// Every endpoint is the only one of its cloud.
fn ends(clouds: &str) -> Vec<u16> {
    clouds.split_whitespace().map(|cloud| u16::from(cloud == B)).collect()
}

const READ_TWICE: &str = "
    - { id: overlap-1, when: { surface: openai.chat.create, class: stateful }, only: [azure, aws] }
    - { id: overlap-2, when: { surface: openai.chat.create, class: stateless }, only: azure }
    - { id: apart-1, when: { surface: openai.responses.create, class: stateful }, only: aws }
    - { id: apart-2, when: { surface: openai.responses.create, class: stateless }, only: azure }
    - { id: alike, when: { surface: openai.completions.create }, only: azure }
    - { id: stateless-alone, when: { surface: openai.moderations.create, class: stateless }, only: azure }
    - { id: stateful-alone, when: { surface: openai.embeddings.create, class: stateful }, only: aws }
    # They agree until 0, and not from then on.
    - { id: parting-1, until: '@0', when: { surface: openai.models.list }, only: azure }
    - { id: parting-2, from: '@0', when: { surface: openai.models.list, class: stateful }, only: [azure, aws] }
    - { id: parting-3, from: '@0', when: { surface: openai.models.list, class: stateless }, only: azure }
    # They allow something on each side, and nothing in common.
    - { id: handing-1, until: '@0', when: { surface: openai.responses.get, class: stateful }, only: [azure, aws] }
    - { id: handing-2, until: '@0', when: { surface: openai.responses.get, class: stateless }, only: azure }
    - { id: handing-3, from: '@0', when: { surface: openai.responses.get }, only: aws }
";

#[rustfmt::skip]
#[test]
fn bands_and_narrowing() {
    // (operation, grade, at, clouds that the header names, [what each band makes of it: where to, or why not])
    //                                                                     conservative         enforced     refuse
    let rows: &[(&str, &str, i64, &str, [&str; 3])] = &[
        // The readings agree on what it is.
        ("openai.chat.create", "creates", 0, "",                          [A,                   A,           A]),
        ("openai.embeddings.create", "creates", 0, "",                    ["no_term",           "no_term",   "no_term"]),
        // They differ.
        ("openai.chat.create", "continues", 0, "",                        [A,                   BOTH,        "readings_disagree"]),
        ("openai.responses.create", "continues", 0, "",                   ["readings_disagree", B,           "readings_disagree"]),
        ("openai.completions.create", "continues", 0, "",                 [A,                   A,           A]),
        ("openai.moderations.create", "continues", 0, "",                 ["no_term",           "no_term",   "no_term"]),
        ("openai.embeddings.create", "continues", 0, "",                  ["readings_disagree", B,           "readings_disagree"]),
        // The header takes away from what is left, and adds nothing.
        ("openai.chat.create", "continues", 0, "azure",                   [A,                   A,           "readings_disagree"]),
        ("openai.chat.create", "continues", 0, "aws",                     ["narrowed",          B,           "readings_disagree"]),
        ("openai.chat.create", "continues", 0, "aws, azure",              [A,                   BOTH,        "readings_disagree"]),
        ("openai.chat.create", "creates", 0, "aws",                       ["narrowed",          "narrowed",  "narrowed"]),
        ("openai.moderations.create", "continues", 0, "azure",            ["no_term",           "no_term",   "no_term"]),
        // Near a boundary each side has its say.
        ("openai.models.list", "continues", -6, "",                       [A,                   A,           A]),
        ("openai.models.list", "continues", -2, "",                       [A,                   A,           "readings_disagree"]),
        ("openai.models.list", "continues", 6, "",                        [A,                   BOTH,        "readings_disagree"]),
        ("openai.responses.get", "continues", -6, "",                     [A,                   BOTH,        "readings_disagree"]),
        ("openai.responses.get", "continues", 2, "",                      ["epoch_boundary",    B,           "readings_disagree"]),
        ("openai.responses.get", "continues", 6, "",                      [B,                   B,           B]),
    ];
    for (at, band) in ["conservative", "enforced", "refuse"].into_iter().enumerate() {
        let policy = policy(band, READ_TWICE);
        for (surface, grade, now, narrow, expected) in rows {
            let asked = Asked { surface, grade, now: *now, narrow, since: &[], rested: Duration::ZERO, down: 0 };
            let (reason, endpoints, _) = ask(&policy, &asked);
            let said = if reason == "designated" { ends(expected[at]) } else { Vec::new() };
            assert_eq!(endpoints, said, "{surface} {grade} at {now}, {narrow:?}, {band}: {reason}");
            if endpoints.is_empty() {
                assert_eq!(reason, expected[at], "{surface} {grade} at {now}, {narrow:?}, {band}");
            }
        }
    }
}

const ENDING: &str = "
    - { id: handed-1, until: '@0', when: { surface: openai.chat.create }, only: azure, on_expiry: KIND }
    - { id: handed-2, from: '@0', when: { surface: openai.chat.create }, only: aws }
    - { id: ended, until: '@0', when: { surface: openai.completions.create }, only: azure, on_expiry: KIND }
    - { id: forbidden-1, until: '@0', when: { surface: openai.embeddings.create }, only: azure, on_expiry: KIND }
    - { id: forbidden-2, from: '@0', when: { surface: openai.embeddings.create }, never: azure }
    - { id: strict-1, until: '@0', when: { surface: openai.moderations.create }, only: azure, on_expiry: KIND }
    - { id: strict-2, until: '@0', when: { surface: openai.moderations.create }, prefer: azure, on_expiry: cut }
    - { id: older, until: '@-200', when: { surface: openai.models.list }, only: azure, on_expiry: drain }
    - { id: newer, from: '@-200', until: '@0', when: { surface: openai.models.list }, only: azure, on_expiry: KIND }
    - { id: standing, when: { surface: openai.responses.create }, only: [azure, aws], on_expiry: KIND }
    - { id: begun, from: '@0', when: { surface: openai.responses.create }, only: aws }
    # Under the other reading a term in force forbids it.
    - { id: read-1, until: '@0', when: { surface: openai.conversations.create }, only: azure, on_expiry: KIND }
    - { id: read-2, from: '@0', when: { surface: openai.conversations.create, class: stateful }, only: aws }
    - { id: read-3, from: '@0', when: { surface: openai.conversations.create, class: stateless }, never: azure }
    # Under the other reading no term has ended, and a new one leaves it out.
    - { id: new-1, until: '@0', when: { surface: openai.responses.get, class: stateful }, only: azure, on_expiry: KIND }
    - { id: new-2, from: '@0', when: { surface: openai.responses.get }, only: aws }
    - { id: new-3, when: { surface: openai.responses.get, class: stateless }, only: [azure, aws] }
";

const HELD: &str = "held";
const ELSEWHERE: &str = "owner_not_designated";
const DRAINED: &str = "session_drained";

#[rustfmt::skip]
#[test]
fn what_becomes_of_a_session_when_a_term_ends() {
    let idle = Duration::from_secs(60);
    let longer = idle + Duration::from_nanos(1);
    let asked = |surface, now, since, rested| Asked { surface, grade: "continues", now, narrow: "", since, rested, down: 0 };
    let zero = Duration::ZERO;
    let chat = |now, since, rested| asked("openai.chat.create", now, since, rested);
    // (case, band, request, [what comes of it with grandfather, drain, cut])
    let rows: &[(&str, &str, Asked<'_>, [&str; 3])] = &[
        ("before the end",                  "conservative", chat(-6, &[-100], longer),  [HELD, HELD, HELD]),
        ("after the end",                   "conservative", chat(100, &[-100], zero),   [HELD, HELD, ELSEWHERE]),
        ("it has rested just long enough",  "conservative", chat(100, &[-100], idle),   [HELD, HELD, ELSEWHERE]),
        ("it has rested too long",          "conservative", chat(100, &[-100], longer), [HELD, DRAINED, ELSEWHERE]),
        ("before the end, by this clock",   "conservative", chat(-2, &[-100], zero),    [HELD, HELD, "epoch_boundary"]),
        ("rested, and by this clock before", "conservative", chat(-2, &[-100], longer), [HELD, DRAINED, "epoch_boundary"]),
        ("after the end, by this clock",    "conservative", chat(2, &[-100], zero),     [HELD, HELD, "epoch_boundary"]),
        ("it never was lawful",             "conservative", chat(100, &[50], zero),     [ELSEWHERE, ELSEWHERE, ELSEWHERE]),
        ("it was not certain to be lawful", "conservative", chat(100, &[-2], zero),     [ELSEWHERE, ELSEWHERE, ELSEWHERE]),
        ("two handles",                     "conservative", chat(100, &[-100, -50], zero), [HELD, HELD, ELSEWHERE]),
        ("one of two was not lawful",       "conservative", chat(100, &[-100, 50], zero), [ELSEWHERE, ELSEWHERE, ELSEWHERE]),
        ("its owner is down",               "conservative", Asked { down: 1, ..chat(100, &[-100], zero) }, ["owner_unavailable", "owner_unavailable", ELSEWHERE]),
        ("narrowed to where it lives",      "conservative", Asked { narrow: "azure", ..chat(100, &[-100], zero) }, [HELD, HELD, "narrowed"]),
        ("narrowed to elsewhere",           "conservative", Asked { narrow: "aws", ..chat(100, &[-100], zero) }, [ELSEWHERE, ELSEWHERE, ELSEWHERE]),
        ("nothing speaks any more",         "conservative", asked("openai.completions.create", 100, &[-100], zero), [HELD, HELD, "no_term"]),
        ("nothing speaks, and it rested",   "conservative", asked("openai.completions.create", 100, &[-100], longer), [HELD, DRAINED, "no_term"]),
        ("a term in force forbids it",      "conservative", asked("openai.embeddings.create", 100, &[-100], zero), [ELSEWHERE, ELSEWHERE, ELSEWHERE]),
        ("one is about to forbid it",       "conservative", asked("openai.embeddings.create", -2, &[-100], zero), ["epoch_boundary", "epoch_boundary", "epoch_boundary"]),
        ("a stricter term ended too",       "conservative", asked("openai.moderations.create", 100, &[-100], zero), ["no_term", "no_term", "no_term"]),
        ("an older handle is drained",      "conservative", asked("openai.models.list", 100, &[-300, -100], longer), [DRAINED, DRAINED, "no_term"]),
        ("no term ended, one began",        "conservative", asked("openai.responses.create", 100, &[-100], zero), [ELSEWHERE, ELSEWHERE, ELSEWHERE]),
        ("another reading forbids it",      "conservative", asked("openai.conversations.create", 100, &[-100], zero), [ELSEWHERE, ELSEWHERE, ELSEWHERE]),
        ("another's word does not count",   "enforced",     asked("openai.conversations.create", 100, &[-100], zero), [HELD, HELD, ELSEWHERE]),
        ("another has a new term",          "conservative", asked("openai.responses.get", 100, &[-100], zero), [ELSEWHERE, ELSEWHERE, ELSEWHERE]),
        ("another's new term",              "enforced",     asked("openai.responses.get", 100, &[-100], zero), [HELD, HELD, ELSEWHERE]),
    ];
    for (at, kind) in [OnExpiry::Grandfather, OnExpiry::Drain, OnExpiry::Cut].into_iter().enumerate() {
        let terms = ENDING.replace("KIND", kind.as_str());
        let [conservative, enforced] = ["conservative", "enforced"].map(|band| policy(band, &terms));
        for (case, band, asked, expected) in rows {
            let policy = if *band == "enforced" { &enforced } else { &conservative };
            let (reason, endpoints, lease) = ask(policy, asked);
            assert_eq!(reason, expected[at], "{case}, {kind}");
            assert_eq!(endpoints, if reason == HELD { vec![0] } else { vec![] }, "{case}, {kind}");
            let by = (reason == HELD && asked.now > -5).then_some(kind);
            assert_eq!(lease, by, "{case}, {kind}: by which kind it goes on");
        }
    }
}
