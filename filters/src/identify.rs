//! Which session, which tenant; and where each answer came from.
//!
//! Everything here is a keyed digest (BLAKE3 in keyed mode, 128 bits kept, fields length-prefixed, a domain byte first), so that
//! a tag, a log line or a dump of the pin table reveals neither a credential nor a handle, and a client cannot make up
//! a session or meet another tenant's. A client's own session header means something only within its tenant, and no
//! session decides a cloud by itself: it only keeps its place among the endpoints that the contract allows.

mod callers;
mod digest;
mod lines;
mod stored;

pub use callers::{CallerNumber, Callers, Who};
pub use digest::LastTenant;
pub use stored::MAC_BYTES;

use crate::head::Head;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use digest::Domain;
use http::{HeaderMap, HeaderName};
use lines::{Lines, OWN, TAG};
use std::fmt;

/// The key of all digests.
#[derive(Clone)]
pub struct Keys([u8; 32]);

/// Who asks: a digest of a caller's name, or where it has none, of what it proves itself with.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tenant([u8; 16]);

/// What a head says of who asks and in which session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Whose pins and sessions count.
    pub tenant: Tenant,
    /// Which of the named callers.
    pub caller: Option<CallerNumber>,
    /// The session that the head names.
    pub session: Option<Session>,
    /// The session that the request is made in the course of, where baggage has our tag of it. It is believed from that session's
    /// own tenant and from nobody else.
    pub parent: Option<SessionId>,
}

/// Which session: opaque.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId([u8; 16]);

/// A tenant's handle, as the pin table knows it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PinKey([u8; 16]);

/// A session, and where it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// Which.
    pub id: SessionId,
    /// Where it was found.
    pub source: SessionSource,
}

/// Where a session was found, the most trusted first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionSource {
    /// From the pin of a handle that the request cites: every handle of a chain belongs to one session.
    Lineage,
    /// From the tag that we minted, its digest verified.
    Tag,
    /// From the client's own session header.
    Header,
    /// From a vendor's or agent's session header, by its name.
    Vendor(&'static str),
    /// Made for this request, because it creates or continues state.
    Minted,
}

impl SessionSource {
    /// The word for it in logs and in `explain`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lineage => "lineage",
            Self::Tag => "tag",
            Self::Header => "header",
            Self::Vendor(name) => name,
            Self::Minted => "minted",
        }
    }
}

/// The header that carries our session tag, both ways.
pub const SESSION_TAG: HeaderName = HeaderName::from_static("x-riparian-session");

/// Session headers of vendors and agents, in the order in which they are believed (state taxonomy, identity fields).
const VENDOR_HEADERS: [&str; 8] = [
    "x-claude-code-session-id",
    "session-id",
    "session_id",
    "thread-id",
    "x-session-affinity",
    "x-opencode-session",
    "x-litellm-session-id",
    "mcp-session-id",
];

/// Longer values are no session names: they would let a client make us hash at its leisure.
const SESSION_BYTES_MAX: usize = 256;

impl Keys {
    /// Takes the key of all digests.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// Derives the key from a secret of any length.
    #[must_use]
    pub fn derive(secret: &[u8]) -> Self {
        Self(blake3::derive_key("riparian 2026 session and pin digests", secret))
    }

    /// The tenant of an unnamed caller, from the credential in `headers`. Requests without one belong to one tenant of their own.
    #[must_use]
    pub fn tenant(&self, headers: &HeaderMap) -> Tenant {
        Tenant(self.digest(Domain::Tenant, &Lines::of(headers, None, None).credential))
    }

    /// Who asks, on a connection that `last` knows.
    pub(crate) fn who(&self, callers: &Callers, last: &mut LastTenant, head: &Head<'_>) -> Who {
        last.who(self, callers, &Lines::of(head.headers, head.query, None).credential)
    }

