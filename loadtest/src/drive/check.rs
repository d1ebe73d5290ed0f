//! Is an answer whole, and is it ours? Streams are checked event by event while they arrive.

use serde_json::Value;

use crate::cloud::{Script, fill};

/// What became of a request, as its client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Answered with success, complete, and ours.
    Whole,
    /// Answered with a status of 400 or above.
    Refused,
    /// The answer broke off, and could be seen to: the transport reported it.
    Cut(String),
    /// The answer looks complete to the transport but is not, or pieces of it are missing: never acceptable.
    Broken(String),
    /// Something of another request's answer was in it: never acceptable.
    CrossTalk(String),
    /// The client went away on purpose before the end; what it had seen until then was right.
    Left,
    /// No answer: no connection, a reset before the head, or the time was over.
    Unanswered(String),
}

impl Verdict {
    /// Its name in reports.
    pub fn name(&self) -> &'static str {
        match self {
            Verdict::Whole => "whole",
            Verdict::Refused => "refused",
            Verdict::Cut(_) => "cut",
            Verdict::Broken(_) => "broken",
            Verdict::CrossTalk(_) => "cross-talk",
            Verdict::Left => "left",
            Verdict::Unanswered(_) => "unanswered",
        }
    }
}

/// What every nonce begins with, so that a foreign one is recognised wherever it turns up.
pub(crate) const NONCE_PREFIX: &str = "nonce-";
const NONCE_BYTES: usize = NONCE_PREFIX.len() + 16;

/// The first nonce in `bytes` that is not `own`.
pub(crate) fn foreign_nonce(bytes: &[u8], own: &str) -> Option<String> {
    memchr::memmem::find_iter(bytes, NONCE_PREFIX).find_map(|at| {
        let found = bytes.get(at..at + NONCE_BYTES)?;
        (found != own.as_bytes()).then(|| String::from_utf8_lossy(found).into_owned())
    })
}

/// Reads one stream of server-sent events.
pub(crate) struct StreamCheck<'a> {
    nonce: &'a str,
    script: Option<Script>,
    buffer: Vec<u8>,
    events: u64,
    /// The numbered pieces of text read so far; piece 0 is the first.
    pieces: u64,
    finished: bool,
    done: bool,
    fault: Option<Verdict>,
    /// The response's id, as soon as it has been read.
    pub(crate) id: Option<String>,
}

impl<'a> StreamCheck<'a> {
    /// `script` is how the stream was asked to go, if it was.
    pub(crate) fn new(nonce: &'a str, script: Option<Script>) -> Self {
        StreamCheck {
            nonce,
            script,
            buffer: Vec::new(),
            events: 0,
            pieces: 0,
            finished: false,
            done: false,
            fault: None,
            id: None,
        }
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        let buffer = std::mem::take(&mut self.buffer);
        let mut rest = buffer.as_slice();
        while let Some(end) = memchr::memmem::find(rest, b"\n\n") {
            self.event(&rest[..end]);
            rest = &rest[end + 2..];
        }
        self.buffer = rest.to_vec();
    }

    /// The transport says that the stream has ended well: has it?
    pub(crate) fn end(mut self) -> Verdict {
        if !self.buffer.is_empty() {
            self.blame(format!("ends within an event, after {} events", self.events));
        }
        if !self.done {
            self.blame(format!("ends without its terminal event, after {} events", self.events));
        }
        let pieces = self.pieces;
        if let Some(script) = self.script.filter(|script| script.chunks as u64 != pieces) {
            self.blame(format!("{pieces} pieces where {} were asked for", script.chunks));
        }
        self.fault.unwrap_or(Verdict::Whole)
    }

    /// The client stops reading here.
    pub(crate) fn left(self) -> Verdict {
        self.fault.unwrap_or(Verdict::Left)
    }

    /// The transport says that the stream broke off.
    pub(crate) fn cut(self, why: String) -> Verdict {
        match self.fault {
            Some(fault) => fault,
            None if self.done => Verdict::Whole, // nothing is missing: only the connection ended badly
            None => Verdict::Cut(why),
        }
    }

