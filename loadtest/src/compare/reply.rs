//! Reads answers without keeping them, and compares each with the only one that is right.

use super::matter::{self, STAMP_AFTER, STAMP_DIGITS, STREAM_END};
use super::wire::{self, Framing};

/// What the right answer is.
#[derive(Clone, Debug)]
pub(crate) enum Expect {
    /// These bytes.
    Exactly(String),
    /// A stored response: its id is new each time.
    Response,
    /// A stream of this many chunks and the closing events.
    Stream {
        /// Chunks with text.
        chunks: u32,
        /// Whether the stamps in the chunks are read: [`Reply::transits`].
        stamps: bool,
    },
}

/// An answer on its way in; reused for the next one.
#[derive(Debug)]
pub(crate) struct Reply {
    expect: Expect,
    head: Vec<u8>,
    framing: Option<Framing>,
    stays: bool,
    payload: Payload,
}

/// What there was of a body.
#[derive(Debug, Default)]
pub(crate) struct Payload {
    /// The whole body, where it is short and compared.
    text: Vec<u8>,
    bytes: u64,
    /// Events, by their empty lines.
    events: u64,
    /// Chunks of the transfer coding.
    frames: u64,
    tail: Vec<u8>,
    /// Nanoseconds from the cloud's write to our read, one for each piece that carried a stamp, since last taken.
    transits: Vec<u64>,
}

/// How far an answer is after [`Reply::feed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Some of the body has arrived.
    pub(crate) begun: bool,
    /// Complete, and right.
    pub(crate) done: bool,
}

impl Reply {
    pub(crate) fn new(expect: Expect) -> Reply {
        Reply { expect, head: Vec::new(), framing: None, stays: true, payload: Payload::default() }
    }

    /// Ready for the next answer on the same connection.
    pub(crate) fn reset(&mut self) {
        self.head.clear();
        self.framing = None;
        self.payload.clear();
    }

    /// Whether the connection may be used again.
    pub(crate) fn stays(&self) -> bool {
        self.stays
    }

    /// Events of a stream so far.
    pub(crate) fn events(&self) -> u64 {
        self.payload.events
    }

    /// Chunks of the transfer coding so far.
    pub(crate) fn frames(&self) -> u64 {
        self.payload.frames
    }

    /// The body, where it is short.
    pub(crate) fn text(&self) -> &[u8] {
        &self.payload.text
    }

    /// Takes the transit times of what arrived since they were last taken.
    pub(crate) fn transits(&mut self) -> std::vec::Drain<'_, u64> {
        self.payload.transits.drain(..)
    }

    /// Reads on.
    ///
    /// # Errors
    /// The answer is not the right one: says in which way.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<Progress, String> {
        let mut rest = bytes;
        if self.framing.is_none() {
            let before = self.head.len();
            self.head.extend_from_slice(bytes);
            let Some(end) = wire::head_end(&self.head, before) else {
                return Ok(Progress { begun: false, done: false });
            };
            let (status, framing, stays) = wire::answer_head(&self.head[..end]).map_err(|e| e.to_string())?;
            if status != 200 {
                let body = String::from_utf8_lossy(&self.head[end..]).into_owned();
                return Err(format!("status {status}: {}", body.trim()));
            }
            self.stays = stays;
            self.framing = Some(framing);
            rest = &bytes[end - before..];
        }
        let framing = self.framing.as_mut().expect("the head has been read");
        let (payload, expect) = (&mut self.payload, &self.expect);
        let mut begun = false;
        let used = framing.feed(rest, |data, begins| {
            payload.frames += u64::from(begins);
            begun |= !data.is_empty();
            payload.add(data, expect);
        });
        let used = used.map_err(|error| error.to_string())?;
        if !framing.is_done() {
            return Ok(Progress { begun, done: false });
        }
        if used < rest.len() {
            return Err(format!("{} bytes after the answer's end", rest.len() - used));
        }
        self.check()?;
        Ok(Progress { begun, done: true })
    }

    fn check(&self) -> Result<(), String> {
        let Payload { text, bytes, events, tail, .. } = &self.payload;
        match &self.expect {
            Expect::Exactly(right) if text.as_slice() == right.as_bytes() => Ok(()),
            Expect::Exactly(_) => {
                let shown: String = String::from_utf8_lossy(text).chars().take(200).collect();
                Err(format!("another answer than the cloud gave, of {bytes} bytes: {shown}"))
            }
            Expect::Response => {
                let length = matter::response_object(0).len() as u64;
                if *bytes == length && text.starts_with(br#"{"id":"resp_"#) {
                    Ok(())
                } else {
                    Err(format!("no stored response: {bytes} bytes where {length} are due"))
                }
            }
            Expect::Stream { chunks, .. } => {
                let due = (u64::from(*chunks) + 2, matter::stream_bytes(*chunks));
                if (*events, *bytes) != due {
                    let (due_events, due_bytes) = due;
                    return Err(format!(
                        "a stream of {events} events and {bytes} bytes where {due_events} and {due_bytes} are due"
                    ));
                }
                if tail != STREAM_END {
                    return Err("a stream that does not end in [DONE]".to_owned());
                }
                Ok(())
            }
        }
    }
}

