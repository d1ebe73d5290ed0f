//! Gemini: generate with sealed thoughts, cached contents, files, interactions. Vertex's longer paths name the same things
//! below a project and a location.

use bytes::Bytes;
use serde_json::{Value, json};

use super::answer::{Reply, sse};
use super::complaint::Complaint;
use super::family::Family;
use super::record::Outcome;
use super::things::Thing;
use super::visit::Visit;

const FAMILY: Family = Family::Google;
const FILE_LIVES: std::time::Duration = std::time::Duration::from_secs(48 * 3600);

pub(crate) fn answer(visit: &Visit<'_>) -> Result<Reply, Complaint> {
    let path = visit.path();
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    // `upload/` before and a project after the version lead to the same things.
    let path = path.strip_prefix(&["upload"]).unwrap_or(&path);
    let [_version, path @ ..] = path else { return Err(visit.no_path()) };
    let (parent, path) = match path {
        ["projects", project, "locations", location, rest @ ..] => {
            (format!("projects/{project}/locations/{location}/"), rest)
        }
        rest => (String::new(), rest),
    };
    let path = path.strip_prefix(&["publishers", "google"]).unwrap_or(path);
    match path {
        ["models", call] if visit.method() == "POST" => {
            let (model, operation) = call.rsplit_once(':').ok_or_else(|| visit.no_path())?;
            models(visit, model, operation)
        }
        ["models"] if visit.method() == "GET" => {
            visit.named("google.models");
            let models = visit.site.spec.models.iter();
            let models: Vec<Value> = models.map(|id| json!({"name": format!("models/{id}")})).collect();
            Ok(Reply::json(&json!({"models": models})))
        }
        ["cachedContents", rest @ ..] => caches(visit, &parent, rest),
        ["files", rest @ ..] => files(visit, rest),
        ["interactions", rest @ ..] => interactions(visit, rest),
        _ => Err(visit.no_path()),
    }
}

fn unknown(what: &str, outcome: Outcome) -> Complaint {
    // The vendor does not tell an unknown thing from somebody else's.
    let message = format!("You do not have permission to access {what} or it may not exist.");
    FAMILY.complain(403, outcome, "PERMISSION_DENIED", &message)
}

fn models(visit: &Visit<'_>, model: &str, operation: &str) -> Result<Reply, Complaint> {
    visit.model(model)?;
    match operation {
        "generateContent" | "streamGenerateContent" => generate(visit, model, operation != "generateContent"),
        "countTokens" => {
            visit.named("google.count_tokens");
            Ok(Reply::json(&json!({"totalTokens": visit.prompt_tokens()})))
        }
        "embedContent" => {
            visit.named("google.embed");
            Ok(Reply::json(&json!({"embedding": {"values": [1.0, 0.0, 0.0]}})))
        }
        _ => Err(visit.no_path()),
    }
}

