//! Named cases, for `riparian test`: a file that those who answer for the contract can read and sign.
//!
//! It is read like a configuration: every fault at once, with its place and what to write instead; names are those of the
//! configuration that it is read against.

use crate::decode::naming::{known_names, unknown};
use crate::fault::{Faults, Found, Place};
use crate::read::{Fields, first_line, text, value_at};
use crate::sections::CASES;
use crate::table::Kind;
use crate::tree::{self, Core, Node, Value};
use crate::{Config, EndpointName, Grade, Timestamp};
use std::path::PathBuf;
use std::time::Duration;

/// A file of cases, checked.
#[derive(Clone, Debug)]
pub struct Cases {
    /// At least one; names are unique.
    pub cases: Vec<Case>,
    /// Who has read them and approved of them.
    pub approved_by: Option<String>,
}

/// One request at one moment, and what must become of it.
#[derive(Clone, Debug)]
pub struct Case {
    /// In its author's words.
    pub name: String,
    /// Where it begins in the file, counted from 1.
    pub line: usize,
    /// What it follows from.
    pub cite: Option<String>,
    /// The request.
    pub given: Given,
    /// When it comes.
    pub at: Timestamp,
    /// Where handles live; others are unknown.
    pub pins: Vec<(String, EndpointName)>,
    /// When the terms last allowed what is pinned to be where it is. `None`: when the request comes.
    pub since: Option<Timestamp>,
    /// How long its session has rested. `None`: since then.
    pub rested: Option<Duration>,
    /// What is down.
    pub down: Vec<EndpointName>,
    /// The number of the reading that alone is in force. `None`: as the contract has it.
    pub reading: Option<usize>,
    /// What must become of it.
    pub expect: Expect,
}

/// A request.
#[derive(Clone, Debug)]
pub enum Given {
    /// In a file, relative to the file of cases.
    File(PathBuf),
    /// In words.
    Words {
        /// A token.
        method: String,
        /// Path and query, beginning with `/`; no spaces.
        target: String,
        /// Names and values, without control characters.
        headers: Vec<(String, String)>,
        /// What is sent, and whether it is JSON that was made here.
        body: Option<(String, bool)>,
        /// The named caller that asks.
        caller: Option<String>,
    },
}

/// What must become of a request: all that is given.
#[derive(Clone, Debug, Default)]
pub struct Expect {
    /// `free`, `hold` or `refuse`.
    pub verdict: Option<&'static str>,
    /// Names of clouds and endpoints: every candidate is of these, and there is one. Empty: not said.
    pub goes_to: Vec<String>,
    /// The code that it is refused with.
    pub refused: Option<String>,
    /// Its grade.
    pub grade: Option<Grade>,
    /// Its class, under the enforced reading.
    pub class: Option<&'static str>,
    /// The terms that speak of it, in any order.
    pub terms: Option<Vec<String>>,
    /// Whether the readings disagree about where it may go.
    pub in_band: Option<bool>,
    /// By which kind of expiry it goes on.
    pub lease: Option<&'static str>,
}

impl Cases {
    /// Reads `text` against the configuration that it speaks of; `file` is the name that faults give as its place, and `codes` are the words
    /// for refusals.
    ///
    /// # Errors
    /// Every fault of the text at once.
    pub fn parse(text: &str, file: &str, config: &Config, codes: &[&str]) -> Result<Self, Faults> {
        let mut found = Found::default();
        let cases = tree::load(text, &mut found).and_then(|root| cases(&root, config, codes, &mut found));
        found.finish(cases, text, file)
    }
}

/// What cases may name.
struct Known<'c> {
    config: &'c Config,
    codes: &'c [&'c str],
    clouds: Vec<&'c str>,
    endpoints: Vec<&'c str>,
    callers: Vec<&'c str>,
    readings: Vec<&'c str>,
    terms: Vec<&'c str>,
}

