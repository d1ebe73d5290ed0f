//! The Responses API: created plain or streamed, kept unless `store` is false, cited by later ones, read, cancelled, deleted.

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};

use super::answer::Reply;
use super::ask::Ask;
use super::call::{Call, unix_now};
use super::complaint::Complaint;
use super::conversations;
use super::response_object::{Facts, Object, events};
use super::spec::Kind;
use super::state::StoredResponse;

/// A longer input is not kept for `input_items`: a load test's memory has better uses.
const INPUT_KEPT_BYTES_MAX: usize = 64 << 10;

pub(crate) fn create(call: &Call<'_>) -> Result<Reply, Complaint> {
    let Call { site, ask, .. } = call;
    supported(site.spec.kind, ask)?;
    let (previous_turns, previous_model) = earlier(call)?;
    let model = match previous_model {
        // The vendor lets a follow-up leave its model out; the others do not.
        Some(model) if call.model.is_empty() && site.spec.kind == Kind::OpenAi => model,
        _ => call.required_model()?.to_owned(),
    };
    let turn = previous_turns + 1;
    let words = call.words(turn);
    let text = if ask.streams() { words.pieces().collect() } else { words.whole() };
    let facts = Arc::new(Facts {
        id: site.minter.mint("resp_"),
        item_id: site.minter.mint("msg_"),
        created_at: unix_now(),
        model,
        text,
        turn,
        input_tokens: call.prompt_tokens(),
        output_tokens: words.count() as u64,
        background: ask.background == Some(true),
        store: ask.store != Some(false),
        previous_response_id: ask.previous_response_id.clone(),
        conversation: ask.conversation.as_ref().map(|conversation| conversation.id().to_owned()),
        instructions: ask.instructions.clone(),
        max_output_tokens: ask.max_output_tokens,
        metadata: ask.metadata.clone().unwrap_or_else(|| json!({})),
        parallel_tool_calls: ask.parallel_tool_calls.unwrap_or(true),
        temperature: ask.temperature.unwrap_or(1.0),
        text_format: ask.text.clone().unwrap_or_else(|| json!({"format": {"type": "text"}})),
        tool_choice: ask.tool_choice.clone().unwrap_or_else(|| "auto".into()),
        tools: ask.tools.clone().unwrap_or_default(),
        top_p: ask.top_p.unwrap_or(1.0),
        truncation: ask.truncation.clone().unwrap_or_else(|| "disabled".to_owned()),
    });
    // Kept before the first byte leaves: a follow-up may be sent as soon as the id has been read.
    let stored = keep(call, &facts);
    let reply = if ask.streams() {
        Reply::events(events(&facts, &words.pieces().collect::<Vec<_>>()))
    } else if facts.background {
        Reply::json(&Object::of(&facts, "queued"))
    } else {
        Reply::json(&Object::of(&facts, "completed"))
    };
    Ok(reply.creating(stored.then(|| facts.id.clone())))
}

fn supported(kind: Kind, ask: &Ask<'_>) -> Result<(), Complaint> {
    if ask.background == Some(true) {
        if kind == Kind::Bedrock {
            return Err(Complaint::unsupported("Background mode is not supported.", "background"));
        }
        if ask.store == Some(false) {
            return Err(Complaint::bad_body(
                "Background mode requires 'store' to be true.",
                Some("background"),
            ));
        }
    }
    if ask.previous_response_id.is_some() && ask.conversation.is_some() {
        let message = "Mutually exclusive parameters: 'previous_response_id' and 'conversation'.";
        return Err(Complaint::bad_body(message, Some("previous_response_id")));
    }
    // A prompt may stand for the input; it is an object here, and its contents are nobody's business.
    if ask.input.is_none() && ask.prompt.is_none() {
        return Err(Complaint::bad_body("Missing required parameter: 'input'.", Some("input")));
    }
    Ok(())
}

