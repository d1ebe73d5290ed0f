//! The walk down the trie, beside the grammar: where are we, what is watched here, and which keys has this object had?

use smallvec::SmallVec;

use super::signals::{Kind, OnlyId, Text};
use super::watch::{NOWHERE, NodeId, ROOT, Watch};
use super::{DEPTH_MAX, KEYS_MAX, ScanError, Signals};

/// The open brackets, and what was found so far. The brackets are bits; what is not watched leaves nothing behind.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    /// The node of the value under way, or of the one that comes next.
    node: NodeId,
    depth: usize,
    /// Bit `d` is set when the bracket at depth `d` is a brace.
    braces: u64,
    /// The node at each depth.
    nodes: [NodeId; DEPTH_MAX],
    objects: SmallVec<[ReadObject; 4]>,
    /// Hashes of the keys of all open objects that are read.
    ///
    /// The search for a duplicate is linear: for an ordinary object of a dozen keys that is the fastest. The worst that
    /// anybody can send is object after object of `KEYS_MAX` tiny keys: 128 comparisons, at four a nanosecond, for some 7
    /// bytes of body; such a body still goes at some 100 MB/s (`many_keys` in the benches).
    keys: SmallVec<[u64; 64]>,
    /// The low half of each of them. Halves are searched first: machines of today compare four at once.
    marks: SmallVec<[u32; 64]>,
    pub(super) signals: Signals,
}

/// An open object that the decision reads.
#[derive(Clone, Copy, Debug)]
struct ReadObject {
    /// Its keys' hashes begin here in [`Walk::keys`].
    keys_from: usize,
    /// The conditions on all of its keys that can still hold.
    only_slots: u64,
    only_id: Option<OnlyId>,
}

/// The key of a member.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key<'k> {
    /// Escapes undone: all of it, or as much of it as the longest watched key has.
    pub(super) kept: &'k [u8],
    /// All its bytes.
    pub(super) bytes: usize,
    pub(super) hash: u64,
    /// The quote before it.
    pub(super) start: u64,
}

impl Walk {
    pub(super) fn new(watch: &Watch) -> Self {
        Self {
            node: ROOT,
            depth: 0,
            braces: 0,
            nodes: [NOWHERE; DEPTH_MAX],
            objects: SmallVec::new(),
            keys: SmallVec::new(),
            marks: SmallVec::new(),
            signals: Signals::new(watch.held_at_first),
        }
    }

    /// The node of the value under way.
    #[inline]
    pub(super) fn node(&self) -> NodeId {
        self.node
    }

    #[inline]
    pub(super) fn is_at_top(&self) -> bool {
        self.depth == 0
    }

    /// Is the innermost bracket a brace?
    #[inline]
    pub(super) fn is_in_object(&self) -> bool {
        self.braces >> (self.depth - 1) & 1 == 1
    }

    /// Are the innermost object's keys compared?
    #[inline]
    pub(super) fn is_in_read_object(&self) -> bool {
        self.nodes[self.depth - 1] != NOWHERE
    }

    /// A bracket opens at byte `at`.
    pub(super) fn open(&mut self, watch: &Watch, brace: bool, at: u64) -> Result<(), ScanError> {
        if self.depth == DEPTH_MAX {
            return Err(ScanError::TooDeep { at });
        }
        if let Some(node) = watch.node(self.node) {
            if node.wants_value() {
                self.signals.read(node, Kind::Container, None, at)?;
            }
            if brace {
                let only_slots = node.only_slots();
                self.objects.push(ReadObject { keys_from: self.keys.len(), only_slots, only_id: None });
            }
        }
        self.nodes[self.depth] = self.node;
        self.braces = self.braces & !(1 << self.depth) | u64::from(brace) << self.depth;
        self.depth += 1;
        if !brace {
            self.element(watch);
        }
        Ok(())
    }

    /// The innermost bracket closes at byte `at`.
    pub(super) fn close(&mut self, watch: &Watch, at: u64) -> Result<(), ScanError> {
        let brace = self.is_in_object();
        self.depth -= 1;
        if brace
            && let Some(node) = watch.node(self.nodes[self.depth])
            && let Some(object) = self.objects.pop()
        {
            self.keys.truncate(object.keys_from);
            self.marks.truncate(object.keys_from);
            if let Some(id) = object.only_id {
                self.signals.settle_id(node, object.only_slots, id, at)?;
            }
        }
        Ok(())
    }

    /// An element of the innermost array comes next.
    #[inline]
    pub(super) fn element(&mut self, watch: &Watch) {
        self.node = watch.node(self.nodes[self.depth - 1]).map_or(NOWHERE, |node| node.each);
    }

    /// A member of an object that is not read begins.
    #[inline]
    pub(super) fn pass_member(&mut self) {
        self.node = NOWHERE;
    }

    /// A member of an object that is read begins.
    pub(super) fn member(&mut self, watch: &Watch, key: Key<'_>) -> Result<(), ScanError> {
        let node = watch.node(self.nodes[self.depth - 1]).expect("only asked of read objects");
        let object = self.objects.last_mut().expect("every open brace at a node is there");
        let keys = &self.keys[object.keys_from..];
        if has(&self.marks[object.keys_from..], mark(key.hash)) && keys.contains(&key.hash) {
            return Err(ScanError::DuplicateKey { at: key.start });
        }
        if keys.len() == KEYS_MAX {
            return Err(ScanError::TooManyKeys { at: key.start });
        }
        self.keys.push(key.hash);
        self.marks.push(mark(key.hash));
        let text = (key.bytes == key.kept.len()).then_some(key.kept);
        for only in &node.onlys {
            if !text.is_some_and(|text| only.keys.iter().any(|own| **own == *text)) {
                object.only_slots &= !(1 << only.slot);
            }
        }
        self.node = text.and_then(|text| node.child(text, key.hash)).unwrap_or(NOWHERE);
        Ok(())
    }

    /// The value is this string.
    #[inline]
    pub(super) fn string(&mut self, watch: &Watch, text: Text<'_>) -> Result<(), ScanError> {
        let Some(node) = watch.node(self.node).filter(|node| node.wants_value()) else { return Ok(()) };
        if node.is_only_id
            && let Some(object) = self.objects.last_mut()
        {
            object.only_id = Some(self.signals.hold_id(text));
        }
        self.signals.read(node, Kind::String, Some(text), text.start)
    }

    /// The value is a number or literal that begins at byte `at`.
    #[inline]
    pub(super) fn scalar(&mut self, watch: &Watch, kind: Kind, at: u64) -> Result<(), ScanError> {
        match watch.node(self.node) {
            Some(node) if node.wants_value() => self.signals.read(node, kind, None, at),
            _ => Ok(()),
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "half of the hash is what is wanted")]
fn mark(hash: u64) -> u32 {
    hash as u32
}

/// Is `mark` among `marks`? In blocks without an early exit, so that the compiler can compare several at once.
#[inline]
fn has(marks: &[u32], mark: u32) -> bool {
    let (blocks, rest) = marks.as_chunks::<16>();
    blocks.iter().any(|block| block.iter().fold(false, |any, &own| any | (own == mark)))
        || rest.contains(&mark)
}
