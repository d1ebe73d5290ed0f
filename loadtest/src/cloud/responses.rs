//! The Responses API: created plain or streamed, kept unless `store` is false, cited by later ones, read, cancelled, deleted.

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};

use super::answer::{Hold, Reply};
use super::ask::{Ask, Reference};
use super::call::{Call, unix_now};
use super::complaint::Complaint;
use super::conversations;
use super::response_object::{Facts, Object, events};
use super::serve::Site;
use super::spec::Kind;
use super::state::StoredResponse;
use super::{openai, visit};

/// A longer input is not kept for `input_items`: a load test's memory has better uses.
const INPUT_KEPT_BYTES_MAX: usize = 64 << 10;

pub(crate) fn create(call: &Call<'_>) -> Result<Reply, Complaint> {
    Ok(make(call)?.0)
}

/// On a socket: what is not to be stored is known as long as the socket lives, which is its caller's to see to.
pub(crate) fn create_on_socket(call: &Call<'_>) -> Result<(Reply, StoredResponse), Complaint> {
    let (reply, facts) = make(call)?;
    let response = StoredResponse { facts, complete_at: None, cancelled: false, input: None, socket: true };
    if !response.facts.store {
        call.site.store().responses.put(&response.facts.id, response.clone());
    }
    Ok((reply, response))
}

fn make(call: &Call<'_>) -> Result<(Reply, Arc<Facts>), Complaint> {
    let Call { site, ask, .. } = call;
    supported(site, ask)?;
    referred(call)?;
    let Earlier { turns: previous_turns, model: previous_model, hold } = earlier(call)?;
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
        store: ask.store != Some(false) && !site.spec.zero_retention,
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
        extra: extra(call),
    });
    // Kept before the first byte leaves: a follow-up may be sent as soon as the id has been read.
    let stored = keep(call, &facts);
    let mut reply = if ask.streams() {
        Reply::events(events(&facts, &words.pieces().collect::<Vec<_>>()))
    } else if facts.background {
        Reply::json(&Object::of(&facts, "queued"))
    } else {
        Reply::json(&Object::of(&facts, "completed"))
    };
    reply.hold = hold.map(|hold| Box::new(hold) as Hold);
    Ok((reply.creating(stored.then(|| facts.id.clone())), facts))
}

/// What the response consists of beside its message.
fn extra(call: &Call<'_>) -> Vec<Value> {
    let Call { site, ask, .. } = call;
    let mut extra = Vec::new();
    if ask.includes("reasoning.encrypted_content") {
        let id = site.minter.mint("rs_");
        extra.push(json!({"id": id, "type": "reasoning", "summary": [], "encrypted_content": site.seal()}));
    }
    let cited = ask.tools.iter().flatten().find_map(|tool| tool["container"].as_str());
    let container =
        cited.map(str::to_owned).or_else(|| ask.wants_container().then(|| openai::container(site)));
    if let Some(container) = container {
        let id = site.minter.mint("ci_");
        extra.push(json!({
            "id": id, "type": "code_interpreter_call", "status": "completed", "code": "1 + 1",
            "container_id": container, "outputs": null,
        }));
    }
    extra
}

/// Everything that it refers to beside its chain is here.
fn referred(call: &Call<'_>) -> Result<(), Complaint> {
    let site = call.site;
    for reference in call.ask.references() {
        match reference {
            Reference::Item(id) => {
                let known = site.store().items.find(&id).is_some();
                if !known {
                    return Err(Complaint::unknown_item(&id, site.minter.blame(&id)));
                }
            }
            Reference::Sealed { item, blob } => {
                site.open(&blob).map_err(|outcome| Complaint::unopened(&item, outcome))?;
            }
            Reference::Container(id) => {
                let known = site.with("container", &id, |_| ());
                known.map_err(|outcome| Complaint::unknown_container(&id, outcome))?;
            }
            Reference::File(id) => {
                let known = site.with("file", &id, |_| ());
                known.map_err(|outcome| Complaint::unknown_thing("File", &id, outcome))?;
            }
            Reference::VectorStore(id) => {
                let known = site.with("vector_store", &id, |_| ());
                known.map_err(|outcome| Complaint::unknown_thing("Vector store", &id, outcome))?;
            }
        }
    }
    Ok(())
}

