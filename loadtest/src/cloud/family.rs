//! The families of APIs that a cloud can speak, and what is peculiar to each before an operation is reached: which headers
//! carry its credential, and how its errors look.

use serde_json::{Value, json};

use super::complaint::Complaint;
use super::record::Outcome;

/// A family of APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// The OpenAI dialect, with the paths of the spec's [`crate::Kind`].
    OpenAi,
    /// Messages, files, batches, managed sessions, with or without a prefix `/anthropic`.
    Anthropic,
    /// Bedrock's own runtime: converse, invoke, async invoke. Signed, or bearer.
    Bedrock,
    /// Bedrock agents, knowledge bases, session management, flows. Signed, or bearer.
    BedrockAgents,
    /// `AgentCore`: runtimes, code interpreters, browsers, memories. Signed, or bearer.
    AgentCore,
    /// Gemini: generate, caches, files, interactions, the live socket.
    Google,
    /// MCP over streamable HTTP.
    Mcp,
    /// A2A, over plain HTTP and over JSON-RPC.
    A2a,
}

impl Family {
    /// Every family.
    pub const ALL: [Family; 8] = [
        Family::OpenAi,
        Family::Anthropic,
        Family::Bedrock,
        Family::BedrockAgents,
        Family::AgentCore,
        Family::Google,
        Family::Mcp,
        Family::A2a,
    ];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Family::OpenAi => "openai",
            Family::Anthropic => "anthropic",
            Family::Bedrock => "bedrock",
            Family::BedrockAgents => "bedrock-agents",
            Family::AgentCore => "bedrock-agentcore",
            Family::Google => "google",
            Family::Mcp => "mcp",
            Family::A2a => "a2a",
        }
    }

    /// The names under which the services of the family sign.
    pub(crate) fn services(self) -> &'static [&'static str] {
        match self {
            Family::Bedrock | Family::BedrockAgents => &["bedrock"],
            Family::AgentCore => &["bedrock-agentcore"],
            _ => &[],
        }
    }

    /// The headers in which it looks for a credential, beside `authorization`.
    pub(crate) fn credential_headers(self) -> &'static [&'static str] {
        match self {
            Family::Anthropic | Family::Mcp | Family::A2a => &["x-api-key"],
            Family::Google => &["x-goog-api-key"],
            _ => &[],
        }
    }

    /// An error in its envelope. `code` is the vendor's word for it.
    pub(crate) fn complain(self, status: u16, outcome: Outcome, code: &str, message: &str) -> Complaint {
        let complaint = |body: Value| Complaint { status, outcome, body, headers: Vec::new() };
        match self {
            Family::OpenAi => {
                let kind = if status >= 500 { "server_error" } else { "invalid_request_error" };
                complaint(json!({"error": {"message": message, "type": kind, "param": null, "code": code}}))
            }
            Family::Anthropic => complaint(
                json!({"type": "error", "error": {"type": code, "message": message}, "request_id": null}),
            ),
            Family::Bedrock | Family::BedrockAgents | Family::AgentCore => {
                let mut complaint = complaint(json!({"message": message}));
                complaint.headers.push(("x-amzn-errortype", code.to_owned()));
                complaint
            }
            Family::Google => {
                complaint(json!({"error": {"code": status, "message": message, "status": code}}))
            }
            Family::Mcp | Family::A2a => {
                let code: i64 = code.parse().unwrap_or(-32000);
                complaint(json!({"jsonrpc": "2.0", "id": null, "error": {"code": code, "message": message}}))
            }
        }
    }

    /// No such path here.
    pub(crate) fn no_path(self, line: &str) -> Complaint {
        let code = match self {
            Family::Anthropic => "not_found_error",
            Family::Google => "NOT_FOUND",
            Family::Mcp | Family::A2a => "-32601",
            Family::OpenAi => "not_found",
            _ => "UnknownOperationException",
        };
        self.complain(404, Outcome::UnknownPath, code, &format!("Not found: {line}"))
    }

    pub(crate) fn wrong_credential(self) -> Complaint {
        let outcome = Outcome::WrongCredential;
        match self {
            Family::Anthropic => self.complain(401, outcome, "authentication_error", "invalid x-api-key"),
            Family::Google => self.complain(
                401,
                outcome,
                "UNAUTHENTICATED",
                "Request had invalid authentication credentials.",
            ),
            Family::Mcp | Family::A2a => self.complain(401, outcome, "-32000", "Unauthorized"),
            Family::OpenAi => self.complain(401, outcome, "invalid_api_key", "Incorrect API key provided."),
            _ => {
                let message = "The security token included in the request is invalid.";
                self.complain(403, outcome, "UnrecognizedClientException", message)
            }
        }
    }

    /// The body is not what the operation needs.
    pub(crate) fn bad_body(self, message: &str) -> Complaint {
        self.complain(400, Outcome::BadBody, self.invalid(), message)
    }

    /// What it calls a request that makes no sense.
    pub(crate) fn invalid(self) -> &'static str {
        match self {
            Family::OpenAi | Family::Anthropic => "invalid_request_error",
            Family::Google => "INVALID_ARGUMENT",
            Family::Mcp | Family::A2a => "-32602",
            _ => "ValidationException",
        }
    }

    /// Something that is not here.
    pub(crate) fn not_found(self, outcome: Outcome, message: &str) -> Complaint {
        let code = match self {
            Family::OpenAi => "not_found",
            Family::Anthropic => "not_found_error",
            Family::Google => "NOT_FOUND",
            Family::Mcp | Family::A2a => "-32001",
            _ => "ResourceNotFoundException",
        };
        self.complain(404, outcome, code, message)
    }

    pub(crate) fn fault(self, status: u16) -> Complaint {
        let busy = status == 429;
        let code = match self {
            Family::OpenAi => return Complaint::fault(status),
            Family::Anthropic if busy => "rate_limit_error",
            Family::Anthropic if status == 529 => "overloaded_error",
            Family::Anthropic => "api_error",
            Family::Google if busy => "RESOURCE_EXHAUSTED",
            Family::Google => "INTERNAL",
            Family::Mcp | Family::A2a => "-32603",
            _ if busy => "ThrottlingException",
            _ if status == 503 => "ServiceUnavailableException",
            _ => "InternalServerException",
        };
        self.complain(status, Outcome::Faulted, code, "This fault was asked for.")
    }
}

impl std::str::FromStr for Family {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = || Family::ALL.map(Family::name).join(", ");
        Family::ALL
            .into_iter()
            .find(|family| family.name() == text)
            .ok_or_else(|| format!("no such family: {text:?}; there are {}", known()))
    }
}
