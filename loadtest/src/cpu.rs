//! What a request costs: kept-alive connections post the same chat completion over and over, and the CPU time of the
//! process tree that serves it is read before and after. Made for comparing two proxies in front of the same cloud.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::{AbortHandle, JoinSet};

use crate::compare::tree::Tree;
use crate::report::Spread;

/// What to send, and whose CPU time to read.
#[derive(Clone, Debug)]
pub struct CpuPlan {
    /// Base URL as an SDK has it; clear HTTP/1.1.
    pub target: String,
    /// The process whose CPU time is read, with its children; none: nobody's.
    pub pid: Option<u32>,
    /// How long is measured, after `warm_up`.
    pub duration: Duration,
    /// Runs before the measurement. Default 1 s: connections are opened, caches warm.
    pub warm_up: Duration,
    /// Connections, each with one request at a time.
    pub concurrency: usize,
    /// The body's length; a shorter one than its fixed fields need is not made.
    pub body_bytes: usize,
    /// Requests a second in all; none: as many as the connections can carry.
    pub rate: Option<f64>,
    /// The model that is asked for.
    pub model: String,
    /// Sent as a bearer token.
    pub credential: Option<String>,
}

/// What was measured.
#[derive(Clone, Copy, Debug)]
pub struct CpuReport {
    /// Requests answered with a status below 400.
    pub requests: u64,
    /// Requests answered otherwise, or not at all.
    pub failed: u64,
    /// How long was measured.
    pub elapsed: Duration,
    /// Latency; with a rate, from when a request was due.
    pub latency: Spread,
    /// CPU time (user and system) of the process tree in that time.
    pub cpu: Option<Duration>,
}

impl CpuReport {
    /// Requests a second.
    pub fn rate(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
        let requests = self.requests as f64;
        requests / self.elapsed.as_secs_f64()
    }

    /// CPU microseconds a request.
    pub fn cpu_us_per_request(&self) -> Option<f64> {
        Some(self.cpu?.as_secs_f64() * 1e6 / (self.rate() * self.elapsed.as_secs_f64()))
    }
}

impl std::fmt::Display for CpuReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let CpuReport { requests, failed, elapsed, latency, .. } = self;
        let Spread { p50_us, p99_us, .. } = latency;
        let (seconds, rate) = (elapsed.as_secs_f64(), self.rate());
        write!(f, "{requests} requests in {seconds:.1} s ({failed} failed), {rate:.0} a second, ")?;
        write!(f, "p50 {p50_us} us, p99 {p99_us} us")?;
        match self.cpu_us_per_request() {
            Some(us) => write!(f, ", {us:.1} CPU us a request"),
            None => Ok(()),
        }
    }
}

/// Runs the plan.
///
/// # Errors
/// The target is no `http://` URL or refuses connections; the process does not exist.
pub async fn run(plan: &CpuPlan) -> io::Result<CpuReport> {
    let uri: Uri = format!("{}/chat/completions", plan.target.trim_end_matches('/'))
        .parse()
        .map_err(io::Error::other)?;
    let job = Arc::new(Job {
        address: address(&uri)?,
        request: request(&uri, plan)?,
        rate: plan.rate,
        start: Instant::now(),
        next: AtomicU64::new(0),
        measured_from: Instant::now() + plan.warm_up,
        until: Instant::now() + plan.warm_up + plan.duration,
    });
    let mut workers = JoinSet::new();
    for _ in 0..plan.concurrency.max(1) {
        workers.spawn(work(Arc::clone(&job)));
    }
    tokio::time::sleep_until(job.measured_from.into()).await;
    let read = || plan.pid.map(|pid| Tree::of(pid).cpu()).transpose();
    let before = read()?;
    let from = Instant::now();
    tokio::time::sleep_until(job.until.into()).await;
    let after = read()?;
    let elapsed = from.elapsed();
    let (mut latencies, mut failed) = (Vec::new(), 0);
    while let Some(worked) = workers.join_next().await {
        let worked = worked.map_err(io::Error::other)??;
        latencies.extend(worked.latencies);
        failed += worked.failed;
    }
    let requests = latencies.len() as u64;
    let cpu = before.zip(after).map(|(before, after)| after.since(&before));
    Ok(CpuReport { requests, failed, elapsed, latency: Spread::of(latencies), cpu })
}

