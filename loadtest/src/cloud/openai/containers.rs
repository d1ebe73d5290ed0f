//! Containers of hosted tools, which nobody revives once they have been idle for too long, and the files in them.

use serde_json::{Value, json};

use super::super::answer::Reply;
use super::super::complaint::Complaint;
use super::super::conversations::page;
use super::super::serve::Site;
use super::super::things::Thing;
use super::super::visit::Visit;
use super::Collection;

const CONTAINERS: Collection = Collection {
    kind: "container",
    title: "Container",
    prefix: "cntr_",
    object: "container",
    deleted: "container.deleted",
    names: [
        "containers.create",
        "containers.list",
        "containers.get",
        "containers.update",
        "containers.delete",
    ],
};

const NAMES: [&str; 5] = [
    "containers.files.create",
    "containers.files.list",
    "containers.files.get",
    "containers.files.content",
    "containers.files.delete",
];

/// A container that a tool makes itself.
pub(crate) fn container(site: &Site) -> String {
    let id = site.minter.mint("cntr_");
    let mut value = about(site, "auto");
    value["id"] = id.as_str().into();
    site.put("container", &id, Thing::new(value).idle(site.spec.lifetimes.container_idle));
    id
}

fn about(site: &Site, name: &str) -> Value {
    let minutes = site.spec.lifetimes.container_idle.as_secs() / 60;
    json!({
        "object": "container", "name": name, "status": "running", "created_at": site.clock.unix(),
        "expires_after": {"anchor": "last_active_at", "minutes": minutes},
    })
}

pub(super) fn answer(visit: &Visit<'_>, rest: &[&str]) -> Result<Reply, Complaint> {
    let site = visit.site;
    match (visit.method(), rest) {
        ("POST", []) => {
            visit.named("containers.create");
            let about = about(site, visit.text("/name").unwrap_or("unnamed"));
            Ok(CONTAINERS.keep(visit, about, |thing| thing.idle(site.spec.lifetimes.container_idle)))
        }
        ("POST", [_]) => Err(visit.no_path()),
        (_, [id, "files", rest @ ..]) => {
            CONTAINERS.find(visit, id)?;
            files(visit, id, rest)
        }
        _ => CONTAINERS.answer(visit, rest, |_| Ok(Value::Null)),
    }
}

fn files(visit: &Visit<'_>, container: &str, rest: &[&str]) -> Result<Reply, Complaint> {
    let site = visit.site;
    let kind = format!("files of {container}");
    let absent = |id: &str, outcome| Complaint::unknown_thing("Container file", id, outcome);
    match (visit.method(), rest) {
        ("POST", []) => {
            visit.named(NAMES[0]);
            let (content, filename) = visit.upload();
            let id = site.minter.mint("cfile_");
            let path = format!("/mnt/data/{}", filename.unwrap_or_else(|| "file".to_owned()));
            let value = json!({
                "id": id, "object": "container.file", "created_at": site.clock.unix(), "bytes": content.len(),
                "container_id": container, "path": path, "source": "user",
            });
            site.put(&kind, &id, Thing::new(value.clone()).bytes(content));
            Ok(Reply::json(&value).creating(id))
        }
        ("GET", []) => {
            visit.named(NAMES[1]);
            Ok(Reply::json(&page(&site.list(&kind))))
        }
        ("GET", [id]) => {
            visit.named(NAMES[2]);
            Ok(Reply::json(&site.shown(&kind, id).map_err(|outcome| absent(id, outcome))?))
        }
        ("GET", [id, "content"]) => {
            visit.named(NAMES[3]);
            let content = site.with(&kind, id, |thing| thing.bytes.clone());
            Ok(Reply::binary("application/binary", content.map_err(|outcome| absent(id, outcome))?))
        }
        ("DELETE", [id]) => {
            visit.named(NAMES[4]);
            site.take(&kind, id).map_err(|outcome| absent(id, outcome))?;
            Ok(Reply::json(&json!({"id": id, "object": "container.file.deleted", "deleted": true})))
        }
        _ => Err(visit.no_path()),
    }
}
