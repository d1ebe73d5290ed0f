//! Many open, slow streams: what they cost the target in memory, what becomes of them, and what a fresh request costs
//! meanwhile. First fresh requests alone, then streams are opened at a rate and held while fresh requests go on; then all
//! are closed by their clients. Clear HTTP/1.1, one connection a stream.

mod report;
mod wire;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

pub use report::{Fresh, MemoryPoint, StreamsReport};

use crate::cloud::Script;
use crate::cpu::cpu_time;
use crate::drive::{self, Mix, Plan};
use crate::process::{allow_descriptors, own_cpu, resident_bytes};
use wire::{Ask, Shared};

/// Descriptors beside the streams': fresh requests, files, a listener.
const SPARE_DESCRIPTORS: u64 = 256;
/// How often memory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What to open, and how to look at it.
#[derive(Clone, Debug)]
pub struct StreamsPlan {
    /// Base URL as an SDK has it; clear HTTP/1.1. A fake cloud must stand behind it.
    pub target: String,
    /// Streams that are open at the same time. Default 10,000; one source address has some 28,000 ports.
    pub streams: usize,
    /// Streams opened a second. Default 1,000.
    pub open_rate: f64,
    /// How long all are held. Default 20 s.
    pub hold: Duration,
    /// Pause between two chunks of a stream. Default 1 s.
    pub gap: Duration,
    /// Text of each chunk. Default 64 bytes.
    pub chunk_bytes: usize,
    /// Fresh requests a second, plain chats of 1 KB. Default 50.
    pub fresh_rate: f64,
    /// How long fresh requests are sent before the first stream, to compare with. Default 3 s.
    pub before: Duration,
    /// The process whose memory and CPU time are read, with its children. Default none.
    pub pid: Option<u32>,
    /// The model that is asked for. Default `gpt-5.5`.
    pub model: String,
    /// Sent as a bearer token. Default none.
    pub credential: Option<String>,
    /// A stream that says nothing for so long, beside its gap, is broken. Default 10 s.
    pub within: Duration,
}

impl StreamsPlan {
    /// A plan with every default.
    pub fn new(target: impl Into<String>) -> Self {
        StreamsPlan {
            target: target.into(),
            streams: 10_000,
            open_rate: 1000.0,
            hold: Duration::from_secs(20),
            gap: Duration::from_secs(1),
            chunk_bytes: 64,
            fresh_rate: 50.0,
            before: Duration::from_secs(3),
            pid: None,
            model: "gpt-5.5".to_owned(),
            credential: None,
            within: Duration::from_secs(10),
        }
    }
}

/// How it is going.
#[derive(Clone, Copy, Debug)]
pub struct StreamsProgress {
    /// Since the start.
    pub elapsed: Duration,
    /// Streams open now.
    pub open: usize,
    /// Streams that were refused, broke or never began.
    pub broken: usize,
    /// Chunks read so far.
    pub chunks: u64,
    /// The target's resident memory, if a process is looked at.
    pub resident_bytes: Option<u64>,
}

