//! A cloud's own clock: the machine's, plus what a test has put it forward by. Whatever is forgotten after a while is so
//! forgotten in a test that does not wait for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::call::unix_now;

#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
    ahead_ms: AtomicU64,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Clock { start: Instant::now(), ahead_ms: AtomicU64::new(0) }
    }

    /// Time since the cloud was made, put forward.
    pub(crate) fn now(&self) -> Duration {
        self.start.elapsed() + self.ahead()
    }

    /// Seconds since 1970, put forward.
    pub(crate) fn unix(&self) -> u64 {
        unix_now() + self.ahead().as_secs()
    }

    /// `after` from now, as RFC 3339 has it.
    pub(crate) fn stamp(&self, after: Duration) -> String {
        let seconds = i64::try_from(self.unix() + after.as_secs()).unwrap_or(i64::MAX);
        jiff::Timestamp::from_second(seconds).map_or_else(|_| String::new(), |at| at.to_string())
    }

    pub(crate) fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.ahead_ms.fetch_add(by, Ordering::Relaxed);
    }

    fn ahead(&self) -> Duration {
        Duration::from_millis(self.ahead_ms.load(Ordering::Relaxed))
    }
}
