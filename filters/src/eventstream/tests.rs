use super::*;
use proptest::prelude::*;

/// What a stream told, with the payload of each message put together.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    /// The four labels, in the order of [`Labels`].
    messages: Vec<([Option<String>; 4], Vec<u8>)>,
    ended: usize,
    result: Option<FrameError>,
}

fn read<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> Told {
    let (mut told, mut splitter) = (Told::default(), Splitter::default());
    for piece in pieces {
        let result = splitter.feed(piece, |piece| {
            assert_eq!(told.result, None, "nothing comes after an error");
            match piece {
                Piece::Begin(labels) => {
                    assert_eq!(told.ended, told.messages.len(), "the message before has ended");
                    let all =
                        [labels.message_type, labels.event_type, labels.exception_type, labels.content_type];
                    told.messages.push((all.map(|label| label.map(str::to_owned)), Vec::new()));
                }
                Piece::Payload(some) => {
                    assert!(!some.is_empty());
                    told.messages.last_mut().expect("one began").1.extend_from_slice(some);
                }
                Piece::End => told.ended += 1,
            }
        });
        if told.result.is_some() {
            assert_eq!(result.err(), told.result, "an error stays");
        }
        told.result = result.err();
    }
    if told.result.is_some() {
        assert_eq!(splitter.finish().err(), told.result);
    }
    told.result = splitter.finish().err();
    told
}

/// Reads `stream` whole, byte by byte and cut in two at every byte: always the same.
fn anyhow(stream: &[u8]) -> Told {
    let whole = read([stream]);
    assert_eq!(read(stream.chunks(1)), whole, "byte by byte");
    for cut in 0..=stream.len() {
        assert_eq!(read([&stream[..cut], &[], &stream[cut..]]), whole, "cut at {cut}");
    }
    whole
}

/// CRC-32 (ISO 3309), bit by bit.
fn crc(bytes: &[u8]) -> [u8; 4] {
    let mut rest = u32::MAX;
    for byte in bytes {
        rest ^= u32::from(*byte);
        for _ in 0..8 {
            rest = if rest & 1 == 1 { rest >> 1 ^ 0xEDB8_8320 } else { rest >> 1 };
        }
    }
    (!rest).to_be_bytes()
}

/// A message with these lengths, whatever it holds.
fn framed(total: u32, headers_bytes: u32, rest: &[u8]) -> Vec<u8> {
    let mut message = [total.to_be_bytes(), headers_bytes.to_be_bytes()].concat();
    message.extend_from_slice(&crc(&message));
    message.extend_from_slice(rest);
    message.extend_from_slice(&crc(&message));
    message
}

fn message(headers: &[u8], payload: &[u8]) -> Vec<u8> {
    let bytes = |some: &[u8]| u32::try_from(some.len()).unwrap();
    framed(16 + bytes(headers) + bytes(payload), bytes(headers), &[headers, payload].concat())
}

fn text(name: &str, value: &str) -> Vec<u8> {
    let name_bytes = u8::try_from(name.len()).unwrap();
    let value_bytes = u16::try_from(value.len()).unwrap().to_be_bytes();
    [&[name_bytes], name.as_bytes(), &[7], &value_bytes, value.as_bytes()].concat()
}

// The vectors of AWS's own SDKs.
const EMPTY: &[u8] = b"\0\0\0\x10\0\0\0\0\x05\xc2H\xeb}\x98\xc8\xff";
const INTEGER: &[u8] =
    b"\0\0\0\x2d\0\0\0\x10\x41\xc4\x24\xb8\nevent-type\x04\0\0\xa0\x0c{'foo':'bar'}\x36\xf4\x80\xa0";
const NO_HEADERS: &[u8] = b"\0\0\0\x1d\0\0\0\0\xfdR\x8cZ{'foo':'bar'}\xc3e96";
const ONE_HEADER: &[u8] =
    b"\0\0\0=\0\0\0 \x07\xfd\x83\x96\x0ccontent-type\x07\0\x10application/json{'foo':'bar'}\x8d\x9c\x08\xb1";
