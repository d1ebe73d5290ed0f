//! The works: what each peer is asked to do, once a round.

use std::str::FromStr;
use std::time::Duration;

use super::load::{Closed, Load, Open, Shot};
use super::matter::{self, Accent, Ask};
use super::model::{self, Figure};
use super::reply::Expect;
use std::net::SocketAddr;
use std::sync::Arc;

/// One kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// 1 KB posts, as many as go.
    Post1k,
    /// 1 KB posts, 500 a second.
    Post1kAt500,
    /// 100 KB posts, as many as go.
    Post100k,
    /// 1 MB posts, as many as go.
    Post1m,
    /// 10 MB posts, as many as go.
    Post10m,
    /// 50 streams with a chunk each 10 ms.
    SsePaced,
    /// Short streams, 200 a second: the first chunk.
    SseFirst,
    /// Streams of 2,000 chunks that the cloud writes at once.
    SseBurst,
    /// 100 to 9,000 open slow streams.
    Streams,
    /// A fresh process: start and memory.
    Idle,
    /// What grows with what, Riparian alone.
    Growth,
}

/// Chunks of a burst.
const BURST_CHUNKS: u32 = 2_000;
/// Chunks of a paced stream: two seconds of it.
const PACED_CHUNKS: u32 = 200;
/// Between them.
const PACE: Duration = Duration::from_millis(10);

impl Work {
    /// All of them, in order.
    pub const ALL: [Work; 11] = [
        Work::Post1k,
        Work::Post1kAt500,
        Work::Post100k,
        Work::Post1m,
        Work::Post10m,
        Work::SsePaced,
        Work::SseFirst,
        Work::SseBurst,
        Work::Streams,
        Work::Idle,
        Work::Growth,
    ];

    /// Its name on the command line and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Work::Post1k => "post-1k",
            Work::Post1kAt500 => "post-1k-500",
            Work::Post100k => "post-100k",
            Work::Post1m => "post-1m",
            Work::Post10m => "post-10m",
            Work::SsePaced => "sse-paced",
            Work::SseFirst => "sse-first",
            Work::SseBurst => "sse-burst",
            Work::Streams => "streams",
            Work::Idle => "idle",
            Work::Growth => "growth",
        }
    }

    /// What is done, in words.
    pub fn title(self) -> &'static str {
        match self {
            Work::Post1k => "1 KB POST, answer of 650 B, 16 connections, saturated",
            Work::Post1kAt500 => "1 KB POST, 500 a second",
            Work::Post100k => "100 KB POST, 16 connections, saturated",
            Work::Post1m => "1 MB POST, 8 connections, saturated",
            Work::Post10m => "10 MB POST, 4 connections, saturated",
            Work::SsePaced => "50 streams, a chunk each 10 ms",
            Work::SseFirst => "short streams, 200 a second: the first chunk",
            Work::SseBurst => "streams of 2,000 chunks written at once, 4 connections, saturated",
            Work::Streams => "open slow streams: memory, and what a fresh request costs meanwhile",
            Work::Idle => "a fresh process",
            Work::Growth => "what grows",
        }
    }

    /// Starts its load on a target; `None` where the work is more than a load.
    pub(crate) fn load(self, target: Target) -> Option<Load> {
        let kb = 1usize << 10;
        let load = match self {
            Work::Post1k => target.posts(kb, 16).start(),
            Work::Post100k => target.posts(100 * kb, 16).start(),
            Work::Post1m => target.posts(kb * kb, 8).start(),
            Work::Post10m => target.posts(10 * kb * kb, 4).start(),
            Work::Post1kAt500 => Open { shot: target.post(kb), rate: 500.0, threads: 16 }.start(),
            Work::SseFirst => {
                let shot = target.stream(3, Duration::from_millis(1), false);
                Open { shot, rate: 200.0, threads: 16 }.start()
            }
            Work::SsePaced => {
                let shot = target.stream(PACED_CHUNKS, PACE, true);
                // Not a multiple of the pace, so that the streams' chunks spread over it.
                Closed { shot, connections: 50, stagger: Duration::from_micros(7_300) }.start()
            }
            Work::SseBurst => target.burst(BURST_CHUNKS).start(),
            Work::Streams | Work::Idle | Work::Growth => return None,
        };
        Some(load)
    }

    /// How long it runs before it is measured: connections are open then, caches warm.
    pub(crate) fn warm_up(self) -> Duration {
        match self {
            Work::SsePaced => Duration::from_millis(1_000),
            _ => Duration::from_millis(500),
        }
    }

    /// Whether its CPU time is told a chunk.
    pub(crate) fn is_by_chunk(self) -> bool {
        matches!(self, Work::SsePaced | Work::SseBurst)
    }

    /// Whether it keeps a fixed rate, so that latencies can be compared.
    pub(crate) fn is_paced(self) -> bool {
        matches!(self, Work::Post1kAt500 | Work::SseFirst | Work::SsePaced)
    }

    /// The figure that ratios and bars are made of.
    pub fn primary(self) -> Figure {
        match self {
            Work::SsePaced | Work::SseBurst => model::CPU_CHUNK,
            Work::SseFirst => model::FIRST_ADDED_P50,
            Work::Streams => model::STREAM_KB_9000,
            Work::Idle => model::IDLE_MB,
            _ => model::CPU_REQUEST,
        }
    }
}

impl FromStr for Work {
    type Err = String;

    fn from_str(text: &str) -> Result<Work, String> {
        let name = if text == "start" { "idle" } else { text };
        Work::ALL.into_iter().find(|work| work.name() == name).ok_or_else(|| {
            let names: Vec<&str> = Work::ALL.iter().map(|work| work.name()).collect();
            format!("{text:?} is none of {}", names.join(", "))
        })
    }
}

/// Where a load goes, and how it speaks there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) accent: Accent,
}

impl Target {
    pub(crate) fn post(self, body_bytes: usize) -> Shot {
        Shot {
            address: self.address,
            requests: Arc::new(vec![matter::request(Ask::Post { body_bytes }, self.accent)]),
            expect: Expect::Exactly(matter::right_answer(body_bytes, self.accent)),
        }
    }

    pub(crate) fn posts(self, body_bytes: usize, connections: usize) -> Closed {
        Closed { shot: self.post(body_bytes), connections, stagger: Duration::ZERO }
    }

    pub(crate) fn stream(self, chunks: u32, gap: Duration, stamps: bool) -> Shot {
        let gap_us = u32::try_from(gap.as_micros()).unwrap_or(u32::MAX);
        Shot {
            address: self.address,
            requests: Arc::new(vec![matter::request(Ask::Stream { chunks, gap_us }, self.accent)]),
            expect: Expect::Stream { chunks, stamps },
        }
    }

    pub(crate) fn burst(self, chunks: u32) -> Closed {
        Closed { shot: self.stream(chunks, Duration::ZERO, false), connections: 4, stagger: Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn works_are_known_by_their_names() {
        for work in Work::ALL {
            assert_eq!(work.name().parse(), Ok(work));
        }
        assert_eq!("start".parse(), Ok(Work::Idle));
        assert!("post-2k".parse::<Work>().expect_err("unknown").contains("post-10m"));
    }
}
