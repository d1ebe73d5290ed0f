//! A process that ends with us: on drop, on a panic (which drops), and when a signal says stop ([`kill_all`]). Each leads a
//! process group of its own, so that its workers end too: nginx's outlive a master that is killed.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process_group, setrlimit};

use super::tree::Tree;

/// The groups that run now.
static RUNNING: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// Set once nothing more is to be started.
static STOPPED: AtomicBool = AtomicBool::new(false);

/// Whether [`kill_all`] was called.
pub(crate) fn is_stopped() -> bool {
    STOPPED.load(Ordering::SeqCst)
}

/// Ends every child of this process that was started here, and lets no other start: a comparison that runs then ends soon.
pub fn kill_all() {
    STOPPED.store(true, Ordering::SeqCst);
    for group in RUNNING.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        let _ = kill_process_group(*group, Signal::KILL); // gone already: as it should be
    }
}

/// Raises the soft limit of open files to the hard one, for us and every child; the limit that holds then.
pub(crate) fn raise_files() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let limit = if raised.is_ok() { maximum } else { current };
    limit.unwrap_or(1 << 20) // none: "infinity"
}

/// One running process and its workers.
#[derive(Debug)]
pub(crate) struct Child {
    name: String,
    process: std::process::Child,
    group: Pid,
    errors: PathBuf,
}

impl Child {
    /// Starts it; what it prints goes to a file in `dir`.
    pub(crate) fn spawn(name: &str, program: &Path, args: &[String], dir: &Path) -> Result<Child, String> {
        if is_stopped() {
            return Err(format!("{name}: not started, since all is to stop"));
        }
        let errors = dir.join(format!("{name}.err"));
        let start = || {
            let output = File::create(&errors)?;
            Command::new(program)
                .args(args)
                .current_dir(dir)
                .stdin(Stdio::null())
                .stdout(output.try_clone()?)
                .stderr(output)
                .process_group(0)
                .spawn()
        };
        let process = start().map_err(|error| format!("{name}: {}: {error}", program.display()))?;
        let pid = i32::try_from(process.id()).ok().and_then(Pid::from_raw);
        let group = pid.ok_or_else(|| format!("{name}: a process without a number"))?;
        RUNNING.lock().unwrap_or_else(PoisonError::into_inner).push(group);
        if is_stopped() {
            let _ = kill_process_group(group, Signal::KILL); // the stop came in between
        }
        Ok(Child { name: name.to_owned(), process, group, errors })
    }

    pub(crate) fn tree(&self) -> Tree {
        Tree::of(self.process.id())
    }

    /// Asks it to end, and waits for that; false if it does not within this long.
    pub(crate) fn terminate(&mut self, within: std::time::Duration) -> bool {
        let _ = kill_process_group(self.group, Signal::TERM); // gone already: as it should be
        let end = std::time::Instant::now() + within;
        while std::time::Instant::now() < end {
            if !matches!(self.process.try_wait(), Ok(None)) {
                return true;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        false
    }

    /// # Errors
    /// It has ended: with what it said.
    pub(crate) fn check(&mut self) -> Result<(), String> {
        match self.process.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(format!("{} ended ({status})\n{}", self.name, self.said())),
            Err(error) => Err(format!("{}: {error}", self.name)),
        }
    }

    /// The end of what it printed.
    pub(crate) fn said(&self) -> String {
        const TAIL_BYTES: u64 = 4096;
        let read = || {
            let mut file = File::open(&self.errors)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
            let mut tail = Vec::new();
            file.read_to_end(&mut tail)?;
            Ok(String::from_utf8_lossy(&tail).into_owned())
        };
        read().unwrap_or_else(|error: std::io::Error| error.to_string())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = kill_process_group(self.group, Signal::KILL); // gone already: as it should be
        let _ = self.process.wait();
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|group| *group != self.group);
        let _ = fs::remove_file(&self.errors); // the directory goes too
    }
}

/// A port that was free a moment ago.
pub(crate) fn free_address() -> Result<SocketAddr, String> {
    let probe =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| format!("no free port: {error}"))?;
    probe.local_addr().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_end_with_their_parent() {
        let dir = tempfile::tempdir().expect("a directory");
        let args = ["-c".to_owned(), "sleep 600 & sleep 600 & echo ready; wait".to_owned()];
        let mut child = Child::spawn("sh", Path::new("/bin/sh"), &args, dir.path()).expect("a shell");
        while !child.said().contains("ready") {
            std::thread::yield_now();
        }
        child.check().expect("it runs");
        let group = child.group;
        assert!(child.tree().memory().expect("it runs").rss_kb > 0);
        drop(child);
        // The workers are reaped by init; until then they are zombies, which a signal still reaches.
        let gone = (0..200).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            rustix::process::test_kill_process_group(group).is_err()
        });
        assert!(gone, "a worker outlived its parent");
    }

    #[test]
    fn what_a_process_said_before_it_ended_is_told() {
        let dir = tempfile::tempdir().expect("a directory");
        let args = ["-c".to_owned(), "echo no such directive >&2; exit 3".to_owned()];
        let mut child = Child::spawn("peer", Path::new("/bin/sh"), &args, dir.path()).expect("a shell");
        let said = loop {
            if let Err(said) = child.check() {
                break said;
            }
            std::thread::yield_now();
        };
        assert!(said.contains("no such directive") && said.contains('3'), "{said}");
    }
}
