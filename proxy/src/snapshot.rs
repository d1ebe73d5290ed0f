//! The configuration in force: immutable, compiled, one `Arc` a request for its whole life.

use crate::credentials::{self, SecretFault, Secrets};
use crate::endpoints::{EndpointState, Ready};
use crate::meter::Charges;
use crate::metrics::Metrics;
use crate::pins::sealed::Ring;
use http::HeaderValue;
use pingora_core::protocols::tls::CaType;
use pingora_core::utils::tls::WrappedX509;
use riparian_config::{Config, Endpoint, HttpVersion, Store, Witness};
use riparian_filters::identify::Keys;
use riparian_filters::judge::HealthView;
use riparian_filters::policy::{EndpointId, Policy};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use smallvec::SmallVec;
use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::Path;
use std::sync::Arc;
use x509_parser::prelude::{FromDer, X509Certificate};

/// A configuration, ready to decide and to connect.
#[derive(Debug)]
pub struct Snapshot {
    /// Decides.
    pub policy: Policy,
    /// The first 16 hex digits of the BLAKE3 of the file and of those that it names: which configuration a log line speaks of.
    pub hash: String,
    /// The keys of seals, where clients have the pins.
    pub seals: Option<Ring>,
    /// Counts snapshots, so that caches of labels know when numbers change their meaning.
    pub generation: u64,
    /// What requests add to commitments and shares.
    pub(crate) charges: Arc<Charges>,
    ready: Vec<Ready>,
}

/// Why a configuration that is right in itself cannot be put into force.
#[derive(Debug)]
pub enum SnapshotFault {
    /// A secret cannot be had.
    Secret(String, SecretFault),
    /// A file of certificates cannot be used.
    Certificates(String, String),
    /// A key of seals cannot be had.
    Seal(SecretFault),
    /// A caller cannot be known.
    Caller(String, String),
    /// The tables do not compile.
    Tables(String),
}

impl fmt::Display for SnapshotFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(endpoint, fault) => write!(f, "credential of {endpoint}: {fault}"),
            Self::Certificates(endpoint, what) => write!(f, "ca of {endpoint}: {what}"),
            Self::Seal(fault) => write!(f, "sessions.pins.keys: {fault}"),
            Self::Caller(tenant, what) => write!(f, "tenant {tenant}: {what}"),
            Self::Tables(what) => write!(f, "surface table: {what}"),
        }
    }
}

impl std::error::Error for SnapshotFault {}

impl Snapshot {
    /// Compiles `config`, whose digest is `hash`, reads what it refers to, and takes over the states of endpoints that stay.
    ///
    /// # Errors
    /// Everything that stands in the way, at once.
    pub fn new(
        config: Config,
        hash: String,
        keys: Keys,
        secrets: &Secrets,
        metrics: &Metrics,
        before: Option<&Self>,
    ) -> Result<Self, Vec<SnapshotFault>> {
        let mut faults = Vec::new();
        let mut policy = match Policy::compile(config, keys) {
            Ok(policy) => policy,
            Err(what) => return Err(vec![SnapshotFault::Tables(what)]),
        };
        callers(&mut policy, secrets, &mut faults);
        let mut ready = Vec::with_capacity(policy.places().len());
        for place in policy.places() {
            let endpoint = &place.endpoint;
            let proof = credentials::proof(endpoint, secrets)
                .map_err(|fault| faults.push(SnapshotFault::Secret(endpoint.name.to_string(), fault)));
            let ca = endpoint.ca_file.as_deref().map(certificates).transpose();
            let ca =
                ca.map_err(|what| faults.push(SnapshotFault::Certificates(endpoint.name.to_string(), what)));
            if let (Ok(proof), Ok(ca)) = (proof, ca) {
                let state = before.and_then(|before| before.state_of(endpoint)).unwrap_or_else(|| {
                    Arc::new(EndpointState::new(
                        endpoint,
                        metrics.endpoint_up(place.cloud_name.as_str(), endpoint.name.as_str()),
                    ))
                });
                let shown = [place.cloud_name.as_str(), endpoint.name.as_str()]
                    .map(|name| HeaderValue::from_str(name).expect("names are checked to be ASCII"));
                let witness = policy.config.clouds[place.cloud].witness.clone();
                let pool = pool(endpoint, witness.as_ref());
                ready.push(Ready { state, proof, ca, witness, pool, shown });
            }
        }
        let pins = &policy.config.sessions.pins;
        let seals = match &pins.store {
            Some(Store::Sealed(keys)) => Ring::read(keys, pins.ttl, secrets)
                .map_err(|fault| faults.push(SnapshotFault::Seal(fault)))
                .ok(),
            _ => None,
        };
        if !faults.is_empty() {
            return Err(faults);
        }
        let charges = Arc::new(Charges::compile(&policy.config, metrics));
        let generation = before.map_or(0, |before| before.generation + 1);
        Ok(Self { policy, hash, seals, generation, charges, ready })
    }

