//! Read the body before choosing, replay it after.
//!
//! The one place that knows pingora's trick. pingora 0.9.1 replays at most 64 KiB of a body that was read before the upstream was
//! chosen. So the downstream session, a public box, is swapped for a [`Replay`]: a "custom" session that wraps the real one,
//! hands the held chunks back (a reference count each, no copy), and rewinds when pingora begins another attempt, which it says by
//! calling `enable_retry_buffering` once an attempt. [`Swap::undo`] puts the real session back, so that keep-alive survives.
//! The trait is hidden from pingora's docs, hence the exact version in `Cargo.toml`.
//!
//! It also keeps two deadlines that pingora has no place for: for the first byte of the answer, and between two bytes of it.
//! pingora polls the downstream for the client's going away all the while; that wait ends when a deadline passes.

mod replay;

use bytes::{Bytes, BytesMut};
use pingora_core::protocols::http::ServerSession;
use pingora_error::ErrorType;
use pingora_proxy::Session;
use replay::Replay;
use riparian_config::Timeouts;
use riparian_filters::rewrite::Splice;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::time::Instant;

/// The error that ends an attempt whose answer is late. It comes from the downstream half of pingora's loop.
pub(crate) const LATE: ErrorType = ErrorType::Custom("late answer");

/// A held body, as chunks in the order of their arrival.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held {
    pub(crate) chunks: Vec<Bytes>,
    pub(crate) bytes: u64,
}

impl Held {
    pub(crate) fn push(&mut self, chunk: Bytes) {
        self.bytes += chunk.len() as u64;
        self.chunks.push(chunk);
    }

    /// The body with one stretch of it changed. Chunks that the stretch lies in (at most 64 KiB each, as they are read) are made
    /// anew, in one piece, because each piece is a write of its own; all others are shared with the original.
    pub(crate) fn spliced(&self, splice: Option<&Splice>) -> Self {
        let Some(splice) = splice else { return self.clone() };
        let mut out = Self { chunks: Vec::with_capacity(self.chunks.len() + 1), bytes: 0 };
        let (mut at, mut mended) = (0u64, Mended::Not);
        for chunk in &self.chunks {
            let end = at + chunk.len() as u64;
            let within =
                |offset: u64| usize::try_from(offset.clamp(at, end) - at).expect("within a chunk in memory");
            if splice.at.start >= end || matches!(mended, Mended::Done) {
                out.push(chunk.clone());
            } else {
                let mut piece = match std::mem::replace(&mut mended, Mended::Done) {
                    Mended::Partly(piece) => piece,
                    Mended::Not | Mended::Done => {
                        let mut piece = BytesMut::with_capacity(chunk.len() + splice.with.len());
                        piece.extend_from_slice(&chunk[..within(splice.at.start)]);
                        piece.extend_from_slice(&splice.with);
                        piece
                    }
                };
                piece.extend_from_slice(&chunk[within(splice.at.end)..]);
                if splice.at.end <= end {
                    out.push(piece.freeze());
                } else {
                    mended = Mended::Partly(piece);
                }
            }
            at = end;
        }
        match mended {
            Mended::Done => {}
            Mended::Partly(piece) => out.push(piece.freeze()),
            Mended::Not => out.push(Bytes::copy_from_slice(&splice.with)),
        }
        out
    }
}

/// How far a splice has come.
enum Mended {
    Not,
    /// It reaches into chunks that are still to come.
    Partly(BytesMut),
    Done,
}

/// What the attempt that is going on replays, and by when it must be answered. Shared by the gateway's hooks and the session
/// that pingora holds; both run in one task, so the lock is never waited for.
struct Attempt {
    body: Held,
    timeouts: Option<Timeouts>,
    began: Instant,
    /// When the newest byte of the answer was written.
    answered: Option<Instant>,
    /// The real session, when it comes back.
    returned: Option<Box<ServerSession>>,
}

impl Attempt {
    fn deadline(&self) -> Option<Instant> {
        let timeouts = self.timeouts?;
        Some(self.answered.map_or(self.began + timeouts.first_byte, |at| at + timeouts.idle))
    }
}

/// Undoes the swap, and tells the replayed session what to replay.
pub(crate) struct Swap(Arc<Mutex<Attempt>>);

fn lock(attempt: &Mutex<Attempt>) -> MutexGuard<'_, Attempt> {
    attempt.lock().expect("no holder of this lock panics")
}

impl Swap {
    /// Swaps the downstream session for one that replays. To be called once a request, when its body has been read.
    pub(crate) fn install(session: &mut Session) -> Self {
        let attempt = Attempt {
            body: Held::default(),
            timeouts: None,
            began: Instant::now(),
            answered: None,
            returned: None,
        };
        let shared = Arc::new(Mutex::new(attempt));
        let real = std::mem::replace(
            &mut session.downstream_session,
            Box::new(ServerSession::new_custom(Box::new(()))),
        );
        let replay = Replay::new(real, Arc::clone(&shared));
        *session.downstream_session = ServerSession::new_custom(Box::new(replay));
        Self(shared)
    }

    /// What the next attempt replays, and how long it may take.
    pub(crate) fn arm(&self, body: Held, timeouts: Timeouts) {
        let mut attempt = lock(&self.0);
        attempt.body = body;
        attempt.timeouts = Some(timeouts);
        attempt.began = Instant::now();
    }

    /// Bytes of what the attempt replays.
    pub(crate) fn body_bytes(&self) -> u64 {
        lock(&self.0).body.bytes
    }

    /// Puts the real session back.
    pub(crate) fn undo(self, session: &mut Session) {
        // Dropping the replayed session returns the real one.
        *session.downstream_session = ServerSession::new_custom(Box::new(()));
        let returned = lock(&self.0).returned.take();
        if let Some(real) = returned {
            session.downstream_session = real;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(chunks: &[&'static [u8]]) -> Held {
        let mut held = Held::default();
        chunks.iter().for_each(|chunk| held.push(Bytes::from_static(chunk)));
        held
    }

    #[test]
    fn a_splice_changes_its_stretch_and_nothing_else_wherever_chunks_end() {
        let body: &'static [u8] = b"{\"model\":\"gpt\",\"x\":1}";
        for splice in [
            Splice { at: 9..14, with: b"\"deployment\"".to_vec() },
            Splice { at: 9..14, with: b"\"g\"".to_vec() },
            Splice { at: 1..1, with: b"\"model\":\"m\",".to_vec() },
            Splice { at: 0..0, with: b"<".to_vec() },
            Splice { at: 21..21, with: b">".to_vec() },
        ] {
            let (from, to) =
                (usize::try_from(splice.at.start).unwrap(), usize::try_from(splice.at.end).unwrap());
            let expected = [&body[..from], &splice.with, &body[to..]].concat();
            for first in 0..=body.len() {
                for second in first..=body.len() {
                    let spliced =
                        held(&[&body[..first], &body[first..second], &body[second..]]).spliced(Some(&splice));
                    assert_eq!(
                        spliced.chunks.concat(),
                        expected,
                        "{splice:?} with chunks ending at {first} and {second}"
                    );
                    assert_eq!(spliced.bytes, expected.len() as u64);
                    assert!(
                        spliced.chunks.len() <= 4,
                        "no more pieces than chunks, but for what is put behind the last"
                    );
                }
            }
        }
    }
}
