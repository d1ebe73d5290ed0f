//! Conversations: created empty or with items, continued by responses that cite them (one turn at a time), read, changed and
//! deleted by id.

use std::sync::Arc;

use serde_json::{Value, json};

use super::answer::Reply;
use super::call::{Call, unix_now};
use super::complaint::Complaint;
use super::state::StoredConversation;
use super::visit::Visit;

/// Items that a conversation keeps; the oldest go first.
const ITEMS_MAX: usize = 100;

pub(crate) fn create(call: &Call<'_>) -> Reply {
    let id = call.site.minter.mint("conv_");
    let metadata = call.ask.metadata.clone().unwrap_or_else(|| json!({}));
    let items = call.ask.items.iter().flatten().map(|item| numbered(item, || call.site.minter.mint("msg_")));
    let items = items.collect();
    let conversation =
        StoredConversation { created_at: unix_now(), metadata, turns: 0, items, busy: Arc::default() };
    let reply = Reply::json(&object(&id, &conversation));
    call.site.store().conversations.put(&id, conversation);
    reply.creating(id)
}

pub(crate) fn read(call: &Call<'_>, id: &str) -> Result<Reply, Complaint> {
    let store = call.site.store();
    let conversation = store.conversations.find(id).ok_or_else(|| unknown(call, id))?;
    Ok(Reply::json(&object(id, conversation)))
}

pub(crate) fn update(call: &Call<'_>, id: &str) -> Result<Reply, Complaint> {
    let mut store = call.site.store();
    let conversation = store.conversations.find_mut(id).ok_or_else(|| unknown(call, id))?;
    if let Some(metadata) = &call.ask.metadata {
        conversation.metadata.clone_from(metadata);
    }
    Ok(Reply::json(&object(id, conversation)))
}

pub(crate) fn delete(call: &Call<'_>, id: &str) -> Result<Reply, Complaint> {
    call.site.store().conversations.remove(id).ok_or_else(|| unknown(call, id))?;
    Ok(Reply::json(&json!({"id": id, "object": "conversation.deleted", "deleted": true})))
}

/// A conversation that is not kept here.
pub(crate) fn unknown(call: &Call<'_>, id: &str) -> Complaint {
    Complaint::unknown_conversation(id, call.site.minter.blame(id))
}

/// Begins a turn: how many there were before, and what is held until the turn has ended.
pub(crate) fn begin(call: &Call<'_>, id: &str, items: &[Value]) -> Result<(u64, Arc<()>), Complaint> {
    let mut store = call.site.store();
    let conversation = store.conversations.find_mut(id).ok_or_else(|| unknown(call, id))?;
    if Arc::strong_count(&conversation.busy) > 1 {
        return Err(Complaint::conversation_locked());
    }
    conversation.turns += 1;
    append(conversation, items.iter().cloned());
    Ok((conversation.turns - 1, Arc::clone(&conversation.busy)))
}

pub(crate) fn append(conversation: &mut StoredConversation, items: impl IntoIterator<Item = Value>) {
    conversation.items.extend(items);
    let surplus = conversation.items.len().saturating_sub(ITEMS_MAX);
    conversation.items.drain(..surplus);
}

/// `items` below a conversation: `rest` is what follows `items` in the path.
pub(crate) fn items(visit: &Visit<'_>, id: &str, rest: &[&str]) -> Result<Reply, Complaint> {
    visit.cites(id);
    let site = visit.site;
    let mut store = site.store();
    let unknown = || Complaint::unknown_conversation(id, site.minter.blame(id));
    let conversation = store.conversations.find_mut(id).ok_or_else(unknown)?;
    match (visit.method(), rest) {
        ("POST", []) => {
            visit.named("conversations.items.create");
            let given =
                visit.json["items"].as_array().ok_or_else(|| visit.family.bad_body("items are missing"))?;
            let made: Vec<Value> =
                given.iter().map(|item| numbered(item, || site.minter.mint("msg_"))).collect();
            let reply = Reply::json(&page(&made));
            append(conversation, made);
            Ok(reply)
        }
        ("GET", []) => {
            visit.named("conversations.items.list");
            Ok(Reply::json(&page(&conversation.items)))
        }
        ("GET", [item]) => {
            visit.named("conversations.items.get");
            visit.cites(item);
            let found = conversation.items.iter().find(|kept| kept["id"] == **item);
            let found =
                found.ok_or_else(|| Complaint::unknown_thing("Item", item, site.minter.blame(item)))?;
            Ok(Reply::json(found))
        }
        ("DELETE", [item]) => {
            visit.named("conversations.items.delete");
            visit.cites(item);
            let at = conversation.items.iter().position(|kept| kept["id"] == **item);
            let at = at.ok_or_else(|| Complaint::unknown_thing("Item", item, site.minter.blame(item)))?;
            conversation.items.remove(at);
            Ok(Reply::json(&object(id, conversation)))
        }
        _ => Err(visit.no_path()),
    }
}

/// A page of a list, whole.
pub(crate) fn page(items: &[Value]) -> Value {
    let id_of = |item: Option<&Value>| item.map_or(Value::Null, |item| item["id"].clone());
    let (first, last) = (id_of(items.first()), id_of(items.last()));
    json!({"object": "list", "data": items, "first_id": first, "last_id": last, "has_more": false})
}

/// An item with an id, and with content in the shape in which it is listed.
pub(crate) fn numbered(item: &Value, mint: impl Fn() -> String) -> Value {
    let mut item = item.clone();
    if let Some(text) = item["content"].as_str() {
        item["content"] = json!([{"type": "input_text", "text": text}]);
    }
    if let Some(fields) = item.as_object_mut() {
        fields.entry("id").or_insert_with(|| mint().into());
        fields.entry("type").or_insert_with(|| "message".into());
        fields.entry("status").or_insert_with(|| "completed".into());
    }
    item
}

fn object(id: &str, conversation: &StoredConversation) -> Value {
    let StoredConversation { created_at, metadata, .. } = conversation;
    json!({"id": id, "object": "conversation", "created_at": created_at, "metadata": metadata})
}
