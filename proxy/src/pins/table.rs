//! The pin table in memory: bounded, swept, each pin with a life of its own.
//!
//! Lookups touch one shard, also those that renew a pin. Times are milliseconds of a clock that was set to the wall's at the
//! beginning and has run evenly since, so that a clock that jumps neither ends nor prolongs a pin.

use super::journal::Changes;
use super::value::{Stored, Times};
use super::{Born, Life, Pin};
use crate::locks::{Map, Mutex};
use crate::metrics::PinMetrics;
use riparian_config::Pins;
use riparian_filters::identify::{PinKey, Tenant};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

#[derive(Debug)]
pub(super) struct Table {
    pins: Map<PinKey, Entry>,
    tenants: Map<Tenant, Own>,
    /// All keys by birth, oldest first, those that were forgotten since included. Only births and the sweep take it.
    births: Mutex<VecDeque<Birth>>,
    count: AtomicU64,
    born: AtomicU64,
    limits: Pins,
    metrics: PinMetrics,
    clock: Clock,
    /// Who wants to know which pins changed.
    changes: Option<Arc<Changes>>,
}

/// A key, and which of its births: a handle that was forgotten and learned again is as young as its newest.
type Birth = (u64, PinKey);

#[derive(Debug)]
struct Entry {
    birth: u64,
    tenant: Tenant,
    pin: Pin,
    born: u64,
    hard: Option<u64>,
    idle: Option<u64>,
    /// When it ends if it is not used any more; uses move it.
    ends: AtomicU64,
    /// `ends`, as whoever wants to know of changes heard it last.
    told: AtomicU64,
}

/// A tenant's own pins.
#[derive(Debug, Default)]
struct Own {
    /// Oldest first, those that were forgotten since included.
    keys: VecDeque<Birth>,
    /// How many of them are still in the table.
    live: u64,
}

/// Unix milliseconds that run evenly.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    base: Instant,
    unix: u64,
}

/// A pin that use renews tells of it at most this often.
const TELL_EVERY: u64 = 1000;

impl Clock {
    /// The wall's time, but not before `earliest`.
    pub(super) fn start(earliest: u64) -> Self {
        Self { base: Instant::now(), unix: wall().max(earliest) }
    }

    pub(super) fn at(&self, now: Instant) -> u64 {
        self.unix.saturating_add(millis(now.saturating_duration_since(self.base)))
    }
}

