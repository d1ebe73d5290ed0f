//! A ledger's folder: the tail, the tree, and what is published of them.
//!
//! ```text
//! lock  key  tail/<index>  new  public/{checkpoint, verifier-key, tile/...}
//! ```
//!
//! Entries go to the tail, and from there, once they are on the disk, into the tree. Publishing writes the tiles that the tree has
//! grown by, and then its checkpoint. Tiles need not be on the disk for that: until they are, their entries stay in the tail, and
//! opening writes tiles anew from it. What was signed is never signed again with another root: a checkpoint is made of entries
//! only that are on the disk, and a folder that has fewer entries than its checkpoint says, or others, is not opened.

use super::layout::{self, CHECKPOINT, Of, PUBLIC, VERIFIER_KEY};
use super::note::{self, Key, Signed};
use super::tail::{self, Segment};
use super::tree::{Tree, WIDTH};
use std::collections::{BTreeSet, VecDeque};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use tlog_tiles::record_hash;

/// Entries after which a new segment of the tail begins: some 16 MB, read back in a fraction of a second.
const SEGMENT: u64 = 16_384;

/// Why a ledger cannot be opened.
#[derive(Debug)]
pub enum OpenFault {
    /// Its folder cannot be read or written.
    Io(PathBuf, io::Error),
    /// Another process has it.
    Locked(PathBuf),
    /// It is not what it was when its checkpoint was signed; writing on would be another history.
    Damaged(String),
}

impl std::fmt::Display for OpenFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(path, error) => write!(f, "the ledger {}: {error}", path.display()),
            Self::Locked(path) => write!(f, "the ledger {}: another process writes it", path.display()),
            Self::Damaged(what) => write!(
                f,
                "the ledger is damaged, and is not written to: {what}; `riparian ledger verify` says more; with an empty folder a new ledger begins"
            ),
        }
    }
}

impl std::error::Error for OpenFault {}

/// A ledger that is written.
#[derive(Debug)]
pub(super) struct Store {
    folder: PathBuf,
    key: Key,
    tree: Tree,
    /// Written to the tail, but perhaps not on the disk.
    unkept: Vec<Vec<u8>>,
    /// The entries of the bundle that is not full.
    bundle: Vec<Vec<u8>>,
    tail: Segment,
    /// Full tiles that are not written yet.
    unwritten: VecDeque<(String, Vec<u8>)>,
    /// Full tiles that may not be on the disk.
    unsynced: Vec<PathBuf>,
    /// Segments whose entries may not be in tiles on the disk.
    older: Vec<PathBuf>,
    cleaning: Option<JoinHandle<()>>,
    published: Option<u64>,
    _lock: File,
}

/// What was found when a ledger was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// Entries.
    pub size: u64,
    /// Bytes of a torn record that were cut off.
    pub torn: u64,
}

impl Store {
    /// Opens a ledger's folder, or begins one, and publishes what it has.
    pub(super) fn open(folder: &Path, key: Key) -> Result<(Self, Recovered), OpenFault> {
        let io = |error| OpenFault::Io(folder.to_owned(), error);
        let tails = folder.join("tail");
        std::fs::create_dir_all(folder.join(PUBLIC)).map_err(io)?;
        std::fs::create_dir_all(&tails).map_err(io)?;
        let lock = lock(folder)?;
        let signed = checkpoint(folder, &key)?;
        if tail::segments(&tails).map_err(io)?.is_empty() {
            let (first, entries) = published(folder, signed)?;
            Segment::create(&tails, first, &entries).map_err(io)?;
        }
        let mut found = Vec::new();
        for (first, path) in tail::segments(&tails).map_err(io)? {
            found.push((first, Segment::read(&path, first).map_err(io)?, path));
        }
        let (last, newest, path) = found.last().expect("one was made if there was none");
        let torn = newest.torn;
        let tail = Segment::resume(path.clone(), *last, newest).map_err(io)?;
        let older = found.iter().rev().skip(1).map(|(.., path)| path.clone()).collect();
        let mut store = Self {
            folder: folder.to_owned(),
            key,
            tree: restore(folder, found[0].0)?,
            unkept: Vec::new(),
            bundle: Vec::new(),
            tail,
            unwritten: VecDeque::new(),
            unsynced: Vec::new(),
            older,
            cleaning: None,
            published: None,
            _lock: lock,
        };
        store.replay(found, signed)?;
        store.publish().map_err(io)?;
        let recovered = Recovered { size: store.size(), torn };
        Ok((store, recovered))
    }

    /// Entries that are on the disk.
    pub(super) fn size(&self) -> u64 {
        self.tree.size()
    }

    /// Whether there is something that no checkpoint covers yet.
    pub(super) fn is_ahead(&self) -> bool {
        self.published != Some(self.size())
    }

    /// Entries that no checkpoint covers yet.
    pub(super) fn ahead(&self) -> u64 {
        self.size() - self.published.unwrap_or(0)
    }

