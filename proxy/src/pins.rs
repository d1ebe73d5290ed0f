//! Pins: where state lives. In memory, bounded, swept.
//!
//! A key is a digest of tenant, kind and handle (`riparian_filters::identify`), so that a handle of another tenant is not in the
//! table at all and cannot be told from an unknown one. Lookups touch one shard; a request without a handle touches
//! none. A pin is never changed once written: the same handle born twice keeps its first owner, since no endpoint
//! mints another's handle.

use crate::locks::{Map, Mutex};
use metrics::{Counter, Gauge};
use riparian_config::{CloudName, EndpointName, Pins};
use riparian_filters::identify::{PinKey, SessionId, Tenant};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Where a handle's state lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// By name: numbers change with the configuration.
    pub endpoint: EndpointName,
    /// An endpoint that was moved to another cloud under the same name is not the owner any more.
    pub cloud: CloudName,
    /// The session that every handle of the chain belongs to.
    pub session: SessionId,
    /// The epoch of its birth.
    pub epoch: u32,
}

/// How long a pin is good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Life {
    /// From its birth; `None`: as long as pins are kept.
    pub lives: Option<Duration>,
    /// When nobody uses it; each use renews that.
    pub idle: Option<Duration>,
}

/// A pin that is to be written.
#[derive(Clone, Debug)]
pub struct Born {
    /// The handle.
    pub key: PinKey,
    /// Where it lives.
    pub pin: Pin,
    /// How long it is good.
    pub life: Life,
}

/// The store cannot be asked.
#[derive(Debug)]
pub struct StoreFault;

impl std::fmt::Display for StoreFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the pin store cannot be asked")
    }
}

/// Temporary, until the stores land.
#[derive(Debug)]
pub struct PinStore(PinTable);

impl PinStore {
    /// An empty one.
    #[must_use]
    pub fn new(limits: Pins, gauge: Gauge, evicted: Counter) -> Self {
        Self(PinTable::new(limits, gauge, evicted))
    }
    /// Asks.
    pub async fn recall(&self, keys: &[PinKey]) -> Result<smallvec::SmallVec<[Option<Pin>; 4]>, StoreFault> {
        Ok(keys.iter().map(|key| self.0.recall(*key, Instant::now())).collect())
    }
    /// Learns.
    pub async fn learn(&self, tenant: Tenant, born: &[Born]) -> Result<u64, StoreFault> {
        Ok(born
            .iter()
            .filter(|born| {
                let lives = born.life.idle.or(born.life.lives).unwrap_or(self.0.ttl());
                self.0.learn(born.key, tenant, born.pin.clone(), Instant::now() + lives)
            })
            .count() as u64)
    }
    /// Binds.
    pub async fn bind(&self, tenant: Tenant, born: Born) -> Result<Pin, StoreFault> {
        self.learn(tenant, std::slice::from_ref(&born)).await?;
        Ok(self.0.recall(born.key, Instant::now()).unwrap_or(born.pin))
    }
    /// Forgets.
    pub async fn forget(&self, keys: &[PinKey]) -> Result<(), StoreFault> {
        keys.iter().for_each(|key| self.0.forget(*key));
        Ok(())
    }
    /// Sweeps.
    pub fn sweep(&self, now: Instant) -> usize {
        self.0.sweep(now)
    }
    /// Counts.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0.len()
    }
    /// None.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The table.
#[derive(Debug)]
pub struct PinTable {
    pins: Map<PinKey, (Tenant, Pin, Instant)>,
    tenants: Map<Tenant, Own>,
    /// All keys, oldest first, those that were forgotten since included. Only births and the sweep take it.
    births: Mutex<VecDeque<(Instant, PinKey)>>,
    count: AtomicU64,
    limits: Pins,
    gauge: Gauge,
    evicted: Counter,
}

/// A tenant's own pins.
#[derive(Debug, Default)]
struct Own {
    /// Keys, oldest first, those that were forgotten since included; with one lifetime for all, oldest is also soonest
    /// to expire.
    keys: VecDeque<PinKey>,
    /// How many of them are still in the table.
    live: u64,
}

