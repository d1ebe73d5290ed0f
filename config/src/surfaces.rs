//! The built-in surfaces: `surfaces/*.yaml`, read by the same tables and with the same faults as the operator's file.

use crate::fault::{Found, Place};
use crate::read::{Fields, Spot, first_line, text};
use crate::sections::{DIALECTS, GRADES};
use crate::table::Kind::{Flag, In, List, Many, Map, Name, Pointer as At, Text, Word, WordOr};
use crate::table::Need::{Default, Optional, Required};
use crate::table::{Field, Kind, Need, Rule, Section};
use crate::tree::{Value, load};
use crate::{
    Birth, BodyKind, Condition, Dated, Dialect, Echo, Faults, Grade, ModelAt, NameFault, Namespace, Pattern,
    Pointer, Signal, Socket, Step, Surface, SurfaceId, Surfaces, Vendor, VendorName,
};
use std::sync::LazyLock;

/// The built-in files: name and text.
const FILES: [(&str, &str); 2] = [
    ("surfaces/openai.yaml", include_str!("../surfaces/openai.yaml")),
    ("surfaces/vendors.yaml", include_str!("../surfaces/vendors.yaml")),
];

impl Surfaces {
    /// The surfaces and vendors that are known without being told.
    #[must_use]
    pub fn built_in() -> Self {
        static BUILT_IN: LazyLock<Surfaces> = LazyLock::new(|| {
            let files = FILES.map(|(file, text)| parse(text, file).expect("a test reads the built-in files"));
            let mut all = Surfaces::default();
            for file in files {
                all.surfaces.extend(file.surfaces);
                all.vendors.extend(file.vendors);
            }
            all
        });
        BUILT_IN.clone()
    }
}

const fn row(key: &'static str, need: Need, kind: Kind, like: &'static str, doc: &'static str) -> Field {
    Field { key, need, kind, like, doc }
}

static FILE: Section = Section {
    name: "surface file",
    doc: "API operations, and model vendors.",
    rule: Rule::Free,
    fields: &[
        row("surfaces", Optional, List(&In(&SURFACE)), "[...]", "API operations."),
        row(
            "vendors",
            Optional,
            Map(&In(&crate::sections::VENDOR)),
            "{ openai: { models: [gpt-*] } }",
            "Model vendors.",
        ),
    ],
};

static SURFACE: Section = Section {
    name: "surface",
    doc: "One API operation.",
    rule: Rule::Free,
    fields: &[
        row("id", Required, Name, "openai.chat.create", "Unique."),
        row("title", Required, Text, "Create a chat completion", "A few words for people."),
        row("vendor", Required, Name, "openai", "Whose API it is."),
        row("methods", Required, List(&Text), "[POST]", "Upper case."),
        row("path", Required, Text, "/chat/completions", "After the base path, `{name}` for a segment."),
        row(
            "dated",
            Default("no_form"),
            Word(&["no_form", "deployment", "plain"]),
            "plain",
            "Its form under Azure's dated paths.",
        ),
        row("served_by", Required, List(&Word(DIALECTS)), "[openai]", "Which dialects have it."),
        row("body", Default("none"), Word(&["none", "json", "multipart"]), "json", "What its body is."),
        row(
            "model",
            Default("none"),
            Word(&["none", "required", "optional", "path"]),
            "required",
            "Where the model's name is.",
        ),
        row("grade", Required, Word(GRADES), "pure", "The grade when no signal says more."),
        row("signals", Optional, List(&In(&SIGNAL)), "[]", "What speaks of state in the body."),
        row("path_handle", Optional, Name, "response", "The `{name}` in the path that is a handle."),
        row("cache_key", Optional, At, "/prompt_cache_key", "Where a client's cache key is."),
        row("births", Optional, List(&In(&BIRTH)), "[]", "Handles that its answers give birth to."),
        row(
            "stored",
            Optional,
            In(&ECHO),
            "{ json: /store }",
            "Where the answer says whether it was stored.",
        ),
        row("socket", Optional, Word(&["upgrade", "message"]), "message", "A WebSocket, and when its cloud is chosen."),
        row("collective", Default("false"), Flag, "true", "A LIST whose answer differs from cloud to cloud."),
    ],
};

