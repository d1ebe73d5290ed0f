//! Contract x facts x pins x health -> what is allowed.
//!
//! | the contract's cell | the handles cited | the owner | the ruling |
//! |---|---|---|---|
//! | refuses | any | any | refused, with the cell's reason |
//! | allows | none | - | free, over the cell's clouds |
//! | allows | none, and the operation is a LIST | - | one endpoint of the tenant's home |
//! | allows | one is unknown | - | refused: `unknown_handle`; or one endpoint of the home cloud, where the configuration says so |
//! | allows | asserted for the first time | - | one endpoint, over the cell's clouds: it will be the owner |
//! | allows | located by the configuration | - | free, over the endpoints that have the resource |
//! | allows | known | two | refused: `owners_differ` |
//! | allows | known | no longer configured | refused: `owner_removed` |
//! | allows | known | in a cloud outside the cell | refused: `owner_not_designated` |
//! | allows | known | lacks the operation or the model | refused: `not_served` |
//! | allows | known | down | refused: `owner_unavailable` |
//! | allows | known | up | held there |

use crate::decision::Reason;
use crate::policy::{EndpointId, Policy, SurfaceNumber};
use crate::table::{Cell, Kind};
use riparian_config::{Class, Grade, Timestamp, UnknownHandle};

/// What a decision is made from. No clock, no randomness and no I/O stand behind it.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The wall clock.
    pub now: Timestamp,
    /// Which operation; `None` when unrecognised.
    pub surface: Option<SurfaceNumber>,
    /// How much state.
    pub grade: Grade,
    /// The model, as the client names it.
    pub model: Option<&'a str>,
    /// What the pin table knows of each handle that the request cites.
    pub owners: &'a [Owner],
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
    /// What the enforced reading makes of the grade.
    pub class: Class,
    /// The index of the vendor.
    pub vendor: Option<usize>,
    /// The contract's cell: clouds, order, terms.
    pub cell: &'p Cell,
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
    let kind =
        Kind { vendor, surface: facts.surface, grade: facts.grade, group: policy.table.group(facts.model) };
    let (epoch, cell) = policy.table.at(facts.now, kind);
    let class = policy.config.contract.enforced().class(facts.grade);
    let outcome = match cell.refusal {
        Some(reason) => Err(reason),
        None => hold(policy, facts, cell),
    };
    Ruling { epoch, class, vendor, cell, outcome }
}

fn hold(policy: &Policy, facts: &Facts<'_>, cell: &Cell) -> Result<Freedom, Reason> {
    let home = if facts.owners.contains(&Owner::Unknown) {
        if policy.config.sessions.unknown_handle != UnknownHandle::Home {
            return Err(Reason::UnknownHandle);
        }
        Some(facts.home.ok_or(Reason::UnknownHandle)?)
    } else if facts.surface.is_some_and(|surface| policy.surface(surface).collective) {
        facts.home
    } else {
        None
    };
    if home.is_some_and(|home| !cell.clouds.contains(home)) {
        return Err(Reason::OwnerNotDesignated);
    }
    let mut owners = facts.owners.iter().filter(|owner| matches!(owner, Owner::Endpoint(_) | Owner::Removed));
    let Some(first) = owners.next() else { return Ok(unheld(policy, facts, home)) };
    if owners.any(|owner| owner != first) {
        return Err(Reason::OwnersDiffer);
    }
    let Owner::Endpoint(owner) = *first else { return Err(Reason::OwnerRemoved) };
    let place = policy.place(owner);
    let elsewhere = facts.located.is_some_and(|located| !is_in(located, owner));
    if elsewhere || home.is_some_and(|home| home != place.cloud) {
        return Err(Reason::OwnersDiffer);
    }
    if !cell.clouds.contains(place.cloud) {
        return Err(Reason::OwnerNotDesignated);
    }
    if !place.serves(facts.surface.map(|surface| policy.surface(surface)), facts.model) {
        return Err(Reason::NotServed);
    }
    if facts.health.is_down(owner) {
        return Err(Reason::OwnerUnavailable);
    }
    Ok(Freedom::Held(owner))
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
