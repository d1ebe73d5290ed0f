//! Surface x signals -> grade and handles.
//!
//! The grade is the highest of the surface's own and of every signal that holds; a path that cites a handle is in the
//! surface's own grade already. Nothing else counts: not the model, not the client, not the size.

use crate::decision::Reason;
use crate::form::{Form, TwoFields};
use crate::head::Head;
use crate::policy::{Policy, SurfaceNumber};
use crate::scan::{HANDLE_BYTES_MAX, Signals, digest};
use crate::surface::Recognised;
use percent_encoding::percent_decode_str;
use riparian_config::{Condition, Grade, Mark, ModelAt, Namespace, Signal, Source, Take};
use smallvec::SmallVec;
use std::borrow::Cow;

/// A handle that a request cites.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handle<'a> {
    /// Which kind.
    pub namespace: &'a Namespace,
    /// Its value, as the endpoint minted it or the client invented it; of what is sealed, the digest.
    pub value: Cow<'a, str>,
    /// What is particular about its kind.
    pub mark: Option<Mark>,
    /// Where it was found: `path`, or the signal's slot.
    pub place: HandlePlace,
}

/// Where a handle was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandlePlace {
    /// It is the path's own.
    Path,
    /// At the place of this signal of the surface.
    Signal(usize),
}

/// What stages 2 to 4 found out.
#[derive(Clone, Debug)]
pub struct Classified<'a> {
    /// Which operation.
    pub surface: Option<SurfaceNumber>,
    /// How much state.
    pub grade: Grade,
    /// The slots of the signals that were found, one bit each.
    pub fired: u64,
    /// The model, as the client names it.
    pub model: Option<Cow<'a, str>>,
    /// Handles, each once.
    pub handles: SmallVec<[Handle<'a>; 2]>,
    /// What the client says to keep its cache warm.
    pub cache_key: Option<&'a str>,
}

/// What was found in a body.
#[derive(Clone, Copy, Debug, Default)]
pub struct Body<'a> {
    /// From a JSON body.
    pub signals: Option<&'a Signals>,
    /// From a form.
    pub form: Option<&'a Form>,
}

/// Classifies a recognised request.
///
/// # Errors
/// `model_missing` and `model_ambiguous`; `head_malformed` and `body_ambiguous` where a parameter or header that says where state lives comes twice.
pub fn classify<'a>(
    policy: &'a Policy,
    recognised: &'a Recognised<'_>,
    head: &Head<'a>,
    body: Body<'a>,
) -> Result<Classified<'a>, Reason> {
    let surface = policy.surface(recognised.surface);
    let model = model(surface.model, recognised, head.query, body)?;
    let mut found = Classified {
        surface: Some(recognised.surface),
        grade: surface.grade,
        fired: 0,
        model,
        handles: SmallVec::new(),
        cache_key: body.signals.and_then(Signals::cache_key),
    };
    if let Some(kind) = &surface.path_handle
        && let Some(value) = recognised.segment(kind.as_str())
    {
        found.cite(policy, kind, Cow::Borrowed(value), HandlePlace::Path);
    }
    if let Some(signals) = body.signals {
        let retains = policy.retains(recognised.surface);
        let counts = |slot: &usize, signal: &Signal| {
            // Where no account keeps anything, nothing is kept, whatever is asked for.
            signals.held(*slot) && (retains || signal.when != Condition::UnlessFalse)
        };
        let holding = surface.signals.iter().enumerate().filter(|(slot, signal)| counts(slot, signal));
        for (slot, signal) in holding {
            found.fire(slot, signal);
        }
        for (slot, value) in signals.captures() {
            let signal = &surface.signals[slot];
            if let Some(kind) = &signal.handle {
                found.cite(policy, kind, Cow::Borrowed(signal.take.of(value)), HandlePlace::Signal(slot));
            }
        }
    }
    for &slot in policy.outside_the_body(recognised.surface) {
        let signal = &surface.signals[slot];
        let Some(value) = outside(&signal.at, recognised, head, body)? else { continue };
        if !holds(&signal.when, &value) {
            continue;
        }
        found.fire(slot, signal);
        if let Some(kind) = &signal.handle {
            let value = match signal.take {
                Take::Whole => value,
                Take::LastSegment => Cow::Owned(signal.take.of(&value).to_owned()),
            };
            let value = match policy.kind(kind).mark {
                Some(Mark::Sealed) => Cow::Owned(digest(&value)),
                _ => value,
            };
            if value.len() > HANDLE_BYTES_MAX {
                return Err(Reason::HeadTooLarge);
            }
            found.cite(policy, kind, value, HandlePlace::Signal(slot));
        }
    }
    Ok(found)
}

impl<'a> Classified<'a> {
    fn fire(&mut self, slot: usize, signal: &Signal) {
        self.grade = self.grade.max(signal.grade);
        self.fired |= 1 << slot;
    }

