//! What must hold of the built-in rows, beyond that they can be read.

use super::*;
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
fn ids_and_routes_are_unique() {
    let all = Surfaces::built_in().surfaces;
    let ids = all.iter().map(|surface| surface.id.as_str()).collect::<HashSet<_>>();
    assert_eq!(ids.len(), all.len(), "every id once");
    let mut routes = HashSet::new();
    for surface in &all {
        // Two names for the same segment are one route.
        let shape =
            surface.path.split('/').map(|segment| if segment.starts_with('{') { "{}" } else { segment });
        let shape = shape.collect::<Vec<_>>().join("/");
        for method in &surface.methods {
            assert!(routes.insert((method.clone(), shape.clone())), "{} has a route of its own", surface.id);
        }
    }
}

#[test]
fn every_row_is_consistent_in_itself() {
    let surfaces = Surfaces::built_in();
    for surface in &surfaces.surfaces {
        let id = &surface.id;
        assert!(surface.path.starts_with('/') && !surface.path.ends_with('/'), "{id}: path");
        assert!(!surface.methods.is_empty() && !surface.served_by.is_empty(), "{id}: methods and dialects");
        assert!(
            surface.methods.iter().all(|m| m.bytes().all(|b| b.is_ascii_uppercase())),
            "{id}: upper case"
        );
        assert!(surfaces.vendors.iter().any(|vendor| vendor.name == surface.vendor), "{id}: a known vendor");
        if let Some(handle) = &surface.path_handle {
            assert!(surface.path.contains(&format!("{{{handle}}}")), "{id}: its handle is in its path");
            assert!(surface.grade >= Grade::Continues, "{id}: a handle in the path continues");
        }
        assert_eq!(
            surface.model == ModelAt::Path,
            surface.path.ends_with("/{model}"),
            "{id}: the model's place"
        );
        let read = surface.body != BodyKind::None;
        assert!(
            read || (surface.signals.is_empty() && surface.cache_key.is_none()),
            "{id}: signals need a body"
        );
        assert!(read || matches!(surface.model, ModelAt::None | ModelAt::Path), "{id}: a model needs a body");
        for birth in &surface.births {
            assert!(birth.at.json.is_some() || birth.at.sse.is_some(), "{id}: a birth has a place");
            assert!(
                surface.grade >= Grade::Creates || surface.signals.iter().any(|s| s.grade >= Grade::Creates),
                "{id}"
            );
        }
        for signal in &surface.signals {
            assert!(signal.grade > surface.grade || signal.handle.is_some(), "{id}: {} says more", signal.at);
            if let Condition::OnlyKeys(keys) = &signal.when {
                assert!(keys.iter().any(|key| key == "id"), "{id}: {} has an id", signal.at);
            }
        }
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
