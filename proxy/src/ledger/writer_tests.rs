use super::*;
use crate::ledger::note::Key;
use crate::ledger::verify::{Source, verify};
use std::path::Path;

fn key() -> Key {
    Key::new("test", &[1; 32]).unwrap()
}

fn open(folder: &Path, durability: Durability) -> Ledger {
    Ledger::open(folder, key(), durability, "config", Meters::noop()).unwrap().0
}

fn entry(number: usize) -> Entry<'static> {
    let mut entry = Entry::new(Kind::Sent, now());
    entry.decision = Some(format!("{number:016x}").into());
    entry
}

async fn sent(ledger: &Ledger, number: usize) -> Result<(), Unavailable> {
    ledger.offer(&entry(number))?.wait().await
}

/// Every entry of a ledger that is whole.
fn entries(folder: &Path) -> Vec<Entry<'static>> {
    let source = Source::at(folder);
    let verified = verify(&source, key().verifier(), None);
    assert!(verified.faults.is_empty(), "{:?}", verified.faults);
    let size = usize::try_from(verified.size).unwrap();
    let bundle = |number: usize| source.entries(number as u64, (size - number * 256).min(256)).unwrap();
    let bytes = (0..size.div_ceil(256)).flat_map(bundle);
    bytes.map(|bytes| Entry::decode(&bytes).unwrap()).collect()
}

fn of(kind: Kind, entries: &[Entry<'static>]) -> Vec<Entry<'static>> {
    entries.iter().filter(|entry| entry.kind == kind).cloned().collect()
}

#[tokio::test]
async fn what_is_required_is_on_the_disk_when_it_may_be_sent() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path(), Durability::Required);
    let tail = folder.path().join("tail/00000000000000000000");
    for number in 0..20 {
        sent(&ledger, number).await.unwrap();
        let there = std::fs::read(&tail).unwrap();
        let id = format!("{number:016x}");
        assert!(there.windows(16).any(|window| window == id.as_bytes()), "entry {number}");
    }
    drop(ledger);
    let entries = entries(folder.path());
    assert_eq!((entries[0].kind, entries[0].config.as_deref()), (Kind::Started, Some("config")));
    assert_eq!(entries.len(), 21);
}

#[tokio::test]
async fn entries_are_signed_in_their_order_without_being_asked_for() {
    for durability in [Durability::Group, Durability::BestEffort] {
        let folder = tempfile::tempdir().unwrap();
        let ledger = open(folder.path(), durability);
        for number in 0..2500 {
            sent(&ledger, number).await.unwrap();
        }
        let due = Instant::now() + Duration::from_secs(20);
        let mut found = Vec::new();
        while found.len() < 2501 && Instant::now() < due {
            tokio::time::sleep(Duration::from_millis(50)).await;
            found = entries(folder.path());
        }
        let numbers: Vec<_> = found.iter().filter_map(|entry| entry.decision.clone()).collect();
        let expected: Vec<_> = (0..2500).map(|number| format!("{number:016x}")).collect();
        assert_eq!(numbers, expected, "{durability:?}");
    }
}

#[tokio::test]
async fn refusals_are_told_one_by_one_up_to_a_number_and_counted_beyond() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path(), Durability::Group);
    for _ in 0..5000 {
        ledger.counted("body_malformed");
        ledger.refused("no_term", || Entry::new(Kind::Ended, now()));
    }
    ledger.flush();
    let entries = entries(folder.path());
    let told = of(Kind::Ended, &entries).len() as u64;
    let refused = of(Kind::Refused, &entries);
    let count = |reason: &str| -> u64 {
        refused
            .iter()
            .filter(|entry| entry.reason.as_deref() == Some(reason))
            .filter_map(|entry| entry.count)
            .sum()
    };
    assert_eq!(count("body_malformed"), 5000);
    assert_eq!(count("no_term") + told, 5000);
    assert!((REFUSALS_A_SECOND..=REFUSALS_A_SECOND * 10).contains(&told), "{told}");
    assert!(entries.len() < 1200, "{} entries", entries.len());
}

/// The folder of the tiles cannot be made while a file is in its place: the disk fails, and is well again.
#[tokio::test]
async fn a_disk_that_fails_is_told_of_and_recovered_from_without_a_restart() {
    for durability in [Durability::Required, Durability::Group, Durability::BestEffort] {
        let folder = tempfile::tempdir().unwrap();
        let ledger = open(folder.path(), durability);
        sent(&ledger, 1).await.unwrap();
        ledger.flush();
        let public = folder.path().join("public");
        let aside = folder.path().join("aside");
        std::fs::rename(&public, &aside).unwrap();
        std::fs::write(&public, "in the way").unwrap();
        ledger.ended(&entry(2));
        ledger.flush();
        assert_eq!(ledger.is_available(), durability == Durability::BestEffort, "{durability:?}");
        let third = sent(&ledger, 3).await;
        assert_eq!(third.is_ok(), durability == Durability::BestEffort, "{durability:?}");
        ledger.ended(&entry(4));
        std::fs::remove_file(&public).unwrap();
        std::fs::rename(&aside, &public).unwrap();
        let due = Instant::now() + Duration::from_secs(10);
        while ledger.shared.failing.load(Ordering::Acquire) && Instant::now() < due {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        sent(&ledger, 5).await.unwrap();
        drop(ledger);
        let entries = entries(folder.path());
        let gaps = of(Kind::Gap, &entries);
        assert!(!gaps.is_empty() && gaps.iter().all(|gap| gap.since.is_some()), "{durability:?}: {gaps:?}");
        let ids: Vec<_> =
            entries.iter().filter_map(|entry| entry.decision.as_deref()?.parse::<u8>().ok()).collect();
        let expected: &[u8] = if third.is_ok() { &[1, 2, 3, 4, 5] } else { &[1, 2, 4, 5] };
        assert_eq!(ids, expected, "{durability:?}");
    }
}

/// A writer that does not come to write leaves the ring full.
#[tokio::test]
async fn a_full_ring_refuses_or_counts() {
    for durability in [Durability::Group, Durability::BestEffort] {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = open(folder.path(), durability);
        // The writer ends; nobody takes anything any more.
        ledger.shared.ended.store(true, Ordering::Release);
        let writer = ledger.writer.take().unwrap();
        writer.thread().unpark();
        writer.join().unwrap();
        let mut refused = 0;
        for number in 0..QUEUE + 10 {
            refused += usize::from(sent(&ledger, number).await.is_err());
        }
        let lost = ledger.shared.lost.load(Ordering::Relaxed);
        match durability {
            Durability::BestEffort => assert_eq!((refused, lost), (0, 10)),
            _ => assert_eq!((refused, lost), (QUEUE + 10 - FULL, 0)),
        }
    }
}
