//! Stages 1 to 4 as they meet a live session: admit, recognise, scan, classify; then what [`recall`](crate::recall) makes of it.

use crate::gate::HeldBytes;
use crate::house::House;
use crate::read::Reader;
use crate::recall::{Cited, identify, in_particular, recall};
use crate::record::Record;
use crate::refuse::Refusal;
use crate::relay::client::{BodyFault, Client};
use crate::relay::head::{RequestHead, number};
use crate::relay::held::Held;
use crate::relay::timer::Timer;
use crate::seals::open_body;
use crate::socket::Asking;
use http::header::{CONTENT_LENGTH, EXPECT};
use riparian_config::{Balance, Grade, Socket, Surface, Timestamp};
use riparian_filters::classify::{self, Body, Classified};
use riparian_filters::decide::Moment;
use riparian_filters::decision::{Reason, Verdict};
use riparian_filters::frame::{self, HandshakeFault};
use riparian_filters::head::{self, Head, HeadLimits};
use riparian_filters::identify::{LastTenant, PinKey};
use riparian_filters::policy::Policy;
use riparian_filters::rewrite::ModelSpan;
use riparian_filters::surface::{Form, Recognised};
use smallvec::SmallVec;
use std::sync::Arc;
use std::time::Instant;

/// A request whose body was read and whose decision was to let it go on.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) body: Held,
    /// Gives the bytes back when the body is not needed any more.
    _held: HeldBytes,
    /// Where the model's name stands.
    pub(crate) span: ModelSpan,
    /// The form of the client's path, when it is recognised.
    pub(crate) form: Option<Form>,
    /// What asks for a socket, when that is what is asked for.
    pub(crate) socket: Option<Asking>,
}

impl Received {
    /// A request for a socket, which has no body.
    pub(crate) fn socket(house: &House, form: Form, asking: Asking) -> Self {
        let (body, held) = (Held::default(), house.gate.hold());
        Self { body, _held: held, span: ModelSpan::None, form: Some(form), socket: Some(asking) }
    }
}

/// Why a request was not received.
#[derive(Debug)]
pub(crate) enum Stop {
    /// It is answered with a refusal.
    Refuse(Refusal),
    /// Its client went away in the middle of it.
    Gone,
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refuse(refusal)
    }
}

/// Receives a request; its record is filled in on the way, also when it is refused.
pub(crate) async fn receive(
    house: &Arc<House>,
    client: &mut Client<'_>,
    head: &RequestHead,
    timer: &mut Timer,
    record: &mut Record,
    random: [u8; 16],
) -> Result<Received, Stop> {
    let snapshot = Arc::clone(&record.snapshot);
    let policy = &snapshot.policy;
    let asked = asked(head);
    let (recognised, _) = recognise(policy, client.last_tenant(), &asked, record)?;
    let form = recognised.as_ref().map(|recognised| recognised.form);

    let mut reader = Reader::new(&head.headers, policy, recognised.as_ref())?;
    let sealed = snapshot.seals.is_some();
    let now = if sealed { &mut Reader::Blind } else { &mut reader };
    let (mut body, held) = hold(house, client, head, timer, policy, now).await?;
    record.request_bytes = body.bytes;
    if sealed {
        // Seals come off before anything is read, so it is read when all is there.
        let tenant = policy.who(client.last_tenant(), &asked).tenant;
        open_body(record, tenant, &reader, &mut body);
        body.all().try_for_each(|chunk| reader.feed(chunk))?;
    }
    let read = reader.finish()?;

    let classified = classified(policy, recognised.as_ref(), &asked, read.body())?;
    let span = read.span(recognised.as_ref(), policy);
    decide(house, client, head, record, &classified, random).await?;
    Ok(Received { body, _held: held, span, form, socket: None })
}

/// Stages 1 and 2, of a request and of a socket: which operation, and which kind of socket, where it is one.
pub(crate) fn recognise<'a>(
    policy: &'a Policy,
    last: &mut LastTenant,
    head: &Head<'a>,
    record: &mut Record,
) -> Result<(Option<Recognised<'a>>, Option<Socket>), Refusal> {
    head::check(head, head_limits(policy)).map_err(|fault| Refusal::with(fault.reason, fault.what))?;
    let recognised = policy.recognise(head);
    record.surface = recognised.as_ref().map(|recognised| recognised.surface);
    known(policy, last, head)?;
    let kind = fits(head, record.surface.map(|surface| policy.surface(surface)))?;
    Ok((recognised, kind))
}

/// Stages 5 to 8, of a request that goes on or is refused; its record is filled in either way.
pub(crate) async fn decide(
    house: &Arc<House>,
    client: &mut Client<'_>,
    head: &RequestHead,
    record: &mut Record,
    classified: &Classified<'_>,
    random: [u8; 16],
) -> Result<(), Refusal> {
    let snapshot = Arc::clone(&record.snapshot);
    let policy = &snapshot.policy;
    record.model = classified.model.as_deref().map(str::to_owned);
    record.handles = classified.handles.len();
    let down = snapshot.down();
    let in_flight: SmallVec<[u32; 8]> = match policy.config.balance {
        Balance::Rendezvous => SmallVec::new(),
        Balance::LeastInFlight => snapshot.states().map(|state| state.in_flight()).collect(),
    };
    let moment = Moment {
        now: Timestamp::now(),
        health: down.view(),
        in_flight: &in_flight,
        favoured: snapshot.charges.favoured(),
        random,
    };
    let grade_of = |session| house.sessions.grade(session).unwrap_or(Grade::Runtime);
    let (identity, cited) = identify(policy, &asked(head), client.last_tenant(), classified, grade_of)?;
    (record.caller, record.parent) = (identity.caller, identity.parent);
    (record.inner, record.narrow) = (cited.asker.inner, cited.asker.narrow);
    record.fired = classified.fired;
    let (decision, known) =
        recall(house, &snapshot, head, classified, &cited, (&record.opened, None), moment).await?;
    record.decided = Some(Instant::now());
    record.reason = decision.verdict.reason();
    record.ends = ends(policy, classified, &cited);
    record.cites = cited.keys.iter().copied().collect();
    let refusal = match &decision.verdict {
        Verdict::Refuse(reason) => Some(in_particular(*reason, policy, classified, &known)),
        Verdict::Free(_) | Verdict::Hold(_) => None,
    };
    if let (None, Some(session)) = (&refusal, decision.session) {
        record.turn = Some((session.id, house.sessions.begin(session.id, decision.grade, Instant::now())));
    }
    record.decision = Some(Box::new(decision));
    refusal.map_or(Ok(()), Err)
}

