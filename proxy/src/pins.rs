//! Pins: where state lives. Kept in memory, in memory with a journal behind it, or in a Redis that replicas share.
//!
//! A key is a digest of tenant, kind and handle (`riparian_filters::identify`), so that a handle of another tenant is not in the
//! store at all and cannot be told from an unknown one. A pin is never changed once written: the same handle born twice
//! keeps its first owner, since no endpoint mints another's handle, and a name that clients assert is bound once. Requests
//! without a handle never come here. What a store cannot say is a [`StoreFault`], and never an absent pin: the request is
//! refused, because a guess could reach the wrong cloud.
//!
//! | store | survives a restart | shared | a question costs | bounded by |
//! |---|---|---|---|---|
//! | memory | no | no | one shard's lock | `max`, `per_tenant` |
//! | journal | yes, also a kill, but for the last 100 ms | no | the same | the same |
//! | redis | yes | by replicas | one round trip, `within` | the Redis' `maxmemory` |
//! | sealed | yes | by replicas | nothing: the request itself says it ([`sealed`]) | there is nothing |

mod breaker;
mod fault;
mod journal;
mod redis;
pub mod sealed;
mod table;
mod value;

pub use fault::{OpenFault, StoreFault};

use crate::credentials::Secrets;
use crate::metrics::{Operation, PinMetrics};
use riparian_config::{CloudName, EndpointName, Pins, Store, Timestamp};
use riparian_filters::identify::{Keys, PinKey, SessionId, Tenant};
use smallvec::SmallVec;
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
    /// When the terms in force last allowed the state to be there: its birth, or that of what its session was let go on from. In
    /// whole milliseconds.
    pub since: Timestamp,
}

/// How long a handle lives where it was born. Its pin ends then, and never later than `sessions.pins.ttl` after its birth or,
/// where use renews it, after its last use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Life {
    /// From birth. `None`: as long as pins are kept.
    pub lives: Option<Duration>,
    /// From the last use; each recall renews it. `None`: use renews nothing.
    pub idle: Option<Duration>,
}

/// A handle that was just learned, or that a client asserts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Born {
    /// Which.
    pub key: PinKey,
    /// Where it lives.
    pub pin: Pin,
    /// How long.
    pub life: Life,
}

/// What a question found, in the order in which it was asked.
pub type Recalled = SmallVec<[Option<Pin>; 4]>;

/// A pin store.
#[derive(Debug)]
pub struct PinStore {
    backend: Backend,
    metrics: PinMetrics,
}

#[derive(Debug)]
enum Backend {
    Memory(table::Table),
    Journal(journal::Journal),
    Redis(redis::Redis),
    /// Clients have the pins.
    Sealed,
}

