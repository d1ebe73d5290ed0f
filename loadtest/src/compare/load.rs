//! The clients of a comparison. Two kinds, because they answer two questions:
//!
//! - [`Closed`]: so many connections, one request at a time on each, as fast as they are answered, all on one thread. It
//!   saturates a proxy, or keeps a number of streams running, at the least cost in CPU time, which the proxy needs.
//! - [`Open`]: requests at fixed instants, by threads that sleep until one is due. A sleeping thread wakes within some 50 us
//!   where a timer wheel is out by a millisecond, which would drown the latencies that are asked for. A thread that is
//!   late because its last request was slow counts from when the next was due.
//!
//! Every answer is checked; the first wrong one ends a load, and [`Load::stop`] returns it.

use std::cell::RefCell;
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::task::LocalSet;

use super::curve::Curve;
use super::reply::{Expect, Progress, Reply};

/// No answer takes longer: what stands still for so long has failed.
const PATIENCE: Duration = Duration::from_secs(20);
/// One read takes at most this.
const SCRATCH_BYTES: usize = 256 << 10;

/// What to send over and over.
#[derive(Clone, Debug)]
pub(crate) struct Shot {
    pub(crate) address: SocketAddr,
    /// Requests, taken in turn.
    pub(crate) requests: Arc<Vec<Vec<u8>>>,
    pub(crate) expect: Expect,
}

/// What running loads have come to; read while they run.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Requests answered.
    pub(crate) answered: AtomicU64,
    /// Events of streams read.
    pub(crate) events: AtomicU64,
    /// Chunks of the transfer coding that carried them.
    pub(crate) frames: AtomicU64,
    /// Connections that were opened after the first of each client: a target that keeps closing pays for it.
    pub(crate) reopened: AtomicU64,
    /// While set, times are kept.
    pub(crate) measuring: AtomicBool,
    stop: AtomicBool,
}

/// Times, while [`Tally::measuring`] was set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Times {
    /// From the request (or when it was due) to the answer's end.
    pub(crate) whole: Curve,
    /// From the request to the first piece of the answer's body.
    pub(crate) first: Curve,
    /// Between two pieces of a stream.
    pub(crate) gap: Curve,
    /// From the cloud's write of a chunk to our read of it.
    pub(crate) transit: Curve,
}

impl Times {
    pub(crate) fn add(&mut self, other: &Times) {
        self.whole.add(&other.whole);
        self.first.add(&other.first);
        self.gap.add(&other.gap);
        self.transit.add(&other.transit);
    }
}

/// A running load.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) tally: Arc<Tally>,
    threads: Vec<JoinHandle<Result<Times, String>>>,
}

impl Load {
    /// Ends it.
    ///
    /// # Errors
    /// An answer was wrong or missing: which, and how.
    pub(crate) fn stop(mut self) -> Result<Times, String> {
        self.tally.stop.store(true, Ordering::Relaxed);
        let mut times = Times::default();
        for thread in self.threads.drain(..) {
            let ended = thread.join().map_err(|_| "a client panicked".to_owned())?;
            times.add(&ended?);
        }
        Ok(times)
    }

    /// Whether a client has given up.
    pub(crate) fn has_failed(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.tally.stop.store(true, Ordering::Relaxed);
    }
}

/// So many connections, as fast as they are answered.
#[derive(Clone, Debug)]
pub(crate) struct Closed {
    pub(crate) shot: Shot,
    pub(crate) connections: usize,
    /// The pause between the first requests of two connections, so that paced streams do not tick together.
    pub(crate) stagger: Duration,
}

impl Closed {
    pub(crate) fn start(self) -> Load {
        let tally = Arc::new(Tally::default());
        let shared = Arc::clone(&tally);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| error.to_string())?;
            LocalSet::new().block_on(&runtime, self.run(&shared))
        });
        Load { tally, threads: vec![thread] }
    }

    async fn run(self, tally: &Arc<Tally>) -> Result<Times, String> {
        let scratch = Rc::new(RefCell::new(vec![0; SCRATCH_BYTES]));
        let times = Rc::new(RefCell::new(Times::default()));
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..self.connections.max(1) {
            let client = Client {
                shot: self.shot.clone(),
                tally: Arc::clone(tally),
                scratch: Rc::clone(&scratch),
                times: Rc::clone(&times),
            };
            tasks.spawn_local(client.run(number));
            tokio::time::sleep(self.stagger).await;
        }
        while let Some(ended) = tasks.join_next().await {
            ended.map_err(|error| error.to_string())??;
        }
        Ok(times.take())
    }
}

