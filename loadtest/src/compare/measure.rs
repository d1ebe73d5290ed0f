//! One measurement: a load runs, and what the proxy's process tree used meanwhile is divided by what was answered.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::curve::Curve;
use super::hold::Hold;
use super::load::{Load, Open, Times};
use super::model::{self, FIGURES, Figure, Machine, PeerResult, Summary};
use super::peer::Running;
use super::tree::{Cpu, Tree};
use super::work::{Target, Work};

/// What one round of one peer gave.
#[derive(Clone, Debug, Default)]
pub(crate) struct Round {
    pub(crate) figures: Vec<(Figure, f64)>,
    pub(crate) times: Times,
}

impl Round {
    fn set(&mut self, figure: Figure, value: Option<f64>) {
        self.figures.extend(value.filter(|value| value.is_finite()).map(|value| (figure, value)));
    }

    fn value(&self, figure: Figure) -> Option<f64> {
        self.figures.iter().find(|(found, _)| *found == figure).map(|(_, value)| *value)
    }

    /// Adds what this round took longer than the straight way did.
    pub(crate) fn subtract(&mut self, straight: &Round) {
        for (whole, added) in [
            (model::LATENCY_P50, model::ADDED_P50),
            (model::LATENCY_P99, model::ADDED_P99),
            (model::FIRST_P50, model::FIRST_ADDED_P50),
            (model::FIRST_P99, model::FIRST_ADDED_P99),
        ] {
            let difference = self.value(whole).zip(straight.value(whole)).map(|(ours, base)| ours - base);
            self.set(added, difference);
        }
    }
}

/// What was used and done between two instants.
struct Span {
    elapsed: Duration,
    requests: f64,
    events: f64,
    frames: f64,
    proxy: Option<Duration>,
    client: Duration,
    cloud: Option<Duration>,
}

struct Mark {
    at: Instant,
    counts: [u64; 3],
    proxy: Option<Cpu>,
    client: Cpu,
    cloud: Option<Cpu>,
}

impl Mark {
    fn now(load: &Load, proxy: Option<Tree>, cloud: Option<Tree>) -> io::Result<Mark> {
        let tally = &load.tally;
        Ok(Mark {
            at: Instant::now(),
            counts: [&tally.answered, &tally.events, &tally.frames]
                .map(|count| count.load(Ordering::Relaxed)),
            proxy: proxy.map(Tree::cpu).transpose()?,
            client: Tree::of(std::process::id()).cpu_alone()?,
            cloud: cloud.map(Tree::cpu).transpose()?,
        })
    }

    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
    fn until(&self, end: &Mark) -> Span {
        let since = |end: &Option<Cpu>, start: &Option<Cpu>| Some(end.as_ref()?.since(start.as_ref()?));
        let [requests, events, frames] = [0, 1, 2].map(|at| (end.counts[at] - self.counts[at]) as f64);
        Span {
            elapsed: end.at - self.at,
            requests,
            events,
            frames,
            proxy: since(&end.proxy, &self.proxy),
            client: end.client.since(&self.client),
            cloud: since(&end.cloud, &self.cloud),
        }
    }
}

/// Runs a load for a while, measured after its warm-up.
fn observe(
    load: Load,
    warm_up: Duration,
    duration: Duration,
    proxy: Option<Tree>,
    cloud: Option<Tree>,
) -> Result<(Span, Times, u64), String> {
    let told = |error: io::Error| error.to_string();
    let sleep = |load: &Load, duration: Duration| {
        let end = Instant::now() + duration;
        while !load.has_failed() && Instant::now() < end {
            std::thread::sleep(end.saturating_duration_since(Instant::now()).min(Duration::from_millis(100)));
        }
    };
    sleep(&load, warm_up);
    load.tally.measuring.store(true, Ordering::Relaxed);
    let start = Mark::now(&load, proxy, cloud).map_err(told)?;
    sleep(&load, duration);
    let end = Mark::now(&load, proxy, cloud).map_err(told)?;
    load.tally.measuring.store(false, Ordering::Relaxed);
    let reopened = load.tally.reopened.load(Ordering::Relaxed);
    let times = load.stop()?;
    let span = start.until(&end);
    if span.requests + span.events == 0.0 {
        return Err("nothing was answered in the time measured".to_owned());
    }
    Ok((span, times, reopened))
}

