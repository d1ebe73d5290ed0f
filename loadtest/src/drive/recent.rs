//! What happened since progress was last told.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::check::Verdict;
use super::crew::Tally;
use super::{Progress, Sample};

/// Exchanges that ended lately.
pub(crate) struct Recent {
    since: Instant,
    durations: Histogram<u64>,
    findings: u64,
}

impl Recent {
    pub(crate) fn new(start: Instant) -> Self {
        let durations = Histogram::new_with_max(3_600_000_000, 2)
            .expect("an hour in microseconds to two digits is in range");
        Recent { since: start, durations, findings: 0 }
    }

    pub(crate) fn add(&mut self, sample: &Sample) {
        let us = u64::try_from(sample.duration.as_micros()).unwrap_or(u64::MAX);
        self.durations.saturating_record(us);
        self.findings += u64::from(matches!(sample.verdict, Verdict::Broken(_) | Verdict::CrossTalk(_)));
    }

    /// How things stand; what is recent begins anew.
    pub(crate) fn tell(&mut self, tally: &Tally, start: Instant) -> Progress {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (sent, ended) = (load(&tally.sent), load(&tally.ended));
        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
        let count = self.durations.len() as f64;
        let quantile = |quantile| Duration::from_micros(self.durations.value_at_quantile(quantile));
        let progress = Progress {
            elapsed: start.elapsed(),
            sent,
            in_flight: sent.saturating_sub(ended),
            ended,
            refused: load(&tally.refused),
            failed: load(&tally.failed),
            dropped: load(&tally.dropped),
            rate: count / self.since.elapsed().as_secs_f64().max(f64::EPSILON),
            p50: quantile(0.5),
            p99: quantile(0.99),
            findings: self.findings,
        };
        self.durations.reset();
        self.since = Instant::now();
        progress
    }
}
