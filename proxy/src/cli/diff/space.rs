//! Every kind of request that anything in either of two contracts tells apart, and what both make of it.

use riparian_config::{Class, Config, Grade, ModelAt, Pattern, Surface, TenantName, Timestamp, VendorName};
use riparian_filters::decision::Reason;
use riparian_filters::judge::{Facts, judge};
use riparian_filters::policy::Policy;
use riparian_filters::readings::Classes;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// More kinds than that are no longer looked at one by one: some minutes.
const KINDS_MAX: usize = 200_000_000;

/// What becomes of a kind of request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Goes {
    /// To these clouds, the preferred ones first.
    To(Vec<String>),
    Refused(&'static str),
}

/// What changes, of one kind of request in one stretch of time.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Change {
    pub(super) was: Goes,
    pub(super) is: Goes,
    pub(super) terms_were: Vec<String>,
    pub(super) terms_are: Vec<String>,
    /// Under the enforced reading, before and now.
    pub(super) classes: (&'static str, &'static str),
}

/// All that was found.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Surfaces on which there are requests of this grade and sort, changed or not.
    pub(super) there: BTreeMap<(Grade, Sort), BTreeSet<String>>,
    /// What changes, and on which surfaces.
    pub(super) changed: BTreeMap<(Grade, Sort, usize, usize, Change), BTreeSet<String>>,
    /// The names of callers that nothing tells apart.
    pub(super) callers: Vec<String>,
    /// Where each stretch of time begins and ends.
    pub(super) stretches: Vec<(Option<Timestamp>, Option<Timestamp>)>,
}

/// A sort of model: whose, and which patterns of terms it matches.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Sort {
    pub(super) vendor: String,
    pub(super) model: String,
}

/// One of the two, with the numbers that it has for what both know by name.
struct Side<'p> {
    policy: &'p Policy,
    surfaces: Vec<Option<usize>>,
}

impl<'p> Side<'p> {
    fn new(policy: &'p Policy, ids: &[&str]) -> Self {
        let surfaces = &policy.config.surfaces.surfaces;
        let number = |id: &&str| surfaces.iter().position(|surface| surface.id.as_str() == *id);
        Self { policy, surfaces: ids.iter().map(number).collect() }
    }

    fn caller(&self, name: Option<&TenantName>) -> Option<usize> {
        self.policy.config.tenants.named.iter().position(|tenant| Some(&tenant.name) == name)
    }

    /// What the readings make of a grade, by the signal that gave it.
    fn classes(&self, surface: usize, grade: Grade, fired: u64) -> (Grade, Classes) {
        match self.surfaces[surface] {
            Some(number) => (grade, self.policy.classes(Some(number), grade, fired, None)),
            None => (Grade::Unknown, self.policy.classes(None, Grade::Unknown, 0, None)),
        }
    }

    fn judge(&self, facts: &Facts<'_>) -> (Goes, Vec<String>, Class) {
        let ruling = judge(self.policy, facts);
        let config = &self.policy.config;
        let name = |cloud: usize| config.clouds[cloud].name.to_string();
        let preferred = ruling.cell.prefer.iter().copied().filter(|cloud| ruling.clouds.contains(*cloud));
        let goes = match ruling.outcome {
            Err(reason) => Goes::Refused(reason.as_str()),
            Ok(_) if ruling.clouds.is_empty() => Goes::Refused(Reason::NoTerm.as_str()),
            Ok(_) => {
                let mut clouds: Vec<String> = preferred.map(name).collect();
                let mut rest: Vec<String> = ruling.clouds.iter().map(name).collect();
                rest.retain(|cloud| !clouds.contains(cloud));
                rest.sort();
                clouds.append(&mut rest);
                Goes::To(clouds)
            }
        };
        let terms = ruling.cell.terms.iter();
        let terms = terms.map(|number| config.contract.terms[usize::from(*number)].id.to_string());
        (goes, terms.collect(), ruling.class)
    }
}

