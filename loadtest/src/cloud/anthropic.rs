//! Anthropic: messages with sealed thoughts and containers, token counts, files, batches, managed sessions. Every request
//! names its version.

use bytes::Bytes;
use serde_json::{Value, json};

use super::answer::{Events, Reply, sse};
use super::complaint::Complaint;
use super::family::Family;
use super::record::Outcome;
use super::things::Thing;
use super::visit::Visit;

const FAMILY: Family = Family::Anthropic;
const CONTAINER_LIVES: std::time::Duration = std::time::Duration::from_secs(30 * 24 * 3600);

pub(crate) fn answer(visit: &Visit<'_>) -> Result<Reply, Complaint> {
    if visit.header("anthropic-version").is_none() {
        return Err(FAMILY.bad_body("anthropic-version: header is required"));
    }
    let path = visit.path();
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let path = match path.as_slice() {
        ["anthropic", "v1", rest @ ..] | ["v1", rest @ ..] => rest,
        _ => return Err(visit.no_path()),
    };
    match (visit.method(), path) {
        ("POST", ["messages"]) => message(visit),
        ("POST", ["messages", "count_tokens"]) => {
            visit.named("anthropic.count_tokens");
            visit.model(visit.text("/model").unwrap_or_default())?;
            referred(visit)?;
            Ok(Reply::json(&json!({"input_tokens": visit.prompt_tokens()})))
        }
        (_, ["messages", "batches", rest @ ..]) => batches(visit, rest),
        (_, ["files", rest @ ..]) => files(visit, rest),
        (_, ["sessions", rest @ ..]) => sessions(visit, rest),
        (_, ["agents", rest @ ..]) => agents(visit, rest),
        ("GET", ["models"]) => {
            visit.named("anthropic.models");
            let models = visit.site.spec.models.iter();
            let models: Vec<Value> =
                models.map(|id| json!({"type": "model", "id": id, "display_name": id})).collect();
            Ok(Reply::json(&list(models)))
        }
        _ => Err(visit.no_path()),
    }
}

fn list(data: impl IntoIterator<Item = Value>) -> Value {
    let data: Vec<Value> = data.into_iter().collect();
    json!({"data": data, "has_more": false, "first_id": null, "last_id": null})
}

fn unknown(what: &str, id: &str, outcome: Outcome) -> Complaint {
    FAMILY.not_found(outcome, &format!("{what} not found: {id}"))
}

/// Its signatures open here and its files are here.
fn referred(visit: &Visit<'_>) -> Result<(), Complaint> {
    let messages =
        visit.json["messages"].as_array().ok_or_else(|| FAMILY.bad_body("messages: Field required"))?;
    for (index, message) in messages.iter().enumerate() {
        for block in message["content"].as_array().into_iter().flatten() {
            let sealed = match block["type"].as_str() {
                Some("thinking") => block["signature"].as_str(),
                Some("redacted_thinking") => block["data"].as_str(),
                _ => None,
            };
            if let Some(sealed) = sealed {
                let wrong = |outcome| {
                    let message =
                        format!("messages.{index}.content.0: Invalid `signature` in `thinking` block");
                    FAMILY.complain(400, outcome, "invalid_request_error", &message)
                };
                visit.site.open(sealed).map_err(wrong)?;
            }
            let file =
                block.pointer("/source/file_id").or_else(|| block.get("file_id")).and_then(Value::as_str);
            if let Some(file) = file {
                visit.cites(file);
                let known = visit.site.with("claude_file", file, |_| ());
                known.map_err(|outcome| unknown("File", file, outcome))?;
            }
        }
    }
    Ok(())
}

