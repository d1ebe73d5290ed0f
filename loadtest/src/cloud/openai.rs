//! The OpenAI dialect's operations on things that are kept: stored completions, files, uploads, vector stores, batches,
//! containers, prompts, agent sessions, realtime calls, conversation items, compactions.

mod agents;
mod containers;
mod files;
mod realtime;
mod stored;
mod vector_stores;

use serde_json::{Value, json};

use super::answer::Reply;
use super::ask::Ask;
use super::call::Call;
use super::complaint::Complaint;
use super::conversations::{self, page};
use super::record::Outcome;
use super::responses;
use super::spec::Kind;
use super::things::Thing;
use super::visit::Visit;

pub(crate) use containers::container;

pub(crate) fn answer(visit: &Visit<'_>) -> Result<Reply, Complaint> {
    let path = visit.path();
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let path = match path.as_slice() {
        ["openai", "v1", rest @ ..] | ["openai", rest @ ..] | ["v1", rest @ ..] | rest => rest,
    };
    match path {
        ["chat", "completions", rest @ ..] => stored::answer(visit, rest),
        ["conversations", id, "items", rest @ ..] => conversations::items(visit, id, rest),
        ["responses", operation] => of_responses(visit, operation),
        ["files", rest @ ..] => files::answer(visit, rest),
        ["uploads", rest @ ..] => files::uploads(visit, rest),
        ["batches", rest @ ..] => files::batches(visit, rest),
        ["containers", rest @ ..] => containers::answer(visit, rest),
        ["vector_stores", rest @ ..] => vector_stores::answer(visit, rest),
        ["prompts", rest @ ..] => PROMPTS.answer(visit, rest, |_| Ok(json!({"version": "1"}))),
        ["agents", "sessions", rest @ ..] => agents::answer(visit, rest),
        ["realtime", rest @ ..] => realtime::answer(visit, rest),
        _ => Err(visit.no_path()),
    }
}

/// `compact` and `input_tokens`, which read the same body as a new response does.
fn of_responses(visit: &Visit<'_>, operation: &str) -> Result<Reply, Complaint> {
    if visit.method() != "POST" {
        return Err(visit.no_path());
    }
    let ask = Ask::read("application/json", visit.body).map_err(|why| visit.family.bad_body(&why))?;
    for id in ask.cited() {
        visit.cites(&id);
    }
    let model = ask.model.clone().unwrap_or_default();
    if !model.is_empty() && visit.model(&model).is_err() {
        return Err(Complaint::wrong_model(visit.site.spec.kind, &model));
    }
    let body_bytes = visit.body.len() as u64;
    let call = Call {
        site: visit.site,
        ask: &ask,
        model: &model,
        nonce: visit.nonce,
        script: visit.script,
        body_bytes,
        on_socket: false,
    };
    if operation == "compact" {
        visit.named("responses.compact");
        responses::compact(&call)
    } else {
        visit.named("responses.input_tokens");
        responses::input_tokens(&call)
    }
}

/// A collection with the usual operations: create, list, get, update, delete.
struct Collection {
    /// How it is called on the shelf.
    kind: &'static str,
    /// How it is called in messages.
    title: &'static str,
    prefix: &'static str,
    object: &'static str,
    /// The `object` of a deletion.
    deleted: &'static str,
    /// The names of create, list, get, update, delete.
    names: [&'static str; 5],
}

const PROMPTS: Collection = Collection {
    kind: "prompt",
    title: "Prompt",
    prefix: "pmpt_",
    object: "prompt",
    deleted: "prompt.deleted",
    names: ["prompts.create", "prompts.list", "prompts.get", "prompts.update", "prompts.delete"],
};

impl Collection {
    /// The usual operations; `extra` gives the fields of a new object beside `id`, `object` and `created_at`.
    fn answer(
        &self,
        visit: &Visit<'_>,
        rest: &[&str],
        extra: impl FnOnce(&Visit<'_>) -> Result<Value, Complaint>,
    ) -> Result<Reply, Complaint> {
        let [create, list, get, update, delete] = self.names;
        match (visit.method(), rest) {
            ("POST", []) => {
                visit.named(create);
                let extra = extra(visit)?;
                Ok(self.keep(visit, extra, |thing| thing))
            }
            ("GET", []) => {
                visit.named(list);
                Ok(Reply::json(&page(&visit.site.list(self.kind))))
            }
            ("GET", [id]) => {
                visit.named(get);
                Ok(Reply::json(&self.find(visit, id)?))
            }
            ("POST", [id]) => {
                visit.named(update);
                visit.cites(id);
                let change = |thing: &mut Thing| {
                    for field in ["metadata", "name", "expires_after"] {
                        if let Some(value) = visit.json.get(field) {
                            thing.value[field] = value.clone();
                        }
                    }
                    thing.value.clone()
                };
                let value =
                    visit.site.with(self.kind, id, change).map_err(|outcome| self.absent(id, outcome))?;
                Ok(Reply::json(&value))
            }
            ("DELETE", [id]) => {
                visit.named(delete);
                visit.cites(id);
                visit.site.take(self.kind, id).map_err(|outcome| self.absent(id, outcome))?;
                Ok(Reply::json(&json!({"id": id, "object": self.deleted, "deleted": true})))
            }
            _ => Err(visit.no_path()),
        }
    }

    /// Makes an object and keeps it.
    fn keep(&self, visit: &Visit<'_>, extra: Value, life: impl FnOnce(Thing) -> Thing) -> Reply {
        let id = visit.site.minter.mint(self.prefix);
        let value = self.object(visit, &id, extra);
        visit.site.put(self.kind, &id, life(Thing::new(value.clone())));
        Reply::json(&value).creating(id)
    }

    fn object(&self, visit: &Visit<'_>, id: &str, extra: Value) -> Value {
        let mut value = json!({"id": id, "object": self.object, "created_at": visit.site.clock.unix()});
        if let (Some(fields), Value::Object(extra)) = (value.as_object_mut(), extra) {
            fields.extend(extra);
        }
        value
    }

    fn find(&self, visit: &Visit<'_>, id: &str) -> Result<Value, Complaint> {
        visit.cites(id);
        visit.site.shown(self.kind, id).map_err(|outcome| self.absent(id, outcome))
    }

    fn absent(&self, id: &str, outcome: Outcome) -> Complaint {
        Complaint::unknown_thing(self.title, id, outcome)
    }
}

/// Whether this cloud keeps completions.
pub(crate) fn keeps_completions(visit_kind: Kind, zero_retention: bool) -> bool {
    visit_kind != Kind::Bedrock && !zero_retention
}
