//! `riparian test`: do the named cases still come out as they are written? Each is explained as `riparian explain` would.

use super::explain::compare::goes_to;
use super::explain::{Format, Given as World};
use super::loaded::Loaded;
use super::{ConfigFile, Found};
use crate::explain::{Explanation, Request};
use crate::server;
use riparian_config::{Case, Cases, Expect, Given, Grade};
use riparian_filters::decision::Reason;
use serde::Serialize;
use serde_json::json;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(super) struct Test {
    #[command(flatten)]
    config: ConfigFile,
    /// Files of named cases.
    #[arg(value_name = "CASES", required = true)]
    files: Vec<PathBuf>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// What came of one file.
#[derive(Serialize)]
struct Tested {
    file: String,
    approved_by: Option<String>,
    cases: Vec<Outcome>,
}

/// What came of one case.
#[derive(Serialize)]
struct Outcome {
    name: String,
    line: usize,
    cite: Option<String>,
    ok: bool,
    /// What is not as it is written.
    differs: Vec<Differs>,
    /// What becomes of the request.
    found: Explanation,
}

#[derive(Serialize)]
struct Differs {
    what: &'static str,
    expected: String,
    found: String,
}

impl Test {
    pub(super) fn run(self) -> Found {
        match self.test() {
            Ok(found) | Err(found) => found,
        }
    }

    fn test(self) -> Result<Found, Found> {
        let mut loaded = Loaded::read(&self.config, None)?;
        let mut all = Vec::new();
        for path in &self.files {
            all.push(tested(&mut loaded, path)?);
        }
        let outcomes = || all.iter().flat_map(|tested| &tested.cases);
        let (count, passed) = (outcomes().count(), outcomes().filter(|outcome| outcome.ok).count());
        match self.format {
            Format::Json => println!(
                "{:#}",
                json!({ "config": loaded.hash, "cases": count, "passed": passed, "failed": count - passed, "files": all })
            ),
            Format::Text => {
                all.iter().for_each(print);
                let many = if count == 1 { "case" } else { "cases" };
                let rest = match count - passed {
                    0 => "all as they are written".to_owned(),
                    failed => format!("{passed} as written, {failed} otherwise"),
                };
                println!("{count} {many}: {rest}; config {}", loaded.hash);
            }
        }
        Ok(if passed == count { Found::Nothing } else { Found::Something })
    }
}

fn tested(loaded: &mut Loaded, path: &Path) -> Result<Tested, Found> {
    let file = path.display().to_string();
    let text = server::read(path).map_err(|fault| Found::Usage(fault.to_string()))?;
    let codes: Vec<&str> =
        Reason::ALL.iter().filter(|reason| !reason.allows()).map(|reason| reason.as_str()).collect();
    let cases = Cases::parse(&text, &file, &loaded.policy.config, &codes).map_err(|faults| {
        eprint!("{faults}");
        Found::Something
    })?;
    let mut outcomes = Vec::with_capacity(cases.cases.len());
    for case in &cases.cases {
        let beside = path.parent().unwrap_or(Path::new(""));
        outcomes.push(
            outcome(loaded, case, beside)
                .map_err(|what| Found::Usage(format!("{file}:{}: {}: {what}", case.line, case.name)))?,
        );
    }
    Ok(Tested { file, approved_by: cases.approved_by, cases: outcomes })
}

fn outcome(loaded: &mut Loaded, case: &Case, beside: &Path) -> Result<Outcome, String> {
    let said = |found| match found {
        Found::Usage(what) => what,
        _ => "it cannot be asked".to_owned(),
    };
    let request = request(loaded, &case.given, beside)?;
    let pins = case.pins.iter().map(|(handle, name)| Ok((handle.clone(), loaded.endpoint(name.as_str())?)));
    let down: Vec<String> = case.down.iter().map(ToString::to_string).collect();
    let world = World {
        pins: pins.collect::<Result<_, _>>().map_err(said)?,
        since: case.since,
        rested: case.rested,
        down: loaded.down(&down).map_err(said)?,
    };
    let found = world.explain(loaded, &request, case.at, case.reading);
    let differs = differs(&case.expect, &found);
    Ok(Outcome {
        name: case.name.clone(),
        line: case.line,
        cite: case.cite.clone(),
        ok: differs.is_empty(),
        differs,
        found,
    })
}

/// The request as it would come over a socket.
fn request(loaded: &mut Loaded, given: &Given, beside: &Path) -> Result<Request, String> {
    let (method, target, headers, body, caller) = match given {
        Given::File(path) => return Request::read(&beside.join(path)),
        Given::Words { method, target, headers, body, caller } => (method, target, headers, body, caller),
    };
    let says = |name: &str| headers.iter().any(|(header, _)| header.eq_ignore_ascii_case(name));
    let mut raw = format!("{method} {target} HTTP/1.1\r\n");
    if !says("host") {
        raw.push_str("host: riparian\r\n");
    }
    for (name, value) in headers {
        raw.push_str(&format!("{name}: {value}\r\n"));
    }
    let (body, made) = body.as_ref().map_or(("", false), |(body, made)| (body.as_str(), *made));
    if made && !says("content-type") {
        raw.push_str("content-type: application/json\r\n");
    }
    let mut request = Request::parse(format!("{raw}\r\n{body}").as_bytes())?;
    if let Some(caller) = caller {
        let credential = loaded.caller(caller).map_err(|_| format!("no caller is called {caller}"))?;
        request.comes_from(&credential);
    }
    Ok(request)
}

fn differs(expect: &Expect, found: &Explanation) -> Vec<Differs> {
    let mut all = Vec::new();
    let mut compare = |what, expected: Option<String>, is: String| {
        if let Some(expected) = expected.filter(|expected| *expected != is) {
            all.push(Differs { what, expected, found: is });
        }
    };
    let text = |word: Option<&str>| word.map(str::to_owned);
    compare("verdict", text(expect.verdict), found.verdict.to_owned());
    let refused =
        if found.allows() { format!("goes to {}", goes_to(found)) } else { found.reason.to_owned() };
    compare("refused", expect.refused.clone(), refused);
    compare("grade", text(expect.grade.map(Grade::as_str)), found.grade.to_owned());
    compare("class", text(expect.class), found.class.to_owned());
    let sorted = |ids: &[String]| {
        let mut ids = ids.to_vec();
        ids.sort();
        if ids.is_empty() { "none".to_owned() } else { ids.join(", ") }
    };
    compare("terms", expect.terms.as_deref().map(sorted), sorted(&found.terms));
    let word = |flag: bool| if flag { "true" } else { "false" }.to_owned();
    compare("in_band", expect.in_band.map(word), word(found.band.in_band));
    let lease = found.lease.as_ref().map_or("none", |lease| lease.on_expiry);
    compare("lease", text(expect.lease), lease.to_owned());
    let meant = |told: &&crate::explain::EndpointTold| {
        expect.goes_to.contains(&told.endpoint) || expect.goes_to.contains(&told.cloud)
    };
    let tried: Vec<_> = found.endpoints.iter().filter(|told| told.turn.is_some()).collect();
    if !expect.goes_to.is_empty() && (tried.is_empty() || !tried.iter().all(meant)) {
        let is = tried.iter().map(|told| format!("{} in {}", told.endpoint, told.cloud)).collect::<Vec<_>>();
        let is = if is.is_empty() { goes_to(found) } else { is.join(", ") };
        all.push(Differs { what: "goes_to", expected: expect.goes_to.join(" or "), found: is });
    }
    all
}

fn print(tested: &Tested) {
    let approved = tested.approved_by.as_ref().map_or(String::new(), |by| format!(", approved by {by}"));
    println!("{}{approved}", tested.file);
    for outcome in &tested.cases {
        let cite = outcome.cite.as_ref().map_or(String::new(), |cite| format!(" ({cite})"));
        println!("  {}  {}{cite}", if outcome.ok { "ok   " } else { "FAILS" }, outcome.name);
        if outcome.ok {
            continue;
        }
        println!("         line {} of the file; at {}", outcome.line, outcome.found.at);
        for differs in &outcome.differs {
            println!("         {}: written {}, but it is {}", differs.what, differs.expected, differs.found);
        }
        for term in &outcome.found.terms_matched {
            let cite = term.cite.as_ref().map_or(String::new(), |cite| format!(": {cite}"));
            println!("         by {}{cite}", term.id);
        }
        if !outcome.found.allows() {
            println!("         {}", outcome.found.advice);
        }
    }
}
