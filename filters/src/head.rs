//! The head of a request, and the strict check that it passes before anything else looks at it.
//!
//! The framing rules are those of RFC 9112 (sections 2.2, 3, 5, 6) read as strictly as a gateway may: what two
//! parsers could read differently is refused, never repaired. [`check_raw`] sees the bytes of an HTTP/1.1 head as they
//! came, so that nothing is lost to a lenient parser; [`check`] sees a parsed head, of either version.

use crate::decision::Reason;
use crate::frame;
use http::{HeaderMap, Method, header};
use memchr::memmem::Finder;
use std::fmt;
use std::sync::LazyLock;

/// A request's head, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path, as it came.
    pub path: &'a str,
    /// What stands after `?`, as it came.
    pub query: Option<&'a str>,
    /// All header lines.
    pub headers: &'a HeaderMap,
}

/// What a head is measured against.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// Bytes of the whole head.
    pub bytes: usize,
    /// Bytes of the target.
    pub target: usize,
    /// Header lines.
    pub lines: usize,
}

/// Why a head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadFault {
    /// One of the `head_*` reasons, `target_too_long`, `method_refused` or `upgrade_refused`.
    pub reason: Reason,
    /// What is wrong, without any byte of the request.
    pub what: &'static str,
}

impl fmt::Display for HeadFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.what)
    }
}

fn malformed(what: &'static str) -> HeadFault {
    HeadFault { reason: Reason::HeadMalformed, what }
}

/// Where an HTTP/1.1 head ends: the offset after the empty line, if it is there yet.
///
/// `from` is how much was already searched in vain, so that a head that drips in is not searched from its start each time.
#[must_use]
pub fn end_of_head(bytes: &[u8], from: usize) -> Option<usize> {
    static END: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\r\n\r\n"));
    let start = from.saturating_sub(3);
    END.find(&bytes[start..]).map(|at| start + at + 4)
}

/// Checks an HTTP/1.1 head, from the request line to the empty line, byte by byte.
///
/// # Errors
/// On the first thing that is malformed, ambiguous or over a limit.
pub fn check_raw(head: &[u8], limits: HeadLimits) -> Result<(), HeadFault> {
    if head.len() > limits.bytes {
        return Err(HeadFault { reason: Reason::HeadTooLarge, what: "head over the limit" });
    }
    let body = head.strip_suffix(b"\r\n\r\n").ok_or(malformed("head not ended"))?;
    let mut lines = Lines(Some(body));
    request_line(lines.next().ok_or(malformed("no request line"))?, limits)?;
    let mut framing = Framing::default();
    let mut count = 0;
    for line in lines {
        count += 1;
        if count > limits.lines {
            return Err(HeadFault { reason: Reason::HeadTooLarge, what: "too many header lines" });
        }
        header_line(line, &mut framing)?;
    }
    framing.verdict()
}

/// Splits on CRLF and nothing else: a bare CR or LF stays in its line, where it is found to be a control byte.
struct Lines<'a>(Option<&'a [u8]>);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.0?;
        let ends = memchr::memchr_iter(b'\n', rest).find(|at| *at > 0 && rest[at - 1] == b'\r');
        match ends {
            Some(at) => {
                self.0 = Some(&rest[at + 1..]);
                Some(&rest[..at - 1])
            }
            None => self.0.take(),
        }
    }
}

fn is_token_byte(byte: u8) -> bool {
    KINDS[usize::from(byte)] & TOKEN != 0
}

fn is_value_byte(byte: u8) -> bool {
    KINDS[usize::from(byte)] & VALUE != 0
}

/// What a byte may stand in: a token (RFC 9110, 5.6.2), a header's value (5.5).
const KINDS: [u8; 256] = {
    let mut kinds = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        if byte == b'\t' as usize || (byte >= 0x20 && byte != 0x7f) {
            kinds[byte] |= VALUE;
        }
        if matches!(byte, 0x30..=0x39 | 0x41..=0x5a | 0x61..=0x7a) {
            kinds[byte] |= TOKEN;
        }
        byte += 1;
    }
    let others = b"!#$%&'*+-.^_`|~";
    let mut at = 0;
    while at < others.len() {
        kinds[others[at] as usize] |= TOKEN;
        at += 1;
    }
    kinds
};

