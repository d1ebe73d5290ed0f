//! The walk down the trie, beside the grammar: where are we, what is watched here, and which keys has this object had?

use smallvec::SmallVec;

use super::signals::{Kind, OnlyId, Text};
use super::watch::{NOWHERE, Node, NodeId, ROOT, Watch};
use super::{DEPTH_MAX, KEYS_MAX, ScanError, Signals};

/// The open brackets, and what was found so far. The brackets are bits; what is not watched leaves nothing behind.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    /// The node of the value under way, or of the one that comes next.
    node: NodeId,
    /// The node of the innermost object or array.
    here: NodeId,
    pub(super) depth: usize,
    /// Bit `d` is set when the bracket at depth `d` is a brace.
    pub(super) braces: u64,
    /// The node around each bracket, as deep as anything is watched.
    nodes: [NodeId; DEPTH_MAX],
    /// Where `here` is [`NOWHERE`]: the depth around the outermost bracket for which it is.
    pub(super) dull_depth: usize,
    objects: SmallVec<[ReadObject; 4]>,
    /// Hashes of the keys of all open objects that are read.
    ///
    /// The search for a duplicate is linear, but it is only made when the object's filter has the key: hardly ever, in an
    /// ordinary object. The worst that anybody can send is object after object of `KEYS_MAX` tiny keys of one filter bit: 128
    /// comparisons for some 7 bytes of body (`many_keys` in the benches comes near it).
    keys: SmallVec<[u64; 64]>,
    pub(super) signals: Signals,
}

/// An open object that the decision reads.
#[derive(Clone, Copy, Debug)]
struct ReadObject {
    /// Its keys' hashes begin here in [`Walk::keys`].
    keys_from: usize,
    /// One bit of 256 for each of them, so that a key whose bit is not there is new.
    filter: [u64; 4],
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
            here: NOWHERE,
            depth: 0,
            braces: 0,
            nodes: [NOWHERE; DEPTH_MAX],
            dull_depth: 0,
            objects: SmallVec::new(),
            keys: SmallVec::new(),
            signals: Signals::new(watch.held_at_first),
        }
    }

    /// Begins another body.
    pub(super) fn again(&mut self, watch: &Watch) {
        self.node = ROOT;
        self.here = NOWHERE;
        self.depth = 0;
        self.braces = 0;
        self.dull_depth = 0;
        self.objects.clear();
        self.keys.clear();
        self.signals.again(watch.held_at_first);
    }

    /// The root is an array, and that is its node.
    pub(super) fn begin_list(&mut self, list: NodeId) {
        self.node = list;
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
        self.here != NOWHERE
    }

    /// Is nothing watched within the innermost object or array?
    #[inline]
    pub(super) fn is_dull(&self) -> bool {
        self.here == NOWHERE && self.depth > 0
    }

    /// Something dull was passed, up to these open brackets.
    pub(super) fn leave_dull(&mut self, depth: usize, braces: u64) {
        self.depth = depth;
        self.braces = braces;
        self.node = NOWHERE;
        if depth == self.dull_depth {
            self.here = self.nodes[depth];
        }
    }

    /// A bracket opens at byte `at`.
    pub(super) fn open(&mut self, watch: &Watch, brace: bool, at: u64) -> Result<(), ScanError> {
        if self.depth == DEPTH_MAX {
            return Err(ScanError::TooDeep { at });
        }
        let node = watch.node(self.node);
        if let Some(node) = node {
            if node.wants_value() {
                self.signals.read(node, Kind::Container, None, at)?;
            }
            if brace {
                self.objects.push(ReadObject {
                    keys_from: self.keys.len(),
                    filter: [0; 4],
                    only_slots: node.only_slots,
                    only_id: None,
                });
            }
        } else if !self.is_dull() {
            self.dull_depth = self.depth;
        }
        self.nodes[self.depth] = self.here;
        self.here = self.node;
        self.braces = self.braces & !(1 << self.depth) | u64::from(brace) << self.depth;
        self.depth += 1;
        self.node = if brace { NOWHERE } else { node.map_or(NOWHERE, |node| node.each) };
        Ok(())
    }

    /// The innermost bracket closes at byte `at`.
    pub(super) fn close(&mut self, watch: &Watch, at: u64) -> Result<(), ScanError> {
        let brace = self.is_in_object();
        let closed = std::mem::replace(&mut self.here, NOWHERE);
        self.depth -= 1;
        // Below the outermost dull bracket lies nothing but dull ones, and the lane does not write theirs down.
        if closed != NOWHERE || self.depth == self.dull_depth {
            self.here = self.nodes[self.depth];
        }
        if brace
            && let Some(node) = watch.node(closed)
            && let Some(object) = self.objects.pop()
        {
            self.keys.truncate(object.keys_from);
            if let Some(id) = object.only_id {
                self.signals.settle_id(node, object.only_slots, id, at)?;
            }
        }
        Ok(())
    }

    /// An element of the innermost array comes next.
    #[inline]
    pub(super) fn element(&mut self, watch: &Watch) {
        self.node = watch.node(self.here).map_or(NOWHERE, |node| node.each);
    }

    /// A member of an object that is not read begins.
    #[inline]
    pub(super) fn pass_member(&mut self) {
        self.node = NOWHERE;
    }

    /// A member of an object that is read begins.
    #[inline(never)]
    pub(super) fn member(&mut self, watch: &Watch, key: Key<'_>) -> Result<(), ScanError> {
        self.member_here(watch, key)
    }

    /// [`Self::member`] for the fast lane, where a call would cost as much as the work.
    #[inline(always)]
    pub(super) fn member_here(&mut self, watch: &Watch, key: Key<'_>) -> Result<(), ScanError> {
        let node = watch.node(self.here).expect("only asked of read objects");
        let object = self.objects.last_mut().expect("every open brace at a node is there");
        let (word, bit) = filter_bit(key.hash);
        let count = self.keys.len() - object.keys_from;
        if object.filter[word] & bit != 0 && has(&self.keys[object.keys_from..], key.hash) {
            return Err(ScanError::DuplicateKey { at: key.start });
        }
        if count == KEYS_MAX {
            return Err(ScanError::TooManyKeys { at: key.start });
        }
        object.filter[word] |= bit;
        // An object with members is read, and so is the root.
        self.signals.root_empty = false;
        self.keys.push(key.hash);
        let text = (key.bytes == key.kept.len()).then_some(key.kept);
        match text.and_then(|text| node.child(text, key.hash)) {
            Some(child) => {
                object.only_slots &= child.only_slots;
                self.node = child.node;
            }
            None => {
                object.only_slots = 0;
                self.node = NOWHERE;
            }
        }
        Ok(())
    }

    /// The value, at `node`, is this string.
    #[inline]
    pub(super) fn string(&mut self, node: &Node, text: Text<'_>) -> Result<(), ScanError> {
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

/// A word of [`ReadObject::filter`], and a bit of it.
#[inline]
fn filter_bit(hash: u64) -> (usize, u64) {
    ((hash >> 62) as usize, 1 << (hash >> 56 & 63))
}

/// Is `hash` among `keys`? In blocks without an early exit, so that the compiler can compare several at once.
#[inline(never)]
fn has(keys: &[u64], hash: u64) -> bool {
    let (blocks, rest) = keys.as_chunks::<16>();
    blocks.iter().any(|block| block.iter().fold(false, |any, &own| any | (own == hash)))
        || rest.contains(&hash)
}
