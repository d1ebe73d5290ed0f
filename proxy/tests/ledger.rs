//! Promise: each request that an endpoint saw has exactly one entry `sent`, made before it left, whatever happened; and what cannot be
//! written down is not done.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_types, reason = "a test may")]

mod support;

use riparian_loadtest::{CloudSpec, FAULT_HEADER, FakeCloud, Fault, Kind as Cloud, Protocol};
use riparian_proxy::ledger::entry::{Entry, Kind};
use riparian_proxy::ledger::read::{self, own_key};
use riparian_proxy::ledger::verify::{Source, verify};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::h2::{Authority, file};
use support::origin::{Origin, endpoints};
use support::process::{Process, riparian, run};
use support::raw::{Raw, eventually};
use support::socket::{Socket, SocketCloud, echo};
use support::{Clouds, QUIET, SPLIT, address, chat, proxy};

const CHAT: &str = "/v1/chat/completions";

fn section(folder: &Path, durability: &str) -> String {
    format!("\nledger: {{ path: {}, durability: {durability} }}\n", folder.display())
}

/// The entries of a ledger, which must be whole.
fn entries(folder: &Path) -> Vec<Entry<'static>> {
    let source = Source::at(folder);
    let verified = verify(&source, &own_key(&source).unwrap(), None);
    assert!(verified.faults.is_empty(), "{:?}", verified.faults);
    let mut all = Vec::new();
    let each = |_, bytes: &[u8]| {
        all.push(Entry::decode(bytes).unwrap());
        ControlFlow::Continue(())
    };
    read::entries(&source, verified.size, 0..verified.size, each).unwrap();
    all
}

