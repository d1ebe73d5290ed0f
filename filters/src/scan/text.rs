//! A string that cannot be read in one go: it has escapes, or a chunk ends in it.
//!
//! RFC 8259, section 7. Keys and wanted values are kept, escapes undone, as far as anybody needs them; the rest is only
//! checked. Surrogate halves matter only where the string is kept or is a key.

use smallvec::SmallVec;

use super::ScanError;
use super::skim::{end_of_text, special};

/// What a string is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// A value that nobody wants: any well-formed escape will do.
    Skip,
    /// A key that nobody compares: half a surrogate pair is refused.
    Check,
    /// A key or value that is taken over: kept, and half a surrogate pair is refused.
    Take,
    /// A value that is compared with a few words: kept, and half a surrogate pair matches nothing.
    Compare,
}

/// The state between two bytes of a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escape {
    No,
    Backslash,
    Hex { digits: u8, unit: u16 },
}

/// A string under way.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    usage: Use,
    escape: Escape,
    /// A first surrogate half, and where its escape began; its second half has to come next.
    high: Option<(u16, u64)>,
    /// Where the escape that is being read began.
    escape_at: u64,
    kept_max: usize,
    pub(super) kept: SmallVec<[u8; 64]>,
    pub(super) bytes: usize,
    pub(super) lone: bool,
    pub(super) hash: Hash,
    /// Of all of it, where that is wanted.
    digest: Option<Box<blake3::Hasher>>,
    /// The quote before it.
    pub(super) start: u64,
}

impl Reader {
    pub(super) fn new() -> Self {
        Self {
            usage: Use::Skip,
            escape: Escape::No,
            high: None,
            escape_at: 0,
            kept_max: 0,
            kept: SmallVec::new(),
            bytes: 0,
            lone: false,
            hash: Hash::new(),
            digest: None,
            start: 0,
        }
    }

    /// Makes the digest of the string that has begun, too.
    pub(super) fn begin_digest(&mut self) {
        self.digest = Some(Box::default());
    }

    /// The digest of the string that has ended, if it was wanted.
    pub(super) fn digest(&self) -> Option<blake3::Hash> {
        self.digest.as_ref().map(|digest| digest.finalize())
    }

    /// Begins a string whose quote is at byte `start` of the body. At most `kept_max` bytes of it are kept.
    pub(super) fn begin(&mut self, usage: Use, kept_max: usize, start: u64) {
        self.usage = usage;
        self.escape = Escape::No;
        self.high = None;
        self.kept_max = kept_max;
        self.kept.clear();
        self.bytes = 0;
        self.lone = false;
        self.hash = Hash::new();
        self.digest = None;
        self.start = start;
    }

    /// Reads on at `at`. `base` is the offset of `bytes` in the body. Returns the index behind the closing quote, or `None` when
    /// the chunk ends first.
    pub(super) fn read(
        &mut self,
        bytes: &[u8],
        mut at: usize,
        base: u64,
    ) -> Result<Option<usize>, ScanError> {
        loop {
            if self.escape == Escape::No {
                if self.usage == Use::Skip {
                    at = end_of_text(bytes, at);
                } else {
                    let end = special(bytes, at);
                    if end > at {
                        self.run(&bytes[at..end])?;
                        at = end;
                    }
                }
            }
            let Some(&byte) = bytes.get(at) else { return Ok(None) };
            let place = base + at as u64;
            at += 1;
            match self.escape {
                Escape::No => match byte {
                    b'"' => {
                        self.unpaired()?;
                        return Ok(Some(at));
                    }
                    b'\\' => {
                        self.escape = Escape::Backslash;
                        self.escape_at = place;
                    }
                    _ => return Err(ScanError::Malformed { at: place, what: "a control byte in a string" }),
                },
                Escape::Backslash => self.escaped(byte, place)?,
                Escape::Hex { digits, unit } => self.hex(byte, place, digits, unit)?,
            }
        }
    }

