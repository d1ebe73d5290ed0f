//! What a client says over a socket, frame by frame: messages are held until they are whole, and read on the way.
//!
//! A binary message that may be JSON is read like a text, for some servers take either; any other says nothing that anybody
//! here could judge.

use crate::gate::HeldBytes;
use crate::house::House;
use crate::read::{Lent, Read};
use crate::refuse::Refusal;
use crate::relay::held::Held;
use crate::seals::Opener;
use crate::snapshot::Snapshot;
use bytes::Bytes;
use riparian_config::Limits;
use riparian_filters::decision::Reason;
use riparian_filters::frame::{self, Close, CloseCode, Frames, Kind, Mask, Piece};
use riparian_filters::policy::SurfaceNumber;
use riparian_filters::rewrite::Splice;
use riparian_filters::scan::ScanError;
use std::sync::Arc;
use tokio::time::Instant;

/// A client's messages.
pub(super) struct Caller {
    pub(super) frames: Frames,
    /// The one that is not whole yet.
    message: Option<Message>,
    /// What its close frame says, as far as it has come.
    close: Close,
    /// The payload of the control frame that is not whole yet.
    control: Vec<u8>,
}

/// A message, as it came.
pub(super) struct Message {
    kind: Kind,
    /// Its frames, masked as they were.
    raw: Held,
    held: HeldBytes,
    how: How,
    pub(super) began: Instant,
    /// Its payload without the seals that were in it, if any were.
    bare: Option<Vec<u8>>,
    /// The configuration that it is read by, and its surface there.
    pub(super) snapshot: Arc<Snapshot>,
    surface: SurfaceNumber,
}

/// How a message is read.
enum How {
    /// Nothing of it has come that would tell.
    Unknown,
    Json(Lent),
    /// It is none; it goes on as it is.
    Opaque,
    /// It is refused, and the rest of it is passed over.
    Refused(Refusal),
}

/// What came of the bytes that were heard.
pub(super) enum Heard {
    /// They are a part of a message.
    Part,
    /// They are a part of a control frame, and its last if `ends`.
    Control { kind: Kind, raw: Bytes, ends: bool },
    /// With them a message is whole.
    Whole(Box<Message>),
}

/// Why a client's socket cannot go on.
pub(super) struct Fault {
    pub(super) code: CloseCode,
    pub(super) refusal: Refusal,
}

/// A message that was read.
pub(super) enum Said {
    /// JSON, of which this is known.
    Json(Read),
    /// Anything else.
    Opaque,
    /// It cannot be read, or not be held.
    Refused(Refusal),
}

impl Caller {
    pub(super) fn new() -> Self {
        Self { frames: Frames::new(true), message: None, close: Close::default(), control: Vec::new() }
    }

    /// When the message began that is not whole yet.
    pub(super) fn since(&self) -> Option<Instant> {
        self.message.as_ref().map(|message| message.began)
    }

    /// The code of its close frame, if that has come.
    pub(super) fn closed(&self) -> Option<CloseCode> {
        self.frames.is_closed().then(|| self.close.code()).flatten()
    }

