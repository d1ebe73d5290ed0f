//! `riparian ledger prove`: the hashes that show that entries are a part of the ledger, as JSON.

use super::super::Found;
use super::{By, Fault, Folder};
use crate::ledger::entry::Entry;
use crate::ledger::layout::CHECKPOINT;
use crate::ledger::read::entries;
use crate::ledger::{note, prove};
use serde_json::{Value, json};
use std::ops::ControlFlow;
use tlog_tiles::{Hash, record_hash};

#[derive(Debug, clap::Args)]
pub(super) struct Prove {
    /// The decision's id.
    #[arg(value_name = "ID")]
    decision: String,
    #[command(flatten)]
    folder: Folder,
    #[command(flatten)]
    by: By,
}

impl Prove {
    pub(super) fn run(self) -> Result<Found, Fault> {
        let source = self.folder.source();
        let key = self.by.key(&source)?;
        let held = self.by.held(&key)?;
        // The same bytes that are shown: the ledger may grow meanwhile.
        let checkpoint = source.read(CHECKPOINT).map_err(|error| error.to_string())?.unwrap_or_default();
        let signed = note::open(&checkpoint, &key).map_err(|what| format!("{CHECKPOINT}: {what}"))?;
        let mut of_it = Vec::new();
        entries(&source, signed.size, 0..signed.size, |index, bytes| {
            let decision = Entry::decode(bytes).ok().and_then(|entry| entry.decision);
            if decision.as_deref() == Some(self.decision.as_str()) {
                of_it.push((index, bytes.to_vec()));
            }
            ControlFlow::Continue(())
        })?;
        if of_it.is_empty() {
            return Err(Fault::Ledger(format!("no entry of decision {}", self.decision)));
        }
        let mut proved = Vec::new();
        for (index, bytes) in of_it {
            let leaf = record_hash(&bytes);
            let proof = prove::inclusion(&source, signed, index, leaf)?;
            let entry: Value = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
            proved.push(json!({
                "index": index,
                "entry": entry,
                "leaf_hash": leaf.to_string(),
                "inclusion": hashes(&proof),
            }));
        }
        let mut said = json!({
            "key": key.to_string(),
            "checkpoint": String::from_utf8_lossy(&checkpoint),
            "entries": proved,
        });
        if let Some(held) = held {
            let proof = prove::consistency(&source, signed, held)?;
            said["consistency"] = json!({ "from": held.size, "proof": hashes(&proof) });
        }
        println!("{}", serde_json::to_string_pretty(&said).expect("plain values"));
        Ok(Found::Nothing)
    }
}

fn hashes(hashes: &[Hash]) -> Vec<String> {
    hashes.iter().map(Hash::to_string).collect()
}
