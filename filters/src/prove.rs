//! What a contract can and cannot do, over every request that there can be: the compiled table that production indexes, asked through the
//! functions that production calls.
//!
//! | what is proved | a finding |
//! |---|---|
//! | every request is spoken of by a term, or by an `otherwise` that is written | [`What::Unspoken`] |
//! | no two terms in force leave nothing between them | [`What::Conflict`] |
//! | each term comes to speak, in its time, under some reading | [`What::Dead`] |
//! | whatever is down, whatever fails and wherever state lives, nothing goes where the terms do not allow it | [`What::Leak`] |
//! | each claim of the operator holds, and speaks of something | [`What::Claim`], [`What::Idle`] |
//!
//! A request here is a surface x a grade that it can have x what the readings can make of that x a model of each sort that anything tells
//! apart x a caller of each such sort x a stretch of time with one table. Each is judged with no state, with state in each cloud,
//! and with each set of clouds down. What cannot happen (a grade that no signal of a surface gives) is not in it.

mod domain;
mod pins;
mod sample;

use crate::decision::Reason;
use crate::judge::{Facts, HealthView, Ruling, judge};
use crate::policy::Policy;
use crate::readings::Classes;
use crate::select::select;
use crate::table::{Cell, CloudSet, Said, speaks_of};
pub use domain::Model;
use domain::{Asked, Domain};
use pins::Pins;
use riparian_config::{Class, Grade, Term, Then, Timestamp, When};
pub use sample::Sample;
use std::collections::{BTreeMap, HashMap, HashSet};

/// What came of it.
#[derive(Clone, Debug)]
pub struct Proof {
    /// How much was looked at.
    pub counts: Counts,
    /// What does not hold; none: it is proved.
    pub findings: Vec<Finding>,
    /// Where the readings disagree: from which grade on, and what each side says.
    pub band: BTreeMap<Dispute, Disputed>,
}

/// What readings disagree about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dispute {
    /// In which epoch.
    pub epoch: u32,
    /// Only about calls that are made in the course of a session.
    pub is_inner: bool,
    /// The surface's number.
    pub surface: usize,
}

/// How much a proof looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Kinds of requests, each in each stretch of time.
    pub kinds: u64,
    /// Kinds x readings x sets of clouds that are down.
    pub cells: u64,
    /// Stretches of time with one table.
    pub spans: u64,
    /// Sets of clouds that are down.
    pub outages: u64,
}

/// Something that does not hold.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What.
    pub what: What,
    /// For how many kinds of requests.
    pub kinds: u64,
    /// One of them, of today where there is one.
    pub example: Option<Example>,
}

/// What does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum What {
    /// No term speaks of requests that an endpoint would serve, and no `otherwise` is written.
    Unspoken,
    /// Of these terms' clouds none is left.
    Conflict(Vec<u16>),
    /// This term never comes to speak.
    Dead(u16),
    /// A request could reach this cloud, which the terms do not allow.
    Leak(usize),
    /// This claim does not hold.
    Claim(usize),
    /// This claim speaks of nothing.
    Idle(usize),
}

/// A kind of request that shows a finding.
#[derive(Clone, Debug)]
pub struct Example {
    /// When.
    pub at: Timestamp,
    /// The surface's number; `None` when unrecognised.
    pub surface: Option<usize>,
    /// How much state.
    pub grade: Grade,
    /// What each reading makes of it.
    pub classes: Classes,
    /// The model.
    pub model: Option<String>,
    /// The named tenant that asks.
    pub caller: Option<usize>,
    /// The terms that matched, under the enforced reading.
    pub terms: Vec<u16>,
    /// Where it may go.
    pub clouds: CloudSet,
    /// Why nowhere.
    pub refusal: Option<Reason>,
    /// State that it cites lives in this cloud, and it is let go on there although its terms have ended.
    pub leased: Option<usize>,
    /// A request of this kind, where one could be made up.
    pub sample: Option<Sample>,
}

/// What the readings say of a surface on which they disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disputed {
    /// The lowest grade.
    pub from: Grade,
    /// Where those send it that call it stateless.
    pub stateless: CloudSet,
    /// Where those send it that call it stateful.
    pub stateful: CloudSet,
}

/// Examples that are kept of each finding until one of them can be made a request of.
const EXAMPLES_MAX: usize = 12;

/// Proves a policy; `now` is only where examples are looked for first.
#[must_use]
pub fn prove(policy: &Policy, now: Timestamp) -> Proof {
    let domain = Domain::of(policy, now);
    let mut prover = Prover {
        policy,
        domain: &domain,
        counts: Counts::default(),
        found: BTreeMap::new(),
        spoken: vec![false; policy.config.contract.terms.len()],
        met: vec![false; policy.config.contract.claims.len()],
        band: BTreeMap::new(),
        sound: HashSet::new(),
        pins: Pins::new(policy, &domain),
        conflicts: HashMap::new(),
    };
    domain.each(policy, |asked| prover.look(asked));
    prover.end()
}