    /// The payload of the control frame that has just ended.
    pub(super) fn take_control(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.control)
    }

    /// Hears the first piece of `bytes`, and says how many they are; `None` when they are too few to tell. Their mask is undone.
    pub(super) fn hear(
        &mut self,
        house: &House,
        surface: impl FnOnce() -> (Arc<Snapshot>, SurfaceNumber),
        bytes: &mut [u8],
    ) -> Result<Option<(usize, Heard)>, Fault> {
        let step = match self.frames.next(bytes) {
            Ok(Some(step)) => step,
            Ok(None) => return Ok(None),
            Err(error) => {
                let refusal = Refusal::with(Reason::SocketMalformed, error.what());
                return Err(Fault { code: CloseCode::PROTOCOL_ERROR, refusal });
            }
        };
        let bytes = &mut bytes[..step.bytes];
        if step.kind.is_control() {
            let raw = Bytes::copy_from_slice(bytes);
            if let Piece::Payload(mask) = step.piece {
                mask.undo(bytes);
                self.control.extend_from_slice(bytes);
            } else {
                self.control.clear();
            }
            if step.kind == Kind::Close && step.ends_frame {
                self.close.push(&self.control);
                if self.close.code().is_none() {
                    let refusal = Refusal::with(
                        Reason::SocketMalformed,
                        "a close frame that says what may not be said",
                    );
                    return Err(Fault { code: CloseCode::PROTOCOL_ERROR, refusal });
                }
            }
            return Ok(Some((step.bytes, Heard::Control { kind: step.kind, raw, ends: step.ends_frame })));
        }
        let message = match &mut self.message {
            Some(message) => message,
            none => {
                let (snapshot, surface) = surface();
                none.insert(Message::new(house, step.kind, snapshot, surface))
            }
        };
        message.take(step.piece, bytes)?;
        if !step.ends_message {
            return Ok(Some((step.bytes, Heard::Part)));
        }
        let whole = self.message.take().expect("it is the one that ends");
        Ok(Some((step.bytes, Heard::Whole(Box::new(whole)))))
    }
}

impl Message {
    fn new(house: &House, kind: Kind, snapshot: Arc<Snapshot>, surface: SurfaceNumber) -> Self {
        let how = match kind {
            Kind::Text => How::Json(Lent::take(snapshot.policy.shared_watch(surface))),
            _ => How::Unknown,
        };
        let held = house.gate.hold();
        Self { kind, raw: Held::default(), held, how, began: Instant::now(), bare: None, snapshot, surface }
    }

    /// Whether it is no JSON, and does not look like it.
    pub(super) fn is_opaque(&self) -> bool {
        matches!(self.how, How::Unknown | How::Opaque)
    }

    fn limits(&self) -> &Limits {
        &self.snapshot.policy.config.limits
    }

    fn take(&mut self, piece: Piece, bytes: &mut [u8]) -> Result<(), Fault> {
        if let Piece::Head(head) = piece
            && self.raw.bytes.saturating_add(head.payload_bytes) > self.limits().body
        {
            return Err(self.too_long());
        }
        if matches!(self.how, How::Refused(_)) {
            return Ok(());
        }
        self.raw.append(bytes);
        // Heads count, too: a message of empty frames is none that fits anywhere.
        if self.raw.bytes > self.limits().body {
            return Err(self.too_long());
        }
        if !self.held.grow(bytes.len(), self.limits().held_bodies) {
            return self.refuse(Refusal::from(Reason::Overloaded));
        }
        let Piece::Payload(mask) = piece else { return Ok(()) };
        mask.undo(bytes);
        self.read(bytes)
    }

    fn read(&mut self, payload: &[u8]) -> Result<(), Fault> {
        if matches!(self.how, How::Unknown) {
            // The first byte that can stand before no JSON, in any of Unicode's encodings.
            let Some(first) = payload.iter().find(|byte| !BEFORE_JSON.contains(byte)) else { return Ok(()) };
            self.how = if *first == b'{' {
                How::Json(Lent::take(self.snapshot.policy.shared_watch(self.surface)))
            } else {
                How::Opaque
            };
            if let How::Json(_) = self.how {
                // What stood before it is read, too: white space passes, and nothing else.
                let all = self.payload();
                return self.scan(&all);
            }
        }
        self.scan(payload)
    }

    fn scan(&mut self, payload: &[u8]) -> Result<(), Fault> {
        let How::Json(lent) = &mut self.how else { return Ok(()) };
        match lent.scanner_mut().feed(payload) {
            Ok(()) => Ok(()),
            Err(ScanError::InvalidUtf8 { .. }) if self.kind == Kind::Text => {
                let refusal = Refusal::with(Reason::BodyMalformed, "invalid UTF-8");
                Err(Fault { code: CloseCode::INVALID_PAYLOAD, refusal })
            }
            Err(error) => self.refuse(crate::read::unreadable(error)),
        }
    }

    fn refuse(&mut self, refusal: Refusal) -> Result<(), Fault> {
        self.raw = Held::default();
        self.how = How::Refused(refusal);
        Ok(())
    }

