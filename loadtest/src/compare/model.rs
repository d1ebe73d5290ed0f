//! What a comparison found: the shape of its JSON, and what the tables, verdicts and plots are made from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The whole of it. `--json` writes this.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Comparison {
    /// Of this shape. Now 1; a field that is added leaves it.
    pub format: u32,
    /// What it ran on.
    pub machine: Machine,
    /// Seconds of each measurement.
    pub seconds: f64,
    /// Rounds of each work: the peers in turn, again and again.
    pub rounds: u32,
    /// Who took part, in the order of the tables.
    pub peers: Vec<Entrant>,
    /// Who was asked for and is not installed.
    pub missing: Vec<Missing>,
    /// Figures by work.
    pub works: Vec<WorkResult>,
    /// What grows with what, of Riparian alone.
    pub growth: Vec<Growth>,
    /// The targets, judged.
    pub verdicts: Vec<crate::compare::verdict::Verdict>,
    /// Wrong answers and failed starts: one is enough for the run to count as failed.
    pub faults: Vec<String>,
}

/// The machine, as far as it matters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name.
    pub processor: String,
    /// How many of them this process may use.
    pub cores: usize,
    /// Kernel name and release.
    pub kernel: String,
}

/// Somebody who took part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entrant {
    /// Its name.
    pub name: String,
    /// Its version; empty where it does not say.
    pub version: String,
    /// Whether it is an AI gateway, of which some targets speak.
    pub is_gateway: bool,
}

/// Somebody who did not take part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// Its name.
    pub name: String,
    /// The line that installs it.
    pub install: String,
}

/// One work, done by everybody.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WorkResult {
    /// Its name on the command line.
    pub work: String,
    /// What was done, in words.
    pub title: String,
    /// By peer, in the order of the tables.
    pub peers: Vec<PeerResult>,
}

/// One peer's part in a work.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PeerResult {
    /// Its name.
    pub peer: String,
    /// By the name of the figure; see [`FIGURES`].
    pub figures: BTreeMap<String, Summary>,
    /// Percentiles over all rounds: `(quantile, microseconds)`, by `latency`, `first_chunk`, `gap` or `transit`.
    pub curves: BTreeMap<String, Vec<(f64, f64)>>,
}

/// A figure over the rounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The median of the rounds.
    pub median: f64,
    /// The least of them.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// All, in order.
    pub rounds: Vec<f64>,
}

impl Summary {
    /// Of these; `None` where there are none.
    pub fn of(rounds: Vec<f64>) -> Option<Summary> {
        let mut sorted = rounds.clone();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        };
        Some(Summary { median, min, max, rounds })
    }
}

/// One line of growth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Growth {
    /// What grows, for instance `terms`.
    pub name: String,
    /// The title of its plot.
    pub title: String,
    /// What x counts.
    pub x: String,
    /// What y counts.
    pub y: String,
    /// `(x, y)`, x ascending.
    pub points: Vec<(f64, f64)>,
    /// `flat`, `linear` with the slope, or neither.
    pub note: String,
}

/// A kind of figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figure {
    /// Its name in JSON.
    pub name: &'static str,
    /// Its title in tables.
    pub title: &'static str,
    /// Whether the tables for people show it.
    pub shown: bool,
}

