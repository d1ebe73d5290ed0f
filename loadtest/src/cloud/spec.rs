//! How a fake cloud is to behave, said before it starts.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

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
        CloudSpec {
            kind,
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
            .field("models", &self.models)
            .field("listen", &self.listen)
            .field("protocol", &self.protocol)
            .finish_non_exhaustive()
    }
}
