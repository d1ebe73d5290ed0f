//! What a payload wraps: Bedrock's `InvokeModelWithResponseStream` sends `{"bytes":"<base64 of JSON>","p":"<padding>"}`.
//!
//! A payload that begins with `{"bytes":"` is unwrapped, any other is handed on as it stands. Both happen as the bytes come; no
//! more is held than that beginning and three characters. What stands behind the string is passed over. Base64 is RFC 4648's
//! with padding, in a JSON string (RFC 8259, 7) that may escape its characters, as some writers do with `/` and `=`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use smallvec::SmallVec;
use std::fmt;

/// What is decoded at once: so many bytes of a payload, of which three quarters are left. A multiple of four.
const AT_ONCE: usize = 1024;

/// The longest beginning that is waited for, white space included; a longer one is none.
const BEGINNING_BYTES_MAX: usize = 32;

/// A payload that begins as a wrapped one but is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotBase64;

impl fmt::Display for NotBase64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a payload's bytes are no base64")
    }
}

impl std::error::Error for NotBase64 {}

/// Reads one payload after the other.
#[derive(Clone, Debug, Default)]
pub struct Unwrapper {
    at: At,
    /// The beginning as far as it came, or a group of characters that is not complete.
    held: SmallVec<[u8; BEGINNING_BYTES_MAX]>,
    /// Padding was seen: no more characters can come.
    padded: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    /// In what may yet be the beginning of a wrapped one.
    #[default]
    Beginning,
    Plain,
    Base64,
    /// Behind a `\`.
    Escape,
    /// Behind `\u`, with the value of so many digits.
    Unicode(u8, u16),
    Behind,
    Broken,
}

/// How far a beginning goes.
enum Begins {
    Perhaps,
    Wrapped,
    Not,
}

impl Unwrapper {
    /// Hands what is in `bytes` to `tell`.
    ///
    /// # Errors
    /// When a wrapped payload cannot be decoded; and then always, until its end.
    pub fn feed(&mut self, bytes: &[u8], mut tell: impl FnMut(&[u8])) -> Result<(), NotBase64> {
        let result = self.read(bytes, &mut tell);
        if result.is_err() {
            self.at = At::Broken;
        }
        result
    }

    /// The payload ends. The next one begins.
    ///
    /// # Errors
    /// When a wrapped payload ends before its string does, or was broken before.
    pub fn end(&mut self, mut tell: impl FnMut(&[u8])) -> Result<(), NotBase64> {
        let ended = std::mem::take(self);
        match ended.at {
            At::Beginning => {
                if !ended.held.is_empty() {
                    tell(&ended.held);
                }
                Ok(())
            }
            At::Plain | At::Behind => Ok(()),
            At::Base64 | At::Escape | At::Unicode(..) | At::Broken => Err(NotBase64),
        }
    }

    fn read(&mut self, mut bytes: &[u8], tell: &mut impl FnMut(&[u8])) -> Result<(), NotBase64> {
        while let Some((&first, rest)) = bytes.split_first() {
            match self.at {
                At::Beginning => {
                    self.held.push(first);
                    bytes = rest;
                    match begins(&self.held) {
                        Begins::Perhaps => {}
                        Begins::Wrapped => {
                            self.held.clear();
                            self.at = At::Base64;
                        }
                        Begins::Not => {
                            tell(&self.held);
                            self.held.clear();
                            self.at = At::Plain;
                        }
                    }
                }
                At::Plain => {
                    tell(bytes);
                    return Ok(());
                }
                At::Behind => return Ok(()),
                At::Broken => return Err(NotBase64),
                At::Base64 => {
                    let end = memchr::memchr2(b'"', b'\\', bytes).unwrap_or(bytes.len());
                    self.characters(&bytes[..end], tell)?;
                    match bytes.get(end) {
                        Some(b'"') if !self.held.is_empty() => return Err(NotBase64),
                        Some(b'"') => self.at = At::Behind,
                        Some(_) => self.at = At::Escape,
                        None => {}
                    }
                    bytes = bytes.get(end + 1..).unwrap_or_default();
                }
                At::Escape => {
                    bytes = rest;
                    self.at = match first {
                        b'u' => At::Unicode(0, 0),
                        b'/' => {
                            self.characters(b"/", tell)?;
                            At::Base64
                        }
                        // The others stand for what is not in the alphabet.
                        _ => return Err(NotBase64),
                    };
                }
                At::Unicode(digits, value) => {
                    bytes = rest;
                    let digit = char::from(first).to_digit(16).ok_or(NotBase64)?;
                    let value = value << 4 | u16::try_from(digit).expect("below 16");
                    self.at = if digits < 3 {
                        At::Unicode(digits + 1, value)
                    } else {
                        self.characters(&[u8::try_from(value).map_err(|_| NotBase64)?], tell)?;
                        At::Base64
                    };
                }
            }
        }
        Ok(())
    }

    /// Decodes whole groups of four and holds the rest.
    fn characters(&mut self, mut some: &[u8], tell: &mut impl FnMut(&[u8])) -> Result<(), NotBase64> {
        if !self.held.is_empty() {
            let (first, rest) = some.split_at(some.len().min(4 - self.held.len()));
            self.held.extend_from_slice(first);
            some = rest;
            if self.held.len() < 4 {
                return Ok(());
            }
            let group = std::mem::take(&mut self.held);
            self.groups(&group, tell)?;
        }
        let (whole, rest) = some.split_at(some.len() / 4 * 4);
        for groups in whole.chunks(AT_ONCE) {
            self.groups(groups, tell)?;
        }
        self.held.extend_from_slice(rest);
        Ok(())
    }

    fn groups(&mut self, groups: &[u8], tell: &mut impl FnMut(&[u8])) -> Result<(), NotBase64> {
        let mut room = [0; AT_ONCE / 4 * 3];
        if self.padded {
            return Err(NotBase64);
        }
        // Padding is taken at the end of what it is given only.
        let count = STANDARD.decode_slice(groups, &mut room).map_err(|_| NotBase64)?;
        self.padded = groups.ends_with(b"=");
        tell(&room[..count]);
        Ok(())
    }
}

/// Whether `held` is `{"bytes":"`, with the white space that JSON allows between its tokens.
fn begins(held: &[u8]) -> Begins {
    const TOKENS: [&[u8]; 4] = [b"{", b"\"bytes\"", b":", b"\""];
    let mut rest = held;
    for token in TOKENS {
        while let [b' ' | b'\t' | b'\n' | b'\r', behind @ ..] = rest {
            rest = behind;
        }
        match rest.strip_prefix(token) {
            Some(behind) => rest = behind,
            None if token.starts_with(rest) && held.len() < BEGINNING_BYTES_MAX => return Begins::Perhaps,
            None => return Begins::Not,
        }
    }
    Begins::Wrapped
}

#[cfg(test)]
mod tests;
