//! Answers on their way out: whole, or piece by piece at a pace, to the end or only half way.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::time::Sleep;

use super::entry::Entry;
use super::record::Outcome;
use super::script::{Script, fill};

/// What an operation answers with.
pub(crate) struct Reply {
    pub(crate) payload: Payload,
    /// Ids that were born and are kept.
    pub(crate) created: Vec<String>,
    pub(crate) status: u16,
    /// Headers beside the usual ones.
    pub(crate) headers: Vec<(&'static str, String)>,
    /// Of events: how they are framed.
    pub(crate) stream_type: &'static str,
    /// Kept until the answer has ended.
    pub(crate) hold: Option<Hold>,
}

/// Whatever is to be let go when an answer has ended.
pub(crate) type Hold = Box<dyn std::any::Any + Send>;

const SSE: &str = "text/event-stream; charset=utf-8";
/// How AWS frames its events.
pub(crate) const EVENT_STREAM: &str = "application/vnd.amazon.eventstream";

pub(crate) enum Payload {
    Whole {
        content_type: &'static str,
        bytes: Bytes,
    },
    /// Server-sent events, one piece each.
    Events(Events),
}

/// The events of a stream, made when they are due: thousands of open streams cost no memory for what they will yet say.
pub(crate) struct Events {
    left: usize,
    make: Box<dyn Iterator<Item = Bytes> + Send>,
}

impl Events {
    /// Of a known number, which is checked in debug builds only.
    pub(crate) fn lazy(count: usize, make: impl Iterator<Item = Bytes> + Send + 'static) -> Self {
        Events { left: count, make: Box::new(make) }
    }

    pub(crate) fn len(&self) -> usize {
        self.left
    }
}

impl From<Vec<Bytes>> for Events {
    fn from(events: Vec<Bytes>) -> Self {
        Events::lazy(events.len(), events.into_iter())
    }
}

impl Iterator for Events {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let next = self.make.next();
        debug_assert_eq!(next.is_some(), self.left > 0, "the number of events was said beforehand");
        self.left = self.left.saturating_sub(1);
        next
    }
}

impl Reply {
    fn of(payload: Payload) -> Reply {
        Reply { payload, created: Vec::new(), status: 200, headers: Vec::new(), stream_type: SSE, hold: None }
    }

    /// Nothing but a status.
    pub(crate) fn empty(status: u16) -> Reply {
        Reply::binary("text/plain", Bytes::new()).status(status)
    }

    pub(crate) fn status(mut self, status: u16) -> Reply {
        self.status = status;
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Reply {
        self.headers.push((name, value.into()));
        self
    }

    /// AWS events instead of server-sent ones.
    pub(crate) fn aws(mut self) -> Reply {
        self.stream_type = EVENT_STREAM;
        self
    }

    pub(crate) fn json(value: &impl Serialize) -> Reply {
        Reply::of(Payload::Whole { content_type: "application/json", bytes: json(value) })
    }

    pub(crate) fn binary(content_type: &'static str, bytes: impl Into<Bytes>) -> Reply {
        Reply::of(Payload::Whole { content_type, bytes: bytes.into() })
    }

    pub(crate) fn events(events: impl Into<Events>) -> Reply {
        Reply::of(Payload::Events(events.into()))
    }

    pub(crate) fn creating(mut self, id: impl Into<Option<String>>) -> Reply {
        self.created.extend(id.into());
        self
    }
}

/// One server-sent event, with or without a name.
pub(crate) fn sse(name: Option<&str>, value: &impl Serialize) -> Bytes {
    let mut event = name.map_or_else(Vec::new, |name| format!("event: {name}\n").into_bytes());
    event.extend_from_slice(b"data: ");
    serde_json::to_writer(&mut event, value).expect("values made here have string keys and finite numbers");
    event.extend_from_slice(b"\n\n");
    event.into()
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
    pub(crate) script: Script,
}

impl Words<'_> {
    pub(crate) fn whole(&self) -> String {
        let Words { name, turn, .. } = self;
        let mut text = match self.nonce {
            Some(nonce) => format!("{name} turn {turn} {nonce}"),
            None => format!("{name} turn {turn}"),
        };
        fill(&mut text, self.script.text_bytes());
        text
    }

