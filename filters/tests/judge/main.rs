//! The compiled contract against a naive judge, on random contracts and requests; and the truth table of `judge`, row by row.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod dated;
mod naive;
mod rows;
mod spec;

use http::HeaderMap;
use naive::{Expected, Outcome};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use riparian_config::{Class, Config, Grade, OnExpiry, Signal, Surfaces, Timestamp};
use riparian_filters::decision::{Reason, Verdict};
use riparian_filters::identify::{Keys, Tenant};
use riparian_filters::judge::{Facts, HealthView, Owner, Ruling, judge};
use riparian_filters::policy::{EndpointId, NARROW, Policy};
use riparian_filters::readings::Classes;
use riparian_filters::select::select;
use riparian_filters::table::CloudSet;
use spec::{Contract, Request};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Contracts of an ordinary run.
const CONTRACTS: u32 = 400;
/// Requests for each.
const REQUESTS: u32 = 60;

/// How many pairs of a request and a contract there are: as many as this variable of the environment says, or some.
///
/// A million takes some minutes: `RIPARIAN_JUDGE_PAIRS=1000000 cargo nextest run -p riparian-filters --test judge the_table`.
const PAIRS: &str = "RIPARIAN_JUDGE_PAIRS";

fn compile(text: &str) -> Policy {
    let config = Config::parse(text, "generated").unwrap_or_else(|faults| panic!("{faults}\n{text}"));
    Policy::compile(config, Keys::derive(b"test")).expect("the built-in surfaces")
}

/// Without the surfaces and vendors that no request here asks for: the table is a tenth as large, and as quickly made.
fn compile_small(text: &str) -> Policy {
    let mut config = Config::parse(text, "generated").unwrap_or_else(|faults| panic!("{faults}\n{text}"));
    let Surfaces { surfaces, vendors, .. } = &mut config.surfaces;
    surfaces.retain(|surface| spec::SURFACES.iter().any(|(id, _)| surface.id.as_str() == *id));
    vendors.retain(|vendor| spec::VENDOR_NAMES.contains(&vendor.name.as_str()));
    Policy::compile(config, Keys::derive(b"test")).expect("some of the built-in surfaces")
}

/// What the code under test makes of one request.
struct Answer<'p> {
    ruling: Ruling<'p>,
    verdict: Verdict,
    classes: Classes,
}

fn ask<'p>(policy: &'p Policy, request: &Request) -> Answer<'p> {
    let owners: Vec<Owner> = request
        .owners
        .iter()
        .map(|(owner, _)| match owner {
            spec::Owner::Endpoint(at) => Owner::Endpoint(EndpointId(u16::try_from(*at).unwrap())),
            spec::Owner::Removed => Owner::Removed,
            spec::Owner::Unknown => Owner::Unknown,
        })
        .collect();
    let known = request.owners.iter().filter(|(owner, _)| *owner != spec::Owner::Unknown);
    let since: Vec<Timestamp> = known.map(|(_, since)| instant(*since)).collect();
    let surface = request.surface.map(|surface| {
        let id = spec::SURFACES[surface].0;
        let mut surfaces = policy.config.surfaces.surfaces.iter();
        surfaces.position(|surface| surface.id.as_str() == id).expect("a built-in surface")
    });
    let grade = |grade: usize| Grade::parse(spec::GRADES[grade]).expect("a grade");
    let slot = |(place, due): &(&str, usize)| {
        let signals = &policy.surface(surface.expect("signals are a surface's")).signals;
        let is = |signal: &Signal| signal.at.to_string() == *place && signal.grade == grade(*due);
        signals.iter().position(is).expect("a built-in signal")
    };
    let fired = request.signals.iter().map(|signal| 1 << slot(signal)).fold(0, |all: u64, one| all | one);
    let classes = policy.classes(surface, grade(request.grade), fired, request.inner.map(grade));
    let mut headers = HeaderMap::new();
    if let Some(clouds) = &request.narrow {
        let names: Vec<_> = clouds.iter().map(|cloud| spec::cloud_name(*cloud)).collect();
        headers.insert(NARROW, names.join(", ").parse().unwrap());
    }
    let down = [request.down];
    let facts = Facts {
        now: instant(request.now),
        surface,
        grade: grade(request.grade),
        model: request.model,
        owners: &owners,
        caller: request.caller,
        narrow: policy.narrow(&headers).expect("they are clouds"),
        since: &since,
        rested: Duration::from_nanos(u64::try_from(request.rested).unwrap()),
        classes,
        located: None,
        tenant: 0,
        home: policy.home(Tenant::from_bytes([0; 16])),
        health: HealthView { down: &down },
        affinity: request.affinity,
        seed: request.seed,
        in_flight: &[],
        favoured: CloudSet::NONE,
    };
    let ruling = judge(policy, &facts);
    let verdict = select(policy, &ruling, &facts);
    Answer { ruling, verdict, classes }
}

