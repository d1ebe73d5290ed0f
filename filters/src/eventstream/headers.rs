//! The headers of a message: name length (1 byte), name, type (1 byte), and a value whose length goes by its type.

use super::FrameError;
use smallvec::SmallVec;

/// The longest value of a header in [`Labels`], in bytes. AWS's own are the names of events and of exceptions.
pub const LABEL_BYTES_MAX: usize = 256;

/// What a message says about itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Labels<'a> {
    /// `:message-type`: `event`, `exception` or `error`.
    pub message_type: Option<&'a str>,
    /// `:event-type`: the name of the event.
    pub event_type: Option<&'a str>,
    /// `:exception-type`: the name of the exception.
    pub exception_type: Option<&'a str>,
    /// `:content-type`: of the payload.
    pub content_type: Option<&'a str>,
}

const NAMES: [&[u8]; 4] = [b":message-type", b":event-type", b":exception-type", b":content-type"];

/// One byte more than the longest of [`NAMES`], so that a longer name that begins so is another.
const NAME: usize = 16;

/// The only type that a header of [`Labels`] may have.
const TEXT: u8 = 7;

/// Reads them, and keeps those that [`Labels`] names.
#[derive(Clone, Debug, Default)]
pub(super) struct Headers {
    at: At,
    name: SmallVec<[u8; NAME]>,
    /// Which of [`NAMES`] the current header is.
    label: Option<usize>,
    values: [Option<SmallVec<[u8; 32]>>; NAMES.len()],
}

/// Where the next byte belongs, with the number of bytes that are still to come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    NameLength,
    Name(u8),
    Type,
    LengthHigh,
    LengthLow(u8),
    Value(u16),
}

impl Headers {
    pub(super) fn begin(&mut self) {
        self.at = At::NameLength;
        self.values = [const { None }; NAMES.len()];
    }

    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> Result<(), FrameError> {
        while let Some((&first, rest)) = bytes.split_first() {
            if let At::Value(left) = self.at {
                let (some, behind) = bytes.split_at(bytes.len().min(usize::from(left)));
                if let Some(value) = self.label.and_then(|label| self.values[label].as_mut()) {
                    value.extend_from_slice(some);
                }
                bytes = behind;
                let taken = u16::try_from(some.len()).expect("no more than what is left");
                self.at = Self::value(left - taken);
                continue;
            }
            bytes = rest;
            self.at = match self.at {
                At::NameLength if first == 0 => return Err(FrameError::Headers),
                At::NameLength => {
                    self.name.clear();
                    At::Name(first)
                }
                At::Name(left) => {
                    if self.name.len() < NAME {
                        self.name.push(first);
                    }
                    if left > 1 { At::Name(left - 1) } else { At::Type }
                }
                At::Type => self.value_of(first)?,
                At::LengthHigh => At::LengthLow(first),
                At::LengthLow(high) => {
                    let length = u16::from_be_bytes([high, first]);
                    if self.label.is_some() && usize::from(length) > LABEL_BYTES_MAX {
                        return Err(FrameError::Label);
                    }
                    Self::value(length)
                }
                At::Value(_) => unreachable!("taken above"),
            };
        }
        Ok(())
    }

    /// The name is complete and the type is known.
    fn value_of(&mut self, kind: u8) -> Result<At, FrameError> {
        self.label = NAMES.iter().position(|name| *name == &self.name[..]);
        if let Some(label) = self.label
            && (kind != TEXT || self.values[label].replace(SmallVec::new()).is_some())
        {
            return Err(FrameError::Label);
        }
        Ok(match kind {
            0 | 1 => At::NameLength,    // true, false
            2 => At::Value(1),          // byte
            3 => At::Value(2),          // short
            4 => At::Value(4),          // integer
            5 | 8 => At::Value(8),      // long, timestamp
            6 | TEXT => At::LengthHigh, // bytes
            9 => At::Value(16),         // uuid
            _ => return Err(FrameError::Headers),
        })
    }

    fn value(left: u16) -> At {
        if left == 0 { At::NameLength } else { At::Value(left) }
    }

    /// All bytes of the headers have come.
    pub(super) fn labels(&self) -> Result<Labels<'_>, FrameError> {
        if self.at != At::NameLength {
            return Err(FrameError::Headers);
        }
        let text = |label: usize| match &self.values[label] {
            None => Ok(None),
            Some(value) => std::str::from_utf8(value).map(Some).map_err(|_| FrameError::Label),
        };
        Ok(Labels {
            message_type: text(0)?,
            event_type: text(1)?,
            exception_type: text(2)?,
            content_type: text(3)?,
        })
    }
}
