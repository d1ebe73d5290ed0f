//! Each endpoint of the configuration: why it was chosen, or the first thing that speaks against it; and what a retry would do.

use super::Subject;
use super::terms::Cells;
use riparian_config::{Band, Mark, Term};
use riparian_filters::decision::{CANDIDATES_MAX, Reason, Verdict};
use riparian_filters::judge::Owner;
use riparian_filters::policy::{EndpointId, Place, Policy};
use riparian_filters::table::{Cell, CloudSet};
use serde::Serialize;

/// What becomes of one endpoint.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct EndpointTold {
    pub(crate) endpoint: String,
    pub(crate) cloud: String,
    /// Its turn, from 1 on; none where it is not tried.
    pub(crate) turn: Option<usize>,
    pub(crate) why: String,
}

/// What happens when the first endpoint fails before it has answered.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Retry {
    /// Attempts at most, the first included; 0 for a refusal.
    pub(crate) attempts: u32,
    /// Where the next ones go, in this order.
    pub(crate) next: Vec<String>,
    pub(crate) why: String,
}

/// The names of clouds.
pub(super) fn names(policy: &Policy, clouds: CloudSet) -> Vec<String> {
    clouds.iter().map(|cloud| policy.config.clouds[cloud].name.to_string()).collect()
}

/// The names of endpoints.
pub(super) fn named(policy: &Policy, endpoints: &[EndpointId]) -> Vec<String> {
    endpoints.iter().map(|id| policy.place(*id).endpoint.name.to_string()).collect()
}

/// All of them, of a request that was refused before one was chosen.
pub(super) fn unchosen(policy: &Policy, reason: Reason) -> Vec<EndpointTold> {
    let why = format!("the request is refused before an endpoint is chosen: {reason}");
    policy.places().iter().map(|place| told_of(place, None, why.clone())).collect()
}

fn told_of(place: &Place, turn: Option<usize>, why: String) -> EndpointTold {
    let (endpoint, cloud) = (place.endpoint.name.to_string(), place.cloud_name.to_string());
    EndpointTold { endpoint, cloud, turn, why }
}

/// All of them, in the configuration's order.
pub(super) fn told(subject: &Subject<'_, '_>, cells: &Cells<'_>) -> Vec<EndpointTold> {
    let Subject { policy, decision, .. } = *subject;
    let candidates = decision.verdict.endpoints();
    let places = (0u16..).map(EndpointId).zip(policy.places());
    places
        .map(|(id, place)| match candidates.iter().position(|candidate| *candidate == id) {
            Some(turn) => told_of(place, Some(turn + 1), chosen(subject, cells, place, turn)),
            None => {
                let why = against_cloud(subject, cells, place)
                    .or_else(|| against_endpoint(subject, id, place))
                    .unwrap_or_else(|| among_others(subject));
                told_of(place, None, why)
            }
        })
        .collect()
}

/// Why it is tried, in its turn.
fn chosen(subject: &Subject<'_, '_>, cells: &Cells<'_>, place: &Place, turn: usize) -> String {
    let Subject { policy, decision, classified, .. } = *subject;
    if matches!(decision.verdict, Verdict::Hold(_)) {
        let held = subject.known.iter().zip(&classified.handles).find(|(known, _)| known.is_some());
        let kind = held.map_or("state", |(_, handle)| handle.namespace.as_str());
        let lease = decision.lease.map_or(String::new(), |lease| {
            format!("; no term in force allows it any more, and its session goes on by {lease}")
        });
        return format!("it holds the {kind} that the request cites{lease}");
    }
    let terms = |number: &u16| &policy.config.contract.terms[usize::from(*number)];
    let preferring = cells.own.terms.iter().map(terms).find(|term| term.prefer.contains(&place.cloud_name));
    let designated = preferring.map_or_else(
        || format!("designated by {}", ids(cells.own.terms.iter().map(terms))),
        |term| format!("its cloud is preferred by {}", term.id),
    );
    let order = match (turn, decision.session, classified.cache_key) {
        (1.., ..) => "next in the same order",
        (0, Some(_), _) => "its session keeps it",
        (0, None, Some(_)) => "its cache key keeps it",
        (0, None, None) => "by chance and weight: another time another of its rank may come first",
    };
    format!("{designated}; {order}")
}

fn ids<'t>(terms: impl Iterator<Item = &'t Term>) -> String {
    let ids: Vec<&str> = terms.map(|term| term.id.as_str()).collect();
    if ids.is_empty() { "no term".to_owned() } else { ids.join(", ") }
}

/// What the contract says against its cloud, if anything.
fn against_cloud(subject: &Subject<'_, '_>, cells: &Cells<'_>, place: &Place) -> Option<String> {
    let Subject { policy, decision, asker, .. } = *subject;
    let contract = &policy.config.contract;
    if let Some(why) = against(policy, cells.own, place) {
        return Some(why);
    }
    if decision.in_band && contract.band == Band::Refuse {
        return Some("the readings disagree about the request, and then it is refused".to_owned());
    }
    if decision.in_band && contract.band == Band::Conservative {
        let other = cells.other.and_then(|other| against(policy, other, place));
        if let Some(why) = other {
            return Some(format!("under the readings that make it {}: {why}", decision.class.other()));
        }
    }
    let narrowed = asker.narrow.is_some_and(|narrow| !narrow.contains(place.cloud));
    narrowed.then(|| "the request's own x-riparian-clouds header leaves its cloud out".to_owned())
}