    /// The pieces, [`Words::count`] of them.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = String> + Send + 'static {
        let chunk_bytes = self.script.chunk_bytes;
        let tail = self.nonce.map_or_else(String::new, |nonce| format!(":{nonce}"));
        let first = format!("{} turn {}", self.name, self.turn);
        let later = (1..self.count()).map(move |number| format!(" {number}{tail}"));
        std::iter::once(first).chain(later).map(move |mut text| {
            fill(&mut text, chunk_bytes);
            text
        })
    }

    pub(crate) fn count(&self) -> usize {
        self.script.chunks.max(1)
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
    pieces: Events,
    /// The length of a plain answer.
    whole_bytes: Option<u64>,
    sent: usize,
    sent_bytes: u64,
    digest: Option<Sha256>,
    stop_at: usize,
    ending: Ending,
    pace: Duration,
    pause: Option<Pin<Box<Sleep>>>,
    outcome: Outcome,
    entry: Option<Entry>,
    hold: Option<Hold>,
}

impl Answer {
    /// Nothing, of a request whose entry is another's to settle.
    pub(crate) fn none() -> Self {
        let pieces: Events = Vec::new().into();
        Answer {
            pieces,
            whole_bytes: Some(0),
            sent: 0,
            sent_bytes: 0,
            digest: None,
            stop_at: usize::MAX,
            ending: Ending::Whole,
            pace: Duration::ZERO,
            pause: None,
            outcome: Outcome::Ok,
            entry: None,
            hold: None,
        }
    }

    /// With something to be let go at its end.
    pub(crate) fn holding(mut self, hold: Option<Hold>) -> Self {
        self.hold = hold;
        self
    }

    pub(crate) fn whole(bytes: Bytes, outcome: Outcome, entry: Entry) -> Self {
        let whole_bytes = Some(bytes.len() as u64);
        let mut answer = Self::stream(vec![bytes].into(), Duration::ZERO, Ending::Whole, outcome, entry);
        answer.whole_bytes = whole_bytes;
        answer
    }

    pub(crate) fn stream(
        pieces: Events,
        pace: Duration,
        ending: Ending,
        outcome: Outcome,
        entry: Entry,
    ) -> Self {
        let stop_at = if ending == Ending::Whole { usize::MAX } else { pieces.len() / 2 };
        Answer {
            pieces,
            whole_bytes: None,
            sent: 0,
            sent_bytes: 0,
            digest: entry.digests().then(Sha256::new),
            stop_at,
            ending,
            pace,
            pause: None,
            outcome,
            entry: Some(entry),
            hold: None,
        }
    }

    fn settle(&mut self, outcome: Outcome) {
        self.hold = None;
        let Some(entry) = self.entry.take() else { return };
        let digest = match self.digest.take() {
            Some(digest) if outcome != Outcome::Faulted || self.stop_at == usize::MAX => {
                digest.finalize().into()
            }
            _ => [0; 32],
        };
        entry.amend(|seen| {
            seen.answer_bytes = self.sent_bytes;
            seen.answer_sha256 = digest;
        });
        entry.settle(outcome);
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
                this.sent_bytes += piece.len() as u64;
                if let Some(entry) = this.entry.as_ref().filter(|_| this.outcome == Outcome::Ok) {
                    entry.gives(&piece);
                }
                if let Some(digest) = &mut this.digest {
                    digest.update(&piece);
                }
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
        match self.whole_bytes {
            Some(bytes) => SizeHint::with_exact(bytes.saturating_sub(self.sent_bytes)),
            None => SizeHint::default(),
        }
    }
}

/// Compresses each piece and flushes after it, so that a stream stays a stream.
pub(crate) fn gzip(pieces: impl Iterator<Item = Bytes>) -> io::Result<Vec<Bytes>> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut packed = Vec::new();
    for piece in pieces {
        encoder.write_all(&piece)?;
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
