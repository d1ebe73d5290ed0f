//! What we say on a socket ourselves: the head that begins it, error events in the vendor's form, and why it ends.

use crate::record::{DecisionId, Record};
use crate::refuse::Refusal;
use crate::relay::head::AnswerHead;
use crate::snapshot::Snapshot;
use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderValue, Method, StatusCode};
use riparian_filters::decision::{Decision, Reason};
use riparian_filters::frame::{self, CloseCode, Kind};
use std::sync::Arc;
use std::time::Instant;

/// The head that begins the client's socket, with what the upstream's head says besides.
pub(super) fn switching(
    record: &Record,
    accept: &str,
    protocol: Option<&[u8]>,
    upstream: Option<AnswerHead>,
) -> Bytes {
    let mut head = upstream.unwrap_or_else(|| AnswerHead::new(StatusCode::SWITCHING_PROTOCOLS));
    let lines = &mut head.lines;
    let ours = [
        SEC_WEBSOCKET_ACCEPT,
        SEC_WEBSOCKET_PROTOCOL,
        SEC_WEBSOCKET_EXTENSIONS,
        CONTENT_LENGTH,
        TRANSFER_ENCODING,
    ];
    lines.retain(|name| !ours.contains(name));
    lines.push(UPGRADE, HeaderValue::from_static("websocket"));
    lines.push(CONNECTION, HeaderValue::from_static("Upgrade"));
    lines.push(SEC_WEBSOCKET_ACCEPT, HeaderValue::from_str(accept).expect("Base64"));
    if let Some(protocol) = protocol.and_then(|protocol| HeaderValue::from_bytes(protocol).ok()) {
        lines.push(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    record.tag(lines);
    let mut out = Vec::with_capacity(512);
    head.write(&mut out);
    out.extend_from_slice(b"\r\n");
    out.into()
}

/// A refusal as an error event: the vendor's envelope, with its type and its status beside it.
pub(super) fn error_event(
    snapshot: &Arc<Snapshot>,
    id: DecisionId,
    decision: Option<Box<Decision>>,
    refusal: &Refusal,
) -> Vec<u8> {
    // The terms that are cited are those of the message's own decision, under the configuration that it was made by.
    let mut record = Record::new(id, Arc::clone(snapshot), Method::GET, Instant::now());
    record.decision = decision;
    event(refusal.status, &refusal.body(&record))
}

/// `{"error": ...}` as an event.
pub(super) fn event(status: u16, envelope: &[u8]) -> Vec<u8> {
    let mut text = format!("{{\"type\":\"error\",\"status\":{status},").into_bytes();
    text.extend_from_slice(envelope.strip_prefix(b"{").unwrap_or(b"}"));
    let mut out = Vec::with_capacity(text.len() + frame::HEAD_BYTES_MAX);
    frame::write(&mut out, Kind::Text, None, &text);
    out
}

/// The code that a socket ends with for this reason.
pub(super) fn close_code(reason: Reason) -> CloseCode {
    match reason {
        Reason::BodyTooLarge => CloseCode::TOO_BIG,
        Reason::SocketMalformed => CloseCode::PROTOCOL_ERROR,
        Reason::Draining => CloseCode::GOING_AWAY,
        reason if reason.is_passing() => CloseCode::TRY_AGAIN,
        reason if reason.status() >= 500 => CloseCode::INTERNAL,
        _ => CloseCode::POLICY,
    }
}

/// A close frame for a client.
pub(super) fn close(code: CloseCode, why: &str) -> Vec<u8> {
    let mut out = Vec::new();
    frame::write_close(&mut out, None, code, why);
    out
}

/// A close frame for an upstream.
pub(super) fn close_upstream(code: CloseCode) -> Vec<u8> {
    let mut out = Vec::new();
    frame::write_close(&mut out, Some(rand::random()), code, "");
    out
}
