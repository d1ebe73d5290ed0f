//! Bodies of the kinds that there are, of about any size, and a surface that watches for as much as any does.

use riparian_config::{
    BodyKind, Condition, Dated, Grade, ModelAt, Namespace, Pointer, Signal, Source, Surface, SurfaceId, Take,
    VendorName,
};
use std::fmt::Write as _;

/// Makes a body of about so many bytes.
pub type Make = fn(usize) -> String;

/// Every kind, by name.
pub const BODIES: [(&str, Make); 7] = [
    ("chat_text", chat_text),
    ("chat_escapes", chat_escapes),
    ("chat_chinese", chat_chinese),
    ("image_base64", image_base64),
    ("small_messages", small_messages),
    ("tool_schemas", tool_schemas),
    ("many_keys", many_keys),
];

/// The signals that cost most: those of chats and responses together.
#[must_use]
pub fn surface() -> Surface {
    let signals = [
        ("/store", Condition::UnlessFalse),
        ("/background", Condition::True),
        ("/previous_response_id", Condition::String),
        ("/conversation", Condition::String),
        ("/conversation/id", Condition::String),
        ("/input/*/encrypted_content", Condition::String),
        ("/input/*", Condition::OnlyKeys(vec!["id".to_owned(), "type".to_owned()])),
        ("/input/*/type", Condition::OneOf(vec!["item_reference".to_owned()])),
        ("/input/*/content/*/file_id", Condition::String),
        ("/messages/*/audio/id", Condition::String),
        ("/messages/*/content/*/file/file_id", Condition::String),
        ("/tools/*/container", Condition::String),
        ("/tools/*/type", Condition::OneOf(vec!["code_interpreter".to_owned()])),
        ("/prompt_cache_key", Condition::Present),
    ];
    Surface {
        id: SurfaceId::new("bench").expect("an id"),
        family: 0,
        rows: Vec::new(),
        title: String::new(),
        vendor: VendorName::new("openai").expect("a name"),
        methods: vec!["POST".to_owned()],
        path: "/chat/completions".to_owned(),
        dated: Dated::No,
        served_by: Vec::new(),
        body: BodyKind::Json,
        model: ModelAt::Required,
        model_at: None,
        grade: Grade::Pure,
        signals: signals
            .map(|(at, when)| Signal {
                at: Source::parse(at).expect("a pointer"),
                when,
                grade: Grade::Continues,
                handle: Some(Namespace::new("bench").expect("a namespace")),
                take: Take::Whole,
            })
            .into(),
        path_handle: None,
        cache_key: Pointer::parse("/prompt_cache_key"),
        births: Vec::new(),
        expires: Vec::new(),
        stored: None,
        usage: Vec::new(),
        deletes: None,
        collective: false,
        socket: None,
        retired: None,
    }
}

/// `item` again and again, up to about `bytes`, in `messages`.
fn messages(bytes: usize, mut item: impl FnMut(usize) -> String) -> String {
    let mut body = String::from(r#"{"model":"gpt-5.5","stream":true,"temperature":0.7,"messages":["#);
    for index in 0.. {
        let item = item(index);
        if index > 0 {
            if body.len() + item.len() > bytes {
                break;
            }
            body.push(',');
        }
        body.push_str(&item);
    }
    body.push_str("]}");
    body
}

const PROSE: &str = "The river keeps to its bed, and who draws water from it keeps to the side that is his; so the two \
    banks live in peace, and nobody needs to ask at night where the bucket went. ";

/// Prose in four turns.
#[must_use]
pub fn chat_text(bytes: usize) -> String {
    let turn = bytes.div_ceil(4);
    messages(bytes, |index| {
        let text = PROSE.repeat(turn / PROSE.len() + 1);
        let role = if index % 2 == 0 { "user" } else { "assistant" };
        format!(r#"{{"role":"{role}","content":"{}"}}"#, &text[..turn - turn / 4])
    })
}

/// Code and lists: a line end every 40 bytes, and quotes.
#[must_use]
pub fn chat_escapes(bytes: usize) -> String {
    let line = r#"    let name = \"riparian\"; // banks\n"#;
    let turn = bytes.div_ceil(4);
    messages(bytes, |_| format!(r#"{{"role":"user","content":"{}"}}"#, line.repeat(turn / line.len())))
}

/// Three bytes a character.
#[must_use]
pub fn chat_chinese(bytes: usize) -> String {
    let line = "河水守着自己的河床，取水的人守着自己的河岸，两岸因此相安无事。";
    let turn = bytes.div_ceil(4);
    messages(bytes, |_| format!(r#"{{"role":"user","content":"{}"}}"#, line.repeat(turn / line.len())))
}

/// One long string without anything special in it.
#[must_use]
pub fn image_base64(bytes: usize) -> String {
    let image = "iVBORw0KGgoAAAANSUhEUgAAB4AAAAQ4CAYAAADo08FDAAAABHNCSVQICAgIfAhkiAA+/".repeat(bytes / 72);
    messages(bytes, |_| {
        format!(
            r#"{{"role":"user","content":[{{"type":"text","text":"What is it?"}},{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{image}"}}}}]}}"#
        )
    })
}

/// Messages of a few words.
#[must_use]
pub fn small_messages(bytes: usize) -> String {
    messages(bytes, |index| {
        let role = if index % 2 == 0 { "user" } else { "assistant" };
        format!(r#"{{"role":"{role}","content":"Yes, number {index}, at once."}}"#)
    })
}

/// What is not watched at all: JSON schemas, nested, many small values.
#[must_use]
pub fn tool_schemas(bytes: usize) -> String {
    let mut body = String::from(r#"{"model":"gpt-5.5","tools":["#);
    for index in 0.. {
        let comma = if index > 0 { "," } else { "" };
        write!(
            body,
            r#"{comma}{{"type":"function","function":{{"name":"tool_{index}","strict":true,"parameters":{{"type":"object","properties":{{"city":{{"type":"string","description":"Where to look"}},"days":{{"type":"integer","minimum":1,"maximum":14}},"units":{{"enum":["metric","imperial"]}}}},"required":["city","days"],"additionalProperties":false}}}}}}"#
        )
        .expect("a string takes everything");
        if body.len() > bytes {
            break;
        }
    }
    body.push_str("]}");
    body
}

/// The dearest body that is not refused: object after object of 256 tiny keys, each compared with all before it.
#[must_use]
pub fn many_keys(bytes: usize) -> String {
    messages(bytes, |_| {
        let members: Vec<String> = (0..256).map(|key| format!(r#""{key:x}":1"#)).collect();
        format!("{{{}}}", members.join(","))
    })
}
