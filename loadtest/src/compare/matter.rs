//! What travels in a comparison: requests as the client sends them, answers as the canned cloud gives them. Both sides make
//! them here, byte for byte, so that each answer can be checked against the only right one.
//!
//! The text is chat-like: sentences with line ends and quotes that JSON must escape, several messages where it is long. A
//! body of one repeated letter would flatter a scanner.

use std::time::{SystemTime, UNIX_EPOCH};

/// The cloud's key: a proxy attaches it, and the cloud insists.
pub(crate) const KEY: &str = "canned-key";
/// The client's own credential, which must not reach the cloud.
pub(crate) const CLIENT_KEY: &str = "sk-of-the-client";
/// The model as the cloud has it.
pub(crate) const MODEL: &str = "gpt55-prod";
/// The model as clients of Riparian say it; the proxy replaces it by [`MODEL`].
pub(crate) const ALIAS: &str = "gpt-5.5";
/// The header that tells the canned cloud what to answer: `CHUNKS/GAP_US`. Absent: a plain answer.
pub(crate) const SCRIPT_HEADER: &str = "x-canned";

const TEXT: &str = "The river bends twice before the weir.\\nAsk what the \\\"old gauge\\\" read in March, and why it differs from the table below. ";

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// A chat completion with a body of this many bytes; the answer is about 600 bytes of JSON.
    Post {
        /// Length of the body, at least 256.
        body_bytes: usize,
    },
    /// A chat completion with a body of 1 KB and this many chunks of server-sent events as the answer.
    Stream {
        /// Chunks with text; one with the usage and `[DONE]` follow.
        chunks: u32,
        /// From one chunk to the next, in microseconds. 0: all at once.
        gap_us: u32,
    },
}

/// How a peer wants to be spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accent {
    /// As to Riparian: the alias of the model, the client's own key.
    Alias,
    /// As to a plain proxy that attaches the cloud's key.
    Plain,
    /// As to the cloud itself.
    Direct,
}

impl Accent {
    fn model(self) -> &'static str {
        if self == Accent::Alias { ALIAS } else { MODEL }
    }

    /// By how much a body grows on its way.
    fn growth(self) -> usize {
        MODEL.len() - self.model().len()
    }

    fn credential(self) -> String {
        match self {
            Accent::Alias | Accent::Plain => format!("authorization: Bearer {CLIENT_KEY}"),
            Accent::Direct => format!("api-key: {KEY}"),
        }
    }

    fn path(self) -> &'static str {
        if self == Accent::Alias { "/v1" } else { "/openai/v1" }
    }
}

/// A request, ready to be written.
pub(crate) fn request(ask: Ask, accent: Accent) -> Vec<u8> {
    let (body_bytes, script, rest) = match ask {
        Ask::Post { body_bytes } => (body_bytes, String::new(), ""),
        Ask::Stream { chunks, gap_us } => (
            1024,
            format!("{SCRIPT_HEADER}: {chunks}/{gap_us}\r\n"),
            r#","stream":true,"stream_options":{"include_usage":true}"#,
        ),
    };
    wire("/chat/completions", accent, &script, &chat(accent.model(), body_bytes, rest))
}

