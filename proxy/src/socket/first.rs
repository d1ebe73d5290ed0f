//! A socket whose client was answered, and whose first message is waited for. There is no endpoint yet: pings are ours to answer.

use super::ending::{Ended, PART_WITHIN, farewell};
use super::message::{Caller, Heard, Message};
use super::pump::{Event, Out, Pump};
use super::{alone, tell};
use crate::house::House;
use crate::metrics::Outcome;
use crate::record::Record;
use crate::refuse::Refusal;
use crate::relay::client::Http1;
use crate::relay::head::RequestHead;
use crate::relay::timer::Timer;
use bytes::Bytes;
use riparian_filters::decision::Reason;
use riparian_filters::frame::{self, CloseCode, Kind};
use std::sync::Arc;
use tokio::time::Instant;

/// The message that chooses the cloud.
pub(super) struct First {
    pub(super) caller: Caller,
    pub(super) message: Message,
    /// What the client has not taken yet.
    pub(super) out: Out,
}

/// Pongs that may wait for a client that does not read.
const PONGS_BYTES_MAX: usize = 16 * 1024;

/// Answers the handshake with `begin`, and waits for the first message.
pub(super) async fn first(
    house: &Arc<House>,
    client: &mut Http1,
    head: &RequestHead,
    timer: &mut Timer,
    record: &mut Record,
    begin: Bytes,
) -> Result<First, Ended> {
    let mut out = Out::default();
    out.push(begin);
    let mut pump = alone(house, client, timer, out);
    let mut caller = Caller::new();
    let limits = &record.snapshot.policy.config.limits;
    let (idle, within) = (limits.idle, limits.body_within);
    let mut active = Instant::now();
    let part = loop {
        match take(house, head, record, &mut pump, &mut caller) {
            Ok(None) => {}
            Ok(Some(message)) => {
                let out = std::mem::take(&mut pump.client.out);
                return Ok(First { caller, message, out });
            }
            Err(part) => break part,
        }
        if pump.client.broken || (pump.client.ended && !pump.client.fresh) {
            return Err(Ended { code: CloseCode::ABNORMAL, outcome: Outcome::ClientAbort, reason: None });
        }
        let message = caller.since().map(|since| since + within);
        let due = [message, pump.stuck_until(idle)].into_iter().flatten().fold(active + idle, Instant::min);
        match pump.next(due).await {
            Event::Came => active = Instant::now(),
            // The message will be judged by whatever is in force then.
            Event::Room | Event::Terms => {}
            Event::Drains => break Part::with(CloseCode::GOING_AWAY, Reason::Draining),
            Event::Due => {
                let now = Instant::now();
                if message.is_some_and(|message| message <= now) {
                    break Part::with(CloseCode::POLICY, Reason::BodyTimeout);
                }
                if active + idle <= now {
                    break Part { code: CloseCode::GOING_AWAY, refusal: None, outcome: Outcome::Truncated };
                }
                if now.checked_sub(idle).is_some_and(|before| pump.client_is_stuck(before)) {
                    return Err(Ended {
                        code: CloseCode::ABNORMAL,
                        outcome: Outcome::ClientAbort,
                        reason: None,
                    });
                }
            }
        }
    };
    let mut why = "";
    if let Some(refusal) = &part.refusal {
        record.socket.refused += 1;
        pump.client.push(tell::error_event(&record.snapshot, record.id, None, refusal));
        why = refusal.reason.as_str();
    }
    pump.client.push(tell::close(part.code, why));
    farewell(&mut pump, &mut caller, Instant::now() + PART_WITHIN).await;
    let reason = part.refusal.map(|refusal| refusal.reason);
    Err(Ended { code: part.code, outcome: part.outcome, reason })
}

/// How a socket ends before it has begun.
struct Part {
    code: CloseCode,
    refusal: Option<Refusal>,
    outcome: Outcome,
}

impl Part {
    fn with(code: CloseCode, reason: Reason) -> Self {
        Self { code, refusal: Some(reason.into()), outcome: Outcome::Refused }
    }
}

/// Takes what the client says, up to the end of its first message.
fn take(
    house: &House,
    head: &RequestHead,
    record: &mut Record,
    pump: &mut Pump<'_>,
    caller: &mut Caller,
) -> Result<Option<Message>, Part> {
    let client = &mut pump.client;
    while client.fresh && client.out.bytes() < PONGS_BYTES_MAX {
        let Some(ahead) = client.ahead.as_mut() else {
            client.fresh = false;
            break;
        };
        let by = || super::read_by(house, head, record);
        let heard = caller.hear(house, by, ahead.bytes_mut());
        let (bytes, heard) = match heard {
            Ok(Some(heard)) => heard,
            Ok(None) => {
                client.fresh = false;
                break;
            }
            Err(fault) => {
                let (code, refusal) = (fault.code, Some(fault.refusal));
                return Err(Part { code, refusal, outcome: Outcome::Refused });
            }
        };
        record.request_bytes += bytes as u64;
        ahead.consume(bytes);
        if ahead.is_empty() {
            *client.ahead = None;
        }
        match heard {
            Heard::Control { kind: Kind::Ping, ends: true, .. } => {
                let mut pong = Vec::new();
                frame::write(&mut pong, Kind::Pong, None, &caller.take_control());
                client.push(pong);
            }
            Heard::Control { kind: Kind::Close, ends: true, .. } => {
                let code = caller.closed().unwrap_or(CloseCode::NONE);
                return Err(Part { code, refusal: None, outcome: Outcome::Ok });
            }
            Heard::Control { .. } | Heard::Part => {}
            Heard::Whole(message) if message.is_opaque() => {
                let refusal = Refusal::with(Reason::SocketMalformed, "the first message is text");
                let code = CloseCode::UNSUPPORTED;
                return Err(Part { code, refusal: Some(refusal), outcome: Outcome::Refused });
            }
            Heard::Whole(message) => return Ok(Some(*message)),
        }
    }
    Ok(None)
}
