//! The head of an endpoint's answer: what it must be to be believed, and what of it stays behind.
//!
//! An answer whose end two parsers could see at two places (RFC 9112, section 6.3) is not passed on, and its connection is not used
//! again, so that what follows it is never taken for the answer to another request.

use crate::relay::head::{AnswerHead, number};
use crate::relay::lines::Lines;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderValue, StatusCode};
use riparian_filters::rewrite;
use smallvec::SmallVec;

/// Whether an answer has one end, and switches to no protocol that nobody asked for.
pub(crate) fn is_sound(head: &AnswerHead) -> bool {
    let mut lengths = head.lines.all(&CONTENT_LENGTH);
    let mut codings = head.lines.all(&TRANSFER_ENCODING);
    let framed = match (lengths.next(), codings.next()) {
        (Some(_), Some(_)) => false,
        (Some(length), None) => lengths.next().is_none() && number(length).is_some(),
        (None, Some(coding)) => {
            codings.next().is_none() && coding.as_bytes().eq_ignore_ascii_case(b"chunked")
        }
        (None, None) => true,
    };
    framed && head.status != StatusCode::SWITCHING_PROTOCOLS
}

/// Takes out what only the hop from the endpoint to us may say (RFC 9110, 7.6.1), and anything that claims to be ours.
pub(crate) fn strip(lines: &mut Lines) {
    let nominated: SmallVec<[HeaderValue; 1]> = lines.all(&CONNECTION).cloned().collect();
    let options = || {
        nominated.iter().flat_map(|list| list.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
    };
    lines.retain(|name| {
        let text = name.as_str();
        // How the body ends is not for the hop alone to say: that stays.
        let nominated = || {
            *name != CONTENT_LENGTH && options().any(|option| option.eq_ignore_ascii_case(text.as_bytes()))
        };
        !(is_of_the_hop(text) || rewrite::is_ours(text) || nominated())
    });
}

fn is_of_the_hop(name: &str) -> bool {
    matches!(
        name,
        "connection" | "keep-alive" | "proxy-connection" | "te" | "trailer" | "transfer-encoding" | "upgrade"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderName;

    #[test]
    fn an_answer_has_one_end() {
        let table: [(&[(&'static str, &'static str)], bool); 10] = [
            (&[], true),
            (&[("content-length", "2")], true),
            (&[("transfer-encoding", "Chunked")], true),
            (&[("content-length", "2"), ("content-length", "2")], false),
            (&[("content-length", "2, 2")], false),
            (&[("content-length", "-2")], false),
            (&[("content-length", "")], false),
            (&[("content-length", "2"), ("transfer-encoding", "chunked")], false),
            (&[("transfer-encoding", "gzip, chunked")], false),
            (&[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")], false),
        ];
        for (lines, good) in table {
            let mut head = AnswerHead::new(StatusCode::OK);
            for (name, value) in lines {
                head.lines.push(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            assert_eq!(is_sound(&head), good, "{lines:?}");
        }
        assert!(!is_sound(&AnswerHead::new(StatusCode::SWITCHING_PROTOCOLS)), "nobody asked for it");
    }

    #[test]
    fn what_is_of_the_hop_stays_behind() {
        let mut lines = Lines::default();
        for (name, value) in [
            ("connection", "keep-alive, x-nominated, content-length"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("x-nominated", "hop"),
            ("x-riparian-cloud", "forged"),
            ("content-length", "2"),
            ("x-request-id", "1"),
        ] {
            lines.push(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        strip(&mut lines);
        let mut left: Vec<_> = lines.iter().map(|(name, _)| name.as_str()).collect();
        left.sort_unstable();
        assert_eq!(left, ["content-length", "x-request-id"]);
    }
}
