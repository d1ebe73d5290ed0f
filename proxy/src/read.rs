//! Stage 3, **scan**, by the surface and the content type: what reads a body as it arrives, and what it read.

use crate::refuse::Refusal;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use riparian_config::BodyKind;
use riparian_filters::classify::Body;
use riparian_filters::decision::Reason;
use riparian_filters::form::{Form, FormScanner};
use riparian_filters::policy::{Policy, takes_model};
use riparian_filters::rewrite::ModelSpan;
use riparian_filters::scan::{ScanError, Scanner, Signals};
use riparian_filters::surface::Recognised;

/// What reads a body, by its surface and type.
pub(crate) enum Reader<'p> {
    /// Nothing in it matters for the decision.
    Blind,
    Json(Box<Scanner<&'p riparian_filters::scan::Watch>>),
    Form(Box<FormScanner>),
}

/// What was read.
pub(crate) enum Read {
    Nothing,
    Json(Box<Signals>),
    Form(Form),
}

impl<'p> Reader<'p> {
    pub(crate) fn new(
        headers: &HeaderMap,
        policy: &'p Policy,
        recognised: Option<&Recognised<'_>>,
    ) -> Result<Self, Refusal> {
        let Some(recognised) = recognised else { return Ok(Self::Blind) };
        let surface = policy.surface(recognised.surface);
        if surface.body == BodyKind::None {
            return Ok(Self::Blind);
        }
        if headers
            .get_all(CONTENT_ENCODING)
            .iter()
            .any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
        {
            return Err(Refusal::with(Reason::BodyEncoded, "send the body without Content-Encoding"));
        }
        let content_type = content_type(headers)?;
        let kind = content_type.split(';').next().unwrap_or("").trim();
        if kind.eq_ignore_ascii_case("application/json") {
            return Ok(Self::Json(Box::new(Scanner::new(policy.watch(recognised.surface)))));
        }
        if surface.body == BodyKind::Multipart && kind.eq_ignore_ascii_case("multipart/form-data") {
            let scanner = FormScanner::new(content_type)
                .map_err(|error| Refusal::with(Reason::BodyMalformed, error.to_string()))?;
            return Ok(Self::Form(Box::new(scanner)));
        }
        let due = if surface.body == BodyKind::Json {
            "application/json"
        } else {
            "application/json or multipart/form-data"
        };
        Err(Refusal::with(Reason::BodyEncoded, format!("this operation takes {due}")))
    }

    pub(crate) fn feed(&mut self, chunk: &[u8]) -> Result<(), Refusal> {
        match self {
            Self::Blind => Ok(()),
            Self::Json(scanner) => scanner.feed(chunk).map_err(unreadable),
            Self::Form(scanner) => {
                scanner.feed(chunk).map_err(|error| Refusal::with(Reason::BodyMalformed, error.to_string()))
            }
        }
    }

    pub(crate) fn finish(self) -> Result<Read, Refusal> {
        match self {
            Self::Blind => Ok(Read::Nothing),
            Self::Json(scanner) => {
                scanner.finish().map(|signals| Read::Json(Box::new(signals))).map_err(unreadable)
            }
            Self::Form(scanner) => scanner
                .finish()
                .map(Read::Form)
                .map_err(|error| Refusal::with(Reason::BodyMalformed, error.to_string())),
        }
    }
}

/// The one type of the body; JSON where none is given. A second one is what another reader may go by, and so is a charset.
fn content_type(headers: &HeaderMap) -> Result<&str, Refusal> {
    let mut lines = headers.get_all(CONTENT_TYPE).iter();
    let (Some(first), second) = (lines.next(), lines.next()) else { return Ok("application/json") };
    if second.is_some() {
        return Err(Refusal::with(Reason::BodyEncoded, "send one Content-Type"));
    }
    let text = first.to_str().unwrap_or("");
    let mut charsets = text.split(';').filter_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    });
    if charsets.any(|charset| !charset.eq_ignore_ascii_case("utf-8")) {
        return Err(Refusal::with(Reason::BodyEncoded, "send the body in UTF-8"));
    }
    Ok(text)
}

fn unreadable(error: ScanError) -> Refusal {
    let reason = if error.is_ambiguous() { Reason::BodyAmbiguous } else { Reason::BodyMalformed };
    Refusal::with(reason, error.to_string())
}

impl Read {
    pub(crate) fn body(&self) -> Body<'_> {
        match self {
            Self::Nothing => Body::default(),
            Self::Json(signals) => Body { signals: Some(signals), form_model: None },
            Self::Form(form) => Body { signals: None, form_model: form.model() },
        }
    }

    pub(crate) fn span(&self, recognised: Option<&Recognised<'_>>, policy: &Policy) -> ModelSpan {
        let takes = recognised.is_some_and(|recognised| takes_model(policy.surface(recognised.surface)));
        match self {
            Self::Json(signals) if takes => match signals.model_span() {
                Some(span) => ModelSpan::Json(span),
                None => ModelSpan::Absent(signals.root_open(), !signals.root_is_empty()),
            },
            Self::Form(form) if takes => match form.model_span() {
                Some(span) => ModelSpan::Form(span),
                None => ModelSpan::AbsentInForm(form.boundary().to_vec()),
            },
            Self::Json(_) | Self::Form(_) | Self::Nothing => ModelSpan::None,
        }
    }
}
