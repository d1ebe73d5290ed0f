//! Bedrock's own runtime: converse and invoke, plain and as AWS event streams; asynchronous invocations, which are jobs.

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

const FAMILY: Family = Family::Bedrock;
/// What Claude's body must say here instead of the model.
const CLAUDE: &str = "bedrock-2023-05-31";

pub(crate) fn answer(visit: &Visit<'_>) -> Result<Reply, Complaint> {
    let path = visit.path();
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match (visit.method(), path.as_slice()) {
        ("POST", ["model", model, operation]) => {
            let known =
                ["converse", "converse-stream", "invoke", "invoke-with-response-stream", "count-tokens"];
            if !known.contains(operation) {
                return Err(visit.no_path());
            }
            visit.model(model)?;
            match *operation {
                "converse" | "converse-stream" => converse(visit, *operation == "converse-stream"),
                "count-tokens" => {
                    visit.named("bedrock.count_tokens");
                    Ok(Reply::json(&json!({"inputTokens": visit.prompt_tokens()})))
                }
                _ => invoke(visit, model, *operation != "invoke"),
            }
        }
        ("POST", ["guardrail", _, "version", _, "apply"]) => {
            visit.named("bedrock.guardrail");
            Ok(Reply::json(&json!({"action": "NONE", "outputs": [], "assessments": []})))
        }
        (_, ["async-invoke", rest @ ..]) => async_invoke(visit, rest),
        _ => Err(visit.no_path()),
    }
}

fn sealed(visit: &Visit<'_>, blob: &str, at: &str) -> Result<(), Complaint> {
    let wrong = |outcome| {
        let message =
            format!("The model returned the following errors: {at}: Invalid `signature` in `thinking` block");
        FAMILY.complain(400, outcome, "ValidationException", &message)
    };
    visit.site.open(blob).map_err(wrong)
}

fn converse(visit: &Visit<'_>, stream: bool) -> Result<Reply, Complaint> {
    visit.named(if stream { "bedrock.converse_stream" } else { "bedrock.converse" });
    let messages = visit.json["messages"].as_array();
    let messages = messages.ok_or_else(|| FAMILY.bad_body("messages must not be empty"))?;
    for block in messages.iter().flat_map(|message| message["content"].as_array().into_iter().flatten()) {
        if let Some(blob) = block.pointer("/reasoningContent/reasoningText/signature").and_then(Value::as_str)
        {
            sealed(visit, blob, "messages")?;
        }
    }
    let thinks = visit.json.pointer("/additionalModelRequestFields/thinking").is_some();
    let thought = thinks.then(|| visit.site.seal());
    let words = visit.words(1);
    let input = visit.prompt_tokens();
    let usage =
        |output: u64| json!({"inputTokens": input, "outputTokens": output, "totalTokens": input + output});
    if !stream {
        let thought = thought
            .map(|seal| json!({"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": seal}}}));
        let content: Vec<Value> = thought.into_iter().chain([json!({"text": words.whole()})]).collect();
        return Ok(Reply::json(&json!({
            "output": {"message": {"role": "assistant", "content": content}}, "stopReason": "end_turn",
            "usage": usage(4), "metrics": {"latencyMs": 1},
        })));
    }
    visit.streams();
    let mut events = vec![event("messageStart", &json!({"role": "assistant"}))];
    let mut index = 0;
    if let Some(seal) = thought {
        for reasoning in [json!({"text": "Hm."}), json!({"signature": seal})] {
            let delta = json!({"contentBlockIndex": 0, "delta": {"reasoningContent": reasoning}});
            events.push(event("contentBlockDelta", &delta));
        }
        events.push(event("contentBlockStop", &json!({"contentBlockIndex": 0})));
        index = 1;
    }
    events.extend(words.pieces().map(|piece| {
        event("contentBlockDelta", &json!({"contentBlockIndex": index, "delta": {"text": piece}}))
    }));
    events.push(event("contentBlockStop", &json!({"contentBlockIndex": index})));
    events.push(event("messageStop", &json!({"stopReason": "end_turn"})));
    let output = words.count() as u64;
    events.push(event("metadata", &json!({"usage": usage(output), "metrics": {"latencyMs": 1}})));
    Ok(Reply::events(events).aws())
}