/// What both make of every kind of request, where they differ.
pub(super) fn changes(old: &Policy, new: &Policy) -> Result<Changes, String> {
    let configs = [&old.config, &new.config];
    let surfaces = union(configs.map(|config| config.surfaces.surfaces.iter().collect::<Vec<&Surface>>()));
    let ids: Vec<&str> = surfaces.iter().map(|surface| surface.id.as_str()).collect();
    let sides = [Side::new(old, &ids), Side::new(new, &ids)];
    let models = models(configs);
    let callers = callers(configs);
    let moments = moments(configs);
    let kinds = surfaces.len() * 4 * (models.len() + 1) * callers.len() * moments.len();
    if kinds > KINDS_MAX {
        return Err(format!(
            "there are some {kinds} kinds of requests, over {KINDS_MAX}: compare fewer dates or models"
        ));
    }
    let mut found = Changes {
        callers: callers.iter().map(|(label, _)| label.clone()).collect(),
        stretches: moments.iter().map(|moment| moment.stretch).collect(),
        ..Changes::default()
    };
    for (number, surface) in surfaces.iter().enumerate() {
        let takes_model = !matches!(surface.model, ModelAt::None);
        let own = (Sort { vendor: vendor_label(configs, Some(&surface.vendor)), model: String::new() }, None);
        let without = (surface.model != ModelAt::Required).then_some(&own);
        let sorts: Vec<_> = models.iter().filter(|_| takes_model).chain(without).collect();
        for (grade, fired) in shapes(surface) {
            let [before, after] = [0, 1].map(|side: usize| sides[side].classes(number, grade, fired));
            for (sort, model) in &sorts {
                let there = found.there.entry((grade, sort.clone())).or_default();
                there.insert(surface.id.to_string());
                for (caller, (_, name)) in callers.iter().enumerate() {
                    for (stretch, moment) in moments.iter().enumerate() {
                        let judged = |side: usize, (grade, classes)| {
                            let side: &Side<'_> = &sides[side];
                            side.judge(&Facts {
                                model: model.as_deref(),
                                caller: side.caller(name.as_ref()),
                                ..Facts::bare(moment.at, side.surfaces[number], grade, classes)
                            })
                        };
                        let ((was, terms_were, class_was), (is, terms_are, class_is)) =
                            (judged(0, before), judged(1, after));
                        if was == is {
                            continue;
                        }
                        let classes = (class_was.as_str(), class_is.as_str());
                        let change = Change { was, is, terms_were, terms_are, classes };
                        let key = (grade, sort.clone(), caller, stretch, change);
                        found.changed.entry(key).or_default().insert(surface.id.to_string());
                    }
                }
            }
        }
    }
    Ok(found)
}

/// The new configuration's surfaces, and those that only the old one has.
fn union([old, new]: [Vec<&Surface>; 2]) -> Vec<&Surface> {
    let known: HashSet<&str> = new.iter().map(|surface| surface.id.as_str()).collect();
    let gone = old.into_iter().filter(|surface| !known.contains(surface.id.as_str()));
    let mut all = new.clone();
    all.extend(gone);
    all
}

/// The grades that requests on a surface can have, each with the signal that gives it.
fn shapes(surface: &Surface) -> Vec<(Grade, u64)> {
    let signals = surface.signals.iter().enumerate();
    let raised = signals.map(|(slot, signal)| (surface.grade.max(signal.grade), 1 << slot));
    std::iter::once((surface.grade, 0)).chain(raised).collect()
}

/// What the terms and claims of both say of vendors.
fn vendor_label(configs: [&Config; 2], vendor: Option<&VendorName>) -> String {
    let terms = || configs.into_iter().flat_map(|config| &config.contract.terms);
    match vendor.filter(|vendor| terms().any(|term| term.when.vendors.contains(vendor))) {
        Some(vendor) => vendor.to_string(),
        None if terms().any(|term| !term.when.vendors.is_empty()) => "of any other vendor".to_owned(),
        None => String::new(),
    }
}

