//! Agent sessions (beta): created with or without a stream, continued by events, ended by deletion.

use serde_json::{Value, json};

use super::super::answer::{Reply, sse};
use super::super::complaint::Complaint;
use super::super::record::Outcome;
use super::super::things::Thing;
use super::super::visit::Visit;
use super::Collection;

const SESSIONS: Collection = Collection {
    kind: "agent_session",
    title: "Session",
    prefix: "asess_",
    object: "agent.session",
    deleted: "agent.session.deleted",
    names: ["agents.create", "agents.list", "agents.get", "agents.update", "agents.delete"],
};

pub(super) fn answer(visit: &Visit<'_>, rest: &[&str]) -> Result<Reply, Complaint> {
    if !visit.header("openai-beta").is_some_and(|beta| beta.contains("agents=v1")) {
        let message = "This API requires the header 'OpenAI-Beta: agents=v1'.";
        return Err(Complaint::vendor(400, Outcome::BadBody, message, None, Some("invalid_beta")));
    }
    match (visit.method(), rest) {
        ("POST", []) => {
            visit.named("agents.create");
            let environment = visit.site.minter.mint("env_");
            let about = json!({"status": "idle", "environment": {"id": environment}, "usage": null});
            let reply = SESSIONS.keep(visit, about, |thing| thing);
            if !visit.flag("/stream") {
                return Ok(reply);
            }
            visit.streams();
            let id = reply.created.first().cloned().unwrap_or_default();
            let session = SESSIONS.find(visit, &id)?;
            Ok(Reply::events(events(visit, &session, 1)).creating(id))
        }
        ("POST", [id, "events"]) => {
            visit.named("agents.events.create");
            SESSIONS.find(visit, id)?;
            let next = |thing: &mut Thing| {
                thing.turns += 1;
                (thing.turns, thing.value.clone())
            };
            let next = visit.site.with("agent_session", id, next);
            let (turn, session) = next.map_err(|outcome| SESSIONS.absent(id, outcome))?;
            if visit.flag("/stream") {
                visit.streams();
                return Ok(Reply::events(events(visit, &session, turn)));
            }
            let text = visit.words(turn).whole();
            let event = json!({"id": visit.site.minter.mint("evt_"), "object": "agent.event", "text": text});
            Ok(Reply::json(&json!({"object": "list", "session_id": id, "data": [event]})))
        }
        ("GET", [id, "events"]) => {
            visit.named("agents.events.stream");
            let session = SESSIONS.find(visit, id)?;
            visit.streams();
            Ok(Reply::events(events(visit, &session, 0)))
        }
        _ => SESSIONS.answer(visit, rest, |_| Ok(Value::Null)),
    }
}

fn events(visit: &Visit<'_>, session: &Value, turn: u64) -> Vec<bytes::Bytes> {
    let event = |name: &str, mut data: Value| {
        data["type"] = name.into();
        sse(Some(name), &data)
    };
    let mut events = vec![event("agent.session.created", json!({"session": session}))];
    let pieces = visit.words(turn).pieces();
    events.extend(pieces.map(|piece| event("agent.message.delta", json!({"delta": piece}))));
    events.push(event("agent.turn.completed", json!({"session": session, "turn": turn})));
    events
}
