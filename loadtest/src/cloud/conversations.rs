//! Conversations: created empty, continued by responses that cite them, read and deleted by id.

use serde_json::{Value, json};

use super::answer::Reply;
use super::call::{Call, unix_now};
use super::complaint::Complaint;
use super::state::StoredConversation;

pub(crate) fn create(call: &Call<'_>) -> Reply {
    let id = call.site.minter.mint("conv_");
    let metadata = call.ask.metadata.clone().unwrap_or_else(|| json!({}));
    let conversation = StoredConversation { created_at: unix_now(), metadata, turns: 0 };
    let reply = Reply::json(&object(&id, &conversation));
    call.site.store().conversations.put(&id, conversation);
    reply.creating(id)
}

pub(crate) fn read(call: &Call<'_>, id: &str) -> Result<Reply, Complaint> {
    let store = call.site.store();
    let conversation = store.conversations.find(id).ok_or_else(|| unknown(call, id))?;
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

fn object(id: &str, conversation: &StoredConversation) -> Value {
    let StoredConversation { created_at, metadata, .. } = conversation;
    json!({"id": id, "object": "conversation", "created_at": created_at, "metadata": metadata})
}
