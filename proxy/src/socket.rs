//! Sockets, WebSocket ones (RFC 6455): one connection, one endpoint, and a contract that looks at every message.
//!
//! | | chosen by | the client's handshake is answered | a refusal |
//! |---|---|---|---|
//! | `socket: upgrade` | path, query and headers | when the endpoint has taken ours | an answer like any other |
//! | `socket: message` | the first message | at once | an error event, and a close frame |
//!
//! Every message of the client's is held until it is whole, read, and judged before it goes on ([`message`], [`judge`]); the endpoint's are
//! learned from before they go on ([`observe`](crate::observe)). Bytes go on as they came, but for the model's name where an endpoint knows it by
//! another one ([`relay`], [`pump`]). When the contract in force does not allow the socket any more, it is closed.
//!
//! Not carried: sockets over HTTP/2 (RFC 8441), and extensions, since what is compressed cannot be judged.

mod asking;
mod by_message;
mod ending;
mod first;
mod judge;
mod message;
mod pump;
mod relay;
mod tell;

pub(crate) use asking::Asking;

use crate::carry::{Answer, Carry, over, refuse};
use crate::house::House;
use crate::metrics::Outcome;
use crate::observe::observe_socket;
use crate::receive::{Received, asked, classified, decide, recognise};
use crate::record::Record;
use crate::refuse::Refusal;
use crate::relay::client::{Client, Http1};
use crate::relay::head::RequestHead;
use crate::relay::timer::Timer;
use crate::seals::{Sealing, open_head};
use crate::snapshot::Snapshot;
use ending::{Deadlines, Ended};
use http::StatusCode;
use judge::Standing;
use message::{Caller, Message};
use pump::{Out, Pump, Side};
use relay::{Relay, Server};
use riparian_config::Socket;
use riparian_filters::classify::Body;
use riparian_filters::decide::Asker;
use riparian_filters::decision::Reason;
use riparian_filters::frame::{self, CloseCode};
use riparian_filters::policy::{EndpointId, SurfaceNumber};
use riparian_filters::rewrite::{self, ModelSpan};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Carries one request for a socket, and the socket.
pub(crate) async fn carry(
    house: &Arc<House>,
    client: &mut Client<'_>,
    head: &RequestHead,
    timer: &mut Timer,
    record: &mut Record,
    (random, closed): ([u8; 16], Option<Reason>),
) {
    // A browser has no other place for its key; from here on it is where all others have theirs.
    let moved = asking::with_credential(head);
    let head = moved.as_ref().unwrap_or(head);
    let bare = open_head(record, client.last_tenant(), head);
    let head = bare.as_deref().unwrap_or(head);
    let opened = match closed {
        None => open(house, client, head, record, random).await,
        Some(reason) => Err(Refusal::from(reason)),
    };
    // What follows on this connection is a socket's, or nobody knows what.
    client.close_behind();
    let opening = match opened {
        Ok(opening) => opening,
        Err(refusal) => return refuse(client, record, &refusal, Outcome::Refused).await,
    };
    match opening.kind {
        Socket::Upgrade => {
            let accept = opening.accept;
            let reached = Carry { house, client, head, timer, record }.reach(&opening.received).await;
            let (answer, endpoint) = match reached {
                Ok(reached) => reached,
                Err(failed) => return over(client, record, Err(failed)).await,
            };
            if answer.head.status != StatusCode::SWITCHING_PROTOCOLS {
                let relayed = Carry { house, client, head, timer, record }.relay(answer, endpoint).await;
                return over(client, record, relayed).await;
            }
            connected(house, client, head, timer, record, (answer, endpoint), Begun::Now(accept)).await;
        }
        Socket::Message => {
            by_message::by_message(house, client, head, timer, record, (opening, random)).await;
        }
    }
}

/// A request for a socket that may be begun.
struct Opening {
    kind: Socket,
    received: Received,
    /// What the client's handshake is answered with.
    accept: String,
}

/// Stages 1 to 8 of a socket whose cloud is chosen by its head; of any other, as many as the head is enough for.
async fn open(
    house: &Arc<House>,
    client: &mut Client<'_>,
    head: &RequestHead,
    record: &mut Record,
    random: [u8; 16],
) -> Result<Opening, Refusal> {
    let snapshot = Arc::clone(&record.snapshot);
    let policy = &snapshot.policy;
    let asked = asked(head);
    let (recognised, kind) = recognise(policy, client.last_tenant(), &asked, record)?;
    let (recognised, kind) = recognised.zip(kind).ok_or(Reason::UpgradeRefused)?;
    if !client.has_no_body() || client.has_more() {
        // Whoever has not been answered does not know yet what will be spoken.
        return Err(Refusal::with(Reason::HeadMalformed, "bytes behind a request for a socket"));
    }
    if house.is_draining() {
        return Err(Reason::Draining.into());
    }
    let key = &head.headers[http::header::SEC_WEBSOCKET_KEY];
    let accept = frame::accept(key.as_bytes().trim_ascii());
    let asking = Asking::new(&head.headers, kind);
    if kind == Socket::Upgrade {
        let classified = classified(policy, Some(&recognised), &asked, Body::default())?;
        decide(house, client, head, record, &classified, random).await?;
    }
    Ok(Opening { kind, received: Received::socket(house, recognised.form, asking), accept })
}

