//! The strict head check, against a parser that many servers use: what passes has one reading, and that is it.

use super::entropy::Entropy;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use riparian_filters::decision::Reason;
use riparian_filters::head::{Head, HeadFault, HeadLimits, check, check_raw, end_of_head};

const LIMITS: HeadLimits = HeadLimits { bytes: 64 * 1024, target: 8 * 1024, lines: 100 };

const STARTS: [&[u8]; 6] = [
    b"GET / HTTP/1.1",
    b"POST /v1/responses?a=b HTTP/1.1",
    b"POST  / HTTP/1.1",
    b"GET http://a/ HTTP/1.1",
    b"TRACE / HTTP/1.1",
    b"GET / HTTP/1.0",
];

const LINES: [&[u8]; 20] = [
    b"Host: a",
    b"host:b:80",
    b"Host: ",
    b"Content-Length: 5",
    b"content-length:0005",
    b"Content-Length: 5, 5",
    b"Content_Length: 5",
    b"Transfer-Encoding: chunked",
    b"transfer-encoding: Chunked\t",
    b"Transfer-Encoding: gzip, chunked",
    b"Authorization: Bearer k",
    b"Connection: Upgrade, close",
    b"Upgrade: websocket",
    b"Accept: */*",
    b" folded",
    b"X : y",
    b"X:\xe9",
    b"X-Empty:",
    b"no colon",
    b"",
];

const ENDS: [&[u8]; 4] = [b"\r\n", b"\r\n", b"\r\n", b"\n"];

/// A head made of lines that there are, right ones and others, and then damaged a little or not at all.
#[must_use]
pub fn head(entropy: &mut Entropy<'_>) -> Vec<u8> {
    let mut head = if entropy.once_in(3) { entropy.one_of(&STARTS).to_vec() } else { STARTS[1].to_vec() };
    head.extend_from_slice(b"\r\n");
    if !entropy.once_in(4) {
        head.extend_from_slice(b"Host: a\r\n");
    }
    for _ in 0..entropy.below(5) {
        head.extend_from_slice(entropy.one_of(&LINES));
        head.extend_from_slice(if entropy.once_in(8) { entropy.one_of(&ENDS) } else { b"\r\n" });
    }
    head.extend_from_slice(b"\r\n");
    if entropy.once_in(3) {
        entropy.mutate(&mut head);
    }
    head
}

/// Whether `bytes` pass, after everything was held against each other.
///
/// # Panics
/// When a head that passes has another reading.
pub fn agree(bytes: &[u8], cut: usize) -> bool {
    let cut = cut.min(bytes.len());
    let end = end_of_head(bytes, 0);
    let dripped = end_of_head(&bytes[..cut], 0).or_else(|| end_of_head(bytes, cut));
    assert_eq!(dripped, end, "the end of a head that came in two pieces, cut at {cut}");
    if check_raw(bytes, LIMITS).is_err() {
        return false;
    }
    assert_eq!(end, Some(bytes.len()), "there is no empty line within a head that passes");
    let mut lines = [httparse::EMPTY_HEADER; 100];
    let mut parsed = httparse::Request::new(&mut lines);
    let read = parsed.parse(bytes).expect("another parser takes what passes");
    assert_eq!(read, httparse::Status::Complete(bytes.len()), "and ends where we end");
    assert_eq!(parsed.version, Some(1));
    let breaks = bytes.windows(2).filter(|pair| pair == b"\r\n").count();
    assert_eq!(parsed.headers.len(), breaks - 2, "one header a line");
    let feeds = bytes.iter().filter(|byte| matches!(byte, b'\r' | b'\n')).count();
    assert_eq!(feeds, 2 * breaks, "no line end but CRLF");

    let mut headers = HeaderMap::new();
    for line in &*parsed.headers {
        let name = HeaderName::from_bytes(line.name.as_bytes()).expect("a name");
        headers.append(name, HeaderValue::from_bytes(line.value).expect("a value"));
    }
    let times = |name| headers.get_all(name).iter().count();
    assert_eq!(times(header::HOST), 1, "whom it is for");
    assert!(times(header::CONTENT_LENGTH) + times(header::TRANSFER_ENCODING) <= 1, "where its body ends");
    assert!(times(header::AUTHORIZATION) <= 1, "who asks");
    if let Some(length) = headers.get(header::CONTENT_LENGTH) {
        let digits = length.to_str().expect("digits");
        assert!(
            digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<u64>().is_ok(),
            "{digits}"
        );
    }

    let target = parsed.path.expect("complete");
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let method = Method::from_bytes(parsed.method.expect("complete").as_bytes()).expect("a token");
    let again = check(&Head { method: &method, path, query, headers: &headers }, LIMITS);
    // What `Connection` nominates is looked at in the parsed head only.
    let may_fail = |fault: HeadFault| {
        fault.reason == Reason::UpgradeRefused || fault.what.starts_with("Connection nominates")
    };
    assert!(again.err().is_none_or(may_fail), "the check of the parsed head: {again:?}");
    true
}

/// The fuzz target. The first byte says what the others are: a head as it stands, or choices for one to be made of them.
pub fn body(data: &[u8]) {
    let Some((&kind, data)) = data.split_first() else { return };
    if kind & 1 == 0 {
        agree(data, data.len() / 2);
    } else {
        let mut entropy = Entropy::new(data);
        let head = head(&mut entropy);
        agree(&head, entropy.below(head.len() + 1));
    }
}
