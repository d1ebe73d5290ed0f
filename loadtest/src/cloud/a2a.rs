//! A2A: messages to an agent, in contexts that a client may invent (an unknown one begins anew, without an error), and tasks
//! that the agent makes. Over plain HTTP and over JSON-RPC.

use bytes::Bytes;
use serde_json::{Value, json};

use super::answer::{Reply, sse};
use super::complaint::Complaint;
use super::family::Family;
use super::record::Outcome;
use super::things::Thing;
use super::visit::Visit;

const FAMILY: Family = Family::A2a;
const TASK: &str = "task";
const CONTEXT: &str = "context";

pub(crate) fn answer(visit: &Visit<'_>) -> Result<Reply, Complaint> {
    let path = visit.path();
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let (last, before) = path.split_last().ok_or_else(|| visit.no_path())?;
    match (visit.method(), *last) {
        ("POST", "message:send") => Ok(Reply::json(&json!({"task": send(visit, "")?})).creating(made(visit))),
        ("POST", "message:stream") => Ok(stream(visit, "")?.creating(made(visit))),
        ("GET", "agent-card.json") => {
            visit.named("a2a.card");
            Ok(Reply::json(&json!({"name": visit.site.spec.name, "protocolVersion": "1.0"})))
        }
        ("GET", "tasks") => {
            visit.named("a2a.tasks.list");
            Ok(Reply::json(&json!({"tasks": visit.site.list(TASK)})))
        }
        (method, task) if before.last() == Some(&"tasks") => match (method, task.split_once(':')) {
            ("GET", None) => {
                visit.named("a2a.tasks.get");
                Ok(Reply::json(&find(visit, task)?))
            }
            ("POST", Some((task, "cancel"))) => {
                visit.named("a2a.tasks.cancel");
                Ok(Reply::json(&cancel(visit, task)?))
            }
            ("GET" | "POST", Some((task, "subscribe"))) => {
                visit.named("a2a.tasks.subscribe");
                let task = find(visit, task)?;
                visit.streams();
                Ok(Reply::events(vec![sse(None, &json!({"task": task}))]))
            }
            _ => Err(visit.no_path()),
        },
        ("POST", _) if visit.text("/jsonrpc") == Some("2.0") => rpc(visit),
        _ => Err(visit.no_path()),
    }
}

/// JSON-RPC: an error is an answer with status 200.
fn rpc(visit: &Visit<'_>) -> Result<Reply, Complaint> {
    let id = visit.json["id"].clone();
    let wrap = |result: &Value| json!({"jsonrpc": "2.0", "id": id, "result": result});
    let task = visit.text("/params/id").unwrap_or_default();
    let answered = match visit.text("/method").unwrap_or_default() {
        "message/send" | "SendMessage" => send(visit, "/params")
            .map(|task| Reply::json(&wrap(&json!({"task": task}))).creating(made(visit))),
        "message/stream" | "SendStreamingMessage" => {
            return Ok(stream(visit, "/params")?.creating(made(visit)));
        }
        "tasks/get" | "GetTask" => {
            visit.named("a2a.tasks.get");
            find(visit, task).map(|task| Reply::json(&wrap(&task)))
        }
        "tasks/cancel" | "CancelTask" => {
            visit.named("a2a.tasks.cancel");
            cancel(visit, task).map(|task| Reply::json(&wrap(&task)))
        }
        _ => Err(FAMILY.complain(200, Outcome::UnknownPath, "-32601", "Method not found")),
    };
    answered.map_err(|mut complaint| {
        complaint.status = 200;
        complaint.body["id"] = id.clone();
        complaint
    })
}

fn absent(outcome: Outcome) -> Complaint {
    FAMILY.not_found(outcome, "Task not found")
}

fn find(visit: &Visit<'_>, task: &str) -> Result<Value, Complaint> {
    visit.cites(task);
    visit.site.shown(TASK, task).map_err(absent)
}

fn cancel(visit: &Visit<'_>, task: &str) -> Result<Value, Complaint> {
    visit.cites(task);
    let cancel = |thing: &mut Thing| {
        thing.value["status"]["state"] = "TASK_STATE_CANCELED".into();
        thing.value.clone()
    };
    visit.site.with(TASK, task, cancel).map_err(absent)
}

/// A message: the task that it continues or makes, in the context that it names, or a new one.
fn send(visit: &Visit<'_>, below: &str) -> Result<Value, Complaint> {
    visit.named("a2a.send");
    let site = visit.site;
    let at = |field: &str| visit.text(&format!("{below}/message/{field}"));
    if visit.json.pointer(&format!("{below}/message/parts")).is_none() {
        return Err(FAMILY.bad_body("message.parts is required"));
    }
    let (task, context) = (at("taskId"), at("contextId"));
    if let Some(task) = task {
        visit.cites(task);
        let next = |thing: &mut Thing| {
            let same = context.is_none_or(|context| thing.value["contextId"] == context);
            if same {
                thing.turns += 1;
                thing.value["status"]["message"] = text(visit, thing.turns);
            }
            same.then(|| thing.value.clone())
        };
        let continued = site.with(TASK, task, next).map_err(absent)?;
        return continued.ok_or_else(|| FAMILY.bad_body("contextId and taskId do not belong together"));
    }
    let context = context.map_or_else(|| site.minter.mint_uuid(), str::to_owned);
    let lifetimes = site.spec.lifetimes;
    let turn = site.turn(CONTEXT, &context, || Thing::new(Value::Null).idle(lifetimes.mcp_idle));
    let id = site.minter.mint_uuid();
    let task = json!({
        "id": id, "contextId": context,
        "status": {"state": "TASK_STATE_COMPLETED", "message": text(visit, turn)},
    });
    let mut thing = Thing::new(task.clone()).lives(lifetimes.stored);
    thing.turns = turn;
    site.put(TASK, &id, thing);
    visit.makes(&id);
    Ok(task)
}

fn text(visit: &Visit<'_>, turn: u64) -> Value {
    json!({"role": "ROLE_AGENT", "parts": [{"text": visit.words(turn).whole()}]})
}

fn stream(visit: &Visit<'_>, below: &str) -> Result<Reply, Complaint> {
    let task = send(visit, below)?;
    visit.streams();
    let wrap = |result: Value| {
        if below.is_empty() {
            result
        } else {
            json!({"jsonrpc": "2.0", "id": visit.json["id"], "result": result})
        }
    };
    let update = json!({"taskId": task["id"], "contextId": task["contextId"], "status": task["status"]});
    let events: Vec<Bytes> =
        vec![sse(None, &wrap(json!({"task": task}))), sse(None, &wrap(json!({"statusUpdate": update})))];
    Ok(Reply::events(events))
}

fn made(visit: &Visit<'_>) -> Option<String> {
    visit.notes().made
}
