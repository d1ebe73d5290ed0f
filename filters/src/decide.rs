//! Stages 7 and 8 in one call: the function that production and `explain` share.

use crate::classify::Classified;
use crate::decision::{Decision, Shadow};
use crate::identify::{CallerNumber, Session, SessionId, SessionSource, Tenant};
use crate::judge::{Facts, HealthView, Owner, judge};
use crate::policy::Policy;
use crate::select::select;
use crate::table::CloudSet;
use riparian_config::{Grade, Timestamp};
use smallvec::SmallVec;
use std::time::Duration;

/// What was recalled of the handles that a request cites.
#[derive(Clone, Copy, Debug)]
pub struct Recalled<'a> {
    /// Where each lives, in the order of the handles.
    pub owners: &'a [Owner],
    /// The endpoints that have every located resource which was not made through the proxy, in words of 64.
    pub located: Option<&'a [u64]>,
    /// The session of the first one that is known.
    pub lineage: Option<SessionId>,
    /// When the terms last allowed each that is known to be where it is.
    pub since: &'a [Timestamp],
    /// How long the session has rested.
    pub rested: Duration,
}

/// Whose request it is, and what its head says of where it may go.
#[derive(Clone, Copy, Debug)]
pub struct Asker {
    /// Whose pins and sessions count.
    pub tenant: Tenant,
    /// Which of the named tenants.
    pub caller: Option<CallerNumber>,
    /// The session that its head names.
    pub named: Option<Session>,
    /// The grade of the session in the course of which it is made, where it is.
    pub inner: Option<Grade>,
    /// The clouds that its header leaves.
    pub narrow: Option<CloudSet>,
}

/// The moment of a decision: what differs when the same request comes again.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// The wall clock.
    pub now: Timestamp,
    /// Which endpoints are down.
    pub health: HealthView<'a>,
    /// Requests in flight, by endpoint.
    pub in_flight: &'a [u32],
    /// Clouds whose commitments are behind their plan: they break ties, and nothing else.
    pub favoured: CloudSet,
    /// 16 bytes that nobody can foresee: a session is minted from them, and stateless requests are spread by them.
    pub random: [u8; 16],
}

/// Decides where a request may go.
#[must_use]
pub fn decide(
    policy: &Policy,
    classified: &Classified<'_>,
    asker: &Asker,
    recalled: Recalled<'_>,
    moment: Moment<'_>,
) -> Decision {
    let Asker { tenant, caller, named, inner, narrow } = *asker;
    let session = session(classified.grade, named, recalled.lineage, moment.random);
    let affinity = session
        .map(|session| session.id.affinity())
        .or_else(|| classified.cache_key.map(|key| policy.keys.cache_affinity(tenant, key)));
    let classes = policy.classes(classified.surface, classified.grade, classified.fired, inner);
    let facts = Facts {
        now: moment.now,
        surface: classified.surface,
        grade: classified.grade,
        classes,
        model: classified.model.as_deref(),
        caller,
        narrow,
        owners: recalled.owners,
        since: recalled.since,
        rested: recalled.rested,
        located: recalled.located,
        tenant: tenant.affinity(),
        home: policy.home(tenant),
        health: moment.health,
        affinity,
        seed: SessionId::mint(moment.random).affinity(),
        in_flight: moment.in_flight,
        favoured: moment.favoured,
    };
    let ruling = judge(policy, &facts);
    let shadow = ruling.other.map(|cell| {
        Box::new(Shadow {
            clouds: cell.clouds,
            refusal: cell.refusal,
            terms: SmallVec::from_slice(&cell.terms),
        })
    });
    // What goes on by a lease has been lawful for no longer than what it cites.
    let oldest = recalled.since.iter().min().filter(|_| ruling.lease.is_some());
    Decision {
        surface: classified.surface,
        grade: classified.grade,
        class: ruling.class,
        vendor: ruling.vendor,
        tenant,
        session,
        epoch: ruling.epoch,
        terms: SmallVec::from_slice(&ruling.cell.terms),
        classes,
        shadow,
        in_band: ruling.in_band,
        lease: ruling.lease,
        since: oldest.copied().unwrap_or(moment.now),
        verdict: select(policy, &ruling, &facts),
    }
}

/// The lineage of a handle outranks what the head says; a session is minted only where state begins or goes on.
fn session(
    grade: Grade,
    named: Option<Session>,
    lineage: Option<SessionId>,
    random: [u8; 16],
) -> Option<Session> {
    let lineage = lineage.map(|id| Session { id, source: SessionSource::Lineage });
    let minted = || {
        (Grade::Creates..Grade::Unknown)
            .contains(&grade)
            .then(|| Session { id: SessionId::mint(random), source: SessionSource::Minted })
    };
    lineage.or(named).or_else(minted)
}
