//! Stage 12, **settle**: write it down, once, and never wait.
//!
//! One JSON line a request, from an allow-list of fields: no path, no header, no body, no credential. Session and tenant are keyed
//! digests. Lines go through a bounded queue to a thread of its own; when that is behind, lines are dropped and counted.

use crate::locks::Mutex;
use crate::metrics::{Labels, Metrics};
use crate::record::Record;
use crossbeam_queue::ArrayQueue;
use riparian_config::AccessLog;
use serde::Serialize;
use smallvec::SmallVec;
use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Lines that wait for the writer: at some 600 bytes each about 5 MB.
const QUEUE: usize = 8192;

/// The access log's writer.
#[derive(Debug)]
pub struct Log {
    lines: Option<Arc<Lines>>,
    writer: Option<JoinHandle<()>>,
}

/// What requests and the writer share. A request takes no lock: it puts its line into a ring, and wakes the writer if that sleeps.
#[derive(Debug)]
struct Lines {
    ring: ArrayQueue<Vec<u8>>,
    /// Whether the writer has been told that there is something to do.
    told: AtomicBool,
    /// Whether no line will follow.
    ended: AtomicBool,
    /// Whether somebody waits until every line so far is written, and who.
    awaited: AtomicBool,
    waiting: Mutex<Vec<SyncSender<()>>>,
}

impl Log {
    /// Opens the log.
    ///
    /// # Errors
    /// When its file cannot be opened, or no thread can be had.
    pub fn open(target: &AccessLog) -> io::Result<Self> {
        let out: Box<dyn Write + Send> = match target {
            AccessLog::Off => return Ok(Self { lines: None, writer: None }),
            AccessLog::Stdout => Box::new(io::stdout()),
            AccessLog::Stderr => Box::new(io::stderr()),
            AccessLog::File(path) => Box::new(OpenOptions::new().create(true).append(true).open(path)?),
        };
        let lines = Arc::new(Lines {
            ring: ArrayQueue::new(QUEUE),
            told: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            awaited: AtomicBool::new(false),
            waiting: Mutex::default(),
        });
        let theirs = Arc::clone(&lines);
        let writer =
            std::thread::Builder::new().name("access-log".to_owned()).spawn(move || theirs.write(out))?;
        Ok(Self { lines: Some(lines), writer: Some(writer) })
    }

    fn line(&self, record: &Record, metrics: &Metrics) {
        let Some(lines) = &self.lines else { return };
        let line = line(record, riparian_config::Timestamp::now().to_string());
        if lines.ring.push(line).is_err() {
            metrics.log_dropped.increment(1);
        }
        self.tell(lines);
    }

    /// Wakes the writer, if nobody has yet.
    fn tell(&self, lines: &Lines) {
        if !lines.told.swap(true, Ordering::AcqRel)
            && let Some(writer) = &self.writer
        {
            writer.thread().unpark();
        }
    }

    /// Waits until every line so far is written, at most a second.
    pub fn flush(&self) {
        let Some(lines) = &self.lines else { return };
        let (done, written) = sync_channel(1);
        lines.waiting.lock().expect("no holder of this lock panics").push(done);
        lines.awaited.store(true, Ordering::Release);
        self.tell(lines);
        // A writer that is stuck in its file does not keep the process.
        let _ = written.recv_timeout(Duration::from_secs(1));
    }
}

impl Drop for Log {
    /// Waits until every line is written.
    fn drop(&mut self) {
        let Some(lines) = &self.lines else { return };
        lines.ended.store(true, Ordering::Release);
        self.tell(lines);
        if let Some(writer) = self.writer.take() {
            writer.thread().unpark();
            // A writer that panicked has nothing left to write.
            let _ = writer.join();
        }
    }
}

/// How long lines gather before they are written: a writer that waits for each line is woken by each request.
const GATHER: Duration = Duration::from_millis(20);

impl Lines {
    /// Writes what has gathered in one go, until the end. A reader of standard output that went away must not stop the proxy: its
    /// lines are lost, the requests are not.
    fn write(&self, out: Box<dyn Write + Send>) {
        let mut out = BufWriter::with_capacity(64 * 1024, out);
        loop {
            while !self.told.load(Ordering::Acquire) {
                std::thread::park();
            }
            let ended = self.ended.load(Ordering::Acquire);
            if !ended {
                std::thread::sleep(GATHER);
            }
            // Whoever comes after this tells again; whoever came before is served now.
            self.told.store(false, Ordering::Release);
            let waiting = if self.awaited.swap(false, Ordering::AcqRel) {
                std::mem::take(&mut *self.waiting.lock().expect("no holder of this lock panics"))
            } else {
                Vec::new()
            };
            while let Some(line) = self.ring.pop() {
                let _ = out.write_all(&line);
            }
            let _ = out.flush();
            for done in waiting {
                let _ = done.send(());
            }
            if ended {
                return;
            }
        }
    }
}

