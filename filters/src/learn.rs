//! Response bytes -> the handles that are born in them.
//!
//! [`Learner::feed`] is given each piece of an answer before it is forwarded, and calls back for every handle whose last byte has
//! come: so a pin is written before the client can know the handle. The bytes themselves are not changed and not held.
//! An answer that cannot be read (encoded, malformed, of another type) gives birth to nothing; it is the caller's to count.

use crate::eventstream::bytes::Unwrapper;
use crate::eventstream::{self, FrameError};
use crate::scan::{Captures, NameHash, ScanError, Scanner, Watch};
use crate::sse::{Piece, Splitter};
use riparian_config::{Echo, Namespace, Pointer, Step, Surface, Surfaces, Take};
use smallvec::SmallVec;
use std::fmt;
use std::sync::Arc;

/// Handles of one answer that are remembered, so that an id which each event repeats is told once. Over it the oldest is forgotten,
/// and told again when it comes again.
const TOLD_MAX: usize = 1024;

/// What to look for in the answers of one surface.
#[derive(Clone, Debug)]
pub struct Answer {
    births: Vec<Born>,
    /// Kinds whose end an answer tells; their slots follow those of the births.
    expires: Vec<Namespace>,
    json: Arc<Watch>,
    sse: Arc<Watch>,
    event: Arc<Watch>,
    socket: Arc<Watch>,
    /// Headers in which a handle is born, with its slot.
    headers: Vec<(String, usize)>,
    /// The slot, in all watches, that says whether the answer was stored.
    stored: Option<usize>,
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
    take: Take,
}

impl Answer {
    /// Compiles a surface's births; `None` when its answers give birth to nothing. `all` knows the kinds of handles.
    ///
    /// # Errors
    /// When there are too many pointers; the text names the surface.
    pub fn compile(surface: &Surface, all: &Surfaces) -> Result<Option<Self>, String> {
        if surface.births.is_empty() {
            return Ok(None);
        }
        // A slot without a pointer in one of the forms watches what no API answers with: arrays of arrays of arrays at the root. Any
        // key, however odd, could come in an answer.
        let nowhere = Pointer(vec![Step::Each, Step::Each]);
        let compile = |pointer: fn(&Echo) -> &Option<Pointer>| {
            let births = surface.births.iter().map(|birth| (&birth.at, Captures::of(&birth.handle, all)));
            let expires = surface.expires.iter().map(|expiry| (&expiry.at, Captures::Text));
            let stored = surface.stored.iter().map(|echo| (echo, Captures::Nothing));
            let places = births.chain(expires).chain(stored);
            let pointers =
                places.map(|(echo, captures)| (pointer(echo).as_ref().unwrap_or(&nowhere), captures));
            Watch::pointers(pointers).map(Arc::new).map_err(|error| format!("{}: {error}", surface.id))
        };
        let headers = surface.births.iter().enumerate();
        let headers = headers.filter_map(|(slot, birth)| Some((birth.at.header.clone()?, slot))).collect();
        Ok(Some(Self {
            json: compile(|echo| &echo.json)?,
            sse: compile(|echo| &echo.sse)?,
            event: compile(|echo| &echo.event)?,
            socket: compile(|echo| &echo.socket)?,
            headers,
            births: surface
                .births
                .iter()
                .map(|birth| Born {
                    kind: birth.handle.clone(),
                    always: birth.always,
                    sealed: Captures::of(&birth.handle, all) == Captures::Digest,
                    take: birth.take,
                })
                .collect(),
            expires: surface.expires.iter().map(|expiry| expiry.handle.clone()).collect(),
            stored: surface.stored.as_ref().map(|_| surface.births.len() + surface.expires.len()),
        }))
    }

    /// Whether something can be born whatever the request's grade is.
    #[must_use]
    pub fn is_always_due(&self) -> bool {
        self.births.iter().any(|born| born.always)
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

    /// Whether anything is due in a body.
    #[must_use]
    pub fn has_body_births(&self) -> bool {
        !(self.json.is_empty() && self.sse.is_empty() && self.event.is_empty())
    }
}

/// What a piece of an answer told.
#[derive(Clone, Copy, Debug)]
pub enum Learned<'a> {
    /// A handle was born.
    Born(&'a Born, &'a str),
    /// A handle ends in these bytes, with the closing quote at this offset, be it the first time or not: the place where a seal goes.
    /// Once for each document and place in it; told before its birth is, and not of an AWS event stream that is fed as it came.
    Ends(&'a Born, &'a str, usize),
    /// A handle of this kind is good until then, in RFC 3339.
    Expires(&'a Namespace, &'a str),
    /// The answer says that it was not stored: its handles lead nowhere, but for those that always do.
    NotStored,
}

