//! The store `journal`: the table in memory, and behind it a database in a file, which one thread writes.
//!
//! Requests only touch the table, which names each key that changed in a bounded queue. Every [`GATHER`] the thread takes the keys
//! and writes down how the table has them by then, in one transaction that is on the disk when it ends. So a pin is in the
//! file some tens of milliseconds after its birth, and a kill, which the file survives whole, loses none that is older than
//! 100 ms on a disk that takes what it is given. When the queue is full, or the disk fails, nobody waits: the thread is
//! told to write the whole table anew, as soon as that can be done, and this is counted.

mod census;
mod file;

use super::OpenFault;
use super::table::{Clock, Table};
use crate::locks::Mutex;
use crate::metrics::{Operation, PinMetrics};
pub(crate) use census::{Census, census};
use crossbeam_queue::ArrayQueue;
pub(super) use file::Opened;
use file::{File, Kept};
use riparian_config::Pins;
use riparian_filters::identify::{Keys, PinKey};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

/// Keys that wait for the writer: 1 MiB. Some 2.6 million births a second fill it before the thread looks.
const QUEUE: usize = 65_536;

/// How long changes gather before they are written: one transaction for each would be as many syncs of the disk.
const GATHER: Duration = Duration::from_millis(25);

/// How long a disk that failed is left alone.
const RETRY: Duration = Duration::from_secs(1);

/// How long [`Journal::flush`] waits for a disk at most.
const FLUSH: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Journal {
    table: Arc<Table>,
    changes: Arc<Changes>,
    writer: Option<JoinHandle<()>>,
}

/// What the table and the writer share.
#[derive(Debug)]
pub(super) struct Changes {
    keys: ArrayQueue<PinKey>,
    /// Whether all is to be written anew.
    whole: AtomicBool,
    /// Whether the writer has been told that there is something to do.
    told: AtomicBool,
    /// Whether no change will follow.
    ended: AtomicBool,
    /// Who waits until every change so far is written.
    waiting: Mutex<Vec<SyncSender<()>>>,
    awaited: AtomicBool,
    writer: OnceLock<Thread>,
    metrics: PinMetrics,
}

impl Changes {
    fn new(metrics: PinMetrics) -> Self {
        Self {
            keys: ArrayQueue::new(QUEUE),
            whole: AtomicBool::new(false),
            told: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            waiting: Mutex::default(),
            awaited: AtomicBool::new(false),
            writer: OnceLock::new(),
            metrics,
        }
    }

    /// This key's pin has come, gone or been renewed. Never waits.
    pub(super) fn tell(&self, key: PinKey) {
        if self.keys.push(key).is_err() {
            self.all_anew();
        }
        self.wake();
    }

    fn all_anew(&self) {
        if !self.whole.swap(true, Ordering::AcqRel) {
            self.metrics.rewrites.increment(1);
        }
    }

    fn wake(&self) {
        if !self.told.swap(true, Ordering::AcqRel)
            && let Some(writer) = self.writer.get()
        {
            writer.unpark();
        }
    }
}

impl Opened {
    /// Reads the pins back and begins to write.
    pub(super) fn open(self, limits: &Pins, keys: &Keys, metrics: PinMetrics) -> Result<Journal, OpenFault> {
        let (file, Kept { mut pins, clock }) = self.read(keys)?;
        let changes = Arc::new(Changes::new(metrics.clone()));
        let clock = Clock::start(clock);
        let table = Arc::new(Table::telling(limits.clone(), metrics, clock, Some(Arc::clone(&changes))));
        let (now, read) = (table.now(), pins.len());
        // In the order of their births, so that the oldest still go first.
        pins.sort_by_key(|(_, stored)| stored.times.born);
        for (key, mut stored) in pins {
            stored.times.shorten(limits.ttl, now);
            table.restore(key, stored, now);
            // Whether it stayed or not, that is what is to stand in the file.
            if table.stored(key).is_none() {
                changes.tell(key);
            }
        }
        tracing::info!(pins = table.len(), ended = read as u64 - table.len(), journal = %file.path().display(), "pins read back");
        let writer = Writer {
            path: file.path().to_owned(),
            file: Some(file),
            keys: keys.clone(),
            table: Arc::clone(&table),
            changes: Arc::clone(&changes),
        };
        let thread = std::thread::Builder::new().name("pin-journal".to_owned());
        let writer = thread.spawn(move || writer.write()).map_err(OpenFault::Thread)?;
        changes.writer.get_or_init(|| writer.thread().clone());
        writer.thread().unpark();
        Ok(Journal { table, changes, writer: Some(writer) })
    }
}

