//! Answers on their way out: whole, or piece by piece at a pace, to the end or only half way.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use serde::Serialize;
use tokio::time::Sleep;

use super::entry::Entry;
use super::record::Outcome;

/// What an operation answers with.
pub(crate) struct Reply {
    pub(crate) payload: Payload,
    /// Ids that were born and are kept.
    pub(crate) created: Vec<String>,
}

pub(crate) enum Payload {
    Whole {
        content_type: &'static str,
        bytes: Bytes,
    },
    /// Server-sent events, one piece each.
    Events(Vec<Bytes>),
}

impl Reply {
    pub(crate) fn json(value: &impl Serialize) -> Reply {
        Reply {
            payload: Payload::Whole { content_type: "application/json", bytes: json(value) },
            created: Vec::new(),
        }
    }

    pub(crate) fn binary(content_type: &'static str, bytes: Vec<u8>) -> Reply {
        Reply { payload: Payload::Whole { content_type, bytes: bytes.into() }, created: Vec::new() }
    }

    pub(crate) fn events(events: Vec<Bytes>) -> Reply {
        Reply { payload: Payload::Events(events), created: Vec::new() }
    }

    pub(crate) fn creating(mut self, id: impl Into<Option<String>>) -> Reply {
        self.created.extend(id.into());
        self
    }
}

/// Serialises what this crate made itself.
pub(crate) fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).expect("values made here have string keys and finite numbers").into()
}

/// The words of an answer. The first piece says where it came from and how long the chain is; every later piece carries the
/// request's nonce and its own number, so that a reader can tell a missing, doubled or foreign piece.
pub(crate) struct Words<'a> {
    pub(crate) name: &'a str,
    pub(crate) turn: u64,
    pub(crate) nonce: Option<&'a str>,
    pub(crate) pieces: usize,
}

impl Words<'_> {
    pub(crate) fn whole(&self) -> String {
        let Words { name, turn, .. } = self;
        match self.nonce {
            Some(nonce) => format!("{name} turn {turn} {nonce}"),
            None => format!("{name} turn {turn}"),
        }
    }

    pub(crate) fn pieces(&self) -> Vec<String> {
        let later = (1..self.pieces.max(1)).map(|number| match self.nonce {
            Some(nonce) => format!(" {number}:{nonce}"),
            None => format!(" {number}"),
        });
        std::iter::once(format!("{} turn {}", self.name, self.turn)).chain(later).collect()
    }
}

/// How a stream is to end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Whole,
    /// Half way: silence.
    Stall,
    /// Half way: the end of the connection.
    Cut,
}

/// How long a cut waits, so that what was sent before it is on the wire: a reset in HTTP/2 overtakes queued data.
const CUT_AFTER: Duration = Duration::from_millis(5);

/// The body of an answer. It settles the entry of its request when it has handed over its last byte; dropped before, the
/// entry is settled as [`Outcome::ClientGone`].
pub(crate) struct Answer {
    pieces: std::vec::IntoIter<Bytes>,
    whole: bool,
    sent: usize,
    stop_at: usize,
    ending: Ending,
    pace: Duration,
    pause: Option<Pin<Box<Sleep>>>,
    outcome: Outcome,
    entry: Option<Entry>,
}

impl Answer {
    pub(crate) fn whole(bytes: Bytes, outcome: Outcome, entry: Entry) -> Self {
        let mut answer = Self::stream(vec![bytes], Duration::ZERO, Ending::Whole, outcome, entry);
        answer.whole = true;
        answer
    }

    pub(crate) fn stream(
        pieces: Vec<Bytes>,
        pace: Duration,
        ending: Ending,
        outcome: Outcome,
        entry: Entry,
    ) -> Self {
        let stop_at = if ending == Ending::Whole { usize::MAX } else { pieces.len() / 2 };
        Answer {
            pieces: pieces.into_iter(),
            whole: false,
            sent: 0,
            stop_at,
            ending,
            pace,
            pause: None,
            outcome,
            entry: Some(entry),
        }
    }

    fn settle(&mut self, outcome: Outcome) {
        if let Some(entry) = self.entry.take() {
            entry.settle(outcome);
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = &mut *self;
        if this.sent == this.stop_at {
            if this.ending == Ending::Stall {
                return Poll::Pending; // the entry stays open until the other side gives up
            }
            let pause =
                this.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(CUT_AFTER.max(this.pace))));
            ready!(pause.as_mut().poll(context));
            this.settle(Outcome::Faulted);
            return Poll::Ready(Some(Err(io::Error::other("this stream is cut on request"))));
        }
        if this.sent > 0 && !this.pace.is_zero() && this.pieces.len() > 0 {
            let pause = this.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(this.pace)));
            ready!(pause.as_mut().poll(context));
            this.pause = None;
        }
        match this.pieces.next() {
            Some(piece) => {
                this.sent += 1;
                if this.pieces.len() == 0 && this.stop_at == usize::MAX {
                    this.settle(this.outcome);
                }
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.len() == 0 && self.stop_at == usize::MAX
    }

    fn size_hint(&self) -> SizeHint {
        if self.whole {
            SizeHint::with_exact(self.pieces.as_slice().iter().map(|piece| piece.len() as u64).sum())
        } else {
            SizeHint::default()
        }
    }
}

/// Compresses each piece and flushes after it, so that a stream stays a stream.
pub(crate) fn gzip(pieces: &[Bytes]) -> io::Result<Vec<Bytes>> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut packed = Vec::with_capacity(pieces.len());
    for piece in pieces {
        encoder.write_all(piece)?;
        encoder.flush()?;
        packed.push(Bytes::from(std::mem::take(encoder.get_mut())));
    }
    let end = encoder.finish()?;
    match packed.last_mut() {
        Some(last) => *last = [&last[..], &end[..]].concat().into(),
        None => packed.push(end.into()),
    }
    Ok(packed)
}