    /// The same, and what the head says of sessions, in one pass over it.
    pub(crate) fn identify(
        &self,
        callers: &Callers,
        last: &mut LastTenant,
        head: &Head<'_>,
        own_header: &str,
    ) -> Identity {
        let lines = Lines::of(head.headers, head.query, Some(own_header));
        let Who { tenant, caller } = last.who(self, callers, &lines.credential);
        let session = self.named(tenant, &lines);
        let parent = lines.parent().and_then(|tag| self.verify(tenant, tag));
        // A session that baggage brings along with its own tag is no part of itself.
        let parent = parent.filter(|parent| session.is_none_or(|session| session.id != *parent));
        Identity { tenant, caller, session, parent }
    }

    /// The pin table's key for a handle of `tenant`.
    #[must_use]
    pub fn pin(&self, tenant: Tenant, namespace: &str, handle: &str) -> PinKey {
        PinKey(self.digest(Domain::Pin, &[&tenant.0, namespace.as_bytes(), handle.as_bytes()]))
    }

    /// A number to hash on, for requests of `tenant` that share a cache key.
    #[must_use]
    pub fn cache_affinity(&self, tenant: Tenant, cache_key: &str) -> u64 {
        SessionId(self.digest(Domain::Cache, &[&tenant.0, cache_key.as_bytes()])).affinity()
    }

    /// The session of what a request without one left behind; `number` is the request's own.
    #[must_use]
    pub fn session_of(&self, tenant: Tenant, number: u64) -> SessionId {
        SessionId(self.digest(Domain::Session, &[&tenant.0, &number.to_le_bytes()]))
    }

    /// What a session is called outside: its id and a digest that binds it to `tenant`.
    #[must_use]
    pub fn tag(&self, tenant: Tenant, session: SessionId) -> String {
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(&session.0);
        bytes[16..].copy_from_slice(&self.digest(Domain::Tag, &[&tenant.0, &session.0]));
        format!("s1.{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The session that `tag` names, if we minted it for `tenant`.
    #[must_use]
    pub fn verify(&self, tenant: Tenant, tag: &str) -> Option<SessionId> {
        let mut bytes = [0; 32];
        let encoded = tag.strip_prefix("s1.").filter(|encoded| encoded.len() == 43)?;
        let written = URL_SAFE_NO_PAD.decode_slice(encoded, &mut bytes).ok()?;
        let (id, digest) = bytes.split_at(16);
        let session = SessionId(id.try_into().expect("32 bytes split at 16"));
        let expected = self.digest(Domain::Tag, &[&tenant.0, &session.0]);
        // Constant in time over the digest, so that a tag cannot be guessed byte by byte.
        let differs = expected.iter().zip(digest).fold(0, |acc, (a, b)| acc | (a ^ b));
        (written == 32 && differs == 0).then_some(session)
    }

    /// The session that the head names, if any: our verified tag, then the client's header, then vendors' headers.
    #[must_use]
    pub fn session(&self, tenant: Tenant, headers: &HeaderMap, own_header: &str) -> Option<Session> {
        self.named(tenant, &Lines::of(headers, None, Some(own_header)))
    }

    fn named(&self, tenant: Tenant, lines: &Lines<'_>) -> Option<Session> {
        if !lines.has_session {
            return None;
        }
        if let Some(id) = lines.single(TAG).and_then(|tag| self.verify(tenant, tag)) {
            return Some(Session { id, source: SessionSource::Tag });
        }
        let named = |name: &str, value: &str| {
            SessionId(self.digest(Domain::Session, &[&tenant.0, name.as_bytes(), value.as_bytes()]))
        };
        if let Some(value) = lines.single(OWN) {
            return Some(Session { id: named("own", value), source: SessionSource::Header });
        }
        VENDOR_HEADERS.iter().enumerate().find_map(|(at, name)| {
            let value = lines.single(at)?;
            Some(Session { id: named(name, value), source: SessionSource::Vendor(name) })
        })
    }
}

/// The access key id of a SigV4 authorization: the signature around it differs from request to request, the tenant does not.
fn access_key_id(authorization: &[u8]) -> Option<&[u8]> {
    let rest = authorization.strip_prefix(b"AWS4-HMAC-SHA256")?;
    let at = memchr::memmem::find(rest, b"Credential=")? + b"Credential=".len();
    rest[at..].split(|byte| matches!(byte, b'/' | b',' | b' ')).next().filter(|id| !id.is_empty())
}

impl SessionId {
    /// A session made of 16 bytes that nobody can foresee.
    #[must_use]
    pub fn mint(random: [u8; 16]) -> Self {
        Self(random)
    }

    /// A number to hash on, for affinity.
    #[must_use]
    pub fn affinity(self) -> u64 {
        u64::from_le_bytes(self.0[..8].try_into().expect("8 of 16 bytes"))
    }
}

impl Tenant {
    /// A number to hash on, for what is the tenant's and no session's.
    #[must_use]
    pub fn affinity(self) -> u64 {
        u64::from_le_bytes(self.0[..8].try_into().expect("8 of 16 bytes"))
    }
}

macro_rules! hex {
    ($($name:ident)*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                // In one go: a log line has two of them.
                let mut digits = [0; 2 * std::mem::size_of::<$name>()];
                for (pair, byte) in digits.chunks_exact_mut(2).zip(self.0) {
                    const HEX: &[u8; 16] = b"0123456789abcdef";
                    pair.copy_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
                }
                f.write_str(std::str::from_utf8(&digits).expect("hexadecimal digits"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    )*};
}

hex!(Tenant SessionId PinKey);

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        map
    }

    #[test]
    fn a_tag_is_good_for_its_tenant_and_no_other() {
        let keys = Keys::derive(b"secret");
        let (a, b) = (
            keys.tenant(&headers(&[("authorization", "a")])),
            keys.tenant(&headers(&[("authorization", "b")])),
        );
        let session = SessionId::mint([7; 16]);
        let tag = keys.tag(a, session);
        assert_eq!(keys.verify(a, &tag), Some(session));
        assert_eq!(keys.verify(b, &tag), None, "another tenant");
        assert_eq!(Keys::derive(b"other").verify(a, &tag), None, "another key");
        for at in 0..tag.len() {
            let mut forged = tag.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).unwrap();
            assert_eq!(keys.verify(a, &forged), None, "byte {at} changed");
        }
    }