fn cases(root: &Node, config: &Config, codes: &[&str], found: &mut Found) -> Option<Cases> {
    let file = Fields::open(root, first_line(root), &CASES, found)?;
    let endpoints = config.clouds.iter().flat_map(|cloud| &cloud.endpoints);
    let known = Known {
        config,
        codes,
        clouds: config.clouds.iter().map(|cloud| cloud.name.as_str()).collect(),
        endpoints: endpoints.map(|endpoint| endpoint.name.as_str()).collect(),
        callers: config.tenants.named.iter().map(|tenant| tenant.name.as_str()).collect(),
        readings: config.contract.readings.iter().map(|reading| reading.name.as_str()).collect(),
        terms: config.contract.terms.iter().map(|term| term.id.as_str()).collect(),
    };
    let approved_by = file.text("approved_by", found).map(|spot| spot.text.to_owned());
    let mut cases: Vec<Case> = Vec::new();
    for fields in &file.sections("cases", found) {
        let Some(case) = case(fields, &known, found) else { continue };
        if let Some(first) = cases.iter().find(|first| first.name == case.name) {
            let why = format!("line {} has that name already, and a name means one thing", first.line);
            let what = format!("a second case is called `{}`", case.name);
            found.fault(fields.value_at("name"), what, why, "another name");
        }
        cases.push(case);
    }
    Some(Cases { cases, approved_by })
}

fn case(fields: &Fields<'_>, known: &Known<'_>, found: &mut Found) -> Option<Case> {
    let name = fields.text("name", found).map(|spot| spot.text.to_owned());
    let cite = fields.text("cite", found).map(|spot| spot.text.to_owned());
    let given = fields.section("given", found).and_then(|given| self::given(&given, known, found));
    let at = fields.instant("at", found);
    let pins = pins(fields, known, found);
    let since = fields.instant("since", found);
    let rested = fields.has("rested").then(|| fields.span("rested", found)).flatten();
    let down = down(fields, known, found);
    let reading = one_of(fields, "reading", &known.readings, "reading", found);
    let reading = reading.and_then(|name| known.readings.iter().position(|reading| *reading == name));
    let expect = fields.section("expect", found).and_then(|expect| self::expect(&expect, known, found));
    Some(Case {
        name: name?,
        line: fields.here().line,
        cite,
        given: given?,
        at: at?,
        pins,
        since,
        rested,
        down,
        reading,
        expect: expect?,
    })
}

/// The name under `key`, one of those that are known.
fn one_of(fields: &Fields<'_>, key: &str, known: &[&str], what: &str, found: &mut Found) -> Option<String> {
    let spot = fields.text(key, found)?;
    if known.contains(&spot.text) {
        return Some(spot.text.to_owned());
    }
    unknown(spot, known, what, found);
    None
}

fn pins(fields: &Fields<'_>, known: &Known<'_>, found: &mut Found) -> Vec<(String, EndpointName)> {
    let mut pins = Vec::new();
    if !fields.has("pin") {
        return pins;
    }
    for entry in fields.pairs("pin", found) {
        let Some(spot) = text(&entry.node, value_at(entry), &entry.key, &Kind::Name, found) else { continue };
        match EndpointName::new(spot.text).ok().filter(|_| known.endpoints.contains(&spot.text)) {
            Some(name) => pins.push((entry.key.clone(), name)),
            None => unknown(spot, &known.endpoints, "endpoint", found),
        }
    }
    pins
}

/// Endpoints that are down; a cloud stands for all of its own.
fn down(fields: &Fields<'_>, known: &Known<'_>, found: &mut Found) -> Vec<EndpointName> {
    let mut down = Vec::new();
    for name in places(fields, "down", known, found) {
        for cloud in &known.config.clouds {
            let of =
                |endpoint: &&crate::Endpoint| cloud.name.as_str() == name || endpoint.name.as_str() == name;
            down.extend(cloud.endpoints.iter().filter(of).map(|endpoint| endpoint.name.clone()));
        }
    }
    down
}

/// Names of clouds and endpoints.
fn places(fields: &Fields<'_>, key: &str, known: &Known<'_>, found: &mut Found) -> Vec<String> {
    let all: Vec<&str> = known.clouds.iter().chain(&known.endpoints).copied().collect();
    known_names(fields, key, &all, "cloud or endpoint", |name| Ok(name.to_owned()), found)
}