const ALL_TYPES: &[u8] = b"\0\0\0\x62\0\0\0\x52\x03\xb5\xcb\x9c\
    \x010\0\x011\x01\x012\x02\x02\x013\x03\0\x03\x014\x04\0\0\0\x04\x015\x05\0\0\0\0\0\0\0\x05\
    \x016\x06\0\x05bytes\x017\x07\0\x04utf8\x018\x08\0\0\0\0\0\0\0\x08\x019\x090123456789abcdef\x63\x35\x36\x71";

#[test]
fn the_vectors_of_awss_sdks_are_read() {
    let stream = [EMPTY, INTEGER, NO_HEADERS, ONE_HEADER, ALL_TYPES].concat();
    let told = anyhow(&stream);
    assert_eq!((told.ended, told.result), (5, None));
    let payloads: Vec<&[u8]> = told.messages.iter().map(|(_, payload)| &payload[..]).collect();
    let foobar = b"{'foo':'bar'}".as_slice();
    assert_eq!(payloads, [b"".as_slice(), foobar, foobar, foobar, b""]);
    assert!(told.messages.iter().all(|(labels, _)| *labels == [const { None }; 4]), "names have a colon");
}

#[test]
fn the_broken_vectors_of_awss_sdks_are_refused() {
    let with = |at: usize, byte: u8| {
        let mut message = ONE_HEADER.to_vec();
        message[at] = byte;
        message
    };
    for (name, stream, error) in [
        ("corrupted_length", with(3, 0x3e), FrameError::PreludeChecksum),
        ("corrupted_header_len", with(7, 0x21), FrameError::PreludeChecksum),
        ("corrupted_headers", with(13, b'a'), FrameError::MessageChecksum),
        ("corrupted_payload", with(45, b'a'), FrameError::MessageChecksum),
    ] {
        let told = anyhow(&[&stream[..], NO_HEADERS].concat());
        assert_eq!((told.ended, told.result), (0, Some(error)), "{name}");
    }
}