/// Runs the plan; `progress` is called twice a second.
///
/// # Errors
/// There are too few descriptors (the message says what to do), the plan cannot be put into requests, or the process does
/// not exist.
pub async fn run(
    plan: &StreamsPlan,
    progress: impl FnMut(&StreamsProgress) + Send + 'static,
) -> Result<StreamsReport, String> {
    allow_descriptors(plan.streams as u64 + SPARE_DESCRIPTORS)?;
    if !(plan.open_rate.is_finite() && plan.open_rate > 0.0) {
        return Err(format!("the rate of opening must be positive: {}", plan.open_rate));
    }
    let script = Script { chunks: 1 << 30, gap: plan.gap, chunk_bytes: plan.chunk_bytes };
    let ask = Arc::new(Ask::new(plan, script)?);
    if let Some(pid) = plan.pid {
        resident_bytes(pid).map_err(|error| format!("process {pid}: {error}"))?;
    }
    let shared = Arc::new(Shared::new());
    let start = Instant::now();
    let look = Look { start, pid: plan.pid, shared: Arc::clone(&shared) };
    let cpu = own_cpu();
    let before = fresh(plan, plan.before).await?;
    if let Some(pid) = plan.pid {
        let resident_bytes = resident_bytes(pid).map_err(|error| format!("process {pid}: {error}"))?;
        shared.look(MemoryPoint { elapsed: start.elapsed(), open: 0, resident_bytes });
    }
    let watch = Watch(tokio::spawn(look.watch(progress)));

    let opening = Instant::now();
    let mut streams = open(plan, &ask, &shared).await;
    let opened_within = opening.elapsed();
    let opened = shared.open.load(Ordering::Relaxed);

    let cpu_before = target_cpu(plan)?;
    let chunks_before = shared.chunks.load(Ordering::Relaxed);
    let all_open = Instant::now();
    let during = fresh(plan, plan.hold).await?;
    tokio::time::sleep(plan.hold.saturating_sub(all_open.elapsed())).await;
    let held = all_open.elapsed();
    let target_cpu = target_cpu(plan)?.zip(cpu_before).map(|(after, before)| after.saturating_sub(before));
    let held_chunks = shared.chunks.load(Ordering::Relaxed) - chunks_before;
    let open_at_end = shared.open.load(Ordering::Relaxed);

    shared.closing.store(true, Ordering::Relaxed);
    streams.shutdown().await;
    tokio::time::sleep(2 * LOOK_EVERY).await; // two more looks at what the target gives back
    drop(watch);
    let memory = shared.memory();
    Ok(StreamsReport {
        asked: plan.streams,
        opened,
        opened_within,
        open_at_end,
        held,
        broken: shared.reasons(),
        chunks: shared.chunks.load(Ordering::Relaxed),
        held_chunks,
        gap: shared.gaps(),
        before,
        during,
        memory,
        target_cpu,
        own_cpu: own_cpu().saturating_sub(cpu),
    })
}

fn target_cpu(plan: &StreamsPlan) -> Result<Option<Duration>, String> {
    plan.pid.map(cpu_time).transpose().map_err(|error| error.to_string())
}

/// Opens the streams at their rate, and returns when each is open or has failed.
async fn open(plan: &StreamsPlan, ask: &Arc<Ask>, shared: &Arc<Shared>) -> JoinSet<()> {
    let mut streams = JoinSet::new();
    let start = Instant::now();
    for number in 0..plan.streams {
        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
        let due = start + Duration::from_secs_f64(number as f64 / plan.open_rate);
        if due > Instant::now() {
            tokio::time::sleep_until(due.into()).await;
        }
        streams.spawn(wire::stream(number, Arc::clone(ask), Arc::clone(shared)));
    }
    // Each ends in one of the two within the plan's time: the wait is bounded by that of the slowest.
    while shared.begun() < plan.streams {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    streams
}

/// Fresh requests for a while, and how they fared.
async fn fresh(plan: &StreamsPlan, duration: Duration) -> Result<Fresh, String> {
    if duration.is_zero() || plan.fresh_rate <= 0.0 {
        return Ok(Fresh::default());
    }
    let mut fresh = Plan::new(&plan.target, plan.fresh_rate, duration);
    fresh.mix = "chat; sizes: 1k".parse::<Mix>()?;
    fresh.model.clone_from(&plan.model);
    fresh.credential.clone_from(&plan.credential);
    fresh.within = plan.within;
    let run = drive::run(fresh, |_| {}).await?;
    Ok(Fresh::of(&run))
}

/// Looks at the target until it is stopped.
struct Look {
    start: Instant,
    pid: Option<u32>,
    shared: Arc<Shared>,
}

impl Look {
    async fn watch(self, mut progress: impl FnMut(&StreamsProgress)) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            let open = self.shared.open.load(Ordering::Relaxed);
            let resident_bytes = self.pid.and_then(|pid| resident_bytes(pid).ok()); // it may have died: then there is no point
            let elapsed = self.start.elapsed();
            if let Some(resident_bytes) = resident_bytes {
                self.shared.look(MemoryPoint { elapsed, open, resident_bytes });
            }
            let broken = self.shared.broken.load(Ordering::Relaxed);
            let chunks = self.shared.chunks.load(Ordering::Relaxed);
            progress(&StreamsProgress { elapsed, open, broken, chunks, resident_bytes });
        }
    }
}

/// Dropped, it stops.
struct Watch(tokio::task::JoinHandle<()>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}