impl Journal {
    pub(super) fn table(&self) -> &Table {
        &self.table
    }

    /// Waits until every change so far is in the file, at most [`FLUSH`].
    pub(super) fn flush(&self) {
        let (done, written) = sync_channel(1);
        self.changes.waiting.lock().expect("no holder of this lock panics").push(done);
        self.changes.awaited.store(true, Ordering::Release);
        self.changes.wake();
        // A disk that hangs does not keep the process.
        let _ = written.recv_timeout(FLUSH);
    }
}

impl Drop for Journal {
    /// Waits until every change is in the file.
    fn drop(&mut self) {
        self.changes.ended.store(true, Ordering::Release);
        self.changes.wake();
        if let Some(writer) = self.writer.take() {
            writer.thread().unpark();
            // One that panicked has nothing left to write.
            let _ = writer.join();
        }
    }
}

/// The thread that writes.
struct Writer {
    path: PathBuf,
    /// Closed after a fault, until it can be opened again.
    file: Option<File>,
    keys: Keys,
    table: Arc<Table>,
    changes: Arc<Changes>,
}

impl Writer {
    fn write(mut self) {
        let mut failing = false;
        loop {
            while !self.changes.told.load(Ordering::Acquire) {
                std::thread::park();
            }
            let hurry =
                || self.changes.ended.load(Ordering::Acquire) || self.changes.awaited.load(Ordering::Acquire);
            if !hurry() {
                std::thread::park_timeout(GATHER);
            }
            // Whoever comes after this tells again; whoever came before is served now, the end included.
            self.changes.told.swap(false, Ordering::AcqRel);
            let ended = self.changes.ended.load(Ordering::Acquire);
            let waiting = if self.changes.awaited.swap(false, Ordering::AcqRel) {
                std::mem::take(&mut *self.changes.waiting.lock().expect("no holder of this lock panics"))
            } else {
                Vec::new()
            };
            match self.batch() {
                Ok(()) if failing => {
                    failing = false;
                    tracing::info!("the pin journal is written again, whole");
                }
                Ok(()) => {}
                Err(error) => {
                    if !failing {
                        tracing::error!(%error, "the pin journal cannot be written; pins are in memory only until it can");
                    }
                    failing = true;
                    self.file = None;
                    self.changes.all_anew();
                    self.changes.told.store(true, Ordering::Release);
                }
            }
            for done in waiting {
                let _ = done.send(());
            }
            if ended {
                return;
            }
            if failing {
                std::thread::park_timeout(RETRY);
            }
        }
    }

    fn batch(&mut self) -> Result<(), String> {
        let whole = self.changes.whole.swap(false, Ordering::AcqRel);
        let mut keys: Vec<PinKey> = std::iter::from_fn(|| self.changes.keys.pop()).take(QUEUE).collect();
        if whole {
            keys = self.table.keys();
        } else if keys.is_empty() {
            return Ok(());
        }
        keys.sort_unstable_by_key(|key| key.bytes());
        keys.dedup();
        let begun = Instant::now();
        let written = self.transaction(&keys, whole);
        self.changes.metrics.took(Operation::Write, begun.elapsed().as_secs_f64());
        self.changes.metrics.count(Operation::Write, if written.is_ok() { "ok" } else { "failed" });
        written
    }

    fn transaction(&mut self, keys: &[PinKey], whole: bool) -> Result<(), String> {
        let file = match &mut self.file {
            Some(file) => file,
            // The same key wrote it: whoever runs had read it.
            place @ None => place.insert(File::again(&self.path)?),
        };
        let pins = keys
            .iter()
            .map(|key| (*key, self.table.stored(*key).map(|stored| stored.encode(&self.keys, *key))));
        file.write(pins, whole, self.table.now())
    }
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
