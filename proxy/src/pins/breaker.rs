//! A circuit breaker: a store that failed several times in a row is left alone for a moment, and then one question tries it.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// So many failures in a row open it: fewer, and one lost connection, which fails what is in flight, would.
pub(super) const FAILURES: u32 = 5;

/// So long nobody asks: what a Redis takes to start, and little against a client's patience.
pub(super) const REST: Duration = Duration::from_secs(1);

/// What a breaker is, as its gauge shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Closed = 0,
    HalfOpen = 1,
    Open = 2,
}

#[derive(Debug)]
pub(super) struct Breaker {
    base: Instant,
    failures: AtomicU32,
    /// When it opened last, in milliseconds since `base`, and one more; 0 while it is closed.
    opened: AtomicU64,
    probing: AtomicBool,
}

/// Leave to ask once. Dropped without a word (the client went away) it says nothing of the store.
#[derive(Debug)]
pub(super) struct Leave<'b> {
    breaker: &'b Breaker,
    probe: bool,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            base: Instant::now(),
            failures: AtomicU32::new(0),
            opened: AtomicU64::new(0),
            probing: AtomicBool::new(false),
        }
    }
}

impl Breaker {
    /// Leave to ask, unless it is open.
    pub(super) fn leave(&self, now: Instant) -> Option<Leave<'_>> {
        match self.state(now) {
            State::Closed => Some(Leave { breaker: self, probe: false }),
            State::Open => None,
            State::HalfOpen => {
                let first = !self.probing.swap(true, Ordering::AcqRel);
                first.then_some(Leave { breaker: self, probe: true })
            }
        }
    }

    pub(super) fn state(&self, now: Instant) -> State {
        match self.opened.load(Ordering::Acquire) {
            0 => State::Closed,
            opened if self.millis(now) < opened + millis(REST) => State::Open,
            _ => State::HalfOpen,
        }
    }

    /// One more than the milliseconds since `base`, so that it is never 0.
    fn millis(&self, now: Instant) -> u64 {
        millis(now.saturating_duration_since(self.base)) + 1
    }
}

impl Leave<'_> {
    pub(super) fn succeeded(self) {
        self.breaker.failures.store(0, Ordering::Release);
        if self.probe {
            self.breaker.opened.store(0, Ordering::Release);
        }
    }

    pub(super) fn failed(self, now: Instant) {
        let failures = self.breaker.failures.fetch_add(1, Ordering::AcqRel) + 1;
        if self.probe || failures >= FAILURES {
            self.breaker.opened.store(self.breaker.millis(now), Ordering::Release);
        }
    }
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        if self.probe {
            self.breaker.probing.store(false, Ordering::Release);
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_failures_in_a_row_and_one_probe_closes_it() {
        let (breaker, start) = (Breaker::default(), Instant::now());
        let fail = |now| breaker.leave(now).expect("closed").failed(now);
        (1..FAILURES).for_each(|_| fail(start));
        breaker.leave(start).unwrap().succeeded();
        (1..FAILURES).for_each(|_| fail(start));
        assert_eq!(breaker.state(start), State::Closed, "not in a row");
        fail(start);
        assert_eq!(breaker.state(start), State::Open);
        assert!(breaker.leave(start + REST / 2).is_none());

        let later = start + REST * 2;
        let probe = breaker.leave(later).expect("half open");
        assert!(breaker.leave(later).is_none(), "one at a time");
        probe.failed(later);
        assert_eq!(breaker.state(later), State::Open, "again");
        let later = later + REST * 2;
        drop(breaker.leave(later).expect("half open"));
        let probe = breaker.leave(later).expect("one that was given up says nothing");
        probe.succeeded();
        assert_eq!(breaker.state(later), State::Closed);
        fail(later);
        assert_eq!(breaker.state(later), State::Closed, "it counts from the beginning again");
    }
}
