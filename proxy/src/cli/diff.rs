//! `riparian diff`: which kinds of requests two configurations send elsewhere, in words; with a pin journal, how many live sessions
//! that touches.
//!
//! Every kind of request that anything in either contract tells apart is judged by both, between each two dates of either, through the
//! function that production calls. The seconds around a date in which only what both sides allow is allowed are left out.

mod pins;
mod space;
mod words;

use super::explain::Format;
use super::loaded::Loaded;
use super::{ConfigFile, Found};
use crate::pins::census;
use riparian_filters::identify::Keys;
use serde_json::json;
use std::path::PathBuf;
use words::Row;

#[derive(Debug, clap::Args)]
pub(super) struct Diff {
    /// The configuration as it is.
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The configuration as it would be.
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// The directory of a pin journal that no running proxy holds, or of a copy: how many live sessions does each change touch?
    #[arg(long, value_name = "DIRECTORY")]
    pins: Option<PathBuf>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

impl Diff {
    pub(super) fn run(self) -> Found {
        match self.diff() {
            Ok(found) | Err(found) => found,
        }
    }

    fn diff(self) -> Result<Found, Found> {
        let read =
            |path: &PathBuf, keys: Option<Keys>| Loaded::read(&ConfigFile { config: path.clone() }, keys);
        let old = read(&self.old, None)?;
        // Pins are known under the key of the configuration that they were made under, or else under the journal's own.
        let census = self.pins.as_deref().map(|path| {
            census(path, old.has_key.then_some(&old.policy.keys))
                .map_err(|fault| Found::Usage(fault.to_string()))
        });
        let census = census.transpose()?;
        let keys = census.as_ref().map_or(&old.policy.keys, |census| &census.keys).clone();
        let new = read(&self.new, Some(keys))?;
        let changes = space::changes(&old.policy, &new.policy).map_err(Found::Usage)?;
        let settings = words::settings(&old.policy.config.contract, &new.policy.config.contract);
        let mut rows = words::rows(&changes);
        if let Some(census) = &census {
            rows.iter_mut().for_each(|row| pins::count(row, census, &new.policy));
        }
        match self.format {
            Format::Json => println!(
                "{:#}",
                json!({ "old": old.hash, "new": new.hash, "settings": settings, "changes": rows })
            ),
            Format::Text => self.print(&settings, &rows),
        }
        Ok(if rows.is_empty() { Found::Nothing } else { Found::Something })
    }

    fn print(&self, settings: &[String], rows: &[Row]) {
        settings.iter().for_each(|setting| println!("{setting}"));
        rows.iter().for_each(|row| print!("{}", row.text()));
        let many = match rows.len() {
            0 => "no kind of request goes elsewhere".to_owned(),
            1 => "1 change".to_owned(),
            count => format!("{count} changes"),
        };
        println!("{} -> {}: {many}", self.old.display(), self.new.display());
    }
}
