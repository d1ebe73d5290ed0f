//! The writer: a thread of its own that takes entries out of a bounded ring, writes them, and signs.
//!
//! | `durability` | a request waits until its entry `sent` is | an entry is on the disk within | what no entry can be written for |
//! |---|---|---|---|
//! | `required` | on the disk, with those of all who wait | that wait | is refused: `ledger_unavailable` |
//! | `group` | in the ring | 10 ms, on a disk that takes what it is given | is refused, from when that is known |
//! | `best_effort` | in the ring, if there is room | a second | goes on, and is counted in an entry `gap` |
//!
//! Entries `ended` never wait, and are lost only when the ring is full: then they are counted. A disk that fails is tried again until
//! it takes an entry `gap`, which tells of the failure; from then on requests are carried again.

use super::Durability;
use super::entry::{Entry, Kind};
use super::store::Store;
use crate::locks::Mutex;
use crossbeam_queue::ArrayQueue;
use metrics::{Counter, Gauge, Histogram};
use riparian_config::Timestamp;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Entries that wait for the writer: some 8 MB.
const QUEUE: usize = 8192;

/// Requests are refused from here on, while there is still room for the ends of those that were let in.
const FULL: usize = QUEUE / 4 * 3;

/// A checkpoint is due after as many entries.
const CHECKPOINT_ENTRIES: usize = 1000;

/// And after this time.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);

/// How long entries gather under `group`.
const GATHER: Duration = Duration::from_millis(5);

/// How long they gather under `best_effort`.
const GATHER_LONG: Duration = Duration::from_millis(100);

/// How long a disk that failed is left alone.
const RETRY: Duration = Duration::from_millis(250);

/// How long a request waits for its entry to be on the disk. A disk that takes longer has all but failed.
const WAIT: Duration = Duration::from_secs(5);

/// Refusals that are told one by one in a second; more are counted.
const REFUSALS_A_SECOND: u64 = 100;

/// What is counted of the ledger.
#[derive(Clone, Debug)]
pub struct Meters {
    /// Entries written, by kind.
    pub entries: Arc<[(Kind, Counter)]>,
    /// The size of the tree.
    pub size: Gauge,
    /// Entries in the ring.
    pub queue: Gauge,
    /// Entries that were lost.
    pub lost: Counter,
    /// What a sync of the tail took.
    pub sync_seconds: Histogram,
    /// 1 while none can be written.
    pub unavailable: Gauge,
}

impl Meters {
    /// Handles that count nothing.
    #[must_use]
    pub fn noop() -> Self {
        Self {
            entries: Arc::new([]),
            size: Gauge::noop(),
            queue: Gauge::noop(),
            lost: Counter::noop(),
            sync_seconds: Histogram::noop(),
            unavailable: Gauge::noop(),
        }
    }
}

/// No entry can be written now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unavailable;

/// An entry that will be on the disk.
#[derive(Debug)]
pub struct Kept(Option<oneshot::Receiver<bool>>);

impl Kept {
    /// Whether there is anything to wait for.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        self.0.is_some()
    }

    /// Waits as long as the ledger's durability wants it.
    ///
    /// # Errors
    /// When it did not come to the disk.
    pub async fn wait(self) -> Result<(), Unavailable> {
        let Some(wait) = self.0 else { return Ok(()) };
        // Boxed: every request's state would be larger by it, whoever waits for nothing too.
        match Box::pin(tokio::time::timeout(WAIT, wait)).await {
            Ok(Ok(true)) => Ok(()),
            _ => Err(Unavailable),
        }
    }
}

/// The ledger, as requests have it.
#[derive(Debug)]
pub struct Ledger {
    shared: Arc<Shared>,
    durability: Durability,
    began: Instant,
    /// The second that is being counted in, and how many refusals were told in it.
    told: AtomicU64,
    writer: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    ring: ArrayQueue<Waiting>,
    told: AtomicBool,
    ended: AtomicBool,
    failing: AtomicBool,
    lost: AtomicU64,
    /// Whether there is something in `refused`.
    refusing: AtomicBool,
    refused: Mutex<BTreeMap<&'static str, (u64, String)>>,
    /// Whether somebody waits until every entry so far is signed, and who.
    awaited: AtomicBool,
    flushing: Mutex<Vec<SyncSender<()>>>,
    meters: Meters,
}

