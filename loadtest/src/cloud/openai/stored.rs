//! Stored chat completions: kept when they were made with `store: true`; nothing continues from one.

use serde_json::{Value, json};

use super::super::answer::Reply;
use super::super::complaint::Complaint;
use super::super::conversations::page;
use super::super::visit::Visit;
use super::Collection;

const STORED: Collection = Collection {
    kind: "chat",
    title: "Chat completion",
    prefix: "chatcmpl-",
    object: "chat.completion",
    deleted: "chat.completion.deleted",
    names: ["chat.create", "chat.list", "chat.get", "chat.update", "chat.delete"],
};

pub(super) fn answer(visit: &Visit<'_>, rest: &[&str]) -> Result<Reply, Complaint> {
    if let ("GET", [id, "messages"]) = (visit.method(), rest) {
        visit.named("chat.messages");
        let stored = STORED.find(visit, id)?;
        let text = stored.pointer("/choices/0/message/content").cloned().unwrap_or_default();
        let message = json!({"id": format!("{id}-0"), "role": "assistant", "content": text});
        return Ok(Reply::json(&page(&[message])));
    }
    if visit.method() == "POST" && rest.is_empty() {
        return Err(visit.no_path()); // creating is another operation
    }
    STORED.answer(visit, rest, |_| Ok(Value::Null))
}
