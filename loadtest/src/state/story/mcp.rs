//! MCP: a session from `initialize` to its deletion.

use serde_json::{Value, json};

use super::super::client::{Actor, Ask, Thread};
use crate::cloud::Family::Mcp;

fn call(session: Option<&str>, body: &Value) -> Ask {
    let ask =
        Ask::new(Mcp, "POST", "/mcp").json(body).header("accept", "application/json, text/event-stream");
    match session {
        Some(session) => ask.header("mcp-session-id", session).header("mcp-protocol-version", "2025-11-25"),
        None => ask,
    }
}

pub(super) async fn story(actor: &mut Actor) -> Option<()> {
    let rpc = |id: usize, method: &str, params: Value| json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
    let client = json!({"name": "loadtest", "version": "1"});
    let begin = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client});
    let session = actor.make(&call(None, &rpc(0, "initialize", begin))).await?.header("mcp-session-id")?;
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    actor.cite(&call(Some(&session), &ready)).await?;
    let mut thread = Thread::default();
    for id in 0..1 + actor.dice.below(5) {
        let ask = call(Some(&session), &rpc(id + 1, "tools/call", json!({"name": "count", "arguments": {}})));
        let answer = actor.cite(&ask).await?;
        actor.follow(&ask, &mut thread, &answer);
    }
    let end = Ask::new(Mcp, "DELETE", "/mcp").header("mcp-session-id", &session);
    let look = call(Some(&session), &rpc(99, "tools/list", json!({})));
    actor.delete(&end, &look).await
}