impl Shared {
    /// Whether nothing may gather any more.
    fn hurries(&self) -> bool {
        self.ended.load(Ordering::Acquire) || self.awaited.load(Ordering::Acquire)
    }
}

#[derive(Debug)]
struct Waiting {
    kind: Kind,
    entry: Vec<u8>,
    kept: Option<oneshot::Sender<bool>>,
}

impl Ledger {
    /// Begins to write.
    ///
    /// # Errors
    /// When no thread can be had.
    pub(super) fn start(store: Store, durability: Durability, meters: Meters) -> io::Result<Self> {
        #[allow(clippy::cast_precision_loss, reason = "a gauge; a tree of 2^53 entries is far")]
        meters.size.set(store.size() as f64);
        let shared = Arc::new(Shared {
            ring: ArrayQueue::new(QUEUE),
            told: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            failing: AtomicBool::new(false),
            lost: AtomicU64::new(0),
            refusing: AtomicBool::new(false),
            refused: Mutex::default(),
            awaited: AtomicBool::new(false),
            flushing: Mutex::default(),
            meters,
        });
        let writer = Writer {
            shared: Arc::clone(&shared),
            store,
            durability,
            leaving: Vec::new(),
            backlog: Vec::new(),
            failed: None,
            checkpoint: None,
            counting: None,
        };
        let writer = std::thread::Builder::new().name("ledger".to_owned()).spawn(move || writer.write())?;
        Ok(Self { shared, durability, began: Instant::now(), told: AtomicU64::new(0), writer: Some(writer) })
    }

    /// Whether a new request may be carried, as far as the ledger is concerned.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.durability == Durability::BestEffort
            || !self.shared.failing.load(Ordering::Acquire) && self.shared.ring.len() < FULL
    }

    /// Writes down that a request is about to be sent. It may be sent when what this returns has been waited for.
    ///
    /// # Errors
    /// When it may not, since that cannot be written down.
    pub fn offer(&self, entry: &Entry<'_>) -> Result<Kept, Unavailable> {
        if !self.is_available() {
            return Err(Unavailable);
        }
        let (kept, wait) = match self.durability {
            Durability::Required => {
                let (kept, wait) = oneshot::channel();
                (Some(kept), Some(wait))
            }
            Durability::Group | Durability::BestEffort => (None, None),
        };
        let taken = self.push(Waiting { kind: Kind::Sent, entry: entry.encode(), kept });
        if taken || self.durability == Durability::BestEffort { Ok(Kept(wait)) } else { Err(Unavailable) }
    }

    /// Writes down what came of a request that was sent.
    pub fn ended(&self, entry: &Entry<'_>) {
        self.push(Waiting { kind: Kind::Ended, entry: entry.encode(), kept: None });
    }

    /// Writes down a refusal that was judged, or counts it when there are too many: a client must not be able to fill the disk.
    pub fn refused<'e>(&self, reason: &'static str, entry: impl FnOnce() -> Entry<'e>) {
        let second = self.began.elapsed().as_secs() << 32;
        let counted = |told: u64| Some(if told & !0xffff_ffff == second { told + 1 } else { second + 1 });
        let told = self.told.fetch_update(Ordering::Relaxed, Ordering::Relaxed, counted);
        let told = counted(told.expect("every value has one that follows")).expect("the same");
        if told & 0xffff_ffff > REFUSALS_A_SECOND {
            return self.counted(reason);
        }
        self.ended(&entry());
    }

    /// Counts a request that was refused before anything of it was judged.
    pub fn counted(&self, reason: &'static str) {
        let mut refused = self.shared.refused.lock().expect("no holder of this lock panics");
        refused.entry(reason).or_insert_with(|| (0, now())).0 += 1;
        drop(refused);
        self.shared.refusing.store(true, Ordering::Release);
        self.tell();
    }

    fn push(&self, waiting: Waiting) -> bool {
        let taken = self.shared.ring.push(waiting).is_ok();
        if !taken {
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
            self.shared.meters.lost.increment(1);
        }
        self.tell();
        taken
    }

    fn tell(&self) {
        if !self.shared.told.swap(true, Ordering::AcqRel)
            && let Some(writer) = &self.writer
        {
            writer.thread().unpark();
        }
    }

    /// Waits until every entry so far is on the disk and has its checkpoint, at most five seconds.
    pub fn flush(&self) {
        let (done, written) = sync_channel(1);
        self.shared.flushing.lock().expect("no holder of this lock panics").push(done);
        self.shared.awaited.store(true, Ordering::Release);
        self.tell();
        // A writer that is stuck in its disk does not keep the process.
        let _ = written.recv_timeout(WAIT);
    }
}