#[test]
fn a_messages_labels_are_told() {
    let headers = [
        text(":event-type", "chunk"),
        text(":content-type", "application/json"),
        text(":message-type", "event"),
    ];
    let event = message(&headers.concat(), br#"{"bytes":"e30="}"#);
    let headers = [
        text(":exception-type", "throttlingException"),
        text(":exception-typed", "x"),
        text("x", ""),
        text(":message-type", "exception"),
    ];
    let exception = message(&headers.concat(), b"");
    let told = anyhow(&[event, exception].concat());
    assert_eq!((told.ended, told.result), (2, None));
    let some = |label: &str| Some(label.to_owned());
    assert_eq!(told.messages[0].0, [some("event"), some("chunk"), None, some("application/json")]);
    assert_eq!(told.messages[0].1, br#"{"bytes":"e30="}"#);
    assert_eq!(told.messages[1].0, [some("exception"), None, some("throttlingException"), None]);
}

#[test]
fn broken_headers_and_lengths_are_refused() {
    let label = |kind: u8, rest: &[u8]| [b"\x0b:event-type".as_slice(), &[kind], rest].concat();
    let twice = [text(":event-type", ""), text(":event-type", "")].concat();
    for (name, stream, error) in [
        ("a header without a name", message(b"\0\x07\0\0", b""), FrameError::Headers),
        ("an unknown type", message(b"\x01a\x0a", b""), FrameError::Headers),
        ("headers that end early", message(b"\x01a\x07\0\x04abc", b""), FrameError::Headers),
        ("a label that is a number", message(&label(4, b"\0\0\0\0"), b""), FrameError::Label),
        ("a label that is no text", message(&label(7, b"\0\x01\xff"), b""), FrameError::Label),
        ("a label that is long", message(&text(":event-type", &"x".repeat(257)), b""), FrameError::Label),
        ("two of one label", message(&twice, b""), FrameError::Label),
        ("a total below the frame", framed(15, 0, b""), FrameError::Length),
        ("a total below the headers", framed(20, 5, b""), FrameError::Length),
        ("headers too long", framed(16 + 131_073, 131_073, b""), FrameError::Length),
        ("a payload too long", framed(17 + (24 << 20), 0, b""), FrameError::Length),
        ("the greatest numbers", framed(u32::MAX, u32::MAX, b""), FrameError::Length),
        ("half a message", NO_HEADERS[..20].to_vec(), FrameError::Truncated),
        ("half a prelude", NO_HEADERS[..3].to_vec(), FrameError::Truncated),
        ("nearly a message", NO_HEADERS[..28].to_vec(), FrameError::Truncated),
        ("another kind of stream", b"data: {\"a\":1}\n\n".to_vec(), FrameError::PreludeChecksum),
    ] {
        assert_eq!(anyhow(&stream).result, Some(error), "{name}");
    }
    let told = anyhow(&message(&text(":event-type", &"x".repeat(256)), b""));
    assert_eq!((told.ended, told.result), (1, None), "just so long");
}

#[test]
fn a_long_message_is_read_in_pieces() {
    let headers: Vec<u8> =
        std::iter::repeat_n([b"\x01a\x06\xff\xfb".as_slice(), &[7; 65_531]].concat(), 2).flatten().collect();
    assert_eq!(headers.len(), 131_072);
    let payload = vec![b'x'; 1 << 20];
    let stream = message(&headers, &payload);
    let (mut begun, mut bytes, mut ended) = (0, 0, 0);
    let mut splitter = Splitter::default();
    for piece in stream.chunks(16_000) {
        splitter
            .feed(piece, |piece| match piece {
                Piece::Begin(_) => begun += 1,
                Piece::Payload(some) => bytes += some.len(),
                Piece::End => ended += 1,
            })
            .unwrap();
    }
    assert_eq!((begun, bytes, ended), (1, 1 << 20, 1));
    let longest = &framed(16 + (24 << 20), 0, b"")[..12];
    splitter.feed(longest, |_| begun += 1).unwrap();
    assert_eq!(begun, 2, "a payload may be so long");
}

proptest! {
    #[test]
    fn any_messages_are_read_however_they_are_cut(
        all in proptest::collection::vec(("[a-z:-]{1,20}", ".{0,12}", proptest::collection::vec(any::<u8>(), 0..40)), 0..5),
        event_type in "[A-Za-z]{0,12}",
    ) {
        let mut stream = Vec::new();
        for (name, value, payload) in &all {
            // `a` keeps chance from making a label.
            let headers = [text(&format!("a{name}"), value), text(":event-type", &event_type)].concat();
            stream.extend(message(&headers, payload));
        }
        let told = anyhow(&stream);
        prop_assert_eq!((told.ended, told.result), (all.len(), None));
        for ((labels, payload), (_, _, expected)) in told.messages.iter().zip(&all) {
            prop_assert_eq!(labels[1].as_ref(), Some(&event_type));
            prop_assert_eq!(payload, expected);
        }
    }

    #[test]
    fn one_wrong_bit_is_found(bit in 0..ONE_HEADER.len() * 8) {
        let mut stream = ONE_HEADER.to_vec();
        stream[bit / 8] ^= 1 << (bit % 8);
        let told = read([&stream[..], NO_HEADERS]);
        prop_assert!(told.result.is_some() && told.ended == 0);
    }

    #[test]
    fn any_bytes_are_read_or_refused(stream in proptest::collection::vec(any::<u8>(), 0..60)) {
        let headers = message(&stream, b"x");
        anyhow(&stream);
        anyhow(&headers);
    }
}
