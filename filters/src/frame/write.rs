//! Frames of our own.

use super::{CONTROL_BYTES_MAX, CloseCode, Kind, Mask};

/// Appends the head of a frame that is a whole message; its payload must follow, masked with `mask` if that is given.
pub fn write_head(out: &mut Vec<u8>, kind: Kind, mask: Option<[u8; 4]>, payload_bytes: u64) {
    out.push(0x80 | kind.opcode());
    write_length(out, mask, payload_bytes);
}

/// Appends a server's frame that is a part of a message: its `first`, its `last`, or one between them (RFC 6455, 5.4).
pub fn write_fragment(out: &mut Vec<u8>, kind: Kind, first: bool, last: bool, payload: &[u8]) {
    let opcode = if first { kind.opcode() } else { 0 };
    out.push(opcode | if last { 0x80 } else { 0 });
    write_length(out, None, payload.len() as u64);
    out.extend_from_slice(payload);
}

fn write_length(out: &mut Vec<u8>, mask: Option<[u8; 4]>, payload_bytes: u64) {
    let masked = if mask.is_some() { 0x80 } else { 0 };
    match (u8::try_from(payload_bytes), u16::try_from(payload_bytes)) {
        (Ok(short @ 0..126), _) => out.push(masked | short),
        (_, Ok(middle)) => {
            out.push(masked | 126);
            out.extend_from_slice(&middle.to_be_bytes());
        }
        _ => {
            out.push(masked | 127);
            out.extend_from_slice(&payload_bytes.to_be_bytes());
        }
    }
    out.extend_from_slice(mask.as_ref().map_or(&[], |mask| &mask[..]));
}

/// Appends a frame that is a whole message. A server gives no mask; a client one that nobody can foresee (RFC 6455, 5.3). Of a control
/// frame's payload no more is sent than fits.
pub fn write(out: &mut Vec<u8>, kind: Kind, mask: Option<[u8; 4]>, payload: &[u8]) {
    let payload = if kind.is_control() { &payload[..payload.len().min(CONTROL_BYTES_MAX)] } else { payload };
    write_head(out, kind, mask, payload.len() as u64);
    let at = out.len();
    out.extend_from_slice(payload);
    if let Some(mask) = mask {
        Mask::new(mask).undo(&mut out[at..]);
    }
}

/// Appends a close frame. [`CloseCode::NONE`] and [`CloseCode::ABNORMAL`] are never sent: the frame is empty then. A reason that is too long is cut
/// behind a whole character.
pub fn write_close(out: &mut Vec<u8>, mask: Option<[u8; 4]>, code: CloseCode, reason: &str) {
    let mut payload = Vec::with_capacity(CONTROL_BYTES_MAX);
    if CloseCode::new(code.number()).is_some() {
        payload.extend_from_slice(&code.number().to_be_bytes());
        payload.extend_from_slice(&reason.as_bytes()[..reason.floor_char_boundary(CONTROL_BYTES_MAX - 2)]);
    }
    write(out, Kind::Close, mask, &payload);
}
