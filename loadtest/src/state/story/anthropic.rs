//! Anthropic: containers, sealed thoughts, files, batches, managed sessions.

use serde_json::{Value, json};

use super::super::client::{Actor, Ask, Thread};
use super::form;
use crate::cloud::Family::Anthropic;

fn ask(method: &'static str, path: impl Into<String>) -> Ask {
    Ask::new(Anthropic, method, path).header("anthropic-version", "2023-06-01")
}

fn message(more: &Value) -> Ask {
    let mut body = json!({"model": "claude-sonnet-5", "max_tokens": 64, "messages": [{"role": "user", "content": "hello"}]});
    if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
        body.extend(more.clone());
    }
    ask("POST", "/v1/messages").json(&body)
}

pub(super) async fn story(actor: &mut Actor) -> Option<()> {
    match actor.dice.below(6) {
        0 | 1 => container(actor).await,
        2 => thoughts(actor).await,
        3 => files(actor).await,
        4 => batches(actor).await,
        _ => sessions(actor).await,
    }
}

async fn container(actor: &mut Actor) -> Option<()> {
    let mut thread = Thread::default();
    let stream = actor.dice.below(2) == 0;
    let tools = json!([{"type": "code_execution_20250825", "name": "code_execution"}]);
    let first = message(&json!({"tools": tools, "stream": stream}));
    let made = actor.make(&first).await?;
    actor.follow(&first, &mut thread, &made);
    let id = made.id("/container/id").or_else(|| made.id("/delta/container/id"))?;
    for _ in 0..1 + actor.dice.below(4) {
        let cited = if actor.dice.below(2) == 0 { json!(id) } else { json!({"id": id}) };
        let next = message(&json!({"tools": tools, "container": cited}));
        let answer = actor.cite(&next).await?;
        actor.follow(&next, &mut thread, &answer);
    }
    Some(())
}

async fn thoughts(actor: &mut Actor) -> Option<()> {
    let thinking = json!({"type": "enabled", "budget_tokens": 1024});
    let mut content = actor.make(&message(&json!({"thinking": thinking}))).await?.json()["content"].clone();
    for _ in 0..1 + actor.dice.below(3) {
        let messages = json!([
            {"role": "user", "content": "hello"}, {"role": "assistant", "content": content},
            {"role": "user", "content": "go on"},
        ]);
        let next = message(&json!({"thinking": thinking, "messages": messages}));
        content = actor.cite(&next).await?.json()["content"].clone();
    }
    Some(())
}

async fn files(actor: &mut Actor) -> Option<()> {
    let (body, kind) = form("none");
    let mut upload = ask("POST", "/v1/files").header("content-type", kind);
    upload.body = body.into();
    let file = actor.make(&upload).await?.id("/id")?;
    let block = json!({"type": "document", "source": {"type": "file", "file_id": file}});
    actor.cite(&message(&json!({"messages": [{"role": "user", "content": [block]}]}))).await?;
    let one = format!("/v1/files/{file}");
    actor.delete(&ask("DELETE", &one), &ask("GET", &one)).await
}

async fn batches(actor: &mut Actor) -> Option<()> {
    let params = json!({"model": "claude-sonnet-5", "max_tokens": 1, "messages": []});
    let body = json!({"requests": [{"custom_id": "1", "params": params}]});
    let id = actor.make(&ask("POST", "/v1/messages/batches").json(&body)).await?.id("/id")?;
    let one = format!("/v1/messages/batches/{id}");
    actor.cite(&ask("GET", &one)).await?;
    actor.cite(&ask("GET", format!("{one}/results"))).await?;
    actor.delete(&ask("DELETE", &one), &ask("GET", &one)).await
}

async fn sessions(actor: &mut Actor) -> Option<()> {
    let beta = |ask: Ask| ask.header("anthropic-beta", "managed-agents-2026-04-01");
    let mut thread = Thread::default();
    let agent = json!({"name": "a", "model": "claude-sonnet-5"});
    let agent = actor.make(&beta(ask("POST", "/v1/agents").json(&agent))).await?.id("/id")?;
    let id =
        actor.cite(&beta(ask("POST", "/v1/sessions").json(&json!({"agent": agent})))).await?.id("/id")?;
    for _ in 0..1 + actor.dice.below(4) {
        let events = format!("/v1/sessions/{id}/events");
        let next = beta(ask("POST", events).json(&json!({"events": []})));
        let answer = actor.cite(&next).await?;
        actor.follow(&next, &mut thread, &answer);
    }
    let one = format!("/v1/sessions/{id}");
    actor.delete(&beta(ask("DELETE", &one)), &beta(ask("GET", &one))).await
}
