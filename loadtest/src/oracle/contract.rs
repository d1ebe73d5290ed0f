//! A contract, judged by the oracle itself. It shares no code with the proxy that it watches: the meaning of every word here was
//! written from the prose of the contract model, so that a mistake in one of the two shows as a difference.
//!
//! Under each reading: candidates = the intersection of the `only` sets of the terms in force that speak of a request, less every
//! `never`. When no term speaks there are none. Where the readings differ, the `band` decides. Around each boundary, within
//! `clock_skew` of it, only what both sides allow is allowed. What began in a cloud before a term ended may go on there as that
//! term's `on_expiry` says, unless a term in force forbids the cloud.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::facts::{Facts, Grade, matches};

/// Readings, terms, and the names that they use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Contract {
    pub(super) clouds: BTreeSet<String>,
    pub(super) readings: Vec<Reading>,
    /// The index of the one that decides.
    pub(super) enforced: usize,
    pub(super) band: Band,
    pub(super) skew: SignedDuration,
    /// What a session may rest before it is drained.
    pub(super) idle: Duration,
    pub(super) terms: Vec<Term>,
    /// Products and their patterns of surfaces.
    pub(super) products: Vec<(String, Vec<String>)>,
    /// Patterns of models and their vendors, in the file, beside those that the oracle knows.
    pub(super) vendors: Vec<(String, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) name: String,
    /// None: nothing is stateful.
    pub(super) stateful_from: Option<Grade>,
    /// Patterns of surfaces that are stateful, or not, whatever their grade; the first that matches counts.
    pub(super) surfaces: Vec<(String, bool)>,
}

/// What happens where readings disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Band {
    Conservative,
    Enforced,
    Refuse,
}

/// What becomes of a session when a term ends; the later ones are the stricter ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum OnExpiry {
    Grandfather,
    Drain,
    Cut,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Term {
    pub(super) from: Option<Timestamp>,
    pub(super) until: Option<Timestamp>,
    pub(super) when: When,
    pub(super) only: Option<BTreeSet<String>>,
    pub(super) never: BTreeSet<String>,
    pub(super) on_expiry: OnExpiry,
}

/// Every condition that is there must hold; within one, any of its values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct When {
    pub(super) vendor: Option<Vec<String>>,
    pub(super) stateful: Option<bool>,
    pub(super) grade: Option<Vec<Grade>>,
    pub(super) surface: Option<Vec<String>>,
    pub(super) model: Option<Vec<String>>,
    pub(super) product: Option<Vec<String>>,
}

/// What is known of a handle that a request cites at the endpoint where it was born.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Life {
    /// When it was born there, then what it was born from, and so on.
    pub(super) began: Vec<Timestamp>,
    /// How long it had rested at least.
    pub(super) rested: Duration,
}

impl Reading {
    fn is_stateful(&self, facts: &Facts<'_>) -> bool {
        let said = self.surfaces.iter().find(|(pattern, _)| matches(pattern, facts.surface));
        said.map_or(self.stateful_from.is_some_and(|from| facts.grade >= from), |(_, stateful)| *stateful)
    }
}

impl Contract {
    /// Under the enforced reading.
    pub(super) fn is_stateful(&self, facts: &Facts<'_>) -> bool {
        self.readings[self.enforced].is_stateful(facts)
    }

    /// Whether any term lets sessions go on after its end.
    pub(super) fn leases(&self) -> bool {
        self.terms.iter().any(|term| term.on_expiry != OnExpiry::Cut)
    }

    /// The clouds that a request may reach at this instant, by whichever clock within the skew.
    pub(super) fn candidates(&self, facts: &Facts<'_>, at: Timestamp) -> BTreeSet<&str> {
        let sets = self.epochs(at).map(|instant| self.candidates_of_epoch(facts, instant));
        sets.reduce(|so_far, next| so_far.intersection(&next).copied().collect()).unwrap_or_default()
    }

    /// Whether a request that cites these may go on in `cloud` at this instant, although the terms in force leave it out.
    pub(super) fn goes_on(&self, facts: &Facts<'_>, cloud: &str, at: Timestamp, lives: &[Life]) -> bool {
        !lives.is_empty() && lives.iter().all(|life| self.is_leased(facts, cloud, at, life))
    }