    fn cite(&mut self, policy: &'a Policy, kind: &'a Namespace, value: Cow<'a, str>, place: HandlePlace) {
        let is_known = |known: &Handle<'_>| known.namespace == kind && known.value == value;
        if !self.handles.iter().any(is_known) {
            self.handles.push(Handle { namespace: kind, mark: policy.kind(kind).mark, value, place });
        }
    }
}

/// The value of a signal that does not stand in a JSON body, if it is there and not empty.
fn outside<'a>(
    at: &Source,
    recognised: &'a Recognised<'_>,
    head: &Head<'a>,
    body: Body<'a>,
) -> Result<Option<Cow<'a, str>>, Reason> {
    let value = match at {
        Source::Body(_) => None,
        Source::Path(name) => recognised.segment(name).map(Cow::Borrowed),
        Source::Query(name) => parameter(head.query, name)?,
        Source::Header(name) => {
            let mut values = head.headers.get_all(name.as_str()).iter();
            let value = values.next();
            if values.next().is_some() {
                return Err(Reason::HeadMalformed);
            }
            value
                .map(|value| value.to_str().map_err(|_| Reason::HeadMalformed))
                .transpose()?
                .map(Cow::Borrowed)
        }
        Source::Field(name) => match body.form.map(|form| form.field(name)) {
            Some(Err(TwoFields)) => return Err(Reason::BodyAmbiguous),
            Some(Ok(value)) => value.map(Cow::Borrowed),
            None => None,
        },
    };
    Ok(value.filter(|value| !value.is_empty()))
}

/// A parameter of a query, escapes undone. Two of one name would be read in two ways.
fn parameter<'a>(query: Option<&'a str>, name: &str) -> Result<Option<Cow<'a, str>>, Reason> {
    let pairs = query.unwrap_or("").split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let mut found = pairs.filter(|(key, _)| percent_decode_str(key).eq(name.bytes()));
    let first = found.next();
    if found.next().is_some() {
        return Err(Reason::HeadMalformed);
    }
    let Some((_, value)) = first else { return Ok(None) };
    percent_decode_str(value).decode_utf8().map(Some).map_err(|_| Reason::HeadMalformed)
}

fn holds(when: &Condition, value: &str) -> bool {
    match when {
        Condition::Present | Condition::String => true,
        Condition::OneOf(words) => words.iter().any(|word| word == value),
        Condition::Prefix(words) => words.iter().any(|word| value.starts_with(word.as_str())),
        // The surface files are checked to ask these of bodies only.
        Condition::True | Condition::UnlessFalse | Condition::OnlyKeys(_) => false,
    }
}

/// An operation that is not in the table: what it does cannot be known.
#[must_use]
pub fn unrecognised<'a>() -> Classified<'a> {
    Classified {
        surface: None,
        grade: Grade::Unknown,
        fired: 0,
        model: None,
        handles: SmallVec::new(),
        cache_key: None,
    }
}

