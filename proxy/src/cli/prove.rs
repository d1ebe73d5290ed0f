//! `riparian prove`: what the contract can and cannot do, over every request that there can be.

use super::{ConfigFile, Found, text};
use crate::proof;
use crate::server;
use riparian_config::Timestamp;
use riparian_filters::identify::Keys;
use riparian_filters::policy::Policy;
use riparian_filters::prove::{Proof, prove};
use std::time::Instant;

#[derive(Debug, clap::Args)]
pub(super) struct Prove {
    #[command(flatten)]
    config: ConfigFile,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    Text,
    /// The certificate alone.
    Json,
}

impl Prove {
    pub(super) fn run(self) -> Found {
        let text = match text(&self.config) {
            Ok(text) => text,
            Err(found) => return found,
        };
        let file = self.config.config.display().to_string();
        let loaded = match server::load(&text, &file) {
            Ok(loaded) => loaded,
            Err(faults) => {
                eprint!("{faults}");
                return Found::Something;
            }
        };
        let hash = loaded.hash();
        let policy = match Policy::compile(loaded.config, Keys::new([0; 32])) {
            Ok(policy) => policy,
            Err(what) => {
                eprintln!("{file}: {what}");
                return Found::Something;
            }
        };
        let began = Instant::now();
        let proof = prove(&policy, Timestamp::now());
        match self.format {
            Format::Json => println!("{:#}", proof::certificate(&policy, &proof, &hash)),
            Format::Text => print(&policy, &proof, &file, &hash, began),
        }
        if proof.findings.is_empty() { Found::Nothing } else { Found::Something }
    }
}

fn print(policy: &Policy, proof: &Proof, file: &str, hash: &str, began: Instant) {
    let contract = &policy.config.contract;
    print!("{}", proof::text(policy, proof));
    let disputed = proof::band(policy, proof);
    if !disputed.is_empty() {
        println!("the readings disagree (band: {}):", contract.band.as_str());
    }
    for (dispute, disputed, surfaces) in disputed {
        let spans = || policy.table.spans().filter(|(at, _)| !policy.table.is_at_boundary(*at));
        let from = spans().find(|(_, number)| *number == dispute.epoch).map(|(from, _)| from);
        let when = match from.and_then(|from| policy.table.boundary_before(from)) {
            Some(from) => format!("from {from}"),
            None => "until the first date".to_owned(),
        };
        println!(
            "  {when}{}, grade {} and above: stateless goes to {}, stateful to {}",
            if dispute.is_inner { ", called inside a stateful session" } else { "" },
            disputed.from,
            proof::clouds(policy, disputed.stateless),
            proof::clouds(policy, disputed.stateful),
        );
        println!("    {}", grouped(&surfaces));
    }
    let counts = proof.counts;
    println!(
        "{file}: {} cells: {} kinds of requests in {} stretches of time, under {} readings, with {} sets of clouds down, in {:.2} s",
        counts.cells,
        counts.kinds,
        counts.spans,
        contract.readings.len(),
        counts.outages,
        began.elapsed().as_secs_f64(),
    );
    let certificate = proof::certificate(policy, proof, hash);
    let result = match proof.findings.len() {
        0 => "proved: complete, without conflicts, no dead terms, no leak under any outage".to_owned(),
        1 => "not proved: 1 finding".to_owned(),
        count => format!("not proved: {count} findings"),
    };
    println!(
        "{result}; {} of {} claims hold; config {hash}, {}",
        contract.claims.len() - failed(proof),
        contract.claims.len(),
        certificate["digest"].as_str().unwrap_or_default(),
    );
}

/// `openai.chat.create openai.chat.list ...` as `openai.chat.* (2)`.
fn grouped(surfaces: &[String]) -> String {
    let mut groups: Vec<(String, usize, &str)> = Vec::new();
    for id in surfaces {
        let group = id.split('.').take(2).collect::<Vec<_>>().join(".");
        match groups.iter_mut().find(|(known, ..)| *known == group) {
            Some((_, count, _)) => *count += 1,
            None => groups.push((group, 1, id)),
        }
    }
    let shown = groups.iter().map(|(group, count, first)| match count {
        1 => (*first).to_owned(),
        _ => format!("{group}.* ({count})"),
    });
    shown.collect::<Vec<_>>().join(", ")
}

fn failed(proof: &Proof) -> usize {
    use riparian_filters::prove::What;
    proof.findings.iter().filter(|finding| matches!(finding.what, What::Claim(_) | What::Idle(_))).count()
}
