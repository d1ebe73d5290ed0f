//! Splits a WebSocket's bytes into frames and messages (RFC 6455, section 5), across any split of the bytes.
//!
//! [`Frames::next`] is asked again and again, and says of the bytes at hand how many of them are the next piece, and what it is:
//! a frame's head, or some of its payload. Nothing is copied, changed or held back: whoever relays forwards the very bytes, and
//! sees what they say by [`Mask::undo`] on a copy. The rules are the RFC's, read strictly, for two readers must never see two
//! messages in the same bytes. No extension is known, so all reserved bits are faults.

mod close;
mod handshake;
mod write;

pub use close::{Close, CloseCode};
pub use handshake::{
    Asked, HandshakeFault, NONCE_BYTES, Nonce, accept, asked, is_accepted, is_websocket, protocols,
};
pub use write::{write, write_close, write_fragment, write_head};

use std::fmt;

/// Bytes of the longest head: two, a length of eight, a mask of four.
pub const HEAD_BYTES_MAX: usize = 14;

/// Payload bytes of the longest control frame (RFC 6455, 5.5).
pub const CONTROL_BYTES_MAX: usize = 125;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A part of a text message.
    Text,
    /// A part of a binary message.
    Binary,
    /// The sender says nothing more.
    Close,
    /// Asks for a pong.
    Ping,
    /// Answers a ping.
    Pong,
}

impl Kind {
    /// Control frames stand by themselves, also between the fragments of a message.
    #[must_use]
    pub fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }

    fn opcode(self) -> u8 {
        match self {
            Self::Text => 1,
            Self::Binary => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
        }
    }
}

/// What a frame's head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// What it carries; of a continuation, what its message does.
    pub kind: Kind,
    /// Whether its message begins with it.
    pub first: bool,
    /// Whether its message ends with it.
    pub last: bool,
    /// Bytes of its payload.
    pub payload_bytes: u64,
}

/// What payload bytes are masked with, beginning at the first of them; zeroes where they are not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mask([u8; 4]);

impl Mask {
    /// A mask that somebody made up.
    #[must_use]
    pub fn new(key: [u8; 4]) -> Self {
        Self(key)
    }

    /// The same, from `bytes` further on.
    #[must_use]
    pub fn after(self, bytes: u64) -> Self {
        let Self([a, b, c, d]) = self;
        Self(match bytes % 4 {
            0 => [a, b, c, d],
            1 => [b, c, d, a],
            2 => [c, d, a, b],
            _ => [d, a, b, c],
        })
    }

    /// Masks `bytes`, or takes the mask off again.
    pub fn undo(self, bytes: &mut [u8]) {
        if self == Self::default() {
            return;
        }
        let mut words = bytes.chunks_exact_mut(8);
        let key = u64::from_ne_bytes([self.0, self.0].concat().try_into().expect("eight bytes"));
        for word in &mut words {
            let masked = u64::from_ne_bytes((&*word).try_into().expect("eight bytes")) ^ key;
            word.copy_from_slice(&masked.to_ne_bytes());
        }
        words.into_remainder().iter_mut().zip(self.0.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
    }
}

/// A piece of what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A frame's whole head.
    Head(Head),
    /// Some of the payload of the frame whose head came last; more may follow.
    Payload(Mask),
}

/// What the first of the bytes at hand are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// How many bytes it is; never 0.
    pub bytes: usize,
    /// What they are.
    pub piece: Piece,
    /// What the frame carries that they belong to.
    pub kind: Kind,
    /// Whether that frame ends with them.
    pub ends_frame: bool,
    /// Whether that frame's message ends with them; a control frame is a message of its own.
    pub ends_message: bool,
}

/// Why bytes are no WebSocket's. It ends the connection, with [`FrameError::CODE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameError(&'static str);

impl FrameError {
    /// The code that it is answered with (RFC 6455, 7.4.1).
    pub const CODE: CloseCode = CloseCode::PROTOCOL_ERROR;