impl Drop for Ledger {
    /// Writes what there is, and signs it.
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Release);
        if let Some(writer) = self.writer.take() {
            writer.thread().unpark();
            // A writer that panicked has nothing left to write.
            let _ = writer.join();
        }
    }
}

fn now() -> String {
    Timestamp::now().to_string()
}

/// An entry on its way to the disk.
struct Leaving {
    kind: Kind,
    /// Of a gap: how many it counts.
    count: u64,
    kept: Option<oneshot::Sender<bool>>,
}

type Batch = (Vec<Leaving>, Vec<Vec<u8>>);

struct Writer {
    shared: Arc<Shared>,
    store: Store,
    durability: Durability,
    /// What was appended and is not kept yet, in its order.
    leaving: Vec<Leaving>,
    /// What a failed disk did not take.
    backlog: Vec<(Kind, Vec<u8>)>,
    /// Since when the disk fails.
    failed: Option<String>,
    /// When a checkpoint is due.
    checkpoint: Option<Instant>,
    /// When counted refusals are to be written down.
    counting: Option<Instant>,
}

impl Writer {
    fn write(mut self) {
        loop {
            self.wait();
            let ended = self.shared.ended.load(Ordering::Acquire);
            let flushing = if self.shared.awaited.swap(false, Ordering::AcqRel) {
                std::mem::take(&mut *self.shared.flushing.lock().expect("no holder of this lock panics"))
            } else {
                Vec::new()
            };
            let hurry = ended || !flushing.is_empty();
            loop {
                let done = self.round(hurry);
                if let Err(error) = &done {
                    self.fail(error);
                } else if hurry && !self.shared.ring.is_empty() {
                    continue;
                }
                break;
            }
            for done in flushing {
                let _ = done.send(());
            }
            if ended {
                return;
            }
        }
    }

    /// Waits until there is something to do.
    fn wait(&mut self) {
        if self.failed.is_some() {
            std::thread::park_timeout(RETRY);
        } else {
            while !self.shared.told.load(Ordering::Acquire) && !self.shared.hurries() {
                match self.checkpoint.into_iter().chain(self.counting).min() {
                    None => std::thread::park(),
                    Some(due) if due <= Instant::now() => break,
                    Some(due) => std::thread::park_timeout(due.saturating_duration_since(Instant::now())),
                }
            }
            let gather = match self.durability {
                Durability::Required => Duration::ZERO,
                Durability::Group => GATHER,
                Durability::BestEffort => GATHER_LONG,
            };
            if !gather.is_zero() && self.shared.ring.len() < CHECKPOINT_ENTRIES && !self.shared.hurries() {
                std::thread::park_timeout(gather);
            }
        }
        // Whoever comes after this tells again; whoever came before is served now.
        self.shared.told.swap(false, Ordering::AcqRel);
    }

    /// Takes what there is, writes it, and publishes what is due.
    fn round(&mut self, hurry: bool) -> io::Result<()> {
        #[allow(clippy::cast_precision_loss, reason = "a few thousand")]
        self.shared.meters.queue.set(self.shared.ring.len() as f64);
        if self.failed.is_some() {
            // What is in the tail already comes first: a disk that has no room for tiles has none for more of the tail.
            self.store.publish()?;
        }
        let (leaving, entries) = self.batch(hurry);
        if !entries.is_empty() {
            self.leaving.extend(leaving);
            self.store.append(entries)?;
        }
        let full = self.store.ahead() + self.leaving.len() as u64 >= CHECKPOINT_ENTRIES as u64;
        let due = self.checkpoint.is_some_and(|due| due <= Instant::now());
        let publish = hurry || full || due || self.failed.is_some();
        if publish || self.durability != Durability::BestEffort {
            self.keep()?;
        }
        if publish {
            self.store.publish()?;
            self.checkpoint = None;
        } else if self.checkpoint.is_none() && (self.store.is_ahead() || !self.leaving.is_empty()) {
            self.checkpoint = Some(Instant::now() + CHECKPOINT_EVERY);
        }
        if !self.shared.ring.is_empty() {
            self.shared.told.store(true, Ordering::Release);
        }
        if self.failed.take().is_some() {
            tracing::info!("the ledger is written again");
            self.shared.meters.unavailable.set(0.0);
            self.shared.failing.store(false, Ordering::Release);
        }
        Ok(())
    }

