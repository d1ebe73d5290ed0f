//! Where a body ends (RFC 9112, 6 and 7), for requests and answers.
//!
//! Read as strictly as it is written: sizes are plain hexadecimal, lines end in CRLF, what stands behind a chunk is an empty line. Chunk
//! extensions and trailers are passed over and not passed on; they are bounded.

use std::fmt;

/// How a body ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// It has ended.
    Over,
    /// After so many bytes.
    Length(u64),
    /// By its chunks.
    Chunked(Chunks),
    /// With its connection: answers, and what follows a request that nobody can read.
    Close,
}

/// Where a chunked body is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chunks {
    at: At,
    /// Bytes of the current chunk that are still to come, or its size as far as it was read.
    left: u64,
    /// Bytes of the current line, or of all trailers.
    line: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// The digits of a size.
    Size,
    /// Blanks or an extension behind it.
    Extension,
    SizeFeed,
    Data,
    DataReturn,
    DataFeed,
    /// The first byte of a trailer's line.
    Trailer,
    InTrailer,
    TrailerFeed,
    LastFeed,
}

/// Bytes of extensions in one line, and of all trailers.
const LINE_MAX: usize = 8 * 1024;

/// Digits of a size: 60 bits, so that nothing wraps.
const DIGITS_MAX: usize = 15;

/// A body's framing is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("its framing is broken")
    }
}

/// What was decoded of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decoded {
    /// So many bytes of data, now at the piece's front.
    pub(crate) data: usize,
    /// So many bytes of the piece were read; what is behind them is not the body's.
    pub(crate) used: usize,
}

impl Framing {
    /// The framing of a chunked body, from its start.
    pub(crate) fn chunked() -> Self {
        Self::Chunked(Chunks { at: At::Size, left: 0, line: 0 })
    }

    /// The framing of a body of this length.
    pub(crate) fn length(bytes: u64) -> Self {
        if bytes == 0 { Self::Over } else { Self::Length(bytes) }
    }

    pub(crate) fn is_over(&self) -> bool {
        *self == Self::Over
    }

    /// Takes what is the body's from a piece, and moves its data to the piece's front.
    ///
    /// # Errors
    /// When what comes is no chunked body.
    pub(crate) fn decode(&mut self, piece: &mut [u8]) -> Result<Decoded, Broken> {
        match self {
            Self::Over => Ok(Decoded { data: 0, used: 0 }),
            Self::Close => Ok(Decoded { data: piece.len(), used: piece.len() }),
            Self::Length(left) => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(piece.len());
                *self = Self::length(*left - taken as u64);
                Ok(Decoded { data: taken, used: taken })
            }
            Self::Chunked(chunks) => {
                let (decoded, over) = chunks.decode(piece)?;
                if over {
                    *self = Self::Over;
                }
                Ok(decoded)
            }
        }
    }
}

impl Chunks {
    fn decode(&mut self, piece: &mut [u8]) -> Result<(Decoded, bool), Broken> {
        let (mut read, mut written) = (0, 0);
        while let Some(&byte) = piece.get(read) {
            if self.at == At::Data {
                let taken = usize::try_from(self.left).unwrap_or(usize::MAX).min(piece.len() - read);
                piece.copy_within(read..read + taken, written);
                read += taken;
                written += taken;
                self.left -= taken as u64;
                if self.left == 0 {
                    self.at = At::DataReturn;
                }
                continue;
            }
            read += 1;
            if self.step(byte)? {
                return Ok((Decoded { data: written, used: read }, true));
            }
        }
        Ok((Decoded { data: written, used: read }, false))
    }

