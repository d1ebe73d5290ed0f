//! Heads: of requests as clients sent them, and of answers, parsed and written.

use super::framing::Framing;
use super::lines::Lines;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use std::mem::MaybeUninit;
use std::ops::Range;

/// A request's head, of either version.
#[derive(Clone, Debug)]
pub(crate) struct RequestHead {
    /// The method.
    pub(crate) method: Method,
    /// The target: over HTTP/1.1 in origin form.
    pub(crate) uri: Uri,
    /// All header lines.
    pub(crate) headers: HeaderMap,
}

/// An answer's head.
#[derive(Clone, Debug)]
pub(crate) struct AnswerHead {
    /// The status.
    pub(crate) status: StatusCode,
    /// All header lines.
    pub(crate) lines: Lines,
}

/// Header lines of one head. Requests are held to `limits.headers`, which is at most this many; an answer with more is none.
pub(crate) const LINES_MAX: usize = 256;

impl RequestHead {
    /// Parses the bytes of an HTTP/1.1 head that passed the strict check.
    pub(crate) fn parse(head: &Bytes) -> Option<Self> {
        let mut lines = [MaybeUninit::uninit(); LINES_MAX];
        let mut parsed = httparse::Request::new(&mut []);
        if !parsed.parse_with_uninit_headers(head, &mut lines).ok()?.is_complete() {
            return None;
        }
        let mut headers = HeaderMap::with_capacity(parsed.headers.len());
        for line in &*parsed.headers {
            headers.append(HeaderName::from_bytes(line.name.as_bytes()).ok()?, value(head, line.value)?);
        }
        Some(Self {
            method: Method::from_bytes(parsed.method?.as_bytes()).ok()?,
            uri: Uri::from_maybe_shared(head.slice_ref(parsed.path?.as_bytes())).ok()?,
            headers,
        })
    }

    /// How its body ends.
    pub(crate) fn framing(&self) -> Framing {
        if self.headers.contains_key(TRANSFER_ENCODING) {
            return Framing::chunked();
        }
        // The strict check has seen to it that there is one length at most, and that it is a number.
        Framing::length(self.headers.get(CONTENT_LENGTH).and_then(number).unwrap_or(0))
    }
}

/// A `Content-Length` that is one number.
pub(crate) fn number(value: &HeaderValue) -> Option<u64> {
    let digits = value.as_bytes();
    let plain = (1..=19).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    plain.then(|| std::str::from_utf8(digits).ok()?.parse().ok()).flatten()
}

/// Whether this line of `Connection` says that the connection ends with the message.
pub(crate) fn says_close(value: &HeaderValue) -> bool {
    let mut options = value.as_bytes().split(|byte| *byte == b',');
    options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
}

/// What an endpoint sent instead of a head that can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoHead;

impl AnswerHead {
    /// An empty head.
    pub(crate) fn new(status: StatusCode) -> Self {
        Self { status, lines: Lines::with_capacity(16) }
    }

    /// Parses an answer's head from the first bytes of `bytes`; `None` when it is not all there. With it comes its length.
    ///
    /// # Errors
    /// When they are no head.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, NoHead> {
        if !starts_right(bytes) {
            return Err(NoHead);
        }
        let Some(end) = riparian_filters::head::end_of_head(bytes, 0) else { return Ok(None) };
        let head = Bytes::copy_from_slice(&bytes[..end]);
        let parsed = match Self::parse_whole(&head) {
            Some(parsed) => parsed,
            None => Self::parse_whole(&unfolded(&head)).ok_or(NoHead)?,
        };
        Ok(Some((parsed, end)))
    }

    fn parse_whole(head: &Bytes) -> Option<Self> {
        let mut lines = [MaybeUninit::uninit(); LINES_MAX];
        let mut parsed = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        config
            .parse_response_with_uninit_headers(&mut parsed, head, &mut lines)
            .ok()?
            .is_complete()
            .then_some(())?;
        // Room for our own.
        let mut lines = Lines::with_capacity(parsed.headers.len() + 8);
        for line in parsed.headers {
            lines.push(HeaderName::from_bytes(line.name.as_bytes()).ok()?, value(head, line.value)?);
        }
        if parsed.version == Some(0) {
            lines.push(CONNECTION, HeaderValue::from_static("close"));
        }
        Some(Self { status: StatusCode::from_u16(parsed.code?).ok()?, lines })
    }

    /// Appends the head as HTTP/1.1 writes it, without its last empty line.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"HTTP/1.1 ");
        out.extend_from_slice(self.status.as_str().as_bytes());
        out.push(b' ');
        out.extend_from_slice(self.status.canonical_reason().unwrap_or("").as_bytes());
        out.extend_from_slice(b"\r\n");
        for (name, value) in self.lines.iter() {
            write_line(out, name.as_str(), value.as_bytes());
        }
    }
}

