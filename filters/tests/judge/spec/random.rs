//! What contracts and requests there are, and how often.

use super::{
    Contract, DIALECTS, ENDPOINTS_MAX, Endpoint, GRADES, IDLE, MODELS, NANOS, Owner, Reading, Request,
    SIGNALS, SURFACES, TENANTS, Term, UNKNOWN, VENDOR_NAMES, matches,
};
use proptest::collection::{btree_set, vec};
use proptest::option::{of, weighted};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

const SURFACE_PATTERNS: [&str; 8] = [
    "*",
    "openai.*",
    "openai.responses.*",
    "openai.responses.create",
    "openai.chat.create",
    "openai.conversations.*",
    "openai.mod*",
    "openai.completions.create",
];
const MODEL_PATTERNS: [&str; 10] =
    ["*", "g*", "gpt-5*", "gpt-5.5", "gpt-5.5*", "gpt-5.5-mini", "claude-*", "prod", "acme*", "a*"];
const ACME_PATTERNS: [&str; 5] = ["acme-*", "prod", "gpt-5.5*", "gpt-5.5-mini", "p*"];
const PLACES: [&str; 8] = [
    "/prompt_cache_key",
    "/store",
    "/previous_response_id",
    "/tools/*/container",
    "/input/*/encrypted_content",
    "/agent_reference",
    "/items/*",
    "/messages/*/audio/id",
];

pub(crate) fn contract() -> impl Strategy<Value = Contract> {
    let endpoint = (select(&DIALECTS[..]), weighted(0.25, subsequence(&MODELS[..], 1..4)), 1..1000u32)
        .prop_map(|(dialect, models, weight)| Endpoint { dialect, models, weight });
    let clouds = vec(vec(endpoint, 1..=3), 1..=5);
    let readings = (vec(reading(), 1..=4), any::<prop::sample::Index>());
    let band = select(&["conservative", "enforced", "refuse"][..]);
    let products = vec(subsequence(&SURFACE_PATTERNS[..], 1..=2), 1..=2);
    let acme = subsequence(&ACME_PATTERNS[..], 1..=3);
    let skew_seconds = select(&[0, 1, 3, 5, 8][..]);
    (clouds, readings, band, skew_seconds, products, acme).prop_flat_map(
        |(clouds, (readings, enforced), band, skew_seconds, products, acme)| {
            let enforced = enforced.index(readings.len());
            let count = clouds.len();
            let terms = || vec(term(count, products.len()), 1..=5);
            let both = prop_oneof![
                1 => (terms(), Just(Vec::new())),
                1 => (terms(), handover(count)),
                // What becomes of sessions shows best where nothing else is said.
                1 => (Just(Vec::new()), handover(count)),
            ];
            both.prop_map(move |(terms, handover)| {
                let terms = terms.into_iter().map(|term| tidy(term, &readings, &products));
                let terms = terms.chain(handover).collect();
                let (clouds, readings) = (clouds.clone(), readings.clone());
                let (products, acme) = (products.clone(), acme.clone());
                Contract { clouds, readings, enforced, band, skew_seconds, products, acme, terms }
            })
        },
    )
}

fn reading() -> impl Strategy<Value = Reading> {
    let classes = |names: &'static [&'static str]| {
        let some = subsequence(names, 1..=3).prop_shuffle();
        let some = some.prop_flat_map(|names| {
            let count = names.len();
            (Just(names), vec(any::<bool>(), count))
        });
        let some = some.prop_map(|(names, classes)| names.into_iter().zip(classes).collect::<Vec<_>>());
        prop_oneof![3 => Just(Vec::new()), 1 => some]
    };
    (weighted(0.85, 0..UNKNOWN), weighted(0.3, Just(())), classes(&SURFACE_PATTERNS), classes(&PLACES))
        .prop_map(|(stateful_from, inherits, surfaces, signals)| Reading {
            stateful_from,
            inherits: inherits.is_some(),
            surfaces,
            signals,
        })
}

