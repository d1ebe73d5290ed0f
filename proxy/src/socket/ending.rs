//! How a socket ends: when it is over, who is told, and within what time.

use super::message::Caller;
use super::pump::{Event, Pump};
use super::relay::Relay;
use super::tell;
use crate::metrics::Outcome;
use crate::refuse::Refusal;
use riparian_filters::decision::Reason;
use riparian_filters::frame::CloseCode;
use std::time::Duration;
use tokio::time::Instant;

/// How long the second close frame may take, when nothing else comes either.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

/// How long a client that we close has to hear of it. What the contract ends, ends within a second.
pub(super) const PART_WITHIN: Duration = Duration::from_millis(900);

/// How long an endpoint has to take the news that its client has gone.
const LEAVE_WITHIN: Duration = Duration::from_millis(500);

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
    pub(super) ended: Ended,
    /// What the close frame says; safe to show.
    why: &'static str,
    /// Whether there is anybody to be told.
    pub(super) quietly: bool,
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

    pub(super) fn terms() -> Self {
        Self::new(CloseCode::POLICY, "the contract's terms changed", Outcome::Refused, Reason::TermsChanged)
    }
}

/// What the loop goes on with.
pub(super) enum Over {
    Ended(Ended),
    Cut(Cut),
}

impl Relay<'_, '_> {
    fn is_closing(&self) -> bool {
        self.caller.frames.is_closed() || self.server.frames.is_closed()
    }

    pub(super) fn due(&self) -> Instant {
        let deadlines = &self.deadlines;
        let quiet = deadlines.active
            + if self.is_closing() { CLOSE_WITHIN.min(deadlines.idle) } else { deadlines.idle };
        let message = self.caller.since().map(|since| since + deadlines.message);
        let stuck = self.pump.stuck_until(deadlines.idle);
        [message, stuck, deadlines.drained].into_iter().flatten().fold(quiet, Instant::min)
    }

    /// What is over, now that one of the deadlines is.
    pub(super) fn late(&mut self) -> Option<Over> {
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
    pub(super) fn terms(&mut self) -> Result<(), Cut> {
        let snapshot = self.house.snapshot.load();
        self.standing.may_stay(&snapshot, self.head).map_err(|_| Cut::terms())
    }

    /// How a socket ended on which somebody has said goodbye.
    fn closed(&self) -> Ended {
        let code = self.caller.closed().or_else(|| self.server.close.code()).unwrap_or(CloseCode::NONE);
        Ended { code, outcome: Outcome::Ok, reason: None }
    }

    /// Whether both have said all that they will say, and it has left.
    pub(super) fn over(&mut self) -> Option<Over> {
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

    /// Says goodbye to the endpoint, in the stead of a client that has not.
    fn close_upstream(&mut self) {
        if !self.caller.frames.is_closed() && !self.half_control {
            self.upstream().push(tell::close_upstream(CloseCode::GOING_AWAY));
        }
    }

    /// The client is gone: the endpoint is told, if it listens.
    pub(super) async fn leave(&mut self) {
        let due = Instant::now() + LEAVE_WITHIN;
        self.close_upstream();
        while !self.upstream().out.is_empty() && self.pump.next(due).await != Event::Due {}
    }

    /// Says goodbye to both, and gives the client a moment to hear it.
    pub(super) async fn part(&mut self, cut: &Cut) -> Ended {
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
