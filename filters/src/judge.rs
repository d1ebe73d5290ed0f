//! Contract x facts x pins x health -> what is allowed.
//!
//! What the contract says is one cell of its table where all readings make one class of the request, and else two:
//!
//! | the readings | their cells | `band` | what the contract allows |
//! |---|---|---|---|
//! | agree | one | any | what the cell says |
//! | differ | the enforced reading's refuses | any | refused, with its reason |
//! | differ | name the same clouds | any | what the enforced reading's cell says |
//! | differ | name other clouds | enforced | what the enforced reading's cell says |
//! | differ | name other clouds | conservative | the clouds that are in both; refused where there is none: `readings_disagree` |
//! | differ | name other clouds | refuse | refused: `readings_disagree` |
//!
//! Within `clock_skew` of a boundary that is asked of each side, and only what all of them allow is allowed. The clouds that the request's own header leaves are what remains of that (`narrowed` where nothing does). Then:
//!
//! | the contract | the handles cited | the owner | the ruling |
//! |---|---|---|---|
//! | refuses | none, or none is known | - | refused, with the cell's reason |
//! | allows | none | - | free, over the cell's clouds |
//! | allows | none, and the operation is a LIST | - | one endpoint of the tenant's home |
//! | allows | one is unknown | - | refused: `unknown_handle`; or one endpoint of the home cloud, where the configuration says so |
//! | allows | asserted for the first time | - | one endpoint, over the cell's clouds: it will be the owner |
//! | allows | located by the configuration | - | free, over the endpoints that have the resource |
//! | allows | known | two | refused: `owners_differ` |
//! | allows | known | no longer configured | refused: `owner_removed` |
//! | leaves its cloud out | known | went there lawfully, by a term that has ended since | as that term's `on_expiry` says: held there, or refused: `session_drained` |
//! | leaves its cloud out | known | anything else | refused: `owner_not_designated`, or the cell's reason |
//! | allows | known | lacks the operation or the model | refused: `not_served` |
//! | allows | known | down | refused: `owner_unavailable` |
//! | allows | known | up | held there |

use crate::decision::Reason;
use crate::policy::{EndpointId, Policy, SurfaceNumber};
use crate::readings::Classes;
use crate::table::{Cell, CloudSet, Kind};
use riparian_config::{Band, Class, Grade, OnExpiry, Timestamp, UnknownHandle};
use std::time::Duration;

/// What a decision is made from. No clock, no randomness and no I/O stand behind it.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The wall clock.
    pub now: Timestamp,
    /// Which operation; `None` when unrecognised.
    pub surface: Option<SurfaceNumber>,
    /// How much state.
    pub grade: Grade,
    /// What each reading makes of that.
    pub classes: Classes,
    /// The model, as the client names it.
    pub model: Option<&'a str>,
    /// The number of the named tenant that asks, if it is one.
    pub caller: Option<usize>,
    /// The clouds that the request's own header leaves; `None` where it says nothing.
    pub narrow: Option<CloudSet>,
    /// What the pin table knows of each handle that the request cites.
    pub owners: &'a [Owner],
    /// When the terms in force last allowed what is cited to be where it is, for each handle that is known.
    pub since: &'a [Timestamp],
    /// How long its session has rested.
    pub rested: Duration,
    /// The endpoints that have every resource of [`Owner::Located`], in words of 64; `None` where none is cited.
    pub located: Option<&'a [u64]>,
    /// What keeps a tenant with one endpoint, where nothing else may decide.
    pub tenant: u64,
    /// The index of the tenant's home cloud, where it has one.
    pub home: Option<usize>,
    /// Which endpoints are down.
    pub health: HealthView<'a>,
    /// What keeps a session or a cache with one endpoint.
    pub affinity: Option<u64>,
    /// Stands in for the affinity where there is none.
    pub seed: u64,
    /// Requests in flight, by endpoint; balanced on only when the configuration says so.
    pub in_flight: &'a [u32],
    /// Clouds to try first among those that are allowed and none of which is preferred.
    pub favoured: CloudSet,
}

