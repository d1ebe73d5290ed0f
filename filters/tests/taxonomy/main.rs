//! Promise: every row of the state taxonomy is known: its paths, what makes its requests state, and what its answers give birth to.
//!
//! `../corpus/taxonomy.txt` has the cases, written from the taxonomy: each sample path, each clause of what is stateful, sealed or not, each path
//! that several vendors share, and each ambiguity (`A1` to `A23`).
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod corpus;
mod wire;

use corpus::{Case, cases};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use riparian_config::{Config, Grade, Namespace, Surfaces};
use riparian_filters::classify::{Body, classify};
use riparian_filters::form::FormScanner;
use riparian_filters::head::Head;
use riparian_filters::identify::Keys;
use riparian_filters::learn::{Learned, Learner};
use riparian_filters::policy::Policy;
use riparian_filters::scan::Scanner;
use std::collections::{BTreeMap, BTreeSet};

const CONFIG: &str = r#"
version: 1
listeners: [{ name: apps, bind: 127.0.0.1:8080 }]
clouds: { a: { endpoints: [{ name: e, dialect: openai, url: "http://127.0.0.1:9000", credential: none, zero_retention: ZERO }] } }
contract: { enforce: r, readings: { r: { stateful_from: creates } }, terms: [{ id: t, only: a }] }
"#;

fn policy(zero_retention: bool) -> Policy {
    let config = Config::parse(&CONFIG.replace("ZERO", &zero_retention.to_string()), "test");
    let config = config.unwrap_or_else(|faults| panic!("{faults}"));
    Policy::compile(config, Keys::derive(b"test")).unwrap()
}

/// What comes out of a request, as the corpus writes it: surface, grade, and handles as `kind=value`, with the mark of a kind before it.
fn request(policy: &Policy, case: &Case) -> String {
    let method = Method::from_bytes(case.method.as_bytes()).unwrap();
    let mut headers = HeaderMap::new();
    for (name, value) in &case.headers {
        headers
            .append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    let (path, query) =
        case.target.split_once('?').map_or((&*case.target, None), |(path, query)| (path, Some(query)));
    let head = Head { method: &method, path, query, headers: &headers };
    let Some(recognised) = policy.recognise(&head) else { return "unrecognised".to_owned() };
    let surface = policy.surface(recognised.surface);
    let (mut signals, mut form) = (None, None);
    if case.body.starts_with("--") {
        let mut scanner = FormScanner::new("multipart/form-data; boundary=b").unwrap();
        scanner.feed(case.body.replace('\n', "\r\n").as_bytes()).unwrap();
        form = Some(scanner.finish().unwrap());
    } else if !case.body.is_empty() {
        let mut scanner = Scanner::new(policy.watch(recognised.surface));
        let fed = scanner.feed(case.body.as_bytes());
        fed.unwrap_or_else(|error| panic!("{}: {error}", case.place));
        signals = Some(scanner.finish().unwrap());
    }
    let body = Body { signals: signals.as_ref(), form: form.as_ref() };
    let found = match classify(policy, &recognised, &head, body) {
        Ok(found) => found,
        Err(reason) => return format!("{} refused {}", surface.id, reason.as_str()),
    };
    let mut handles: Vec<_> = found
        .handles
        .iter()
        .map(|handle| {
            let mark = handle.mark.map_or(String::new(), |mark| format!("{}:", mark.as_str()));
            let value =
                if mark == "sealed:" { sealed(case, &handle.value) } else { handle.value.to_string() };
            format!("{mark}{}={value}", handle.namespace)
        })
        .collect();
    handles.sort();
    handles.dedup();
    let collective = surface.collective.then(|| "collective".to_owned());
    let retired = surface.retired.as_ref().map(|day| format!("retired {day}"));
    let words = [surface.id.to_string(), found.grade.to_string()];
    words.into_iter().chain(collective).chain(retired).chain(handles).collect::<Vec<_>>().join(" ")
}

/// A blob is never a handle itself.
fn sealed(case: &Case, value: &str) -> String {
    let blob = case.body.contains(value) || case.target.contains(value);
    if blob { format!("{}: the blob itself", case.place) } else { "#".to_owned() }
}

/// What an answer to the case gives birth to. `!` behind a kind: whatever the request's grade is.
fn births(policy: &Policy, surface: usize, form: &str, parts: &[String]) -> Vec<String> {
    let Some(answer) = policy.answer(surface) else { return Vec::new() };
    let mut born = Vec::new();
    let mark =
        |kind: &Namespace| policy.kind(kind).mark.map_or(String::new(), |mark| format!("{}:", mark.as_str()));
    if form == "head" {
        let head: BTreeMap<_, _> = parts.iter().filter_map(|line| line.split_once(": ")).collect();
        for (due, value) in answer.in_head(|name| head.get(name).copied()) {
            let always = if due.always { "!" } else { "" };
            born.push(format!("{}{}{always}={value}", mark(&due.kind), due.kind));
        }
        return born;
    }
    let mut tell = |learned: Learned<'_>| {
        born.push(match learned {
            Learned::Ends(..) => return,
            Learned::Born(due, value) => {
                let always = if due.always { "!" } else { "" };
                let sealed = mark(&due.kind) == "sealed:";
                assert!(
                    !sealed || !parts.iter().any(|part| part.contains(value)),
                    "{}: a digest, not the blob",
                    due.kind
                );
                let value = if sealed { "#" } else { value };
                format!("{}{}{always}={value}", mark(&due.kind), due.kind)
            }
            Learned::Expires(kind, until) => format!("{kind} until {until}"),
            Learned::NotStored => "not stored".to_owned(),
        });
    };
    match form {
        "socket" => {
            let mut learner = Learner::socket(answer);
            for part in parts {
                learner.feed(answer, part.as_bytes(), &mut tell).unwrap();
                learner.end_of_message(answer);
            }
        }
        _ => {
            let (kind, bytes) = wire::answer(form, parts);
            let mut learner = Learner::new(answer, kind).unwrap();
            learner.feed(answer, &bytes, &mut tell).unwrap();
        }
    }
    born.sort();
    born.dedup();
    born
}

