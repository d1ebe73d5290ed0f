//! The driver: requests arrive when they are due, whether or not earlier ones have been answered, as they do from clients
//! that do not know of each other. A slow target thus shows as latency, which is counted from when a request was due; a
//! closed loop would wait for it and so hide it.

mod check;
mod client;
mod crew;
mod dial;
mod dice;
mod mix;
mod pool;
mod recent;
mod recipe;
mod shape;
mod text;
mod upload;

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{HeaderName, HeaderValue};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

pub use check::Verdict;
pub use dial::Http;
pub(crate) use dice::Dice;
pub use mix::Mix;
pub use recipe::{Recipe, Step};
pub use shape::{Manners, Shape};

use crate::process::own_cpu;
use crew::{Crew, Tally, arrive};
use recent::Recent;

/// What to send, where, and how fast.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Base URL as an SDK has it, for instance `http://127.0.0.1:8080/v1`.
    pub target: String,
    /// Arrivals a second, on average; the gaps are exponentially distributed. Follow-ups of chains come on top.
    pub rate: f64,
    /// For how long new arrivals come. Running exchanges then finish.
    pub duration: Duration,
    /// The same seed gives the same arrivals, shapes and bodies.
    pub seed: u64,
    /// What arrives.
    pub mix: Mix,
    /// Turns of a chain or conversation. Default 3.
    pub turns: u32,
    /// Extra text in each body. Default none.
    pub padding_bytes: usize,
    /// Arrivals that find this many exchanges outstanding are dropped, and counted. Default 10,000.
    pub outstanding_max: usize,
    /// The model that is asked for. Default `gpt-5.5`.
    pub model: String,
    /// The model of embeddings. Default `text-embedding-3-small`.
    pub embedding_model: String,
    /// Sent as a bearer token. Default none.
    pub credential: Option<String>,
    /// More headers for every request.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What the clients speak. Default HTTP/1.1.
    pub http: Http,
    /// Connections. Over HTTP/1.1 the default is as many as needed; requests beyond a set number wait, and the wait counts.
    /// Over HTTP/2 the default is 4.
    pub connections: Option<usize>,
    /// The certificates (PEM) that vouch for an `https` target. Default none.
    pub ca_pem: Option<String>,
    /// Whether answers are digested, so that altered ones are found. Default yes; it costs the driver CPU time.
    pub digest: bool,
    /// After this long an exchange is given up. Default 60 s.
    pub within: Duration,
}

impl Plan {
    /// A plan with every default.
    pub fn new(target: impl Into<String>, rate: f64, duration: Duration) -> Self {
        Plan {
            target: target.into(),
            rate,
            duration,
            seed: 1,
            mix: Mix::default(),
            turns: 3,
            padding_bytes: 0,
            outstanding_max: 10_000,
            model: "gpt-5.5".to_owned(),
            embedding_model: "text-embedding-3-small".to_owned(),
            credential: None,
            headers: Vec::new(),
            http: Http::One,
            connections: None,
            ca_pem: None,
            digest: true,
            within: Duration::from_secs(60),
        }
    }
}

/// One exchange, measured. Durations count from when the request was due.
#[derive(Clone, Debug)]
pub struct Sample {
    /// What was sent.
    pub recipe: Recipe,
    /// When it was due, since the start of the run.
    pub due: Duration,
    /// Until the answer's head had arrived.
    pub first_byte: Option<Duration>,
    /// Until the answer had ended, or was given up.
    pub duration: Duration,
    /// The longest gap between two pieces of a stream.
    pub gap_max: Option<Duration>,
    /// The answer's status.
    pub status: Option<u16>,
    /// The answer's `x-riparian-*` headers.
    pub riparian: Vec<(String, String)>,
    /// Bytes of the answer's body.
    pub answer_bytes: u64,
    /// SHA-256 of the answer's body; zeroes if it did not end well, or [`Plan::digest`] is off.
    pub answer_sha256: [u8; 32],
    /// What became of it.
    pub verdict: Verdict,
}

impl Sample {
    /// The first `x-riparian-*` header of this name, which is given without the prefix.
    pub fn riparian(&self, name: &str) -> Option<&str> {
        let found = self.riparian.iter().find(|(key, _)| key.strip_prefix("x-riparian-") == Some(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// All that a run gave.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// Every exchange, in the order of ending.
    pub samples: Vec<Sample>,
    /// Requests that were due while too many were outstanding: never sent.
    pub dropped: u64,
    /// From the first arrival to the last answer.
    pub elapsed: Duration,
    /// CPU time that this process spent meanwhile, user and system: the driver's, and that of whatever else runs in it, fake
    /// clouds for instance. When it comes near `elapsed` times the cores, the client was the bottleneck.
    pub own_cpu: Duration,
}

/// How a run is going.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Since the start.
    pub elapsed: Duration,
    /// Requests sent.
    pub sent: u64,
    /// Sent and not ended.
    pub in_flight: u64,
    /// Exchanges ended.
    pub ended: u64,
    /// Of those, ended in a refusal.
    pub refused: u64,
    /// Of those, ended badly: cut, broken, cross-talk, unanswered; those of which that was to be expected left out.
    pub failed: u64,
    /// Never sent.
    pub dropped: u64,
    /// Exchanges ended a second, since progress was last told.
    pub rate: f64,
    /// The median duration of those.
    pub p50: Duration,
    /// 99 of 100 of those took no longer.
    pub p99: Duration,
    /// Answers so far that can never be right: broken, or with something of another's in them.
    pub findings: u64,
}

/// How often progress is told.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// Runs the plan; `progress` is called once a second and at the end.
///
/// # Errors
/// The plan's target or credential cannot be put into a request, or its rate is not positive.
pub async fn run(plan: Plan, mut progress: impl FnMut(&Progress)) -> Result<Run, String> {
    let tally = Arc::new(Tally::default());
    let (results, mut inbox) = mpsc::unbounded_channel();
    let start = Instant::now();
    let cpu = own_cpu();
    let mut recent = Recent::new(start);
    let crew = Crew::new(plan, start, Arc::clone(&tally), results)?;
    // The crew is shared by the arrivals and their exchanges only: when the last is gone, the channel closes.
    tokio::spawn(arrive(Arc::new(crew)));
    let mut samples = Vec::new();
    let mut ticks = tokio::time::interval(PROGRESS_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks.tick().await; // the first tick is now
    loop {
        tokio::select! {
            sample = inbox.recv() => match sample {
                Some(sample) => {
                    recent.add(&sample);
                    samples.push(sample);
                }
                None => break,
            },
            _ = ticks.tick() => progress(&recent.tell(&tally, start)),
        }
    }
    let last = recent.tell(&tally, start);
    progress(&last);
    Ok(Run { samples, dropped: last.dropped, elapsed: last.elapsed, own_cpu: own_cpu().saturating_sub(cpu) })
}