/// Why nothing more is learned from an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// A JSON answer is malformed.
    Json(ScanError),
    /// The frames of an AWS event stream are broken.
    Frames(FrameError),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => error.fmt(f),
            Self::Frames(error) => error.fmt(f),
        }
    }
}

/// Reads one answer, or all of what one socket's server sends.
#[derive(Debug)]
pub struct Learner {
    form: Form,
    told: Told,
}

#[derive(Debug)]
enum Form {
    Json(Box<Scanner<Arc<Watch>>>),
    Events(Splitter, Pieces),
    Aws(Box<eventstream::Splitter>, Unwrapper, Pieces),
    Messages(Pieces),
    Done,
}

/// A scanner for one document after another, each of which may be none.
#[derive(Debug)]
struct Pieces {
    scanner: Box<Scanner<Arc<Watch>>>,
    readable: bool,
}

/// What was told already.
#[derive(Debug, Default)]
struct Told {
    /// Captures of the current document.
    captures: usize,
    not_stored: bool,
    /// Digests of the handles, the oldest first.
    handles: SmallVec<[u64; 8]>,
}

/// Where a piece of a document stands in the bytes that came.
#[derive(Clone, Copy)]
struct Placed {
    at: usize,
    /// Bytes of the document before it.
    before: u64,
}

impl Placed {
    /// The closing quote of what ends at `end` of the document.
    fn of(self, end: u64) -> Option<usize> {
        let quote = end.checked_sub(self.before + 1)?;
        Some(self.at + usize::try_from(quote).ok()?)
    }
}

impl Learner {
    /// Begins with an answer of this content type; `None` when that is neither JSON nor a stream of events.
    #[must_use]
    pub fn new(answer: &Answer, content_type: &str) -> Option<Self> {
        let kind = content_type.split(';').next().unwrap_or("").trim();
        let is = |word: &str| kind.eq_ignore_ascii_case(word);
        let form = if is("application/json") || is("application/x-amz-json-1.1") {
            Form::Json(Box::new(Scanner::new(Arc::clone(&answer.json))))
        } else if is("text/event-stream") {
            Form::Events(Splitter::default(), Pieces::new(&answer.sse))
        } else if is("application/vnd.amazon.eventstream") {
            Form::Aws(Box::default(), Unwrapper::default(), Pieces::new(&answer.event))
        } else {
            return None;
        };
        Some(Self { form, told: Told::default() })
    }

    /// Begins with a socket's server. Each message is fed on its own, and ended with [`Self::end_of_message`].
    #[must_use]
    pub fn socket(answer: &Answer) -> Self {
        Self { form: Form::Messages(Pieces::new(&answer.socket)), told: Told::default() }
    }

    /// Begins with an AWS event stream whose payloads, whole and unwrapped, are fed one by one, each ended as a socket's message is.
    #[must_use]
    pub fn payloads(answer: &Answer) -> Self {
        Self { form: Form::Messages(Pieces::new(&answer.event)), told: Told::default() }
    }

