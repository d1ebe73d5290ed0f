//! `riparian-loadtest run`: fake clouds, a driver against what stands before them, and the oracle.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use riparian_loadtest::{
    CloudSpec, FakeCloud, Http, Kind, Mix, Plan, Report, Rules, Sight, drive, oracle, stage,
};

use super::show::Show;
use super::{Credential, start};

/// Which HTTP the clients speak.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum HttpName {
    /// HTTP/1.1.
    #[value(name = "1")]
    One,
    /// HTTP/2: prior knowledge in the clear, the only one offered over https.
    #[value(name = "2")]
    Two,
    /// Over https whichever of both the target picks.
    Alpn,
}

/// Start fake clouds, drive a target that stands before them, judge, report.
#[derive(Debug, Args)]
pub(crate) struct Drive {
    /// Base URL of the target, for instance `http://127.0.0.1:8080/v1`.
    #[arg(long)]
    target: String,
    /// The proxy's configuration: its endpoints are staged as fakes, and the oracle judges by its contract.
    #[arg(long, value_name = "FILE", conflicts_with = "rules")]
    config: Option<PathBuf>,
    /// Arrivals a second.
    #[arg(long, default_value_t = 100.0)]
    rate: f64,
    /// How long arrivals come.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// The same seed gives the same run.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Weights of what arrives: `SHAPES; sizes: LIST; answers: LIST; clients: LIST; faults: LIST`, for instance
    /// `chat=4,chat-stream=4,chain=1; sizes: 1k=8,100k=1; answers: 50/10ms/64b; clients: good=98,vanish-reading=2;
    /// faults: none=99,cut-mid-stream=1`.
    /// Shapes: chat, chat-stream, embeddings, response, chain, chain-stream, conversation.
    /// Clients: good, slow-sender, slow-reader, vanish-sending, vanish-reading.
    /// Faults: none, reset-before-headers, `reset-mid-body[:BYTES]`, `status-503[:RETRY_AFTER]`, stall, stall-mid-stream,
    /// cut-mid-stream, `slow-first-byte[:MS]`, gzip.
    #[arg(long, verbatim_doc_comment)]
    mix: Option<Mix>,
    /// Turns of a chain.
    #[arg(long, default_value_t = 3)]
    turns: u32,
    /// Extra bytes in each body for which the mix names no size.
    #[arg(long, default_value_t = 0)]
    padding_bytes: usize,
    /// Exchanges outstanding at most.
    #[arg(long, default_value_t = 10_000)]
    outstanding_max: usize,
    /// After so many seconds an exchange is given up.
    #[arg(long, default_value_t = 60.0)]
    within_seconds: f64,
    /// The model that is asked for.
    #[arg(long, default_value = "gpt-5.5")]
    model: String,
    /// The client's own key for the target.
    #[command(flatten)]
    credential: Credential,
    /// What the clients speak.
    #[arg(long, default_value = "1")]
    http: HttpName,
    /// Connections: over HTTP/1.1 as many as needed unless set, over HTTP/2 four.
    #[arg(long)]
    connections: Option<usize>,
    /// The certificates (PEM) that vouch for an https target.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Digest neither bodies nor answers: cheaper, and altered bytes are not found.
    #[arg(long)]
    no_digest: bool,
    /// A rule, repeatable: stateless=CLOUDS, stateful=CLOUDS, creates=stateful.
    #[arg(long = "rule", value_name = "RULE")]
    rules: Vec<String>,
    /// Where the fake azure listens, without --config.
    #[arg(long, default_value = "127.0.0.1:9001")]
    azure_listen: SocketAddr,
    /// Where the fake aws listens, without --config.
    #[arg(long, default_value = "127.0.0.1:9002")]
    aws_listen: SocketAddr,
    /// Where the fake openai listens, without --config.
    #[arg(long, default_value = "127.0.0.1:9003")]
    openai_listen: SocketAddr,
    /// The key of all clouds. Without --config the default is `fake-cloud-key`, with it what the configuration refers to.
    #[arg(long)]
    cloud_credential: Option<String>,
    /// Azure's deployments, without --config.
    #[arg(long, value_delimiter = ',', default_value = "gpt-5.5,gpt55-prod,text-embedding-3-small")]
    azure_models: Vec<String>,
    /// Bedrock's models, without --config.
    #[arg(long, value_delimiter = ',', default_value = "openai.gpt-5.5")]
    aws_models: Vec<String>,
    /// The vendor's models, without --config.
    #[arg(long, value_delimiter = ',', default_value = "gpt-5.5,text-embedding-3-small")]
    openai_models: Vec<String>,
    /// Pause between the chunks of a stream for which the mix says nothing, in milliseconds.
    #[arg(long, default_value_t = 0)]
    pace_ms: u64,
    /// Pieces of text in a stream for which the mix says nothing.
    #[arg(long, default_value_t = 8)]
    chunks: usize,
    /// How long to wait for the target to accept connections.
    #[arg(long, default_value_t = 10.0)]
    wait_seconds: f64,
    /// Write the report here as JSON too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the report here as one self-contained HTML page.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

impl Drive {
    /// Whether all was well.
    pub(crate) async fn execute(self) -> Result<bool, String> {
        let config = self.config.as_ref().map(read).transpose()?;
        // What the contract includes is named relative to the configuration.
        let folder = self.config.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
        let rules = match &config {
            Some(text) => Rules::from_config(text, |name| read(&folder.join(name)))?,
            None => Rules::parse(self.rules.iter().map(String::as_str))?,
        };
        let mut running = Vec::new();
        for mut spec in self.specs(config.as_deref())? {
            spec = spec.streaming(self.chunks, Duration::from_millis(self.pace_ms));
            spec.seen_max = usize::MAX; // the oracle needs them all
            spec.digest = !self.no_digest;
            running.push(start(spec).await?);
        }
        wait_for(&self.target, seconds(self.wait_seconds)?).await?;
        let mut show = Show::default();
        let run = drive::run(self.plan()?, |progress| {
            // What the clouds count is live too: a foreign handle is a misplaced continuation.
            let counts = running.iter().map(FakeCloud::counts);
            let misplaced: u64 = counts.map(|counts| counts.foreign_handle + counts.stray_credentials).sum();
            show.tell(progress, misplaced);
        })
        .await?;
        show.end();
        let clean = self.report(&rules, &run, &running)?;
        for cloud in running {
            cloud.stop().await;
        }
        Ok(clean)
    }

