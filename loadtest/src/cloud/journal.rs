//! The book of a cloud. Every request is entered when its head has arrived, before anything is judged, so that one which is
//! later refused, reset or abandoned still counts as having reached this cloud. The list is bounded and forgets the oldest; the
//! counters forget nothing.

use std::collections::VecDeque;
use std::sync::Mutex;

use super::fleet::Shown;
use super::record::{Counts, Outcome, Seen};

/// The list and the counters, behind one lock that is held for a few moves only.
#[derive(Debug)]
pub(crate) struct Journal {
    seen_max: usize,
    book: Mutex<Book>,
    /// Woken whenever a counter changes.
    changed: tokio::sync::Notify,
}

#[derive(Debug, Default)]
struct Book {
    next: u64,
    /// Requests below this number belong to the time before the last `clear` and no longer count.
    cleared_below: u64,
    seen: VecDeque<Seen>,
    counts: Counts,
}

impl Journal {
    pub(crate) fn new(seen_max: usize) -> Self {
        Journal { seen_max, book: Mutex::default(), changed: tokio::sync::Notify::new() }
    }

    fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        self.book.lock().expect("no code panics while it holds the book")
    }

    pub(crate) fn connection(&self) {
        self.book().counts.connections += 1;
    }

    /// Enters a request and gives it its number.
    pub(crate) fn enter(&self, mut seen: Seen) -> u64 {
        let mut book = self.book();
        let number = book.next;
        seen.number = number;
        book.next += 1;
        book.counts.requests += 1;
        book.counts.open += 1;
        book.counts.stray_credentials += u64::from(seen.stray_credential);
        if book.seen.len() == self.seen_max {
            book.seen.pop_front();
        }
        book.seen.push_back(seen);
        drop(book);
        self.changed.notify_waiters();
        number
    }

    /// Changes an entry that is still in the list.
    pub(crate) fn amend(&self, number: u64, change: impl FnOnce(&mut Seen)) {
        let mut book = self.book();
        if let Some(seen) = book.entry(number) {
            change(seen);
        }
    }

    /// Notes what the fleet made of a request when it had arrived.
    pub(crate) fn shown(&self, number: u64, shown: Shown) {
        let mut book = self.book();
        if number < book.cleared_below {
            return;
        }
        book.counts.misplaced += u64::from(shown.misplaced);
        book.counts.foreign_tenant += u64::from(shown.foreign_tenant);
        if let Some(seen) = book.entry(number) {
            seen.misplaced = shown.misplaced;
            seen.foreign_tenant = shown.foreign_tenant;
        }
    }

    /// Closes an entry: sets the outcome and moves the counters. `read` and the marks come from the caller, because the
    /// list may have forgotten the entry.
    pub(crate) fn settle(&self, number: u64, end: &End, change: impl FnOnce(&mut Seen)) {
        let mut book = self.book();
        if let Some(seen) = book.entry(number) {
            seen.outcome = end.outcome;
            change(seen);
        }
        if number < book.cleared_below {
            return;
        }
        let counts = &mut book.counts;
        counts.open -= 1;
        *counts.of(end.outcome) += 1;
        counts.body_bytes += end.body_bytes;
        counts.streams += u64::from(end.stream);
        if end.outcome == Outcome::Ok {
            match (end.cites, end.creates) {
                (true, _) => counts.continues += 1,
                (false, true) => counts.creates += 1,
                (false, false) => counts.stateless += 1,
            }
        }
        drop(book);
        self.changed.notify_waiters();
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.book().seen.iter().cloned().collect()
    }

    pub(crate) fn counts(&self) -> Counts {
        self.book().counts
    }

    pub(crate) fn clear(&self) {
        let mut book = self.book();
        let connections = book.counts.connections;
        book.seen.clear();
        book.cleared_below = book.next;
        book.counts = Counts { connections, ..Counts::default() };
    }

    /// Waits for the counters to satisfy `enough`.
    pub(crate) async fn wait(&self, enough: impl Fn(&Counts) -> bool) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable(); // before the look, or a change between the look and the wait would be missed
            if enough(&self.counts()) {
                return;
            }
            changed.await;
        }
    }
}

impl Book {
    fn entry(&mut self, number: u64) -> Option<&mut Seen> {
        let first = self.seen.front()?.number;
        let index = usize::try_from(number.checked_sub(first)?).ok()?;
        self.seen.get_mut(index)
    }
}

/// What the counters need to know about the end of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    pub(crate) outcome: Outcome,
    pub(crate) body_bytes: u64,
    pub(crate) stream: bool,
    pub(crate) creates: bool,
    pub(crate) cites: bool,
}
