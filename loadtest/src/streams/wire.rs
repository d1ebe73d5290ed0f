//! One stream on its connection, read with next to no memory: events are counted and timed, not parsed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{MemoryPoint, StreamsPlan};
use crate::cloud::{NONCE_HEADER, SCRIPT_HEADER, Script};
use crate::report::Spread;

/// What every stream sends, and how long it waits.
pub(super) struct Ask {
    address: String,
    head: String,
    body: String,
    within: Duration,
}

impl Ask {
    pub(super) fn new(plan: &StreamsPlan, script: Script) -> Result<Ask, String> {
        let target = &plan.target;
        let uri: http::Uri = target.parse().map_err(|error| format!("{target:?} is no URL: {error}"))?;
        let (Some("http"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(format!("{target:?} is no http:// URL"));
        };
        let credential = plan.credential.as_ref().map(|key| format!("authorization: Bearer {key}\r\n"));
        let credential = credential.unwrap_or_default();
        if credential.matches('\n').count() > 1 {
            return Err("the credential is no header value".to_owned());
        }
        let body = serde_json::json!({
            "model": plan.model, "stream": true, "messages": [{"role": "user", "content": "Tell me slowly."}],
        });
        let body = body.to_string();
        let head = format!(
            "POST {}/chat/completions HTTP/1.1\r\nhost: {authority}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n{SCRIPT_HEADER}: {script}\r\n{credential}",
            uri.path().trim_end_matches('/'),
            body.len()
        );
        let address = format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80));
        Ok(Ask { address, head, body, within: plan.within + plan.gap })
    }
}

/// What all streams count.
pub(super) struct Shared {
    pub(super) open: AtomicUsize,
    pub(super) broken: AtomicUsize,
    pub(super) chunks: AtomicU64,
    /// The clients close from here on: what ends now is not broken.
    pub(super) closing: AtomicBool,
    begun: AtomicUsize,
    gaps: Mutex<Histogram<u64>>,
    reasons: Mutex<BTreeMap<String, u64>>,
    memory: Mutex<Vec<MemoryPoint>>,
}

const HELD: &str = "no code panics while it holds this";

impl Shared {
    pub(super) fn new() -> Self {
        let gaps = Histogram::new_with_max(3_600_000_000, 3)
            .expect("an hour in microseconds to three digits is in range");
        Shared {
            open: AtomicUsize::new(0),
            broken: AtomicUsize::new(0),
            chunks: AtomicU64::new(0),
            closing: AtomicBool::new(false),
            begun: AtomicUsize::new(0),
            gaps: Mutex::new(gaps),
            reasons: Mutex::default(),
            memory: Mutex::default(),
        }
    }

    /// Streams that have been opened, or have failed before.
    pub(super) fn begun(&self) -> usize {
        self.begun.load(Ordering::Relaxed)
    }

    pub(super) fn reasons(&self) -> BTreeMap<String, u64> {
        self.reasons.lock().expect(HELD).clone()
    }

    pub(super) fn gaps(&self) -> Spread {
        let gaps = self.gaps.lock().expect(HELD);
        Spread {
            count: gaps.len(),
            p50_us: gaps.value_at_quantile(0.5),
            p90_us: gaps.value_at_quantile(0.9),
            p99_us: gaps.value_at_quantile(0.99),
            max_us: gaps.max(),
        }
    }

    pub(super) fn look(&self, point: MemoryPoint) {
        self.memory.lock().expect(HELD).push(point);
    }

    pub(super) fn memory(&self) -> Vec<MemoryPoint> {
        self.memory.lock().expect(HELD).clone()
    }

    fn add_chunks(&self, count: u64, gap: Option<Duration>) {
        self.chunks.fetch_add(count, Ordering::Relaxed);
        if let Some(gap) = gap {
            let us = u64::try_from(gap.as_micros()).unwrap_or(u64::MAX);
            self.gaps.lock().expect(HELD).saturating_record(us);
        }
    }
}

/// Opens a stream and reads it until it ends, which it should not, or its task is ended.
pub(super) async fn stream(number: usize, ask: Arc<Ask>, shared: Arc<Shared>) {
    let mut reader = Reader { shared: &shared, open: false, last: None, after_newline: false };
    let why = reader.run(number, &ask).await;
    if shared.closing.load(Ordering::Relaxed) {
        return;
    }
    shared.broken.fetch_add(1, Ordering::Relaxed);
    if !reader.open {
        shared.begun.fetch_add(1, Ordering::Relaxed);
    }
    *shared.reasons.lock().expect(HELD).entry(why).or_default() += 1;
}

struct Reader<'a> {
    shared: &'a Shared,
    open: bool,
    last: Option<Instant>,
    after_newline: bool,
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        if self.open {
            self.shared.open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Reader<'_> {
    /// Why the stream ended.
    async fn run(&mut self, number: usize, ask: &Ask) -> String {
        let opened = tokio::time::timeout(ask.within, self.send(number, ask)).await;
        let mut stream = match opened {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return format!("connecting: {}", error.kind()),
            Err(_) => return "connecting: not within the time allowed".to_owned(),
        };
        let mut buffer = [0u8; 1024];
        let mut head = Vec::new();
        loop {
            let read = match tokio::time::timeout(ask.within, stream.read(&mut buffer)).await {
                Ok(Ok(0)) => return "the connection was closed".to_owned(),
                Ok(Ok(read)) => &buffer[..read],
                Ok(Err(error)) => return format!("reading: {}", error.kind()),
                Err(_) => return "silence".to_owned(),
            };
            if self.open {
                if let Some(why) = self.body(read) {
                    return why;
                }
                continue;
            }
            head.extend_from_slice(read);
            let Some(end) = memchr::memmem::find(&head, b"\r\n\r\n") else { continue };
            if !head.starts_with(b"HTTP/1.1 200 ") {
                let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
                return String::from_utf8_lossy(line).into_owned();
            }
            if head.len() == end + 4 {
                continue; // the stream counts as open with its first chunk
            }
            self.open = true;
            self.shared.open.fetch_add(1, Ordering::Relaxed);
            self.shared.begun.fetch_add(1, Ordering::Relaxed);
            let rest = std::mem::take(&mut head); // the memory goes back
            if let Some(why) = self.body(&rest[end + 4..]) {
                return why;
            }
        }
    }

    async fn send(&self, number: usize, ask: &Ask) -> std::io::Result<TcpStream> {
        let mut stream = TcpStream::connect(&ask.address).await?;
        stream.set_nodelay(true)?;
        let Ask { head, body, .. } = ask;
        let request = format!("{head}{NONCE_HEADER}: stream-{number:016x}\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).await?;
        Ok(stream)
    }

    /// Counts the events that end in `bytes`; says why if the stream itself does.
    fn body(&mut self, bytes: &[u8]) -> Option<String> {
        let mut events = 0;
        for at in memchr::memchr_iter(b'\n', bytes) {
            let doubled = if at == 0 { self.after_newline } else { bytes[at - 1] == b'\n' };
            events += u64::from(doubled);
        }
        self.after_newline = bytes.last() == Some(&b'\n');
        if events > 0 {
            let now = Instant::now();
            self.shared.add_chunks(events, self.last.map(|last| now - last));
            self.last = Some(now);
        }
        let last_chunk = bytes.ends_with(b"\r\n0\r\n\r\n") || bytes == b"0\r\n\r\n";
        last_chunk.then(|| "the stream was ended".to_owned())
    }
}