/// One connection of a closed load.
struct Client {
    shot: Shot,
    tally: Arc<Tally>,
    scratch: Rc<RefCell<Vec<u8>>>,
    times: Rc<RefCell<Times>>,
}

impl Client {
    async fn run(self, number: usize) -> Result<(), String> {
        let mut stream = connect(self.shot.address).await?;
        let mut reply = Reply::new(self.shot.expect.clone());
        let mut next = number;
        while !self.tally.stop.load(Ordering::Relaxed) {
            let request = &self.shot.requests[next % self.shot.requests.len()];
            next += 1;
            let exchange = self.exchange(&mut stream, &mut reply, request);
            match tokio::time::timeout(PATIENCE, exchange).await {
                Err(_) => return Err(format!("no whole answer within {PATIENCE:?}")),
                Ok(Err(why)) => return Err(why),
                Ok(Ok(true)) => {}
                Ok(Ok(false)) => {
                    self.tally.reopened.fetch_add(1, Ordering::Relaxed);
                    stream = connect(self.shot.address).await?;
                }
            }
        }
        Ok(())
    }

    /// Whether the connection may be used again. A stream is not waited for once the load is to stop.
    async fn exchange(
        &self,
        stream: &mut TcpStream,
        reply: &mut Reply,
        request: &[u8],
    ) -> Result<bool, String> {
        reply.reset();
        let start = Instant::now();
        tokio::io::AsyncWriteExt::write_all(stream, request).await.map_err(|error| error.to_string())?;
        let (mut events, mut frames) = (0, 0);
        let mut last = None;
        loop {
            stream.readable().await.map_err(|error| error.to_string())?;
            let progress = {
                let mut scratch = self.scratch.borrow_mut();
                match stream.try_read(&mut scratch) {
                    Ok(0) => return Err("the connection ended before the answer did".to_owned()),
                    Ok(read) => reply.feed(&scratch[..read])?,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                    Err(error) => return Err(error.to_string()),
                }
            };
            self.tally.events.fetch_add(reply.events() - events, Ordering::Relaxed);
            self.tally.frames.fetch_add(reply.frames() - frames, Ordering::Relaxed);
            (events, frames) = (reply.events(), reply.frames());
            self.note(reply, progress, start, &mut last);
            if progress.done {
                self.tally.answered.fetch_add(1, Ordering::Relaxed);
                return Ok(reply.stays());
            }
            if self.tally.stop.load(Ordering::Relaxed) && matches!(self.shot.expect, Expect::Stream { .. }) {
                return Ok(false);
            }
        }
    }

    fn note(&self, reply: &mut Reply, progress: Progress, start: Instant, last: &mut Option<Instant>) {
        let transits = reply.transits();
        if !self.tally.measuring.load(Ordering::Relaxed) {
            return;
        }
        let now = Instant::now();
        let mut times = self.times.borrow_mut();
        transits.for_each(|nanos| times.transit.record_nanos(nanos));
        if progress.begun {
            match last {
                None => times.first.record(now - start),
                Some(last) => times.gap.record(now - *last),
            }
            *last = Some(now);
        }
        if progress.done {
            times.whole.record(now - start);
        }
    }
}

pub(crate) async fn connect(address: SocketAddr) -> Result<TcpStream, String> {
    let stream = TcpStream::connect(address).await.map_err(|error| format!("{address}: {error}"))?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    Ok(stream)
}

/// Requests at fixed instants.
#[derive(Clone, Debug)]
pub(crate) struct Open {
    pub(crate) shot: Shot,
    /// Requests a second, evenly spaced.
    pub(crate) rate: f64,
    /// Threads, each with a connection; each takes every n-th request. An answer that takes longer than `threads / rate`
    /// makes the thread's next request late, and the delay is counted in its time.
    pub(crate) threads: u32,
}

