//! Bedrock `AgentCore`: runtimes whose sessions the client invents (an unknown one is a new machine, without an error; minted
//! where the request names none), code interpreters and browsers, memories.

use bytes::Bytes;
use serde_json::{Value, json};

use super::answer::{Reply, sse};
use super::complaint::Complaint;
use super::eventstream::event;
use super::family::Family;
use super::record::Outcome;
use super::things::Thing;
use super::visit::Visit;

const FAMILY: Family = Family::AgentCore;
const RUNTIME_SESSION: &str = "x-amzn-bedrock-agentcore-runtime-session-id";

pub(crate) fn answer(visit: &Visit<'_>) -> Result<Reply, Complaint> {
    let path = visit.path();
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match (visit.method(), path.as_slice()) {
        ("POST", ["runtimes", runtime @ .., "invocations"]) => invoke(visit, &runtime.join("/")),
        ("POST", ["runtimes", runtime @ .., "stopruntimesession"]) => stop(visit, &runtime.join("/")),
        ("GET", ["runtimes", .., "agent-card.json"]) => {
            visit.named("agentcore.agent_card");
            Ok(Reply::json(&json!({"name": visit.site.spec.name, "protocolVersion": "1.0"})))
        }
        (_, [tool @ ("code-interpreters" | "browsers"), id, rest @ ..]) => tools(visit, tool, id, rest),
        (_, ["memories", memory, rest @ ..]) => memories(visit, memory, rest),
        _ => Err(visit.no_path()),
    }
}

fn invoke(visit: &Visit<'_>, runtime: &str) -> Result<Reply, Complaint> {
    visit.named("agentcore.invoke_runtime");
    let site = visit.site;
    let asserted = visit.header(RUNTIME_SESSION);
    if asserted.is_some_and(|id| !(33..=256).contains(&id.len())) {
        return Err(FAMILY.bad_body("runtimeSessionId must have between 33 and 256 characters"));
    }
    let id = asserted.map_or_else(|| site.minter.mint_uuid(), str::to_owned);
    let lifetimes = site.spec.lifetimes;
    let machine = || Thing::new(Value::Null).idle(lifetimes.session_idle).lives(lifetimes.session);
    let turn = site.turn("runtime", &format!("{runtime} {id}"), machine);
    let words = visit.words(turn);
    let accepts_events = visit.header("accept").is_some_and(|accept| accept.contains("text/event-stream"));
    let reply = if accepts_events {
        visit.streams();
        let events: Vec<Bytes> = words.pieces().map(|piece| sse(None, &json!({"text": piece}))).collect();
        Reply::events(events)
    } else {
        Reply::json(&json!({"result": words.whole(), "turn": turn}))
    };
    let minted = asserted.is_none().then(|| id.clone());
    Ok(reply.header(RUNTIME_SESSION, id).creating(minted))
}

fn stop(visit: &Visit<'_>, runtime: &str) -> Result<Reply, Complaint> {
    visit.named("agentcore.stop_runtime_session");
    let id = visit.header(RUNTIME_SESSION).ok_or_else(|| FAMILY.bad_body("runtimeSessionId is required"))?;
    // Whatever a client may have invented is at most forgotten; whether it lives elsewhere is the fleet's to say.
    let absent = |_| FAMILY.not_found(Outcome::GoneHandle, "Runtime session not found");
    visit.site.take("runtime", &format!("{runtime} {id}")).map_err(absent)?;
    let body = json!({"runtimeSessionId": id, "statusCode": 200});
    Ok(Reply::json(&body).header(RUNTIME_SESSION, id))
}

