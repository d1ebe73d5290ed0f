//! Every kind of request that there can be, and every outage.

use super::Example;
use crate::judge::{Facts, Ruling};
use crate::policy::Policy;
use crate::readings::Classes;
use riparian_config::{Dated, Grade, InnerCalls, ModelAt, Pattern, Surface, Timestamp};
use std::collections::HashSet;

/// Clouds of which every set is tried as being down; of more it is each one, all but each one, all and none.
const ALL_SETS_MAX: usize = 6;

/// Signals of one surface to which readings give a class, of which every set is tried; of more it is each one, all and none.
const ALL_SIGNALS_MAX: usize = 6;

/// A model that stands for all that nothing tells from it.
#[derive(Clone, Debug)]
pub struct Model(pub Option<String>);

pub(super) struct Domain {
    /// The first stands for no model.
    models: Vec<Model>,
    /// Whether any endpoint has the operation and the model, by the surface (the last for none) and the model.
    served: Vec<Vec<bool>>,
    callers: Vec<Option<usize>>,
    /// Beginnings and ends; the one that `now` is in comes first.
    pub(super) spans: Vec<(Timestamp, Option<Timestamp>)>,
    /// Endpoints that are down, in words of 64; the first: none.
    pub(super) outages: Vec<Vec<u64>>,
}

/// One kind of request at one time.
pub(super) struct Asked<'d> {
    pub(super) at: Timestamp,
    /// When the stretch of time ends of which `at` is the beginning.
    pub(super) until: Option<Timestamp>,
    pub(super) surface: Option<usize>,
    pub(super) grade: Grade,
    pub(super) classes: Classes,
    /// Whether the readings only make that of it where it is made in the course of a session.
    pub(super) is_inner: bool,
    pub(super) model: Option<&'d str>,
    pub(super) model_number: usize,
    pub(super) caller: Option<usize>,
    /// Whether any endpoint has the operation and the model.
    pub(super) is_served: bool,
}

impl Asked<'_> {
    pub(super) fn facts(&self) -> Facts<'_> {
        Facts {
            model: self.model,
            caller: self.caller,
            seed: 1,
            ..Facts::bare(self.at, self.surface, self.grade, self.classes)
        }
    }

    pub(super) fn example(&self, ruling: &Ruling<'_>, leased: Option<usize>) -> Example {
        Example {
            at: self.at,
            surface: self.surface,
            grade: self.grade,
            classes: self.classes,
            model: self.model.map(str::to_owned),
            caller: self.caller,
            terms: ruling.cell.terms.clone(),
            clouds: ruling.clouds,
            refusal: ruling.outcome.err(),
            leased,
            sample: None,
        }
    }
}

impl Domain {
    pub(super) fn of(policy: &Policy, now: Timestamp) -> Self {
        let models = models(policy);
        let surfaces = policy.config.surfaces.surfaces.iter().map(Some).chain([None]);
        let serves = |surface: Option<&Surface>, model: &Model| {
            policy.places().iter().any(|place| place.serves(surface, model.0.as_deref()))
        };
        let served =
            surfaces.map(|surface| models.iter().map(|model| serves(surface, model)).collect()).collect();
        Self {
            models,
            served,
            callers: policy.table.callers(),
            spans: spans(policy, now),
            outages: outages(policy),
        }
    }

