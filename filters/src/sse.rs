//! Splits a `text/event-stream` into the data of its events, across any split of the bytes.
//!
//! The grammar is the WHATWG's (HTML, 9.2.5): lines end with LF, CRLF or CR; an empty line ends an event; the lines of
//! field `data` make up its data. Nothing is copied and nothing is held back: a piece of a line is handed on when it comes.
//! Other fields are passed over.

/// A piece of an event stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Some of the data of the event; more may follow.
    Data(&'a [u8]),
    /// The data goes on in another line: a line feed in the event's value.
    NewLine,
    /// The event ends. Sent only for events that have data.
    End,
}

/// The state between two reads.
#[derive(Clone, Copy, Debug)]
pub struct Splitter {
    line: Line,
    /// The last byte was a CR: an LF right behind it belongs to it.
    after_cr: bool,
    has_data: bool,
    /// How much of a byte order mark at the stream's start was seen; 3 when that is over.
    mark: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// This many bytes of `data` were seen, and nothing else.
    Name(usize),
    /// Behind `data:`; one space there is not part of the value.
    Colon,
    Data,
    Other,
}

const NAME: &[u8] = b"data";
const MARK: &[u8] = b"\xef\xbb\xbf";

impl Default for Splitter {
    fn default() -> Self {
        Self { line: Line::Name(0), after_cr: false, has_data: false, mark: 0 }
    }
}

impl Splitter {
    /// Hands every piece in `bytes` to `take`, in order.
    pub fn feed<'a>(&mut self, mut bytes: &'a [u8], mut take: impl FnMut(Piece<'a>)) {
        while self.mark < MARK.len() && self.line == Line::Name(0) {
            match bytes.first() {
                None => return,
                Some(byte) if *byte == MARK[self.mark] => {
                    bytes = &bytes[1..];
                    self.mark += 1;
                }
                Some(_) => {
                    // What looked like a mark is the beginning of a line, and of no field `data`.
                    if self.mark > 0 {
                        self.line = Line::Other;
                    }
                    self.mark = MARK.len();
                }
            }
        }
        while let Some(first) = bytes.first().copied() {
            if std::mem::take(&mut self.after_cr) && first == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            match self.line {
                Line::Data | Line::Other => {
                    let end = memchr::memchr2(b'\n', b'\r', bytes).unwrap_or(bytes.len());
                    if self.line == Line::Data && end > 0 {
                        take(Piece::Data(&bytes[..end]));
                    }
                    if end < bytes.len() {
                        self.end_line(bytes[end]);
                    }
                    bytes = bytes.get(end + 1..).unwrap_or_default();
                }
                Line::Colon => {
                    self.line = Line::Data;
                    if first == b' ' {
                        bytes = &bytes[1..];
                    }
                }
                Line::Name(seen) => {
                    bytes = &bytes[1..];
                    self.name(seen, first, &mut take);
                }
            }
        }
    }

    fn name<'a>(&mut self, seen: usize, byte: u8, take: &mut impl FnMut(Piece<'a>)) {
        match byte {
            b'\n' | b'\r' if seen == 0 => {
                self.after_cr = byte == b'\r';
                if std::mem::take(&mut self.has_data) {
                    take(Piece::End);
                }
            }
            // A line `data` without a colon is a data line with an empty value.
            b'\n' | b'\r' => {
                if seen == NAME.len() {
                    self.begin_data(take);
                }
                self.end_line(byte);
            }
            b':' if seen == NAME.len() => {
                self.begin_data(take);
                self.line = Line::Colon;
            }
            _ if NAME.get(seen) == Some(&byte) => self.line = Line::Name(seen + 1),
            _ => self.line = Line::Other,
        }
    }

    fn begin_data<'a>(&mut self, take: &mut impl FnMut(Piece<'a>)) {
        if std::mem::replace(&mut self.has_data, true) {
            take(Piece::NewLine);
        }
    }

    fn end_line(&mut self, byte: u8) {
        self.after_cr = byte == b'\r';
        self.line = Line::Name(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The data of every complete event, with the stream cut after each of `cuts`.
    fn events(stream: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
        let (mut events, mut current) = (Vec::new(), Vec::new());
        let mut splitter = Splitter::default();
        let mut from = 0;
        for cut in cuts.iter().copied().chain([stream.len()]) {
            splitter.feed(&stream[from..cut], |piece| match piece {
                Piece::Data(data) => current.extend_from_slice(data),
                Piece::NewLine => current.push(b'\n'),
                Piece::End => events.push(std::mem::take(&mut current)),
            });
            from = cut;
        }
        events
    }

    /// Line by line, from the prose of the standard.
    fn naive(stream: &[u8]) -> Vec<Vec<u8>> {
        let text = String::from_utf8_lossy(stream).replace("\r\n", "\n").replace('\r', "\n");
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let mut lines: Vec<&str> = text.split('\n').collect();
        lines.pop();
        let (mut events, mut data) = (Vec::new(), Vec::new());
        for line in lines {
            if line.is_empty() {
                if !data.is_empty() {
                    events.push(std::mem::take(&mut data).join("\n").into_bytes());
                }
            } else if let Some(value) = line.strip_prefix("data:") {
                data.push(value.strip_prefix(' ').unwrap_or(value).to_owned());
            } else if line == "data" {
                data.push(String::new());
            }
        }
        events
    }

    const STREAM: &[u8] = b"\xef\xbb\xbfevent: a\r\ndata: {\"a\":1}\r\n\r\n: ping\n\ndata:x\ndata\ndata:  y\n\ndatum: z\rid: 1\rdata: w\r\r";

    #[test]
    fn lines_end_in_three_ways_and_events_have_many_lines() {
        let expected: Vec<Vec<u8>> = vec![b"{\"a\":1}".to_vec(), b"x\n\n y".to_vec(), b"w".to_vec()];
        assert_eq!(events(STREAM, &[]), expected);
        assert_eq!(naive(STREAM), expected);
    }

    #[test]
    fn half_a_mark_is_no_mark() {
        assert_eq!(events(b"\xef\xbbdata: x\n\ndata: y\n\n", &[]), [b"y"]);
        assert_eq!(events(b"\xef\ndata: y\n\n", &[1]), [b"y"]);
        assert_eq!(
            events(b"\n\xef\xbb\xbfdata: x\n\n", &[]),
            Vec::<Vec<u8>>::new(),
            "a mark is at the start"
        );
    }

    #[test]
    fn a_cut_at_any_byte_changes_nothing() {
        for cut in 0..=STREAM.len() {
            assert_eq!(events(STREAM, &[cut]), naive(STREAM), "cut at {cut}");
        }
        let every: Vec<usize> = (0..STREAM.len()).collect();
        assert_eq!(events(STREAM, &every), naive(STREAM));
    }

    proptest! {
        #[test]
        fn agrees_with_the_prose(stream in "((data|event|dat)?:? ?[a-c:]{0,3}(\n|\r|\r\n)){0,8}", cut in 0usize..40) {
            // A CR at the very end may or may not be followed by an LF; both readings agree on what came before.
            let stream = stream.as_bytes();
            prop_assert_eq!(events(stream, &[cut.min(stream.len())]), naive(stream));
        }
    }
}
