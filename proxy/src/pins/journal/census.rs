//! Who is in a journal: read without being opened for writing, and without a trace in it.

use super::super::value::Stored;
use super::super::{OpenFault, Pin};
use super::file::{Failed, KEY, KEY_PRINT, NAME, damaged, fact, guarded, pins};
use crate::pins::table::wall;
use redb::{Builder, Database, ReadableDatabase};
use riparian_filters::identify::{Keys, Tenant};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The living pins of a journal.
#[derive(Debug)]
pub(crate) struct Census {
    /// The key that it was written with.
    pub(crate) keys: Keys,
    /// Whose, and where.
    pub(crate) pins: Vec<(Tenant, Pin)>,
}

/// Reads the living pins of the journal in this directory. `keys` is what the configuration says; without it the journal's own.
///
/// # Errors
/// When there is none, a running proxy holds it, it is damaged, or it was written under another key.
pub(crate) fn census(directory: &Path, keys: Option<&Keys>) -> Result<Census, OpenFault> {
    let path = directory.join(NAME);
    let fault = |failed: Failed| match failed {
        Failed::Taken => OpenFault::Directory(
            path.clone(),
            "a running proxy holds it; name a copy of the directory, or end the proxy first".to_owned(),
        ),
        Failed::Io(what) => OpenFault::Directory(path.clone(), what),
        Failed::Damaged(what) => OpenFault::Damaged(path.clone(), what),
    };
    let read = guarded(|| match Builder::new().open_read_only(&path) {
        Ok(database) => living(&database, keys),
        // It was not closed: a kill, or a copy of what is in use. What is wrong is put right in a copy of our own.
        Err(redb::DatabaseError::RepairAborted) => {
            let copy = Copy::of(&path)?;
            living(&Database::open(copy.file()).map_err(Failed::from)?, keys)
        }
        Err(error) => Err(error.into()),
    });
    read.map_err(fault)?.ok_or_else(|| OpenFault::OtherKey(path.clone()))
}

/// `None` when it was written under another key.
fn living(database: &impl ReadableDatabase, keys: Option<&Keys>) -> Result<Option<Census>, Failed> {
    let keys = match (keys, fact(database, KEY)?) {
        (Some(keys), _) => keys.clone(),
        (None, Some(own)) => {
            Keys::new(<[u8; 32]>::try_from(own).map_err(|_| damaged("its key has not 32 bytes"))?)
        }
        (None, None) => return Ok(None),
    };
    if fact(database, KEY_PRINT)?.is_some_and(|print| print != keys.fingerprint()) {
        return Ok(None);
    }
    let now = wall();
    let living = pins(database, &keys)?.into_iter().filter(|(_, stored)| stored.times.ends > now);
    let pins = living.map(|(_, Stored { tenant, pin, .. })| (tenant, pin)).collect();
    Ok(Some(Census { keys, pins }))
}

/// A copy that nobody else can read, gone when it is dropped.
struct Copy(PathBuf);

impl Copy {
    fn of(path: &Path) -> Result<Self, Failed> {
        let io = |error: std::io::Error| Failed::Io(error.to_string());
        let directory = std::env::temp_dir().join(format!("riparian-diff-{:032x}", rand::random::<u128>()));
        std::fs::DirBuilder::new().mode(0o700).create(&directory).map_err(io)?;
        let copy = Self(directory);
        std::fs::copy(path, copy.file()).map_err(io)?;
        Ok(copy)
    }

    fn file(&self) -> PathBuf {
        self.0.join(NAME)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // What cannot be removed is in a directory for what may be lost.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
