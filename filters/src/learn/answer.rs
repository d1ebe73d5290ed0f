//! What to look for in the answers of one surface, compiled once.

use crate::meter::{Form, Needles, Shapes};
use crate::scan::{Captures, Watch};
use riparian_config::{Echo, Namespace, Pointer, Step, Surface, Surfaces, Take};
use std::sync::Arc;

/// What to look for in the answers of one surface.
#[derive(Clone, Debug)]
pub struct Answer {
    pub(super) births: Vec<Born>,
    /// Kinds whose end an answer tells; their slots follow those of the births.
    pub(super) expires: Vec<Namespace>,
    /// For handles and tokens.
    pub(super) whole: Watches,
    /// For tokens alone, with the same slots.
    pub(super) tokens: Watches,
    pub(super) shapes: Shapes,
    pub(super) sse_keys: Needles,
    pub(super) event_keys: Needles,
    pub(super) socket_keys: Needles,
    /// Headers in which a handle is born, with its slot.
    headers: Vec<(String, usize)>,
    /// The slot, in all watches, that says whether the answer was stored.
    pub(super) stored: Option<usize>,
    /// The first slot of the counts.
    pub(super) counts_from: usize,
}

/// One for each form of answer.
#[derive(Clone, Debug)]
pub(super) struct Watches {
    pub(super) json: Arc<Watch>,
    pub(super) sse: Arc<Watch>,
    pub(super) event: Arc<Watch>,
    pub(super) socket: Arc<Watch>,
}

/// A handle that is due.
#[derive(Clone, Debug)]
pub struct Born {
    /// Which kind.
    pub kind: Namespace,
    /// It lives although the answer says that it was not stored, and whatever the request's grade is.
    pub always: bool,
    /// It is a blob, and what is told of it is its digest.
    pub sealed: bool,
    pub(super) take: Take,
}

impl Answer {
    /// Compiles a surface's births and what tells of tokens; `None` when its answers have neither. `all` knows the kinds of handles
    /// and the ways of telling.
    ///
    /// # Errors
    /// When there are too many pointers; the text names the surface.
    pub fn compile(surface: &Surface, all: &Surfaces) -> Result<Option<Self>, String> {
        if surface.births.is_empty() && surface.usage.is_empty() {
            return Ok(None);
        }
        let (shapes, counts) = Shapes::compile(surface, all);
        let compile = |handles: bool| {
            let [json, sse, event, socket] = &counts;
            let watch = |pointer, counts| watch(surface, all, pointer, counts, handles).map(Arc::new);
            let watches = || {
                Ok(Watches {
                    json: watch(|echo| &echo.json, json)?,
                    sse: watch(|echo| &echo.sse, sse)?,
                    event: watch(|echo| &echo.event, event)?,
                    socket: watch(|echo| &echo.socket, socket)?,
                })
            };
            watches().map_err(|error: crate::scan::TooManyPointers| format!("{}: {error}", surface.id))
        };
        let headers = surface.births.iter().enumerate();
        let headers = headers.filter_map(|(slot, birth)| Some((birth.at.header.clone()?, slot))).collect();
        let births = surface
            .births
            .iter()
            .map(|birth| Born {
                kind: birth.handle.clone(),
                always: birth.always,
                sealed: Captures::of(&birth.handle, all) == Captures::Digest,
                take: birth.take,
            })
            .collect();
        let stored = surface.births.len() + surface.expires.len();
        Ok(Some(Self {
            whole: compile(true)?,
            tokens: compile(false)?,
            shapes,
            sse_keys: Needles::new(Shapes::keys(surface, all, Form::Sse)),
            event_keys: Needles::new(Shapes::keys(surface, all, Form::Event)),
            socket_keys: Needles::new(Shapes::keys(surface, all, Form::Socket)),
            headers,
            births,
            expires: surface.expires.iter().map(|expiry| expiry.handle.clone()).collect(),
            stored: surface.stored.as_ref().map(|_| stored),
            counts_from: stored + usize::from(surface.stored.is_some()),
        }))
    }

    /// Whether handles are born in its answers.
    #[must_use]
    pub fn has_births(&self) -> bool {
        !self.births.is_empty()
    }

    /// Whether something can be born whatever the request's grade is.
    #[must_use]
    pub fn is_always_due(&self) -> bool {
        self.births.iter().any(|born| born.always)
    }

    /// Whether its answers tell of tokens.
    #[must_use]
    pub fn tells_usage(&self) -> bool {
        !self.shapes.is_empty()
    }

    /// The handles that an answer's head gives birth to; `header` looks one up.
    pub fn in_head<'a, 'h>(
        &'a self,
        header: impl Fn(&str) -> Option<&'h str> + 'a,
    ) -> impl Iterator<Item = (&'a Born, &'h str)> + 'a
    where
        'h: 'a,
    {
        self.headers.iter().filter_map(move |(name, slot)| {
            let born = &self.births[*slot];
            let value = born.take.of(header(name)?);
            (!value.is_empty()).then_some((born, value))
        })
    }

    /// Whether anything is due in a body, with handles or without.
    #[must_use]
    pub fn has_body(&self, handles: bool) -> bool {
        let Watches { json, sse, event, .. } = if handles { &self.whole } else { &self.tokens };
        !(json.is_empty() && sse.is_empty() && event.is_empty())
    }

    /// Whether anything is due in what a socket's server sends.
    #[must_use]
    pub fn has_socket(&self) -> bool {
        !self.whole.socket.is_empty()
    }
}

/// The watch of one form. A slot without a pointer in it watches what no API answers with: arrays of arrays of arrays at the root. Any
/// key, however odd, could come in an answer.
fn watch(
    surface: &Surface,
    all: &Surfaces,
    pointer: fn(&Echo) -> &Option<Pointer>,
    counts: &[Option<Pointer>],
    handles: bool,
) -> Result<Watch, crate::scan::TooManyPointers> {
    let nowhere = Pointer(vec![Step::Each, Step::Each]);
    let births = surface.births.iter().map(|birth| (&birth.at, Captures::of(&birth.handle, all)));
    let expires = surface.expires.iter().map(|expiry| (&expiry.at, Captures::Text));
    let stored = surface.stored.iter().map(|echo| (echo, Captures::Nothing));
    let echoes = births
        .chain(expires)
        .chain(stored)
        .map(|(echo, captures)| (pointer(echo).as_ref().filter(|_| handles), captures));
    let counts = counts.iter().map(|place| (place.as_ref(), Captures::Count));
    Watch::pointers(echoes.chain(counts).map(|(place, captures)| (place.unwrap_or(&nowhere), captures)))
}
