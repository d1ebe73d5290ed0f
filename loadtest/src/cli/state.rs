//! `state`: conversations of every family through two replicas, under trouble.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use riparian_loadtest::Family;
use riparian_loadtest::compare;
use riparian_loadtest::state::{self, StatePlan};

use super::compare::write;

#[derive(Debug, Args)]
pub(crate) struct State {
    /// Requests in all.
    #[arg(long, default_value_t = 100_000)]
    requests: u64,
    /// The same seed tells the same stories.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Clients at the same time.
    #[arg(long, default_value_t = 48)]
    clients: usize,
    /// The proxy's binary. Default: `riparian` beside this one.
    #[arg(long)]
    riparian: Option<PathBuf>,
    /// No proxy: every request goes to a cloud of its family at random. The judge must find that.
    #[arg(long, conflicts_with = "riparian")]
    direct: bool,
    /// The server that holds the pins of both replicas.
    #[arg(long, default_value = "redis-server")]
    redis: PathBuf,
    /// The replicas share nothing but secrets: `store: sealed`. Families whose clients invent sessions are to be left out with `--only`.
    #[arg(long, conflicts_with_all = ["redis", "direct"])]
    sealed: bool,
    /// How long the replicas wait for the store, in milliseconds.
    #[arg(long, default_value_t = 250)]
    pins_within_ms: u64,
    /// Only these families.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Family>,
    /// Clouds that there are, of at most three.
    #[arg(long, default_value_t = 3)]
    parties: usize,
    /// No tenant tries another's handles.
    #[arg(long)]
    no_thefts: bool,
    /// Tenants also invent the names of each other's sessions.
    #[arg(long)]
    shared_names: bool,
    /// No sockets.
    #[arg(long)]
    no_sockets: bool,
    /// No restarts and no failing endpoints.
    #[arg(long)]
    calm: bool,
    /// Leave the configurations where they are, and say where.
    #[arg(long)]
    keep: bool,
    /// Write everything as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

impl State {
    pub(crate) async fn execute(&self) -> Result<bool, String> {
        let own = std::env::current_exe().map_err(|error| error.to_string())?;
        let riparian = self.riparian.clone().unwrap_or_else(|| own.with_file_name("riparian"));
        let mut plan = StatePlan::new((!self.direct).then_some(riparian));
        plan.requests = self.requests;
        plan.seed = self.seed;
        plan.clients = self.clients;
        plan.redis.clone_from(&self.redis);
        plan.sealed = self.sealed;
        plan.pins_within = Duration::from_millis(self.pins_within_ms);
        plan.parties = self.parties.clamp(1, 3);
        plan.thefts = !self.no_thefts;
        plan.shared_names = self.shared_names;
        plan.sockets = !self.no_sockets;
        plan.trouble = !self.calm;
        plan.keep = self.keep;
        if !self.only.is_empty() {
            plan.families.clone_from(&self.only);
        }
        let report = tokio::select! {
            report = state::run(&plan, |line| eprintln!("{line}")) => report?,
            signal = super::stop_signal() => {
                signal.map_err(|error| error.to_string())?;
                compare::kill_all();
                return Err("stopped; nothing is left running".to_owned());
            }
        };
        println!("{report}");
        if let Some(path) = &self.json {
            let text = serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?;
            write(path, &(text + "\n"))?;
        }
        Ok(report.is_clean())
    }
}