    fn is_leased(&self, facts: &Facts<'_>, cloud: &str, at: Timestamp, life: &Life) -> bool {
        // When the terms last allowed it to be there: what is born of what goes on by a lease was never lawful by itself.
        let lawful = |began: &&Timestamp| self.candidates(facts, **began).contains(cloud);
        let Some(since) = life.began.iter().find(lawful) else { return false };
        let end = later(at, self.skew);
        let mut strictest = None;
        for reading in self.counting() {
            let now: Vec<Vec<&Term>> =
                self.epochs(at).map(|instant| self.speaking(reading, facts, instant)).collect();
            if now.iter().flatten().any(|term| term.never.contains(cloud)) {
                return false;
            }
            let spoke = self.epochs(*since).flat_map(|instant| self.speaking(reading, facts, instant));
            let ended = spoke.filter(|term| term.until.is_some_and(|until| until <= end));
            let ended = ended.map(|term| term.on_expiry).max();
            let leaves_it_out = now.iter().any(|terms| !self.left_by(terms).contains(cloud));
            if leaves_it_out && ended.is_none() {
                return false; // something else than the end of a term took it away
            }
            strictest = strictest.max(ended);
        }
        match strictest {
            Some(OnExpiry::Grandfather) => true,
            Some(OnExpiry::Drain) => life.rested <= self.idle,
            Some(OnExpiry::Cut) | None => false,
        }
    }

    /// The readings whose word counts: all of them, unless the enforced one decides alone.
    fn counting(&self) -> impl Iterator<Item = &Reading> {
        let alone = self.band == Band::Enforced;
        self.readings
            .iter()
            .enumerate()
            .filter(move |(at, _)| !alone || *at == self.enforced)
            .map(|(_, it)| it)
    }

    /// The instants at which the candidates can change, the skew included.
    pub(super) fn changes(&self) -> impl Iterator<Item = Timestamp> {
        self.boundaries().flat_map(|at| [earlier(at, self.skew), at, later(at, self.skew)])
    }

    fn boundaries(&self) -> impl Iterator<Item = Timestamp> {
        self.terms.iter().flat_map(|term| [term.from, term.until]).flatten()
    }

    /// An instant of each epoch that it could really be.
    fn epochs(&self, at: Timestamp) -> impl Iterator<Item = Timestamp> {
        let (from, until) = (earlier(at, self.skew), later(at, self.skew));
        std::iter::once(from).chain(self.boundaries().filter(move |at| from < *at && *at <= until))
    }

    fn candidates_of_epoch(&self, facts: &Facts<'_>, at: Timestamp) -> BTreeSet<&str> {
        let sets: Vec<BTreeSet<&str>> =
            self.readings.iter().map(|reading| self.left_by(&self.speaking(reading, facts, at))).collect();
        let enforced = &sets[self.enforced];
        let agree = sets.iter().all(|set| set == enforced);
        match self.band {
            Band::Refuse if !agree => BTreeSet::new(),
            Band::Conservative => {
                enforced.iter().copied().filter(|cloud| sets.iter().all(|set| set.contains(cloud))).collect()
            }
            Band::Enforced | Band::Refuse => enforced.clone(),
        }
    }

    /// The terms in force at `at` that speak of the request under this reading.
    fn speaking(&self, reading: &Reading, facts: &Facts<'_>, at: Timestamp) -> Vec<&Term> {
        let in_force = |term: &&Term| {
            term.from.is_none_or(|from| from <= at) && term.until.is_none_or(|until| at < until)
        };
        let speaks = |term: &&Term| self.speaks(reading, &term.when, facts);
        self.terms.iter().filter(in_force).filter(speaks).collect()
    }

    /// The clouds that these terms leave together; none, when there are none.
    fn left_by(&self, speaking: &[&Term]) -> BTreeSet<&str> {
        if speaking.is_empty() {
            return BTreeSet::new();
        }
        let allowed = |cloud: &&str| {
            speaking.iter().all(|term| {
                term.only.as_ref().is_none_or(|only| only.contains(*cloud)) && !term.never.contains(*cloud)
            })
        };
        self.clouds.iter().map(String::as_str).filter(allowed).collect()
    }

    fn speaks(&self, reading: &Reading, when: &When, facts: &Facts<'_>) -> bool {
        let any = |patterns: &[String], name: &str| patterns.iter().any(|pattern| matches(pattern, name));
        let vendor = facts.vendor(&self.vendors);
        let of_product = |product: &String| {
            let found = self.products.iter().find(|(name, _)| name == product);
            found.is_some_and(|(_, surfaces)| any(surfaces, facts.surface))
        };
        when.vendor.as_ref().is_none_or(|vendors| vendors.iter().any(|name| name == vendor))
            && when.stateful.is_none_or(|stateful| stateful == reading.is_stateful(facts))
            && when.grade.as_ref().is_none_or(|grades| grades.contains(&facts.grade))
            && when.surface.as_ref().is_none_or(|surfaces| any(surfaces, facts.surface))
            && when.model.as_ref().is_none_or(|models| facts.model.is_some_and(|model| any(models, model)))
            && when.product.as_ref().is_none_or(|products| products.iter().any(of_product))
    }
}

fn earlier(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_sub(by).unwrap_or(Timestamp::MIN)
}

fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}
