//! Promise: a restart forgets no pin, a kill none that is older than 100 ms; and a journal that cannot be trusted is said to be so at
//! the start, with what to do.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use riparian_config::Store;
use riparian_filters::identify::Keys;
use riparian_proxy::pins::{Born, Life, OpenFault, Opening};
use std::path::{Path, PathBuf};
use std::time::Duration;
use support::process::Process;
use support::stores::{Ground, born, handle, keys, owner, tenant};
use support::turns::{ANYWHERE, assert_nothing_misplaced, first, follow_up, named};
use support::{Clouds, QUIET, json, ours, post, send};

/// A kill may come this long after a pin's birth, and the pin is kept.
const KEPT_AFTER: Duration = Duration::from_millis(100);

/// The real program, killed as hard as can be. Its configuration does not speak of pins at all: a journal is what it keeps, in its
/// working directory, and the key of all digests with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_loses_no_pin_that_is_older_than_100_ms() {
    let clouds = Clouds::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("riparian.yaml");
    std::fs::write(&file, clouds.config(ANYWHERE, QUIET)).unwrap();
    let mut owners: Vec<(String, String)> = Vec::new();
    for round in 0..2 {
        let mut process = Process::run(&file);
        let address = process.listens("apps");
        // What every process before this one learned.
        for (id, endpoint) in &owners {
            let answer = send(address, post("/v1/responses", &follow_up(id))).await;
            let found = (answer.status().as_u16(), ours(&answer, "reason"), ours(&answer, "endpoint"));
            assert_eq!(found, (200, "held", endpoint.as_str()), "round {round}, {id}");
        }
        for _ in 0..20 {
            let answer = send(address, post("/v1/responses", &first())).await;
            let id = json(&answer)["id"].as_str().unwrap().to_owned();
            owners.push((id, ours(&answer, "endpoint").to_owned()));
        }
        tokio::time::sleep(KEPT_AFTER).await;
        process.signal("KILL");
        process.wait();
    }
    let mut process = Process::run(&file);
    let address = process.listens("apps");
    for (id, endpoint) in &owners {
        let answer = send(address, post("/v1/responses", &follow_up(id))).await;
        assert_eq!((ours(&answer, "reason"), ours(&answer, "endpoint")), ("held", endpoint.as_str()), "{id}");
    }
    assert!(owners.iter().any(|(_, endpoint)| *endpoint != owners[0].1), "more than one endpoint has some");
    assert!(named(&clouds, &owners[0].1).counts().requests > 0);
    assert_nothing_misplaced(&clouds);
    assert!(folder.path().join("riparian-pins/pins.redb").is_file());

    // It is taken as long as that process runs.
    let mut second = Process::run(&file);
    assert_eq!(second.ends(Duration::from_secs(20)).code(), Some(1));
    let said = second.said.join("\n");
    assert!(said.contains("is another process' journal at this moment"), "{said}");
    assert!(!said.contains("listening"), "{said}");
    process.signal("TERM");
    assert_eq!(process.ends(Duration::from_secs(20)).code(), Some(0));
}

#[tokio::test]
async fn a_restart_brings_back_what_lives_and_nothing_else() {
    let ground = Ground::journal();
    let store = ground.open().await;
    let brief = Life { lives: Some(Duration::from_millis(300)), idle: None };
    let idle = Life { lives: None, idle: Some(Duration::from_secs(600)) };
    let all = [
        born("stays", "e-1"),
        born("forgotten", "e-2"),
        Born { life: brief, ..born("brief", "e-3") },
        Born { life: idle, ..born("idle", "e-4") },
    ];
    store.learn(tenant("a"), &all).await.unwrap();
    let bound = store.bind(tenant("a"), born("asserted", "e-5")).await.unwrap();
    store.flush();
    store.forget(&[handle("forgotten")]).await.unwrap();
    drop(store);
    tokio::time::sleep(Duration::from_millis(300)).await;

    let store = ground.open().await;
    assert_eq!(store.len(), 3);
    assert_eq!(owner(&store, "stays").await.as_deref(), Some("e-1"));
    assert_eq!(owner(&store, "idle").await.as_deref(), Some("e-4"));
    assert_eq!(owner(&store, "forgotten").await, None);
    assert_eq!(owner(&store, "brief").await, None);
    assert_eq!(store.recall(&[handle("asserted")]).await.unwrap()[0], Some(bound), "all of it");
    assert_eq!(store.learn(tenant("a"), &[born("stays", "other")]).await, Ok(0), "and it keeps its owner");
}

/// The file is copied from under the process that has it, as a kill would leave it.
#[tokio::test]
async fn the_file_is_whole_at_every_moment() {
    let ground = Ground::journal();
    let store = ground.open().await;
    for round in 0..10 {
        let all: Vec<_> = (0..50).map(|number| born(&format!("{round}-{number}"), "e")).collect();
        store.learn(tenant("a"), &all).await.unwrap();
        tokio::time::sleep(KEPT_AFTER).await;
        let copy = Ground::journal();
        std::fs::create_dir_all(copy.path()).unwrap();
        std::fs::copy(ground.path().join("pins.redb"), copy.path().join("pins.redb")).unwrap();
        let restored = copy.open().await;
        assert_eq!(restored.len(), 50 * (round + 1));
        assert_eq!(owner(&restored, &format!("{round}-49")).await.as_deref(), Some("e"));
    }
}

