//! The contract read aloud: a second judge, written from the prose and not from the table, as slow as it likes.

use super::spec::{BASE, Contract, Endpoint, GRADES, Owner, Request, SURFACES, Term, UNKNOWN, VENDORS};
use super::spec::{is_stateful, matches};
use std::collections::BTreeSet;

/// What the prose says of one request.
#[derive(Debug)]
pub(crate) struct Expected {
    pub(crate) epoch: usize,
    pub(crate) stateful: bool,
    /// Every term that matches in a moment that it could really be.
    pub(crate) terms: BTreeSet<usize>,
    /// The designation, or why there is none.
    pub(crate) clouds: Result<BTreeSet<usize>, &'static str>,
    /// Clouds in the order of preference.
    pub(crate) prefer: Vec<usize>,
    pub(crate) outcome: Outcome,
}

/// Where it may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Free(BTreeSet<usize>),
    Hold(usize),
    Refuse(&'static str),
}

/// What the terms of one moment say.
struct Moment {
    terms: Vec<usize>,
    clouds: Result<BTreeSet<usize>, &'static str>,
}

pub(crate) fn judge(contract: &Contract, request: &Request) -> Expected {
    let skew = contract.skew_seconds * NANOS;
    let boundaries: BTreeSet<i64> = contract
        .terms
        .iter()
        .flat_map(|term| [term.from, term.until])
        .flatten()
        .map(|second| second * NANOS)
        .collect();
    // The real time may be anything that the clock may be off; what is in force changes at boundaries alone.
    let changes =
        boundaries.iter().copied().filter(|at| request.now - skew < *at && *at <= request.now + skew);
    let could_be = std::iter::once(request.now - skew).chain(changes);
    let moments: Vec<Moment> = could_be.map(|at| moment(contract, request, at)).collect();
    let refusal = moments.iter().find_map(|moment| moment.clouds.as_ref().err());
    let everywhere = moments
        .iter()
        .filter_map(|moment| moment.clouds.clone().ok())
        .reduce(|all, next| all.intersection(&next).copied().collect());
    let clouds = match (refusal, everywhere) {
        (Some(reason), _) => Err(*reason),
        (None, Some(clouds)) if !clouds.is_empty() => Ok(clouds),
        (None, _) => Err("epoch_boundary"),
    };
    let last = moments.last().expect("now is a moment");
    Expected {
        epoch: boundaries.iter().filter(|at| **at <= request.now).count(),
        stateful: is_stateful(contract.stateful_from, request.grade),
        terms: moments.iter().flat_map(|moment| moment.terms.iter().copied()).collect(),
        prefer: last.terms.iter().flat_map(|term| contract.terms[*term].prefer.iter().copied()).collect(),
        outcome: outcome(contract, request, clouds.as_ref()),
        clouds,
    }
}

const NANOS: i64 = 1_000_000_000;

fn moment(contract: &Contract, request: &Request, at: i64) -> Moment {
    let terms: Vec<usize> = (0..contract.terms.len())
        .filter(|number| {
            let term = &contract.terms[*number];
            let begun = term.from.is_none_or(|from| at >= from * NANOS);
            let over = term.until.is_some_and(|until| at >= until * NANOS);
            begun && !over && speaks(contract, term, request)
        })
        .collect();
    let mut only: BTreeSet<usize> = (0..contract.clouds.len()).collect();
    for set in terms.iter().filter_map(|number| contract.terms[*number].only.as_ref()) {
        only.retain(|cloud| set.contains(cloud));
    }
    let mut left = only.clone();
    for cloud in terms.iter().flat_map(|number| &contract.terms[*number].never) {
        left.remove(cloud);
    }
    let clouds = if terms.is_empty() {
        Err(if request.surface.is_some() { "no_term" } else { "unrecognised" })
    } else if only.is_empty() {
        Err("terms_conflict")
    } else if left.is_empty() {
        Err("forbidden")
    } else {
        Ok(left)
    };
    Moment { terms, clouds }
}

