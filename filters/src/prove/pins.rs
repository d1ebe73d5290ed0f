//! State in each cloud: that it holds a request where it is allowed to, and that nothing else is tried in its stead.

use super::{address, domain::Domain};
use crate::decision::Verdict;
use crate::judge::{Facts, Owner, Ruling, judge};
use crate::policy::{EndpointId, Policy};
use crate::select::select;
use crate::table::CloudSet;
use riparian_config::{Grade, OnExpiry, Timestamp};
use std::collections::HashMap;

pub(super) struct Pins<'p> {
    policy: &'p Policy,
    /// Every endpoint: state may live at any of them.
    endpoints: Vec<EndpointId>,
    /// When sessions can have begun: none where no term lets any go on.
    begun: Vec<Timestamp>,
    /// Clouds in which sessions may go on, by both cells, the time, the surface and the grade.
    leases: HashMap<(usize, usize, Timestamp, Option<usize>, Grade), CloudSet>,
}

impl<'p> Pins<'p> {
    pub(super) fn new(policy: &'p Policy, domain: &Domain) -> Self {
        let lets_go_on = policy.config.contract.terms.iter().any(|term| term.on_expiry != OnExpiry::Cut);
        let begun = domain.spans.iter().filter(|_| lets_go_on).map(|(from, _)| *from).collect();
        let endpoints = (0u16..).map(EndpointId).zip(policy.places()).map(|(id, _)| id).collect();
        Self { policy, endpoints, begun, leases: HashMap::new() }
    }

    /// Clouds that a request reaches which cites state there, although the terms do not allow them and no lease does.
    pub(super) fn stray(&self, facts: &Facts<'_>, ruling: &Ruling<'_>) -> Vec<usize> {
        let mut stray = Vec::new();
        for &owner in &self.endpoints {
            let owners = [Owner::Endpoint(owner)];
            let facts = Facts { owners: &owners, ..*facts };
            let held = judge(self.policy, &facts);
            let cloud = self.policy.place(owner).cloud;
            let lawful = match select(self.policy, &held, &facts) {
                // There or nowhere, and there only where the terms allow it and it is up.
                Verdict::Hold(at) => {
                    at == owner && ruling.clouds.contains(cloud) && !facts.health.is_down(owner)
                }
                Verdict::Free(_) => false,
                Verdict::Refuse(_) => true,
            };
            if !lawful {
                stray.push(cloud);
            }
        }
        stray
    }

    /// Whether a request of this grade can cite anything that lives somewhere.
    fn cites(&self, facts: &Facts<'_>) -> bool {
        let Some(surface) = facts.surface.map(|number| self.policy.surface(number)) else { return false };
        let mut signals = surface.signals.iter();
        surface.path_handle.is_some()
            || signals.any(|signal| signal.handle.is_some() && signal.grade <= facts.grade)
    }

    /// Clouds where sessions of this kind may go on that the terms in force would not let begin there.
    pub(super) fn leased(&mut self, facts: &Facts<'_>, ruling: &Ruling<'_>) -> CloudSet {
        if self.begun.is_empty() || !self.cites(facts) {
            return CloudSet::NONE;
        }
        let key = (address(Some(ruling.cell)), address(ruling.other), facts.now, facts.surface, facts.grade);
        if let Some(known) = self.leases.get(&key) {
            return *known;
        }
        let mut clouds = CloudSet::NONE;
        for &owner in &self.endpoints {
            let cloud = self.policy.place(owner).cloud;
            if ruling.clouds.contains(cloud) || clouds.contains(cloud) {
                continue;
            }
            let owners = [Owner::Endpoint(owner)];
            let goes_on = |since: &&Timestamp| {
                let since = [**since];
                let facts = Facts { owners: &owners, since: &since, ..*facts };
                judge(self.policy, &facts).lease.is_some()
            };
            if self.begun.iter().filter(|since| **since < facts.now).any(|since| goes_on(&since)) {
                clouds = clouds.iter().chain([cloud]).collect();
            }
        }
        self.leases.insert(key, clouds);
        clouds
    }
}
