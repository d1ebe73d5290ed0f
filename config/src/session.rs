//! Sessions, and the pins that keep them where their state is.

use crate::secret::SecretRef;
use std::time::Duration;

/// How sessions are recognised and kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sessions {
    /// A client may name its session here; it counts only within its tenant and never decides a cloud by itself.
    /// Lower case. Default `x-session-id`.
    pub header: String,
    /// The key of tenant, session and pin digests, at least 32 bytes. Without it one is made at start: then session
    /// tags do not survive a restart, and replicas do not know each other's.
    pub key: Option<SecretRef>,
    /// Also tag the session in W3C baggage, upstream. Default false.
    pub baggage: bool,
    /// The pin table.
    pub pins: Pins,
}

/// The pin table, in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pins {
    /// How long a pin is kept. Default 30 d: what the vendors keep a stored response.
    pub ttl: Duration,
    /// Pins in all; over it the ones closest to their end go. Default 1,000,000.
    pub max: u64,
    /// Pins of one tenant; over it that tenant's own go. Default 100,000.
    pub per_tenant: u64,
    /// How often expired pins are swept. Default 1 min.
    pub sweep: Duration,
}
