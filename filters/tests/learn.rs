//! What is learned from answers: the same however they are cut, and never later than a client could know it.
//!
//! `corpus/answers` has them in the shapes that the vendor documents, with ids that are not handles wherever there can be some.
#![allow(clippy::unwrap_used, reason = "a test may")]

use proptest::collection::{hash_map, vec};
use proptest::prelude::*;
use riparian_config::Surfaces;
use riparian_filters::learn::{Answer, Learned, Learner, Unreadable};
use serde_json::{Value, json};

const RESPONSES: &str = "openai.responses.create";
const CONVERSATIONS: &str = "openai.conversations.create";
const JSON: &str = "application/json";
const SSE: &str = "text/event-stream";

/// A file of the corpus, the surface it answers, and what is born in it, in order.
type Row =
    (&'static str, &'static [u8], &'static str, &'static str, &'static [(&'static str, &'static str)], bool);

macro_rules! row {
    ($surface:ident, $kind:ident, $file:literal, $born:expr, $not_stored:literal) => {
        ($file, include_bytes!(concat!("corpus/answers/", $file)), $surface, $kind, $born, $not_stored)
    };
}

const CORPUS: &[Row] = &[
    row!(RESPONSES, JSON, "response.json", &[("response", "resp_68aa01")], false),
    row!(RESPONSES, JSON, "response_not_stored.json", &[("response", "resp_68ab01")], true),
    row!(
        RESPONSES,
        JSON,
        "response_in_conversation.json",
        &[("conversation", "conv_68ac01"), ("response", "resp_68ac02")],
        false
    ),
    row!(RESPONSES, JSON, "response_conversation_is_text.json", &[("response", "resp_68ad01")], false),
    row!(RESPONSES, JSON, "error.json", &[], false),
    row!(CONVERSATIONS, JSON, "conversation.json", &[("conversation", "conv_68ae01")], false),
    row!(RESPONSES, SSE, "response.sse", &[("response", "resp_68ba01")], false),
    row!(RESPONSES, SSE, "response_not_stored_crlf.sse", &[("response", "resp_68bb01")], true),
    row!(
        RESPONSES,
        SSE,
        "response_in_conversation_odd.sse",
        &[("conversation", "conv_68bc01"), ("response", "resp_68bc02")],
        false
    ),
    row!(RESPONSES, SSE, "error.sse", &[], false),
];

fn answer(surface: &str) -> Option<Answer> {
    let all = Surfaces::built_in();
    let surface = all.surfaces.iter().find(|known| known.id.as_str() == surface).expect("a built-in surface");
    Answer::compile(surface, &all).expect("the built-in table")
}

/// What was learned, and after which byte.
#[derive(Debug, Default, PartialEq)]
struct Heard {
    born: Vec<(String, String)>,
    at: Vec<usize>,
    not_stored: usize,
    /// Ends of handles, of whatever kind and however often.
    ended: usize,
    error: Option<Unreadable>,
}

fn hear<'b>(answer: &Answer, kind: &str, pieces: impl IntoIterator<Item = &'b [u8]>) -> Heard {
    let mut learner = Learner::new(answer, kind).expect("a kind that is read");
    let (mut heard, mut fed) = (Heard::default(), 0);
    for piece in pieces {
        fed += piece.len();
        let result = learner.feed(answer, piece, |learned| match learned {
            Learned::Ends(_, value, at) => {
                assert_eq!(piece[at], b'"', "the end of {value}");
                heard.ended += 1;
            }
            // Items of an answer and what is sealed in it are many; the taxonomy's corpus has them.
            Learned::Born(born, _) if matches!(born.kind.as_str(), "item" | "openai_seal" | "container") => {}
            Learned::Born(born, value) => {
                heard.born.push((born.kind.to_string(), value.to_owned()));
                heard.at.push(fed);
            }
            Learned::Expires(kind, until) => panic!("{kind} until {until}"),
            Learned::NotStored => heard.not_stored += 1,
        });
        heard.error = heard.error.or(result.err());
    }
    heard
}

