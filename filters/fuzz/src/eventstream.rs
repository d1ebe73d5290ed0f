//! The splitter of AWS event streams, against a reading of the whole stream at once; and what its payloads wrap, against a JSON
//! parser and a whole decoding.

use super::entropy::Entropy;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use riparian_filters::eventstream::bytes::Unwrapper;
use riparian_filters::eventstream::{Piece, Splitter};

/// What a stream told: of each message its labels, its payload as far as it came, and whether it ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Told {
    pub messages: Vec<Message>,
    /// Whether the stream was whole and in order.
    pub whole: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Message {
    pub labels: [Option<String>; 4],
    pub payload: Vec<u8>,
    pub ended: bool,
}

/// Feeds `pieces`; after an error nothing more may come.
fn split<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> Told {
    let (mut told, mut splitter, mut failed) = (Told::default(), Splitter::default(), false);
    for piece in pieces {
        let result = splitter.feed(piece, |piece| {
            assert!(!failed, "something is told after an error");
            match piece {
                Piece::Begin(labels) => {
                    let all =
                        [labels.message_type, labels.event_type, labels.exception_type, labels.content_type];
                    let labels = all.map(|label| label.map(str::to_owned));
                    told.messages.push(Message { labels, ..Message::default() });
                }
                Piece::Payload(some) => {
                    told.messages.last_mut().expect("one began").payload.extend_from_slice(some);
                }
                Piece::End => told.messages.last_mut().expect("one began").ended = true,
            }
        });
        assert!(!failed || result.is_err(), "an error stays");
        failed |= result.is_err();
    }
    told.whole = splitter.finish().is_ok();
    told
}

/// The format's description, read aloud; `None` where it goes wrong or has no more bytes.
fn naive(stream: &[u8]) -> Told {
    let mut told = Told::default();
    let mut rest = stream;
    while !rest.is_empty() {
        let Some(message) = one(&mut rest) else { return told };
        told.messages.push(message);
        if !told.messages.last().expect("just put").ended {
            return told;
        }
    }
    told.whole = true;
    told
}

fn one(stream: &mut &[u8]) -> Option<Message> {
    let number = |at: usize| {
        stream.get(at..at + 4).map(|four| u32::from_be_bytes(four.try_into().expect("four")) as usize)
    };
    let (total, headers, checksum) = (number(0)?, number(4)?, number(8)?);
    if crc(&stream[..8]) as usize != checksum || headers > 131_072 || total < headers + 16 {
        return None;
    }
    let payload = total - headers - 16;
    if payload > 25_165_824 {
        return None;
    }
    let labels = labels(stream.get(12..12 + headers)?)?;
    let end = (12 + headers + payload).min(stream.len());
    let payload = stream[12 + headers..end].to_vec();
    let ended = number(total - 4).is_some_and(|sum| sum == crc(&stream[..total - 4]) as usize);
    *stream = stream.get(total..).unwrap_or_default();
    Some(Message { labels, payload, ended })
}

fn labels(mut headers: &[u8]) -> Option<[Option<String>; 4]> {
    const NAMES: [&str; 4] = [":message-type", ":event-type", ":exception-type", ":content-type"];
    let mut labels = [const { None }; 4];
    while !headers.is_empty() {
        let name = usize::from(headers[0]);
        let kind = *headers.get(1 + name)?;
        let label = NAMES.iter().position(|known| known.as_bytes() == &headers[1..=name]);
        headers = &headers[2 + name..];
        let length = match kind {
            _ if name == 0 => return None,
            0 | 1 => 0,
            2 => 1,
            3 => 2,
            4 => 4,
            5 | 8 => 8,
            9 => 16,
            6 | 7 => {
                let (length, behind) = headers.split_at_checked(2)?;
                headers = behind;
                usize::from(u16::from_be_bytes(length.try_into().expect("two")))
            }
            _ => return None,
        };
        let (value, behind) = headers.split_at_checked(length)?;
        headers = behind;
        if let Some(label) = label {
            let text = std::str::from_utf8(value).ok().filter(|text| kind == 7 && text.len() <= 256)?;
            if labels[label].replace(text.to_owned()).is_some() {
                return None;
            }
        }
    }
    Some(labels)
}

/// CRC-32 (ISO 3309), bit by bit.
fn crc(bytes: &[u8]) -> u32 {
    let mut rest = u32::MAX;
    for byte in bytes {
        rest ^= u32::from(*byte);
        for _ in 0..8 {
            rest = if rest & 1 == 1 { rest >> 1 ^ 0xEDB8_8320 } else { rest >> 1 };
        }
    }
    !rest
}

/// Reads `stream` whole, cut at `cuts` and byte by byte: always what its description says.
pub fn agree(stream: &[u8], cuts: &[usize]) -> Told {
    let expected = naive(stream);
    assert_eq!(split([stream]), expected, "{}", stream.escape_ascii());
    assert_eq!(split(stream.chunks(1)), expected, "byte by byte: {}", stream.escape_ascii());
    let mut from = 0;
    let ends = cuts.iter().copied().chain([stream.len()]);
    let pieces = ends.map(|end| &stream[std::mem::replace(&mut from, end)..end]);
    assert_eq!(split(pieces), expected, "cut at {cuts:?}: {}", stream.escape_ascii());
    for message in &expected.messages {
        unwrap(&message.payload);
    }
    expected
}

