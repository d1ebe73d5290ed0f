//! The schema and the decoder read one table; here is the proof that they agree.

use super::*;
use crate::fault::Found;
use crate::tree::{self, Core, Node, core, load};
use crate::{Class, Config, Dialect, Grade};
use std::fs;
use std::path::Path;

/// What a YAML 1.2 core reader, such as an editor's, makes of a text.
fn to_json(node: &Node) -> Value {
    match &node.value {
        tree::Value::Scalar { text, plain } => match core(text) {
            Core::Bool(flag) if *plain => json!(flag),
            Core::Int | Core::Float if *plain => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
            Core::Null if *plain => Value::Null,
            _ => json!(text),
        },
        tree::Value::List(items) => items.iter().map(to_json).collect(),
        tree::Value::Map(entries) => entries.iter().map(|e| (e.key.clone(), to_json(&e.node))).collect(),
        tree::Value::Broken => panic!("no test reads such a text"),
    }
}

fn json_of(text: &str) -> Value {
    to_json(&load(text, &mut Found::default()).expect("it is YAML"))
}

fn texts(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let yaml = files.filter(|path| path.extension().is_some_and(|e| e == "yaml"));
    yaml.map(|path| (path.display().to_string(), fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn the_schema_is_valid_and_accepts_every_example() {
    let schema = schema();
    assert!(jsonschema::draft202012::meta::is_valid(&schema), "it is draft 2020-12");
    let validator = jsonschema::validator_for(&schema).unwrap();
    for (file, text) in texts("examples") {
        if let Err(error) = validator.validate(&json_of(&text)) {
            panic!("{file}: {error} at {}", error.instance_path());
        }
    }
}

/// Every section with the way to it, once.
fn sections(section: &'static Section, seen: &mut Vec<&'static Section>) {
    if seen.iter().any(|other| other.name == section.name) {
        return;
    }
    seen.push(section);
    for field in section.fields {
        let mut kind = &field.kind;
        while let Kind::List(inner) | Kind::Many(inner) | Kind::Map(inner) = kind {
            kind = inner;
        }
        if let Kind::In(inner) | Kind::WordOr(_, inner) = kind {
            sections(inner, seen);
        }
    }
}

#[test]
fn every_key_of_every_table_is_decoded_and_no_other() {
    // One text with every key that there is; those that exclude each other stand in different places, or in another store.
    let text = include_str!("../tests/every_key.yaml");
    let journal =
        "  pins: { store: journal, path: /var/lib/pins, ttl: 1d, max: 1000, per_tenant: 100, sweep: 10s }\n";
    let at = text.find("  pins:").unwrap();
    let end = at + text[at..].find("tenants:").unwrap();
    let sealed = "  pins: { store: sealed, keys: [{ env: NEW }, { file: /run/old }], ttl: 1d }\n";
    for pins in [journal, sealed] {
        every_key_is_decoded(&format!("{}{pins}{}", &text[..at], &text[end..]));
    }
    every_key_is_decoded(text);
    let all_stores = format!("{text}{journal}{sealed}{}", included("counsel.yaml"));
    let mut all = Vec::new();
    sections(&FILE, &mut all);
    for field in all.iter().flat_map(|section| section.fields) {
        assert!(all_stores.contains(&format!("{}:", field.key)), "`{}` is in the text", field.key);
    }
}

/// A file that the text names: one of a contract, or one of surfaces.
fn included(file: &str) -> &'static str {
    if file == "counsel.yaml" {
        "parties: [Acme, Contoso]\n"
    } else {
        "vendors: { ours: { models: [ours-*] } }\n"
    }
}

fn every_key_is_decoded(text: &str) {
    let read = |file: &str| Ok(included(file).to_owned());
    Config::parse_with(text, "every_key.yaml", &read).unwrap_or_else(|faults| panic!("{faults}"));
    let validator = jsonschema::validator_for(&schema()).unwrap();
    validator.validate(&json_of(text)).unwrap_or_else(|error| panic!("{error} at {}", error.instance_path()));
    // A key that the table has and the decoder does not read would not notice nonsense under it.
    for index in 0.. {
        let mut root = load(text, &mut Found::default()).unwrap();
        let Some(key) = spoil(&mut root, &mut index.clone()) else { break };
        let mut found = Found::default();
        let decoded = crate::decode::config(&root, &read, &mut found);
        assert!(found.finish(decoded, text, "f").is_err(), "`{key}` is read");
    }
}

/// Puts nonsense under the entry of that number, counted through the tree; its key, or `None` after the last.
fn spoil(node: &mut Node, left: &mut usize) -> Option<String> {
    match &mut node.value {
        tree::Value::List(items) => items.iter_mut().find_map(|item| spoil(item, left)),
        tree::Value::Map(entries) => entries.iter_mut().find_map(|entry| {
            if *left > 0 {
                *left -= 1;
                return spoil(&mut entry.node, left);
            }
            let nonsense = load("[[[a]]]", &mut Found::default()).unwrap();
            entry.node.value = nonsense.value;
            Some(entry.key.clone())
        }),
        _ => None,
    }
}

#[test]
fn a_key_has_a_meaning_and_its_default_is_one_that_it_takes() {
    let validator = |schema: &Value| jsonschema::validator_for(schema).unwrap();
    let mut all = Vec::new();
    sections(&FILE, &mut all);
    let defs = schema()["$defs"].clone();
    for section in all {
        assert!(!section.doc.is_empty(), "{} says what it is", section.name);
        for field in section.fields {
            assert!(!field.doc.is_empty() && !field.like.is_empty(), "{} says what it is", field.key);
            let mut of_field = of_field(field, &mut Map::new());
            of_field["$defs"] = defs.clone();
            if let Some(default) = of_field.get("default").cloned() {
                assert!(validator(&of_field).is_valid(&default), "{}: its default", field.key);
            }
            if !field.like.contains("...") {
                let like = json_of(&format!("v: {}", field.like))["v"].clone();
                assert!(validator(&of_field).is_valid(&like), "{}: its example {like}", field.key);
            }
        }
    }
}

#[test]
fn the_words_are_those_of_the_types() {
    use crate::sections::{CLASSES, DIALECTS, GRADES};
    assert_eq!(GRADES, Grade::ALL.map(Grade::as_str));
    assert_eq!(DIALECTS, Dialect::ALL.map(Dialect::as_str));
    assert!(CLASSES.iter().all(|word| Class::parse(word).is_some()));
}

#[test]
fn shape_faults_are_faults_to_the_schema_too() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    for name in ["unknown_key", "wrong_types", "missing_keys", "bare_numbers", "words", "version"] {
        let all = texts("tests/faults");
        let (file, text) = all.iter().find(|(file, _)| file.ends_with(&format!("/{name}.yaml"))).expect(name);
        assert!(!validator.is_valid(&json_of(text)), "{file}");
    }
}