    fn escaped(&mut self, byte: u8, place: u64) -> Result<(), ScanError> {
        let character = match byte {
            b'"' | b'\\' | b'/' => byte,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                self.escape = Escape::Hex { digits: 0, unit: 0 };
                return Ok(());
            }
            _ => return Err(ScanError::Malformed { at: place, what: "an unknown escape in a string" }),
        };
        self.escape = Escape::No;
        if self.usage == Use::Skip { Ok(()) } else { self.run(&[character]) }
    }

    fn hex(&mut self, byte: u8, place: u64, digits: u8, unit: u16) -> Result<(), ScanError> {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            _ => {
                return Err(ScanError::Malformed { at: place, what: "a \\u escape without four hex digits" });
            }
        };
        let unit = unit << 4 | u16::from(digit);
        if digits < 3 {
            self.escape = Escape::Hex { digits: digits + 1, unit };
            return Ok(());
        }
        self.escape = Escape::No;
        if self.usage == Use::Skip { Ok(()) } else { self.unit(unit) }
    }

    /// Takes a UTF-16 code unit.
    fn unit(&mut self, unit: u16) -> Result<(), ScanError> {
        let character = match (self.high, unit) {
            (_, 0xD800..=0xDBFF) => {
                self.unpaired()?;
                self.high = Some((unit, self.escape_at));
                return Ok(());
            }
            (Some((high, _)), 0xDC00..=0xDFFF) => {
                self.high = None;
                0x10000 + (u32::from(high) - 0xD800) * 0x400 + (u32::from(unit) - 0xDC00)
            }
            (None, 0xDC00..=0xDFFF) => return self.alone(self.escape_at),
            _ => u32::from(unit),
        };
        let character = char::from_u32(character).expect("surrogates were dealt with above");
        self.run(character.encode_utf8(&mut [0; 4]).as_bytes())
    }

    /// Something other than its second half follows a first half, if there is one.
    fn unpaired(&mut self) -> Result<(), ScanError> {
        self.high.take().map_or(Ok(()), |(_, at)| self.alone(at))
    }

    fn alone(&mut self, at: u64) -> Result<(), ScanError> {
        self.lone = true;
        if self.usage == Use::Compare { Ok(()) } else { Err(ScanError::LoneSurrogate { at }) }
    }

    /// Takes whole characters.
    fn run(&mut self, characters: &[u8]) -> Result<(), ScanError> {
        if self.usage == Use::Skip {
            return Ok(());
        }
        self.unpaired()?;
        if self.usage == Use::Check {
            return Ok(());
        }
        self.bytes += characters.len();
        match &mut self.digest {
            Some(digest) => _ = digest.update(characters),
            None => self.hash.write(characters),
        }
        let room = self.kept_max - self.kept.len();
        self.kept.extend_from_slice(&characters[..characters.len().min(room)]);
        Ok(())
    }
}

/// The text of a string that ends with its closing quote and begins behind its opening one, escapes undone; `None` where it is malformed.
pub(crate) fn undone(quoted: &[u8]) -> Option<Vec<u8>> {
    let mut reader = Reader::new();
    reader.begin(Use::Take, quoted.len(), 0);
    let end = reader.read(quoted, 0, 0).ok()??;
    (end == quoted.len()).then(|| reader.kept.into_vec())
}

/// A hash of a key, the same however the key comes in pieces.
///
/// It needs no secret: two keys with one hash look like a duplicate, so whoever makes some only gets a refusal; equal keys
/// always have equal hashes, so no duplicate is missed. With 256 honest keys the odds of a mistake are 2^-48.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hash {
    state: u64,
    word: u64,
    bytes: u64,
}

impl Default for Hash {
    fn default() -> Self {
        Self::new()
    }
}

impl Hash {
    pub(super) fn new() -> Self {
        Self { state: 0, word: 0, bytes: 0 }
    }

    pub(super) fn of(key: &[u8]) -> u64 {
        let mut hash = Self::new();
        hash.write(key);
        hash.finish()
    }

    #[inline]
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        if self.bytes.is_multiple_of(8) {
            let (words, tail) = bytes.as_chunks::<8>();
            for word in words {
                self.mix(u64::from_le_bytes(*word));
            }
            self.bytes += words.len() as u64 * 8;
            rest = tail;
        }
        if self.bytes.is_multiple_of(8) {
            self.word = tail_word(rest);
            self.bytes += rest.len() as u64;
            return;
        }
        for &byte in rest {
            self.word |= u64::from(byte) << (self.bytes % 8 * 8);
            self.bytes += 1;
            if self.bytes.is_multiple_of(8) {
                let word = std::mem::take(&mut self.word);
                self.mix(word);
            }
        }
    }

    #[inline]
    pub(crate) fn finish(mut self) -> u64 {
        self.mix(self.word);
        self.mix(self.bytes);
        self.state ^ self.state >> 29
    }

    /// One step of a multiplicative hash; the multiplier is 2^64 over the golden ratio.
    #[inline]
    fn mix(&mut self, word: u64) {
        self.state = (self.state.rotate_left(23) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

/// Up to seven bytes as the low end of a word. Two reads that overlap do for most lengths.
#[inline]
fn tail_word(bytes: &[u8]) -> u64 {
    match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>(), bytes) {
        (Some(low), Some(high), _) => {
            u64::from(u32::from_le_bytes(*low))
                | u64::from(u32::from_le_bytes(*high)) << ((bytes.len() - 4) * 8)
        }
        (_, _, [a, b, c]) => u64::from(*a) | u64::from(*b) << 8 | u64::from(*c) << 16,
        (_, _, [a, b]) => u64::from(*a) | u64::from(*b) << 8,
        (_, _, [a]) => u64::from(*a),
        _ => 0,
    }
}
