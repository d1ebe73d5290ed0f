//! Bedrock agents: sessions that the client invents and that nobody refuses (an unknown one begins anew, and the answer tells
//! its turn), knowledge-base chats, session management, flows, memories.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use super::answer::Reply;
use super::complaint::Complaint;
use super::eventstream::event;
use super::family::Family;
use super::record::Outcome;
use super::things::Thing;
use super::visit::Visit;

const FAMILY: Family = Family::BedrockAgents;

pub(crate) fn answer(visit: &Visit<'_>) -> Result<Reply, Complaint> {
    let path = visit.path();
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match (visit.method(), path.as_slice()) {
        ("POST", ["agents", agent, "agentAliases", alias, "sessions", session, "text"]) => {
            visit.named("bedrock_agents.invoke_agent");
            invoke(visit, "agent", &format!("{agent}/{alias}/{session}"), session)
        }
        (method, ["agents", agent, "agentAliases", alias, "memories"]) => {
            memories(visit, method, &format!("{agent}/{alias}"))
        }
        ("POST", ["agents", session]) => {
            visit.named("bedrock_agents.invoke_inline");
            invoke(visit, "inline", session, session)
        }
        ("POST", [operation @ ("retrieveAndGenerate" | "retrieveAndGenerateStream")]) => {
            chat(visit, operation.ends_with("Stream"))
        }
        ("POST", ["knowledgebases", _, "retrieve"]) => {
            visit.named("bedrock_agents.retrieve");
            Ok(Reply::json(
                &json!({"retrievalResults": [{"content": {"text": visit.words(1).whole()}, "score": 0.9}]}),
            ))
        }
        ("POST", ["rerank"]) => {
            visit.named("bedrock_agents.rerank");
            Ok(Reply::json(&json!({"results": [{"index": 0, "relevanceScore": 0.9}]})))
        }
        (_, ["sessions", rest @ ..]) => sessions(visit, rest),
        ("GET", ["flows", _, "executions"]) => {
            visit.named("bedrock_agents.flow_executions.list");
            Ok(Reply::json(&json!({"flowExecutionSummaries": visit.site.list("flow_job")})))
        }
        (_, ["flows", flow, "aliases", alias, rest @ ..]) => flows(visit, flow, alias, rest),
        _ => Err(visit.no_path()),
    }
}

/// The events of an answer whose every piece is base64.
fn chunks(visit: &Visit<'_>, turn: u64) -> Vec<Bytes> {
    let chunk = |piece: String| event("chunk", &json!({"bytes": STANDARD.encode(piece)}));
    visit.words(turn).pieces().map(chunk).collect()
}

fn invoke(visit: &Visit<'_>, kind: &str, key: &str, session: &str) -> Result<Reply, Complaint> {
    if !(2..=100).contains(&session.len()) {
        return Err(FAMILY.bad_body("sessionId must have between 2 and 100 characters"));
    }
    let lifetimes = visit.site.spec.lifetimes;
    let turn = visit
        .site
        .turn(kind, key, || Thing::new(Value::Null).idle(lifetimes.session_idle).lives(lifetimes.session));
    if visit.flag("/endSession") {
        let _ = visit.site.take(kind, key); // it was there a moment ago, and nobody minds if it is not
    }
    visit.streams();
    let reply = Reply::events(chunks(visit, turn)).aws().header("x-amz-bedrock-agent-session-id", session);
    Ok(match visit.text("/memoryId") {
        Some(memory) => {
            let (agent, _) = key.rsplit_once('/').unwrap_or((key, ""));
            visit.site.turn("agent_memory", &format!("{agent} {memory}"), || Thing::new(Value::Null));
            reply.header("x-amz-bedrock-agent-memory-id", memory)
        }
        None => reply,
    })
}

fn memories(visit: &Visit<'_>, method: &str, agent: &str) -> Result<Reply, Complaint> {
    let memory = visit.query("memoryId").ok_or_else(|| FAMILY.bad_body("memoryId is required"))?;
    let key = format!("{agent} {memory}");
    match method {
        "GET" => {
            visit.named("bedrock_agents.memory.get");
            let turns = visit.site.with("agent_memory", &key, |thing| thing.turns).unwrap_or_default();
            let contents: Vec<Value> = (0..turns)
                .map(|turn| json!({"sessionSummary": {"memoryId": memory, "summaryText": turn.to_string()}}))
                .collect();
            Ok(Reply::json(&json!({"memoryContents": contents})))
        }
        "DELETE" => {
            visit.named("bedrock_agents.memory.delete");
            let _ = visit.site.take("agent_memory", &key); // deleting what is not there is no error here
            Ok(Reply::json(&json!({})).status(202))
        }
        _ => Err(visit.no_path()),
    }
}

