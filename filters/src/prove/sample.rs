//! A request of a kind, made up from the surface table and read back by the reader that production has: so that a finding can be sent to a
//! running proxy.

use super::Example;
use crate::classify::{Body, classify};
use crate::head::Head;
use crate::policy::Policy;
use crate::scan::Scanner;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use riparian_config::{BodyKind, Condition, Grade, ModelAt, Signal, Source, Step, Surface};
use std::fmt::Write;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// What the head needs so that the operation is known, without a credential.
    pub headers: Vec<(String, String)>,
    /// A JSON body, or nothing.
    pub body: String,
}

impl Sample {
    /// The command that sends it to `origin` (`http://127.0.0.1:8080`). The credential is the caller's own affair: `$KEY`.
    #[must_use]
    pub fn curl(&self, origin: &str) -> String {
        let mut line = format!("curl -sS -i -X {} '{origin}{}'", self.method, self.target);
        let names_one = self.headers.iter().any(|(name, _)| name == "authorization" || name == "x-api-key");
        if !names_one {
            line.push_str(" -H \"authorization: Bearer $KEY\"");
        }
        for (name, value) in &self.headers {
            // Writing into memory does not fail.
            let _ = write!(line, " -H '{name}: {value}'");
        }
        if !self.body.is_empty() {
            let _ = write!(line, " -d '{}'", self.body.replace('\'', "'\\''"));
        }
        line
    }

    fn map(&self) -> Option<HeaderMap> {
        let mut map = HeaderMap::new();
        for (name, value) in &self.headers {
            map.append(HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?);
        }
        Some(map)
    }
}

/// A request of the kind of `example`, if one can be made up that is read as being of it.
pub(super) fn sample(policy: &Policy, example: &Example) -> Option<Sample> {
    let surface = policy.surface(example.surface?);
    if surface.socket.is_some() || surface.body == BodyKind::Multipart && surface.grade > Grade::Creates {
        return None;
    }
    let raising = surface.signals.iter().filter(|signal| signal.grade == example.grade).map(Some);
    let choices: Vec<Option<&Signal>> = std::iter::once(None).chain(raising).collect();
    let family = &policy.config.surfaces.families[surface.family];
    family.bases.iter().find_map(|base| {
        choices.iter().find_map(|signal| {
            let plain = made(policy, surface, base, example, *signal, false)?;
            let marked = made(policy, surface, base, example, *signal, true)?;
            [plain, marked].into_iter().find(|sample| is_of(policy, sample, example))
        })
    })
}

/// What stands for a handle or for whatever else is called for.
const WORD: &str = "x-1";

