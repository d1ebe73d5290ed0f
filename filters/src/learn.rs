//! Response bytes -> the handles that are born in them.
//!
//! [`Learner::feed`] is given each piece of an answer before it is forwarded, and calls back for every handle whose last byte has
//! come: so a pin is written before the client can know the handle. The bytes themselves are not changed and not held.
//! An answer that cannot be read (encoded, malformed, of another type) gives birth to nothing; it is the caller's to count.
//!
//! In the same pass it reads what the answer cost ([`crate::meter`]). Where that is all that is due, an event is read only once it is
//! there whole, and only when it can tell of tokens at all.

mod answer;

pub use answer::{Answer, Born};

use crate::eventstream::bytes::Unwrapper;
use crate::eventstream::{self, FrameError};
use crate::meter::{Meter, Needles, Usage};
use crate::scan::{NameHash, ScanError, Scanner, Watch};
use crate::sse::{Piece, Splitter};
use riparian_config::Namespace;
use smallvec::SmallVec;
use std::fmt;
use std::sync::Arc;

/// Handles of one answer that are remembered, so that an id which each event repeats is told once. Over it the oldest is forgotten,
/// and told again when it comes again.
const TOLD_MAX: usize = 1024;

/// Bytes of an event that are held until its end tells whether it is worth reading; a longer one is read as it comes. Most are below 1 KB.
const GLANCE_BYTES_MAX: usize = 16 * 1024;

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
    /// Messages are of a call each, so that what they cost adds up.
    adds: bool,
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
    glance: Option<Box<Glance>>,
}

/// The document under way, as long as nobody knows whether it is worth reading.
#[derive(Debug, Default)]
struct Glance {
    held: Vec<u8>,
    /// It is being read.
    read: bool,
}

/// What was told already.
#[derive(Debug, Default)]
struct Told {
    /// Captures of the current document.
    captures: usize,
    not_stored: bool,
    /// Digests of the handles, the oldest first.
    handles: SmallVec<[u64; 8]>,
    meter: Meter,
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
        Self::begin(answer, content_type, true)
    }

    /// The same where no handle is due: only what the answer cost is read.
    #[must_use]
    pub fn of_usage(answer: &Answer, content_type: &str) -> Option<Self> {
        Self::begin(answer, content_type, false)
    }

    fn begin(answer: &Answer, content_type: &str, handles: bool) -> Option<Self> {
        let kind = content_type.split(';').next().unwrap_or("").trim();
        let is = |word: &str| kind.eq_ignore_ascii_case(word);
        let watches = if handles { &answer.whole } else { &answer.tokens };
        let form = if is("application/json") || is("application/x-amz-json-1.1") {
            Form::Json(Box::new(Scanner::new(Arc::clone(&watches.json))))
        } else if is("text/event-stream") {
            Form::Events(Splitter::default(), Pieces::new(&watches.sse, !handles))
        } else if is("application/vnd.amazon.eventstream") {
            Form::Aws(Box::default(), Unwrapper::default(), Pieces::new(&watches.event, !handles))
        } else {
            return None;
        };
        Some(Self { form, told: Told::default(), adds: false })
    }

    /// Begins with a socket's server. Each message is fed on its own, and ended with [`Self::end_of_message`].
    #[must_use]
    pub fn socket(answer: &Answer) -> Self {
        let pieces = Pieces::new(&answer.whole.socket, !answer.has_births());
        Self { form: Form::Messages(pieces), told: Told::default(), adds: true }
    }

    /// Takes what an answer's head tells of tokens; `header` looks one up.
    pub fn read_head<'h>(&mut self, answer: &Answer, header: impl Fn(&str) -> Option<&'h str>) {
        answer.shapes.read_head(&mut self.told.meter, header);
    }

    /// What the answer has cost, as far as it has told; `None` as long as it has told nothing.
    #[must_use]
    pub fn usage(&self, answer: &Answer) -> Option<Usage> {
        self.told.meter.usage(&answer.shapes)
    }

    /// Begins with an AWS event stream whose payloads, whole and unwrapped, are fed one by one, each ended as a socket's message is.
    #[must_use]
    pub fn payloads(answer: &Answer) -> Self {
        let pieces = Pieces::new(&answer.whole.event, false);
        Self { form: Form::Messages(pieces), told: Told::default(), adds: false }
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
                    Piece::End => pieces.end(answer, &answer.sse_keys, told),
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
                        pieces.end(answer, &answer.event_keys, told);
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
    pub fn end_of_message(&mut self, answer: &Answer) {
        if let Form::Messages(pieces) = &mut self.form {
            pieces.end(answer, &answer.socket_keys, &mut self.told);
            self.told.meter.over(&answer.shapes, self.adds);
            self.told.not_stored = false;
        }
    }
}

impl Pieces {
    fn new(watch: &Arc<Watch>, glance: bool) -> Self {
        Self {
            scanner: Box::new(Scanner::new(Arc::clone(watch))),
            readable: true,
            glance: glance.then(Box::default),
        }
    }

    /// `at` is where the bytes stand in those that came, if they do.
    fn feed(
        &mut self,
        answer: &Answer,
        (bytes, at): (&[u8], Option<usize>),
        told: &mut Told,
        tell: &mut impl FnMut(Learned<'_>),
    ) {
        let Some(glance) = self.glance.as_mut().filter(|glance| !glance.read) else {
            return self.read(answer, (bytes, at), told, tell);
        };
        if glance.held.len() + bytes.len() <= GLANCE_BYTES_MAX {
            return glance.held.extend_from_slice(bytes);
        }
        glance.read = true;
        let held = std::mem::take(&mut glance.held);
        self.read(answer, (&held, None), told, tell);
        self.read(answer, (bytes, at), told, tell);
    }

    /// `[DONE]` and the like are no JSON; the event is passed over.
    /// `at` is where the bytes stand in those that came, if they do.
    fn read(
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

    /// The event is over.
    fn end(&mut self, answer: &Answer, keys: &Needles, told: &mut Told) {
        if let Some(mut glance) = self.glance.take() {
            let held = !std::mem::take(&mut glance.read);
            let worth = held && keys.are_in(&glance.held);
            if worth {
                self.read(answer, (&glance.held, None), told, &mut |_| {});
            }
            glance.held.clear();
            self.glance = Some(glance);
            if held && !worth {
                return;
            }
        }
        self.scanner.again();
        self.readable = true;
        told.captures = 0;
        told.meter.over(&answer.shapes, false);
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
        for (slot, count) in signals.counts() {
            if let Some(number) = answer.shapes.at_slot(slot.wrapping_sub(answer.counts_from)) {
                self.meter.count(&answer.shapes, number, count);
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
