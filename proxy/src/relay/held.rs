//! A request's body, held until it is decided where it may go, and for as long as it may have to be sent again.

use super::buffer::Buffer;
use bytes::Bytes;
use riparian_filters::rewrite::Splice;
use smallvec::SmallVec;

/// A request body, held in memory as chunks in the order of their arrival.
#[derive(Debug, Default)]
pub(crate) struct Held {
    pub(crate) chunks: SmallVec<[Bytes; 2]>,
    /// The chunk that still grows.
    pub(super) open: Option<Buffer>,
    pub(crate) bytes: u64,
}

impl Held {
    pub(crate) fn push(&mut self, chunk: Bytes) {
        self.bytes += chunk.len() as u64;
        self.chunks.push(chunk);
    }

    /// Takes a copy of `bytes`, however few, at no more room than they need.
    pub(crate) fn append(&mut self, mut bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            let open = self.open.get_or_insert_with(Buffer::take);
            let room = open.spare();
            let fits = room.len().min(bytes.len());
            room[..fits].copy_from_slice(&bytes[..fits]);
            open.filled(fits);
            bytes = &bytes[fits..];
            if open.spare().is_empty() {
                self.close();
            }
        }
    }

    /// Everything that is held, in its order.
    pub(crate) fn all(&self) -> impl Iterator<Item = &[u8]> + Clone {
        self.chunks.iter().map(|chunk| &chunk[..]).chain(self.open.iter().map(Buffer::bytes))
    }

    /// Ends the chunk that grows.
    pub(crate) fn close(&mut self) {
        if let Some(open) = self.open.take().filter(|open| !open.is_empty()) {
            self.chunks.push(open.freeze());
        }
    }

    /// The body with one stretch of it changed. Nothing is copied: what stands around the stretch is shared with the original, and
    /// all pieces leave in one write.
    pub(crate) fn spliced(&self, splice: Option<&Splice>) -> SmallVec<[Bytes; 2]> {
        let Some(splice) = splice else { return self.chunks.clone() };
        let mut out = SmallVec::new();
        let mut put = |piece: Bytes| {
            if !piece.is_empty() {
                out.push(piece);
            }
        };
        let with = Bytes::copy_from_slice(&splice.with);
        let (mut at, mut placed) = (0u64, false);
        for chunk in &self.chunks {
            let end = at + chunk.len() as u64;
            let within =
                |offset: u64| usize::try_from(offset.clamp(at, end) - at).expect("within a chunk in memory");
            put(chunk.slice(..within(splice.at.start)));
            if !placed && splice.at.start < end {
                placed = true;
                put(with.clone());
            }
            put(chunk.slice(within(splice.at.end)..));
            at = end;
        }
        if !placed {
            put(with);
        }
        out
    }
}

/// What has come of a body.
pub(crate) struct Arrived<'h> {
    pub(super) held: &'h mut Held,
    pub(super) came: usize,
}

impl Arrived<'_> {
    /// The bytes that have come.
    pub(crate) fn bytes(&self) -> &[u8] {
        let newest = match &self.held.open {
            Some(open) => open.bytes(),
            None => self.held.chunks.last().map_or(&[][..], |chunk| &chunk[..]),
        };
        &newest[newest.len() - self.came..]
    }

    /// Bytes of the body so far.
    pub(crate) fn total(&self) -> u64 {
        self.held.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(chunks: &[&'static [u8]]) -> Held {
        let mut held = Held::default();
        chunks.iter().for_each(|chunk| held.push(Bytes::from_static(chunk)));
        held
    }

    #[test]
    fn a_splice_changes_its_stretch_and_nothing_else_wherever_chunks_end() {
        let body: &'static [u8] = b"{\"model\":\"gpt\",\"x\":1}";
        for splice in [
            Splice { at: 9..14, with: b"\"deployment\"".to_vec() },
            Splice { at: 9..14, with: b"\"g\"".to_vec() },
            Splice { at: 1..1, with: b"\"model\":\"m\",".to_vec() },
            Splice { at: 0..0, with: b"<".to_vec() },
            Splice { at: 21..21, with: b">".to_vec() },
        ] {
            let (from, to) =
                (usize::try_from(splice.at.start).unwrap(), usize::try_from(splice.at.end).unwrap());
            let expected = [&body[..from], &splice.with, &body[to..]].concat();
            for first in 0..=body.len() {
                for second in first..=body.len() {
                    let spliced =
                        held(&[&body[..first], &body[first..second], &body[second..]]).spliced(Some(&splice));
                    assert_eq!(
                        spliced.concat(),
                        expected,
                        "{splice:?} with chunks ending at {first} and {second}"
                    );
                    assert!(spliced.iter().all(|piece| !piece.is_empty()), "an empty piece ends a write");
                }
            }
        }
    }
}
