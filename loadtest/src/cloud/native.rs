//! Which family a request is for, and whether it is signed as that family demands.

use http::request::Parts;

use super::answer::Reply;
use super::complaint::Complaint;
use super::family::Family;
use super::record::Outcome;
use super::sigv4::{self, Flaw};
use super::spec::{CloudSpec, Kind};
use super::visit::{Visit, segments};
use super::{a2a, agentcore, anthropic, bedrock, bedrock_agents, google, mcp, openai};

pub(crate) fn answer(visit: &Visit<'_>) -> Result<Reply, Complaint> {
    match visit.family {
        Family::OpenAi => openai::answer(visit),
        Family::Anthropic => anthropic::answer(visit),
        Family::Bedrock => bedrock::answer(visit),
        Family::BedrockAgents => bedrock_agents::answer(visit),
        Family::AgentCore => agentcore::answer(visit),
        Family::Google => google::answer(visit),
        Family::Mcp => mcp::answer(visit),
        Family::A2a => a2a::answer(visit),
    }
}

/// The family other than the OpenAI dialect that a request is for. A cloud that speaks only one asks nothing; one that speaks
/// several goes by the path, and where two have the same by what only one's clients send.
pub(crate) fn claimed(spec: &CloudSpec, head: &Parts) -> Option<Family> {
    if let [only] = spec.speaks[..] {
        return (only != Family::OpenAi).then_some(only);
    }
    spec.speaks
        .iter()
        .copied()
        .filter(|&family| family != Family::OpenAi)
        .find(|&family| claims(family, head))
}

fn claims(family: Family, head: &Parts) -> bool {
    let path = segments(head.uri.path());
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let signed = || {
        let value = head.headers.get("authorization").map(http::HeaderValue::as_bytes);
        value.is_some_and(|value| value.starts_with(b"AWS4"))
    };
    match family {
        Family::OpenAi => false,
        Family::Anthropic => head.headers.contains_key("anthropic-version") || path.contains(&"anthropic"),
        Family::Bedrock => matches!(path.as_slice(), ["model" | "async-invoke" | "guardrail", ..]),
        Family::BedrockAgents => {
            matches!(
                path.as_slice(),
                [
                    "agents"
                        | "sessions"
                        | "flows"
                        | "knowledgebases"
                        | "retrieveAndGenerate"
                        | "retrieveAndGenerateStream"
                        | "rerank",
                    ..
                ]
            ) && (signed() || path.first() != Some(&"agents") || path.len() > 1)
        }
        Family::AgentCore => {
            matches!(path.as_slice(), ["runtimes" | "code-interpreters" | "browsers" | "memories", ..])
        }
        Family::Google => {
            path.iter().any(|part| part.starts_with("v1beta"))
                || path.first() == Some(&"ws")
                || path.contains(&"publishers")
        }
        Family::Mcp => path.last() == Some(&"mcp"),
        Family::A2a => {
            path.iter().any(|part| part.starts_with("message:") || *part == "tasks" || *part == "a2a")
                || path == [""]
        }
    }
}

/// Checks an AWS signature, where the request has one and the family takes them.
pub(crate) fn signature(spec: &CloudSpec, front: Family, head: &Parts, body: &[u8]) -> Result<(), Complaint> {
    let signed = head.headers.get("authorization").is_some_and(|value| value.as_bytes().starts_with(b"AWS4"));
    if !signed {
        return Ok(()); // a bearer, which was found to be right
    }
    let family = claimed(spec, head).unwrap_or(front);
    let services: &[&str] = match family {
        Family::OpenAi if spec.kind == Kind::Bedrock => &["bedrock", "bedrock-mantle"],
        family => family.services(),
    };
    let flaw = match sigv4::verify(spec, head, body, services) {
        Ok(()) => return Ok(()),
        Err(flaw) => flaw,
    };
    let mismatch = "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
                    Access Key and signing method. Consult the service documentation for details.";
    let (code, message) = match flaw {
        Flaw::Missing => ("MissingAuthenticationTokenException", "Missing Authentication Token"),
        Flaw::Incomplete(what) => ("IncompleteSignatureException", what),
        Flaw::UnknownKey => {
            ("UnrecognizedClientException", "The security token included in the request is invalid.")
        }
        Flaw::Scope(message) => ("InvalidSignatureException", message),
        Flaw::Mismatch => ("InvalidSignatureException", mismatch),
    };
    Err(Family::Bedrock.complain(403, Outcome::WrongCredential, code, message))
}
