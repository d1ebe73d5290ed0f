//! The `boundary` parameter of a content type, and the line that it makes.

use smallvec::SmallVec;

use super::FormError;
use super::head::Parameters;

/// RFC 2046, section 5.1.1.
const BOUNDARY_BYTES_MAX: usize = 70;

/// What separates parts: a line feed, `--` and the boundary. (The carriage return before it is looked at apart, so that a
/// boundary behind a bare line feed is noticed.)
pub(super) type Delimiter = SmallVec<[u8; 96]>;

/// What a delimiter has before its boundary.
pub(super) const DASHES: &[u8] = b"\n--";

/// Reads the boundary out of a `Content-Type` value.
pub(super) fn delimiter(content_type: &str) -> Result<Delimiter, FormError> {
    let (essence, parameters) = content_type.split_once(';').ok_or(FormError::ContentType)?;
    if !essence.trim_matches([' ', '\t']).eq_ignore_ascii_case("multipart/form-data") {
        return Err(FormError::ContentType);
    }
    let mut boundary = None;
    for parameter in Parameters::new(parameters.as_bytes()) {
        let (name, value) = parameter.ok_or(FormError::ContentType)?;
        if name.eq_ignore_ascii_case(b"boundary") && boundary.replace(value).is_some() {
            return Err(FormError::ContentType);
        }
    }
    let boundary = boundary.ok_or(FormError::ContentType)?;
    let text = boundary.text;
    let fits = (1..=BOUNDARY_BYTES_MAX).contains(&text.len());
    let right = text.iter().all(|&byte| is_boundary_byte(byte)) && !text.ends_with(b" ");
    // Clients leave the quotes away even where the grammar of a token asks for them (`=`, `/`, `:`, `?`): one reading still.
    let plain = boundary.quoted || !text.contains(&b' ');
    if !(fits && right && plain) {
        return Err(FormError::ContentType);
    }
    let mut delimiter = Delimiter::from_slice(DASHES);
    delimiter.extend_from_slice(text);
    Ok(delimiter)
}

fn is_boundary_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte)
}
