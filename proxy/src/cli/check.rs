//! `riparian check`: every fault at once. Secrets are not read: a file is right or wrong on any machine.

use super::{ConfigFile, Found, text};
use crate::server;
use riparian_config::{Mark, Store, Surface};
use riparian_filters::identify::Keys;
use riparian_filters::policy::Policy;

#[derive(Debug, clap::Args)]
pub(super) struct Check {
    #[command(flatten)]
    config: ConfigFile,
}

impl Check {
    pub(super) fn run(self) -> Found {
        let text = match text(&self.config) {
            Ok(text) => text,
            Err(found) => return found,
        };
        let file = self.config.config.display().to_string();
        let config = match server::load(&text, &file) {
            Ok(loaded) => loaded.config,
            Err(faults) => {
                eprint!("{faults}");
                eprintln!("{file}: {} fault{}", faults.len(), if faults.len() == 1 { "" } else { "s" });
                return Found::Something;
            }
        };
        let endpoints: usize = config.clouds.iter().map(|cloud| cloud.endpoints.len()).sum();
        let (clouds, terms) = (config.clouds.len(), config.contract.terms.len());
        let reading = config.contract.enforced().name.clone();
        match Policy::compile(config, Keys::new([0; 32])) {
            Ok(policy) => {
                let epochs = policy.table.epochs();
                println!(
                    "{file}: right. {clouds} clouds, {endpoints} endpoints, {terms} terms in {epochs} epochs, enforcing {reading}."
                );
                unsealed(&file, &policy);
                Found::Nothing
            }
            Err(what) => {
                eprintln!("{file}: {what}");
                Found::Something
            }
        }
    }
}

/// What the store `sealed` leaves out, of the operations that some endpoint has.
fn unsealed(file: &str, policy: &Policy) {
    let config = &policy.config;
    if !matches!(config.sessions.pins.store, Some(Store::Sealed(_))) {
        return;
    }
    let is_served =
        |surface: &&Surface| policy.places().iter().any(|place| surface.served_by.contains(&place.dialect()));
    let invented =
        |surface: &&Surface| surface.kinds().any(|kind| policy.kind(kind).mark == Some(Mark::Asserted));
    let refused = config.surfaces.surfaces.iter().filter(is_served).filter(invented);
    let names: Vec<_> = refused.map(|surface| surface.id.as_str()).collect();
    if !names.is_empty() {
        println!(
            "{file}: with `store: sealed` sessions that clients invent are refused at: {}",
            names.join(", ")
        );
    }
}
