//! Promise: a line a request, from a list of fields; and no secret, prompt or answer in anything that the program writes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use riparian_loadtest::Fault;
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use support::process::riparian;
use support::raw::{Raw, eventually};
use support::traffic::{CHAT, REQUESTS, admin, traffic};
use support::{Clouds, KEY, QUIET, SPLIT, chat};

/// The program, with standard output and error in files.
struct Program {
    child: Child,
    folder: tempfile::TempDir,
}

impl Program {
    fn start(config: &str, level: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.yaml");
        std::fs::write(&path, config).unwrap();
        let out = |name: &str| Stdio::from(std::fs::File::create(folder.path().join(name)).unwrap());
        let child = riparian(&["run", "-c", path.to_str().unwrap(), "--threads", "2"])
            .current_dir(path.parent().unwrap())
            .env("RIPARIAN_LOG", level)
            .stdout(out("out"))
            .stderr(out("err"))
            .spawn()
            .unwrap();
        Self { child, folder }
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }

    async fn address(&self, line: &str) -> SocketAddr {
        let found = || {
            self.read("err")
                .lines()
                .find(|said| said.contains(line))
                .and_then(|said| said.split("address=").nth(1)?.trim().parse().ok())
        };
        eventually(&format!("it says {line:?}"), || found().is_some()).await;
        found().unwrap()
    }

    /// Ends it in peace: all lines are written then.
    async fn end(&mut self) {
        assert!(Command::new("kill").arg(self.child.id().to_string()).status().unwrap().success());
        for _ in 0..2000 {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "{status}: {}", self.read("err"));
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it does not end: {}", self.read("err"));
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Every field that a line may have.
const FIELDS: &[&str] = &[
    "attempts",
    "cache_write_tokens",
    "cached_tokens",
    "caller",
    "class",
    "cloud",
    "config",
    "decision",
    "decision_us",
    "duration_us",
    "endpoint",
    "epoch",
    "first_byte_us",
    "grade",
    "handles",
    "in_band",
    "input_tokens",
    "lease",
    "method",
    "model",
    "outcome",
    "output_tokens",
    "parent_session",
    "reason",
    "reasoning_tokens",
    "request_bytes",
    "response_bytes",
    "session",
    "session_age_ms",
    "session_from",
    "session_handles",
    "session_turn",
    "status",
    "stream",
    "surface",
    "tenant",
    "terms",
    "time",
    "usage_partial",
    "vendor",
    "verdict",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_a_request_and_no_secret_or_prompt_anywhere() {
    let clouds = Clouds::start().await;
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    let file = format!("{{ file: {} }}", log.display());
    for (target, name, level) in [("stdout", "out", "info"), (&file, "log", "trace")] {
        let rest = QUIET.replace("access_log: off", &format!("access_log: {target}"));
        let mut program = Program::start(&clouds.config(SPLIT, &rest), level);
        let (proxy, at) = (program.address("listener=apps").await, program.address("admin listening").await);
        traffic(proxy).await;
        clouds.azure_one.fault(Fault::Refuse).await;
        clouds.azure_two.fault(Fault::Refuse).await;
        let down = Raw::connect(proxy)
            .await
            .ask(CHAT, "authorization: Bearer canary-client-key\r\n", chat().to_string())
            .await;
        assert_eq!(down.status, 502);
        clouds.azure_one.heal().await.unwrap();
        clouds.azure_two.heal().await.unwrap();
        let metrics = admin(at, "GET /metrics").await.text();
        program.end().await;

        let lines = if name == "log" { std::fs::read_to_string(&log).unwrap() } else { program.read("out") };
        let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len() as u64, REQUESTS + 1, "{name}: a line each, the refused ones too");
        let fields: BTreeSet<_> =
            lines.iter().flat_map(|line| line.as_object().unwrap().keys().map(String::as_str)).collect();
        assert_eq!(fields.into_iter().collect::<Vec<_>>(), FIELDS, "{name}: these and no others");
        let count = |field: &str, value: &str| lines.iter().filter(|line| line[field] == value).count();
        assert_eq!(
            (count("outcome", "ok"), count("outcome", "refused"), count("outcome", "failed")),
            (4, 5, 2),
            "{name}"
        );
        assert_eq!((count("verdict", "hold"), count("session_from", "lineage")), (1, 1), "{name}");
        let decisions: BTreeSet<_> = lines.iter().map(|line| line["decision"].as_str().unwrap()).collect();
        assert_eq!(decisions.len(), lines.len(), "{name}: each has its own");
        assert!(
            lines.iter().any(|line| line["decision"] == *down.header("x-riparian-decision").unwrap()),
            "{name}"
        );

        // A model that nobody serves is the client's word, and the log says it; nothing else of a client's is in there.
        let everything = format!(
            "{}{}{}{metrics}",
            program.read("out"),
            program.read("err"),
            std::fs::read_to_string(&log).unwrap_or_default()
        );
        let everything = everything.replace("canary-no-such-model", "");
        assert!(everything.len() > 5000);
        for canary in ["canary", KEY, "resp_", "azure-one turn", "turn 1", "hello"] {
            assert!(
                !everything.contains(canary),
                "{name}: {canary:?} stands in {}",
                excerpt(&everything, canary)
            );
        }
    }
}

fn excerpt<'a>(text: &'a str, canary: &str) -> &'a str {
    let at = text.find(canary).unwrap_or(0);
    text.get(at.saturating_sub(200)..(at + 100).min(text.len())).unwrap_or(text)
}
