//! The contract read aloud: a second judge, written from the prose and not from the table, as slow as it likes.
//!
//! Each reading judges by itself, in each moment that it could really be; then come the band, the moments together, the request's
//! own header, and the state that it cites.

mod state;

use super::spec::{BASE, Contract, GRADES, NANOS, Reading, Request, SIGNALS, SURFACES, TENANTS, Term};
use super::spec::{UNKNOWN, VENDORS, matches};
use std::collections::BTreeSet;

/// What the prose says of one request.
#[derive(Debug)]
pub(crate) struct Expected {
    pub(crate) epoch: usize,
    /// What each reading makes of it.
    pub(crate) stateful: Vec<bool>,
    /// Every term that matches under the enforced reading in a moment that it could really be.
    pub(crate) terms: BTreeSet<usize>,
    /// The designation, less what the request's header leaves out; or why there is none.
    pub(crate) clouds: Result<BTreeSet<usize>, &'static str>,
    /// Whether the readings disagree about where it may go.
    pub(crate) in_band: bool,
    /// Clouds in the order of preference.
    pub(crate) prefer: Vec<usize>,
    /// Index in `ON_EXPIRY`: how a session goes on that the terms in force would not allow.
    pub(crate) lease: Option<usize>,
    pub(crate) outcome: Outcome,
}

/// Where it may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Free(BTreeSet<usize>),
    Hold(usize),
    Refuse(&'static str),
}

/// What the contract says when this clock shows some time: it may really be any of these moments.
struct Said {
    moments: Vec<Moment>,
    clouds: Result<BTreeSet<usize>, &'static str>,
}

/// What it says in one moment.
struct Moment {
    /// By the readings' numbers.
    voices: Vec<Voice>,
    /// Whether the voices name other clouds.
    differ: bool,
    clouds: Result<BTreeSet<usize>, &'static str>,
}

/// What one reading says in one moment.
struct Voice {
    terms: Vec<usize>,
    clouds: Result<BTreeSet<usize>, &'static str>,
}

pub(crate) fn judge(contract: &Contract, request: &Request) -> Expected {
    let said = said(contract, request, request.now);
    let narrowed = |clouds: &BTreeSet<usize>| match &request.narrow {
        Some(named) => clouds.intersection(named).copied().collect(),
        None => clouds.clone(),
    };
    let clouds = match said.clouds.as_ref().map(narrowed) {
        Ok(clouds) if clouds.is_empty() => Err("narrowed"),
        Ok(clouds) => Ok(clouds),
        Err(reason) => Err(*reason),
    };
    let (outcome, lease) = state::outcome(contract, request, &said, &clouds);
    let enforced = |moment: &Moment| moment.voices[contract.enforced].terms.clone();
    let last = enforced(said.moments.last().expect("now is a moment"));
    Expected {
        epoch: boundaries(contract).iter().filter(|at| **at <= request.now).count(),
        stateful: contract.readings.iter().map(|reading| is_stateful(reading, request)).collect(),
        terms: said.moments.iter().flat_map(enforced).collect(),
        in_band: said.moments.iter().any(|moment| moment.differ),
        prefer: last.iter().flat_map(|term| contract.terms[*term].prefer.iter().copied()).collect(),
        lease,
        outcome,
        clouds,
    }
}

/// Where the terms in force change, in nanoseconds.
fn boundaries(contract: &Contract) -> BTreeSet<i64> {
    let ends = contract.terms.iter().flat_map(|term| [term.from, term.until]);
    ends.flatten().map(|second| second * NANOS).collect()
}

/// Only what all moments allow is allowed.
fn said(contract: &Contract, request: &Request, now: i64) -> Said {
    let skew = contract.skew_seconds * NANOS;
    // The real time may be anything that the clock may be off; what is in force changes at boundaries alone.
    let changes = boundaries(contract).into_iter().filter(|at| now - skew < *at && *at <= now + skew);
    let could_be = std::iter::once(now - skew).chain(changes);
    let moments: Vec<Moment> = could_be.map(|at| moment(contract, request, at)).collect();
    let refusal = moments.iter().find_map(|moment| moment.clouds.clone().err());
    let everywhere = moments
        .iter()
        .filter_map(|moment| moment.clouds.clone().ok())
        .reduce(|all, next| all.intersection(&next).copied().collect());
    let clouds = match (refusal, everywhere) {
        (Some(reason), _) => Err(reason),
        (None, Some(clouds)) if !clouds.is_empty() => Ok(clouds),
        (None, _) => Err("epoch_boundary"),
    };
    Said { moments, clouds }
}