/// Clouds that follow each other, as exclusive terms do: at each boundary all of it passes from some to others.
fn handover(clouds: usize) -> impl Strategy<Value = Vec<Term>> {
    let set = subsequence((0..clouds).collect::<Vec<_>>(), 1..=clouds.min(2));
    let each = (set, on_expiry());
    (subsequence((0..30).collect::<Vec<i64>>(), 1..=3), vec(each, 4)).prop_map(|(at, sets)| {
        let from = std::iter::once(None).chain(at.iter().copied().map(Some));
        let until = at.iter().copied().map(Some).chain([None]);
        let spans = from.zip(until).zip(sets);
        spans
            .map(|((from, until), (only, on_expiry))| Term {
                from,
                until,
                only: Some(only),
                on_expiry,
                ..Term::default()
            })
            .collect()
    })
}

fn on_expiry() -> impl Strategy<Value = Option<usize>> {
    prop_oneof![2 => Just(Some(0)), 2 => Just(Some(1)), 1 => Just(Some(2)), 1 => Just(None)]
}

fn term(clouds: usize, products: usize) -> impl Strategy<Value = Term> {
    let some = move || subsequence((0..clouds).collect::<Vec<_>>(), 1..=clouds).prop_shuffle();
    let sparse = |values: &'static [&'static str]| {
        prop_oneof![3 => Just(Vec::new()), 1 => subsequence(values, 1..=2)].boxed()
    };
    const NAMES: [&str; 4] = [TENANTS[0].0, TENANTS[1].0, TENANTS[2].0, TENANTS[3].0];
    let rare = |values: &'static [&'static str]| {
        prop_oneof![8 => Just(Vec::new()), 1 => subsequence(values, 1..=2)].boxed()
    };
    let span = (weighted(0.5, 0..30i64), weighted(0.5, 1..20i64));
    let grades = prop_oneof![5 => Just(Vec::new()), 2 => subsequence((0..8usize).collect::<Vec<_>>(), 1..=4)];
    let when = (
        sparse(&VENDOR_NAMES),
        weighted(0.4, any::<bool>()),
        grades,
        sparse(&SURFACE_PATTERNS),
        sparse(&MODEL_PATTERNS),
        prop_oneof![5 => Just(Vec::new()), 1 => subsequence((0..products).collect::<Vec<_>>(), 1..=1)],
        (rare(&NAMES), rare(&["eu", "us"])),
    );
    let says = (
        weighted(0.7, some()),
        prop_oneof![3 => Just(Vec::new()), 1 => some().boxed()],
        prop_oneof![2 => Just(Vec::new()), 1 => some().boxed()],
        on_expiry(),
    );
    (span, when, says).prop_map(|((from, lasts), when, (only, never, prefer, on_expiry))| {
        let (vendors, stateful, grades, surfaces, models, products, (tenants, regions)) = when;
        let until = lasts.map(|lasts| from.unwrap_or(0) + lasts);
        Term {
            from,
            until,
            vendors,
            stateful,
            grades,
            surfaces,
            models,
            products,
            tenants,
            regions,
            only,
            never,
            prefer,
            on_expiry,
        }
    })
}

