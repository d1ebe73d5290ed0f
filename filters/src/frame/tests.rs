use super::*;
use proptest::prelude::*;

/// One message, as it is sent: its kind, and its frames' payloads, with control frames before each of them.
#[derive(Clone, Debug)]
struct Sent {
    kind: Kind,
    fragments: Vec<(Seen, Vec<u8>)>,
}

/// What was seen: messages with their payloads, in the order of their ends.
type Seen = Vec<(Kind, Vec<u8>)>;

/// Writes the frames of `messages`, each with its own mask.
fn wire(messages: &[Sent], masked: bool) -> (Vec<u8>, Seen) {
    let (mut out, mut seen, mut key) = (Vec::new(), Vec::new(), 0x0102_0304_u32);
    let mut mask = || {
        key = key.wrapping_mul(0x9e37_79b1).wrapping_add(77);
        masked.then_some(key.to_be_bytes())
    };
    for message in messages {
        let mut whole = Vec::new();
        for (number, (controls, payload)) in message.fragments.iter().enumerate() {
            for (kind, payload) in controls {
                write(&mut out, *kind, mask(), payload);
                seen.push((*kind, payload.clone()));
            }
            let at = out.len();
            write(&mut out, message.kind, mask(), payload);
            if number > 0 {
                out[at] &= 0xf0;
            }
            if number + 1 < message.fragments.len() {
                out[at] &= 0x7f;
            }
            whole.extend_from_slice(payload);
        }
        seen.push((message.kind, whole));
    }
    (out, seen)
}

/// Reads a stream that arrives in pieces ending at `cuts`, keeping what is not used, as a connection does. Checks that every byte is told
/// once.
fn read(bytes: &[u8], cuts: &[usize], masked: bool) -> Result<Seen, FrameError> {
    let mut frames = Frames::new(masked);
    let (mut seen, mut message, mut control) = (Seen::new(), Vec::new(), Vec::new());
    let mut at = 0;
    for end in cuts.iter().copied().chain([bytes.len()]) {
        while let Some(step) = frames.next(&bytes[at..end])? {
            let gather = if step.kind.is_control() { &mut control } else { &mut message };
            if let Piece::Payload(mask) = step.piece {
                let from = gather.len();
                gather.extend_from_slice(&bytes[at..at + step.bytes]);
                mask.undo(&mut gather[from..]);
            }
            if step.ends_message {
                seen.push((step.kind, std::mem::take(gather)));
            }
            assert_eq!(step.ends_frame, frames.is_between_frames());
            at += step.bytes;
        }
        assert!(end - at < HEAD_BYTES_MAX, "only a head is waited for");
    }
    Ok(seen)
}

fn sent() -> impl Strategy<Value = Vec<Sent>> {
    let payload = || {
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..20),
            (prop_oneof![Just(125_usize), Just(126), Just(127), Just(65_535), Just(65_536)])
                .prop_map(|bytes| vec![b'x'; bytes]),
        ]
    };
    let control = (
        prop_oneof![Just(Kind::Ping), Just(Kind::Pong)],
        proptest::collection::vec(any::<u8>(), 0..=CONTROL_BYTES_MAX),
    );
    let fragment = (proptest::collection::vec(control, 0..3), payload());
    let message =
        (prop_oneof![Just(Kind::Text), Just(Kind::Binary)], proptest::collection::vec(fragment, 1..4))
            .prop_map(|(kind, fragments)| Sent { kind, fragments });
    proptest::collection::vec(message, 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_cut_at_any_byte_changes_nothing(
        messages in sent(),
        masked in any::<bool>(),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..8),
    ) {
        let (bytes, expected) = wire(&messages, masked);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        prop_assert_eq!(read(&bytes, &[], masked).unwrap(), expected.clone());
        prop_assert_eq!(read(&bytes, &cuts, masked).unwrap(), expected.clone());
        if bytes.len() < 1000 {
            let every: Vec<usize> = (0..bytes.len()).collect();
            prop_assert_eq!(read(&bytes, &every, masked).unwrap(), expected);
        }
    }

    #[test]
    fn a_mask_undoes_itself_wherever_it_is_cut(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..80),
        key in any::<[u8; 4]>(),
        cut in 0_usize..80,
    ) {
        let before = bytes.clone();
        let cut = cut.min(bytes.len());
        Mask::new(key).undo(&mut bytes);
        for (at, (masked, plain)) in bytes.iter().zip(&before).enumerate() {
            prop_assert_eq!(*masked, plain ^ key[at % 4]);
        }
        let (first, rest) = bytes.split_at_mut(cut);
        Mask::new(key).undo(first);
        Mask::new(key).after(cut as u64).undo(rest);
        prop_assert_eq!(bytes, before);
    }
}

