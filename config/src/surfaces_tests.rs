//! What must hold of the built-in rows, beyond that they can be read.

use super::*;
use crate::{BodyKind, Condition, ModelAt, Pattern, Source};
use std::collections::HashSet;

#[test]
fn the_built_in_files_have_no_faults() {
    for (file, text) in FILES {
        if let Err(faults) = parse(text, file) {
            panic!("{faults}");
        }
    }
}

#[test]
fn routes_are_unique_within_their_family() {
    let all = Surfaces::built_in().surfaces;
    let mut routes = HashSet::new();
    for surface in &all {
        // Two names for the same segment are one route.
        let shape = surface.path.split('/').map(|segment| match segment.split_once('}') {
            Some((name, suffix)) if name.starts_with("{*") => format!("{{*}}{suffix}"),
            Some((_, suffix)) => format!("{{}}{suffix}"),
            None => segment.to_owned(),
        });
        let shape = shape.collect::<Vec<_>>().join("/");
        for method in &surface.methods {
            let route = (surface.family, method.clone(), shape.clone());
            assert!(routes.insert(route), "{} has a route of its own", surface.id);
        }
    }
}

#[test]
fn every_row_is_consistent_in_itself() {
    let surfaces = Surfaces::built_in();
    for surface in &surfaces.surfaces {
        let id = &surface.id;
        assert!(surface.path.starts_with('/'), "{id}: path");
        assert!(!surface.methods.is_empty() && !surface.served_by.is_empty(), "{id}: methods and dialects");
        assert!(
            surface.methods.iter().all(|m| m.bytes().all(|b| b.is_ascii_uppercase())),
            "{id}: upper case"
        );
        let segments = surface.segments().collect::<Vec<_>>();
        if let Some(handle) = &surface.path_handle {
            assert!(segments.contains(&handle.as_str()), "{id}: its handle is in its path");
        }
        assert_eq!(surface.model == ModelAt::Path, segments.contains(&"model"), "{id}: the model's place");
        let read = surface.body != BodyKind::None || surface.socket.is_some();
        let in_body = surface.signals.iter().any(|signal| signal.at.pointer().is_some());
        assert!(read || !(in_body || surface.cache_key.is_some()), "{id}: signals need a body");
        assert!(
            read || !matches!(surface.model, ModelAt::Required | ModelAt::Optional),
            "{id}: a model needs a body"
        );
        if let Some(kind) = &surface.deletes {
            let cited = surface.signals.iter().filter_map(|signal| signal.handle.as_ref());
            assert!(
                cited.chain(&surface.path_handle).any(|cited| cited == kind),
                "{id}: it cites what it deletes"
            );
        }
        for signal in &surface.signals {
            let says = signal.grade > surface.grade || signal.handle.is_some();
            assert!(says, "{id}: {} says more", signal.at);
            match (&signal.when, &signal.at) {
                (Condition::OnlyKeys(keys), _) => {
                    assert!(keys.iter().any(|key| key == "id"), "{id}: {} has an id", signal.at);
                }
                (_, Source::Path(name)) => {
                    assert!(segments.contains(&name.as_str()), "{id}: {} is in its path", signal.at);
                }
                _ => {}
            }
        }
    }
}

#[test]
fn a_name_means_one_thing_in_all_files() {
    let again = |text: &str| {
        let mut all = Surfaces::built_in();
        let more = Surfaces::parse(text, "ours.yaml").unwrap_or_else(|faults| panic!("{faults}"));
        all.add(more).and_then(|()| all.check()).expect_err("it does not go together")
    };
    let row = |id: &str, kind: &str| {
        format!(
            "family: ours\nhandles: {{ {kind}: {{ title: T }} }}\nsurfaces:\n  - {{ id: {id}, title: T, vendor: openai, methods: [GET], path: /o, served_by: [openai], grade: pure, deletes: thing }}\n"
        )
    };
    assert_eq!(
        again("family: openai\nvendors: { a: { models: [a] } }\n"),
        "there is a family `openai` already"
    );
    assert_eq!(again(&row("ours.a", "response")), "there is a kind of handle `response` already");
    let unknown = "`ours.a` speaks of the kind of handle `thing`, which there is not";
    assert_eq!(again(&row("ours.a", "other")), unknown);
}

#[test]
fn a_faulty_file_is_told_with_its_place() {
    for (text, what) in [
        (
            "family: ours\nsurfaces:\n  - { id: theirs.a, title: T, vendor: v, methods: [GET], path: /o, served_by: [openai], grade: pure }\n",
            "`theirs.a` is of another family",
        ),
        (
            "surfaces:\n  - { id: a.b, title: T, vendor: v, methods: [GET], path: /o, served_by: [openai], grade: pure }\n",
            "`family` is missing",
        ),
        ("family: ours\nhandles: { a: { title: T, ask: /a } }\n", "`/a` is not a path with one `{}` in it"),
        ("family: ours\nbases: [v1]\nvendors: { a: { models: [a] } }\n", "`v1` is no base path"),
        (
            "family: ours\nsurfaces:\n  - { id: ours.a, title: T, vendor: v, methods: [GET], path: /o, served_by: [openai], grade: pure, signals: [{ at: \"query:a\", when: is_true }] }\n",
            "this asks for more than text",
        ),
    ] {
        let faults = Surfaces::parse(text, "ours.yaml").expect_err("it is faulty");
        assert!(faults.iter().any(|fault| fault.what == what), "{what}: {faults}");
    }
}

#[test]
fn a_model_belongs_to_one_vendor() {
    let vendors = Surfaces::built_in().vendors;
    let mut seen = HashSet::new();
    for vendor in &vendors {
        for pattern in &vendor.models {
            assert!(seen.insert(pattern.clone()), "{pattern} belongs to one vendor");
        }
    }
    let owner = |model: &str| {
        let length = |pattern: &Pattern| pattern.to_string().len();
        let all =
            vendors.iter().flat_map(|vendor| vendor.models.iter().map(move |p| (p, vendor.name.as_str())));
        all.filter(|(p, _)| p.matches(model)).max_by_key(|(p, _)| length(p)).map(|(_, name)| name)
    };
    for (model, due) in [
        ("gpt-5.5", Some("openai")),
        ("ft:gpt-4o:acme::1", Some("openai")),
        ("us.openai.gpt-5.5", Some("openai")),
        ("claude-sonnet-5", Some("anthropic")),
        ("eu.anthropic.claude-sonnet-5-v1:0", Some("anthropic")),
        ("us.meta.llama4-scout-17b-instruct-v1:0", Some("meta")),
        ("mistral-large", Some("mistral")),
        ("gemini-3-pro", Some("google")),
        ("amazon.nova-pro-v1:0", Some("amazon")),
        ("my-own-model", None),
    ] {
        assert_eq!(owner(model), due, "{model}");
    }
}
