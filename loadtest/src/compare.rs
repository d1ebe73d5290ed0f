//! The field, side by side: Riparian, nginx, `HAProxy`, Envoy and no proxy at all do the same work before the same canned cloud, in
//! turn, in rounds, on this machine. Each is a process (tree) of its own with two workers.
//!
//! The primary figure is the CPU time that a proxy's process tree uses for a request (`/proc`); on a machine that client,
//! cloud and proxy share it says more than a rate does, and holds better against noise. Absolute figures are this machine's;
//! ratios taken in one run are what travels.
//!
//! Every answer is compared with the only right one: a proxy cannot look fast because it failed. The canned cloud
//! ([`canned`]) insists on its key, its model and a whole body. What is *not* judged here is where requests may go: that is
//! the oracle's, in `run`.

pub mod canned;
pub(crate) mod child;
mod config;
mod curve;
mod fit;
mod growth;
mod hold;
mod load;
mod matter;
mod measure;
pub mod model;
mod peer;
mod reply;
pub(crate) mod table;
pub mod tree;
pub mod verdict;
mod wire;
mod work;

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use child::kill_all;
pub use curve::Curve;
pub use model::Comparison;
pub use peer::{Other, Peer};
pub(crate) use table::number;
pub use work::Work;

use child::Child;
use config::Scale;
use measure::Round;
use model::{Entrant, Missing, PeerResult, WorkResult};
use peer::{Program, Running};
use tree::Tree;

/// What to compare, and how long.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Who takes part, in the order of the tables. Without [`Peer::Straight`] no latency is told as added.
    pub peers: Vec<Peer>,
    /// What they do.
    pub works: Vec<Work>,
    /// How often each work is done by each peer. Default 3.
    pub rounds: u32,
    /// How long each measurement is. Default 5 s.
    pub duration: Duration,
    /// Levels of open streams. Default 100, 1,000, 3,000 and 9,000; those that the limit of open files (two a stream in a
    /// proxy) does not allow are left out, and said so.
    pub streams: Vec<u64>,
    /// The proxy's program.
    pub riparian: PathBuf,
    /// The load test's own program, for the canned cloud; `None`: the cloud is a thread of this process.
    pub own: Option<PathBuf>,
    /// Where the canned cloud listens. Default a free port.
    pub cloud: Option<SocketAddr>,
}

impl Plan {
    /// Everything, by everybody who is installed.
    pub fn new(riparian: impl Into<PathBuf>) -> Plan {
        Plan {
            peers: vec![Peer::Riparian, Peer::Nginx, Peer::Haproxy, Peer::Envoy, Peer::Straight],
            works: Work::ALL.into_iter().filter(|work| *work != Work::Growth).collect(),
            rounds: 3,
            duration: Duration::from_secs(5),
            streams: vec![100, 1_000, 3_000, 9_000],
            riparian: riparian.into(),
            own: std::env::current_exe().ok(),
            cloud: None,
        }
    }
}

/// Compares. `progress` is told each step in a line. Blocks for as long as it takes: rounds times peers times works times the
/// duration, and some.
///
/// # Errors
/// Nothing could be measured: Riparian is to take part and is not there, the canned cloud does not start, or [`kill_all`] was
/// called. A peer that is
/// not installed, does not start or answers wrongly is no error here: see [`Comparison::missing`] and
/// [`Comparison::faults`].
pub fn run(plan: &Plan, mut progress: impl FnMut(&str)) -> Result<Comparison, String> {
    let files = child::raise_files();
    let mut field = Field::assemble(plan, files, &mut progress)?;
    for work in &plan.works {
        if child::is_stopped() {
            return Err("stopped".to_owned());
        }
        match work {
            Work::Growth => growth::run(plan, &mut field, &mut progress),
            _ => field.perform(*work, plan, &mut progress),
        }
    }
    let mut found = field.found;
    found.verdicts = verdict::judge(&found);
    Ok(found)
}

/// Open files that are enough for every work but open streams. Some peers set aside memory for each that they may have, which
/// would count against them where they rest.
const FEW: u64 = 4096;

/// The canned cloud starts within this, or never.
const CLOUD_WITHIN: Duration = Duration::from_secs(10);

/// Everything that runs, and what was found so far.
struct Field {
    cloud: Cloud,
    files: u64,
    entrants: Vec<(Peer, Option<Program>)>,
    running: Vec<Running>,
    found: Comparison,
}

/// The canned cloud: a process, or a thread of this one.
struct Cloud {
    address: SocketAddr,
    tree: Option<Tree>,
    child: Option<Child>,
    _dir: Option<tempfile::TempDir>,
}

