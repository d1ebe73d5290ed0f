//! The journal's file: a redb database with two tables, pins by key and a few facts about itself.

use super::super::OpenFault;
use super::super::value::Stored;
use redb::{Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition};
use riparian_filters::identify::{Keys, PinKey};
use std::collections::HashSet;
use std::fs::OpenOptions;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// The database's name in the journal's directory.
pub(super) const NAME: &str = "pins.redb";

/// Pins by key, as [`Stored`] encodes them.
const PINS: TableDefinition<'_, [u8; 16], &[u8]> = TableDefinition::new("pins");

/// Facts, by the names below.
const FACTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("facts");
/// The fingerprint of the key that the pins were written with.
pub(super) const KEY_PRINT: &str = "key_print";
/// The key itself, where the configuration has none.
pub(super) const KEY: &str = "key";
/// When the newest batch was written, Unix milliseconds: a clock that was set back is not believed.
const CLOCK: &str = "clock";

/// Memory for pages. The table itself is in memory already; this only spares a batch the pages that it changes.
const CACHE: usize = 16 << 20;

/// A database that is ours: no other process can open it.
#[derive(Debug)]
pub(super) struct File {
    database: Database,
    path: PathBuf,
}

/// A journal that is ours but has not been read yet.
#[derive(Debug)]
pub(in crate::pins) struct Opened(File);

/// What a journal kept.
pub(super) struct Kept {
    pub(super) pins: Vec<(PinKey, Stored)>,
    /// When it was written last, Unix milliseconds.
    pub(super) clock: u64,
}

impl Opened {
    /// Opens the journal in this directory, or begins one.
    pub(in crate::pins) fn begin(directory: &Path) -> Result<Self, OpenFault> {
        let place = |what: String| OpenFault::Directory(directory.to_owned(), what);
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|error| place(format!("it cannot be made: {error}")))?;
        let path = directory.join(NAME);
        let database = guarded(|| open(&path)).map_err(|error| match error {
            Failed::Taken => OpenFault::Taken(path.clone()),
            Failed::Io(error) => place(format!("{NAME} cannot be opened: {error}")),
            Failed::Damaged(what) => OpenFault::Damaged(path.clone(), what),
        })?;
        Ok(Self(File { database, path }))
    }

    /// The key that this journal was begun with, or one for a new journal.
    pub(in crate::pins) fn key(&self) -> Result<Keys, OpenFault> {
        let file = &self.0;
        let kept = guarded(|| file.fact(KEY).map_err(Failed::from)).map_err(|error| file.fault(error))?;
        if let Some(kept) = kept {
            let key =
                <[u8; 32]>::try_from(kept).map_err(|_| file.fault(damaged("its key has not 32 bytes")))?;
            return Ok(Keys::new(key));
        }
        // A journal that was begun under a key of the configuration's is not read with one of its own.
        let begun =
            guarded(|| file.fact(KEY_PRINT).map_err(Failed::from)).map_err(|error| file.fault(error))?;
        if begun.is_some() {
            return Err(OpenFault::OtherKey(file.path.clone()));
        }
        let key: [u8; 32] = rand::random();
        guarded(|| file.note(&[(KEY, &key)]).map_err(Failed::from)).map_err(|error| file.fault(error))?;
        Ok(Keys::new(key))
    }

    /// Reads everything, and checks it.
    pub(super) fn read(self, keys: &Keys) -> Result<(File, Kept), OpenFault> {
        let Self(mut file) = self;
        let path = file.path.clone();
        match guarded(|| file.read(keys)) {
            Ok(Some(kept)) => Ok((file, kept)),
            Ok(None) => Err(OpenFault::OtherKey(path)),
            Err(error) => Err(file.fault(error)),
        }
    }
}

impl File {
    /// Opens the same file again after a fault.
    pub(super) fn again(path: &Path) -> Result<Self, String> {
        let database = guarded(|| open(path)).map_err(|error| match error {
            Failed::Taken => "another process has it".to_owned(),
            Failed::Io(what) | Failed::Damaged(what) => what,
        })?;
        Ok(Self { database, path: path.to_owned() })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// `None` when it was written under another key.
    fn read(&mut self, keys: &Keys) -> Result<Option<Kept>, Failed> {
        match self.database.check_integrity() {
            Ok(_) => {}
            Err(error) => return Err(Failed::from(error)),
        }
        let print = keys.fingerprint();
        match self.fact(KEY_PRINT)? {
            None => {
                self.note(&[(KEY_PRINT, &print)])?;
                return Ok(Some(Kept { pins: Vec::new(), clock: 0 }));
            }
            Some(other) if other != print => return Ok(None),
            Some(_) => {}
        }
        let clock = self.fact(CLOCK)?.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes);
        let pins = pins(&self.database, keys)?;
        Ok(Some(Kept { pins, clock }))
    }

    fn fact(&self, name: &str) -> Result<Option<Vec<u8>>, redb::Error> {
        fact(&self.database, name)
    }

