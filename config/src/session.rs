//! Sessions, and the pins that keep them where their state is.

use crate::name::CloudName;
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
    /// What to do with a handle that is not known here. Default: refuse.
    pub unknown_handle: UnknownHandle,
    /// The cloud where unknown handles are believed to live, and where LISTs are answered.
    pub home: Option<CloudName>,
    /// The pin table.
    pub pins: Pins,
}

/// What to do with a request that cites a handle that is not known here: it was never seen, has expired, or was born before the proxy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownHandle {
    /// Refuse it: nobody guesses.
    #[default]
    Refuse,
    /// Take it for one of the home cloud.
    Home,
    /// Ask the endpoints that the contract allows for it, each with a harmless GET; whoever has it is its owner from then on.
    Ask,
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