fn us(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// One round of a work that is a load.
pub(crate) fn once(
    running: &Running,
    work: Work,
    duration: Duration,
    cloud: Option<Tree>,
) -> Result<Round, String> {
    let target = target(running);
    let load = work.load(target).ok_or_else(|| format!("{} is no load", work.name()))?;
    let (span, times, reopened) = observe(load, work.warm_up(), duration, running.tree(), cloud)?;
    let mut round = Round { times, ..Round::default() };
    let Span { elapsed, requests, events, frames, proxy, client, cloud } = span;
    let seconds = elapsed.as_secs_f64();
    if work.is_by_chunk() {
        round.set(model::CPU_CHUNK, proxy.map(|cpu| us(cpu) / events));
        round.set(model::CHUNK_RATE, Some(events / seconds));
        round.set(model::MERGED, (frames > 0.0).then_some(events / frames));
    } else {
        round.set(model::CPU_REQUEST, proxy.map(|cpu| us(cpu) / requests));
        round.set(model::RATE, Some(requests / seconds));
        round.set(model::CLIENT_CPU, Some(us(client) / requests));
        round.set(model::CLOUD_CPU, cloud.map(|cpu| us(cpu) / requests));
    }
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
    round.set(model::REOPENED, Some(reopened as f64));
    let percentiles = |curve: &Curve| (curve.count() > 0).then(|| (curve.at(0.5), curve.at(0.99)));
    let pairs = match work {
        Work::SsePaced => vec![
            (model::GAP_P50, model::GAP_P99, percentiles(&round.times.gap)),
            (model::TRANSIT_P50, model::TRANSIT_P99, percentiles(&round.times.transit)),
        ],
        Work::SseFirst => vec![(model::FIRST_P50, model::FIRST_P99, percentiles(&round.times.first))],
        Work::SseBurst => Vec::new(),
        _ => vec![(model::LATENCY_P50, model::LATENCY_P99, percentiles(&round.times.whole))],
    };
    for (p50, p99, found) in pairs {
        round.set(p50, found.map(|(median, _)| median));
        round.set(p99, found.map(|(_, high)| high));
    }
    Ok(round)
}

pub(crate) fn target(running: &Running) -> Target {
    Target { address: running.address, accent: running.peer.accent() }
}

/// A process that has just started, and rests.
pub(crate) fn idle(running: &Running) -> Result<Round, String> {
    std::thread::sleep(Duration::from_millis(500)); // what a start leaves behind settles
    let tree = running.tree().ok_or("it has no process")?;
    let memory = tree.memory().map_err(|error| error.to_string())?;
    let mut round = Round::default();
    round.set(model::START_MS, running.ready_in.map(|ready| ready.as_secs_f64() * 1e3));
    round.set(model::IDLE_MB, Some(kilo(memory.rss_kb) / 1024.0));
    round.set(model::IDLE_PSS_MB, Some(kilo(memory.pss_kb) / 1024.0));
    Ok(round)
}

#[expect(clippy::cast_precision_loss, reason = "memory in KiB is far below 2^52")]
fn kilo(kb: u64) -> f64 {
    kb as f64
}

/// The pause between two chunks of a held stream: rare, so that a fresh request's cost is not lost among theirs, and below
/// every peer's idle timeout.
const HELD_PACE: Duration = Duration::from_secs(20);

/// Memory a stream, and what a fresh request costs while the streams are open.
pub(crate) fn streams(running: &Running, levels: &[u64], duration: Duration) -> Result<Round, String> {
    let tree = running.tree().ok_or("it has no process")?;
    let told = |error: io::Error| error.to_string();
    let mut round = Round::default();
    let target = target(running);
    // Pools and caches fill before the baseline is taken.
    observe(target.posts(1024, 16).start(), Duration::ZERO, Duration::from_millis(500), None, None)?;
    let base = tree.memory().map_err(told)?.pss_kb;
    let mut hold = Hold::start(target.stream(1_000, HELD_PACE, false));
    for level in std::iter::once(&0).chain(levels) {
        hold.raise_to(*level)?;
        std::thread::sleep(Duration::from_millis(300)); // the last ones' heads and first chunks are through
        let held = tree.memory().map_err(told)?.pss_kb;
        let a_stream = (*level > 0).then(|| kilo(held.saturating_sub(base)) / kilo(*level));
        // What the streams themselves cost meanwhile is measured first, and taken off.
        let before = tree.cpu().map_err(told)?;
        std::thread::sleep(duration);
        let own = tree.cpu().map_err(told)?.since(&before);
        let open = Open { shot: target.post(1024), rate: 100.0, threads: 8 };
        let (span, _, _) = observe(open.start(), Duration::from_millis(300), duration, Some(tree), None)?;
        let fresh = span.proxy.map(|all| {
            let own = own.mul_f64(span.elapsed.as_secs_f64() / duration.as_secs_f64());
            (us(all) - us(own)) / span.requests
        });
        hold.check()?;
        let (memory, cpu) = match level {
            0 => (None, Some(model::FRESH_0)),
            100 => (Some(model::STREAM_KB_100), Some(model::FRESH_100)),
            1_000 => (Some(model::STREAM_KB_1000), Some(model::FRESH_1000)),
            3_000 => (Some(model::STREAM_KB_3000), Some(model::FRESH_3000)),
            9_000 => (Some(model::STREAM_KB_9000), Some(model::FRESH_9000)),
            _ => (None, None), // a level of a test's own
        };
        memory.into_iter().for_each(|figure| round.set(figure, a_stream));
        cpu.into_iter().for_each(|figure| round.set(figure, fresh));
    }
    Ok(round)
}

/// CPU microseconds a request of a load, for the growth plots.
pub(crate) fn cost(running: &Running, load: Load, duration: Duration) -> Result<f64, String> {
    let (span, _, _) = observe(load, Duration::from_millis(300), duration, running.tree(), None)?;
    let cpu = span.proxy.ok_or("it has no process")?;
    if span.requests == 0.0 {
        return Err("no request was answered in the time measured".to_owned());
    }
    Ok(us(cpu) / span.requests)
}

/// The rounds of a peer as one result.
pub(crate) fn sum_up(peer: String, rounds: &[Round]) -> PeerResult {
    let mut figures = BTreeMap::new();
    for figure in FIGURES {
        let values = rounds.iter().filter_map(|round| round.value(*figure)).collect();
        figures.extend(Summary::of(values).map(|summary| (figure.name.to_owned(), summary)));
    }
    let mut times = Times::default();
    rounds.iter().for_each(|round| times.add(&round.times));
    let curves = [
        ("latency", &times.whole),
        ("first_chunk", &times.first),
        ("gap", &times.gap),
        ("transit", &times.transit),
    ];
    let curves = curves.into_iter().filter(|(_, curve)| curve.count() > 0);
    let curves = curves.map(|(name, curve)| (name.to_owned(), curve.points())).collect();
    PeerResult { peer, figures, curves }
}

/// What this runs on.
pub(crate) fn machine() -> Machine {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let processor = info.lines().find_map(|line| line.strip_prefix("model name"));
    let processor = processor.and_then(|rest| rest.split_once(':')).map(|(_, name)| name.trim().to_owned());
    let release = read("/proc/sys/kernel/osrelease");
    Machine {
        processor: processor.unwrap_or_else(|| "unknown".to_owned()),
        cores: std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        kernel: format!("{} {}", std::env::consts::OS, release.trim()),
    }
}
