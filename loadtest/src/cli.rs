//! Arguments, and what each command does with them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use riparian_loadtest::cpu::{self, CpuPlan};
use riparian_loadtest::{
    CloudSpec, FakeCloud, Http, Kind, Mix, Plan, Progress, Report, Rules, Sight, drive, oracle,
};

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
    /// Start three fake clouds, drive a target that stands before them, judge, report.
    Run(Box<Drive>),
    /// Measure the CPU time of a request through a target.
    Cpu(Cpu),
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
struct Drive {
    /// Base URL of the target, for instance `http://127.0.0.1:8080/v1`.
    #[arg(long)]
    target: String,
    /// Arrivals a second.
    #[arg(long, default_value_t = 100.0)]
    rate: f64,
    /// How long arrivals come.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// The same seed gives the same run.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Shapes and weights: chat, chat-stream, embeddings, response, chain, chain-stream, conversation.
    #[arg(long)]
    mix: Option<Mix>,
    /// Turns of a chain.
    #[arg(long, default_value_t = 3)]
    turns: u32,
    /// Extra bytes in each body.
    #[arg(long, default_value_t = 0)]
    padding_bytes: usize,
    /// Exchanges outstanding at most.
    #[arg(long, default_value_t = 10_000)]
    outstanding_max: usize,
    /// The model that is asked for.
    #[arg(long, default_value = "gpt-5.5")]
    model: String,
    /// The client's own key for the target.
    #[command(flatten)]
    credential: Credential,
    /// HTTP/2 with prior knowledge towards the target.
    #[arg(long)]
    h2c: bool,
    /// A rule, repeatable: stateless=CLOUDS, stateful=CLOUDS, creates=stateful.
    #[arg(long = "rule", value_name = "RULE")]
    rules: Vec<String>,
    /// Where the fake azure listens.
    #[arg(long, default_value = "127.0.0.1:9001")]
    azure_listen: SocketAddr,
    /// Where the fake aws listens.
    #[arg(long, default_value = "127.0.0.1:9002")]
    aws_listen: SocketAddr,
    /// Where the fake openai listens.
    #[arg(long, default_value = "127.0.0.1:9003")]
    openai_listen: SocketAddr,
    /// The key of all three.
    #[arg(long, default_value = "fake-cloud-key")]
    cloud_credential: String,
    /// Azure's deployments.
    #[arg(long, value_delimiter = ',', default_value = "gpt-5.5,gpt55-prod,text-embedding-3-small")]
    azure_models: Vec<String>,
    /// Bedrock's models.
    #[arg(long, value_delimiter = ',', default_value = "openai.gpt-5.5")]
    aws_models: Vec<String>,
    /// The vendor's models.
    #[arg(long, value_delimiter = ',', default_value = "gpt-5.5,text-embedding-3-small")]
    openai_models: Vec<String>,
    /// Pause between the chunks of a stream, in milliseconds.
    #[arg(long, default_value_t = 0)]
    pace_ms: u64,
    /// Pieces of text in a stream.
    #[arg(long, default_value_t = 8)]
    chunks: usize,
    /// How long to wait for the target to accept connections.
    #[arg(long, default_value_t = 10.0)]
    wait_seconds: f64,
    /// Write the report here as JSON too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
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
        Command::Run(drive) => run_drive(*drive).await,
        Command::Cpu(cpu) => run_cpu(cpu).await,
    }
}

async fn run_fake(fake: Fake) -> Result<(), String> {
    let mut spec = CloudSpec::new(fake.kind.into(), fake.name)
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

async fn run_drive(args: Drive) -> Result<bool, String> {
    let rules = Rules::parse(args.rules.iter().map(String::as_str))?;
    let clouds = [
        (Kind::Azure, "azure-fake", args.azure_listen, &args.azure_models),
        (Kind::Bedrock, "aws-fake", args.aws_listen, &args.aws_models),
        (Kind::OpenAi, "openai-fake", args.openai_listen, &args.openai_models),
    ];
    let mut running = Vec::new();
    for (kind, name, listen, models) in clouds {
        let mut spec = CloudSpec::new(kind, name)
            .listen(listen)
            .models(models.iter().cloned())
            .credential(&args.cloud_credential)
            .streaming(args.chunks, Duration::from_millis(args.pace_ms));
        spec.seen_max = usize::MAX; // the oracle needs them all
        running.push(start(spec).await?);
    }
    wait_for(
        &args.target,
        Duration::try_from_secs_f64(args.wait_seconds).map_err(|error| error.to_string())?,
    )
    .await?;
    let seconds = Duration::try_from_secs_f64(args.seconds).map_err(|error| error.to_string())?;
    let mut plan = Plan::new(&args.target, args.rate, seconds);
    plan.seed = args.seed;
    plan.mix = args.mix.unwrap_or_default();
    plan.turns = args.turns;
    plan.padding_bytes = args.padding_bytes;
    plan.outstanding_max = args.outstanding_max;
    plan.model = args.model;
    plan.credential = args.credential.resolve()?;
    plan.http = if args.h2c { Http::Two } else { Http::One };
    let run = drive::run(plan, show).await?;
    let sights: Vec<Sight> = running.iter().map(Sight::from).collect();
    let findings = oracle::judge(&rules, &run, &sights);
    let clean = findings.is_clean();
    let report = Report::new(&rules, &run, &sights, findings);
    println!("{report}");
    if let Some(path) = args.json {
        let text = format!("{:#}\n", report.json());
        std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    for cloud in running {
        cloud.stop().await;
    }
    if run.samples.is_empty() {
        return Err("nothing was sent: nothing is known".to_owned());
    }
    Ok(clean)
}

fn show(progress: &Progress) {
    let Progress { elapsed, sent, ended, refused, failed, dropped } = progress;
    let seconds = elapsed.as_secs_f64();
    eprintln!(
        "{seconds:6.1} s  sent {sent}  ended {ended}  refused {refused}  failed {failed}  dropped {dropped}"
    );
}

/// Waits until the target accepts connections. It sends nothing, so that nothing unexplained reaches a cloud.
async fn wait_for(target: &str, within: Duration) -> Result<(), String> {
    let uri: http::Uri = target.parse().map_err(|error| format!("{target:?} is no URL: {error}"))?;
    let host = uri.host().ok_or_else(|| format!("{target:?} names no host"))?;
    let address = format!("{host}:{}", uri.port_u16().unwrap_or(80));
    let deadline = Instant::now() + within;
    loop {
        match tokio::net::TcpStream::connect(&address).await {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() >= deadline => return Err(format!("{address}: {error}")),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
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
