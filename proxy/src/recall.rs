//! Stages 5 to 8 as they meet a live session: whose is it, where does the state live that it cites, and where may it go?

use crate::ask;
use crate::house::House;
use crate::pins::sealed::Opened;
use crate::pins::{Born, Life, Pin, PinStore};
use crate::refuse::Refusal;
use crate::relay::head::RequestHead;
use crate::snapshot::Snapshot;
use riparian_config::{Grade, HandleKind, Mark, Store, Timestamp, UnknownHandle};
use riparian_filters::classify::{Classified, HandlePlace};
use riparian_filters::decide::{Asker, Moment, Recalled, decide};
use riparian_filters::decision::{Decision, Reason, Verdict};
use riparian_filters::head::Head;
use riparian_filters::identify::{Identity, LastTenant, PinKey, SessionId};
use riparian_filters::judge::Owner;
use riparian_filters::policy::{EndpointId, Policy};
use smallvec::SmallVec;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Who asks, in which session, and the pin table's keys of the handles, in their order.
#[derive(Clone, Debug)]
pub(crate) struct Cited {
    pub(crate) asker: Asker,
    pub(crate) keys: SmallVec<[PinKey; 2]>,
}

/// What is known of a handle, if anything.
pub(crate) type Known = Option<Lives>;

/// Where a handle's state lives, as which session's, and when the terms last allowed that.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lives {
    pub(crate) owner: Owner,
    pub(crate) session: SessionId,
    pub(crate) since: Timestamp,
}

/// Stage 5, the same for a live request and for `explain`.
pub(crate) fn identify(
    policy: &Policy,
    head: &Head<'_>,
    last: &mut LastTenant,
    classified: &Classified<'_>,
    grade_of: impl FnOnce(SessionId) -> Grade,
) -> Result<(Identity, Cited), Reason> {
    let identity = policy.identify(last, head);
    let asker = Asker {
        tenant: identity.tenant,
        caller: identity.caller,
        named: identity.session,
        inner: identity.parent.map(grade_of),
        narrow: policy.narrow(head.headers)?,
    };
    Ok((identity, cited(policy, asker, classified)))
}

/// The keys of the handles of `asker`'s request.
pub(crate) fn cited(policy: &Policy, asker: Asker, classified: &Classified<'_>) -> Cited {
    let key = |(namespace, value)| policy.keys.pin(asker.tenant, namespace, value);
    let handles = classified.handles.iter().map(|handle| (handle.namespace.as_str(), &*handle.value));
    Cited { asker, keys: handles.map(key).collect() }
}

/// A connected socket, for what is said on it: a handle of every message, as it were, whose owner is the endpoint at its other end.
#[derive(Clone, Copy)]
pub(crate) struct Over<'s> {
    pub(crate) lives: Lives,
    /// Whether a handle was born on it; what is not stored is known nowhere else.
    pub(crate) owns: &'s (dyn Fn(PinKey) -> bool + Sync),
}

/// Stages 7 and 8, the same for a live request and for `explain`. `known` is in the order of the handles; `over` is the socket's endpoint,
/// where it is a socket's message. `rested` tells how long ago a session was last used, where that is remembered.
pub(crate) fn conclude(
    policy: &Policy,
    classified: &Classified<'_>,
    cited: &Cited,
    known: &[Known],
    over: Option<Lives>,
    rested: impl FnOnce(SessionId) -> Option<Duration>,
    moment: Moment<'_>,
) -> Decision {
    let mut located: Option<Vec<u64>> = None;
    let sealed = matches!(policy.config.sessions.pins.store, Some(Store::Sealed(_)));
    let owners: SmallVec<[Owner; 4]> = classified
        .handles
        .iter()
        .zip(known)
        .map(|(handle, known)| match (known, handle.mark) {
            (Some(lives), _) => lives.owner,
            // Without a store there is nothing to bind it in, and the next request could go elsewhere.
            (None, Some(Mark::Asserted)) if sealed => Owner::Unknown,
            (None, Some(Mark::Asserted)) => Owner::Unbound,
            (None, Some(Mark::Located)) => {
                let holders = policy.holders(&handle.value);
                if holders.iter().all(|word| *word == 0) {
                    return Owner::Unknown;
                }
                match &mut located {
                    Some(all) => all.iter_mut().zip(&holders).for_each(|(all, own)| *all &= own),
                    None => located = Some(holders),
                }
                Owner::Located
            }
            (None, Some(Mark::Sealed) | None) => Owner::Unknown,
        })
        .chain(over.map(|over| over.owner))
        .collect();
    let since: SmallVec<[Timestamp; 4]> =
        known.iter().flatten().chain(over.as_ref()).map(|lives| lives.since).collect();
    let lineage = known.iter().flatten().map(|lives| lives.session).next();
    // Of a session that nobody remembers it is only known that it was used when the terms last allowed it.
    let latest = || since.iter().max().map(|since| moment.now.duration_since(*since).unsigned_abs());
    let session = lineage.or(over.map(|over| over.session));
    let rested = session.and_then(rested).or_else(latest).unwrap_or_default();
    let recalled = Recalled { owners: &owners, located: located.as_deref(), lineage, since: &since, rested };
    decide(policy, classified, &cited.asker, recalled, moment)
}

