//! Read buffers that are borrowed for as long as there are bytes in them.
//!
//! A stream that waits has none: ten thousand that wait cost what their sockets and tasks cost. Each thread keeps a few free ones at
//! hand, so that a request takes warm memory, without a lock.

use bytes::Bytes;
use std::cell::RefCell;

/// What one read asks for: large bodies in few system calls, and small enough to stay in a core's second-level cache.
pub(crate) const SIZE: usize = 64 * 1024;

/// Free buffers that a thread keeps while it is busy: 16 MiB, what a few dozen large bodies at once come to. New ones must be
/// zeroed, and touch cold memory.
const FREE_MAX: usize = 256;

/// Free buffers that it keeps in quieter times: 1 MiB.
const FREE_QUIET: usize = 16;

/// Gives back half of the free buffers that are too many for quiet times; to be called every few seconds.
pub(crate) fn trim() {
    FREE.with_borrow_mut(|free| {
        let over = free.len().saturating_sub(FREE_QUIET);
        free.truncate(free.len() - over.div_ceil(2));
    });
}

thread_local! {
    static FREE: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer, of which the bytes from `start` to `end` are in use.
#[derive(Debug)]
pub(crate) struct Buffer {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// An empty one.
    pub(crate) fn take() -> Self {
        let free = FREE.with_borrow_mut(Vec::pop);
        Self { bytes: free.unwrap_or_else(|| vec![0; SIZE].into_boxed_slice()), start: 0, end: 0 }
    }

    /// One that begins with `bytes`; at most [`SIZE`] of them.
    pub(crate) fn with(bytes: &[u8]) -> Self {
        let mut buffer = Self::take();
        buffer.spare()[..bytes.len()].copy_from_slice(bytes);
        buffer.end = bytes.len();
        buffer
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.end]
    }

    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// The room behind the bytes in use.
    pub(crate) fn spare(&mut self) -> &mut [u8] {
        &mut self.bytes[self.end..]
    }

    /// Whether more can come, behind the bytes in use or in place of those that are done with.
    pub(crate) fn has_room(&self) -> bool {
        self.len() < self.bytes.len()
    }

    /// `bytes` of the room are in use now.
    pub(crate) fn filled(&mut self, bytes: usize) {
        self.end += bytes;
        debug_assert!(self.end <= self.bytes.len(), "more than there is room");
    }

    /// The first `bytes` are done with.
    pub(crate) fn consume(&mut self, bytes: usize) {
        self.start += bytes;
        debug_assert!(self.start <= self.end, "more than there are");
    }

    /// Only the first `bytes` stay.
    pub(crate) fn truncate(&mut self, bytes: usize) {
        self.end = self.end.min(self.start + bytes);
    }

    /// Moves what is in use to the front, so that all the room is behind it.
    pub(crate) fn make_room(&mut self) {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
    }

    /// Everything behind the first `at` bytes, in a buffer of its own; `None` when that is nothing.
    pub(crate) fn split_off(&mut self, at: usize) -> Option<Self> {
        let rest = (at < self.len()).then(|| Self::with(&self.bytes()[at..]));
        self.truncate(at);
        rest
    }

    /// Its bytes, for as long as anybody wants them. Few bytes do not keep the whole buffer.
    pub(crate) fn freeze(self) -> Bytes {
        if self.len() < SIZE / 2 { Bytes::copy_from_slice(self.bytes()) } else { Bytes::from_owner(self) }
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        // A thread that ends keeps nothing.
        let _ = FREE.try_with(|free| {
            let mut free = free.borrow_mut();
            if free.len() < FREE_MAX {
                free.push(bytes);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_and_go_at_both_ends() {
        let mut buffer = Buffer::with(b"head|body|next");
        buffer.consume(5);
        let rest = buffer.split_off(5).unwrap();
        assert_eq!((buffer.bytes(), rest.bytes()), (&b"body|"[..], &b"next"[..]));
        assert!(buffer.split_off(5).is_none());
        buffer.truncate(4);
        assert_eq!(buffer.freeze(), Bytes::from_static(b"body"));
    }

    #[test]
    fn a_buffer_is_used_again_and_begins_empty() {
        let mut buffer = Buffer::take();
        buffer.filled(SIZE);
        let frozen = buffer.freeze();
        assert_eq!(frozen.len(), SIZE);
        drop(frozen);
        assert!(Buffer::take().is_empty());
        assert_eq!(FREE.with_borrow(Vec::len), 1);
    }

    #[test]
    fn what_a_busy_time_left_behind_goes() {
        let many: Vec<_> = (0..2 * FREE_MAX).map(|_| Buffer::take()).collect();
        drop(many);
        assert_eq!(FREE.with_borrow(Vec::len), FREE_MAX, "no more than that");
        (0..12).for_each(|_| trim());
        assert_eq!(FREE.with_borrow(Vec::len), FREE_QUIET);
    }
}
