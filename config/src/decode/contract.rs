//! Readings and terms: that every name stands for something, and that each term can come to speak.
//!
//! A contract may be in several files, each with its own faults; what is said once stands in one of them.

mod readings;
mod when;

use super::naming::{known_names, name_at, unique, unknown};
use crate::fault::Found;
use crate::read::{Fields, Spot, first_line};
use crate::sections::CONTRACT_FILE;
use crate::table::quoted;
use crate::tree::{self, Value};
use crate::{
    Band, Claim, CloudName, Contract, DataRegion, NamedTenant, OnExpiry, READINGS_MAX, ReadFile, Reading,
    Surfaces, Term, TermId, Then, Timestamp, When,
};
use readings::readings_of;
use when::when;

/// What terms may name. Names count even when what they name has faults of its own.
struct Known<'t> {
    clouds: Vec<&'t str>,
    products: Vec<&'t str>,
    vendors: Vec<&'t str>,
    tenants: Vec<&'t str>,
    data_regions: Vec<&'t str>,
    surfaces: &'t Surfaces,
    readings: Vec<Reading>,
    /// The names of all readings, of those with faults of their own too; `None` where a part could not be read.
    reading_names: Option<Vec<String>>,
}

/// What all parts say together.
struct Whole {
    readings: Vec<Reading>,
    enforced: Option<usize>,
    terms: Vec<Term>,
    claims: Vec<Claim>,
}

pub(super) fn contract(
    file: &Fields<'_>,
    surfaces: &Surfaces,
    tenants: &[NamedTenant],
    read: &ReadFile<'_>,
    found: &mut Found,
) -> Option<Contract> {
    let own = file.section("contract", found)?;
    let included = include(&own, read, found);
    let mut others: Vec<Found> = Vec::new();
    let mut trees = Vec::new();
    for (spot, text) in &included {
        let mut found = Found::default();
        trees.push((spot, text, tree::load(text, &mut found)));
        others.push(found);
    }
    let mut parts: Vec<Part<'_>> = Vec::new();
    for ((spot, _, root), found) in trees.iter().zip(&mut others) {
        let opened =
            root.as_ref().and_then(|root| Fields::open(root, first_line(root), &CONTRACT_FILE, found));
        parts.extend(opened.map(|fields| Part {
            fields,
            file: Some(spot.text),
            faults: std::mem::take(found),
        }));
    }
    let files = parts.len();
    parts.push(Part { fields: own, file: None, faults: std::mem::take(found) });
    let named = parts[files].fields.texts("include", &mut Found::default()).len();
    let all_are_read = files == named && (named > 0 || !parts[files].fields.has("include"));
    let known = known(file, surfaces, tenants);
    let whole = whole(&mut parts, known, file, all_are_read);
    let once = Once::read(&mut parts);
    // The faults of each file go where they belong.
    *found = parts.pop().expect("our own part is the last").faults;
    let mut left = parts.into_iter().map(|part| (part.file, part.faults)).collect::<Vec<_>>();
    for ((spot, text, _), opened) in trees.iter().zip(others) {
        let faults = match left.iter().position(|(file, _)| *file == Some(spot.text)) {
            Some(at) => left.remove(at).1,
            None => opened,
        };
        if let Err(faults) = faults.finish(Some(()), text, spot.text) {
            found.other(spot.at, faults);
        }
    }
    let once = once?;
    Some(Contract {
        readings: whole.readings,
        enforced: whole.enforced?,
        band: once.band,
        terms: whole.terms,
        otherwise: once.otherwise,
        claims: whole.claims,
        parties: once.parties,
        approved_by: once.approved_by,
        clock_skew: once.clock_skew,
        warn_before: once.warn_before,
    })
}

/// A part of the contract: a file's, or, last, the section's own.
struct Part<'t> {
    fields: Fields<'t>,
    /// The file's name as it is written; `None` for the section's own.
    file: Option<&'t str>,
    faults: Found,
}

