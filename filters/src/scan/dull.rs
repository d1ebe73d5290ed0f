//! The fast lane through what nobody reads: an object or array at whose place, and below, nothing is watched.
//!
//! Most of a request is such: tool schemas, metadata, the parts of a message. Here only the grammar matters, so the loop keeps
//! what it needs in registers. It takes the plain cases (white space, strings with simple escapes, keys without any, numbers,
//! literals, brackets) and stops before whatever is none of them, at a token's start: the [`Machine`] looks at that,
//! as it would have without this lane, and says what is wrong with it.

use super::DEPTH_MAX;
use super::machine::{Expect, Machine};
use super::plain::{end_of_scalar, solid};
use super::skim::{end_of_text, special};

impl Machine {
    /// Goes on from `from`, within an object or array that is not read, to its end or to what is not plain.
    ///
    /// The tests of `expect` stand in the order in which tokens follow each other, so that most of them fall through.
    pub(super) fn dull(&mut self, bytes: &[u8], from: usize) -> usize {
        let walk = &mut self.walk;
        let (mut depth, mut braces, floor) = (walk.depth, walk.braces, walk.dull_depth);
        let mut in_object = walk.is_in_object();
        let (mut at, mut expect) = (from, self.expect);
        loop {
            if matches!(expect, Expect::Key | Expect::KeyOrEnd) {
                let Some(byte) = solid(bytes, &mut at) else { break };
                if byte == b'"' {
                    let end = special(bytes, at + 1);
                    if bytes.get(end) != Some(&b'"') {
                        break;
                    }
                    at = end + 1;
                    expect = Expect::Colon;
                } else if byte == b'}' && expect == Expect::KeyOrEnd {
                    expect = Expect::CommaOrEnd;
                } else {
                    break;
                }
            }
            if expect == Expect::Colon {
                match solid(bytes, &mut at) {
                    Some(b':') => at += 1,
                    _ => break,
                }
                expect = Expect::Value;
            }
            if matches!(expect, Expect::Value | Expect::ValueOrEnd) {
                let Some(byte) = solid(bytes, &mut at) else { break };
                match byte {
                    b'"' => {
                        let end = end_of_text(bytes, at + 1);
                        if bytes.get(end) != Some(&b'"') {
                            break;
                        }
                        at = end + 1;
                        expect = Expect::CommaOrEnd;
                    }
                    b'{' | b'[' => {
                        if depth == DEPTH_MAX {
                            break;
                        }
                        in_object = byte == b'{';
                        braces = braces & !(1 << depth) | u64::from(in_object) << depth;
                        depth += 1;
                        at += 1;
                        expect = if in_object { Expect::KeyOrEnd } else { Expect::ValueOrEnd };
                        continue;
                    }
                    b']' if expect == Expect::ValueOrEnd => expect = Expect::CommaOrEnd,
                    _ => {
                        let Some(end) = end_of_scalar(bytes, at) else { break };
                        at = end;
                        expect = Expect::CommaOrEnd;
                    }
                }
            }
            match (solid(bytes, &mut at), in_object) {
                (Some(b','), _) => {
                    at += 1;
                    expect = if in_object { Expect::Key } else { Expect::Value };
                }
                (Some(b'}'), true) | (Some(b']'), false) => {
                    at += 1;
                    depth -= 1;
                    if depth == floor {
                        break;
                    }
                    in_object = braces >> (depth - 1) & 1 == 1;
                }
                _ => break,
            }
        }
        walk.leave_dull(depth, braces);
        self.expect = expect;
        at
    }
}
