//! The tables as a JSON Schema, for editors: what may be written, with its meaning, defaults and bounds.
//!
//! A schema cannot say everything: that a name stands for something, or that a term can come to speak, only
//! [`crate::Config::parse`] knows.

use crate::sections::FILE;
use crate::table::{Field, Kind, Need, Rule, Section};
use serde_json::{Map, Value, json};

const NAME: &str = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$";
const MODEL: &str = r#"^[!#-)+-\[\]-~]{1,256}$"#;

/// The configuration's shape as JSON Schema, draft 2020-12.
#[must_use]
pub fn schema() -> Value {
    let mut sections = Map::new();
    let root = of_section(&FILE, &mut sections);
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Riparian configuration",
        "$defs": sections,
    });
    let object = schema.as_object_mut().expect("it was written as an object");
    object.extend(root.as_object().expect("a section is an object").clone());
    schema
}

fn of_section(section: &'static Section, sections: &mut Map<String, Value>) -> Value {
    let mut properties = Map::new();
    for field in section.fields {
        properties.insert(field.key.to_owned(), of_field(field, sections));
    }
    let required = section.fields.iter().filter(|field| matches!(field.need, Need::Required));
    let required = required.map(|field| field.key).collect::<Vec<_>>();
    let mut schema = json!({
        "type": "object",
        "description": section.doc,
        "properties": properties,
        "additionalProperties": false,
    });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    match section.rule {
        Rule::Free => {}
        Rule::ExactlyOne => {
            schema["minProperties"] = json!(1);
            schema["maxProperties"] = json!(1);
        }
        Rule::AtLeastOne(keys) => {
            schema["anyOf"] = keys.iter().map(|key| json!({ "required": [key] })).collect();
        }
    }
    schema
}

fn of_field(field: &Field, sections: &mut Map<String, Value>) -> Value {
    let mut schema = of_kind(&field.kind, sections);
    schema["description"] = json!(field.doc);
    if let Need::Default(text) = field.need {
        schema["default"] = match field.kind {
            Kind::Count(..) => json!(text.parse::<u64>().expect("a count's default is a number")),
            Kind::Flag => json!(text == "true"),
            _ => json!(text),
        };
    }
    schema
}

fn of_kind(kind: &Kind, sections: &mut Map<String, Value>) -> Value {
    match kind {
        Kind::Version => json!({ "const": 1 }),
        Kind::Text | Kind::Path => json!({ "type": "string", "minLength": 1 }),
        Kind::Name => json!({ "type": "string", "pattern": NAME }),
        Kind::Pattern => json!({ "type": "string", "pattern": r#"^(?:[!#-)+-\[\]-~]{1,255}\*?|\*)$"# }),
        Kind::Variable => json!({ "type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$" }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Count(min, max) => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::Decimal(max) => json!({
            "anyOf": [
                { "type": "number", "minimum": 0, "maximum": max },
                { "type": "string", "pattern": r"^[0-9]+(?:\.[0-9]{1,6})?$" }
            ]
        }),
        Kind::Span { zero: false } => json!({ "type": "string", "pattern": "^0*[1-9][0-9]*(?:ms|s|m|h|d)$" }),
        Kind::Span { zero: true } => json!({
            "anyOf": [{ "type": "string", "pattern": "^[0-9]+(?:ms|s|m|h|d)$" }, { "const": 0 }]
        }),
        Kind::Size(_) => json!({ "type": "string", "pattern": "^[0-9]+(?:B|KiB|MiB|GiB)$" }),
        Kind::Instant => json!({
            "type": "string",
            "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T[0-9:.]+(?:Z|[+-][0-9]{2}:[0-9]{2}))?$"
        }),
        Kind::Address => {
            json!({ "type": "string", "pattern": r"^(?:[0-9.]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$" })
        }
        Kind::Url => json!({ "type": "string", "pattern": r"^[Hh][Tt][Tt][Pp][Ss]?://[^@?#\s]+$" }),
        Kind::RedisUrl => json!({ "type": "string", "pattern": r"^rediss?://[^@?#\s]+$" }),
        Kind::Prefix => json!({ "type": "string", "pattern": "^[!-~]{1,64}$" }),
        Kind::Header => json!({ "type": "string", "pattern": "^[A-Za-z0-9-]{1,64}$" }),
        Kind::Pointer => json!({ "type": "string", "pattern": "^/" }),
        Kind::Word(words) => json!({ "enum": words }),
        Kind::Many(kind) => {
            let one = of_kind(kind, sections);
            json!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1, "uniqueItems": true }] })
        }
        Kind::List(kind) => json!({ "type": "array", "items": of_kind(kind, sections), "minItems": 1 }),
        Kind::Map(kind) => json!({
            "type": "object",
            "propertyNames": { "pattern": NAME },
            "additionalProperties": of_kind(kind, sections),
            "minProperties": 1
        }),
        Kind::Models => json!({
            "type": "object",
            "propertyNames": { "pattern": MODEL },
            "additionalProperties": { "type": "string", "pattern": MODEL },
            "minProperties": 1
        }),
        Kind::Words(value) => {
            json!({ "type": "object", "additionalProperties": { "enum": value }, "minProperties": 1 })
        }
        Kind::Json => json!({ "type": ["object", "string"] }),
        Kind::In(section) => by_reference(section, sections),
        Kind::WordOr(words, section) => {
            json!({ "anyOf": [{ "enum": words }, by_reference(section, sections)] })
        }
    }
}

/// Each section is written once, under its name.
fn by_reference(section: &'static Section, sections: &mut Map<String, Value>) -> Value {
    let name = section.name.replace(' ', "_");
    if !sections.contains_key(&name) {
        let schema = of_section(section, sections);
        sections.insert(name.clone(), schema);
    }
    json!({ "$ref": format!("#/$defs/{name}") })
}

#[cfg(test)]
#[path = "schema_tests.rs"]
mod tests;