/// So many nanoseconds after the tests' beginning of time.
fn instant(nanos: i64) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(spec::BASE) * 1_000_000_000 + i128::from(nanos)).unwrap()
}

fn numbers(verdict: &Verdict) -> Vec<usize> {
    verdict.endpoints().iter().map(|id| usize::from(id.0)).collect()
}

fn outcome(verdict: &Verdict) -> Outcome {
    match verdict {
        Verdict::Free(_) => Outcome::Free(numbers(verdict).into_iter().collect()),
        Verdict::Hold(owner) => Outcome::Hold(usize::from(owner.0)),
        Verdict::Refuse(reason) => Outcome::Refuse(reason.as_str()),
    }
}

/// The place of a cloud in the order of preference; those that are not named come last.
fn tier(prefer: &[usize], cloud: usize) -> usize {
    prefer.iter().position(|preferred| *preferred == cloud).unwrap_or(usize::MAX)
}

fn check(contract: &Contract, policy: &Policy, request: &Request) -> Result<Expected, TestCaseError> {
    let expected: Expected = naive::judge(contract, request);
    let Answer { ruling, verdict, classes } = ask(policy, request);
    let of = naive::describe(request);
    prop_assert_eq!(&outcome(&verdict), &expected.outcome, "outcome of {}: {:?}", of, expected);
    let clouds: BTreeSet<usize> = ruling.clouds.iter().collect();
    prop_assert_eq!(&clouds, &expected.clouds.clone().unwrap_or_default(), "clouds of {}", of);
    prop_assert_eq!(usize::try_from(ruling.epoch).unwrap(), expected.epoch, "epoch of {}", of);
    let terms: BTreeSet<usize> = ruling.cell.terms.iter().map(|term| usize::from(*term)).collect();
    prop_assert_eq!(&terms, &expected.terms, "terms of {}", of);
    let stateful: Vec<bool> =
        (0..contract.readings.len()).map(|at| classes.of(at) == Class::Stateful).collect();
    prop_assert_eq!(&stateful, &expected.stateful, "classes of {}", of);
    prop_assert_eq!(ruling.class == Class::Stateful, expected.stateful[contract.enforced]);
    prop_assert_eq!(ruling.in_band, expected.in_band, "band of {}", of);
    if let Verdict::Hold(_) = verdict {
        let lease = expected.lease.map(|lease| spec::ON_EXPIRY[lease]);
        prop_assert_eq!(ruling.lease.map(OnExpiry::as_str), lease, "lease of {}", of);
    }
    let prefer = &ruling.cell.prefer;
    let cloud_of: Vec<usize> = contract.endpoints().map(|(cloud, _)| cloud).collect();
    let order = numbers(&verdict);
    for cloud in 0..contract.clouds.len() {
        prop_assert_eq!(tier(prefer, cloud) == usize::MAX, tier(&expected.prefer, cloud) == usize::MAX);
    }
    let tiers: Vec<usize> = order.iter().map(|at| tier(&expected.prefer, cloud_of[*at])).collect();
    prop_assert!(
        tiers.is_sorted_by_key(|tier| rank(&expected.prefer, *tier)),
        "preference in {:?}: {}",
        order,
        of
    );
    failure_cannot_widen(policy, request, &verdict)?;
    header_cannot_widen(policy, request, &clouds)?;
    Ok(expected)
}

