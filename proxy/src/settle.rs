//! Stage 12, **settle**: write it down, once, and never wait.
//!
//! One JSON line a request, from an allow-list of fields: no path, no header, no body, no credential. Session and tenant are keyed
//! digests. Lines go through a bounded queue to a thread of its own; when that is behind, lines are dropped and counted.

use crate::metrics::{Labels, Metrics};
use crate::record::Record;
use riparian_config::AccessLog;
use serde_json::{Map, Value, json};
use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Lines that wait for the writer: at some 600 bytes each about 5 MB.
const QUEUE: usize = 8192;

/// The access log's writer.
#[derive(Debug)]
pub struct Log {
    queue: Option<SyncSender<Entry>>,
    writer: Option<JoinHandle<()>>,
}

/// What the writer gets.
#[derive(Debug)]
enum Entry {
    Line(Vec<u8>),
    /// Answered when all lines before it are written.
    Flush(SyncSender<()>),
}

impl Log {
    /// Opens the log.
    ///
    /// # Errors
    /// When its file cannot be opened, or no thread can be had.
    pub fn open(target: &AccessLog) -> io::Result<Self> {
        let out: Box<dyn Write + Send> = match target {
            AccessLog::Off => return Ok(Self { queue: None, writer: None }),
            AccessLog::Stdout => Box::new(io::stdout()),
            AccessLog::Stderr => Box::new(io::stderr()),
            AccessLog::File(path) => Box::new(OpenOptions::new().create(true).append(true).open(path)?),
        };
        let (queue, lines) = sync_channel(QUEUE);
        let writer =
            std::thread::Builder::new().name("access-log".to_owned()).spawn(move || write(&lines, out))?;
        Ok(Self { queue: Some(queue), writer: Some(writer) })
    }

    fn line(&self, record: &Record, metrics: &Metrics) {
        let Some(queue) = &self.queue else { return };
        let mut line = line(record, &riparian_config::Timestamp::now().to_string()).into_bytes();
        line.push(b'\n');
        if queue.try_send(Entry::Line(line)).is_err() {
            metrics.log_dropped.increment(1);
        }
    }

    /// Waits until every line so far is written, at most a second.
    pub fn flush(&self) {
        let Some(queue) = &self.queue else { return };
        let (done, written) = sync_channel(1);
        if queue.send(Entry::Flush(done)).is_ok() {
            // A writer that is stuck in its file does not keep the process.
            let _ = written.recv_timeout(Duration::from_secs(1));
        }
    }
}

impl Drop for Log {
    /// Waits until every line is written.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has nothing left to write.
            let _ = writer.join();
        }
    }
}

/// Writes what waits in one go, and flushes when nothing does. A reader of standard output that went away must not stop the
/// proxy: its lines are lost, the requests are not.
fn write(entries: &Receiver<Entry>, out: Box<dyn Write + Send>) {
    let mut out = BufWriter::with_capacity(64 * 1024, out);
    while let Ok(first) = entries.recv() {
        let mut waiting = vec![];
        for entry in std::iter::once(first).chain(std::iter::from_fn(|| entries.try_recv().ok())) {
            match entry {
                Entry::Line(line) => {
                    let _ = out.write_all(&line);
                }
                Entry::Flush(done) => waiting.push(done),
            }
        }
        let _ = out.flush();
        for done in waiting {
            let _ = done.send(());
        }
    }
}

fn micros(from: Instant, to: Option<Instant>) -> Option<u64> {
    to.map(|to| u64::try_from(to.saturating_duration_since(from).as_micros()).unwrap_or(u64::MAX))
}

fn line(record: &Record, time: &str) -> String {
    let (cloud, endpoint) = record.place();
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    put("time", json!(time));
    put("decision", json!(record.id.to_string()));
    put("config", json!(record.snapshot.hash));
    put("method", json!(record.method.as_str()));
    put("surface", json!(record.surface_name()));
    put("grade", json!(record.grade().as_str()));
    put("class", json!(record.class().as_str()));
    put("model", json!(record.model));
    put("handles", json!(record.handles));
    if let Some(decision) = &record.decision {
        let vendors = &record.snapshot.policy.config.surfaces.vendors;
        put("vendor", json!(decision.vendor.map(|vendor| vendors[vendor].name.as_str())));
        put("tenant", json!(decision.tenant.to_string()));
        put("session", json!(decision.session.map(|session| session.id.to_string())));
        put("session_from", json!(decision.session.map(|session| session.source.as_str())));
        put("epoch", json!(decision.epoch));
        put("terms", json!(record.terms().iter().map(|term| term.id.as_str()).collect::<Vec<_>>()));
        put("verdict", json!(decision.verdict.as_str()));
    }
    put("reason", json!(record.reason.as_str()));
    put("cloud", json!(cloud));
    put("endpoint", json!(endpoint));
    put("attempts", json!(record.attempts));
    put("status", json!(record.status));
    put("outcome", json!(record.outcome.as_str()));
    put("stream", json!(record.stream));
    put("request_bytes", json!(record.request_bytes));
    put("response_bytes", json!(record.response_bytes));
    put("decision_us", json!(micros(record.arrived, record.decided)));
    put("first_byte_us", json!(micros(record.arrived, record.first_byte)));
    put("duration_us", json!(micros(record.arrived, Some(Instant::now()))));
    Value::Object(fields).to_string()
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
