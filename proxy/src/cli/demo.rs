//! `riparian demo`: three fake clouds, the proxy with the shipped example configuration, a few seconds of mixed traffic, and what
//! came of it, counted where it arrived; or a configuration of the user's own before the same clouds. Nothing leaves the machine.

mod clouds;
mod scenes;
mod show;

use super::Found;
use super::run::log_to_stderr;
use crate::credentials::Secrets;
use crate::proof::Proving;
use crate::server::{self, Running, StartFault, cores};
use clouds::Clouds;
use riparian_config::Store;
use riparian_loadtest::{Mix, Plan, Report, Rules, drive, oracle};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The configuration that the demo runs, as it is shipped.
const CONFIG: &str = include_str!("../../../config/examples/demo.yaml");
const FILE: &str = "config/examples/demo.yaml";

/// What an application sends as its own key; the clouds never see it.
const APP_KEY: &str = "demo-app";

#[derive(Debug, clap::Args)]
pub(super) struct Demo {
    /// Seconds of traffic.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Requests a second; follow-up turns come on top.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=5000))]
    rate: u32,
    /// Stay up afterwards, so that you can point an SDK at it. Ctrl-C ends it.
    #[arg(long)]
    serve: bool,
    /// Serve this configuration before the fake clouds instead: config/examples/demo.yaml with changes of your own, its endpoints and
    /// their credentials left where they are. Nothing is played, and it stays up.
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["seconds", "rate", "serve"])]
    config: Option<PathBuf>,
    /// Serve it although `riparian prove` finds fault with its contract.
    #[arg(long, requires = "config")]
    even_if_unproved: bool,
}

impl Demo {
    pub(super) fn run(mut self) -> Found {
        log_to_stderr();
        let own = match self.config.take().map(|path| (server::read(&path), path)) {
            Some((Ok(text), path)) => Some((text, path)),
            Some((Err(fault), _)) => return Found::Usage(fault.to_string()),
            None => None,
        };
        let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return Found::Usage(format!("no runtime can be had: {error}")),
        };
        let done = runtime.block_on(async {
            match &own {
                Some((text, path)) => self.serve(text, path).await,
                None => self.play().await,
            }
        });
        match done {
            Ok(found) => found,
            Err(what) => {
                eprintln!("riparian demo: {what}");
                Found::Something
            }
        }
    }

    async fn play(self) -> Result<Found, String> {
        let clouds = Clouds::start().await.map_err(|error| format!("a fake cloud cannot start: {error}"))?;
        let running = start(&clouds, CONFIG, FILE, Proving::Required).await?;
        let target = format!("http://{}/v1", running.listeners[0].1);
        show::cast(&clouds, &running, FILE);
        show::contract();

        println!("\nTraffic, {} s at {} requests a second:", self.seconds, self.rate);
        let run = self.traffic(&target).await?;
        let rules = Rules::parse(["stateless=azure", "stateful=aws", "creates=stateful"])?;
        let sights = clouds.sights();
        let findings = oracle::judge(&rules, &run, &sights);
        let report = Report::new(&rules, &run, &sights, findings);
        let band = show::Band::of(&running.house.metrics.render());

        println!("\nWhat the contract does not allow, and what it does when a cloud is down:");
        let scenes = scenes::play(&clouds, &target).await?;
        scenes.iter().for_each(show::scene);

        let added = scenes::added_latency(&clouds, &target).await?;
        let elsewhere = clouds.forbidden();
        show::table(&report, &added, elsewhere, band);
        let fine =
            report.findings.is_clean() && elsewhere == 0 && scenes.iter().all(scenes::Scene::is_as_due);
        if self.serve {
            show::how_to(&target);
            interrupted().await;
        } else {
            show::invite();
        }
        clouds.stop().await;
        Ok(if fine { Found::Nothing } else { Found::Something })
    }

    /// A configuration of the user's own, until Ctrl-C.
    async fn serve(&self, text: &str, path: &Path) -> Result<Found, String> {
        let file = path.display().to_string();
        let loaded = match server::load(text, &file) {
            Ok(loaded) => loaded,
            Err(faults) => {
                eprint!("{faults}");
                return Ok(Found::Something);
            }
        };
        let clouds = Clouds::start().await.map_err(|error| format!("a fake cloud cannot start: {error}"))?;
        if let Some(endpoint) = clouds.elsewhere(&loaded.config) {
            return Err(format!(
                "{file}: endpoint `{}` is at {}, and the demo sends nothing to anything but its own fake clouds; leave `url` as it is in {FILE}, or use \
                 `riparian run`",
                endpoint.name,
                endpoint.url.authority(),
            ));
        }
        let proving = if self.even_if_unproved { Proving::Reported } else { Proving::Required };
        let running = start(&clouds, text, &file, proving).await?;
        show::cast(&clouds, &running, &file);
        show::how_to(&format!("http://{}/v1", running.listeners[0].1));
        interrupted().await;
        clouds.stop().await;
        Ok(Found::Nothing)
    }

    async fn traffic(&self, target: &str) -> Result<drive::Run, String> {
        let mut plan = Plan::new(target, f64::from(self.rate), Duration::from_secs(self.seconds));
        plan.credential = Some(APP_KEY.to_owned());
        plan.mix = "chat=4,chat-stream=3,embeddings=2,response=2,chain=1,chain-stream=1".parse::<Mix>()?;
        let live = std::io::stdout().is_terminal();
        let run = drive::run(plan, |progress| {
            let line = format!(
                "  {:>4.1} s   {:>5} sent   {:>5} answered   {} refused   {} failed",
                progress.elapsed.as_secs_f64(),
                progress.sent,
                progress.ended,
                progress.refused,
                progress.failed
            );
            if live {
                print!("\r{line}");
                // A terminal that went away shows nothing; the demo goes on.
                let _ = std::io::stdout().flush();
            } else {
                println!("{line}");
            }
        })
        .await?;
        if live {
            println!();
        }
        Ok(run)
    }
}

async fn interrupted() {
    // Without a signal handler there is nothing to wait for; then Ctrl-C ends the process anyway.
    let _ = tokio::signal::ctrl_c().await;
}

/// The proxy, on the ports of the shipped configuration if they are free, else on others.
async fn start(clouds: &Clouds, text: &str, file: &str, proving: Proving) -> Result<Running, String> {
    let text = clouds.place(text);
    let start = |text: String| async move {
        let secrets = Secrets::with_variables(clouds.keys());
        Running::start_keeping(&text, file, secrets, cores(), Store::Memory, proving).await
    };
    match start(text.clone()).await {
        Err(StartFault::Bind(_, address, error)) => {
            println!("{address} cannot be listened on ({error}), so the demo takes free ports.");
            let text = text.replace("127.0.0.1:8080", "127.0.0.1:0").replace("127.0.0.1:9901", "127.0.0.1:0");
            start(text).await
        }
        started => started,
    }
    .map_err(|fault| fault.to_string())
}