    /// What is wrong; no byte of what was sent.
    #[must_use]
    pub fn what(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for FrameError {}

/// The state between two pieces, of one direction of one socket.
#[derive(Clone, Copy, Debug)]
pub struct Frames {
    /// Whether its frames are masked: a client's must be, a server's must not (RFC 6455, 5.1).
    masked: bool,
    /// The frame whose head came last.
    frame: Head,
    mask: Mask,
    /// What is left of its payload.
    left: u64,
    /// What the message carries that is not whole yet.
    message: Option<Kind>,
    closed: bool,
}

impl Frames {
    /// What a client sends (`masked`), or a server, from its first frame on.
    #[must_use]
    pub fn new(masked: bool) -> Self {
        let frame = Head { kind: Kind::Text, first: true, last: true, payload_bytes: 0 };
        Self { masked, frame, mask: Mask::default(), left: 0, message: None, closed: false }
    }

    /// Whether no frame is half done: a control frame of ours can go in between.
    #[must_use]
    pub fn is_between_frames(&self) -> bool {
        self.left == 0
    }

    /// Whether no message is half done: a message of ours can go in between.
    #[must_use]
    pub fn is_between_messages(&self) -> bool {
        self.left == 0 && self.message.is_none()
    }

    /// Whether a close frame has come, whole; what stands behind it is nothing (RFC 6455, 5.5.1).
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed && self.left == 0
    }

    /// What `bytes` begin with; they go on where the last piece ended. `None` when a head is not all there, which needs at most
    /// [`HEAD_BYTES_MAX`] bytes, or when nothing is due behind a close frame.
    ///
    /// # Errors
    /// When they are no frame that may stand here. Nothing that follows has a meaning then.
    pub fn next(&mut self, bytes: &[u8]) -> Result<Option<Step>, FrameError> {
        if self.left > 0 {
            return Ok((!bytes.is_empty()).then(|| self.payload(bytes)));
        }
        if self.closed {
            return Ok(None);
        }
        self.head(bytes)
    }

    fn payload(&mut self, bytes: &[u8]) -> Step {
        let come = usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len()));
        let mask = self.mask;
        self.left -= come as u64;
        self.mask = mask.after(come as u64);
        self.step(come, Piece::Payload(mask))
    }

    fn step(&mut self, bytes: usize, piece: Piece) -> Step {
        let ends_frame = self.left == 0;
        let ends_message = ends_frame && self.frame.last;
        if ends_message && !self.frame.kind.is_control() {
            self.message = None;
        }
        Step { bytes, piece, kind: self.frame.kind, ends_frame, ends_message }
    }

    fn head(&mut self, bytes: &[u8]) -> Result<Option<Step>, FrameError> {
        let Some(&first) = bytes.first() else { return Ok(None) };
        // What the first byte tells is told at once: a head that never ends need not be waited for.
        let (kind, begins) = self.opcode(first)?;
        let last = first & 0x80 != 0;
        if kind.is_control() && !last {
            return Err(FrameError("a control frame in fragments"));
        }
        let Some(&second) = bytes.get(1) else { return Ok(None) };
        if (second & 0x80 != 0) != self.masked {
            return Err(FrameError(if self.masked {
                "a frame without a mask"
            } else {
                "a frame with a mask"
            }));
        }
        let Some((payload_bytes, used)) = length(second & 0x7f, &bytes[2..], kind)? else { return Ok(None) };
        let mut head_bytes = 2 + used;
        let mut mask = Mask::default();
        if self.masked {
            let Some(key) = bytes.get(head_bytes..head_bytes + 4) else { return Ok(None) };
            mask = Mask(key.try_into().expect("four bytes"));
            head_bytes += 4;
        }
        if kind == Kind::Close {
            if payload_bytes == 1 {
                return Err(FrameError("half a close code"));
            }
            self.closed = true;
        } else if !kind.is_control() {
            self.message = Some(kind);
        }
        self.frame = Head { kind, first: begins, last, payload_bytes };
        self.mask = mask;
        self.left = payload_bytes;
        Ok(Some(self.step(head_bytes, Piece::Head(self.frame))))
    }

    /// What a frame carries by its first byte, and whether it begins a message.
    fn opcode(&self, byte: u8) -> Result<(Kind, bool), FrameError> {
        if byte & 0x70 != 0 {
            return Err(FrameError("a reserved bit"));
        }
        match (byte & 0x0f, self.message) {
            (0, Some(kind)) => Ok((kind, false)),
            (0, None) => Err(FrameError("a continuation of no message")),
            (1 | 2, Some(_)) => Err(FrameError("a message inside another")),
            (1, None) => Ok((Kind::Text, true)),
            (2, None) => Ok((Kind::Binary, true)),
            (8, _) => Ok((Kind::Close, true)),
            (9, _) => Ok((Kind::Ping, true)),
            (10, _) => Ok((Kind::Pong, true)),
            _ => Err(FrameError("a reserved opcode")),
        }
    }
}

/// The length of a payload, and how many bytes behind the second tell it; `None` when they are not all there.
fn length(short: u8, rest: &[u8], kind: Kind) -> Result<Option<(u64, usize)>, FrameError> {
    if kind.is_control() && usize::from(short) > CONTROL_BYTES_MAX {
        return Err(FrameError("a control frame that is too long"));
    }
    let (length, used, least) = match short {
        126 => match rest.first_chunk::<2>() {
            Some(bytes) => (u64::from(u16::from_be_bytes(*bytes)), 2, 126),
            None => return Ok(None),
        },
        127 => match rest.first_chunk::<8>() {
            Some(bytes) => (u64::from_be_bytes(*bytes), 8, 1 << 16),
            None => return Ok(None),
        },
        short => (u64::from(short), 0, 0),
    };
    if length < least {
        return Err(FrameError("a length that is longer than it need be"));
    }
    if length >> 63 != 0 {
        return Err(FrameError("a length of 64 bits"));
    }
    Ok(Some((length, used)))
}

#[cfg(test)]
mod tests;
