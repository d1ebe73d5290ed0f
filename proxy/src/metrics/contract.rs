//! What is counted of the contract: its dates, what its readings disagree about, and sessions that go on although their terms have ended.

use super::{Metrics, Registry};
use metrics::{Counter, Gauge, Label};

/// The handles of the contract.
#[derive(Clone, Debug)]
pub struct ContractMetrics {
    /// The epoch.
    pub epoch: Gauge,
    /// When the terms change next, in Unix time; 0 when they do not.
    pub next_boundary: Gauge,
    /// When the last term in force ends, in Unix time, once that is near; else 0.
    pub run_out: Gauge,
    /// Requests about which the readings disagree.
    pub band: Counter,
    /// Requests of sessions that were let go on.
    pub leases: Counter,
}

impl ContractMetrics {
    pub(super) fn new(registry: &Registry<'_>) -> Self {
        Self {
            epoch: registry.gauge("riparian_epoch", vec![]),
            next_boundary: registry.gauge("riparian_next_boundary_timestamp_seconds", vec![]),
            run_out: registry.gauge("riparian_terms_end_timestamp_seconds", vec![]),
            band: registry.counter("riparian_band_requests_total", vec![]),
            leases: registry.counter("riparian_leased_requests_total", vec![]),
        }
    }
}

/// Under which reading a request would have come out otherwise, by which of its terms, and how.
#[derive(Clone, Copy, Debug)]
pub struct Divergence<'a> {
    /// The reading.
    pub reading: &'a str,
    /// A term that matches under it, or `none`.
    pub term: &'a str,
    /// `elsewhere`, `refused` or `allowed`.
    pub outcome: &'static str,
}

/// How much came out otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Diverged {
    /// Tokens of the request and its answer, as far as they are known.
    pub tokens: u64,
    /// Whether it is the first of its session under this reading.
    pub session: bool,
}

impl Metrics {
    /// Counts a request that would have come out otherwise. Few do, so their labels are looked up each time.
    pub fn diverged(&self, divergence: Divergence<'_>, diverged: Diverged) {
        let labels = || {
            vec![
                Label::new("reading", divergence.reading.to_owned()),
                Label::new("term", divergence.term.to_owned()),
                Label::new("outcome", divergence.outcome),
            ]
        };
        let registry = Registry(&self.recorder);
        registry.counter("riparian_divergent_requests_total", labels()).increment(1);
        if diverged.tokens > 0 {
            registry.counter("riparian_divergent_tokens_total", labels()).increment(diverged.tokens);
        }
        if diverged.session {
            registry.counter("riparian_divergent_sessions_total", labels()).increment(1);
        }
    }
}

/// Name and meaning of each counter.
pub(super) const COUNTERS: [(&str, &str); 5] = [
    ("riparian_band_requests_total", "Requests about which the readings disagree."),
    (
        "riparian_leased_requests_total",
        "Requests of sessions that go on although the terms that let them begin have ended.",
    ),
    (
        "riparian_divergent_requests_total",
        "Requests that would have come out otherwise under another reading, by it, by each of its terms, and how: elsewhere, refused, allowed.",
    ),
    ("riparian_divergent_tokens_total", "Tokens of those requests and their answers."),
    ("riparian_divergent_sessions_total", "Sessions with such a request."),
];

/// Name and meaning of each gauge.
pub(super) const GAUGES: [(&str, &str); 3] = [
    ("riparian_epoch", "The epoch: how many of the contract's boundaries have passed."),
    (
        "riparian_next_boundary_timestamp_seconds",
        "When the contract's terms change next, in Unix time; 0 when they do not.",
    ),
    (
        "riparian_terms_end_timestamp_seconds",
        "When the last term in force ends, in Unix time, from `contract.warn_before` on; else 0.",
    ),
];
