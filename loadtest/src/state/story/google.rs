//! Gemini: sealed thoughts, cached contents, interactions.

use serde_json::{Value, json};

use super::super::client::{Actor, Ask, Thread};
use crate::cloud::Family::Google;

const MODEL: &str = "gemini-3.8-flash";

pub(super) async fn story(actor: &mut Actor) -> Option<()> {
    match actor.dice.below(4) {
        0 => thoughts(actor).await,
        1 => cached(actor).await,
        _ => interactions(actor).await,
    }
}

fn generate(actor: &mut Actor, body: &Value) -> Ask {
    let operation = match actor.dice.below(3) {
        0 => "generateContent",
        1 => "streamGenerateContent",
        _ => "streamGenerateContent?alt=sse",
    };
    Ask::new(Google, "POST", format!("/v1beta/models/{MODEL}:{operation}")).json(body)
}

async fn thoughts(actor: &mut Actor) -> Option<()> {
    let user = json!({"role": "user", "parts": [{"text": "hello"}]});
    let thinking = json!({"thinkingConfig": {"includeThoughts": true}});
    let mut contents = json!([user]);
    for turn in 0..2 + actor.dice.below(3) {
        let ask = generate(actor, &json!({"contents": contents, "generationConfig": thinking}));
        let answer = if turn == 0 { actor.make(&ask).await? } else { actor.cite(&ask).await? };
        // Plain, an array of chunks, or events.
        let parts = "/candidates/0/content/parts/0/thoughtSignature";
        let last = |value: &Value| {
            value.as_array()?.iter().rev().find_map(|chunk| chunk.pointer(parts)?.as_str().map(str::to_owned))
        };
        let seal = answer.id(parts).or_else(|| last(&answer.json()))?;
        let thought = json!({"role": "model", "parts": [{"text": "x", "thoughtSignature": seal}]});
        contents = json!([user, thought, user]);
    }
    Some(())
}

async fn cached(actor: &mut Actor) -> Option<()> {
    let body = json!({"model": format!("models/{MODEL}"), "contents": [], "ttl": "600s"});
    let name =
        actor.make(&Ask::new(Google, "POST", "/v1beta/cachedContents").json(&body)).await?.id("/name")?;
    for _ in 0..1 + actor.dice.below(3) {
        let contents = json!([{"role": "user", "parts": [{"text": "hello"}]}]);
        let ask = generate(actor, &json!({"contents": contents, "cachedContent": name}));
        actor.cite(&ask).await?;
    }
    let one = format!("/v1beta/{name}");
    actor.delete(&Ask::new(Google, "DELETE", &one), &Ask::new(Google, "GET", &one)).await
}

async fn interactions(actor: &mut Actor) -> Option<()> {
    let mut thread = Thread::default();
    let mut previous: Option<String> = None;
    for _ in 0..2 + actor.dice.below(4) {
        let stream = actor.dice.below(2) == 0;
        let mut body = json!({"model": MODEL, "input": "hello", "stream": stream});
        if let Some(previous) = &previous {
            body["previous_interaction_id"] = previous.as_str().into();
        }
        let ask = Ask::new(Google, "POST", "/v1beta/interactions").json(&body);
        let answer = if previous.is_none() { actor.make(&ask).await? } else { actor.cite(&ask).await? };
        actor.follow(&ask, &mut thread, &answer);
        previous = answer.id("/id").or_else(|| answer.id("/interaction/id"));
        previous.as_ref()?;
    }
    let one = format!("/v1beta/interactions/{}", previous?);
    let read = Ask::new(Google, "GET", &one);
    actor.cite(&read).await?;
    actor.delete(&Ask::new(Google, "DELETE", &one), &read).await
}