macro_rules! figures {
    ($($(#[$doc:meta])* $id:ident = $name:literal, $title:literal, $shown:literal;)*) => {
        $($(#[$doc])* pub const $id: Figure = Figure { name: $name, title: $title, shown: $shown };)*
        /// Every kind of figure, in the order of the tables.
        pub const FIGURES: &[Figure] = &[$($id),*];
    };
}

figures! {
    /// CPU time (user and system, the whole process tree) a request, in microseconds.
    CPU_REQUEST = "cpu_us_per_request", "CPU us a request", true;
    /// The same a chunk of a stream; the share of requests and closing events is in it.
    CPU_CHUNK = "cpu_us_per_chunk", "CPU us a chunk", true;
    /// Requests answered a second.
    RATE = "requests_per_second", "requests a second", true;
    /// Chunks of streams a second.
    CHUNK_RATE = "chunks_per_second", "chunks a second", true;
    /// Chunks that arrive in one chunk of the transfer coding: above 1 where a proxy merges them.
    MERGED = "chunks_per_frame", "chunks a frame", true;
    /// Median of the time from request to whole answer, microseconds.
    LATENCY_P50 = "latency_p50_us", "latency p50 us", true;
    /// 99th percentile of it.
    LATENCY_P99 = "latency_p99_us", "latency p99 us", true;
    /// Its median less that of the straight way in the same round.
    ADDED_P50 = "latency_added_p50_us", "added p50 us", true;
    /// Its 99th percentile less that of the straight way in the same round.
    ADDED_P99 = "latency_added_p99_us", "added p99 us", true;
    /// Median of the time from request to the first chunk, microseconds.
    FIRST_P50 = "first_chunk_p50_us", "first chunk p50 us", true;
    /// 99th percentile of it.
    FIRST_P99 = "first_chunk_p99_us", "first chunk p99 us", true;
    /// Its median less that of the straight way in the same round.
    FIRST_ADDED_P50 = "first_chunk_added_p50_us", "added p50 us", true;
    /// Its 99th percentile less that of the straight way in the same round.
    FIRST_ADDED_P99 = "first_chunk_added_p99_us", "added p99 us", true;
    /// Median of the gap between two pieces of a stream, microseconds.
    GAP_P50 = "gap_p50_us", "gap p50 us", true;
    /// 99th percentile of it.
    GAP_P99 = "gap_p99_us", "gap p99 us", true;
    /// Median of the time from the cloud's write of a chunk to the client's read, microseconds.
    TRANSIT_P50 = "transit_p50_us", "chunk's way p50 us", true;
    /// 99th percentile of it.
    TRANSIT_P99 = "transit_p99_us", "chunk's way p99 us", true;
    /// Proportional memory a stream at 100 open ones, KB, the idle process taken off.
    STREAM_KB_100 = "kb_per_stream_100", "KB a stream, 100 open", true;
    /// At 1,000.
    STREAM_KB_1000 = "kb_per_stream_1000", "KB a stream, 1,000 open", true;
    /// At 3,000.
    STREAM_KB_3000 = "kb_per_stream_3000", "KB a stream, 3,000 open", true;
    /// At 9,000.
    STREAM_KB_9000 = "kb_per_stream_9000", "KB a stream, 9,000 open", true;
    /// CPU of a fresh 1 KB request at 100 a second while no stream is open, microseconds.
    FRESH_0 = "fresh_cpu_us_0", "fresh CPU us, 0 open", true;
    /// While 100 are.
    FRESH_100 = "fresh_cpu_us_100", "fresh CPU us, 100 open", true;
    /// While 1,000 are.
    FRESH_1000 = "fresh_cpu_us_1000", "fresh CPU us, 1,000 open", true;
    /// While 3,000 are.
    FRESH_3000 = "fresh_cpu_us_3000", "fresh CPU us, 3,000 open", true;
    /// While 9,000 are.
    FRESH_9000 = "fresh_cpu_us_9000", "fresh CPU us, 9,000 open", true;
    /// Resident memory just after the start, MB, summed over the processes.
    IDLE_MB = "idle_mb", "idle MB", true;
    /// The same with shared pages counted once.
    IDLE_PSS_MB = "idle_pss_mb", "idle MB, shared pages once", true;
    /// From the start of the process to the first right answer, milliseconds.
    START_MS = "start_ms", "start to first answer ms", true;
    /// The client's CPU a request, microseconds: where it is far above the proxy's, the client was the bottleneck.
    CLIENT_CPU = "client_cpu_us_per_request", "client CPU us", false;
    /// The canned cloud's.
    CLOUD_CPU = "cloud_cpu_us_per_request", "cloud CPU us", false;
    /// Connections that had to be opened again because they were closed between requests.
    REOPENED = "connections_reopened", "reopened", false;
}

impl Comparison {
    /// A figure's median, where there is one.
    pub fn median(&self, work: &str, peer: &str, figure: Figure) -> Option<f64> {
        let work = self.works.iter().find(|result| result.work == work)?;
        let peer = work.peers.iter().find(|result| result.peer == peer)?;
        peer.figures.get(figure.name).map(|summary| summary.median)
    }

    /// Whether all was answered as it should be.
    pub fn is_clean(&self) -> bool {
        self.faults.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_the_median_and_the_spread() {
        let summary = Summary::of(vec![3.0, 1.0, 8.0]).expect("three");
        assert_eq!((summary.min, summary.median, summary.max), (1.0, 3.0, 8.0));
        assert_eq!(Summary::of(vec![1.0, 2.0]).map(|summary| summary.median), Some(1.5));
        assert_eq!(Summary::of(Vec::new()), None);
    }
}
