//! A configuration that a command reads to ask it something: nothing is sent, and a secret that is not here is no fault.

use super::{ConfigFile, Found, text};
use crate::credentials::Secrets;
use crate::server;
use riparian_config::{Band, Config, EndpointName, Timestamp};
use riparian_filters::identify::Keys;
use riparian_filters::policy::{EndpointId, Policy};
use std::time::Duration;

/// A configuration, compiled.
pub(super) struct Loaded {
    pub(super) policy: Policy,
    /// As the proxy's log and metrics name it.
    pub(super) hash: String,
    /// Whether the key of digests is the configuration's own, and could be had here.
    pub(super) has_key: bool,
    /// What is enforced, and in what band, as the file has it.
    own: (usize, Band),
}

impl Loaded {
    /// Reads and compiles the file; `keys` are those of digests, where they are not for the configuration to say.
    pub(super) fn read(config: &ConfigFile, keys: Option<Keys>) -> Result<Self, Found> {
        let text = text(config)?;
        let loaded = server::load(&text, &config.config.display().to_string()).map_err(|faults| {
            eprint!("{faults}");
            Found::Something
        })?;
        let (hash, config) = (loaded.hash(), loaded.config);
        let own = (config.contract.enforced, config.contract.band);
        let own_key = key_of(&config);
        let has_key = own_key.is_some();
        let keys = keys.or(own_key).unwrap_or_else(|| Keys::derive(b"explain"));
        let mut policy = Policy::compile(config, keys).map_err(Found::Usage)?;
        callers(&mut policy);
        Ok(Self { policy, hash, has_key, own })
    }

    /// The number of the reading with this name.
    pub(super) fn reading(&self, name: &str) -> Result<usize, Found> {
        let readings = &self.policy.config.contract.readings;
        readings.iter().position(|reading| reading.name.as_str() == name).ok_or_else(|| {
            let known: Vec<_> = readings.iter().map(|reading| reading.name.as_str()).collect();
            Found::Usage(format!("no reading is called {name}; there are {}", known.join(", ")))
        })
    }

    /// Lets one reading alone be in force, without a band; `None` for what the file says.
    pub(super) fn under(&mut self, reading: Option<usize>) -> &Policy {
        let contract = &mut self.policy.config.contract;
        (contract.enforced, contract.band) = reading.map_or(self.own, |reading| (reading, Band::Enforced));
        &self.policy
    }

    /// The endpoint with this name.
    pub(super) fn endpoint(&self, name: &str) -> Result<EndpointId, Found> {
        let policy = &self.policy;
        let found = EndpointName::new(name).ok().and_then(|name| policy.endpoint_named(&name));
        found.ok_or_else(|| {
            let known: Vec<_> = policy.places().iter().map(|place| place.endpoint.name.as_str()).collect();
            Found::Usage(format!("no endpoint is called {name}; there are {}", known.join(", ")))
        })
    }

    /// A bit for each of these endpoints, by their ids.
    pub(super) fn down(&self, names: &[String]) -> Result<Vec<u64>, Found> {
        let mut words = vec![0; self.policy.places().len().div_ceil(64)];
        for name in names {
            let at = usize::from(self.endpoint(name)?.0);
            words[at / 64] |= 1 << (at % 64);
        }
        Ok(words)
    }

    /// A credential that the caller with this name is known by from now on.
    pub(super) fn caller(&mut self, name: &str) -> Result<String, Found> {
        let named = &self.policy.config.tenants.named;
        let Some(number) = named.iter().position(|tenant| tenant.name.as_str() == name) else {
            let known: Vec<_> = named.iter().map(|tenant| tenant.name.as_str()).collect();
            return Err(Found::Usage(format!("no caller is called {name}; there are {}", known.join(", "))));
        };
        let credential = format!("{:032x}", rand::random::<u128>());
        self.policy.know(number, &credential).expect("nobody else has what was just drawn");
        Ok(credential)
    }
}

/// Callers are known by those of their credentials that can be had here.
fn callers(policy: &mut Policy) {
    for (number, tenant) in policy.config.tenants.named.clone().iter().enumerate() {
        for credential in tenant.credentials.iter().filter_map(|it| Secrets::system().read(it).ok()) {
            // Two with the same one are for `run` to report.
            let _ = policy.know(number, &credential);
        }
    }
}

/// The configured key where it can be had, so that digests match the log's; without it one that is the same every time will do.
fn key_of(config: &Config) -> Option<Keys> {
    let secret = config.sessions.key.as_ref().and_then(|reference| Secrets::system().read(reference).ok());
    secret.map(|secret| Keys::derive(secret.as_bytes()))
}

/// An instant as an argument or a parameter has it: RFC 3339, or a date for midnight UTC.
pub(crate) fn instant(text: &str) -> Result<Timestamp, String> {
    let date = || text.len() == 10 && text.as_bytes()[4] == b'-';
    let full = if date() { format!("{text}T00:00:00Z") } else { text.to_owned() };
    full.parse()
        .map_err(|_| "write an instant such as 2026-02-27T00:00:00Z, or a date such as 2026-02-27".to_owned())
}

/// A length of time as the configuration has it: `90s`, `30m`.
pub(super) fn span(text: &str) -> Result<Duration, String> {
    let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(at);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => 0,
    };
    let length =
        digits.parse::<u64>().ok().filter(|_| seconds > 0).and_then(|count| count.checked_mul(seconds));
    length
        .map(Duration::from_secs)
        .ok_or_else(|| "write a length of time such as 90s, 30m, 2h or 7d".to_owned())
}
