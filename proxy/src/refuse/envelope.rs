//! A refusal in the words of each family's own errors, so that an unchanged SDK raises the exception that fits.
//!
//! | family | envelope | source |
//! |---|---|---|
//! | OpenAI, Azure, Foundry | `{"error": {"message", "type", "param", "code"}}` | the vendors' API references, "Errors" |
//! | Anthropic | `{"type": "error", "error": {"type", "message"}, "request_id"}` | Anthropic's API reference, "Errors" |
//! | Bedrock and `AgentCore` | `{"message"}`, the exception's name in `x-amzn-errortype` | AWS restJson1 protocol, "Operation error serialization" |
//! | Google | `{"error": {"code", "message", "status", "details"}}` | Google AIP-193 |
//! | MCP, A2A | `{"jsonrpc": "2.0", "id": null, "error": {"code", "message", "data"}}` | JSON-RPC 2.0, section 5.1 |
//!
//! Whatever the envelope, it has the code of the closed list, the decision's id and the terms.

use riparian_filters::decision::Reason;
use serde_json::{Value, json};

/// What every envelope says.
pub(super) struct Told<'t> {
    pub(super) reason: Reason,
    pub(super) status: u16,
    pub(super) message: &'t str,
    pub(super) param: Option<&'t str>,
    pub(super) decision: &'t str,
    pub(super) terms: &'t [&'t str],
}

/// Which envelope a family's clients read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Envelope {
    OpenAi,
    Anthropic,
    Aws,
    Google,
    JsonRpc,
}

impl Envelope {
    /// By the family's name; operators' own families read OpenAI's.
    pub(super) fn of(family: &str) -> Self {
        match family {
            "anthropic" => Self::Anthropic,
            "bedrock" | "bedrock-agents" | "bedrock-agentcore" => Self::Aws,
            "google" => Self::Google,
            "mcp" | "a2a" | "bedrock-agentcore-gateway" => Self::JsonRpc,
            _ => Self::OpenAi,
        }
    }

    /// The body.
    pub(super) fn body(self, told: &Told<'_>) -> Value {
        let Told { message, param, decision, terms, .. } = told;
        let code = told.reason.as_str();
        match self {
            Self::OpenAi => json!({ "error": {
                "message": message, "type": openai(told.status), "param": param, "code": code,
                "decision": decision, "terms": terms,
            } }),
            Self::Anthropic => json!({
                "type": "error",
                "error": {
                    "type": anthropic(told.status), "message": message, "param": param, "code": code, "terms": terms,
                },
                "request_id": decision,
            }),
            Self::Aws => json!({
                "message": message, "riparian": { "code": code, "param": param, "decision": decision, "terms": terms },
            }),
            Self::Google => json!({ "error": {
                "code": told.status, "message": message, "status": google(told.status),
                "details": [{
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": code.to_ascii_uppercase(), "domain": "riparian",
                    "metadata": { "decision": decision, "terms": terms.join(",") },
                }],
            } }),
            Self::JsonRpc => json!({
                "jsonrpc": "2.0", "id": null,
                "error": {
                    "code": json_rpc(told.reason, told.status), "message": message,
                    "data": { "code": code, "param": param, "decision": decision, "terms": terms },
                },
            }),
        }
    }

    /// The exception's name, where it goes into a header.
    pub(super) fn exception(self, status: u16) -> Option<&'static str> {
        (self == Self::Aws).then_some(match status {
            401 | 403 => "AccessDeniedException",
            404 | 410 => "ResourceNotFoundException",
            408 | 504 => "ModelTimeoutException",
            503 => "ServiceUnavailableException",
            500.. => "InternalServerException",
            _ => "ValidationException",
        })
    }
}

fn openai(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    }
}

fn anthropic(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 | 410 => "not_found_error",
        413 => "request_too_large",
        503 => "overloaded_error",
        504 => "timeout_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    }
}

fn google(status: u16) -> &'static str {
    match status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 | 410 => "NOT_FOUND",
        408 | 504 => "DEADLINE_EXCEEDED",
        503 => "UNAVAILABLE",
        500.. => "INTERNAL",
        _ => "INVALID_ARGUMENT",
    }
}

/// -32001 is what both protocols' SDKs answer for a session or task that is not there.
fn json_rpc(reason: Reason, status: u16) -> i32 {
    match (reason, status) {
        (Reason::UnknownHandle, _) => -32001,
        (_, 500..) => -32603,
        (_, 400) => -32600,
        _ => -32000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_envelope_says_the_code_the_decision_and_the_terms() {
        for family in
            ["openai", "foundry", "anthropic", "bedrock", "bedrock-agentcore", "google", "mcp", "a2a", "ours"]
        {
            for reason in Reason::ALL.iter().filter(|reason| !reason.allows()) {
                let told = Told {
                    reason: *reason,
                    status: reason.status(),
                    message: "a message",
                    param: Some("model"),
                    decision: "0123456789abcdef",
                    terms: &["a-term"],
                };
                let envelope = Envelope::of(family);
                let body = envelope.body(&told).to_string();
                for part in ["a message", "0123456789abcdef", "a-term"] {
                    assert!(body.contains(part), "{family} {reason}: {body}");
                }
                assert!(body.to_ascii_lowercase().contains(reason.as_str()), "{family} {reason}: {body}");
                assert_eq!(
                    envelope.exception(told.status).is_some(),
                    family.starts_with("bedrock"),
                    "{family}"
                );
            }
        }
    }
}
