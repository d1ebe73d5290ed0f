//! Multipart bodies: their parts found by the delimiter, so a large file costs one search and no copy.

/// One part of a form.
pub(crate) struct Part<'a> {
    pub(crate) name: String,
    pub(crate) filename: Option<String>,
    pub(crate) content: &'a [u8],
}

/// The boundary that a content type names, if it is a form's.
pub(crate) fn boundary(content_type: &str) -> Option<&str> {
    let (media_type, parameters) = content_type.split_once(';')?;
    let media_type = media_type.trim().to_ascii_lowercase();
    if !["multipart/form-data", "multipart/related"].contains(&media_type.as_str()) {
        return None;
    }
    let value = parameters.split(';').find_map(|parameter| parameter.trim().strip_prefix("boundary="))?;
    Some(value.trim_matches('"'))
}

/// The parts, in order; those of `multipart/related` have no name.
pub(crate) fn parts<'a>(body: &'a [u8], boundary: &str) -> Vec<Part<'a>> {
    let delimiter = format!("--{boundary}");
    let starts: Vec<usize> = memchr::memmem::find_iter(body, delimiter.as_bytes()).collect();
    let part = |pair: &[usize]| {
        let part = &body[pair[0] + delimiter.len()..pair[1]];
        let head_end = memchr::memmem::find(part, b"\r\n\r\n")?;
        let head = std::str::from_utf8(&part[..head_end]).ok()?;
        // `filename="..."` ends in the same letters as `name="..."`: the piece's whole beginning tells.
        let field = |wanted: &str| {
            let mut pieces = head.split([';', '\n']).map(str::trim);
            pieces.find_map(|piece| Some(piece.strip_prefix(wanted)?.trim_matches('"').to_owned()))
        };
        let content = part[head_end + 4..].strip_suffix(b"\r\n")?;
        Some(Part { name: field("name=").unwrap_or_default(), filename: field("filename="), content })
    };
    starts.windows(2).filter_map(part).collect()
}

/// The text of one field.
pub(crate) fn field(body: &[u8], boundary: &str, name: &str) -> Option<String> {
    let part = parts(body, boundary).into_iter().find(|part| part.name == name && part.filename.is_none())?;
    String::from_utf8(part.content.to_vec()).ok()
}