#[tokio::test]
async fn limits_hold_over_restarts() {
    let mut ground = Ground::journal();
    let store = ground.open().await;
    for number in 0..20 {
        store.learn(tenant("a"), &[born(&number.to_string(), "e")]).await.unwrap();
        // Births of one millisecond have no order that outlives the process.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    drop(store);
    (ground.limits.max, ground.limits.per_tenant) = (8, 5);
    for _ in 0..2 {
        let store = ground.open().await;
        assert_eq!(store.len(), 5);
        for number in 0..20 {
            assert_eq!(owner(&store, &number.to_string()).await.is_some(), number >= 15, "{number}");
        }
    }
    ground.limits.ttl = Duration::from_millis(1);
    assert_eq!(ground.open().await.len(), 0, "lives got shorter");
    ground.limits.ttl = Duration::from_secs(3600);
    assert_eq!(ground.open().await.len(), 0, "what ended stays ended");
}

#[tokio::test]
async fn a_second_one_on_the_same_file_is_told_so() {
    let ground = Ground::journal();
    let store = ground.open().await;
    let fault = Opening::begin(&ground.store).unwrap_err();
    assert!(matches!(fault, OpenFault::Taken(_)), "{fault}");
    assert!(fault.to_string().contains("a `path` of its own"), "what to do: {fault}");
    drop(store);
    ground.open().await;
}

#[tokio::test]
async fn a_journal_is_read_with_the_key_that_it_was_written_with() {
    let ground = Ground::journal();
    drop(ground.open().await);
    let fault = ground.try_open(&Keys::derive(b"another key")).await.unwrap_err();
    assert!(matches!(fault, OpenFault::OtherKey(_)), "{fault}");
    let fault = Opening::begin(&ground.store).unwrap().key().unwrap_err();
    assert!(matches!(fault, OpenFault::OtherKey(_)), "nor with one of its own: {fault}");
    drop(ground.open().await);

    // Where the configuration has none, it has one of its own, for good.
    let ground = Ground::journal();
    let opening = Opening::begin(&ground.store).unwrap();
    let made = opening.key().unwrap();
    drop(opening);
    let again = Opening::begin(&ground.store).unwrap().key().unwrap();
    assert_eq!(made.fingerprint(), again.fingerprint());
    assert_ne!(made.fingerprint(), keys().fingerprint());
}

/// What can happen to a file, and every time a fault that says what to do, or else the pins as they were.
#[tokio::test]
async fn a_damaged_file_is_a_fault_that_says_what_to_do() {
    let ground = Ground::journal();
    let store = ground.open().await;
    let all: Vec<_> = (0..2000).map(|number| born(&number.to_string(), "e")).collect();
    store.learn(tenant("a"), &all).await.unwrap();
    drop(store);
    let file = ground.path().join("pins.redb");
    let whole = std::fs::read(&file).unwrap();
    let mut damages: Vec<(String, Vec<u8>)> = vec![
        ("no database".to_owned(), b"this is no database at all, but somebody's notes".repeat(100)),
        ("cut".to_owned(), whole[..whole.len() / 2].to_vec()),
        ("its head alone".to_owned(), whole[..512].to_vec()),
    ];
    for at in (0..whole.len()).step_by(whole.len() / 24) {
        let mut bytes = whole.clone();
        let end = (at + 64).min(bytes.len());
        bytes[at..end].iter_mut().for_each(|byte| *byte ^= 0x5A);
        damages.push((format!("64 bytes at {at}"), bytes));
    }
    let mut faults = 0;
    for (what, bytes) in damages {
        std::fs::write(&file, bytes).unwrap();
        match ground.try_open(&keys()).await {
            // Where nothing was, or where there is a second copy.
            Ok(store) => {
                assert_eq!(store.len(), 2000, "{what}");
                assert_eq!(owner(&store, "1999").await.as_deref(), Some("e"), "{what}");
            }
            Err(fault) => {
                faults += 1;
                let said = fault.to_string();
                assert!(matches!(fault, OpenFault::Damaged(..)), "{what}: {said}");
                assert!(said.contains("pins.redb") && said.contains("move it away"), "{what}: {said}");
            }
        }
    }
    assert!(faults >= 3, "{faults}");
    std::fs::write(&file, whole).unwrap();
    assert_eq!(ground.open().await.len(), 2000);
}

#[tokio::test]
async fn a_directory_that_cannot_be_had_is_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    let file: PathBuf = folder.path().join("a file");
    std::fs::write(&file, "").unwrap();
    for path in [file.clone(), file.join("below"), Path::new("/proc/nowhere").to_owned()] {
        let fault = Opening::begin(&Store::Journal(path.clone())).unwrap_err();
        assert!(matches!(fault, OpenFault::Directory(..)), "{fault}");
        assert!(fault.to_string().contains("store: memory"), "what to do: {fault}");
    }
}

/// Nobody else on the machine reads the names of our clouds, or the key.
#[tokio::test]
async fn the_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let ground = Ground::journal();
    let _store = ground.open().await;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(ground.path()), mode(&ground.path().join("pins.redb"))), (0o700, 0o600));
}
