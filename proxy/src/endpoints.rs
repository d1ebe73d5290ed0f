//! What is known of each endpoint while the program runs: addresses, health, requests in flight. It outlives a reload.
//!
//! Health is found out from the requests themselves: after `health.down_after` failed connections in a row an endpoint counts as
//! down for `health.down_for`; then requests try it again, and one more failure is enough. Addresses are resolved here,
//! off the request's path, because a resolver that blocks would hold every stream of its thread.

use crate::credentials::Proof;
use arc_swap::ArcSwap;
use http::HeaderValue;
use metrics::Gauge;
use riparian_config::{Endpoint, EndpointUrl, Health, Witness};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How often names are resolved again. The system's resolver does not tell a record's lifetime; the vendors' are 30 s to 5 min.
pub const RESOLVE_EVERY: Duration = Duration::from_secs(30);

/// One endpoint's state.
#[derive(Debug)]
pub struct EndpointState {
    url: EndpointUrl,
    addresses: ArcSwap<Vec<SocketAddr>>,
    turn: AtomicUsize,
    in_flight: AtomicU32,
    failures: AtomicU32,
    /// Milliseconds since `began`; 0 is up.
    down_until: AtomicU64,
    began: Instant,
    up: Gauge,
}

impl EndpointState {
    /// A fresh state; an address that is written out needs no resolver.
    #[must_use]
    pub fn new(endpoint: &Endpoint, up: Gauge) -> Self {
        up.set(1.0);
        let url = endpoint.url.clone();
        let literal = url.host.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, url.port));
        Self {
            url,
            addresses: ArcSwap::from_pointee(literal.into_iter().collect()),
            turn: AtomicUsize::new(0),
            in_flight: AtomicU32::new(0),
            failures: AtomicU32::new(0),
            down_until: AtomicU64::new(0),
            began: Instant::now(),
            up,
        }
    }

    /// Whether this is still the state of `endpoint`: the same place under the same name.
    #[must_use]
    pub fn is_of(&self, endpoint: &Endpoint) -> bool {
        self.url == endpoint.url
    }

    /// The next address, in turn; `None` while none is known.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        let addresses = self.addresses.load();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        (!addresses.is_empty()).then(|| addresses[turn % addresses.len()])
    }

    /// Resolves the name again. On failure the last good addresses stay.
    ///
    /// # Errors
    /// When the name does not resolve, or only to addresses that no endpoint may have.
    pub async fn resolve(&self) -> io::Result<()> {
        if self.url.host.parse::<IpAddr>().is_ok() {
            return Ok(());
        }
        let found: Vec<SocketAddr> =
            tokio::net::lookup_host((self.url.host.as_str(), self.url.port)).await?.collect();
        let allowed: Vec<SocketAddr> =
            found.iter().copied().filter(|address| self.may_be(address.ip())).collect();
        if allowed.is_empty() {
            return Err(io::Error::other(format!(
                "{} resolves to no address that an endpoint may have",
                self.url.host
            )));
        }
        self.addresses.store(Arc::new(allowed));
        Ok(())
    }

    /// Link-local addresses hold a cloud's metadata service, and loopback holds ourselves: a name that points there was tampered
    /// with. Private addresses are where private links lead, so they are allowed.
    fn may_be(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        let link_local = match ip {
            IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
            IpAddr::V6(v6) => v6.is_unicast_link_local(),
        };
        let loopback_meant = self.url.host == "localhost" || self.url.host.ends_with(".localhost");
        !(link_local || ip.is_unspecified() || ip.is_multicast()) && ip.is_loopback() == loopback_meant
    }

    /// Whether it counts as down.
    #[must_use]
    pub fn is_down(&self) -> bool {
        let until = self.down_until.load(Ordering::Relaxed);
        until != 0 && self.millis() < until
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// A connection was made.
    pub fn connected(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
            self.down_until.store(0, Ordering::Relaxed);
            self.up.set(1.0);
        }
    }

    /// A connection could not be made. True when it counts as down from now on, and did not before.
    pub fn failed(&self, health: &Health) -> bool {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if failures < health.down_after {
            return false;
        }
        let was_down = self.is_down();
        let until =
            self.millis().saturating_add(u64::try_from(health.down_for.as_millis()).unwrap_or(u64::MAX));
        self.down_until.store(until.max(1), Ordering::Relaxed);
        self.up.set(0.0);
        !was_down
    }

    /// Says in the metrics whether it is up.
    pub fn show(&self) {
        self.up.set(if self.is_down() { 0.0 } else { 1.0 });
    }

    /// Requests in flight.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }
}

