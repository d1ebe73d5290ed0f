//! For tools.

use super::words;
use riparian_config::{Birth, HandleKind, Mark, Namespace, Signal, Socket, Surface, Surfaces, UsageName};
use serde_json::{Map, Value, json};

pub(super) fn page(known: &Surfaces, wanted: &[usize]) -> Value {
    let families: Vec<Value> = wanted.iter().map(|at| family(known, *at)).collect();
    let kinds: Vec<Value> = known
        .kinds
        .iter()
        .filter(|kind| {
            let mut surfaces = known.surfaces.iter().filter(|surface| wanted.contains(&surface.family));
            surfaces.any(|surface| surface.kinds().any(|name| *name == kind.name))
        })
        .map(handle)
        .collect();
    json!({ "families": families, "handles": kinds })
}

fn family(known: &Surfaces, at: usize) -> Value {
    let family = &known.families[at];
    let of_family = known.surfaces.iter().filter(|surface| surface.family == at);
    json!({
        "name": family.name.as_str(),
        "title": family.title,
        "bases": family.bases,
        "marks": {
            "headers": family.marks.headers,
            "hosts": family.marks.hosts,
            "query": family.marks.query,
            "authorization": family.marks.authorization,
        },
        "only_marked": family.only_marked,
        "surfaces": of_family.map(surface).collect::<Vec<_>>(),
    })
}

fn surface(surface: &Surface) -> Value {
    let socket = surface.socket.map(|socket| match socket {
        Socket::Upgrade => "upgrade",
        Socket::Message => "message",
    });
    json!({
        "id": surface.id.as_str(),
        "rows": surface.rows,
        "title": surface.title,
        "vendor": surface.vendor.as_str(),
        "methods": surface.methods,
        "path": surface.path,
        "served_by": surface.served_by.iter().map(|dialect| dialect.as_str()).collect::<Vec<_>>(),
        "grade": surface.grade.as_str(),
        "collective": surface.collective,
        "socket": socket,
        "retired": surface.retired,
        "path_handle": surface.path_handle.as_ref().map(Namespace::as_str),
        "signals": surface.signals.iter().map(signal).collect::<Vec<_>>(),
        "births": surface.births.iter().map(birth).collect::<Vec<_>>(),
        "usage": surface.usage.iter().map(UsageName::as_str).collect::<Vec<_>>(),
        "deletes": surface.deletes.as_ref().map(Namespace::as_str),
    })
}

fn signal(signal: &Signal) -> Value {
    json!({
        "at": signal.at.to_string(),
        "when": words::condition(signal),
        "grade": signal.grade.as_str(),
        "handle": signal.handle.as_ref().map(Namespace::as_str),
    })
}

fn birth(birth: &Birth) -> Value {
    let pointers = [
        ("json", &birth.at.json),
        ("sse", &birth.at.sse),
        ("event", &birth.at.event),
        ("socket", &birth.at.socket),
    ];
    let mut at: Map<String, Value> = pointers
        .into_iter()
        .filter_map(|(form, pointer)| Some((form.to_owned(), Value::String(pointer.as_ref()?.to_string()))))
        .collect();
    if let Some(name) = &birth.at.header {
        at.insert("header".to_owned(), Value::String(name.clone()));
    }
    json!({ "handle": birth.handle.as_str(), "at": at, "always": birth.always })
}

fn handle(kind: &HandleKind) -> Value {
    json!({
        "name": kind.name.as_str(),
        "title": kind.title,
        "mark": kind.mark.map(Mark::as_str),
        "prefixes": kind.prefixes,
        "lives_seconds": kind.lives.map(|time| time.as_secs()),
        "idle_seconds": kind.idle.map(|time| time.as_secs()),
        "ask": kind.ask,
    })
}
