//! `riparian ledger verify`.

use super::super::Found;
use super::{By, Fault, Folder};
use crate::ledger::verify::verify;

#[derive(Debug, clap::Args)]
pub(super) struct Verify {
    #[command(flatten)]
    folder: Folder,
    #[command(flatten)]
    by: By,
}

impl Verify {
    pub(super) fn run(self) -> Result<Found, Fault> {
        let source = self.folder.source();
        let key = self.by.key(&source)?;
        let held = self.by.held(&key)?;
        let verified = verify(&source, &key, held);
        for fault in &verified.faults {
            println!("FOUND: {fault}");
        }
        if !verified.faults.is_empty() {
            println!("{}: not whole.", self.folder.path.display());
            return Ok(Found::Something);
        }
        let root = verified.root.map(|root| root.to_string()).unwrap_or_default();
        println!(
            "{}: whole. {} entries of {}, root {root}.",
            self.folder.path.display(),
            verified.size,
            key.origin()
        );
        if let Some(held) = held {
            println!("It has grown out of the checkpoint held, which is over {} entries.", held.size);
        } else {
            println!(
                "Whoever has its key can sign another history: hold a checkpoint, and give it as --checkpoint."
            );
        }
        if self.by.key.is_none() {
            println!("The key is the folder's own, {key}: give the one that you trust as --key.");
        }
        Ok(Found::Nothing)
    }
}
