//! Contract x facts x pins x health -> what is allowed.
//!
//! | the contract's cell | the handles cited | the owner | the ruling |
//! |---|---|---|---|
//! | refuses | any | any | refused, with the cell's reason |
//! | allows | none | - | free, over the cell's clouds |
//! | allows | one is unknown | - | refused: `unknown_handle` |
//! | allows | known | two | refused: `owners_differ` |
//! | allows | known | no longer configured | refused: `owner_removed` |
//! | allows | known | in a cloud outside the cell | refused: `owner_not_designated` |
//! | allows | known | lacks the operation or the model | refused: `not_served` |
//! | allows | known | down | refused: `owner_unavailable` |
//! | allows | known | up | held there |

use crate::decision::Reason;
use crate::policy::{EndpointId, Policy, SurfaceNumber};
use crate::table::{Cell, Kind};
use riparian_config::{Class, Grade, Timestamp};

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
        let at = usize::from(endpoint.0);
        self.down.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1)
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
    /// `Ok(None)` is free over the cell's clouds, `Ok(Some)` held at an owner.
    pub outcome: Result<Option<EndpointId>, Reason>,
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

fn hold(policy: &Policy, facts: &Facts<'_>, cell: &Cell) -> Result<Option<EndpointId>, Reason> {
    if facts.owners.contains(&Owner::Unknown) {
        return Err(Reason::UnknownHandle);
    }
    let mut owners = facts.owners.iter();
    let Some(first) = owners.next() else { return Ok(None) };
    if owners.any(|owner| owner != first) {
        return Err(Reason::OwnersDiffer);
    }
    let owner = match first {
        Owner::Endpoint(owner) => *owner,
        Owner::Removed | Owner::Unknown => return Err(Reason::OwnerRemoved),
    };
    let place = policy.place(owner);
    if !cell.clouds.contains(place.cloud) {
        return Err(Reason::OwnerNotDesignated);
    }
    if !place.serves(facts.surface.map(|surface| policy.surface(surface)), facts.model) {
        return Err(Reason::NotServed);
    }
    if facts.health.is_down(owner) {
        return Err(Reason::OwnerUnavailable);
    }
    Ok(Some(owner))
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
