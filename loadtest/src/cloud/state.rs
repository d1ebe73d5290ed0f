//! What a cloud keeps: responses and conversations, bounded, the oldest forgotten first; and the ids it mints for them.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use serde_json::Value;

use super::core::{cores, uuid};
use super::record::{Outcome, sha256};
use super::response_object::Facts;
use super::things::Thing;

/// Mints ids that no other cloud mints: each carries a digest of its cloud's name, a random number of this run, and a
/// counter. A cloud can so tell an id that it once made from one that it never made.
#[derive(Debug)]
pub(crate) struct Minter {
    /// The digest and the random number.
    mark: String,
    next: AtomicU64,
}

impl Minter {
    pub(crate) fn new(name: &str) -> Self {
        let digest = sha256(name.as_bytes());
        let name_digest = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
        // The standard library seeds its hash maps from the system's randomness: enough to tell two runs apart.
        let [a, b, c, d, ..] = RandomState::new().hash_one(name).to_be_bytes();
        let mark = format!("{name_digest:08x}{:08x}", u32::from_be_bytes([a, b, c, d]));
        Minter { mark, next: AtomicU64::new(1) }
    }

    /// What every id of this cloud begins with, in this run.
    pub(crate) fn mark(&self) -> &str {
        &self.mark
    }

    /// For instance `resp_` + 32 hex digits.
    pub(crate) fn mint(&self, prefix: &str) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        format!("{prefix}{}{number:016x}", self.mark)
    }

    /// An id in the shape of a UUID.
    pub(crate) fn mint_uuid(&self) -> String {
        uuid(&self.mint(""))
    }

    /// What citing an id that is not kept here amounts to.
    pub(crate) fn blame(&self, id: &str) -> Outcome {
        let ours = cores(id.as_bytes()).iter().any(|core| core.starts_with(&self.mark));
        if ours { Outcome::GoneHandle } else { Outcome::ForeignHandle }
    }
}

/// A kept response.
#[derive(Clone, Debug)]
pub(crate) struct StoredResponse {
    pub(crate) facts: Arc<Facts>,
    /// Of a background response: when it will be complete.
    pub(crate) complete_at: Option<Instant>,
    pub(crate) cancelled: bool,
    /// The input as it came, unless it was too long to keep.
    pub(crate) input: Option<Arc<str>>,
    /// Known to the socket alone on which it was made.
    pub(crate) socket: bool,
}

impl StoredResponse {
    pub(crate) fn status(&self) -> &'static str {
        match self.complete_at {
            _ if self.cancelled => "cancelled",
            Some(at) if Instant::now() < at => "in_progress",
            _ => "completed",
        }
    }
}

/// A kept conversation.
#[derive(Clone, Debug)]
pub(crate) struct StoredConversation {
    pub(crate) created_at: u64,
    pub(crate) metadata: Value,
    pub(crate) turns: u64,
    /// Oldest first.
    pub(crate) items: Vec<Value>,
    /// Held by whoever is at a turn: more than this one reference mean that it is under way.
    pub(crate) busy: Arc<()>,
}

#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) responses: Shelf<StoredResponse>,
    pub(crate) conversations: Shelf<StoredConversation>,
    /// Items of stored responses, which later inputs may cite.
    pub(crate) items: Shelf<Value>,
    pub(crate) things: Shelf<Thing>,
}

impl Store {
    pub(crate) fn new(max: usize) -> Self {
        Store {
            responses: Shelf::new(max),
            conversations: Shelf::new(max),
            items: Shelf::new(max.saturating_mul(2)),
            things: Shelf::new(max),
        }
    }
}

impl Store {
    /// A response that is kept for everybody.
    pub(crate) fn stored(&self, id: &str) -> Option<&StoredResponse> {
        self.responses.find(id).filter(|response| !response.socket)
    }
}

/// A bounded map that forgets the oldest.
#[derive(Debug)]
pub(crate) struct Shelf<T> {
    max: usize,
    items: HashMap<String, T>,
    order: VecDeque<String>,
}

impl<T> Shelf<T> {
    fn new(max: usize) -> Self {
        Shelf { max: max.max(1), items: HashMap::new(), order: VecDeque::new() }
    }

    pub(crate) fn put(&mut self, id: &str, item: T) {
        // Ids that were removed are still in `order`, so it is the bound that counts: at most `max` ids are in memory.
        while self.order.len() >= self.max {
            if let Some(oldest) = self.order.pop_front() {
                self.items.remove(&oldest);
            }
        }
        if self.items.insert(id.to_owned(), item).is_none() {
            self.order.push_back(id.to_owned());
        }
    }

    /// Newest first.
    pub(crate) fn newest(&self) -> impl Iterator<Item = (&String, &T)> {
        self.order.iter().rev().filter_map(|id| self.items.get_key_value(id))
    }

    pub(crate) fn find(&self, id: &str) -> Option<&T> {
        self.items.get(id)
    }

    pub(crate) fn find_mut(&mut self, id: &str) -> Option<&mut T> {
        self.items.get_mut(id)
    }

    pub(crate) fn remove(&mut self, id: &str) -> Option<T> {
        self.items.remove(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_tell_whose_they_are() {
        let (here, there) = (Minter::new("azure-eastus2"), Minter::new("bedrock-use1"));
        let id = here.mint("resp_");
        assert_eq!(id.len(), 5 + 32);
        assert_eq!(here.blame(&id), Outcome::GoneHandle);
        assert_eq!(there.blame(&id), Outcome::ForeignHandle);
        assert_eq!(here.blame("resp_x"), Outcome::ForeignHandle);
        assert_ne!(Minter::new("azure-eastus2").mint("resp_"), Minter::new("azure-eastus2").mint("resp_"));
    }

    #[test]
    fn the_oldest_is_forgotten() {
        let mut shelf = Shelf::new(2);
        for id in ["a", "b", "c"] {
            shelf.put(id, ());
        }
        assert_eq!([shelf.find("a"), shelf.find("b"), shelf.find("c")], [None, Some(&()), Some(&())]);
    }
}
