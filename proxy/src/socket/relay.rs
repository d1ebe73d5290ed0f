//! A socket that is connected: messages both ways, until one of the two has said its last, or we must.
//!
//! What an endpoint says goes on as it came, once the handles in it are pinned. What a client says goes on as it came, once its message is
//! whole and was judged; control frames do not wait for the message that they stand in.

use super::judge::{Refused, Standing, recognise};
use super::message::{Caller, Fault, Heard, Message, Said};
use super::pump::{Event, Pump, Side};
use super::tell;
use crate::house::House;
use crate::metrics::Outcome;
use crate::observe::Observer;
use crate::record::Record;
use crate::refuse::Refusal;
use crate::relay::head::RequestHead;
use crate::snapshot::Snapshot;
use riparian_filters::decision::{Decision, Reason};
use riparian_filters::frame::{Close, CloseCode, Frames, Kind, Piece};
use riparian_filters::rewrite::Splice;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What may wait to be written before the next message is taken: several short ones leave together.
const GATHER_BYTES: usize = 64 * 1024;

/// What of our own may wait for a client that does not read.
const OWN_BYTES_MAX: usize = 256 * 1024;

/// How long the second close frame may take, when nothing else comes either.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

/// How long a client that we close has to hear of it. What the contract ends, ends within a second.
pub(super) const PART_WITHIN: Duration = Duration::from_millis(900);

/// How long an endpoint has to take the news that its client has gone.
const LEAVE_WITHIN: Duration = Duration::from_millis(500);

/// A connected socket.
pub(super) struct Relay<'a, 'w> {
    pub(super) house: &'a Arc<House>,
    pub(super) record: &'a mut Record,
    pub(super) head: &'a RequestHead,
    pub(super) pump: Pump<'w>,
    pub(super) caller: Caller,
    pub(super) server: Server,
    pub(super) standing: Standing,
    pub(super) deadlines: Deadlines,
    /// A control frame of the client's has gone on in part.
    pub(super) half_control: bool,
}

/// What an endpoint sends.
pub(super) struct Server {
    frames: Frames,
    close: Close,
    observer: Option<Observer>,
    /// What we have to say when its message is over.
    behind: Vec<u8>,
}

impl Server {
    pub(super) fn new(observer: Option<Observer>) -> Self {
        Self { frames: Frames::new(false), close: Close::default(), observer, behind: Vec::new() }
    }
}

/// How long a socket may do what.
pub(super) struct Deadlines {
    /// Without a byte either way, and for whoever does not take what it is sent.
    pub(super) idle: Duration,
    /// For a message to become whole.
    pub(super) message: Duration,
    /// From the moment that the process is to end.
    pub(super) drain: Duration,
    pub(super) active: Instant,
    pub(super) drained: Option<Instant>,
}

/// How a socket ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    pub(super) code: CloseCode,
    pub(super) outcome: Outcome,
    /// Why, where it was us who ended it.
    pub(super) reason: Option<Reason>,
}

/// We end it.
pub(super) struct Cut {
    ended: Ended,
    /// What the close frame says; safe to show.
    why: &'static str,
    /// Whether there is anybody to be told.
    quietly: bool,
}

impl Cut {
    pub(super) fn new(code: CloseCode, why: &'static str, outcome: Outcome, reason: Reason) -> Self {
        Self { ended: Ended { code, outcome, reason: Some(reason) }, why, quietly: false }
    }

    fn quiet(outcome: Outcome) -> Self {
        let ended = Ended { code: CloseCode::ABNORMAL, outcome, reason: None };
        Self { ended, why: "", quietly: true }
    }

    fn idle() -> Self {
        let ended = Ended { code: CloseCode::GOING_AWAY, outcome: Outcome::Truncated, reason: None };
        Self { ended, why: "nothing was said for too long", quietly: false }
    }

    fn terms() -> Self {
        Self::new(CloseCode::POLICY, "the contract's terms changed", Outcome::Refused, Reason::TermsChanged)
    }
}

/// What the loop goes on with.
enum Over {
    Ended(Ended),
    Cut(Cut),
}

