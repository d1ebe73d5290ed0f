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
    /// Monotonic, so that a clock that jumps neither ends nor prolongs it.
    pub expires: Instant,
}

/// The table.
#[derive(Debug)]
pub struct PinTable {
    pins: Map<PinKey, (Tenant, Pin)>,
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
        self.pins.get(&key).filter(|entry| entry.1.expires > now).map(|entry| entry.1.clone())
    }

    /// Remembers where a handle lives; false when that is known already. Over a limit the oldest pins go: the tenant's own
    /// first, then anybody's.
    pub fn learn(&self, key: PinKey, tenant: Tenant, pin: Pin) -> bool {
        let expires = pin.expires;
        match self.pins.entry(key) {
            dashmap::Entry::Occupied(mut known) => {
                // An expired pin that the sweep has not met yet gives way; a living one stays.
                if known.get().1.expires > Instant::now() {
                    return false;
                }
                known.insert((tenant, pin));
                drop(known);
                let mut births = self.births.lock().expect("no holder of this lock panics");
                births.push_back((expires, key));
                return true;
            }
            dashmap::Entry::Vacant(place) => {
                place.insert((tenant, pin));
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
        removed.is_some_and(|(_, (tenant, _))| {
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
            if let Some((_, (tenant, _))) = self.pins.remove_if(&key, |_, (_, pin)| pin.expires <= now) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use riparian_filters::identify::Keys;

    fn table(max: u64, per_tenant: u64) -> PinTable {
        let limits = Pins { store: None, ttl: Duration::from_secs(60), max, per_tenant, sweep: Duration::from_secs(60) };
        PinTable::new(limits, Gauge::noop(), Counter::noop())
    }

    struct Someone(Keys, Tenant);

    impl Someone {
        fn new(credential: &str) -> Self {
            let keys = Keys::derive(b"key");
            let mut headers = http::HeaderMap::new();
            headers.insert("authorization", credential.parse().unwrap());
            let tenant = keys.tenant(&headers);
            Self(keys, tenant)
        }

        fn key(&self, handle: &str) -> PinKey {
            self.0.pin(self.1, "response", handle)
        }

        fn learn(&self, table: &PinTable, handle: &str, lives: Duration) {
            table.learn(self.key(handle), self.1, pin(lives));
        }
    }

    fn pin(lives: Duration) -> Pin {
        Pin {
            endpoint: EndpointName::new("e").unwrap(),
            cloud: CloudName::new("c").unwrap(),
            session: SessionId::mint([1; 16]),
            epoch: 0,
            expires: Instant::now() + lives,
        }
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn another_tenants_handle_is_an_unknown_one() {
        let (table, a, b) = (table(10, 10), Someone::new("a"), Someone::new("b"));
        a.learn(&table, "resp_1", LONG);
        assert!(table.recall(a.key("resp_1"), Instant::now()).is_some());
        assert_eq!(table.recall(b.key("resp_1"), Instant::now()), None);
    }

    #[test]
    fn over_its_share_a_tenant_loses_its_own_oldest_and_nobody_elses() {
        let (table, a, b) = (table(100, 2), Someone::new("a"), Someone::new("b"));
        b.learn(&table, "other", LONG);
        for handle in ["1", "2", "3"] {
            a.learn(&table, handle, LONG);
        }
        let known = |who: &Someone, handle| table.recall(who.key(handle), Instant::now()).is_some();
        assert!(!known(&a, "1") && known(&a, "2") && known(&a, "3") && known(&b, "other"));
        assert_eq!(table.len(), 3);
    }

    #[test]
    fn over_the_whole_the_oldest_goes() {
        let table = table(3, 3);
        let tenants: Vec<_> = (0..4).map(|n| Someone::new(&format!("tenant {n}"))).collect();
        for tenant in &tenants {
            tenant.learn(&table, "h", LONG);
        }
        assert_eq!(table.len(), 3);
        assert_eq!(table.recall(tenants[0].key("h"), Instant::now()), None);
    }

    #[test]
    fn what_has_expired_is_not_recalled_and_is_swept() {
        let (table, a) = (table(10, 10), Someone::new("a"));
        a.learn(&table, "short", Duration::from_millis(1));
        a.learn(&table, "long", LONG);
        let later = Instant::now() + Duration::from_secs(1);
        assert_eq!(table.recall(a.key("short"), later), None);
        assert_eq!(table.sweep(later), 1);
        assert_eq!(table.len(), 1);
        assert!(table.recall(a.key("long"), later).is_some());
    }

    #[test]
    fn forgetting_is_for_one_handle() {
        let (table, a) = (table(10, 10), Someone::new("a"));
        a.learn(&table, "1", LONG);
        a.learn(&table, "2", LONG);
        table.forget(a.key("1"));
        assert_eq!(table.recall(a.key("1"), Instant::now()), None);
        assert_eq!(table.len(), 1);
    }
}
