//! How an answer is to be told: how many chunks, how far apart, how long. Set for the whole cloud by its spec, or for one
//! request by its `x-loadtest-script` header.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The request header that scripts this one request's answer, in the grammar of [`Script::from_str`].
pub const SCRIPT_HEADER: &str = "x-loadtest-script";

/// More chunks than any stream lives to see, and few enough for 32-bit counters anywhere.
const CHUNKS_MAX: usize = 1 << 30;
/// A chunk larger than this is no chunk of text.
const CHUNK_BYTES_MAX: usize = 1 << 20;

/// A stream's course. A plain answer holds as much text as all the chunks would, up to 16 MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Script {
    /// Pieces of text, at least 1.
    pub chunks: usize,
    /// The pause before each piece after the first.
    pub gap: Duration,
    /// Each piece's text is filled up to this many bytes; 0: as long as its number and nonce are, some 25.
    pub chunk_bytes: usize,
}

impl Script {
    /// Bytes of text in all; what a plain answer is filled up to.
    pub(crate) fn text_bytes(&self) -> usize {
        const PLAIN_BYTES_MAX: usize = 16 << 20;
        self.chunks.saturating_mul(self.chunk_bytes).min(PLAIN_BYTES_MAX)
    }
}

/// What a text is filled up with: bytes that mean nothing in JSON or in an event stream.
pub(crate) fn fill(text: &mut String, bytes: usize) {
    let missing = bytes.saturating_sub(text.len());
    text.extend(std::iter::repeat_n('.', missing));
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}us/{}b", self.chunks, self.gap.as_micros(), self.chunk_bytes)
    }
}

impl FromStr for Script {
    type Err = String;

    /// `CHUNKS[/GAP[/BYTESb]]`: `8`, `50/10ms`, `200/20ms/64b`. A gap is in `us`, `ms` or `s`; absent ones are 0.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no script: CHUNKS, CHUNKS/GAPms or CHUNKS/GAPms/BYTESb");
        let mut parts = text.trim().split('/');
        let chunks = parts.next().and_then(|part| part.parse().ok()).ok_or_else(wrong)?;
        let gap = parts.next().map_or(Some(Duration::ZERO), span).ok_or_else(wrong)?;
        let bytes = |part: &str| part.strip_suffix('b').and_then(|part| part.parse().ok());
        let chunk_bytes = parts.next().map_or(Some(0), bytes).ok_or_else(wrong)?;
        let fits = (1..=CHUNKS_MAX).contains(&chunks) && chunk_bytes <= CHUNK_BYTES_MAX;
        if parts.next().is_some() || !fits {
            return Err(wrong());
        }
        Ok(Script { chunks, gap, chunk_bytes })
    }
}

fn span(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let number: u32 = digits.parse().ok()?;
    match &text[digits.len()..] {
        "us" => Some(Duration::from_micros(number.into())),
        "ms" => Some(Duration::from_millis(number.into())),
        "s" => Some(Duration::from_secs(number.into())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_read_as_they_are_written() {
        let script = |chunks, ms, chunk_bytes| Script { chunks, gap: Duration::from_millis(ms), chunk_bytes };
        for (text, expected) in
            [("8", script(8, 0, 0)), ("50/10ms", script(50, 10, 0)), ("200/1s/64b", script(200, 1000, 64))]
        {
            let read: Script = text.parse().expect(text);
            assert_eq!(read, expected);
            assert_eq!(read.to_string().parse(), Ok(expected), "what is displayed is read back");
        }
        for text in ["", "0", "x", "8/", "8/10", "8/10ms/64", "8/10ms/64b/1", "8/10ms/99999999b"] {
            assert!(text.parse::<Script>().is_err(), "{text:?} is no script");
        }
    }
}
