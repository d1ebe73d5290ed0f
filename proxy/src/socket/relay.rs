//! A socket that is connected: messages both ways, until one of the two has said its last, or we must.
//!
//! What an endpoint says goes on as it came, once the handles in it are pinned. What a client says goes on as it came, once its message is
//! whole and was judged; control frames do not wait for the message that they stand in.

use super::ending::{Cut, Deadlines, Ended, Over};
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
use crate::seals::{Opener, Sealing};
use crate::snapshot::Snapshot;
use riparian_filters::decision::{Decision, Reason};
use riparian_filters::frame::{Close, CloseCode, Frames, Kind, Piece, Step, write_fragment};
use riparian_filters::rewrite::Splice;
use std::sync::Arc;
use tokio::time::Instant;

/// What may wait to be written before the next message is taken: several short ones leave together.
const GATHER_BYTES: usize = 64 * 1024;

/// What of our own may wait for a client that does not read.
const OWN_BYTES_MAX: usize = 256 * 1024;

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
    pub(super) frames: Frames,
    pub(super) close: Close,
    observer: Option<Observer>,
    /// Where clients have the pins.
    seals: Option<Box<Sealing>>,
    /// A frame of the message that is under way has gone on.
    begun: bool,
    /// What we have to say when its message is over.
    pub(super) behind: Vec<u8>,
}

impl Server {
    pub(super) fn new(observer: Option<Observer>, seals: Option<Box<Sealing>>) -> Self {
        let (frames, close) = (Frames::new(false), Close::default());
        Self { frames, close, observer, seals, begun: false, behind: Vec::new() }
    }

    /// Appends what `bytes`, the next piece, become with their seals. Frames say how long they are, so each piece of a message
    /// becomes a frame of its own.
    fn seal(&mut self, out: &mut Vec<u8>, step: &Step, bytes: &[u8]) {
        let Some(seals) = self.seals.as_mut().filter(|_| !step.kind.is_control()) else {
            return out.extend_from_slice(bytes);
        };
        let sealed = match step.piece {
            Piece::Head(_) if !step.ends_message => return,
            Piece::Head(_) => Some(Vec::new()),
            Piece::Payload(_) => seals.apply(bytes),
        };
        let payload = sealed.as_deref().unwrap_or(bytes);
        write_fragment(out, step.kind, !self.begun, step.ends_message, payload);
        self.begun = !step.ends_message;
        if step.ends_message {
            seals.end_of_message();
        }
    }
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

    pub(super) fn upstream(&mut self) -> &mut Side<'w> {
        self.pump.upstream.as_mut().expect("a relay has both sides")
    }

    /// Passes on what the endpoint says; with `one_frame`, no more than what is left of the frame that has begun.
    pub(super) async fn take_upstream(&mut self, one_frame: bool) -> Result<(), Cut> {
        let Self { house, record, pump, server, .. } = self;
        let Pump { client, upstream: Some(upstream), .. } = pump else { return Ok(()) };
        if !upstream.fresh || !client.out.is_empty() {
            return Ok(());
        }
        upstream.fresh = false;
        let Some(ahead) = upstream.ahead.as_mut() else { return Ok(()) };
        let (mut used, mut fault) = (0, None);
        let mut sealed = Vec::new();
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
                            let seals = server.seals.as_deref_mut();
                            observer.feed(house, record, &bytes[..step.bytes], seals).await;
                        }
                    }
                    Kind::Close => server.close.push(&bytes[..step.bytes]),
                    Kind::Ping | Kind::Pong => {}
                }
            }
            if server.seals.is_some() {
                server.seal(&mut sealed, &step, &bytes[..step.bytes]);
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
        if server.seals.is_some() {
            client.push(sealed);
        } else if let Some(passed) = passed.filter(|passed| !passed.is_empty()) {
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
        let mut opener = Opener::new(&snapshot, self.standing.asker.tenant);
        let said = message.said(&snapshot, recognised.surface, opener.as_mut());
        let said = said.map_err(|fault| self.fault(&fault))?;
        let opened = opener.map_or_else(Vec::new, |opener| opener.opened);
        if let Some(seals) = &mut self.server.seals {
            seals.cite(&opened);
        }
        let judged = match &said {
            Said::Opaque => Ok(None),
            Said::Refused(refusal) => Err(refusal.clone().into()),
            Said::Json(read) => {
                let observer = self.server.observer.as_ref();
                self.standing.judge(self.house, head, observer, &snapshot, &recognised, (read, &opened)).await
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
    pub(super) fn tell(
        &mut self,
        refusal: &Refusal,
        decision: Option<Box<Decision>>,
        snapshot: &Arc<Snapshot>,
    ) {
        self.record.socket.refused += 1;
        self.house.metrics.refused(refusal.reason);
        let event = tell::error_event(snapshot, self.record.id, decision, refusal);
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
}