impl Facts<'_> {
    /// A request of which nothing more is known: everything is up, nothing is cited, and nobody has an affinity.
    #[must_use]
    pub fn bare(now: Timestamp, surface: Option<SurfaceNumber>, grade: Grade, classes: Classes) -> Self {
        Self {
            now,
            surface,
            grade,
            classes,
            model: None,
            caller: None,
            narrow: None,
            owners: &[],
            since: &[],
            rested: Duration::ZERO,
            located: None,
            tenant: 0,
            home: None,
            health: HealthView::default(),
            affinity: None,
            seed: 0,
            in_flight: &[],
            favoured: CloudSet::NONE,
        }
    }
}

/// What is known of a handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// It lives there.
    Endpoint(EndpointId),
    /// It lived at an endpoint that is no longer configured.
    Removed,
    /// Nothing.
    Unknown,
    /// Nothing, because the client has just invented it.
    Unbound,
    /// It was not made through the proxy; the configuration names the endpoints that have it.
    Located,
}

/// Which endpoints are down: one bit each, by their ids.
#[derive(Clone, Copy, Debug, Default)]
pub struct HealthView<'a> {
    /// Words of 64 endpoints; what lies beyond the last word is up.
    pub down: &'a [u64],
}

impl HealthView<'_> {
    /// Whether `endpoint` counts as down.
    #[must_use]
    pub fn is_down(self, endpoint: EndpointId) -> bool {
        is_in(self.down, endpoint)
    }
}

/// What the contract and the pins allow, before any balancing.
#[derive(Clone, Debug)]
pub struct Ruling<'p> {
    /// Which span of unchanging terms.
    pub epoch: u32,
    /// What the enforced reading makes of the request.
    pub class: Class,
    /// The index of the vendor.
    pub vendor: Option<usize>,
    /// The enforced reading's cell: order, terms.
    pub cell: &'p Cell,
    /// The cell of those readings that make the other class of it, where there are any.
    pub other: Option<&'p Cell>,
    /// Whether the readings disagree about where it may go.
    pub in_band: bool,
    /// The clouds among which it may choose freely.
    pub clouds: CloudSet,
    /// By which kind of expiry a session goes on that the terms in force would not allow any more.
    pub lease: Option<OnExpiry>,
    /// How freely an endpoint is chosen.
    pub outcome: Result<Freedom, Reason>,
}

/// How freely an endpoint is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freedom {
    /// Among all of the cell's clouds, and another when one fails.
    Any,
    /// Among all of the cell's clouds, but no other when it fails: what begins with this request lives there.
    Once,
    /// The one of this cloud, or of the cell's clouds, that the tenant always has, be it up or down.
    Home(Option<usize>),
    /// This one.
    Held(EndpointId),
}

/// What does the contract in force allow?
#[must_use]
pub fn judge<'p>(policy: &'p Policy, facts: &Facts<'_>) -> Ruling<'p> {
    let vendor = policy.vendor(facts.surface, facts.model);
    let said = said(policy, facts, vendor, facts.now);
    let clouds = facts.narrow.map_or(said.clouds, |narrow| said.clouds.and(narrow));
    let refusal = said.refusal.or_else(|| clouds.is_empty().then_some(Reason::Narrowed));
    let mut lease = None;
    let outcome = match held(facts) {
        Some(owner) => hold(policy, facts, owner, Allowed { vendor, said, clouds, refusal }, &mut lease),
        None => match refusal {
            Some(reason) => Err(reason),
            None => unowned(policy, facts, clouds),
        },
    };
    let Said { epoch, class, cell, other, in_band, .. } = said;
    Ruling { epoch, class, vendor, cell, other, in_band, clouds, lease, outcome }
}

/// What the contract says of a request at some moment, pins and headers aside.
#[derive(Clone, Copy)]
struct Said<'p> {
    epoch: u32,
    class: Class,
    cell: &'p Cell,
    other: Option<&'p Cell>,
    in_band: bool,
    clouds: CloudSet,
    refusal: Option<Reason>,
}

impl<'p> Said<'p> {
    /// The cells whose word counts: the enforced reading's, and the others' unless that one decides alone.
    fn counting(&self, band: Band) -> impl Iterator<Item = &'p Cell> + use<'p> {
        std::iter::once(self.cell).chain(self.other.filter(|_| band != Band::Enforced))
    }
}

