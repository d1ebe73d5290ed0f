//! Stages 1 to 8 as they meet a live session: admit, recognise, scan, classify, identify, recall, judge, select.

use crate::gate::HeldBytes;
use crate::house::House;
use crate::pins::Pin;
use crate::read::Reader;
use crate::record::Record;
use crate::refuse::Refusal;
use crate::relay::client::{BodyFault, Client};
use crate::relay::head::{RequestHead, number};
use crate::relay::held::Held;
use crate::relay::timer::Timer;
use crate::socket::Asking;
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, EXPECT};
use riparian_config::{Balance, Timestamp};
use riparian_filters::classify::{self, Body, Classified, HandlePlace};
use riparian_filters::decide::{Moment, Recalled, decide};
use riparian_filters::decision::{Decision, Reason, Verdict};
use riparian_filters::head::{self, Head, HeadLimits};
use riparian_filters::identify::{LastTenant, PinKey, SessionId};
use riparian_filters::judge::Owner;
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
    admit(head, policy)?;
    let recognised = policy.recognise(head.method.as_str(), head.uri.path());
    record.surface = recognised.as_ref().map(|recognised| recognised.surface);
    let form = recognised.as_ref().map(|recognised| recognised.form);
    if recognised.as_ref().is_some_and(|recognised| policy.surface(recognised.surface).socket.is_some()) {
        return Err(Refusal::from(Reason::UpgradeRequired).into());
    }

    let mut reader = Reader::new(&head.headers, policy, recognised.as_ref())?;
    let (body, held) = hold(house, client, head, timer, policy, &mut reader).await?;
    record.request_bytes = body.bytes;
    let read = reader.finish()?;

    let classified = classified(policy, recognised.as_ref(), read.body())?;
    record.model = classified.model.map(str::to_owned);
    record.handles = classified.handles.len();
    let span = read.span(recognised.as_ref(), policy);

    let down = snapshot.down();
    let in_flight: SmallVec<[u32; 8]> = match policy.config.balance {
        Balance::Rendezvous => SmallVec::new(),
        Balance::LeastInFlight => snapshot.states().map(|state| state.in_flight()).collect(),
    };
    let moment = Moment { now: Timestamp::now(), health: down.view(), in_flight: &in_flight, random };
    let recall = |key| recall(house, policy, key);
    let decision = conclude(policy, &head.headers, client.last_tenant(), &classified, recall, moment);
    record.decided = Some(Instant::now());
    record.reason = decision.verdict.reason();
    let refusal = match &decision.verdict {
        Verdict::Refuse(reason) => Some(in_particular(*reason, policy, &classified)),
        Verdict::Free(_) | Verdict::Hold(_) => None,
    };
    record.decision = Some(decision);
    match refusal {
        Some(refusal) => Err(refusal.into()),
        None => Ok(Received { body, _held: held, span, form, socket: None }),
    }
}

/// Stage 4, the same for a live request and for `explain`.
pub(crate) fn classified<'a>(
    policy: &'a Policy,
    recognised: Option<&'a Recognised<'a>>,
    body: Body<'a>,
) -> Result<Classified<'a>, Refusal> {
    match recognised {
        Some(recognised) => classify::classify(policy, recognised, body).map_err(Refusal::from),
        None => Ok(classify::unrecognised()),
    }
}

/// Stages 5 to 8, the same for a live request and for `explain`: identify, recall, judge, select. `recall` is asked once a handle, and not
/// at all when there is none.
pub(crate) fn conclude(
    policy: &Policy,
    headers: &HeaderMap,
    last: &mut LastTenant,
    classified: &Classified<'_>,
    recall: impl Fn(PinKey) -> (Owner, Option<SessionId>),
    moment: Moment<'_>,
) -> Decision {
    let (tenant, named) = policy.keys.identify(last, headers, &policy.config.sessions.header);
    let mut lineage = None;
    let owners: SmallVec<[Owner; 4]> = classified
        .handles
        .iter()
        .map(|handle| {
            let (owner, session) = recall(policy.keys.pin(tenant, handle.namespace.as_str(), handle.value));
            lineage = lineage.or(session);
            owner
        })
        .collect();
    decide(policy, classified, tenant, named, Recalled { owners: &owners, lineage }, moment)
}

pub(crate) fn admit(head: &RequestHead, policy: &Policy) -> Result<(), Refusal> {
    let head =
        Head { method: &head.method, path: head.uri.path(), query: head.uri.query(), headers: &head.headers };
    head::check(&head, head_limits(policy)).map_err(|fault| Refusal::with(fault.reason, fault.what))
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

/// Where does a handle's state live?
pub(crate) fn recall(house: &House, policy: &Policy, key: PinKey) -> (Owner, Option<SessionId>) {
    match house.pins.recall(key, Instant::now()) {
        Some(pin) => (owner(policy, &pin), Some(pin.session)),
        None => (Owner::Unknown, None),
    }
}

fn owner(policy: &Policy, pin: &Pin) -> Owner {
    match policy.endpoint_named(&pin.endpoint) {
        Some(endpoint) if policy.place(endpoint).cloud_name == pin.cloud => Owner::Endpoint(endpoint),
        _ => Owner::Removed,
    }
}

/// A refusal with what helps the client: which parameter, and the status that the vendor itself would use for it.
pub(crate) fn in_particular(reason: Reason, policy: &Policy, classified: &Classified<'_>) -> Refusal {
    let mut refusal = Refusal::from(reason);
    if matches!(
        reason,
        Reason::UnknownHandle | Reason::OwnersDiffer | Reason::OwnerNotDesignated | Reason::OwnerRemoved
    ) {
        let first = classified.handles.first();
        refusal.param = first.map(|handle| match handle.place {
            HandlePlace::Path => handle.namespace.to_string(),
            HandlePlace::Body(slot) => {
                let surface = classified.surface.expect("a handle in a body has a surface");
                policy.surface(surface).signals[slot].at.to_string().trim_start_matches('/').replace('/', ".")
            }
        });
        if reason == Reason::UnknownHandle && first.is_some_and(|handle| handle.place == HandlePlace::Path) {
            refusal.status = 404;
        }
    }
    if reason == Reason::NotServed {
        refusal.param = classified.model.map(|_| "model".to_owned());
    }
    refusal
}
