//! State under trouble: clients of several tenants hold conversations in every family, moving between two replicas from turn
//! to turn, while replicas are restarted and killed and endpoints fail. Judged by what the clouds saw together
//! ([`crate::Fleet`]) and by what the clients were told.
//!
//! Three things must be nothing: handles that reached a cloud which does not own them, handles of one tenant in another's
//! hands, and live handles that could not be used once the trouble was over. Refusals meanwhile are no findings; they are
//! counted by their reason.

mod client;
mod config;
mod exchange;
mod replica;
mod report;
mod stage;
mod story;
mod tally;
mod trouble;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::cloud::Family;
use crate::drive::Dice;
use client::{Actor, World};
use stage::Stage;

pub use report::StateReport;

/// What to do. Start from [`StatePlan::new`].
#[derive(Clone, Debug)]
pub struct StatePlan {
    /// Requests in all, retries and thefts among them. Default 100,000.
    pub requests: u64,
    /// The same seed gives the same stories; what is interleaved with what is the machine's.
    pub seed: u64,
    /// Clients that are at it at the same time. Default 48.
    pub clients: usize,
    /// The proxy's binary; none: the clients go straight to the clouds, to one of the right family at random, so that the judge
    /// is seen to find what it must.
    pub riparian: Option<PathBuf>,
    /// The server in which the replicas share their pins. Default `redis-server`.
    pub redis: PathBuf,
    /// The replicas share nothing but secrets (`store: sealed`), and there is no server. Leave out the families whose clients invent
    /// sessions, which that store refuses. Default no.
    pub sealed: bool,
    /// Families that are told stories of. Default: all.
    pub families: Vec<Family>,
    /// Clouds that there are, of at most three. Default: 3. With one, nothing can be misplaced: the check that the clients find
    /// nothing where nothing is.
    pub parties: usize,
    /// Whether tenants try each other's handles. Default yes.
    pub thefts: bool,
    /// Whether tenants also invent the names of each other's sessions. Default no: under the proxy's one account a cloud cannot
    /// tell the two apart, so that whoever guesses a name and is led to the same cloud is in the session, unless the proxy
    /// knows better. Names here are not guessed but known, which is more than a stranger has.
    pub shared_names: bool,
    /// Whether there are sockets among the stories. Default yes.
    pub sockets: bool,
    /// Whether replicas are restarted and endpoints fail. Default yes.
    pub trouble: bool,
    /// How long the replicas wait for the store (`sessions.pins.redis.within`). Default 250 ms, not the product's 50 ms: here the
    /// store, both replicas, 24 clouds and all clients share the cores, and a store that is late is another test.
    pub pins_within: Duration,
    /// How long a client goes on trying a step that is refused for a passing reason. Default 30 s.
    pub patience: Duration,
    /// Where the processes' files go; removed at the end unless something was found. Default: a temporary directory.
    pub keep: bool,
}

impl StatePlan {
    /// A plan with every default; `riparian` is the proxy's binary.
    pub fn new(riparian: Option<PathBuf>) -> StatePlan {
        StatePlan {
            requests: 100_000,
            seed: 1,
            clients: 48,
            riparian,
            redis: PathBuf::from("redis-server"),
            sealed: false,
            families: Family::ALL.to_vec(),
            parties: 3,
            thefts: true,
            shared_names: false,
            sockets: true,
            trouble: true,
            pins_within: Duration::from_millis(250),
            patience: Duration::from_secs(30),
            keep: false,
        }
    }
}

/// Runs it.
///
/// # Errors
/// Something could not be started: the message names it, with what it said.
pub async fn run(plan: &StatePlan, mut tell: impl FnMut(&str)) -> Result<StateReport, String> {
    let stage = Stage::set(plan).await?;
    let world = Arc::new(World::new(plan, &stage));
    let begun = Instant::now();
    let over = Arc::new(AtomicBool::new(false));
    let trouble = (plan.trouble && plan.riparian.is_some()).then(|| {
        tokio::spawn(trouble::make(
            Arc::clone(&stage.clouds),
            stage.replicas.clone(),
            Arc::clone(&world.tally),
            Dice::new(plan.seed ^ 0x7e0b1e),
            Arc::clone(&over),
        ))
    });
    let mut actors = JoinSet::new();
    for number in 0..plan.clients.max(1) {
        let actor = Actor::new(Arc::clone(&world), plan.seed, number as u64);
        actors.spawn(story::tell(actor));
    }
    let mut ticks = tokio::time::interval(Duration::from_secs(5));
    let mut failed = None;
    loop {
        tokio::select! {
            ended = actors.join_next() => match ended {
                None => break,
                Some(Ok(())) => {}
                Some(Err(error)) => failed = Some(format!("a client ended early: {error}")),
            },
            _ = ticks.tick() => tell(&world.tally.line(begun.elapsed(), &stage.fleet.counts())),
        }
    }
    over.store(true, Ordering::SeqCst);
    let elapsed = begun.elapsed();
    if let Some(trouble) = trouble {
        trouble.await.map_err(|error| error.to_string())??;
    }
    if let Some(failed) = failed {
        return Err(failed);
    }
    Ok(stage.strike(plan, &world.tally, elapsed).await)
}
