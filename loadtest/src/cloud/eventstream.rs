//! AWS event streams: `[total u32][headers u32][CRC of these][headers][payload][CRC of all before]`, big-endian; a header is
//! `[name length u8][name][7: a string][length u16][value]`.

use bytes::{BufMut as _, Bytes, BytesMut};
use serde_json::Value;

use super::answer::json;

/// One message of type `event`.
pub(crate) fn event(event_type: &str, payload: &Value) -> Bytes {
    let headers =
        [(":event-type", event_type), (":content-type", "application/json"), (":message-type", "event")];
    message(&headers, &json(payload))
}

/// One message of any type.
pub(crate) fn message(headers: &[(&str, &str)], payload: &[u8]) -> Bytes {
    let headers_bytes: usize = headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    let total = 16 + headers_bytes + payload.len();
    let mut out = BytesMut::with_capacity(total);
    out.put_u32(length(total));
    out.put_u32(length(headers_bytes));
    out.put_u32(crc32fast::hash(&out));
    for (name, value) in headers {
        out.put_u8(u8::try_from(name.len()).expect("names are written here and short"));
        out.put_slice(name.as_bytes());
        out.put_u8(7);
        out.put_u16(u16::try_from(value.len()).expect("values are written here and short"));
        out.put_slice(value.as_bytes());
    }
    out.put_slice(payload);
    out.put_u32(crc32fast::hash(&out));
    out.freeze()
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a message is far below 24 MiB")
}

/// A message read back: its headers and payload.
pub type EventMessage = (Vec<(String, String)>, Vec<u8>);

/// The messages that stand whole at the start of `bytes`, and how many bytes they take; an error if a checksum or a length
/// is wrong.
///
/// # Errors
/// What is wrong with them, in words.
pub fn read_events(bytes: &[u8]) -> Result<(Vec<EventMessage>, usize), String> {
    const TOTAL_MAX: usize = 24 << 20;
    let word = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let (mut at, mut messages) = (0, Vec::new());
    while bytes.len() >= at + 16 {
        let (total, headers_bytes) = (word(at) as usize, word(at + 4) as usize);
        if !(16..=TOTAL_MAX).contains(&total) || headers_bytes > total - 16 {
            return Err(format!("no message has {total} bytes, {headers_bytes} of them headers"));
        }
        if crc32fast::hash(&bytes[at..at + 8]) != word(at + 8) {
            return Err("the prelude's checksum is wrong".to_owned());
        }
        if bytes.len() < at + total {
            break;
        }
        let end = at + total - 4;
        if crc32fast::hash(&bytes[at..end]) != word(end) {
            return Err("the message's checksum is wrong".to_owned());
        }
        let payload_at = at + 12 + headers_bytes;
        let headers = headers(&bytes[at + 12..payload_at]).ok_or("headers that are not strings")?;
        messages.push((headers, bytes[payload_at..end].to_vec()));
        at += total;
    }
    Ok((messages, at))
}

fn headers(mut bytes: &[u8]) -> Option<Vec<(String, String)>> {
    let mut headers = Vec::new();
    while let Some((&name_bytes, rest)) = bytes.split_first() {
        let (name, rest) = rest.split_at_checked(name_bytes.into())?;
        let rest = rest.strip_prefix(&[7])?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let (value, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        headers.push((String::from_utf8(name.to_vec()).ok()?, String::from_utf8(value.to_vec()).ok()?));
        bytes = rest;
    }
    Some(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_damage_is_noticed() {
        let one = event("chunk", &serde_json::json!({"a": 1}));
        let two = [&one[..], &one[..]].concat();
        let (messages, used) =
            read_events(&two[..two.len() - 1]).expect("a whole message and most of another");
        assert_eq!((messages.len(), used), (1, one.len()));
        assert_eq!(messages[0].0[0], (":event-type".to_owned(), "chunk".to_owned()));
        assert_eq!(messages[0].1, br#"{"a":1}"#);
        for at in [0, 9, 20, one.len() - 6, one.len() - 1] {
            let mut bad = one.to_vec();
            bad[at] ^= 1;
            assert!(
                read_events(&bad).is_err() || read_events(&bad).is_ok_and(|(found, _)| found.is_empty()),
                "byte {at}"
            );
        }
    }

    #[test]
    fn the_checksums_are_those_of_the_published_vectors() {
        // The empty message of the event stream test vectors.
        let empty = message(&[], b"");
        assert_eq!(empty[..], [0, 0, 0, 0x10, 0, 0, 0, 0, 5, 0xc2, 0x48, 0xeb, 0x7d, 0x98, 0xc8, 0xff]);
    }
}
