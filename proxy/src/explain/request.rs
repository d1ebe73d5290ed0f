//! A raw HTTP/1.1 request, as a person writes it: line ends may be LF, and the body is what follows the empty line.

use crate::relay::head::RequestHead;
use crate::seals::Opener;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use riparian_filters::head::Head;
use std::io::Read;
use std::path::Path;

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// The head with CRLF line ends, as it would come over a socket.
    pub(crate) raw_head: Vec<u8>,
}

impl Request {
    /// Reads a file; `-` is standard input.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let mut bytes = Vec::new();
        let read = if path == Path::new("-") {
            std::io::stdin().read_to_end(&mut bytes)
        } else {
            std::fs::File::open(path).and_then(|mut file| file.read_to_end(&mut bytes))
        };
        read.map_err(|error| format!("{}: {error}", path.display()))?;
        Self::parse(&bytes).map_err(|what| format!("{}: {what}", path.display()))
    }

    /// Reads a request; what is wrong names headers, and never a value.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let (head, body) = split(bytes);
        let raw_head = crlf(head);
        let mut lines = [httparse::EMPTY_HEADER; 512];
        let mut parsed = httparse::Request::new(&mut lines);
        match parsed.parse(&raw_head) {
            Ok(httparse::Status::Complete(_)) => {}
            Ok(httparse::Status::Partial) => {
                return Err(
                    "no request: write POST /v1/... HTTP/1.1, headers, an empty line, the body".to_owned()
                );
            }
            Err(error) => return Err(format!("no HTTP/1.1 request: {error}")),
        }
        let method = parsed.method.unwrap_or("").parse().map_err(|_| "no method".to_owned())?;
        let target = parsed.path.unwrap_or("");
        let (path, query) =
            target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query.to_owned())));
        let mut headers = HeaderMap::new();
        for line in parsed.headers.iter() {
            let name = HeaderName::from_bytes(line.name.as_bytes())
                .map_err(|error| format!("{}: {error}", line.name))?;
            let value =
                HeaderValue::from_bytes(line.value).map_err(|error| format!("{}: {error}", line.name))?;
            headers.append(name, value);
        }
        let body = framed(&headers, body)?;
        Ok(Self { method, path: path.to_owned(), query, headers, body, raw_head: raw_head.clone() })
    }

    /// Makes it come from whoever this credential is, and from nobody else.
    pub(crate) fn comes_from(&mut self, credential: &str) {
        for name in ["api-key", "x-api-key", "x-goog-api-key"] {
            self.headers.remove(name);
        }
        let value = HeaderValue::from_str(&format!("Bearer {credential}"));
        self.headers.insert(http::header::AUTHORIZATION, value.expect("it was made of digits"));
    }

    /// The same without the seals in its head; `None` where none opens.
    pub(crate) fn opened(&self, opener: &mut Opener<'_>) -> Option<Self> {
        let query = self.query.iter().flat_map(|query| ["?", query]);
        let target: String = std::iter::once(self.path.as_str()).chain(query).collect();
        let (method, headers) = (self.method.clone(), self.headers.clone());
        let bare = opener.head(&RequestHead { method, uri: target.parse().ok()?, headers })?;
        let (path, query) = (bare.uri.path().to_owned(), bare.uri.query().map(str::to_owned));
        Some(Self { path, query, headers: bare.headers, ..self.clone() })
    }

    /// Its head as the decision sees it.
    pub(crate) fn head(&self) -> Head<'_> {
        Head { method: &self.method, path: &self.path, query: self.query.as_deref(), headers: &self.headers }
    }
}

/// Head and body, at the first empty line.
fn split(bytes: &[u8]) -> (&[u8], &[u8]) {
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| *byte == b'\n') {
        let line = bytes[from..from + at].strip_suffix(b"\r").unwrap_or(&bytes[from..from + at]);
        let next = from + at + 1;
        if line.is_empty() {
            return (&bytes[..from], &bytes[next..]);
        }
        from = next;
    }
    (bytes, &[])
}

/// The head as it would come over a socket, its empty line included.
fn crlf(head: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(head.len() + 64);
    for line in head.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if !line.is_empty() {
            out.extend_from_slice(line);
            out.extend_from_slice(b"\r\n");
        }
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// The body as its framing headers say; without any, all that follows.
fn framed(headers: &HeaderMap, body: &[u8]) -> Result<Vec<u8>, String> {
    if headers
        .get(http::header::TRANSFER_ENCODING)
        .is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
    {
        return dechunk(body);
    }
    let length = headers
        .get(http::header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    match length {
        Some(length) if length > body.len() => {
            Err(format!("Content-Length says {length} bytes, but {} follow the head", body.len()))
        }
        Some(length) => Ok(body[..length].to_vec()),
        None => Ok(body.to_vec()),
    }
}

fn dechunk(mut body: &[u8]) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    loop {
        let Ok(httparse::Status::Complete((at, length))) = httparse::parse_chunk_size(body) else {
            return Err("the chunked body has no whole chunk size".to_owned());
        };
        if length == 0 {
            return Ok(out);
        }
        let chunk = usize::try_from(length).ok().and_then(|length| body.get(at..at.checked_add(length)?));
        let chunk = chunk.ok_or("a chunk is longer than the file")?;
        out.extend_from_slice(chunk);
        let rest = &body[at + chunk.len()..];
        body = rest
            .strip_prefix(b"\r\n")
            .or_else(|| rest.strip_prefix(b"\n"))
            .ok_or("a chunk is not ended by a line end")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_and_framing_as_people_write_them() {
        for text in [
            "POST /v1/x?a=b HTTP/1.1\nHost: h\n\n{\"a\":1}",
            "POST /v1/x?a=b HTTP/1.1\r\nHost: h\r\n\r\n{\"a\":1}",
            "POST /v1/x?a=b HTTP/1.1\nHost: h\nContent-Length: 7\n\n{\"a\":1}\n",
            "POST /v1/x?a=b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{\"a\r\n4\r\n\":1}\r\n0\r\n\r\n",
        ] {
            let request = Request::parse(text.as_bytes()).unwrap();
            assert_eq!((request.path.as_str(), request.query.as_deref()), ("/v1/x", Some("a=b")));
            assert_eq!(request.body, b"{\"a\":1}", "{text}");
        }
    }

    #[test]
    fn what_is_no_request_is_said_to_be_none() {
        assert!(Request::parse(b"hello").is_err());
        assert!(Request::parse(b"POST / HTTP/1.1\nHost: h\nContent-Length: 9\n\n{}").is_err());
    }
}
