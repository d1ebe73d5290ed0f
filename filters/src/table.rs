//! The contract, compiled: time cut into spans, and for each span a dense table of cells.
//!
//! A cell says what every request of one kind may do in one span: which clouds, in which order, by which terms, or why not.
//! The kind is vendor x surface x grade x class x caller x model group. Readings are not in it: each makes a class of a request,
//! and there are two classes, so that what every reading says stands in one of two cells. The hot path indexes; whatever wants to
//! know what the configuration can do enumerates the same table.
//!
//! | terms that match | the cell |
//! |---|---|
//! | none | refused: `no_term`, or `unrecognised` when there is no surface |
//! | some | the intersection of their `only` sets, less every `never` |
//! | ... whose `only` sets share nothing | refused: `terms_conflict` |
//! | ... whose `never` takes the rest | refused: `forbidden` |
//!
//! A request of grade `unknown` is met only by terms that name that grade. Around each boundary lies a span twice
//! `clock_skew` long in which only what both sides allow is allowed.

mod alike;
mod clouds;

pub use clouds::CloudSet;

use crate::decision::Reason;
use crate::patterns::PatternMap;
use alike::{Alike, callers_alike, grades_alike, surfaces_alike, vendors_alike};
use riparian_config::{
    Class, Cloud, CloudName, Config, Contract, Grade, Pattern, Product, Surfaces, Term, Timestamp, When,
};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// What every request of one kind may do in one span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Where it may go; empty when refused.
    pub clouds: CloudSet,
    /// Clouds to try first, in this order; those of `clouds` that are not named here come after.
    pub prefer: Vec<usize>,
    /// Indexes of the terms that matched, in the contract's order.
    pub terms: Vec<u16>,
    /// Why it may go nowhere.
    pub refusal: Option<Reason>,
}

/// What the table is indexed by.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// The vendor's index, if any.
    pub vendor: Option<usize>,
    /// The surface's number; `None` when unrecognised.
    pub surface: Option<usize>,
    /// How much state.
    pub grade: Grade,
    /// What a reading makes of it.
    pub class: Class,
    /// The number of the named tenant that asks, if it is one.
    pub caller: Option<usize>,
    /// The model's group.
    pub group: ModelGroup,
}

/// Models that no term tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ModelGroup(usize);

/// The compiled contract.
#[derive(Clone, Debug)]
pub struct Table {
    spans: Vec<Span>,
    cells: Vec<Cell>,
    groups: PatternMap<usize>,
    rows: Rows,
    skew: Duration,
}

/// How a kind becomes an index.
#[derive(Clone, Debug)]
struct Rows {
    vendors: Alike,
    surfaces: Alike,
    grades: Alike,
    callers: Alike,
    groups: usize,
}

/// Both, in the order of the table.
pub(crate) const CLASSES: [Class; 2] = [Class::Stateless, Class::Stateful];

impl Rows {
    fn new(config: &Config, groups: usize) -> Self {
        Self {
            vendors: vendors_alike(config),
            surfaces: surfaces_alike(config),
            grades: grades_alike(config),
            callers: callers_alike(config),
            groups,
        }
    }

    /// Entries of one span.
    fn count(&self) -> u64 {
        let Self { vendors, surfaces, grades, callers, groups } = self;
        let each = [vendors, surfaces, grades, callers].map(|alike| alike.first.len() as u64);
        each.iter().product::<u64>() * CLASSES.len() as u64 * *groups as u64
    }

    #[inline]
    fn at(&self, kind: Kind) -> usize {
        let at = self.vendors.of(kind.vendor) * self.surfaces.first.len() + self.surfaces.of(kind.surface);
        let at = at * self.grades.first.len() + self.grades.of(Some(kind.grade as usize));
        let at = at * CLASSES.len() + kind.class as usize;
        let at = at * self.callers.first.len() + self.callers.of(kind.caller);
        at * self.groups + kind.group.0
    }
}

