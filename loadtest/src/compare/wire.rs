//! HTTP/1.1 heads and bodies, read as cheaply as can be and kept nowhere: what client and cloud of a comparison share.

use std::io;

/// Headers of a message at most.
const HEADERS_MAX: usize = 64;

/// How a body is delimited, and how far it has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// This many bytes are still to come.
    Length(u64),
    /// `transfer-encoding: chunked`.
    Chunked(Chunked),
}

/// Where a chunked body stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chunked {
    /// Within the line that gives the size so far; `true` once an extension has begun.
    Size(u64, bool),
    /// Data still to come.
    Data(u64),
    /// This many bytes of the line's end after the data.
    DataEnd(u8),
    /// The trailer; how many bytes of its current line so far.
    Trailer(u32),
    /// Complete.
    Done,
}

impl Framing {
    /// From the headers of a head that was read whole.
    pub(crate) fn of(headers: &[httparse::Header<'_>]) -> io::Result<Framing> {
        let mut length = None;
        for header in headers {
            if header.name.eq_ignore_ascii_case("transfer-encoding") {
                return Ok(Framing::Chunked(Chunked::Size(0, false)));
            }
            if header.name.eq_ignore_ascii_case("content-length") {
                length = std::str::from_utf8(header.value).ok().and_then(|value| value.trim().parse().ok());
            }
        }
        length.map(Framing::Length).ok_or_else(|| io::Error::other("a body of unknown length"))
    }

    pub(crate) fn is_done(self) -> bool {
        matches!(self, Framing::Length(0) | Framing::Chunked(Chunked::Done))
    }

    /// Reads on; `data` is called with each piece of the body, and told whether it begins a chunk. Returns how many bytes
    /// were used: what is left belongs to the next message.
    pub(crate) fn feed(&mut self, bytes: &[u8], mut data: impl FnMut(&[u8], bool)) -> io::Result<usize> {
        match self {
            Framing::Length(left) => {
                let used = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                data(&bytes[..used], false);
                *left -= used as u64;
                Ok(used)
            }
            Framing::Chunked(state) => {
                let mut at = 0;
                while at < bytes.len() && *state != Chunked::Done {
                    at += state.step(&bytes[at..], &mut data)?;
                }
                Ok(at)
            }
        }
    }
}

impl Chunked {
    /// Uses at least one byte.
    fn step(&mut self, bytes: &[u8], data: &mut impl FnMut(&[u8], bool)) -> io::Result<usize> {
        let byte = bytes[0];
        *self = match *self {
            Chunked::Size(0, _) if byte == b'\n' => Chunked::Trailer(0),
            Chunked::Size(size, _) if byte == b'\n' => {
                data(&[], true);
                Chunked::Data(size)
            }
            Chunked::Size(size, false) if byte.is_ascii_hexdigit() => {
                let digit = char::from(byte).to_digit(16).expect("a hexadecimal digit");
                if size >> 56 != 0 {
                    return Err(io::Error::other("a chunk of absurd size"));
                }
                Chunked::Size(size * 16 + u64::from(digit), false)
            }
            Chunked::Size(size, _) if matches!(byte, b'\r' | b';' | b' ') => Chunked::Size(size, true),
            Chunked::Size(size, true) => Chunked::Size(size, true),
            Chunked::Size(..) => return Err(io::Error::other("a chunk's size is no number")),
            Chunked::Data(left) => {
                let used = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
                data(&bytes[..used], false);
                let left = left - used as u64;
                *self = if left == 0 { Chunked::DataEnd(0) } else { Chunked::Data(left) };
                return Ok(used);
            }
            Chunked::DataEnd(0) if byte == b'\r' => Chunked::DataEnd(1),
            Chunked::DataEnd(_) if byte == b'\n' => Chunked::Size(0, false),
            Chunked::DataEnd(_) => return Err(io::Error::other("a chunk goes on after its end")),
            Chunked::Trailer(0) if byte == b'\n' => Chunked::Done,
            Chunked::Trailer(_) if byte == b'\n' => Chunked::Trailer(0),
            Chunked::Trailer(line) if byte == b'\r' => Chunked::Trailer(line),
            Chunked::Trailer(line) => Chunked::Trailer(line + 1),
            Chunked::Done => Chunked::Done,
        };
        Ok(1)
    }
}

/// The end of the head in `bytes`: after its empty line. `from` says how much was searched before.
pub(crate) fn head_end(bytes: &[u8], from: usize) -> Option<usize> {
    let from = from.saturating_sub(3);
    memchr::memmem::find(&bytes[from..], b"\r\n\r\n").map(|at| from + at + 4)
}

/// Parses an answer's head that is there in full: status, framing, and whether the connection stays.
pub(crate) fn answer_head(head: &[u8]) -> io::Result<(u16, Framing, bool)> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    match response.parse(head).map_err(io::Error::other)? {
        httparse::Status::Complete(_) => {}
        httparse::Status::Partial => return Err(io::Error::other("a head that is no head")),
    }
    let status = response.code.ok_or_else(|| io::Error::other("an answer without a status"))?;
    Ok((status, Framing::of(response.headers)?, stays(response.headers)))
}

fn stays(headers: &[httparse::Header<'_>]) -> bool {
    let close = |header: &httparse::Header<'_>| {
        header.name.eq_ignore_ascii_case("connection") && header.value.eq_ignore_ascii_case(b"close")
    };
    !headers.iter().any(close)
}

/// Parses a request's head that is there in full; `look` sees its target and headers.
pub(crate) fn request_head<T>(
    head: &[u8],
    look: impl FnOnce(&str, &[httparse::Header<'_>]) -> T,
) -> io::Result<(T, Framing)> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    request.parse(head).map_err(io::Error::other)?;
    let target = request.path.ok_or_else(|| io::Error::other("a request without a target"))?;
    Ok((look(target, request.headers), Framing::of(request.headers)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunked_body_reads_the_same_however_it_is_cut() {
        let wire = b"5\r\nhello\r\n1;x=y\r\n \r\n00a\r\n0123456789\r\n0\r\nT: 1\r\n\r\nNEXT";
        for step in 1..wire.len() {
            let mut framing = Framing::Chunked(Chunked::Size(0, false));
            let (mut text, mut chunks, mut used) = (Vec::new(), 0, 0);
            for piece in wire.chunks(step) {
                used += framing
                    .feed(piece, |data, begins| {
                        text.extend_from_slice(data);
                        chunks += u32::from(begins);
                    })
                    .expect("well-formed");
            }
            assert_eq!((text.as_slice(), chunks), (b"hello 0123456789".as_slice(), 3), "cut into {step}");
            assert!(framing.is_done());
            assert_eq!(&wire[used..], b"NEXT");
        }
    }

    #[test]
    fn nonsense_is_an_error() {
        for wire in ["xyz\r\n", "2\r\nabc\r\n", "fffffffffffffffffffff\r\n"] {
            let mut framing = Framing::Chunked(Chunked::Size(0, false));
            assert!(framing.feed(wire.as_bytes(), |_, _| {}).is_err(), "{wire:?}");
        }
        assert!(answer_head(b"HTTP/1.1 200 OK\r\nserver: x\r\n\r\n").is_err(), "no length");
        let (status, framing, stays) =
            answer_head(b"HTTP/1.1 404 No\r\nContent-Length: 7\r\nConnection: close\r\n\r\n")
                .expect("a head");
        assert_eq!((status, framing, stays), (404, Framing::Length(7), false));
    }
}
