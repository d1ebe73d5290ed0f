//! `riparian run`: until a signal ends it.

use super::{ConfigFile, Found, text};
use crate::credentials::Secrets;
use crate::proof::Proving;
use crate::server::{self, Running, StartFault};
use riparian_config::{JOURNAL_PATH, Store};
use std::io::{self, IsTerminal};
use std::path::Path;
use tokio::signal::unix::{SignalKind, signal};
use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

#[derive(Debug, clap::Args)]
pub(super) struct Run {
    #[command(flatten)]
    config: ConfigFile,
    /// Threads that carry requests. Default: one a core.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Start, and reload, although `riparian prove` finds fault with the contract. The findings are logged.
    #[arg(long)]
    even_if_unproved: bool,
}

impl Run {
    pub(super) fn run(self) -> Found {
        log_to_stderr();
        let text = match text(&self.config) {
            Ok(text) => text,
            Err(found) => return found,
        };
        // Requests have threads of their own; this one accepts, and does what is due now and then.
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return Found::Usage(format!("no runtime can be had: {error}")),
        };
        let threads = self.threads.map_or_else(server::cores, usize::from);
        let proving = if self.even_if_unproved { Proving::Reported } else { Proving::Required };
        let found = runtime.block_on(serve(&text, &self.config.config, threads, proving));
        // Streams that were not given time to end are cut here, where their peers can see it.
        runtime.shutdown_background();
        found
    }
}

/// Says what happens, as finely as `RIPARIAN_LOG` has it. Of the libraries below only warnings are heard: finer than that they show
/// whole heads, and with them credentials.
pub(super) fn log_to_stderr() {
    let filter = EnvFilter::try_from_env("RIPARIAN_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let finest = filter.max_level_hint().unwrap_or(LevelFilter::TRACE);
    let ours = filter_fn(|event| event.target().starts_with("riparian") || *event.level() <= Level::WARN)
        .with_max_level_hint(finest);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false);
    // A second call (the demo starts several proxies in one process) finds the first one's in place.
    let _ = tracing_subscriber::registry().with(lines).with(filter).with(ours).try_init();
}

async fn serve(text: &str, path: &Path, threads: usize, proving: Proving) -> Found {
    // Before the first word that it is there: a signal that comes then must not end the process.
    let (mut hangup, mut terminate, mut interrupt) = match signals() {
        Ok(signals) => signals,
        Err(error) => return Found::Usage(format!("signals cannot be listened for: {error}")),
    };
    let file = path.display().to_string();
    // A restart that forgot every pin would refuse every conversation.
    let unsaid = Store::Journal(JOURNAL_PATH.into());
    let secrets = Secrets::system();
    let running = match Running::start_keeping(text, &file, secrets, threads, unsaid, proving).await {
        Ok(running) => running,
        Err(fault) => {
            say(&fault);
            return Found::Something;
        }
    };
    for (name, address) in &running.listeners {
        tracing::info!(listener = %name, %address, "listening");
    }
    if let Some(address) = running.admin {
        tracing::info!(%address, "admin listening");
    }
    loop {
        tokio::select! {
            _ = hangup.recv() => reload(&running, path, &file).await,
            _ = terminate.recv() => break,
            _ = interrupt.recv() => {
                running.house.log.flush();
                running.house.pins.flush();
                return Found::Nothing;
            }
        }
    }
    let house = std::sync::Arc::clone(&running.house);
    tracing::info!(streams = house.gate.streams(), "draining");
    tokio::select! {
        drained = running.drain() => {
            if !drained {
                tracing::warn!("limits.drain_within is over; the streams that are left are cut");
            }
        }
        _ = terminate.recv() => tracing::warn!("asked twice; the streams that are left are cut"),
        _ = interrupt.recv() => tracing::warn!("interrupted; the streams that are left are cut"),
    }
    house.log.flush();
    house.pins.flush();
    Found::Nothing
}

fn signals()
-> io::Result<(tokio::signal::unix::Signal, tokio::signal::unix::Signal, tokio::signal::unix::Signal)> {
    Ok((signal(SignalKind::hangup())?, signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?))
}

async fn reload(running: &Running, path: &Path, file: &str) {
    let taken = match server::read(path) {
        Ok(text) => running.reload(&text, file).await,
        Err(fault) => {
            running.house.metrics.reloaded(false);
            Err(fault)
        }
    };
    match taken {
        Ok(()) => tracing::info!(config = %running.house.snapshot.load().hash, "reloaded"),
        Err(fault) => {
            say(&fault);
            tracing::error!(config = %running.house.snapshot.load().hash, "not reloaded; the configuration before it stays in force");
        }
    }
}

/// Faults have lines and carets; a log line would break them.
fn say(fault: &StartFault) {
    eprintln!("{}", fault.to_string().trim_end());
}