/// A stretch of time with one table.
#[derive(Clone, Debug)]
struct Span {
    /// Inclusive; the span ends where the next begins.
    from: Timestamp,
    epoch: u32,
    /// Indexes into `cells`.
    index: Arc<[u32]>,
    /// The same of each epoch that it could really be, the oldest first.
    sides: Box<[Arc<[u32]>]>,
}

/// A contract of a thousand boundaries without model patterns, or of a hundred of each, has some ten million.
pub const ENTRIES_MAX: u64 = 64 << 20;

const NO_MODEL: usize = 0;
const OTHER_MODEL: usize = 1;

impl Table {
    /// Compiles the contract of a checked configuration.
    #[must_use]
    pub fn compile(config: &Config) -> Self {
        let contract = &config.contract;
        let patterns = model_patterns(contract);
        let groups = PatternMap::new(
            patterns.iter().enumerate().map(|(at, pattern)| (*pattern, OTHER_MODEL + 1 + at)),
        );
        let rows = Rows::new(config, patterns.len() + OTHER_MODEL + 1);
        let mut builder = Builder {
            config,
            rows: &rows,
            patterns,
            interned: HashMap::new(),
            crossings: HashMap::new(),
            cells: Vec::new(),
        };
        let boundaries = boundaries(contract);
        let epochs: Vec<Arc<[u32]>> = std::iter::once(Timestamp::MIN)
            .chain(boundaries.iter().copied())
            .map(|from| builder.index(from).into())
            .collect();
        let epoch_at = |instant: Timestamp| boundaries.partition_point(|boundary| *boundary <= instant);
        // The two halves of a crossing differ in their epoch alone.
        let mut crossed: HashMap<(usize, usize), Arc<[u32]>> = HashMap::new();
        let spans = cuts(&boundaries, contract.clock_skew)
            .into_iter()
            .map(|from| {
                // This clock may be off by the skew either way: every epoch that it could really be has its say.
                let (first, last) = (
                    epoch_at(earlier(from, contract.clock_skew)),
                    epoch_at(later(from, contract.clock_skew)),
                );
                let index = crossed.entry((first, last)).or_insert_with(|| {
                    (first + 1..=last).fold(Arc::clone(&epochs[first]), |so_far, next| {
                        builder.crossing(&so_far, &epochs[next]).into()
                    })
                });
                let epoch = u32::try_from(epoch_at(from)).expect("two boundaries a term");
                Span { from, epoch, index: Arc::clone(index), sides: epochs[first..=last].into() }
            })
            .collect();
        let cells = builder.cells;
        Self { spans, groups, rows, cells, skew: contract.clock_skew }
    }

    /// How many entries a configuration's table would have at most. At four bytes each, [`ENTRIES_MAX`] of them are 256 MiB.
    #[must_use]
    pub fn entries(config: &Config) -> u64 {
        let contract = &config.contract;
        let indexes = 2 * boundaries(contract).len() + 1;
        indexes as u64 * Rows::new(config, model_patterns(contract).len() + OTHER_MODEL + 1).count()
    }

    /// The group of a model.
    #[must_use]
    pub fn group(&self, model: Option<&str>) -> ModelGroup {
        ModelGroup(match model {
            None => NO_MODEL,
            Some(model) => self.groups.lookup(model).unwrap_or(OTHER_MODEL),
        })
    }

    /// What requests of `kind` may do at `now`, and the epoch.
    #[must_use]
    pub fn at(&self, now: Timestamp, kind: Kind) -> (u32, &Cell) {
        let span = self.spans.partition_point(|span| span.from <= now).saturating_sub(1);
        let span = &self.spans[span];
        (span.epoch, &self.cells[span.index[self.rows.at(kind)] as usize])
    }

    /// What they may do in each epoch that it could really be, the oldest first: more than one within `clock_skew` of a boundary.
    pub fn sides(&self, now: Timestamp, kind: Kind) -> impl Iterator<Item = &Cell> {
        let span = self.span(now).saturating_sub(1);
        let at = self.rows.at(kind);
        self.spans[span].sides.iter().map(move |index| &self.cells[index[at] as usize])
    }