/// A model of each sort that anything tells apart.
fn models(configs: [&Config; 2]) -> Vec<(Sort, Option<String>)> {
    let patterns = |config: &Config| -> Vec<Pattern> {
        let vendors = config.surfaces.vendors.iter().flat_map(|vendor| &vendor.models);
        let terms = config.contract.terms.iter().flat_map(|term| &term.when.models);
        vendors.chain(terms).cloned().collect()
    };
    let all: BTreeSet<Pattern> = configs.into_iter().flat_map(patterns).collect();
    // What no pattern is likely to have: the name of a model that only this prefix matches.
    let name = |pattern: &Pattern| match pattern {
        Pattern::Exact(name) => name.clone(),
        Pattern::Prefix(prefix) => format!("{prefix}~any"),
    };
    let names = all.iter().map(name).chain(std::iter::once("~any".to_owned()));
    let mut sorts: BTreeMap<Sort, Option<String>> = BTreeMap::new();
    for name in names {
        let vendor = configs.into_iter().rev().find_map(|config| {
            let matching = config.surfaces.vendors.iter().flat_map(|vendor| {
                vendor.models.iter().filter(|pattern| pattern.matches(&name)).map(move |pattern| {
                    let length = match pattern {
                        Pattern::Exact(_) => usize::MAX,
                        Pattern::Prefix(prefix) => prefix.len(),
                    };
                    (length, &vendor.name)
                })
            });
            matching.max_by_key(|(length, _)| *length).map(|(_, vendor)| vendor)
        });
        let terms = configs.into_iter().flat_map(|config| &config.contract.terms);
        let matched: BTreeSet<String> = terms
            .flat_map(|term| term.when.models.iter().filter(|pattern| pattern.matches(&name)))
            .map(ToString::to_string)
            .collect();
        let model = matched.into_iter().collect::<Vec<_>>().join(" and ");
        // A model that nobody claims is the surface's own vendor's: the surface without a model stands for it.
        if vendor.is_none() && model.is_empty() {
            continue;
        }
        sorts.entry(Sort { vendor: vendor_label(configs, vendor), model }).or_insert(Some(name));
    }
    sorts.into_iter().collect()
}

/// Callers that nothing tells apart, by a label and one of each.
fn callers(configs: [&Config; 2]) -> Vec<(String, Option<TenantName>)> {
    let named: BTreeSet<&str> = configs
        .into_iter()
        .flat_map(|config| &config.tenants.named)
        .map(|tenant| tenant.name.as_str())
        .collect();
    let said = |name: Option<&str>| -> Vec<bool> {
        let of = |config: &Config| -> Vec<bool> {
            let tenant = config.tenants.named.iter().find(|tenant| Some(tenant.name.as_str()) == name);
            let region = tenant.and_then(|tenant| tenant.data_region.as_ref());
            let terms = config.contract.terms.iter().flat_map(|term| {
                [
                    tenant.is_some_and(|tenant| term.when.tenants.contains(&tenant.name)),
                    region.is_some_and(|region| term.when.data_regions.contains(region)),
                ]
            });
            terms.collect()
        };
        configs.into_iter().flat_map(of).collect()
    };
    let nobody = said(None);
    let mut groups: BTreeMap<Vec<bool>, Vec<&str>> = BTreeMap::new();
    for name in named {
        groups.entry(said(Some(name))).or_default().push(name);
    }
    groups.remove(&nobody);
    let label = if groups.is_empty() { "" } else { "anybody else" };
    let rest = std::iter::once((label.to_owned(), None));
    let group = |names: Vec<&str>| (names.join(", "), TenantName::new(names[0]).ok());
    rest.chain(groups.into_values().map(group)).collect()
}

/// An instant for each stretch of time between two dates, away from both.
struct Moment {
    at: Timestamp,
    stretch: (Option<Timestamp>, Option<Timestamp>),
}

fn moments(configs: [&Config; 2]) -> Vec<Moment> {
    let terms = configs.into_iter().flat_map(|config| &config.contract.terms);
    let dates: BTreeSet<Timestamp> = terms.flat_map(|term| [term.from, term.until]).flatten().collect();
    let skew = configs.map(|config| config.contract.clock_skew).into_iter().max().unwrap_or_default();
    let starts = std::iter::once(None).chain(dates.iter().copied().map(Some));
    let ends = dates.iter().copied().map(Some).chain(std::iter::once(None));
    let moment = |(from, until): (Option<Timestamp>, Option<Timestamp>)| {
        let at = match (from, until) {
            (None, None) => Timestamp::UNIX_EPOCH,
            (None, Some(until)) => until.checked_sub(2 * skew).unwrap_or(Timestamp::MIN),
            (Some(from), until) => {
                let after = from.checked_add(2 * skew).unwrap_or(Timestamp::MAX);
                let half = until.map(|until| from.duration_since(until).unsigned_abs() / 2);
                let middle = half.and_then(|half| from.checked_add(half).ok());
                middle.filter(|middle| *middle < after).unwrap_or(after)
            }
        };
        Moment { at, stretch: (from, until) }
    };
    starts.zip(ends).map(moment).collect()
}
