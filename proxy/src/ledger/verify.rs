//! Is the record whole: nothing altered, removed, reordered or cut off?
//!
//! Every entry is read and hashed, and the tree built anew: its root must be the signed one, and its tiles those of the folder, byte
//! for byte. A checkpoint that the auditor holds must be of the same tree when that was smaller.

use super::layout::{self, CHECKPOINT, Of};
use super::note::{self, Signed, VerifierKey};
use super::tree::{Tree, WIDTH};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use tlog_tiles::{Hash, record_hash};

/// Where a published ledger is read from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A folder.
    Folder(PathBuf),
    /// A copy in memory: what an auditor has fetched, by its names.
    Copy(BTreeMap<String, Vec<u8>>),
}

/// The most faults that are told one by one.
const FAULTS_MAX: usize = 100;

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Verified {
    /// Entries that the checkpoint covers.
    pub size: u64,
    /// The root that it signs.
    pub root: Option<Hash>,
    /// What is wrong, at most a hundred things. Nothing: the record is whole.
    pub faults: Vec<String>,
}

impl Source {
    /// The public part of the ledger at `path`, which is given by its folder or directly.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        let public = path.join(layout::PUBLIC);
        Self::Folder(if public.is_dir() { public } else { path.to_owned() })
    }

    /// A file's bytes; `None` when there is no such file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match self {
            Self::Copy(files) => Ok(files.get(name).cloned()),
            Self::Folder(folder) => match std::fs::read(folder.join(name)) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            },
        }
    }

    /// The tile with `width` members, cut from a fuller one where the ledger has grown.
    fn tile(&self, of: Of, number: u64, width: usize) -> io::Result<Option<Vec<u8>>> {
        if let Some(bytes) = self.read(&layout::tile(of, number, width))? {
            return Ok(Some(bytes));
        }
        if width == WIDTH {
            return Ok(None);
        }
        let full = self.read(&layout::tile(of, number, WIDTH))?;
        Ok(full.and_then(|full| prefix(of, &full, width).map(<[u8]>::to_vec)))
    }

    /// The entries of a bundle.
    ///
    /// # Errors
    /// When it is not there, or not whole.
    pub fn entries(&self, number: u64, width: usize) -> Result<Vec<Vec<u8>>, String> {
        let name = layout::tile(Of::Entries, number, width);
        let bytes = self.tile(Of::Entries, number, width).map_err(|error| format!("{name}: {error}"))?;
        let bytes = bytes.ok_or_else(|| format!("{name} is missing"))?;
        let entries = layout::entries(&bytes).ok_or_else(|| format!("{name} is not a whole bundle"))?;
        if entries.len() != width {
            return Err(format!("{name} has {} entries instead of {width}", entries.len()));
        }
        Ok(entries.into_iter().map(<[u8]>::to_vec).collect())
    }

    /// The hashes of a tile.
    ///
    /// # Errors
    /// The same.
    pub fn hashes(&self, level: u8, number: u64, width: usize) -> Result<Vec<Hash>, String> {
        let name = layout::tile(Of::Level(level), number, width);
        let bytes = self.tile(Of::Level(level), number, width).map_err(|error| format!("{name}: {error}"))?;
        let bytes = bytes.ok_or_else(|| format!("{name} is missing"))?;
        let hashes = layout::read_hashes(&bytes).filter(|hashes| hashes.len() == width);
        hashes.ok_or_else(|| format!("{name} is not a whole tile"))
    }

    /// The newest checkpoint, its signature checked.
    ///
    /// # Errors
    /// When it is missing or not right.
    pub fn checkpoint(&self, key: &VerifierKey) -> Result<Signed, String> {
        let bytes = self.read(CHECKPOINT).map_err(|error| format!("{CHECKPOINT}: {error}"))?;
        let bytes = bytes.ok_or_else(|| format!("{CHECKPOINT} is missing"))?;
        note::open(&bytes, key).map_err(|what| format!("{CHECKPOINT}: {what}"))
    }

    /// The names of all files below `tile/`.
    fn tiles(&self) -> io::Result<BTreeSet<String>> {
        match self {
            Self::Copy(files) => Ok(files.keys().filter(|name| name.starts_with("tile/")).cloned().collect()),
            Self::Folder(folder) => {
                let mut names = BTreeSet::new();
                if folder.join("tile").exists() {
                    list(folder, "tile", &mut names)?;
                }
                Ok(names)
            }
        }
    }
}

fn list(folder: &Path, below: &str, names: &mut BTreeSet<String>) -> io::Result<()> {
    for file in std::fs::read_dir(folder.join(below))? {
        let file = file?;
        let name = format!("{below}/{}", file.file_name().to_string_lossy());
        if file.file_type()?.is_dir() {
            match list(folder, &name, names) {
                // Partial tiles go when they are full.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                listed => listed?,
            }
        } else {
            names.insert(name);
        }
    }
    Ok(())
}

/// The first `width` members of a tile.
fn prefix(of: Of, bytes: &[u8], width: usize) -> Option<&[u8]> {
    match of {
        Of::Level(_) => bytes.get(..width * tlog_tiles::HASH_SIZE),
        Of::Entries => {
            let lengths = layout::entries(bytes)?;
            let end: usize = lengths.get(..width)?.iter().map(|entry| entry.len() + 2).sum();
            bytes.get(..end)
        }
    }
}

struct Verifier<'s> {
    source: &'s Source,
    faults: Vec<String>,
    /// Names that nothing was compared with yet, by what they are of and their number.
    names: BTreeMap<(Of, u64), Vec<(usize, String)>>,
}

