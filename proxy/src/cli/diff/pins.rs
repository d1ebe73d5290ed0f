//! How many live pins a change touches: by the cloud where they live, and by whose they are.

use super::words::{Row, Touched};
use crate::pins::Census;
use riparian_config::Timestamp;
use riparian_filters::identify::{SessionId, Tenant};
use riparian_filters::policy::Policy;
use std::collections::HashSet;

/// The grades whose requests go where their state is.
const HELD: [&str; 4] = ["sealed", "continues", "connection", "runtime"];

/// Counts the pins in the clouds that a change leaves out. A pin does not say of which operation, vendor or model it is, so that is
/// the most that it can be; what changes in the past alone touches none.
pub(super) fn count(row: &mut Row, census: &Census, policy: &Policy) {
    let held = row.grades.iter().any(|grade| HELD.contains(grade));
    let over = row.ends.is_some_and(|ends| ends <= Timestamp::now());
    let is = row.is.clouds();
    let left: Vec<String> =
        row.was.clouds().into_iter().filter(|cloud| !is.contains(cloud)).map(str::to_owned).collect();
    if !held || over || left.is_empty() {
        return;
    }
    let named = &policy.config.tenants.named;
    let whose = |names: &String| -> Vec<Tenant> {
        let meant = |name: &str| names.split(", ").any(|of| of == name);
        let numbers = named.iter().enumerate().filter(|(_, tenant)| meant(tenant.name.as_str()));
        numbers.map(|(number, _)| policy.callers().of(number)).collect()
    };
    // Whoever has no name can be told from nobody.
    let tenants: Option<HashSet<Tenant>> = row
        .callers
        .iter()
        .map(|names| Some(whose(names)).filter(|tenants| !tenants.is_empty()))
        .collect::<Option<Vec<_>>>()
        .filter(|tenants| !tenants.is_empty())
        .map(|tenants| tenants.into_iter().flatten().collect());
    let touched = census.pins.iter().filter(|(tenant, pin)| {
        left.iter().any(|cloud| cloud == pin.cloud.as_str())
            && tenants.as_ref().is_none_or(|tenants| tenants.contains(tenant))
    });
    let sessions: Vec<SessionId> = touched.map(|(_, pin)| pin.session).collect();
    let distinct: HashSet<&SessionId> = sessions.iter().collect();
    row.pins = Some(Touched { pins: sessions.len(), sessions: distinct.len(), clouds: left });
}
