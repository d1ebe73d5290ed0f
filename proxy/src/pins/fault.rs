//! What can be wrong with a store.

use crate::credentials::SecretFault;
use std::fmt;
use std::path::PathBuf;

/// Why a store could not say. The request that asked is refused: nobody guesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreFault {
    /// It did not answer in time.
    Late,
    /// It failed several times in a row and is not asked for a moment.
    Resting,
    /// It answered with an error: read-only, out of memory, still loading.
    Refused,
    /// What it holds under a key was not written by us, or not under that key.
    Forged,
}

impl StoreFault {
    /// Every one.
    pub(crate) const ALL: [Self; 4] = [Self::Late, Self::Resting, Self::Refused, Self::Forged];

    /// The word for it in labels.
    #[must_use]
    pub(crate) const fn outcome(&self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::Resting => "resting",
            Self::Refused => "refused",
            Self::Forged => "forged",
        }
    }
}

impl fmt::Display for StoreFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Late => "the pin store did not answer in time",
            Self::Resting => "the pin store failed several times in a row and is left alone for a moment",
            Self::Refused => "the pin store answered with an error",
            Self::Forged => "the pin store holds a value that was not written there by this proxy's key",
        })
    }
}

impl std::error::Error for StoreFault {}

/// Why a store does not open.
#[derive(Debug)]
pub enum OpenFault {
    /// Another process has the journal.
    Taken(PathBuf),
    /// The journal's directory or file cannot be made, read or written.
    Directory(PathBuf, String),
    /// The journal is damaged.
    Damaged(PathBuf, String),
    /// The journal was written under another key.
    OtherKey(PathBuf),
    /// No thread can be had.
    Thread(std::io::Error),
    /// The Redis' password cannot be had.
    Password(SecretFault),
    /// The Redis' certificates cannot be read.
    Certificates(PathBuf, String),
}

impl fmt::Display for OpenFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sessions.pins: ")?;
        match self {
            Self::Taken(path) => {
                let path = path.display();
                write!(
                    f,
                    "{path} is another process' journal at this moment; end that one, or give this one a `path` of its own"
                )
            }
            Self::Directory(path, what) => {
                let path = path.display();
                write!(
                    f,
                    "{path}: {what}; name a directory that can be written with `store: journal` and `path`, or keep no journal with `store: memory`"
                )
            }
            Self::Damaged(path, what) => {
                let path = path.display();
                write!(
                    f,
                    "{path} is damaged ({what}); put a copy of it back, or move it away: a new one is begun, and handles that only this one knew are unknown then"
                )
            }
            Self::OtherKey(path) => {
                let path = path.display();
                write!(
                    f,
                    "{path} was written under another `sessions.key`; give that one back, or move the file away: its pins are of no use under this key"
                )
            }
            Self::Thread(error) => write!(f, "no thread can be had: {error}"),
            Self::Password(fault) => write!(f, "redis.password: {fault}"),
            Self::Certificates(path, what) => write!(f, "redis.ca: {}: {what}", path.display()),
        }
    }
}

impl std::error::Error for OpenFault {}
