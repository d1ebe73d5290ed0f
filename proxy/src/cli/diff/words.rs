//! Changes in words: kinds of requests that change alike are told together.

use super::space::{Change, Changes, Goes, Sort};
use riparian_config::{Contract, Grade, Timestamp};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// Kinds of requests that change alike.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    /// Operations, as patterns.
    pub(super) surfaces: Vec<String>,
    /// How many operations these are.
    pub(super) operations: usize,
    /// Lowest first.
    pub(super) grades: Vec<&'static str>,
    /// Under the enforced reading, before and now.
    pub(super) class_was: Vec<&'static str>,
    pub(super) class_is: Vec<&'static str>,
    /// Empty where nothing tells vendors apart.
    pub(super) vendors: Vec<String>,
    pub(super) models: Vec<String>,
    pub(super) callers: Vec<String>,
    /// Absent: always was.
    pub(super) from: Option<String>,
    /// Absent: always will be.
    pub(super) until: Option<String>,
    pub(super) was: Goes,
    pub(super) is: Goes,
    pub(super) terms_were: Vec<String>,
    pub(super) terms_are: Vec<String>,
    /// Live pins that it touches, where a journal was given.
    pub(super) pins: Option<Touched>,
    #[serde(skip)]
    pub(super) ends: Option<Timestamp>,
}

/// Live pins in clouds that a change leaves out: at most so many, since a pin does not say of which operation it is.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Touched {
    pub(super) pins: usize,
    pub(super) sessions: usize,
    pub(super) clouds: Vec<String>,
}

/// What both say of themselves, where that differs.
pub(super) fn settings(old: &Contract, new: &Contract) -> Vec<String> {
    let mut all = Vec::new();
    let mut compare = |what: &str, was: String, is: String| {
        if was != is {
            all.push(format!("{what}: {was} -> {is}"));
        }
    };
    compare("enforce", old.enforced().name.to_string(), new.enforced().name.to_string());
    compare("band", old.band.as_str().to_owned(), new.band.as_str().to_owned());
    compare("clock_skew", format!("{:?}", old.clock_skew), format!("{:?}", new.clock_skew));
    all
}

/// A set of kinds in the making: each dimension is a set.
#[derive(Clone, Debug)]
struct Block {
    /// The surfaces, each with the grades that its requests have.
    surfaces: BTreeSet<(Grade, String)>,
    cover: Vec<String>,
    grades: BTreeSet<Grade>,
    classes: BTreeSet<(&'static str, &'static str)>,
    vendors: BTreeSet<String>,
    models: BTreeSet<String>,
    callers: BTreeSet<usize>,
    /// From the first of these stretches of time to the last.
    stretches: (usize, usize),
    was: Goes,
    is: Goes,
    terms_were: BTreeSet<String>,
    terms_are: BTreeSet<String>,
}

impl Block {
    fn take(&mut self, other: Self) {
        self.surfaces.extend(other.surfaces);
        self.grades.extend(other.grades);
        self.classes.extend(other.classes);
        self.vendors.extend(other.vendors);
        self.models.extend(other.models);
        self.callers.extend(other.callers);
        self.stretches.0 = self.stretches.0.min(other.stretches.0);
        self.stretches.1 = self.stretches.1.max(other.stretches.1);
        self.terms_were.extend(other.terms_were);
        self.terms_are.extend(other.terms_are);
    }

    fn ids(&self) -> BTreeSet<&str> {
        self.surfaces.iter().map(|(_, id)| id.as_str()).collect()
    }

    /// The surfaces on which there are requests of its sorts, changed or not, by grade.
    fn there<'c>(&self, changes: &'c Changes) -> BTreeSet<(Grade, &'c str)> {
        let sorts = changes.there.iter().filter(|((grade, sort), _)| {
            self.grades.contains(grade)
                && self.vendors.contains(&sort.vendor)
                && self.models.contains(&sort.model)
        });
        sorts.flat_map(|((grade, _), ids)| ids.iter().map(|id| (*grade, id.as_str()))).collect()
    }

    /// Both in one, where all that its words then say is true: each of its surfaces changes in each of its grades that it has.
    fn with(&self, other: &Self, changes: &Changes) -> Option<Self> {
        let kept = |block: &Self| {
            let Self { classes, vendors, models, callers, stretches, was, is, .. } = block.clone();
            (classes, vendors, models, callers, stretches, was, is)
        };
        if kept(self) != kept(other) {
            return None;
        }
        let mut both = self.clone();
        both.take(other.clone());
        let (ids, there) = (both.ids(), both.there(changes));
        let is_changed = |(grade, id): &(Grade, &str)| both.surfaces.contains(&(*grade, (*id).to_owned()));
        if !there.iter().filter(|(_, id)| ids.contains(id)).all(is_changed) {
            return None;
        }
        let cover = cover(&ids, &there.iter().map(|(_, id)| *id).collect());
        Some(Self { cover, ..both })
    }

    /// Everything but one dimension, and what it comes to.
    fn key(&self, but: usize) -> Vec<String> {
        let parts = [
            format!("{:?}", self.models),
            format!("{:?}", self.vendors),
            format!("{:?}", self.callers),
            format!("{:?}", self.grades),
            format!("{:?}", self.classes),
            format!("{:?}", self.stretches),
        ];
        let others = parts.into_iter().enumerate().filter(|(at, _)| *at != but).map(|(_, part)| part);
        let fixed = [format!("{:?}", self.cover), format!("{:?}", (&self.was, &self.is))];
        others.chain(fixed).collect()
    }
}

