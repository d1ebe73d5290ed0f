//! The compiled contract against a naive judge, on random contracts and requests; and the truth table of `judge`, row by row.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod naive;
mod rows;
mod spec;

use naive::{Expected, Outcome};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use riparian_config::{Config, Grade, Surfaces, Timestamp};
use riparian_filters::decision::{Reason, Verdict};
use riparian_filters::identify::{Keys, Tenant};
use riparian_filters::judge::{Facts, HealthView, Owner, Ruling, judge};
use riparian_filters::policy::{EndpointId, Policy};
use riparian_filters::select::select;
use spec::{Contract, Request};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const CONTRACTS: u32 = 350;
const REQUESTS: usize = 60;
const _: () = assert!(CONTRACTS as usize * REQUESTS >= 20_000, "pairs that the two judges must agree on");

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
fn ask(
    policy: &Policy,
    request: &Request,
) -> (BTreeSet<usize>, u32, BTreeSet<usize>, bool, Vec<usize>, Verdict) {
    let owners: Vec<Owner> = request
        .owners
        .iter()
        .map(|owner| match owner {
            spec::Owner::Endpoint(at) => Owner::Endpoint(EndpointId(u16::try_from(*at).unwrap())),
            spec::Owner::Removed => Owner::Removed,
            spec::Owner::Unknown => Owner::Unknown,
        })
        .collect();
    let surfaces = &policy.config.surfaces.surfaces;
    let down = [request.down];
    let facts = Facts {
        now: Timestamp::from_nanosecond(i128::from(spec::BASE) * 1_000_000_000 + i128::from(request.now))
            .unwrap(),
        surface: request.surface.map(|surface| {
            let id = spec::SURFACES[surface].0;
            surfaces.iter().position(|surface| surface.id.as_str() == id).expect("a built-in surface")
        }),
        grade: Grade::parse(spec::GRADES[request.grade]).expect("a grade"),
        model: request.model,
        owners: &owners,
        caller: None,
        narrow: None,
        since: &[],
        rested: Duration::ZERO,
        classes: policy.classes(None, Grade::parse(spec::GRADES[request.grade]).expect("a grade"), 0, None),
        located: None,
        tenant: 0,
        home: policy.home(Tenant::from_bytes([0; 16])),
        health: HealthView { down: &down },
        affinity: request.affinity,
        seed: request.seed,
        in_flight: &[],
    };
    let ruling: Ruling<'_> = judge(policy, &facts);
    let verdict = select(policy, &ruling, &facts);
    let clouds = (0..policy.config.clouds.len()).filter(|cloud| ruling.clouds.contains(*cloud)).collect();
    let terms = ruling.cell.terms.iter().map(|term| usize::from(*term)).collect();
    let stateful = ruling.class.as_str() == "stateful";
    (clouds, ruling.epoch, terms, stateful, ruling.cell.prefer.clone(), verdict)
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

fn check(contract: &Contract, policy: &Policy, request: &Request) -> Result<Outcome, TestCaseError> {
    let expected: Expected = naive::judge(contract, request);
    let (clouds, epoch, terms, stateful, prefer, verdict) = ask(policy, request);
    let of = naive::describe(request);
    prop_assert_eq!(&outcome(&verdict), &expected.outcome, "outcome of {}: {:?}", of, expected);
    prop_assert_eq!(clouds, expected.clouds.clone().unwrap_or_default(), "clouds of {}", of);
    prop_assert_eq!(usize::try_from(epoch).unwrap(), expected.epoch, "epoch of {}", of);
    prop_assert_eq!(terms, expected.terms, "terms of {}", of);
    prop_assert_eq!(stateful, expected.stateful, "class of {}", of);
    let cloud_of: Vec<usize> = contract.endpoints().map(|(cloud, _)| cloud).collect();
    let order = numbers(&verdict);
    for cloud in 0..contract.clouds.len() {
        prop_assert_eq!(tier(&prefer, cloud) == usize::MAX, tier(&expected.prefer, cloud) == usize::MAX);
    }
    let tiers: Vec<usize> = order.iter().map(|at| tier(&expected.prefer, cloud_of[*at])).collect();
    prop_assert!(
        tiers.is_sorted_by_key(|tier| rank(&expected.prefer, *tier)),
        "preference in {:?}: {}",
        order,
        of
    );
    cannot_widen(policy, request, &verdict)?;
    Ok(expected.outcome)
}

/// Places in a list with repetitions: the first one counts.
fn rank(prefer: &[usize], tier: usize) -> usize {
    prefer
        .get(tier)
        .map_or(usize::MAX, |cloud| prefer.iter().position(|it| it == cloud).expect("it is there"))
}

/// Whatever else fails: never an endpoint that was not there before, and never in another order.
fn cannot_widen(policy: &Policy, request: &Request, verdict: &Verdict) -> Result<(), TestCaseError> {
    let before = numbers(verdict);
    let mut request = request.clone();
    for fails in before.clone() {
        request.down |= 1 << fails;
        let (.., after) = ask(policy, &request);
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
    let config = ProptestConfig { cases: CONTRACTS, ..ProptestConfig::default() };
    let seen: RefCell<BTreeMap<String, usize>> = RefCell::default();
    let both = (spec::contract(), vec(spec::request(), REQUESTS), any::<bool>());
    TestRunner::new(config)
        .run(&both, |(contract, requests, least)| {
            let policy = compile_small(&contract.text(if least { "least_in_flight" } else { "rendezvous" }));
            let endpoints = contract.endpoints().count();
            for mut request in requests {
                for owner in &mut request.owners {
                    if let spec::Owner::Endpoint(at) = owner {
                        *at %= endpoints;
                    }
                }
                let kind = match check(&contract, &policy, &request)? {
                    Outcome::Free(_) => "designated",
                    Outcome::Hold(_) => "held",
                    Outcome::Refuse(reason) => reason,
                };
                *seen.borrow_mut().entry(kind.to_owned()).or_default() += 1;
            }
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
    // The agreement is worth what the generators reach: every outcome that a judge can come to.
    let seen = seen.into_inner();
    let pairs: usize = seen.values().sum();
    assert!(pairs >= 20_000, "{pairs} pairs");
    for reason in rows::OUTCOMES {
        let count = seen.get(reason.as_str()).copied().unwrap_or(0);
        assert!(count >= 20, "{reason} came {count} times in {pairs}: {seen:?}");
    }
}
