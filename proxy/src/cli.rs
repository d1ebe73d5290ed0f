//! The command line. Exit codes: 0 fine, 1 findings (a fault, a refusal under `--expect-allowed`), 2 usage.

mod check;
#[cfg(feature = "demo")]
mod demo;
mod diff;
mod explain;
mod ledger;
pub(crate) mod loaded;
mod prove;
mod replay;
mod run;
mod schema;
pub(crate) mod surfaces;
mod test;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// A streaming proxy in front of model endpoints that obeys a contract: what the contract does not allow is refused.
#[derive(Debug, Parser)]
#[command(name = "riparian", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Carry requests. SIGHUP reloads the file, SIGTERM drains, SIGINT ends at once.
    Run(run::Run),
    /// Is the file right? Every fault at once, with its place and what to write instead.
    Check(check::Check),
    /// Where would this request go, at this time, and why not elsewhere? Nothing is sent.
    Explain(explain::Explain),
    /// The record of decisions: verify it, read it, prove a part of it.
    Ledger(ledger::Ledger),
    /// What can this contract do, and what can it not, over every request that there can be and whatever is down? A counterexample is
    /// a curl.
    Prove(prove::Prove),
    /// Do the named cases of a file still come out as they are written?
    Test(test::Test),
    /// Which kinds of requests would two configurations send elsewhere, and how many live sessions does that touch?
    Diff(diff::Diff),
    /// Which recorded decisions would come out otherwise under another contract, in requests and tokens?
    Replay(replay::Replay),
    /// Print the JSON Schema of the configuration, for editors.
    Schema,
    /// Which API operations are known, what in them speaks of state, and how long their handles live?
    Surfaces(surfaces::Surfaces),
    /// Three fake clouds, the proxy between, and a few seconds of mixed traffic.
    #[cfg(feature = "demo")]
    Demo(demo::Demo),
}

/// The configuration's file.
#[derive(Clone, Debug, clap::Args)]
struct ConfigFile {
    /// The configuration.
    #[arg(short, long = "config", value_name = "FILE")]
    config: PathBuf,
}

/// What a command found.
enum Found {
    Nothing,
    Something,
    /// The call's words are off; the text says how.
    Usage(String),
}

impl Cli {
    /// Does what was asked.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let found = match self.command {
            Command::Run(run) => run.run(),
            Command::Check(check) => check.run(),
            Command::Explain(explain) => explain.run(),
            Command::Ledger(ledger) => ledger.run(),
            Command::Prove(prove) => prove.run(),
            Command::Test(test) => test.run(),
            Command::Diff(diff) => diff.run(),
            Command::Replay(replay) => replay.run(),
            Command::Schema => schema::run(),
            Command::Surfaces(surfaces) => surfaces.run(),
            #[cfg(feature = "demo")]
            Command::Demo(demo) => demo.run(),
        };
        match found {
            Found::Nothing => ExitCode::SUCCESS,
            Found::Something => ExitCode::from(1),
            Found::Usage(what) => {
                eprintln!("riparian: {what}");
                ExitCode::from(2)
            }
        }
    }
}

/// The text of the configuration's file; a file that cannot be read is a matter of usage.
fn text(config: &ConfigFile) -> Result<String, Found> {
    crate::server::read(&config.config).map_err(|fault| Found::Usage(fault.to_string()))
}
