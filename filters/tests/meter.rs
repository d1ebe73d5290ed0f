//! What answers cost: the same however they are cut, and never more than was told.
//!
//! `corpus/usage` has answers of every dialect in the shapes that the vendors document, with the words of a usage wherever they mean
//! nothing; its `expect.txt` says what each of them cost.
#![allow(clippy::unwrap_used, reason = "a test may")]

use riparian_config::Surfaces;
use riparian_filters::learn::{Answer, Learner};
use riparian_filters::meter::Usage;
use std::path::Path;

fn answer(surface: &str) -> Answer {
    let all = Surfaces::built_in();
    let surface = all.surfaces.iter().find(|known| known.id.as_str() == surface).expect("a built-in surface");
    Answer::compile(surface, &all).expect("the built-in table").expect("it tells of tokens")
}

fn learner(answer: &Answer, kind: &str, handles: bool) -> Learner {
    let begin = if handles { Learner::new } else { Learner::of_usage };
    begin(answer, kind).expect("a kind that is read")
}

fn read<'b>(
    answer: &Answer,
    kind: &str,
    handles: bool,
    pieces: impl IntoIterator<Item = &'b [u8]>,
) -> Option<Usage> {
    let mut learner = learner(answer, kind, handles);
    for piece in pieces {
        let fed = learner.feed(answer, piece, |learned| assert!(handles, "{learned:?} was not asked for"));
        fed.expect("a right answer");
    }
    learner.usage(answer)
}

struct Row {
    file: String,
    kind: String,
    answer: Answer,
    bytes: Vec<u8>,
    usage: Option<Usage>,
}

fn corpus() -> Vec<Row> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/usage");
    let text = std::fs::read_to_string(folder.join("expect.txt")).unwrap();
    let rows = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let columns: Vec<&str> = line.split(" | ").collect();
        let [file, surface, kind, counts @ ..] = columns.as_slice() else { panic!("{line}") };
        let counts: Vec<u64> = counts.iter().filter_map(|count| count.parse().ok()).collect();
        let usage = match *counts.as_slice() {
            [] => None,
            [input, cached, cache_write, output, reasoning] => {
                Some(Usage { input, cached, cache_write, output, reasoning, partial: false })
            }
            _ => panic!("{line}"),
        };
        Row {
            file: (*file).to_owned(),
            kind: (*kind).to_owned(),
            answer: answer(surface),
            bytes: std::fs::read(folder.join(file)).unwrap(),
            usage,
        }
    });
    rows.collect()
}

#[test]
fn the_corpus_cut_at_every_byte() {
    let corpus = corpus();
    assert!(corpus.len() >= 30);
    for Row { file, kind, answer, bytes, usage } in &corpus {
        for handles in [true, false] {
            for cut in 0..=bytes.len() {
                let told = read(answer, kind, handles, [&bytes[..cut], &bytes[cut..]]);
                assert_eq!(told, *usage, "{file} cut at {cut}, with handles: {handles}");
            }
            assert_eq!(read(answer, kind, handles, bytes.chunks(1)), *usage, "{file} byte by byte");
        }
    }
}

/// Whoever went away in the middle has caused what was told by then: never more than the whole, and never less than before.
#[test]
fn what_was_seen_when_an_answer_breaks_off() {
    for Row { file, kind, answer, bytes, usage } in &corpus() {
        let mut learner = learner(answer, kind, false);
        let mut before = Usage::default();
        for byte in bytes.chunks(1) {
            learner.feed(answer, byte, |_| {}).unwrap();
            let Some(now) = learner.usage(answer) else { continue };
            let whole = usage.expect("what is told in the middle is told at the end");
            assert!(now.input <= whole.input && now.output <= whole.output, "{file}: {now:?}");
            assert!(now.input >= before.input && now.output >= before.output, "{file}: {now:?}");
            before = now;
        }
        assert_eq!(before, usage.unwrap_or_default(), "{file}");
    }
}

