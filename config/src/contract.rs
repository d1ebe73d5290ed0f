//! The contract: readings, and terms with dates. Data, never code.

use crate::grade::{Class, Grade};
use crate::name::{CloudName, ProductName, ReadingName, TermId, VendorName};
use crate::pattern::Pattern;
use jiff::Timestamp;
use std::time::Duration;

/// What the parties agreed, and which party's reading of it is enforced.
#[derive(Clone, Debug)]
pub struct Contract {
    /// At least one; names are unique.
    pub readings: Vec<Reading>,
    /// The index in `readings` of the one that decides.
    pub enforced: usize,
    /// In the file's order; ids are unique.
    pub terms: Vec<Term>,
    /// How far this machine's clock may be off. Within it of a boundary only what the terms of both sides allow
    /// is allowed. Default 5 s: ten times what NTP keeps on a bad day.
    pub clock_skew: Duration,
}

impl Contract {
    /// The reading that decides.
    #[must_use]
    pub fn enforced(&self) -> &Reading {
        &self.readings[self.enforced]
    }
}

/// A party's interpretation: from which grade on is a request stateful?
#[derive(Clone, Debug)]
pub struct Reading {
    /// The name that `contract.enforce` uses.
    pub name: ReadingName,
    /// The lowest stateful grade; `None` (written `never`) when nothing is stateful.
    pub stateful_from: Option<Grade>,
}

impl Reading {
    /// What `grade` is under this reading. What cannot be read counts as stateful unless nothing does.
    #[must_use]
    pub fn class(&self, grade: Grade) -> Class {
        match self.stateful_from {
            Some(from) if grade >= from => Class::Stateful,
            _ => Class::Stateless,
        }
    }
}

/// One clause: in force from `from` (inclusive) until `until` (exclusive).
#[derive(Clone, Debug)]
pub struct Term {
    /// The name that explanations and refusals cite.
    pub id: TermId,
    /// The source: shown by `explain` and in refusals.
    pub cite: Option<String>,
    /// In force from the beginning of time when absent.
    pub from: Option<Timestamp>,
    /// In force for ever when absent.
    pub until: Option<Timestamp>,
    /// Which requests it speaks of.
    pub when: When,
    /// The only clouds that such a request may go to.
    pub only: Option<Vec<CloudName>>,
    /// Clouds that such a request may not go to.
    pub never: Vec<CloudName>,
    /// Clouds to try first, in this order; it allows and forbids nothing.
    pub prefer: Vec<CloudName>,
}

impl Term {
    /// Whether `at` lies in its half-open span.
    #[must_use]
    pub fn is_in_force(&self, at: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= at) && self.until.is_none_or(|until| at < until)
    }
}

/// Which requests a term speaks of. Every condition that is given must hold; within one, any of its values.
/// A request of grade `unknown` is met only by a term that names that grade.
#[derive(Clone, Debug, Default)]
pub struct When {
    /// Empty: any vendor.
    pub vendors: Vec<VendorName>,
    /// Absent: either class.
    pub class: Option<Class>,
    /// Empty: any grade but `unknown`.
    pub grades: Vec<Grade>,
    /// Surface ids; `openai.responses.*` takes all below. Empty: any surface.
    pub surfaces: Vec<Pattern>,
    /// Model names as the client says them; `gpt-5*` takes all that begin so. Empty: any model, or none.
    pub models: Vec<Pattern>,
    /// Products of `products`. Empty: any.
    pub products: Vec<ProductName>,
}

/// Which API is which product? The contract speaks of products.
#[derive(Clone, Debug)]
pub struct Product {
    /// The name that terms use.
    pub name: ProductName,
    /// The surfaces that make it up.
    pub surfaces: Vec<Pattern>,
}