/// Takes out of a term what `check` would refuse: it says nothing, contradicts itself, or can never speak.
fn tidy(mut term: Term, readings: &[Reading], products: &[Vec<&'static str>]) -> Term {
    let named: Vec<usize> = term.only.iter().flatten().copied().collect();
    term.never.retain(|cloud| !named.contains(cloud));
    term.prefer.retain(|cloud| !term.never.contains(cloud));
    if term.only.is_none() && term.never.is_empty() && term.prefer.is_empty() {
        term.only = Some(vec![0]);
    }
    let may_be = |class: bool| {
        readings.iter().any(|reading| {
            let by_grade = |grade: &usize| reading.stateful_from.is_some_and(|from| *grade >= from) == class;
            let exceptions = reading.inherits || !reading.surfaces.is_empty() || !reading.signals.is_empty();
            exceptions || term.grades.iter().any(by_grade)
        })
    };
    if term.stateful.is_some_and(|class| !term.grades.is_empty() && !may_be(class)) {
        term.stateful = None;
    }
    if !term.products.is_empty() && !term.surfaces.is_empty() {
        // All surfaces that there are count for `check`, not only those of these tests: patterns of one operation each
        // would be dead beside the product of another.
        let product: Vec<_> = term.products.iter().flat_map(|product| &products[*product]).collect();
        let both = SURFACES.iter().any(|(id, _)| {
            term.surfaces.iter().any(|pattern| matches(pattern, id))
                && product.iter().any(|pattern| matches(pattern, id))
        });
        if !both {
            term.surfaces.clear();
        }
    }
    term
}

pub(crate) fn request() -> impl Strategy<Value = Request> {
    // Around every whole second there may be a boundary, or the edge of what the clock may be off.
    let now = (-10..60i64, select(&[-1, 0, 1, 500_000_000][..]))
        .prop_map(|(second, beside)| second * NANOS + beside);
    let owner = prop_oneof![
        8 => (0..ENDPOINTS_MAX).prop_map(Owner::Endpoint),
        1 => Just(Owner::Removed),
        1 => Just(Owner::Unknown),
    ];
    let owners = prop_oneof![
        6 => Just(Vec::new()),
        6 => owner.clone().prop_map(|owner| vec![owner]),
        2 => owner.clone().prop_map(|owner| vec![owner; 3]),
        1 => vec(owner, 2..=3),
    ];
    let ago =
        (0..30i64, select(&[0, 1, 500_000_000][..])).prop_map(|(second, beside)| second * NANOS + beside);
    let held = (owners, vec(ago, 3), select(&[0, IDLE * NANOS, IDLE * NANOS + 1, 1_000 * NANOS][..]));
    let down = prop_oneof![10 => Just(0), 2 => any::<u64>(), 1 => Just(u64::MAX)];
    let what = (
        weighted(0.9, 0..SURFACES.len()),
        0..GRADES.len(),
        of(any::<u16>()),
        weighted(0.3, 0..GRADES.len()),
        weighted(0.85, select(&MODELS[..])),
    );
    let who = (weighted(0.7, 0..TENANTS.len()), weighted(0.1, btree_set(0..5usize, 1..=3)));
    (now, what, who, held, down, of(any::<u64>()), any::<u64>()).prop_map(
        |(now, what, (caller, narrow), (owners, ago, rested), down, affinity, seed)| {
            let (surface, grade, mask, inner, model) = what;
            let (signals, grade) = signals(surface, grade, mask);
            let owners = owners.into_iter().zip(ago).map(|(owner, ago)| (owner, now - ago)).collect();
            Request {
                now,
                surface,
                grade,
                signals,
                inner,
                model,
                caller,
                narrow,
                owners,
                rested,
                down,
                affinity,
                seed,
            }
        },
    )
}

/// The signals that `mask` chooses among those of the operation, and what they make of it; without any, `grade`.
fn signals(surface: Option<usize>, grade: usize, mask: Option<u16>) -> (Vec<(&'static str, usize)>, usize) {
    let id = surface.map(|surface| SURFACES[surface].0);
    let of = SIGNALS.iter().find(|(known, ..)| Some(*known) == id);
    let (Some((_, own, all)), Some(mask)) = (of, mask) else { return (Vec::new(), grade) };
    let found: Vec<_> =
        all.iter().enumerate().filter(|(at, _)| mask >> at & 1 == 1).map(|(_, signal)| *signal).collect();
    let highest = found.iter().map(|(_, grade)| *grade).max().unwrap_or(0).max(*own);
    (found, highest)
}