    fn too_long(&self) -> Fault {
        let detail = format!("limits.body is {} bytes", self.limits().body);
        Fault { code: CloseCode::TOO_BIG, refusal: Refusal::with(Reason::BodyTooLarge, detail) }
    }

    /// What it says, read by `snapshot`, in which its surface is `surface`, and without the seals that `opener` opens.
    pub(super) fn said(
        &mut self,
        snapshot: &Arc<Snapshot>,
        surface: SurfaceNumber,
        opener: Option<&mut Opener<'_>>,
    ) -> Result<Said, Fault> {
        if let Some(opener) = opener.filter(|_| matches!(self.how, How::Json(_)))
            && let Some(bare) = opener.json(&self.payload())
        {
            self.how = How::Json(Lent::take(snapshot.policy.shared_watch(surface)));
            self.scan(&bare)?;
            self.bare = Some(bare);
            return self.end();
        }
        if snapshot.generation != self.snapshot.generation && matches!(self.how, How::Json(_)) {
            // Another configuration has come into force while it arrived: what to look for may be something else.
            self.how = How::Json(Lent::take(snapshot.policy.shared_watch(surface)));
            let all = self.payload();
            self.scan(&all)?;
        }
        self.end()
    }

    fn end(&mut self) -> Result<Said, Fault> {
        Ok(match std::mem::replace(&mut self.how, How::Opaque) {
            How::Unknown | How::Opaque => Said::Opaque,
            How::Refused(refusal) => Said::Refused(refusal),
            How::Json(lent) => match lent.end() {
                Ok(()) => Said::Json(Read::Json(lent)),
                Err(ScanError::InvalidUtf8 { .. }) if self.kind == Kind::Text => {
                    let refusal = Refusal::with(Reason::BodyMalformed, "invalid UTF-8");
                    return Err(Fault { code: CloseCode::INVALID_PAYLOAD, refusal });
                }
                Err(error) => Said::Refused(crate::read::unreadable(error)),
            },
        })
    }

    /// Its payload, masks undone.
    fn payload(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(usize::try_from(self.raw.bytes).unwrap_or(0));
        let mut frames = Frames::new(true);
        // A head may lie across two chunks.
        let mut carried: Vec<u8> = Vec::new();
        for chunk in self.raw.all() {
            carried.extend_from_slice(chunk);
            let mut at = 0;
            while let Ok(Some(step)) = frames.next(&carried[at..]) {
                if let Piece::Payload(mask) = step.piece {
                    let from = out.len();
                    out.extend_from_slice(&carried[at..at + step.bytes]);
                    mask.undo(&mut out[from..]);
                }
                at += step.bytes;
            }
            carried.drain(..at);
        }
        out
    }

    /// Its bytes as they are to go on: as they came, or with one stretch of the payload changed, as one frame.
    pub(super) fn outgoing(mut self, splice: Option<&Splice>) -> (Vec<Bytes>, HeldBytes) {
        let nothing = Splice { at: 0..0, with: Vec::new() };
        let splice = match (splice, &self.bare) {
            (None, None) => {
                self.raw.close();
                return (self.raw.chunks.into_vec(), self.held);
            }
            (splice, _) => splice.unwrap_or(&nothing),
        };
        let payload = self.bare.take().unwrap_or_else(|| self.payload());
        let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(payload.len());
        let (before, after) = (&payload[..at(splice.at.start)], &payload[at(splice.at.end)..]);
        let length = before.len() + splice.with.len() + after.len();
        let mut out = Vec::with_capacity(length + frame::HEAD_BYTES_MAX);
        let key: [u8; 4] = rand::random();
        frame::write_head(&mut out, self.kind, Some(key), length as u64);
        let from = out.len();
        [before, &splice.with, after].into_iter().for_each(|part| out.extend_from_slice(part));
        Mask::new(key).undo(&mut out[from..]);
        (vec![out.into()], self.held)
    }
}

/// White space, marks of byte order, and the halves of wide characters.
const BEFORE_JSON: [u8; 10] = [b' ', b'\t', b'\n', b'\r', 0, 0xef, 0xbb, 0xbf, 0xfe, 0xff];
