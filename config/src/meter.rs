//! What tokens cost, what was promised of that, and who has a share in it.

use crate::name::{CloudName, CommitmentName, PartyName, TermId, VendorName};
use crate::pattern::Pattern;
use jiff::Timestamp;
use std::fmt;
use std::path::PathBuf;

/// An amount in millionths: of a currency, of a token, or of one per cent. Exact; there are no floats in money.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millionths(pub u64);

impl Millionths {
    /// How many there are in one.
    pub const ONE: u64 = 1_000_000;
}

impl fmt::Display for Millionths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / Self::ONE, self.0 % Self::ONE);
        if rest == 0 {
            return write!(f, "{whole}");
        }
        let rest = format!("{rest:06}");
        write!(f, "{whole}.{}", rest.trim_end_matches('0'))
    }
}

/// Prices, commitments and shares; all may be absent, and then only tokens are counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meter {
    /// The file in which totals of money, commitments and shares outlive a restart. Without it they begin anew.
    pub path: Option<PathBuf>,
    /// In which all prices are. Default: USD, as vendors' lists are.
    pub currency: String,
    /// The first that fits a request prices it.
    pub prices: Vec<Price>,
    /// What is to be spent or used, and until when.
    pub commitments: Vec<Commitment>,
    /// Parties' per cents of terms' money.
    pub shares: Vec<Share>,
}

impl Meter {
    /// Whether it says nothing: then no money is counted, and nothing is kept.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.path.is_none() && self.prices.is_empty() && self.commitments.is_empty() && self.shares.is_empty()
    }
}

/// What a million tokens cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    /// Whose models; anybody's when absent.
    pub vendor: Option<VendorName>,
    /// Model names as clients say them. Empty: any model, or none.
    pub models: Vec<Pattern>,
    /// At which clouds. Empty: at any.
    pub clouds: Vec<CloudName>,
    /// Input that is neither read from a cache nor written to one.
    pub input: Millionths,
    /// Input that is read from a cache. Default: as other input.
    pub cached: Millionths,
    /// Input that is written to a cache. Default: as other input.
    pub cache_write: Millionths,
    /// Output, reasoning included.
    pub output: Millionths,
}

/// An amount that is to be drawn in a span of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commitment {
    /// Unique.
    pub name: CommitmentName,
    /// At which clouds. Empty: at any.
    pub clouds: Vec<CloudName>,
    /// Requests that one of these terms matched. Empty: any.
    pub terms: Vec<TermId>,
    /// How much, in what.
    pub amount: Amount,
    /// What was drawn before the meter began, in the same.
    pub drawn_before: Millionths,
    /// Its first moment.
    pub from: Timestamp,
    /// The first moment after it.
    pub until: Timestamp,
    /// Whether its clouds are tried first while less is drawn than by now was planned: among those that the contract names and likes
    /// equally well, and no others.
    pub steer: bool,
}

/// What is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// Of the currency.
    Money(Millionths),
    /// Input and output together.
    Tokens(Millionths),
}

impl Amount {
    /// How much, whatever it is.
    #[must_use]
    pub fn millionths(self) -> Millionths {
        match self {
            Self::Money(amount) | Self::Tokens(amount) => amount,
        }
    }
}

/// A party's per cent of a term's money.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// Whose.
    pub party: PartyName,
    /// Of what was spent on requests that this term matched.
    pub term: TermId,
    /// At most 100.
    pub per_cent: Millionths,
}
