//! What a cloud saw. Every request is entered when its head has arrived, before anything is judged, so that a request
//! which is later refused, reset or abandoned still counts as having reached this cloud. The list is bounded and forgets the
//! oldest; the counters forget nothing.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

/// The request header whose value a cloud repeats in its answer: as a response header and within the text. Whoever gets
/// somebody else's nonce has seen two requests mixed up.
pub const NONCE_HEADER: &str = "x-loadtest-nonce";

/// How a request ended, as its cloud sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Still being read or answered.
    Open,
    /// Answered in full.
    Ok,
    /// 401: no credential, or not this cloud's.
    WrongCredential,
    /// 404: a model or deployment that this cloud does not have.
    WrongModel,
    /// It cites a response or conversation that was never made here: a misplaced continuation.
    ForeignHandle,
    /// It cites something that was made here but is not kept: `store: false`, deleted, or the oldest of too many.
    GoneHandle,
    /// No such path at this kind of cloud, or its `api-version` is missing.
    UnknownPath,
    /// `Host` is not the one that the spec demands.
    WrongHost,
    /// The body is not what the operation needs.
    BadBody,
    /// The other side went away before it had sent its body, or before it had read the answer.
    ClientGone,
    /// A [`crate::Fault`] was played that leaves no good answer.
    Faulted,
}

/// Whether the request carried this cloud's credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Credential {
    /// None that this kind of cloud reads.
    Absent,
    /// One, but not this cloud's.
    Wrong,
    /// This cloud's.
    Right,
}

/// One request, as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Position in the order of arrival at this cloud, from 0.
    pub number: u64,
    /// When its head had arrived.
    pub at: Instant,
    /// The method.
    pub method: String,
    /// Path and query, byte for byte.
    pub target: String,
    /// The protocol on the connection.
    pub version: http::Version,
    /// The operation that was recognised, for instance `responses.create`.
    pub operation: Option<&'static str>,
    /// The model it asked for: the deployment of the path if there is one, else that of the body.
    pub model: Option<String>,
    /// The model in the body, also where the path decides.
    pub body_model: Option<String>,
    /// Bytes of body that arrived.
    pub body_bytes: u64,
    /// SHA-256 of the body that arrived.
    pub body_sha256: [u8; 32],
    /// `host`, `user-agent`, `accept`, `accept-encoding`, `content-*`, `transfer-encoding`, `te`, `connection`,
    /// `traceparent`, `baggage`, `openai-*` and every `x-*`, in the order of arrival. Of a header that carries a credential
    /// (`authorization`, `api-key`, `x-api-key`, ...) only `right` or `wrong` is kept.
    pub headers: Vec<(String, String)>,
    /// Whether it carried this cloud's credential.
    pub credential: Credential,
    /// It carried a credential that is not this cloud's beside, or instead of, the right one.
    pub stray_credential: bool,
    /// Its `x-loadtest-nonce`.
    pub nonce: Option<String>,
    /// It asked for a stream.
    pub stream: bool,
    /// Ids that were born here by this request and are kept.
    pub created: Vec<String>,
    /// Ids that it cites, known here or not.
    pub cited: Vec<String>,
    /// The status that was sent; 0 if none was.
    pub status: u16,
    /// How it ended.
    pub outcome: Outcome,
    /// How long after `at` the other side went away, if it did.
    pub client_gone_after: Option<Duration>,
}

impl Seen {
    /// The first recorded header of this name (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body's SHA-256 in lower-case hex.
    pub fn body_sha256_hex(&self) -> String {
        hex(&self.body_sha256)
    }

    /// It creates or cites state that is kept here (or should be).
    pub fn touches_state(&self) -> bool {
        !self.created.is_empty() || !self.cited.is_empty()
    }
}

/// SHA-256 of some bytes, as [`Seen::body_sha256`] has it.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// How many requests ended how, since the start or the last `clear`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests whose head arrived.
    pub requests: u64,
    /// Still open.
    pub open: u64,
    /// [`Outcome::Ok`].
    pub ok: u64,
    /// [`Outcome::WrongCredential`].
    pub wrong_credential: u64,
    /// [`Outcome::WrongModel`].
    pub wrong_model: u64,
    /// [`Outcome::ForeignHandle`].
    pub foreign_handle: u64,
    /// [`Outcome::GoneHandle`].
    pub gone_handle: u64,
    /// [`Outcome::UnknownPath`].
    pub unknown_path: u64,
    /// [`Outcome::WrongHost`].
    pub wrong_host: u64,
    /// [`Outcome::BadBody`].
    pub bad_body: u64,
    /// [`Outcome::ClientGone`].
    pub client_gone: u64,
    /// [`Outcome::Faulted`].
    pub faulted: u64,
    /// Answered requests that left and cited nothing here.
    pub stateless: u64,
    /// Answered requests that left state here and cited none.
    pub creates: u64,
    /// Answered requests that cited state which is here.
    pub continues: u64,
    /// Requests that asked for a stream.
    pub streams: u64,
    /// Requests with a credential that is not this cloud's.
    pub stray_credentials: u64,
    /// Bytes of request bodies.
    pub body_bytes: u64,
    /// Connections accepted.
    pub connections: u64,
}

impl Counts {
    fn of(&mut self, outcome: Outcome) -> &mut u64 {
        match outcome {
            Outcome::Open => &mut self.open,
            Outcome::Ok => &mut self.ok,
            Outcome::WrongCredential => &mut self.wrong_credential,
            Outcome::WrongModel => &mut self.wrong_model,
            Outcome::ForeignHandle => &mut self.foreign_handle,
            Outcome::GoneHandle => &mut self.gone_handle,
            Outcome::UnknownPath => &mut self.unknown_path,
            Outcome::WrongHost => &mut self.wrong_host,
            Outcome::BadBody => &mut self.bad_body,
            Outcome::ClientGone => &mut self.client_gone,
            Outcome::Faulted => &mut self.faulted,
        }
    }
}

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