/// The RFC's own examples (5.7).
#[test]
fn the_rfcs_examples() {
    let hello = || vec![(Kind::Text, b"Hello".to_vec())];
    assert_eq!(read(b"\x81\x05Hello", &[], false), Ok(hello()));
    assert_eq!(read(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", &[], true), Ok(hello()));
    assert_eq!(read(b"\x01\x03Hel\x80\x02lo", &[], false), Ok(hello()));
    assert_eq!(read(b"\x89\x05Hello", &[], false), Ok(vec![(Kind::Ping, b"Hello".to_vec())]));
    let long = [&b"\x82\x7e\x01\x00"[..], &[7; 256]].concat();
    assert_eq!(read(&long, &[], false), Ok(vec![(Kind::Binary, vec![7; 256])]));
}

#[test]
fn what_breaks_the_rules_is_a_fault_at_its_first_byte_that_shows_it() {
    for (what, bytes, masked) in [
        ("a reserved bit", &b"\xc1"[..], false),
        ("a reserved bit", b"\xa1", false),
        ("a reserved bit", b"\x91", false),
        ("a reserved opcode", b"\x83", false),
        ("a reserved opcode", b"\x8b", false),
        ("a reserved opcode", b"\x8f", false),
        ("a continuation of no message", b"\x80", false),
        ("a continuation of no message", b"\x81\x00\x80", false),
        ("a message inside another", b"\x01\x00\x81", false),
        ("a message inside another", b"\x01\x00\x02", false),
        ("a control frame in fragments", b"\x09", false),
        ("a control frame in fragments", b"\x08", false),
        ("a control frame that is too long", b"\x89\x7e", false),
        ("a control frame that is too long", b"\x88\xff", true),
        ("a frame with a mask", b"\x81\x80", false),
        ("a frame without a mask", b"\x81\x05", true),
        ("a length that is longer than it need be", b"\x82\x7e\x00\x7d", false),
        ("a length that is longer than it need be", b"\x82\x7f\0\0\0\0\0\0\xff\xff", false),
        ("a length of 64 bits", b"\x82\x7f\x80\0\0\0\0\0\0\0", false),
        ("half a close code", b"\x88\x01", false),
        ("half a close code", b"\x88\x81\0\0\0\0", true),
    ] {
        assert_eq!(read(bytes, &[], masked), Err(FrameError(what)), "{bytes:x?}");
        let (before, _) = bytes.split_at(bytes.len() - 1);
        assert!(read(before, &[], masked).is_ok(), "{bytes:x?}: sooner than it shows");
    }
}

#[test]
fn control_frames_stand_between_fragments_and_leave_them_be() {
    let mut frames = Frames::new(false);
    let mut at: &[u8] = b"\x01\x01a\x89\x01p\x80\x01b";
    let mut between = Vec::new();
    while let Some(step) = frames.next(at).unwrap() {
        at = &at[step.bytes..];
        between.push((frames.is_between_frames(), frames.is_between_messages()));
    }
    let half = (false, false);
    assert_eq!(between, [half, (true, false), half, (true, false), half, (true, true)]);
}

#[test]
fn nothing_stands_behind_a_close_frame() {
    let mut bytes = Vec::new();
    write_close(&mut bytes, None, CloseCode::POLICY, "no");
    let close = bytes.clone();
    write(&mut bytes, Kind::Text, None, b"more");
    let mut frames = Frames::new(false);
    let mut used = 0;
    while let Some(step) = frames.next(&bytes[used..]).unwrap() {
        assert!(!frames.is_closed() || step.ends_frame);
        used += step.bytes;
    }
    assert!(frames.is_closed());
    assert_eq!(used, close.len());
    assert_eq!(close, b"\x88\x04\x03\xf0no");
}

#[test]
fn our_own_frames_keep_the_rules() {
    let mut out = Vec::new();
    write_close(&mut out, Some([1, 2, 3, 4]), CloseCode::GOING_AWAY, &"é".repeat(100));
    let seen = read(&out, &[], true).unwrap();
    let payload = &seen[0].1;
    assert_eq!(payload[..2], [0x03, 0xe9]);
    assert_eq!(std::str::from_utf8(&payload[2..]).unwrap(), "é".repeat(61), "cut behind a whole character");
    let mut out = Vec::new();
    write_close(&mut out, None, CloseCode::ABNORMAL, "never said");
    assert_eq!(out, b"\x88\x00");
    let mut out = Vec::new();
    write(&mut out, Kind::Ping, None, &[0; 200]);
    assert_eq!(out.len(), 2 + CONTROL_BYTES_MAX);
}