fn of(kind: Kind, entries: &[Entry<'static>]) -> Vec<Entry<'static>> {
    entries.iter().filter(|entry| entry.kind == kind).cloned().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_are_what_the_clouds_saw() {
    let folder = tempfile::tempdir().unwrap();
    let clouds = Clouds::start().await;
    let more = "retries: { budget_floor: 1000 }\nhealth: { down_after: 1000 }\n";
    let rest = format!("{QUIET}{more}{}", section(folder.path(), "required"));
    let running = proxy(&clouds.config(SPLIT, &rest)).await;
    let mut client = Raw::connect(address(&running)).await;
    let mut answered = Vec::new();
    let mut ask = async |path: &str, lines: &str, body: String| {
        let answer = client.ask(path, lines, body).await;
        answered.push((answer.header("x-riparian-decision").unwrap().to_owned(), answer.status));
        answer
    };
    for _ in 0..3 {
        ask(CHAT, "", chat().to_string()).await;
    }
    ask("/v1/responses", "", json!({ "model": "gpt-5.5", "input": "prompt-canary" }).to_string()).await;
    // Both endpoints of the set are tried: the first breaks off, and the client has said that it may be repeated.
    ask(CHAT, &format!("idempotency-key: k\r\n{FAULT_HEADER}: reset-before-headers\r\n"), chat().to_string())
        .await;
    // Not judged, and refused.
    let malformed = client_status(&running, "{").await;
    let unrecognised = ask("/v1/nothing", "", "{}".to_owned()).await.status;
    assert_eq!((malformed, unrecognised), (400, 403));
    clouds.azure_one.fault(Fault::Refuse).await;
    clouds.azure_two.fault(Fault::Refuse).await;
    assert_eq!(ask(CHAT, "", chat().to_string()).await.status, 502);
    eventually("all is settled", || running.house.gate.streams() == 0).await;
    running.house.flush();

    let entries = entries(folder.path());
    let sent = of(Kind::Sent, &entries);
    for (cloud, name) in clouds.all().iter().zip(["azure-one", "azure-two", "aws-one", "openai-one"]) {
        let ours: Vec<_> = sent.iter().filter(|entry| entry.endpoint.as_deref() == Some(name)).collect();
        assert_eq!(ours.len() as u64, cloud.counts().requests, "{name}");
        for entry in ours {
            let peer = entry.peer.as_ref().unwrap();
            assert_eq!((&*peer.address, &peer.sni), (cloud.addr().to_string().as_str(), &None));
            assert!(entry.candidates.iter().any(|candidate| candidate == name));
            assert_eq!(entry.classes["strict"], if name == "aws-one" { "stateful" } else { "stateless" });
        }
    }
    let ended = of(Kind::Ended, &entries);
    let statuses: Vec<_> = ended
        .iter()
        .map(|entry| (entry.decision.clone().unwrap().into_owned(), entry.status.unwrap()))
        .collect();
    assert_eq!(statuses, answered, "one for each decision, in the order in which they ended");
    for entry in &ended {
        let attempts = entry.attempts.iter().filter(|attempt| attempt.sent).count();
        let sent: Vec<_> = sent.iter().filter(|sent| sent.decision == entry.decision).collect();
        assert_eq!(sent.len(), attempts, "{entry:?}");
        assert!(sent.iter().zip(1..).all(|(sent, number)| sent.attempt == Some(number)));
    }
    let tried: Vec<_> = ended.iter().map(|entry| entry.attempts.len()).collect();
    assert_eq!(tried[..4], [1; 4]);
    assert!(tried[4] >= 2, "both were tried: {tried:?}");
    assert_eq!(tried[5], 0, "nobody, for what is not recognised");
    assert!(tried[6] >= 2, "two that refused the connection: {tried:?}");
    let refused = of(Kind::Refused, &entries);
    assert_eq!((refused[0].reason.as_deref(), refused[0].count), (Some("body_malformed"), Some(1)));

    let text: String = entries.iter().map(|entry| String::from_utf8(entry.encode()).unwrap()).collect();
    for canary in ["prompt-canary", "hello", support::KEY, "Bearer", "/v1/"] {
        assert!(!text.contains(canary), "{canary} is in an entry");
    }
}

async fn client_status(running: &riparian_proxy::server::Running, body: &str) -> u16 {
    Raw::connect(address(running)).await.ask(CHAT, "", body).await.status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_peer_is_named_by_the_key_of_its_certificate_over_both_versions_and_on_reused_connections() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let (certificate, key) = authority.sign("localhost", false);
    let trusted = file(&folder, "ca.pem", &authority.pem());
    let expected = {
        let (_, pem) = x509_parser::pem::parse_x509_pem(certificate.as_bytes()).unwrap();
        let certificate = pem.parse_x509().unwrap();
        let digest = Sha256::digest(certificate.public_key().raw);
        digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    for (number, version) in ["", ", http_version: 2"].into_iter().enumerate() {
        let protocol = Protocol::Tls { cert_pem: certificate.clone(), key_pem: key.clone(), h2: number == 1 };
        let spec = CloudSpec::new(Cloud::OpenAi, "one").credential("app").protocol(protocol);
        let cloud = FakeCloud::start(spec).await.unwrap();
        let url = cloud.url().replace("127.0.0.1", "localhost");
        let ledger = folder.path().join(format!("ledger-{number}"));
        let more = format!(", ca: {{ file: {} }}{version}", trusted.display());
        let config = endpoints(&[("one", &url, &more)], &format!("{QUIET}{}", section(&ledger, "group")));
        let running = proxy(&config.replace("credential: none", "credential: passthrough")).await;
        for _ in 0..3 {
            let mut client = Raw::connect(address(&running)).await;
            let answer = client.ask(CHAT, "authorization: Bearer app\r\n", chat().to_string()).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        running.house.flush();
        let sent = of(Kind::Sent, &entries(&ledger));
        assert_eq!(sent.len(), 3);
        for entry in sent {
            let peer = entry.peer.unwrap();
            assert_eq!(
                (peer.sni.as_deref(), peer.certificate_key.as_deref()),
                (Some("localhost"), Some(&*expected))
            );
            assert_eq!(peer.address.parse::<SocketAddr>().unwrap().port(), cloud.addr().port());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_has_its_entries_too() {
    let folder = tempfile::tempdir().unwrap();
    let cloud = SocketCloud::start(echo).await;
    let rest = format!("{QUIET}{}", section(folder.path(), "required"));
    let running = proxy(&endpoints(&[("one", &cloud.url(), "")], &rest)).await;
    for path in ["/v1/realtime?model=gpt-realtime", "/v1/responses"] {
        let mut client = Socket::open(address(&running), path).await;
        client
            .text(json!({ "type": "response.create", "model": "gpt-realtime", "input": "x" }).to_string())
            .await;
        client.message().await;
        client.close(1000, "done").await;
        client.closed().await;
    }
    eventually("all is settled", || running.house.gate.streams() == 0).await;
    running.house.flush();
    let entries = entries(folder.path());
    let (sent, ended) = (of(Kind::Sent, &entries), of(Kind::Ended, &entries));
    assert_eq!((sent.len(), ended.len(), cloud.connections()), (2, 2, 2));
    for (sent, ended) in sent.iter().zip(&ended) {
        assert_eq!((&sent.decision, ended.outcome.as_deref()), (&ended.decision, Some("ok")));
    }
}

/// An endpoint that remembers which models were asked for: each request names its own.
struct Witness {
    origin: Origin,
    seen: Arc<Mutex<BTreeMap<String, u32>>>,
}

async fn witness() -> Witness {
    let seen: Arc<Mutex<BTreeMap<String, u32>>> = Arc::default();
    let sees = Arc::clone(&seen);
    let origin = Origin::start(move |mut caller| {
        let seen = Arc::clone(&sees);
        async move {
            while let Some((_, body)) = caller.request().await {
                let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
                let model = body["model"].as_str().unwrap().to_owned();
                *seen.lock().unwrap().entry(model).or_default() += 1;
                caller
                    .say("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")
                    .await;
            }
        }
    })
    .await;
    Witness { origin, seen }
}

impl Witness {
    /// A configuration for the process, and its file.
    fn config(&self, folder: &Path, durability: &str) -> std::path::PathBuf {
        let rest = format!(
            "telemetry: {{ access_log: off }}\nsessions: {{ pins: {{ store: memory }} }}\n{}",
            section(&folder.join("ledger"), durability)
        );
        let path = folder.join("riparian.yaml");
        std::fs::write(&path, endpoints(&[("one", &self.origin.url(), "")], &rest)).unwrap();
        path
    }

    /// Each request that the endpoint saw has its entry, exactly one.
    fn agrees_with(&self, folder: &Path) {
        let mut sent: BTreeMap<String, u32> = BTreeMap::new();
        for entry in of(Kind::Sent, &entries(&folder.join("ledger"))) {
            *sent.entry(entry.model.unwrap().into_owned()).or_default() += 1;
        }
        let seen = self.seen.lock().unwrap();
        let missing: Vec<_> = seen.iter().filter(|(model, times)| sent.get(*model) != Some(times)).collect();
        assert!(missing.is_empty(), "{} of {} without their entry: {missing:?}", missing.len(), seen.len());
    }
}

/// Asks without end, until the proxy is gone; whether it was answered is not asked.
async fn load(address: SocketAddr, kill: usize, client: usize) {
    let mut number = 0;
    while let Ok(stream) = tokio::net::TcpStream::connect(address).await {
        let mut raw = Raw::over(stream);
        loop {
            number += 1;
            let body = json!({ "model": format!("m-{kill}-{client}-{number}"), "messages": [] }).to_string();
            let lines = format!(
                "POST {CHAT} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            if tokio::io::AsyncWriteExt::write_all(&mut raw.stream, lines.as_bytes()).await.is_err() {
                break;
            }
            let mut answer = [0; 4096];
            match tokio::io::AsyncReadExt::read(&mut raw.stream, &mut answer).await {
                Ok(1..) => {}
                _ => break,
            }
        }
    }
}

/// How often the proxy is killed: `RIPARIAN_LEDGER_KILLS`, or 6.
fn kills() -> usize {
    std::env::var("RIPARIAN_LEDGER_KILLS").map_or(6, |kills| kills.parse().expect("a number of kills"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_under_load_loses_no_entry_of_what_the_endpoint_saw() {
    let folder = tempfile::tempdir().unwrap();
    let witness = witness().await;
    let config = witness.config(folder.path(), "required");
    let mut before = 0;
    for kill in 0..kills() {
        let mut process = Process::run(&config);
        let address = process.listens("apps");
        let clients: Vec<_> = (0..8).map(|client| tokio::spawn(load(address, kill, client))).collect();
        let enough = before + 40 + 37 * kill;
        eventually("there is load", || witness.origin.requests() >= enough).await;
        process.signal("KILL");
        process.wait();
        for client in clients {
            client.await.unwrap();
        }
        before = witness.origin.requests();
    }
    // What was written and not yet signed is signed at the next start.
    let mut process = Process::run(&config);
    process.listens("apps");
    process.signal("TERM");
    assert!(process.ends(Duration::from_secs(20)).success());
    witness.agrees_with(folder.path());
    let started = of(Kind::Started, &entries(&folder.path().join("ledger")));
    assert_eq!(started.len(), kills() + 1);

    // And the commands read it.
    let ledger = folder.path().join("ledger");
    let path = ledger.to_str().unwrap();
    let (code, said, _) = run(&["ledger", "verify", path]);
    assert_eq!(code, 0, "{said}");
    let (_, exported, _) = run(&["ledger", "export", path, "--from", "1", "--to", "2"]);
    let entry: serde_json::Value = serde_json::from_str(&exported).unwrap();
    let id = entry["decision"].as_str().unwrap();
    let (_, shown, _) = run(&["ledger", "show", path, "--decision", id, "--json"]);
    assert!(shown.lines().any(|line| line == exported.trim_end()), "{shown}");
    let (code, proof, _) = run(&["ledger", "prove", id, path]);
    let proof: serde_json::Value = serde_json::from_str(&proof).unwrap();
    assert_eq!((code, &proof["entries"][0]["entry"]), (0, &entry));
    let (_, key, _) = run(&["ledger", "key", path]);
    assert_eq!(proof["key"], key.trim_end());
    let tile = ledger.join("public/tile/entries/000");
    let mut bytes = std::fs::read(&tile).unwrap();
    bytes[1000] ^= 1;
    std::fs::write(&tile, bytes).unwrap();
    let (code, said, _) = run(&["ledger", "verify", path, "--key", key.trim_end()]);
    assert!(code == 1 && said.contains("FOUND: "), "{code}: {said}");
    assert_eq!(run(&["ledger", "verify", path, "--key", "nonsense"]).0, 2);
}

/// A limit on the size of files stands for a full disk: writes beyond it fail, and it can be lifted while the process runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_and_is_recovered_from_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let witness = witness().await;
    let config = witness.config(folder.path(), "required");
    let mut shell = Command::new("sh");
    // The signal that comes with such a write would end the process.
    let script = "trap '' XFSZ; ulimit -S -f 64; exec \"$0\" \"$@\"";
    let program = riparian(&[]);
    shell.args(["-c", script]).arg(program.get_program());
    shell.args(["run", "--threads", "2", "-c"]).arg(&config).current_dir(folder.path());
    let mut process = Process::start(shell);
    let apps = process.listens("apps");
    let admin: SocketAddr =
        process.says("admin listening").split("address=").nth(1).unwrap().trim().parse().unwrap();
    let ready = async || {
        let mut raw = Raw::connect(admin).await;
        raw.send("GET /readyz HTTP/1.1\r\nhost: a\r\n\r\n").await;
        raw.answer().await.unwrap().status
    };
    assert_eq!(ready().await, 200);
    let mut number = 0;
    let mut ask = async || {
        number += 1;
        let body = json!({ "model": format!("m-{number}"), "messages": [] }).to_string();
        Raw::connect(apps).await.ask(CHAT, "", body).await
    };
    let mut answers = Vec::new();
    while answers.len() < 300 && answers.last() != Some(&503) {
        let answer = ask().await;
        assert!(answer.status == 200 || answer.reason() == "ledger_unavailable", "{}", answer.text());
        if answer.status == 503 {
            assert!(answer.header("retry-after").is_some());
        }
        answers.push(answer.status);
    }
    assert_eq!(answers.last(), Some(&503), "the disk is full");
    assert_eq!(ready().await, 503);
    let seen = witness.origin.requests();
    for _ in 0..5 {
        assert_eq!(ask().await.status, 503);
    }
    assert_eq!(witness.origin.requests(), seen, "nothing is sent that cannot be written down");

    let lifted =
        Command::new("prlimit").args(["--pid", &process.id().to_string(), "--fsize=unlimited:"]).status();
    assert!(lifted.unwrap().success(), "util-linux has prlimit");
    let due = Instant::now() + Duration::from_secs(20);
    while ask().await.status != 200 {
        assert!(Instant::now() < due, "it does not recover");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(ready().await, 200);
    process.signal("TERM");
    assert!(process.ends(Duration::from_secs(20)).success());
    witness.agrees_with(folder.path());
    let entries = entries(&folder.path().join("ledger"));
    let gaps = of(Kind::Gap, &entries);
    assert!(
        !gaps.is_empty() && gaps.iter().all(|gap| gap.reason.as_deref() == Some("disk_failed")),
        "{gaps:?}"
    );
    let reasons: BTreeSet<_> = entries.iter().filter_map(|entry| entry.reason.clone()).collect();
    assert!(reasons.contains("ledger_unavailable"), "what was refused meanwhile is told: {reasons:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_ledger_and_one_that_is_taken_are_faults_at_start() {
    let folder = tempfile::tempdir().unwrap();
    let witness = witness().await;
    let config = witness.config(folder.path(), "group");
    let mut process = Process::run(&config);
    process.listens("apps");
    let (code, _, said) = run(&["run", "-c", config.to_str().unwrap()]);
    assert!(code == 1 && said.contains("another process writes it"), "{said}");
    process.signal("TERM");
    assert!(process.ends(Duration::from_secs(20)).success());
    std::fs::write(folder.path().join("ledger/tail/00000000000000000000"), "").unwrap();
    let (code, _, said) = run(&["run", "-c", config.to_str().unwrap()]);
    assert!(code == 1 && said.contains("the ledger is damaged"), "{said}");
}