impl PinTable {
    /// An empty table.
    #[must_use]
    pub fn new(limits: Pins, gauge: Gauge, evicted: Counter) -> Self {
        Self {
            pins: Map::default(),
            tenants: Map::default(),
            births: Mutex::default(),
            count: AtomicU64::new(0),
            limits,
            gauge,
            evicted,
        }
    }

    /// How long a pin is kept.
    #[must_use]
    pub fn ttl(&self) -> Duration {
        self.limits.ttl
    }

    /// Where a handle lives, if it is known and has not expired.
    #[must_use]
    pub fn recall(&self, key: PinKey, now: Instant) -> Option<Pin> {
        self.pins.get(&key).filter(|entry| entry.2 > now).map(|entry| entry.1.clone())
    }

    /// Remembers where a handle lives; false when that is known already. Over a limit the oldest pins go: the tenant's own
    /// first, then anybody's.
    pub fn learn(&self, key: PinKey, tenant: Tenant, pin: Pin, expires: Instant) -> bool {
        match self.pins.entry(key) {
            dashmap::Entry::Occupied(mut known) => {
                // An expired pin that the sweep has not met yet gives way; a living one stays.
                if known.get().2 > Instant::now() {
                    return false;
                }
                known.insert((tenant, pin, expires));
                drop(known);
                let mut births = self.births.lock().expect("no holder of this lock panics");
                births.push_back((expires, key));
                return true;
            }
            dashmap::Entry::Vacant(place) => {
                place.insert((tenant, pin, expires));
            }
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        self.bound_tenant(key, tenant);
        let mut births = self.births.lock().expect("no holder of this lock panics");
        births.push_back((expires, key));
        while self.len() > self.limits.max {
            let Some((_, oldest)) = births.pop_front() else { break };
            if self.remove(oldest) {
                self.evicted.increment(1);
            }
        }
        // What was forgotten leaves its key behind; half of the queue is as much as that may come to.
        if births.len() as u64 > 2 * self.len() + 1024 {
            births.retain(|(_, key)| self.pins.contains_key(key));
        }
        drop(births);
        self.show();
        true
    }

    fn bound_tenant(&self, key: PinKey, tenant: Tenant) {
        let mut own = self.tenants.entry(tenant).or_default();
        own.keys.push_back(key);
        own.live += 1;
        while own.live > self.limits.per_tenant {
            let Some(oldest) = own.keys.pop_front() else { break };
            if self.pins.remove(&oldest).is_some() {
                own.live -= 1;
                self.count.fetch_sub(1, Ordering::Relaxed);
                self.evicted.increment(1);
            }
        }
        if own.keys.len() as u64 > 2 * own.live + 64 {
            own.keys.retain(|key| self.pins.contains_key(key));
        }
    }

    /// Forgets a handle.
    pub fn forget(&self, key: PinKey) {
        if self.remove(key) {
            self.show();
        }
    }

    fn remove(&self, key: PinKey) -> bool {
        let removed = self.pins.remove(&key);
        removed.is_some_and(|(_, (tenant, ..))| {
            self.uncount(tenant);
            true
        })
    }

    fn uncount(&self, tenant: Tenant) {
        self.count.fetch_sub(1, Ordering::Relaxed);
        if let Some(mut own) = self.tenants.get_mut(&tenant) {
            own.live = own.live.saturating_sub(1);
        }
    }

    /// Forgets what has expired, and returns how many pins that were.
    pub fn sweep(&self, now: Instant) -> usize {
        let mut swept = 0;
        let mut births = self.births.lock().expect("no holder of this lock panics");
        while births.front().is_some_and(|(expires, _)| *expires <= now) {
            let Some((_, key)) = births.pop_front() else { break };
            // A pin that was renewed under the same key stands further back in the queue.
            if let Some((_, (tenant, ..))) = self.pins.remove_if(&key, |_, (_, _, expires)| *expires <= now) {
                self.uncount(tenant);
                swept += 1;
            }
        }
        drop(births);
        self.tenants.retain(|_, own| own.live > 0);
        self.show();
        swept
    }

    /// How many pins there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn show(&self) {
        #[allow(clippy::cast_precision_loss, reason = "a gauge of at most some millions")]
        self.gauge.set(self.len() as f64);
    }
}