    /// One byte that is not data; true when it was the body's last.
    fn step(&mut self, byte: u8) -> Result<bool, Broken> {
        self.line += 1;
        self.at = match (self.at, byte) {
            (At::Size, _) if byte.is_ascii_hexdigit() => {
                if self.line > DIGITS_MAX {
                    return Err(Broken);
                }
                let digit = (byte as char).to_digit(16).expect("a hexadecimal digit");
                self.left = self.left << 4 | u64::from(digit);
                At::Size
            }
            // A size has a digit at least.
            (At::Size, b'\r') if self.line > 1 => At::SizeFeed,
            (At::Size, b';' | b' ' | b'\t') if self.line > 1 => At::Extension,
            (At::Extension, b'\r') => At::SizeFeed,
            (At::Extension, _) if self.line <= LINE_MAX && (byte >= b' ' || byte == b'\t') => At::Extension,
            (At::SizeFeed, b'\n') if self.left > 0 => At::Data,
            (At::SizeFeed, b'\n') => {
                self.line = 0;
                At::Trailer
            }
            (At::DataReturn, b'\r') => At::DataFeed,
            (At::DataFeed, b'\n') => {
                self.line = 0;
                At::Size
            }
            (At::Trailer, b'\r') => At::LastFeed,
            (At::LastFeed, b'\n') => return Ok(true),
            (At::InTrailer, b'\r') => At::TrailerFeed,
            (At::TrailerFeed, b'\n') => At::Trailer,
            (At::Trailer | At::InTrailer, _)
                if self.line <= LINE_MAX && (byte >= b' ' || byte == b'\t') && byte != 0x7f =>
            {
                At::InTrailer
            }
            _ => return Err(Broken),
        };
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes `body` cut at every place, and says what came out and what was left over.
    fn decode(framing: &Framing, body: &[u8]) -> Result<(Vec<u8>, Vec<u8>, bool), Broken> {
        let mut results = Vec::new();
        for cut in 0..=body.len() {
            let mut framing = framing.clone();
            let (mut data, mut rest) = (Vec::new(), Vec::new());
            for piece in [&body[..cut], &body[cut..]] {
                let mut piece = piece.to_vec();
                match framing.decode(&mut piece) {
                    Ok(decoded) => {
                        data.extend_from_slice(&piece[..decoded.data]);
                        rest.extend_from_slice(&piece[decoded.used..]);
                    }
                    Err(broken) => {
                        data = vec![];
                        rest = vec![];
                        results.push(Err(broken));
                        break;
                    }
                }
            }
            if results.len() == cut {
                results.push(Ok((data, rest, framing.is_over())));
            }
        }
        assert!(
            results.windows(2).all(|pair| pair[0] == pair[1]),
            "it matters where {body:?} is cut: {results:?}"
        );
        results.swap_remove(0)
    }

    #[test]
    fn chunks_are_put_together_wherever_they_are_cut() {
        for (body, data, rest) in [
            ("4\r\nabcd\r\n0\r\n\r\n", "abcd", ""),
            ("4\r\nabcd\r\n10\r\n0123456789abcdef\r\n0\r\n\r\nGET /", "abcd0123456789abcdef", "GET /"),
            ("1;a=b\r\nx\r\n0;c\r\n\r\n", "x", ""),
            ("00A \r\n0123456789\r\n000\r\nX-Trailer: y\r\nZ: \r\n\r\nrest", "0123456789", "rest"),
            ("0\r\n\r\n", "", ""),
        ] {
            let (got, left, over) = decode(&Framing::chunked(), body.as_bytes()).unwrap();
            assert_eq!(
                (got.as_slice(), left.as_slice(), over),
                (data.as_bytes(), rest.as_bytes(), true),
                "{body:?}"
            );
        }
        let (data, _, over) = decode(&Framing::chunked(), b"4\r\nabcd\r\n0\r\n").unwrap();
        assert_eq!((data.as_slice(), over), (&b"abcd"[..], false), "the last empty line is missing");
    }

    #[test]
    fn what_is_no_chunk_is_broken() {
        let long = format!("1;{}\r\n", "x".repeat(LINE_MAX));
        let trailers = format!("0\r\n{}\r\n", "a: b\r\n".repeat(LINE_MAX / 6 + 1));
        for body in [
            "\r\n",
            ";x\r\n",
            "g\r\n",
            "+1\r\n",
            "-1\r\n",
            "0x1\r\n",
            " 1\r\n",
            "1\n",
            "1\r\r\n",
            "1\r\nxy\r\n",
            "1\r\nx\n",
            "1\r\nx0\r\n\r\n",
            "1000000000000000\r\n",
            "0\r\na\nb\r\n\r\n",
            "0\r\n\n",
            "1;a\nb\r\n",
            "0\r\na\x00: b\r\n\r\n",
            long.as_str(),
            trailers.as_str(),
        ] {
            let mut piece = body.as_bytes().to_vec();
            assert_eq!(Framing::chunked().decode(&mut piece), Err(Broken), "{body:?}");
        }
    }

    #[test]
    fn a_length_ends_where_it_says() {
        let (data, rest, over) = decode(&Framing::length(4), b"abcdGET /").unwrap();
        assert_eq!((data.as_slice(), rest.as_slice(), over), (&b"abcd"[..], &b"GET /"[..], true));
        assert!(Framing::length(0).is_over());
        assert!(!decode(&Framing::length(5), b"abcd").unwrap().2);
    }
}
