//! Stage 3, **scan**: what does the body say of state?
//!
//! A [`Scanner`] takes a JSON body as it arrives, in any pieces, and looks for what a [`Watch`] names: signals, handles, the
//! model and its place, the cache key. It builds no tree, calls nothing recursively and allocates nothing for what it
//! skips. It is strict (RFC 8259, a root object, UTF-8, bounded depth), and in every object that the decision reads it
//! refuses what two parsers could read in two ways: duplicate keys, escapes undone, and half surrogate pairs.
//! It does not stop early, because a duplicate of what it has found may still come.
//!
//! It decides nothing: which of the signals matter is [`classify`](crate)'s business.

mod dull;
mod error;
mod gate;
mod keen;
mod machine;
mod number;
mod plain;
mod signals;
mod skim;
mod text;
mod walk;
mod watch;

pub use error::ScanError;
pub use signals::Signals;
pub use signals::digest;
pub(crate) use text::{Hash as NameHash, undone};
pub use watch::{Captures, TooManyPointers, Watch};

use std::borrow::Borrow;

use gate::Gate;
use machine::Machine;

/// Signals that one surface can have, so that a set of them is one word.
pub const SLOTS_MAX: usize = 64;

/// Objects and arrays within each other, the root included. Requests have about eight, tool schemas about twenty.
pub const DEPTH_MAX: usize = 64;

/// Keys in one object that the decision reads, so that the search for duplicates stays cheap. The largest request objects
/// have about forty.
pub const KEYS_MAX: usize = 256;

/// Bytes of a model's name, escapes undone. The longest are ARNs, below 200.
pub const MODEL_BYTES_MAX: usize = 256;

/// Bytes of a handle, escapes undone. Bedrock's are the longest, at some 300.
pub const HANDLE_BYTES_MAX: usize = 512;

/// Bytes of a cache key that are used.
pub const CACHE_KEY_BYTES_MAX: usize = 512;

/// Different handles that one request may cite: each of them is looked up. The history of a long agent's turn cites some hundred
/// items and sealed blobs.
pub const HANDLES_MAX: usize = 512;

/// Reads one JSON body.
///
/// ```
/// use riparian_config::Pointer;
/// use riparian_filters::scan::{Captures, Scanner, Watch};
///
/// let pointers = [Pointer::parse("/id").unwrap(), Pointer::parse("/store").unwrap()];
/// let watch = Watch::pointers(pointers.iter().map(|pointer| (pointer, Captures::Text))).unwrap();
/// let mut scanner = Scanner::new(&watch);
/// scanner.feed(br#"{"id":"resp_1","#).unwrap();
/// scanner.feed(br#""store":false}"#).unwrap();
/// let signals = scanner.finish().unwrap();
/// assert_eq!(signals.captures().collect::<Vec<_>>(), [(0, "resp_1")]);
/// assert!(signals.is_false(1));
/// ```
#[derive(Clone, Debug)]
pub struct Scanner<W> {
    watch: W,
    gate: Gate,
    machine: Machine,
    fed_bytes: u64,
    failed: Option<ScanError>,
}

impl<W: Borrow<Watch>> Scanner<W> {
    /// A scanner at the start of a body. `watch` is a `&Watch`, or an `Arc<Watch>` where the scanner outlives the borrow.
    #[must_use]
    pub fn new(watch: W) -> Self {
        let machine = Machine::new(watch.borrow());
        Self { watch, gate: Gate::default(), machine, fed_bytes: 0, failed: None }
    }

    /// Takes the next bytes of the body, as many as there are.
    ///
    /// # Errors
    /// As soon as the body is known to be refused; from then on the same error every time.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<(), ScanError> {
        match self.failed {
            Some(error) => Err(error),
            None => self.read(chunk).inspect_err(|&error| self.failed = Some(error)),
        }
    }

    /// What was found so far. Nothing in it is to be relied on for a decision before [`Self::finish`] has said that the
    /// body is right: a duplicate may still come.
    #[must_use]
    pub fn signals(&self) -> &Signals {
        &self.machine.walk.signals
    }

    /// Bytes of the body so far.
    pub(crate) fn fed_bytes(&self) -> u64 {
        self.fed_bytes
    }

    /// The body is over.
    ///
    /// # Errors
    /// When `feed` failed before, or the body is not whole.
    pub fn finish(mut self) -> Result<Signals, ScanError> {
        self.end()?;
        Ok(std::mem::take(&mut self.machine.walk.signals))
    }

    /// [`Self::finish`] for a scanner that is used again: it is some 2 KB, which need not be made, moved and freed for each body.
    ///
    /// # Errors
    /// As `finish`.
    pub fn end(&self) -> Result<&Signals, ScanError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.gate.end(self.fed_bytes)?;
        self.machine.end()?;
        Ok(self.signals())
    }

    /// Begins another body, perhaps of another surface, and forgets this one. What was allocated stays.
    pub fn restart(&mut self, watch: W) {
        self.watch = watch;
        self.again();
    }

    /// Begins another body of the same surface.
    pub fn again(&mut self) {
        self.gate = Gate::default();
        self.machine.again(self.watch.borrow());
        self.fed_bytes = 0;
        self.failed = None;
    }

    fn read(&mut self, chunk: &[u8]) -> Result<(), ScanError> {
        let watch = self.watch.borrow();
        let passed = self.gate.pass(self.fed_bytes, chunk);
        self.fed_bytes += chunk.len() as u64;
        self.machine.run(watch, passed.first())?;
        self.machine.run(watch, passed.rest)?;
        passed.fault.map_or(Ok(()), Err)
    }
}