/// What a payload wraps, or the payload, however it is cut.
///
/// # Panics
/// When that is not so.
pub fn unwrap(payload: &[u8]) {
    let unwrap = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let (mut unwrapper, mut inner) = (Unwrapper::default(), Vec::new());
        for piece in pieces {
            let _ = unwrapper.feed(piece, |some| inner.extend_from_slice(some));
        }
        unwrapper.end(|some| inner.extend_from_slice(some)).map(|()| inner)
    };
    let whole = unwrap(&mut [payload].into_iter());
    assert_eq!(unwrap(&mut payload.chunks(1)), whole, "byte by byte: {}", payload.escape_ascii());
    if payload.contains(&b'\x0c') {
        return; // white space to Rust, and none to JSON
    }
    let mut behind = Some(payload);
    for token in ["{", "\"bytes\"", ":", "\""] {
        behind = behind.and_then(|rest| rest.trim_ascii_start().strip_prefix(token.as_bytes()));
    }
    let Some(behind) = behind.filter(|behind| payload.len() - behind.len() <= 32) else {
        assert_eq!(whole.expect("is handed on"), payload);
        return;
    };
    // The string as a JSON parser reads it, up to the first quote that is not escaped.
    let mut strings =
        serde_json::Deserializer::from_slice(&payload[payload.len() - behind.len() - 1..]).into_iter();
    let string: Option<String> = strings.next().and_then(Result::ok);
    assert_eq!(
        whole.ok(),
        string.and_then(|string| STANDARD.decode(string).ok()),
        "{}",
        payload.escape_ascii()
    );
}

/// A stream of a few messages, damaged a little or not at all.
#[must_use]
pub fn stream(entropy: &mut Entropy<'_>) -> Vec<u8> {
    const NAMES: [&str; 8] =
        [":message-type", ":event-type", ":exception-type", ":content-type", "x", "date", "", ":event-typed"];
    const PAYLOADS: [&[u8]; 10] = [
        b"",
        br#"{"delta":{"text":"Hi"},"p":"abc"}"#,
        br#"{"bytes":"eyJ0eXBlIjoicGluZyJ9","p":"ab"}"#,
        br#"{"bytes":"eyJ0eXBlIjoicGluZyJ"}"#,
        br#"{"bytes":"e30\u003d"}"#,
        br#"{"bytes":"Pz8\/"}"#,
        br#"{ "bytes" : "e30=" }"#,
        br#"{"bytes":{}}"#,
        br#"{"byt"#,
        b"\0\0\0\x10\0\0\0\0",
    ];
    let mut stream = Vec::new();
    for _ in 0..entropy.below(4) {
        let mut headers = Vec::new();
        for usual in NAMES.iter().take(entropy.below(4)) {
            let name = if entropy.once_in(8) { NAMES[entropy.below(8)] } else { usual };
            let value = if entropy.once_in(8) { "v".repeat(entropy.below(400)) } else { "chunk".to_owned() };
            headers.push(u8::try_from(name.len()).expect("short"));
            headers.extend_from_slice(name.as_bytes());
            headers.push(7);
            headers.extend_from_slice(&u16::try_from(value.len()).expect("short").to_be_bytes());
            headers.extend_from_slice(value.as_bytes());
            if entropy.once_in(4) {
                headers.extend_from_slice(b"\x01n");
                headers.push(u8::try_from(entropy.below(11)).expect("small"));
                headers.extend_from_slice(&vec![0; entropy.below(18)]);
            }
        }
        let mut payload = entropy.one_of(&PAYLOADS).to_vec();
        if entropy.once_in(4) {
            entropy.mutate(&mut payload);
        }
        let lie = if entropy.once_in(16) { entropy.below(5) } else { 0 };
        let length = |some: usize| u32::try_from(some).expect("short").to_be_bytes();
        let mut message =
            [length(headers.len() + payload.len() + 16 - lie), length(headers.len() + lie)].concat();
        message.extend_from_slice(&crc(&message).to_be_bytes());
        message.extend_from_slice(&headers);
        message.extend_from_slice(&payload);
        message.extend_from_slice(&crc(&message).to_be_bytes());
        stream.extend_from_slice(&message);
    }
    if entropy.once_in(4) {
        entropy.mutate(&mut stream);
    }
    stream
}

/// The fuzz target. The first byte says what the others are: a stream as it stands, a payload, or choices for a stream to be made of
/// them.
pub fn body(data: &[u8]) {
    let Some((&kind, data)) = data.split_first() else { return };
    match kind % 3 {
        0 => {
            agree(data, &[data.len() / 3, data.len() / 2]);
        }
        1 => unwrap(data),
        _ => {
            let mut entropy = Entropy::new(data);
            let stream = stream(&mut entropy);
            let cuts = entropy.cuts(&stream);
            agree(&stream, &cuts);
        }
    }
}
