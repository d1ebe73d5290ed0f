//! Our own handshake towards an endpoint, and what of the client's goes into it.

use crate::relay::head::{AnswerHead, RequestHead};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderMap, HeaderValue, StatusCode};
use riparian_config::Socket;
use riparian_filters::frame::{self, Nonce};

/// A handshake that an endpoint is to answer.
#[derive(Debug)]
pub(crate) struct Asking {
    key: String,
    /// Subprotocols that are offered.
    protocols: Vec<Vec<u8>>,
}

/// A browser cannot set headers on a socket: the vendor has it offer its key as a subprotocol.
const KEY: &[u8] = b"openai-insecure-api-key.";

/// Words in a subprotocol by which it is taken for a credential. It does not go on: what is secret is for nobody but the proxy.
const SECRETS: [&str; 6] = ["key", "token", "bearer", "auth", "secret", "password"];

/// Longer ones are no names.
const PROTOCOL_BYTES_MAX: usize = 128;

impl Asking {
    /// A handshake with what the client offers. A client that is answered before its cloud is known must know its subprotocol then: only
    /// that one is offered.
    pub(super) fn new(headers: &HeaderMap, kind: Socket) -> Self {
        let nonce: Nonce = rand::random();
        let offered = frame::protocols(headers).filter(|protocol| !is_secret(protocol)).map(<[u8]>::to_vec);
        let protocols = match kind {
            Socket::Upgrade => offered.collect(),
            Socket::Message => offered.take(1).collect(),
        };
        Self { key: STANDARD.encode(nonce), protocols }
    }

    /// The subprotocol, where we are the ones to choose it.
    pub(super) fn chosen(&self) -> Option<&[u8]> {
        self.protocols.first().map(Vec::as_slice)
    }

    /// Whether `head` switches to what was asked for.
    pub(crate) fn is_accepted(&self, head: &AnswerHead) -> bool {
        let offered: Vec<&[u8]> = self.protocols.iter().map(Vec::as_slice).collect();
        head.status == StatusCode::SWITCHING_PROTOCOLS
            && frame::is_accepted(self.key.as_bytes(), &offered, |name| head.lines.all(name))
    }

    /// The lines that ask.
    pub(crate) fn lines(&self, mut line: impl FnMut(&str, &[u8])) {
        line("connection", b"Upgrade");
        line("upgrade", b"websocket");
        line("sec-websocket-version", b"13");
        line("sec-websocket-key", self.key.as_bytes());
        if !self.protocols.is_empty() {
            line(SEC_WEBSOCKET_PROTOCOL.as_str(), &self.protocols.join(&b", "[..]));
        }
    }
}

fn is_secret(protocol: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(protocol) else { return true };
    let text = text.to_ascii_lowercase();
    text.len() > PROTOCOL_BYTES_MAX || SECRETS.iter().any(|word| text.contains(word))
}

/// The head with the key among its subprotocols as its credential, where it has no other: the same key is the same tenant, however it
/// comes. `None` when there is nothing to change.
pub(super) fn with_credential(head: &RequestHead) -> Option<RequestHead> {
    if head.headers.contains_key(AUTHORIZATION) || head.headers.contains_key("api-key") {
        return None;
    }
    let key = frame::protocols(&head.headers).find_map(|protocol| protocol.strip_prefix(KEY))?;
    let mut value = HeaderValue::from_bytes(&[b"Bearer ", key].concat()).ok()?;
    value.set_sensitive(true);
    let mut head = head.clone();
    head.headers.insert(AUTHORIZATION, value);
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn head(lines: &str) -> RequestHead {
        RequestHead::parse(&Bytes::from(format!("GET / HTTP/1.1\r\nhost: a\r\n{lines}\r\n"))).unwrap()
    }

    fn lines(asking: &Asking) -> String {
        let mut all = String::new();
        asking.lines(|name, value| all.push_str(&format!("{name}: {}\n", value.escape_ascii())));
        all
    }

    #[test]
    fn secrets_among_the_subprotocols_stay_behind_and_say_who_asks() {
        let head = head(
            "sec-websocket-protocol: realtime, openai-insecure-api-key.sk-x\r\nsec-websocket-protocol: openai-beta.realtime-v1\r\n",
        );
        for (kind, offered) in [
            (Socket::Upgrade, "sec-websocket-protocol: realtime, openai-beta.realtime-v1\n"),
            (Socket::Message, "sec-websocket-protocol: realtime\n"),
        ] {
            let said = lines(&Asking::new(&head.headers, kind));
            assert!(said.ends_with(offered) && !said.contains("sk-x"), "{said}");
        }
        assert_eq!(with_credential(&head).unwrap().headers["authorization"], "Bearer sk-x");
    }

    #[test]
    fn a_credential_of_its_own_is_not_replaced() {
        let head = head("authorization: Bearer a\r\nsec-websocket-protocol: openai-insecure-api-key.b\r\n");
        assert!(with_credential(&head).is_none());
        assert!(!lines(&Asking::new(&head.headers, Socket::Upgrade)).contains("protocol"));
    }

    #[test]
    fn no_two_handshakes_have_one_key() {
        let head = head("");
        assert_ne!(
            Asking::new(&head.headers, Socket::Upgrade).key,
            Asking::new(&head.headers, Socket::Upgrade).key
        );
    }
}
