//! `riparian-loadtest compare` and `canned`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use riparian_loadtest::compare::{self, Comparison, Other, Peer, Plan, Work, canned};
use riparian_loadtest::html;

/// Riparian, nginx, haproxy, envoy and no proxy, side by side on the same work.
#[derive(Debug, Args)]
pub(crate) struct Compare {
    /// Write one self-contained HTML page with plots.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Write every figure as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Peers beside Riparian and the straight way: nginx, haproxy, envoy. Default all.
    #[arg(long, value_delimiter = ',')]
    only: Option<Vec<String>>,
    /// Works: post-1k, post-1k-500, post-100k, post-1m, post-10m, sse-paced, sse-first, sse-burst, streams, idle, growth.
    /// Default all but growth.
    #[arg(long, value_delimiter = ',')]
    work: Option<Vec<Work>>,
    /// How often each work is done by each peer.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Riparian's program. Default: beside this one.
    #[arg(long, value_name = "PATH")]
    riparian: Option<PathBuf>,
    /// Compare the others without Riparian.
    #[arg(long)]
    without_riparian: bool,
    /// One more that runs already before the canned cloud, repeatable: NAME=HOST:PORT[,pid=PID][,gateway]. It must post to
    /// --cloud-listen under /openai/v1, attach `api-key: canned-key`, and take `authorization` off.
    #[arg(long, value_name = "PEER")]
    peer: Vec<Other>,
    /// Where the canned cloud listens, for such a peer's configuration. Default: a free port.
    #[arg(long, value_name = "ADDRESS")]
    cloud_listen: Option<SocketAddr>,
}

/// The cloud of a comparison: prebuilt answers, one thread.
#[derive(Debug, Args)]
pub(crate) struct Canned {
    /// Where it listens.
    #[arg(long)]
    listen: SocketAddr,
}

/// How long a comparison may take to end once its proxies are gone.
const STOPS_WITHIN: Duration = Duration::from_secs(5);

/// Whether all was answered as it should be.
pub(crate) async fn run(args: Compare) -> Result<bool, String> {
    let plan = plan(&args)?;
    let mut comparing = tokio::task::spawn_blocking(move || compare::run(&plan, |line| eprintln!("{line}")));
    let found: Comparison = tokio::select! {
        found = &mut comparing => found.map_err(|error| error.to_string())??,
        signal = super::stop_signal() => {
            compare::kill_all();
            signal.map_err(|error| error.to_string())?;
            // Without its proxies it fails soon, and takes its directories with it.
            let _ = tokio::time::timeout(STOPS_WITHIN, comparing).await;
            eprintln!("riparian-loadtest: stopped; nothing is left running");
            std::process::exit(130);
        }
    };
    println!("{found}");
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&found).map_err(|error| error.to_string())?;
        write(path, &(text + "\n"))?;
    }
    if let Some(path) = &args.report {
        write(path, &html::comparison(&found))?;
    }
    Ok(found.is_clean())
}

pub(crate) fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

fn plan(args: &Compare) -> Result<Plan, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let beside = || own.with_file_name("riparian");
    let mut plan = Plan::new(args.riparian.clone().unwrap_or_else(beside));
    if let Some(only) = &args.only {
        for name in only {
            if !plan.peers.iter().any(|peer| peer.name() == name) {
                return Err(format!("--only {name}: none of riparian, nginx, haproxy, envoy, straight"));
            }
        }
        let always = |peer: &Peer| matches!(peer, Peer::Riparian | Peer::Straight);
        plan.peers.retain(|peer| always(peer) || only.iter().any(|name| name == peer.name()));
    }
    if args.without_riparian {
        plan.peers.retain(|peer| *peer != Peer::Riparian);
    }
    plan.peers.extend(args.peer.iter().cloned().map(Peer::Other));
    if let Some(works) = &args.work {
        plan.works.clone_from(works);
    }
    plan.rounds = args.rounds;
    plan.duration = Duration::try_from_secs_f64(args.seconds).map_err(|error| error.to_string())?;
    plan.cloud = args.cloud_listen;
    plan.own = Some(own);
    Ok(plan)
}

/// Serves until a signal, on one thread.
pub(crate) async fn serve(args: Canned) -> Result<(), String> {
    std::thread::spawn(move || {
        if let Err(error) = canned::run(args.listen) {
            eprintln!("riparian-loadtest: {}: {error}", args.listen);
            std::process::exit(2);
        }
    });
    super::stop_signal().await.map_err(|error| error.to_string())
}
