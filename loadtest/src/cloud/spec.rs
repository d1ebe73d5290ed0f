//! How a fake cloud is to behave, said before it starts.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::family::Family;
use super::fleet::Fleet;
use super::record::sha256;

/// Whose API a fake cloud speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Azure: `/openai/v1/...` and the dated `/openai/deployments/{deployment}/...?api-version=`; `api-key` or bearer.
    Azure,
    /// Bedrock's OpenAI-compatible paths under `/openai/v1`: chat completions, responses, models; bearer.
    Bedrock,
    /// The vendor's own API: `/v1/...`; bearer.
    OpenAi,
}

impl Kind {
    /// The path that an SDK's base URL ends in.
    pub fn base_path(self) -> &'static str {
        match self {
            Kind::Azure | Kind::Bedrock => "/openai/v1",
            Kind::OpenAi => "/v1",
        }
    }

    /// The usual name of the contracting party.
    pub fn cloud(self) -> &'static str {
        match self {
            Kind::Azure => "azure",
            Kind::Bedrock => "aws",
            Kind::OpenAi => "openai",
        }
    }
}

/// What is spoken on a cloud's connections.
#[derive(Clone, Default)]
pub enum Protocol {
    /// Clear HTTP/1.1.
    #[default]
    Http1,
    /// Clear HTTP/2 with prior knowledge.
    H2c,
    /// TLS, with one protocol offered by ALPN.
    Tls {
        /// Certificate chain, PEM, leaf first.
        cert_pem: String,
        /// Its private key, PEM.
        key_pem: String,
        /// HTTP/2 instead of HTTP/1.1.
        h2: bool,
    },
}

impl std::fmt::Debug for Protocol {
    /// Names the protocol and keeps the key to itself.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Protocol::Http1 => "Http1",
            Protocol::H2c => "H2c",
            Protocol::Tls { h2: false, .. } => "Tls(http/1.1)",
            Protocol::Tls { h2: true, .. } => "Tls(h2)",
        })
    }
}

/// After what time a cloud forgets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// A container that nobody uses. Default 20 minutes.
    pub container_idle: Duration,
    /// A managed session that nobody uses: runtimes, agents, code interpreters. Default 15 minutes.
    pub session_idle: Duration,
    /// A managed session, used or not. Default 8 hours.
    pub session: Duration,
    /// Stored responses, files of batches, interactions. Default 30 days.
    pub stored: Duration,
    /// A cached content without its own `ttl`. Default 1 hour.
    pub cached: Duration,
    /// An MCP session that nobody uses. Default 1 hour.
    pub mcp_idle: Duration,
}

impl Default for Lifetimes {
    fn default() -> Self {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 60 * MINUTE;
        Lifetimes {
            container_idle: Duration::from_secs(20 * MINUTE),
            session_idle: Duration::from_secs(15 * MINUTE),
            session: Duration::from_secs(8 * HOUR),
            stored: Duration::from_secs(30 * 24 * HOUR),
            cached: Duration::from_secs(HOUR),
            mcp_idle: Duration::from_secs(HOUR),
        }
    }
}

/// One fake cloud. Start from [`CloudSpec::new`] and change what matters.
#[derive(Clone)]
pub struct CloudSpec {
    /// Whose API it speaks.
    pub kind: Kind,
    /// Its own name, for instance `azure-eastus2`: it is in every answer's text, and ids are made from it.
    pub name: String,
    /// The contracting party it belongs to; by default `azure`, `aws` or `openai`, after the kind.
    pub cloud: String,
    /// The only key that it accepts. Default `key-of-NAME`.
    pub credential: String,
    /// The families of APIs that it speaks. Default: the OpenAI dialect alone.
    pub speaks: Vec<Family>,
    /// The access key of requests that are signed the AWS way. Default `AKIA` + 16 letters, made from the name.
    pub access_key: String,
    /// Its secret. Default `secret-of-NAME`.
    pub secret_key: String,
    /// The region that signatures and ARNs name. Default `us-east-1`.
    pub region: String,
    /// The account that ARNs name.
    pub account: String,
    /// The account keeps nothing: `store` is taken for false, and nothing can be cited. Default no.
    pub zero_retention: bool,
    /// After what time it forgets what. The defaults are the vendors'; [`crate::FakeCloud::advance`] passes the time.
    pub lifetimes: Lifetimes,
    /// The book that it shares with the other clouds of a test. Default: one of its own, so that it still knows a handle that
    /// is not its own.
    pub fleet: Arc<Fleet>,
    /// The models (Azure: deployments) that it has. Default: `gpt-5.5`, on Bedrock `openai.gpt-5.5`, and
    /// `text-embedding-3-small` where there are embeddings.
    pub models: Vec<String>,
    /// Where it listens. Default `127.0.0.1:0`, so that tests never collide.
    pub listen: SocketAddr,
    /// What it speaks. Default clear HTTP/1.1.
    pub protocol: Protocol,
    /// Answer 421 unless `Host` (or `:authority`) is this. Default: any, because a proxy under test dials an address.
    pub host: Option<String>,
    /// The pause before each chunk of a stream after the first. Default none: as fast as it is read.
    pub pace: Duration,
    /// Pieces of text in a stream, at least 1. Default 8.
    pub stream_chunks: usize,
    /// How long a response with `background: true` is in progress. Default zero: complete when it is next asked for.
    pub background_for: Duration,
    /// Responses, and conversations, that it keeps; the oldest goes first. Default 20,000, some 20 MB.
    pub stored_max: usize,
    /// Requests that it remembers in full; the oldest goes first. Default 100,000, some 100 MB at most.
    pub seen_max: usize,
    /// Whether bodies are digested, so that altered ones are found. Default yes; measurements of CPU time leave it out,
    /// because SHA-256 costs more than everything else here does, and the machine is shared with what is measured.
    pub digest: bool,
    /// A longer body is answered 413. Default 64 MiB, twice what the proxy's default limit lets through.
    pub body_bytes_max: usize,
}