/// Who answers a question.
enum Answering<'s> {
    /// At once.
    Table(&'s table::Table),
    /// In a box, so that requests which do not ask one have no room for it in their state.
    Redis(&'s redis::Redis),
    Nobody,
}

/// A store that is about to open: whether it has a key of its own must be known before anything is digested.
#[derive(Debug)]
pub struct Opening(Choice);

#[derive(Debug)]
enum Choice {
    Memory,
    Journal(journal::Opened),
    Redis(riparian_config::Redis),
    Sealed,
}

impl Opening {
    /// Takes hold of the store's file, where it has one.
    ///
    /// # Errors
    /// When the journal cannot be had: another process has it, it is damaged, or its directory cannot be written.
    pub fn begin(store: &Store) -> Result<Self, OpenFault> {
        Ok(Self(match store {
            Store::Memory => Choice::Memory,
            Store::Journal(path) => Choice::Journal(journal::Opened::begin(path)?),
            Store::Redis(redis) => Choice::Redis(redis.clone()),
            Store::Sealed(_) => Choice::Sealed,
        }))
    }

    /// The key of all digests, where the configuration has none: the journal keeps the one that it was begun with, or else
    /// there is a new one.
    ///
    /// # Errors
    /// When the journal cannot be read or written.
    pub fn key(&self) -> Result<Keys, OpenFault> {
        match &self.0 {
            Choice::Journal(opened) => opened.key(),
            Choice::Memory | Choice::Redis(_) | Choice::Sealed => Ok(Keys::new(rand::random())),
        }
    }

    /// Opens the store: a journal is read back, a Redis is connected to. A Redis that is not there yet is no fault.
    ///
    /// # Errors
    /// When the journal was written under another key or is damaged, a secret cannot be had, or no thread can be had.
    pub async fn open(
        self,
        limits: Pins,
        keys: &Keys,
        secrets: &Secrets,
        metrics: PinMetrics,
    ) -> Result<PinStore, OpenFault> {
        let backend = match self.0 {
            Choice::Memory => Backend::Memory(table::Table::new(limits, metrics.clone())),
            Choice::Sealed => Backend::Sealed,
            Choice::Journal(opened) => Backend::Journal(opened.open(&limits, keys, metrics.clone())?),
            Choice::Redis(config) => {
                Backend::Redis(redis::Redis::open(&config, limits.ttl, keys, secrets, metrics.clone()).await?)
            }
        };
        Ok(PinStore { backend, metrics })
    }
}

impl PinStore {
    /// A store of this process' memory.
    #[must_use]
    pub fn memory(limits: Pins, metrics: PinMetrics) -> Self {
        Self { backend: Backend::Memory(table::Table::new(limits, metrics.clone())), metrics }
    }

    /// Where these handles live, in their order; those that are known and whose life renews by use are renewed.
    ///
    /// # Errors
    /// When the store cannot say, also of one of them.
    pub async fn recall(&self, keys: &[PinKey]) -> Result<Recalled, StoreFault> {
        let recalled = match self.answering() {
            Answering::Table(table) => Ok(keys.iter().map(|key| table.recall(*key, table.now())).collect()),
            Answering::Redis(redis) => Box::pin(redis.recall(keys)).await,
            Answering::Nobody => return Ok(SmallVec::from_elem(None, keys.len())),
        };
        self.counted(Operation::Recall, recalled)
    }

    /// Remembers where handles of `tenant` live, and returns how many were new; a known, living one keeps its first owner.
    /// Over a limit the oldest go: the tenant's own first, then anybody's.
    ///
    /// # Errors
    /// When the store cannot be reached in time; then some of them may have been written.
    pub async fn learn(&self, tenant: Tenant, born: &[Born]) -> Result<u64, StoreFault> {
        if born.is_empty() {
            return Ok(0);
        }
        let learned = match self.answering() {
            Answering::Table(table) => {
                Ok(born.iter().map(|born| u64::from(table.learn(tenant, born, table.now()))).sum())
            }
            Answering::Redis(redis) => Box::pin(redis.learn(tenant, born)).await,
            Answering::Nobody => return Ok(born.len() as u64),
        };
        self.counted(Operation::Learn, learned)
    }

    /// Binds a name that a client asserts, unless it is bound: of many that try, over all replicas, one is the first. Returns
    /// the pin that is in force, ours or the earlier one. The store `sealed` binds nothing; nobody may ask it to.
    ///
    /// # Errors
    /// When the store cannot be reached in time; then it may be bound.
    pub async fn bind(&self, tenant: Tenant, born: Born) -> Result<Pin, StoreFault> {
        let bound = match self.answering() {
            Answering::Table(table) => Ok(table.bind(tenant, &born, table.now())),
            Answering::Redis(redis) => Box::pin(redis.bind(tenant, born)).await,
            Answering::Nobody => Err(StoreFault::Refused),
        };
        self.counted(Operation::Bind, bound)
    }

    /// Forgets handles, known or not.
    ///
    /// # Errors
    /// When the store cannot be reached in time.
    pub async fn forget(&self, keys: &[PinKey]) -> Result<(), StoreFault> {
        if keys.is_empty() {
            return Ok(());
        }
        let forgotten = match self.answering() {
            Answering::Table(table) => {
                keys.iter().for_each(|key| table.forget(*key));
                Ok(())
            }
            Answering::Redis(redis) => Box::pin(redis.forget(keys)).await,
            Answering::Nobody => return Ok(()),
        };
        self.counted(Operation::Forget, forgotten)
    }

    /// Forgets what has expired, and returns how many pins that were. A Redis does that by itself.
    pub fn sweep(&self, now: Instant) -> usize {
        self.table().map_or(0, |table| table.sweep(table.at(now)))
    }

    /// How many pins there are; 0 for a Redis, which is not asked, and where clients have them.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.table().map_or(0, table::Table::len)
    }

    /// Whether there is none; of a Redis that is not known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until everything so far is in the journal, at most some seconds. Blocks: for the end of a process.
    pub fn flush(&self) {
        if let Backend::Journal(journal) = &self.backend {
            journal.flush();
        }
    }

    fn answering(&self) -> Answering<'_> {
        match &self.backend {
            Backend::Memory(table) => Answering::Table(table),
            Backend::Journal(journal) => Answering::Table(journal.table()),
            Backend::Redis(redis) => Answering::Redis(redis),
            Backend::Sealed => Answering::Nobody,
        }
    }

    fn table(&self) -> Option<&table::Table> {
        match self.answering() {
            Answering::Table(table) => Some(table),
            Answering::Redis(_) | Answering::Nobody => None,
        }
    }

    fn counted<T>(&self, operation: Operation, done: Result<T, StoreFault>) -> Result<T, StoreFault> {
        self.metrics.count(operation, done.as_ref().err().map_or("ok", StoreFault::outcome));
        done
    }
}