/// Whether an operation is still there, and is asked for as what it is: a socket by an upgrade, and nothing else by one. The same for a
/// live request and for `explain`.
pub(crate) fn fits(head: &Head<'_>, surface: Option<&Surface>) -> Result<Option<Socket>, Refusal> {
    if let Some(day) = surface.and_then(|surface| surface.retired.as_ref()) {
        return Err(Refusal::with(Reason::Retired, format!("on {day}")));
    }
    match (frame::is_websocket(head.headers), surface.and_then(|surface| surface.socket)) {
        (false, None) => Ok(None),
        (false, Some(_)) => Err(Reason::UpgradeRequired.into()),
        (true, None) => Err(Reason::UpgradeRefused.into()),
        (true, Some(kind)) => match frame::asked(head.method, head.headers) {
            Ok(_) => Ok(Some(kind)),
            Err(HandshakeFault::Version) => Err(Reason::SocketVersion.into()),
            Err(HandshakeFault::Malformed(what)) => Err(Refusal::with(Reason::HeadMalformed, what)),
        },
    }
}

/// A request's head as the decision sees it.
pub(crate) fn asked(head: &RequestHead) -> Head<'_> {
    Head { method: &head.method, path: head.uri.path(), query: head.uri.query(), headers: &head.headers }
}

/// The keys of the handles that a success of this request ends.
fn ends(policy: &Policy, classified: &Classified<'_>, cited: &Cited) -> SmallVec<[PinKey; 1]> {
    let ended = classified.surface.and_then(|surface| policy.surface(surface).deletes.as_ref());
    let Some(kind) = ended else { return SmallVec::new() };
    let of_kind = classified.handles.iter().zip(&cited.keys).filter(|(handle, _)| handle.namespace == kind);
    of_kind.map(|(_, key)| *key).collect()
}

/// Stage 4, the same for a live request and for `explain`.
pub(crate) fn classified<'a>(
    policy: &'a Policy,
    recognised: Option<&'a Recognised<'_>>,
    head: &Head<'a>,
    body: Body<'a>,
) -> Result<Classified<'a>, Refusal> {
    match recognised {
        Some(recognised) => classify::classify(policy, recognised, head, body).map_err(Refusal::from),
        None => Ok(classify::unrecognised()),
    }
}

/// Refuses strangers, where the configuration says so: before their body is read, and in their own vendor's words.
pub(crate) fn known(policy: &Policy, last: &mut LastTenant, head: &Head<'_>) -> Result<(), Refusal> {
    if policy.callers().refuse_strangers() && policy.who(last, head).caller.is_none() {
        return Err(Reason::UnknownCaller.into());
    }
    Ok(())
}

/// What heads are measured against.
pub(crate) fn head_limits(policy: &Policy) -> HeadLimits {
    let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let limits = &policy.config.limits;
    HeadLimits { bytes: size(limits.head), target: size(limits.target), lines: size(limits.headers) }
}

/// Reads the body as it arrives, into memory and through the scanner, within time and space.
async fn hold(
    house: &Arc<House>,
    client: &mut Client<'_>,
    head: &RequestHead,
    timer: &mut Timer,
    policy: &Policy,
    reader: &mut Reader,
) -> Result<(Held, HeldBytes), Stop> {
    let limits = &policy.config.limits;
    let (mut body, mut held) = (Held::default(), house.gate.hold());
    if client.has_no_body() {
        return Ok((body, held));
    }
    if head
        .headers
        .get(CONTENT_LENGTH)
        .is_some_and(|length| number(length).is_none_or(|length| length > limits.body))
    {
        return Err(too_large(limits.body).into());
    }
    let read = async {
        if expects(head) {
            // No endpoint is chosen yet that could.
            Box::pin(client.go_ahead(limits.idle)).await.map_err(|_| Stop::Gone)?;
        }
        while let Some(arrived) = client.body(&mut body).await.map_err(broken)? {
            if arrived.total() > limits.body {
                return Err(too_large(limits.body).into());
            }
            if !held.grow(arrived.bytes().len(), limits.held_bodies) {
                return Err(Refusal::from(Reason::Overloaded).into());
            }
            reader.feed(arrived.bytes())?;
        }
        Ok(())
    };
    match timer.within(tokio::time::Instant::now() + limits.body_within, read).await {
        Some(result) => result.map(|()| (body, held)),
        None => Err(Refusal::from(Reason::BodyTimeout).into()),
    }
}

/// What a body that could not be read to its end means.
fn broken(fault: BodyFault) -> Stop {
    match fault {
        BodyFault::Gone => Stop::Gone,
        BodyFault::Malformed => Refusal::with(Reason::BodyMalformed, "its framing is broken").into(),
    }
}

fn expects(head: &RequestHead) -> bool {
    head.headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

fn too_large(limit: u64) -> Refusal {
    Refusal::with(Reason::BodyTooLarge, format!("limits.body is {limit} bytes"))
}
