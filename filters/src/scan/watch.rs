//! What to look for in a body: pointers, compiled to a trie once.
//!
//! A node of the trie is a place in the body. An object at a node is one that *the decision reads*: its keys are
//! checked for duplicates. That is every object on the way to a watched place, and an object at that place itself.

use riparian_config::{Condition, Mark, ModelAt, Namespace, Pointer, Signal, Step, Surface, Surfaces};

use super::text::Hash;
use super::{CACHE_KEY_BYTES_MAX, HANDLE_BYTES_MAX, MODEL_BYTES_MAX, SLOTS_MAX};

/// The number of a node.
pub(super) type NodeId = u16;

/// No node: nothing is watched there, nor below.
pub(super) const NOWHERE: NodeId = NodeId::MAX;

/// The node of the root object.
pub(super) const ROOT: NodeId = 0;

/// The pointers of one surface, or of one kind of answer, compiled. Made once, at config load, and shared.
#[derive(Clone, Debug)]
pub struct Watch {
    nodes: Vec<Node>,
    /// Slots that hold unless something in the body says otherwise.
    pub(super) held_at_first: u64,
    /// No key that is longer can be a watched one.
    pub(super) key_bytes_max: usize,
    /// Where a root that is an array is, if one may be: each of its elements is a root of its own.
    pub(super) list: NodeId,
}

/// More pointers than a [`Watch`] has slots ([`SLOTS_MAX`]), or pointers with more steps than it has nodes (65,534).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyPointers;

impl std::fmt::Display for TooManyPointers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "more than {SLOTS_MAX} signals for one surface, or pointers with too many steps")
    }
}

impl std::error::Error for TooManyPointers {}

/// A place in the body.
#[derive(Clone, Debug)]
pub(super) struct Node {
    keys: Vec<Child>,
    /// The [`filter_bit`] of each of them.
    filter: u64,
    /// The node of every element, when an array is here.
    pub(super) each: NodeId,
    pub(super) tests: Vec<Test>,
    pub(super) onlys: Vec<Only>,
    /// Their slots, as a set.
    pub(super) only_slots: u64,
    pub(super) is_model: bool,
    pub(super) is_cache_key: bool,
    /// It is the `id` of an object with an [`Only`].
    pub(super) is_only_id: bool,
    /// Something here is tested or taken.
    wants_value: bool,
    /// How many bytes of a string here are worth keeping. 0: none, it can be skipped.
    pub(super) text_bytes: usize,
    /// A string here may be taken over, so it must mean one thing only.
    pub(super) takes_text: bool,
    /// What is taken over of a string here is its digest, however long it is.
    pub(super) digests: bool,
    /// Strings here are only compared with words, of these lengths: a bit each, the last for all of 63 bytes and more.
    lengths: u64,
    only_words: bool,
}

/// A member that is watched, or leads to one.
#[derive(Clone, Debug)]
pub(super) struct Child {
    /// Of the key: most other keys are told apart by it without a call.
    hash: u64,
    key: Box<[u8]>,
    /// [`NOWHERE`] when the key only matters to an [`Only`].
    pub(super) node: NodeId,
    /// The slots of the [`Only`]s of this object that allow the key.
    pub(super) only_slots: u64,
}

/// A signal that the value at a node decides alone.
#[derive(Clone, Debug)]
pub(super) struct Test {
    pub(super) slot: u8,
    pub(super) when: When,
    /// What is captured of a string that passes.
    pub(super) captures: Captures,
}

/// What is captured of a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Captures {
    /// Nothing.
    Nothing,
    /// The string.
    Text,
    /// Its digest: what is sealed may be of any length, and is not kept.
    Digest,
    /// Nothing of a string, but the value of a whole number.
    Count,
}

/// [`Condition`], less the one that needs the whole object.
#[derive(Clone, Debug)]
pub(super) enum When {
    Present,
    String,
    True,
    OneOf(Vec<Box<[u8]>>),
    Prefix(Vec<Box<[u8]>>),
    UnlessFalse,
}

/// A signal that an object's keys decide: `id` among them, and none outside a list, which is kept key by key.
#[derive(Clone, Debug)]
pub(super) struct Only {
    pub(super) slot: u8,
    pub(super) captures: bool,
}

