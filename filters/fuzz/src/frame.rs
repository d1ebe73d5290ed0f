//! The frame splitter, against itself in other pieces, and against a reading of the RFC's prose, frame by frame over whole bytes.

use super::entropy::Entropy;
use riparian_filters::frame::{CloseCode, Frames, HEAD_BYTES_MAX, Kind, Piece, write, write_close};

/// What was heard: whole messages, as opcode and payload, and what came of one that is not whole.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Heard {
    pub messages: Vec<(u8, Vec<u8>)>,
    pub unended: Vec<u8>,
    pub faulty: bool,
}

fn opcode(kind: Kind) -> u8 {
    match kind {
        Kind::Text => 1,
        Kind::Binary => 2,
        Kind::Close => 8,
        Kind::Ping => 9,
        Kind::Pong => 10,
    }
}

/// Reads `bytes` as they come, in pieces that end at `cuts`; what is not used waits for more.
pub fn hear(bytes: &[u8], cuts: impl IntoIterator<Item = usize>, masked: bool) -> Heard {
    let mut frames = Frames::new(masked);
    let (mut heard, mut control, mut at) = (Heard::default(), Vec::new(), 0);
    for end in cuts {
        loop {
            let step = match frames.next(&bytes[at..end]) {
                Ok(Some(step)) => step,
                Ok(None) => break,
                Err(_) => {
                    heard.faulty = true;
                    return heard;
                }
            };
            assert!(step.bytes > 0 && at + step.bytes <= end, "a step goes on, within what is there");
            let gather = if step.kind.is_control() { &mut control } else { &mut heard.unended };
            match step.piece {
                Piece::Head(head) => assert!(step.bytes <= HEAD_BYTES_MAX && head.kind == step.kind),
                Piece::Payload(mask) => {
                    let from = gather.len();
                    gather.extend_from_slice(&bytes[at..at + step.bytes]);
                    mask.undo(&mut gather[from..]);
                }
            }
            if step.ends_message {
                heard.messages.push((opcode(step.kind), std::mem::take(gather)));
            }
            at += step.bytes;
        }
        assert!(frames.is_closed() || end - at < HEAD_BYTES_MAX, "it waits for a head and for nothing else");
    }
    // Of a control frame that is not whole, nothing is told.
    heard
}

struct Frame {
    opcode: u8,
    fin: bool,
    payload: Vec<u8>,
    used: usize,
    whole: bool,
}

