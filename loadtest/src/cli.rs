//! Arguments, and what each command does with them.

mod compare;
mod run;
mod show;
mod state;
mod streams;

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use riparian_loadtest::cpu::{self, CpuPlan};
use riparian_loadtest::{CloudSpec, FakeCloud, Family, Kind};

/// Fake clouds, an open-loop load driver, and an oracle.
#[derive(Debug, Parser)]
#[command(name = "riparian-loadtest", version)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run one fake cloud until SIGINT or SIGTERM.
    Fake(Fake),
    /// Start fake clouds, drive a target that stands before them, judge, report.
    Run(Box<run::Drive>),
    /// Hold many open, slow streams through a target, and see what they and fresh requests cost.
    Streams(Box<streams::Streams>),
    /// Conversations of every family through two replicas that share their pins, under trouble, judged by the clouds.
    State(Box<state::State>),
    /// Measure the CPU time of a request through a target.
    Cpu(Cpu),
    /// Riparian, nginx, haproxy, envoy and no proxy, side by side on the same work.
    Compare(Box<compare::Compare>),
    /// The cloud of a comparison: prebuilt answers, one thread, until SIGINT or SIGTERM.
    Canned(compare::Canned),
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum KindName {
    Azure,
    Bedrock,
    Openai,
}

impl From<KindName> for Kind {
    fn from(name: KindName) -> Kind {
        match name {
            KindName::Azure => Kind::Azure,
            KindName::Bedrock => Kind::Bedrock,
            KindName::Openai => Kind::OpenAi,
        }
    }
}

/// A key: as it is, or from the environment, where `ps` does not show it.
#[derive(Clone, Debug, ClapArgs)]
#[group(multiple = false)]
struct Credential {
    /// The key itself.
    #[arg(long)]
    credential: Option<String>,
    /// The environment variable that holds the key.
    #[arg(long, value_name = "VAR")]
    credential_env: Option<String>,
}

impl Credential {
    fn resolve(&self) -> Result<Option<String>, String> {
        match &self.credential_env {
            Some(name) => std::env::var(name).map(Some).map_err(|error| format!("{name}: {error}")),
            None => Ok(self.credential.clone()),
        }
    }
}

#[derive(Debug, ClapArgs)]
struct Fake {
    /// Whose API it speaks.
    #[arg(long)]
    kind: KindName,
    /// Its own name, which is in every answer.
    #[arg(long)]
    name: String,
    /// The families of APIs that it speaks: openai, anthropic, bedrock, bedrock-agents, bedrock-agentcore, google, mcp, a2a.
    #[arg(long, value_delimiter = ',', default_value = "openai")]
    speaks: Vec<Family>,
    /// Where it listens.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    #[command(flatten)]
    credential: Credential,
    /// The models (Azure: deployments) that it has.
    #[arg(long, value_delimiter = ',')]
    models: Vec<String>,
    /// Pause between the chunks of a stream, in milliseconds.
    #[arg(long, default_value_t = 0)]
    pace_ms: u64,
    /// Pieces of text in a stream.
    #[arg(long, default_value_t = 8)]
    chunks: usize,
    /// Do not digest bodies: for measuring what stands before this cloud on the same machine.
    #[arg(long)]
    no_digest: bool,
}

#[derive(Debug, ClapArgs)]
struct Cpu {
    /// Base URL of the target.
    #[arg(long)]
    target: String,
    /// The process whose CPU time is read, with its children.
    #[arg(long)]
    pid: Option<u32>,
    /// How long is measured.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Kept-alive connections.
    #[arg(long, default_value_t = 16)]
    concurrency: usize,
    /// Length of each body.
    #[arg(long, default_value_t = 1024)]
    body_bytes: usize,
    /// Requests a second in all, instead of as many as possible.
    #[arg(long)]
    rate: Option<f64>,
    /// The model that is asked for.
    #[arg(long, default_value = "gpt-5.5")]
    model: String,
    #[command(flatten)]
    credential: Credential,
}

/// Whether all was well.
pub(crate) async fn execute(args: Args) -> Result<bool, String> {
    match args.command {
        Command::Fake(fake) => run_fake(fake).await.map(|()| true),
        Command::Run(drive) => drive.execute().await,
        Command::Streams(streams) => streams.execute().await,
        Command::State(state) => state.execute().await,
        Command::Cpu(cpu) => run_cpu(cpu).await,
        Command::Compare(args) => compare::run(*args).await,
        Command::Canned(args) => compare::serve(args).await.map(|()| true),
    }
}

async fn run_fake(fake: Fake) -> Result<(), String> {
    let mut spec = CloudSpec::new(fake.kind.into(), fake.name)
        .speaking(fake.speaks)
        .listen(fake.listen)
        .streaming(fake.chunks, Duration::from_millis(fake.pace_ms));
    spec.digest = !fake.no_digest;
    if let Some(credential) = fake.credential.resolve()? {
        spec = spec.credential(credential);
    }
    if !fake.models.is_empty() {
        spec = spec.models(fake.models);
    }
    let cloud = start(spec).await?;
    println!("{}", cloud.base_url());
    stop_signal().await.map_err(|error| error.to_string())?;
    eprintln!("{:?}", cloud.counts());
    cloud.stop().await;
    Ok(())
}

async fn start(spec: CloudSpec) -> Result<FakeCloud, String> {
    let (name, listen) = (spec.name.clone(), spec.listen);
    FakeCloud::start(spec).await.map_err(|error| format!("{name} on {listen}: {error}"))
}

async fn stop_signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result,
        _ = terminate.recv() => Ok(()),
    }
}

async fn run_cpu(args: Cpu) -> Result<bool, String> {
    let plan = CpuPlan {
        target: args.target,
        pid: args.pid,
        duration: Duration::try_from_secs_f64(args.seconds).map_err(|error| error.to_string())?,
        warm_up: Duration::from_secs(1),
        concurrency: args.concurrency,
        body_bytes: args.body_bytes,
        rate: args.rate,
        model: args.model,
        credential: args.credential.resolve()?,
    };
    let report = cpu::run(&plan).await.map_err(|error| error.to_string())?;
    println!("{report}");
    Ok(report.failed == 0 && report.requests > 0)
}