impl Watch {
    /// Compiles what a surface's body can say: its signals that stand there, model and cache key. Signal `i` of the surface is
    /// slot `i`; `all` knows the kinds of handles.
    ///
    /// # Errors
    /// When there are more than [`SLOTS_MAX`] signals.
    pub fn compile(surface: &Surface, all: &Surfaces) -> Result<Self, TooManyPointers> {
        let mut watch = Self::new();
        for (index, signal) in surface.signals.iter().enumerate() {
            let slot = slot(index)?;
            if let Some(pointer) = signal.at.pointer() {
                watch.signal(slot, pointer, signal, all)?;
            }
        }
        if matches!(surface.model, ModelAt::Required | ModelAt::Optional) {
            let node = match &surface.model_at {
                Some(pointer) => watch.reach(pointer)?,
                None => watch.child(ROOT, "model")?,
            };
            watch.nodes[usize::from(node)].is_model = true;
            watch.take_text(node, MODEL_BYTES_MAX);
        }
        if let Some(pointer) = &surface.cache_key {
            let node = watch.reach(pointer)?;
            watch.nodes[usize::from(node)].is_cache_key = true;
            watch.take_text(node, CACHE_KEY_BYTES_MAX);
        }
        Ok(watch)
    }

    /// Watches plain pointers, as in an answer, or in every element of an answer that is an array. Pointer `i` is slot `i`: it is held when something other than null is
    /// there, a string there is captured as it says, and [`Signals::is_false`](super::Signals::is_false) tells of a `false`.
    ///
    /// # Errors
    /// When there are more than [`SLOTS_MAX`] pointers.
    pub fn pointers<'p>(
        list: impl IntoIterator<Item = (&'p Pointer, Captures)>,
    ) -> Result<Self, TooManyPointers> {
        let mut watch = Self::new();
        for (index, (pointer, captures)) in list.into_iter().enumerate() {
            let node = watch.reach(pointer)?;
            watch.test(node, Test { slot: slot(index)?, when: When::Present, captures });
        }
        watch.list = watch.add()?;
        watch.nodes[usize::from(watch.list)].each = ROOT;
        Ok(watch)
    }

    /// Whether nothing is watched anywhere that a body has.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.first().is_none_or(|root| root.keys.is_empty())
    }

    /// The node `id`, or `None` for [`NOWHERE`].
    #[inline]
    pub(super) fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(usize::from(id))
    }

    fn new() -> Self {
        Self { nodes: vec![Node::new()], held_at_first: 0, key_bytes_max: 0, list: NOWHERE }
    }

    fn signal(
        &mut self,
        slot: u8,
        pointer: &Pointer,
        signal: &Signal,
        all: &Surfaces,
    ) -> Result<(), TooManyPointers> {
        let node = self.reach(pointer)?;
        let captures = signal.handle.as_ref().map_or(Captures::Nothing, |kind| Captures::of(kind, all));
        let when = match &signal.when {
            Condition::Present => When::Present,
            Condition::String => When::String,
            Condition::True => When::True,
            Condition::OneOf(words) => When::OneOf(bytes(words)),
            Condition::Prefix(words) => When::Prefix(bytes(words)),
            Condition::UnlessFalse => {
                self.held_at_first |= 1 << slot;
                When::UnlessFalse
            }
            Condition::OnlyKeys(keys) => {
                for key in keys {
                    let at = self.member(node, key);
                    self.nodes[usize::from(node)].keys[at].only_slots |= 1 << slot;
                }
                self.nodes[usize::from(node)]
                    .onlys
                    .push(Only { slot, captures: captures != Captures::Nothing });
                self.nodes[usize::from(node)].only_slots |= 1 << slot;
                let id = self.child(node, "id")?;
                self.nodes[usize::from(id)].is_only_id = true;
                self.take_text(id, HANDLE_BYTES_MAX);
                return Ok(());
            }
        };
        self.test(node, Test { slot, when, captures });
        Ok(())
    }

    fn test(&mut self, node: NodeId, test: Test) {
        if let When::OneOf(words) | When::Prefix(words) = &test.when {
            let longest = words.iter().map(|word| word.len()).max().unwrap_or(0);
            let kept = &mut self.nodes[usize::from(node)].text_bytes;
            // One more than the longest would do to tell them apart; the length is kept beside the text.
            *kept = longest.max(*kept).max(1);
        }
        match test.captures {
            Captures::Nothing | Captures::Count => {}
            Captures::Text => self.take_text(node, HANDLE_BYTES_MAX),
            Captures::Digest => {
                self.nodes[usize::from(node)].digests = true;
                self.take_text(node, 0);
            }
        }
        let node = &mut self.nodes[usize::from(node)];
        node.wants_value = true;
        match &test.when {
            When::OneOf(words) => {
                node.lengths |= words.iter().fold(0, |lengths, word| lengths | length_bit(word.len()));
            }
            _ => node.only_words = false,
        }
        node.tests.push(test);
    }

    fn take_text(&mut self, node: NodeId, bytes: usize) {
        let node = &mut self.nodes[usize::from(node)];
        node.text_bytes = node.text_bytes.max(bytes);
        node.takes_text = true;
        node.wants_value = true;
    }

    fn longest_key(&mut self, bytes: usize) {
        self.key_bytes_max = self.key_bytes_max.max(bytes);
    }

    fn reach(&mut self, pointer: &Pointer) -> Result<NodeId, TooManyPointers> {
        pointer.0.iter().try_fold(ROOT, |node, step| match step {
            Step::Key(key) => self.child(node, key),
            Step::Each => self.each(node),
        })
    }

    fn child(&mut self, node: NodeId, key: &str) -> Result<NodeId, TooManyPointers> {
        let at = self.member(node, key);
        if self.nodes[usize::from(node)].keys[at].node == NOWHERE {
            self.nodes[usize::from(node)].keys[at].node = self.add()?;
        }
        Ok(self.nodes[usize::from(node)].keys[at].node)
    }

    /// The index of `key` among the keys of `node`, where it is put if it is not there.
    fn member(&mut self, node: NodeId, key: &str) -> usize {
        let hash = Hash::of(key.as_bytes());
        self.longest_key(key.len());
        let node = &mut self.nodes[usize::from(node)];
        let known = node.keys.iter().position(|child| *child.key == *key.as_bytes());
        known.unwrap_or_else(|| {
            node.keys.push(Child { hash, key: key.as_bytes().into(), node: NOWHERE, only_slots: 0 });
            node.filter |= filter_bit(hash);
            node.keys.len() - 1
        })
    }

    fn each(&mut self, node: NodeId) -> Result<NodeId, TooManyPointers> {
        match self.nodes[usize::from(node)].each {
            NOWHERE => {
                let child = self.add()?;
                self.nodes[usize::from(node)].each = child;
                Ok(child)
            }
            child => Ok(child),
        }
    }

    fn add(&mut self) -> Result<NodeId, TooManyPointers> {
        let id =
            NodeId::try_from(self.nodes.len()).ok().filter(|&id| id != NOWHERE).ok_or(TooManyPointers)?;
        self.nodes.push(Node::new());
        Ok(id)
    }
}

