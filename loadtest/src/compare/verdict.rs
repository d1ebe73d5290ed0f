//! The targets of the project, judged by what was measured. A target that is told as a ratio is judged in the run in which its
//! peer took part, and not at all otherwise.

use serde::{Deserialize, Serialize};

use super::model::{self, Comparison, Figure};
use super::work::Work;

/// One target and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// What is asked for, in words.
    pub target: String,
    /// `must` or `aim`.
    pub kind: Kind,
    /// The bound in words, for instance `1.3 of envoy`.
    pub bound: String,
    /// Riparian's figure.
    pub ours: Option<f64>,
    /// The figure that it must not be above.
    pub limit: Option<f64>,
    /// What came out.
    pub outcome: Outcome,
}

/// How binding a target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It has to be reached.
    Must,
    /// It would be good.
    Aim,
}

/// Whether a target was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Riparian's figure is not above the limit.
    Met,
    /// It is.
    NotMet,
    /// Nobody took part by whom it could be judged.
    NoPeer,
}

impl Outcome {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Met => "met",
            Outcome::NotMet => "not met",
            Outcome::NoPeer => "no peer to judge by",
        }
    }
}

/// A limit.
#[derive(Clone, Copy, Debug)]
enum Bound {
    /// A figure of its own.
    Of(f64),
    /// So many times a peer's.
    Times(f64, &'static str),
    /// So many times the best AI gateway's.
    Gateway(f64),
}

const TARGETS: &[(&str, Work, Figure, Kind, Bound)] = {
    use Bound::{Gateway, Of, Times};
    use Kind::{Aim, Must};
    &[
        ("1 KB POST, CPU us, saturated", Work::Post1k, model::CPU_REQUEST, Must, Gateway(0.5)),
        ("1 KB POST, CPU us, saturated", Work::Post1k, model::CPU_REQUEST, Aim, Times(1.0, "nginx")),
        ("1 KB POST, CPU us, 500 a second", Work::Post1kAt500, model::CPU_REQUEST, Must, Times(1.0, "envoy")),
        ("1 KB POST, CPU us, 500 a second", Work::Post1kAt500, model::CPU_REQUEST, Aim, Times(1.0, "nginx")),
        ("100 KB POST, CPU us", Work::Post100k, model::CPU_REQUEST, Must, Times(1.0, "envoy")),
        ("100 KB POST, CPU us", Work::Post100k, model::CPU_REQUEST, Aim, Times(0.8, "envoy")),
        ("1 MB POST, CPU us", Work::Post1m, model::CPU_REQUEST, Must, Times(1.3, "envoy")),
        ("1 MB POST, CPU us", Work::Post1m, model::CPU_REQUEST, Must, Gateway(0.4)),
        ("1 MB POST, CPU us", Work::Post1m, model::CPU_REQUEST, Aim, Times(1.0, "envoy")),
        ("SSE chunk, 10 ms apart, CPU us", Work::SsePaced, model::CPU_CHUNK, Must, Times(1.0, "envoy")),
        ("SSE chunk, 10 ms apart, CPU us", Work::SsePaced, model::CPU_CHUNK, Aim, Times(1.0, "nginx")),
        ("SSE chunk, burst, CPU us", Work::SseBurst, model::CPU_CHUNK, Must, Of(2.0)),
        ("SSE chunk, burst, CPU us", Work::SseBurst, model::CPU_CHUNK, Aim, Of(0.5)),
        ("first chunk added, p50 us", Work::SseFirst, model::FIRST_ADDED_P50, Must, Of(100.0)),
        ("first chunk added, p99 us", Work::SseFirst, model::FIRST_ADDED_P99, Must, Of(200.0)),
        ("first chunk added, p50 us", Work::SseFirst, model::FIRST_ADDED_P50, Aim, Times(1.0, "nginx")),
        ("latency added at 500 a second, p50 us", Work::Post1kAt500, model::ADDED_P50, Must, Of(80.0)),
        ("latency added at 500 a second, p99 us", Work::Post1kAt500, model::ADDED_P99, Must, Of(150.0)),
        (
            "latency added at 500 a second, p50 us",
            Work::Post1kAt500,
            model::ADDED_P50,
            Aim,
            Times(1.0, "nginx"),
        ),
        ("KB an open stream, 9,000 open", Work::Streams, model::STREAM_KB_9000, Must, Of(48.0)),
        ("KB an open stream, 9,000 open", Work::Streams, model::STREAM_KB_9000, Aim, Of(16.0)),
        ("idle resident MB", Work::Idle, model::IDLE_MB, Must, Of(30.0)),
        ("idle resident MB", Work::Idle, model::IDLE_MB, Aim, Of(15.0)),
    ]
};

/// Judges every target whose work Riparian did.
pub fn judge(found: &Comparison) -> Vec<Verdict> {
    let judged = TARGETS.iter().filter_map(|&(target, work, figure, kind, bound)| {
        let ours = found.median(work.name(), "riparian", figure)?;
        let of = |peer: &str| found.median(work.name(), peer, figure);
        let gateways = found.peers.iter().filter(|peer| peer.is_gateway).filter_map(|peer| of(&peer.name));
        let (limit, bound) = match bound {
            Bound::Of(limit) => (Some(limit), format!("{limit}")),
            Bound::Times(times, peer) => {
                (of(peer).map(|theirs| times * theirs), format!("{times} of {peer}"))
            }
            Bound::Gateway(times) => {
                let best = gateways.min_by(f64::total_cmp);
                (best.map(|theirs| times * theirs), format!("{times} of the best AI gateway"))
            }
        };
        let outcome = match limit {
            None => Outcome::NoPeer,
            Some(limit) if ours <= limit => Outcome::Met,
            Some(_) => Outcome::NotMet,
        };
        Some(Verdict { target: target.to_owned(), kind, bound, ours: Some(ours), limit, outcome })
    });
    judged.collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::compare::model::{Entrant, PeerResult, Summary, WorkResult};

    #[test]
    fn targets_are_met_missed_or_cannot_be_judged() {
        let peer = |name: &str, us: f64| PeerResult {
            peer: name.to_owned(),
            figures: BTreeMap::from([(
                model::CPU_REQUEST.name.to_owned(),
                Summary::of(vec![us]).expect("one"),
            )]),
            curves: BTreeMap::new(),
        };
        let mut found = Comparison {
            works: vec![WorkResult {
                work: "post-1m".to_owned(),
                title: String::new(),
                peers: vec![peer("riparian", 250.0), peer("envoy", 200.0), peer("vllm", 700.0)],
            }],
            ..Comparison::default()
        };
        let outcomes =
            |found: &Comparison| judge(found).iter().map(|verdict| verdict.outcome).collect::<Vec<_>>();
        assert_eq!(outcomes(&found), [Outcome::Met, Outcome::NoPeer, Outcome::NotMet]);
        found.peers.push(Entrant { name: "vllm".to_owned(), version: String::new(), is_gateway: true });
        assert_eq!(outcomes(&found), [Outcome::Met, Outcome::Met, Outcome::NotMet]);
        assert!(judge(&Comparison::default()).is_empty(), "what was not measured is not judged");
    }
}
