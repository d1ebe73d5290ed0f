//! Answers as they come: JSON, server-sent events, AWS event streams.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The content type and the bytes of an answer. Of the form `chunk`, each part is wrapped as Bedrock wraps a model's own events.
pub(crate) fn answer(form: &str, parts: &[String]) -> (&'static str, Vec<u8>) {
    match form {
        "json" => ("application/json", parts.concat().into_bytes()),
        "sse" => (
            "text/event-stream",
            parts.iter().map(|part| format!("data: {part}\n\n")).collect::<String>().into_bytes(),
        ),
        "event" => (
            "application/vnd.amazon.eventstream",
            parts.iter().flat_map(|part| frame("contentBlockDelta", part)).collect(),
        ),
        "chunk" => {
            let wrapped = parts.iter().map(|part| format!(r#"{{"bytes":"{}"}}"#, STANDARD.encode(part)));
            ("application/vnd.amazon.eventstream", wrapped.flat_map(|part| frame("chunk", &part)).collect())
        }
        other => panic!("no form of answer: {other}"),
    }
}

fn frame(event: &str, payload: &str) -> Vec<u8> {
    let mut headers = Vec::new();
    for (name, value) in
        [(":message-type", "event"), (":event-type", event), (":content-type", "application/json")]
    {
        headers.push(u8::try_from(name.len()).unwrap());
        headers.extend_from_slice(name.as_bytes());
        headers.push(7);
        headers.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
        headers.extend_from_slice(value.as_bytes());
    }
    let total = u32::try_from(16 + headers.len() + payload.len()).unwrap();
    let mut message = [total.to_be_bytes(), u32::try_from(headers.len()).unwrap().to_be_bytes()].concat();
    message.extend_from_slice(&crc32fast::hash(&message).to_be_bytes());
    message.extend_from_slice(&headers);
    message.extend_from_slice(payload.as_bytes());
    message.extend_from_slice(&crc32fast::hash(&message).to_be_bytes());
    message
}