    /// Visits every kind of request at every time.
    pub(super) fn each(&self, policy: &Policy, mut look: impl FnMut(&Asked<'_>)) {
        let count = policy.config.surfaces.surfaces.len();
        for &(at, until) in &self.spans {
            for surface in (0..count).map(Some).chain([None]) {
                for (grade, classes, is_inner) in graded(policy, surface) {
                    for (model_number, model) in self.models_of(policy, surface) {
                        let is_served = self.served[surface.unwrap_or(count)][model_number];
                        for &caller in &self.callers {
                            look(&Asked {
                                at,
                                until,
                                surface,
                                grade,
                                classes,
                                is_inner,
                                model,
                                model_number,
                                caller,
                                is_served,
                            });
                        }
                    }
                }
            }
        }
    }

    /// The models that an operation can name.
    fn models_of(
        &self,
        policy: &Policy,
        surface: Option<usize>,
    ) -> impl Iterator<Item = (usize, Option<&str>)> {
        let (none, some) = match surface.map(|number| policy.surface(number)) {
            None => (true, false),
            Some(surface) => match surface.model {
                ModelAt::None => (true, surface.dated == Dated::Deployment),
                ModelAt::Optional => (true, true),
                ModelAt::Query => (true, true),
                ModelAt::Required | ModelAt::Path => (false, true),
            },
        };
        let all = self.models.iter().enumerate();
        all.filter(move |(_, model)| if model.0.is_none() { none } else { some })
            .map(|(number, model)| (number, model.0.as_deref()))
    }
}

/// The grades that a request for an operation can have, what the readings can make of each, and whether only inside a session.
fn graded(policy: &Policy, surface: Option<usize>) -> Vec<(Grade, Classes, bool)> {
    let contract = &policy.config.contract;
    let mut grades: Vec<(Grade, u64)> = Vec::new();
    match surface.map(|number| policy.surface(number)) {
        None => grades.push((Grade::Unknown, 0)),
        Some(surface) => {
            let given: Vec<usize> = (0..surface.signals.len())
                .filter(|slot| {
                    let at = &surface.signals[*slot].at;
                    contract
                        .readings
                        .iter()
                        .any(|reading| reading.signals.iter().any(|(known, _)| known == at))
                })
                .collect();
            for fired in sets(&given) {
                let of_fired = |mask: u64| {
                    let slots = surface.signals.iter().enumerate().filter(|(slot, _)| mask >> slot & 1 == 1);
                    slots.map(|(_, signal)| signal.grade).fold(surface.grade, Grade::max)
                };
                let base = of_fired(fired);
                grades.push((base, fired));
                let others = surface.signals.iter().enumerate().filter(|(slot, _)| !given.contains(slot));
                grades.extend(others.map(|(slot, signal)| (base.max(signal.grade), fired | 1 << slot)));
            }
        }
    }
    let inherits = contract.readings.iter().any(|reading| reading.inner_calls == InnerCalls::Inherit);
    let inner = std::iter::once(None).chain(Grade::ALL.into_iter().filter(|_| inherits).map(Some));
    let inner: Vec<Option<Grade>> = inner.collect();
    let mut all: Vec<(Grade, Classes, bool)> = Vec::new();
    for inner in inner {
        for (grade, fired) in &grades {
            let classes = policy.classes(surface, *grade, *fired, inner);
            if !all.iter().any(|(known, alike, _)| (known, alike) == (grade, &classes)) {
                all.push((*grade, classes, inner.is_some()));
            }
        }
    }
    all.sort_by_key(|(grade, ..)| *grade);
    all
}

/// Sets of slots.
fn sets(slots: &[usize]) -> Vec<u64> {
    let mask = |chosen: &mut dyn Iterator<Item = &usize>| chosen.map(|slot| 1 << slot).sum::<u64>();
    if slots.len() <= ALL_SIGNALS_MAX {
        let chosen = |set: u64| {
            mask(&mut slots.iter().enumerate().filter(|(at, _)| set >> at & 1 == 1).map(|(_, slot)| slot))
        };
        return (0..1 << slots.len()).map(chosen).collect();
    }
    let each = slots.iter().map(|slot| 1 << slot);
    [0, mask(&mut slots.iter())].into_iter().chain(each).collect()
}

/// A model of each sort that a vendor, a term or an endpoint tells apart; names that an endpoint knows come first.
fn models(policy: &Policy) -> Vec<Model> {
    let of_endpoints = policy.places().iter().filter_map(|place| place.endpoint.models.as_ref()).flatten();
    let of_endpoints = of_endpoints.map(|(name, _)| name.clone());
    let patterns = policy.config.contract.terms.iter().flat_map(|term| &term.when.models);
    let claims = policy.config.contract.claims.iter().flat_map(|claim| &claim.given.models);
    let vendors = policy.config.surfaces.vendors.iter().flat_map(|vendor| &vendor.models);
    let of_patterns = patterns.chain(claims).chain(vendors).map(|pattern| match pattern {
        Pattern::Exact(name) => name.clone(),
        Pattern::Prefix(prefix) => format!("{prefix}some-model"),
    });
    let mut seen = HashSet::new();
    let told = |model: &String| {
        let model = model.as_str();
        let serving: Vec<bool> = policy.places().iter().map(|place| place.model(model).is_some()).collect();
        let claims = policy.config.contract.claims.iter().flat_map(|claim| &claim.given.models);
        let claimed: Vec<bool> = claims.map(|pattern| pattern.matches(model)).collect();
        (policy.vendor(None, Some(model)), policy.table.group(Some(model)), serving, claimed)
    };
    let some = of_endpoints.chain(of_patterns).chain(["some-model".to_owned()]);
    let some = some.filter(|model| !model.is_empty() && seen.insert(told(model)));
    std::iter::once(Model(None)).chain(some.map(|model| Model(Some(model)))).collect()
}

fn spans(policy: &Policy, now: Timestamp) -> Vec<(Timestamp, Option<Timestamp>)> {
    let begins: Vec<Timestamp> = policy.table.spans().map(|(from, _)| from).collect();
    let ends = begins.iter().skip(1).copied().map(Some).chain([None]);
    let mut spans: Vec<_> = begins.iter().copied().zip(ends).collect();
    let current = policy.table.span(now).saturating_sub(1);
    spans[..=current].rotate_right(1);
    spans
}

fn outages(policy: &Policy) -> Vec<Vec<u64>> {
    let clouds = policy.config.clouds.len();
    let down = |is_down: &dyn Fn(usize) -> bool| {
        let mut words = vec![0; policy.places().len().div_ceil(64)];
        for (at, _) in policy.places().iter().enumerate().filter(|(_, place)| is_down(place.cloud)) {
            words[at / 64] |= 1 << (at % 64);
        }
        words
    };
    if clouds <= ALL_SETS_MAX {
        return (0..1_usize << clouds).map(|set| down(&|cloud| set >> cloud & 1 == 1)).collect();
    }
    let each = (0..clouds).flat_map(|one| [down(&|cloud| cloud == one), down(&|cloud| cloud != one)]);
    [down(&|_| false), down(&|_| true)].into_iter().chain(each).collect()
}
