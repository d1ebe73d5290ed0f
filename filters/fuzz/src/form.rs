//! The form scanner, against itself in other pieces, and against what its answer must look like in the body.

use super::entropy::Entropy;
use riparian_filters::form::{Form, FormError, FormScanner};

/// The boundary of the bodies made here; one whose beginning comes again in it.
pub const BOUNDARY: &str = "--ab--ab";

/// Scans `chunks`, one after the other.
pub fn scan<'c>(chunks: impl IntoIterator<Item = &'c [u8]>) -> Result<Form, FormError> {
    let mut scanner = FormScanner::new(&format!("multipart/form-data; boundary={BOUNDARY}"))?;
    for chunk in chunks {
        scanner.feed(chunk)?;
    }
    scanner.finish()
}

/// Scans `body` whole, cut at `cuts` and byte by byte: always the same result, and one that the body bears out.
pub fn agree(body: &[u8], cuts: &[usize]) -> Result<Form, FormError> {
    let whole = scan([body]);
    let ends = cuts.iter().copied().chain([body.len()]);
    let mut from = 0;
    let pieces = ends.map(|end| &body[std::mem::replace(&mut from, end)..end]);
    assert_eq!(scan(pieces), whole, "cut at {cuts:?}");
    assert_eq!(scan(body.chunks(1)), whole, "byte by byte");
    if let Ok(form) = &whole {
        bears_out(body, form);
    }
    whole
}

fn bears_out(body: &[u8], form: &Form) {
    let line = format!("\r\n--{BOUNDARY}");
    let padded = [b"\r\n", body].concat();
    let text = String::from_utf8_lossy(&padded).into_owned();
    // Whoever splits at the boundaries finds a beginning with nothing in it, whole parts, and the end.
    let parts: Vec<&str> = text.split(&line).collect();
    let (last, parts) = parts.split_last().expect("a split has a part");
    assert!(["--", "--\r\n"].contains(last), "the end is the end");
    assert!(parts[0].is_empty(), "nothing before the first boundary");
    let models: Vec<&str> = parts[1..]
        .iter()
        .filter_map(|part| {
            let (head, value) = part.split_once("\r\n\r\n").expect("a head and a content");
            let lower = head.to_ascii_lowercase();
            (lower.contains("name=\"model\"") || lower.contains("name=model")).then_some(value)
        })
        .collect();
    if let (Some(model), Some(span)) = (form.model(), form.model_span()) {
        let span = usize::try_from(span.start).expect("small")..usize::try_from(span.end).expect("small");
        assert_eq!(&body[span.clone()], model.as_bytes(), "the model is what its span holds");
        assert!(body[..span.start].ends_with(b"\r\n\r\n"), "it begins behind an empty line");
        assert!(body[span.end..].starts_with(line.as_bytes()), "it ends at a boundary");
        assert!(models.contains(&model), "it is one of the parts");
    }
    assert_eq!(form.model().is_some(), form.model_span().is_some(), "a model has a place");
}

/// The fuzz target. The first byte says what the others are: a body as it stands, or choices for one to be made of them.
pub fn body(data: &[u8]) {
    let Some((&kind, data)) = data.split_first() else { return };
    if kind & 1 == 0 {
        let _ = agree(data, &[data.len() / 3, data.len() / 2]);
        return;
    }
    let mut entropy = Entropy::new(data);
    let mut body = make(&mut entropy);
    if kind & 2 == 0 {
        entropy.mutate(&mut body);
    }
    let cuts = entropy.cuts(&body);
    let _ = agree(&body, &cuts);
}

fn make(entropy: &mut Entropy<'_>) -> Vec<u8> {
    const HEADS: [&str; 10] = [
        "Content-Disposition: form-data; name=\"model\"",
        "content-disposition: form-data; name=model\r\nContent-Type: text/plain; charset=utf-8",
        "Content-Disposition: form-data; name=\"file\"; filename=\"a\\\"b.png\"\r\nContent-Type: image/png",
        "Content-Disposition: form-data; name=\"prompt\"",
        "Content-Disposition: form-data; filename=\"f;name=model\"; name=\"image[]\"",
        "X-Other: 1\r\nContent-Disposition: form-data; name=\"n\"",
        "Content-Disposition: form-data; name=\"model\"; filename=\"x\"",
        "Content-Disposition: form-data; name*=utf-8''model",
        "Content-Type: text/plain",
        "Content-Disposition:form-data;name=\"mod\\el\"",
    ];
    const CONTENTS: [&str; 9] = [
        "gpt-image-1",
        "",
        "\r\n--",
        "\r\n----ab--a",
        "\n",
        "\r",
        "\r\n\r\n",
        "a\nb\r\n--x",
        "\r\n----ab--ab",
    ];
    let mut body = Vec::new();
    for _ in 0..entropy.below(5) {
        body.extend_from_slice(format!("--{BOUNDARY}\r\n").as_bytes());
        let odd = entropy.once_in(4);
        let head = HEADS[entropy.below(if odd { HEADS.len() } else { 6 })];
        body.extend_from_slice(format!("{head}\r\n\r\n").as_bytes());
        for _ in 0..entropy.below(3) {
            let odd = entropy.once_in(8);
            body.extend_from_slice(CONTENTS[entropy.below(if odd { CONTENTS.len() } else { 8 })].as_bytes());
        }
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--").as_bytes());
    if entropy.once_in(2) {
        body.extend_from_slice(b"\r\n");
    }
    body
}
