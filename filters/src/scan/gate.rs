//! Lets only whole UTF-8 characters through, however they are cut into chunks.
//!
//! Behind it, a byte outside ASCII is part of a character that is right, and what is copied is text: one pass at memory
//! speed saves every later step from looking.

use super::ScanError;

/// Holds the beginning of a character whose end has not come yet.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gate {
    held: [u8; 4],
    held_bytes: usize,
}

/// What a chunk amounts to.
pub(super) struct Passed<'c> {
    /// The character that earlier chunks began, with its length; 0 when there is none.
    first: ([u8; 4], usize),
    /// Whole characters.
    pub(super) rest: &'c [u8],
    /// What comes behind them is not UTF-8. To be looked at after them, so that the first error of the body wins.
    pub(super) fault: Option<ScanError>,
}

impl Passed<'_> {
    pub(super) fn first(&self) -> &[u8] {
        &self.first.0[..self.first.1]
    }
}

impl Gate {
    /// Takes the chunk that begins at byte `at` of the body.
    pub(super) fn pass<'c>(&mut self, at: u64, chunk: &'c [u8]) -> Passed<'c> {
        let mut first = ([0; 4], 0);
        let mut chunk_at = at;
        let mut chunk = chunk;
        if self.held_bytes > 0 {
            let due = character_bytes(self.held[0]);
            let (end, rest) = chunk.split_at(chunk.len().min(due - self.held_bytes));
            self.held[self.held_bytes..self.held_bytes + end.len()].copy_from_slice(end);
            let start = at - self.held_bytes as u64;
            self.held_bytes += end.len();
            if self.held_bytes < due {
                return Passed { first, rest: &[], fault: None };
            }
            if std::str::from_utf8(&self.held[..due]).is_err() {
                return Passed { first, rest: &[], fault: Some(ScanError::InvalidUtf8 { at: start }) };
            }
            self.held_bytes = 0;
            first = (self.held, due);
            chunk_at += end.len() as u64;
            chunk = rest;
        }
        let (whole, cut) = chunk.split_at(chunk.len() - cut_bytes(chunk));
        if simdutf8::basic::from_utf8(whole).is_ok() {
            self.held[..cut.len()].copy_from_slice(cut);
            self.held_bytes = cut.len();
            return Passed { first, rest: whole, fault: None };
        }
        // Once a body: look again, with the validator that says where.
        let right = simdutf8::compat::from_utf8(whole).map_or_else(|error| error.valid_up_to(), str::len);
        let fault = Some(ScanError::InvalidUtf8 { at: chunk_at + right as u64 });
        Passed { first, rest: &whole[..right], fault }
    }

    /// The body ended at byte `at`.
    pub(super) fn end(&self, at: u64) -> Result<(), ScanError> {
        match self.held_bytes {
            0 => Ok(()),
            held => Err(ScanError::InvalidUtf8 { at: at - held as u64 }),
        }
    }
}

/// How long a character is that begins with this byte (RFC 3629). 1 also for a byte that cannot begin one.
fn character_bytes(first: u8) -> usize {
    match first {
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => 1,
    }
}

/// How many bytes at the end of the chunk begin a character whose end is not there.
fn cut_bytes(chunk: &[u8]) -> usize {
    let last = chunk.iter().rev().take(3).position(|byte| byte & 0xC0 != 0x80);
    match last {
        Some(back) if character_bytes(chunk[chunk.len() - 1 - back]) > back + 1 => back + 1,
        _ => 0,
    }
}
