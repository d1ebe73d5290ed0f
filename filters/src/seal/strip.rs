//! Takes seals off what a client sends, so that everything behind reads and forwards bare handles.
//!
//! Each function is given `opens`, which is asked about the text before a mark, escapes undone, and the letters behind it; where it says
//! no, both stay as they came, and what is cited then is a handle that nobody knows. `None` is returned where nothing was taken off.

use super::{LETTERS_MAX, MARK, SEALS_MAX, is_letter};
use crate::scan::undone;
use memchr::{memchr, memchr2, memmem, memrchr};
use percent_encoding::percent_decode;
use std::borrow::Cow;

/// Bytes of a form's field that is looked at; the handles in such fields are short.
const FIELD_BYTES_MAX: usize = 1024;

/// Whether a mark may be somewhere in these pieces of one text.
pub fn is_due<'b>(pieces: impl Iterator<Item = &'b [u8]>) -> bool {
    let mut border: Vec<u8> = Vec::with_capacity(2 * MARK.len());
    for piece in pieces {
        border.extend_from_slice(&piece[..piece.len().min(MARK.len() - 1)]);
        if memmem::find(&border, MARK.as_bytes()).is_some() || memmem::find(piece, MARK.as_bytes()).is_some()
        {
            return true;
        }
        if piece.len() >= MARK.len() {
            border.clear();
            border.extend_from_slice(&piece[piece.len() + 1 - MARK.len()..]);
        } else {
            border.drain(..(border.len() + 1).saturating_sub(MARK.len()));
        }
    }
    false
}

/// From the strings of a JSON text, which may be malformed: then that is for the scanner to say.
pub fn json(text: &[u8], mut opens: impl FnMut(&str, &str) -> bool) -> Option<Vec<u8>> {
    memmem::find(text, MARK.as_bytes())?;
    let (mut out, mut kept, mut at, mut asked) = (Vec::new(), 0, 0, 0);
    while let Some(quote) = memchr(b'"', &text[at..]) {
        let start = at + quote + 1;
        let Some(end) = closing_quote(text, start) else { break };
        at = end + 1;
        let Some(mark) = mark_at_end(&text[start..end]) else { continue };
        asked += 1;
        if asked > SEALS_MAX {
            break;
        }
        let letters = std::str::from_utf8(&text[start + mark + MARK.len()..end]).expect("letters are ASCII");
        let Some(before) = before_the_mark(&text[start..=end], mark) else { continue };
        if opens(&before, letters) {
            out.extend_from_slice(&text[kept..start + mark]);
            kept = end;
        }
    }
    rest(out, kept, text)
}

/// From a path with its query. The text before a mark is everything before it: how much of it is the handle, the seal itself tells.
pub fn target(text: &str, mut opens: impl FnMut(&str, &str) -> bool) -> Option<String> {
    let mut out = String::new();
    let (mut left, mut asked) = (text, 0);
    while let Some(mark) = left.find(MARK) {
        asked += 1;
        let behind = &left[mark + MARK.len()..];
        let letters = behind.bytes().position(|byte| !is_letter(byte)).unwrap_or(behind.len());
        out.push_str(&left[..mark]);
        let before = percent_decode(out.as_bytes()).decode_utf8();
        let opened = asked <= SEALS_IN_HEAD_MAX
            && letters <= LETTERS_MAX
            && before.is_ok_and(|before| opens(&before, &behind[..letters]));
        if !opened {
            out.push_str(&left[mark..mark + MARK.len() + letters]);
        }
        left = &behind[letters..];
    }
    out.push_str(left);
    (out.len() < text.len()).then_some(out)
}

/// From the end of a header's value.
pub fn value(text: &str, opens: impl FnOnce(&str, &str) -> bool) -> Option<&str> {
    let mark = mark_at_end(text.as_bytes())?;
    let before = &text[..mark];
    opens(before, &text[mark + MARK.len()..]).then_some(before)
}

/// From the fields of a form: the lines of it that end with a seal.
pub fn form(text: &[u8], mut opens: impl FnMut(&str, &str) -> bool) -> Option<Vec<u8>> {
    let (mut out, mut kept, mut asked) = (Vec::new(), 0, 0);
    for mark in memmem::find_iter(text, MARK.as_bytes()) {
        let from = mark + MARK.len();
        let window = &text[from..text.len().min(from + LETTERS_MAX + 1)];
        let letters = window.iter().position(|byte| !is_letter(*byte)).unwrap_or(window.len());
        let earliest = mark.saturating_sub(FIELD_BYTES_MAX);
        let line = memrchr(b'\n', &text[earliest..mark]).map(|line| earliest + line + 1);
        let before = line.and_then(|line| std::str::from_utf8(&text[line..mark]).ok());
        let (Some(b'\r'), Some(before)) = (text.get(from + letters), before) else { continue };
        asked += 1;
        if asked > SEALS_IN_HEAD_MAX {
            break;
        }
        let letters_text = std::str::from_utf8(&window[..letters]).expect("letters are ASCII");
        if opens(before, letters_text) {
            out.extend_from_slice(&text[kept..mark]);
            kept = from + letters;
        }
    }
    rest(out, kept, text)
}