const TOKEN: u8 = 1;
const VALUE: u8 = 2;

fn request_line(line: &[u8], limits: HeadLimits) -> Result<(), HeadFault> {
    let mut parts = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(malformed("request line is not three words with single spaces"));
    };
    if method.is_empty() || !method.iter().all(|byte| is_token_byte(*byte)) {
        return Err(malformed("method is no token"));
    }
    if method == b"CONNECT" || method == b"TRACE" {
        return Err(HeadFault { reason: Reason::MethodRefused, what: "method is never carried" });
    }
    if target.len() > limits.target {
        return Err(HeadFault { reason: Reason::TargetTooLong, what: "target over the limit" });
    }
    // Origin form only (RFC 9112, 3.2.1): a sidecar is no forward proxy, and `*` has nothing to ask of it.
    if !target.starts_with(b"/")
        || !target.iter().all(|byte| (0x21..=0x7e).contains(byte))
        || target.contains(&b'#')
    {
        return Err(malformed("target is not in origin form, or has a control or non-ASCII byte"));
    }
    match version {
        b"HTTP/1.1" => Ok(()),
        _ => Err(malformed("version is not HTTP/1.1")),
    }
}

/// What a message's framing rests on, counted over its lines.
#[derive(Default)]
struct Framing {
    hosts: usize,
    lengths: usize,
    encodings: usize,
    credentials: usize,
}

impl Framing {
    fn verdict(&self) -> Result<(), HeadFault> {
        match self {
            Self { hosts: 0, .. } => Err(malformed("no Host")),
            Self { hosts: 2.., .. } => Err(malformed("more than one Host")),
            Self { lengths: 2.., .. } => Err(malformed("more than one Content-Length")),
            Self { encodings: 2.., .. } => Err(malformed("more than one Transfer-Encoding")),
            Self { lengths: 1, encodings: 1, .. } => Err(malformed("Content-Length with Transfer-Encoding")),
            Self { credentials: 2.., .. } => Err(malformed("more than one Authorization")),
            _ => Ok(()),
        }
    }
}

fn header_line(line: &[u8], framing: &mut Framing) -> Result<(), HeadFault> {
    if line.first().is_some_and(|byte| matches!(byte, b' ' | b'\t')) {
        return Err(malformed("folded header line"));
    }
    let colon = memchr::memchr(b':', line).ok_or(malformed("header line without a colon"))?;
    let (name, value) = (&line[..colon], trim(&line[colon + 1..]));
    if name.is_empty() || !name.iter().all(|byte| is_token_byte(*byte)) {
        return Err(malformed("header name is no token"));
    }
    if !value.iter().all(|byte| is_value_byte(*byte)) {
        return Err(malformed("control byte in a header value"));
    }
    if name.contains(&b'_') && FRAMING_NAMES.iter().any(|framing| looks_like(name, framing)) {
        return Err(malformed("a header that looks like a framing header"));
    }
    if name.eq_ignore_ascii_case(b"host") {
        framing.hosts += 1;
        if value.is_empty() || !value.iter().all(|byte| is_host_byte(*byte)) {
            return Err(malformed("Host is no host"));
        }
    } else if name.eq_ignore_ascii_case(b"content-length") {
        framing.lengths += 1;
        content_length(value)?;
    } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
        framing.encodings += 1;
        if !value.eq_ignore_ascii_case(b"chunked") {
            return Err(malformed("Transfer-Encoding is not chunked alone"));
        }
    } else if name.eq_ignore_ascii_case(b"authorization") {
        framing.credentials += 1;
    }
    Ok(())
}

/// Names that decide where a message ends or whom it is for.
const FRAMING_NAMES: [&[u8]; 5] =
    [b"content-length", b"transfer-encoding", b"host", b"connection", b"authorization"];

/// Whether `name` is `framing` once `_` is read as `-`, as some origins do.
fn looks_like(name: &[u8], framing: &[u8]) -> bool {
    name.len() == framing.len()
        && name.iter().zip(framing).all(|(a, b)| (*a == b'_' && *b == b'-') || a.eq_ignore_ascii_case(b))
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".-_:[]%~".contains(&byte)
}