impl Open {
    pub(crate) fn start(self) -> Load {
        let tally = Arc::new(Tally::default());
        let begin = Instant::now() + Duration::from_millis(20);
        let threads = (0..self.threads).map(|number| {
            let (open, tally) = (self.clone(), Arc::clone(&tally));
            std::thread::spawn(move || open.run(number, begin, &tally))
        });
        let threads = threads.collect();
        Load { tally, threads }
    }

    fn run(&self, number: u32, begin: Instant, tally: &Tally) -> Result<Times, String> {
        let mut times = Times::default();
        let mut scratch = vec![0; SCRATCH_BYTES];
        let mut stream = dial(self.shot.address)?;
        let mut reply = Reply::new(self.shot.expect.clone());
        for turn in 0.. {
            let arrival = u64::from(number) + turn * u64::from(self.threads);
            #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
            let due = begin + Duration::from_secs_f64(arrival as f64 / self.rate);
            let idle = Instant::now() < due;
            // Waking is the sleep's own business: it may be late by the timer's slack, which is none of the target's.
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if tally.stop.load(Ordering::Relaxed) {
                break;
            }
            let start = if idle { Instant::now() } else { due };
            let index = usize::try_from(arrival).unwrap_or(0) % self.shot.requests.len();
            let first = exchange(&mut stream, &mut reply, &self.shot.requests[index], &mut scratch)?;
            let end = Instant::now();
            tally.answered.fetch_add(1, Ordering::Relaxed);
            tally.events.fetch_add(reply.events(), Ordering::Relaxed);
            tally.frames.fetch_add(reply.frames(), Ordering::Relaxed);
            if tally.measuring.load(Ordering::Relaxed) {
                times.whole.record(end - start);
                times.first.record(first - start);
            }
            if !reply.stays() {
                tally.reopened.fetch_add(1, Ordering::Relaxed);
                stream = dial(self.shot.address)?;
            }
        }
        Ok(times)
    }
}

fn dial(address: SocketAddr) -> Result<std::net::TcpStream, String> {
    let open = || {
        let stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    };
    open().map_err(|error: io::Error| format!("{address}: {error}"))
}

/// One exchange on a blocking connection; when the first piece of the body came.
fn exchange(
    stream: &mut std::net::TcpStream,
    reply: &mut Reply,
    request: &[u8],
    scratch: &mut [u8],
) -> Result<Instant, String> {
    reply.reset();
    stream.write_all(request).map_err(|error| error.to_string())?;
    let mut first = None;
    loop {
        let read = stream.read(scratch).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => format!("no whole answer within {PATIENCE:?}"),
            _ => error.to_string(),
        })?;
        if read == 0 {
            return Err("the connection ended before the answer did".to_owned());
        }
        let now = Instant::now();
        let progress = reply.feed(&scratch[..read])?;
        if progress.begun {
            first.get_or_insert(now);
        }
        if progress.done {
            return Ok(first.unwrap_or(now));
        }
    }
}

/// One request on a connection of its own; the answer's body, where it is short.
///
/// # Errors
/// The answer is wrong or missing.
pub(crate) fn once(address: SocketAddr, request: &[u8], expect: Expect) -> Result<Vec<u8>, String> {
    let mut reply = Reply::new(expect);
    exchange(&mut dial(address)?, &mut reply, request, &mut vec![0; 16 << 10])?;
    Ok(reply.text().to_vec())
}

/// Sends `total` requests on a few connections, as fast as they are answered, and hands each answer's body to `take`.
///
/// # Errors
/// An answer is wrong or missing.
pub(crate) fn all(shot: &Shot, total: u64, take: impl Fn(&[u8]) + Send + Sync) -> Result<(), String> {
    let (next, failed) = (AtomicU64::new(0), Mutex::new(None));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let run = || -> Result<(), String> {
                    let mut stream = dial(shot.address)?;
                    let mut reply = Reply::new(shot.expect.clone());
                    let mut scratch = vec![0; 16 << 10];
                    while next.fetch_add(1, Ordering::Relaxed) < total {
                        exchange(&mut stream, &mut reply, &shot.requests[0], &mut scratch)?;
                        take(reply.text());
                    }
                    Ok(())
                };
                if let Err(why) = run() {
                    failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
                }
            });
        }
    });
    failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}
