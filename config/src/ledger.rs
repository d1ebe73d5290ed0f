//! The record of decisions that others can check.

use crate::SecretRef;
use std::path::PathBuf;

/// The ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    /// Its folder, made when it is not there; one process has it at a time.
    pub path: PathBuf,
    /// What a request waits for. Default group.
    pub durability: Durability,
    /// The Ed25519 seed that signs checkpoints. Without it one is made in the folder.
    pub key: Option<SecretRef>,
    /// The name of the log, in its checkpoints and its key. Default `riparian`.
    pub origin: String,
}

/// What a request waits for, and what becomes of it when its entry cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Until its entry is on the disk; refused otherwise.
    Required,
    /// For nothing; entries are synced together within 10 ms, and requests are refused while they cannot be.
    Group,
    /// For nothing; requests go on, and entries that are missing are counted.
    BestEffort,
}
