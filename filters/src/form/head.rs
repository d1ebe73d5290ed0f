//! The head of a part: RFC 7578, section 4, and only what one reading has.

use super::FormError;

/// What a part's head says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The model, as plain text.
    Model,
    /// Another field that is plain text, by its name.
    Field(String),
    /// Something else.
    Other,
}

/// A longer name is none that the surface table asks for.
const FIELD_NAME_BYTES_MAX: usize = 64;

/// Reads a part's head, without the empty line behind it. `at` is its place in the body.
pub(super) fn read(head: &[u8], at: u64) -> Result<Part, FormError> {
    let wrong = |what| FormError::Malformed { at, what };
    let mut disposition = None;
    let mut is_text = true;
    for line in lines(head) {
        let line = line.ok_or(wrong("a bare line end or control byte in the head of a part"))?;
        if line.starts_with(b" ") || line.starts_with(b"\t") {
            return Err(wrong("a folded line in the head of a part"));
        }
        let colon = memchr::memchr(b':', line).ok_or(wrong("no colon in a head field of a part"))?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if !is_token(name) {
            return Err(wrong("a head field of a part without a proper name"));
        }
        if name.eq_ignore_ascii_case(b"content-disposition") {
            if disposition.replace(value).is_some() {
                return Err(wrong("two content-dispositions for one part"));
            }
        } else if name.eq_ignore_ascii_case(b"content-type") {
            is_text &= is_plain_text(value);
        } else if name.eq_ignore_ascii_case(b"content-transfer-encoding") {
            is_text &= [&b"7bit"[..], b"8bit", b"binary"].iter().any(|own| value.eq_ignore_ascii_case(own));
        }
    }
    let disposition = disposition.ok_or(wrong("a part without a content-disposition"))?;
    let (name, has_file) =
        name_of(disposition).ok_or(wrong("a content-disposition that is no plain form-data"))?;
    match name {
        b"model" if is_text && !has_file => Ok(Part::Model),
        b"model" => Err(FormError::ModelNotText { at }),
        _ if is_text && !has_file && name.len() <= FIELD_NAME_BYTES_MAX => {
            Ok(std::str::from_utf8(name).map_or(Part::Other, |name| Part::Field(name.to_owned())))
        }
        _ => Ok(Part::Other),
    }
}

/// The `name` of a content-disposition, and whether it names a file.
fn name_of(disposition: &[u8]) -> Option<(&[u8], bool)> {
    let semicolon = memchr::memchr(b';', disposition)?;
    if !disposition[..semicolon].trim_ascii().eq_ignore_ascii_case(b"form-data") {
        return None;
    }
    let mut name = None;
    let mut has_file = false;
    for parameter in Parameters::new(&disposition[semicolon + 1..]) {
        let (key, value) = parameter?;
        if key.eq_ignore_ascii_case(b"name") {
            // A backslash is an escape to some and a character to others.
            if name.replace(value.text).is_some() || value.text.contains(&b'\\') {
                return None;
            }
        } else if key.eq_ignore_ascii_case(b"name*") {
            return None;
        } else if key.eq_ignore_ascii_case(b"filename") || key.eq_ignore_ascii_case(b"filename*") {
            has_file = true;
        }
    }
    Some((name?, has_file))
}

/// Is this content type one under which the bytes are the text?
fn is_plain_text(value: &[u8]) -> bool {
    let (essence, parameters) = memchr::memchr(b';', value)
        .map_or((value, None), |semicolon| (&value[..semicolon], Some(&value[semicolon + 1..])));
    essence.trim_ascii().eq_ignore_ascii_case(b"text/plain")
        && Parameters::new(parameters.unwrap_or_default()).all(|parameter| {
            parameter.is_some_and(|(name, value)| {
                !name.eq_ignore_ascii_case(b"charset")
                    || value.text.eq_ignore_ascii_case(b"utf-8")
                    || value.text.eq_ignore_ascii_case(b"us-ascii")
            })
        })
}

/// The lines of a head; `None` for one with a control byte, a bare line feed or a bare carriage return in it.
fn lines(head: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    let mut rest = Some(head);
    std::iter::from_fn(move || {
        let all = rest?;
        let line = match memchr::memmem::find(all, b"\r\n") {
            Some(end) => {
                rest = Some(&all[end + 2..]);
                &all[..end]
            }
            None => rest.take()?,
        };
        Some(line.iter().all(|&byte| byte == b'\t' || !byte.is_ascii_control()).then_some(line))
    })
}

/// RFC 9110, section 5.6.2.
fn is_token(text: &[u8]) -> bool {
    !text.is_empty()
        && text.iter().all(|&byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// The value of a parameter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value<'v> {
    /// Between the quotes, if there are some; backslashes are still there.
    pub(super) text: &'v [u8],
    pub(super) quoted: bool,
}

/// `; name=value` after `; name=value`. An item is `None`, and the last, where the text is something else.
pub(super) struct Parameters<'v> {
    rest: &'v [u8],
}

impl<'v> Parameters<'v> {
    /// Begins behind the first semicolon.
    pub(super) fn new(text: &'v [u8]) -> Self {
        Self { rest: text.trim_ascii() }
    }

    fn read(&mut self) -> Option<(&'v [u8], Value<'v>)> {
        let equals = memchr::memchr(b'=', self.rest)?;
        let name = &self.rest[..equals];
        if !is_token(name) {
            return None;
        }
        let after = &self.rest[equals + 1..];
        let (value, behind) = match after.strip_prefix(b"\"") {
            Some(text) => {
                let end = closing_quote(text)?;
                (Value { text: &text[..end], quoted: true }, text[end + 1..].trim_ascii_start())
            }
            None => {
                let end = memchr::memchr(b';', after).unwrap_or(after.len());
                let text = after[..end].trim_ascii_end();
                if text.is_empty() || text.contains(&b'"') {
                    return None;
                }
                (Value { text, quoted: false }, &after[end..])
            }
        };
        self.rest = match behind {
            [] => behind,
            [b';', more @ ..] => more.trim_ascii_start(),
            _ => return None,
        };
        Some((name, value))
    }
}

impl<'v> Iterator for Parameters<'v> {
    type Item = Option<(&'v [u8], Value<'v>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let read = self.read();
        if read.is_none() {
            self.rest = &[];
        }
        Some(read)
    }
}

fn closing_quote(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', &text[at..])?;
        if text[at] == b'"' {
            return Some(at);
        }
        at += 2;
        if at > text.len() {
            return None;
        }
    }
}