/// Verifies a ledger under `key`, and against the checkpoint that the auditor `holds`.
#[must_use]
pub fn verify(source: &Source, key: &VerifierKey, holds: Option<Signed>) -> Verified {
    let signed = match source.checkpoint(key) {
        Ok(signed) => signed,
        Err(what) => return Verified { faults: vec![what], ..Verified::default() },
    };
    let mut verifier = Verifier { source, faults: Vec::new(), names: BTreeMap::new() };
    if let Some(held) = holds
        && held.size > signed.size
    {
        let (held, has) = (held.size, signed.size);
        verifier.fault(format!("cut off: the checkpoint held is over {held} entries, this one over {has}"));
    }
    verifier.take_names();
    verifier.walk(signed, holds);
    verifier.compare_the_rest(signed.size);
    Verified { size: signed.size, root: Some(signed.root), faults: verifier.faults }
}

impl Verifier<'_> {
    fn fault(&mut self, what: String) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(what);
        }
    }

    fn take_names(&mut self) {
        match self.source.tiles() {
            Err(error) => self.fault(format!("tile: {error}")),
            Ok(names) => {
                for name in names {
                    match layout::parse(&name) {
                        Some((of, number, width)) => {
                            self.names.entry((of, number)).or_default().push((width, name));
                        }
                        None => self.fault(format!("{name} is no part of a ledger")),
                    }
                }
            }
        }
    }

    /// Builds the tree anew, and compares whatever it goes by.
    fn walk(&mut self, signed: Signed, holds: Option<Signed>) {
        let mut tree = Tree::default();
        let mut held_root = None;
        let mut lost = false;
        while tree.size() < signed.size && !lost {
            let number = tree.size() / WIDTH as u64;
            let width = usize::try_from((signed.size - tree.size()).min(WIDTH as u64)).expect("at most 256");
            let entries = match self.source.entries(number, width) {
                Ok(entries) => entries,
                Err(what) => {
                    self.fault(what);
                    // Only hashes can tell now where the others stand.
                    lost = true;
                    break;
                }
            };
            let mut bundle = Vec::new();
            let mut full = Vec::new();
            for entry in &entries {
                layout::push(&mut bundle, entry);
                tree.push(record_hash(entry), |(level, number, hashes)| {
                    full.push((Of::Level(level), number, layout::hashes(hashes)));
                });
                if holds.is_some_and(|held| held.size == tree.size()) {
                    held_root = Some(tree.root());
                }
            }
            self.compare(Of::Entries, number, width, &bundle);
            for (of, number, bytes) in full {
                self.compare(of, number, WIDTH, &bytes);
            }
        }
        if lost {
            return;
        }
        let edge: Vec<_> = tree.edge().map(|(level, n, hashes)| (level, n, hashes.to_vec())).collect();
        for (level, number, hashes) in edge {
            self.compare(Of::Level(level), number, hashes.len(), &layout::hashes(&hashes));
        }
        if tree.root() != signed.root {
            self.fault(format!("the {} entries are not those that the checkpoint signs", signed.size));
        }
        if let Some(held) = holds
            && held.size <= signed.size
            && held_root.unwrap_or(tlog_tiles::EMPTY_HASH) != held.root
        {
            let size = held.size;
            self.fault(format!(
                "another history: the first {size} entries are not those of the checkpoint held"
            ));
        }
    }

    /// Compares every file that there is of a tile with what it must be.
    fn compare(&mut self, of: Of, number: u64, width: usize, expected: &[u8]) {
        let files = self.names.remove(&(of, number)).unwrap_or_default();
        // The checkpoint's own tile, or, where the ledger has grown meanwhile, a fuller one.
        if !files.iter().any(|(found, _)| *found >= width) {
            self.fault(format!("{} is missing", layout::tile(of, number, width)));
        }
        for (found, name) in files {
            let bytes = match self.source.read(&name) {
                Ok(Some(bytes)) => bytes,
                // A partial tile that went because it is full now.
                Ok(None) => continue,
                Err(error) => {
                    self.fault(format!("{name}: {error}"));
                    continue;
                }
            };
            let right = if found <= width {
                prefix(of, expected, found) == Some(&bytes[..])
            } else {
                prefix(of, &bytes, width) == Some(expected)
            };
            if !right {
                let first = first_difference(of, number, &bytes, expected);
                self.fault(format!("{name} was altered{first}"));
            }
        }
    }

    /// What was not compared is beyond the checkpoint, or should not be there.
    fn compare_the_rest(&mut self, size: u64) {
        if !self.faults.is_empty() {
            return;
        }
        for ((of, number), files) in std::mem::take(&mut self.names) {
            let below = match of {
                Of::Entries => size,
                Of::Level(level) => size.checked_shr(u32::from(level) * 8).unwrap_or(0),
            };
            // A ledger that is being written has tiles before it has their checkpoint.
            if number * (WIDTH as u64) < below {
                files.into_iter().for_each(|(_, name)| self.fault(format!("{name} should not be there")));
            }
        }
    }
}

/// Which entry or hash is the first that differs, in words.
fn first_difference(of: Of, number: u64, found: &[u8], expected: &[u8]) -> String {
    let members = |bytes: &[u8]| -> Option<Vec<Vec<u8>>> {
        match of {
            Of::Entries => Some(layout::entries(bytes)?.into_iter().map(<[u8]>::to_vec).collect()),
            Of::Level(_) => Some(bytes.chunks(tlog_tiles::HASH_SIZE).map(<[u8]>::to_vec).collect()),
        }
    };
    let (Some(found), Some(expected)) = (members(found), members(expected)) else { return String::new() };
    let first = found.iter().zip(&expected).position(|(found, expected)| found != expected);
    let what = match of {
        Of::Entries | Of::Level(0) => "entry",
        Of::Level(_) => "subtree",
    };
    first.map_or_else(String::new, |at| format!(", from {what} {} on", number * WIDTH as u64 + at as u64))
}
