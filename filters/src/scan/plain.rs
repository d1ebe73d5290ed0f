//! The plain cases of white space, numbers and literals, for the two lanes. What is none is left where it is.

use super::number::Number;

/// The next byte that is no white space, and `at` its place; `None` at the end of `bytes`.
#[inline(always)]
pub(super) fn solid(bytes: &[u8], at: &mut usize) -> Option<u8> {
    let byte = *bytes.get(*at)?;
    if byte > b' ' { Some(byte) } else { solid_afar(bytes, at) }
}

fn solid_afar(bytes: &[u8], at: &mut usize) -> Option<u8> {
    while let Some(&byte) = bytes.get(*at) {
        if !is_space(byte) {
            return Some(byte);
        }
        *at += 1;
    }
    None
}

#[inline]
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

/// The index behind the number or literal that begins at `at`, if it is right and ends before `bytes` do.
#[inline]
pub(super) fn end_of_scalar(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at..];
    match rest[0] {
        b't' => rest.starts_with(b"true").then_some(at + 4),
        b'f' => rest.starts_with(b"false").then_some(at + 5),
        b'n' => rest.starts_with(b"null").then_some(at + 4),
        b'1'..=b'9' => {
            let digits = rest.iter().position(|byte| !byte.is_ascii_digit())?;
            match rest[digits] {
                b'.' | b'e' | b'E' => end_of_number(rest).map(|end| at + end),
                _ => Some(at + digits),
            }
        }
        _ => end_of_number(rest).map(|end| at + end),
    }
}

fn end_of_number(bytes: &[u8]) -> Option<usize> {
    let mut number = Number::begin(bytes[0])?;
    for (end, &byte) in bytes.iter().enumerate().skip(1) {
        match number.step(byte) {
            Some(next) => number = next,
            None => return number.is_whole().then_some(end),
        }
    }
    None
}