    /// The latest that it may really be when this clock says `now`.
    #[must_use]
    pub fn latest(&self, now: Timestamp) -> Timestamp {
        later(now, self.skew)
    }

    /// When the terms in force change next after `now`.
    #[must_use]
    pub fn next_boundary(&self, now: Timestamp) -> Option<Timestamp> {
        let (_, epoch) = self.epoch_at(now)?;
        self.spans.iter().find(|span| span.epoch > epoch).map(|span| span.from)
    }

    /// When the terms in force at `now` came into force.
    #[must_use]
    pub fn boundary_before(&self, now: Timestamp) -> Option<Timestamp> {
        let (_, epoch) = self.epoch_at(now)?;
        self.spans.iter().find(|span| span.epoch == epoch).map(|span| span.from).filter(|_| epoch > 0)
    }

    /// Which epoch `now` is in, and the span.
    fn epoch_at(&self, now: Timestamp) -> Option<(usize, u32)> {
        let span = self.span(now).checked_sub(1)?;
        Some((span, self.spans[span].epoch))
    }

    /// The epoch at `now`.
    #[must_use]
    pub fn epoch(&self, now: Timestamp) -> u32 {
        self.epoch_at(now).map_or(0, |(_, epoch)| epoch)
    }

    /// Whether `now` is so near to a boundary that both its sides count.
    #[must_use]
    pub fn is_at_boundary(&self, now: Timestamp) -> bool {
        self.epoch(earlier(now, self.skew)) != self.epoch(later(now, self.skew))
    }

    /// Where each stretch of time with one table begins, the beginning of time first, and its epoch.
    pub fn spans(&self) -> impl Iterator<Item = (Timestamp, u32)> {
        self.spans.iter().map(|span| (span.from, span.epoch))
    }

    /// Which stretch of time with one table `now` is in: as long as this stays the same, so does what is allowed.
    #[must_use]
    pub fn span(&self, now: Timestamp) -> usize {
        self.spans.partition_point(|span| span.from <= now)
    }

    /// A named tenant of each sort that a term tells apart, and nobody.
    pub(crate) fn callers(&self) -> Vec<Option<usize>> {
        let named = self.rows.callers.named();
        self.rows.callers.first.iter().map(|number| (*number < named).then_some(*number)).collect()
    }

    /// How many epochs there are.
    #[must_use]
    pub fn epochs(&self) -> u32 {
        self.spans.last().map_or(1, |span| span.epoch + 1)
    }
}

/// Every model pattern of the terms, once; each is a group of models.
fn model_patterns(contract: &Contract) -> Vec<&Pattern> {
    let mut patterns: Vec<_> = contract.terms.iter().flat_map(|term| &term.when.models).collect();
    patterns.sort();
    patterns.dedup();
    patterns
}

fn boundaries(contract: &Contract) -> Vec<Timestamp> {
    let mut boundaries: Vec<_> =
        contract.terms.iter().flat_map(|term| [term.from, term.until]).flatten().collect();
    boundaries.sort_unstable();
    boundaries.dedup();
    boundaries
}

/// Where a span begins: the beginning of time, each boundary, and the skew before and after it.
fn cuts(boundaries: &[Timestamp], skew: Duration) -> Vec<Timestamp> {
    let around = boundaries.iter().flat_map(|at| [earlier(*at, skew), *at, later(*at, skew)]);
    let mut cuts: Vec<_> = std::iter::once(Timestamp::MIN).chain(around).collect();
    cuts.sort_unstable();
    cuts.dedup();
    cuts
}

fn earlier(instant: Timestamp, by: Duration) -> Timestamp {
    instant.checked_sub(by).unwrap_or(Timestamp::MIN)
}

