//! What the clients did and were told, counted by family and by kind; and what must not have happened, in words.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use serde::Serialize;

use crate::cloud::{Family, FleetCounts};

/// Findings that are kept in words; all are counted.
const TOLD_MAX: usize = 100;

/// What a client found that must not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Found {
    /// `unusable`, `amnesia`, `moved`, `stolen`, `undeleted` or `uncreated`.
    pub kind: &'static str,
    /// The family's name.
    pub family: &'static str,
    /// Which request, and what was answered.
    pub what: String,
}

/// Counts of one family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FamilyCounts {
    /// Requests sent, retries among them.
    pub requests: u64,
    /// Answered with success.
    pub ok: u64,
    /// Stories that were told to their end.
    pub stories: u64,
    /// Things that were made: responses, sessions, files.
    pub creates: u64,
    /// Steps that cited a live handle, and succeeded.
    pub continues: u64,
    /// First requests of sessions that a client invented, sent to both replicas at once.
    pub races: u64,
    /// Tries to use another tenant's handle.
    pub thefts: u64,
    /// Tries to use a handle that was deleted.
    pub after_deletion: u64,
    /// Steps that succeeded only when they were tried again.
    pub delayed: u64,
}

#[derive(Debug, Default)]
pub(super) struct Tally {
    book: Mutex<Book>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Book {
    pub(super) families: BTreeMap<&'static str, FamilyCounts>,
    /// By status and reason, of all answers that were no success: `503 owner_unavailable`.
    pub(super) refusals: BTreeMap<String, u64>,
    /// By what tries of thieves and tries after deletion were answered with.
    pub(super) rightly: BTreeMap<String, u64>,
    /// Restarts, kills, faults.
    pub(super) events: BTreeMap<String, u64>,
    /// The longest that each of these took, in seconds.
    pub(super) slowest: BTreeMap<String, f64>,
    pub(super) found: BTreeMap<&'static str, u64>,
    pub(super) told: Vec<Found>,
    pub(super) requests: u64,
}

impl Tally {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().expect("no code panics while it holds the tally")
    }

    pub(super) fn of(&self, family: Family, count: impl FnOnce(&mut FamilyCounts)) {
        count(self.book().families.entry(family.name()).or_default());
    }

    pub(super) fn sent(&self, family: Family) {
        let mut book = self.book();
        book.requests += 1;
        book.families.entry(family.name()).or_default().requests += 1;
    }

    pub(super) fn refused(&self, what: String) {
        *self.book().refusals.entry(what).or_default() += 1;
    }

    pub(super) fn rightly(&self, what: String) {
        *self.book().rightly.entry(what).or_default() += 1;
    }

    pub(super) fn event(&self, what: &str) {
        *self.book().events.entry(what.to_owned()).or_default() += 1;
    }

    pub(super) fn took(&self, what: &str, time: Duration) {
        let mut book = self.book();
        let slowest = book.slowest.entry(what.to_owned()).or_default();
        *slowest = slowest.max(time.as_secs_f64());
    }

    pub(super) fn found(&self, kind: &'static str, family: Family, what: String) {
        let mut book = self.book();
        *book.found.entry(kind).or_default() += 1;
        if book.told.len() < TOLD_MAX {
            book.told.push(Found { kind, family: family.name(), what });
        }
    }

    pub(super) fn requests(&self) -> u64 {
        self.book().requests
    }

    pub(super) fn snapshot(&self) -> Book {
        self.book().clone()
    }

    /// Where things stand.
    pub(super) fn line(&self, elapsed: Duration, fleet: &FleetCounts) -> String {
        let book = self.book();
        let found: u64 = book.found.values().sum();
        let refused: u64 = book.refusals.values().sum();
        format!(
            "{:6.1} s  requests {}  refused {refused}  found {found}  misplaced {}  foreign {}",
            elapsed.as_secs_f64(),
            book.requests,
            fleet.misplaced + fleet.scattered,
            fleet.foreign_tenant + fleet.shared_sessions,
        )
    }
}