struct Prover<'p> {
    policy: &'p Policy,
    domain: &'p Domain,
    counts: Counts,
    found: BTreeMap<What, (u64, Vec<Example>)>,
    spoken: Vec<bool>,
    met: Vec<bool>,
    band: BTreeMap<Dispute, Disputed>,
    /// What was tried under every outage: both cells, the surface and the model.
    sound: HashSet<(usize, usize, usize, usize)>,
    pins: Pins<'p>,
    /// The terms that contradict each other, by the cell.
    conflicts: HashMap<usize, Vec<u16>>,
}

fn address(cell: Option<&Cell>) -> usize {
    cell.map_or(0, |cell| std::ptr::from_ref(cell) as usize)
}

impl<'p> Prover<'p> {
    fn look(&mut self, asked: &Asked<'_>) {
        let facts = asked.facts();
        let ruling = judge(self.policy, &facts);
        let readings = self.policy.config.contract.readings.len() as u64;
        self.counts.kinds += 1;
        self.counts.cells += readings * self.domain.outages.len() as u64;
        for term in ruling.cell.terms.iter().chain(ruling.other.into_iter().flat_map(|cell| &cell.terms)) {
            self.spoken[usize::from(*term)] = true;
        }
        match ruling.outcome {
            Err(Reason::NoTerm) if !self.policy.config.contract.otherwise && asked.is_served => {
                self.find(What::Unspoken, asked, &ruling, None);
            }
            Err(Reason::TermsConflict | Reason::Forbidden) => {
                let terms = self.contradicting(ruling.cell);
                self.find(What::Conflict(terms), asked, &ruling, None);
            }
            _ => {}
        }
        self.dispute(asked, &ruling);
        let key = (
            address(Some(ruling.cell)),
            address(ruling.other),
            asked.surface.map_or(0, |at| at + 1),
            asked.model_number,
        );
        if self.sound.insert(key) {
            self.withstand(asked, &facts, &ruling);
        }
        self.claims(asked, &facts, &ruling);
    }

    /// Tries every outage, and state in every cloud.
    fn withstand(&mut self, asked: &Asked<'_>, facts: &Facts<'_>, ruling: &Ruling<'p>) {
        for cell in [Some(ruling.cell), ruling.other].into_iter().flatten() {
            if let Some(cloud) = self.unlawful(cell) {
                self.find(What::Leak(cloud), asked, ruling, None);
            }
        }
        let domain = self.domain;
        for outage in &domain.outages {
            let facts = Facts { health: HealthView { down: outage }, ..*facts };
            let ruling = judge(self.policy, &facts);
            let verdict = select(self.policy, &ruling, &facts);
            // Retries and failover walk along this list and know no other.
            let reached = verdict.endpoints().iter().map(|id| self.policy.place(*id).cloud);
            for cloud in reached.filter(|cloud| !ruling.clouds.contains(*cloud)).collect::<Vec<_>>() {
                self.find(What::Leak(cloud), asked, &ruling, None);
            }
            for cloud in self.pins.stray(&facts, &ruling) {
                self.find(What::Leak(cloud), asked, &ruling, None);
            }
        }
    }

    /// A cloud of a cell that one of its own terms does not allow.
    fn unlawful(&self, cell: &Cell) -> Option<usize> {
        let config = &self.policy.config;
        cell.clouds.iter().find(|cloud| {
            let name = &config.clouds[*cloud].name;
            cell.terms.iter().map(|term| &config.contract.terms[usize::from(*term)]).any(|term| {
                term.never.contains(name) || term.only.as_ref().is_some_and(|only| !only.contains(name))
            })
        })
    }

    /// The fewest terms of a cell that leave nothing.
    fn contradicting(&mut self, cell: &Cell) -> Vec<u16> {
        if let Some(known) = self.conflicts.get(&address(Some(cell))) {
            return known.clone();
        }
        let config = &self.policy.config;
        let left = |terms: &[u16]| {
            let allows = |term: &Term, cloud| {
                term.only.as_ref().is_none_or(|only| only.contains(cloud)) && !term.never.contains(cloud)
            };
            let term = |number: &u16| &config.contract.terms[usize::from(*number)];
            config.clouds.iter().any(|cloud| terms.iter().all(|number| allows(term(number), &cloud.name)))
        };
        let mut fewest = cell.terms.clone();
        for at in (0..fewest.len()).rev() {
            let mut fewer = fewest.clone();
            fewer.remove(at);
            if !fewer.is_empty() && !left(&fewer) {
                fewest = fewer;
            }
        }
        self.conflicts.insert(address(Some(cell)), fewest.clone());
        fewest
    }

    fn dispute(&mut self, asked: &Asked<'_>, ruling: &Ruling<'_>) {
        let counts = ruling.in_band && asked.is_served && !self.policy.table.is_at_boundary(asked.at);
        let (true, Some(surface), Some(other)) = (counts, asked.surface, ruling.other) else { return };
        let (stateless, stateful) = match ruling.class {
            Class::Stateless => (ruling.cell.clouds, other.clouds),
            Class::Stateful => (other.clouds, ruling.cell.clouds),
        };
        let disputed = Disputed { from: asked.grade, stateless, stateful };
        let dispute = Dispute { epoch: ruling.epoch, is_inner: asked.is_inner, surface };
        let known = self.band.entry(dispute).or_insert(disputed);
        if asked.grade < known.from {
            *known = disputed;
        }
    }

