//! `riparian-loadtest streams`: many open, slow streams.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use riparian_loadtest::{process, stage, streams};

use super::run::{read, seconds, wait_for};
use super::{Credential, start};

/// Hold many open, slow streams through a target, and see what they and fresh requests cost.
#[derive(Debug, Args)]
pub(crate) struct Streams {
    /// Base URL of the target, clear HTTP/1.1. A fake cloud must stand behind it: see `fake`, or --config.
    #[arg(long)]
    target: String,
    /// The proxy's configuration: its endpoints are staged as fakes in this process, which costs it as many descriptors again.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Streams that are open at the same time.
    #[arg(long, default_value_t = 10_000)]
    streams: usize,
    /// Streams opened a second.
    #[arg(long, default_value_t = 1000.0)]
    open_rate: f64,
    /// How long all are held.
    #[arg(long, default_value_t = 20.0)]
    hold_seconds: f64,
    /// Pause between two chunks of a stream, in milliseconds.
    #[arg(long, default_value_t = 1000)]
    gap_ms: u64,
    /// Text of each chunk, in bytes.
    #[arg(long, default_value_t = 64)]
    chunk_bytes: usize,
    /// Fresh requests a second, before and meanwhile.
    #[arg(long, default_value_t = 50.0)]
    fresh_rate: f64,
    /// The process whose memory and CPU time are read, with its children.
    #[arg(long)]
    pid: Option<u32>,
    /// The model that is asked for.
    #[arg(long, default_value = "gpt-5.5")]
    model: String,
    #[command(flatten)]
    credential: Credential,
    /// The key of all clouds, with --config. Default: what the configuration refers to.
    #[arg(long)]
    cloud_credential: Option<String>,
    /// How long to wait for the target to accept connections.
    #[arg(long, default_value_t = 10.0)]
    wait_seconds: f64,
    /// Write the report here as JSON too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Streams {
    /// Whether every stream was opened and held.
    pub(crate) async fn execute(self) -> Result<bool, String> {
        let mut running = Vec::new();
        if let Some(config) = &self.config {
            process::allow_descriptors(2 * self.streams as u64 + 512)?;
            for mut spec in stage::specs(&read(config)?, self.cloud_credential.as_deref())? {
                spec.digest = false;
                running.push(start(spec).await?);
            }
        }
        wait_for(&self.target, seconds(self.wait_seconds)?).await?;
        let mut plan = streams::StreamsPlan::new(&self.target);
        plan.streams = self.streams;
        plan.open_rate = self.open_rate;
        plan.hold = seconds(self.hold_seconds)?;
        plan.gap = Duration::from_millis(self.gap_ms);
        plan.chunk_bytes = self.chunk_bytes;
        plan.fresh_rate = self.fresh_rate;
        plan.pid = self.pid;
        plan.model = self.model;
        plan.credential = self.credential.resolve()?;
        let report = streams::run(&plan, show()).await?;
        println!("{report}");
        if let Some(path) = &self.json {
            std::fs::write(path, format!("{:#}\n", report.json()))
                .map_err(|error| format!("{}: {error}", path.display()))?;
        }
        for cloud in running {
            cloud.stop().await;
        }
        Ok(report.is_clean())
    }
}

/// One line rewritten on a terminal, else a line each five seconds.
fn show() -> impl FnMut(&streams::StreamsProgress) + Send + 'static {
    let live = std::io::stderr().is_terminal();
    let mut told = 0u32;
    move |progress| {
        let memory =
            progress.resident_bytes.map_or_else(String::new, |bytes| format!("  {} MB", bytes >> 20));
        let line = format!(
            "{:6.1} s  open {}  broken {}  chunks {}{memory}",
            progress.elapsed.as_secs_f64(),
            progress.open,
            progress.broken,
            progress.chunks
        );
        if live {
            // A terminal that went away shows nothing; the run goes on.
            let _ = write!(std::io::stderr(), "\r\x1b[K{line}");
        } else if told.is_multiple_of(10) {
            eprintln!("{line}");
        }
        told += 1;
    }
}
