//! The sessions that a client may invent, found in a request without knowing its operation: by the header, path or field in
//! which each API carries them. Those that a cloud minted are among them; the fleet knows these by their core.

use http::request::Parts;
use serde_json::Value;

use super::family::Family;
use super::visit::segments;

/// Kind and id of each, for instance `runtime 1f0c...`.
pub(crate) fn asserted(family: Family, head: &Parts, body: &[u8]) -> Vec<String> {
    let found = match family {
        Family::AgentCore => {
            header(head, "x-amzn-bedrock-agentcore-runtime-session-id").map(|id| ("runtime", id))
        }
        Family::BedrockAgents => agent(head),
        Family::A2a => context(body),
        _ => None,
    };
    found.map(|(kind, id)| format!("{kind} {id}")).into_iter().collect()
}

fn header(head: &Parts, name: &str) -> Option<String> {
    Some(head.headers.get(name)?.to_str().ok()?.to_owned())
}

fn agent(head: &Parts) -> Option<(&'static str, String)> {
    if head.method != http::Method::POST {
        return None;
    }
    let path = segments(head.uri.path());
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match path.as_slice() {
        ["agents", agent, "agentAliases", alias, "sessions", session, "text"] => {
            Some(("agent", format!("{agent}/{alias}/{session}")))
        }
        ["agents", session] => Some(("inline", (*session).to_owned())),
        _ => None,
    }
}

fn context(body: &[u8]) -> Option<(&'static str, String)> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let id = ["/message/contextId", "/params/message/contextId"];
    let id = id.iter().find_map(|pointer| body.pointer(pointer)?.as_str())?;
    Some(("context", id.to_owned()))
}