    fn note(&self, facts: &[(&str, &[u8])]) -> Result<(), redb::Error> {
        let writing = self.database.begin_write()?;
        {
            let mut table = writing.open_table(FACTS)?;
            for (name, value) in facts {
                table.insert(*name, *value)?;
            }
        }
        writing.commit()?;
        Ok(())
    }

    /// Writes a batch, or nothing of it: a pin for each key, or that there is none. `whole` begins with an empty table. When
    /// it returns, it is on the disk.
    pub(super) fn write(
        &mut self,
        pins: impl Iterator<Item = (PinKey, Option<Vec<u8>>)>,
        whole: bool,
        clock: u64,
    ) -> Result<(), String> {
        let batch = || -> Result<(), redb::Error> {
            let writing = self.database.begin_write()?;
            if whole {
                writing.delete_table(PINS)?;
            }
            {
                let mut table = writing.open_table(PINS)?;
                for (key, value) in pins {
                    match value {
                        Some(value) => table.insert(key.bytes(), value.as_slice())?,
                        None => table.remove(key.bytes())?,
                    };
                }
                writing.open_table(FACTS)?.insert(CLOCK, clock.to_be_bytes().as_slice())?;
            }
            writing.commit()?;
            Ok(())
        };
        guarded(|| batch().map_err(Failed::from)).map_err(|failed| match failed {
            Failed::Taken => "another process has it".to_owned(),
            Failed::Io(what) | Failed::Damaged(what) => what,
        })
    }

    fn fault(&self, failed: Failed) -> OpenFault {
        match failed {
            Failed::Taken => OpenFault::Taken(self.path.clone()),
            Failed::Io(what) => OpenFault::Directory(self.path.clone(), what),
            Failed::Damaged(what) => OpenFault::Damaged(self.path.clone(), what),
        }
    }
}

pub(super) fn fact(database: &impl ReadableDatabase, name: &str) -> Result<Option<Vec<u8>>, redb::Error> {
    let reading = database.begin_read()?;
    match reading.open_table(FACTS) {
        Ok(facts) => Ok(facts.get(name)?.map(|value| value.value().to_vec())),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Every pin, checked.
pub(super) fn pins(database: &impl ReadableDatabase, keys: &Keys) -> Result<Vec<(PinKey, Stored)>, Failed> {
    let mut pins = Vec::new();
    let mut names = Names::default();
    let reading = database.begin_read()?;
    match reading.open_table(PINS) {
        Ok(table) => {
            for row in table.iter()? {
                let (key, value) = row?;
                let key = PinKey::from_bytes(key.value());
                let mut stored = Stored::decode(keys, key, value.value())
                    .map_err(|_| damaged("a pin in it is not what was written"))?;
                names.share(&mut stored);
                pins.push((key, stored));
            }
        }
        Err(redb::TableError::TableDoesNotExist(_)) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(pins)
}

fn open(path: &Path) -> Result<Database, Failed> {
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
    let file = file.map_err(|error| Failed::Io(error.to_string()))?;
    Builder::new().set_cache_size(CACHE).create_file(file).map_err(Failed::from)
}

/// What can go wrong with a database.
#[derive(Debug)]
pub(super) enum Failed {
    Taken,
    Io(String),
    Damaged(String),
}

pub(super) fn damaged(what: &str) -> Failed {
    Failed::Damaged(what.to_owned())
}

impl From<DatabaseError> for Failed {
    fn from(error: DatabaseError) -> Self {
        redb::Error::from(error).into()
    }
}

macro_rules! through_error {
    ($($name:ident)*) => {$(
        impl From<redb::$name> for Failed {
            fn from(error: redb::$name) -> Self {
                redb::Error::from(error).into()
            }
        }
    )*};
}

through_error!(TransactionError TableError StorageError);

impl From<redb::Error> for Failed {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::DatabaseAlreadyOpen => Self::Taken,
            redb::Error::Io(error) if error.kind() != std::io::ErrorKind::InvalidData => {
                Self::Io(error.to_string())
            }
            error => Self::Damaged(error.to_string()),
        }
    }
}

/// A database whose pages are nonsense makes the library panic here and there; that is damage like another.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, Failed>) -> Result<T, Failed> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(damaged("its pages make no sense")))
}

/// A million pins have a handful of names: each is kept once.
#[derive(Default)]
struct Names {
    endpoints: HashSet<riparian_config::EndpointName>,
    clouds: HashSet<riparian_config::CloudName>,
}

impl Names {
    fn share(&mut self, stored: &mut Stored) {
        let Stored { pin, .. } = stored;
        match self.endpoints.get(&pin.endpoint) {
            Some(known) => pin.endpoint = known.clone(),
            None => drop(self.endpoints.insert(pin.endpoint.clone())),
        }
        match self.clouds.get(&pin.cloud) {
            Some(known) => pin.cloud = known.clone(),
            None => drop(self.clouds.insert(pin.cloud.clone())),
        }
    }
}