#[test]
fn every_case_comes_out_as_the_taxonomy_has_it() {
    let (keeping, keeps_nothing) = (policy(false), policy(true));
    let mut wrong = Vec::new();
    for case in cases() {
        let policy = if case.zero_retention { &keeps_nothing } else { &keeping };
        let found = request(policy, &case);
        if found != case.expected {
            wrong.push(format!(
                "{}: {} {}\n  due: {}\n  is:  {found}",
                case.place, case.method, case.target, case.expected
            ));
        }
        for (form, parts, due) in &case.answers {
            let id = case.expected.split(' ').next().unwrap();
            let surface =
                policy.config.surfaces.surfaces.iter().position(|surface| surface.id.as_str() == id);
            let born = surface.map(|surface| births(policy, surface, form, parts)).unwrap_or_default();
            let mut due = due.clone();
            due.sort();
            if born != due {
                wrong.push(format!(
                    "{}: answer to {}\n  due: {due:?}\n  is:  {born:?}",
                    case.place, case.target
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_row_has_a_case_and_every_case_a_row() {
    let surfaces = Surfaces::built_in();
    let covered: BTreeSet<String> =
        surfaces.surfaces.iter().flat_map(|surface| surface.rows.clone()).collect();
    let in_corpus: BTreeSet<String> = cases().into_iter().flat_map(|case| case.rows).collect();
    assert_eq!(
        covered.difference(&in_corpus).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "rows without a case"
    );
    assert_eq!(
        in_corpus.difference(&covered).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "rows without a surface"
    );
    // A case's surface covers its row.
    for case in cases() {
        let id = case.expected.split(' ').next().unwrap();
        let Some(surface) = surfaces.surfaces.iter().find(|surface| surface.id.as_str() == id) else {
            continue;
        };
        assert!(
            case.rows.iter().any(|row| surface.rows.contains(row)),
            "{}: {id} is not of {:?}",
            case.place,
            case.rows
        );
    }
}

#[test]
fn every_ambiguity_has_a_case() {
    let told: BTreeSet<String> = cases().into_iter().flat_map(|case| case.ambiguities).collect();
    let missing: Vec<String> =
        (1..=23).map(|number| format!("A{number}")).filter(|name| !told.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// A blob leads back to where it came from: what is learned from an answer is what is cited when the client sends the blob back.
#[test]
fn a_sealed_blob_is_known_again() {
    let policy = policy(false);
    for (target, answer, ask) in [
        (
            "/v1/responses",
            r#"{"output":[{"type":"reasoning","encrypted_content":"BLOB\u002b/="}]}"#,
            r#"{"model":"m","store":false,"input":[{"type":"reasoning","encrypted_content":"BLOB+\/="}]}"#,
        ),
        (
            "/v1/messages",
            r#"{"content":[{"type":"thinking","signature":"BLOB+/="}]}"#,
            r#"{"model":"m","messages":[{"content":[{"signature":"BLOB+/="}]}]}"#,
        ),
    ] {
        let head_of = HeaderMap::new();
        let head = Head { method: &Method::POST, path: target, query: None, headers: &head_of };
        let recognised = policy.recognise(&head).unwrap();
        let mut scanner = Scanner::new(policy.watch(recognised.surface));
        scanner.feed(ask.as_bytes()).unwrap();
        let signals = scanner.finish().unwrap();
        let found =
            classify(&policy, &recognised, &head, Body { signals: Some(&signals), form: None }).unwrap();
        assert_eq!((found.grade, found.handles.len()), (Grade::Sealed, 1), "{target}");
        let due = policy.answer(recognised.surface).unwrap();
        let mut born = Vec::new();
        let mut learner = Learner::new(due, "application/json").unwrap();
        let told = learner.feed(due, answer.as_bytes(), |learned| {
            if let Learned::Born(due, value) = learned {
                born.push((due.kind.clone(), value.to_owned()));
            }
        });
        told.unwrap();
        assert_eq!(
            born,
            [(found.handles[0].namespace.clone(), found.handles[0].value.to_string())],
            "{target}"
        );
    }
}