    fn specs(&self, config: Option<&str>) -> Result<Vec<CloudSpec>, String> {
        if let Some(text) = config {
            return stage::specs(text, self.cloud_credential.as_deref());
        }
        let credential = self.cloud_credential.as_deref().unwrap_or("fake-cloud-key");
        let clouds = [
            (Kind::Azure, "azure-fake", self.azure_listen, &self.azure_models),
            (Kind::Bedrock, "aws-fake", self.aws_listen, &self.aws_models),
            (Kind::OpenAi, "openai-fake", self.openai_listen, &self.openai_models),
        ];
        let spec = |(kind, name, listen, models): (Kind, &str, SocketAddr, &Vec<String>)| {
            CloudSpec::new(kind, name).listen(listen).models(models.iter().cloned()).credential(credential)
        };
        Ok(clouds.into_iter().map(spec).collect())
    }

    fn plan(&self) -> Result<Plan, String> {
        let mut plan = Plan::new(&self.target, self.rate, seconds(self.seconds)?);
        plan.seed = self.seed;
        plan.mix = self.mix.clone().unwrap_or_default();
        plan.turns = self.turns;
        plan.padding_bytes = self.padding_bytes;
        plan.outstanding_max = self.outstanding_max;
        plan.within = seconds(self.within_seconds)?;
        plan.model.clone_from(&self.model);
        plan.credential = self.credential.resolve()?;
        plan.http = match self.http {
            HttpName::One => Http::One,
            HttpName::Two => Http::Two,
            HttpName::Alpn => Http::ByAlpn,
        };
        plan.connections = self.connections;
        plan.ca_pem = self.ca.as_ref().map(read).transpose()?;
        plan.digest = !self.no_digest;
        Ok(plan)
    }

    fn report(&self, rules: &Rules, run: &drive::Run, running: &[FakeCloud]) -> Result<bool, String> {
        let sights: Vec<Sight> = running.iter().map(Sight::from).collect();
        let findings = oracle::judge(rules, run, &sights);
        let (clean, excused) = (findings.is_clean(), findings.excused);
        let report = Report::new(rules, run, &sights, findings);
        println!("{report}");
        println!("{:<24} {excused:>9}", "excused");
        let own_us = u64::try_from(run.own_cpu.as_micros()).unwrap_or(u64::MAX);
        let each_us = own_us / u64::try_from(run.samples.len()).unwrap_or(u64::MAX).max(1);
        println!(
            "own CPU time {:.2} s, {each_us} us a request, the fake clouds included",
            run.own_cpu.as_secs_f64()
        );
        if let Some(path) = &self.report {
            super::compare::write(path, &riparian_loadtest::html::run(&report))?;
        }
        if let Some(path) = &self.json {
            let mut json = report.json();
            json["excused"] = excused.into();
            json["own_cpu_us"] = own_us.into();
            std::fs::write(path, format!("{json:#}\n"))
                .map_err(|error| format!("{}: {error}", path.display()))?;
        }
        if run.samples.is_empty() {
            return Err("nothing was sent: nothing is known".to_owned());
        }
        Ok(clean)
    }
}

pub(super) fn seconds(seconds: f64) -> Result<Duration, String> {
    Duration::try_from_secs_f64(seconds).map_err(|error| format!("{seconds} seconds: {error}"))
}

pub(super) fn read(path: &PathBuf) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// Waits until the target accepts connections. It sends nothing, so that nothing unexplained reaches a cloud.
pub(super) async fn wait_for(target: &str, within: Duration) -> Result<(), String> {
    let uri: http::Uri = target.parse().map_err(|error| format!("{target:?} is no URL: {error}"))?;
    let host = uri.host().ok_or_else(|| format!("{target:?} names no host"))?;
    let port = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    let address = format!("{host}:{}", uri.port_u16().unwrap_or(port));
    let deadline = Instant::now() + within;
    loop {
        match tokio::net::TcpStream::connect(&address).await {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() >= deadline => return Err(format!("{address}: {error}")),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}
