//! The few header lines that say who asks and in which session, found in one pass.
//!
//! A head has about a dozen lines and nearly all requests none of the session headers: to ask the map for each of ten names is to
//! hash ten names.

use super::{SESSION_BYTES_MAX, VENDOR_HEADERS, access_key_id};
use http::{HeaderMap, HeaderValue};

/// Where our tag stands in [`Lines::sessions`]; the vendors' headers come before.
pub(super) const TAG: usize = VENDOR_HEADERS.len();

/// Where the client's own session header stands.
pub(super) const OWN: usize = TAG + 1;

/// What was found.
pub(super) struct Lines<'h> {
    authorization: &'h [u8],
    api_key: &'h [u8],
    x_api_key: &'h [u8],
    /// The first of each session header.
    sessions: [Option<&'h HeaderValue>; OWN + 1],
    /// A bit for each that has a second.
    doubled: u16,
    pub(super) has_session: bool,
}

impl<'h> Lines<'h> {
    /// Looks through `headers`; `own` is the client's own session header.
    pub(super) fn of(headers: &'h HeaderMap, own: Option<&str>) -> Self {
        let mut lines = Self {
            authorization: b"",
            api_key: b"",
            x_api_key: b"",
            sessions: [None; OWN + 1],
            doubled: 0,
            has_session: false,
        };
        let mut credentials = [None; 3];
        for (name, value) in headers {
            let name = name.as_str();
            if own == Some(name) {
                lines.session(OWN, value);
            }
            match name {
                "authorization" => _ = credentials[0].get_or_insert(value),
                "api-key" => _ = credentials[1].get_or_insert(value),
                "x-api-key" => _ = credentials[2].get_or_insert(value),
                "x-riparian-session" => lines.session(TAG, value),
                // Each of the vendors' names ends with one of these, and few others do.
                _ if name.len() >= 9 && matches!(name.as_bytes().last(), Some(b'd' | b'y' | b'n')) => {
                    if let Some(at) = VENDOR_HEADERS.iter().position(|known| *known == name) {
                        lines.session(at, value);
                    }
                }
                _ => {}
            }
        }
        let first = |at: usize| credentials[at].map_or(&b""[..], HeaderValue::as_bytes);
        (lines.authorization, lines.api_key, lines.x_api_key) = (first(0), first(1), first(2));
        lines
    }

    fn session(&mut self, at: usize, value: &'h HeaderValue) {
        self.has_session = true;
        if self.sessions[at].is_some() {
            self.doubled |= 1 << at;
        }
        self.sessions[at].get_or_insert(value);
    }

    /// What the request proves itself with; a tenant is a digest of it.
    pub(super) fn credential(&self) -> [&'h [u8]; 3] {
        [access_key_id(self.authorization).unwrap_or(self.authorization), self.api_key, self.x_api_key]
    }

    /// The value of a session header that stands there once, and can be one.
    pub(super) fn single(&self, at: usize) -> Option<&'h str> {
        let value = self.sessions[at]?.to_str().ok()?;
        let is_sole = self.doubled >> at & 1 == 0;
        (is_sole && !value.is_empty() && value.len() <= SESSION_BYTES_MAX).then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_vendors_header_is_seen() {
        for (at, name) in VENDOR_HEADERS.into_iter().enumerate() {
            let mut headers = HeaderMap::new();
            headers.append(name, HeaderValue::from_static("s"));
            assert_eq!(Lines::of(&headers, None).single(at), Some("s"), "{name}");
            headers.append(name, HeaderValue::from_static("s"));
            assert_eq!(Lines::of(&headers, None).single(at), None, "{name} twice");
            assert_eq!(Lines::of(&headers, Some(name)).single(OWN), None, "{name} twice, as the own one");
        }
    }

    #[test]
    fn the_own_header_may_have_a_vendors_name() {
        let mut headers = HeaderMap::new();
        headers.append("session-id", HeaderValue::from_static("s"));
        let lines = Lines::of(&headers, Some("session-id"));
        assert_eq!((lines.single(OWN), lines.single(1)), (Some("s"), Some("s")));
    }
}
