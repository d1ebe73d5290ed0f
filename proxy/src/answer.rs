//! The head of an endpoint's answer: what it must be to be believed, and what of it stays behind.
//!
//! pingora reads the framing of an answer as leniently as it can. An answer whose end two parsers could see at two places (RFC 9112,
//! section 6.3) is an error here: it is not passed on, and its connection is not used again, so that what follows it
//! is never taken for the answer to another request.

use http::StatusCode;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use pingora_error::{Error, ErrorType, Result};
use pingora_http::ResponseHeader;
use riparian_filters::rewrite;

/// Checks an answer's framing.
///
/// # Errors
/// When its end is ambiguous, or when it switches to a protocol that nobody asked for.
pub(crate) fn check(response: &ResponseHeader) -> Result<()> {
    let mut lengths = response.headers.get_all(CONTENT_LENGTH).iter();
    let mut codings = response.headers.get_all(TRANSFER_ENCODING).iter();
    let is_number = |text: &[u8]| (1..=19).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
    let fault = match (lengths.next(), codings.next()) {
        _ if response.status == StatusCode::SWITCHING_PROTOCOLS => {
            "a switch of protocols that nobody asked for"
        }
        (Some(_), Some(_)) => "Content-Length with Transfer-Encoding",
        (Some(length), None) if lengths.next().is_some() || !is_number(length.as_bytes()) => {
            "Content-Length is no single number"
        }
        (None, Some(coding))
            if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") =>
        {
            "Transfer-Encoding is not chunked alone"
        }
        _ => return Ok(()),
    };
    Err(Error::explain(ErrorType::InvalidHTTPHeader, fault).into_up())
}

/// Takes out what only the hop from the endpoint to us may say (RFC 9110, 7.6.1), and anything that claims to be ours.
/// `Transfer-Encoding` and `Connection` stay for pingora, which reads the framing from them and writes its own.
pub(crate) fn strip(response: &mut ResponseHeader) {
    let leaving: Vec<_> = response
        .headers
        .keys()
        .filter(|name| {
            rewrite::is_ours(name.as_str())
                || matches!(name.as_str(), "keep-alive" | "proxy-connection" | "te" | "trailer")
        })
        .cloned()
        .collect();
    for name in leaving {
        response.remove_header(&name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_one_end() {
        let table: [(&[(&str, &str)], bool); 10] = [
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
            let mut response = ResponseHeader::build(200, None).unwrap();
            for (name, value) in lines {
                response.append_header(*name, *value).unwrap();
            }
            assert_eq!(check(&response).is_ok(), good, "{lines:?}");
        }
        assert!(check(&ResponseHeader::build(101, None).unwrap()).is_err(), "nobody asked for it");
    }
}