    #[test]
    fn a_clients_header_means_something_only_within_its_tenant() {
        let keys = Keys::derive(b"secret");
        let of = |credential: &str| {
            let map = headers(&[("authorization", credential), ("x-session-id", "mine")]);
            keys.session(keys.tenant(&map), &map, "x-session-id").unwrap()
        };
        assert_eq!(of("a"), of("a"));
        assert_ne!(of("a").id, of("b").id);
    }

    #[test]
    fn the_order_of_belief() {
        let keys = Keys::derive(b"secret");
        let tenant = keys.tenant(&HeaderMap::new());
        let tag = keys.tag(tenant, SessionId::mint([1; 16]));
        let source = |lines: &[(&'static str, &str)]| {
            keys.session(tenant, &headers(lines), "x-session-id").map(|session| session.source)
        };
        let vendor = ("x-claude-code-session-id", "v");
        assert_eq!(
            source(&[vendor, ("x-session-id", "c"), ("x-riparian-session", &tag)]),
            Some(SessionSource::Tag)
        );
        assert_eq!(
            source(&[vendor, ("x-session-id", "c"), ("x-riparian-session", "s1.x")]),
            Some(SessionSource::Header)
        );
        assert_eq!(source(&[vendor]), Some(SessionSource::Vendor("x-claude-code-session-id")));
        assert_eq!(source(&[("x-session-id", "a"), ("x-session-id", "b")]), None, "two values are none");
        assert_eq!(source(&[]), None);
    }

    #[test]
    fn a_signed_request_keeps_its_tenant_from_signature_to_signature() {
        let keys = Keys::derive(b"secret");
        let signed = |signature: &str| {
            let line = format!(
                "AWS4-HMAC-SHA256 Credential=AKID/20261120/us-east-1/bedrock/aws4_request, Signature={signature}"
            );
            keys.tenant(&headers(&[("authorization", &line)]))
        };
        assert_eq!(signed("aa"), signed("bb"));
    }

    #[test]
    fn fields_do_not_run_into_each_other() {
        let keys = Keys::derive(b"secret");
        let tenant = keys.tenant(&HeaderMap::new());
        assert_ne!(keys.pin(tenant, "ab", "c"), keys.pin(tenant, "a", "bc"));
    }
}
