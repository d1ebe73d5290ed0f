//! `riparian ledger`: what others do with a ledger's folder, or with a copy of what is published of it.

mod prove;
mod show;
mod verify;

use super::Found;
use crate::ledger::note::{self, Signed, VerifierKey};
use crate::ledger::read::own_key;
use crate::ledger::verify::Source;
use clap::Subcommand;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(super) struct Ledger {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Is the record whole: nothing altered, removed, reordered or cut off?
    Verify(verify::Verify),
    /// What does it say?
    Show(show::Show),
    /// Entries as they are, one JSON object a line.
    Export(show::Export),
    /// That the entries of a decision are a part of it, with the hashes that prove it.
    Prove(prove::Prove),
    /// The key that its checkpoints are verified with.
    Key {
        #[command(flatten)]
        folder: Folder,
    },
}

/// The ledger's place.
#[derive(Clone, Debug, clap::Args)]
struct Folder {
    /// The ledger's folder, or a copy of its `public` part.
    #[arg(value_name = "PATH")]
    path: PathBuf,
}

/// What it is verified by.
#[derive(Clone, Debug, clap::Args)]
struct By {
    /// The key, or a file with it, from where you trust it. Without it, the one in the folder.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// A checkpoint that you hold from earlier.
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
}

/// What went wrong: the call, or the ledger.
enum Fault {
    Usage(String),
    Ledger(String),
}

impl From<String> for Fault {
    fn from(what: String) -> Self {
        Self::Ledger(what)
    }
}

impl Folder {
    fn source(&self) -> Source {
        Source::at(&self.path)
    }
}

impl By {
    fn key(&self, source: &Source) -> Result<VerifierKey, Fault> {
        let Some(given) = &self.key else { return Ok(own_key(source)?) };
        let path = Path::new(given);
        let text = if path.is_file() {
            std::fs::read_to_string(path).map_err(|error| Fault::Usage(format!("{given}: {error}")))?
        } else {
            given.clone()
        };
        VerifierKey::parse(&text).map_err(|what| Fault::Usage(format!("--key: {what}")))
    }

    fn held(&self, key: &VerifierKey) -> Result<Option<Signed>, Fault> {
        let Some(path) = &self.checkpoint else { return Ok(None) };
        let usage = |what: String| Fault::Usage(format!("{}: {what}", path.display()));
        let bytes = std::fs::read(path).map_err(|error| usage(error.to_string()))?;
        note::open(&bytes, key).map(Some).map_err(usage)
    }
}

impl Ledger {
    pub(super) fn run(self) -> Found {
        let found = match self.command {
            Command::Verify(verify) => verify.run(),
            Command::Show(show) => show.run(),
            Command::Export(export) => export.run(),
            Command::Prove(prove) => prove.run(),
            Command::Key { folder } => own_key(&folder.source()).map_err(Fault::Ledger).map(|key| {
                println!("{key}");
                Found::Nothing
            }),
        };
        match found {
            Ok(found) => found,
            Err(Fault::Usage(what)) => Found::Usage(what),
            Err(Fault::Ledger(what)) => {
                eprintln!("{what}");
                Found::Something
            }
        }
    }
}
