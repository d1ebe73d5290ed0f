//! `riparian surfaces`: every API operation that is known, what in it speaks of state, and how long its handles live.

mod json;
mod markdown;
mod text;
pub(crate) mod words;

use super::Found;
use crate::server;
use riparian_config::Surfaces as Known;
use std::io::Write;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Surfaces {
    /// Only this family, such as `anthropic`.
    #[arg(long, value_name = "FAMILY")]
    family: Option<String>,
    /// With the surfaces and vendors that this configuration adds.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// As JSON.
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// As the page `docs/surfaces.md`.
    #[arg(long)]
    markdown: bool,
}

impl Surfaces {
    pub(super) fn run(self) -> Found {
        let known = match self.known() {
            Ok(known) => known,
            Err(found) => return found,
        };
        let wanted: Vec<usize> = (0..known.families.len())
            .filter(|at| self.family.as_ref().is_none_or(|name| known.families[*at].name.as_str() == name))
            .collect();
        if let (Some(name), true) = (&self.family, wanted.is_empty()) {
            let names: Vec<&str> = known.families.iter().map(|family| family.name.as_str()).collect();
            return Found::Usage(format!("there is no family `{name}`; there are {}", names.join(", ")));
        }
        let page = if self.json {
            format!("{:#}\n", json::page(&known, &wanted))
        } else if self.markdown {
            markdown::page(&known, &wanted)
        } else {
            text::page(&known, &wanted)
        };
        // It is long: whoever reads it through `head` or a pager may leave before its end.
        let _ = std::io::stdout().lock().write_all(page.as_bytes());
        Found::Nothing
    }

    fn known(&self) -> Result<Known, Found> {
        let Some(path) = &self.config else { return Ok(Known::built_in()) };
        let text = server::read(path).map_err(|fault| Found::Usage(fault.to_string()))?;
        let file = path.display().to_string();
        match server::load(&text, &file) {
            Ok(loaded) => Ok(loaded.config.surfaces),
            Err(faults) => {
                eprint!("{faults}");
                Err(Found::Something)
            }
        }
    }
}