    /// Reads the next piece; `tell` hears of what was learned, before this returns. `answer` is always the same.
    ///
    /// # Errors
    /// When a JSON answer is malformed, or an event stream's frames are. Nothing more is learned from it.
    pub fn feed(
        &mut self,
        answer: &Answer,
        bytes: &[u8],
        mut tell: impl FnMut(Learned<'_>),
    ) -> Result<(), Unreadable> {
        let told = &mut self.told;
        let result = match &mut self.form {
            Form::Done => Ok(()),
            Form::Json(scanner) => {
                let place = Some(Placed { at: 0, before: scanner.fed_bytes() });
                let result = scanner.feed(bytes);
                told.tell(answer, scanner, place, &mut tell);
                result.map_err(Unreadable::Json)
            }
            Form::Events(splitter, pieces) => {
                let base = bytes.as_ptr().addr();
                splitter.feed(bytes, |piece| match piece {
                    Piece::Data(data) => {
                        // What is handed on is a part of what came.
                        let at = data.as_ptr().addr() - base;
                        pieces.feed(answer, (data, Some(at)), told, &mut tell);
                    }
                    Piece::NewLine => pieces.feed(answer, (b"\n", None), told, &mut tell),
                    Piece::End => pieces.end(told),
                });
                Ok(())
            }
            Form::Aws(splitter, unwrapper, pieces) => {
                let fed = splitter.feed(bytes, |piece| match piece {
                    eventstream::Piece::Begin(_) => {}
                    // What is wrapped and no base64 is passed over like any other event that is no JSON.
                    eventstream::Piece::Payload(payload) => {
                        let _ = unwrapper
                            .feed(payload, |inner| pieces.feed(answer, (inner, None), told, &mut tell));
                    }
                    eventstream::Piece::End => {
                        let _ = unwrapper.end(|inner| pieces.feed(answer, (inner, None), told, &mut tell));
                        pieces.end(told);
                    }
                });
                fed.map_err(Unreadable::Frames)
            }
            Form::Messages(pieces) => {
                pieces.feed(answer, (bytes, Some(0)), told, &mut tell);
                Ok(())
            }
        };
        if result.is_err() {
            self.form = Form::Done;
        }
        result
    }

    /// A message of a socket has ended. Whether it was stored is asked of each anew.
    pub fn end_of_message(&mut self) {
        if let Form::Messages(pieces) = &mut self.form {
            pieces.end(&mut self.told);
            self.told.not_stored = false;
        }
    }
}

impl Pieces {
    fn new(watch: &Arc<Watch>) -> Self {
        Self { scanner: Box::new(Scanner::new(Arc::clone(watch))), readable: true }
    }

    /// `[DONE]` and the like are no JSON; the event is passed over.
    /// `at` is where the bytes stand in those that came, if they do.
    fn feed(
        &mut self,
        answer: &Answer,
        (bytes, at): (&[u8], Option<usize>),
        told: &mut Told,
        tell: &mut impl FnMut(Learned<'_>),
    ) {
        if self.readable {
            let place = at.map(|at| Placed { at, before: self.scanner.fed_bytes() });
            self.readable = self.scanner.feed(bytes).is_ok();
            told.tell(answer, &self.scanner, place, tell);
        }
    }

    fn end(&mut self, told: &mut Told) {
        self.scanner.again();
        self.readable = true;
        told.captures = 0;
    }
}

impl Told {
    fn tell(
        &mut self,
        answer: &Answer,
        scanner: &Scanner<Arc<Watch>>,
        place: Option<Placed>,
        tell: &mut impl FnMut(Learned<'_>),
    ) {
        let signals = scanner.signals();
        for (slot, value, end) in signals.captures_with_ends().skip(self.captures) {
            self.captures += 1;
            if let (Some(born), Some(place)) = (answer.births.get(slot), place)
                && let Some(quote) = place.of(end)
                && !value.is_empty()
            {
                tell(Learned::Ends(born, born.take.of(value), quote));
            }
            if !self.is_new(slot, value) {
                continue;
            }
            match (answer.births.get(slot), answer.expires.get(slot.wrapping_sub(answer.births.len()))) {
                (Some(born), _) if !value.is_empty() => tell(Learned::Born(born, born.take.of(value))),
                (None, Some(kind)) => tell(Learned::Expires(kind, value)),
                _ => {}
            }
        }
        if answer.stored.is_some_and(|slot| signals.is_false(slot))
            && !std::mem::replace(&mut self.not_stored, true)
        {
            tell(Learned::NotStored);
        }
    }

    fn is_new(&mut self, slot: usize, value: &str) -> bool {
        let mut hash = NameHash::default();
        hash.write(&slot.to_le_bytes());
        hash.write(value.as_bytes());
        let hash = hash.finish();
        if self.handles.contains(&hash) {
            return false;
        }
        if self.handles.len() == TOLD_MAX {
            self.handles.remove(0);
        }
        self.handles.push(hash);
        true
    }
}
