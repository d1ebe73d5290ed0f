//! RFC 8259's grammar as a machine that can stop between any two bytes.
//!
//! Input has gone through the [`Gate`](super::gate::Gate), so that every byte outside ASCII is right; here it only matters
//! that such bytes stand in strings. What the values mean is left to the [`Walk`].

use super::ScanError;
use super::number::Counting;
use super::signals::{Kind, Text};
use super::skim::{end_of_text, special};
use super::text::{Hash, Reader, Use};
use super::walk::{Key, Walk};
use super::watch::{NOWHERE, Watch};

/// What may come next, white space aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    Root,
    /// After `{`.
    KeyOrEnd,
    /// After a comma in an object.
    Key,
    Colon,
    Value,
    /// After `[`.
    ValueOrEnd,
    /// After a member or element.
    CommaOrEnd,
    /// After the root.
    Nothing,
}

/// A token that goes on in the next chunk.
#[derive(Clone, Copy, Debug)]
enum Cut {
    Nowhere,
    Key,
    String,
    Number(Counting),
    Literal { word: Literal, seen: usize },
}

type Literal = (&'static [u8], Kind);

const TRUE: Literal = (b"true", Kind::True);
const FALSE: Literal = (b"false", Kind::False);
const NULL: Literal = (b"null", Kind::Null);

/// What is wrong stands in [`Machine::fault`]: an error itself is four words, too many to hand up from every token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault;

/// Where to go on.
pub(super) type Step = Result<usize, Fault>;

/// The machine; see the module. It is always given the same [`Watch`].
#[derive(Clone, Debug)]
pub(super) struct Machine {
    /// The offset of the next chunk in the body.
    base: u64,
    pub(super) expect: Expect,
    cut: Cut,
    /// Set when a step says [`Fault`].
    fault: Option<ScanError>,
    /// Where the number or literal under way began.
    scalar_at: u64,
    reader: Reader,
    pub(super) walk: Walk,
}

impl Machine {
    pub(super) fn new(watch: &Watch) -> Self {
        Self {
            base: 0,
            expect: Expect::Root,
            cut: Cut::Nowhere,
            fault: None,
            scalar_at: 0,
            reader: Reader::new(),
            walk: Walk::new(watch),
        }
    }

    /// Takes the next characters of the body.
    pub(super) fn run(&mut self, watch: &Watch, bytes: &[u8]) -> Result<(), ScanError> {
        match self.tokens(watch, bytes) {
            Ok(()) => {
                self.base += bytes.len() as u64;
                Ok(())
            }
            Err(Fault) => Err(self.fault.expect("set where a step fails")),
        }
    }

    fn tokens(&mut self, watch: &Watch, bytes: &[u8]) -> Result<(), Fault> {
        let mut at = self.resume(watch, bytes)?;
        loop {
            // The lanes go as far as they can; what is left is one token for the steps below, and the lanes again.
            if self.walk.is_dull() {
                at = self.dull(bytes, at);
            }
            if !self.walk.is_at_top() && !self.walk.is_dull() {
                at = self.keen(watch, bytes, at)?;
            }
            let Some(&byte) = bytes.get(at) else { return Ok(()) };
            if matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                at += 1;
                continue;
            }
            at = match self.expect {
                Expect::Value => self.value(watch, bytes, at)?,
                Expect::CommaOrEnd => self.comma_or_end(watch, byte, at)?,
                Expect::Key => self.key(watch, bytes, at)?,
                Expect::Colon if byte == b':' => {
                    self.expect = Expect::Value;
                    at + 1
                }
                Expect::Colon => return Err(self.malformed(at, "no colon after a key")),
                Expect::KeyOrEnd if byte == b'}' => self.close(watch, at)?,
                Expect::KeyOrEnd => self.key(watch, bytes, at)?,
                Expect::ValueOrEnd if byte == b']' => self.close(watch, at)?,
                Expect::ValueOrEnd => self.value(watch, bytes, at)?,
                Expect::Root => self.root(watch, bytes, at)?,
                Expect::Nothing => return Err(self.fail(ScanError::TrailingBytes { at: self.place(at) })),
            };
        }
    }

    /// Begins another body.
    pub(super) fn again(&mut self, watch: &Watch) {
        self.base = 0;
        self.expect = Expect::Root;
        self.cut = Cut::Nowhere;
        self.fault = None;
        self.walk.again(watch);
    }

    /// The body is over.
    pub(super) fn end(&self) -> Result<(), ScanError> {
        match self.expect {
            Expect::Nothing => Ok(()),
            Expect::Root => Err(ScanError::Empty),
            _ => Err(ScanError::Truncated { at: self.base }),
        }
    }

    #[inline]
    fn resume(&mut self, watch: &Watch, bytes: &[u8]) -> Step {
        match std::mem::replace(&mut self.cut, Cut::Nowhere) {
            Cut::Nowhere => Ok(0),
            Cut::Key => self.key_on(watch, bytes, 0),
            Cut::String => self.string_on(watch, bytes, 0),
            Cut::Number(number) => self.number(watch, bytes, 0, number),
            Cut::Literal { word, seen } => self.literal(watch, bytes, 0, word, seen),
        }
    }

    fn root(&mut self, watch: &Watch, bytes: &[u8], at: usize) -> Step {
        match bytes[at] {
            b'{' => {
                self.walk.signals.root_open = self.place(at + 1);
                self.walk.signals.root_empty = true;
                self.open(watch, at, true)
            }
            b'[' if watch.list != NOWHERE => {
                self.walk.begin_list(watch.list);
                self.open(watch, at, false)
            }
            b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => {
                Err(self.fail(ScanError::RootNotObject { at: self.place(at) }))
            }
            _ if bytes[at..].starts_with(b"\xEF\xBB\xBF") => Err(self.malformed(at, "a byte order mark")),
            _ => Err(self.malformed(at, "no JSON")),
        }
    }

    #[inline]
    fn comma_or_end(&mut self, watch: &Watch, byte: u8, at: usize) -> Step {
        match (byte, self.walk.is_in_object()) {
            (b',', true) => {
                self.expect = Expect::Key;
                Ok(at + 1)
            }
            (b',', false) => {
                self.expect = Expect::Value;
                self.walk.element(watch);
                Ok(at + 1)
            }
            (b'}', true) | (b']', false) => self.close(watch, at),
            (_, true) => Err(self.malformed(at, "neither a comma nor a brace after a member")),
            (_, false) => Err(self.malformed(at, "neither a comma nor a bracket after an element")),
        }
    }

    #[inline]
    fn value(&mut self, watch: &Watch, bytes: &[u8], at: usize) -> Step {
        let (word, number) = match bytes[at] {
            b'"' => return self.string(watch, bytes, at),
            b'{' => return self.open(watch, at, true),
            b'[' => return self.open(watch, at, false),
            b't' => (TRUE, None),
            b'f' => (FALSE, None),
            byte => (NULL, Counting::begin(byte)),
        };
        self.scalar_at = self.place(at);
        match number {
            Some(number) => self.number(watch, bytes, at + 1, number),
            None => self.literal(watch, bytes, at, word, 0),
        }
    }

    #[inline]
    pub(super) fn open(&mut self, watch: &Watch, at: usize, brace: bool) -> Step {
        let opened = self.walk.open(watch, brace, self.place(at));
        self.check(opened)?;
        self.expect = if brace { Expect::KeyOrEnd } else { Expect::ValueOrEnd };
        Ok(at + 1)
    }

    #[inline]
    pub(super) fn close(&mut self, watch: &Watch, at: usize) -> Step {
        let closed = self.walk.close(watch, self.place(at));
        self.check(closed)?;
        self.expect = if self.walk.is_at_top() { Expect::Nothing } else { Expect::CommaOrEnd };
        Ok(at + 1)
    }

    #[inline]
    fn key(&mut self, watch: &Watch, bytes: &[u8], at: usize) -> Step {
        if bytes[at] != b'"' {
            return Err(self.malformed(at, "no key where one is due"));
        }
        let from = at + 1;
        let quote = special(bytes, from);
        let is_read = self.walk.is_in_read_object();
        if bytes.get(quote) != Some(&b'"') {
            let usage = if is_read { Use::Take } else { Use::Check };
            self.reader.begin(usage, watch.key_bytes_max, self.place(at));
            return self.key_on(watch, bytes, from);
        }
        if is_read {
            let kept = &bytes[from..quote];
            let key = Key { kept, bytes: kept.len(), hash: Hash::of(kept), start: self.place(at) };
            let member = self.walk.member(watch, key);
            self.check(member)?;
        } else {
            self.walk.pass_member();
        }
        // The colon nearly always follows at once.
        let end = quote + 1;
        let colon = bytes.get(end) == Some(&b':');
        self.expect = if colon { Expect::Value } else { Expect::Colon };
        Ok(end + usize::from(colon))
    }

    fn key_on(&mut self, watch: &Watch, bytes: &[u8], at: usize) -> Step {
        let read = self.reader.read(bytes, at, self.base);
        let Some(end) = self.check(read)? else {
            self.cut = Cut::Key;
            return Ok(bytes.len());
        };
        if self.walk.is_in_read_object() {
            let Reader { kept, bytes, hash, start, .. } = &self.reader;
            let key = Key { kept, bytes: *bytes, hash: hash.finish(), start: *start };
            let member = self.walk.member(watch, key);
            self.check(member)?;
        } else {
            self.walk.pass_member();
        }
        self.expect = Expect::Colon;
        Ok(end)
    }

    #[inline]
    fn string(&mut self, watch: &Watch, bytes: &[u8], at: usize) -> Step {
        let from = at + 1;
        let node = watch.node(self.walk.node());
        let wanted = node.filter(|node| node.wants_value());
        let quote = if wanted.is_some() { special(bytes, from) } else { end_of_text(bytes, from) };
        if bytes.get(quote) == Some(&b'"') {
            let end = quote + 1;
            if let Some(node) = wanted {
                let kept = &bytes[from..quote];
                let (start, stop) = (self.place(at), self.place(end));
                let text = Text { kept, bytes: kept.len(), lone: false, digest: None, start, end: stop };
                let taken = self.walk.string(node, text);
                self.check(taken)?;
            }
            self.expect = Expect::CommaOrEnd;
            return Ok(end);
        }
        // One byte more than is wanted tells whether the last character is whole.
        let (usage, kept_max) = match wanted {
            Some(node) if node.takes_text => (Use::Take, node.text_bytes + 1),
            Some(node) if node.text_bytes > 0 => (Use::Compare, node.text_bytes + 1),
            _ => (Use::Skip, 0),
        };
        self.reader.begin(usage, kept_max, self.place(at));
        if wanted.is_some_and(|node| node.digests) {
            self.reader.begin_digest();
        }
        self.string_on(watch, bytes, if usage == Use::Skip { quote } else { from })
    }

    fn string_on(&mut self, watch: &Watch, bytes: &[u8], at: usize) -> Step {
        let read = self.reader.read(bytes, at, self.base);
        let Some(end) = self.check(read)? else {
            self.cut = Cut::String;
            return Ok(bytes.len());
        };
        if let Some(node) = watch.node(self.walk.node()).filter(|node| node.wants_value()) {
            let stop = self.place(end);
            let Reader { kept, bytes, lone, start, .. } = &self.reader;
            let digest = self.reader.digest();
            let text = Text { kept, bytes: *bytes, lone: *lone, digest, start: *start, end: stop };
            let taken = self.walk.string(node, text);
            self.check(taken)?;
        }
        self.expect = Expect::CommaOrEnd;
        Ok(end)
    }

    fn number(&mut self, watch: &Watch, bytes: &[u8], from: usize, begun: Counting) -> Step {
        let mut number = begun;
        for (at, &byte) in bytes.iter().enumerate().skip(from) {
            match number.step(byte) {
                Some(next) => number = next,
                None if number.is_whole() => {
                    self.scalar(watch, Kind::Number(number.count()))?;
                    return Ok(at);
                }
                None => return Err(self.malformed(at, "a number that is not finished")),
            }
        }
        self.cut = Cut::Number(number);
        Ok(bytes.len())
    }

    fn literal(&mut self, watch: &Watch, bytes: &[u8], at: usize, word: Literal, seen: usize) -> Step {
        let due = &word.0[seen..];
        let there = &bytes[at..bytes.len().min(at + due.len())];
        if let Some(wrong) = there.iter().zip(due).position(|(byte, due)| byte != due) {
            return Err(self.malformed(at + wrong, "no value where one is due"));
        }
        if there.len() == due.len() {
            self.scalar(watch, word.1)?;
        } else {
            self.cut = Cut::Literal { word, seen: seen + there.len() };
        }
        Ok(at + there.len())
    }

    fn scalar(&mut self, watch: &Watch, kind: Kind) -> Result<(), Fault> {
        self.expect = Expect::CommaOrEnd;
        let taken = self.walk.scalar(watch, kind, self.scalar_at);
        self.check(taken)
    }

    #[inline]
    pub(super) fn place(&self, at: usize) -> u64 {
        self.base + at as u64
    }

    #[inline]
    pub(super) fn check<T>(&mut self, result: Result<T, ScanError>) -> Result<T, Fault> {
        result.map_err(|error| self.fail(error))
    }

    #[cold]
    fn malformed(&mut self, at: usize, what: &'static str) -> Fault {
        self.fail(ScanError::Malformed { at: self.place(at), what })
    }

    #[cold]
    fn fail(&mut self, error: ScanError) -> Fault {
        self.fault = Some(error);
        Fault
    }
}
