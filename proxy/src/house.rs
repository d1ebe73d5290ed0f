//! What all requests of one process share.

use crate::endpoints::RESOLVE_EVERY;
use crate::gate::{Gate, RetryBudget};
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::pins::PinStore;
use crate::sessions::Sessions;
use crate::settle::{Log, UPKEEP_EVERY};
use crate::snapshot::Snapshot;
use crate::terms;
use arc_swap::ArcSwap;
use pingora_core::connectors::http::v2::Connector;
use riparian_config::Timestamp;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// The shared state. Requests read it without a lock: the snapshot is an `ArcSwap`, counters are atomics, and the pin table is
/// touched only where there is a handle.
pub struct House {
    /// The configuration in force.
    pub snapshot: ArcSwap<Snapshot>,
    /// Where state lives.
    pub pins: PinStore,
    /// What is known of sessions.
    pub sessions: Sessions,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What is in flight.
    pub gate: Arc<Gate>,
    /// How many retries there may be.
    pub budget: RetryBudget,
    /// The access log.
    pub log: Log,
    /// The record that others can check, where one is kept.
    pub ledger: Option<Ledger>,
    /// True from SIGTERM on.
    pub draining: watch::Sender<bool>,
    /// The same, to be asked without a lock.
    pub drains: AtomicBool,
    /// Changes when what the contract allows may have changed: at a reload, and where a span of its table begins. Sockets look again
    /// then.
    pub(crate) terms: watch::Sender<u64>,
    /// Makes connections to endpoints that speak TLS or HTTP/2.
    pub(crate) connector: Connector,
    /// False until listeners are bound.
    pub ready: AtomicBool,
}

/// How often the wall clock is compared with the boundaries of the terms: sockets are to end within a second.
const TERMS_EVERY: Duration = Duration::from_millis(100);
const _: () = assert!(TERMS_EVERY.as_millis() * 5 <= 1000, "most of the second is for telling them");

/// How often totals of money are brought to the disk: what a crash may take away.
const MONEY_EVERY: Duration = Duration::from_secs(1);

impl fmt::Debug for House {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("House(..)")
    }
}

impl House {
    /// Whether new work is refused from now on.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.drains.load(Ordering::Acquire)
    }

    /// Whether a request can be written down that is carried now.
    #[must_use]
    pub fn can_write_down(&self) -> bool {
        self.ledger.as_ref().is_none_or(Ledger::is_available)
    }

    /// Waits until what was noted so far is written, for a bounded time.
    pub fn flush(&self) {
        self.log.flush();
        self.metrics.book.write();
        self.pins.flush();
        if let Some(ledger) = &self.ledger {
            ledger.flush();
        }
    }

    /// Refuses new work from now on, and wakes whoever waits for some.
    pub fn drain(&self) {
        self.drains.store(true, Ordering::Release);
        self.draining.send_replace(true);
    }

    /// Keeps addresses fresh, pins swept and histograms folded, until the process drains.
    pub async fn keep(self: Arc<Self>) {
        let mut draining = self.draining.subscribe();
        let (sweep, idle) = {
            let sessions = &self.snapshot.load().policy.config.sessions;
            (sessions.pins.sweep, sessions.idle)
        };
        let mut sweep = tokio::time::interval(sweep.max(Duration::from_millis(10)));
        let mut upkeep = tokio::time::interval(UPKEEP_EVERY);
        let mut resolve = tokio::time::interval(RESOLVE_EVERY);
        let mut warned = None;
        loop {
            tokio::select! {
                _ = sweep.tick() => {
                    let swept = self.pins.sweep(Instant::now());
                    if swept > 0 {
                        tracing::debug!(swept, "expired pins swept");
                    }
                    self.sessions.sweep(Instant::now(), idle);
                }
                _ = upkeep.tick() => {
                    self.metrics.upkeep();
                    self.show_health();
                    terms::show(&self, Timestamp::now(), &mut warned);
                }
                _ = resolve.tick() => self.resolve().await,
                _ = draining.changed() => return,
            }
        }
    }

    /// Has sockets look again whenever what the contract allows may have changed; also while the process drains.
    pub(crate) async fn mind_terms(self: Arc<Self>) {
        let mut tick = tokio::time::interval(TERMS_EVERY);
        let mut span = self.span();
        loop {
            tick.tick().await;
            // By the wall clock each time: one that jumps has jumped into another span, too.
            let now = self.span();
            let before = std::mem::replace(&mut span, now);
            if before != now {
                self.look_again();
            }
            if before.0 == now.0 && before.2 != now.2 {
                terms::passed(&self, Timestamp::now());
            }
        }
    }

    /// Keeps totals on the disk and commitments' steering up to date, a second behind.
    pub(crate) async fn mind_money(self: Arc<Self>) {
        let mut tick = tokio::time::interval(MONEY_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            if self.snapshot.load().policy.config.meter.is_off() {
                continue;
            }
            self.metrics.book.steer();
            let house = Arc::clone(&self);
            // The disk may take its time; nobody else waits for it. A panic there would be one of ours, and is told in the next second.
            let _ = tokio::task::spawn_blocking(move || house.metrics.book.write()).await;
        }
    }

    /// Which configuration is in force, which span of its table, and which epoch.
    fn span(&self) -> (u64, usize, u32) {
        let (snapshot, now) = (self.snapshot.load(), Timestamp::now());
        let table = &snapshot.policy.table;
        (snapshot.generation, table.span(now), table.epoch(now))
    }

    /// Has every socket look whether it is still allowed.
    pub(crate) fn look_again(&self) {
        self.terms.send_modify(|changes| *changes += 1);
    }

    /// Says of each endpoint whether it is up; one that has been down long enough to be tried again counts as up.
    fn show_health(&self) {
        let snapshot = self.snapshot.load();
        snapshot.states().for_each(|state| state.show());
    }

    /// Resolves the names of all endpoints.
    pub async fn resolve(&self) {
        let snapshot = self.snapshot.load_full();
        for (place, state) in snapshot.policy.places().iter().zip(snapshot.states()) {
            if let Err(error) = state.resolve().await {
                tracing::warn!(endpoint = %place.endpoint.name, %error, "name not resolved; the last good addresses stay");
            }
        }
    }
}
