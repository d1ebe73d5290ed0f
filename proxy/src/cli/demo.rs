//! TBD

use super::Found;

#[derive(Debug, clap::Args)]
pub(super) struct Demo {}

impl Demo {
    pub(super) fn run(self) -> Found {
        Found::Nothing
    }
}
