//! The tail: entries in a file to which is only ever appended, until they are in tiles that are safely on the disk.
//!
//! A record is the entry's length and a checksum over its index and its bytes, four bytes each, then the entry. A kill in the middle
//! of a write leaves a torn record at the end; it is cut off when the file is read back.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const HEAD: usize = 8;

/// A segment of the tail.
#[derive(Debug)]
pub(super) struct Segment {
    /// The index of its first entry.
    pub(super) first: u64,
    pub(super) path: PathBuf,
    file: File,
    /// How far it is on the disk.
    kept: u64,
    /// How far it is written.
    written: u64,
    /// Whether there may be something behind that.
    dirty: bool,
}

/// What was found in a segment.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) entries: Vec<Vec<u8>>,
    /// Bytes behind the last whole record.
    pub(super) torn: u64,
    whole: u64,
}

impl Segment {
    /// A new segment that begins with these entries, on the disk when this returns.
    pub(super) fn create(folder: &Path, first: u64, entries: &[Vec<u8>]) -> io::Result<Self> {
        let path = folder.join(format!("{first:020}"));
        let unborn = folder.join("new");
        let mut file =
            OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&unborn)?;
        let bytes = records(first, entries.iter());
        file.write_all(&bytes)?;
        file.sync_all()?;
        std::fs::rename(&unborn, &path)?;
        File::open(folder)?.sync_all()?;
        let length = bytes.len() as u64;
        Ok(Self { first, path, file, kept: length, written: length, dirty: false })
    }

    /// Reads a segment as far as it is whole.
    pub(super) fn read(path: &Path, first: u64) -> io::Result<Found> {
        let bytes = std::fs::read(path)?;
        let mut found = Found { entries: Vec::new(), torn: 0, whole: 0 };
        let mut rest = &bytes[..];
        while let Some((entry, after)) = record(first + found.entries.len() as u64, rest) {
            found.entries.push(entry.to_vec());
            rest = after;
        }
        found.torn = rest.len() as u64;
        found.whole = bytes.len() as u64 - found.torn;
        Ok(found)
    }

    /// Opens a segment that was read, to go on behind its last whole record.
    pub(super) fn resume(path: PathBuf, first: u64, found: &Found) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).open(&path)?;
        file.set_len(found.whole)?;
        // What was read may have been in the kernel's hands only.
        file.sync_all()?;
        Ok(Self { first, path, file, kept: found.whole, written: found.whole, dirty: false })
    }

    /// Writes entries, of which the first has this index.
    pub(super) fn append<'e>(
        &mut self,
        index: u64,
        entries: impl Iterator<Item = &'e Vec<u8>>,
    ) -> io::Result<()> {
        let bytes = records(index, entries);
        if self.dirty {
            self.file.set_len(self.kept)?;
            self.dirty = false;
        }
        self.file.write_all_at(&bytes, self.written)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Waits until all that was written is on the disk.
    pub(super) fn keep(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        self.kept = self.written;
        Ok(())
    }

    /// Takes back what was written since it was last kept: after a failed sync nobody knows what of it there is. A disk that does not
    /// do this either is asked again before anything else is written.
    pub(super) fn take_back(&mut self) {
        self.written = self.kept;
        self.dirty = self.file.set_len(self.kept).is_err();
    }
}

fn records<'e>(first: u64, entries: impl Iterator<Item = &'e Vec<u8>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (index, entry) in (first..).zip(entries) {
        let length = u32::try_from(entry.len()).expect("entries are kept short where they are made");
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&checksum(index, entry).to_le_bytes());
        bytes.extend_from_slice(entry);
    }
    bytes
}

fn record(index: u64, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (head, rest) = bytes.split_at_checked(HEAD)?;
    let word = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().expect("four bytes"));
    let (entry, after) = rest.split_at_checked(usize::try_from(word(0)).ok()?)?;
    (checksum(index, entry) == word(4)).then_some((entry, after))
}

fn checksum(index: u64, entry: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&index.to_le_bytes());
    hasher.update(entry);
    hasher.finalize()
}

/// The segments of a folder, oldest first.
pub(super) fn segments(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut segments = Vec::new();
    for file in std::fs::read_dir(folder)? {
        let file = file?;
        if let Some(first) = file.file_name().to_str().and_then(|name| name.parse().ok()) {
            segments.push((first, file.path()));
        }
    }
    segments.sort_unstable();
    Ok(segments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_tail_is_cut_after_the_last_whole_record_wherever_it_was_torn() {
        let folder = tempfile::tempdir().unwrap();
        let entries: Vec<Vec<u8>> = vec![b"one".to_vec(), b"".to_vec(), b"three".to_vec()];
        let segment = Segment::create(folder.path(), 7, &entries).unwrap();
        let whole = std::fs::read(&segment.path).unwrap();
        let ends = [0, HEAD + 3, 2 * HEAD + 3, 3 * HEAD + 8];
        for cut in 0..=whole.len() {
            std::fs::write(&segment.path, &whole[..cut]).unwrap();
            let found = Segment::read(&segment.path, 7).unwrap();
            let records = ends.iter().rposition(|end| *end <= cut).unwrap();
            assert_eq!(found.entries, entries[..records], "cut at {cut}");
            assert_eq!(found.torn, (cut - ends[records]) as u64);
            let mut resumed = Segment::resume(segment.path.clone(), 7, &found).unwrap();
            resumed.append(7 + records as u64, [b"next".to_vec()].iter()).unwrap();
            let again = Segment::read(&segment.path, 7).unwrap();
            assert_eq!((again.entries.len(), again.torn), (records + 1, 0));
        }
        assert_eq!(segments(folder.path()).unwrap(), [(7, segment.path)]);
    }

    #[test]
    fn what_is_taken_back_is_gone_and_its_place_is_used_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut segment = Segment::create(folder.path(), 0, &[]).unwrap();
        segment.append(0, [b"kept".to_vec()].iter()).unwrap();
        segment.keep().unwrap();
        segment.append(1, [b"a long one that is taken back".to_vec()].iter()).unwrap();
        segment.take_back();
        segment.append(1, [b"next".to_vec()].iter()).unwrap();
        let found = Segment::read(&segment.path, 0).unwrap();
        assert_eq!((found.entries, found.torn), (vec![b"kept".to_vec(), b"next".to_vec()], 0));
    }
}
