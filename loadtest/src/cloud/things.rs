//! Everything else that a cloud keeps: files, containers, sessions, jobs, caches. One shelf for all of them, each with how
//! long it lives and how long it may lie idle.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::record::Outcome;
use super::serve::Site;

/// Something that is kept.
#[derive(Clone, Debug)]
pub(crate) struct Thing {
    /// The object as it is shown.
    pub(crate) value: Value,
    /// Bytes that belong to it: a file's content.
    pub(crate) bytes: Bytes,
    /// How often it was continued.
    pub(crate) turns: u64,
    /// Forgotten when not used for so long.
    idle: Option<Duration>,
    /// Forgotten so long after birth.
    lives: Option<Duration>,
    born: Duration,
    used: Duration,
}

impl Thing {
    pub(crate) fn new(value: Value) -> Self {
        Thing {
            value,
            bytes: Bytes::new(),
            turns: 0,
            idle: None,
            lives: None,
            born: Duration::ZERO,
            used: Duration::ZERO,
        }
    }

    pub(crate) fn bytes(mut self, bytes: impl Into<Bytes>) -> Self {
        self.bytes = bytes.into();
        self
    }

    pub(crate) fn idle(mut self, idle: Duration) -> Self {
        self.idle = Some(idle);
        self
    }

    pub(crate) fn lives(mut self, lives: Duration) -> Self {
        self.lives = Some(lives);
        self
    }

    fn forgotten(&self, now: Duration) -> bool {
        self.idle.is_some_and(|idle| now >= self.used + idle)
            || self.lives.is_some_and(|lives| now >= self.born + lives)
    }
}

fn key(kind: &str, id: &str) -> String {
    format!("{kind} {id}")
}

impl Site {
    pub(crate) fn put(&self, kind: &str, id: &str, mut thing: Thing) {
        thing.born = self.clock.now();
        thing.used = thing.born;
        self.store().things.put(&key(kind, id), thing);
    }

    /// Looks at a thing, which counts as its use; else what citing it amounts to.
    pub(crate) fn with<T>(
        &self,
        kind: &str,
        id: &str,
        look: impl FnOnce(&mut Thing) -> T,
    ) -> Result<T, Outcome> {
        let (now, key) = (self.clock.now(), key(kind, id));
        let mut store = self.store();
        if store.things.find(&key).is_some_and(|thing| thing.forgotten(now)) {
            store.things.remove(&key);
        }
        let thing = store.things.find_mut(&key).ok_or_else(|| self.minter.blame(id))?;
        thing.used = now;
        Ok(look(thing))
    }

    /// Its value as it is shown.
    pub(crate) fn shown(&self, kind: &str, id: &str) -> Result<Value, Outcome> {
        self.with(kind, id, |thing| thing.value.clone())
    }

    pub(crate) fn take(&self, kind: &str, id: &str) -> Result<Thing, Outcome> {
        self.with(kind, id, |_| ())?;
        self.store().things.remove(&key(kind, id)).ok_or(Outcome::GoneHandle)
    }

    /// The values of a kind, newest first, as many as a page shows.
    pub(crate) fn list(&self, kind: &str) -> Vec<Value> {
        const PAGE: usize = 20;
        let (now, prefix) = (self.clock.now(), key(kind, ""));
        let store = self.store();
        let newest =
            store.things.newest().filter(|(key, thing)| key.starts_with(&prefix) && !thing.forgotten(now));
        newest.map(|(_, thing)| thing.value.clone()).take(PAGE).collect()
    }

    /// The session that a client named, begun if it is not known: its turn. This is amnesia: a session that lives elsewhere
    /// begins anew here, without an error.
    pub(crate) fn turn(&self, kind: &str, id: &str, make: impl FnOnce() -> Thing) -> u64 {
        let next = |thing: &mut Thing| {
            thing.turns += 1;
            thing.turns
        };
        if let Ok(turn) = self.with(kind, id, next) {
            return turn;
        }
        let mut thing = make();
        thing.turns = 1;
        self.put(kind, id, thing);
        1
    }
}
