//! Clouds and their endpoints: the addresses that exist, and whose they are.

use crate::name::{CloudName, EndpointName};
use crate::pattern::Pattern;
use crate::secret::SecretRef;
use crate::witness::Witness;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// A contracting party's platform, and the endpoints in it.
#[derive(Clone, Debug)]
pub struct Cloud {
    /// The name that terms use.
    pub name: CloudName,
    /// Whose hosts belong here: `azure`, `aws`, `openai`, ... Default: the cloud's name.
    pub owner: String,
    /// At least one.
    pub endpoints: Vec<Endpoint>,
    /// Who must be at the other end of every connection to them, when the file says so.
    pub witness: Option<Witness>,
}

/// One address in a cloud.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Unique over all clouds; pins, metrics and the log speak of endpoints by this name.
    pub name: EndpointName,
    /// Which paths and which authentication header it takes.
    pub dialect: Dialect,
    /// Where it is.
    pub url: EndpointUrl,
    /// Where it is. A resource whose ARN names a region is looked for at endpoints of that region.
    pub region: Option<String>,
    /// What is sent to prove who asks.
    pub credential: Credential,
    /// Logical model name to the endpoint's own (a deployment, an inference profile). When given, the
    /// endpoint serves these models and no others; when absent, every model under its own name.
    pub models: Option<Vec<(String, String)>>,
    /// The account keeps nothing: an absent `store` is false there. Default false.
    pub zero_retention: bool,
    /// Resources that live here and were not made through the proxy.
    pub resources: Vec<Pattern>,
    /// Its share within its cloud, against the weights of the others. 1 to 1,000,000; default 100.
    pub weight: u32,
    /// How long to wait for it.
    pub timeouts: Timeouts,
    /// The HTTP version to speak to it. Default: 1.1.
    pub http_version: HttpVersion,
    /// Certificates (PEM) to trust instead of the system's, for a private authority.
    pub ca_file: Option<PathBuf>,
}

/// The HTTP version spoken to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpVersion {
    /// HTTP/1.1: one stream a connection, so that one stream's back pressure never holds another's.
    Http1,
    /// HTTP/2: by ALPN over https, with prior knowledge over http.
    Http2,
}

/// How long to wait for an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For the connection, TLS included. Default: `limits.connect_within`.
    pub connect: Duration,
    /// For the first byte of the answer. Default: `limits.first_byte_within`.
    pub first_byte: Duration,
    /// Between two bytes of the answer. Default: `limits.idle`.
    pub idle: Duration,
}

/// How an endpoint is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// The vendor's own API: `/v1/...`, `Authorization: Bearer`.
    OpenAi,
    /// Azure OpenAI: `/openai/v1/...` or dated deployment paths, `api-key`.
    AzureOpenAi,
    /// Bedrock's OpenAI-compatible paths: `/openai/v1/...`, `Authorization: Bearer`.
    BedrockOpenAi,
    /// Anthropic's Messages API and what belongs to it, at whatever host: `/v1/...`, `x-api-key`.
    Anthropic,
    /// Bedrock's own paths for models: `/model/{model}/converse`.
    Bedrock,
    /// Bedrock's agents, knowledge bases, flows and sessions: `/agents/...`.
    BedrockAgents,
    /// Bedrock `AgentCore`: `/runtimes/...`.
    BedrockAgentCore,
    /// Gemini and Vertex: `/v1beta/models/{model}:generateContent`, `x-goog-api-key`.
    Google,
    /// Foundry's hosted agents: `/api/projects/{project}/agents/...`, `api-key`.
    Foundry,
    /// A server of the Model Context Protocol: `/mcp`.
    Mcp,
    /// An agent of the `Agent2Agent` protocol: `/message:send`.
    A2a,
}

impl Dialect {
    /// Every dialect.
    pub const ALL: [Self; 11] = [
        Self::OpenAi,
        Self::AzureOpenAi,
        Self::BedrockOpenAi,
        Self::Anthropic,
        Self::Bedrock,
        Self::BedrockAgents,
        Self::BedrockAgentCore,
        Self::Google,
        Self::Foundry,
        Self::Mcp,
        Self::A2a,
    ];

    /// The word for it in configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::AzureOpenAi => "azure-openai",
            Self::BedrockOpenAi => "bedrock-openai",
            Self::Anthropic => "anthropic",
            Self::Bedrock => "bedrock",
            Self::BedrockAgents => "bedrock-agents",
            Self::BedrockAgentCore => "bedrock-agentcore",
            Self::Google => "google",
            Self::Foundry => "foundry",
            Self::Mcp => "mcp",
            Self::A2a => "a2a",
        }
    }

    /// The dialect that `word` names, if any.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.as_str() == word)
    }

    /// The path that stands before every operation, unless the endpoint's URL brings its own. `None` where clients' paths go out as
    /// they came.
    #[must_use]
    pub fn base_path(self) -> Option<&'static str> {
        match self {
            Self::OpenAi | Self::Anthropic => Some("/v1"),
            Self::AzureOpenAi | Self::BedrockOpenAi => Some("/openai/v1"),
            _ => None,
        }
    }

    /// The header in which an API key is sent; `None` for `Authorization: Bearer`.
    #[must_use]
    pub fn key_header(self) -> Option<&'static str> {
        match self {
            Self::AzureOpenAi | Self::Foundry => Some("api-key"),
            Self::Anthropic => Some("x-api-key"),
            Self::Google => Some("x-goog-api-key"),
            _ => None,
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where an endpoint is: an origin, and optionally the path before every operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointUrl {
    /// Whether TLS is spoken, with the certificate always verified.
    pub tls: bool,
    /// A host name or an IP address, lower case, without brackets.
    pub host: String,
    /// 1 to 65535; the scheme's default when the URL has none.
    pub port: u16,
    /// Replaces [`Dialect::base_path`], or the client's own base path, when the URL has a path: begins with `/`, ends without.
    pub base_path: Option<String>,
}

impl EndpointUrl {
    /// What stands in the `Host` header: the port only where it is not the scheme's own.
    #[must_use]
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let default = if self.tls { 443 } else { 80 };
        if self.port == default { host } else { format!("{host}:{}", self.port) }
    }
}

impl fmt::Display for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.base_path.as_deref().unwrap_or(""))
    }
}

/// What is sent to an endpoint to prove who asks. The client's own credential never goes upstream, unless
/// `Passthrough` says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// Nothing is sent.
    None,
    /// The client's own `Authorization` or `api-key` header goes through.
    Passthrough,
    /// `api-key: K` to Azure; `Authorization: Bearer K` to the others.
    ApiKey(SecretRef),
    /// `Authorization: Bearer T` to every dialect.
    Bearer(SecretRef),
    /// AWS Signature Version 4: each request is signed anew, whatever the dialect.
    SigV4(SigV4),
}

/// What requests to an AWS endpoint are signed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigV4 {
    /// The service's name in signatures: `bedrock`, also for agents and knowledge bases, or `bedrock-agentcore`. Default: by the host.
    pub service: String,
    /// The region in signatures. Default: the endpoint's.
    pub region: String,
    /// Where the keys come from.
    pub source: AwsKeys,
}

/// Where AWS's keys come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AwsKeys {
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and, if it is set, `AWS_SESSION_TOKEN`, as AWS's own tools read them.
    Environment,
    /// From references of their own.
    Given {
        /// The key's id.
        access_key_id: SecretRef,
        /// The key.
        secret_access_key: SecretRef,
        /// Only for temporary keys.
        session_token: Option<SecretRef>,
    },
}