fn said<'p>(policy: &'p Policy, facts: &Facts<'_>, vendor: Option<usize>, at: Timestamp) -> Said<'p> {
    let contract = &policy.config.contract;
    let class = facts.classes.of(contract.enforced);
    let group = policy.table.group(facts.model);
    let kind = |class| Kind {
        vendor,
        surface: facts.surface,
        grade: facts.grade,
        class,
        caller: facts.caller,
        group,
    };
    let (epoch, cell) = policy.table.at(at, kind(class));
    if !facts.classes.differ(contract.readings.len()) {
        let (clouds, refusal) = (cell.clouds, cell.refusal);
        return Said { epoch, class, cell, other: None, in_band: false, clouds, refusal };
    }
    let other = Some(policy.table.at(at, kind(class.other())).1);
    // The readings may agree on one side of a boundary and not on the other, which what both sides have in common does not show.
    let sides = policy.table.sides(at, kind(class)).zip(policy.table.sides(at, kind(class.other())));
    let (mut in_band, mut clouds, mut refusal) = (false, CloudSet::first(policy.config.clouds.len()), None);
    for (cell, other) in sides {
        let (left, refused) = banded(contract.band, cell, other);
        in_band |= cell.clouds != other.clouds;
        clouds = clouds.and(left);
        refusal = refusal.or(refused);
    }
    let refusal = refusal.or_else(|| clouds.is_empty().then_some(Reason::EpochBoundary));
    Said { epoch, class, cell, other, in_band, clouds, refusal }
}

/// What the band makes of what the readings say.
fn banded(band: Band, cell: &Cell, other: &Cell) -> (CloudSet, Option<Reason>) {
    let both = cell.clouds.and(other.clouds);
    match band {
        _ if cell.refusal.is_some() || cell.clouds == other.clouds => (cell.clouds, cell.refusal),
        Band::Enforced => (cell.clouds, None),
        Band::Conservative if !both.is_empty() => (both, None),
        Band::Conservative | Band::Refuse => (CloudSet::NONE, Some(Reason::ReadingsDisagree)),
    }
}

/// The owner of the first handle whose owner is known, or was.
fn held(facts: &Facts<'_>) -> Option<Owner> {
    facts.owners.iter().copied().find(|owner| matches!(owner, Owner::Endpoint(_) | Owner::Removed))
}

/// The home cloud, where it decides.
fn home(policy: &Policy, facts: &Facts<'_>) -> Result<Option<usize>, Reason> {
    if facts.owners.contains(&Owner::Unknown) {
        if policy.config.sessions.unknown_handle != UnknownHandle::Home {
            return Err(Reason::UnknownHandle);
        }
        return facts.home.map(Some).ok_or(Reason::UnknownHandle);
    }
    let collective = facts.surface.is_some_and(|surface| policy.surface(surface).collective);
    Ok(if collective { facts.home } else { None })
}

fn unowned(policy: &Policy, facts: &Facts<'_>, clouds: CloudSet) -> Result<Freedom, Reason> {
    let home = home(policy, facts)?;
    if home.is_some_and(|home| !clouds.contains(home)) {
        return Err(Reason::OwnerNotDesignated);
    }
    Ok(unheld(policy, facts, home))
}

/// What the terms in force allow a request that is held.
#[derive(Clone, Copy)]
struct Allowed<'p> {
    vendor: Option<usize>,
    said: Said<'p>,
    clouds: CloudSet,
    refusal: Option<Reason>,
}

