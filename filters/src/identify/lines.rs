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
    /// `Authorization`, or the access key id in it; `api-key`; `x-api-key`; `x-goog-api-key`, or what stands for it in the query.
    pub(super) credential: [&'h [u8]; 4],
    /// The first of each session header.
    sessions: [Option<&'h HeaderValue>; OWN + 1],
    /// A bit for each that has a second.
    doubled: u16,
    pub(super) has_session: bool,
    /// What W3C baggage says of the session that this request is a part of.
    baggage: Option<&'h str>,
    baggages: usize,
}

/// Our member of W3C baggage, up to its value.
const BAGGAGE: &str = "riparian.session=";

impl<'h> Lines<'h> {
    /// Looks through `headers` and `query`; `own` is the client's own session header.
    pub(super) fn of(headers: &'h HeaderMap, query: Option<&'h str>, own: Option<&str>) -> Self {
        let mut lines = Self {
            credential: [b""; 4],
            sessions: [None; OWN + 1],
            doubled: 0,
            has_session: false,
            baggage: None,
            baggages: 0,
        };
        let mut credentials = [None; 4];
        for (name, value) in headers {
            let name = name.as_str();
            if own == Some(name) {
                lines.session(OWN, value);
            }
            match name {
                "authorization" => _ = credentials[0].get_or_insert(value),
                "api-key" => _ = credentials[1].get_or_insert(value),
                "x-api-key" => _ = credentials[2].get_or_insert(value),
                "x-goog-api-key" => _ = credentials[3].get_or_insert(value),
                "baggage" => lines.baggage(value),
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
        lines.credential = credentials.map(|value| value.map_or(&b""[..], HeaderValue::as_bytes));
        if let Some(id) = access_key_id(lines.credential[0]) {
            lines.credential[0] = id;
        }
        if let Some(query) = query {
            lines.query(query);
        }
        lines
    }

    fn session(&mut self, at: usize, value: &'h HeaderValue) {
        self.has_session = true;
        if self.sessions[at].is_some() {
            self.doubled |= 1 << at;
        }
        self.sessions[at].get_or_insert(value);
    }

    /// A credential in the query counts where the header that it stands for is absent: Google's key, and a URL that AWS's tools
    /// have signed. Without it, all who ask in that way would be one tenant.
    fn query(&mut self, query: &'h str) {
        let [authorization, _, _, key] = &mut self.credential;
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            if name == "key" && key.is_empty() {
                *key = value.as_bytes();
            } else if authorization.is_empty() && name.eq_ignore_ascii_case("X-Amz-Credential") {
                *authorization = value.split(['/', '%']).next().unwrap_or_default().as_bytes();
            }
        }
    }

    fn baggage(&mut self, value: &'h HeaderValue) {
        let members = value.to_str().unwrap_or_default().split(',');
        for member in members.filter_map(|member| member.trim().strip_prefix(BAGGAGE)) {
            self.baggages += 1;
            self.baggage = member.split(';').next().map(str::trim);
        }
    }

    /// The tag in the one member of baggage that is ours. Two are none: which one would it be?
    pub(super) fn parent(&self) -> Option<&'h str> {
        self.baggage.filter(|_| self.baggages == 1)
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
            assert_eq!(Lines::of(&headers, None, None).single(at), Some("s"), "{name}");
            headers.append(name, HeaderValue::from_static("s"));
            assert_eq!(Lines::of(&headers, None, None).single(at), None, "{name} twice");
            assert_eq!(
                Lines::of(&headers, None, Some(name)).single(OWN),
                None,
                "{name} twice, as the own one"
            );
        }
    }

    #[test]
    fn a_credential_in_the_query_stands_for_its_header() {
        let mut headers = HeaderMap::new();
        let of = |headers: &HeaderMap, query: &str| {
            let found = Lines::of(headers, Some(query), None).credential;
            found.map(|value| String::from_utf8(value.to_vec()).unwrap())
        };
        assert_eq!(of(&headers, "alt=sse&key=abc&key=d"), ["", "", "", "abc"]);
        assert_eq!(of(&headers, "monkey=abc&key"), ["", "", "", ""]);
        assert_eq!(of(&headers, "x-amz-credential=AKID%2F2026%2Fus&a=b"), ["AKID", "", "", ""]);
        headers.append("x-goog-api-key", HeaderValue::from_static("head"));
        headers.append("authorization", HeaderValue::from_static("Bearer b"));
        assert_eq!(of(&headers, "key=abc&X-Amz-Credential=AKID/x"), ["Bearer b", "", "", "head"]);
    }

    #[test]
    fn baggage_may_name_one_session() {
        let of = |lines: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("baggage", HeaderValue::from_static(line));
            }
            Lines::of(&headers, None, None).parent().map(str::to_owned)
        };
        assert_eq!(of(&["a=1, riparian.session=s1.x;p=1,b=2"]).as_deref(), Some("s1.x"));
        assert_eq!(of(&["a=1", "riparian.session=s1.y"]).as_deref(), Some("s1.y"));
        for none in
            [&["a=1"][..], &[], &["riparian.sessions=s1.x"], &["riparian.session=a,riparian.session=a"]]
        {
            assert_eq!(of(none), None, "{none:?}");
        }
        assert_eq!(of(&["riparian.session=a", "riparian.session=b"]), None);
    }

    #[test]
    fn the_own_header_may_have_a_vendors_name() {
        let mut headers = HeaderMap::new();
        headers.append("session-id", HeaderValue::from_static("s"));
        let lines = Lines::of(&headers, None, Some("session-id"));
        assert_eq!((lines.single(OWN), lines.single(1)), (Some("s"), Some("s")));
    }
}