    fn blame(&mut self, why: String) {
        self.fault.get_or_insert(Verdict::Broken(why));
    }

    fn event(&mut self, event: &[u8]) {
        if let Some(foreign) = foreign_nonce(event, self.nonce) {
            self.fault.get_or_insert(Verdict::CrossTalk(format!("event {} carries {foreign}", self.events)));
        }
        if self.done {
            self.blame("goes on after its terminal event".to_owned());
        }
        let line = event.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"data: "));
        match line {
            Some(b"[DONE]") => {
                if !self.finished {
                    self.blame("[DONE] without a finish_reason".to_owned());
                }
                self.done = true;
            }
            Some(data) => match serde_json::from_slice::<Value>(data) {
                Ok(data) if data["type"].is_string() => self.response_event(&data),
                Ok(data) => self.chunk(&data),
                Err(error) => self.blame(format!("event {} is not JSON: {error}", self.events)),
            },
            None => self.blame(format!("event {} has no data", self.events)),
        }
        self.events += 1;
    }

    fn chunk(&mut self, data: &Value) {
        let choice = &data["choices"][0];
        if let Some(text) = choice["delta"]["content"].as_str() {
            self.piece(text);
        }
        self.finished |= choice["finish_reason"].is_string();
    }

    fn response_event(&mut self, data: &Value) {
        if data["sequence_number"].as_u64() != Some(self.events) {
            let (number, expected) = (&data["sequence_number"], self.events);
            self.blame(format!("event numbered {number} where {expected} is due"));
        }
        if let (None, Some(id)) = (&self.id, data["response"]["id"].as_str()) {
            self.id = Some(id.to_owned());
        }
        match data["type"].as_str() {
            Some("response.output_text.delta") => self.piece(data["delta"].as_str().unwrap_or_default()),
            Some("response.completed") => self.done = true,
            _ => {}
        }
    }

    /// Every piece but the first is ` NUMBER:NONCE`, filled up to the length that was asked for.
    fn piece(&mut self, text: &str) {
        let mut expected = format!(" {}:{}", self.pieces, self.nonce);
        fill(&mut expected, self.script.map_or(0, |script| script.chunk_bytes));
        if self.pieces > 0 && text != expected {
            self.blame(format!("piece {text:?} where {expected:?} is due"));
        }
        self.pieces += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &str = "nonce-00000000000000aa";

    fn stream(pieces: &[String], tail: &str) -> String {
        let chunk =
            |text: &String| format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n");
        pieces.iter().map(chunk).collect::<String>() + tail
    }

    fn verdict(stream: &str, step: usize) -> Verdict {
        let mut check = StreamCheck::new(NONCE, None);
        stream.as_bytes().chunks(step).for_each(|bytes| check.feed(bytes));
        check.end()
    }

    #[test]
    fn whole_cut_and_mixed_streams_are_told_apart() {
        let finish = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
        let piece = |number: u32| format!(" {number}:{NONCE}");
        let good = [String::from("here turn 1"), piece(1), piece(2)];
        let missing = [String::from("here turn 1"), piece(2)];
        let foreign = [String::from("here turn 1"), String::from(" 1:nonce-00000000000000ab")];
        for step in 1..40 {
            assert_eq!(verdict(&stream(&good, finish), step), Verdict::Whole);
            assert!(matches!(verdict(&stream(&good, ""), step), Verdict::Broken(_)), "no terminal event");
            assert!(
                matches!(verdict(&stream(&good, "data: [DONE]\n\n"), step), Verdict::Broken(_)),
                "a made-up [DONE]"
            );
            assert!(
                matches!(verdict(&stream(&missing, finish), step), Verdict::Broken(_)),
                "a piece is missing"
            );
            assert!(
                matches!(verdict(&stream(&foreign, finish), step), Verdict::CrossTalk(_)),
                "a foreign piece"
            );
        }
    }
}