fn include<'t>(fields: &Fields<'t>, read: &ReadFile<'_>, found: &mut Found) -> Vec<(Spot<'t>, String)> {
    let mut texts = Vec::new();
    for spot in fields.texts("include", found) {
        match read(spot.text) {
            Ok(text) => texts.push((spot, text)),
            Err(why) => {
                let instead = "a file of a contract that there is";
                found.fault(spot.at, format!("`{}` cannot be read", spot.text), why, instead);
            }
        }
    }
    texts
}

fn known<'t>(file: &Fields<'t>, surfaces: &'t Surfaces, tenants: &'t [NamedTenant]) -> Known<'t> {
    let mut data_regions: Vec<_> =
        tenants.iter().filter_map(|tenant| tenant.data_region.as_ref()).map(DataRegion::as_str).collect();
    data_regions.sort_unstable();
    data_regions.dedup();
    Known {
        clouds: keys(file, "clouds"),
        products: keys(file, "products"),
        vendors: surfaces.vendors.iter().map(|vendor| vendor.name.as_str()).collect(),
        tenants: keys(file, "tenants"),
        data_regions,
        surfaces,
        readings: Vec::new(),
        reading_names: None,
    }
}

/// Readings first, since terms and claims speak of them, whichever file they stand in.
fn whole(parts: &mut [Part<'_>], mut known: Known<'_>, file: &Fields<'_>, all_are_read: bool) -> Whole {
    let (mut readings, mut names) = (Vec::new(), Vec::new());
    for part in &mut *parts {
        for (at, reading) in readings_of(&part.fields, known.surfaces, &mut part.faults) {
            if names.contains(&reading.name) {
                let what = format!("a second reading is called `{}`", reading.name);
                part.faults.fault(at, what, "another file gives that name already", "another name");
                continue;
            }
            names.push(reading.name.clone());
            readings.push(reading);
        }
    }
    if readings.len() > READINGS_MAX {
        let part = parts.last_mut().expect("our own part is always there");
        let what = format!("there are {} readings", readings.len());
        let why = "each is judged for every request";
        part.faults.fault(part.fields.at("readings"), what, why, format!("at most {READINGS_MAX}"));
    }
    known.readings = readings;
    let all_names: Vec<String> =
        parts.iter().flat_map(|part| keys(&part.fields, "readings")).map(str::to_owned).collect();
    let enforced = enforced(parts, &known.readings, &all_names, all_are_read);
    known.reading_names = all_are_read.then_some(all_names);
    for (key, like) in [
        ("readings", "{ memory-is-state: { stateful_from: continues } }"),
        ("terms", "[{ id: azure-stateless, only: azure }]"),
    ] {
        if all_are_read && !parts.iter().any(|part| part.fields.has(key)) {
            absent(parts, key, like);
        }
    }
    let (mut terms, mut claims, mut ids) = (Vec::new(), Vec::new(), Vec::<String>::new());
    for part in &mut *parts {
        let Part { fields, faults, .. } = part;
        let mut here = Vec::new();
        for fields in &fields.sections("terms", faults) {
            if let Some(id) = fields.text("id", &mut Found::default()) {
                if ids.iter().any(|known| known == id.text) {
                    let what = format!("a second term is called `{}`", id.text);
                    faults.fault(id.at, what, "another file gives that name already", "another name");
                }
                here.push((id.text.to_owned(), id.at));
            }
            terms.extend(term(fields, &known, file, faults));
        }
        unique(&here, "term", faults);
        ids.extend(here.into_iter().map(|(id, _)| id));
        if fields.has("prove") {
            for fields in &fields.sections("prove", faults) {
                claims.extend(claim(fields, &known, file, faults));
            }
        }
    }
    Whole { readings: known.readings, enforced, terms, claims }
}

/// Reports a key that none of the parts has.
fn absent(parts: &mut [Part<'_>], key: &str, like: &str) {
    let part = parts.last_mut().expect("our own part is always there");
    let why = if part.fields.has("include") {
        "a contract needs it, here or in a file that it includes"
    } else {
        "a contract needs it"
    };
    let at = part.fields.here();
    part.faults.fault(at, format!("`{key}` is missing"), why, format!("`{key}: {like}`"));
}

/// What may be said in one of the files only.
struct Once {
    band: Band,
    otherwise: bool,
    parties: Vec<String>,
    approved_by: Option<String>,
    clock_skew: std::time::Duration,
    warn_before: std::time::Duration,
}

impl Once {
    fn read(parts: &mut [Part<'_>]) -> Option<Self> {
        let mut of = |key: &str| sole(parts, key);
        let (band, otherwise, skew, warn) =
            (of("band"), of("otherwise"), of("clock_skew"), of("warn_before"));
        let (parties, approved) = (of("parties"), of("approved_by"));
        let last = parts.len() - 1;
        let at = |which: Option<usize>| which.unwrap_or(last);
        let part = &mut parts[at(band)];
        let band = part.fields.word("band", &mut part.faults).map(|word| match word {
            "enforced" => Band::Enforced,
            "refuse" => Band::Refuse,
            _ => Band::Conservative,
        });
        let part = &mut parts[at(otherwise)];
        let written =
            part.fields.has("otherwise") && part.fields.word("otherwise", &mut part.faults).is_some();
        let part = &mut parts[at(skew)];
        let clock_skew = part.fields.span("clock_skew", &mut part.faults);
        let part = &mut parts[at(warn)];
        let warn_before = part.fields.span("warn_before", &mut part.faults);
        let part = &mut parts[at(parties)];
        let parties = texts(&part.fields, "parties", &mut part.faults);
        let part = &mut parts[at(approved)];
        let approved_by = part.fields.text("approved_by", &mut part.faults).map(|spot| spot.text.to_owned());
        Some(Self {
            band: band?,
            otherwise: written,
            parties,
            approved_by,
            clock_skew: clock_skew?,
            warn_before: warn_before?,
        })
    }
}

/// The part that has `key`; reports every further one.
fn sole(parts: &mut [Part<'_>], key: &str) -> Option<usize> {
    let having: Vec<usize> =
        parts.iter().enumerate().filter(|(_, part)| part.fields.has(key)).map(|(at, _)| at).collect();
    for &at in having.iter().skip(1) {
        let other = parts[having[0]].file.unwrap_or("the file that includes this one").to_owned();
        let Part { fields, faults, .. } = &mut parts[at];
        let why = format!("{other} has it already, and nothing is said twice");
        faults.fault(fields.at(key), format!("a second `{key}`"), why, "it in one of the files");
    }
    having.first().copied()
}

fn texts(fields: &Fields<'_>, key: &str, found: &mut Found) -> Vec<String> {
    fields.texts(key, found).into_iter().map(|spot| spot.text.to_owned()).collect()
}

/// The keys of a map in the file, whatever stands under them.
fn keys<'t>(file: &Fields<'t>, key: &str) -> Vec<&'t str> {
    match file.entry(key).map(|entry| &entry.node.value) {
        Some(Value::Map(entries)) => entries.iter().map(|entry| entry.key.as_str()).collect(),
        _ => Vec::new(),
    }
}

fn enforced(
    parts: &mut [Part<'_>],
    readings: &[Reading],
    names: &[String],
    all_are_read: bool,
) -> Option<usize> {
    let Some(at) = sole(parts, "enforce") else {
        if all_are_read {
            absent(parts, "enforce", "memory-is-state");
        }
        return None;
    };
    let Part { fields, faults, .. } = &mut parts[at];
    let spot = fields.text("enforce", faults)?;
    let index = readings.iter().position(|reading| reading.name.as_str() == spot.text);
    if index.is_none() && all_are_read && !names.iter().any(|name| name == spot.text) {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        unknown(spot, &names, "reading", faults);
    }
    index
}

fn term(fields: &Fields<'_>, known: &Known<'_>, file: &Fields<'_>, found: &mut Found) -> Option<Term> {
    let id = name_at(fields, "id", TermId::new, found);
    let cite = fields.text("cite", found).map(|spot| spot.text.to_owned());
    let parties = texts(fields, "parties", found);
    let approved_by = fields.text("approved_by", found).map(|spot| spot.text.to_owned());
    let (from, until) = span(fields, "the term", found);
    let when = match fields.has("when") {
        true => fields.section("when", found).map(|fields| when(&fields, known, file, found)),
        false => Some(When::default()),
    };
    let mut clouds = |key| known_names(fields, key, &known.clouds, "cloud", CloudName::new, found);
    let (only, never, prefer) = (clouds("only"), clouds("never"), clouds("prefer"));
    contradicts(fields, "only", &only, &never, found);
    contradicts(fields, "prefer", &prefer, &never, found);
    let only = fields.has("only").then_some(only);
    let on_expiry = match fields.word("on_expiry", found)? {
        "grandfather" => OnExpiry::Grandfather,
        "drain" => OnExpiry::Drain,
        _ => OnExpiry::Cut,
    };
    Some(Term {
        id: id?,
        cite,
        parties,
        approved_by,
        from,
        until,
        when: when?,
        only,
        never,
        prefer,
        on_expiry,
    })
}

/// `from` and `until`; reports a span in which there is nothing.
fn span(fields: &Fields<'_>, what: &str, found: &mut Found) -> (Option<Timestamp>, Option<Timestamp>) {
    let (from, until) = (fields.instant("from", found), fields.instant("until", found));
    if let (Some(from), Some(until)) = (from, until)
        && from >= until
    {
        let what = format!("{what} ends at {until} and begins at {from}");
        let why = "it holds from `from` until just before `until`, so it would never be in force";
        found.fault(fields.value_at("until"), what, why, "a later `until`, or none");
    }
    (from, until)
}

fn claim(fields: &Fields<'_>, known: &Known<'_>, file: &Fields<'_>, found: &mut Found) -> Option<Claim> {
    let claim = fields.text("claim", found).map(|spot| spot.text.to_owned());
    let given = match fields.has("given") {
        true => fields.section("given", found).map(|fields| when(&fields, known, file, found)),
        false => Some(When::default()),
    };
    let (from, until) = span(fields, "the claim", found);
    let reading = fields.text("reading", found).and_then(|spot| {
        if let Some(names) = &known.reading_names
            && !names.iter().any(|name| name == spot.text)
        {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            unknown(spot, &names, "reading", found);
        }
        known.readings.iter().position(|reading| reading.name.as_str() == spot.text)
    });
    let then = fields.section("then", found)?;
    let mut clouds = |key| known_names(&then, key, &known.clouds, "cloud", CloudName::new, found);
    let (only, never) = (clouds("only"), clouds("never"));
    let is = if then.has("is") { then.word("is", found) } else { None };
    let then = match is {
        Some("refused") => Then::Refused,
        Some(_) => Then::Allowed,
        None if then.has("only") => Then::Only(only),
        None => Then::Never(never),
    };
    Some(Claim { claim: claim?, given: given?, from, until, reading, then })
}

/// Reports clouds that one term both names under `key` and forbids.
fn contradicts(fields: &Fields<'_>, key: &str, named: &[CloudName], never: &[CloudName], found: &mut Found) {
    let both = named.iter().filter(|cloud| never.contains(cloud)).map(CloudName::as_str).collect::<Vec<_>>();
    if !both.is_empty() {
        let what = format!("{} stands in `{key}` and in `never`", quoted(&both));
        let why = "what a term forbids it cannot name as well";
        found.fault(fields.at("never"), what, why, format!("in one of `{key}` and `never`"));
    }
}
