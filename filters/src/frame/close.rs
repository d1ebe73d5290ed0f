//! Why a WebSocket ends (RFC 6455, 5.5.1 and 7.4).

use super::CONTROL_BYTES_MAX;
use std::fmt;

/// A status code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// Done.
    pub const NORMAL: Self = Self(1000);
    /// The sender goes away: a server that shuts down.
    pub const GOING_AWAY: Self = Self(1001);
    /// What came is no WebSocket's.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// A kind of message that is not taken.
    pub const UNSUPPORTED: Self = Self(1003);
    /// Text that is not UTF-8.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// What is asked may not be done.
    pub const POLICY: Self = Self(1008);
    /// A message that is too long.
    pub const TOO_BIG: Self = Self(1009);
    /// Something unforeseen.
    pub const INTERNAL: Self = Self(1011);
    /// Overloaded; another attempt may succeed (IANA's registry).
    pub const TRY_AGAIN: Self = Self(1013);
    /// A gateway had no sound answer from its server (IANA's registry).
    pub const BAD_GATEWAY: Self = Self(1014);
    /// Stands for a close frame without a code; never sent.
    pub const NONE: Self = Self(1005);
    /// Stands for an end without a close frame; never sent.
    pub const ABNORMAL: Self = Self(1006);

    /// The code of this number, if it is one that may be sent.
    #[must_use]
    pub fn new(number: u16) -> Option<Self> {
        matches!(number, 1000..=1003 | 1007..=1014 | 3000..=4999).then_some(Self(number))
    }

    /// Its number.
    #[must_use]
    pub fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Gathers the payload of a close frame, which is at most [`CONTROL_BYTES_MAX`] bytes.
#[derive(Clone, Copy, Debug)]
pub struct Close {
    payload: [u8; CONTROL_BYTES_MAX],
    bytes: usize,
}

impl Default for Close {
    fn default() -> Self {
        Self { payload: [0; CONTROL_BYTES_MAX], bytes: 0 }
    }
}

impl Close {
    /// Takes more of the payload, its mask undone.
    pub fn push(&mut self, payload: &[u8]) {
        let room = payload.len().min(CONTROL_BYTES_MAX - self.bytes);
        self.payload[self.bytes..self.bytes + room].copy_from_slice(&payload[..room]);
        self.bytes += room;
    }

    /// What it says: a code, [`CloseCode::NONE`] without one, and `None` when it says what may not be said: a code that is none, or
    /// a reason that is not UTF-8.
    #[must_use]
    pub fn code(&self) -> Option<CloseCode> {
        let payload = &self.payload[..self.bytes];
        let Some((code, reason)) = payload.split_first_chunk::<2>() else {
            return payload.is_empty().then_some(CloseCode::NONE);
        };
        std::str::from_utf8(reason).ok()?;
        CloseCode::new(u16::from_be_bytes(*code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(pieces: &[&[u8]]) -> Option<u16> {
        let mut close = Close::default();
        pieces.iter().for_each(|piece| close.push(piece));
        close.code().map(CloseCode::number)
    }

    #[test]
    fn codes_that_may_be_sent() {
        assert_eq!(code(&[]), Some(1005), "none is no fault");
        assert_eq!(code(&[&[0x03], &[0xe8], b"bye"]), Some(1000), "in pieces");
        assert_eq!(code(&[&[0x03]]), None, "half a code");
        assert_eq!(code(&[&[0x03, 0xe8, 0xff]]), None, "a reason that is no text");
        for (number, good) in [
            (0, false),
            (999, false),
            (1000, true),
            (1003, true),
            (1004, false),
            (1005, false),
            (1006, false),
            (1007, true),
            (1014, true),
            (1015, false),
            (1016, false),
            (2999, false),
            (3000, true),
            (4999, true),
            (5000, false),
            (65535, false),
        ] {
            assert_eq!(code(&[&u16::to_be_bytes(number)]).is_some(), good, "{number}");
        }
    }
}
