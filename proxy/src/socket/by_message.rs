//! A socket whose cloud its first message chooses: the client's handshake is answered at once, and whatever stands in the way after that is
//! told as an error event.

use super::ending::{Ended, PART_WITHIN, farewell};
use super::first::{First, first};
use super::message::{Caller, Message, Said};
use super::pump::Out;
use super::{Asking, Begun, Opening, Spoken, alone, connected, end, http1, judge, tell};
use crate::carry::{Answer, Carry, Failed, told};
use crate::house::House;
use crate::metrics::Outcome;
use crate::receive::{asked, classified, decide};
use crate::record::Record;
use crate::refuse::Refusal;
use crate::relay::client::{Client, Http1};
use crate::relay::head::RequestHead;
use crate::relay::timer::Timer;
use crate::relay::upstream::Next;
use crate::seals::Opener;
use http::StatusCode;
use riparian_filters::decision::Reason;
use riparian_filters::frame::CloseCode;
use riparian_filters::rewrite::ModelSpan;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Carries one.
pub(super) async fn by_message(
    house: &Arc<House>,
    client: &mut Client<'_>,
    head: &RequestHead,
    timer: &mut Timer,
    record: &mut Record,
    (opening, random): (Opening, [u8; 16]),
) {
    let Opening { received, accept, .. } = opening;
    let protocol = received.socket.as_ref().and_then(Asking::chosen);
    let begin = tell::switching(record, &accept, protocol, None);
    record.status = StatusCode::SWITCHING_PROTOCOLS.as_u16();
    record.reason = Reason::Designated;
    let first = first(house, http1(client), head, timer, record, begin).await;
    let First { mut caller, message, out } = match first {
        Ok(first) => first,
        Err(ended) => return end(record, ended),
    };
    let chosen = choose(house, client, head, record, message, random).await;
    let (message, splice_from) = match chosen {
        Ok(chosen) => chosen,
        Err(refusal) => {
            let code = tell::close_code(refusal.reason);
            let ended =
                dismiss(house, http1(client), timer, record, (&mut caller, out), &refusal, code).await;
            return end(record, ended);
        }
    };
    let reached = Carry { house, client, head, timer, record }.reach(&received).await;
    let refusal = match reached {
        Ok((answer, endpoint)) if answer.head.status == StatusCode::SWITCHING_PROTOCOLS => {
            let begun = Begun::By(Box::new(Spoken { caller, message, out, span: splice_from }));
            return connected(house, client, head, timer, record, (answer, endpoint), begun).await;
        }
        Ok((answer, _)) => {
            let refusal = refused_upstream(answer).await;
            record.outcome = Outcome::ClientError;
            refusal
        }
        Err(Failed::Unanswered(reason)) => {
            let reason = told(record, reason);
            record.reason = reason;
            Told::Ours(Refusal::from(reason))
        }
        Err(Failed::Gone | Failed::Cut) => {
            return end(
                record,
                Ended { code: CloseCode::ABNORMAL, outcome: Outcome::ClientAbort, reason: None },
            );
        }
    };
    let ended = match refusal {
        Told::Ours(refusal) => {
            let code = tell::close_code(refusal.reason);
            let outcome = Outcome::Failed;
            let ended =
                dismiss(house, http1(client), timer, record, (&mut caller, out), &refusal, code).await;
            Ended { outcome, ..ended }
        }
        Told::Theirs(status, event) => {
            let (code, outcome) = match status {
                429 | 503 => (CloseCode::TRY_AGAIN, Outcome::ServerError),
                500.. => (CloseCode::INTERNAL, Outcome::ServerError),
                _ => (CloseCode::POLICY, Outcome::ClientError),
            };
            let mut pump = alone(house, http1(client), timer, out);
            pump.client.push(event);
            pump.client.push(tell::close(code, "the endpoint refused the socket"));
            farewell(&mut pump, &mut caller, Instant::now() + PART_WITHIN).await;
            Ended { code, outcome, reason: None }
        }
    };
    end(record, ended);
}

