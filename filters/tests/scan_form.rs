//! The form scanner: forms as clients send them, forms that two parsers read in two ways, and all of them cut anywhere.

#[path = "../fuzz/src/lib.rs"]
#[allow(dead_code, unreachable_pub, reason = "the fuzz crate's library; each test uses a part of it")]
mod fuzz;

use fuzz::form::{BOUNDARY, agree, scan};
use riparian_filters::form::{Form, FormError, FormScanner, PARTS_MAX};

/// A body with these parts, each a head and a content, as curl and httpx write it.
fn form(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (head, content) in parts {
        body.extend_from_slice(format!("--{BOUNDARY}\r\n{head}\r\n\r\n").as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    body
}

const MODEL: &str = "Content-Disposition: form-data; name=\"model\"";
const PROMPT: &str = "Content-Disposition: form-data; name=\"prompt\"";
const IMAGE: &str = "Content-Disposition: form-data; name=\"image[]\"; filename=\"a \\\"b\\\".png\"\r\nContent-Type: image/png";

/// Scans whole and cut at every byte.
fn everywhere(body: &[u8]) -> Result<Form, FormError> {
    let whole = agree(body, &[]);
    for cut in 0..=body.len() {
        let (front, back) = body.split_at(cut);
        assert_eq!(scan([front, back]), whole, "cut at {cut}");
        let (middle, end) = back.split_at(back.len().min(1));
        assert_eq!(scan([front, middle, end]), whole, "around {cut}");
    }
    whole
}

fn word(body: &[u8]) -> &'static str {
    everywhere(body).map_or_else(|error| error.word(), |_| "accepted")
}

#[test]
fn the_model_and_its_place_are_found() {
    let image: Vec<u8> = (0..=255).chain(*b"\r\n----ab--a\r\n--\n\r\r\n").collect();
    let first = form(&[(MODEL, b"gpt-image-1"), (IMAGE, &image), (PROMPT, b"a river\r\n")]);
    let last = form(&[(IMAGE, &image), (PROMPT, b""), (MODEL, b"gpt-image-1")]);
    for body in [first, last] {
        let found = everywhere(&body).expect("a right form");
        assert_eq!(found.model(), Some("gpt-image-1"));
        let span = found.model_span().expect("a place");
        let place = body.windows(11).position(|window| window == b"gpt-image-1").expect("it is there") as u64;
        assert_eq!(span, place..place + 11);
    }
}

#[test]
fn a_model_is_taken_as_it_stands() {
    for value in ["", " gpt ", "whisper-1", "модель", "--", "-", &"m".repeat(256)] {
        let found = everywhere(&form(&[(MODEL, value.as_bytes())])).expect("a right form");
        assert_eq!(found.model(), Some(value));
    }
}

#[test]
fn forms_without_a_model_are_fine() {
    for body in [form(&[(PROMPT, b"x")]), form(&[]), form(&[(IMAGE, b"model"), (IMAGE, b"again")])] {
        let found = everywhere(&body).expect("a right form");
        assert_eq!((found.model(), found.model_span()), (None, None));
    }
}

#[test]
fn the_line_end_after_the_last_boundary_may_be_absent_and_nothing_else_may_follow() {
    let body = form(&[(MODEL, b"m")]);
    let bare = body.strip_suffix(b"\r\n").expect("a line end");
    assert_eq!(word(bare), "accepted");
    for (end, expected) in [
        (&b"\r"[..], "trailing_bytes"),
        (b"\n", "trailing_bytes"),
        (b"\r\n\r\n", "trailing_bytes"),
        (b"\rx", "trailing_bytes"),
        (b"x", "trailing_bytes"),
        (b" ", "trailing_bytes"),
    ] {
        assert_eq!(word(&[bare, end].concat()), expected, "{end:?}");
    }
}

#[test]
fn spellings_of_a_head_that_are_one_reading() {
    for head in [
        "content-disposition:form-data;name=model",
        "CONTENT-DISPOSITION: FORM-DATA; NAME=\"model\"",
        "Content-Disposition: form-data ; name=\"model\" ",
        "X-Trace: 1\r\nContent-Disposition: form-data; name=\"model\"",
        "Content-Disposition: form-data; name=\"model\"\r\nContent-Type: text/plain",
        "Content-Disposition: form-data; name=\"model\"\r\nContent-Type: text/plain; charset=\"UTF-8\"",
        "Content-Disposition: form-data; name=\"model\"\r\nContent-Transfer-Encoding: 8bit",
    ] {
        let found = everywhere(&form(&[(head, b"m")])).unwrap_or_else(|error| panic!("{head}: {error}"));
        assert_eq!(found.model(), Some("m"), "{head}");
    }
    for head in [
        "Content-Disposition: form-data; name=\"Model\"",
        "Content-Disposition: form-data; name=\"model[]\"",
        "Content-Disposition: form-data; name=\"x\"; filename=\"f; name=model\"",
        "Content-Disposition: form-data; name=\"\"",
    ] {
        assert_eq!(everywhere(&form(&[(head, b"m")])).expect("right").model(), None, "{head}");
    }
}

#[test]
fn heads_with_two_readings_are_refused() {
    for (head, expected) in [
        ("Content-Type: text/plain", "malformed"),
        ("Content-Disposition: attachment; name=\"model\"", "malformed"),
        ("Content-Disposition: form-data", "malformed"),
        ("Content-Disposition: form-data; name=\"x\"; name=\"model\"", "malformed"),
        ("Content-Disposition: form-data; name=\"x\"; name*=utf-8''model", "malformed"),
        ("Content-Disposition: form-data; name=\"mod\\el\"", "malformed"),
        ("Content-Disposition: form-data; name=\"model", "malformed"),
        ("Content-Disposition: form-data; name=\"model\\\"", "malformed"),
        ("Content-Disposition: form-data; name=\"model\"x", "malformed"),
        ("Content-Disposition: form-data; name=mo\"del\"", "malformed"),
        ("Content-Disposition: form-data; name=", "malformed"),
        ("Content-Disposition: form-data; name", "malformed"),
        ("Content-Disposition: form-data;; name=model", "malformed"),
        (
            "Content-Disposition: form-data; name=\"x\"\r\nContent-Disposition: form-data; name=\"model\"",
            "malformed",
        ),
        ("Content-Disposition: form-data;\r\n name=\"model\"", "malformed"),
        ("Content-Disposition: form-data; name=\"a\"\nX: y", "malformed"),
        ("Content-Disposition: form-data; name=\"a\"\rX: y", "malformed"),
        ("Content-Disposition: form-data; name=\"a\0\"", "malformed"),
        ("Content-Disposition : form-data; name=\"model\"", "malformed"),
        ("Content-Disposition form-data", "malformed"),
        ("Content-Disposition: form-data; name=\"model\"; filename=\"m.txt\"", "model_not_text"),
        ("Content-Disposition: form-data; name=\"model\"; filename*=utf-8''m", "model_not_text"),
        (
            "Content-Disposition: form-data; name=\"model\"\r\nContent-Type: text/plain; charset=utf-16",
            "model_not_text",
        ),
        (
            "Content-Disposition: form-data; name=\"model\"\r\nContent-Type: application/json",
            "model_not_text",
        ),
        (
            "Content-Disposition: form-data; name=\"model\"\r\nContent-Transfer-Encoding: base64",
            "model_not_text",
        ),
    ] {
        assert_eq!(word(&form(&[(head, b"m")])), expected, "{head}");
    }
}

#[test]
fn boundaries_with_two_readings_are_refused() {
    let (line, part) = (format!("--{BOUNDARY}"), format!("{MODEL}\r\n\r\nm"));
    for (body, expected) in [
        (String::new(), "truncated"),
        (line.clone(), "truncated"),
        (format!("{line}\r\n{part}"), "truncated"),
        (format!("{line}\r\n{part}\r\n{line}"), "truncated"),
        (format!("{line}\r\n{part}\r\n{line}-"), "truncated"),
        (format!("preamble\r\n{line}\r\n{part}\r\n{line}--"), "malformed"),
        (format!("\r\n{line}\r\n{part}\r\n{line}--"), "malformed"),
        (format!("{line}\n{part}\r\n{line}--"), "malformed"),
        (format!("{line} \r\n{part}\r\n{line}--"), "malformed"),
        (format!("{line}x\r\n{part}\r\n{line}--"), "malformed"),
        (format!("{line}\r\n{part}\n{line}--"), "malformed"),
        (format!("{line}\r\n{part}\n\n{line}--"), "malformed"),
        (format!("{line}\r\n{part}\r\n--\n{line}--"), "malformed"),
        (format!("{line}\r\n{part}\r\n{line}x\r\n{line}--"), "malformed"),
        (format!("{line}\r\n{part}\r\n{line} --"), "malformed"),
        (format!("{line}\r\n{part}\r\n{line}-x"), "malformed"),
        (format!("{line}\r\n{MODEL}\r\n\r\n{line}--"), "malformed"),
        (format!("{line}\r\n\r\nm\r\n{line}--"), "malformed"),
        (format!("{line}\r\n{MODEL}\n\nm\r\n{line}--"), "malformed"),
        (format!("{line}\r\n{MODEL}\r\n{line}--"), "truncated"),
    ] {
        assert_eq!(word(body.as_bytes()), expected, "{body:?}");
    }
}

#[test]
fn two_models_are_refused() {
    assert_eq!(word(&form(&[(MODEL, b"a"), (PROMPT, b"x"), (MODEL, b"a")])), "duplicate_model");
}

#[test]
fn a_model_that_is_no_text_or_too_long_is_refused() {
    for value in [&b"a\r\nb"[..], b"a\0", b"\x80", b"caf\xe9", b"\x7f", "\u{85}".as_bytes()] {
        assert_eq!(word(&form(&[(MODEL, value)])), "model_not_text", "{value:?}");
    }
    assert_eq!(word(&form(&[(MODEL, "m".repeat(257).as_bytes())])), "model_too_long");
}

#[test]
fn limits_hold() {
    let parts = vec![(PROMPT, &b""[..]); PARTS_MAX + 1];
    assert!(scan([&form(&parts[1..])[..]]).is_ok());
    assert_eq!(scan([&form(&parts)[..]]).map_err(|error| error.word()), Err("too_many_parts"));
    let head = format!("{PROMPT}\r\nX: {}", "x".repeat(8 * 1024));
    assert_eq!(scan([&form(&[(&head, b"")])[..]]).map_err(|error| error.word()), Err("head_too_long"));
    assert_eq!(scan(form(&[(&head, b"")]).chunks(1)).map_err(|error| error.word()), Err("head_too_long"));
}

#[test]
fn content_types() {
    let bytes = "0".repeat(70);
    for right in [
        "multipart/form-data; boundary=abc",
        "Multipart/Form-Data;BOUNDARY=\"a b\"",
        "multipart/form-data; charset=utf-8; boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW",
        "multipart/form-data; boundary=\"a:b/c=d?e\"",
        "multipart/form-data; boundary=a=b",
        &format!("multipart/form-data; boundary={bytes}"),
    ] {
        assert!(FormScanner::new(right).is_ok(), "{right}");
    }
    for wrong in [
        "",
        "multipart/form-data",
        "multipart/form-data;",
        "multipart/form-data; charset=utf-8",
        "multipart/mixed; boundary=a",
        "application/json; boundary=a",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\"\"",
        "multipart/form-data; boundary=a; boundary=b",
        "multipart/form-data; boundary=\"a",
        "multipart/form-data; boundary=\"a \"",
        "multipart/form-data; boundary=a b",
        "multipart/form-data; boundary=\"a\\b\"",
        "multipart/form-data; boundary=é",
        &format!("multipart/form-data; boundary={bytes}0"),
    ] {
        assert_eq!(FormScanner::new(wrong).map(|_| ()), Err(FormError::ContentType), "{wrong}");
    }
}

#[test]
fn an_error_stays() {
    let mut scanner = FormScanner::new("multipart/form-data; boundary=b").expect("a boundary");
    let error = scanner.feed(b"x").expect_err("a preamble");
    assert_eq!(scanner.feed(b"--b--"), Err(error));
    assert_eq!(scanner.finish(), Err(error));
}
