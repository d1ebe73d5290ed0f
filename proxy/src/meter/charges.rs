//! What a request adds to commitments and shares: the configuration's part of the meter, compiled.

use super::{Account, Book};
use crate::metrics::Metrics;
use metrics::Gauge;
use riparian_config::{Amount, Commitment, Config, Millionths, Timestamp};
use riparian_filters::meter::{Drawdown, Usage, share};
use riparian_filters::table::CloudSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Commitments and shares with their accounts.
#[derive(Debug)]
pub(crate) struct Charges {
    commitments: Vec<Drawn>,
    shares: Vec<Owed>,
    /// The clouds that a commitment steers to, as a set.
    favoured: AtomicU64,
}

struct Drawn {
    commitment: Commitment,
    /// Its clouds as a set, and its terms by number; all of them where it names none.
    clouds: u64,
    terms: Option<Vec<u16>>,
    account: Arc<Account>,
    /// Amount, drawn, plan, forecast.
    gauges: [Gauge; 4],
}

impl std::fmt::Debug for Drawn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.commitment.fmt(f)
    }
}

#[derive(Debug)]
struct Owed {
    term: u16,
    per_cent: Millionths,
    account: Arc<Account>,
}

/// What a request was, as far as its cost goes.
pub(crate) struct Charge<'c> {
    /// The index of its cloud.
    pub(crate) cloud: usize,
    /// The terms that matched, by number.
    pub(crate) terms: &'c [u16],
    pub(crate) usage: &'c Usage,
    /// In picos; `None` where no price fits.
    pub(crate) cost: Option<u128>,
}

impl Charges {
    /// Compiles a configuration's commitments and shares; the accounts of those that were there before go on.
    pub(crate) fn compile(config: &Config, metrics: &Metrics) -> Self {
        let book: &Book = &metrics.book;
        let terms = &config.contract.terms;
        let number = |id: &riparian_config::TermId| {
            let at =
                terms.iter().position(|term| term.id == *id).expect("a meter names terms that there are");
            u16::try_from(at).expect("a contract has fewer terms")
        };
        let currency = config.meter.currency.as_str();
        let commitments = config.meter.commitments.iter().map(|commitment| {
            let named = config.clouds.iter().enumerate();
            let named = named.filter(|(_, cloud)| commitment.clouds.contains(&cloud.name));
            let clouds = named.fold(0, |set, (at, _)| set | 1_u64 << at);
            let unit = match commitment.amount {
                Amount::Money(_) => currency,
                Amount::Tokens(_) => "tokens",
            };
            Drawn {
                clouds: if commitment.clouds.is_empty() { u64::MAX } else { clouds },
                terms: (!commitment.terms.is_empty()).then(|| commitment.terms.iter().map(number).collect()),
                // Another span or unit is another drawdown.
                account: book
                    .account(&format!("commitment|{}|{unit}|{}", commitment.name, commitment.from), None),
                gauges: metrics.commitment(commitment.name.as_str(), unit),
                commitment: commitment.clone(),
            }
        });
        let shares = config.meter.shares.iter().map(|share| {
            let (party, term) = (share.party.as_str(), share.term.as_str());
            let show = || metrics.share(party, term, currency);
            let account = book.account(&format!("share|{party}|{term}|{currency}"), Some(&show));
            Owed { term: number(&share.term), per_cent: share.per_cent, account }
        });
        Self { commitments: commitments.collect(), shares: shares.collect(), favoured: AtomicU64::new(0) }
    }

    /// Adds a request to all that it concerns.
    pub(crate) fn add(&self, charge: &Charge<'_>) {
        if !self.commitments.is_empty() {
            self.draw(charge, Timestamp::now());
        }
        let Some(cost) = charge.cost else { return };
        for owed in self.shares.iter().filter(|owed| charge.terms.contains(&owed.term)) {
            owed.account.add(share(owed.per_cent, cost));
        }
    }

    fn draw(&self, charge: &Charge<'_>, now: Timestamp) {
        for drawn in &self.commitments {
            let Commitment { from, until, amount, .. } = &drawn.commitment;
            let concerned = drawn.clouds >> charge.cloud & 1 == 1
                && drawn.terms.as_ref().is_none_or(|own| charge.terms.iter().any(|term| own.contains(term)))
                && *from <= now
                && now < *until;
            match amount {
                _ if !concerned => {}
                Amount::Money(_) => drawn.account.add(charge.cost.unwrap_or(0)),
                Amount::Tokens(_) => drawn.account.add(u128::from(charge.usage.total()) * TOKEN_PICOS),
            }
        }
    }

    /// Sets the gauges.
    pub(super) fn show(&self, now: Timestamp) {
        for drawn in &self.commitments {
            let stands = drawn.stands(now);
            let amount = drawn.commitment.amount.millionths();
            let values = [amount, stands.drawn, stands.plan, stands.forecast];
            for (gauge, value) in drawn.gauges.iter().zip(values) {
                gauge.set(whole(value));
            }
        }
    }

    /// Has the gauges say nothing: a commitment that is no longer there has no value, and its last one would look like one.
    pub(super) fn hide(&self) {
        self.commitments.iter().flat_map(|drawn| &drawn.gauges).for_each(|gauge| gauge.set(f64::NAN));
    }

    /// Finds the clouds whose commitments are behind their plan.
    pub(super) fn steer(&self, now: Timestamp) {
        let behind = self.commitments.iter().filter(|drawn| {
            let Commitment { steer, from, until, clouds, .. } = &drawn.commitment;
            *steer && !clouds.is_empty() && *from <= now && now < *until && drawn.stands(now).is_behind()
        });
        self.favoured.store(behind.fold(0, |set, drawn| set | drawn.clouds), Ordering::Relaxed);
    }

    /// The clouds to try first among those that the contract names and likes equally well.
    pub(crate) fn favoured(&self) -> CloudSet {
        CloudSet::of_bits(self.favoured.load(Ordering::Relaxed))
    }
}

/// Picos in a token.
const TOKEN_PICOS: u128 = 1_000_000_000_000;

impl Drawn {
    fn stands(&self, now: Timestamp) -> Drawdown {
        Drawdown::at(&self.commitment, Millionths(self.account.millionths()), self.account.since(), now)
    }
}

/// A gauge is a float; what is kept is not.
#[allow(clippy::cast_precision_loss, reason = "15 digits are enough for a dashboard; the account is exact")]
fn whole(amount: Millionths) -> f64 {
    amount.0 as f64 / Millionths::ONE as f64
}