/// Appends one header line.
pub(crate) fn write_line(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Whether what has come so far can begin an answer.
fn starts_right(bytes: &[u8]) -> bool {
    let due = b"HTTP/1.";
    let both = bytes.len().min(due.len());
    bytes[..both] == due[..both]
}

/// A value that shares the head's memory.
fn value(head: &Bytes, value: &[u8]) -> Option<HeaderValue> {
    // An empty slice may lie outside of it.
    if value.is_empty() {
        return Some(HeaderValue::from_static(""));
    }
    HeaderValue::from_maybe_shared(head.slice(within(head, value))).ok()
}

/// Where `part` lies in `whole`, blanks behind it left out.
fn within(whole: &Bytes, part: &[u8]) -> Range<usize> {
    let start = part.as_ptr() as usize - whole.as_ptr() as usize;
    start..start + part.trim_ascii_end().len()
}

/// Puts blanks in place of each fold (RFC 9112, 5.2, has a gateway do so, or refuse the answer).
fn unfolded(head: &[u8]) -> Bytes {
    let mut unfolded = head.to_vec();
    for at in memchr::memmem::find_iter(head, b"\r\n") {
        if matches!(head.get(at + 2), Some(b' ' | b'\t')) {
            unfolded[at..at + 3].fill(b' ');
        }
    }
    unfolded.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_keeps_its_lines_and_their_order() {
        let text = "POST /v1/x?y=z HTTP/1.1\r\nHost: a:1\r\nX-Twice: 1 \r\nx-twice:\t2\r\nEmpty:\r\nContent-Length: 12\r\n\r\n";
        let head = RequestHead::parse(&Bytes::from(text)).unwrap();
        assert_eq!((head.method.as_str(), head.uri.path(), head.uri.query()), ("POST", "/v1/x", Some("y=z")));
        let twice: Vec<_> = head.headers.get_all("x-twice").iter().collect();
        assert_eq!(twice, ["1", "2"]);
        assert_eq!(head.headers["empty"], "");
        assert_eq!(head.framing(), Framing::Length(12));
        assert!(RequestHead::parse(&Bytes::from("GET / HTTP/1.1\r\nHost: a\r\n")).is_none());
    }

    #[test]
    fn an_answer_is_parsed_when_it_is_whole() {
        let text = b"HTTP/1.1 200 Fine\r\nA: b\r\n\r\nbody";
        for cut in 0..text.len() - 5 {
            assert!(AnswerHead::parse(&text[..cut]).unwrap().is_none(), "{cut}");
        }
        let (head, length) = AnswerHead::parse(text).unwrap().unwrap();
        assert_eq!((head.status.as_u16(), &text[length..]), (200, &b"body"[..]));
        let mut out = vec![];
        head.write(&mut out);
        assert_eq!(out, b"HTTP/1.1 200 OK\r\na: b\r\n");
    }

    #[test]
    fn what_begins_no_answer_is_seen_at_once() {
        for text in ["SSH-2.0-OpenSSH_9.6\r\n", "\r\nHTTP/1.1 200 OK\r\n\r\n", "HTTP/2 200\r\n\r\n"] {
            assert!(AnswerHead::parse(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(AnswerHead::parse(b"HTTP/1.1 200 OK\r\nx: \0\r\n\r\n").is_err());
    }

    #[test]
    fn folds_become_blanks() {
        let (head, _) =
            AnswerHead::parse(b"HTTP/1.1 200 OK\r\nx: a\r\n \tset-cookie: z\r\n\r\n").unwrap().unwrap();
        assert_eq!(head.lines.get(&HeaderName::from_static("x")).unwrap(), "a   \tset-cookie: z");
    }
}
