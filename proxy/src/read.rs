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
use riparian_filters::scan::{ScanError, Scanner, Signals, Watch};
use riparian_filters::surface::Recognised;
use std::cell::RefCell;
use std::sync::Arc;

/// Free scanners that a thread keeps: as many as bodies arrive at once, for the most part.
const FREE_MAX: usize = 16;

thread_local! {
    #[allow(clippy::vec_box, reason = "boxed for as long as it lives: to move its 2 KB in and out is what this avoids")]
    static FREE: RefCell<Vec<Box<Scanner<Arc<Watch>>>>> = const { RefCell::new(Vec::new()) };
}

/// A scanner, lent for one body: it is some 2 KB, which need not be made and freed each time.
pub(crate) struct Lent(Option<Box<Scanner<Arc<Watch>>>>);

impl Lent {
    pub(crate) fn take(watch: Arc<Watch>) -> Self {
        let free = FREE.with_borrow_mut(Vec::pop);
        Self(Some(match free {
            Some(mut scanner) => {
                scanner.restart(watch);
                scanner
            }
            None => Box::new(Scanner::new(watch)),
        }))
    }

    /// Whether what it has read is a whole body.
    pub(crate) fn end(&self) -> Result<(), ScanError> {
        self.scanner().end().map(drop)
    }

    fn scanner(&self) -> &Scanner<Arc<Watch>> {
        self.0.as_deref().expect("taken only when dropped")
    }

    pub(crate) fn scanner_mut(&mut self) -> &mut Scanner<Arc<Watch>> {
        self.0.as_deref_mut().expect("taken only when dropped")
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(mut scanner) = self.0.take() else { return };
        // What it read of this body is nobody else's business.
        scanner.again();
        // A thread that ends keeps nothing.
        let _ = FREE.try_with(|free| {
            let mut free = free.borrow_mut();
            if free.len() < FREE_MAX {
                free.push(scanner);
            }
        });
    }
}

/// What reads a body, by its surface and type.
pub(crate) enum Reader {
    /// Nothing in it matters for the decision.
    Blind,
    Json(Lent),
    Form(Box<FormScanner>),
}

/// What was read.
pub(crate) enum Read {
    Nothing,
    /// A scanner that has read a body to its end without a fault.
    Json(Lent),
    Form(Form),
}

impl Reader {
    pub(crate) fn new(
        headers: &HeaderMap,
        policy: &Policy,
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
            return Ok(Self::Json(Lent::take(policy.shared_watch(recognised.surface))));
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
            Self::Json(lent) => lent.scanner_mut().feed(chunk).map_err(unreadable),
            Self::Form(scanner) => {
                scanner.feed(chunk).map_err(|error| Refusal::with(Reason::BodyMalformed, error.to_string()))
            }
        }
    }

    pub(crate) fn finish(self) -> Result<Read, Refusal> {
        match self {
            Self::Blind => Ok(Read::Nothing),
            Self::Json(lent) => {
                lent.scanner().end().map_err(unreadable)?;
                Ok(Read::Json(lent))
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

/// What a body that the scanner does not take is refused with.
pub(crate) fn unreadable(error: ScanError) -> Refusal {
    let reason = if error.is_ambiguous() { Reason::BodyAmbiguous } else { Reason::BodyMalformed };
    Refusal::with(reason, error.to_string())
}

fn signals(lent: &Lent) -> &Signals {
    lent.scanner().end().expect("it has ended without a fault")
}

impl Read {
    pub(crate) fn body(&self) -> Body<'_> {
        match self {
            Self::Nothing => Body::default(),
            Self::Json(lent) => Body { signals: Some(signals(lent)), form: None },
            Self::Form(form) => Body { signals: None, form: Some(form) },
        }
    }

    pub(crate) fn span(&self, recognised: Option<&Recognised<'_>>, policy: &Policy) -> ModelSpan {
        let takes = recognised.is_some_and(|recognised| takes_model(policy.surface(recognised.surface)));
        match self {
            Self::Json(lent) if takes => {
                let signals = signals(lent);
                match signals.model_span() {
                    Some(span) => ModelSpan::Json(span),
                    None => ModelSpan::Absent(signals.root_open(), !signals.root_is_empty()),
                }
            }
            Self::Form(form) if takes => match form.model_span() {
                Some(span) => ModelSpan::Form(span),
                None => ModelSpan::AbsentInForm(form.boundary().to_vec()),
            },
            Self::Json(_) | Self::Form(_) | Self::Nothing => ModelSpan::None,
        }
    }
}