fn speaks(contract: &Contract, term: &Term, request: &Request) -> bool {
    let surface = request.surface.map(|surface| SURFACES[surface].0);
    let among = |patterns: &[&str]| surface.is_some_and(|id| patterns.iter().any(|it| matches(it, id)));
    let vendor = vendor(contract, request);
    let conditions = [
        term.vendors.is_empty() || vendor.is_some_and(|vendor| term.vendors.contains(&vendor)),
        term.stateful.is_none_or(|class| class == is_stateful(contract.stateful_from, request.grade)),
        term.grades.contains(&request.grade) || (term.grades.is_empty() && request.grade != UNKNOWN),
        term.surfaces.is_empty() || among(&term.surfaces),
        term.models.is_empty()
            || request.model.is_some_and(|model| term.models.iter().any(|pattern| matches(pattern, model))),
        term.products.is_empty() || term.products.iter().any(|product| among(&contract.products[*product])),
    ];
    conditions.iter().all(|condition| *condition)
}

/// The longest pattern that matches decides, a whole name before any beginning; else the surface's vendor.
fn vendor(contract: &Contract, request: &Request) -> Option<&'static str> {
    let claims = VENDORS.iter().map(|(vendor, patterns)| (*vendor, *patterns));
    let of_model = request.model.and_then(|model| {
        claims
            .chain([("acme", &contract.acme[..])])
            .flat_map(|(vendor, patterns)| patterns.iter().map(move |pattern| (*pattern, vendor)))
            .filter(|(pattern, _)| matches(pattern, model))
            .max_by_key(|(pattern, _)| (!pattern.ends_with('*'), pattern.len()))
            .map(|(_, vendor)| vendor)
    });
    of_model.or(request.surface.map(|_| "openai"))
}

fn serves(endpoint: &Endpoint, request: &Request) -> bool {
    request.surface.is_none_or(|surface| SURFACES[surface].1.contains(&endpoint.dialect))
        && match (&endpoint.models, request.model) {
            (Some(models), Some(model)) => models.contains(&model),
            _ => true,
        }
}

fn outcome(
    contract: &Contract,
    request: &Request,
    clouds: Result<&BTreeSet<usize>, &&'static str>,
) -> Outcome {
    let endpoints: Vec<_> = contract.endpoints().collect();
    let is_down = |endpoint: usize| request.down >> endpoint & 1 == 1;
    let clouds = match clouds {
        Ok(clouds) => clouds,
        Err(reason) => return Outcome::Refuse(reason),
    };
    let refuse = Outcome::Refuse;
    match request.owners.first() {
        None => {
            let serving: BTreeSet<usize> = (0..endpoints.len())
                .filter(|at| clouds.contains(&endpoints[*at].0) && serves(endpoints[*at].1, request))
                .collect();
            let up: BTreeSet<usize> = serving.iter().copied().filter(|at| !is_down(*at)).collect();
            match (serving.is_empty(), up.is_empty()) {
                (true, _) => refuse("not_served"),
                (false, true) => refuse("endpoints_down"),
                (false, false) => Outcome::Free(up),
            }
        }
        Some(_) if request.owners.contains(&Owner::Unknown) => refuse("unknown_handle"),
        Some(first) if request.owners.iter().any(|owner| owner != first) => refuse("owners_differ"),
        Some(Owner::Removed | Owner::Unknown) => refuse("owner_removed"),
        Some(Owner::Endpoint(owner)) => {
            let (cloud, endpoint) = endpoints[*owner];
            if !clouds.contains(&cloud) {
                refuse("owner_not_designated")
            } else if !serves(endpoint, request) {
                refuse("not_served")
            } else if is_down(*owner) {
                refuse("owner_unavailable")
            } else {
                Outcome::Hold(*owner)
            }
        }
    }
}

/// The request in words, for a failing test's message.
pub(crate) fn describe(request: &Request) -> String {
    let surface = request.surface.map_or("unrecognised", |surface| SURFACES[surface].0);
    format!("{surface} {} {:?} at {BASE} s + {} ns", GRADES[request.grade], request.model, request.now)
}