fn supported(site: &Site, ask: &Ask<'_>) -> Result<(), Complaint> {
    let kind = site.spec.kind;
    if site.spec.zero_retention {
        if ask.previous_response_id.is_some() {
            return Err(Complaint::zero_retention("Previous response", "previous_response_id"));
        }
        if ask.conversation.is_some() {
            return Err(Complaint::zero_retention("Conversation", "conversation"));
        }
        // Of a Bedrock account in this mode the vendor refuses what it cannot keep; the others keep silent.
        if kind == Kind::Bedrock && ask.store == Some(true) {
            return Err(Complaint::zero_retention("Storing", "store"));
        }
    }
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
fn earlier(call: &Call<'_>) -> Result<Earlier, Complaint> {
    if let Some(id) = &call.ask.previous_response_id {
        let store = call.site.store();
        let previous = store
            .responses
            .find(id)
            .filter(|previous| call.on_socket || !previous.socket)
            .ok_or_else(|| Complaint::unknown_previous(id, call.site.minter.blame(id)))?;
        let model = Some(previous.facts.model.clone());
        return Ok(Earlier { turns: previous.facts.turn, model, hold: None });
    }
    let Some(conversation) = &call.ask.conversation else { return Ok(Earlier::default()) };
    let items: Vec<Value> = call
        .ask
        .input
        .and_then(|input| serde_json::from_str(input.get()).ok())
        .map(|input| items(input, || call.site.minter.mint("msg_")))
        .unwrap_or_default();
    let (turns, hold) = conversations::begin(call, conversation.id(), &items)?;
    Ok(Earlier { turns, model: None, hold: Some(hold) })
}

/// What a request continues.
#[derive(Default)]
struct Earlier {
    turns: u64,
    model: Option<String>,
    /// A conversation's turn, held until its answer has ended.
    hold: Option<Arc<()>>,
}

fn keep(call: &Call<'_>, facts: &Arc<Facts>) -> bool {
    if let Some(conversation) = &facts.conversation {
        // Also what is not stored as a response is written into its conversation.
        let mut store = call.site.store();
        for item in facts.items() {
            store.items.put(item["id"].as_str().unwrap_or_default(), item.clone());
            if let Some(conversation) = store.conversations.find_mut(conversation) {
                conversations::append(conversation, [item]);
            }
        }
    }
    if !facts.store {
        return false;
    }
    let input = call.ask.input.map(serde_json::value::RawValue::get);
    let input = input.filter(|input| input.len() <= INPUT_KEPT_BYTES_MAX).map(Arc::from);
    let complete_at = facts.background.then(|| Instant::now() + call.site.spec.background_for);
    let response =
        StoredResponse { facts: Arc::clone(facts), complete_at, cancelled: false, input, socket: false };
    let mut store = call.site.store();
    store.responses.put(&facts.id, response);
    for item in facts.items() {
        store.items.put(item["id"].as_str().unwrap_or_default(), item.clone());
    }
    true
}

fn unknown(call: &Call<'_>, id: &str) -> Complaint {
    Complaint::unknown_response(call.site.spec.kind, id, call.site.minter.blame(id))
}

/// As it stands, or its events from `starting_after` on.
pub(crate) fn read(call: &Call<'_>, id: &str, query: Option<&str>) -> Result<Reply, Complaint> {
    let stored = call.site.store().stored(id).cloned().ok_or_else(|| unknown(call, id))?;
    if visit::query(query, "stream").as_deref() == Some("true") {
        if !stored.facts.background {
            return Err(Complaint::bad_body(
                "Only background responses can be streamed again.",
                Some("stream"),
            ));
        }
        let after = visit::query(query, "starting_after").and_then(|after| after.parse::<usize>().ok());
        let mut events = events(&stored.facts, std::slice::from_ref(&stored.facts.text));
        events.drain(..after.map_or(0, |after| after + 1).min(events.len()));
        return Ok(Reply::events(events));
    }
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

/// A chain or an input, packed into a blob that only this account opens. Nothing is kept of it.
pub(crate) fn compact(call: &Call<'_>) -> Result<Reply, Complaint> {
    call.required_model()?;
    referred(call)?;
    known(call)?;
    let site = call.site;
    let item =
        json!({"id": site.minter.mint("cmp_"), "type": "compaction", "encrypted_content": site.seal()});
    let tokens = call.prompt_tokens();
    Ok(Reply::json(&json!({
        "id": site.minter.mint("resp_"), "object": "response.compaction", "created_at": unix_now(),
        "output": [item],
        "usage": {
            "input_tokens": tokens, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 4,
            "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": tokens + 4,
        },
    })))
}

pub(crate) fn input_tokens(call: &Call<'_>) -> Result<Reply, Complaint> {
    referred(call)?;
    known(call)?;
    Ok(Reply::json(&json!({"object": "response.input_tokens", "input_tokens": call.prompt_tokens()})))
}

/// The chain that is cited is here; it is read, not continued.
fn known(call: &Call<'_>) -> Result<(), Complaint> {
    let store = call.site.store();
    if let Some(id) = call.ask.previous_response_id.as_ref().filter(|id| store.responses.find(id).is_none()) {
        return Err(Complaint::unknown_previous(id, call.site.minter.blame(id)));
    }
    let conversation = call.ask.conversation.as_ref().map(super::ask::ConversationRef::id);
    if let Some(id) = conversation.filter(|id| store.conversations.find(id).is_none()) {
        return Err(conversations::unknown(call, id));
    }
    Ok(())
}

pub(crate) fn input_items(call: &Call<'_>, id: &str) -> Result<Reply, Complaint> {
    let stored = call.site.store().stored(id).cloned().ok_or_else(|| unknown(call, id))?;
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