impl CloudSpec {
    /// A cloud with every default.
    pub fn new(kind: Kind, name: impl Into<String>) -> Self {
        let name = name.into();
        let models: &[&str] = match kind {
            Kind::Azure | Kind::OpenAi => &["gpt-5.5", "text-embedding-3-small"],
            Kind::Bedrock => &["openai.gpt-5.5"],
        };
        let letters: String =
            sha256(name.as_bytes())[..16].iter().map(|&byte| char::from(b'A' + byte % 26)).collect();
        CloudSpec {
            kind,
            speaks: vec![Family::OpenAi],
            access_key: format!("AKIA{letters}"),
            secret_key: format!("secret-of-{name}"),
            region: "us-east-1".to_owned(),
            account: "123456789012".to_owned(),
            zero_retention: false,
            lifetimes: Lifetimes::default(),
            fleet: Arc::default(),
            cloud: kind.cloud().to_owned(),
            credential: format!("key-of-{name}"),
            models: models.iter().map(|&model| model.to_owned()).collect(),
            name,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            protocol: Protocol::Http1,
            host: None,
            pace: Duration::ZERO,
            stream_chunks: 8,
            background_for: Duration::ZERO,
            stored_max: 20_000,
            seen_max: 100_000,
            digest: true,
            body_bytes_max: 64 << 20,
        }
    }

    /// With these models (Azure: deployments) instead of the default ones.
    #[must_use]
    pub fn models<M: Into<String>>(mut self, models: impl IntoIterator<Item = M>) -> Self {
        self.models = models.into_iter().map(Into::into).collect();
        self
    }

    /// Speaking these families instead of the OpenAI dialect; with the models that go with them, in place of the default
    /// ones.
    #[must_use]
    pub fn speaking(mut self, families: impl IntoIterator<Item = Family>) -> Self {
        self.speaks = families.into_iter().collect();
        let models = self.speaks.iter().flat_map(|family| match family {
            Family::OpenAi => self.models.clone(),
            Family::Anthropic => vec!["claude-sonnet-5".to_owned()],
            Family::Bedrock | Family::BedrockAgents => vec!["us.anthropic.claude-sonnet-5".to_owned()],
            Family::Google => vec!["gemini-3.8-flash".to_owned()],
            Family::AgentCore | Family::Mcp | Family::A2a => Vec::new(),
        });
        self.models = models.collect();
        self
    }

    /// Sharing this book with other clouds.
    #[must_use]
    pub fn fleet(mut self, fleet: &Arc<Fleet>) -> Self {
        self.fleet = Arc::clone(fleet);
        self
    }

    /// An account that keeps nothing.
    #[must_use]
    pub fn zero_retention(mut self) -> Self {
        self.zero_retention = true;
        self
    }

    /// With this credential instead of the default one.
    #[must_use]
    pub fn credential(mut self, credential: impl Into<String>) -> Self {
        self.credential = credential.into();
        self
    }

    /// Listening here instead of on a port of the system's choice.
    #[must_use]
    pub fn listen(mut self, listen: SocketAddr) -> Self {
        self.listen = listen;
        self
    }

    /// Speaking this instead of clear HTTP/1.1.
    #[must_use]
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// Streaming this many pieces of text with this pause between them.
    #[must_use]
    pub fn streaming(mut self, chunks: usize, pace: Duration) -> Self {
        self.stream_chunks = chunks.max(1);
        self.pace = pace;
        self
    }
}

impl std::fmt::Debug for CloudSpec {
    /// Leaves the credential out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CloudSpec")
            .field("kind", &self.kind)
            .field("name", &self.name)
            .field("cloud", &self.cloud)
            .field("speaks", &self.speaks)
            .field("models", &self.models)
            .field("listen", &self.listen)
            .field("protocol", &self.protocol)
            .finish_non_exhaustive()
    }
}
