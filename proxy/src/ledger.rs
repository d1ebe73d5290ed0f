//! The ledger: what was decided, with whom it was spoken, and what came of it, so that others can check it.
//!
//! | part | |
//! |---|---|
//! | [`entry`], [`facts`] | what is said of a decision, and in which form |
//! | [`tree`], [`layout`] | the Merkle tree of RFC 6962 and its tiles, in C2SP's layout |
//! | [`note`], [`key`] | checkpoints: signed notes |
//! | [`store`], [`tail`] | the folder, and how it survives a kill |
//! | [`writer`] | the thread that writes, and what requests wait for |
//! | [`read`], [`verify`], [`prove`] | what does it say, is it whole, and is this a part of it? |
//!
//! Hashes, proofs and notes are `tlog_tiles`' and `signed_note`'s, which are ports of Go's `tlog` and `note`.

pub mod entry;
mod facts;
pub(crate) mod key;
pub mod layout;
pub mod note;
pub mod prove;
pub mod read;
mod store;
mod tail;
pub mod tree;
pub mod verify;
mod writer;

pub use store::{OpenFault, Recovered};
pub use writer::{Kept, Ledger, Meters, Unavailable};

use entry::{Entry, Kind};
use note::Key;
pub use riparian_config::Durability;
use std::path::Path;
use store::Store;

impl Ledger {
    /// Opens the ledger in `folder`, or begins one, and writes that a process with this configuration begins.
    ///
    /// # Errors
    /// When the folder cannot be had, another process has it, or it is not what its checkpoint says.
    pub fn open(
        folder: &Path,
        key: Key,
        durability: Durability,
        config: &str,
        meters: Meters,
    ) -> Result<(Self, Recovered), OpenFault> {
        let (mut store, recovered) = Store::open(folder, key)?;
        let mut started = Entry::new(Kind::Started, riparian_config::Timestamp::now().to_string());
        started.config = Some(config.into());
        let io = |error| OpenFault::Io(folder.to_owned(), error);
        // A folder that cannot be written is found out now, and not by the first request.
        store.append(vec![started.encode()]).and_then(|()| store.keep()).map_err(io)?;
        store.publish().map_err(io)?;
        Ok((Self::start(store, durability, meters).map_err(io)?, recovered))
    }
}
