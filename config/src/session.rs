//! Sessions, and the pins that keep them where their state is.

use crate::name::CloudName;
use crate::secret::SecretRef;
use std::path::PathBuf;
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
    /// A session without a request for so long has ended, and what drains is drained. Default 30 min: longer than people pause
    /// between two turns, shorter than a process lives.
    pub idle: Duration,
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

/// Where pins are kept, and how many for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pins {
    /// Where. `None` when the file does not say: then it is for whoever starts a proxy to choose. `riparian run` keeps a
    /// journal in [`JOURNAL_PATH`]; the demo, and a proxy inside another program, keep memory.
    pub store: Option<Store>,
    /// The longest that a pin is kept: from its birth or, where its handle's life is renewed by use, from its last use.
    /// Default 30 d: what the vendors keep a stored response.
    pub ttl: Duration,
    /// Pins in all; over it the oldest go. Default 1,000,000.
    pub max: u64,
    /// Pins of one tenant; over it that tenant's own oldest go. Default 100,000.
    pub per_tenant: u64,
    /// How often expired pins are swept. Default 1 min.
    pub sweep: Duration,
}

impl Pins {
    /// Whether a running store can go on under `other`: all is the same, but for the keys of the store `sealed`.
    #[must_use]
    pub fn is_the_store_of(&self, other: &Self) -> bool {
        let keyless = |pins: &Self| {
            let mut pins = pins.clone();
            if let Some(Store::Sealed(keys)) = &mut pins.store {
                keys.clear();
            }
            pins
        };
        keyless(self) == keyless(other)
    }
}

/// A pin store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    /// This process' memory: a restart forgets all pins.
    Memory,
    /// Memory, and a file behind it in this directory: a restart forgets none. One process has it at a time.
    Journal(PathBuf),
    /// A Redis, or what speaks like one, that replicas share.
    Redis(Redis),
    /// Nowhere: handles go to clients with a seal behind them that tells where they live. The first of these secrets seals, every
    /// one of them opens; each has at least 32 bytes.
    Sealed(Vec<SecretRef>),
}

/// Secrets of one ring of the store `sealed`: a new one, and those that it replaces. Each is tried at every seal that a client sends.
pub const SEAL_KEYS_MAX: usize = 8;

/// Where a journal is kept when the file does not say: in the working directory.
pub const JOURNAL_PATH: &str = "riparian-pins";

/// A Redis for pins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redis {
    /// Where it is.
    pub url: RedisUrl,
    /// What it asks of those who connect. Over an unencrypted connection only on loopback.
    pub password: Option<SecretRef>,
    /// The certificates that its own is checked with, PEM. `None` takes the system's.
    pub ca: Option<PathBuf>,
    /// What the names of its keys begin with. Default `riparian:`.
    pub prefix: String,
    /// How long a question to it may take. Default 50 ms: then a request that needs it is refused.
    pub within: Duration,
}

/// `redis://` or `rediss://`, a host, optionally a port and the number of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisUrl {
    /// Whether TLS is spoken.
    pub tls: bool,
    /// A host name in lower case, or an IP address.
    pub host: String,
    /// Default 6379.
    pub port: u16,
    /// Default 0.
    pub database: u32,
}