/// Counts a request at an endpoint for as long as it lives.
#[derive(Debug)]
pub struct AtEndpoint(Arc<EndpointState>);

impl AtEndpoint {
    /// Begins to count.
    #[must_use]
    pub fn begin(state: &Arc<EndpointState>) -> Self {
        state.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(state))
    }
}

impl Drop for AtEndpoint {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An endpoint, ready to be spoken to.
#[derive(Debug)]
pub struct Ready {
    /// Its state.
    pub state: Arc<EndpointState>,
    /// What proves who asks.
    pub proof: Proof,
    /// Certificates to trust instead of the system's.
    pub ca: Option<Arc<pingora_core::protocols::tls::CaType>>,
    /// Who must be found at the other end.
    pub witness: Option<Witness>,
    /// Tells connections apart that must not be shared: those to other names, with other certificates or another HTTP version.
    pub pool: u64,
    /// The cloud's name and its own, as they stand in headers.
    pub shown: [HeaderValue; 2],
}

#[cfg(test)]
mod tests {
    use super::*;
    use riparian_config::Config;

    fn endpoint(url: &str) -> Endpoint {
        let text = format!(
            "version: 1\nlisteners: [{{ name: a, bind: 127.0.0.1:0 }}]\nclouds:\n  c:\n    endpoints:\n    - {{ name: e, dialect: openai, url: \"{url}\", credential: none }}\ncontract:\n  enforce: r\n  readings: {{ r: {{ stateful_from: never }} }}\n  terms: [{{ id: t, only: [c] }}]\n"
        );
        Config::parse(&text, "test").unwrap_or_else(|faults| panic!("{faults}")).clouds[0].endpoints[0]
            .clone()
    }

    #[test]
    fn down_after_failures_in_a_row_and_up_after_one_connection() {
        let state = EndpointState::new(&endpoint("http://127.0.0.1:1"), Gauge::noop());
        let health = Health { down_after: 2, down_for: Duration::from_secs(60) };
        assert!(!state.failed(&health) && !state.is_down(), "one failure is not enough");
        assert!(state.failed(&health) && state.is_down(), "two are");
        assert!(!state.failed(&health), "it was down before");
        state.connected();
        assert!(!state.is_down());
        assert!(!state.failed(&health), "the count begins anew");
    }

    #[test]
    fn names_may_not_point_at_metadata_services_or_at_ourselves() {
        let named = EndpointState::new(&endpoint("http://models.example:80"), Gauge::noop());
        for bad in [
            "169.254.169.254",
            "127.0.0.1",
            "0.0.0.0",
            "::1",
            "fe80::1",
            "::ffff:169.254.169.254",
            "224.0.0.1",
        ] {
            assert!(!named.may_be(bad.parse().unwrap()), "{bad}");
        }
        for good in ["20.1.2.3", "10.0.0.4", "2603::1"] {
            assert!(named.may_be(good.parse().unwrap()), "{good}");
        }
        let local = EndpointState::new(&endpoint("http://localhost:80"), Gauge::noop());
        assert!(local.may_be("127.0.0.1".parse().unwrap()) && !local.may_be("20.1.2.3".parse().unwrap()));
    }

    #[tokio::test]
    async fn a_name_that_does_not_resolve_keeps_the_last_good_addresses() {
        let state = EndpointState::new(&endpoint("http://nowhere.invalid:80"), Gauge::noop());
        let good: SocketAddr = "20.1.2.3:80".parse().unwrap();
        state.addresses.store(Arc::new(vec![good]));
        assert!(state.resolve().await.is_err());
        assert_eq!(state.address(), Some(good));
    }
}
