//! The file in which totals outlive a restart: small, whole, and replaced in one step.
//!
//! It is JSON that people can read. A new one is written beside it, brought to the disk, and takes its place; so there is always a whole
//! one, whenever the power goes. One process at a time has it: a lock beside it says so.

use riparian_config::Timestamp;
use serde_json::{Value, json};
use std::fmt;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// A file that is larger is not one of ours: an account takes some 150 bytes.
const FILE_MAX: u64 = 64 * 1024 * 1024;

/// What is kept of one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) millionths: u64,
    pub(super) picos: u64,
    pub(super) since: Timestamp,
}

/// Why the totals of an earlier run cannot be had.
#[derive(Debug)]
pub enum BookFault {
    /// The file, or the lock beside it.
    File(PathBuf, io::Error),
    /// Another process has it.
    Held(PathBuf),
    /// It is no file of totals.
    Unreadable(PathBuf, String),
}

impl fmt::Display for BookFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, error) => write!(f, "meter.path: {}: {error}", path.display()),
            Self::Held(path) => write!(f, "meter.path: {}: another process has it", path.display()),
            Self::Unreadable(path, what) => write!(
                f,
                "meter.path: {}: {what}; put it aside to begin anew, or restore it from a copy",
                path.display()
            ),
        }
    }
}

impl std::error::Error for BookFault {}

/// The open file.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    /// What stands in it.
    written: Vec<u8>,
    /// Held as long as this lives.
    _lock: std::fs::File,
}

impl File {
    pub(super) fn open(path: &Path) -> Result<(Self, Vec<(String, Kept)>), BookFault> {
        let fault = |error| BookFault::File(path.to_owned(), error);
        let beside = beside(path, "lock");
        let lock = std::fs::File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&beside)
            .map_err(|error| BookFault::File(beside.clone(), error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(BookFault::Held(path.to_owned())),
            Err(std::fs::TryLockError::Error(error)) => return Err(BookFault::File(beside, error)),
        }
        let mut written = Vec::new();
        match std::fs::File::open(path) {
            Ok(file) => {
                file.take(FILE_MAX + 1).read_to_end(&mut written).map_err(fault)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(fault(error)),
        }
        let kept = if written.is_empty() { Ok(Vec::new()) } else { parse(&written) };
        let kept = kept.map_err(|what| BookFault::Unreadable(path.to_owned(), what))?;
        let mut file = Self { path: path.to_owned(), written, _lock: lock };
        if file.written.is_empty() {
            // Now, and not a second later, is the time to find out that it cannot be written.
            file.write(std::iter::empty()).map_err(fault)?;
        }
        Ok((file, kept))
    }

    pub(super) fn write<'k>(&mut self, kept: impl Iterator<Item = (&'k str, Kept)>) -> io::Result<()> {
        let accounts: serde_json::Map<String, Value> = kept
            .map(|(name, kept)| {
                let Kept { millionths, picos, since } = kept;
                let since = since.to_string();
                (name.to_owned(), json!({ "millionths": millionths, "picos": picos, "since": since }))
            })
            .collect();
        let mut text = serde_json::to_vec_pretty(&json!({ "version": 1, "accounts": accounts }))?;
        text.push(b'\n');
        if text == self.written {
            return Ok(());
        }
        let new = beside(&self.path, "new");
        let mut file = std::fs::File::create(&new)?;
        file.write_all(&text)?;
        file.sync_all()?;
        std::fs::rename(&new, &self.path)?;
        if let Some(folder) = self.path.parent() {
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            std::fs::File::open(folder)?.sync_all()?;
        }
        self.written = text;
        Ok(())
    }
}

fn beside(path: &Path, what: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(what);
    PathBuf::from(name)
}

fn parse(text: &[u8]) -> Result<Vec<(String, Kept)>, String> {
    if text.len() as u64 > FILE_MAX {
        return Err(format!("it is over {FILE_MAX} bytes"));
    }
    let root: Value = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    if root["version"] != 1 {
        return Err("it is not of version 1".to_owned());
    }
    let accounts = root["accounts"].as_object().ok_or("it has no accounts")?;
    let read = |(name, value): (&String, &Value)| {
        let number = |key: &str| value[key].as_u64();
        let since = value["since"].as_str().and_then(|text| text.parse().ok());
        let kept = number("millionths").zip(number("picos")).zip(since);
        let ((millionths, picos), since) =
            kept.ok_or_else(|| format!("its account {name:?} is not whole"))?;
        Ok((name.clone(), Kept { millionths, picos, since }))
    };
    accounts.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("meter.json");
        let kept = Kept { millionths: u64::MAX, picos: 7, since: Timestamp::UNIX_EPOCH };
        let (mut file, before) = File::open(&path).expect("a new file");
        assert!(before.is_empty());
        assert!(matches!(File::open(&path), Err(BookFault::Held(_))), "one at a time");
        file.write([("a|b", kept)].into_iter()).expect("room");
        drop(file);
        let (file, after) = File::open(&path).expect("the same file");
        assert_eq!(after, [("a|b".to_owned(), kept)]);
        drop(file);
        for broken in [&b"{"[..], b"{}", b"{\"version\":1,\"accounts\":{\"a\":{\"millionths\":-1}}}"] {
            std::fs::write(&path, broken).expect("room");
            assert!(matches!(File::open(&path), Err(BookFault::Unreadable(..))), "{}", broken.escape_ascii());
        }
    }
}
