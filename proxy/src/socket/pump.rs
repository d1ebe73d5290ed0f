//! A socket's bytes, both ways, and whatever else it waits for. It knows nothing of frames.
//!
//! What is read of one side waits until what was made of the last read has left for the other: memory is bounded by a read's worth
//! each way, and whoever reads slowly slows down whoever sends.

use crate::gate::HeldBytes;
use crate::relay::buffer::Buffer;
use crate::relay::timer::Timer;
use crate::relay::wire::Wire;
use bytes::{Buf, Bytes};
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};
use tokio::sync::watch;
use tokio::time::Instant;

/// Parts that go out in one system call, at most.
const GATHER: usize = 16;

/// What waits to be written.
#[derive(Debug, Default)]
pub(super) struct Out {
    parts: VecDeque<Bytes>,
    bytes: usize,
    unflushed: bool,
    /// Gives the bytes of a held message back when they have left.
    held: SmallVec<[HeldBytes; 1]>,
}

impl Out {
    pub(super) fn push(&mut self, part: Bytes) {
        if !part.is_empty() {
            self.bytes += part.len();
            self.parts.push_back(part);
        }
    }

    /// Keeps count of bytes that were held for as long as they wait here.
    pub(super) fn hold(&mut self, held: HeldBytes) {
        self.held.push(held);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty() && !self.unflushed
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn clear(&mut self) {
        *self = Self::default();
    }

    /// Writes once; ready with how many bytes have left, which is 0 when there was nothing to write but what had to be flushed.
    fn poll_once(&mut self, wire: &mut Wire, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.parts.is_empty() {
            ready!(wire.poll_flush(cx))?;
            self.unflushed = false;
            self.held.clear();
            return Poll::Ready(Ok(0));
        }
        let slices: SmallVec<[IoSlice<'_>; GATHER]> =
            self.parts.iter().take(GATHER).map(|part| IoSlice::new(part)).collect();
        let written = ready!(wire.poll_write(cx, &slices))?;
        drop(slices);
        self.unflushed = true;
        self.bytes -= written;
        let mut left = written;
        while left > 0 {
            let first = self.parts.front_mut().expect("no more is written than there was");
            if first.len() > left {
                first.advance(left);
                break;
            }
            left -= first.len();
            self.parts.pop_front();
        }
        Poll::Ready(Ok(written))
    }
}

/// One end of a socket.
pub(super) struct Side<'w> {
    wire: &'w mut Wire,
    /// What was read and not used yet.
    pub(super) ahead: &'w mut Option<Buffer>,
    pub(super) out: Out,
    /// Something is ahead that nobody has looked at.
    pub(super) fresh: bool,
    /// Nothing more comes.
    pub(super) ended: bool,
    /// Nothing more can be said to it.
    pub(super) broken: bool,
    /// Since when what is to be written has not moved.
    stuck: Option<Instant>,
}

impl<'w> Side<'w> {
    pub(super) fn new(wire: &'w mut Wire, ahead: &'w mut Option<Buffer>, out: Out) -> Self {
        let fresh = ahead.is_some();
        let stuck = (!out.is_empty()).then(Instant::now);
        Self { wire, ahead, out, fresh, ended: false, broken: false, stuck }
    }

    pub(super) fn push(&mut self, part: impl Into<Bytes>) {
        if self.broken {
            return;
        }
        self.stuck.get_or_insert_with(Instant::now);
        self.out.push(part.into());
    }

    /// Throws away as much of what is ahead as `used` says.
    pub(super) fn discard(&mut self, used: impl FnOnce(&[u8]) -> usize) {
        self.fresh = false;
        let Some(ahead) = self.ahead.as_mut() else { return };
        let used = used(ahead.bytes());
        ahead.consume(used);
        // Without room nothing more would be read; what stands there is nothing any more.
        if ahead.is_empty() || !ahead.has_room() {
            *self.ahead = None;
        }
    }