    fn claims(&mut self, asked: &Asked<'_>, facts: &Facts<'_>, ruling: &Ruling<'p>) {
        let policy = self.policy;
        for (number, claim) in policy.config.contract.claims.iter().enumerate() {
            if claim.until.is_some_and(|until| until <= asked.at)
                || claim.from.is_some_and(|from| asked.until.is_some_and(|end| end <= from))
            {
                continue;
            }
            let (class, clouds) = match claim.reading {
                None => (ruling.class, ruling.clouds),
                Some(reading) => match (facts.classes.of(reading), ruling.other) {
                    (class, Some(other)) if class != ruling.class => (class, other.clouds),
                    (class, _) => (class, ruling.cell.clouds),
                },
            };
            if !meets(policy, &claim.given, asked, class, ruling.vendor) {
                continue;
            }
            self.met[number] = true;
            let set = |names: &[riparian_config::CloudName]| {
                let is_in = |at: &usize| names.contains(&policy.config.clouds[*at].name);
                (0..policy.config.clouds.len()).filter(is_in).collect::<CloudSet>()
            };
            // Where it can go: by the terms in force, or because its session began under other ones.
            let leased =
                if claim.reading.is_none() { self.pins.leased(facts, ruling) } else { CloudSet::NONE };
            let allowed =
                if ruling.outcome.is_ok() || claim.reading.is_some() { clouds } else { CloudSet::NONE };
            let broken = match &claim.then {
                Then::Only(only) => {
                    let out = |clouds: CloudSet| clouds.iter().find(|cloud| !set(only).contains(*cloud));
                    out(allowed).map(|_| None).or_else(|| out(leased).map(Some))
                }
                Then::Never(never) => {
                    let within = |clouds: CloudSet| clouds.and(set(never)).iter().next();
                    within(allowed).map(|_| None).or_else(|| within(leased).map(Some))
                }
                Then::Refused => {
                    allowed.iter().next().map(|_| None).or_else(|| leased.iter().next().map(Some))
                }
                Then::Allowed => {
                    let goes = select(policy, ruling, facts).reason().allows();
                    // What passes is no refusal for good.
                    let passes = ruling.outcome == Err(Reason::EpochBoundary);
                    (asked.is_served && !goes && !passes).then_some(None)
                }
            };
            if let Some(leased) = broken {
                self.find(What::Claim(number), asked, ruling, leased);
            }
        }
    }

    fn find(&mut self, what: What, asked: &Asked<'_>, ruling: &Ruling<'_>, leased: Option<usize>) {
        let (kinds, examples) = self.found.entry(what).or_default();
        *kinds += 1;
        if examples.len() < EXAMPLES_MAX {
            let again = |known: &Example| {
                (known.surface, known.grade, known.leased) == (asked.surface, asked.grade, leased)
            };
            if !examples.iter().any(again) {
                examples.push(asked.example(ruling, leased));
            }
        }
    }

    fn end(mut self) -> Proof {
        for (at, _) in self.spoken.iter().enumerate().filter(|(_, spoken)| !**spoken) {
            let term = u16::try_from(at).expect("terms are numbered so");
            self.found.insert(What::Dead(term), (0, Vec::new()));
        }
        for (at, _) in self.met.iter().enumerate().filter(|(_, met)| !**met) {
            self.found.insert(What::Idle(at), (0, Vec::new()));
        }
        let policy = self.policy;
        let findings = self.found.into_iter().map(|(what, (kinds, mut examples))| {
            let made = examples
                .iter()
                .enumerate()
                .find_map(|(at, example)| Some((at, sample::sample(policy, example)?)));
            let example = match made {
                Some((at, sample)) => Some(Example { sample: Some(sample), ..examples.swap_remove(at) }),
                None => (!examples.is_empty()).then(|| examples.swap_remove(0)),
            };
            Finding { what, kinds, example }
        });
        self.counts.spans = self.domain.spans.len() as u64;
        self.counts.outages = self.domain.outages.len() as u64;
        Proof { counts: self.counts, findings: findings.collect(), band: self.band }
    }
}

/// Whether a claim speaks of a kind of request.
fn meets(policy: &Policy, when: &When, asked: &Asked<'_>, class: Class, vendor: Option<usize>) -> bool {
    let none = usize::MAX;
    let said = Said {
        vendor: vendor.unwrap_or(none),
        surface: asked.surface.unwrap_or(none),
        grade: asked.grade,
        class,
        caller: asked.caller.unwrap_or(none),
    };
    // A claim that names no grade speaks of what cannot be read, too: nothing may escape it.
    let grade = when.grades.is_empty() && asked.grade == Grade::Unknown;
    let said = if grade { Said { grade: Grade::Runtime, ..said } } else { said };
    speaks_of(&policy.config, when, said)
        && (when.models.is_empty()
            || asked.model.is_some_and(|model| when.models.iter().any(|pattern| pattern.matches(model))))
}

#[cfg(test)]
mod tests;