fn pairs(born: &[(&str, &str)]) -> Vec<(String, String)> {
    born.iter().map(|(kind, value)| ((*kind).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn the_corpus_cut_at_every_byte() {
    for (file, bytes, surface, kind, born, not_stored) in CORPUS {
        let answer = answer(surface).expect("it has births");
        for cut in 0..=bytes.len() {
            let heard = hear(&answer, kind, [&bytes[..cut], &bytes[cut..]]);
            let told = (heard.born, heard.not_stored, heard.error);
            assert_eq!(told, (pairs(born), usize::from(*not_stored), None), "{file} cut at {cut}");
        }
    }
}

/// Byte by byte, each handle is told with the quote that ends it where it first stands: before that a client cannot know
/// it, and from then on its next request may cite it.
#[test]
fn a_handle_is_told_with_the_byte_that_completes_it() {
    for (file, bytes, surface, kind, born, _) in CORPUS {
        let heard = hear(&answer(surface).expect("it has births"), kind, bytes.chunks(1));
        assert_eq!(heard.born, pairs(born), "{file}");
        for ((_, handle), at) in born.iter().zip(&heard.at) {
            let text = format!("\"{handle}\"");
            let first = bytes.windows(text.len()).position(|window| window == text.as_bytes());
            assert_eq!(Some(*at), first.map(|first| first + text.len()), "{handle} in {file}");
        }
    }
}

#[test]
fn only_answers_that_can_be_read_are() {
    let answer = answer(RESPONSES).expect("it has births");
    for kind in ["application/json", "APPLICATION/JSON; charset=utf-8", "text/event-stream;charset=utf-8"] {
        assert!(Learner::new(&answer, kind).is_some(), "{kind}");
    }
    for kind in
        ["", "text/html", "application/jsonl", "application/json+x", "audio/mpeg", "application/x-ndjson"]
    {
        assert!(Learner::new(&answer, kind).is_none(), "{kind}");
    }
}

#[test]
fn a_surface_without_births_has_no_learner_of_handles() {
    for surface in ["openai.moderations.create", "openai.models.list"] {
        assert!(answer(surface).is_none(), "{surface}");
    }
    let embeddings = answer("openai.embeddings.create").expect("it tells of tokens");
    assert!(!embeddings.has_births());
}

#[test]
fn an_answer_that_is_malformed_teaches_nothing_more() {
    let answer = answer(RESPONSES).expect("it has births");
    for (text, born) in [
        (&br#"{"a":1,,"id":"resp_1"}"#[..], &[][..]),
        (br#""resp_1""#, &[]),
        (b"<html>{\"id\":\"resp_1\"}", &[]),
        (br#"{"id":"resp_1","id":"resp_2"}"#, &[("response", "resp_1")]),
        (
            br#"{"id":"resp_1","conversation":{"id":"conv_1"},"i\u0064":"resp_2"}"#,
            &[("response", "resp_1"), ("conversation", "conv_1")],
        ),
        (b"{\"id\":\"resp_\xff\"}", &[]),
        (br#"{"id":"resp_\ud800"}"#, &[]),
    ] {
        for heard in [hear(&answer, JSON, [text]), hear(&answer, JSON, text.chunks(1))] {
            assert!(heard.error.is_some(), "{}", text.escape_ascii());
            assert_eq!(heard.born, pairs(born), "{}", text.escape_ascii());
        }
    }
}

/// As Google streams where nobody asks for events, and as JSON-RPC answers a batch.
#[test]
fn an_answer_that_is_an_array_is_one_of_its_elements_after_the_other() {
    let answer = answer(RESPONSES).expect("it has births");
    let text = br#"[{"id":"resp_1"}, {"x":[{"id":"no"}],"id":"resp_2"} , 7, "resp_3", ["resp_4"]]"#;
    for cut in 0..=text.len() {
        let heard = hear(&answer, JSON, [&text[..cut], &text[cut..]]);
        assert_eq!(
            (heard.born, heard.error),
            (pairs(&[("response", "resp_1"), ("response", "resp_2")]), None)
        );
    }
}

#[test]
fn values_that_are_no_handles_teach_nothing() {
    let answer = answer(RESPONSES).expect("it has births");
    for text in [
        r#"{"id":null}"#,
        r#"{"id":7}"#,
        r#"{"id":["resp_1"]}"#,
        r#"{"id":{"id":"resp_1"}}"#,
        r#"{"conversation":["conv_1"]}"#,
    ] {
        let heard = hear(&answer, JSON, [text.as_bytes()]);
        assert_eq!((heard.born, heard.error), (Vec::new(), None), "{text}");
    }
}

/// A surface whose handle is told in one form only must not find it under some key of the other.
#[test]
fn a_form_without_a_pointer_teaches_nothing() {
    let answer = answer(CONVERSATIONS).expect("it has births");
    for data in [r#"{"id":"conv_1"}"#, r#"{"\u0000":"conv_1"}"#, r#"{"":"conv_1"}"#, r#"["conv_1"]"#] {
        let stream = format!("data: {data}\n\n");
        assert_eq!(hear(&answer, SSE, [stream.as_bytes()]), Heard::default(), "{data}");
    }
}

#[test]
fn a_megabyte_of_instructions_before_the_id() {
    let answer = answer(RESPONSES).expect("it has births");
    let instructions = r#"{"id":"resp_fake","store":false} "#.repeat(32 * 1024);
    let text = json!({ "instructions": instructions }).to_string();
    let text = format!("{},\"id\":\"resp_1\",\"store\":true}}", text.strip_suffix('}').expect("an object"));
    let stream = format!("data: {{\"response\":{text}}}\n\n");
    for (kind, text) in [(JSON, &text), (SSE, &stream)] {
        for pieces in [text.len(), 4096, 1021] {
            let heard = hear(&answer, kind, text.as_bytes().chunks(pieces));
            assert_eq!(
                (heard.born, heard.not_stored),
                (pairs(&[("response", "resp_1")]), 0),
                "{kind} {pieces}"
            );
        }
    }
}

/// What one event was counted for must not be taken off the next.
#[test]
fn every_event_is_read_from_its_start() {
    let answer = answer(RESPONSES).expect("it has births");
    let stream = b"data: {\"response\":{\"store\":\"odd\"}}\n\ndata: {\"response\":{\"id\":\"resp_1\"}}\n\n";
    assert_eq!(hear(&answer, SSE, [&stream[..]]).born, pairs(&[("response", "resp_1")]));
}

#[test]
fn an_event_that_is_never_ended_has_told_its_handle_already() {
    let answer = answer(RESPONSES).expect("it has births");
    let heard = hear(&answer, SSE, [&b"data: {\"response\":{\"id\":\"resp_1\""[..]]);
    assert_eq!(heard.born, pairs(&[("response", "resp_1")]));
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[ -~\u{e9}\u{1F600}\n\"\\\\]{0,12}".prop_map(Value::from),
        Just(json!("resp_decoy")),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            hash_map("id|store|response|[a-z]{1,3}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Some characters of a string as escapes.
fn escaped(text: &str, escapes: u32) -> String {
    let spell = |(at, c): (u32, char)| match escapes >> (at % 32) & 1 {
        0 => c.to_string(),
        _ => format!("\\u{:04x}", u32::from(c)),
    };
    (0..).zip(text.chars()).map(spell).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    /// The id anywhere among other members, spelled in any way, in any pieces: in a JSON answer, and in an event whose data
    /// has as many lines as it likes.
    #[test]
    fn an_id_is_learned_wherever_it_stands(
        members in hash_map("[a-h]{1,4}|instructions|output", value(), 0..6),
        handle in "resp_[a-z0-9]{1,20}",
        (at, escapes, stored) in (any::<prop::sample::Index>(), any::<u32>(), any::<bool>()),
        cuts in vec(any::<prop::sample::Index>(), 0..5),
        before in any::<bool>(),
    ) {
        let mut members: Vec<String> = members
            .iter()
            .map(|(key, value)| format!("{}:{}", json!(key), serde_json::to_string_pretty(value).unwrap()))
            .collect();
        members.insert(at.index(members.len() + 1), format!("\"{}\" : \"{}\"", escaped("id", escapes), escaped(&handle, !escapes)));
        members.insert(at.index(members.len() + 1), format!("\"store\":{stored}"));
        let text = format!("{{{}}}", members.join(",\n"));
        let event = format!("{{\"type\":\"response.created\",\n\"response\":{text}}}");
        let lines: Vec<String> = event.lines().map(|line| format!("data: {line}\n")).collect();
        let noise = if before { "event: ping\ndata: {\"type\":\"ping\",\"id\":\"resp_decoy\"}\n\n" } else { "" };
        let stream = format!("{noise}{}\n{noise}", lines.concat());
        let answer = answer(RESPONSES).expect("it has births");
        for (kind, text) in [(JSON, &text), (SSE, &stream)] {
            let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).chain([0, text.len()]).collect();
            ends.sort_unstable();
            let heard = hear(&answer, kind, ends.windows(2).map(|ends| &text.as_bytes()[ends[0]..ends[1]]));
            prop_assert_eq!(&heard.born, &pairs(&[("response", &handle)]), "{} {}", kind, text);
            prop_assert_eq!((heard.not_stored, heard.error), (usize::from(!stored), None), "{} {}", kind, text);
            prop_assert_eq!(hear(&answer, kind, text.as_bytes().chunks(1)).born, heard.born);
        }
    }
}
