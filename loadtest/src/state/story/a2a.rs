//! A2A: contexts that the client invents, and the tasks that an agent makes in them.

use serde_json::{Value, json};

use super::super::client::{Actor, Ask, Thread};
use crate::cloud::Family::A2a;

fn send(more: &Value) -> Ask {
    let mut message = json!({"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "hello"}]});
    if let (Some(message), Some(more)) = (message.as_object_mut(), more.as_object()) {
        message.extend(more.clone());
    }
    Ask::new(A2a, "POST", "/message:send").json(&json!({"message": message}))
}

pub(super) async fn story(actor: &mut Actor) -> Option<()> {
    if actor.dice.below(2) == 0 { invented(actor).await } else { task(actor).await }
}

async fn invented(actor: &mut Actor) -> Option<()> {
    let context = actor.invent("context");
    let (ask, mut thread) = (send(&json!({"contextId": context})), Thread::default());
    actor.race(&ask, &mut thread).await?;
    for _ in 0..1 + actor.dice.below(4) {
        let answer = actor.go_on(&ask).await?;
        actor.follow(&ask, &mut thread, &answer);
    }
    Some(())
}

async fn task(actor: &mut Actor) -> Option<()> {
    let (first, mut thread) = (send(&json!({})), Thread::default());
    let made = actor.make(&first).await?;
    actor.follow(&first, &mut thread, &made);
    let (task, context) = (made.id("/task/id")?, made.id("/task/contextId")?);
    for _ in 0..1 + actor.dice.below(3) {
        let ask = send(&json!({"taskId": task, "contextId": context}));
        let answer = actor.cite(&ask).await?;
        actor.follow(&ask, &mut thread, &answer);
    }
    actor.cite(&Ask::new(A2a, "GET", format!("/tasks/{task}"))).await?;
    actor.cite(&Ask::new(A2a, "POST", format!("/tasks/{task}:cancel")).json(&json!({}))).await?;
    Some(())
}