static SIGNAL: Section = Section {
    name: "signal",
    doc: "Something in a request that speaks of state.",
    rule: Rule::Free,
    fields: &[
        row("at", Required, At, "/store", "Where it is."),
        row(
            "when",
            Required,
            WordOr(&["present", "string", "is_true", "unless_false"], &CONDITION),
            "present",
            "What must be there.",
        ),
        row("grade", Required, Word(GRADES), "creates", "The grade that the request then has at least."),
        row("handle", Optional, Name, "response", "The kind of handle that the value is."),
    ],
};

static CONDITION: Section = Section {
    name: "condition",
    doc: "What must be there.",
    rule: Rule::ExactlyOne,
    fields: &[
        row("one_of", Optional, Many(&Text), "[item_reference]", "One of these strings."),
        row(
            "only_keys",
            Optional,
            Many(&Text),
            "[id, type]",
            "An object with these keys and no others, `id` among them.",
        ),
    ],
};

static BIRTH: Section = Section {
    name: "birth",
    doc: "A handle that an answer gives birth to.",
    rule: Rule::Free,
    fields: &[
        row("handle", Required, Name, "response", "The kind of handle."),
        row("json", Optional, At, "/id", "Where it is in a JSON answer."),
        row("sse", Optional, At, "/response/id", "Where it is in the data of an event."),
    ],
};

static ECHO: Section = Section {
    name: "echo",
    doc: "Where something is in an answer.",
    rule: Rule::AtLeastOne(&["json", "sse"]),
    fields: &[
        row("json", Optional, At, "/store", "In a JSON answer."),
        row("sse", Optional, At, "/response/store", "In the data of each event."),
    ],
};

/// Reads one file of surfaces and vendors.
fn parse(text: &str, file: &str) -> Result<Surfaces, Faults> {
    let mut found = Found::default();
    let surfaces = load(text, &mut found).and_then(|root| {
        let fields = Fields::open(&root, first_line(&root), &FILE, &mut found)?;
        let sections = fields.sections("surfaces", &mut found);
        let surfaces = sections.iter().filter_map(|fields| surface(fields, &mut found)).collect();
        let named = fields.named("vendors", &mut found);
        let vendors =
            named.into_iter().filter_map(|(spot, fields)| vendor(spot, &fields?, &mut found)).collect();
        Some(Surfaces { surfaces, vendors })
    });
    found.finish(surfaces, text, file)
}

fn vendor(spot: Spot<'_>, fields: &Fields<'_>, found: &mut Found) -> Option<Vendor> {
    let name = named(spot, VendorName::new, found);
    let texts = fields.texts("models", found);
    let models = texts
        .into_iter()
        .filter_map(|spot| held(Pattern::parse(spot.text), spot, "a pattern", found))
        .collect();
    Some(Vendor { name: name?, models })
}

fn surface(fields: &Fields<'_>, found: &mut Found) -> Option<Surface> {
    let id = name(fields, "id", SurfaceId::new, found);
    let title = fields.text("title", found).map(|spot| spot.text.to_owned());
    let vendor = name(fields, "vendor", VendorName::new, found);
    let methods = fields.texts("methods", found).iter().map(|spot| spot.text.to_owned()).collect();
    let path = fields.text("path", found).map(|spot| spot.text.to_owned());
    let dated = fields.word("dated", found);
    let dialects = fields.texts("served_by", found);
    let served_by = dialects
        .into_iter()
        .filter_map(|spot| held(Dialect::parse(spot.text), spot, "a dialect", found))
        .collect();
    let body = fields.word("body", found);
    let model = fields.word("model", found);
    let grade = fields.word("grade", found).and_then(Grade::parse);
    let signals = fields.sections("signals", found);
    let signals = signals.iter().filter_map(|fields| signal(fields, found)).collect();
    let path_handle = name(fields, "path_handle", Namespace::new, found);
    let cache_key = pointer(fields, "cache_key", found);
    let births = fields.sections("births", found);
    let births = births.iter().filter_map(|fields| birth(fields, found)).collect();
    let stored = fields.section("stored", found).map(|fields| echo(&fields, found));
    let collective = fields.flag("collective", found);
    Some(Surface {
        id: id?,
        title: title?,
        vendor: vendor?,
        methods,
        path: path?,
        dated: match dated? {
            "deployment" => Dated::Deployment,
            "plain" => Dated::Plain,
            _ => Dated::No,
        },
        served_by,
        body: match body? {
            "json" => BodyKind::Json,
            "multipart" => BodyKind::Multipart,
            _ => BodyKind::None,
        },
        model: match model? {
            "required" => ModelAt::Required,
            "optional" => ModelAt::Optional,
            "path" => ModelAt::Path,
            _ => ModelAt::None,
        },
        grade: grade?,
        signals,
        path_handle,
        cache_key,
        births,
        stored,
        collective: collective?,
        socket: fields
            .has("socket")
            .then(|| fields.word("socket", found))
            .flatten()
            .map(|word| if word == "message" { Socket::Message } else { Socket::Upgrade }),
    })
}