fn made(
    policy: &Policy,
    surface: &Surface,
    base: &str,
    example: &Example,
    signal: Option<&Signal>,
    marked: bool,
) -> Option<Sample> {
    let mut query: Vec<String> = Vec::new();
    let mut headers: Vec<(String, String)> = Vec::new();
    let mut body = serde_json::Map::new();
    if let (ModelAt::Required | ModelAt::Optional, Some(model)) = (surface.model, &example.model) {
        match &surface.model_at {
            Some(at) => put(&mut body, &at.0, model.clone().into())?,
            None => _ = body.insert("model".to_owned(), model.clone().into()),
        }
    }
    if let (ModelAt::Query, Some(model)) = (surface.model, &example.model) {
        query.push(format!("model={model}"));
    }
    // What counts unless it is denied is denied, where it would say too much.
    for denied in
        surface.signals.iter().filter(|one| one.when == Condition::UnlessFalse && one.grade > example.grade)
    {
        put(&mut body, &denied.at.pointer()?.0, false.into())?;
    }
    if let Some(signal) = signal {
        let value: serde_json::Value = match &signal.when {
            Condition::Present | Condition::String => WORD.into(),
            Condition::True => true.into(),
            Condition::OneOf(words) => words.first()?.clone().into(),
            Condition::Prefix(words) => format!("{}{WORD}", words.first()?).into(),
            Condition::UnlessFalse => true.into(),
            Condition::OnlyKeys(_) => serde_json::json!({ "id": WORD }),
        };
        let word = value.as_str().unwrap_or(WORD).to_owned();
        match &signal.at {
            Source::Body(pointer) => put(&mut body, &pointer.0, value)?,
            Source::Query(name) => query.push(format!("{name}={word}")),
            Source::Header(name) => headers.push((name.clone(), word)),
            Source::Path(_) => {}
            Source::Field(_) => return None,
        }
    }
    if marked {
        let marks = &policy.config.surfaces.families[surface.family].marks;
        if let Some(name) = marks.headers.first() {
            headers.push((name.clone(), WORD.to_owned()));
        } else if let Some(name) = marks.query.first() {
            query.push(format!("{name}=1"));
        } else if let Some(begin) = marks.authorization.first() {
            headers.push((AUTHORIZATION.as_str().to_owned(), format!("{begin}{WORD}")));
        } else if let Some(host) = marks.hosts.first() {
            headers.push((HOST.as_str().to_owned(), host.replace('*', "x")));
        }
    }
    let mut target = base.split('/').map(|part| filled(part, example)).collect::<Vec<_>>().join("/");
    target.push_str(&surface.path.split('/').map(|part| filled(part, example)).collect::<Vec<_>>().join("/"));
    if !query.is_empty() {
        target.push('?');
        target.push_str(&query.join("&"));
    }
    let method = surface.methods.first()?.clone();
    let has_body = surface.body != BodyKind::None && method != "GET";
    if has_body {
        headers.push((CONTENT_TYPE.as_str().to_owned(), "application/json".to_owned()));
    }
    let body = if has_body { serde_json::Value::Object(body).to_string() } else { String::new() };
    Some(Sample { method, target, headers, body })
}

/// A part of a path with its segment filled in.
fn filled(part: &str, example: &Example) -> String {
    let Some((name, rest)) = part.strip_prefix('{').and_then(|inner| inner.split_once('}')) else {
        return part.to_owned();
    };
    let model = (name == "model").then_some(example.model.as_deref()).flatten();
    format!("{}{rest}", model.unwrap_or(WORD).replace('/', "%2F"))
}

/// Puts `value` where the pointer leads; `None` where something else stands in the way.
fn put(
    object: &mut serde_json::Map<String, serde_json::Value>,
    way: &[Step],
    value: serde_json::Value,
) -> Option<()> {
    let mut at = &mut serde_json::Value::Null;
    let (first, rest) = way.split_first()?;
    if let Step::Key(key) = first {
        at = object.entry(key).or_insert(serde_json::Value::Null);
    }
    for step in rest {
        at = match step {
            Step::Key(key) => {
                if at.is_null() {
                    *at = serde_json::json!({});
                }
                at.as_object_mut()?.entry(key).or_insert(serde_json::Value::Null)
            }
            Step::Each => {
                if at.is_null() {
                    *at = serde_json::json!([null]);
                }
                at.as_array_mut()?.first_mut()?
            }
        };
    }
    *at = value;
    Some(())
}

/// Whether production would read the request as one of this kind.
fn is_of(policy: &Policy, sample: &Sample, example: &Example) -> bool {
    let read = || {
        let (method, headers) = (Method::from_bytes(sample.method.as_bytes()).ok()?, sample.map()?);
        let (path, query) = match sample.target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (sample.target.as_str(), None),
        };
        let head = Head { method: &method, path, query, headers: &headers };
        let recognised = policy.recognise(&head)?;
        let mut scanner = Scanner::new(policy.watch(recognised.surface));
        let mut signals = None;
        if !sample.body.is_empty() {
            scanner.feed(sample.body.as_bytes()).ok()?;
            signals = Some(scanner.finish().ok()?);
        }
        let body = Body { signals: signals.as_ref(), form: None };
        let classified = classify(policy, &recognised, &head, body).ok()?;
        let classes = policy.classes(classified.surface, classified.grade, classified.fired, None);
        Some(
            classified.surface == example.surface
                && classified.grade == example.grade
                && classified.model.as_deref() == example.model.as_deref()
                && classes == example.classes,
        )
    };
    read().unwrap_or(false)
}
