//! `riparian check`: every fault at once. Secrets are not read: a file is right or wrong on any machine.

use super::{ConfigFile, Found, text};
use crate::server::beside;
use riparian_config::Config;
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
        let config = match Config::parse_with(&text, &file, &beside(&file)) {
            Ok(config) => config,
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
                Found::Nothing
            }
            Err(what) => {
                eprintln!("{file}: {what}");
                Found::Something
            }
        }
    }
}