fn signal(fields: &Fields<'_>, found: &mut Found) -> Option<Signal> {
    let at = pointer(fields, "at", found);
    let when = condition(fields, found);
    let grade = fields.word("grade", found).and_then(Grade::parse);
    let handle = name(fields, "handle", Namespace::new, found);
    if let (Some(at), Some(Condition::UnlessFalse)) = (&at, &when)
        && !matches!(at.0.as_slice(), [Step::Key(_)])
    {
        let why = "what is absent has no place in a body but the root's keys";
        found.fault(fields.value_at("at"), "`unless_false` stands below the root", why, "a key of the root");
    }
    Some(Signal { at: at?, when: when?, grade: grade?, handle })
}

fn condition(fields: &Fields<'_>, found: &mut Found) -> Option<Condition> {
    let entry = fields.entry("when")?;
    if let Value::Map(_) = entry.node.value {
        let fields = Fields::open(&entry.node, entry.key_at, &CONDITION, found)?;
        let mut texts =
            |key| fields.texts(key, found).iter().map(|spot| spot.text.to_owned()).collect::<Vec<_>>();
        let (one_of, only_keys) = (texts("one_of"), texts("only_keys"));
        return Some(if only_keys.is_empty() {
            Condition::OneOf(one_of)
        } else {
            Condition::OnlyKeys(only_keys)
        });
    }
    Some(match fields.word("when", found)? {
        "string" => Condition::String,
        "is_true" => Condition::True,
        "unless_false" => Condition::UnlessFalse,
        _ => Condition::Present,
    })
}

fn birth(fields: &Fields<'_>, found: &mut Found) -> Option<Birth> {
    let handle = name(fields, "handle", Namespace::new, found);
    let at = echo(fields, found);
    Some(Birth { handle: handle?, at })
}

fn echo(fields: &Fields<'_>, found: &mut Found) -> Echo {
    Echo { json: pointer(fields, "json", found), sse: pointer(fields, "sse", found) }
}

fn pointer(fields: &Fields<'_>, key: &str, found: &mut Found) -> Option<Pointer> {
    let entry = fields.entry(key)?;
    let spot = text(&entry.node, entry.node.at, key, &At, found)?;
    held(Pointer::parse(spot.text), spot, "a pointer", found)
}

fn name<T>(
    fields: &Fields<'_>,
    key: &str,
    new: impl Fn(&str) -> Result<T, NameFault>,
    found: &mut Found,
) -> Option<T> {
    fields.text(key, found).and_then(|spot| named(spot, new, found))
}

fn named<T>(spot: Spot<'_>, new: impl Fn(&str) -> Result<T, NameFault>, found: &mut Found) -> Option<T> {
    held(new(spot.text).ok(), spot, "a name", found)
}

/// `value`, or a fault that the text is not `what`.
fn held<T>(value: Option<T>, spot: Spot<'_>, what: &str, found: &mut Found) -> Option<T> {
    if value.is_none() {
        let at: Place = spot.at;
        found.fault(at, format!("`{}` is not {what}", spot.text), format!("{what} is due"), what);
    }
    value
}

#[cfg(test)]
#[path = "surfaces_tests.rs"]
mod tests;