/// A longer body is not kept; none that is compared is.
const TEXT_BYTES_MAX: usize = 8 << 10;

impl Payload {
    fn clear(&mut self) {
        self.text.clear();
        self.tail.clear();
        (self.bytes, self.events, self.frames) = (0, 0, 0);
    }

    fn add(&mut self, data: &[u8], expect: &Expect) {
        self.bytes += data.len() as u64;
        let Expect::Stream { stamps, .. } = expect else {
            let room = TEXT_BYTES_MAX.saturating_sub(self.text.len()).min(data.len());
            self.text.extend_from_slice(&data[..room]);
            return;
        };
        // An event ends in an empty line, and there are no others: JSON has no raw line ends.
        let split = self.tail.last() == Some(&b'\n') && data.first() == Some(&b'\n');
        self.events += u64::from(split) + memchr::memmem::find_iter(data, b"\n\n").count() as u64;
        if *stamps {
            self.transits.extend(transit(data));
        }
        if data.len() >= STREAM_END.len() {
            self.tail.clear();
        }
        let from = data.len().saturating_sub(STREAM_END.len());
        self.tail.extend_from_slice(&data[from..]);
        let surplus = self.tail.len().saturating_sub(STREAM_END.len());
        self.tail.drain(..surplus);
    }
}

/// From the first stamp in this piece until now, in nanoseconds.
fn transit(data: &[u8]) -> Option<u64> {
    let at = memchr::memmem::find(data, STAMP_AFTER)? + STAMP_AFTER.len();
    let digits = std::str::from_utf8(data.get(at..at + STAMP_DIGITS)?).ok()?;
    Some(matter::stamp().saturating_sub(digits.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(expect: Expect, wire: &[u8], step: usize) -> Result<Progress, String> {
        let mut reply = Reply::new(expect);
        let mut progress = Progress { begun: false, done: false };
        for bytes in wire.chunks(step) {
            progress = reply.feed(bytes)?;
        }
        Ok(progress)
    }

    fn stream(chunks: u32, end: &str) -> Vec<u8> {
        let text = matter::event(7).repeat(chunks as usize) + end;
        let framed: String = text
            .as_bytes()
            .chunks(97)
            .map(|piece| format!("{:x}\r\n{}\r\n", piece.len(), String::from_utf8_lossy(piece)))
            .collect();
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{framed}0\r\n\r\n").into_bytes()
    }

    #[test]
    fn a_right_stream_is_right_however_it_is_cut_and_others_are_not() {
        let end = matter::closing_events().concat();
        let expect = || Expect::Stream { chunks: 5, stamps: true };
        for step in [1, 2, 3, 50, 400, 1 << 20] {
            let right = read(expect(), &stream(5, &end), step);
            assert_eq!(right.map(|progress| progress.done), Ok(true), "cut into {step}");
            assert!(read(expect(), &stream(4, &end), step).is_err(), "a chunk is missing");
            assert!(read(expect(), &stream(6, &end), step).is_err(), "a chunk too many");
            assert!(read(expect(), &stream(5, ""), step).is_err(), "no [DONE]");
            let swapped = [matter::closing_events()[1], matter::closing_events()[0]].concat();
            assert!(read(expect(), &stream(5, &swapped), step).is_err(), "[DONE] is not last");
        }
    }

    #[test]
    fn a_wrong_answer_is_named() {
        let head = |status, length| format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n");
        let right = matter::answer(1024);
        let wire = head(200, right.len()) + &right;
        let expect = || Expect::Exactly(right.clone());
        assert!(read(expect(), wire.as_bytes(), 10).expect("right").done);
        let other = matter::answer(1023);
        let why = read(expect(), (head(200, other.len()) + &other).as_bytes(), 1000).expect_err("cut body");
        assert!(why.contains("another answer"), "{why}");
        let why = read(expect(), (head(502, 3) + "bad").as_bytes(), 1000).expect_err("a refusal");
        assert_eq!(why, "status 502: bad");
        let why = read(expect(), (wire + "X").as_bytes(), 10_000).expect_err("too much");
        assert!(why.contains("after the answer"), "{why}");
    }
}
