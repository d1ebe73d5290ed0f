//! Surface x signals -> grade and handles.
//!
//! The grade is the highest of the surface's own and of every signal that holds; a path that cites a handle is in the
//! surface's own grade already. Nothing else counts: not the model, not the client, not the size.

use crate::decision::Reason;
use crate::policy::{Policy, SurfaceNumber};
use crate::scan::Signals;
use crate::surface::Recognised;
use riparian_config::{Grade, ModelAt, Namespace};
use smallvec::SmallVec;

/// A handle that a request cites.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handle<'a> {
    /// Which kind.
    pub namespace: &'a Namespace,
    /// Its value, as the endpoint minted it.
    pub value: &'a str,
    /// Where it was found: `path`, or the signal's slot.
    pub place: HandlePlace,
}

/// Where a handle was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandlePlace {
    /// In the path.
    Path,
    /// In the body, at the pointer of this signal of the surface.
    Body(usize),
}

/// What stages 2 to 4 found out.
#[derive(Clone, Debug)]
pub struct Classified<'a> {
    /// Which operation.
    pub surface: Option<SurfaceNumber>,
    /// How much state.
    pub grade: Grade,
    /// The model, as the client names it.
    pub model: Option<&'a str>,
    /// Handles, each once.
    pub handles: SmallVec<[Handle<'a>; 4]>,
    /// What the client says to keep its cache warm.
    pub cache_key: Option<&'a str>,
}

/// What was found in a body.
#[derive(Clone, Copy, Debug, Default)]
pub struct Body<'a> {
    /// From a JSON body.
    pub signals: Option<&'a Signals>,
    /// The model, from a form's field.
    pub form_model: Option<&'a str>,
}

/// Classifies a recognised request.
///
/// # Errors
/// `model_missing` and `model_ambiguous`.
pub fn classify<'a>(
    policy: &'a Policy,
    recognised: &'a Recognised<'a>,
    body: Body<'a>,
) -> Result<Classified<'a>, Reason> {
    let surface = policy.surface(recognised.surface);
    let model = model(surface.model, recognised, body)?;
    let mut grade = surface.grade;
    let mut handles = SmallVec::new();
    if let (Some(namespace), Some(value)) = (&surface.path_handle, recognised.segment.as_deref()) {
        handles.push(Handle { namespace, value, place: HandlePlace::Path });
    }
    if let Some(signals) = body.signals {
        let holding = surface.signals.iter().enumerate().filter(|(slot, _)| signals.held(*slot));
        grade = holding.map(|(_, signal)| signal.grade).fold(grade, Grade::max);
        for (slot, value) in signals.captures() {
            let Some(namespace) = &surface.signals[slot].handle else { continue };
            let handle = Handle { namespace, value, place: HandlePlace::Body(slot) };
            let known =
                |known: &Handle<'_>| known.namespace == handle.namespace && known.value == handle.value;
            if !handles.iter().any(known) {
                handles.push(handle);
            }
        }
    }
    let cache_key = body.signals.and_then(Signals::cache_key);
    Ok(Classified { surface: Some(recognised.surface), grade, model, handles, cache_key })
}

/// An operation that is not in the table: what it does cannot be known.
#[must_use]
pub fn unrecognised<'a>() -> Classified<'a> {
    Classified {
        surface: None,
        grade: Grade::Unknown,
        model: None,
        handles: SmallVec::new(),
        cache_key: None,
    }
}

fn model<'a>(at: ModelAt, recognised: &'a Recognised<'a>, body: Body<'a>) -> Result<Option<&'a str>, Reason> {
    let in_body = body.signals.and_then(Signals::model).or(body.form_model);
    let in_path = match at {
        ModelAt::Path => recognised.segment.as_deref(),
        _ => recognised.deployment.as_deref(),
    };
    match (in_path, in_body) {
        (Some(path), Some(body)) if path != body => Err(Reason::ModelAmbiguous),
        (None, None) if at == ModelAt::Required => Err(Reason::ModelMissing),
        (path, body) => Ok(path.or(body)),
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
        let recognised = policy.recognise(method, path).expect("a known operation");
        let mut scanner = Scanner::new(policy.watch(recognised.surface));
        scanner.feed(body.as_bytes()).unwrap();
        let signals = if body.is_empty() { None } else { Some(scanner.finish().unwrap()) };
        let body = Body { signals: signals.as_ref(), form_model: None };
        let classified = classify(&policy, &recognised, body)?;
        let handles =
            classified.handles.iter().map(|handle| format!("{} {}", handle.namespace, handle.value));
        Ok((classified.grade.to_string(), classified.model.map(str::to_owned), handles.collect()))
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
                &[],
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
