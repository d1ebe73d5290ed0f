//! A limit on everything, with what happens there.

use std::time::Duration;

/// Limits of one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one request body; over it 413. Default 32 MiB: what the vendors take, images in base64 included.
    pub body: u64,
    /// Bytes of all bodies held at once; over it 503. Default 512 MiB.
    pub held_bodies: u64,
    /// Bytes of a request's head; over it 431. Default 32 KiB.
    pub head: u64,
    /// Bytes of a request's target; over it 414. Default 8 KiB.
    pub target: u64,
    /// Header lines of a request; over it 431. Default 100.
    pub headers: u64,
    /// From a head's first byte to its last; then 408. Default 10 s.
    pub head_within: Duration,
    /// From a head's end to its body's; then 408. Default 60 s.
    pub body_within: Duration,
    /// For a connection to an endpoint, TLS included; then the next endpoint, or 504. Default 5 s.
    pub connect_within: Duration,
    /// For an answer's first byte; then 504. Default 120 s: reasoning models think before they speak.
    pub first_byte_within: Duration,
    /// Between two bytes of an answer, and for a client that does not read; then the stream is cut. Default 120 s.
    pub idle: Duration,
    /// An idle client connection is closed after it. Default 60 s.
    pub keepalive: Duration,
    /// Requests in flight at once; over it 503. Default 10,000.
    pub streams: u64,
    /// From SIGTERM until streams that still run are cut. Default 10 min.
    pub drain_within: Duration,
}

/// When and how often another endpoint of the same candidate set is tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retries {
    /// Attempts a request, the first included. 1 to 16; default 3.
    pub attempts: u32,
    /// Retries as a share of requests, in per cent; over it nothing is retried. Default 20.
    pub budget_percent: u32,
    /// Retries a second that are always allowed, so that a quiet proxy can fail over. Default 10.
    pub budget_floor: u32,
}

/// When an endpoint counts as down, found out from the requests themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Failed connections in a row. Default 3.
    pub down_after: u32,
    /// How long until it is tried again. Default 5 s.
    pub down_for: Duration,
}

/// How an endpoint is chosen within the candidate set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balance {
    /// Weighted rendezvous hashing on the session or cache key: the same session meets the same endpoint, and
    /// when one leaves only its own share moves. The default.
    Rendezvous,
    /// The fewest requests in flight for its weight. Caches at the endpoint suffer.
    LeastInFlight,
}