/// The dimensions in which blocks are joined, by their place in [`Block::key`].
const JOINED: [usize; 5] = [0, 1, 2, 3, 4];

/// Tells changes together, the earliest first.
pub(super) fn rows(changes: &Changes) -> Vec<Row> {
    let mut blocks = joined_in_time(blocks(changes));
    // Twice: what was joined in one dimension may be alike in an earlier one.
    for but in JOINED.into_iter().chain(JOINED) {
        let mut joined: BTreeMap<Vec<String>, Block> = BTreeMap::new();
        for block in blocks {
            match joined.get_mut(&block.key(but)) {
                Some(known) => known.take(block),
                None => drop(joined.insert(block.key(but), block)),
            }
        }
        blocks = joined.into_values().collect();
    }
    let mut blocks = joined_in_pairs(blocks, changes);
    blocks.sort_by_key(|block| (block.stretches, block.cover.clone(), block.grades.first().copied()));
    blocks.into_iter().map(|block| row(block, changes)).collect()
}

/// One for all surfaces of a grade, sort, caller and stretch that change alike.
fn blocks(changes: &Changes) -> Vec<Block> {
    let mut blocks: BTreeMap<_, Block> = BTreeMap::new();
    for ((grade, sort, caller, stretch, change), surfaces) in &changes.changed {
        let Change { was, is, terms_were, terms_are, classes } = change;
        let block = Block {
            surfaces: surfaces.iter().map(|id| (*grade, id.clone())).collect(),
            cover: Vec::new(),
            grades: [*grade].into(),
            classes: [*classes].into(),
            vendors: [sort.vendor.clone()].into(),
            models: [sort.model.clone()].into(),
            callers: [*caller].into(),
            stretches: (*stretch, *stretch),
            was: was.clone(),
            is: is.clone(),
            terms_were: terms_were.iter().cloned().collect(),
            terms_are: terms_are.iter().cloned().collect(),
        };
        match blocks.get_mut(&(*grade, sort, *caller, *stretch, was, is, *classes)) {
            Some(known) => known.take(block),
            None => drop(blocks.insert((*grade, sort, *caller, *stretch, was, is, *classes), block)),
        }
    }
    let covered = blocks.into_iter().map(|((grade, sort, ..), mut block)| {
        block.cover =
            cover(&block.ids(), &changes.there[&(grade, sort.clone())].iter().map(String::as_str).collect());
        block
    });
    covered.collect()
}

/// Joins what goes on from one stretch of time to the next.
fn joined_in_time(blocks: Vec<Block>) -> Vec<Block> {
    const TIME: usize = 5;
    let mut runs: BTreeMap<Vec<String>, Vec<Block>> = BTreeMap::new();
    for block in blocks {
        runs.entry(block.key(TIME)).or_default().push(block);
    }
    let mut joined = Vec::new();
    for mut run in runs.into_values() {
        run.sort_by_key(|block| block.stretches);
        let mut run = run.into_iter();
        let mut last = run.next().expect("none is empty");
        for block in run {
            if block.stretches.0 == last.stretches.1 + 1 {
                last.take(block);
            } else {
                joined.push(std::mem::replace(&mut last, block));
            }
        }
        joined.push(last);
    }
    joined
}

/// More than that are not compared with each other.
const PAIRED_MAX: usize = 256;

/// Joins what differs both in its operations and in its grades, as far as it can be said in one.
fn joined_in_pairs(mut blocks: Vec<Block>, changes: &Changes) -> Vec<Block> {
    let mut at = 0;
    while at < blocks.len() && blocks.len() <= PAIRED_MAX {
        let joined =
            (at + 1..blocks.len()).find_map(|other| Some((other, blocks[at].with(&blocks[other], changes)?)));
        match joined {
            Some((other, both)) => {
                blocks.remove(other);
                blocks[at] = both;
                at = 0;
            }
            None => at += 1,
        }
    }
    blocks
}

/// The fewest patterns that match `surfaces` and none of the others that are `there`.
fn cover(surfaces: &BTreeSet<&str>, there: &BTreeSet<&str>) -> Vec<String> {
    if surfaces.is_superset(there) {
        return vec!["every operation".to_owned()];
    }
    let mut patterns: Vec<String> = Vec::new();
    for &id in surfaces {
        let covered = |pattern: &String| {
            pattern.strip_suffix('*').map_or(pattern == id, |prefix| id.starts_with(prefix))
        };
        if patterns.iter().any(covered) {
            continue;
        }
        let prefixes = id.match_indices('.').map(|(at, _)| &id[..=at]);
        let whole = |prefix: &&str| {
            let below = || there.iter().filter(|other| other.starts_with(prefix));
            below().count() > 1 && below().all(|other| surfaces.contains(other))
        };
        patterns.push(
            prefixes.into_iter().find(whole).map_or_else(|| id.to_owned(), |prefix| format!("{prefix}*")),
        );
    }
    patterns
}