fn given(fields: &Fields<'_>, known: &Known<'_>, found: &mut Found) -> Option<Given> {
    if let Some(path) = fields.path("request", found) {
        let others = ["path", "headers", "body", "caller", "method"];
        for key in others.into_iter().filter(|key| fields.has(key)) {
            let why = "the file has the whole request";
            found.fault(fields.at(key), format!("`{key}` stands beside `request`"), why, "one of them");
        }
        return Some(Given::File(path));
    }
    let token = |c: char| c.is_ascii_alphanumeric() || "-_.!#$%&'*+^`|~".contains(c);
    let method = match fields.has("method") {
        true => fields.text("method", found).and_then(|spot| {
            let fits = spot.text.chars().all(token);
            if !fits {
                found.fault(spot.at, format!("`{}` is no method", spot.text), "it is one word", "`POST`");
            }
            fits.then(|| spot.text.to_owned())
        }),
        false => Some("POST".to_owned()),
    };
    let target = fields.text("path", found).and_then(|spot| {
        let fits = spot.text.starts_with('/') && spot.text.bytes().all(|byte| (0x21..=0x7e).contains(&byte));
        if !fits {
            let why = "a path begins with `/` and has no spaces";
            found.fault(spot.at, format!("`{}` is no path", spot.text), why, "such as `/v1/responses`");
        }
        fits.then(|| spot.text.to_owned())
    });
    let headers = headers(fields, found);
    let body = fields.entry("body").and_then(|entry| body(&entry.node, value_at(entry), found));
    let caller = one_of(fields, "caller", &known.callers, "caller", found);
    let says = |name: &str| headers.iter().any(|(header, _)| header.eq_ignore_ascii_case(name));
    if caller.is_some() && ["authorization", "api-key", "x-api-key", "x-goog-api-key"].into_iter().any(says) {
        let why = "who asks is said by one of them";
        found.fault(fields.at("caller"), "`caller` stands beside a credential", why, "one of them");
    }
    Some(Given::Words { method: method?, target: target?, headers, body, caller })
}

fn headers(fields: &Fields<'_>, found: &mut Found) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    if !fields.has("headers") {
        return headers;
    }
    for entry in fields.pairs("headers", found) {
        let name = entry.key.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
        if !name {
            let what = format!("`{}` is no name of a header", entry.key);
            found.fault(entry.key_at, what, "letters, digits and `-`", "such as `x-session-id`");
            continue;
        }
        let Some(spot) = text(&entry.node, value_at(entry), &entry.key, &Kind::Text, found) else { continue };
        if spot.text.chars().any(char::is_control) {
            let why = "it would end the header's line";
            found.fault(spot.at, "a control character stands in a header", why, "text of one line");
            continue;
        }
        headers.push((entry.key.clone(), spot.text.to_owned()));
    }
    headers
}

/// A map as JSON; text as it is.
fn body(node: &Node, at: Place, found: &mut Found) -> Option<(String, bool)> {
    match &node.value {
        Value::Broken => None,
        Value::Scalar { text, plain: false } => Some((text.clone(), false)),
        Value::Map(_) => Some((json(node).to_string(), true)),
        _ => {
            let why = "a body is a map that is sent as JSON, or text in quotes that is sent as it is";
            found.fault(at, format!("`body` is {}", node.words()), why, "such as `{ model: gpt-5.5 }`");
            None
        }
    }
}

/// What a value is to YAML 1.2's core schema, in JSON.
fn json(node: &Node) -> serde_json::Value {
    use serde_json::Value as Json;
    match &node.value {
        Value::Map(entries) => {
            Json::Object(entries.iter().map(|entry| (entry.key.clone(), json(&entry.node))).collect())
        }
        Value::List(items) => items.iter().map(json).collect(),
        Value::Scalar { text, plain: true } => match tree::core(text) {
            Core::Null => Json::Null,
            Core::Bool(flag) => Json::Bool(flag),
            // Hexadecimal and the like are numbers to YAML and to no JSON: they stay text.
            Core::Int | Core::Float => {
                serde_json::from_str(text).unwrap_or_else(|_| Json::from(text.clone()))
            }
            Core::Text => Json::from(text.clone()),
        },
        Value::Scalar { text, plain: false } => Json::from(text.clone()),
        Value::Broken => Json::Null,
    }
}

fn expect(fields: &Fields<'_>, known: &Known<'_>, found: &mut Found) -> Option<Expect> {
    let word = |key: &str, found: &mut Found| fields.has(key).then(|| fields.word(key, found)).flatten();
    let terms = fields
        .has("terms")
        .then(|| known_names(fields, "terms", &known.terms, "term", |name| Ok(name.to_owned()), found));
    let expect = Expect {
        verdict: word("verdict", found),
        goes_to: places(fields, "goes_to", known, found),
        refused: one_of(fields, "refused", known.codes, "code of a refusal", found),
        grade: word("grade", found).and_then(Grade::parse),
        class: word("class", found),
        terms,
        in_band: fields.has("in_band").then(|| fields.flag("in_band", found)).flatten(),
        lease: word("lease", found),
    };
    if fields.has("refused") && fields.has("goes_to") {
        let why = "what is refused goes nowhere";
        found.fault(fields.at("refused"), "`refused` stands beside `goes_to`", why, "one of them");
    }
    Some(expect)
}