/// The container that a message is worked in: the one that is cited, or a new one where a tool wants it.
fn container(visit: &Visit<'_>) -> Result<Option<(Value, u64, bool)>, Complaint> {
    let site = visit.site;
    if let Some(id) = visit.text("/container").or_else(|| visit.text("/container/id")) {
        visit.cites(id);
        let reuse = |thing: &mut Thing| {
            thing.turns += 1;
            (thing.value.clone(), thing.turns, false)
        };
        let reused = site.with("claude_container", id, reuse);
        return reused.map(Some).map_err(|outcome| unknown("Container", id, outcome));
    }
    let wants = |tool: &Value| tool["type"].as_str().is_some_and(|kind| kind.starts_with("code_execution"));
    let tools = visit.json["tools"].as_array();
    if !tools.is_some_and(|tools| tools.iter().any(wants))
        && visit.json.pointer("/container/skills").is_none()
    {
        return Ok(None);
    }
    let id = site.minter.mint("container_");
    let value = json!({"id": id, "expires_at": site.clock.stamp(CONTAINER_LIVES)});
    let mut thing = Thing::new(value.clone()).lives(CONTAINER_LIVES);
    thing.turns = 1;
    site.put("claude_container", &id, thing);
    Ok(Some((value, 1, true)))
}

fn message(visit: &Visit<'_>) -> Result<Reply, Complaint> {
    visit.named("anthropic.messages");
    let model = visit.text("/model").ok_or_else(|| FAMILY.bad_body("model: Field required"))?;
    visit.model(model)?;
    if !visit.json["max_tokens"].is_u64() {
        return Err(FAMILY.bad_body("max_tokens: Field required"));
    }
    referred(visit)?;
    let container = container(visit)?;
    let turn = container.as_ref().map_or(1, |(_, turn, _)| *turn);
    let born = container.as_ref().filter(|(_, _, new)| *new);
    let born = born.and_then(|(value, _, _)| Some(value["id"].as_str()?.to_owned()));
    let shown = container.map_or(Value::Null, |(value, _, _)| value);
    let thinks = visit.text("/thinking/type").is_some_and(|kind| kind != "disabled");
    let thought = thinks.then(|| visit.site.seal());
    let message = Message { visit, model, container: shown, thought, turn };
    let reply = if visit.flag("/stream") {
        visit.streams();
        Reply::events(message.events())
    } else {
        Reply::json(&message.whole())
    };
    Ok(reply.creating(born))
}

struct Message<'a> {
    visit: &'a Visit<'a>,
    model: &'a str,
    container: Value,
    thought: Option<String>,
    turn: u64,
}

impl Message<'_> {
    fn object(&self, content: &Value, stop: Option<&str>, output_tokens: u64) -> Value {
        json!({
            "id": self.visit.site.minter.mint("msg_"), "type": "message", "role": "assistant", "model": self.model,
            "content": content, "stop_reason": stop, "stop_sequence": null, "container": self.container,
            "usage": {
                "input_tokens": self.visit.prompt_tokens(), "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0, "output_tokens": output_tokens,
            },
        })
    }

    fn whole(&self) -> Value {
        let thought = self.thought.as_ref();
        let thought = thought.map(|seal| json!({"type": "thinking", "thinking": "Hm.", "signature": seal}));
        let text = json!({"type": "text", "text": self.visit.words(self.turn).whole()});
        let content: Vec<Value> = thought.into_iter().chain([text]).collect();
        self.object(&content.into(), Some("end_turn"), 4)
    }

    fn events(&self) -> Events {
        let event = |name: &str, mut data: Value| {
            data["type"] = name.into();
            sse(Some(name), &data)
        };
        let words = self.visit.words(self.turn);
        let started = self.object(&json!([]), None, 1);
        let mut events: Vec<Bytes> = vec![event("message_start", json!({"message": started}))];
        let mut index = 0;
        if let Some(seal) = &self.thought {
            let block = json!({"type": "thinking", "thinking": "", "signature": ""});
            events.push(event("content_block_start", json!({"index": 0, "content_block": block})));
            for delta in [
                json!({"type": "thinking_delta", "thinking": "Hm."}),
                json!({"type": "signature_delta", "signature": seal}),
            ] {
                events.push(event("content_block_delta", json!({"index": 0, "delta": delta})));
            }
            events.push(event("content_block_stop", json!({"index": 0})));
            index = 1;
        }
        let block = json!({"type": "text", "text": ""});
        events.push(event("content_block_start", json!({"index": index, "content_block": block})));
        events.extend(words.pieces().map(|piece| {
            let delta = json!({"type": "text_delta", "text": piece});
            event("content_block_delta", json!({"index": index, "delta": delta}))
        }));
        events.push(event("content_block_stop", json!({"index": index})));
        let mut delta = json!({"stop_reason": "end_turn", "stop_sequence": null});
        delta["container"] = self.container.clone();
        let usage = json!({"output_tokens": words.count()});
        events.push(event("message_delta", json!({"delta": delta, "usage": usage})));
        events.push(event("message_stop", json!({})));
        events.into()
    }
}

