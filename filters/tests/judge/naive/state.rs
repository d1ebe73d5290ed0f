//! What becomes of a request, with the state that it cites: it goes where that lives, or nowhere.

use super::{Outcome, Said, is_over, said};
use crate::spec::{Contract, Endpoint, IDLE, NANOS, Owner, Request, SURFACES};
use std::collections::BTreeSet;

type Designation = Result<BTreeSet<usize>, &'static str>;

const DRAIN: usize = 1;
const CUT: usize = 2;

/// The outcome, and by which kind of expiry a session goes on, where it does.
pub(super) fn outcome(
    contract: &Contract,
    request: &Request,
    now: &Said,
    clouds: &Designation,
) -> (Outcome, Option<usize>) {
    let refuse = |reason| (Outcome::Refuse(reason), None);
    let owners = || request.owners.iter().map(|(owner, _)| *owner);
    let Some(first) = owners().find(|owner| *owner != Owner::Unknown) else {
        return match clouds {
            Err(reason) => refuse(reason),
            Ok(_) if !request.owners.is_empty() => refuse("unknown_handle"),
            Ok(clouds) => (free(contract, request, clouds), None),
        };
    };
    let endpoints: Vec<_> = contract.endpoints().collect();
    let goes_on = match (first, clouds) {
        (Owner::Endpoint(owner), _) => goes_on(contract, request, now, clouds, endpoints[owner].0),
        (_, Err(reason)) => Err(*reason),
        (_, Ok(_)) => Err("owner_removed"),
    };
    // Why the contract allows nothing at all comes before what is wrong with the handles.
    if let (Err(_), Err(reason)) = (clouds, goes_on) {
        return refuse(reason);
    }
    if owners().any(|owner| owner == Owner::Unknown) {
        return refuse("unknown_handle");
    }
    if owners().any(|owner| owner != first) {
        return refuse("owners_differ");
    }
    let Owner::Endpoint(owner) = first else { return refuse("owner_removed") };
    match goes_on {
        Err(reason) => refuse(reason),
        Ok(_) if !serves(endpoints[owner].1, request) => refuse("not_served"),
        Ok(_) if is_down(request, owner) => refuse("owner_unavailable"),
        Ok(lease) => (Outcome::Hold(owner), lease),
    }
}

fn free(contract: &Contract, request: &Request, clouds: &BTreeSet<usize>) -> Outcome {
    let serving = contract
        .endpoints()
        .enumerate()
        .filter(|(_, (cloud, endpoint))| clouds.contains(cloud) && serves(endpoint, request))
        .map(|(at, _)| at);
    let serving: Vec<usize> = serving.collect();
    let up: BTreeSet<usize> = serving.iter().copied().filter(|at| !is_down(request, *at)).collect();
    match (serving.is_empty(), up.is_empty()) {
        (true, _) => Outcome::Refuse("not_served"),
        (false, true) => Outcome::Refuse("endpoints_down"),
        (false, false) => Outcome::Free(up),
    }
}

fn is_down(request: &Request, endpoint: usize) -> bool {
    request.down >> endpoint & 1 == 1
}

fn serves(endpoint: &Endpoint, request: &Request) -> bool {
    request.surface.is_none_or(|surface| SURFACES[surface].1.contains(&endpoint.dialect))
        && match (&endpoint.models, request.model) {
            (Some(models), Some(model)) => models.contains(&model),
            _ => true,
        }
}

/// Whether what lives in `cloud` may be gone on with: because the contract allows it, or as the terms that ended have it.
fn goes_on(
    contract: &Contract,
    request: &Request,
    now: &Said,
    clouds: &Designation,
    cloud: usize,
) -> Result<Option<usize>, &'static str> {
    let no = match clouds {
        Ok(clouds) if clouds.contains(&cloud) => return Ok(None),
        Ok(_) => "owner_not_designated",
        Err(reason) => reason,
    };
    // A client that leaves the cloud out means it.
    if request.narrow.as_ref().is_some_and(|named| !named.contains(&cloud)) {
        return Err(no);
    }
    // Whose word counts: where the enforced reading does not decide alone, everybody's.
    let counts = |reading: &usize| contract.band != "enforced" || *reading == contract.enforced;
    let counting: Vec<usize> = (0..contract.readings.len()).filter(counts).collect();
    let term = |number: &usize| &contract.terms[*number];
    let mut strictest = None;
    for reading in &counting {
        let forbids = |number: &usize| term(number).never.contains(&cloud);
        if now.moments.iter().any(|moment| moment.voices[*reading].terms.iter().any(forbids)) {
            return Err(no);
        }
    }
    let known = request.owners.iter().filter(|(owner, _)| *owner != Owner::Unknown);
    for (_, since) in known {
        let then = said(contract, request, *since);
        if !then.clouds.as_ref().is_ok_and(|clouds| clouds.contains(&cloud)) {
            return Err(no);
        }
        let mut any = false;
        for reading in &counting {
            let spoke = then.moments.iter().flat_map(|moment| &moment.voices[*reading].terms);
            let ended = spoke
                .map(term)
                .filter(|term| is_over(term, request.now + contract.skew_seconds * NANOS))
                .map(|term| term.on_expiry.unwrap_or(CUT))
                .max();
            let leaves_it_out = now.moments.iter().any(|moment| {
                !moment.voices[*reading].clouds.as_ref().is_ok_and(|clouds| clouds.contains(&cloud))
            });
            // This reading leaves it out for something else than a term's end.
            if leaves_it_out && ended.is_none() {
                return Err(no);
            }
            any |= ended.is_some();
            strictest = strictest.max(ended);
        }
        if !any {
            return Err(no);
        }
    }
    match strictest {
        None | Some(CUT) => Err(no),
        Some(DRAIN) if request.rested > IDLE * NANOS => Err("session_drained"),
        Some(_) => Ok(strictest),
    }
}
