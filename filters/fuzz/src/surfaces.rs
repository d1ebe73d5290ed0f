//! Surfaces like the shipped ones, written down a second time, so that the tests of the scanner hang on nothing else.

use riparian_config::{
    BodyKind, Condition, Dated, Grade, HandleKind, Mark, ModelAt, Namespace, Pointer, Signal, Source,
    Surface, SurfaceId, Surfaces, Take, VendorName,
};

/// Like `openai.responses.create`.
#[must_use]
pub fn responses() -> Surface {
    let one_of = |words: &[&str]| Condition::OneOf(words.iter().map(|&word| word.to_owned()).collect());
    let only = Condition::OnlyKeys(vec!["id".to_owned(), "type".to_owned()]);
    surface(
        "test.responses",
        ModelAt::Optional,
        vec![
            signal("/store", Condition::UnlessFalse, None),
            signal("/background", Condition::True, None),
            signal("/previous_response_id", Condition::String, Some("response")),
            signal("/conversation", Condition::String, Some("conversation")),
            signal("/conversation/id", Condition::String, Some("conversation")),
            signal("/input/*/encrypted_content", Condition::String, Some("sealed")),
            signal("/input/*/phase", Condition::Prefix(vec!["com".to_owned()]), None),
            signal("/input/*", only, Some("item")),
            signal("/input/*/type", one_of(&["item_reference"]), None),
            signal("/input/*/container_id", Condition::String, Some("container")),
            signal("/input/*/content/*/file_id", Condition::String, Some("file")),
            signal("/tools/*/container", Condition::String, Some("container")),
            signal("/tools/*/container", Condition::Present, None),
            signal("/tools/*/container/file_ids/*", Condition::String, Some("file")),
            signal("/tools/*/type", one_of(&["code_interpreter", "container_auto"]), Some("kind")),
            signal("/prompt_cache_key", Condition::Present, None),
        ],
    )
}

/// Like `openai.chat.create`.
#[must_use]
pub fn chat() -> Surface {
    surface(
        "test.chat",
        ModelAt::Required,
        vec![
            signal("/store", Condition::True, None),
            signal("/messages/*/audio/id", Condition::String, Some("audio")),
            signal("/audio", Condition::Present, None),
            signal("/messages/*/content/*/file/file_id", Condition::String, Some("file")),
            signal("/prompt_cache_key", Condition::Present, None),
        ],
    )
}

fn signal(at: &str, when: Condition, handle: Option<&str>) -> Signal {
    Signal {
        at: Source::parse(at).expect("a pointer"),
        when,
        grade: Grade::Continues,
        handle: handle.map(|name| Namespace::new(name).expect("a namespace")),
        take: Take::Whole,
    }
}

fn surface(id: &str, model: ModelAt, signals: Vec<Signal>) -> Surface {
    Surface {
        id: SurfaceId::new(id).expect("an id"),
        family: 0,
        rows: Vec::new(),
        title: String::new(),
        vendor: VendorName::new("openai").expect("a name"),
        methods: vec!["POST".to_owned()],
        path: "/".to_owned(),
        dated: Dated::No,
        served_by: Vec::new(),
        body: BodyKind::Json,
        model,
        model_at: None,
        grade: Grade::Pure,
        signals,
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

/// The kinds of handles: what is sealed is known by its digest.
#[must_use]
pub fn kinds() -> Surfaces {
    let sealed = HandleKind {
        name: Namespace::new("sealed").expect("a name"),
        title: String::new(),
        mark: Some(Mark::Sealed),
        prefixes: Vec::new(),
        lives: None,
        idle: None,
        ask: None,
    };
    Surfaces { kinds: vec![sealed], ..Surfaces::default() }
}