/// Stages 6 to 8 of a live request: asks the pins, or believes the seals that were opened, and where the client has just invented a
/// handle, binds it to the endpoint that was chosen, before a byte is sent there.
pub(crate) async fn recall(
    house: &Arc<House>,
    snapshot: &Snapshot,
    head: &RequestHead,
    classified: &Classified<'_>,
    cited: &Cited,
    beside: (&[Opened], Option<Over<'_>>),
    moment: Moment<'_>,
) -> Result<(Decision, SmallVec<[Known; 1]>), Reason> {
    if cited.keys.is_empty() {
        let (_, over) = beside;
        let socket = over.map(|over| over.lives);
        let rested = |session| house.sessions.rested(session, Instant::now());
        let decision = conclude(&snapshot.policy, classified, cited, &[], socket, rested, moment);
        return Ok((decision, SmallVec::new()));
    }
    // In a box: a connection whose requests cite nothing has no room for it in its state.
    Box::pin(recall_handles(house, snapshot, head, classified, cited, beside, moment)).await
}

async fn recall_handles(
    house: &Arc<House>,
    snapshot: &Snapshot,
    head: &RequestHead,
    classified: &Classified<'_>,
    cited: &Cited,
    (opened, over): (&[Opened], Option<Over<'_>>),
    moment: Moment<'_>,
) -> Result<(Decision, SmallVec<[Known; 1]>), Reason> {
    let policy = &snapshot.policy;
    let socket = over.map(|over| over.lives);
    let conclude = |known: &[Known]| {
        let rested = |session| house.sessions.rested(session, Instant::now());
        conclude(policy, classified, cited, known, socket, rested, moment)
    };
    let pins = house.pins.recall(&cited.keys).await.map_err(|fault| unavailable(&fault))?;
    let mut known: SmallVec<[Known; 1]> =
        pins.iter().map(|pin| pin.as_ref().map(|pin| lives(policy, pin))).collect();
    for (known, handle) in known.iter_mut().zip(&classified.handles).filter(|(known, _)| known.is_none()) {
        let blob = handle.mark == Some(Mark::Sealed);
        let told = opened.iter().find(|one| one.blob == blob && one.handle == *handle.value);
        *known = told.map(|one| lives(policy, &one.pin));
    }
    if let Some(over) = over {
        for (known, _) in known.iter_mut().zip(&cited.keys).filter(|(_, key)| (over.owns)(**key)) {
            *known = Some(over.lives);
        }
    }
    let mut decision = conclude(&known);
    if decision.verdict == Verdict::Refuse(Reason::UnknownHandle)
        && policy.config.sessions.unknown_handle == UnknownHandle::Ask
        && Box::pin(ask::ask(house, snapshot, head, classified, cited, &mut known, moment)).await?
    {
        decision = conclude(&known);
    }
    // Another replica may have bound it in the meantime: then that is where it lives. Each round settles a handle at least.
    for _ in 0..=cited.keys.len() {
        match bind(&house.pins, policy, classified, cited, &mut known, &decision).await? {
            Bound::Here => return Ok((decision, known)),
            Bound::Elsewhere => decision = conclude(&known),
        }
    }
    Err(Reason::OwnersDiffer)
}

/// What came of binding the handles that a client invented.
enum Bound {
    /// They live where the decision sends the request, if it sends it anywhere.
    Here,
    /// One of them lives somewhere else already.
    Elsewhere,
}

async fn bind(
    pins: &PinStore,
    policy: &Policy,
    classified: &Classified<'_>,
    cited: &Cited,
    known: &mut [Known],
    decision: &Decision,
) -> Result<Bound, Reason> {
    let (Some(&endpoint), Some(session)) = (decision.verdict.endpoints().first(), decision.session) else {
        return Ok(Bound::Here);
    };
    for (at, handle) in classified.handles.iter().enumerate() {
        if known[at].is_some() || handle.mark != Some(Mark::Asserted) {
            continue;
        }
        if matches!(policy.config.sessions.pins.store, Some(Store::Sealed(_))) {
            // Its home cloud may have two endpoints, and the wrong one answers with amnesia.
            return Err(Reason::UnknownHandle);
        }
        let pin = pin(policy, endpoint, session.id, decision.since);
        let born = Born { key: cited.keys[at], pin, life: life(policy.kind(handle.namespace)) };
        let pin = pins.bind(cited.asker.tenant, born).await.map_err(|fault| unavailable(&fault))?;
        let lives = lives(policy, &pin);
        known[at] = Some(lives);
        if lives.owner != Owner::Endpoint(endpoint) {
            return Ok(Bound::Elsewhere);
        }
    }
    Ok(Bound::Here)
}

/// A pin at `endpoint`.
pub(crate) fn pin(policy: &Policy, endpoint: EndpointId, session: SessionId, since: Timestamp) -> Pin {
    let place = policy.place(endpoint);
    Pin { endpoint: place.endpoint.name.clone(), cloud: place.cloud_name.clone(), session, since }
}

/// How long handles of a kind are good.
pub(crate) fn life(kind: &HandleKind) -> Life {
    Life { lives: kind.lives, idle: kind.idle }
}

pub(crate) fn unavailable(fault: &crate::pins::StoreFault) -> Reason {
    tracing::warn!(%fault, "the pin store cannot be asked");
    Reason::PinsUnavailable
}

pub(crate) fn lives(policy: &Policy, pin: &Pin) -> Lives {
    Lives { owner: owner(policy, pin), session: pin.session, since: pin.since }
}

fn owner(policy: &Policy, pin: &Pin) -> Owner {
    match policy.endpoint_named(&pin.endpoint) {
        Some(endpoint) if policy.place(endpoint).cloud_name == pin.cloud => Owner::Endpoint(endpoint),
        _ => Owner::Removed,
    }
}

/// A refusal with what helps the client: which parameter, and the status that the vendor itself would use for it.
pub(crate) fn in_particular(
    reason: Reason,
    policy: &Policy,
    classified: &Classified<'_>,
    known: &[Known],
) -> Refusal {
    let mut refusal = Refusal::from(reason);
    let place = |at: usize| {
        let handle = &classified.handles[at];
        match handle.place {
            HandlePlace::Path => handle.namespace.to_string(),
            HandlePlace::Signal(slot) => {
                let surface = classified.surface.expect("a handle that was found has a surface");
                let at = policy.surface(surface).signals[slot].at.to_string();
                at.trim_start_matches('/').replace('/', ".")
            }
        }
    };
    let unknown = || (0..classified.handles.len()).find(|at| known.get(*at).is_none_or(Option::is_none));
    match reason {
        Reason::OwnersDiffer => {
            let owner = |at: usize| known.get(at).and_then(|known| known.map(|lives| lives.owner));
            let first = (0..classified.handles.len()).find(|at| owner(*at).is_some());
            let other = first.and_then(|first| {
                (0..classified.handles.len())
                    .find(|at| owner(*at).is_some_and(|own| Some(own) != owner(first)))
            });
            refusal.param = first.map(place);
            refusal.detail = first.zip(other).map(|(first, other)| {
                format!("{} and {} live at different endpoints", place(first), place(other))
            });
        }
        Reason::UnknownHandle | Reason::OwnerNotDesignated | Reason::OwnerRemoved => {
            let at = (reason == Reason::UnknownHandle).then(unknown).flatten().unwrap_or(0);
            refusal.param = classified.handles.get(at).map(|_| place(at));
            // Who asks for what a path, a header or a parameter names is told that it is not there; a body is told to be wrong.
            let in_head = classified.handles.get(at).is_some_and(|handle| match handle.place {
                HandlePlace::Path => true,
                HandlePlace::Signal(slot) => classified
                    .surface
                    .is_some_and(|surface| policy.surface(surface).signals[slot].at.pointer().is_none()),
            });
            if reason == Reason::UnknownHandle && in_head {
                refusal.status = 404;
            }
        }
        Reason::NotServed => refusal.param = classified.model.as_ref().map(|_| "model".to_owned()),
        _ => {}
    }
    refusal
}
