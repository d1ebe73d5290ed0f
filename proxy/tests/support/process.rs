//! The program itself, run as a process.

use super::wire::SOON;
use std::io::{BufRead, BufReader, Read, Seek, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// The path of a shipped example.
pub fn example(name: &str) -> String {
    format!("{}/../config/examples/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A folder of one test's files.
pub struct Folder(pub tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Writes a file there, and returns its path.
    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

/// The program with these arguments.
pub fn riparian(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_riparian"));
    command.args(arguments).env_remove("RIPARIAN_LOG").stdin(Stdio::null());
    command
}

/// Runs it to its end: its exit code, standard output and standard error.
pub fn run(arguments: &[&str]) -> (i32, String, String) {
    told(&riparian(arguments).output().unwrap())
}

/// What an ended process said.
pub fn told(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().expect("not ended by a signal"), text(&output.stdout), text(&output.stderr))
}

/// `riparian run`, ended when it is dropped.
pub struct Process {
    child: Child,
    lines: Receiver<String>,
    /// What it said so far.
    pub said: Vec<String>,
}

impl Process {
    pub fn run(config: &Path) -> Self {
        Self::run_with(config, &[])
    }

    /// The same, with these arguments besides.
    pub fn run_with(config: &Path, more: &[&str]) -> Self {
        let arguments = [&["run", "-c", config.to_str().unwrap(), "--threads", "2"], more].concat();
        // Beside its configuration: what it keeps by default, it keeps where it runs.
        let mut command = riparian(&arguments);
        command.current_dir(config.parent().expect("a file is in a folder"));
        Self::start(command)
    }

    /// The same, by a command of its own.
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let errors = child.stderr.take().unwrap();
        Self::heard(child, errors)
    }

    /// The same, of a command that says on standard output what it does.
    pub fn showing(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let shown = child.stdout.take().unwrap();
        Self::heard(child, shown)
    }

    fn heard(child: Child, from: impl Read + Send + 'static) -> Self {
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            BufReader::new(from).lines().map_while(Result::ok).all(|line| sender.send(line).is_ok());
        });
        Self { child, lines, said: Vec::new() }
    }

    /// Waits for a line with this text, and returns it.
    pub fn says(&mut self, text: &str) -> String {
        let deadline = Instant::now() + SOON;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            let line = line.unwrap_or_else(|_| panic!("it does not say {text:?}, but {:#?}", self.said));
            self.said.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Waits until this listener is there, and returns its address.
    pub fn listens(&mut self, name: &str) -> SocketAddr {
        let line = self.says(&format!("listening listener={name} "));
        line.split("address=").nth(1).expect("a listener has an address").trim().parse().unwrap()
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal by name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success(), "signal {name}");
    }

    /// Waits until it has ended, however that was.
    pub fn wait(&mut self) {
        self.child.wait().unwrap();
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits until it has ended by itself.
    pub fn ends(&mut self, within: Duration) -> ExitStatus {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                self.said.extend(self.lines.iter());
                return status;
            }
            self.said.extend(self.lines.try_iter());
            assert!(
                Instant::now() < deadline,
                "it has not ended within {within:?}, but said {:#?}",
                self.said
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended long ago.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs it with this text on standard input.
pub fn run_with_input(arguments: &[&str], input: &[u8]) -> (i32, String, String) {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(input).unwrap();
    file.rewind().unwrap();
    told(&riparian(arguments).stdin(file).output().unwrap())
}
