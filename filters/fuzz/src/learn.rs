//! The learner, against itself in other pieces; and over an event stream against a line-by-line reading of the standard's
//! prose, with each event's data read as an answer of its own.

use super::entropy::Entropy;
use riparian_config::{
    Birth, Echo, Namespace, Pointer, Source, Surface, Surfaces, Take, UsageName, UsageShape,
};
use riparian_filters::learn::{Answer, Learned, Learner};
use riparian_filters::meter::Usage;

/// What was learned, in order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Heard {
    pub born: Vec<(String, String)>,
    pub not_stored: bool,
    pub usage: Option<Usage>,
}

/// A surface whose handles stand at the same place in both forms, so that one form can be held against the other.
#[must_use]
pub fn answer() -> Answer {
    let at = |text: &str| {
        let pointer = Pointer::parse(text);
        Echo { json: pointer.clone(), sse: pointer, ..Echo::default() }
    };
    let birth = |name: &str, text: &str| Birth {
        handle: Namespace::new(name).expect("a name"),
        at: at(text),
        take: Take::Whole,
        always: false,
    };
    let surface = Surface {
        births: vec![birth("response", "/response/id"), birth("conversation", "/response/conversation/id")],
        stored: Some(at("/response/store")),
        usage: vec![UsageName::new("usage").expect("a name")],
        ..super::surfaces::responses()
    };
    let all = Surfaces { usages: vec![usage()], ..Surfaces::default() };
    Answer::compile(&surface, &all).expect("seven pointers").expect("two births")
}

fn usage() -> UsageShape {
    let places = || vec![Pointer::parse("/response/usage").expect("a pointer")];
    let counts = |texts: &[&str]| texts.iter().filter_map(|text| Source::parse(text)).collect();
    UsageShape {
        name: UsageName::new("usage").expect("a name"),
        json: places(),
        sse: places(),
        event: Vec::new(),
        socket: Vec::new(),
        adds: false,
        input: counts(&["/in", "/cached"]),
        cached: counts(&["/cached"]),
        cache_write: Vec::new(),
        output: counts(&["/out"]),
        reasoning: Vec::new(),
    }
}

/// Feeds `pieces`; after an error nothing more may come.
pub fn hear<'p>(answer: &Answer, kind: &str, pieces: impl IntoIterator<Item = &'p [u8]>) -> Heard {
    let mut learner = Learner::new(answer, kind).expect("a kind that is read");
    let (mut heard, mut failed) = (Heard::default(), false);
    for piece in pieces {
        let result = learner.feed(answer, piece, |learned| {
            assert!(!failed, "something is learned after an error");
            match learned {
                Learned::Ends(_, _, at) => assert_eq!(piece.get(at), Some(&b'"'), "a handle's end"),
                Learned::Born(born, value) => heard.born.push((born.kind.to_string(), value.to_owned())),
                Learned::Expires(..) => panic!("no end is due"),
                Learned::NotStored => {
                    assert!(!std::mem::replace(&mut heard.not_stored, true), "told twice");
                }
            }
        });
        failed |= result.is_err();
    }
    heard.usage = learner.usage(answer);
    heard
}

/// What is told of tokens, where nothing else is asked for.
fn cost<'p>(answer: &Answer, kind: &str, pieces: impl IntoIterator<Item = &'p [u8]>) -> Option<Usage> {
    let mut learner = Learner::of_usage(answer, kind).expect("a kind that is read");
    for piece in pieces {
        let _ = learner.feed(answer, piece, |learned| panic!("{learned:?} was not asked for"));
    }
    learner.usage(answer)
}

/// The data of every event, the last one as far as it came (HTML, 9.2.6, read aloud).
fn events(stream: &[u8]) -> Vec<Vec<u8>> {
    let stream = stream.strip_prefix(b"\xef\xbb\xbf").unwrap_or(stream);
    let mut lines: Vec<Vec<u8>> = vec![Vec::new()];
    let mut bytes = stream.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\n' | b'\r' => {
                if byte == b'\r' {
                    bytes.next_if_eq(&b'\n');
                }
                lines.push(Vec::new());
            }
            _ => lines.last_mut().expect("one at least").push(byte),
        }
    }
    let unended = lines.pop().expect("one at least");
    let (mut events, mut data): (Vec<Vec<u8>>, Vec<Vec<u8>>) = (Vec::new(), Vec::new());
    let value = |line: &[u8]| {
        line.strip_prefix(b"data:").map(|value| value.strip_prefix(b" ").unwrap_or(value).to_vec())
    };
    for line in lines {
        if line.is_empty() {
            events.push(std::mem::take(&mut data).join(&b'\n'));
        } else if line == b"data" {
            data.push(Vec::new());
        } else {
            data.extend(value(&line));
        }
    }
    data.extend(value(&unended));
    events.push(data.join(&b'\n'));
    events
}

