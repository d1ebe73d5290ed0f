//! Fake clouds, as strict as the real ones: they check credentials, models and paths, hold responses and conversations,
//! refuse handles that were never made here, stream, fail on request, and remember what reached them.
//!
//! They deliberately know nothing of Riparian. A request is judged by what arrives on the wire, as the cloud of that kind
//! would judge it; the shapes are the ones that the vendor's own SDK parses.

mod a2a;
mod agentcore;
mod answer;
mod anthropic;
mod ask;
mod asserted;
mod bedrock;
mod bedrock_agents;
mod call;
mod chat;
mod clock;
mod complaint;
mod conversations;
mod core;
mod entry;
mod eventstream;
mod family;
mod fault;
mod fleet;
mod form;
mod gate;
mod google;
mod handle;
mod journal;
mod mcp;
mod media;
mod native;
mod openai;
mod record;
mod response_object;
mod responses;
mod route;
mod script;
mod sealed;
mod serve;
mod sigv4;
mod sockets;
mod spec;
mod state;
mod things;
mod visit;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub use eventstream::{EventMessage, read_events};
pub use family::Family;
pub use fault::{FAULT_HEADER, Fault, UnknownFault};
pub use fleet::{Fleet, FleetCounts, TENANT_HEADER, Violation};
pub use record::{Counts, Credential, NONCE_HEADER, Outcome, Seen, hex, sha256};
pub(crate) use script::fill;
pub use script::{SCRIPT_HEADER, Script};
pub use spec::{CloudSpec, Kind, Lifetimes, Protocol};

use gate::Gate;
use serve::Site;

/// One running fake cloud. Its tasks run on the tokio runtime that started it; dropping it aborts them.
#[derive(Debug)]
pub struct FakeCloud {
    site: Arc<Site>,
    gate: Gate,
}

impl FakeCloud {
    /// Binds and serves.
    ///
    /// # Errors
    /// The address cannot be bound, or the certificate or key cannot be read.
    pub async fn start(spec: CloudSpec) -> io::Result<FakeCloud> {
        let listen = spec.listen;
        let site = Arc::new(Site::new(spec));
        let gate = Gate::open(listen, Arc::clone(&site)).await?;
        Ok(FakeCloud { site, gate })
    }

    /// The bound address. It stays the same, and ours, through [`Fault::Refuse`].
    pub fn addr(&self) -> SocketAddr {
        self.gate.addr()
    }

    /// `http://ADDR` or `https://ADDR`, without a path: what a proxy's endpoint is configured with.
    pub fn url(&self) -> String {
        let scheme = if matches!(self.site.spec.protocol, Protocol::Tls { .. }) { "https" } else { "http" };
        format!("{scheme}://{}", self.addr())
    }

    /// The base URL for the vendor's SDK, were it to speak to this cloud directly.
    pub fn base_url(&self) -> String {
        format!("{}{}", self.url(), self.site.spec.kind.base_path())
    }

    /// The name in the spec.
    pub fn name(&self) -> &str {
        &self.site.spec.name
    }

    /// The contracting party in the spec, for instance `azure`.
    pub fn cloud(&self) -> &str {
        &self.site.spec.cloud
    }

    /// The spec it was started with.
    pub fn spec(&self) -> &CloudSpec {
        &self.site.spec
    }

    /// What arrived, oldest first; at most [`CloudSpec::seen_max`].
    pub fn seen(&self) -> Vec<Seen> {
        self.site.journal.seen()
    }

    /// The counters since the start or the last [`FakeCloud::clear`].
    pub fn counts(&self) -> Counts {
        self.site.journal.counts()
    }

    /// Waits until the counters satisfy `enough`; false if they do not within this long.
    pub async fn wait_for(&self, within: Duration, enough: impl Fn(&Counts) -> bool) -> bool {
        tokio::time::timeout(within, self.site.journal.wait(enough)).await.is_ok()
    }

    /// Forgets what was seen and counted; stored responses and conversations stay, and so does the count of connections.
    /// Requests that are still open are no longer counted when they end.
    pub fn clear(&self) {
        self.site.journal.clear();
    }

    /// Plays `fault` for every request from now on, until [`FakeCloud::heal`] or another fault.
    /// With [`Fault::Refuse`] the listener is closed when this returns; a cloud that is down keeps its state.
    pub async fn fault(&self, fault: Fault) {
        if fault == Fault::Refuse {
            self.gate.shut().await;
        } else {
            self.site.faults().set(fault, None);
        }
    }

    /// Plays `fault` for the next `requests` requests only. [`Fault::Refuse`] has no number: use [`FakeCloud::fault`].
    pub fn fault_next(&self, requests: u64, fault: Fault) {
        debug_assert!(fault != Fault::Refuse, "a refused connection is not a request that could be counted");
        self.site.faults().set(fault, Some(requests));
    }

    /// Ends every fault; after [`Fault::Refuse`] the same port is listened on again.
    ///
    /// # Errors
    /// The port cannot be listened on.
    pub async fn heal(&self) -> io::Result<()> {
        self.site.faults().clear();
        self.gate.reopen().await
    }

    /// Puts its clock forward: whatever would be forgotten in this time is.
    pub fn advance(&self, by: Duration) {
        self.site.clock.advance(by);
    }

    /// Stops listening, ends every connection, and returns when the tasks are gone.
    pub async fn stop(self) {
        self.gate.stop().await;
    }
}