fn invoke(visit: &Visit<'_>, model: &str, stream: bool) -> Result<Reply, Complaint> {
    visit.named(if stream { "bedrock.invoke_stream" } else { "bedrock.invoke" });
    if visit.text("/anthropic_version") != Some(CLAUDE) {
        return Err(FAMILY.bad_body("anthropic_version: Field required"));
    }
    for message in visit.json["messages"].as_array().into_iter().flatten() {
        for block in message["content"].as_array().into_iter().flatten() {
            if let Some(blob) = block["signature"].as_str() {
                sealed(visit, blob, "messages")?;
            }
        }
    }
    let words = visit.words(1);
    let input = visit.prompt_tokens();
    let message = |content: Value, stop: Option<&str>| {
        json!({
            "id": visit.site.minter.mint("msg_bdrk_"), "type": "message", "role": "assistant", "model": model,
            "content": content, "stop_reason": stop, "stop_sequence": null,
            "usage": {"input_tokens": input, "output_tokens": 4},
        })
    };
    if !stream {
        let content = json!([{"type": "text", "text": words.whole()}]);
        let reply = Reply::json(&message(content, Some("end_turn")));
        let reply = reply.header("x-amzn-bedrock-input-token-count", input.to_string());
        return Ok(reply.header("x-amzn-bedrock-output-token-count", "4"));
    }
    visit.streams();
    let chunk = |value: &Value| event("chunk", &json!({"bytes": STANDARD.encode(value.to_string())}));
    let mut events: Vec<Bytes> =
        vec![chunk(&json!({"type": "message_start", "message": message(json!([]), None)}))];
    events.extend(words.pieces().map(|piece| {
        chunk(&json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}))
    }));
    let metrics = json!({"inputTokenCount": input, "outputTokenCount": words.count(), "invocationLatency": 1, "firstByteLatency": 1});
    events.push(chunk(&json!({"type": "message_stop", "amazon-bedrock-invocationMetrics": metrics})));
    Ok(Reply::events(events).aws())
}

fn async_invoke(visit: &Visit<'_>, rest: &[&str]) -> Result<Reply, Complaint> {
    const KIND: &str = "async_invoke";
    let site = visit.site;
    match (visit.method(), rest) {
        ("POST", []) => {
            visit.named("bedrock.async_invoke.start");
            visit.model(visit.text("/modelId").unwrap_or_default())?;
            let (region, account) = (&site.spec.region, &site.spec.account);
            let arn = format!("arn:aws:bedrock:{region}:{account}:async-invoke/{}", site.minter.mint(""));
            let value = json!({
                "invocationArn": arn, "modelArn": visit.json["modelId"], "status": "Completed",
                "submitTime": site.clock.stamp(std::time::Duration::ZERO),
                "outputDataConfig": visit.json["outputDataConfig"],
            });
            site.put(KIND, &arn, Thing::new(value));
            Ok(Reply::json(&json!({"invocationArn": arn})).creating(arn))
        }
        ("GET", []) => {
            visit.named("bedrock.async_invoke.list");
            Ok(Reply::json(&json!({"asyncInvokeSummaries": site.list(KIND)})))
        }
        ("GET", arn @ [_, ..]) => {
            visit.named("bedrock.async_invoke.get");
            let arn = arn.join("/"); // a client may leave the slash of an ARN as it is
            visit.cites(&arn);
            let absent = |outcome: Outcome| FAMILY.not_found(outcome, "Could not find the async invocation.");
            Ok(Reply::json(&site.shown(KIND, &arn).map_err(absent)?))
        }
        _ => Err(visit.no_path()),
    }
}
