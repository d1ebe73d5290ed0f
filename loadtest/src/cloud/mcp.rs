//! MCP over streamable HTTP. Up to version 2025-11-25 a session is born by `initialize` and named by a header ever after; from
//! 2026-07-28 on there are none.

use bytes::Bytes;
use serde_json::{Value, json};

use super::answer::{Reply, sse};
use super::complaint::Complaint;
use super::family::Family;
use super::record::Outcome;
use super::things::Thing;
use super::visit::Visit;

const FAMILY: Family = Family::Mcp;
const KIND: &str = "mcp_session";
const SESSION: &str = "mcp-session-id";
/// The first version without sessions.
const STATELESS_FROM: &str = "2026-07-28";

pub(crate) fn answer(visit: &Visit<'_>) -> Result<Reply, Complaint> {
    if visit.path().last().map(String::as_str) != Some("mcp") {
        return Err(visit.no_path());
    }
    match visit.method() {
        "POST" => post(visit),
        "GET" => {
            visit.named("mcp.listen");
            session(visit)?;
            visit.streams();
            Ok(Reply::events(vec![sse(None, &note(&visit.site.spec.name))]))
        }
        "DELETE" => {
            visit.named("mcp.end");
            let id = session(visit)?;
            visit.site.take(KIND, &id).map_err(gone)?;
            Ok(Reply::empty(200))
        }
        _ => Err(visit.no_path()),
    }
}

/// A line of the server's log.
fn note(name: &str) -> Value {
    json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": name}})
}

fn gone(outcome: Outcome) -> Complaint {
    FAMILY.complain(404, outcome, "-32001", "Session not found")
}

/// The session that the request names, which lives here.
fn session(visit: &Visit<'_>) -> Result<String, Complaint> {
    let id = visit.header(SESSION).ok_or_else(|| FAMILY.bad_body("Bad Request: Missing session ID"))?;
    visit.cites(id);
    visit.site.with(KIND, id, |_| ()).map_err(gone)?;
    Ok(id.to_owned())
}

fn post(visit: &Visit<'_>) -> Result<Reply, Complaint> {
    let method = visit.text("/method").unwrap_or_default();
    let id = visit.json["id"].clone();
    let result = |result: Value| json!({"jsonrpc": "2.0", "id": id, "result": result});
    let version = visit.header("mcp-protocol-version").unwrap_or_default();
    let stateless = version >= STATELESS_FROM;
    if method == "initialize" {
        visit.named("mcp.initialize");
        let session = visit.site.minter.mint("");
        let version = visit.text("/params/protocolVersion").unwrap_or("2025-11-25");
        visit.site.put(KIND, &session, Thing::new(Value::Null).idle(visit.site.spec.lifetimes.mcp_idle));
        let info = json!({"name": visit.site.spec.name, "version": "1"});
        let answer = json!({"protocolVersion": version, "capabilities": {"logging": {}, "tools": {}}, "serverInfo": info});
        return Ok(Reply::json(&result(answer)).header(SESSION, session.clone()).creating(session));
    }
    visit.named(match method {
        "tools/call" => "mcp.tools_call",
        "tools/list" => "mcp.tools_list",
        _ => "mcp.post",
    });
    let turn = if stateless {
        1
    } else {
        let session = session(visit)?;
        let next = |thing: &mut Thing| {
            thing.turns += u64::from(method == "tools/call");
            thing.turns
        };
        visit.site.with(KIND, &session, next).map_err(gone)?
    };
    if id.is_null() {
        return Ok(Reply::empty(202)); // a notification
    }
    match method {
        "ping" => Ok(Reply::json(&result(json!({})))),
        "tools/list" => {
            let tool = json!({"name": "count", "description": "Counts its calls", "inputSchema": {"type": "object"}});
            Ok(Reply::json(&result(json!({"tools": [tool]}))))
        }
        "tools/call" => {
            let content = json!([{"type": "text", "text": visit.words(turn).whole()}]);
            let answer = result(json!({"content": content, "isError": false}));
            if visit.header("accept").is_some_and(|accept| accept.contains("text/event-stream")) {
                visit.streams();
                // Progress is told to those alone who gave a token for it.
                let first = match visit.json.pointer("/params/_meta/progressToken") {
                    Some(token) => json!({
                        "jsonrpc": "2.0", "method": "notifications/progress",
                        "params": {"progressToken": token, "progress": 1},
                    }),
                    None => note(&visit.site.spec.name),
                };
                let events: Vec<Bytes> = vec![sse(Some("message"), &first), sse(Some("message"), &answer)];
                return Ok(Reply::events(events));
            }
            Ok(Reply::json(&answer))
        }
        _ => {
            let error = json!({"code": -32601, "message": "Method not found"});
            Ok(Reply::json(&json!({"jsonrpc": "2.0", "id": id, "error": error})))
        }
    }
}
