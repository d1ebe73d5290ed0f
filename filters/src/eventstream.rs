//! Splits an AWS event stream (`application/vnd.amazon.eventstream`) into its messages, across any split of the bytes.
//!
//! A message is its total length and the length of its headers (four bytes each, big-endian), a CRC-32 of these, the headers,
//! the payload, and a CRC-32 of all that came before. Payloads are not copied and not held back: they are handed on as they
//! come, before the last checksum can be known. Of the headers those are kept that [`Labels`] names.
//!
//! After an error nothing more is read: there is no way to find the next message. What payloads of Bedrock's
//! `InvokeModelWithResponseStream` wrap is for [`bytes`].

pub mod bytes;
mod error;
mod headers;
mod rewrite;

pub use error::FrameError;
pub use headers::{LABEL_BYTES_MAX, Labels};
pub use rewrite::{HELD_BYTES_MAX, Rewriter};

use crc32fast::Hasher;
use headers::Headers;

/// The longest headers of a message, in bytes: AWS's own limit, 128 KiB.
pub const HEADERS_BYTES_MAX: u32 = 128 << 10;

/// The longest payload of a message, in bytes: AWS's own limit, 24 MiB.
pub const PAYLOAD_BYTES_MAX: u32 = 24 << 20;

/// Two lengths and their checksum.
const PRELUDE: usize = 12;
const CHECKSUM: usize = 4;

/// What a message has besides headers and payload, in bytes.
const FRAME: u32 = 16;

/// A piece of an event stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A message begins; its headers are read.
    Begin(Labels<'a>),
    /// Some of its payload, never empty; more may follow.
    Payload(&'a [u8]),
    /// It ends, and its checksum is right.
    End,
}

/// The state between two reads.
#[derive(Clone, Debug, Default)]
pub struct Splitter {
    at: At,
    /// The prelude, or the checksum, as far as it came.
    held: [u8; PRELUDE],
    /// Of the message so far.
    checksum: Hasher,
    headers: Headers,
    payload_bytes: u32,
    broken: Option<FrameError>,
}

/// Where the next byte belongs, with the number of bytes that are held, or that are still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Prelude { held: usize },
    Headers { left: u32 },
    Payload { left: u32 },
    Checksum { held: usize },
}

impl Default for At {
    fn default() -> Self {
        Self::Prelude { held: 0 }
    }
}

impl Splitter {
    /// Hands every piece in `bytes` to `tell`, in order.
    ///
    /// # Errors
    /// When a message is broken, as soon as that is known; and from then on always the same.
    pub fn feed(&mut self, bytes: &[u8], mut tell: impl FnMut(Piece<'_>)) -> Result<(), FrameError> {
        if let Some(error) = self.broken {
            return Err(error);
        }
        let result = self.read(bytes, &mut tell);
        self.broken = result.err();
        result
    }

    /// The stream is over.
    ///
    /// # Errors
    /// When it was broken before, or ends within a message.
    pub fn finish(&self) -> Result<(), FrameError> {
        match self.broken {
            Some(error) => Err(error),
            None if self.at == At::default() => Ok(()),
            None => Err(FrameError::Truncated),
        }
    }

    fn read(&mut self, mut bytes: &[u8], tell: &mut impl FnMut(Piece<'_>)) -> Result<(), FrameError> {
        loop {
            match self.at {
                At::Prelude { held } => {
                    let held = hold(&mut self.held, held, &mut bytes);
                    if held < PRELUDE {
                        self.at = At::Prelude { held };
                        return Ok(());
                    }
                    let headers_bytes = self.prelude()?;
                    self.at = At::Headers { left: headers_bytes };
                }
                At::Headers { left } => {
                    let (some, left) = take(&mut bytes, left);
                    self.checksum.update(some);
                    self.headers.feed(some)?;
                    if left > 0 {
                        self.at = At::Headers { left };
                        return Ok(());
                    }
                    tell(Piece::Begin(self.headers.labels()?));
                    self.at = At::Payload { left: self.payload_bytes };
                }
                At::Payload { left } => {
                    let (some, left) = take(&mut bytes, left);
                    self.checksum.update(some);
                    if !some.is_empty() {
                        tell(Piece::Payload(some));
                    }
                    if left > 0 {
                        self.at = At::Payload { left };
                        return Ok(());
                    }
                    self.at = At::Checksum { held: 0 };
                }
                At::Checksum { held } => {
                    let held = hold(&mut self.held[..CHECKSUM], held, &mut bytes);
                    if held < CHECKSUM {
                        self.at = At::Checksum { held };
                        return Ok(());
                    }
                    if std::mem::take(&mut self.checksum).finalize() != number(&self.held[..CHECKSUM]) {
                        return Err(FrameError::MessageChecksum);
                    }
                    tell(Piece::End);
                    self.at = At::default();
                }
            }
        }
    }

    /// Checks the prelude, sets out the message, and says how long its headers are.
    fn prelude(&mut self) -> Result<u32, FrameError> {
        let (lengths, checksum) = self.held.split_at(PRELUDE - CHECKSUM);
        let (total, headers) = lengths.split_at(4);
        let (total, headers) = (number(total), number(headers));
        if crc32fast::hash(lengths) != number(checksum) {
            return Err(FrameError::PreludeChecksum);
        }
        let payload = total.checked_sub(FRAME).and_then(|rest| rest.checked_sub(headers));
        match payload {
            Some(payload) if headers <= HEADERS_BYTES_MAX && payload <= PAYLOAD_BYTES_MAX => {
                self.payload_bytes = payload;
            }
            _ => return Err(FrameError::Length),
        }
        self.checksum.update(&self.held);
        self.headers.begin();
        Ok(headers)
    }
}

/// Moves bytes to behind the first `held` of `to`, until it is full; says how many it holds.
fn hold(to: &mut [u8], held: usize, from: &mut &[u8]) -> usize {
    let (some, rest) = from.split_at(from.len().min(to.len() - held));
    to[held..held + some.len()].copy_from_slice(some);
    *from = rest;
    held + some.len()
}

/// Takes up to `left` bytes; says how many are still to come.
fn take<'a>(from: &mut &'a [u8], left: u32) -> (&'a [u8], u32) {
    let count = u32::try_from(from.len()).map_or(left, |bytes| bytes.min(left));
    let (some, rest) = from.split_at(count as usize);
    *from = rest;
    (some, left - count)
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests;
