//! Bedrock agents: sessions that the client invents, knowledge-base chats, session management, flows.

use serde_json::{Value, json};

use super::super::client::{Actor, Ask, Thread};
use crate::cloud::Family::BedrockAgents;

pub(super) async fn story(actor: &mut Actor) -> Option<()> {
    match actor.dice.below(6) {
        0 | 1 => agent(actor).await,
        2 => inline(actor).await,
        3 => knowledge(actor).await,
        4 => sessions(actor).await,
        _ => flow(actor).await,
    }
}

fn ask(method: &'static str, path: impl Into<String>, body: &Value) -> Ask {
    Ask::new(BedrockAgents, method, path).json(body)
}

async fn agent(actor: &mut Actor) -> Option<()> {
    let session = actor.invent("agent");
    let path = format!("/agents/AGENT1/agentAliases/ALIAS1/sessions/{session}/text");
    invented(actor, &ask("POST", path, &json!({"inputText": "hello"}))).await
}

async fn inline(actor: &mut Actor) -> Option<()> {
    let session = actor.invent("inline");
    let body = json!({"inputText": "hello", "foundationModel": "us.anthropic.claude-sonnet-5", "instruction": "be kind"});
    invented(actor, &ask("POST", format!("/agents/{session}"), &body)).await
}

/// A session that begins at every replica at once, and its later turns.
async fn invented(actor: &mut Actor, ask: &Ask) -> Option<()> {
    let mut thread = Thread::default();
    actor.race(ask, &mut thread).await?;
    for _ in 0..1 + actor.dice.below(4) {
        let answer = actor.go_on(ask).await?;
        actor.follow(ask, &mut thread, &answer);
    }
    Some(())
}

async fn knowledge(actor: &mut Actor) -> Option<()> {
    let mut thread = Thread::default();
    let stream = actor.dice.below(2) == 0;
    let path = if stream { "/retrieveAndGenerateStream" } else { "/retrieveAndGenerate" };
    let first = ask("POST", path, &json!({"input": {"text": "hello"}}));
    let made = actor.make(&first).await?;
    actor.follow(&first, &mut thread, &made);
    let id = made.header("x-amzn-bedrock-knowledge-base-session-id").or_else(|| made.id("/sessionId"))?;
    for _ in 0..1 + actor.dice.below(4) {
        let next = ask("POST", path, &json!({"input": {"text": "go on"}, "sessionId": id}));
        let answer = actor.cite(&next).await?;
        actor.follow(&next, &mut thread, &answer);
    }
    Some(())
}

async fn sessions(actor: &mut Actor) -> Option<()> {
    let id = actor.make(&ask("PUT", "/sessions/", &json!({}))).await?.id("/sessionId")?;
    let invocations = format!("/sessions/{id}/invocations/");
    let invocation = actor.cite(&ask("PUT", &invocations, &json!({}))).await?.id("/invocationId")?;
    let step = json!({"invocationIdentifier": invocation, "invocationStepTime": "2026-01-01T00:00:00Z", "payload": {}});
    actor.cite(&ask("PUT", format!("/sessions/{id}/invocationSteps/"), &step)).await?;
    let one = format!("/sessions/{id}/");
    let read = Ask::new(BedrockAgents, "GET", &one);
    actor.cite(&read).await?;
    actor.cite(&Ask::new(BedrockAgents, "PATCH", format!("/sessions/{id}"))).await?;
    actor.delete(&Ask::new(BedrockAgents, "DELETE", &one), &read).await
}

async fn flow(actor: &mut Actor) -> Option<()> {
    let mut thread = Thread::default();
    let path = "/flows/FLOW1/aliases/ALIAS1";
    let first = ask("POST", path, &json!({"inputs": []}));
    let made = actor.make(&first).await?;
    actor.follow(&first, &mut thread, &made);
    let id = made.header("x-amz-bedrock-flow-execution-id")?;
    for _ in 0..1 + actor.dice.below(3) {
        let next = ask("POST", path, &json!({"inputs": [], "executionId": id}));
        let answer = actor.cite(&next).await?;
        actor.follow(&next, &mut thread, &answer);
    }
    Some(())
}
