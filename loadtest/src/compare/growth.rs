//! What grows with what: Riparian alone, the CPU time of a request against one thing at a time.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use super::config::Scale;
use super::hold::Hold;
use super::load::{self, Closed, Shot};
use super::matter;
use super::measure::{cost, target};
use super::model::Growth;
use super::peer::{Peer, Program, Running};
use super::reply::Expect;
use super::work::Target;
use super::{Field, Plan};

/// Times are in microseconds of CPU a request.
const Y: &str = "CPU us a request";
/// Each point is measured for no longer.
const POINT_MAX: Duration = Duration::from_secs(2);

pub(super) fn run(plan: &Plan, field: &mut Field, progress: &mut impl FnMut(&str)) {
    let entrant = field.entrants.iter().find(|(peer, _)| *peer == Peer::Riparian);
    let Some((_, Some(program))) = entrant.cloned() else {
        field.fault("growth: Riparian does not take part".to_owned(), progress);
        return;
    };
    let bench = Bench {
        program,
        cloud: field.cloud.address,
        files: field.files,
        duration: plan.duration.min(POINT_MAX),
    };
    for line in LINES.iter().filter(|_| !super::child::is_stopped()) {
        let x = line.x;
        progress(&format!("growth: {x}"));
        let is_streams = line.name == "streams";
        let at = line.at.iter().copied().filter(|&at| !is_streams || field.fits(whole(at) as u64));
        match (line.measure)(&bench, &at.collect::<Vec<f64>>()) {
            Err(why) => field.fault(format!("growth: {x}: {why}"), progress),
            Ok(points) => {
                let note = super::fit::note(&points, x);
                let [name, title, x, y] = [line.name, line.title, x, Y].map(str::to_owned);
                field.found.growth.push(Growth { name, title, x, y, points, note });
            }
        }
    }
}

/// One line of growth.
struct Line {
    name: &'static str,
    title: &'static str,
    /// What x counts.
    x: &'static str,
    measure: fn(&Bench, &[f64]) -> Points,
    /// Where.
    at: &'static [f64],
}

const LINES: [Line; 7] = [
    Line {
        name: "body",
        title: "Cost against body size",
        x: "KB of body",
        measure: bodies,
        at: &[1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 10240.0],
    },
    Line {
        name: "chunks",
        title: "Cost against chunks of an answer, written at once",
        x: "chunks",
        measure: chunks,
        at: &[10.0, 100.0, 1000.0, 10000.0],
    },
    Line {
        name: "streams",
        title: "Cost of a fresh request against open streams",
        x: "open streams",
        measure: streams,
        at: &[1.0, 100.0, 1000.0, 3000.0, 9000.0],
    },
    Line {
        name: "pins",
        title: "Cost of a continuing turn against pins held",
        x: "pins",
        measure: pins,
        at: &[100.0, 1000.0, 10000.0, 90_000.0],
    },
    Line {
        name: "terms",
        title: "Cost against terms of the contract",
        x: "terms",
        measure: terms,
        at: &[10.0, 30.0, 100.0, 300.0, 1000.0],
    },
    Line {
        name: "endpoints",
        title: "Cost against endpoints",
        x: "endpoints",
        measure: endpoints,
        at: &[3.0, 10.0, 30.0, 100.0, 300.0],
    },
    Line {
        name: "readings",
        title: "Cost against readings",
        x: "readings",
        measure: readings,
        at: &[1.0, 2.0, 4.0, 10.0],
    },
];

type Points = Result<Vec<(f64, f64)>, String>;

struct Bench {
    program: Program,
    cloud: SocketAddr,
    files: u64,
    duration: Duration,
}

impl Bench {
    fn start(&self, scale: Scale) -> Result<Running, String> {
        Running::start(&Peer::Riparian, Some(&self.program), self.cloud, scale, self.files)
    }

    /// A point for each, all before one proxy.
    fn points(&self, at: &[f64], mut load: impl FnMut(Target, f64) -> Result<Closed, String>) -> Points {
        let mut running = self.start(Scale::default())?;
        let target = target(&running);
        at.iter()
            .map(|&x| {
                let load = load(target, x)?;
                let y = cost(&running, load.start(), self.duration).map_err(|why| running.blame(&why))?;
                Ok((x, y))
            })
            .collect()
    }

    /// A point for each, with a proxy of its own.
    fn scaled(&self, at: &[f64], scale: impl Fn(usize) -> Scale) -> Points {
        at.iter()
            .map(|&x| {
                let mut running = self.start(scale(whole(x)))?;
                let load = target(&running).posts(1024, 16).start();
                let y = cost(&running, load, self.duration).map_err(|why| running.blame(&why))?;
                Ok((x, y))
            })
            .collect()
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the steps above: small whole numbers"
)]
fn whole(x: f64) -> usize {
    x as usize
}

fn bodies(bench: &Bench, at: &[f64]) -> Points {
    bench.points(at, |target, kb| Ok(target.posts(whole(kb) << 10, if kb > 512.0 { 4 } else { 16 })))
}

fn chunks(bench: &Bench, at: &[f64]) -> Points {
    bench.points(at, |target, chunks| Ok(target.burst(u32::try_from(whole(chunks)).unwrap_or(u32::MAX))))
}

fn streams(bench: &Bench, at: &[f64]) -> Points {
    let mut hold = None;
    bench.points(at, |target, streams| {
        let hold =
            hold.get_or_insert_with(|| Hold::start(target.stream(1_000, Duration::from_secs(60), false)));
        hold.raise_to(whole(streams) as u64)?;
        Ok(target.posts(1024, 16))
    })
}

fn pins(bench: &Bench, at: &[f64]) -> Points {
    let ids = Mutex::new(Vec::new());
    let born = |text: &[u8]| {
        let id = text.get(r#"{"id":""#.len()..).and_then(|rest| rest.split(|&byte| byte == b'"').next());
        let id = String::from_utf8_lossy(id.unwrap_or_default()).into_owned();
        ids.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(id);
    };
    bench.points(at, |target, pins| {
        let count = || ids.lock().unwrap_or_else(std::sync::PoisonError::into_inner).len();
        let create = Shot {
            address: target.address,
            requests: vec![matter::turn(None, target.accent)].into(),
            expect: Expect::Response,
        };
        load::all(&create, whole(pins).saturating_sub(count()) as u64, born)?;
        let ids = ids.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // Turns cite a thousand of them, spread over all.
        let cited = ids.iter().step_by(ids.len().div_ceil(1000).max(1));
        let requests: Vec<Vec<u8>> = cited.map(|id| matter::turn(Some(id), target.accent)).collect();
        let shot = Shot { requests: requests.into(), ..create };
        Ok(Closed { shot, connections: 16, stagger: Duration::ZERO })
    })
}

fn terms(bench: &Bench, at: &[f64]) -> Points {
    bench.scaled(at, |terms| Scale { terms, ..Scale::default() })
}

fn endpoints(bench: &Bench, at: &[f64]) -> Points {
    bench.scaled(at, |endpoints| Scale { endpoints, ..Scale::default() })
}

fn readings(bench: &Bench, at: &[f64]) -> Points {
    bench.scaled(at, |readings| Scale { readings, ..Scale::default() })
}
