//! Files, uploads in parts that become files, and batches of requests that read a file and write another.

use serde_json::{Value, json};

use super::super::answer::Reply;
use super::super::complaint::Complaint;
use super::super::things::Thing;
use super::super::visit::Visit;
use super::Collection;

pub(super) const FILES: Collection = Collection {
    kind: "file",
    title: "File",
    prefix: "file-",
    object: "file",
    deleted: "file",
    names: ["files.create", "files.list", "files.get", "files.update", "files.delete"],
};

const UPLOADS: Collection = Collection {
    kind: "upload",
    title: "Upload",
    prefix: "upload_",
    object: "upload",
    deleted: "upload",
    names: ["uploads.create", "uploads.list", "uploads.get", "uploads.update", "uploads.delete"],
};

const BATCHES: Collection = Collection {
    kind: "batch",
    title: "Batch",
    prefix: "batch_",
    object: "batch",
    deleted: "batch",
    names: ["batches.create", "batches.list", "batches.get", "batches.update", "batches.delete"],
};

/// An upload that is not completed is forgotten after an hour.
const UPLOAD_LIVES: std::time::Duration = std::time::Duration::from_secs(3600);

pub(super) fn answer(visit: &Visit<'_>, rest: &[&str]) -> Result<Reply, Complaint> {
    match (visit.method(), rest) {
        ("POST", []) => {
            visit.named("files.create");
            let purpose = visit.field("purpose").ok_or_else(|| missing("purpose"))?;
            let (content, filename) = visit.upload();
            let filename = filename.ok_or_else(|| missing("file"))?;
            let lives = visit.site.spec.lifetimes.stored;
            let batch = purpose == "batch";
            let about = about(content.len(), &filename, &purpose);
            let life = |thing: Thing| {
                let thing = thing.bytes(content);
                if batch { thing.lives(lives) } else { thing }
            };
            Ok(FILES.keep(visit, about, life))
        }
        ("POST", [_]) => Err(visit.no_path()),
        ("GET", [id, "content"]) => {
            visit.named("files.content");
            visit.cites(id);
            let content = visit.site.with("file", id, |thing| thing.bytes.clone());
            let content = content.map_err(|outcome| FILES.absent(id, outcome))?;
            Ok(Reply::binary("application/octet-stream", content))
        }
        _ => FILES.answer(visit, rest, |_| Ok(Value::Null)),
    }
}

fn about(bytes: usize, filename: &str, purpose: &str) -> Value {
    json!({"bytes": bytes, "filename": filename, "purpose": purpose, "status": "processed", "status_details": null})
}

fn missing(field: &str) -> Complaint {
    Complaint::bad_body(&format!("Missing required parameter: '{field}'."), Some(field))
}

pub(super) fn uploads(visit: &Visit<'_>, rest: &[&str]) -> Result<Reply, Complaint> {
    match (visit.method(), rest) {
        ("POST", []) => {
            visit.named("uploads.create");
            let field = |name| visit.text(name).map(str::to_owned);
            let (filename, purpose) = (field("/filename"), field("/purpose"));
            let (filename, purpose) = filename.zip(purpose).ok_or_else(|| missing("filename"))?;
            let about = json!({
                "bytes": visit.json["bytes"], "filename": filename, "purpose": purpose, "status": "pending",
                "expires_at": visit.site.clock.unix() + UPLOAD_LIVES.as_secs(), "file": null,
            });
            Ok(UPLOADS.keep(visit, about, |thing| thing.lives(UPLOAD_LIVES)))
        }
        ("POST", [id, "parts"]) => {
            visit.named("uploads.parts");
            visit.cites(id);
            let (content, _) = visit.upload();
            let add = |thing: &mut Thing| thing.bytes = [&thing.bytes[..], &content[..]].concat().into();
            visit.site.with("upload", id, add).map_err(|outcome| UPLOADS.absent(id, outcome))?;
            let part = visit.site.minter.mint("part_");
            let at = visit.site.clock.unix();
            Ok(Reply::json(&json!({"id": part, "object": "upload.part", "created_at": at, "upload_id": id})))
        }
        ("POST", [id, end @ ("complete" | "cancel")]) => {
            visit.named(if *end == "complete" { "uploads.complete" } else { "uploads.cancel" });
            visit.cites(id);
            let thing = visit.site.take("upload", id).map_err(|outcome| UPLOADS.absent(id, outcome))?;
            let mut upload = thing.value;
            if *end == "cancel" {
                upload["status"] = "cancelled".into();
                return Ok(Reply::json(&upload));
            }
            let file = visit.site.minter.mint("file-");
            let text = |name: &str| upload[name].as_str().unwrap_or_default().to_owned();
            let about = about(thing.bytes.len(), &text("filename"), &text("purpose"));
            let about = FILES.object(visit, &file, about);
            visit.site.put("file", &file, Thing::new(about.clone()).bytes(thing.bytes));
            upload["status"] = "completed".into();
            upload["file"] = about;
            Ok(Reply::json(&upload).creating(file))
        }
        _ => Err(visit.no_path()),
    }
}

pub(super) fn batches(visit: &Visit<'_>, rest: &[&str]) -> Result<Reply, Complaint> {
    match (visit.method(), rest) {
        ("POST", []) => {
            visit.named("batches.create");
            let input = visit.text("/input_file_id").ok_or_else(|| missing("input_file_id"))?.to_owned();
            visit.cites(&input);
            let content = visit.site.with("file", &input, |thing| thing.bytes.clone());
            let content = content.map_err(|outcome| FILES.absent(&input, outcome))?;
            let output = visit.site.minter.mint("file-");
            let file = FILES.object(visit, &output, about(content.len(), "output.jsonl", "batch_output"));
            visit.site.put("file", &output, Thing::new(file).bytes(content));
            let batch = json!({
                "endpoint": visit.json["endpoint"], "input_file_id": input, "completion_window": "24h",
                "status": "completed", "output_file_id": output, "error_file_id": null,
                "request_counts": {"total": 1, "completed": 1, "failed": 0},
            });
            Ok(BATCHES.keep(visit, batch, |thing| thing))
        }
        ("POST", [id, "cancel"]) => {
            visit.named("batches.cancel");
            visit.cites(id);
            let cancel = |thing: &mut Thing| {
                thing.value["status"] = "cancelled".into();
                thing.value.clone()
            };
            let batch =
                visit.site.with("batch", id, cancel).map_err(|outcome| BATCHES.absent(id, outcome))?;
            Ok(Reply::json(&batch))
        }
        ("GET", _) => BATCHES.answer(visit, rest, |_| Ok(Value::Null)),
        _ => Err(visit.no_path()),
    }
}