impl Node {
    fn new() -> Self {
        Self {
            keys: Vec::new(),
            filter: 0,
            each: NOWHERE,
            tests: Vec::new(),
            onlys: Vec::new(),
            only_slots: 0,
            is_model: false,
            is_cache_key: false,
            is_only_id: false,
            wants_value: false,
            text_bytes: 0,
            takes_text: false,
            digests: false,
            lengths: 0,
            only_words: true,
        }
    }

    /// What is known of the member `key`. A handful at most: a list is faster than a map, and most other keys do not come that
    /// far. The key itself is compared too, because whoever found a second key with the hash of `store` could say one thing
    /// to us and another to the upstream.
    #[inline]
    pub(super) fn child(&self, key: &[u8], hash: u64) -> Option<&Child> {
        if self.filter & filter_bit(hash) == 0 {
            return None;
        }
        self.keys.iter().find(|child| child.hash == hash && *child.key == *key)
    }

    /// Could a string of so many bytes mean anything here? Most places with a test have a `type`, and most types no meaning.
    #[inline]
    pub(super) fn may_match(&self, bytes: usize) -> bool {
        self.takes_text || !self.only_words || self.lengths & length_bit(bytes) != 0
    }

    /// Is anything to be done for a value here?
    #[inline]
    pub(super) fn wants_value(&self) -> bool {
        self.wants_value
    }
}

/// One of 64 bits, by a length.
#[inline]
fn length_bit(bytes: usize) -> u64 {
    1 << bytes.min(63)
}

/// One of 64 bits, by a key's hash.
#[inline]
fn filter_bit(hash: u64) -> u64 {
    1 << (hash >> 58)
}

fn bytes(words: &[String]) -> Vec<Box<[u8]>> {
    words.iter().map(|word| word.as_bytes().into()).collect()
}

impl Captures {
    /// How handles of this kind are known.
    #[must_use]
    pub fn of(kind: &Namespace, all: &Surfaces) -> Self {
        match all.kind(kind).and_then(|kind| kind.mark) {
            Some(Mark::Sealed) => Self::Digest,
            _ => Self::Text,
        }
    }
}

fn slot(index: usize) -> Result<u8, TooManyPointers> {
    u8::try_from(index).ok().filter(|&slot| usize::from(slot) < SLOTS_MAX).ok_or(TooManyPointers)
}
