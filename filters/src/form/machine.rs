//! RFC 2046's multipart grammar as a machine that can stop between any two bytes.

use std::ops::Range;

use smallvec::SmallVec;

use super::boundary::{DASHES, Delimiter, delimiter};
use super::head::{self, Part};
use super::{FormError, PART_HEAD_BYTES_MAX, PARTS_MAX};
use crate::scan::MODEL_BYTES_MAX;

/// What a form holds, as far as anybody asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    model: Option<String>,
    model_span: Option<Range<u64>>,
    /// The other fields that are text of some length.
    fields: Vec<(String, String)>,
    boundary: Vec<u8>,
}

impl Form {
    /// What stands between the parts, without its dashes.
    #[must_use]
    pub fn boundary(&self) -> &[u8] {
        &self.boundary
    }

    /// The value of the part named `model`, as it stands there.
    #[must_use]
    pub fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// The value of the field of this name, if it is plain text of at most [`MODEL_BYTES_MAX`] bytes.
    ///
    /// # Errors
    /// When two fields have the name: parsers differ in which one counts.
    pub fn field(&self, name: &str) -> Result<Option<&str>, TwoFields> {
        let mut named = self.fields.iter().filter(|(known, _)| known == name);
        let first = named.next();
        if named.next().is_some() { Err(TwoFields) } else { Ok(first.map(|(_, value)| value.as_str())) }
    }

    /// Where that value is in the body: what a name can be written over as it is.
    #[must_use]
    pub fn model_span(&self) -> Option<Range<u64>> {
        self.model_span.clone()
    }
}

/// Two fields of a form have the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TwoFields;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In a part's content, or before the first boundary.
    Content,
    /// Behind a boundary: a line end or `--` comes.
    Behind,
    BehindReturn,
    BehindDash,
    Head,
    /// Behind the last boundary: nothing comes, or one line end.
    Over,
    OverReturn,
    OverLine,
}

/// Reads one `multipart/form-data` body.
#[derive(Clone, Debug)]
pub struct FormScanner {
    delimiter: Delimiter,
    /// The offset of the next chunk in the body.
    base: u64,
    place: Place,
    /// How much of the delimiter the last bytes were. No proper prefix of it ends in its first byte, the line feed, so a
    /// mismatch never has to go back.
    matched: usize,
    /// A carriage return came before the delimiter's line feed.
    returned: bool,
    /// The last byte was a carriage return.
    last_return: bool,
    /// Where the content began, or the head.
    began: u64,
    parts: usize,
    head: Vec<u8>,
    part: Option<Part>,
    /// The first bytes of the model's part.
    value: SmallVec<[u8; 64]>,
    form: Form,
    failed: Option<FormError>,
}

impl FormScanner {
    /// A scanner at the start of a body with this `Content-Type`.
    ///
    /// # Errors
    /// [`FormError::ContentType`].
    pub fn new(content_type: &str) -> Result<Self, FormError> {
        let delimiter = delimiter(content_type)?;
        let boundary = delimiter[DASHES.len()..].to_vec();
        Ok(Self {
            delimiter,
            base: 0,
            place: Place::Content,
            // As if a line end came before the body: RFC 2046 lets the first boundary do without.
            matched: 1,
            returned: true,
            last_return: false,
            began: 0,
            parts: 0,
            head: Vec::new(),
            part: None,
            value: SmallVec::new(),
            form: Form { boundary, ..Form::default() },
            failed: None,
        })
    }

