//! What a scan found.

use std::ops::Range;

use smallvec::SmallVec;

use super::watch::{Captures, Node, When};
use super::{CACHE_KEY_BYTES_MAX, HANDLE_BYTES_MAX, HANDLES_MAX, MODEL_BYTES_MAX, ScanError};

/// What a scan found in a body, slot by slot; see [`Watch`](super::Watch) for what a slot is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signals {
    held: u64,
    falsehoods: u64,
    /// Everything that was taken over, escapes undone. Ranges point into it. Its inline part is enough for a model, a
    /// cache key and a few handles, so that most requests allocate nothing.
    text: SmallVec<[u8; 256]>,
    captures: SmallVec<[Capture; 4]>,
    /// The newest count of each slot that counts.
    counts: SmallVec<[(u8, u64); 4]>,
    model: Option<Slice>,
    model_span: Option<Range<u64>>,
    cache_key: Option<Slice>,
    pub(super) root_open: u64,
    pub(super) root_empty: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Capture {
    slot: u8,
    value: Slice,
    /// Behind its closing quote.
    end: u64,
}

/// A range of [`Signals::text`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slice {
    start: usize,
    bytes: usize,
}

/// A value that the machine has come to, if it is a string with its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    True,
    False,
    /// With its value where it counts something.
    Number(Option<u64>),
    String,
    Container,
}

/// A string of the body, escapes undone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text<'t> {
    /// Its first bytes: all of them, or at least one more than its place keeps ([`Node::text_bytes`]).
    pub(super) kept: &'t [u8],
    /// All its bytes.
    pub(super) bytes: usize,
    /// Half a surrogate pair was in it, so its text stands for nothing.
    pub(super) lone: bool,
    /// The digest of all of it, where that was made on the way; else all of it is kept.
    pub(super) digest: Option<blake3::Hash>,
    /// In the body, quotes included.
    pub(super) start: u64,
    pub(super) end: u64,
}

/// The `id` of an object that may turn out to be a reference; only its end tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct OnlyId {
    value: Slice,
    bytes: usize,
    start: u64,
    end: u64,
}

impl Signals {
    /// Did the condition of this slot hold, anywhere that its pointer leads to?
    #[must_use]
    pub fn held(&self, slot: usize) -> bool {
        self.held & bit(slot) != 0
    }

    /// Is there a literal `false` at this slot's pointer?
    #[must_use]
    pub fn is_false(&self, slot: usize) -> bool {
        self.falsehoods & bit(slot) != 0
    }

    /// The captured strings with their slots, escapes undone, in the order of the body (one that an object's end decides
    /// comes where the object ends). The same string in the same slot comes once: a replayed history cites one container
    /// in every other item.
    pub fn captures(&self) -> impl Iterator<Item = (usize, &str)> {
        self.captures.iter().map(|capture| (usize::from(capture.slot), self.slice(capture.value)))
    }

    /// The newest number at each slot that captures counts, if that is whole and not negative.
    pub fn counts(&self) -> impl Iterator<Item = (usize, u64)> {
        self.counts.iter().map(|(slot, count)| (usize::from(*slot), *count))
    }

    /// The same, each with the offset behind its closing quote where it came first.
    pub(crate) fn captures_with_ends(&self) -> impl Iterator<Item = (usize, &str, u64)> {
        self.captures
            .iter()
            .map(|capture| (usize::from(capture.slot), self.slice(capture.value), capture.end))
    }

    /// The model's name, escapes undone. `None` when it is absent, null, or not watched.
    #[must_use]
    pub fn model(&self) -> Option<&str> {
        self.model.map(|value| self.slice(value))
    }

    /// Where the model's value is in the body, its two quotes included: what a JSON string can be spliced over.
    #[must_use]
    pub fn model_span(&self) -> Option<Range<u64>> {
        self.model_span.clone()
    }

    /// The offset just after the root's `{`, where a first member can be inserted.
    #[must_use]
    pub fn root_open(&self) -> u64 {
        self.root_open
    }

    /// Has the root no members? A member inserted at [`Self::root_open`] then wants no comma after it.
    #[must_use]
    pub fn root_is_empty(&self) -> bool {
        self.root_empty
    }

    /// The client's cache key. One over [`CACHE_KEY_BYTES_MAX`] is cut there, at the end of the last whole
    /// character: it only seeds affinity, where a common beginning is good enough.
    #[must_use]
    pub fn cache_key(&self) -> Option<&str> {
        self.cache_key.map(|value| self.slice(value))
    }

    pub(super) fn new(held: u64) -> Self {
        Self { held, ..Self::default() }
    }

    /// Begins another body.
    pub(super) fn again(&mut self, held: u64) {
        self.held = held;
        self.falsehoods = 0;
        self.text.clear();
        self.captures.clear();
        self.counts.clear();
        self.model = None;
        self.model_span = None;
        self.cache_key = None;
        self.root_open = 0;
        self.root_empty = false;
    }

