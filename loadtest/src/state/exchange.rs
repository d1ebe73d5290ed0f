//! A request of a story and its answer, and what a client reads in it: ids, events, the turn that its words are of.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;

use crate::cloud::{Family, read_events};

/// One request of a story.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) family: Family,
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Bytes,
}

impl Ask {
    pub(super) fn new(family: Family, method: &'static str, path: impl Into<String>) -> Ask {
        Ask { family, method, path: path.into(), headers: Vec::new(), body: Bytes::new() }
    }

    pub(super) fn json(mut self, body: &Value) -> Ask {
        self.body = body.to_string().into();
        self.header("content-type", "application/json")
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Ask {
        self.headers.push((name, value.into()));
        self
    }
}

/// An answer that arrived whole.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// How often the step had been tried before.
    pub(super) retries: u32,
}

impl Answer {
    pub(super) fn ok(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub(super) fn header(&self, name: &str) -> Option<String> {
        Some(self.headers.get(name)?.to_str().ok()?.to_owned())
    }

    /// The string at a pointer of the body; of a stream, of the first event that has one there.
    pub(super) fn id(&self, pointer: &str) -> Option<String> {
        let of = |value: &Value| value.pointer(pointer)?.as_str().map(str::to_owned);
        of(&self.json()).or_else(|| self.events().iter().find_map(of))
    }

    /// The events of a stream, whichever way they are framed.
    pub(super) fn events(&self) -> Vec<Value> {
        let kind = self.header("content-type").unwrap_or_default();
        if kind.starts_with("application/vnd.amazon.eventstream") {
            let Ok((messages, _)) = read_events(&self.body) else { return Vec::new() };
            return messages.iter().filter_map(|(_, payload)| serde_json::from_slice(payload).ok()).collect();
        }
        let text = String::from_utf8_lossy(&self.body);
        let data = text.lines().filter_map(|line| line.strip_prefix("data:"));
        data.filter_map(|data| serde_json::from_str(data.trim()).ok()).collect()
    }

    /// Where the words came from, and which turn they are of: `NAME turn N`.
    pub(super) fn turn(&self) -> Option<(String, u64)> {
        let decoded: String = self
            .events()
            .iter()
            .filter_map(|event| STANDARD.decode(event["bytes"].as_str()?).ok())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .collect();
        turn_in(&decoded).or_else(|| turn_in(&String::from_utf8_lossy(&self.body)))
    }

    /// Status and reason, in a few words.
    pub(super) fn brief(&self) -> String {
        let reason = self.header("x-riparian-reason").unwrap_or_else(|| "from the cloud".to_owned());
        format!("{} {reason}", self.status)
    }
}

pub(super) fn turn_in(text: &str) -> Option<(String, u64)> {
    let (before, after) = text.split_once(" turn ")?;
    let name: Vec<char> =
        before.chars().rev().take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '-').collect();
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    Some((name.into_iter().rev().collect(), digits.parse().ok()?))
}
