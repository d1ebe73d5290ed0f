//! How a connection becomes a WebSocket (RFC 6455, section 4), seen from both ends.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use sha1::{Digest, Sha1};

/// Bytes of the nonce that a key is made of.
pub const NONCE_BYTES: usize = 16;

/// What a client makes up for one handshake.
pub type Nonce = [u8; NONCE_BYTES];

/// The one version that there is.
const VERSION: &[u8] = b"13";

/// Appended to a key before it is digested, so that no server answers rightly by chance (RFC 6455, 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A client's handshake, found to be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked<'h> {
    /// `Sec-WebSocket-Key`, as it came.
    pub key: &'h [u8],
}

impl Asked<'_> {
    /// What `Sec-WebSocket-Accept` must say.
    #[must_use]
    pub fn accept(&self) -> String {
        accept(self.key)
    }
}

/// Why a request for a WebSocket is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeFault {
    /// It asks for a version that is not spoken, which is answered with 426 and the one that is (RFC 6455, 4.4).
    Version,
    /// It is none.
    Malformed(&'static str),
}

/// Whether a head asks for a WebSocket, right or wrong: `Connection` nominates `Upgrade`, and that names nothing else.
#[must_use]
pub fn is_websocket(headers: &HeaderMap) -> bool {
    let mut upgrades = tokens(headers.get_all(UPGRADE).iter());
    let websocket = upgrades.next().is_some_and(|token| token.eq_ignore_ascii_case(b"websocket"));
    websocket && upgrades.next().is_none() && nominates_upgrade(headers.get_all(CONNECTION).iter())
}

/// Checks the handshake of a head for which [`is_websocket`] holds.
///
/// # Errors
/// When it is not what RFC 6455, 4.2.1, has a client send.
pub fn asked<'h>(method: &Method, headers: &'h HeaderMap) -> Result<Asked<'h>, HandshakeFault> {
    if *method != Method::GET {
        return Err(HandshakeFault::Malformed("a socket is asked for with GET"));
    }
    let version = one(headers, &SEC_WEBSOCKET_VERSION, "Sec-WebSocket-Version is missing or repeated")?;
    if version != VERSION {
        return Err(HandshakeFault::Version);
    }
    let key = one(headers, &SEC_WEBSOCKET_KEY, "Sec-WebSocket-Key is missing or repeated")?;
    let mut nonce = [0; NONCE_BYTES + 2];
    if key.len() != 24 || STANDARD.decode_slice(key, &mut nonce) != Ok(NONCE_BYTES) {
        return Err(HandshakeFault::Malformed("Sec-WebSocket-Key is no 16 bytes in Base64"));
    }
    Ok(Asked { key })
}

fn one<'h>(
    headers: &'h HeaderMap,
    name: &HeaderName,
    what: &'static str,
) -> Result<&'h [u8], HandshakeFault> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(value.as_bytes().trim_ascii()),
        _ => Err(HandshakeFault::Malformed(what)),
    }
}

/// What `Sec-WebSocket-Accept` says to a key (RFC 6455, 4.2.2).
#[must_use]
pub fn accept(key: &[u8]) -> String {
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    STANDARD.encode(digest)
}

/// The subprotocols that a client offers, in its order.
pub fn protocols(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    tokens(headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter())
}

/// Whether the lines of a 101 answer a handshake with this key, in which `offered` were the subprotocols and nothing an extension
/// (RFC 6455, 4.1, the end).
pub fn is_accepted<'h, I>(key: &[u8], offered: &[&[u8]], lines: impl Fn(&'static HeaderName) -> I) -> bool
where
    I: Iterator<Item = &'h HeaderValue>,
{
    const NAMES: [HeaderName; 5] =
        [UPGRADE, CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL];
    static LINES: [HeaderName; 5] = NAMES;
    let [upgrade, connection, accepted, extensions, protocol] = &LINES;
    let mut upgrades = tokens(lines(upgrade));
    let mut accepts = lines(accepted);
    let mut chosen = lines(protocol);
    upgrades.next().is_some_and(|token| token.eq_ignore_ascii_case(b"websocket"))
        && upgrades.next().is_none()
        && nominates_upgrade(lines(connection))
        && accepts.next().is_some_and(|said| said.as_bytes().trim_ascii() == accept(key).as_bytes())
        && accepts.next().is_none()
        && tokens(lines(extensions)).next().is_none()
        && chosen.next().is_none_or(|chosen| offered.contains(&chosen.as_bytes().trim_ascii()))
        && chosen.next().is_none()
}