fn later(instant: Timestamp, by: Duration) -> Timestamp {
    instant.checked_add(by).unwrap_or(Timestamp::MAX)
}

struct Builder<'c> {
    config: &'c Config,
    rows: &'c Rows,
    patterns: Vec<&'c Pattern>,
    /// Cells by the terms that matched, and whether there was a surface.
    interned: HashMap<(Vec<u16>, bool), u32>,
    crossings: HashMap<(u32, u32), u32>,
    cells: Vec<Cell>,
}

impl<'c> Builder<'c> {
    /// Every kind's cell in the epoch that begins at `from`.
    fn index(&mut self, from: Timestamp) -> Vec<u32> {
        let config = self.config;
        let in_force: Vec<(u16, &Term)> =
            (0u16..).zip(&config.contract.terms).filter(|(_, term)| term.is_in_force(from)).collect();
        let Rows { vendors, surfaces, grades, callers, groups } = self.rows;
        let count = config.surfaces.surfaces.len();
        let mut index = Vec::new();
        for &vendor in &vendors.first {
            for &surface in &surfaces.first {
                for &grade in &grades.first {
                    for class in CLASSES {
                        for &caller in &callers.first {
                            let said = Said { vendor, surface, grade: Grade::ALL[grade], class, caller };
                            let matching: Vec<(u16, &Term)> = in_force
                                .iter()
                                .filter(|(_, term)| speaks_of(config, &term.when, said))
                                .copied()
                                .collect();
                            for group in 0..*groups {
                                let terms = matching
                                    .iter()
                                    .filter(|(_, term)| self.meets_group(&term.when.models, group))
                                    .map(|(number, _)| *number)
                                    .collect();
                                index.push(self.cell(terms, surface < count));
                            }
                        }
                    }
                }
            }
        }
        index
    }

    fn meets_group(&self, models: &[Pattern], group: usize) -> bool {
        let representative = group.checked_sub(OTHER_MODEL + 1).map(|at| self.patterns[at]);
        models.is_empty()
            || models.iter().any(|pattern| match (pattern, representative) {
                (pattern, Some(Pattern::Exact(name))) => pattern.matches(name),
                // Names of this group begin with `prefix` and are no exact pattern of any term.
                (Pattern::Prefix(_), Some(Pattern::Prefix(prefix))) => pattern.matches(prefix),
                (Pattern::Prefix(all), None) => all.is_empty() && group != NO_MODEL,
                (Pattern::Exact(_), _) => false,
            })
    }

    fn cell(&mut self, terms: Vec<u16>, has_surface: bool) -> u32 {
        let config = self.config;
        if let Some(known) = self.interned.get(&(terms.clone(), has_surface)) {
            return *known;
        }
        let cell = resolve(&config.clouds, &config.contract, &terms, has_surface);
        let number = self.push(cell);
        self.interned.insert((terms, has_surface), number);
        number
    }

    fn push(&mut self, cell: Cell) -> u32 {
        self.cells.push(cell);
        u32::try_from(self.cells.len() - 1).expect("fewer cells than kinds, and kinds fit in memory")
    }

    /// The cells in which only what both sides of a boundary allow is allowed.
    fn crossing(&mut self, before: &[u32], after: &[u32]) -> Vec<u32> {
        before.iter().zip(after).map(|(a, b)| self.cross(*a, *b)).collect()
    }

    fn cross(&mut self, a: u32, b: u32) -> u32 {
        if a == b {
            return a;
        }
        if let Some(known) = self.crossings.get(&(a, b)) {
            return *known;
        }
        let (before, after) = (&self.cells[a as usize], &self.cells[b as usize]);
        let mut terms = [before.terms.clone(), after.terms.clone()].concat();
        terms.sort_unstable();
        terms.dedup();
        let clouds = before.clouds.and(after.clouds);
        // With three epochs in reach, `before` may be a crossing itself. What passes gives way to what a side refuses: after
        // a `Retry-After` the client would only be refused for good.
        let refused = |cell: &Cell| cell.refusal.filter(|reason| *reason != Reason::EpochBoundary);
        let nothing_in_common = clouds.is_empty().then_some(Reason::EpochBoundary);
        let refusal = refused(before).or(refused(after)).or(nothing_in_common);
        let cell = Cell { clouds, prefer: after.prefer.clone(), terms, refusal };
        let number = self.push(cell);
        self.crossings.insert((a, b), number);
        number
    }
}

