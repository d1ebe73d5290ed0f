//! The OpenAI dialect: chains, conversations, sealed reasoning, containers, files, stored completions, background jobs, agents.

use serde_json::{Value, json};

use super::super::client::{Actor, Ask, Thread};
use super::form;
use crate::cloud::Family::OpenAi;

const MODEL: &str = "gpt-5.5";

pub(super) async fn story(actor: &mut Actor) -> Option<()> {
    match actor.dice.below(9) {
        0 | 1 => chain(actor).await,
        2 => conversation(actor).await,
        3 => sealed(actor).await,
        4 => container(actor).await,
        5 => files(actor).await,
        6 => stored(actor).await,
        7 => background(actor).await,
        _ => agents(actor).await,
    }
}

fn post(path: &str, body: &Value) -> Ask {
    Ask::new(OpenAi, "POST", path).json(body)
}

fn get(path: impl Into<String>) -> Ask {
    Ask::new(OpenAi, "GET", path)
}

fn respond(actor: &mut Actor, more: &Value) -> Ask {
    let mut body = json!({"model": MODEL, "input": "hello", "stream": actor.dice.below(2) == 0});
    if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
        body.extend(more.clone());
    }
    post("/v1/responses", &body)
}

/// The id of a response, plain or streamed.
fn response_id(answer: &super::super::client::Answer) -> Option<String> {
    answer.json().get("id").and_then(Value::as_str).map(str::to_owned).or_else(|| answer.id("/response/id"))
}

async fn chain(actor: &mut Actor) -> Option<()> {
    let mut thread = Thread::default();
    let ask = respond(actor, &json!({}));
    let first = actor.make(&ask).await?;
    actor.follow(&ask, &mut thread, &first);
    let mut id = response_id(&first)?;
    for _ in 0..1 + actor.dice.below(5) {
        let ask = respond(actor, &json!({"previous_response_id": id}));
        let next = actor.cite(&ask).await?;
        actor.follow(&ask, &mut thread, &next);
        id = response_id(&next)?;
    }
    let read = get(format!("/v1/responses/{id}"));
    actor.cite(&read).await?;
    if actor.dice.below(3) == 0 {
        let delete = Ask::new(OpenAi, "DELETE", format!("/v1/responses/{id}"));
        actor.delete(&delete, &read).await?;
    }
    Some(())
}

async fn conversation(actor: &mut Actor) -> Option<()> {
    let mut thread = Thread::default();
    let id = actor.make(&post("/v1/conversations", &json!({}))).await?.id("/id")?;
    let items = format!("/v1/conversations/{id}/items");
    actor.cite(&post(&items, &json!({"items": [{"role": "user", "content": "x"}]}))).await?;
    for _ in 0..1 + actor.dice.below(4) {
        let cited = if actor.dice.below(2) == 0 { json!(id) } else { json!({"id": id}) };
        let ask = respond(actor, &json!({"conversation": cited}));
        let next = actor.cite(&ask).await?;
        actor.follow(&ask, &mut thread, &next);
    }
    actor.cite(&get(&items)).await?;
    let one = format!("/v1/conversations/{id}");
    actor.delete(&Ask::new(OpenAi, "DELETE", &one), &get(&one)).await
}

async fn sealed(actor: &mut Actor) -> Option<()> {
    let include = json!({"store": false, "stream": false, "include": ["reasoning.encrypted_content"]});
    let ask = respond(actor, &include);
    let mut item = actor.make(&ask).await?.json().pointer("/output/0")?.clone();
    for _ in 0..1 + actor.dice.below(3) {
        let mut again = include.clone();
        again["input"] = json!([item, {"role": "user", "content": "go on"}]);
        let ask = respond(actor, &again);
        item = actor.cite(&ask).await?.json().pointer("/output/0")?.clone();
    }
    Some(())
}

async fn container(actor: &mut Actor) -> Option<()> {
    let tool = |container: Value| json!({"tools": [{"type": "code_interpreter", "container": container}], "store": false});
    let ask = respond(actor, &tool(json!({"type": "auto"})));
    let made = actor.make(&ask).await?;
    let id = made
        .id("/output/0/container_id")
        .or_else(|| made.id("/item/container_id"))
        .or_else(|| made.id("/response/output/0/container_id"))?;
    for _ in 0..1 + actor.dice.below(3) {
        let ask = respond(actor, &tool(json!(id)));
        actor.cite(&ask).await?;
    }
    Some(())
}

async fn files(actor: &mut Actor) -> Option<()> {
    let (body, kind) = form("batch");
    let mut ask = Ask::new(OpenAi, "POST", "/v1/files").header("content-type", kind);
    ask.body = body.into();
    let file = actor.make(&ask).await?.id("/id")?;
    let one = format!("/v1/files/{file}");
    actor.cite(&get(format!("{one}/content"))).await?;
    let batch = json!({"input_file_id": file, "endpoint": "/v1/responses", "completion_window": "24h"});
    let batch = actor.cite(&post("/v1/batches", &batch)).await?.id("/id")?;
    actor.cite(&get(format!("/v1/batches/{batch}"))).await?;
    let store = actor.make(&post("/v1/vector_stores", &json!({"name": "n"}))).await?.id("/id")?;
    actor.cite(&post(&format!("/v1/vector_stores/{store}/search"), &json!({"query": "q"}))).await?;
    actor.delete(&Ask::new(OpenAi, "DELETE", &one), &get(&one)).await
}

async fn stored(actor: &mut Actor) -> Option<()> {
    let chat =
        |store: bool| json!({"model": MODEL, "messages": [{"role": "user", "content": "x"}], "store": store});
    actor.make(&post("/v1/chat/completions", &chat(false))).await?;
    let made = actor.make(&post("/v1/chat/completions", &chat(true))).await?;
    // Bedrock keeps none, whatever is asked.
    if made.turn().is_some_and(|(name, _)| name.starts_with("aws")) {
        return Some(());
    }
    let one = format!("/v1/chat/completions/{}", made.id("/id")?);
    actor.cite(&get(format!("{one}/messages"))).await?;
    actor.delete(&Ask::new(OpenAi, "DELETE", &one), &get(&one)).await
}

async fn background(actor: &mut Actor) -> Option<()> {
    let ask = respond(actor, &json!({"background": true, "stream": false}));
    let id = actor.make(&ask).await?.id("/id")?;
    actor.cite(&get(format!("/v1/responses/{id}"))).await?;
    actor.cite(&get(format!("/v1/responses/{id}?stream=true&starting_after=2"))).await?;
    actor.cite(&Ask::new(OpenAi, "POST", format!("/v1/responses/{id}/cancel"))).await?;
    Some(())
}

async fn agents(actor: &mut Actor) -> Option<()> {
    let beta = |ask: Ask| ask.header("openai-beta", "agents=v1");
    let mut thread = Thread::default();
    let made = actor.make(&beta(post("/v1/agents/sessions", &json!({"agent": {"model": MODEL}})))).await?;
    let id = made.id("/id")?;
    for _ in 0..1 + actor.dice.below(4) {
        let ask = beta(post(&format!("/v1/agents/sessions/{id}/events"), &json!({"events": []})));
        let next = actor.cite(&ask).await?;
        actor.follow(&ask, &mut thread, &next);
    }
    let one = format!("/v1/agents/sessions/{id}");
    actor.delete(&beta(Ask::new(OpenAi, "DELETE", &one)), &beta(get(&one))).await
}