/// The turns before this one, and the model of the last, from the state that the request cites.
fn earlier(call: &Call<'_>) -> Result<(u64, Option<String>), Complaint> {
    let mut store = call.site.store();
    if let Some(id) = &call.ask.previous_response_id {
        let previous = store
            .responses
            .find(id)
            .ok_or_else(|| Complaint::unknown_previous(id, call.site.minter.blame(id)))?;
        return Ok((previous.facts.turn, Some(previous.facts.model.clone())));
    }
    let Some(conversation) = &call.ask.conversation else { return Ok((0, None)) };
    let id = conversation.id();
    let conversation = store.conversations.find_mut(id).ok_or_else(|| conversations::unknown(call, id))?;
    conversation.turns += 1;
    Ok((conversation.turns - 1, None))
}

fn keep(call: &Call<'_>, facts: &Arc<Facts>) -> bool {
    if !facts.store {
        return false;
    }
    let input = call.ask.input.map(serde_json::value::RawValue::get);
    let input = input.filter(|input| input.len() <= INPUT_KEPT_BYTES_MAX).map(Arc::from);
    let complete_at = facts.background.then(|| Instant::now() + call.site.spec.background_for);
    let response = StoredResponse { facts: Arc::clone(facts), complete_at, cancelled: false, input };
    call.site.store().responses.put(&facts.id, response);
    true
}

fn unknown(call: &Call<'_>, id: &str) -> Complaint {
    Complaint::unknown_response(call.site.spec.kind, id, call.site.minter.blame(id))
}

pub(crate) fn read(call: &Call<'_>, id: &str) -> Result<Reply, Complaint> {
    let stored = call.site.store().responses.find(id).cloned().ok_or_else(|| unknown(call, id))?;
    Ok(Reply::json(&Object::of(&stored.facts, stored.status())))
}

pub(crate) fn delete(call: &Call<'_>, id: &str) -> Result<Reply, Complaint> {
    call.site.store().responses.remove(id).ok_or_else(|| unknown(call, id))?;
    Ok(Reply::json(&json!({"id": id, "object": "response", "deleted": true})))
}

pub(crate) fn cancel(call: &Call<'_>, id: &str) -> Result<Reply, Complaint> {
    let mut store = call.site.store();
    let stored = store.responses.find_mut(id).ok_or_else(|| unknown(call, id))?;
    if !stored.facts.background {
        return Err(Complaint::bad_body("Cannot cancel a synchronous response.", None));
    }
    // Cancelling twice, or what is complete, is no error: it says how things stand.
    stored.cancelled |= stored.status() == "in_progress";
    Ok(Reply::json(&Object::of(&stored.facts, stored.status())))
}

pub(crate) fn input_items(call: &Call<'_>, id: &str) -> Result<Reply, Complaint> {
    let stored = call.site.store().responses.find(id).cloned().ok_or_else(|| unknown(call, id))?;
    let input =
        stored.input.as_deref().and_then(|input| serde_json::from_str(input).ok()).unwrap_or_default();
    let items = items(input, || call.site.minter.mint("msg_"));
    let id_of = |item: Option<&Value>| item.map_or(Value::Null, |item| item["id"].clone());
    let (first, last) = (id_of(items.first()), id_of(items.last()));
    Ok(Reply::json(
        &json!({"object": "list", "data": items, "first_id": first, "last_id": last, "has_more": false}),
    ))
}

/// Input in the shape in which it is listed: messages with ids.
fn items(input: Value, mint: impl Fn() -> String) -> Vec<Value> {
    let message = |role: Value, content: Value| {
        let content = match content {
            Value::String(text) => json!([{"type": "input_text", "text": text}]),
            parts => parts,
        };
        json!({"id": mint(), "type": "message", "status": "completed", "role": role, "content": content})
    };
    match input {
        Value::String(text) => vec![message("user".into(), text.into())],
        Value::Array(items) => {
            let listed = items.into_iter().map(|mut item| match item.get_mut("content").map(Value::take) {
                Some(content) => message(item["role"].take(), content),
                None => item,
            });
            listed.collect()
        }
        _ => Vec::new(),
    }
}