/// Seals of a path or form: the longest paths cite three handles, and each mark makes everything before it be read again.
const SEALS_IN_HEAD_MAX: usize = 16;

fn rest(mut out: Vec<u8>, kept: usize, text: &[u8]) -> Option<Vec<u8>> {
    (kept > 0).then(|| {
        out.extend_from_slice(&text[kept..]);
        out
    })
}

/// The quote that ends the string which begins at `at`.
fn closing_quote(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

/// Where the mark of the seal is that a value ends with.
fn mark_at_end(value: &[u8]) -> Option<usize> {
    let from = value.len().saturating_sub(LETTERS_MAX + MARK.len());
    // The mark's dot is the last byte that is no letter.
    let dot = from + value[from..].iter().rposition(|byte| !is_letter(*byte))?;
    value[dot..].starts_with(MARK.as_bytes()).then_some(dot)
}

/// What a string has before its mark, escapes undone; `quoted` ends with its quote.
fn before_the_mark(quoted: &[u8], mark: usize) -> Option<Cow<'_, str>> {
    if memchr(b'\\', &quoted[..mark]).is_none() {
        return std::str::from_utf8(&quoted[..mark]).ok().map(Cow::Borrowed);
    }
    let mut text = undone(quoted)?;
    text.truncate(text.len() - (quoted.len() - 1 - mark));
    String::from_utf8(text).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Opens what ends with `id` and says `good`.
    fn good(before: &str, letters: &str) -> bool {
        before.ends_with("id") && letters == "good"
    }

    #[test]
    fn seals_leave_strings_at_their_ends_and_nothing_else_changes() {
        let stripped = |text: &str| json(text.as_bytes(), good).map(|out| String::from_utf8(out).unwrap());
        for (text, bare) in [
            (r#"{"a":"id.rv1-good"}"#, Some(r#"{"a":"id"}"#)),
            (
                r#"{"a":"id.rv1-good","b":["xid.rv1-good", "é\"id.rv1-good"]}"#,
                Some(r#"{"a":"id","b":["xid", "é\"id"]}"#),
            ),
            // Other words for the same letters.
            (r#"{"a":"\u0069d.rv1-good"}"#, Some(r#"{"a":"\u0069d"}"#)),
            (r#"{"a":"say id.rv1-good please"}"#, None),
            (r#"{"a":"id.rv1-bad"}"#, None),
            (r#"{"a":"id.rv1-good"#, None),
            (r#"{"a":"id\\.rv1-good"}"#, None),
            (r#"{"a":"id"}"#, None),
        ] {
            assert_eq!(stripped(text).as_deref(), bare, "{text}");
        }
    }

    #[test]
    fn seals_leave_targets_values_and_fields() {
        for (text, bare) in [
            ("/v1/r/id.rv1-good", Some("/v1/r/id")),
            ("/v1/t/id.rv1-good/runs/xid.rv1-good/x?y=%69d.rv1-good&z", Some("/v1/t/id/runs/xid/x?y=%69d&z")),
            ("/v1/r/id.rv1-good:cancel", Some("/v1/r/id:cancel")),
            ("/v1/r/id.rv1-bad/x", None),
        ] {
            assert_eq!(target(text, good).as_deref(), bare, "{text}");
        }
        assert_eq!(value("id.rv1-good", good), Some("id"));
        assert_eq!(value("id.rv1-good ", good), None);
        let text = b"--b\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\nid.rv1-good\r\n--b--\r\n";
        let bare = form(text, good).unwrap();
        assert!(bare.ends_with(b"\r\n\r\nid\r\n--b--\r\n"), "{}", String::from_utf8_lossy(&bare));
        assert_eq!(form(b"\r\nid.rv1-good", good), None, "no line's end");
    }

    #[test]
    fn a_mark_is_seen_across_any_cuts() {
        let text = b"{\"a\":\"id.rv1-good\"}";
        for first in 0..text.len() {
            for second in first..text.len() {
                let pieces = [&text[..first], &text[first..second], &text[second..]];
                assert!(is_due(pieces.into_iter()), "cut at {first} and {second}");
            }
        }
        assert!(is_due(text.chunks(1)));
        assert!(!is_due(b"{\"a\":\"id.rv1\",\"b\":\".rv-1\"}".chunks(3)));
    }

    proptest! {
        #[test]
        fn hostile_texts_are_read_to_their_end(text in "[\"\\\\.rv1a-]{0,40}") {
            if let Some(out) = json(text.as_bytes(), |_, _| true) {
                prop_assert!(out.len() < text.len());
            }
            let _ = form(text.as_bytes(), |_, _| true);
            let _ = target(&text, |_, _| true);
            let _ = value(&text, |_, _| true);
        }
    }
}