/// The wall's time.
pub(super) fn wall() -> u64 {
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// In milliseconds, at least one for whatever is not nothing at all.
pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

impl Times {
    /// The times of a pin that is born `now`.
    pub(super) fn of(life: Life, ttl: Duration, now: u64) -> Self {
        let after = |time: Duration| now.saturating_add(millis(time));
        let idle = life.idle.map(|idle| millis(idle.min(ttl)).max(1));
        let hard = match (life.lives, idle) {
            (Some(lives), None) => Some(after(lives.min(ttl))),
            (Some(lives), Some(_)) => Some(after(lives)),
            (None, None) => Some(after(ttl)),
            (None, Some(_)) => None,
        };
        let mut times = Self { born: now, hard, idle, ends: 0 };
        times.ends = times.used(now);
        times
    }

    /// No longer than pins are kept now, and none as if it were born later than now.
    pub(super) fn shorten(&mut self, ttl: Duration, now: u64) {
        let ahead = self.born.saturating_sub(now);
        self.born -= ahead;
        self.hard = self.hard.map(|hard| hard.saturating_sub(ahead));
        self.ends = self.ends.saturating_sub(ahead);
        match self.idle {
            Some(idle) => self.idle = Some(idle.min(millis(ttl))),
            None => {
                let kept = self.born.saturating_add(millis(ttl));
                self.hard = Some(self.hard.map_or(kept, |hard| hard.min(kept)));
            }
        }
        self.ends = self.ends.min(self.used(now));
    }

    /// When it ends if it is used `now` and not any more.
    fn used(&self, now: u64) -> u64 {
        let idle = self.idle.map_or(u64::MAX, |idle| now.saturating_add(idle));
        idle.min(self.hard.unwrap_or(u64::MAX))
    }
}

impl Entry {
    fn new(birth: u64, stored: Stored) -> Self {
        let Times { born, hard, idle, ends } = stored.times;
        Self {
            birth,
            tenant: stored.tenant,
            pin: stored.pin,
            born,
            hard,
            idle,
            ends: AtomicU64::new(ends),
            told: AtomicU64::new(ends),
        }
    }

    fn times(&self) -> Times {
        Times { born: self.born, hard: self.hard, idle: self.idle, ends: self.ends.load(Ordering::Relaxed) }
    }

    fn lives(&self, now: u64) -> bool {
        self.ends.load(Ordering::Relaxed) > now
    }

    /// Renews it, if use does that; true when that is worth telling.
    fn use_it(&self, now: u64) -> bool {
        if self.idle.is_none() {
            return false;
        }
        let ends = self.times().used(now);
        self.ends.fetch_max(ends, Ordering::Relaxed);
        let every = TELL_EVERY.min(self.idle.unwrap_or(0) / 4);
        let told = self.told.load(Ordering::Relaxed);
        ends > told.saturating_add(every) && self.told.swap(ends, Ordering::Relaxed) == told
    }
}

impl Table {
    pub(super) fn new(limits: Pins, metrics: PinMetrics) -> Self {
        Self::telling(limits, metrics, Clock::start(0), None)
    }

    /// One that tells `changes` of every key whose pin comes, goes or is renewed, after it has.
    pub(super) fn telling(
        limits: Pins,
        metrics: PinMetrics,
        clock: Clock,
        changes: Option<Arc<Changes>>,
    ) -> Self {
        Self {
            pins: Map::default(),
            tenants: Map::default(),
            births: Mutex::default(),
            count: AtomicU64::new(0),
            born: AtomicU64::new(0),
            limits,
            metrics,
            clock,
            changes,
        }
    }

    pub(super) fn now(&self) -> u64 {
        self.at(Instant::now())
    }

    pub(super) fn at(&self, now: Instant) -> u64 {
        self.clock.at(now)
    }

    /// Where a handle lives, if it is known and has not expired. That is a use of it.
    pub(super) fn recall(&self, key: PinKey, now: u64) -> Option<Pin> {
        let entry = self.pins.get(&key).filter(|entry| entry.lives(now))?;
        let (renewed, pin) = (entry.use_it(now), entry.pin.clone());
        drop(entry);
        if renewed {
            self.tell(key);
        }
        Some(pin)
    }

    /// The same, and no use of it.
    pub(super) fn peek(&self, key: PinKey, now: u64) -> Option<Pin> {
        self.pins.get(&key).filter(|entry| entry.lives(now)).map(|entry| entry.pin.clone())
    }

    /// Remembers where a handle lives; false when that is known already. Over a limit the oldest go: the tenant's own
    /// first, then anybody's.
    pub(super) fn learn(&self, tenant: Tenant, born: &Born, now: u64) -> bool {
        let times = Times::of(born.life, self.limits.ttl, now);
        let new = self.insert(born.key, Stored { tenant, pin: born.pin.clone(), times }, now).is_none();
        if new {
            self.tell(born.key);
        }
        new
    }

    /// Remembers where a name lives, unless that is known; the pin in force.
    pub(super) fn bind(&self, tenant: Tenant, born: &Born, now: u64) -> Pin {
        let times = Times::of(born.life, self.limits.ttl, now);
        let known = self.insert(born.key, Stored { tenant, pin: born.pin.clone(), times }, now);
        known.unwrap_or_else(|| {
            self.tell(born.key);
            born.pin.clone()
        })
    }

    /// Takes a pin back with the times that it had; not one that has expired. Of that nobody is told.
    pub(super) fn restore(&self, key: PinKey, stored: Stored, now: u64) {
        if stored.times.ends > now {
            self.insert(key, stored, now);
        }
    }

    /// Takes a pin in, unless a living one is known under its key: then that one, and it was used.
    fn insert(&self, key: PinKey, stored: Stored, now: u64) -> Option<Pin> {
        let birth = self.born.fetch_add(1, Ordering::Relaxed);
        let tenant = stored.tenant;
        let again = match self.pins.entry(key) {
            dashmap::Entry::Occupied(known) if known.get().lives(now) => {
                let (renewed, pin) = (known.get().use_it(now), known.get().pin.clone());
                drop(known);
                if renewed {
                    self.tell(key);
                }
                return Some(pin);
            }
            // One that has expired and that the sweep has not met yet gives way.
            dashmap::Entry::Occupied(mut known) => {
                known.insert(Entry::new(birth, stored));
                true
            }
            dashmap::Entry::Vacant(place) => {
                place.insert(Entry::new(birth, stored));
                false
            }
        };
        if !again {
            self.count.fetch_add(1, Ordering::Relaxed);
        }
        self.bound_tenant((birth, key), tenant, !again);
        self.bound((birth, key));
        self.show();
        None
    }

    fn bound_tenant(&self, birth: Birth, tenant: Tenant, more: bool) {
        let mut own = self.tenants.entry(tenant).or_default();
        own.keys.push_back(birth);
        own.live += u64::from(more);
        while own.live > self.limits.per_tenant {
            let Some(oldest) = own.keys.pop_front() else { break };
            if self.evict(oldest).is_some() {
                own.live -= 1;
            }
        }
        if own.keys.len() as u64 > 2 * own.live + 64 {
            own.keys.retain(|birth| self.is_newest(birth));
        }
    }

    fn bound(&self, birth: Birth) {
        let mut births = self.births.lock().expect("no holder of this lock panics");
        births.push_back(birth);
        while self.len() > self.limits.max {
            let Some(oldest) = births.pop_front() else { break };
            if let Some(tenant) = self.evict(oldest) {
                self.uncount(tenant, 1);
            }
        }
        // What was forgotten leaves its key behind; half of the queue is as much as that may come to.
        if births.len() as u64 > 2 * self.len() + 1024 {
            births.retain(|birth| self.is_newest(birth));
        }
    }

    fn is_newest(&self, (birth, key): &Birth) -> bool {
        self.pins.get(key).is_some_and(|entry| entry.birth == *birth)
    }

    /// Removes a pin before its time, if this is its newest birth: whose it was.
    fn evict(&self, (birth, key): Birth) -> Option<Tenant> {
        let (_, entry) = self.pins.remove_if(&key, |_, entry| entry.birth == birth)?;
        self.count.fetch_sub(1, Ordering::Relaxed);
        self.metrics.evicted.increment(1);
        self.tell(key);
        Some(entry.tenant)
    }

    /// Forgets a handle.
    pub(super) fn forget(&self, key: PinKey) {
        if let Some((_, entry)) = self.pins.remove(&key) {
            self.count.fetch_sub(1, Ordering::Relaxed);
            self.uncount(entry.tenant, 1);
            self.tell(key);
            self.show();
        }
    }

    fn uncount(&self, tenant: Tenant, pins: u64) {
        if let Some(mut own) = self.tenants.get_mut(&tenant) {
            own.live = own.live.saturating_sub(pins);
        }
    }

    /// Forgets what has expired, and returns how many pins that were. One shard at a time is locked, for as long as it takes to
    /// look at each of its pins.
    pub(super) fn sweep(&self, now: u64) -> usize {
        let mut swept: HashMap<Tenant, u64> = HashMap::new();
        self.pins.retain(|key, entry| {
            let lives = entry.lives(now);
            if !lives {
                *swept.entry(entry.tenant).or_default() += 1;
                self.tell(*key);
            }
            lives
        });
        let count = swept.values().sum::<u64>();
        self.count.fetch_sub(count, Ordering::Relaxed);
        swept.into_iter().for_each(|(tenant, pins)| self.uncount(tenant, pins));
        self.tenants.retain(|_, own| own.live > 0);
        self.show();
        usize::try_from(count).unwrap_or(usize::MAX)
    }

    /// How many pins there are.
    pub(super) fn len(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Every key. Only one shard at a time is locked, and not while anything is written.
    pub(super) fn keys(&self) -> Vec<PinKey> {
        self.pins.iter().map(|entry| *entry.key()).collect()
    }

    /// A pin with its times, also one that has just expired.
    pub(super) fn stored(&self, key: PinKey) -> Option<Stored> {
        let entry = self.pins.get(&key)?;
        Some(Stored { tenant: entry.tenant, pin: entry.pin.clone(), times: entry.times() })
    }

    fn tell(&self, key: PinKey) {
        if let Some(changes) = &self.changes {
            changes.tell(key);
        }
    }

    fn show(&self) {
        #[allow(clippy::cast_precision_loss, reason = "a gauge of at most some millions")]
        self.metrics.held.set(self.len() as f64);
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