struct Job {
    address: String,
    request: Request<Full<Bytes>>,
    rate: Option<f64>,
    start: Instant,
    next: AtomicU64,
    measured_from: Instant,
    until: Instant,
}

#[derive(Default)]
struct Worked {
    latencies: Vec<Duration>,
    failed: u64,
}

fn address(uri: &Uri) -> io::Result<String> {
    match (uri.scheme_str(), uri.authority()) {
        (Some("http"), Some(authority)) => {
            Ok(format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80)))
        }
        _ => Err(io::Error::other(format!("{uri} is no http:// URL"))),
    }
}

fn request(uri: &Uri, plan: &CpuPlan) -> io::Result<Request<Full<Bytes>>> {
    let body = |text: &str| {
        format!(r#"{{"model":"{}","messages":[{{"role":"user","content":"{text}"}}]}}"#, plan.model)
    };
    let padding = plan.body_bytes.saturating_sub(body("").len());
    let mut request = Request::post(uri.path())
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::HOST, uri.authority().map_or("", http::uri::Authority::as_str));
    if let Some(credential) = &plan.credential {
        request = request.header(header::AUTHORIZATION, format!("Bearer {credential}"));
    }
    request.body(Full::new(body(&"x".repeat(padding)).into())).map_err(io::Error::other)
}

/// One connection's loop. It counts what ends within the measured time.
async fn work(job: Arc<Job>) -> io::Result<Worked> {
    let mut worked = Worked::default();
    let mut line = Line::open(&job).await?;
    loop {
        let due = match job.rate {
            None => Instant::now(),
            Some(rate) => {
                #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
                let number = job.next.fetch_add(1, Ordering::Relaxed) as f64;
                job.start + Duration::from_secs_f64(number / rate)
            }
        };
        if due >= job.until {
            return Ok(worked);
        }
        tokio::time::sleep_until(due.into()).await;
        let answered = tokio::time::timeout_at(job.until.into(), line.exchange(&job.request)).await;
        let Ok(answered) = answered else { return Ok(worked) };
        let measured = Instant::now() >= job.measured_from;
        match answered {
            Ok(true) if measured => worked.latencies.push(due.elapsed()),
            Ok(false) if measured => worked.failed += 1,
            Ok(_) => {}
            Err(_) => {
                worked.failed += u64::from(measured);
                line = Line::open(&job).await?;
            }
        }
    }
}

/// A kept-alive connection.
struct Line {
    sender: SendRequest<Full<Bytes>>,
    pump: AbortHandle,
}

impl Line {
    async fn open(job: &Job) -> io::Result<Line> {
        let stream = TcpStream::connect(&job.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        // Its error is also that of the exchange in progress, which is counted there.
        let pump = tokio::spawn(async move { drop(connection.await) }).abort_handle();
        Ok(Line { sender, pump })
    }

    /// Whether the status was below 400.
    async fn exchange(&mut self, request: &Request<Full<Bytes>>) -> hyper::Result<bool> {
        self.sender.ready().await?;
        let mut response = self.sender.send_request(request.clone()).await?;
        while let Some(frame) = response.body_mut().frame().await {
            frame?;
        }
        Ok(response.status().as_u16() < 400)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.pump.abort();
    }
}

/// User and system time of a process and all its descendants that live, from `/proc` (Linux), to 10 ms.
///
/// # Errors
/// There is no such process, or no `/proc`.
pub fn cpu_time(pid: u32) -> io::Result<Duration> {
    Tree::of(pid).cpu().map(|cpu| cpu.total())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn our_own_time_passes() {
        let before = cpu_time(std::process::id()).expect("this process exists");
        let start = Instant::now();
        let mut work = 0u64;
        while start.elapsed() < Duration::from_millis(300) {
            work = work.wrapping_mul(31).wrapping_add(1);
        }
        let after = cpu_time(std::process::id()).expect("this process exists");
        // Other processes may have had the core for a while; some of the time was ours.
        assert!(after > before, "{before:?} -> {after:?} after {work:x}");
        assert!(cpu_time(u32::MAX).is_err());
    }
}