/// 1 to 19 digits: a number that fits, and that nobody reads as octal, signed or a list.
fn content_length(value: &[u8]) -> Result<(), HeadFault> {
    if value.is_empty() || value.len() > 19 || !value.iter().all(u8::is_ascii_digit) {
        return Err(malformed("Content-Length is no single number"));
    }
    Ok(())
}

fn trim(value: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|byte| !is_blank(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !is_blank(byte)).map_or(start, |at| at + 1);
    &value[start..end]
}

/// Checks a parsed head, of either version. After [`check_raw`] it repeats nothing that matters there; for HTTP/2 it is
/// the check, since that framing leaves less to get wrong (RFC 9113, 8.2 and 8.3).
///
/// # Errors
/// On the first thing that is ambiguous, over a limit, or not carried.
pub fn check(head: &Head<'_>, limits: HeadLimits) -> Result<(), HeadFault> {
    if matches!(*head.method, Method::CONNECT | Method::TRACE) {
        return Err(HeadFault { reason: Reason::MethodRefused, what: "method is never carried" });
    }
    let target = head.path.len() + head.query.map_or(0, |query| query.len() + 1);
    if target > limits.target {
        return Err(HeadFault { reason: Reason::TargetTooLong, what: "target over the limit" });
    }
    if !head.path.starts_with('/') || !head.path.bytes().all(|byte| (0x21..=0x7e).contains(&byte)) {
        return Err(malformed("path has a control or non-ASCII byte"));
    }
    if head.headers.len() > limits.lines {
        return Err(HeadFault { reason: Reason::HeadTooLarge, what: "too many header lines" });
    }
    let (mut bytes, mut once) = (target, Framing::default());
    for (name, value) in head.headers {
        bytes += name.as_str().len() + value.len() + 4;
        match *name {
            header::HOST => once.hosts += 1,
            header::CONTENT_LENGTH => {
                once.lengths += 1;
                content_length(value.as_bytes())?;
            }
            header::TRANSFER_ENCODING => once.encodings += 1,
            header::AUTHORIZATION => once.credentials += 1,
            _ => {
                let name = name.as_str().as_bytes();
                if memchr::memchr(b'_', name).is_some()
                    && FRAMING_NAMES.iter().any(|framing| looks_like(name, framing))
                {
                    return Err(malformed("a header that looks like a framing header"));
                }
            }
        }
    }
    if bytes > limits.bytes {
        return Err(HeadFault { reason: Reason::HeadTooLarge, what: "head over the limit" });
    }
    // Over HTTP/2 the authority stands where `Host` would.
    once.hosts = once.hosts.max(1);
    once.verdict()?;
    nominations(head.headers)?;
    // A socket is carried where the surface has one; who asks for anything else asks in vain.
    if head.headers.contains_key(header::UPGRADE)
        && asks_upgrade(head.headers)
        && !frame::is_websocket(head.headers)
    {
        return Err(HeadFault { reason: Reason::UpgradeRefused, what: "upgrade asked for" });
    }
    Ok(())
}

/// Options of `Connection` in one head. Clients send one or two; each is compared with every header line.
const NOMINATIONS_MAX: usize = 9;

/// Checks what `Connection` nominates (RFC 9110, 7.6.1): tokens, few, and no field that is meant for everybody on the way.
fn nominations(headers: &HeaderMap) -> Result<(), HeadFault> {
    let lines = headers.get_all(header::CONNECTION).iter();
    let options = lines.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).map(trim);
    for (number, option) in options.filter(|option| !option.is_empty()).enumerate() {
        if number == NOMINATIONS_MAX {
            return Err(malformed("Connection nominates too many headers"));
        }
        if !option.iter().all(|byte| is_token_byte(*byte)) {
            return Err(malformed("Connection nominates what is no header name"));
        }
        if FRAMING_NAMES.iter().chain(&FORWARDING_NAMES).any(|name| option.eq_ignore_ascii_case(name)) {
            return Err(malformed("Connection nominates a header that is meant for the endpoint"));
        }
    }
    Ok(())
}

