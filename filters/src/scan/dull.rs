//! The fast lane through what nobody reads: an object or array at whose place, and below, nothing is watched.
//!
//! Most of a request is such: tool schemas, metadata, the parts of a message. Here only the grammar matters, so the loop keeps
//! what it needs in registers. It takes the plain cases (white space, strings with simple escapes, keys without any, numbers,
//! literals, brackets) and stops before whatever is none of them, at a token's start: the [`Machine`] looks at that,
//! as it would have without this lane, and says what is wrong with it.

use super::DEPTH_MAX;
use super::machine::{Expect, Machine};
use super::number::Number;
use super::skim::{end_of_text, special};

impl Machine {
    /// Goes on from `from`, within an object or array that is not read, to its end or to what is not plain.
    pub(super) fn dull(&mut self, bytes: &[u8], from: usize) -> usize {
        let walk = &mut self.walk;
        let (mut depth, mut braces, floor) = (walk.depth, walk.braces, walk.dull_depth);
        let (mut at, mut expect) = (from, self.expect);
        while let Some(&byte) = bytes.get(at) {
            if byte <= b' ' {
                if !is_space(byte) {
                    break;
                }
                at += 1;
                continue;
            }
            let closes = match expect {
                Expect::Value | Expect::ValueOrEnd => match byte {
                    b'"' => {
                        let end = end_of_text(bytes, at + 1);
                        if bytes.get(end) != Some(&b'"') {
                            break;
                        }
                        at = end + 1;
                        expect = Expect::CommaOrEnd;
                        false
                    }
                    b'{' | b'[' if depth < DEPTH_MAX => {
                        let brace = byte == b'{';
                        braces = braces & !(1 << depth) | u64::from(brace) << depth;
                        depth += 1;
                        at += 1;
                        expect = if brace { Expect::KeyOrEnd } else { Expect::ValueOrEnd };
                        false
                    }
                    b']' if expect == Expect::ValueOrEnd => true,
                    _ => {
                        let Some(end) = end_of_scalar(bytes, at) else { break };
                        at = end;
                        expect = Expect::CommaOrEnd;
                        false
                    }
                },
                Expect::Key | Expect::KeyOrEnd => match byte {
                    b'"' => {
                        let end = special(bytes, at + 1);
                        if bytes.get(end) != Some(&b'"') {
                            break;
                        }
                        // The colon nearly always follows at once.
                        let colon = bytes.get(end + 1) == Some(&b':');
                        at = end + 1 + usize::from(colon);
                        expect = if colon { Expect::Value } else { Expect::Colon };
                        false
                    }
                    b'}' if expect == Expect::KeyOrEnd => true,
                    _ => break,
                },
                Expect::CommaOrEnd => match (byte, braces >> (depth - 1) & 1 == 1) {
                    (b',', in_object) => {
                        at += 1;
                        expect = if in_object { Expect::Key } else { Expect::Value };
                        false
                    }
                    (b'}', true) | (b']', false) => true,
                    _ => break,
                },
                Expect::Colon if byte == b':' => {
                    at += 1;
                    expect = Expect::Value;
                    false
                }
                Expect::Colon | Expect::Root | Expect::Nothing => break,
            };
            if closes {
                at += 1;
                depth -= 1;
                expect = Expect::CommaOrEnd;
                if depth == floor {
                    break;
                }
            }
        }
        walk.leave_dull(depth, braces);
        self.expect = expect;
        at
    }
}

#[inline]
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

/// The index behind the number or literal that begins at `at`, if it is right and ends before `bytes` do.
#[inline]
fn end_of_scalar(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at..];
    match rest[0] {
        b't' => rest.starts_with(b"true").then_some(at + 4),
        b'f' => rest.starts_with(b"false").then_some(at + 5),
        b'n' => rest.starts_with(b"null").then_some(at + 4),
        byte => {
            let mut number = Number::begin(byte)?;
            for (past, &byte) in rest.iter().enumerate().skip(1) {
                match number.step(byte) {
                    Some(next) => number = next,
                    None => return number.is_whole().then_some(at + past),
                }
            }
            None
        }
    }
}