fn generate(visit: &Visit<'_>, model: &str, stream: bool) -> Result<Reply, Complaint> {
    visit.named(if stream { "google.generate_stream" } else { "google.generate" });
    let contents =
        visit.json["contents"].as_array().ok_or_else(|| FAMILY.bad_body("contents is not specified"))?;
    for part in contents.iter().flat_map(|content| content["parts"].as_array().into_iter().flatten()) {
        if let Some(seal) = part["thoughtSignature"].as_str() {
            let wrong =
                |outcome| FAMILY.complain(400, outcome, "INVALID_ARGUMENT", "Corrupted thought signature.");
            visit.site.open(seal).map_err(wrong)?;
        }
        if let Some(uri) = part.pointer("/fileData/fileUri").and_then(Value::as_str)
            && let Some((_, id)) = uri.rsplit_once("files/")
        {
            let name = format!("files/{id}");
            visit.cites(&name);
            visit.site.with("gemini_file", &name, |_| ()).map_err(|outcome| unknown("the File", outcome))?;
        }
    }
    if let Some(cache) = visit.text("/cachedContent") {
        visit.cites(cache);
        let known = visit.site.with("cache", cache, |_| ());
        known.map_err(|outcome| unknown("the CachedContent", outcome))?;
    }
    let words = visit.words(1);
    let thinks = visit.json.pointer("/generationConfig/thinkingConfig").is_some();
    let seal = thinks.then(|| visit.site.seal());
    let response = visit.site.minter.mint("");
    let input = visit.prompt_tokens();
    let chunk = |text: &str, seal: Option<&String>, last: bool, output: usize| {
        let mut part = json!({"text": text});
        if let Some(seal) = seal {
            part["thoughtSignature"] = seal.as_str().into();
        }
        let finish = last.then_some("STOP");
        json!({
            "candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": finish, "index": 0}],
            "usageMetadata": {
                "promptTokenCount": input, "candidatesTokenCount": output, "totalTokenCount": input + output as u64,
            },
            "modelVersion": model, "responseId": response,
        })
    };
    if !stream {
        return Ok(Reply::json(&chunk(&words.whole(), seal.as_ref(), true, 4)));
    }
    visit.streams();
    let count = words.count();
    let chunks: Vec<Value> = words
        .pieces()
        .enumerate()
        .map(|(index, piece)| {
            let last = index + 1 == count;
            chunk(&piece, seal.as_ref().filter(|_| last), last, index + 1)
        })
        .collect();
    if visit.query("alt").as_deref() == Some("sse") {
        return Ok(Reply::events(chunks.iter().map(|chunk| sse(None, chunk)).collect::<Vec<Bytes>>()));
    }
    // Without `alt=sse` the answer is one array, whose elements arrive one by one.
    let mut pieces: Vec<Bytes> = Vec::with_capacity(count);
    for (index, chunk) in chunks.iter().enumerate() {
        let before = if index == 0 { "[" } else { ",\r\n" };
        let after = if index + 1 == count { "]" } else { "" };
        pieces.push(format!("{before}{chunk}{after}").into());
    }
    let mut reply = Reply::events(pieces);
    reply.stream_type = "application/json; charset=UTF-8";
    Ok(reply)
}

fn caches(visit: &Visit<'_>, parent: &str, rest: &[&str]) -> Result<Reply, Complaint> {
    const KIND: &str = "cache";
    let site = visit.site;
    let absent = |outcome: Outcome| unknown("the CachedContent", outcome);
    let name = |id: &str| format!("{parent}cachedContents/{id}");
    match (visit.method(), rest) {
        ("POST", []) => {
            visit.named("google.caches.create");
            let name = name(&site.minter.mint(""));
            let asked = visit.text("/ttl").and_then(|ttl| ttl.strip_suffix('s')?.parse::<u64>().ok());
            let lives = asked.map_or(site.spec.lifetimes.cached, std::time::Duration::from_secs);
            let value = json!({
                "name": name, "model": visit.json["model"], "expireTime": site.clock.stamp(lives),
                "usageMetadata": {"totalTokenCount": visit.prompt_tokens()},
            });
            site.put(KIND, &name, Thing::new(value.clone()).lives(lives));
            Ok(Reply::json(&value).creating(name))
        }
        ("GET", []) => {
            visit.named("google.caches.list");
            Ok(Reply::json(&json!({"cachedContents": site.list(KIND)})))
        }
        (method @ ("GET" | "PATCH"), [id]) => {
            visit.named(if method == "GET" { "google.caches.get" } else { "google.caches.update" });
            let name = name(id);
            visit.cites(&name);
            Ok(Reply::json(&site.shown(KIND, &name).map_err(absent)?))
        }
        ("DELETE", [id]) => {
            visit.named("google.caches.delete");
            let name = name(id);
            visit.cites(&name);
            site.take(KIND, &name).map_err(absent)?;
            Ok(Reply::json(&json!({})))
        }
        _ => Err(visit.no_path()),
    }
}

