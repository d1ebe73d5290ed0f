//! What is counted of tokens: whole, and by the terms that matched.

use super::{CACHE_MAX, Metrics, Registry};
use crate::meter::Account;
use foldhash::fast::FixedState;
use metrics::{Counter, Gauge, Label};
use riparian_filters::meter::Usage;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

/// The labels of tokens.
#[derive(Clone, Copy, Debug)]
pub struct TokenLabels<'a> {
    /// The cloud that answered.
    pub cloud: &'a str,
    /// A term that matched; without one it is the family of all tokens.
    pub term: Option<&'a str>,
    /// The class.
    pub class: &'a str,
    /// The named tenant, or `other`.
    pub tenant: &'a str,
}

/// A counter for each direction. `cached`, `cache_write` and `reasoning` are parts of `input` and `output`, and not to be added to them.
struct Tokens {
    input: Counter,
    cached: Counter,
    cache_write: Counter,
    output: Counter,
    reasoning: Counter,
    /// As soon as there is a price.
    money: Option<Arc<Account>>,
}

impl TokenLabels<'_> {
    fn all(&self) -> Vec<Label> {
        let mut all = vec![
            Label::new("cloud", self.cloud.to_owned()),
            Label::new("class", self.class.to_owned()),
            Label::new("tenant", self.tenant.to_owned()),
        ];
        all.extend(self.term.map(|term| Label::new("term", term.to_owned())));
        all
    }

    /// The account of their money: by name and labels, so that it is found again after a restart.
    fn account(&self, metrics: &Metrics, currency: &str) -> Arc<Account> {
        let name = match self.term {
            Some(_) => "riparian_term_money_micros_total",
            None => "riparian_money_micros_total",
        };
        let Self { cloud, term, class, tenant } = self;
        let show = || {
            let mut all = self.all();
            all.push(Label::new("currency", currency.to_owned()));
            Registry(&metrics.recorder).counter(name, all)
        };
        let of = term.unwrap_or("");
        metrics.book.account(&format!("money|{cloud}|{of}|{class}|{tenant}|{currency}"), Some(&show))
    }
}

impl Tokens {
    fn new(registry: &Registry<'_>, labels: &TokenLabels<'_>) -> Self {
        let name = match labels.term {
            Some(_) => "riparian_term_tokens_total",
            None => "riparian_tokens_total",
        };
        let counter = |direction: &'static str| {
            let mut all = labels.all();
            all.push(Label::new("direction", direction));
            registry.counter(name, all)
        };
        Self {
            money: None,
            input: counter("input"),
            cached: counter("cached"),
            cache_write: counter("cache_write"),
            output: counter("output"),
            reasoning: counter("reasoning"),
        }
    }

    fn add(&self, usage: &Usage) {
        self.input.increment(usage.input);
        self.output.increment(usage.output);
        for (counter, count) in [
            (&self.cached, usage.cached),
            (&self.cache_write, usage.cache_write),
            (&self.reasoning, usage.reasoning),
        ] {
            if count > 0 {
                counter.increment(count);
            }
        }
    }
}

thread_local! {
    /// As the handles of settled requests: by the registry's number and a code for the labels.
    static TOKENS: RefCell<HashMap<(u64, u64), Tokens, FixedState>> = RefCell::new(HashMap::default());
}

impl Metrics {
    /// Counts tokens, and what they cost in picos, if that is known. `code` stands for the labels in this thread's cache: equal codes
    /// must mean equal labels.
    pub fn tokens(&self, code: u64, labels: &TokenLabels<'_>, usage: &Usage, cost: Option<(u128, &str)>) {
        TOKENS.with_borrow_mut(|cache| {
            if cache.len() > CACHE_MAX {
                cache.clear();
            }
            let new = || Tokens::new(&Registry(&self.recorder), labels);
            let tokens = cache.entry((self.number, code)).or_insert_with(new);
            tokens.add(usage);
            if let Some((picos, currency)) = cost {
                tokens.money.get_or_insert_with(|| labels.account(self, currency)).add(picos);
            }
        });
    }

    /// Shows the money that an earlier run has counted, before anything is added to it.
    pub(crate) fn show_kept(&self) {
        for name in self.book.names() {
            let mut parts = name.split('|');
            let mut part = || parts.next().unwrap_or("");
            if part() != "money" {
                continue;
            }
            let (cloud, term, class, tenant, currency) = (part(), part(), part(), part(), part());
            let term = (!term.is_empty()).then_some(term);
            TokenLabels { cloud, term, class, tenant }.account(self, currency);
        }
    }

    /// What is shown of a commitment: amount, drawn, plan, forecast.
    pub fn commitment(&self, commitment: &str, unit: &str) -> [Gauge; 4] {
        [
            "riparian_commitment_amount",
            "riparian_commitment_drawn",
            "riparian_commitment_plan",
            "riparian_commitment_forecast",
        ]
        .map(|name| {
            let labels =
                vec![Label::new("commitment", commitment.to_owned()), Label::new("unit", unit.to_owned())];
            Registry(&self.recorder).gauge(name, labels)
        })
    }

    /// What is shown of a share.
    pub fn share(&self, party: &str, term: &str, currency: &str) -> Counter {
        let labels = vec![
            Label::new("party", party.to_owned()),
            Label::new("term", term.to_owned()),
            Label::new("currency", currency.to_owned()),
        ];
        Registry(&self.recorder).counter("riparian_share_money_micros_total", labels)
    }
}
