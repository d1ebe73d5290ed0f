//! The contract: readings, and terms with dates. Data, never code.

use crate::grade::{Class, Grade};
use crate::name::{CloudName, DataRegion, ProductName, ReadingName, TenantName, TermId, VendorName};
use crate::pattern::Pattern;
use crate::surface::Source;
use jiff::Timestamp;
use std::fmt;
use std::time::Duration;

/// How many readings a contract may have: what each makes of a request is one bit.
pub const READINGS_MAX: usize = 16;

/// What the parties agreed, and which party's reading of it is enforced.
#[derive(Clone, Debug)]
pub struct Contract {
    /// At least one, at most [`READINGS_MAX`]; names are unique.
    pub readings: Vec<Reading>,
    /// The index in `readings` of the one that decides.
    pub enforced: usize,
    /// What happens to a request on which the readings disagree. Default conservative: nothing leaves under it that any
    /// party could call a breach.
    pub band: Band,
    /// In the file's order, those of included files first; ids are unique.
    pub terms: Vec<Term>,
    /// Whether `otherwise` is written. Where it is not, `prove` takes what no term speaks of for an oversight.
    pub otherwise: bool,
    /// What the operator claims of it; `prove` holds it to that.
    pub claims: Vec<Claim>,
    /// Who agreed to it.
    pub parties: Vec<String>,
    /// Who approved of these words, and when.
    pub approved_by: Option<String>,
    /// How far this machine's clock may be off. Within it of a boundary only what the terms of both sides allow
    /// is allowed. Default 5 s: ten times what NTP keeps on a bad day.
    pub clock_skew: Duration,
    /// How long before the last term in force ends a warning is due. Default 14 days: time to ask counsel and to roll out.
    pub warn_before: Duration,
}

impl Contract {
    /// The reading that decides.
    #[must_use]
    pub fn enforced(&self) -> &Reading {
        &self.readings[self.enforced]
    }
}

/// What happens where readings disagree about where a request may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Band {
    /// It may go only where every reading allows it.
    Conservative,
    /// The enforced reading decides alone.
    Enforced,
    /// It is refused.
    Refuse,
}

impl Band {
    /// The word for it in configuration and explanations.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Conservative => "conservative",
            Self::Enforced => "enforced",
            Self::Refuse => "refuse",
        }
    }
}

/// How a reading judges a call that was made in the course of a session, and arrives with its identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InnerCalls {
    /// By itself.
    Own,
    /// As part of that session: stateful where the session is.
    Inherit,
}

/// A party's interpretation: from which grade on is a request stateful?
#[derive(Clone, Debug)]
pub struct Reading {
    /// The name that `contract.enforce` uses.
    pub name: ReadingName,
    /// The lowest stateful grade; `None` (written `never`) when nothing is stateful.
    pub stateful_from: Option<Grade>,
    /// How calls inside a session are judged. Default own: a call is what it is.
    pub inner_calls: InnerCalls,
    /// What a line cannot say: surfaces that are of a class whatever their grade. The first that matches counts.
    pub surfaces: Vec<(Pattern, Class)>,
    /// The same of signals: those that make a request stateful, and those that do not count.
    pub signals: Vec<(Source, Class)>,
}

impl Reading {
    /// What `grade` is under this reading, where nothing more is known. What cannot be read counts as stateful unless nothing does.
    #[must_use]
    pub fn class(&self, grade: Grade) -> Class {
        match self.stateful_from {
            Some(from) if grade >= from => Class::Stateful,
            _ => Class::Stateless,
        }
    }

    /// What it says of a surface whatever the grade, if anything.
    #[must_use]
    pub fn of_surface(&self, surface: &str) -> Option<Class> {
        self.surfaces.iter().find(|(pattern, _)| pattern.matches(surface)).map(|(_, class)| *class)
    }
}

/// One clause: in force from `from` (inclusive) until `until` (exclusive).
#[derive(Clone, Debug)]
pub struct Term {
    /// The name that explanations and refusals cite.
    pub id: TermId,
    /// The source: shown by `explain` and in refusals.
    pub cite: Option<String>,
    /// Who agreed to it, where that is not everybody.
    pub parties: Vec<String>,
    /// Who approved of these words.
    pub approved_by: Option<String>,
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
    /// What becomes of sessions that live by it when it ends.
    pub on_expiry: OnExpiry,
}

impl Term {
    /// Whether `at` lies in its half-open span.
    #[must_use]
    pub fn is_in_force(&self, at: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= at) && self.until.is_none_or(|until| at < until)
    }
}

/// What becomes of a live session when the term ends by which it went where it lives. The later ones are the stricter ones. Default
/// cut: what the contract in force does not allow is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OnExpiry {
    /// It goes on where it lives, until its own end.
    Grandfather,
    /// It goes on until it rests for longer than `sessions.idle`.
    Drain,
    /// It is refused at once, and its sockets are closed.
    Cut,
}

impl OnExpiry {
    /// The word for it in configuration, the log and explanations.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Grandfather => "grandfather",
            Self::Drain => "drain",
            Self::Cut => "cut",
        }
    }
}

impl fmt::Display for OnExpiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
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
    /// Callers of `tenants`. Empty: anybody.
    pub tenants: Vec<TenantName>,
    /// Where its caller's data must stay (`tenants`). Empty: anywhere.
    pub data_regions: Vec<DataRegion>,
}

/// Something that must hold of the contract whatever happens.
#[derive(Clone, Debug)]
pub struct Claim {
    /// In the operator's words.
    pub claim: String,
    /// Of which requests.
    pub given: When,
    /// From then on; the beginning of time when absent.
    pub from: Option<Timestamp>,
    /// Until just before then; the end of time when absent.
    pub until: Option<Timestamp>,
    /// Under which reading; the one that is enforced, with its band, when absent.
    pub reading: Option<usize>,
    /// What holds.
    pub then: Then,
}

/// What a claim says of every request that it speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Then {
    /// It goes to one of these or nowhere.
    Only(Vec<CloudName>),
    /// It goes to none of these.
    Never(Vec<CloudName>),
    /// It goes nowhere.
    Refused,
    /// It goes somewhere, while all endpoints are up.
    Allowed,
}

/// Which API is which product? The contract speaks of products.
#[derive(Clone, Debug)]
pub struct Product {
    /// The name that terms use.
    pub name: ProductName,
    /// The surfaces that make it up.
    pub surfaces: Vec<Pattern>,
}