fn files(visit: &Visit<'_>, rest: &[&str]) -> Result<Reply, Complaint> {
    const KIND: &str = "gemini_file";
    let site = visit.site;
    let absent = |outcome: Outcome| unknown("the File", outcome);
    match (visit.method(), rest) {
        ("POST", []) => {
            visit.named("google.files.create");
            let (content, _) = visit.upload();
            let name = format!("files/{}", site.minter.mint(""));
            let value = json!({
                "name": name, "mimeType": "text/plain", "sizeBytes": content.len().to_string(), "state": "ACTIVE",
                "expirationTime": site.clock.stamp(FILE_LIVES),
                "uri": format!("https://generativelanguage.googleapis.com/v1beta/{name}"),
            });
            site.put(KIND, &name, Thing::new(value.clone()).bytes(content).lives(FILE_LIVES));
            Ok(Reply::json(&json!({"file": value})).creating(name))
        }
        ("GET", []) => {
            visit.named("google.files.list");
            Ok(Reply::json(&json!({"files": site.list(KIND)})))
        }
        ("GET", [id]) => {
            visit.named("google.files.get");
            let name = format!("files/{id}");
            visit.cites(&name);
            Ok(Reply::json(&site.shown(KIND, &name).map_err(absent)?))
        }
        ("DELETE", [id]) => {
            visit.named("google.files.delete");
            let name = format!("files/{id}");
            visit.cites(&name);
            site.take(KIND, &name).map_err(absent)?;
            Ok(Reply::json(&json!({})))
        }
        _ => Err(visit.no_path()),
    }
}

fn interactions(visit: &Visit<'_>, rest: &[&str]) -> Result<Reply, Complaint> {
    const KIND: &str = "interaction";
    let site = visit.site;
    let absent = |id: &str, outcome| FAMILY.not_found(outcome, &format!("Interaction {id} not found."));
    match (visit.method(), rest) {
        ("POST", []) => {
            visit.named("google.interactions.create");
            let model = visit.text("/model").unwrap_or_default();
            visit.model(model)?;
            let previous = visit.text("/previous_interaction_id");
            let turn = match previous {
                Some(id) => {
                    visit.cites(id);
                    1 + site.with(KIND, id, |thing| thing.turns).map_err(|outcome| absent(id, outcome))?
                }
                None => 1,
            };
            let id = site.minter.mint("");
            let stored = visit.json["store"] != json!(false);
            if !stored && visit.flag("/background") {
                return Err(FAMILY.bad_body("background requires store=true"));
            }
            let text = visit.words(turn).whole();
            let input = visit.prompt_tokens();
            let value = json!({
                "id": id, "object": "interaction", "model": model, "status": "completed",
                "previous_interaction_id": previous, "outputs": [{"type": "text", "text": text}],
                "usage": {"total_input_tokens": input, "total_output_tokens": 4, "total_tokens": input + 4},
            });
            if stored {
                let mut thing = Thing::new(value.clone()).lives(site.spec.lifetimes.stored);
                thing.turns = turn;
                site.put(KIND, &id, thing);
            }
            let reply =
                if visit.flag("/stream") {
                    visit.streams();
                    let event = |name: &str, data: Value| {
                        let mut data = data;
                        data["event_type"] = name.into();
                        sse(Some(name), &data)
                    };
                    let started = json!({"id": id, "object": "interaction", "status": "in_progress"});
                    let mut events = vec![event("interaction.created", json!({"interaction": started}))];
                    let pieces = visit.words(turn).pieces();
                    events.extend(pieces.map(|piece| {
                        event("content.delta", json!({"delta": {"type": "text", "text": piece}}))
                    }));
                    events.push(event("interaction.complete", json!({"interaction": value})));
                    Reply::events(events)
                } else {
                    Reply::json(&value)
                };
            Ok(reply.creating(stored.then_some(id)))
        }
        ("GET", [id]) => {
            visit.named("google.interactions.get");
            visit.cites(id);
            Ok(Reply::json(&site.shown(KIND, id).map_err(|outcome| absent(id, outcome))?))
        }
        ("POST", [id, "cancel"]) => {
            visit.named("google.interactions.cancel");
            visit.cites(id);
            Ok(Reply::json(&site.shown(KIND, id).map_err(|outcome| absent(id, outcome))?))
        }
        ("DELETE", [id]) => {
            visit.named("google.interactions.delete");
            visit.cites(id);
            site.take(KIND, id).map_err(|outcome| absent(id, outcome))?;
            Ok(Reply::json(&json!({})))
        }
        _ => Err(visit.no_path()),
    }
}