#[test]
fn bedrock_tells_in_the_head_what_a_body_does_not() {
    let answer = answer("bedrock.invoke");
    let head = |name: &str| match name {
        "x-amzn-bedrock-input-token-count" => Some("11"),
        "x-amzn-bedrock-output-token-count" => Some("4"),
        "x-amzn-bedrock-cache-read-input-token-count" => Some("many"),
        _ => None,
    };
    for (body, usage) in [
        (
            &br#"{"generation":"x","prompt_token_count":99}"#[..],
            Usage { input: 11, output: 4, ..Usage::default() },
        ),
        (
            br#"{"usage":{"input_tokens":12,"output_tokens":5}}"#,
            Usage { input: 12, output: 5, ..Usage::default() },
        ),
    ] {
        let mut learner = learner(&answer, "application/json", true);
        learner.read_head(&answer, head);
        learner.feed(&answer, body, |_| {}).unwrap();
        assert_eq!(learner.usage(&answer), Some(usage));
    }
}

#[test]
fn the_messages_of_a_socket_add_up() {
    let answer = answer("openai.realtime.socket");
    let mut learner = Learner::socket(&answer);
    let done = |input: u64, cached: u64, output: u64| {
        format!(
            r#"{{"type":"response.done","response":{{"id":"r","usage":{{"total_tokens":9,"input_tokens":{input},"output_tokens":{output},"input_token_details":{{"cached_tokens":{cached}}}}}}}}}"#
        )
    };
    let messages = [
        r#"{"type":"response.created","response":{"id":"r","usage":null}}"#.to_owned(),
        done(100, 0, 10),
        r#"{"type":"response.output_audio.delta","delta":"AAAA"}"#.to_owned(),
        "no JSON".to_owned(),
        done(150, 100, 20),
    ];
    for message in &messages {
        for piece in message.as_bytes().chunks(7) {
            learner.feed(&answer, piece, |_| {}).unwrap();
        }
        learner.end_of_message(&answer);
    }
    let usage = Usage { input: 250, cached: 100, output: 30, ..Usage::default() };
    assert_eq!(learner.usage(&answer), Some(usage));
}

#[test]
fn what_is_no_count_is_not_counted() {
    let answer = answer("openai.chat.create");
    for text in [
        r#"{"usage":{"prompt_tokens":-1}}"#,
        r#"{"usage":{"prompt_tokens":1.0}}"#,
        r#"{"usage":{"prompt_tokens":1e3}}"#,
        r#"{"usage":{"prompt_tokens":"7"}}"#,
        r#"{"usage":{"prompt_tokens":[7]}}"#,
        r#"{"usage":{"prompt_tokens":null}}"#,
        r#"{"usage":{"prompt_tokens":99999999999999999999999}}"#,
        r#"{"usage":{"prompt_tokens":100000001}}"#,
        r#"{"usage":[{"prompt_tokens":1}]}"#,
        r#"{"choices":[{"usage":{"prompt_tokens":1}}]}"#,
    ] {
        let told = read(&answer, "application/json", false, [text.as_bytes()]);
        assert_eq!(told, None, "{text}");
    }
    let zero = read(&answer, "application/json", false, [&br#"{"usage":{"prompt_tokens":0}}"#[..]]);
    assert_eq!(zero, Some(Usage::default()), "nothing was used, and that was told");
}

/// Longer than what is held until it is known to be worth reading.
#[test]
fn a_long_event_is_read_as_it_comes() {
    let answer = answer("openai.chat.create");
    let text = "x".repeat(100_000);
    let stream = format!(
        "data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}],\"usage\":{{\"prompt_tokens\":3,\"completion_tokens\":4}}}}\n\ndata: {{\"usage\":null}}\n\n"
    );
    for size in [1000, 16 * 1024, 1 << 20] {
        let told = read(&answer, "text/event-stream", false, stream.as_bytes().chunks(size));
        assert_eq!(told, Some(Usage { input: 3, output: 4, ..Usage::default() }), "{size}");
    }
}