/// What an event stream teaches: all that its events do, each handle once.
fn naive(answer: &Answer, stream: &[u8]) -> Heard {
    let mut heard = Heard::default();
    for data in events(stream) {
        let event = hear(answer, "application/json", [&data[..]]);
        heard.not_stored |= event.not_stored;
        for born in event.born {
            if !heard.born.contains(&born) {
                heard.born.push(born);
            }
        }
    }
    heard
}

const PARTS: [&[u8]; 27] = [
    b"data:",
    b"data: ",
    b"data",
    b"\n",
    b"\n\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\r",
    b": ping\n",
    b"event: x\n",
    b"datum: {}\n",
    b"[DONE]",
    b"{\"response\":{\"id\":\"resp_1\",",
    b"{\"response\":{\"id\":\"resp_2\"}}",
    b"\"store\":false,",
    b"\"usage\":{\"in\":12,\"cached\":7,\"out\":3},",
    b"\"usage\":null,",
    b"data: {\"response\":{\"usage\":{\"in\":5,\"out\":104}}}\n\n",
    b"\"conversation\":{\"id\":\"conv_1\"}",
    b"}}",
    b"{\"id\":\"resp_3\"}",
    b"data: {\"response\":{\"id\":\"resp_4\",\"store\":false}}\n\n",
    b"data: {\"type\":\"ping\"}\n\n",
    b"data: {\"response\":{\"store\":false}}\n\n",
    b"\xef\xbb\xbf",
    b"\xef\xbb",
    b"{",
];

/// A stream put together of parts, and then damaged a little or not at all.
#[must_use]
pub fn stream(entropy: &mut Entropy<'_>) -> Vec<u8> {
    let mut stream = Vec::new();
    if entropy.once_in(2) {
        stream.extend_from_slice(b"data: ");
    }
    for _ in 0..entropy.below(12) {
        stream.extend_from_slice(entropy.one_of(&PARTS));
    }
    if entropy.once_in(4) {
        entropy.mutate(&mut stream);
    }
    stream
}

/// Reads `bytes` as both kinds of answer: however they are cut the same is learned, and of a stream what its prose says.
///
/// # Panics
/// When it is not.
pub fn agree(bytes: &[u8], cuts: &[usize]) -> Heard {
    let answer = answer();
    let read = |kind: &str| {
        let whole = hear(&answer, kind, [bytes]);
        let mut from = 0;
        let pieces: Vec<&[u8]> = cuts
            .iter()
            .copied()
            .chain([bytes.len()])
            .map(|end| &bytes[std::mem::replace(&mut from, end)..end])
            .collect();
        assert_eq!(hear(&answer, kind, pieces), whole, "{kind} cut at {cuts:?}: {}", bytes.escape_ascii());
        assert_eq!(
            hear(&answer, kind, bytes.chunks(1)),
            whole,
            "{kind} byte by byte: {}",
            bytes.escape_ascii()
        );
        let told = cost(&answer, kind, [bytes]);
        assert_eq!(cost(&answer, kind, bytes.chunks(1)), told, "{kind}: {}", bytes.escape_ascii());
        whole
    };
    let _ = read("application/json");
    let heard = read("text/event-stream");
    // Which count of which event is the newest is left to the corpus.
    let naive = Heard { usage: heard.usage, ..naive(&answer, bytes) };
    assert_eq!(heard, naive, "{}", bytes.escape_ascii());
    heard
}

/// The fuzz target. The first byte says what the others are: an answer as it stands, or choices for one to be made of them.
pub fn body(data: &[u8]) {
    let Some((&kind, data)) = data.split_first() else { return };
    if kind & 1 == 0 {
        agree(data, &[data.len() / 3, data.len() / 2]);
    } else {
        let mut entropy = Entropy::new(data);
        let stream = stream(&mut entropy);
        let cuts = entropy.cuts(&stream);
        agree(&stream, &cuts);
    }
}