/// How a socket that is connected begins.
enum Begun {
    /// The client's handshake is answered now.
    Now(String),
    /// It was answered before, and the first message waits.
    By(Box<Spoken>),
}

/// What was said before there was an endpoint to say it to.
struct Spoken {
    caller: Caller,
    message: Message,
    out: Out,
    span: ModelSpan,
}

/// Stages 10 and 11 of a socket that an endpoint has taken.
async fn connected(
    house: &Arc<House>,
    client: &mut Client<'_>,
    head: &RequestHead,
    timer: &mut Timer,
    record: &mut Record,
    (answer, endpoint): (Answer, EndpointId),
    begun: Begun,
) {
    let Answer { upstream, head: mut answer, at: _at } = answer;
    let (mut wire, mut ahead) = upstream.into_wire().expect("a socket is asked for over HTTP/1.1");
    let snapshot = Arc::clone(&record.snapshot);
    let place = snapshot.policy.place(endpoint);
    record.first_byte = Some(std::time::Instant::now());
    record.stream = true;
    record.status = answer.status.as_u16();
    // Until it has ended; should this task be dropped, that is what it was.
    record.outcome = Outcome::Truncated;
    record.socket.close = Some(CloseCode::ABNORMAL.number());
    let standing = standing(record, endpoint);
    let limits = &snapshot.policy.config.limits;
    let deadlines = Deadlines {
        idle: place.timeouts().idle,
        message: limits.body_within,
        drain: limits.drain_within.saturating_sub(margin(limits.drain_within)),
        active: Instant::now(),
        drained: None,
    };
    let (caller, out, first) = match begun {
        Begun::Now(accept) => {
            crate::answer::strip(&mut answer.lines);
            let asking = answer.lines.get(&http::header::SEC_WEBSOCKET_PROTOCOL).cloned();
            let protocol = asking.as_ref().map(http::HeaderValue::as_bytes);
            let mut out = Out::default();
            out.push(tell::switching(record, &accept, protocol, Some(answer)));
            (Caller::new(), out, None)
        }
        Begun::By(spoken) => {
            let Spoken { caller, message, out, span } = *spoken;
            let splice = rewrite::splice(place, record.model.as_deref(), &span);
            (caller, out, Some((message, splice)))
        }
    };
    let client = http1(client);
    let pump = Pump::new(
        Side::new(&mut client.wire, &mut client.ahead, out),
        Some(Side::new(&mut wire, &mut ahead, Out::default())),
        timer,
        house.terms.subscribe(),
        house.draining.subscribe(),
    );
    let server = Server::new(observe_socket(record), Sealing::begin(record));
    let mut relay =
        Relay { house, record, head, pump, caller, server, standing, deadlines, half_control: false };
    if let Some((message, splice)) = first {
        relay.begin(message, splice.as_ref());
    }
    let ended = relay.run().await;
    // Closing what is closed already is no fault.
    let _ = tokio::time::timeout(Duration::from_secs(1), wire.shutdown()).await;
    end(record, ended);
}

/// What a message that begins now is read by: the configuration in force, or the one that the socket began under when that has no
/// such socket any more.
fn read_by(house: &House, head: &RequestHead, record: &Record) -> (Arc<Snapshot>, SurfaceNumber) {
    let snapshot = house.snapshot.load_full();
    match judge::recognise(&snapshot.policy, head).map(|recognised| recognised.surface) {
        Some(surface) => (snapshot, surface),
        None => {
            let surface = record.surface.expect("a socket's surface was recognised");
            (Arc::clone(&record.snapshot), surface)
        }
    }
}

/// What is left of the time to drain for the close frames to be exchanged.
fn margin(drain_within: Duration) -> Duration {
    (drain_within / 4).min(Duration::from_secs(2))
}

fn standing(record: &Record, endpoint: EndpointId) -> Standing {
    let place = record.snapshot.policy.place(endpoint);
    let decision = record.decision.as_ref().expect("what is connected was decided");
    Standing {
        endpoint: place.endpoint.name.clone(),
        cloud: place.cloud_name.clone(),
        asker: Asker {
            tenant: decision.tenant,
            caller: record.caller,
            named: decision.session,
            inner: record.inner,
            narrow: record.narrow,
        },
        lineage: decision.session.map_or_else(
            || record.snapshot.policy.keys.session_of(decision.tenant, record.id.0),
            |session| session.id,
        ),
        model: record.model.clone(),
        grade: decision.grade,
        fired: record.fired,
        since: decision.since,
    }
}

fn http1<'a>(client: &'a mut Client<'_>) -> &'a mut Http1 {
    match client {
        Client::Http1(client) => client,
        Client::Http2(..) => unreachable!("sockets are carried over HTTP/1.1"),
    }
}

/// A client with no endpoint yet.
fn alone<'w>(house: &House, client: &'w mut Http1, timer: &'w mut Timer, out: Out) -> Pump<'w> {
    let side = Side::new(&mut client.wire, &mut client.ahead, out);
    Pump::new(side, None, timer, house.terms.subscribe(), house.draining.subscribe())
}

/// Writes down how a socket ended.
fn end(record: &mut Record, ended: Ended) {
    record.socket.close = Some(ended.code.number());
    record.outcome = ended.outcome;
    if ended.outcome == Outcome::Ok {
        record.usage_is_whole();
    }
    if let Some(reason) = ended.reason {
        record.reason = reason;
    }
}