fn nominates_upgrade<'h>(lines: impl Iterator<Item = &'h HeaderValue>) -> bool {
    tokens(lines).any(|token| token.eq_ignore_ascii_case(b"upgrade"))
}

/// The members of a list, however many lines it is spread over.
fn tokens<'h>(lines: impl Iterator<Item = &'h HeaderValue>) -> impl Iterator<Item = &'h [u8]> {
    lines
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    #[test]
    fn the_rfcs_own_example() {
        assert_eq!(accept(KEY.as_bytes()), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn what_asks_for_a_websocket() {
        for (lines, is) in [
            (&[("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")][..], true),
            (&[("connection", "upgrade"), ("upgrade", "websocket, h2c")], false),
            (&[("connection", "upgrade"), ("upgrade", "websocket"), ("upgrade", "h2c")], false),
            (&[("connection", "keep-alive"), ("upgrade", "websocket")], false),
            (&[("connection", "upgrade"), ("upgrade", "h2c")], false),
            (&[("connection", "upgrade")], false),
        ] {
            assert_eq!(is_websocket(&headers(lines)), is, "{lines:?}");
        }
    }

    #[test]
    fn a_handshake_has_one_version_and_one_key() {
        let ask = |version: &[&'static str], key: &[&'static str]| {
            let version = version.iter().map(|value| ("sec-websocket-version", *value));
            let key = key.iter().map(|value| ("sec-websocket-key", *value));
            let lines: Vec<_> = version.chain(key).collect();
            asked(&Method::GET, &headers(&lines)).map(|asked| asked.accept())
        };
        assert_eq!(ask(&["13"], &[KEY]).as_deref(), Ok("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        for other in ["8", "14", "", "13, 8", "013"] {
            assert_eq!(ask(&[other], &[KEY]), Err(HandshakeFault::Version), "{other:?}");
        }
        let malformed = |result| matches!(result, Err(HandshakeFault::Malformed(_)));
        assert!(malformed(ask(&["13", "13"], &[KEY])) && malformed(ask(&[], &[KEY])));
        for key in
            [&[][..], &[KEY, KEY], &["c2hvcnQ="], &["dGhlIHNhbXBsZSBub25jZQ"], &["!!!!!!!!!!!!!!!!!!!!!!!!"]]
        {
            assert!(malformed(ask(&["13"], key)), "{key:?}");
        }
        let lines = headers(&[("sec-websocket-version", "13"), ("sec-websocket-key", KEY)]);
        assert!(asked(&Method::POST, &lines).is_err());
    }

    #[test]
    fn an_answer_is_believed_when_all_of_it_is_right() {
        let good = [
            ("upgrade", "websocket"),
            ("connection", "Upgrade"),
            ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ];
        let accepted = |lines: &[(&'static str, &'static str)], offered: &[&[u8]]| {
            let map = headers(lines);
            is_accepted(KEY.as_bytes(), offered, |name| map.get_all(name).iter())
        };
        assert!(accepted(&good, &[]));
        for missing in 0..good.len() {
            let lines: Vec<_> =
                good.iter().enumerate().filter(|(at, _)| *at != missing).map(|(_, line)| *line).collect();
            assert!(!accepted(&lines, &[]), "without {:?}", good[missing]);
        }
        let with = |name, value| [&good[..], &[(name, value)]].concat();
        assert!(!accepted(&with("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), &[]), "twice");
        assert!(!accepted(&with("sec-websocket-extensions", "permessage-deflate"), &[]), "nobody offered it");
        assert!(!accepted(&with("sec-websocket-protocol", "realtime"), &[b"other"]), "nobody offered it");
        assert!(accepted(&with("sec-websocket-protocol", "realtime"), &[b"other", b"realtime"]));
    }
}