/// Retrieve and generate: every call makes a session, or continues one that it made.
fn chat(visit: &Visit<'_>, stream: bool) -> Result<Reply, Complaint> {
    const KIND: &str = "kb_session";
    visit.named(if stream { "bedrock_agents.rag_stream" } else { "bedrock_agents.rag" });
    let site = visit.site;
    let (id, turn, new) = match visit.text("/sessionId") {
        Some(id) => {
            visit.cites(id);
            let next = |thing: &mut Thing| {
                thing.turns += 1;
                thing.turns
            };
            let invalid = |outcome| {
                let message = format!("Session with Id {id} is not valid. Please check and try again.");
                FAMILY.complain(400, outcome, "ValidationException", &message)
            };
            (id.to_owned(), site.with(KIND, id, next).map_err(invalid)?, false)
        }
        None => {
            let id = site.minter.mint_uuid();
            let mut thing = Thing::new(Value::Null).idle(site.spec.lifetimes.mcp_idle);
            thing.turns = 1;
            site.put(KIND, &id, thing);
            (id, 1, true)
        }
    };
    let created = new.then(|| id.clone());
    if !stream {
        let text = visit.words(turn).whole();
        let answer = json!({"sessionId": id, "output": {"text": text}, "citations": []});
        return Ok(Reply::json(&answer).creating(created));
    }
    visit.streams();
    let pieces = visit.words(turn).pieces();
    let events: Vec<Bytes> = pieces.map(|piece| event("output", &json!({"text": piece}))).collect();
    let reply = Reply::events(events).aws();
    Ok(reply.header("x-amzn-bedrock-knowledge-base-session-id", id).creating(created))
}

/// Session management: sessions, invocations within them, steps within these.
fn sessions(visit: &Visit<'_>, rest: &[&str]) -> Result<Reply, Complaint> {
    const KIND: &str = "aws_session";
    let site = visit.site;
    let at = || site.clock.stamp(std::time::Duration::ZERO);
    let absent = |outcome: Outcome| FAMILY.not_found(outcome, "Session not found");
    // A session may be cited by its ARN.
    let bare = |id: &str| id.rsplit('/').next().unwrap_or(id).to_owned();
    if let [id, ..] = rest {
        visit.cites(id);
    }
    match (visit.method(), rest) {
        ("PUT", []) => {
            visit.named("bedrock_agents.sessions.create");
            let id = site.minter.mint_uuid();
            let (region, account) = (&site.spec.region, &site.spec.account);
            let arn = format!("arn:aws:bedrock:{region}:{account}:session/{id}");
            let value = json!({
                "sessionId": id, "sessionArn": arn, "sessionStatus": "ACTIVE", "createdAt": at(), "lastUpdatedAt": at(),
            });
            site.put(KIND, &id, Thing::new(value.clone()).lives(site.spec.lifetimes.stored));
            Ok(Reply::json(&value).status(201).creating(id))
        }
        ("POST", []) => {
            visit.named("bedrock_agents.sessions.list");
            Ok(Reply::json(&json!({"sessionSummaries": site.list(KIND)})))
        }
        ("GET", [id]) => {
            visit.named("bedrock_agents.sessions.get");
            Ok(Reply::json(&site.shown(KIND, &bare(id)).map_err(absent)?))
        }
        ("PUT", [id]) => {
            visit.named("bedrock_agents.sessions.update");
            Ok(Reply::json(&site.shown(KIND, &bare(id)).map_err(absent)?))
        }
        ("PATCH", [id]) => {
            visit.named("bedrock_agents.sessions.end");
            let end = |thing: &mut Thing| {
                thing.value["sessionStatus"] = "ENDED".into();
                thing.value.clone()
            };
            Ok(Reply::json(&site.with(KIND, &bare(id), end).map_err(absent)?))
        }
        ("DELETE", [id]) => {
            visit.named("bedrock_agents.sessions.delete");
            let id = bare(id);
            let status =
                site.with(KIND, &id, |thing| thing.value["sessionStatus"].clone()).map_err(absent)?;
            if status != "ENDED" {
                let message = "The session must be ended before it can be deleted.";
                return Err(FAMILY.complain(409, Outcome::BadBody, "ConflictException", message));
            }
            site.take(KIND, &id).map_err(absent)?;
            Ok(Reply::json(&json!({})))
        }
        ("PUT", [id, "invocations"]) => {
            visit.named("bedrock_agents.sessions.invocations.create");
            let id = bare(id);
            site.with(KIND, &id, |thing| thing.turns += 1).map_err(absent)?;
            let invocation = site.minter.mint_uuid();
            let value = json!({"sessionId": id, "invocationId": invocation, "createdAt": at()});
            site.put(&format!("invocation of {id}"), &invocation, Thing::new(value.clone()));
            Ok(Reply::json(&value).status(201).creating(invocation))
        }
        ("POST", [id, "invocations"]) => {
            visit.named("bedrock_agents.sessions.invocations.list");
            let id = bare(id);
            site.with(KIND, &id, |_| ()).map_err(absent)?;
            Ok(Reply::json(&json!({"invocationSummaries": site.list(&format!("invocation of {id}"))})))
        }
        ("PUT", [id, "invocationSteps"]) => {
            visit.named("bedrock_agents.sessions.steps.put");
            let id = bare(id);
            site.with(KIND, &id, |_| ()).map_err(absent)?;
            let invocation = visit.text("/invocationIdentifier").unwrap_or_default();
            visit.cites(invocation);
            let known = site.with(&format!("invocation of {id}"), invocation, |_| ());
            known.map_err(|outcome| FAMILY.not_found(outcome, "Invocation not found"))?;
            Ok(Reply::json(&json!({"invocationStepId": site.minter.mint_uuid()})).status(201))
        }
        _ => Err(visit.no_path()),
    }
}

