//! Stage 12, **settle**: write it down, once, and never wait.
//!
//! One JSON line a request, from an allow-list of fields: no path, no header, no body, no credential. Session and tenant are keyed
//! digests. Lines go through a bounded queue to a thread of its own; when that is behind, lines are dropped and counted.

use crate::house::House;
use crate::locks::Mutex;
use crate::metrics::{Diverged, Divergence, Labels, Metrics, Outcome};
use crate::record::Record;
use crate::sessions::Sessions;
use crossbeam_queue::ArrayQueue;
use riparian_config::{AccessLog, OnExpiry};
use riparian_filters::decision::Reason;
use std::fmt;
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
        if lines.ring.push(line(record)).is_err() {
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
            if !self.ended.load(Ordering::Acquire) {
                std::thread::sleep(GATHER);
            }
            // Whoever comes after this tells again; whoever came before is served now, the end included.
            self.told.swap(false, Ordering::AcqRel);
            let ended = self.ended.load(Ordering::Acquire);
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

/// A line's members, in their order. Only what is named where it is put is ever written.
///
/// Put together by hand: a general serializer looks for escapes in every key and every word, which was a fifth of a request's
/// instructions. Words of ours and names of the configuration have none; what a client said goes through `serde_json`.
struct Members(Vec<u8>);

impl Members {
    fn raw(&mut self, key: &str, value: &[u8]) {
        let line = &mut self.0;
        line.extend_from_slice(if line.is_empty() { b"{\"" } else { b",\"" });
        line.extend_from_slice(key.as_bytes());
        line.extend_from_slice(b"\":");
        line.extend_from_slice(value);
    }

    /// A word of ours, or a name that the configuration was checked to have.
    fn word(&mut self, key: &str, value: &str) {
        debug_assert!(is_plain(value), "{key}: {value:?} has to be escaped");
        self.raw(key, b"\"");
        self.0.extend_from_slice(value.as_bytes());
        self.0.push(b'"');
    }

    fn word_or_null(&mut self, key: &str, value: Option<&str>) {
        match value {
            Some(value) => self.word(key, value),
            None => self.raw(key, b"null"),
        }
    }

    /// What shows itself in plain characters.
    fn shown(&mut self, key: &str, value: Option<impl fmt::Display>) {
        let Some(value) = value else { return self.raw(key, b"null") };
        self.raw(key, b"\"");
        // Writing into memory does not fail.
        let _ = write!(self.0, "{value}");
        self.0.push(b'"');
    }

    /// What somebody else said.
    fn text_or_null(&mut self, key: &str, value: Option<&str>) {
        self.raw(key, b"");
        serde_json::to_writer(&mut self.0, &value).expect("a string, into memory");
    }

    fn number(&mut self, key: &str, value: u64) {
        self.raw(key, itoa::Buffer::new().format(value).as_bytes());
    }

    fn number_or_null(&mut self, key: &str, value: Option<u64>) {
        match value {
            Some(value) => self.number(key, value),
            None => self.raw(key, b"null"),
        }
    }

    fn words<'a>(&mut self, key: &str, values: impl Iterator<Item = &'a str>) {
        self.raw(key, b"[");
        for (number, value) in values.enumerate() {
            debug_assert!(is_plain(value), "{key}: {value:?} has to be escaped");
            self.0.extend_from_slice(if number == 0 { b"\"" } else { b",\"" });
            self.0.extend_from_slice(value.as_bytes());
            self.0.push(b'"');
        }
        self.0.push(b']');
    }

    fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(b"}\n");
        self.0
    }
}

/// Whether a JSON string of this text needs no escape.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\')
}