fn tools(visit: &Visit<'_>, tool: &str, id: &str, rest: &[&str]) -> Result<Reply, Complaint> {
    let site = visit.site;
    let browser = tool == "browsers";
    let (kind, header, operation) = if browser {
        ("browser_session", "x-amzn-browser-session-id", "browser")
    } else {
        ("interpreter_session", "x-amzn-code-interpreter-session-id", "code_interpreter")
    };
    let absent = |outcome: Outcome| FAMILY.not_found(outcome, "Session not found");
    let of_query = || visit.query("sessionId").ok_or_else(|| FAMILY.bad_body("sessionId is required"));
    match (visit.method(), rest) {
        ("PUT", ["sessions", "start"]) => {
            visit.named(if browser { "agentcore.browser.start" } else { "agentcore.code_interpreter.start" });
            let session = site.minter.mint("");
            let identifier = if browser { "browserIdentifier" } else { "codeInterpreterIdentifier" };
            let mut value = json!({
                "sessionId": session, "createdAt": site.clock.stamp(std::time::Duration::ZERO), "status": "READY",
            });
            value[identifier] = id.into();
            let lifetimes = site.spec.lifetimes;
            let thing = Thing::new(value.clone()).idle(lifetimes.session_idle).lives(lifetimes.session);
            site.put(kind, &session, thing);
            Ok(Reply::json(&value).creating(session))
        }
        ("GET", ["sessions", "get"]) => {
            visit.named(if browser { "agentcore.browser.get" } else { "agentcore.code_interpreter.get" });
            let session = of_query()?;
            visit.cites(&session);
            Ok(Reply::json(&site.shown(kind, &session).map_err(absent)?))
        }
        ("POST", ["sessions", "list"]) => {
            visit.named(if browser { "agentcore.browser.list" } else { "agentcore.code_interpreter.list" });
            Ok(Reply::json(&json!({"items": site.list(kind)})))
        }
        ("PUT", ["sessions", "stop"]) => {
            visit.named(if browser { "agentcore.browser.stop" } else { "agentcore.code_interpreter.stop" });
            let session = of_query()?;
            visit.cites(&session);
            let mut value = site.take(kind, &session).map_err(absent)?.value;
            value["status"] = "TERMINATED".into();
            Ok(Reply::json(&value))
        }
        ("POST", ["tools" | "sessions", "invoke"]) => {
            visit.named(if browser {
                "agentcore.browser.invoke"
            } else {
                "agentcore.code_interpreter.invoke"
            });
            let session = visit.header(header).ok_or_else(|| FAMILY.bad_body("sessionId is required"))?;
            visit.cites(session);
            let next = |thing: &mut Thing| {
                thing.turns += 1;
                thing.turns
            };
            let turn = site.with(kind, session, next).map_err(absent)?;
            visit.streams();
            let content = json!([{"type": "text", "text": visit.words(turn).whole()}]);
            let result = json!({"content": content, "isError": false, "tool": operation});
            Ok(Reply::events(vec![event("result", &result)]).aws().header(header, session))
        }
        _ => Err(visit.no_path()),
    }
}

/// Events of an actor's session; the memory itself is a stored resource that any name stands for.
fn memories(visit: &Visit<'_>, memory: &str, rest: &[&str]) -> Result<Reply, Complaint> {
    let site = visit.site;
    let kind = |actor: &str, session: &str| format!("memory {memory} {actor} {session}");
    match (visit.method(), rest) {
        ("POST", ["events"]) => {
            visit.named("agentcore.memory.create_event");
            let (actor, session) = (visit.text("/actorId"), visit.text("/sessionId"));
            let actor = actor.ok_or_else(|| FAMILY.bad_body("actorId is required"))?;
            let id = format!("0000000000000001#{}", site.minter.mint(""));
            let session = session.unwrap_or("default");
            let event = json!({
                "memoryId": memory, "actorId": actor, "sessionId": session, "eventId": id,
                "payload": visit.json["payload"],
            });
            site.put(&kind(actor, session), &id, Thing::new(event.clone()));
            Ok(Reply::json(&json!({"event": event})).status(201).creating(id))
        }
        ("POST", ["actor", actor, "sessions", session]) => {
            visit.named("agentcore.memory.list_events");
            Ok(Reply::json(&json!({"events": site.list(&kind(actor, session))})))
        }
        (method @ ("GET" | "DELETE"), ["actor", actor, "sessions", session, "events", id]) => {
            visit.cites(id);
            let kind = kind(actor, session);
            let absent = |outcome: Outcome| FAMILY.not_found(outcome, "Event not found");
            if method == "GET" {
                visit.named("agentcore.memory.get_event");
                return Ok(Reply::json(&json!({"event": site.shown(&kind, id).map_err(absent)?})));
            }
            visit.named("agentcore.memory.delete_event");
            site.take(&kind, id).map_err(absent)?;
            Ok(Reply::json(&json!({"eventId": id})))
        }
        ("POST", ["retrieve"]) => {
            visit.named("agentcore.memory.retrieve");
            Ok(Reply::json(&json!({"memoryRecordSummaries": []})))
        }
        _ => Err(visit.no_path()),
    }
}