/// What a client says takes clouds away, and adds none.
fn header_cannot_widen(
    policy: &Policy,
    request: &Request,
    clouds: &BTreeSet<usize>,
) -> Result<(), TestCaseError> {
    if request.narrow.is_some() {
        let without = ask(policy, &Request { narrow: None, ..request.clone() });
        let all: BTreeSet<usize> = without.ruling.clouds.iter().collect();
        prop_assert!(clouds.is_subset(&all), "{:?} is more than {:?}", clouds, all);
    }
    Ok(())
}

/// Places in a list with repetitions: the first one counts.
fn rank(prefer: &[usize], tier: usize) -> usize {
    prefer
        .get(tier)
        .map_or(usize::MAX, |cloud| prefer.iter().position(|it| it == cloud).expect("it is there"))
}

/// Whatever else fails: never an endpoint that was not there before, and never in another order.
fn failure_cannot_widen(policy: &Policy, request: &Request, verdict: &Verdict) -> Result<(), TestCaseError> {
    let before = numbers(verdict);
    let mut request = request.clone();
    for fails in before.clone() {
        request.down |= 1 << fails;
        let after = ask(policy, &request).verdict;
        let left: Vec<usize> = before.iter().copied().filter(|at| request.down >> at & 1 == 0).collect();
        prop_assert_eq!(numbers(&after), left, "endpoint {} failed", fails);
        if matches!(verdict, Verdict::Hold(_)) {
            prop_assert_eq!(&after, &Verdict::Refuse(Reason::OwnerUnavailable), "an owner was replaced");
        }
    }
    Ok(())
}

#[test]
fn the_table_and_the_prose_agree() {
    let wanted = std::env::var(PAIRS).map_or(CONTRACTS * REQUESTS, |pairs| pairs.parse().expect("a number"));
    let config = ProptestConfig { cases: wanted.div_ceil(REQUESTS), ..ProptestConfig::default() };
    let seen: RefCell<BTreeMap<String, usize>> = RefCell::default();
    let both = (spec::contract(), vec(spec::request(), REQUESTS as usize), any::<bool>());
    TestRunner::new(config)
        .run(&both, |(contract, requests, least)| {
            let policy = compile_small(&contract.text(if least { "least_in_flight" } else { "rendezvous" }));
            for mut request in requests {
                request.fit(&contract);
                let expected = check(&contract, &policy, &request)?;
                let mut kinds = vec![match expected.outcome {
                    Outcome::Free(_) => "designated",
                    Outcome::Hold(_) => "held",
                    Outcome::Refuse(reason) => reason,
                }];
                kinds.extend(expected.lease.map(|lease| spec::ON_EXPIRY[lease]));
                kinds.extend(expected.in_band.then_some(contract.band));
                for kind in kinds {
                    *seen.borrow_mut().entry(kind.to_owned()).or_default() += 1;
                }
            }
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
    // The agreement is worth what the generators reach: every outcome that a judge can come to, every lease, and every band.
    let seen = seen.into_inner();
    println!("{wanted} pairs: {seen:?}");
    let others = ["grandfather", "drain", "conservative", "enforced", "refuse"];
    for word in rows::OUTCOMES.iter().map(|reason| reason.as_str()).chain(others) {
        let count = seen.get(word).copied().unwrap_or(0);
        assert!(count >= 5, "{word} came {count} times in {wanted}: {seen:?}");
    }
}