    fn state_of(&self, endpoint: &Endpoint) -> Option<Arc<EndpointState>> {
        let known = &self.ready[usize::from(self.policy.endpoint_named(&endpoint.name)?.0)];
        known.state.is_of(endpoint).then(|| Arc::clone(&known.state))
    }

    /// An endpoint, ready to be spoken to.
    #[must_use]
    pub fn ready(&self, id: EndpointId) -> &Ready {
        &self.ready[usize::from(id.0)]
    }

    /// Every endpoint's state.
    pub fn states(&self) -> impl Iterator<Item = &Arc<EndpointState>> {
        self.ready.iter().map(|ready| &ready.state)
    }

    /// Which endpoints are down at this moment.
    #[must_use]
    pub fn down(&self) -> Down {
        let mut words = SmallVec::from_elem(0, self.ready.len().div_ceil(64));
        for (at, ready) in self.ready.iter().enumerate() {
            words[at / 64] |= u64::from(ready.state.is_down()) << (at % 64);
        }
        Down(words)
    }
}

/// Reads what named callers are known by.
fn callers(policy: &mut Policy, secrets: &Secrets, faults: &mut Vec<SnapshotFault>) {
    for (number, tenant) in policy.config.tenants.named.clone().iter().enumerate() {
        for reference in &tenant.credentials {
            let known = secrets.read(reference).map_err(|fault| fault.to_string()).and_then(|credential| {
                policy.know(number, &credential).map_err(|other| {
                    let other = &policy.config.tenants.named[other].name;
                    format!(
                        "{reference}: is the credential of {other}, too; then nobody could tell the two apart"
                    )
                })
            });
            faults.extend(known.err().map(|what| SnapshotFault::Caller(tenant.name.to_string(), what)));
        }
    }
}

/// A look at the endpoints' health.
#[derive(Debug)]
pub struct Down(SmallVec<[u64; 2]>);

impl Down {
    /// The view that a decision takes.
    #[must_use]
    pub fn view(&self) -> HealthView<'_> {
        HealthView { down: &self.0 }
    }
}

fn certificates(path: &Path) -> Result<Arc<CaType>, String> {
    let certificates: Vec<WrappedX509> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| format!("{}: {error}", path.display()))?
        .into_iter()
        .map(|certificate| {
            WrappedX509::try_new(certificate.to_vec(), |der| {
                X509Certificate::from_der(der).map(|(_, parsed)| parsed)
            })
            .map_err(|error| format!("{}: {error}", path.display()))
        })
        .collect::<Result<_, _>>()?;
    if certificates.is_empty() {
        return Err(format!("{}: no certificate in it", path.display()));
    }
    Ok(certificates.into())
}

/// Which connections may be shared. Two endpoints at one address with different authorities or versions must not.
fn pool(endpoint: &Endpoint, witness: Option<&Witness>) -> u64 {
    let mut hasher = DefaultHasher::new();
    endpoint.name.hash(&mut hasher);
    // A connection was verified for one name.
    (endpoint.url.tls, &endpoint.url.host).hash(&mut hasher);
    endpoint.ca_file.hash(&mut hasher);
    witness.hash(&mut hasher);
    (endpoint.http_version == HttpVersion::Http2).hash(&mut hasher);
    hasher.finish()
}