/// Flows: an execution is born by the first call and cited by those that go on.
fn flows(visit: &Visit<'_>, flow: &str, alias: &str, rest: &[&str]) -> Result<Reply, Complaint> {
    const KIND: &str = "flow_execution";
    let site = visit.site;
    let absent = |outcome: Outcome| FAMILY.not_found(outcome, "Flow execution not found");
    match (visit.method(), rest) {
        ("POST", []) => {
            visit.named("bedrock_agents.invoke_flow");
            let cited = visit.text("/executionId");
            let (id, turn) = match cited {
                Some(id) => {
                    visit.cites(id);
                    let next = |thing: &mut Thing| {
                        thing.turns += 1;
                        thing.turns
                    };
                    (id.to_owned(), site.with(KIND, id, next).map_err(absent)?)
                }
                None => {
                    let id = site.minter.mint("");
                    let mut thing = Thing::new(Value::Null).idle(site.spec.lifetimes.mcp_idle);
                    thing.turns = 1;
                    site.put(KIND, &id, thing);
                    (id, 1)
                }
            };
            visit.streams();
            let document = json!({"document": visit.words(turn).whole()});
            let output = json!({"nodeName": "output", "nodeType": "FlowOutputNode", "content": document});
            let events = vec![
                event("flowOutputEvent", &output),
                event("flowCompletionEvent", &json!({"completionReason": "SUCCESS"})),
            ];
            let created = cited.is_none().then(|| id.clone());
            let reply = Reply::events(events).aws().header("x-amz-bedrock-flow-execution-id", id);
            Ok(reply.creating(created))
        }
        ("POST", ["executions"]) => {
            visit.named("bedrock_agents.flow_executions.start");
            let (region, account) = (&site.spec.region, &site.spec.account);
            let id = site.minter.mint("");
            let arn = format!("arn:aws:bedrock:{region}:{account}:flow/{flow}/alias/{alias}/execution/{id}");
            let value = json!({"executionArn": arn, "status": "Succeeded", "flowIdentifier": flow});
            site.put("flow_job", &id, Thing::new(value).lives(site.spec.lifetimes.stored));
            Ok(Reply::json(&json!({"executionArn": arn})).creating(arn))
        }
        (method @ ("GET" | "POST"), ["executions", id, end @ ..]) if end.is_empty() || end == ["stop"] => {
            visit.named(if method == "GET" {
                "bedrock_agents.flow_executions.get"
            } else {
                "bedrock_agents.flow_executions.stop"
            });
            visit.cites(id);
            let id = id.rsplit('/').next().unwrap_or(id);
            Ok(Reply::json(&site.shown("flow_job", id).map_err(absent)?))
        }
        _ => Err(visit.no_path()),
    }
}