fn files(visit: &Visit<'_>, rest: &[&str]) -> Result<Reply, Complaint> {
    const KIND: &str = "claude_file";
    let site = visit.site;
    match (visit.method(), rest) {
        ("POST", []) => {
            visit.named("anthropic.files.create");
            let (content, filename) = visit.upload();
            let filename = filename.ok_or_else(|| FAMILY.bad_body("file: Field required"))?;
            let id = site.minter.mint("file_");
            let value = json!({
                "id": id, "type": "file", "filename": filename, "mime_type": "text/plain",
                "size_bytes": content.len(), "created_at": site.clock.stamp(std::time::Duration::ZERO),
                "downloadable": true,
            });
            site.put(KIND, &id, Thing::new(value.clone()).bytes(content));
            Ok(Reply::json(&value).creating(id))
        }
        ("GET", []) => {
            visit.named("anthropic.files.list");
            Ok(Reply::json(&list(site.list(KIND))))
        }
        ("GET", [id]) => {
            visit.named("anthropic.files.get");
            visit.cites(id);
            Ok(Reply::json(&site.shown(KIND, id).map_err(|outcome| unknown("File", id, outcome))?))
        }
        ("GET", [id, "content"]) => {
            visit.named("anthropic.files.content");
            visit.cites(id);
            let content = site.with(KIND, id, |thing| thing.bytes.clone());
            Ok(Reply::binary("text/plain", content.map_err(|outcome| unknown("File", id, outcome))?))
        }
        ("DELETE", [id]) => {
            visit.named("anthropic.files.delete");
            visit.cites(id);
            site.take(KIND, id).map_err(|outcome| unknown("File", id, outcome))?;
            Ok(Reply::json(&json!({"id": id, "type": "file_deleted"})))
        }
        _ => Err(visit.no_path()),
    }
}

fn batches(visit: &Visit<'_>, rest: &[&str]) -> Result<Reply, Complaint> {
    const KIND: &str = "claude_batch";
    let site = visit.site;
    let find = |id: &str| {
        visit.cites(id);
        site.shown(KIND, id).map_err(|outcome| unknown("Message batch", id, outcome))
    };
    match (visit.method(), rest) {
        ("POST", []) => {
            visit.named("anthropic.batches.create");
            let requests = visit.json["requests"].as_array();
            let requests = requests.ok_or_else(|| FAMILY.bad_body("requests: Field required"))?.len();
            let id = site.minter.mint("msgbatch_");
            let day = std::time::Duration::from_secs(24 * 3600);
            let value = json!({
                "id": id, "type": "message_batch", "processing_status": "ended",
                "request_counts": {"processing": 0, "succeeded": requests, "errored": 0, "canceled": 0, "expired": 0},
                "created_at": site.clock.stamp(std::time::Duration::ZERO), "expires_at": site.clock.stamp(day),
                "results_url": format!("/v1/messages/batches/{id}/results"),
            });
            site.put(KIND, &id, Thing::new(value.clone()).lives(29 * day));
            Ok(Reply::json(&value).creating(id))
        }
        ("GET", []) => {
            visit.named("anthropic.batches.list");
            Ok(Reply::json(&list(site.list(KIND))))
        }
        ("GET", [id]) => {
            visit.named("anthropic.batches.get");
            Ok(Reply::json(&find(id)?))
        }
        ("POST", [id, "cancel"]) => {
            visit.named("anthropic.batches.cancel");
            Ok(Reply::json(&find(id)?))
        }
        ("GET", [id, "results"]) => {
            visit.named("anthropic.batches.results");
            find(id)?;
            let line = json!({"custom_id": "1", "result": {"type": "canceled"}});
            Ok(Reply::binary("application/x-jsonl", format!("{line}\n")))
        }
        ("DELETE", [id]) => {
            visit.named("anthropic.batches.delete");
            find(id)?;
            site.take(KIND, id).map_err(|outcome| unknown("Message batch", id, outcome))?;
            Ok(Reply::json(&json!({"id": id, "type": "message_batch_deleted"})))
        }
        _ => Err(visit.no_path()),
    }
}

