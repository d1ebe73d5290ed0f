//! Everything that a run needs: the clouds, the store that the replicas share, the replicas; and the judgement at the end.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::StatePlan;
use super::config;
use super::replica::Replica;
use super::report::StateReport;
use super::tally::Tally;
use crate::cloud::{CloudSpec, FakeCloud, Family, Fleet, Kind};
use crate::compare::child::{Child, free_address};

/// How long the store may take until it answers.
const STORE_WITHIN: Duration = Duration::from_secs(10);
/// The key of every cloud when there is no proxy that would know each one's.
const ONE_KEY: &str = "one-key-for-all-clouds";

pub(super) struct Stage {
    pub(super) fleet: Arc<Fleet>,
    pub(super) clouds: Arc<Vec<FakeCloud>>,
    pub(super) replicas: Vec<Replica>,
    /// Kept while the replicas need it.
    _store: Option<Child>,
    dir: TempDir,
}

impl Stage {
    pub(super) async fn set(plan: &StatePlan) -> Result<Stage, String> {
        let fleet = Arc::new(Fleet::default());
        let mut clouds = Vec::new();
        let parties = [
            ("azure", Kind::Azure, "eu-west-1"),
            ("aws", Kind::Bedrock, "us-east-1"),
            ("openai", Kind::OpenAi, "us-west-2"),
        ];
        for (party, kind, region) in parties.into_iter().take(plan.parties) {
            for &family in &plan.families {
                let kind = if plan.riparian.is_some() { kind } else { Kind::OpenAi };
                let mut spec = CloudSpec::new(kind, format!("{party}-{}", family.name()));
                if family != Family::OpenAi {
                    spec = spec.speaking([family]);
                }
                if family == Family::OpenAi && kind != Kind::Bedrock {
                    spec.models.push("gpt-realtime".to_owned());
                }
                if plan.riparian.is_none() {
                    spec.models = spec.models.iter().map(|model| model.replace("openai.", "")).collect();
                    spec.credential = ONE_KEY.to_owned();
                }
                party.clone_into(&mut spec.cloud);
                region.clone_into(&mut spec.region);
                spec.stored_max = usize::try_from(plan.requests).unwrap_or(usize::MAX).max(20_000);
                spec.seen_max = 20_000;
                let spec = spec.fleet(&fleet);
                let name = spec.name.clone();
                clouds.push(FakeCloud::start(spec).await.map_err(|error| format!("{name}: {error}"))?);
            }
        }
        let dir = tempfile::tempdir().map_err(|error| format!("no temporary directory: {error}"))?;
        let (mut store, mut replicas) = (None, Vec::new());
        if let Some(riparian) = &plan.riparian {
            let riparian =
                riparian.canonicalize().map_err(|error| format!("{}: {error}", riparian.display()))?;
            config::secrets(&clouds, dir.path())?;
            let mut redis = None;
            if !plan.sealed {
                let listen = free_address()?;
                store = Some(start_store(&plan.redis, listen, dir.path()).await?);
                redis = Some(listen);
            }
            for name in ["replica-1", "replica-2"] {
                let (listen, admin) = (free_address()?, free_address()?);
                let replica = Replica::new(name, listen, admin, riparian.clone(), dir.path().to_owned());
                let text = config::text(listen, admin, redis, &clouds, plan.pins_within, dir.path());
                let path = replica.config();
                std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
                replica.start().await?;
                replicas.push(replica);
            }
        }
        Ok(Stage { fleet, clouds: Arc::new(clouds), replicas, _store: store, dir })
    }

    /// Where clients may send a request of this family, and with whose key if the clouds are to see it themselves.
    pub(super) fn targets(&self, family: Family) -> Vec<SocketAddr> {
        if !self.replicas.is_empty() {
            return self.replicas.iter().map(|replica| replica.listen).collect();
        }
        let speaks = |cloud: &&FakeCloud| cloud.spec().speaks.contains(&family);
        self.clouds.iter().filter(speaks).map(FakeCloud::addr).collect()
    }

    /// The key that everybody uses where there is no proxy.
    pub(super) fn one_key(&self) -> Option<&'static str> {
        self.replicas.is_empty().then_some(ONE_KEY)
    }

    /// Ends everything and judges.
    pub(super) async fn strike(self, plan: &StatePlan, tally: &Tally, elapsed: Duration) -> StateReport {
        let report = StateReport::new(plan, &self.fleet, &self.clouds, &tally.snapshot(), elapsed);
        for replica in &self.replicas {
            let _ = replica.end(false).await; // it is judged already
        }
        if plan.keep {
            // The directory stays, and so do the configurations in it.
            eprintln!("kept {}", self.dir.keep().display());
        }
        report
    }
}

/// A Redis of our own: nothing on disk, nothing but loopback.
async fn start_store(program: &Path, listen: SocketAddr, dir: &Path) -> Result<Child, String> {
    let args = [
        "--port",
        &listen.port().to_string(),
        "--bind",
        &listen.ip().to_string(),
        "--save",
        "",
        "--appendonly",
        "no",
    ];
    let args = args.map(str::to_owned);
    let mut store = Child::spawn("redis", program, &args, dir)?;
    let end = Instant::now() + STORE_WITHIN;
    while tokio::net::TcpStream::connect(listen).await.is_err() {
        store.check()?;
        if Instant::now() > end {
            return Err(format!("{} does not listen within {STORE_WITHIN:?}", program.display()));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(store)
}
