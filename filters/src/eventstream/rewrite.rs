//! Writes messages anew, with another payload: their lengths and checksums are others then, so each is held until it is whole.

use super::bytes::Unwrapper;
use super::{CHECKSUM, FRAME, HEADERS_BYTES_MAX, PRELUDE, number};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The longest message that is held. From a longer one on everything goes on as it came: those of models are some KB.
pub const HELD_BYTES_MAX: usize = 1 << 20;

/// The state between two reads.
#[derive(Clone, Debug, Default)]
pub struct Rewriter {
    /// The beginning of a message.
    held: Vec<u8>,
    /// Something was no message, or too long a one.
    passes: bool,
}

impl Rewriter {
    /// Appends to `out` what the next bytes become. `other` is given each whole payload, unwrapped where it is wrapped, and says what
    /// stands in its place, if anything else does.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>, mut other: impl FnMut(&[u8]) -> Option<Vec<u8>>) {
        if self.passes {
            return out.extend_from_slice(bytes);
        }
        self.held.extend_from_slice(bytes);
        let mut at = 0;
        while let Some(prelude) = self.held.get(at..at + PRELUDE) {
            let Some((total, headers)) = lengths(prelude) else {
                self.passes = true;
                break;
            };
            let Some(message) = self.held.get(at..at + total) else { break };
            match rewritten(message, headers, &mut other) {
                Ok(Some(other)) => out.extend_from_slice(&other),
                Ok(None) => out.extend_from_slice(message),
                Err(Broken) => {
                    self.passes = true;
                    break;
                }
            }
            at += total;
        }
        self.held.drain(..at);
        if self.passes {
            out.append(&mut self.held);
        }
    }

    /// What is held of a message that does not come any more.
    pub fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }
}

struct Broken;

/// A message's length, and that of its headers, if it is one that can be held.
fn lengths(prelude: &[u8]) -> Option<(usize, usize)> {
    let (lengths, checksum) = prelude.split_at(PRELUDE - CHECKSUM);
    let (total, headers) = (number(&lengths[..4]), number(&lengths[4..]));
    let fits = headers <= HEADERS_BYTES_MAX
        && total.checked_sub(FRAME).is_some_and(|rest| rest >= headers)
        && total as usize <= HELD_BYTES_MAX;
    (fits && crc32fast::hash(lengths) == number(checksum)).then_some((total as usize, headers as usize))
}

fn rewritten(
    message: &[u8],
    headers: usize,
    other: &mut impl FnMut(&[u8]) -> Option<Vec<u8>>,
) -> Result<Option<Vec<u8>>, Broken> {
    let (body, checksum) = message.split_at(message.len() - CHECKSUM);
    if crc32fast::hash(body) != number(checksum) {
        return Err(Broken);
    }
    let payload = &body[PRELUDE + headers..];
    let (mut inner, mut unwrapper) = (Vec::new(), Unwrapper::default());
    let unwrapped = unwrapper.feed(payload, |some| inner.extend_from_slice(some));
    let ended = unwrapper.end(|some| inner.extend_from_slice(some));
    if unwrapped.and(ended).is_err() {
        return Ok(None);
    }
    let Some(other) = other(&inner) else { return Ok(None) };
    let payload = if inner == payload { other } else { wrapped(payload, &other).ok_or(Broken)? };
    let total = u32::try_from(FRAME as usize + headers + payload.len()).map_err(|_| Broken)?;
    let mut out = Vec::with_capacity(total as usize);
    out.extend_from_slice(&total.to_be_bytes());
    out.extend_from_slice(&message[4..8]);
    out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
    out.extend_from_slice(&message[PRELUDE..PRELUDE + headers]);
    out.extend_from_slice(&payload);
    out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
    Ok(Some(out))
}

/// `{"bytes":"..."}` with other bytes; what stands behind them stays.
fn wrapped(payload: &[u8], inner: &[u8]) -> Option<Vec<u8>> {
    let colon = memchr::memchr(b':', payload)?;
    let start = colon + 1 + memchr::memchr(b'"', &payload[colon + 1..])? + 1;
    // Base64 has no quote in it, escaped or not.
    let end = start + memchr::memchr(b'"', &payload[start..])?;
    let mut out = payload[..start].to_vec();
    out.extend_from_slice(STANDARD.encode(inner).as_bytes());
    out.extend_from_slice(&payload[end..]);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::super::{Piece, Splitter};
    use super::*;

    fn message(payload: &[u8]) -> Vec<u8> {
        let headers = b"\x0b:event-type\x07\x00\x05chunk";
        let mut out = Vec::new();
        out.extend_from_slice(&u32::try_from(16 + headers.len() + payload.len()).unwrap().to_be_bytes());
        out.extend_from_slice(&u32::try_from(headers.len()).unwrap().to_be_bytes());
        out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
        out.extend_from_slice(headers);
        out.extend_from_slice(payload);
        out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
        out
    }

    fn payloads(stream: &[u8]) -> Vec<String> {
        let (mut splitter, mut all) = (Splitter::default(), Vec::new());
        let mut current = Vec::new();
        splitter
            .feed(stream, |piece| match piece {
                Piece::Begin(_) => {}
                Piece::Payload(some) => current.extend_from_slice(some),
                Piece::End => all.push(String::from_utf8(std::mem::take(&mut current)).unwrap()),
            })
            .unwrap();
        splitter.finish().unwrap();
        all
    }

    /// A longer word for `seal`, wherever it stands.
    fn longer(inner: &[u8]) -> Option<Vec<u8>> {
        let text = std::str::from_utf8(inner).unwrap();
        text.contains("seal").then(|| text.replace("seal", "seal.and-more").into_bytes())
    }

    fn fed(stream: &[u8], size: usize) -> Vec<u8> {
        let (mut rewriter, mut out) = (Rewriter::default(), Vec::new());
        stream.chunks(size).for_each(|some| rewriter.feed(some, &mut out, longer));
        out.extend(rewriter.rest());
        out
    }

    #[test]
    fn payloads_change_and_messages_stay_whole_wherever_they_are_cut() {
        let inner = STANDARD.encode(br#"{"signature":"seal"}"#);
        let stream = [
            message(br#"{"signature":"seal"}"#),
            message(b""),
            message(format!(r#"{{ "bytes": "{inner}","p":"abc"}}"#).as_bytes()),
            message(br#"{"other":1}"#),
            message(br#"{"bytes":"!"}"#),
        ]
        .concat();
        let outer = STANDARD.encode(br#"{"signature":"seal.and-more"}"#);
        for size in 1..stream.len() {
            assert_eq!(
                payloads(&fed(&stream, size)),
                [
                    r#"{"signature":"seal.and-more"}"#.to_owned(),
                    String::new(),
                    format!(r#"{{ "bytes": "{outer}","p":"abc"}}"#),
                    r#"{"other":1}"#.to_owned(),
                    r#"{"bytes":"!"}"#.to_owned(),
                ],
                "in pieces of {size}"
            );
        }
    }

    #[test]
    fn what_is_no_message_goes_on_as_it_came() {
        let good = message(br#"{"signature":"seal"}"#);
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            let stream = [bad, good.clone()].concat();
            assert_eq!(fed(&stream, 7), stream, "byte {at}");
        }
        let mut long = vec![0; HELD_BYTES_MAX];
        long[..20].fill(b'"');
        let stream = [message(&long), good.clone()].concat();
        assert_eq!(fed(&stream, 1000), stream);
        assert_eq!(fed(&good[..good.len() - 1], 5), &good[..good.len() - 1], "cut off");
        assert_eq!(fed(b"no event stream at all", 3), b"no event stream at all");
    }
}