/// Where the readings differ, the band says what counts.
fn moment(contract: &Contract, request: &Request, at: i64) -> Moment {
    let voices: Vec<Voice> =
        contract.readings.iter().map(|reading| voice(contract, reading, request, at)).collect();
    let enforced = &voices[contract.enforced].clouds;
    let set = |voice: &Voice| voice.clouds.clone().unwrap_or_default();
    let differ = voices.iter().any(|voice| set(voice) != enforced.clone().unwrap_or_default());
    let in_all = voices.iter().map(set).reduce(|all, next| all.intersection(&next).copied().collect());
    let clouds = match (enforced, contract.band) {
        (Ok(_), "refuse") if differ => Err("readings_disagree"),
        (Ok(_), "conservative") if differ => {
            in_all.filter(|clouds| !clouds.is_empty()).ok_or("readings_disagree")
        }
        (enforced, _) => enforced.clone(),
    };
    Moment { voices, differ, clouds }
}

fn voice(contract: &Contract, reading: &Reading, request: &Request, at: i64) -> Voice {
    let terms: Vec<usize> = (0..contract.terms.len())
        .filter(|number| {
            let term = &contract.terms[*number];
            let begun = term.from.is_none_or(|from| at >= from * NANOS);
            begun && !is_over(term, at) && speaks(contract, reading, term, request)
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
    Voice { terms, clouds }
}

fn is_over(term: &Term, at: i64) -> bool {
    term.until.is_some_and(|until| at >= until * NANOS)
}

fn speaks(contract: &Contract, reading: &Reading, term: &Term, request: &Request) -> bool {
    let surface = request.surface.map(|surface| SURFACES[surface].0);
    let among = |patterns: &[&str]| surface.is_some_and(|id| patterns.iter().any(|it| matches(it, id)));
    let vendor = vendor(contract, request);
    let tenant = request.caller.map(|caller| TENANTS[caller]);
    let region = tenant.and_then(|(_, region)| region);
    let conditions = [
        term.vendors.is_empty() || vendor.is_some_and(|vendor| term.vendors.contains(&vendor)),
        term.stateful.is_none_or(|class| class == is_stateful(reading, request)),
        term.grades.contains(&request.grade) || (term.grades.is_empty() && request.grade != UNKNOWN),
        term.surfaces.is_empty() || among(&term.surfaces),
        term.models.is_empty()
            || request.model.is_some_and(|model| term.models.iter().any(|pattern| matches(pattern, model))),
        term.products.is_empty() || term.products.iter().any(|product| among(&contract.products[*product])),
        term.tenants.is_empty() || tenant.is_some_and(|(name, _)| term.tenants.contains(&name)),
        term.regions.is_empty() || region.is_some_and(|region| term.regions.contains(&region)),
    ];
    conditions.iter().all(|condition| *condition)
}

/// Inner calls first, then what is said of the operation, then what is said of its signals, then the grade of all that counts.
fn is_stateful(reading: &Reading, request: &Request) -> bool {
    let reaches = |grade: usize| reading.stateful_from.is_some_and(|from| grade >= from);
    if reading.inherits && request.inner.is_some_and(reaches) {
        return true;
    }
    let Some((id, _)) = request.surface.map(|surface| SURFACES[surface]) else {
        return reaches(request.grade);
    };
    if let Some((_, stateful)) = reading.surfaces.iter().find(|(pattern, _)| matches(pattern, id)) {
        return *stateful;
    }
    let is = |place: &str, class| reading.signals.contains(&(place, class));
    if request.signals.iter().any(|(place, _)| is(place, true)) {
        return true;
    }
    let (counting, dropped): (Vec<_>, Vec<_>) =
        request.signals.iter().partition(|(place, _)| !is(place, false));
    if dropped.is_empty() {
        return reaches(request.grade);
    }
    let (_, own, _) = SIGNALS.iter().find(|(known, ..)| *known == id).expect("it has signals");
    counting.into_iter().any(|(_, grade)| reaches(grade)) || reaches(*own)
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

/// The request in words, for a failing test's message.
pub(crate) fn describe(request: &Request) -> String {
    let surface = request.surface.map_or("unrecognised", |surface| SURFACES[surface].0);
    format!("{surface} {} {:?} at {BASE} s + {} ns", GRADES[request.grade], request.model, request.now)
}