    /// Tests the value at `node`, and takes what is wanted of it. `start` is its first byte.
    pub(super) fn read(
        &mut self,
        node: &Node,
        kind: Kind,
        text: Option<Text<'_>>,
        start: u64,
    ) -> Result<(), ScanError> {
        for test in &node.tests {
            let bit = 1_u64 << test.slot;
            if kind == Kind::False {
                self.falsehoods |= bit;
            }
            let holds = match &test.when {
                When::Present => kind != Kind::Null,
                When::String => kind == Kind::String,
                When::True => kind == Kind::True,
                When::OneOf(words) => text.is_some_and(|text| words.iter().any(|word| text.is(word))),
                When::Prefix(words) => text
                    .is_some_and(|text| !text.lone && words.iter().any(|word| text.kept.starts_with(word))),
                When::UnlessFalse => {
                    if kind == Kind::False {
                        self.held &= !bit;
                    }
                    false
                }
            };
            if holds {
                self.held |= bit;
                if let (Kind::Number(Some(count)), Captures::Count) = (kind, test.captures) {
                    self.count(test.slot, count);
                }
                let Some(text) = text else { continue };
                let value = match test.captures {
                    Captures::Nothing | Captures::Count => continue,
                    Captures::Text => {
                        self.take(text, HANDLE_BYTES_MAX).ok_or(ScanError::HandleTooLong { at: start })?
                    }
                    Captures::Digest => self.keep(text.digest().as_bytes()),
                };
                self.capture(Capture { slot: test.slot, value, end: text.end }, start)?;
            }
        }
        if node.is_model {
            self.read_model(kind, text, start)?;
        }
        if let Some(text) = text.filter(|_| node.is_cache_key) {
            self.cache_key = Some(self.keep(text.first(CACHE_KEY_BYTES_MAX)));
        }
        Ok(())
    }

    fn count(&mut self, slot: u8, count: u64) {
        match self.counts.iter_mut().find(|(known, _)| *known == slot) {
            Some((_, newest)) => *newest = count,
            None => self.counts.push((slot, count)),
        }
    }

    fn read_model(&mut self, kind: Kind, text: Option<Text<'_>>, start: u64) -> Result<(), ScanError> {
        match text {
            Some(text) => {
                self.model =
                    Some(self.take(text, MODEL_BYTES_MAX).ok_or(ScanError::ModelTooLong { at: start })?);
                self.model_span = Some(text.start..text.end);
                Ok(())
            }
            None if kind == Kind::Null => Ok(()),
            None => Err(ScanError::ModelNotString { at: start }),
        }
    }

    /// Keeps an `id` until the end of its object tells whether it is a reference.
    pub(super) fn hold_id(&mut self, text: Text<'_>) -> OnlyId {
        let value = self.keep(text.first(HANDLE_BYTES_MAX));
        OnlyId { value, bytes: text.bytes, start: text.start, end: text.end }
    }

    /// The object of `id` ended at `at`, and the conditions `slots` of its node held.
    pub(super) fn settle_id(
        &mut self,
        node: &Node,
        slots: u64,
        id: OnlyId,
        at: u64,
    ) -> Result<(), ScanError> {
        self.held |= slots;
        let mut used = false;
        for only in node.onlys.iter().filter(|only| slots >> only.slot & 1 == 1 && only.captures) {
            if id.bytes > HANDLE_BYTES_MAX {
                return Err(ScanError::HandleTooLong { at: id.start });
            }
            used |= self.capture_kept(Capture { slot: only.slot, value: id.value, end: id.end }, at)?;
        }
        if !used {
            self.forget(id.value);
        }
        Ok(())
    }

    fn capture(&mut self, capture: Capture, at: u64) -> Result<(), ScanError> {
        if !self.capture_kept(capture, at)? {
            self.forget(capture.value);
        }
        Ok(())
    }

    /// `false` when the same string was captured in that slot before.
    fn capture_kept(&mut self, capture: Capture, at: u64) -> Result<bool, ScanError> {
        let own = self.bytes(capture.value);
        if self.captures.iter().any(|other| other.slot == capture.slot && self.bytes(other.value) == own) {
            return Ok(false);
        }
        if self.captures.len() == HANDLES_MAX {
            return Err(ScanError::TooManyHandles { at });
        }
        self.captures.push(capture);
        Ok(true)
    }

    fn take(&mut self, text: Text<'_>, bytes_max: usize) -> Option<Slice> {
        (text.bytes <= bytes_max).then(|| self.keep(text.kept))
    }

    fn keep(&mut self, bytes: &[u8]) -> Slice {
        let start = self.text.len();
        self.text.extend_from_slice(bytes);
        Slice { start, bytes: bytes.len() }
    }

    /// Takes the last kept text away again. A text with a capture behind it stays, which happens at most once for each
    /// capture and level of the trie: what is kept stays bounded.
    fn forget(&mut self, value: Slice) {
        if value.start + value.bytes == self.text.len() {
            self.text.truncate(value.start);
        }
    }

    fn bytes(&self, value: Slice) -> &[u8] {
        &self.text[value.start..value.start + value.bytes]
    }

    fn slice(&self, value: Slice) -> &str {
        std::str::from_utf8(self.bytes(value)).expect("only whole characters are kept")
    }
}

/// The slot as a set; empty for one that no watch has.
fn bit(slot: usize) -> u64 {
    u32::try_from(slot).ok().and_then(|slot| 1_u64.checked_shl(slot)).unwrap_or(0)
}

/// What is sealed is known by the first half of its BLAKE3, in hexadecimal digits.
#[must_use]
pub fn digest(text: &str) -> String {
    half(blake3::hash(text.as_bytes()))
}

fn half(hash: blake3::Hash) -> String {
    let mut hex = hash.to_hex().to_string();
    hex.truncate(32);
    hex
}

impl<'t> Text<'t> {
    fn digest(&self) -> String {
        half(self.digest.unwrap_or_else(|| blake3::hash(self.kept)))
    }

    fn is(&self, word: &[u8]) -> bool {
        !self.lone && self.bytes == word.len() && self.kept.get(..self.bytes) == Some(word)
    }

    /// As much as fits into `bytes_max`, up to the end of a character.
    fn first(&self, bytes_max: usize) -> &'t [u8] {
        let mut end = self.kept.len().min(bytes_max);
        // A character begins at every byte that is not 10xxxxxx. There is a byte after `end`, unless the text ends there.
        while self.kept.get(end).is_some_and(|byte| byte & 0xC0 == 0x80) {
            end -= 1;
        }
        &self.kept[..end]
    }
}
