//! Vector stores: the files in them by reference, and a search that finds the first of them.

use serde_json::{Value, json};

use super::super::answer::Reply;
use super::super::complaint::Complaint;
use super::super::conversations::page;
use super::super::things::Thing;
use super::super::visit::Visit;
use super::Collection;
use super::files::FILES;

const VECTOR_STORES: Collection = Collection {
    kind: "vector_store",
    title: "Vector store",
    prefix: "vs_",
    object: "vector_store",
    deleted: "vector_store.deleted",
    names: [
        "vector_stores.create",
        "vector_stores.list",
        "vector_stores.get",
        "vector_stores.update",
        "vector_stores.delete",
    ],
};

pub(super) fn answer(visit: &Visit<'_>, rest: &[&str]) -> Result<Reply, Complaint> {
    match rest {
        [id, "files", rest @ ..] => {
            VECTOR_STORES.find(visit, id)?;
            files(visit, id, rest)
        }
        [id, "search"] if visit.method() == "POST" => {
            visit.named("vector_stores.search");
            VECTOR_STORES.find(visit, id)?;
            let found = visit.site.list(&format!("files of {id}"));
            let hits: Vec<Value> = found
                .iter()
                .take(1)
                .map(|file| json!({"file_id": file["id"], "filename": "file", "score": 0.9, "content": []}))
                .collect();
            let query = &visit.json["query"];
            let page = "vector_store.search_results.page";
            Ok(Reply::json(&json!({"object": page, "search_query": query, "data": hits, "has_more": false})))
        }
        _ => VECTOR_STORES.answer(visit, rest, |visit| {
            for file in visit.json["file_ids"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                FILES.find(visit, file)?;
            }
            Ok(json!({"name": visit.json["name"], "status": "completed", "usage_bytes": 0, "metadata": {}}))
        }),
    }
}

fn files(visit: &Visit<'_>, store: &str, rest: &[&str]) -> Result<Reply, Complaint> {
    let kind = format!("files of {store}");
    let absent = |id: &str, outcome| Complaint::unknown_thing("File", id, outcome);
    match (visit.method(), rest) {
        ("POST", []) => {
            visit.named("vector_stores.files.create");
            let file = visit.text("/file_id").unwrap_or_default().to_owned();
            FILES.find(visit, &file)?;
            let value = json!({
                "id": file, "object": "vector_store.file", "created_at": visit.site.clock.unix(),
                "vector_store_id": store, "status": "completed", "usage_bytes": 0, "last_error": null,
            });
            visit.site.put(&kind, &file, Thing::new(value.clone()));
            Ok(Reply::json(&value))
        }
        ("GET", []) => {
            visit.named("vector_stores.files.list");
            Ok(Reply::json(&page(&visit.site.list(&kind))))
        }
        ("GET", [id]) => {
            visit.named("vector_stores.files.get");
            visit.cites(id);
            Ok(Reply::json(&visit.site.shown(&kind, id).map_err(|outcome| absent(id, outcome))?))
        }
        ("DELETE", [id]) => {
            visit.named("vector_stores.files.delete");
            visit.cites(id);
            visit.site.take(&kind, id).map_err(|outcome| absent(id, outcome))?;
            Ok(Reply::json(&json!({"id": id, "object": "vector_store.file.deleted", "deleted": true})))
        }
        _ => Err(visit.no_path()),
    }
}
