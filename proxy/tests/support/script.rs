//! Upstreams that answer by a script, and a configuration over two of them: for every family's API, without a cloud that speaks it.

use super::origin::{Caller, Origin};
use std::sync::{Arc, Mutex};

/// What arrived at a scripted upstream: request line and header lines, and the body.
pub type Seen = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// An upstream that answers each request with what `answer` makes of its head and body, and remembers it.
pub async fn scripted(answer: impl Fn(&str, &[u8]) -> Vec<u8> + Send + Sync + 'static) -> (Origin, Seen) {
    let seen = Seen::default();
    let (kept, answer) = (Arc::clone(&seen), Arc::new(answer));
    let origin = Origin::start(move |mut caller: Caller| {
        let (kept, answer) = (Arc::clone(&kept), Arc::clone(&answer));
        async move {
            while let Some((head, body)) = caller.request().await {
                let said = answer(&head, &body);
                kept.lock().unwrap().push((head, body));
                caller.say(said).await;
            }
        }
    })
    .await;
    (origin, seen)
}

/// An answer of this type, with further header lines.
pub fn answer(content_type: &str, lines: &[(&str, &str)], body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let more: String = lines.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n{more}\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// The same, as JSON.
pub fn said(json: &serde_json::Value) -> Vec<u8> {
    answer("application/json", &[], json.to_string())
}

/// A configuration of two clouds, `a` and `b`, with an endpoint each (`a-one`, `b-one`) that speaks `dialect`; everything may go to
/// either. `keys` goes into both endpoints, and begins with `, ` if it is not empty.
pub fn two(dialect: &str, a: &str, b: &str, keys: &str, rest: &str) -> String {
    format!(
        "version: 1
listeners: [{{ name: apps, bind: 127.0.0.1:0 }}]
admin: {{ bind: 127.0.0.1:0 }}
clouds:
  a: {{ endpoints: [{{ name: a-one, dialect: {dialect}, url: \"{a}\", credential: none{keys} }}] }}
  b: {{ endpoints: [{{ name: b-one, dialect: {dialect}, url: \"{b}\", credential: none{keys} }}] }}
contract:
  enforce: r
  readings: {{ r: {{ stateful_from: continues }} }}
  terms: [{{ id: all, only: [a, b] }}]
telemetry: {{ access_log: off }}
limits: {{ connect_within: 1s, first_byte_within: 2s, idle: 2s }}
{}
",
        rest.trim_matches('\n')
    )
}

/// One message of an AWS event stream, with a JSON payload.
pub fn event(payload: &serde_json::Value) -> Vec<u8> {
    let payload = payload.to_string();
    let headers = b"\x0b:event-type\x07\x00\x05delta";
    let (total, head) = (16 + headers.len() + payload.len(), headers.len());
    let mut out =
        [u32::try_from(total).unwrap().to_be_bytes(), u32::try_from(head).unwrap().to_be_bytes()].concat();
    out.extend_from_slice(&crc(&out).to_be_bytes());
    out.extend_from_slice(headers);
    out.extend_from_slice(payload.as_bytes());
    out.extend_from_slice(&crc(&out).to_be_bytes());
    out
}

/// CRC-32 as of IEEE 802.3, bit by bit.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 },
        )
    })
}