    /// Takes the next bytes of the body, as many as there are.
    ///
    /// # Errors
    /// As soon as the body is known to be refused; from then on the same error every time.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<(), FormError> {
        match self.failed {
            Some(error) => Err(error),
            None => self.read(chunk).inspect_err(|&error| self.failed = Some(error)),
        }
    }

    /// The body is over.
    ///
    /// # Errors
    /// When `feed` failed before, or the last boundary has not come.
    pub fn finish(self) -> Result<Form, FormError> {
        match (self.failed, self.place) {
            (Some(error), _) => Err(error),
            (None, Place::Over | Place::OverLine) => Ok(self.form),
            (None, Place::OverReturn) => Err(FormError::TrailingBytes { at: self.base - 1 }),
            (None, _) => Err(FormError::Truncated { at: self.base }),
        }
    }

    fn read(&mut self, chunk: &[u8]) -> Result<(), FormError> {
        let mut at = 0;
        while at < chunk.len() {
            at = match self.place {
                Place::Content => self.content(chunk, at)?,
                Place::Head => self.head(chunk, at)?,
                _ => self.line(chunk[at], at)?,
            };
        }
        self.base += chunk.len() as u64;
        Ok(())
    }

    /// Looks for the next delimiter.
    fn content(&mut self, chunk: &[u8], from: usize) -> Result<usize, FormError> {
        let mut at = from;
        while let Some(&byte) = chunk.get(at) {
            if self.matched == 0 && byte != b'\n' {
                let end = memchr::memchr(b'\n', &chunk[at..]).map_or(chunk.len(), |dull| at + dull);
                self.keep(&chunk[at..end]);
                self.last_return = chunk[end - 1] == b'\r';
                at = end;
                continue;
            }
            self.keep(&[byte]);
            if byte == self.delimiter[self.matched] {
                if self.matched == 0 {
                    self.returned = self.last_return;
                }
                self.matched += 1;
            } else if self.part.is_none() {
                return Err(self.malformed(at, "the form does not begin with its boundary"));
            } else if byte == b'\n' {
                self.returned = self.last_return;
                self.matched = 1;
            } else {
                self.matched = 0;
            }
            self.last_return = byte == b'\r';
            at += 1;
            if self.matched == self.delimiter.len() {
                self.end_part(at)?;
                return Ok(at);
            }
        }
        Ok(at)
    }

    /// Keeps content of a field, as far as anybody may ask for it.
    fn keep(&mut self, content: &[u8]) {
        if matches!(self.part, Some(Part::Model | Part::Field(_))) {
            let room = MODEL_BYTES_MAX - self.value.len().min(MODEL_BYTES_MAX);
            self.value.extend_from_slice(&content[..content.len().min(room)]);
        }
    }

    /// A delimiter ended just before `at`.
    fn end_part(&mut self, at: usize) -> Result<(), FormError> {
        self.matched = 0;
        let behind = self.base + at as u64;
        self.place = Place::Behind;
        let Some(part) = self.part.take() else { return Ok(()) };
        if !self.returned {
            return Err(self.malformed(at, "a boundary behind a bare line feed"));
        }
        let line_end = behind - self.delimiter.len() as u64 - 1;
        let Some(bytes) = line_end.checked_sub(self.began) else {
            return Err(self.malformed(at, "a boundary right behind the head of a part"));
        };
        if let Part::Field(name) = part {
            let value = usize::try_from(bytes).ok().filter(|&bytes| bytes <= MODEL_BYTES_MAX);
            if let Some(text) = value.and_then(|bytes| std::str::from_utf8(&self.value[..bytes]).ok()) {
                self.form.fields.push((name, text.to_owned()));
            }
        } else if part == Part::Model {
            let span = self.began..line_end;
            let value = usize::try_from(bytes).ok().filter(|&bytes| bytes <= MODEL_BYTES_MAX);
            let value = &self.value[..value.ok_or(FormError::ModelTooLong { at: self.began })?];
            let text = std::str::from_utf8(value).ok().filter(|text| !text.contains(char::is_control));
            self.form.model = Some(text.ok_or(FormError::ModelNotText { at: self.began })?.to_owned());
            self.form.model_span = Some(span);
        }
        Ok(())
    }

    /// The few bytes behind a boundary.
    fn line(&mut self, byte: u8, at: usize) -> Result<usize, FormError> {
        self.place = match (self.place, byte) {
            (Place::Behind, b'\r') => Place::BehindReturn,
            (Place::Behind, b'-') => Place::BehindDash,
            (Place::BehindReturn, b'\n') => {
                self.began = self.base + at as u64 + 1;
                if self.parts == PARTS_MAX {
                    return Err(FormError::TooManyParts { at: self.began });
                }
                self.parts += 1;
                self.head.clear();
                Place::Head
            }
            (Place::BehindDash, b'-') => Place::Over,
            (Place::Over, b'\r') => Place::OverReturn,
            (Place::OverReturn, b'\n') => Place::OverLine,
            (Place::Over | Place::OverLine, _) => {
                return Err(FormError::TrailingBytes { at: self.base + at as u64 });
            }
            (Place::OverReturn, _) => return Err(FormError::TrailingBytes { at: self.base + at as u64 - 1 }),
            _ => return Err(self.malformed(at, "neither a line end nor two dashes behind a boundary")),
        };
        Ok(at + 1)
    }

    /// Gathers a part's head up to the empty line.
    fn head(&mut self, chunk: &[u8], from: usize) -> Result<usize, FormError> {
        let end = memchr::memchr(b'\n', &chunk[from..]).map_or(chunk.len(), |line| from + line + 1);
        let room = PART_HEAD_BYTES_MAX - self.head.len();
        if end - from > room {
            return Err(FormError::HeadTooLong { at: self.began });
        }
        self.head.extend_from_slice(&chunk[from..end]);
        if let Some(head) = self.head.strip_suffix(b"\r\n\r\n") {
            let part = head::read(head, self.began)?;
            if part == Part::Model && self.form.model.is_some() {
                return Err(FormError::DuplicateModel { at: self.began });
            }
            self.part = Some(part);
            self.place = Place::Content;
            self.began = self.base + end as u64;
            self.value.clear();
            // The line end of the head may be that of a delimiter, which is then noticed as one too early.
            self.matched = 1;
            self.returned = true;
            self.last_return = false;
        } else if self.head == b"\r\n" || self.head.ends_with(b"\n\n") {
            return Err(FormError::Malformed { at: self.began, what: "a part without a proper head" });
        }
        Ok(end)
    }

    fn malformed(&self, at: usize, what: &'static str) -> FormError {
        FormError::Malformed { at: self.base + at as u64, what }
    }
}