fn model<'a>(
    at: ModelAt,
    recognised: &'a Recognised<'_>,
    query: Option<&'a str>,
    body: Body<'a>,
) -> Result<Option<Cow<'a, str>>, Reason> {
    let in_body = body.signals.and_then(Signals::model).or_else(|| body.form.and_then(Form::model));
    let in_head = match at {
        ModelAt::Path => recognised.segment("model").map(Cow::Borrowed),
        ModelAt::Query => match (parameter(query, "model")?, parameter(query, "deployment")?) {
            (Some(model), Some(deployment)) if model != deployment => return Err(Reason::ModelAmbiguous),
            (model, deployment) => model.or(deployment),
        },
        _ => recognised.deployment().map(Cow::Borrowed),
    };
    match (in_head, in_body) {
        (Some(head), Some(body)) if head != body => Err(Reason::ModelAmbiguous),
        (None, None) if at == ModelAt::Required => Err(Reason::ModelMissing),
        (head, body) => Ok(head.or(body.map(Cow::Borrowed))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identify::Keys;
    use crate::scan::Scanner;
    use riparian_config::Config;

    const CONFIG: &str = r#"
version: 1
listeners: [{ name: apps, bind: 127.0.0.1:8080 }]
clouds: { a: { endpoints: [{ name: e, dialect: openai, url: "http://127.0.0.1:9000", credential: none }] } }
contract: { enforce: r, readings: { r: { stateful_from: creates } }, terms: [{ id: t, only: a }] }
"#;

    /// Grade, model and handles of a request, in words.
    fn found(method: &str, path: &str, body: &str) -> Result<(String, Option<String>, Vec<String>), Reason> {
        let config = Config::parse(CONFIG, "test").unwrap_or_else(|faults| panic!("{faults}"));
        let policy = Policy::compile(config, Keys::derive(b"test")).unwrap();
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        let method = http::Method::from_bytes(method.as_bytes()).unwrap();
        let headers = http::HeaderMap::new();
        let head = Head { method: &method, path, query, headers: &headers };
        let recognised = policy.recognise(&head).expect("a known operation");
        let mut scanner = Scanner::new(policy.watch(recognised.surface));
        scanner.feed(body.as_bytes()).unwrap();
        let signals = if body.is_empty() { None } else { Some(scanner.finish().unwrap()) };
        let body = Body { signals: signals.as_ref(), form: None };
        let classified = classify(&policy, &recognised, &head, body)?;
        let handles =
            classified.handles.iter().map(|handle| format!("{} {}", handle.namespace, handle.value));
        Ok((classified.grade.to_string(), classified.model.map(Cow::into_owned), handles.collect()))
    }

    fn told(
        grade: &str,
        model: Option<&str>,
        handles: &[&str],
    ) -> Result<(String, Option<String>, Vec<String>), Reason> {
        let handles = handles.iter().map(|handle| (*handle).to_owned()).collect();
        Ok((grade.to_owned(), model.map(str::to_owned), handles))
    }

    #[test]
    fn the_highest_signal_wins() {
        for (body, grade, handles) in [
            (r#"{"model":"m","store":false}"#, "pure", &[][..]),
            (r#"{"model":"m","store":false,"prompt_cache_key":"k"}"#, "cached", &[]),
            (
                r#"{"model":"m","store":false,"input":[{"type":"reasoning","encrypted_content":"x"}]}"#,
                "sealed",
                // The first half of the blob's BLAKE3.
                &["openai_seal 3ae7d805f6789a6402acb70ad4096a85"],
            ),
            (r#"{"model":"m"}"#, "creates", &[]),
            (r#"{"model":"m","store":false,"tools":[{"type":"code_interpreter"}]}"#, "creates", &[]),
            // A handle outranks `store: false`.
            (r#"{"model":"m","store":false,"previous_response_id":"r"}"#, "continues", &["response r"]),
            (r#"{"model":"m","conversation":"c"}"#, "continues", &["conversation c"]),
            (r#"{"model":"m","conversation":{"id":"c"}}"#, "continues", &["conversation c"]),
            (r#"{"model":"m","previous_response_id":"r","agent_reference":{}}"#, "runtime", &["response r"]),
            // Null is absent.
            (
                r#"{"model":"m","store":false,"previous_response_id":null,"prompt_cache_key":null}"#,
                "pure",
                &[],
            ),
        ] {
            assert_eq!(found("POST", "/v1/responses", body), told(grade, Some("m"), handles), "{body}");
        }
    }

    #[test]
    fn a_handle_comes_once_for_its_kind() {
        let body = r#"{"model":"m","store":false,
            "input":[{"id":"i"},{"id":"i","type":"item_reference"},{"container_id":"c"},{"container_id":"d"}],
            "tools":[{"type":"code_interpreter","container":"c"}],"conversation":"i"}"#;
        let handles = ["item i", "container c", "container d", "conversation i"];
        assert_eq!(found("POST", "/v1/responses", body), told("continues", Some("m"), &handles));
    }

    #[test]
    fn a_path_cites_its_handle_without_its_escapes() {
        assert_eq!(found("GET", "/v1/responses/resp%5F1", ""), told("continues", None, &["response resp_1"]));
        let body = r#"{"items":[{"id":"i","type":"item_reference"}]}"#;
        assert_eq!(
            found("POST", "/v1/conversations/conv_1/items", body),
            told("continues", None, &["conversation conv_1", "item i"])
        );
    }

    #[test]
    fn one_request_names_one_model() {
        let chat = "/v1/chat/completions";
        let deployment = "/openai/deployments/prod/chat/completions";
        for (path, body, model) in [
            (chat, r#"{"model":"m"}"#, Ok(Some("m"))),
            (chat, r#"{"model":null}"#, Err(Reason::ModelMissing)),
            (chat, "{}", Err(Reason::ModelMissing)),
            (deployment, "{}", Ok(Some("prod"))),
            (deployment, r#"{"model":"prod"}"#, Ok(Some("prod"))),
            (deployment, r#"{"model":"other"}"#, Err(Reason::ModelAmbiguous)),
            ("/v1/responses", "{}", Ok(None)),
            ("/v1/moderations", "{}", Ok(None)),
        ] {
            let found = found("POST", path, body).map(|(_, model, _)| model);
            assert_eq!(found, model.map(|model| model.map(str::to_owned)), "{path} {body}");
        }
        assert_eq!(
            found("GET", "/v1/models/gpt%2D5", "").map(|(_, model, _)| model),
            Ok(Some("gpt-5".to_owned()))
        );
    }
}
