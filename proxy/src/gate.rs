//! Limits of the whole process: requests in flight, bytes of held bodies, retries.

use crate::metrics::{InFlight, Metrics};
use riparian_config::Retries;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Counts what is in flight. What is counted is given back when its guard is dropped.
#[derive(Debug)]
pub struct Gate {
    metrics: Arc<Metrics>,
}

/// A client's connection.
#[derive(Debug)]
pub struct Connection(Arc<Gate>);

/// A request in flight.
#[derive(Debug)]
pub struct Stream(Arc<Gate>);

/// Bytes of one held body.
#[derive(Debug)]
pub struct HeldBytes {
    gate: Arc<Gate>,
    bytes: u64,
}

impl Gate {
    /// Nothing in flight.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { metrics })
    }

    fn count(&self) -> &InFlight {
        &self.metrics.in_flight
    }

    /// Lets a request in, unless `max` are in flight.
    #[must_use]
    pub fn enter(self: &Arc<Self>, max: u64) -> Option<Stream> {
        let before = self.count().streams.fetch_add(1, Ordering::Relaxed);
        let stream = Stream(Arc::clone(self));
        (before < max).then_some(stream)
    }

    /// Counts a connection for as long as the guard lives.
    #[must_use]
    pub fn connect(self: &Arc<Self>) -> Connection {
        self.count().connections.fetch_add(1, Ordering::Relaxed);
        Connection(Arc::clone(self))
    }

    /// Connections of clients, idle ones included.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.count().connections.load(Ordering::Relaxed)
    }

    /// Requests in flight.
    #[must_use]
    pub fn streams(&self) -> u64 {
        self.count().streams.load(Ordering::Relaxed)
    }

    /// Begins to hold a body.
    #[must_use]
    pub fn hold(self: &Arc<Self>) -> HeldBytes {
        HeldBytes { gate: Arc::clone(self), bytes: 0 }
    }

    /// Bytes of all held bodies.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.count().held.load(Ordering::Relaxed)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.count().connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.count().streams.fetch_sub(1, Ordering::Relaxed);
    }
}

impl HeldBytes {
    /// Holds `bytes` more, unless all bodies together would come to more than `max`.
    #[must_use]
    pub fn grow(&mut self, bytes: usize, max: u64) -> bool {
        let bytes = bytes as u64;
        let before = self.gate.count().held.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
        before.saturating_add(bytes) <= max
    }
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.gate.count().held.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

/// How many retries there may be: a share of the requests of the same second, and a few always.
///
/// One that fails for everybody must not become three that fail for everybody. Seconds are counted apart; at their edges
/// the budget may be off by the requests that race, never by more.
#[derive(Debug)]
pub struct RetryBudget {
    began: Instant,
    second: AtomicU64,
    requests: AtomicU64,
    retries: AtomicU64,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            second: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            retries: AtomicU64::new(0),
        }
    }
}

impl RetryBudget {
    fn turn(&self) {
        let now = self.began.elapsed().as_secs();
        if self.second.load(Ordering::Relaxed) != now && self.second.swap(now, Ordering::Relaxed) != now {
            self.requests.store(0, Ordering::Relaxed);
            self.retries.store(0, Ordering::Relaxed);
        }
    }

    /// Counts a request.
    pub fn request(&self) {
        self.turn();
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes a retry out of the budget, if there is one.
    #[must_use]
    pub fn retry(&self, retries: &Retries) -> bool {
        self.turn();
        let share = self.requests.load(Ordering::Relaxed) * u64::from(retries.budget_percent) / 100;
        self.retries.fetch_add(1, Ordering::Relaxed) < share + u64::from(retries.budget_floor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_given_back() {
        let gate = Gate::new(Metrics::new());
        let first = gate.enter(1);
        assert!(first.is_some());
        assert!(gate.enter(1).is_none(), "one is the limit");
        assert_eq!(gate.streams(), 1, "a request that was not let in does not count");
        drop(first);
        assert_eq!(gate.streams(), 0);

        let mut held = gate.hold();
        assert!(held.grow(60, 100));
        let mut other = gate.hold();
        assert!(!other.grow(60, 100), "together they are over");
        drop(other);
        assert!(held.grow(40, 100));
        drop(held);
        assert_eq!(gate.held(), 0);
    }

    #[test]
    fn retries_are_a_share_of_requests_and_a_few_always() {
        let budget = RetryBudget::default();
        let retries = Retries { attempts: 3, budget_percent: 50, budget_floor: 2 };
        (0..10).for_each(|_| budget.request());
        let allowed = (0..20).filter(|_| budget.retry(&retries)).count();
        // Were the second to turn in between, the share would begin anew: never more than two seconds' worth.
        assert!((2..=14).contains(&allowed), "half of 10, and 2; got {allowed}");
    }
}