/// What one cell says against a cloud.
fn against(policy: &Policy, cell: &Cell, place: &Place) -> Option<String> {
    if cell.clouds.contains(place.cloud) {
        return None;
    }
    let cloud = &place.cloud_name;
    let terms = || cell.terms.iter().map(|number| &policy.config.contract.terms[usize::from(*number)]);
    let never: Vec<&Term> = terms().filter(|term| term.never.contains(cloud)).collect();
    let without: Vec<&Term> =
        terms().filter(|term| term.only.as_ref().is_some_and(|only| !only.contains(cloud))).collect();
    Some(match (&never[..], &without[..], &cell.terms[..]) {
        ([], [], []) => "no term in force speaks of the request".to_owned(),
        ([], [], _) => "it is not allowed on both sides of the terms' change".to_owned(),
        ([], without, _) => format!("its cloud is not designated by {}", ids(without.iter().copied())),
        (never, ..) => format!("its cloud is forbidden by {}", ids(never.iter().copied())),
    })
}

/// What speaks against the endpoint itself, where its cloud is allowed.
fn against_endpoint(subject: &Subject<'_, '_>, id: EndpointId, place: &Place) -> Option<String> {
    let Subject { policy, classified, decision, known, health, .. } = *subject;
    let owner = known.iter().flatten().find_map(|lives| match lives.owner {
        Owner::Endpoint(owner) => Some(owner),
        _ => None,
    });
    if let Some(owner) = owner.filter(|owner| *owner != id) {
        return Some(format!(
            "the state that the request cites lives at {}",
            policy.place(owner).endpoint.name
        ));
    }
    let surface = classified.surface.map(|number| policy.surface(number));
    if !place.serves(surface, None) {
        let operation = surface.map_or("this operation", |surface| surface.id.as_str());
        return Some(format!("its dialect {} has no {operation}", place.dialect()));
    }
    let model = classified.model.as_deref();
    if let Some(model) = model.filter(|_| !place.serves(surface, model)) {
        return Some(format!("it does not serve {model}"));
    }
    let located = classified
        .handles
        .iter()
        .zip(known)
        .filter(|(handle, known)| known.is_none() && handle.mark == Some(Mark::Located));
    for (handle, _) in located {
        let holders = policy.holders(&handle.value);
        let at = usize::from(id.0);
        if holders.iter().any(|word| *word != 0) && holders[at / 64] >> (at % 64) & 1 == 0 {
            return Some(format!("it has not the {} that the request cites", handle.namespace));
        }
    }
    if health.is_down(id) {
        return Some("it is down".to_owned());
    }
    match decision.verdict {
        Verdict::Refuse(reason) => Some(format!("it could serve the request, which is refused: {reason}")),
        _ => None,
    }
}

/// Why it is not among the candidates although nothing speaks against it.
fn among_others(subject: &Subject<'_, '_>) -> String {
    let Subject { policy, classified, decision, .. } = *subject;
    let collective = classified.surface.is_some_and(|surface| policy.surface(surface).collective);
    let new = |handle: &riparian_filters::classify::Handle<'_>| handle.mark == Some(Mark::Asserted);
    if decision.verdict.endpoints().len() == CANDIDATES_MAX {
        format!("{CANDIDATES_MAX} others come before it, and no more are tried")
    } else if collective {
        "a LIST is always answered by the same endpoint".to_owned()
    } else if classified.handles.iter().any(new) {
        "what begins with this request lives at one endpoint, and no other is tried in its stead".to_owned()
    } else {
        "handles that nobody knows are believed to live in the home cloud".to_owned()
    }
}

impl Retry {
    /// Of a refusal.
    pub(super) fn refused(policy: &Policy, reason: Reason) -> Self {
        let why = if reason.is_passing() {
            let seconds = policy.config.health.down_for.as_secs().max(1);
            format!("nothing is tried; the client may come again after {seconds} s")
        } else {
            "nothing is tried, and the client is told not to come again with the same request".to_owned()
        };
        Self { attempts: 0, next: Vec::new(), why }
    }

    pub(super) fn of(subject: &Subject<'_, '_>) -> Self {
        let Subject { policy, decision, .. } = *subject;
        let most = policy.config.retries.attempts;
        let (next, why) = match &decision.verdict {
            Verdict::Refuse(reason) => return Self::refused(policy, *reason),
            Verdict::Hold(owner) => {
                let name = &policy.place(*owner).endpoint.name;
                (Vec::new(), format!("never another: the state lives at {name}"))
            }
            Verdict::Free(candidates) if candidates.len() == 1 => {
                (Vec::new(), "never another: there is no other candidate".to_owned())
            }
            Verdict::Free(candidates) => {
                let next = candidates.iter().skip(1).take(most as usize - 1).copied().collect::<Vec<_>>();
                let why = "before the first byte of an answer, within the retry budget, and nowhere else";
                (named(policy, &next), why.to_owned())
            }
        };
        let tried = u32::try_from(next.len()).expect("at most 16 candidates") + 1;
        Self { attempts: tried.min(most), next, why }
    }
}