impl Cloud {
    fn start(own: Option<&Path>, listen: Option<SocketAddr>) -> Result<Cloud, String> {
        let named = |error: &dyn std::fmt::Display| format!("the canned cloud: {error}");
        let address = listen.map_or_else(child::free_address, Ok)?;
        let mut cloud = Cloud { address, tree: None, child: None, _dir: None };
        match own {
            Some(program) => {
                let dir = tempfile::tempdir().map_err(|error| named(&error))?;
                let args = ["canned", "--listen", &address.to_string()].map(str::to_owned);
                let child = Child::spawn("canned", program, &args, dir.path())?;
                cloud.tree = Some(child.tree());
                (cloud.child, cloud._dir) = (Some(child), Some(dir));
            }
            None => {
                std::thread::spawn(move || canned::run(address)); // where it fails, nobody can connect
            }
        }
        let start = Instant::now();
        while let Err(error) = TcpStream::connect(address) {
            cloud.child.as_mut().map_or(Ok(()), Child::check)?;
            if start.elapsed() > CLOUD_WITHIN {
                return Err(named(&error));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(cloud)
    }
}

impl Field {
    fn assemble(plan: &Plan, files: u64, progress: &mut impl FnMut(&str)) -> Result<Field, String> {
        let mut found = Comparison {
            format: 1,
            machine: measure::machine(),
            seconds: plan.duration.as_secs_f64(),
            rounds: plan.rounds.max(1),
            ..Comparison::default()
        };
        let mut entrants = Vec::new();
        for peer in &plan.peers {
            let program = peer.program(&plan.riparian);
            let is_there = program.is_some() || matches!(peer, Peer::Straight | Peer::Other(_));
            if is_there {
                let version = program.as_ref().map(|program| program.version.clone()).unwrap_or_default();
                let is_gateway = matches!(peer, Peer::Other(other) if other.is_gateway);
                found.peers.push(Entrant { name: peer.name().to_owned(), version, is_gateway });
                entrants.push((peer.clone(), program));
            } else if *peer == Peer::Riparian {
                return Err(format!("no program at {}: {}", plan.riparian.display(), peer.install()));
            } else {
                let (name, install) = (peer.name().to_owned(), peer.install().to_owned());
                progress(&format!("{name} is not installed: {install}"));
                found.missing.push(Missing { name, install });
            }
        }
        let cloud = Cloud::start(plan.own.as_deref(), plan.cloud)?;
        let mut field = Field { cloud, files, entrants, running: Vec::new(), found };
        if plan.works.iter().any(|work| !matches!(work, Work::Streams | Work::Idle | Work::Growth)) {
            for (peer, program) in field.entrants.clone() {
                match field.start(&peer, program.as_ref(), FEW) {
                    Ok(running) => field.running.push(running),
                    Err(why) => field.fault(why, progress),
                }
            }
        }
        Ok(field)
    }

    fn start(&self, peer: &Peer, program: Option<&Program>, files: u64) -> Result<Running, String> {
        Running::start(peer, program, self.cloud.address, Scale::default(), self.files.min(files))
    }

    fn fault(&mut self, why: String, progress: &mut impl FnMut(&str)) {
        progress(&format!("FAULT {why}"));
        self.found.faults.push(why);
    }

    /// One work, by everybody, in rounds. Who fails is out of this work, and named.
    fn perform(&mut self, work: Work, plan: &Plan, progress: &mut impl FnMut(&str)) {
        let names: Vec<String> = self.entrants.iter().map(|(peer, _)| peer.name().to_owned()).collect();
        let mut rounds: Vec<Vec<Round>> = names.iter().map(|_| Vec::new()).collect();
        let mut out: Vec<bool> = names.iter().map(|_| false).collect();
        // Memory repeats itself to the page: one round of many streams says all.
        let count = if work == Work::Streams { 1 } else { plan.rounds.max(1) };
        for round in 0..count {
            for turn in 0..names.len() {
                // Each round begins with another peer, so that nobody always comes after the same one.
                let at = (turn + round as usize) % names.len();
                if out[at] || child::is_stopped() {
                    continue;
                }
                progress(&format!("{} round {} of {count}: {}", work.name(), round + 1, names[at]));
                match self.measure(at, work, plan) {
                    Ok(Some(measured)) => rounds[at].push(measured),
                    Ok(None) => {}
                    Err(why) => {
                        out[at] = true;
                        self.fault(format!("{}: {why}", work.name()), progress);
                    }
                }
            }
        }
        let straight = self.entrants.iter().position(|(peer, _)| *peer == Peer::Straight);
        if let (Some(straight), true) = (straight, work.is_paced()) {
            let base = rounds[straight].clone();
            for rounds in &mut rounds {
                rounds.iter_mut().zip(&base).for_each(|(round, base)| round.subtract(base));
            }
        }
        let peers = names.into_iter().zip(rounds).zip(out);
        let peers = peers.filter(|((_, rounds), out)| !out && !rounds.is_empty());
        let peers: Vec<PeerResult> =
            peers.map(|((peer, rounds), _)| measure::sum_up(peer, &rounds)).collect();
        self.found.works.push(WorkResult {
            work: work.name().to_owned(),
            title: work.title().to_owned(),
            peers,
        });
    }

    /// `None`: this work says nothing of this peer, or it did not start.
    fn measure(&mut self, at: usize, work: Work, plan: &Plan) -> Result<Option<Round>, String> {
        let (peer, program) = self.entrants[at].clone();
        let is_ours = !matches!(peer, Peer::Straight | Peer::Other(_));
        match work {
            Work::Idle if is_ours => {
                let running = self.start(&peer, program.as_ref(), FEW)?;
                measure::idle(&running).map(Some)
            }
            Work::Streams if is_ours => {
                let mut running = self.start(&peer, program.as_ref(), u64::MAX)?;
                let levels: Vec<u64> =
                    plan.streams.iter().copied().filter(|&level| self.fits(level)).collect();
                let duration = plan.duration.min(Duration::from_secs(3));
                measure::streams(&running, &levels, duration).map(Some).map_err(|why| running.blame(&why))
            }
            Work::Idle | Work::Streams => Ok(None),
            _ => {
                let cloud = self.cloud.tree;
                let Some(running) = self.running.iter_mut().find(|running| running.peer == peer) else {
                    return Ok(None); // its fault was told when it did not start
                };
                measure::once(running, work, plan.duration, cloud)
                    .map(Some)
                    .map_err(|why| running.blame(&why))
            }
        }
    }

    /// A proxy has two files open for each stream.
    fn fits(&self, streams: u64) -> bool {
        streams * 2 + 200 <= self.files
    }
}
