//! Pin stores of every kind, each with what it needs.

use super::redis_server::RedisServer;
use riparian_config::{CloudName, EndpointName, Pins, Redis, RedisUrl, Store};
use riparian_filters::identify::{Keys, PinKey, SessionId, Tenant};
use riparian_proxy::credentials::Secrets;
use riparian_proxy::metrics::PinMetrics;
use riparian_proxy::pins::{Born, Life, OpenFault, Opening, Pin, PinStore};
use std::path::Path;
use std::time::Duration;

/// What the store of a test stands on.
pub struct Ground {
    pub store: Store,
    pub limits: Pins,
    pub redis: Option<RedisServer>,
    _folder: Option<tempfile::TempDir>,
}

impl Ground {
    pub fn memory() -> Self {
        Self { store: Store::Memory, limits: limits(), redis: None, _folder: None }
    }

    pub fn journal() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::Journal(folder.path().join("pins"));
        Self { store, limits: limits(), redis: None, _folder: Some(folder) }
    }

    pub fn redis() -> Self {
        let server = RedisServer::start();
        let store = Store::Redis(at(server.port()));
        Self { store, limits: limits(), redis: Some(server), _folder: None }
    }

    pub async fn open(&self) -> PinStore {
        self.try_open(&keys()).await.unwrap_or_else(|fault| panic!("{fault}"))
    }

    pub async fn try_open(&self, keys: &Keys) -> Result<PinStore, OpenFault> {
        let opening = Opening::begin(&self.store)?;
        opening.open(self.limits.clone(), keys, &Secrets::system(), PinMetrics::noop()).await
    }

    /// The directory of a journal.
    pub fn path(&self) -> &Path {
        match &self.store {
            Store::Journal(path) => path,
            _ => panic!("no journal"),
        }
    }

    pub fn server(&mut self) -> &mut RedisServer {
        self.redis.as_mut().expect("it stands on a Redis")
    }
}

pub fn limits() -> Pins {
    Pins {
        store: None,
        ttl: Duration::from_secs(3600),
        max: 100_000,
        per_tenant: 100_000,
        sweep: Duration::from_secs(60),
    }
}

/// A Redis there, asked with more patience than in production: the machine may be busy.
pub fn at(port: u16) -> Redis {
    Redis {
        url: RedisUrl { tls: false, host: "127.0.0.1".to_owned(), port, database: 0 },
        password: None,
        ca: None,
        prefix: "test:".to_owned(),
        within: Duration::from_millis(500),
    }
}

pub fn keys() -> Keys {
    Keys::derive(b"the key of these tests")
}

pub fn tenant(name: &str) -> Tenant {
    let mut headers = http::HeaderMap::new();
    headers.insert("authorization", name.parse().unwrap());
    keys().tenant(&headers)
}

/// A handle of tenant `a`.
pub fn handle(name: &str) -> PinKey {
    keys().pin(tenant("a"), "response", name)
}

pub fn pin(endpoint: &str) -> Pin {
    Pin {
        endpoint: EndpointName::new(endpoint).unwrap(),
        cloud: CloudName::new("acme").unwrap(),
        session: SessionId::mint([5; 16]),
        since: riparian_config::Timestamp::from_second(1_774_000_000).unwrap(),
    }
}

pub fn born(name: &str, endpoint: &str) -> Born {
    Born { key: handle(name), pin: pin(endpoint), life: Life::default() }
}

/// Where it lives, to be told apart from a store that cannot say.
pub async fn owner(store: &PinStore, name: &str) -> Option<String> {
    let pins = store.recall(&[handle(name)]).await.unwrap_or_else(|fault| panic!("{name}: {fault}"));
    pins[0].as_ref().map(|pin| pin.endpoint.to_string())
}
