//! Surface x signals -> grade and handles.
//!
//! The grade is the highest of the surface's own and of every signal that holds; a path that cites a handle is in the
//! surface's own grade already. Nothing else counts: not the model, not the client, not the size.

use crate::decision::Reason;
use crate::policy::{Policy, SurfaceNumber};
use crate::scan::Signals;
use crate::surface::{Form, Recognised};
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

/// Whether a dated path stands before the operation: only Azure has those.
#[must_use]
pub fn is_dated(form: Form) -> bool {
    matches!(form, Form::Dated | Form::Deployment)
}