/// Managed agents (beta): what a session is an instance of.
fn agents(visit: &Visit<'_>, rest: &[&str]) -> Result<Reply, Complaint> {
    const KIND: &str = "claude_agent";
    let site = visit.site;
    match (visit.method(), rest) {
        ("POST", []) => {
            visit.named("anthropic.agents.create");
            let id = site.minter.mint("agent_");
            let value = json!({"id": id, "type": "agent", "name": visit.json["name"], "version": 1});
            site.put(KIND, &id, Thing::new(value.clone()));
            Ok(Reply::json(&value).creating(id))
        }
        ("GET", [id]) => {
            visit.named("anthropic.agents.get");
            visit.cites(id);
            Ok(Reply::json(&site.shown(KIND, id).map_err(|outcome| unknown("Agent", id, outcome))?))
        }
        _ => Err(visit.no_path()),
    }
}

/// Sessions of managed agents (beta).
fn sessions(visit: &Visit<'_>, rest: &[&str]) -> Result<Reply, Complaint> {
    const KIND: &str = "claude_session";
    let site = visit.site;
    if !visit.header("anthropic-beta").is_some_and(|beta| beta.contains("managed-agents")) {
        return Err(FAMILY.bad_body("This API requires the beta header managed-agents-2026-04-01."));
    }
    let absent = |id: &str, outcome| unknown("Session", id, outcome);
    match (visit.method(), rest) {
        ("POST", []) => {
            visit.named("anthropic.sessions.create");
            let agent = visit.text("/agent").or_else(|| visit.text("/agent/id"));
            let agent = agent.ok_or_else(|| FAMILY.bad_body("agent: Field required"))?;
            visit.cites(agent);
            site.with("claude_agent", agent, |_| ()).map_err(|outcome| unknown("Agent", agent, outcome))?;
            let id = site.minter.mint("sesn_");
            let value = json!({"id": id, "type": "session", "status": "idle", "agent": visit.json["agent"]});
            site.put(KIND, &id, Thing::new(value.clone()));
            Ok(Reply::json(&value).creating(id))
        }
        ("GET", []) => {
            visit.named("anthropic.sessions.list");
            Ok(Reply::json(&list(site.list(KIND))))
        }
        ("GET", [id]) => {
            visit.named("anthropic.sessions.get");
            visit.cites(id);
            Ok(Reply::json(&site.shown(KIND, id).map_err(|outcome| absent(id, outcome))?))
        }
        ("POST", [id, "events"]) => {
            visit.named("anthropic.sessions.events.create");
            visit.cites(id);
            let next = |thing: &mut Thing| {
                thing.turns += 1;
                thing.turns
            };
            let turn = site.with(KIND, id, next).map_err(|outcome| absent(id, outcome))?;
            let event = json!({"type": "agent.message", "content": visit.words(turn).whole()});
            Ok(Reply::json(&list([event])))
        }
        ("GET", [id, "events" | "stream", ..]) => {
            visit.named("anthropic.sessions.events.stream");
            visit.cites(id);
            let turn = site.with(KIND, id, |thing| thing.turns).map_err(|outcome| absent(id, outcome))?;
            visit.streams();
            let event =
                |piece| sse(Some("agent.message"), &json!({"type": "agent.message", "content": piece}));
            let events: Vec<Bytes> = visit.words(turn).pieces().map(event).collect();
            Ok(Reply::events(events))
        }
        ("DELETE", [id]) | ("POST", [id, "archive"]) => {
            visit.named("anthropic.sessions.delete");
            visit.cites(id);
            site.take(KIND, id).map_err(|outcome| absent(id, outcome))?;
            Ok(Reply::json(&json!({"id": id, "type": "session_deleted"})))
        }
        _ => Err(visit.no_path()),
    }
}