fn micros(from: Instant, to: Option<Instant>) -> Option<u64> {
    to.map(|to| u64::try_from(to.saturating_duration_since(from).as_micros()).unwrap_or(u64::MAX))
}

/// The line's fields, in their order. Only what is named here is ever written.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    decision: String,
    config: &'a str,
    method: &'a str,
    surface: &'a str,
    grade: &'static str,
    class: &'static str,
    model: Option<&'a str>,
    vendor: Option<&'a str>,
    handles: usize,
    tenant: Option<String>,
    session: Option<String>,
    session_from: Option<&'static str>,
    epoch: Option<u32>,
    terms: SmallVec<[&'a str; 4]>,
    verdict: Option<&'static str>,
    reason: &'static str,
    cloud: &'a str,
    endpoint: &'a str,
    attempts: u32,
    status: u16,
    outcome: &'static str,
    stream: bool,
    request_bytes: u64,
    response_bytes: u64,
    decision_us: Option<u64>,
    first_byte_us: Option<u64>,
    duration_us: Option<u64>,
}

fn line(record: &Record, time: String) -> Vec<u8> {
    let (cloud, endpoint) = record.place();
    let decision = record.decision.as_ref();
    let session = decision.and_then(|decision| decision.session);
    let config = &record.snapshot.policy.config;
    let line = Line {
        time,
        decision: record.id.to_string(),
        config: &record.snapshot.hash,
        method: record.method.as_str(),
        surface: record.surface_name(),
        grade: record.grade().as_str(),
        class: record.class().as_str(),
        model: record.model.as_deref(),
        vendor: decision.and_then(|decision| Some(config.surfaces.vendors[decision.vendor?].name.as_str())),
        handles: record.handles,
        tenant: decision.map(|decision| decision.tenant.to_string()),
        session: session.map(|session| session.id.to_string()),
        session_from: session.map(|session| session.source.as_str()),
        epoch: decision.map(|decision| decision.epoch),
        terms: record.terms().map(|term| term.id.as_str()).collect(),
        verdict: decision.map(|decision| decision.verdict.as_str()),
        reason: record.reason.as_str(),
        cloud,
        endpoint,
        attempts: record.attempts,
        status: record.status,
        outcome: record.outcome.as_str(),
        stream: record.stream,
        request_bytes: record.request_bytes,
        response_bytes: record.response_bytes,
        decision_us: micros(record.arrived, record.decided),
        first_byte_us: micros(record.arrived, record.first_byte),
        duration_us: micros(record.arrived, Some(Instant::now())),
    };
    let mut bytes = Vec::with_capacity(768);
    serde_json::to_writer(&mut bytes, &line).expect("strings and numbers, into memory");
    bytes.push(b'\n');
    bytes
}

/// Settles a request: metrics, and the access log's line.
pub fn settle(record: &Record, metrics: &Arc<Metrics>, log: &Log) {
    let (cloud, endpoint) = record.place();
    let labels = Labels {
        cloud,
        endpoint,
        surface: record.surface_name(),
        grade: record.grade().as_str(),
        class: record.class().as_str(),
        outcome: record.outcome,
    };
    let seconds = |to: Instant| to.saturating_duration_since(record.arrived).as_secs_f64();
    metrics.settled(code(record), &labels, |settled| {
        settled.requests.increment(1);
        settled.request_seconds.record(seconds(Instant::now()));
        settled.request_bytes.increment(record.request_bytes);
        settled.response_bytes.increment(record.response_bytes);
        if let Some(first_byte) = record.first_byte {
            settled.first_byte_seconds.record(seconds(first_byte));
        }
    });
    if let Some(decided) = record.decided {
        metrics.decision_seconds.record(seconds(decided));
    }
    metrics.refused(record.reason);
    log.line(record, metrics);
}

/// A number for the labels: equal numbers mean equal labels as long as the generation is the same, and that is in it.
fn code(record: &Record) -> u64 {
    let endpoint = record.endpoint.map_or(0xffff, |endpoint| u64::from(endpoint.0));
    let surface = record.surface.map_or(0xffff, |surface| surface as u64 & 0xffff);
    let generation = record.snapshot.generation & 0x00ff_ffff;
    // Without a decision the class is that of grade unknown, so the grade settles the class.
    generation << 40 ^ endpoint << 24 ^ surface << 8 ^ (record.grade() as u64) << 4 ^ record.outcome as u64
}

/// How long the upkeep of histograms may wait.
pub const UPKEEP_EVERY: Duration = Duration::from_secs(5);
