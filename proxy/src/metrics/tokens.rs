//! What is counted of tokens: whole, and by the terms that matched.

use super::{CACHE_MAX, Metrics, Registry};
use foldhash::fast::FixedState;
use metrics::{Counter, Label};
use riparian_filters::meter::Usage;
use std::cell::RefCell;
use std::collections::HashMap;

/// The labels of tokens.
#[derive(Clone, Copy, Debug)]
pub struct TokenLabels<'a> {
    /// The cloud that answered.
    pub cloud: &'a str,
    /// A term that matched; without one it is the family of all tokens.
    pub term: Option<&'a str>,
    /// The class.
    pub class: &'static str,
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
}

impl Tokens {
    fn new(registry: &Registry<'_>, labels: &TokenLabels<'_>) -> Self {
        let name = match labels.term {
            Some(_) => "riparian_term_tokens_total",
            None => "riparian_tokens_total",
        };
        let counter = |direction: &'static str| {
            let mut all = vec![
                Label::new("cloud", labels.cloud.to_owned()),
                Label::new("class", labels.class),
                Label::new("tenant", labels.tenant.to_owned()),
                Label::new("direction", direction),
            ];
            all.extend(labels.term.map(|term| Label::new("term", term.to_owned())));
            registry.counter(name, all)
        };
        Self {
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
    /// Counts tokens. `code` stands for the labels in this thread's cache: equal codes must mean equal labels.
    pub fn tokens(&self, code: u64, labels: &TokenLabels<'_>, usage: &Usage) {
        TOKENS.with_borrow_mut(|cache| {
            if cache.len() > CACHE_MAX {
                cache.clear();
            }
            let new = || Tokens::new(&Registry(&self.recorder), labels);
            cache.entry((self.number, code)).or_insert_with(new).add(usage);
        });
    }
}
