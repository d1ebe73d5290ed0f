//! Many open streams: opened, held, read as their chunks come, all on one thread.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::task::{JoinSet, LocalSet};

use super::load::{Shot, connect};
use super::reply::Reply;

/// Streams that are being opened at once.
const OPENING_MAX: u64 = 64;
/// Without a new stream for so long, opening has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Streams that stay open until this is dropped.
#[derive(Debug)]
pub(crate) struct Hold {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<(), String>>>,
}

#[derive(Debug, Default)]
struct Shared {
    wanted: AtomicU64,
    opened: AtomicU64,
    stop: AtomicBool,
}

impl Hold {
    pub(crate) fn start(shot: Shot) -> Hold {
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| error.to_string())?;
            LocalSet::new().block_on(&runtime, run(shot, &own))
        });
        Hold { shared, thread: Some(thread) }
    }

    /// Opens streams until there are so many, each with its first chunk read.
    ///
    /// # Errors
    /// One could not be opened, or an open one has ended.
    pub(crate) fn raise_to(&mut self, streams: u64) -> Result<(), String> {
        self.shared.wanted.store(streams, Ordering::Relaxed);
        let (mut last, mut since) = (0, Instant::now());
        loop {
            self.check()?;
            let opened = self.shared.opened.load(Ordering::Relaxed);
            if opened >= streams {
                return Ok(());
            }
            if opened > last {
                (last, since) = (opened, Instant::now());
            } else if since.elapsed() > PATIENCE {
                return Err(format!(
                    "{opened} of {streams} streams opened, and no other within {PATIENCE:?}"
                ));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// # Errors
    /// A stream has ended, or broke.
    pub(crate) fn check(&mut self) -> Result<(), String> {
        if self.thread.as_ref().is_some_and(JoinHandle::is_finished) {
            let ended = self.thread.take().map(JoinHandle::join);
            return match ended {
                Some(Ok(Err(why))) => Err(why),
                _ => Err("the streams' client panicked".to_owned()),
            };
        }
        Ok(())
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        // An error was returned by `check`, or comes after the last one that anybody asked for.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

async fn run(shot: Shot, shared: &Arc<Shared>) -> Result<(), String> {
    let scratch = Rc::new(RefCell::new(vec![0; 64 << 10]));
    let (mut streams, mut started) = (JoinSet::new(), 0);
    let mut tick = tokio::time::interval(Duration::from_millis(1));
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            Some(ended) = streams.join_next() => {
                let why: Result<String, _> = ended;
                return Err(why.map_err(|error| error.to_string())?);
            }
        }
        if shared.stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        while started < shared.wanted.load(Ordering::Relaxed)
            && started - shared.opened.load(Ordering::Relaxed) < OPENING_MAX
        {
            streams.spawn_local(hold(shot.clone(), Arc::clone(shared), Rc::clone(&scratch)));
            started += 1;
        }
    }
}

/// Opens one and reads it; why it ended.
async fn hold(shot: Shot, shared: Arc<Shared>, scratch: Rc<RefCell<Vec<u8>>>) -> String {
    let read = async {
        let mut stream = connect(shot.address).await?;
        let request = &shot.requests[0];
        tokio::io::AsyncWriteExt::write_all(&mut stream, request).await.map_err(|error| error.to_string())?;
        let (mut reply, mut begun) = (Reply::new(shot.expect), false);
        loop {
            stream.readable().await.map_err(|error| error.to_string())?;
            let mut scratch = scratch.borrow_mut();
            let progress = match stream.try_read(&mut scratch) {
                Ok(0) => return Err("an open stream was ended".to_owned()),
                Ok(read) => reply.feed(&scratch[..read])?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error.to_string()),
            };
            if progress.begun && !begun {
                begun = true;
                shared.opened.fetch_add(1, Ordering::Relaxed);
            }
            if progress.done {
                return Ok::<(), String>(());
            }
        }
    };
    match read.await {
        Ok(()) => "an open stream came to its end too early".to_owned(),
        Err(why) => why,
    }
}