/// Names that say where a request came from.
const FORWARDING_NAMES: [&[u8]; 3] = [b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto"];

/// Whether `Connection` nominates `Upgrade`.
fn asks_upgrade(headers: &HeaderMap) -> bool {
    headers.get_all(header::CONNECTION).iter().any(|value| {
        value
            .as_bytes()
            .split(|byte| *byte == b',')
            .any(|option| trim(option).eq_ignore_ascii_case(b"upgrade"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeadLimits = HeadLimits { bytes: 1024, target: 64, lines: 8 };

    fn raw(text: &str) -> Result<(), HeadFault> {
        check_raw(text.as_bytes(), LIMITS)
    }

    #[test]
    fn a_plain_head_passes() {
        raw("POST /v1/x?a=b HTTP/1.1\r\nHost: h:80\r\nContent-Length: 12\r\nX-Any_Thing: caf\u{e9}\r\n\r\n")
            .unwrap();
        raw("POST / HTTP/1.1\r\nhost:h\r\nTransfer-Encoding: Chunked\r\n\r\n").unwrap();
    }

    #[test]
    fn what_two_parsers_could_read_differently_is_refused() {
        for (what, head) in [
            ("no host", "GET / HTTP/1.1\r\nA: b\r\n\r\n"),
            ("two hosts", "GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n"),
            ("empty host", "GET / HTTP/1.1\r\nHost: \r\n\r\n"),
            ("host with a space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
            ("doubled length", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n"),
            ("listed length", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n"),
            ("signed length", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n"),
            ("huge length", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n"),
            (
                "length and chunked",
                "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            ),
            ("two codings", "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"),
            (
                "doubled coding",
                "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            ),
            ("coding with a tab", "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \tchunked\tx\r\n\r\n"),
            ("look-alike", "GET / HTTP/1.1\r\nHost: a\r\nContent_Length: 1\r\n\r\n"),
            ("space before the colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
            ("folded", "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n"),
            ("bare LF", "GET / HTTP/1.1\nHost: a\r\n\r\n"),
            ("bare LF in a header", "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n"),
            ("bare CR", "GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n"),
            ("NUL", "GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n"),
            ("control in the target", "GET /\u{1} HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("absolute form", "GET http://x/ HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("asterisk form", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("two spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("old version", "GET / HTTP/1.0\r\nHost: a\r\n\r\n"),
            ("no version", "GET /\r\nHost: a\r\n\r\n"),
            ("empty line first", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("two credentials", "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n"),
        ] {
            assert_eq!(raw(head).map_err(|fault| fault.reason), Err(Reason::HeadMalformed), "{what}");
        }
    }

    #[test]
    fn limits_have_their_own_reasons() {
        let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(64));
        assert_eq!(raw(&long).unwrap_err().reason, Reason::TargetTooLong);
        let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(8));
        assert_eq!(raw(&many).unwrap_err().reason, Reason::HeadTooLarge);
        let big = format!("GET / HTTP/1.1\r\nHost: a\r\nA: {}\r\n\r\n", "b".repeat(1024));
        assert_eq!(raw(&big).unwrap_err().reason, Reason::HeadTooLarge);
        assert_eq!(raw("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap_err().reason, Reason::MethodRefused);
    }

    #[test]
    fn what_connection_nominates_is_checked() {
        let checked = |lines: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(header::CONNECTION, http::HeaderValue::from_static(line));
            }
            let head = Head { method: &Method::GET, path: "/", query: None, headers: &headers };
            check(&head, HeadLimits { lines: 32, ..LIMITS }).map_err(|fault| fault.reason)
        };
        assert_eq!(checked(&["keep-alive, X-Hop,,", " close"]), Ok(()));
        assert_eq!(checked(&["a,b,c,d,e", "f,g,h,i"]), Ok(()));
        for bad in [
            &["a,b,c,d,e", "f,g,h,i,j"][..],
            &["close", "Host"],
            &["content-length"],
            &["close, X-Forwarded-For"],
            &["\"x\""],
            &[":authority"],
            &["a b"],
        ] {
            assert_eq!(checked(bad), Err(Reason::HeadMalformed), "{bad:?}");
        }
    }

    #[test]
    fn the_end_of_a_head_is_found_across_reads() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nrest";
        for cut in 0..=head.len() {
            let first = end_of_head(&head[..cut], 0);
            assert_eq!(first.or_else(|| end_of_head(head, cut)), Some(27), "cut at {cut}");
        }
    }
}