/// What a client is told of a socket that was not begun.
enum Told {
    Ours(Refusal),
    /// The endpoint's own answer, by its status, as an event.
    Theirs(u16, Vec<u8>),
}

/// Stages 3 to 8 for the message that chooses, by the configuration that is in force when it is whole.
async fn choose(
    house: &Arc<House>,
    client: &mut Client<'_>,
    head: &RequestHead,
    record: &mut Record,
    mut message: Message,
    random: [u8; 16],
) -> Result<(Message, ModelSpan), Refusal> {
    let snapshot = house.snapshot.load_full();
    record.snapshot = Arc::clone(&snapshot);
    let policy = &snapshot.policy;
    let recognised = judge::recognise(policy, head).ok_or(Reason::TermsChanged)?;
    record.surface = Some(recognised.surface);
    let tenant = policy.who(client.last_tenant(), &asked(head)).tenant;
    let mut opener = Opener::new(&snapshot, tenant);
    let said = message.said(&snapshot, recognised.surface, opener.as_mut()).map_err(|fault| fault.refusal)?;
    record.opened.extend(opener.into_iter().flat_map(|opener| opener.opened));
    let read = match said {
        Said::Json(read) => read,
        Said::Refused(refusal) => return Err(refusal),
        Said::Opaque => {
            return Err(Refusal::with(
                Reason::SocketMalformed,
                "the first message must say what is wanted, in JSON",
            ));
        }
    };
    let asked = asked(head);
    let classified = classified(policy, Some(&recognised), &asked, read.body())?;
    decide(house, client, head, record, &classified, random).await?;
    let span = match read.span(Some(&recognised), policy) {
        span @ ModelSpan::Json(_) => span,
        _ => ModelSpan::None,
    };
    Ok((message, span))
}

/// Tells a client that its socket is not begun, and says goodbye.
async fn dismiss(
    house: &House,
    client: &mut Http1,
    timer: &mut Timer,
    record: &Record,
    (caller, out): (&mut Caller, Out),
    refusal: &Refusal,
    code: CloseCode,
) -> Ended {
    let mut pump = alone(house, client, timer, out);
    pump.client.push(tell::error_event(&record.snapshot, record.id, record.decision.clone(), refusal));
    pump.client.push(tell::close(code, refusal.reason.as_str()));
    farewell(&mut pump, caller, Instant::now() + PART_WITHIN).await;
    Ended { code, outcome: Outcome::Refused, reason: Some(refusal.reason) }
}

/// An answer that is no 101, for a client whose handshake was answered already: its error, if it has one that can be read.
async fn refused_upstream(answer: Answer) -> Told {
    let Answer { mut upstream, head, at: _at } = answer;
    let status = head.status.as_u16();
    let without = upstream.begin(&head, &http::Method::GET);
    let mut body = Vec::new();
    let read = async {
        while !without && body.len() < ERROR_BYTES_MAX {
            match upstream.next().await {
                Ok(Next::Data(data, last)) => {
                    body.extend_from_slice(data.bytes());
                    if last {
                        return;
                    }
                }
                Ok(Next::End(_)) | Err(_) => return,
            }
        }
    };
    // What has not come by then is not worth the wait.
    let _ = tokio::time::timeout(Duration::from_secs(2), read).await;
    let error = serde_json::from_slice::<serde_json::Value>(&body).ok();
    let error = error.as_ref().and_then(|body| body.get("error")).filter(|error| error.is_object());
    match error {
        Some(error) => {
            let envelope = serde_json::json!({ "error": error }).to_string();
            Told::Theirs(status, tell::event(status, envelope.as_bytes()))
        }
        None => {
            let message = "The endpoint refused the socket.";
            let error = serde_json::json!({ "type": "server_error", "code": "socket_refused", "message": message, "param": null });
            Told::Theirs(
                status,
                tell::event(status, serde_json::json!({ "error": error }).to_string().as_bytes()),
            )
        }
    }
}

/// Bytes of an endpoint's refusal that are read.
const ERROR_BYTES_MAX: usize = 64 * 1024;