/// RFC 6455, 5.2 to 5.6, read aloud; `None` when the head is not all there.
fn frame(bytes: &[u8], masked: bool) -> Result<Option<Frame>, ()> {
    let [first, rest @ ..] = bytes else { return Ok(None) };
    let (fin, rsv, opcode) = (first >> 7 == 1, first >> 4 & 7, first & 15);
    let control = opcode >= 8;
    if rsv != 0 || matches!(opcode, 3..=7 | 11..=15) || control && !fin {
        return Err(());
    }
    let [second, rest @ ..] = rest else { return Ok(None) };
    if (second >> 7 == 1) != masked || control && second & 127 > 125 {
        return Err(());
    }
    let wide = match second & 127 {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    if rest.len() < wide {
        return Ok(None);
    }
    let (wide, rest) = rest.split_at(wide);
    let length = wide.iter().fold(0_u64, |length, byte| length << 8 | u64::from(*byte));
    let length = if wide.is_empty() { u64::from(second & 127) } else { length };
    if wide.len() == 2 && length <= 125 || wide.len() == 8 && (length <= 0xffff || length >= 1 << 63) {
        return Err(());
    }
    let key = if masked { 4 } else { 0 };
    if rest.len() < key {
        return Ok(None);
    }
    if opcode == 8 && length == 1 {
        return Err(());
    }
    let (key, rest) = rest.split_at(key);
    let there = usize::try_from(length).unwrap_or(usize::MAX).min(rest.len());
    let payload = rest[..there]
        .iter()
        .enumerate()
        .map(|(at, byte)| if masked { byte ^ key[at % 4] } else { *byte })
        .collect();
    let used = bytes.len() - rest.len() + there;
    Ok(Some(Frame { opcode, fin, payload, used, whole: there as u64 == length }))
}

fn naive(mut bytes: &[u8], masked: bool) -> Heard {
    let (mut heard, mut message) = (Heard::default(), None);
    loop {
        // What stands in the wrong place is a fault as soon as its first byte is there.
        if let Some(first) = bytes.first() {
            let opcode = first & 15;
            let misplaced = opcode == 0 && message.is_none() || matches!(opcode, 1 | 2) && message.is_some();
            if misplaced {
                heard.faulty = true;
                return heard;
            }
        }
        match frame(bytes, masked) {
            Err(()) => {
                heard.faulty = true;
                return heard;
            }
            Ok(None) => return heard,
            Ok(Some(Frame { opcode, fin, payload, used, whole })) => {
                bytes = &bytes[used..];
                if opcode >= 8 {
                    if whole {
                        heard.messages.push((opcode, payload));
                    }
                    if !whole || opcode == 8 {
                        return heard;
                    }
                    continue;
                }
                let kind = *message.get_or_insert(opcode);
                heard.unended.extend(payload);
                if !whole {
                    return heard;
                }
                if fin {
                    heard.messages.push((kind, std::mem::take(&mut heard.unended)));
                    message = None;
                }
            }
        }
    }
}

/// Frames put together, and then damaged a little or not at all.
#[must_use]
pub fn stream(entropy: &mut Entropy<'_>, masked: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let mut open = false;
    for _ in 0..entropy.below(10) {
        let mask = masked.then(|| [entropy.byte(), entropy.byte(), entropy.byte(), entropy.byte()]);
        let at = out.len();
        match entropy.below(8) {
            0 => write(&mut out, Kind::Ping, mask, b"ping"),
            1 => write(&mut out, Kind::Pong, mask, &[0; 125]),
            2 if entropy.once_in(4) => write_close(&mut out, mask, CloseCode::NORMAL, "why"),
            _ => {
                let length = *entropy.one_of(&[&0_usize, &1, &5, &125, &126, &300, &66_000]);
                write(&mut out, Kind::Text, mask, &vec![entropy.byte(); length]);
                if open {
                    out[at] &= 0xf0;
                }
                open = entropy.once_in(3);
                if open {
                    out[at] &= 0x7f;
                }
            }
        }
    }
    if entropy.once_in(3) {
        entropy.mutate(&mut out);
    }
    out
}

/// Reads `bytes` whole, cut, and by the prose: the same is heard.
///
/// # Panics
/// When it is not.
pub fn agree(bytes: &[u8], cuts: &[usize], masked: bool) -> Heard {
    let whole = hear(bytes, [bytes.len()], masked);
    let cut = hear(bytes, cuts.iter().copied().chain([bytes.len()]), masked);
    assert_eq!(cut, whole, "cut at {cuts:?}: {}", bytes.escape_ascii());
    if bytes.len() < 512 {
        assert_eq!(hear(bytes, 1..=bytes.len(), masked), whole, "byte by byte: {}", bytes.escape_ascii());
    }
    assert_eq!(naive(bytes, masked), whole, "{}", bytes.escape_ascii());
    whole
}

/// The fuzz target. The first byte says what the others are: frames as they stand, or choices for some to be made of them.
pub fn body(data: &[u8]) {
    let Some((&kind, data)) = data.split_first() else { return };
    let masked = kind & 2 == 0;
    if kind & 1 == 0 {
        agree(data, &[data.len() / 3, data.len() / 2], masked);
    } else {
        let mut entropy = Entropy::new(data);
        let bytes = stream(&mut entropy, masked);
        let cuts = entropy.cuts(&bytes);
        agree(&bytes, &cuts, masked);
    }
}
