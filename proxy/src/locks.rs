//! Every lock of this crate, counted, so that a test can say that a stateless request takes none.
//!
//! Other types that lock are not allowed here (`clippy.toml` of this crate has the list): a lock that is not counted would not
//! be missed. The runtime has one inside each socket, which only the socket's own thread takes.

#![allow(clippy::disallowed_types, reason = "this is where they are allowed")]

use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};

static TAKEN: AtomicU64 = AtomicU64::new(0);

/// How often a lock of this crate was reached for in this process.
#[must_use]
pub fn taken() -> u64 {
    TAKEN.load(Ordering::Relaxed)
}

/// Something that locks inside.
#[derive(Debug, Default)]
pub(crate) struct Counted<T>(T);

impl<T> Deref for Counted<T> {
    type Target = T;

    fn deref(&self) -> &T {
        TAKEN.fetch_add(1, Ordering::Relaxed);
        &self.0
    }
}

/// A mutex.
pub(crate) type Mutex<T> = Counted<std::sync::Mutex<T>>;

/// A map with a lock a shard.
pub(crate) type Map<K, V> = Counted<dashmap::DashMap<K, V>>;
