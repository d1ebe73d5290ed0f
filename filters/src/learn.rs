//! Response bytes -> the handles that are born in them.
//!
//! [`Learner::feed`] is given each piece of an answer before it is forwarded, and calls back for every handle whose last byte has
//! come: so a pin is written before the client can know the handle. The bytes themselves are not changed and not held.
//! An answer that cannot be read (encoded, malformed, of another type) gives birth to nothing; it is the caller's to count.

use crate::scan::{ScanError, Scanner, Watch};
use crate::sse::{Piece, Splitter};
use riparian_config::{Namespace, Pointer, Surface};
use std::sync::Arc;

/// What to look for in the answers of one surface.
#[derive(Clone, Debug)]
pub struct Answer {
    births: Vec<Namespace>,
    json: Arc<Watch>,
    sse: Arc<Watch>,
    /// The slot, in both watches, that says whether the answer was stored.
    stored: Option<usize>,
}

impl Answer {
    /// Compiles a surface's births; `None` when its answers give birth to nothing.
    ///
    /// # Errors
    /// When there are too many pointers; the text names the surface.
    pub fn compile(surface: &Surface) -> Result<Option<Self>, String> {
        if surface.births.is_empty() {
            return Ok(None);
        }
        // A slot without a pointer in one of the two forms watches the elements of a root that is an array: there is none,
        // because the scanner takes objects only. Any key, however odd, could come in an answer.
        let nowhere = || Pointer(vec![riparian_config::Step::Each]);
        let echoes = || surface.births.iter().map(|birth| &birth.at).chain(&surface.stored);
        let json: Vec<_> = echoes().map(|echo| echo.json.clone().unwrap_or_else(nowhere)).collect();
        let sse: Vec<_> = echoes().map(|echo| echo.sse.clone().unwrap_or_else(nowhere)).collect();
        let compile = |pointers: &[Pointer]| {
            Watch::pointers(pointers).map(Arc::new).map_err(|error| format!("{}: {error}", surface.id))
        };
        Ok(Some(Self {
            births: surface.births.iter().map(|birth| birth.handle.clone()).collect(),
            json: compile(&json)?,
            sse: compile(&sse)?,
            stored: surface.stored.as_ref().map(|_| surface.births.len()),
        }))
    }

    /// The kind of the handle in `slot`.
    #[must_use]
    pub fn namespace(&self, slot: usize) -> &Namespace {
        &self.births[slot]
    }
}

/// What a piece of an answer told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learned<'a> {
    /// A handle was born; the slot names its kind.
    Born(usize, &'a str),
    /// The answer says that it was not stored: its handles lead nowhere.
    NotStored,
}

/// Reads one answer.
#[derive(Debug)]
pub struct Learner {
    form: Form,
    births: usize,
    stored: Option<usize>,
    told: Told,
}

#[derive(Debug)]
enum Form {
    Json(Box<Scanner<Arc<Watch>>>),
    Events(Splitter, Box<Scanner<Arc<Watch>>>),
    Done,
}

/// How many captures of the current document were told, and whether its refusal to store was.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    captures: usize,
    not_stored: bool,
    any: bool,
}

impl Learner {
    /// Begins with an answer of this content type; `None` when that is neither JSON nor an event stream.
    #[must_use]
    pub fn new(answer: &Answer, content_type: &str) -> Option<Self> {
        let kind = content_type.split(';').next().unwrap_or("").trim();
        let (watch, events) = if kind.eq_ignore_ascii_case("application/json") {
            (&answer.json, false)
        } else if kind.eq_ignore_ascii_case("text/event-stream") {
            (&answer.sse, true)
        } else {
            return None;
        };
        let scanner = Box::new(Scanner::new(Arc::clone(watch)));
        let form = if events { Form::Events(Splitter::default(), scanner) } else { Form::Json(scanner) };
        Some(Self { form, births: answer.births.len(), stored: answer.stored, told: Told::default() })
    }

    /// Reads the next piece; `tell` hears of what was learned, before this returns.
    ///
    /// # Errors
    /// When a JSON answer is malformed. Nothing more is learned from it.
    pub fn feed(&mut self, bytes: &[u8], mut tell: impl FnMut(Learned<'_>)) -> Result<(), ScanError> {
        let result = match &mut self.form {
            Form::Done => Ok(()),
            Form::Json(scanner) => {
                let result = scanner.feed(bytes);
                self.told.tell(scanner, self.births, self.stored, &mut tell);
                result
            }
            Form::Events(..) => {
                self.events(bytes, &mut tell);
                Ok(())
            }
        };
        if result.is_err() {
            self.form = Form::Done;
        }
        result
    }

    fn events(&mut self, bytes: &[u8], tell: &mut impl FnMut(Learned<'_>)) {
        let Form::Events(splitter, scanner) = &mut self.form else { return };
        let (births, stored, told) = (self.births, self.stored, &mut self.told);
        let (mut readable, mut done) = (true, false);
        splitter.feed(bytes, |piece| match piece {
            Piece::Data(_) | Piece::NewLine if done || !readable => {}
            // `[DONE]` and the like are no JSON; the event is passed over.
            Piece::Data(data) => {
                readable = scanner.feed(data).is_ok();
                told.tell(scanner, births, stored, tell);
            }
            Piece::NewLine => readable = scanner.feed(b"\n").is_ok(),
            Piece::End => {
                // All handles of a stream are in the first event that has any.
                done |= told.any;
                scanner.again();
                told.captures = 0;
                readable = true;
            }
        });
        if done {
            self.form = Form::Done;
        }
    }
}

impl Told {
    fn tell(
        &mut self,
        scanner: &Scanner<Arc<Watch>>,
        births: usize,
        stored: Option<usize>,
        tell: &mut impl FnMut(Learned<'_>),
    ) {
        let signals = scanner.signals();
        for (slot, value) in signals.captures().skip(self.captures) {
            self.captures += 1;
            if slot < births {
                self.any = true;
                tell(Learned::Born(slot, value));
            }
        }
        if stored.is_some_and(|slot| signals.is_false(slot)) && !std::mem::replace(&mut self.not_stored, true)
        {
            tell(Learned::NotStored);
        }
    }
}