    /// Writes entries to the tail. Whatever comes of it, they are the store's until they are taken back.
    pub(super) fn append(&mut self, entries: Vec<Vec<u8>>) -> io::Result<()> {
        let index = self.size() + self.unkept.len() as u64;
        let begin = self.unkept.len();
        self.unkept.extend(entries);
        self.tail.append(index, self.unkept[begin..].iter())
    }

    /// Waits until all that was appended is on the disk; then it is part of the tree.
    pub(super) fn keep(&mut self) -> io::Result<()> {
        if self.unkept.is_empty() {
            return Ok(());
        }
        self.tail.keep()?;
        for entry in std::mem::take(&mut self.unkept) {
            self.grow(entry);
        }
        Ok(())
    }

    /// Takes back what was appended and is not surely on the disk, to be appended anew.
    pub(super) fn take_back(&mut self) -> Vec<Vec<u8>> {
        self.tail.take_back();
        std::mem::take(&mut self.unkept)
    }

    /// Publishes what the tree has grown by.
    pub(super) fn publish(&mut self) -> io::Result<()> {
        if !self.is_ahead() {
            return Ok(());
        }
        let mut filled = Vec::new();
        while let Some((name, bytes)) = self.unwritten.front() {
            let path = self.write(name, bytes, false)?;
            filled.push(path.with_extension("p"));
            self.unsynced.push(path);
            self.unwritten.pop_front();
        }
        for (level, number, hashes) in self.tree.edge() {
            let name = layout::tile(Of::Level(level), number, hashes.len());
            self.write(&name, &layout::hashes(hashes), false)?;
        }
        if !self.bundle.is_empty() {
            let name = layout::tile(Of::Entries, self.size() / WIDTH as u64, self.bundle.len());
            self.write(&name, &bundled(&self.bundle), false)?;
        }
        let verifier = format!("{}\n", self.key.verifier());
        if self.published.is_none() {
            self.write(VERIFIER_KEY, verifier.as_bytes(), true)?;
        }
        let checkpoint = self.key.sign(self.size(), self.tree.root());
        self.write(CHECKPOINT, &checkpoint, true)?;
        self.published = Some(self.size());
        for partial in filled {
            // Whoever reads by an older checkpoint takes the full tile instead. What cannot be removed only takes room.
            let _ = std::fs::remove_dir_all(partial);
        }
        if self.size() >= self.tail.first + SEGMENT && self.unkept.is_empty() {
            self.turn()?;
        }
        Ok(())
    }

    /// Goes through what the tail has, as it was when it was written.
    fn replay(
        &mut self,
        found: Vec<(u64, tail::Found, PathBuf)>,
        signed: Option<Signed>,
    ) -> Result<(), OpenFault> {
        let damaged = |what: String| Err(OpenFault::Damaged(what));
        let last = found.len() - 1;
        let mut checked = signed.is_none_or(|signed| signed.size == 0);
        for (number, (first, found, path)) in found.into_iter().enumerate() {
            if number < last && found.torn > 0 || first > self.size() {
                return damaged(format!("{} or what stood before it is torn", path.display()));
            }
            for (index, entry) in (first..).zip(found.entries) {
                // A segment begins with a copy of what the one before it had of an unfinished bundle.
                if index == self.size() {
                    self.grow(entry);
                }
                if let Some(signed) = signed
                    && signed.size == self.size()
                {
                    checked = true;
                    if signed.root != self.tree.root() {
                        return damaged(format!(
                            "its first {} entries are not those of its checkpoint",
                            signed.size
                        ));
                    }
                }
            }
        }
        match signed {
            Some(signed) if self.size() < signed.size => {
                damaged(format!("it has {} entries, and its checkpoint says {}", self.size(), signed.size))
            }
            _ if !checked => damaged("its checkpoint is older than what it has".to_owned()),
            _ => Ok(()),
        }
    }

    fn grow(&mut self, entry: Vec<u8>) {
        let unwritten = &mut self.unwritten;
        self.tree.push(record_hash(&entry), |(level, number, hashes)| {
            let name = layout::tile(Of::Level(level), number, WIDTH);
            unwritten.push_back((name, layout::hashes(hashes)));
        });
        self.bundle.push(entry);
        if self.bundle.len() == WIDTH {
            let name = layout::tile(Of::Entries, self.size() / WIDTH as u64 - 1, WIDTH);
            self.unwritten.push_back((name, bundled(&self.bundle)));
            self.bundle.clear();
        }
    }