/// A request that leaves a stored response behind, or one that goes on from one and leaves nothing.
pub(crate) fn turn(previous: Option<&str>, accent: Accent) -> Vec<u8> {
    let model = accent.model();
    let cite = previous.map(|id| format!(r#","previous_response_id":"{id}""#)).unwrap_or_default();
    let (store, text) = (previous.is_none(), TEXT.repeat(6));
    let body = format!(r#"{{"model":"{model}"{cite},"store":{store},"input":"{text}"}}"#);
    wire("/responses", accent, "", &body)
}

fn wire(path: &str, accent: Accent, script: &str, body: &str) -> Vec<u8> {
    let (base, credential, length) = (accent.path(), accent.credential(), body.len());
    let head = format!(
        "POST {base}{path} HTTP/1.1\r\nhost: models.example\r\nuser-agent: OpenAI/Python 2.8.1\r\naccept: application/json\r\n\
         content-type: application/json\r\n{credential}\r\n{script}content-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body.as_bytes()].concat()
}

/// A chat completion's body of exactly this length, or the least that it can be. Messages are about 4 KB each.
fn chat(model: &str, body_bytes: usize, rest: &str) -> String {
    let mut body = format!(r#"{{"model":"{model}"{rest},"temperature":0.2,"messages":["#);
    let (open, close, end) = (r#"{"role":"user","content":""#, r#""}"#, "]}");
    let most = body_bytes.saturating_sub(close.len() + end.len());
    let long = TEXT.repeat(4096 / TEXT.len());
    while body.len() + open.len() + long.len() + close.len() + 1 + open.len() < most {
        body.extend([open, &long, close, ","]);
    }
    body.push_str(open);
    while body.len() + TEXT.len() <= most {
        body.push_str(TEXT);
    }
    body.push_str(&"x".repeat(most.saturating_sub(body.len())));
    body.extend([close, end]);
    body
}

/// The answer to a chat completion whose body reached the cloud with this length: it says so, which shows a body that was
/// cut on the way.
pub(crate) fn answer(body_bytes: u64) -> String {
    let text =
        "The old gauge read 2.31 m on the third of March, before the frost took it; the table has the new one. "
            .repeat(2);
    format!(
        r#"{{"id":"chatcmpl-canned000000000000000001","object":"chat.completion","created":1767225600,"model":"gpt-5.5-2026-01-01","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}","refusal":null,"annotations":[]}},"logprobs":null,"finish_reason":"stop"}}],"usage":{{"prompt_tokens":{body_bytes:>12},"completion_tokens":48,"total_tokens":4242}},"service_tier":"default","system_fingerprint":"fp_canned"}}"#
    )
}

/// The answer that `ask`, said in this accent, must get.
pub(crate) fn right_answer(body_bytes: usize, accent: Accent) -> String {
    let asked = chat(accent.model(), body_bytes, "").len();
    answer((asked + accent.growth()) as u64)
}

/// The answer to [`turn`]. Its length is always the same.
pub(crate) fn response_object(number: u64) -> String {
    format!(
        r#"{{"id":"{}","object":"response","created_at":1767225600,"status":"completed","model":"gpt-5.5-2026-01-01","output":[{{"type":"message","id":"msg_canned","role":"assistant","status":"completed","content":[{{"type":"output_text","text":"It read 2.31 m.","annotations":[]}}]}}],"previous_response_id":null,"store":true,"usage":{{"input_tokens":200,"output_tokens":8,"total_tokens":208}}}}"#,
        response_id(number)
    )
}

/// The id of the cloud's n-th response.
pub(crate) fn response_id(number: u64) -> String {
    format!("resp_{number:048x}")
}

/// Where a chunk carries the instant at which the cloud wrote it, nanoseconds since 1970 in [`STAMP_DIGITS`] digits.
pub(crate) const STAMP_AFTER: &[u8] = b"\"content\":\" ";
/// Digits of a stamp.
pub(crate) const STAMP_DIGITS: usize = 20;
/// What a stream ends in.
pub(crate) const STREAM_END: &[u8] = b"data: [DONE]\n\n";

/// One chunk of text: an event.
pub(crate) fn event(stamp: u64) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-canned000000000000000001\",\"object\":\"chat.completion.chunk\",\"created\":1767225600,\"model\":\"gpt-5.5-2026-01-01\",\"service_tier\":\"default\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\" {stamp:020}\"}},\"logprobs\":null,\"finish_reason\":null}}],\"usage\":null}}\n\n"
    )
}

/// The two events that follow the text.
pub(crate) fn closing_events() -> [&'static str; 2] {
    [
        "data: {\"id\":\"chatcmpl-canned000000000000000001\",\"object\":\"chat.completion.chunk\",\"created\":1767225600,\"model\":\"gpt-5.5-2026-01-01\",\"service_tier\":\"default\",\"choices\":[],\"usage\":{\"prompt_tokens\":200,\"completion_tokens\":200,\"total_tokens\":400}}\n\n",
        "data: [DONE]\n\n",
    ]
}

/// Bytes of a whole stream's body.
pub(crate) fn stream_bytes(chunks: u32) -> u64 {
    let closing: usize = closing_events().iter().map(|event| event.len()).sum();
    event(0).len() as u64 * u64::from(chunks) + closing as u64
}

/// Nanoseconds since 1970: one clock for all processes of a machine.
pub(crate) fn stamp() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_have_the_length_asked_for_and_are_json() {
        for body_bytes in [256, 1024, 5_000, 100 << 10, 1 << 20] {
            for model in [MODEL, ALIAS] {
                let body = chat(model, body_bytes, "");
                assert_eq!(body.len(), body_bytes);
                let value: serde_json::Value = serde_json::from_str(&body).expect("JSON");
                assert_eq!(value["model"], model);
            }
        }
        let body = chat(ALIAS, 1024, r#","stream":true"#);
        assert_eq!(body.len(), 1024);
        serde_json::from_str::<serde_json::Value>(&body).expect("JSON");
        let bytes = answer(1024).len();
        assert!((600..700).contains(&bytes), "an answer of about 600 bytes: {bytes}");
        assert_eq!(bytes, answer(10 << 20).len(), "always the same length");
        for text in [answer(1), response_object(7)] {
            serde_json::from_str::<serde_json::Value>(&text).expect("JSON");
        }
    }

    #[test]
    fn the_answer_tells_what_reached_the_cloud() {
        let direct = right_answer(1024, Accent::Direct);
        let alias = right_answer(1024, Accent::Alias);
        assert!(direct.contains("        1024") && alias.contains("        1027"), "{alias}");
    }
}