    /// What is to be written next: what a failed disk did not take, an entry that tells of the failure and of what was lost, what
    /// waits, and what was counted. At most as many entries as a checkpoint may be late, if the disk has not failed.
    fn batch(&mut self, hurry: bool) -> Batch {
        let (mut leaving, mut entries) = Batch::default();
        let mut put = |kind, count, entry, kept| {
            leaving.push(Leaving { kind, count, kept });
            entries.push(entry);
        };
        let mut room = CHECKPOINT_ENTRIES;
        for (kind, entry) in std::mem::take(&mut self.backlog) {
            put(kind, 0, entry, None);
            room = room.saturating_sub(1);
        }
        let lost = self.shared.lost.swap(0, Ordering::Relaxed);
        if lost > 0 || self.failed.is_some() {
            let mut gap = Entry::new(Kind::Gap, now());
            gap.count = Some(lost);
            gap.reason = Some(if self.failed.is_some() { "disk_failed" } else { "queue_full" }.into());
            gap.since = self.failed.clone().map(Into::into);
            put(Kind::Gap, lost, gap.encode(), None);
        }
        for _ in 0..room {
            let Some(Waiting { kind, entry, kept }) = self.shared.ring.pop() else { break };
            match kept {
                // Nobody was promised anything yet, and while the disk fails nobody is.
                Some(kept) if self.failed.is_some() => drop(kept.send(false)),
                kept => put(kind, 0, entry, kept),
            }
        }
        if self.counting.is_none() && self.shared.refusing.swap(false, Ordering::AcqRel) {
            // Those of one second stand together.
            self.counting = Some(Instant::now() + CHECKPOINT_EVERY);
        }
        if self.counting.is_some_and(|due| hurry || due <= Instant::now()) {
            self.counting = None;
            let mut refused = self.shared.refused.lock().expect("no holder of this lock panics");
            for (reason, (count, since)) in std::mem::take(&mut *refused) {
                let mut entry = Entry::new(Kind::Refused, now());
                entry.count = Some(count);
                entry.reason = Some(reason.into());
                entry.since = Some(since.into());
                put(Kind::Refused, 0, entry.encode(), None);
            }
        }
        (leaving, entries)
    }

    fn keep(&mut self) -> io::Result<()> {
        if self.leaving.is_empty() {
            return Ok(());
        }
        let begun = Instant::now();
        self.store.keep()?;
        let meters = &self.shared.meters;
        meters.sync_seconds.record(begun.elapsed().as_secs_f64());
        #[allow(clippy::cast_precision_loss, reason = "a gauge; a tree of 2^53 entries is far")]
        meters.size.set(self.store.size() as f64);
        for Leaving { kind, kept, .. } in self.leaving.drain(..) {
            if let Some((_, counter)) = meters.entries.iter().find(|(known, _)| *known == kind) {
                counter.increment(1);
            }
            if let Some(kept) = kept {
                // Whoever does not wait any more was told that it is unavailable; to say more than happened does no harm.
                let _ = kept.send(true);
            }
        }
        Ok(())
    }

    /// The disk has failed: what it did not take is kept for later, but for what somebody waits for, who is told.
    fn fail(&mut self, error: &io::Error) {
        if self.failed.is_none() {
            tracing::error!(%error, "the ledger cannot be written; it is tried again every {RETRY:?}");
            self.failed = Some(now());
        }
        self.shared.meters.unavailable.set(1.0);
        self.shared.failing.store(true, Ordering::Release);
        let back = self.store.take_back();
        for (Leaving { kind, count, kept }, entry) in self.leaving.drain(..).zip(back) {
            match kept {
                Some(kept) => drop(kept.send(false)),
                // It is made anew when the failure is over.
                None if kind == Kind::Gap => drop(self.shared.lost.fetch_add(count, Ordering::Relaxed)),
                None => self.backlog.push((kind, entry)),
            }
        }
        let over = self.backlog.len().saturating_sub(QUEUE);
        if over > 0 {
            self.backlog.truncate(QUEUE);
            self.shared.lost.fetch_add(over as u64, Ordering::Relaxed);
            self.shared.meters.lost.increment(over as u64);
        }
    }
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
