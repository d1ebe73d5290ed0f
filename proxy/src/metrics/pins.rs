//! What is counted of the pin store.

use super::Registry;
use crate::pins::StoreFault;
use metrics::{Counter, Gauge, Histogram, Label};
use std::sync::Arc;

/// What a store is asked. A closed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Where does it live?
    Recall,
    /// It lives there.
    Learn,
    /// It lives there, unless it lives elsewhere.
    Bind,
    /// It is gone.
    Forget,
    /// A batch of the journal.
    Write,
}

impl Operation {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::Recall, Self::Learn, Self::Bind, Self::Forget, Self::Write];

    /// The word for it in labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recall => "recall",
            Self::Learn => "learn",
            Self::Bind => "bind",
            Self::Forget => "forget",
            Self::Write => "write",
        }
    }
}

/// The pin store's handles.
#[derive(Clone, Debug)]
pub struct PinMetrics {
    /// Pins in the table; a Redis is not counted.
    pub held: Gauge,
    /// Pins that went before their time, because the table was full.
    pub evicted: Counter,
    /// 0 while the Redis is asked, 2 while it is left alone, 1 when one question is to try it.
    pub breaker: Gauge,
    /// Times that the journal was written anew, whole: its queue was full, or its disk had failed.
    pub rewrites: Counter,
    operations: Arc<[(Operation, &'static str, Counter)]>,
    seconds: Arc<[(Operation, Histogram)]>,
}

impl PinMetrics {
    pub(super) fn new(registry: &Registry<'_>) -> Self {
        let outcomes = || ["ok"].into_iter().chain(StoreFault::ALL.iter().map(StoreFault::outcome));
        let operation = |operation: Operation, outcome| {
            let labels = vec![Label::new("operation", operation.as_str()), Label::new("outcome", outcome)];
            (operation, outcome, registry.counter("riparian_pins_operations_total", labels))
        };
        let asked = Operation::ALL.into_iter().filter(|asked| *asked != Operation::Write);
        let written = ["ok", "failed"].map(|outcome| operation(Operation::Write, outcome));
        Self {
            held: registry.gauge("riparian_pins", vec![]),
            evicted: registry.counter("riparian_pins_evicted_total", vec![]),
            breaker: registry.gauge("riparian_pins_breaker", vec![]),
            rewrites: registry.counter("riparian_pins_journal_rewrites_total", vec![]),
            operations: asked
                .flat_map(|asked| outcomes().map(move |outcome| (asked, outcome)))
                .map(|(asked, outcome)| operation(asked, outcome))
                .chain(written)
                .collect(),
            seconds: Operation::ALL
                .map(|asked| {
                    let labels = vec![Label::new("operation", asked.as_str())];
                    (asked, registry.histogram("riparian_pins_seconds", labels))
                })
                .into(),
        }
    }

    /// Handles that count nothing.
    #[must_use]
    pub fn noop() -> Self {
        Self {
            held: Gauge::noop(),
            evicted: Counter::noop(),
            breaker: Gauge::noop(),
            rewrites: Counter::noop(),
            operations: Arc::new([]),
            seconds: Arc::new([]),
        }
    }

    /// Counts an operation by its outcome.
    pub fn count(&self, operation: Operation, outcome: &'static str) {
        let counted = self.operations.iter().find(|(known, word, _)| *known == operation && *word == outcome);
        if let Some((_, _, counter)) = counted {
            counter.increment(1);
        }
    }

    /// Records how long an operation took, where that is not the time of a lookup in memory.
    pub fn took(&self, operation: Operation, seconds: f64) {
        if let Some((_, histogram)) = self.seconds.iter().find(|(known, _)| *known == operation) {
            histogram.record(seconds);
        }
    }
}
