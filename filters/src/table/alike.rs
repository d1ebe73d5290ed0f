//! What no term of a contract tells apart has one row of its table.

use super::{is_among, is_product, when_grade};
use riparian_config::{Config, Grade};
use std::collections::HashMap;

/// Things that no term tells apart, as one row of the table: there are hundreds of surfaces, and a contract speaks of a few sets
/// of them.
#[derive(Clone, Debug)]
pub(super) struct Alike {
    /// The row of each; the last one is for none.
    row: Vec<u16>,
    /// The first of each row.
    pub(super) first: Vec<usize>,
}

impl Alike {
    /// Sorts `count` things, and none, by what the terms say of each: `said` is told the number, or `count` for none.
    fn sort<S: Eq + std::hash::Hash>(count: usize, said: impl Fn(usize) -> S) -> Self {
        let mut rows: HashMap<S, u16> = HashMap::new();
        let (mut row, mut first) = (Vec::with_capacity(count + 1), Vec::new());
        for number in 0..=count {
            let new = u16::try_from(first.len())
                .expect("fewer rows than surfaces, of which there are some hundred");
            let at = *rows.entry(said(number)).or_insert(new);
            if at == new {
                first.push(number);
            }
            row.push(at);
        }
        Self { row, first }
    }

    /// How many things there are, none not counted.
    pub(super) fn named(&self) -> usize {
        self.row.len() - 1
    }

    pub(super) fn of(&self, number: Option<usize>) -> usize {
        usize::from(number.map_or(self.row[self.row.len() - 1], |number| self.row[number]))
    }
}

pub(super) fn vendors_alike(config: &Config) -> Alike {
    let vendors = &config.surfaces.vendors;
    Alike::sort(vendors.len(), |number| {
        let name = vendors.get(number).map(|vendor| &vendor.name);
        let named = config
            .contract
            .terms
            .iter()
            .map(|term| name.is_some_and(|name| term.when.vendors.contains(name)));
        named.collect::<Vec<bool>>()
    })
}

/// None is a row of its own: a refusal there has another name.
pub(super) fn surfaces_alike(config: &Config) -> Alike {
    let Config { surfaces, products, contract, .. } = config;
    let count = surfaces.surfaces.len();
    Alike::sort(count, |number| {
        let said = contract.terms.iter().flat_map(|term| {
            let when = &term.when;
            let among = is_among(surfaces, &when.surfaces, number);
            [among, when.products.iter().any(|name| is_product(products, surfaces, name, number))]
        });
        (number == count, said.collect::<Vec<bool>>())
    })
}

/// Grades are never none: the row of that is one that there is already.
pub(super) fn grades_alike(config: &Config) -> Alike {
    Alike::sort(Grade::ALL.len(), |number| {
        let grade = Grade::ALL.get(number).copied().unwrap_or(Grade::Pure);
        config.contract.terms.iter().map(|term| when_grade(&term.when, grade)).collect::<Vec<bool>>()
    })
}

/// Named tenants, and none.
pub(super) fn callers_alike(config: &Config) -> Alike {
    let named = &config.tenants.named;
    Alike::sort(named.len(), |number| {
        let caller = named.get(number);
        let said = config.contract.terms.iter().flat_map(|term| {
            let region = caller.and_then(|caller| caller.data_region.as_ref());
            [
                caller.is_some_and(|caller| term.when.tenants.contains(&caller.name)),
                region.is_some_and(|region| term.when.data_regions.contains(region)),
            ]
        });
        said.collect::<Vec<bool>>()
    })
}
