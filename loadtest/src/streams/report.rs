//! What many open streams came to.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use crate::drive::{Run, Verdict};
use crate::report::Spread;

/// How fresh requests fared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fresh {
    /// Answered in full.
    pub answered: u64,
    /// Refused, cut or not answered.
    pub failed: u64,
    /// From when a request was due to the end of its answer.
    pub duration: Spread,
}

impl Fresh {
    pub(super) fn of(run: &Run) -> Fresh {
        let whole = || run.samples.iter().filter(|sample| sample.verdict == Verdict::Whole);
        let answered = whole().count() as u64;
        let failed = run.samples.len() as u64 - answered + run.dropped;
        Fresh { answered, failed, duration: Spread::of(whole().map(|sample| sample.duration)) }
    }

    fn json(&self) -> Value {
        let Spread { p50_us, p90_us, p99_us, max_us, .. } = self.duration;
        json!({
            "answered": self.answered, "failed": self.failed, "p50_us": p50_us, "p90_us": p90_us, "p99_us": p99_us,
            "max_us": max_us,
        })
    }
}

/// The target's memory at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryPoint {
    /// Since the start.
    pub elapsed: Duration,
    /// Streams open then.
    pub open: usize,
    /// Resident bytes of the target and its children.
    pub resident_bytes: u64,
}

/// What many open streams came to. `Display` prints it for people.
#[derive(Clone, Debug)]
pub struct StreamsReport {
    /// Streams asked for.
    pub asked: usize,
    /// Streams open, each with its first chunk, when opening ended.
    pub opened: usize,
    /// How long opening took.
    pub opened_within: Duration,
    /// Streams still open at the end of the hold.
    pub open_at_end: usize,
    /// How long all were held.
    pub held: Duration,
    /// Streams that were refused or ended before their clients closed them, by the reason.
    pub broken: BTreeMap<String, u64>,
    /// Chunks read in all.
    pub chunks: u64,
    /// Chunks read while all were held.
    pub held_chunks: u64,
    /// The gaps between two chunks of a stream, as they arrived.
    pub gap: Spread,
    /// Fresh requests before the first stream.
    pub before: Fresh,
    /// Fresh requests while all were held.
    pub during: Fresh,
    /// The target's memory against open streams, in the order of time; empty without a process.
    pub memory: Vec<MemoryPoint>,
    /// The target's CPU time while all were held.
    pub target_cpu: Option<Duration>,
    /// The CPU time of this process, fake clouds in it included.
    pub own_cpu: Duration,
}

impl StreamsReport {
    /// Every stream was opened and held, and every fresh request answered.
    pub fn is_clean(&self) -> bool {
        self.opened == self.asked
            && self.open_at_end == self.asked
            && self.broken.is_empty()
            && self.before.failed + self.during.failed == 0
    }

    /// Resident bytes a stream: the most while all were open, less what there was before the first, over their number.
    pub fn bytes_per_stream(&self) -> Option<u64> {
        let before = self.memory.iter().find(|point| point.open == 0)?.resident_bytes;
        let most = self.memory.iter().max_by_key(|point| (point.open, point.resident_bytes))?;
        most.resident_bytes.saturating_sub(before).checked_div(most.open as u64)
    }

    /// The report as one JSON object.
    pub fn json(&self) -> Value {
        let memory: Vec<Value> = self
            .memory
            .iter()
            .map(|point| json!([point.elapsed.as_secs_f64(), point.open, point.resident_bytes]))
            .collect();
        let us = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let Spread { count, p50_us, p90_us, p99_us, max_us } = self.gap;
        json!({
            "asked": self.asked, "opened": self.opened, "opened_within_seconds": self.opened_within.as_secs_f64(),
            "open_at_end": self.open_at_end, "held_seconds": self.held.as_secs_f64(), "broken": self.broken,
            "chunks": self.chunks, "held_chunks": self.held_chunks,
            "gap": {"count": count, "p50_us": p50_us, "p90_us": p90_us, "p99_us": p99_us, "max_us": max_us},
            "fresh_before": self.before.json(), "fresh_during": self.during.json(),
            "memory_seconds_open_bytes": memory, "bytes_per_stream": self.bytes_per_stream(),
            "target_cpu_us": self.target_cpu.map(us), "own_cpu_us": us(self.own_cpu),
        })
    }
}

impl fmt::Display for StreamsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StreamsReport { asked, opened, opened_within, open_at_end, held, .. } = self;
        writeln!(f, "{opened} of {asked} streams open after {:.1} s", opened_within.as_secs_f64())?;
        writeln!(f, "{open_at_end} still open after {:.1} s of holding", held.as_secs_f64())?;
        for (why, count) in &self.broken {
            writeln!(f, "broken: {count} x {why}")?;
        }
        let Spread { p50_us, p99_us, max_us, .. } = self.gap;
        let ms = |us: u64| format!("{}.{:02}", us / 1000, us % 1000 / 10);
        let (p50, p99, max) = (ms(p50_us), ms(p99_us), ms(max_us));
        writeln!(f, "{} chunks; gaps p50 {p50} ms, p99 {p99} ms, longest {max} ms", self.chunks)?;
        for (when, fresh) in [("before", &self.before), ("meanwhile", &self.during)] {
            let Spread { p50_us, p99_us, .. } = fresh.duration;
            let Fresh { answered, failed, .. } = fresh;
            writeln!(
                f,
                "fresh requests {when}: {answered} answered, {failed} failed, p50 {p50_us} us, p99 {p99_us} us"
            )?;
        }
        if let Some(bytes) = self.bytes_per_stream() {
            writeln!(
                f,
                "{:.1} KB of the target's memory a stream",
                f64::from(u32::try_from(bytes).unwrap_or(u32::MAX)) / 1024.0
            )?;
        }
        if let Some(cpu) = self.target_cpu {
            let chunks = self.held_chunks;
            writeln!(
                f,
                "{:.2} s of the target's CPU time for {chunks} chunks and the fresh requests",
                cpu.as_secs_f64()
            )?;
        }
        write!(f, "{:.2} s of CPU time of this process", self.own_cpu.as_secs_f64())
    }
}