impl<'w> Relay<'_, 'w> {
    /// Sends the message that chose the cloud.
    pub(super) fn begin(&mut self, message: Message, splice: Option<&Splice>) {
        self.send(message, splice);
    }

    /// Relays until the socket is over.
    pub(super) async fn run(mut self) -> Ended {
        // What the contract allows may have changed between the decision and now.
        let mut next = self.terms();
        let over = loop {
            if let Err(cut) = next {
                break Over::Cut(cut);
            }
            let taken = match self.take_upstream(false).await {
                Ok(()) => self.take_client().await,
                Err(cut) => Err(cut),
            };
            if let Err(cut) = taken {
                break Over::Cut(cut);
            }
            if let Some(over) = self.over() {
                break over;
            }
            next = match self.pump.next(self.due()).await {
                Event::Came => {
                    self.deadlines.active = Instant::now();
                    Ok(())
                }
                Event::Room => Ok(()),
                Event::Due => match self.late() {
                    Some(over) => break over,
                    None => Ok(()),
                },
                Event::Terms => self.terms(),
                Event::Drains => {
                    self.deadlines.drained = Some(Instant::now() + self.deadlines.drain);
                    Ok(())
                }
            };
        };
        match over {
            Over::Ended(ended) => ended,
            Over::Cut(cut) if cut.quietly => {
                self.leave().await;
                cut.ended
            }
            Over::Cut(cut) => self.part(&cut).await,
        }
    }

    fn upstream(&mut self) -> &mut Side<'w> {
        self.pump.upstream.as_mut().expect("a relay has both sides")
    }

    fn is_closing(&self) -> bool {
        self.caller.frames.is_closed() || self.server.frames.is_closed()
    }

    fn due(&self) -> Instant {
        let deadlines = &self.deadlines;
        let quiet = deadlines.active
            + if self.is_closing() { CLOSE_WITHIN.min(deadlines.idle) } else { deadlines.idle };
        let message = self.caller.since().map(|since| since + deadlines.message);
        let stuck = self.pump.stuck_until(deadlines.idle);
        [message, stuck, deadlines.drained].into_iter().flatten().fold(quiet, Instant::min)
    }

    /// What is over, now that one of the deadlines is.
    fn late(&mut self) -> Option<Over> {
        let now = Instant::now();
        let idle = self.deadlines.idle;
        let before = now.checked_sub(idle);
        if before.is_some_and(|before| self.pump.client_is_stuck(before)) {
            return Some(Over::Cut(Cut::quiet(Outcome::ClientAbort)));
        }
        if before.is_some_and(|before| self.pump.upstream_is_stuck(before)) {
            let why = "the endpoint does not read";
            return Some(Over::Cut(Cut::new(
                CloseCode::INTERNAL,
                why,
                Outcome::Truncated,
                Reason::UpstreamTimeout,
            )));
        }
        if self.caller.since().is_some_and(|since| since + self.deadlines.message <= now) {
            let why = "a message did not arrive in time";
            self.tell(&Refusal::from(Reason::BodyTimeout), None, &self.house.snapshot.load_full());
            return Some(Over::Cut(Cut::new(CloseCode::POLICY, why, Outcome::Refused, Reason::BodyTimeout)));
        }
        if self.deadlines.drained.is_some_and(|drained| drained <= now) {
            let mut cut = Cut::new(CloseCode::GOING_AWAY, "the proxy ends", Outcome::Ok, Reason::Draining);
            cut.ended.reason = None;
            return Some(Over::Cut(cut));
        }
        if self.is_closing() {
            return (self.deadlines.active + CLOSE_WITHIN.min(idle) <= now)
                .then(|| Over::Ended(self.closed()));
        }
        (self.deadlines.active + idle <= now).then(|| Over::Cut(Cut::idle()))
    }

    /// Whether the contract in force still allows the socket.
    fn terms(&self) -> Result<(), Cut> {
        let snapshot = self.house.snapshot.load();
        self.standing.may_stay(&snapshot, self.head).map_err(|_| Cut::terms())
    }

    /// How a socket ended on which somebody has said goodbye.
    fn closed(&self) -> Ended {
        let code = self.caller.closed().or_else(|| self.server.close.code()).unwrap_or(CloseCode::NONE);
        Ended { code, outcome: Outcome::Ok, reason: None }
    }

    /// Whether both have said all that they will say, and it has left.
    fn over(&mut self) -> Option<Over> {
        let (callers, servers) = (self.caller.frames.is_closed(), self.server.frames.is_closed());
        let Pump { client, upstream: Some(upstream), .. } = &mut self.pump else { return None };
        if callers && servers && client.out.is_empty() && upstream.out.is_empty() {
            return Some(Over::Ended(self.closed()));
        }
        let gone =
            client.broken || client.ended && (!client.fresh || upstream.ended) && upstream.out.is_empty();
        if gone {
            if servers {
                return Some(Over::Ended(self.closed()));
            }
            // One that has said goodbye may still listen.
            if !callers || client.broken {
                return Some(Over::Cut(Cut::quiet(if callers { Outcome::Ok } else { Outcome::ClientAbort })));
            }
        }
        if upstream.ended && !upstream.fresh && client.out.is_empty() && !servers {
            let why = "the endpoint broke the connection";
            let mut cut = Cut::new(CloseCode::INTERNAL, why, Outcome::Truncated, Reason::UpstreamReset);
            if let Some(code) = self.caller.closed() {
                cut.ended = Ended { code, outcome: Outcome::Ok, reason: None };
                cut.why = "";
            }
            return Some(Over::Cut(cut));
        }
        None
    }

    /// Passes on what the endpoint says; with `one_frame`, no more than what is left of the frame that has begun.
    async fn take_upstream(&mut self, one_frame: bool) -> Result<(), Cut> {
        let Self { house, record, pump, server, .. } = self;
        let Pump { client, upstream: Some(upstream), .. } = pump else { return Ok(()) };
        if !upstream.fresh || !client.out.is_empty() {
            return Ok(());
        }
        upstream.fresh = false;
        let Some(ahead) = upstream.ahead.as_mut() else { return Ok(()) };
        let (mut used, mut fault) = (0, None);
        loop {
            let bytes = &ahead.bytes()[used..];
            let step = match server.frames.next(bytes) {
                Ok(Some(step)) => step,
                Ok(None) => break,
                Err(error) => {
                    fault = Some(error);
                    break;
                }
            };
            if matches!(step.piece, Piece::Payload(_)) {
                match step.kind {
                    Kind::Text | Kind::Binary => {
                        if let Some(observer) = &mut server.observer {
                            observer.feed(house, record, &bytes[..step.bytes]).await;
                        }
                    }
                    Kind::Close => server.close.push(&bytes[..step.bytes]),
                    Kind::Ping | Kind::Pong => {}
                }
            }
            used += step.bytes;
            if step.ends_message && !step.kind.is_control() {
                if let Some(observer) = &mut server.observer {
                    observer.end_of_message(house, record).await;
                }
                record.socket.sent += 1;
            }
            let ours = !server.behind.is_empty() && server.frames.is_between_messages();
            if ours || (one_frame && step.ends_frame) {
                upstream.fresh = true;
                break;
            }
        }
        record.response_bytes += used as u64;
        let rest = ahead.split_off(used);
        let passed = std::mem::replace(upstream.ahead, rest);
        if let Some(passed) = passed.filter(|passed| !passed.is_empty()) {
            client.push(passed.freeze());
        }
        if !server.behind.is_empty() && server.frames.is_between_messages() {
            client.push(std::mem::take(&mut server.behind));
        }
        match fault {
            Some(_) => {
                let why = "the endpoint sent what is no frame";
                Err(Cut::new(CloseCode::INTERNAL, why, Outcome::Truncated, Reason::UpstreamReset))
            }
            None => Ok(()),
        }
    }

    /// Takes what the client says, as far as there is room for it.
    async fn take_client(&mut self) -> Result<(), Cut> {
        loop {
            let waiting = self.upstream().out.bytes();
            let client = &mut self.pump.client;
            let room =
                waiting < GATHER_BYTES && client.out.bytes() < OWN_BYTES_MAX && self.server.behind.is_empty();
            if !client.fresh || !room {
                return Ok(());
            }
            let Some(ahead) = client.ahead.as_mut() else {
                client.fresh = false;
                return Ok(());
            };
            let (house, head, record) = (self.house, self.head, &*self.record);
            let by = || super::read_by(house, head, record);
            let (bytes, heard) = match self.caller.hear(house, by, ahead.bytes_mut()) {
                Ok(Some(heard)) => heard,
                Ok(None) => {
                    if self.caller.frames.is_closed() {
                        *client.ahead = None;
                    }
                    client.fresh = false;
                    return Ok(());
                }
                Err(fault) => return Err(self.fault(&fault)),
            };
            self.record.request_bytes += bytes as u64;
            ahead.consume(bytes);
            if ahead.is_empty() {
                *client.ahead = None;
            }
            match heard {
                Heard::Part => {}
                Heard::Control { raw, ends, .. } => {
                    self.half_control = !ends;
                    self.upstream().push(raw);
                }
                Heard::Whole(message) => self.message(*message).await?,
            }
        }
    }

    async fn message(&mut self, mut message: Message) -> Result<(), Cut> {
        let snapshot = self.house.snapshot.load_full();
        let head = self.head;
        let recognised = recognise(&snapshot.policy, head).ok_or_else(Cut::terms)?;
        let said = message.said(&snapshot, recognised.surface).map_err(|fault| self.fault(&fault))?;
        let judged = match &said {
            Said::Opaque => Ok(None),
            Said::Refused(refusal) => Err(refusal.clone().into()),
            Said::Json(read) => {
                let observer = self.server.observer.as_ref();
                self.standing.judge(self.house, head, observer, &snapshot, &recognised, read).await
            }
        };
        match judged {
            Ok(splice) => {
                self.send(message, splice.as_ref());
                Ok(())
            }
            Err(Refused { refusal, decision }) => {
                self.tell(&refusal, decision, &snapshot);
                // Does it concern the message alone, or the socket as well?
                self.standing.may_stay(&snapshot, head).map_err(|_| Cut::terms())
            }
        }
    }

    fn send(&mut self, message: Message, splice: Option<&Splice>) {
        self.record.socket.received += 1;
        let (parts, held) = message.outgoing(splice);
        let upstream = self.upstream();
        parts.into_iter().for_each(|part| upstream.push(part));
        upstream.out.hold(held);
    }

    /// Tells the client that a message did not go on.
    fn tell(&mut self, refusal: &Refusal, decision: Option<Box<Decision>>, snapshot: &Arc<Snapshot>) {
        self.record.socket.refused += 1;
        self.house.metrics.refused(refusal.reason);
        let event = tell::error_event(snapshot, self.record.id, decision.map(|decision| *decision), refusal);
        if self.server.frames.is_between_messages() {
            self.pump.client.push(event);
        } else {
            self.server.behind.extend_from_slice(&event);
        }
    }

    /// What a client said that cannot be taken; it is told, and that is the end.
    fn fault(&mut self, fault: &Fault) -> Cut {
        self.tell(&fault.refusal, None, &self.house.snapshot.load_full());
        Cut::new(fault.code, "", Outcome::Refused, fault.refusal.reason)
    }

    /// Says goodbye to the endpoint, in the stead of a client that has not.
    fn close_upstream(&mut self) {
        if !self.caller.frames.is_closed() && !self.half_control {
            self.upstream().push(tell::close_upstream(CloseCode::GOING_AWAY));
        }
    }

    /// The client is gone: the endpoint is told, if it listens.
    async fn leave(&mut self) {
        let due = Instant::now() + LEAVE_WITHIN;
        self.close_upstream();
        while !self.upstream().out.is_empty() && self.pump.next(due).await != Event::Due {}
    }

    /// Says goodbye to both, and gives the client a moment to hear it.
    async fn part(&mut self, cut: &Cut) -> Ended {
        let due = Instant::now() + PART_WITHIN;
        // Only behind the frame that has begun can anything be said.
        while !self.server.frames.is_between_frames() {
            let Ok(()) = self.take_upstream(true).await else { break };
            if self.server.frames.is_between_frames() {
                break;
            }
            let lost = self.pump.client.ended || self.upstream().ended && !self.upstream().fresh;
            if lost || self.pump.next(due).await == Event::Due {
                return cut.ended;
            }
        }
        if self.server.frames.is_between_frames() && !self.server.frames.is_closed() {
            if self.server.frames.is_between_messages() && !self.server.behind.is_empty() {
                let behind = std::mem::take(&mut self.server.behind);
                self.pump.client.push(behind);
            }
            self.pump.client.push(tell::close(cut.ended.code, cut.why));
        }
        self.close_upstream();
        farewell(&mut self.pump, &mut self.caller, due).await;
        cut.ended
    }
}

/// Lets what was said last leave, and waits until the client has said its last, too; nobody listens to anything else.
pub(super) async fn farewell(pump: &mut Pump<'_>, caller: &mut Caller, due: Instant) {
    loop {
        pump.client.discard(|bytes| {
            // Behind a fault nothing has a meaning, and then only the end is waited for.
            let mut at = 0;
            while let Ok(Some(step)) = caller.frames.next(&bytes[at..]) {
                at += step.bytes;
            }
            at
        });
        let sent = pump.client.out.is_empty();
        if let Some(upstream) = &mut pump.upstream {
            upstream.discard(<[u8]>::len);
        }
        let heard = caller.frames.is_closed() || pump.client.ended;
        let told = pump.upstream.as_ref().is_none_or(|upstream| upstream.out.is_empty());
        if (sent && heard && told) || pump.client.broken || pump.next(due).await == Event::Due {
            return;
        }
    }
}
