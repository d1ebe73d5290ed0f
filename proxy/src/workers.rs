//! The threads that carry requests. Each has a runtime of its own, and a connection stays with the thread that it was given to.
//!
//! What a request touches is then its thread's: its sockets, its timer, idle connections to endpoints, buffers, counters. A
//! work-stealing runtime would wake another thread for about every other event of a request, which costs more than the event.

use crate::relay::{buffer, pool};
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// All workers of one proxy. They end when it is dropped, and what they carry ends with them, settled.
#[derive(Debug)]
pub(crate) struct Workers {
    workers: Vec<Worker>,
    /// Dropped, it tells the threads to end.
    running: Option<watch::Sender<()>>,
}

#[derive(Debug)]
struct Worker {
    runtime: Handle,
    open: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

/// Counts a connection at its worker.
struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Workers {
    /// Starts `threads` of them.
    ///
    /// # Errors
    /// When no thread, or no poller for it, can be had.
    pub(crate) fn start(threads: usize) -> io::Result<Self> {
        let running = watch::Sender::new(());
        let workers = (0..threads.max(1)).map(|number| Worker::start(number, running.subscribe()));
        Ok(Self { workers: workers.collect::<io::Result<_>>()?, running: Some(running) })
    }

    /// Gives a connection to the worker that has the fewest.
    pub(crate) fn spawn(&self, connection: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        let least = self.workers.iter().min_by_key(|worker| worker.open.load(Ordering::Relaxed));
        let worker = least.expect("there is always one");
        worker.open.fetch_add(1, Ordering::Relaxed);
        let open = Open(Arc::clone(&worker.open));
        let task = worker.runtime.spawn(async move {
            let _open = open;
            connection.await;
        });
        task.abort_handle()
    }
}

impl Worker {
    fn start(number: usize, mut running: watch::Receiver<()>) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let until_the_end = async move {
            let mut sweep = tokio::time::interval(pool::SWEEP);
            loop {
                tokio::select! {
                    // Nothing is ever sent: an error means that the proxy is gone.
                    _ = running.changed() => break,
                    _ = sweep.tick() => {
                        pool::sweep();
                        buffer::trim();
                    }
                }
            }
            pool::clear();
        };
        let thread = std::thread::Builder::new()
            .name(format!("worker-{number}"))
            .spawn(move || runtime.block_on(until_the_end))?;
        Ok(Self { runtime: handle, open: Arc::default(), thread: Some(thread) })
    }
}

impl Drop for Workers {
    /// Waits for the threads, so that whatever they still carried has its line in the log before that ends, too.
    fn drop(&mut self) {
        self.running = None;
        for thread in self.workers.iter_mut().filter_map(|worker| worker.thread.take()) {
            // One that panicked has ended as well.
            let _ = thread.join();
        }
    }
}