    /// Begins a new segment of the tail. Older ones go as soon as the tiles with their entries are on the disk, which a thread of
    /// its own sees to: a hundred syncs would hold the writer up.
    fn turn(&mut self) -> io::Result<()> {
        let first = self.size() - self.bundle.len() as u64;
        let next = Segment::create(&self.folder.join("tail"), first, &self.bundle)?;
        self.older.push(std::mem::replace(&mut self.tail, next).path);
        if self.cleaning.as_ref().is_some_and(|cleaning| !cleaning.is_finished()) {
            return Ok(());
        }
        let (tiles, older) = (std::mem::take(&mut self.unsynced), std::mem::take(&mut self.older));
        let clean = std::thread::Builder::new().name("ledger-tiles".to_owned()).spawn(move || {
            if let Err(error) = clean(&tiles, &older) {
                // They are read back, and cleaned away, when the ledger is opened again.
                tracing::warn!(%error, "old segments of the ledger's tail stay: its tiles are not surely on the disk");
            }
        });
        self.cleaning = Some(clean?);
        Ok(())
    }

    /// Writes a file of the public part in one step: there is the old one, or the new one, and nothing in between.
    fn write(&self, name: &str, bytes: &[u8], sync: bool) -> io::Result<PathBuf> {
        let unborn = self.folder.join("new");
        let path = self.folder.join(PUBLIC).join(name);
        let mut file = File::create(&unborn)?;
        file.write_all(bytes)?;
        if sync {
            file.sync_all()?;
        }
        let parent = path.parent().expect("a file in a folder");
        if std::fs::rename(&unborn, &path).is_err() {
            std::fs::create_dir_all(parent)?;
            std::fs::rename(&unborn, &path)?;
        }
        if sync {
            File::open(parent)?.sync_all()?;
        }
        Ok(path)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Some(cleaning) = self.cleaning.take() {
            // It has said itself what went wrong.
            let _ = cleaning.join();
        }
    }
}

fn bundled(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bundle = Vec::new();
    entries.iter().for_each(|entry| layout::push(&mut bundle, entry));
    bundle
}

fn clean(tiles: &[PathBuf], older: &[PathBuf]) -> io::Result<()> {
    let mut folders = BTreeSet::new();
    for tile in tiles {
        File::open(tile)?.sync_all()?;
        // Up to the folder that is published; those above were there before.
        let above = tile.ancestors().skip(1).take_while(|folder| !folder.ends_with(PUBLIC));
        folders.extend(above.map(Path::to_owned));
    }
    folders.iter().try_for_each(|folder| File::open(folder)?.sync_all())?;
    older.iter().try_for_each(std::fs::remove_file)
}

fn lock(folder: &Path) -> Result<File, OpenFault> {
    let path = folder.join("lock");
    let io = |error| OpenFault::Io(path.clone(), error);
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenFault::Locked(folder.to_owned())),
        Err(TryLockError::Error(error)) => Err(io(error)),
    }
}

/// The checkpoint that a folder has.
fn checkpoint(folder: &Path, key: &Key) -> Result<Option<Signed>, OpenFault> {
    let path = folder.join(PUBLIC).join(CHECKPOINT);
    match std::fs::read(&path) {
        Ok(bytes) => note::open(&bytes, key.verifier()).map(Some).map_err(|what| {
            OpenFault::Damaged(format!("{} under the key {}: {what}", path.display(), key.verifier()))
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if folder.join(PUBLIC).join(VERIFIER_KEY).exists() {
                return Err(OpenFault::Damaged(format!("{} is gone", path.display())));
            }
            Ok(None)
        }
        Err(error) => Err(OpenFault::Io(path, error)),
    }
}

/// Where a tail begins that has to be made: behind what is in full bundles, with the entries of the one that is not full.
fn published(folder: &Path, signed: Option<Signed>) -> Result<(u64, Vec<Vec<u8>>), OpenFault> {
    let Some(signed) = signed else { return Ok((0, Vec::new())) };
    let width = usize::try_from(signed.size % WIDTH as u64).expect("less than 256");
    let first = signed.size - width as u64;
    if width == 0 {
        return Ok((first, Vec::new()));
    }
    let name = layout::tile(Of::Entries, first / WIDTH as u64, width);
    let bytes = std::fs::read(folder.join(PUBLIC).join(&name));
    let entries = bytes
        .ok()
        .and_then(|bytes| Some(layout::entries(&bytes)?.into_iter().map(<[u8]>::to_vec).collect::<Vec<_>>()));
    match entries {
        Some(entries) => Ok((first, entries)),
        None => Err(OpenFault::Damaged(format!("its tail is gone, and so is {name}"))),
    }
}

/// The tree as it was before the first entry of the tail.
fn restore(folder: &Path, first: u64) -> Result<Tree, OpenFault> {
    if !first.is_multiple_of(WIDTH as u64) {
        return Err(OpenFault::Damaged(format!("a segment of its tail begins at {first}")));
    }
    let tree = Tree::restore(first, |level, number| {
        let path = folder.join(PUBLIC).join(layout::tile(Of::Level(level), number, WIDTH));
        let hashes = layout::read_hashes(&std::fs::read(&path)?).filter(|hashes| hashes.len() == WIDTH);
        hashes.ok_or_else(|| io::Error::other(format!("{} is not a whole tile", path.display())))
    });
    tree.map_err(|error| OpenFault::Damaged(format!("its tiles cannot be read: {error}")))
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