fn resolve(clouds: &[Cloud], contract: &Contract, terms: &[u16], has_surface: bool) -> Cell {
    let matched = || terms.iter().map(|number| &contract.terms[usize::from(*number)]);
    let number_of = |name: &CloudName| {
        clouds.iter().position(|cloud| cloud.name == *name).expect("clouds of terms are checked")
    };
    let only = matched()
        .filter_map(|term| term.only.as_ref())
        .fold(CloudSet::first(clouds.len()), |set, only| set.and(only.iter().map(number_of).collect()));
    let never: CloudSet = matched().flat_map(|term| &term.never).map(number_of).collect();
    let mut prefer: Vec<usize> = Vec::new();
    for cloud in matched().flat_map(|term| &term.prefer).map(number_of) {
        if !prefer.contains(&cloud) {
            prefer.push(cloud);
        }
    }
    let left = only.without(never);
    let refusal = match terms {
        [] if has_surface => Some(Reason::NoTerm),
        [] => Some(Reason::Unrecognised),
        _ if only.is_empty() => Some(Reason::TermsConflict),
        _ if left.is_empty() => Some(Reason::Forbidden),
        _ => None,
    };
    let clouds = if refusal.is_some() { CloudSet::NONE } else { left };
    Cell { clouds, prefer, terms: terms.to_vec(), refusal }
}

/// What a term may speak of, but for the model; a number one past the end means none.
#[derive(Clone, Copy)]
pub(crate) struct Said {
    pub(crate) vendor: usize,
    pub(crate) surface: usize,
    pub(crate) grade: Grade,
    pub(crate) class: Class,
    pub(crate) caller: usize,
}

/// Whether these conditions hold, but for the model's.
pub(crate) fn speaks_of(config: &Config, when: &When, said: Said) -> bool {
    let Config { surfaces, products, tenants, .. } = config;
    let Said { vendor, surface, grade, class, caller } = said;
    let vendor = surfaces.vendors.get(vendor).map(|vendor| &vendor.name);
    let caller = tenants.named.get(caller);
    when_grade(when, grade)
        && (when.vendors.is_empty() || vendor.is_some_and(|vendor| when.vendors.contains(vendor)))
        && when.class.is_none_or(|due| due == class)
        && (when.surfaces.is_empty() || is_among(surfaces, &when.surfaces, surface))
        && (when.products.is_empty()
            || when.products.iter().any(|name| is_product(products, surfaces, name, surface)))
        && (when.tenants.is_empty() || caller.is_some_and(|caller| when.tenants.contains(&caller.name)))
        && (when.data_regions.is_empty()
            || caller
                .and_then(|caller| caller.data_region.as_ref())
                .is_some_and(|region| when.data_regions.contains(region)))
}

fn when_grade(when: &When, grade: Grade) -> bool {
    match grade {
        Grade::Unknown => when.grades.contains(&grade),
        _ => when.grades.is_empty() || when.grades.contains(&grade),
    }
}

fn is_among(surfaces: &Surfaces, patterns: &[Pattern], surface: usize) -> bool {
    surfaces
        .surfaces
        .get(surface)
        .is_some_and(|surface| patterns.iter().any(|pattern| pattern.matches(surface.id.as_str())))
}

fn is_product(
    products: &[Product],
    surfaces: &Surfaces,
    name: &riparian_config::ProductName,
    surface: usize,
) -> bool {
    products.iter().any(|product| product.name == *name && is_among(surfaces, &product.surfaces, surface))
}

#[cfg(test)]
mod tests;