fn hold(
    policy: &Policy,
    facts: &Facts<'_>,
    first: Owner,
    allowed: Allowed<'_>,
    lease: &mut Option<OnExpiry>,
) -> Result<Freedom, Reason> {
    let lease_of = |owner| match policy.place(owner).cloud {
        cloud if allowed.clouds.contains(cloud) => Ok(None),
        cloud => leased(policy, facts, &allowed, cloud),
    };
    let leased = match (first, allowed.refusal) {
        (Owner::Endpoint(owner), _) => lease_of(owner),
        (_, Some(reason)) => Err(reason),
        (_, None) => Err(Reason::OwnerRemoved),
    };
    if allowed.refusal.is_some() {
        *lease = leased?;
    }
    let home = home(policy, facts)?;
    if home.is_some_and(|home| allowed.refusal.is_none() && !allowed.clouds.contains(home)) {
        return Err(Reason::OwnerNotDesignated);
    }
    let differs = |owner: &Owner| matches!(owner, Owner::Endpoint(_) | Owner::Removed) && *owner != first;
    if facts.owners.iter().any(differs) {
        return Err(Reason::OwnersDiffer);
    }
    let Owner::Endpoint(owner) = first else { return Err(Reason::OwnerRemoved) };
    let place = policy.place(owner);
    let elsewhere = facts.located.is_some_and(|located| !is_in(located, owner));
    if elsewhere || home.is_some_and(|home| home != place.cloud) {
        return Err(Reason::OwnersDiffer);
    }
    *lease = leased?;
    if !place.serves(facts.surface.map(|surface| policy.surface(surface)), facts.model) {
        return Err(Reason::NotServed);
    }
    if facts.health.is_down(owner) {
        return Err(Reason::OwnerUnavailable);
    }
    Ok(Freedom::Held(owner))
}

/// Whether state that lives in `cloud`, which the terms in force leave out, may be gone on with: where the terms allowed it to be there,
/// and all that has changed since is that some of those ended, the strictest of them says what becomes of it. What a term in force
/// forbids in so many words, and what the request's own header leaves out, stays so. Unless the enforced reading decides alone, that
/// holds under every reading: each that leaves the cloud out must do so because a term ended that spoke under it.
fn leased(
    policy: &Policy,
    facts: &Facts<'_>,
    allowed: &Allowed<'_>,
    cloud: usize,
) -> Result<Option<OnExpiry>, Reason> {
    let refusal = Err(allowed.refusal.unwrap_or(Reason::OwnerNotDesignated));
    let contract = &policy.config.contract;
    let term = |number: &u16| &contract.terms[usize::from(*number)];
    let name = &policy.config.clouds[cloud].name;
    let now = allowed.said;
    let mut in_force = now.counting(contract.band).flat_map(|cell| &cell.terms).map(term);
    if in_force.any(|term| term.never.contains(name))
        || facts.since.is_empty()
        || facts.narrow.is_some_and(|narrow| !narrow.contains(cloud))
    {
        return refusal;
    }
    let latest = policy.table.latest(facts.now);
    let mut strictest = OnExpiry::Grandfather;
    for since in facts.since {
        let then = said(policy, facts, allowed.vendor, *since);
        let mut ended = None;
        for (now, then) in now.counting(contract.band).zip(then.counting(contract.band)) {
            let over = then.terms.iter().map(term).filter(|term| !term.is_in_force(latest));
            let over = over.map(|term| term.on_expiry).max();
            if over.is_none() && !now.clouds.contains(cloud) {
                return refusal;
            }
            ended = ended.max(over);
        }
        match ended {
            Some(ended) if then.clouds.contains(cloud) => strictest = strictest.max(ended),
            _ => return refusal,
        }
    }
    match strictest {
        OnExpiry::Cut => refusal,
        OnExpiry::Drain if facts.rested > policy.config.sessions.idle => Err(Reason::SessionDrained),
        OnExpiry::Grandfather | OnExpiry::Drain => Ok(Some(strictest)),
    }
}

fn unheld(policy: &Policy, facts: &Facts<'_>, home: Option<usize>) -> Freedom {
    let collective = facts.surface.is_some_and(|surface| policy.surface(surface).collective);
    if home.is_some() || collective {
        Freedom::Home(home)
    } else if facts.owners.contains(&Owner::Unbound) {
        Freedom::Once
    } else {
        Freedom::Any
    }
}

/// Whether `endpoint` is in a set in words of 64.
fn is_in(set: &[u64], endpoint: EndpointId) -> bool {
    let at = usize::from(endpoint.0);
    set.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1)
}

// The truth table above is the data of `tests/judge/rows.rs`.
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_is_one_bit_an_endpoint() {
        let view = HealthView { down: &[1 << 63, 1] };
        let down: Vec<u16> = (0..300).filter(|id| view.is_down(EndpointId(*id))).collect();
        assert_eq!(down, [63, 64], "what lies beyond the last word is up");
        assert!(!HealthView::default().is_down(EndpointId(u16::MAX)));
    }
}