fn row(block: Block, changes: &Changes) -> Row {
    let all = |of: &dyn Fn(&Sort) -> String| -> BTreeSet<String> {
        changes.there.keys().map(|(_, sort)| of(sort)).collect()
    };
    // What holds of all of them goes without saying.
    let said = |some: BTreeSet<String>, all: BTreeSet<String>| -> Vec<String> {
        if some == all { Vec::new() } else { some.into_iter().collect() }
    };
    let model = |model: String| if model.is_empty() { "any other or none".to_owned() } else { model };
    let callers: Vec<String> = match block.callers.len() == changes.callers.len() {
        true => Vec::new(),
        false => block.callers.iter().map(|caller| changes.callers[*caller].clone()).collect(),
    };
    let (from, ends) = (changes.stretches[block.stretches.0].0, changes.stretches[block.stretches.1].1);
    let (class_was, class_is): (BTreeSet<&str>, BTreeSet<&str>) = block.classes.iter().copied().unzip();
    Row {
        operations: block.ids().len(),
        surfaces: block.cover,
        grades: block.grades.iter().map(|grade| grade.as_str()).collect(),
        class_was: class_was.into_iter().collect(),
        class_is: class_is.into_iter().collect(),
        vendors: said(block.vendors, all(&|sort| sort.vendor.clone())),
        models: said(block.models, all(&|sort| sort.model.clone())).into_iter().map(model).collect(),
        callers,
        from: from.map(|at| at.to_string()),
        until: ends.map(|at| at.to_string()),
        was: block.was,
        is: block.is,
        terms_were: block.terms_were.into_iter().collect(),
        terms_are: block.terms_are.into_iter().collect(),
        pins: None,
        ends,
    }
}

impl Goes {
    /// The clouds, or why nowhere.
    fn text(&self) -> String {
        match self {
            Self::To(clouds) => clouds.join(", "),
            Self::Refused(reason) => format!("refused ({reason})"),
        }
    }

    /// The clouds in no order.
    pub(super) fn clouds(&self) -> BTreeSet<&str> {
        match self {
            Self::To(clouds) => clouds.iter().map(String::as_str).collect(),
            Self::Refused(_) => BTreeSet::new(),
        }
    }
}

impl Row {
    /// A paragraph.
    pub(super) fn text(&self) -> String {
        const PATTERNS_SHOWN: usize = 8;
        let mut parts = vec![match self.surfaces.len() {
            0..=PATTERNS_SHOWN => self.surfaces.join(" "),
            count => {
                format!("{} and {} more", self.surfaces[..PATTERNS_SHOWN].join(" "), count - PATTERNS_SHOWN)
            }
        }];
        parts.push(grades(&self.grades));
        if let ([was], [is]) = (&self.class_was[..], &self.class_is[..]) {
            parts.push(if was == is { (*is).to_owned() } else { format!("{was}, now {is}") });
        }
        for (what, values) in [("vendor", &self.vendors), ("model", &self.models), ("caller", &self.callers)]
        {
            let values = values.iter().filter(|value| !value.is_empty()).cloned().collect::<Vec<_>>();
            if !values.is_empty() {
                parts.push(format!("{what} {}", values.join(" or ")));
            }
        }
        let day = |at: &str| at.strip_suffix("T00:00:00Z").unwrap_or(at).to_owned();
        parts.push(match (&self.from, &self.until) {
            (None, None) => "always".to_owned(),
            (Some(from), None) => format!("from {}", day(from)),
            (None, Some(until)) => format!("until {}", day(until)),
            (Some(from), Some(until)) => format!("from {} until {}", day(from), day(until)),
        });
        let order = if self.was.clouds() == self.is.clouds() { ", in another order" } else { "" };
        let mut out = format!("{}: {} -> {}{order}\n", parts.join(", "), self.was.text(), self.is.text());
        let terms = |terms: &[String]| if terms.is_empty() { "no term".to_owned() } else { terms.join(", ") };
        if self.terms_were != self.terms_are {
            // A `String` takes whatever is written to it.
            let _ = writeln!(out, "    by {} -> {}", terms(&self.terms_were), terms(&self.terms_are));
        }
        if let Some(touched) = self.pins.as_ref().filter(|touched| touched.pins > 0) {
            let Touched { pins, sessions, clouds } = touched;
            let _ = writeln!(
                out,
                "    at most {pins} live pins of {sessions} sessions are in {}, which it leaves out",
                clouds.join(" and ")
            );
        }
        out
    }
}

/// `continues..runtime` where none between is missing.
fn grades(words: &[&str]) -> String {
    let numbers: Vec<usize> =
        words.iter().filter_map(|word| Grade::ALL.iter().position(|grade| grade.as_str() == *word)).collect();
    let whole = numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]);
    match (words, whole) {
        ([first, .., last], true) if words.len() > 2 => format!("{first}..{last}"),
        _ => words.join(" "),
    }
}