    /// Writes what there is; true when that changes something: everything has left, or nothing ever will.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> bool {
        while !self.out.is_empty() {
            match self.out.poll_once(self.wire, cx) {
                Poll::Ready(Ok(_)) => self.stuck = Some(Instant::now()),
                Poll::Ready(Err(_)) => {
                    self.out.clear();
                    // It may still have said something before.
                    self.broken = true;
                    self.stuck = None;
                    return true;
                }
                Poll::Pending => return false,
            }
            if self.out.is_empty() {
                self.stuck = None;
                return true;
            }
        }
        false
    }

    /// Ready when more has come, or the end.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.ended || !self.ahead.as_ref().is_none_or(Buffer::has_room) {
            return Poll::Pending;
        }
        match ready!(self.wire.poll_ahead(self.ahead, cx)) {
            Ok(0) | Err(_) => self.ended = true,
            Ok(_) => self.fresh = true,
        }
        Poll::Ready(())
    }
}

/// What a socket was woken by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Somebody said something, or ended.
    Came,
    /// Everything that was to be written to one of them has left.
    Room,
    /// The moment that was waited for has come.
    Due,
    /// What the contract allows may have changed.
    Terms,
    /// The process is about to end.
    Drains,
}

/// Both ends.
pub(super) struct Pump<'w> {
    pub(super) client: Side<'w>,
    /// None until there is one.
    pub(super) upstream: Option<Side<'w>>,
    timer: &'w mut Timer,
    terms: watch::Receiver<u64>,
    draining: watch::Receiver<bool>,
    drains: bool,
    /// Whose turn it is to be read first, so that neither starves the other.
    turn: bool,
}

impl<'w> Pump<'w> {
    pub(super) fn new(
        client: Side<'w>,
        upstream: Option<Side<'w>>,
        timer: &'w mut Timer,
        terms: watch::Receiver<u64>,
        draining: watch::Receiver<bool>,
    ) -> Self {
        Self { client, upstream, timer, terms, draining, drains: false, turn: false }
    }

    /// When a side that does not take what it is sent has had `within` for it.
    pub(super) fn stuck_until(&self, within: std::time::Duration) -> Option<Instant> {
        let sides = [Some(&self.client), self.upstream.as_ref()];
        sides.into_iter().flatten().filter_map(|side| side.stuck).min().map(|since| since + within)
    }

    /// Whether it is the client that has not taken anything since `before`.
    pub(super) fn client_is_stuck(&self, before: Instant) -> bool {
        self.client.stuck.is_some_and(|since| since <= before)
    }

    /// Whether the upstream has not taken anything since `before`.
    pub(super) fn upstream_is_stuck(&self, before: Instant) -> bool {
        self.upstream.as_ref().and_then(|side| side.stuck).is_some_and(|since| since <= before)
    }

    /// Reads and writes until something has happened, or `due` has passed.
    pub(super) async fn next(&mut self, due: Instant) -> Event {
        let Self { client, upstream, timer, terms, draining, drains, turn } = self;
        let bytes = std::future::poll_fn(|cx| {
            // Before all else, for a side that always has something to say must not put it off.
            if timer.poll(due, cx).is_ready() {
                return Poll::Ready(Event::Due);
            }
            if client.poll_write(cx) | upstream.as_mut().is_some_and(|side| side.poll_write(cx)) {
                return Poll::Ready(Event::Room);
            }
            *turn = !*turn;
            for upstreams in [*turn, !*turn] {
                // The client is always read, as far as there is room, so that its going away is seen.
                let came = match upstream {
                    Some(upstream) if upstreams => {
                        !upstream.fresh && client.out.is_empty() && upstream.poll_read(cx).is_ready()
                    }
                    _ if upstreams => false,
                    _ => client.poll_read(cx).is_ready(),
                };
                if came {
                    return Poll::Ready(Event::Came);
                }
            }
            Poll::Pending
        });
        tokio::select! {
            biased;
            // Rare, and not to be put off by a socket that is always busy.
            Ok(()) = terms.changed() => Event::Terms,
            _ = draining.wait_for(|draining| *draining), if !*drains => {
                *drains = true;
                Event::Drains
            }
            event = bytes => event,
        }
    }
}
