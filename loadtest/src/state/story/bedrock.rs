//! Bedrock's own runtime: sealed thoughts over converse, streams of both kinds, asynchronous jobs.

use serde_json::{Value, json};

use super::super::client::{Actor, Ask};
use crate::cloud::Family::Bedrock;

const MODEL: &str = "us.anthropic.claude-sonnet-5";

pub(super) async fn story(actor: &mut Actor) -> Option<()> {
    match actor.dice.below(4) {
        0 | 1 => converse(actor).await,
        2 => invoke(actor).await,
        _ => job(actor).await,
    }
}

fn converse_ask(stream: bool, messages: &Value) -> Ask {
    let operation = if stream { "converse-stream" } else { "converse" };
    let body =
        json!({"messages": messages, "additionalModelRequestFields": {"thinking": {"type": "enabled"}}});
    Ask::new(Bedrock, "POST", format!("/model/{MODEL}/{operation}")).json(&body)
}

async fn converse(actor: &mut Actor) -> Option<()> {
    let user = json!({"role": "user", "content": [{"text": "hello"}]});
    let mut messages = json!([user]);
    for turn in 0..2 + actor.dice.below(3) {
        let stream = actor.dice.below(2) == 0;
        let ask = converse_ask(stream, &messages);
        let answer = if turn == 0 { actor.make(&ask).await? } else { actor.cite(&ask).await? };
        let seal = answer
            .id("/output/message/content/0/reasoningContent/reasoningText/signature")
            .or_else(|| answer.id("/delta/reasoningContent/signature"))?;
        let thought = json!({"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": seal}}});
        messages = json!([user, {"role": "assistant", "content": [thought, {"text": "x"}]}, user]);
    }
    Some(())
}

async fn invoke(actor: &mut Actor) -> Option<()> {
    let body = json!({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 1, "messages": []});
    for operation in ["invoke", "invoke-with-response-stream"] {
        actor.make(&Ask::new(Bedrock, "POST", format!("/model/{MODEL}/{operation}")).json(&body)).await?;
    }
    Some(())
}

async fn job(actor: &mut Actor) -> Option<()> {
    let output = json!({"s3OutputDataConfig": {"s3Uri": "s3://bucket"}});
    let body = json!({"modelId": MODEL, "modelInput": {}, "outputDataConfig": output});
    let arn =
        actor.make(&Ask::new(Bedrock, "POST", "/async-invoke").json(&body)).await?.id("/invocationArn")?;
    let encoded = arn.replace(':', "%3A").replace('/', "%2F");
    for _ in 0..2 {
        actor.cite(&Ask::new(Bedrock, "GET", format!("/async-invoke/{encoded}"))).await?;
    }
    Some(())
}