fn line(record: &Record) -> Vec<u8> {
    let (cloud, endpoint) = record.place();
    let decision = record.decision.as_ref();
    let session = decision.and_then(|decision| decision.session);
    let config = &record.snapshot.policy.config;
    let vendor = decision.and_then(|decision| Some(config.surfaces.vendors[decision.vendor?].name.as_str()));
    let mut line = Members(Vec::with_capacity(1024));
    line.shown("time", Some(riparian_config::Timestamp::now()));
    line.shown("decision", Some(record.id));
    line.word("config", &record.snapshot.hash);
    // Any token may be a method; none has a quote or a backslash (RFC 9110, 5.6.2).
    line.word("method", record.method.as_str());
    line.word("surface", record.surface_name());
    line.word("grade", record.grade().as_str());
    line.word("class", record.class().as_str());
    line.text_or_null("model", record.model.as_deref());
    line.word_or_null("vendor", vendor);
    line.number("handles", record.handles as u64);
    line.shown("tenant", decision.map(|decision| decision.tenant));
    line.word_or_null("caller", record.caller_name());
    line.shown("session", session.map(|session| session.id));
    line.word_or_null("session_from", session.map(|session| session.source.as_str()));
    let evidence = record.evidence.as_ref();
    line.number_or_null("session_turn", evidence.map(|evidence| evidence.turn));
    let millis = |age: Duration| u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
    line.number_or_null("session_age_ms", evidence.map(|evidence| millis(evidence.age)));
    line.number_or_null("session_handles", evidence.map(|evidence| evidence.handles));
    line.shown("parent_session", record.parent);
    line.number_or_null("epoch", decision.map(|decision| u64::from(decision.epoch)));
    line.raw("in_band", if decision.is_some_and(|decision| decision.in_band) { b"true" } else { b"false" });
    line.word_or_null("lease", decision.and_then(|decision| decision.lease).map(OnExpiry::as_str));
    line.words("terms", record.terms().map(|term| term.id.as_str()));
    line.word_or_null("verdict", decision.map(|decision| decision.verdict.as_str()));
    line.word("reason", record.reason.as_str());
    line.word("cloud", cloud);
    line.word("endpoint", endpoint);
    line.number("attempts", u64::from(record.attempts));
    line.number("status", u64::from(record.status));
    line.word("outcome", record.outcome.as_str());
    line.raw("stream", if record.stream { b"true" } else { b"false" });
    line.number("request_bytes", record.request_bytes);
    line.number("response_bytes", record.response_bytes);
    if let Some(close) = record.socket.close {
        line.number("close", u64::from(close));
        line.number("messages_received", record.socket.received);
        line.number("messages_refused", record.socket.refused);
        line.number("messages_sent", record.socket.sent);
    }
    line.number_or_null("decision_us", micros(record.arrived, record.decided));
    line.number_or_null("first_byte_us", micros(record.arrived, record.first_byte));
    line.number_or_null("duration_us", micros(record.arrived, Some(Instant::now())));
    line.end()
}

/// Settles a request: metrics, and the access log's line.
pub(crate) fn settle(record: &Record, house: &House) {
    let House { metrics, sessions, log, .. } = house;
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
    // Whoever went away in the middle of a request was not refused.
    if record.outcome != Outcome::ClientAbort {
        metrics.refused(record.reason);
    }
    diverge(record, metrics, sessions);
    log.line(record, metrics);
}

/// Counts under which other readings the request would have come out otherwise. Nothing is sent anywhere to find out.
fn diverge(record: &Record, metrics: &Metrics, sessions: &Sessions) {
    let Some(decision) = &record.decision else { return };
    metrics.contract.band.increment(u64::from(decision.in_band));
    metrics.contract.leases.increment(u64::from(decision.lease.is_some()));
    let Some(shadow) = &decision.shadow else { return };
    let policy = &record.snapshot.policy;
    let went = decision.verdict.endpoints().first().map(|first| record.endpoint.unwrap_or(*first));
    let outcome = match went.map(|endpoint| policy.place(endpoint).cloud) {
        Some(cloud) if shadow.clouds.contains(cloud) => return,
        Some(_) if shadow.clouds.is_empty() => "refused",
        Some(_) => "elsewhere",
        None if shadow.clouds.is_empty() || !is_contracts(record.reason) => return,
        None => "allowed",
    };
    let contract = &policy.config.contract;
    for (number, reading) in contract.readings.iter().enumerate() {
        if decision.classes.of(number) == decision.class {
            continue;
        }
        let session = decision.session.is_some_and(|session| sessions.diverges(session.id, number));
        let diverged = Diverged { tokens: 0, session };
        let count = |term: &str| {
            metrics.diverged(Divergence { reading: reading.name.as_str(), term, outcome }, diverged);
        };
        match &shadow.terms[..] {
            [] => count("none"),
            terms => terms.iter().for_each(|term| count(contract.terms[usize::from(*term)].id.as_str())),
        }
    }
}

/// Whether it is the contract that refuses, and not a pin, a limit or a fault.
fn is_contracts(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::NoTerm
            | Reason::TermsConflict
            | Reason::Forbidden
            | Reason::ReadingsDisagree
            | Reason::OwnerNotDesignated
    )
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_json_whatever_a_client_says() {
        let said = "a \"model\"\\\n\u{1}é";
        let mut line = Members(Vec::new());
        line.word("grade", "pure");
        line.text_or_null("model", Some(said));
        line.text_or_null("none", None);
        line.words("terms", ["a", "b"].into_iter());
        line.number("n", u64::MAX);
        line.number_or_null("m", None);
        line.shown("id", Some(7));
        line.raw("stream", b"true");
        let line = line.end();
        let expected = serde_json::json!({
            "grade": "pure", "model": said, "none": null, "terms": ["a", "b"], "n": u64::MAX, "m": null, "id": "7", "stream": true
        });
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&line).unwrap(), expected);
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1, "one line");
    }
}
