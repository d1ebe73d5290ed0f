//! The verifier that is not ours: a Go program beside this file, with the packages of Debian's golang-golang-x-mod-dev.

#![allow(unreachable_pub, clippy::unwrap_used, reason = "a test file includes it")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Where Debian puts Go's libraries.
const GOPATH: &str = "/usr/share/gocode";

pub struct Verifier {
    program: PathBuf,
    _folder: TempDir,
}

impl Verifier {
    /// Builds it.
    pub fn build() -> Self {
        let folder = TempDir::new().unwrap();
        let program = folder.path().join("verifier");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/verifier/main.go");
        let built = Command::new("go")
            .args(["build", "-o"])
            .arg(&program)
            .arg(source)
            .env("GO111MODULE", "off")
            .env("GOPATH", GOPATH)
            .env("GOCACHE", folder.path().join("cache"))
            .output()
            .expect("the tests of the ledger need Go and its x/mod: apt-get install golang-go golang-golang-x-mod-dev");
        let said = String::from_utf8_lossy(&built.stderr);
        assert!(
            built.status.success(),
            "the tests of the ledger need Go and its x/mod: apt-get install golang-go golang-golang-x-mod-dev\n{said}"
        );
        Self { program, _folder: folder }
    }

    /// What it says of a folder, and then of each tampering with it.
    pub fn judge(&self, public: &Path, key: &str, held: Option<&Path>, tamperings: &[String]) -> Vec<String> {
        let mut child = Command::new(&self.program)
            .arg(public)
            .arg(key)
            .args(held)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let lines: String = tamperings.iter().map(|tampering| format!("{tampering}\n")).collect();
        // It answers while it is told; both pipes would fill.
        let told = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
        let output = child.wait_with_output().unwrap();
        told.join().unwrap().unwrap();
        assert!(output.status.success(), "the verifier failed");
        let said: Vec<String> =
            String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
        assert_eq!(said.len(), tamperings.len() + 1, "an answer to each");
        said
    }
}
