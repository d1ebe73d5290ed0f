//! The fast lane through what the decision reads: the objects and arrays on the way to a watched place.
//!
//! As the [dull](super::dull) one it takes only what is plain and lies in one chunk, and stops before everything else, at a token's
//! start, for the [`Machine`] to look at. The [`Walk`](super::walk::Walk) is told of every key and value here.

use super::machine::{Expect, Machine, Step};
use super::plain::{end_of_scalar, solid};
use super::signals::Text;
use super::skim::{end_of_text, special};
use super::text::Hash;
use super::walk::Key;
use super::watch::{Node, Watch};

impl Machine {
    /// Goes on from `from`, within an object or array that is read, to the end of the root or to what is not plain.
    pub(super) fn keen(&mut self, watch: &Watch, bytes: &[u8], from: usize) -> Step {
        let (mut at, mut expect) = (from, self.expect);
        loop {
            if matches!(expect, Expect::Key | Expect::KeyOrEnd) {
                let Some(byte) = solid(bytes, &mut at) else { break };
                if byte == b'"' {
                    let end = special(bytes, at + 1);
                    if bytes.get(end) != Some(&b'"') {
                        break;
                    }
                    let kept = &bytes[at + 1..end];
                    let key = Key { kept, bytes: kept.len(), hash: Hash::of(kept), start: self.place(at) };
                    let member = self.walk.member_here(watch, key);
                    self.check(member)?;
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
                let wanted = watch.node(self.walk.node()).filter(|node| node.wants_value());
                match byte {
                    b'"' => {
                        let Some(end) = self.plain_text(wanted, bytes, at)? else { break };
                        at = end;
                        expect = Expect::CommaOrEnd;
                    }
                    b'{' | b'[' => {
                        at = self.open(watch, at, byte == b'{')?;
                        if self.walk.is_dull() {
                            at = self.dull(bytes, at);
                            if self.walk.is_dull() {
                                return Ok(at);
                            }
                        }
                        expect = self.expect;
                        continue;
                    }
                    b']' if expect == Expect::ValueOrEnd => expect = Expect::CommaOrEnd,
                    _ if wanted.is_some() => break,
                    _ => {
                        let Some(end) = end_of_scalar(bytes, at) else { break };
                        at = end;
                        expect = Expect::CommaOrEnd;
                    }
                }
            }
            match (solid(bytes, &mut at), self.walk.is_in_object()) {
                (Some(b','), true) => {
                    at += 1;
                    expect = Expect::Key;
                }
                (Some(b','), false) => {
                    at += 1;
                    expect = Expect::Value;
                    self.walk.element(watch);
                }
                (Some(b'}'), true) | (Some(b']'), false) => {
                    at = self.close(watch, at)?;
                    expect = self.expect;
                    if expect == Expect::Nothing {
                        return Ok(at);
                    }
                }
                _ => break,
            }
        }
        self.expect = expect;
        Ok(at)
    }

    /// The string that begins at `at`: the index behind it, or `None` when it takes a closer look.
    #[inline(always)]
    fn plain_text(
        &mut self,
        wanted: Option<&Node>,
        bytes: &[u8],
        at: usize,
    ) -> Result<Option<usize>, super::machine::Fault> {
        let Some(node) = wanted else {
            let end = end_of_text(bytes, at + 1);
            return Ok((bytes.get(end) == Some(&b'"')).then_some(end + 1));
        };
        let end = special(bytes, at + 1);
        if bytes.get(end) != Some(&b'"') {
            return Ok(None);
        }
        let kept = &bytes[at + 1..end];
        if node.may_match(kept.len()) {
            let (start, stop) = (self.place(at), self.place(end + 1));
            let text = Text { kept, bytes: kept.len(), lone: false, digest: None, start, end: stop };
            let taken = self.walk.string(node, text);
            self.check(taken)?;
        }
        Ok(Some(end + 1))
    }
}
