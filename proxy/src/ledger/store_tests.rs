use super::*;
use crate::ledger::verify::{Source, verify};

fn key() -> Key {
    Key::new("test", &[1; 32]).unwrap()
}

fn open(folder: &Path) -> Result<(Store, Recovered), OpenFault> {
    Store::open(folder, key())
}

fn entries(range: std::ops::Range<u64>) -> Vec<Vec<u8>> {
    range.map(|number| format!("{{\"kind\":\"ended\",\"time\":\"{number}\",\"v\":1}}").into_bytes()).collect()
}

fn is_whole(folder: &Path) -> u64 {
    let verified = verify(&Source::Folder(folder.join(PUBLIC)), key().verifier(), None);
    assert!(verified.faults.is_empty(), "{:?}", verified.faults);
    verified.size
}

fn written(store: &mut Store, range: std::ops::Range<u64>) {
    store.append(entries(range)).unwrap();
    store.keep().unwrap();
    store.publish().unwrap();
}

#[test]
fn a_ledger_goes_on_where_it_was_left_through_every_size_and_segment() {
    let folder = tempfile::tempdir().unwrap();
    let mut next = 0;
    for step in [0, 1, 254, 1, 1, 300, 16_000, 700, 256, 40_000, 5] {
        let (mut store, recovered) = open(folder.path()).unwrap();
        assert_eq!(recovered, Recovered { size: next, torn: 0 });
        assert!(matches!(open(folder.path()), Err(OpenFault::Locked(_))), "one process at a time");
        for part in entries(next..next + step).chunks(1000) {
            store.append(part.to_vec()).unwrap();
            store.keep().unwrap();
            store.publish().unwrap();
        }
        next += step;
        drop(store);
        assert_eq!(is_whole(folder.path()), next);
    }
    assert!(tail::segments(&folder.path().join("tail")).unwrap().len() < 3, "old segments go");
}

#[test]
fn what_a_kill_leaves_is_cut_after_the_last_whole_record_and_never_below_the_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = open(folder.path()).unwrap();
    written(&mut store, 0..300);
    store.append(entries(300..303)).unwrap();
    let path = store.tail.path.clone();
    let signed = std::fs::read(folder.path().join("public/checkpoint")).unwrap();
    drop(store);
    let whole = std::fs::read(&path).unwrap();
    let record = whole.len() as u64 / 303;
    // Torn behind the checkpoint: what is whole stays.
    std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let (store, recovered) = open(folder.path()).unwrap();
    assert_eq!(recovered.size, 302);
    assert!(recovered.torn > 0 && recovered.torn < record + 10, "{recovered:?}");
    drop(store);
    assert_eq!(is_whole(folder.path()), 302);
    // Below it: nothing is written, and nothing is signed.
    std::fs::write(folder.path().join("public/checkpoint"), &signed).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let fault = open(folder.path()).unwrap_err();
    assert!(
        matches!(&fault, OpenFault::Damaged(what) if what.contains("its checkpoint says 300")),
        "{fault}"
    );
    assert_eq!(std::fs::read(folder.path().join("public/checkpoint")).unwrap(), signed);
}

#[test]
fn other_entries_another_key_or_no_checkpoint_are_not_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = open(folder.path()).unwrap();
    written(&mut store, 0..10);
    drop(store);
    let checkpoint = folder.path().join("public/checkpoint");
    let signed = std::fs::read(&checkpoint).unwrap();
    let other = Key::new("test", &[2; 32]).unwrap();
    assert!(matches!(Store::open(folder.path(), other), Err(OpenFault::Damaged(_))));
    std::fs::remove_file(&checkpoint).unwrap();
    assert!(matches!(open(folder.path()), Err(OpenFault::Damaged(_))), "its checkpoint is gone");
    // Another history of the same length.
    let tail = folder.path().join("tail/00000000000000000000");
    std::fs::remove_file(&tail).unwrap();
    Segment::create(&folder.path().join("tail"), 0, &entries(1..11)).unwrap();
    std::fs::write(&checkpoint, &signed).unwrap();
    let fault = open(folder.path()).unwrap_err();
    assert!(fault.to_string().contains("are not those of its checkpoint"), "{fault}");
}

#[test]
fn the_public_part_alone_is_enough_to_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = open(folder.path()).unwrap();
    written(&mut store, 0..600);
    drop(store);
    std::fs::remove_dir_all(folder.path().join("tail")).unwrap();
    let (mut store, recovered) = open(folder.path()).unwrap();
    assert_eq!(recovered.size, 600);
    written(&mut store, 600..700);
    drop(store);
    assert_eq!(is_whole(folder.path()), 700);
}

#[test]
fn tiles_that_did_not_reach_the_disk_are_written_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = open(folder.path()).unwrap();
    written(&mut store, 0..1000);
    drop(store);
    std::fs::remove_dir_all(folder.path().join("public/tile")).unwrap();
    drop(open(folder.path()).unwrap());
    assert_eq!(is_whole(folder.path()), 1000);
}

#[test]
fn what_is_taken_back_is_not_in_the_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = open(folder.path()).unwrap();
    store.append(entries(0..5)).unwrap();
    assert_eq!(store.take_back().len(), 5);
    written(&mut store, 5..6);
    drop(store);
    assert_eq!(is_whole(folder.path()), 1);
    assert_eq!(open(folder.path()).unwrap().1, Recovered { size: 1, torn: 0 });
}
