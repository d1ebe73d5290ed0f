//! Finds every place in an answer where a handle stands that its client knows by a sealed name.

use crate::scan::HANDLE_BYTES_MAX;
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Handles that are looked for in one answer, or on one socket; those over it are sealed where they are born, and nowhere else.
const KNOWN_MAX: usize = 4096;

/// Shorter handles are looked for nowhere: any word could be one.
const HANDLE_BYTES_MIN: usize = 6;

/// Names with their seals, and the end of what has passed.
///
/// A place is a closing quote behind a whole handle that begins behind a quote or a slash: a JSON string, or the last segment of one.
/// That is a matter of bytes alone, so that it is the same in a JSON answer, in the events of a stream and on a socket, wherever they
/// are cut. A handle with escapes in it is found where it has a `\/`, and no other way.
#[derive(Clone, Debug, Default)]
pub struct Spread {
    known: BTreeMap<Box<[u8]>, Arc<str>>,
    /// Of all that is known, the longest first: handles of one kind have one length.
    lengths: SmallVec<[usize; 8]>,
    /// As much of what has passed as the longest of them and one byte.
    tail: Vec<u8>,
}

impl Spread {
    /// Whether there is nothing to look for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// What `handle` is sealed with, if it is known.
    #[must_use]
    pub fn seal(&self, handle: &str) -> Option<&Arc<str>> {
        self.known.get(handle.as_bytes())
    }

    /// From now on `handle` is looked for.
    pub fn know(&mut self, handle: &str, seal: &Arc<str>) {
        if !(HANDLE_BYTES_MIN..=HANDLE_BYTES_MAX).contains(&handle.len()) {
            return;
        }
        self.add(handle, seal);
        if handle.contains('/') {
            self.add(&handle.replace('/', "\\/"), seal);
        }
    }

    fn add(&mut self, handle: &str, seal: &Arc<str>) {
        if self.known.len() >= KNOWN_MAX {
            return;
        }
        self.known.insert(handle.as_bytes().into(), Arc::clone(seal));
        if let Err(at) = self.lengths.binary_search_by(|length| handle.len().cmp(length)) {
            self.lengths.insert(at, handle.len());
        }
    }

    /// Tells of every place in the next bytes: the offset of the closing quote, and what must stand before it.
    pub fn places(&mut self, bytes: &[u8], mut place: impl FnMut(usize, &Arc<str>)) {
        let reach = 1 + self.lengths.first().copied().unwrap_or(0);
        if !self.known.is_empty() {
            // Quotes near the beginning have what belongs to them in what has passed.
            let near = bytes.len().min(reach);
            let past = self.tail.len();
            let mut joined = std::mem::take(&mut self.tail);
            joined.extend_from_slice(&bytes[..near]);
            for quote in memchr::memchr_iter(b'"', bytes) {
                let before = if quote < near { &joined[..past + quote] } else { &bytes[..quote] };
                if let Some(seal) = self.at_end(before, false) {
                    place(quote, seal);
                }
            }
            joined.truncate(past);
            self.tail = joined;
        }
        // A handle may become known whose first bytes have passed already.
        self.tail.extend_from_slice(&bytes[bytes.len().saturating_sub(TAIL_BYTES)..]);
        self.tail.drain(..self.tail.len().saturating_sub(TAIL_BYTES));
    }

    /// The seal of the handle that is all of `value`, or its last segment.
    #[must_use]
    pub fn of(&self, value: &[u8]) -> Option<&Arc<str>> {
        self.at_end(value, true)
    }

    /// Another text begins, a socket's next message: nothing that has passed belongs to it.
    pub fn again(&mut self) {
        self.tail.clear();
    }

    fn at_end(&self, before: &[u8], whole: bool) -> Option<&Arc<str>> {
        self.lengths.iter().find_map(|length| {
            let start = before.len().checked_sub(*length)?;
            match start.checked_sub(1).map(|at| before[at]) {
                Some(b'/') => {}
                Some(b'"') if !whole => {}
                None if whole => {}
                _ => return None,
            }
            self.known.get(&before[start..])
        })
    }
}

/// The longest handle, each slash of it escaped, and the quote before it.
const TAIL_BYTES: usize = 2 * HANDLE_BYTES_MAX + 1;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn spread(text: &[u8], cuts: &[usize]) -> Vec<usize> {
        let mut spread = Spread::default();
        for (handle, seal) in [("resp_1", "A"), ("conv_22", "B"), ("a/file_3", "C"), ("x", "never")] {
            spread.know(handle, &Arc::from(seal));
        }
        let (mut from, mut found) = (0, Vec::new());
        for cut in cuts.iter().copied().chain([text.len()]) {
            spread.places(&text[from..cut], |at, _| found.push(from + at));
            from = cut;
        }
        found
    }

    const TEXT: &[u8] =
        br#"{"id":"resp_1","url":"https:\/\/h/conv_22","a":"a/file_3","b":"a\/file_3","no":["xresp_1","resp_1 ","resp_11","x","file_3"],"c":"\"resp_1\""}"#;

    #[test]
    fn whole_handles_are_found_and_nothing_else() {
        let found = spread(TEXT, &[]);
        let ends: Vec<_> = found.iter().map(|at| std::str::from_utf8(&TEXT[at - 6..*at]).unwrap()).collect();
        assert_eq!(ends, ["resp_1", "onv_22", "file_3", "file_3"]);
        for cut in 0..TEXT.len() {
            assert_eq!(spread(TEXT, &[cut]), found, "cut at {cut}");
        }
        assert_eq!(spread(TEXT, &(0..TEXT.len()).collect::<Vec<_>>()), found);
    }

    #[test]
    fn what_becomes_known_late_is_found_from_then_on() {
        let mut spread = Spread::default();
        spread.places(br#"{"id":"resp"#, |_, _| panic!("nothing is known"));
        spread.know("resp_1", &Arc::from("A"));
        let mut found = Vec::new();
        spread.places(br#"_1","x":"resp_1"}"#, |at, seal| found.push((at, seal.to_string())));
        assert_eq!(found, [(2, "A".to_owned()), (15, "A".to_owned())]);
        assert_eq!(spread.of(b"resp_1").map(|seal| &**seal), Some("A"));
        assert_eq!(spread.of(b"https://h/resp_1").map(|seal| &**seal), Some("A"));
        assert_eq!(spread.of(b"xresp_1"), None);
    }

    proptest! {
        #[test]
        fn cuts_change_nothing(cuts in prop::collection::vec(0..TEXT.len(), 0..6)) {
            let mut cuts = cuts;
            cuts.sort_unstable();
            prop_assert_eq!(spread(TEXT, &cuts), spread(TEXT, &[]));
        }
    }
}
