//! Promise: whatever is done to a ledger below a checkpoint that somebody holds is found, by us and by a verifier that is not ours.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

#[path = "support/verifier.rs"]
mod verifier;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use riparian_proxy::ledger::entry::{Attempt, Entry, Kind, Peer};
use riparian_proxy::ledger::note::{self, Key, Signed};
use riparian_proxy::ledger::verify::{Source, verify};
use riparian_proxy::ledger::{Durability, Ledger, Meters, layout};
use std::collections::BTreeMap;
use std::path::Path;
use verifier::Verifier;

const EDITS: usize = 10_000;
const OTHERS: usize = 1_010;

fn key() -> Key {
    Key::new("riparian.example/ledger", &[3; 32]).unwrap()
}

fn entry(number: usize) -> Entry<'static> {
    let mut entry = Entry::new(Kind::Ended, format!("2026-11-21T09:00:00.{number:06}Z"));
    entry.decision = Some(format!("{number:016x}").into());
    entry.surface = Some("openai.responses.create".into());
    let peer =
        Peer { address: "20.1.2.3:443".into(), certificate_key: None, sni: Some("models.example".into()) };
    entry.attempts =
        vec![Attempt { cloud: "azure".into(), endpoint: "e".into(), peer: Some(peer), sent: true }];
    entry
}

fn write(folder: &Path, numbers: std::ops::Range<usize>) {
    let ledger = Ledger::open(folder, key(), Durability::Group, "c", Meters::noop()).unwrap().0;
    numbers.for_each(|number| ledger.ended(&entry(number)));
}

/// The published folder, all of it that is signed for.
fn copy(public: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(public: &Path, folder: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            if path.is_dir() {
                walk(public, &path, files);
            } else {
                let name = path.strip_prefix(public).unwrap().to_str().unwrap().to_owned();
                files.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    let mut files = BTreeMap::new();
    walk(public, public, &mut files);
    files.remove(layout::VERIFIER_KEY).expect("the key is there to be found, but not to be believed");
    files
}

/// A tampering: in each of these files, so many bytes from here on become these. Without bytes the file goes.
type Tampering = Vec<(String, Option<(usize, usize, Vec<u8>)>)>;

fn line(tampering: &Tampering) -> String {
    let splices = tampering.iter().map(|(name, splice)| match splice {
        None => format!("{name} remove"),
        Some((at, length, with)) => format!("{name} {at} {length} {}", STANDARD.encode(with)),
    });
    splices.collect::<Vec<_>>().join(";")
}

fn is_found(files: &mut BTreeMap<String, Vec<u8>>, held: Signed, tampering: &Tampering) -> bool {
    let before: Vec<_> = tampering.iter().map(|(name, _)| (name.clone(), files[name].clone())).collect();
    for (name, splice) in tampering {
        match splice {
            None => drop(files.remove(name)),
            Some((at, length, with)) => {
                drop(files.get_mut(name).unwrap().splice(at..&(at + length), with.iter().copied()));
            }
        }
    }
    let source = Source::Copy(std::mem::take(files));
    let found = !verify(&source, key().verifier(), Some(held)).faults.is_empty();
    let Source::Copy(back) = source else { unreachable!() };
    *files = back;
    // The first state of a file that was touched twice comes last.
    before.into_iter().rev().for_each(|(name, bytes)| drop(files.insert(name, bytes)));
    found
}

/// Where each entry of a bundle is, with its two bytes of length.
fn places(bundle: &[u8]) -> Vec<(usize, usize)> {
    let mut places = Vec::new();
    let mut at = 0;
    for entry in layout::entries(bundle).unwrap() {
        places.push((at, entry.len() + 2));
        at += entry.len() + 2;
    }
    places
}

fn tamperings(files: &BTreeMap<String, Vec<u8>>) -> Vec<Tampering> {
    let mut random = StdRng::seed_from_u64(5);
    let names: Vec<&String> = files.keys().collect();
    let total: usize = files.values().map(Vec::len).sum();
    let mut all = Vec::new();
    for _ in 0..EDITS {
        let mut at = random.random_range(0..total);
        let (name, bytes) = files
            .iter()
            .find(|(_, bytes)| {
                let here = at < bytes.len();
                at -= if here { 0 } else { bytes.len() };
                here
            })
            .unwrap();
        all.push(vec![(name.clone(), Some((at, 1, vec![bytes[at] ^ random.random_range(1..=255)])))]);
    }
    let bundles: Vec<&String> =
        names.iter().copied().filter(|name| name.starts_with("tile/entries/")).collect();
    for number in 0..OTHERS {
        // Deleted; and deleted with another one twice in its stead, so that the number is right.
        let name = bundles[random.random_range(0..bundles.len())];
        let places = places(&files[name]);
        let (at, length) = places[random.random_range(0..places.len())];
        let (other, other_length) = places[random.random_range(0..places.len())];
        let with = match number % 2 {
            0 => Vec::new(),
            _ if other == at => continue,
            _ => files[name][other..other + other_length].to_vec(),
        };
        all.push(vec![(name.clone(), Some((at, length, with)))]);
    }
    for _ in 0..OTHERS {
        // Swapped, within a bundle or across.
        let pick = |random: &mut StdRng| {
            let name = bundles[random.random_range(0..bundles.len())];
            let places = places(&files[name]);
            (name, places[random.random_range(0..places.len())])
        };
        let (mut one, mut other) = (pick(&mut random), pick(&mut random));
        let of = |place: (&String, (usize, usize))| files[place.0][place.1.0..place.1.0 + place.1.1].to_vec();
        if of(one) == of(other) {
            continue;
        }
        if one.0 == other.0 && one.1.0 < other.1.0 {
            // The later one first, so that the earlier one's place holds.
            (one, other) = (other, one);
        }
        let (first, second) = (of(one), of(other));
        all.push(vec![
            (one.0.clone(), Some((one.1.0, one.1.1, second))),
            (other.0.clone(), Some((other.1.0, other.1.1, first))),
        ]);
    }
    for _ in 0..OTHERS {
        // Cut off somewhere.
        let name = names[random.random_range(0..names.len())];
        let from = random.random_range(0..files[name].len());
        all.push(vec![(name.clone(), Some((from, files[name].len() - from, Vec::new())))]);
    }
    // Only what the checkpoint needs is missed when it is gone: tiles of older checkpoints may go.
    let newest = |name: &&String| !name.contains(".p/") || **name == *newest_of(files, name);
    all.extend(names.iter().filter(|name| newest(name)).map(|name| vec![((*name).clone(), None)]));
    all
}

/// The widest tile with the same number.
fn newest_of<'f>(files: &'f BTreeMap<String, Vec<u8>>, name: &str) -> &'f String {
    let stem = name.split(".p/").next().unwrap();
    let same = files.iter().filter(|(other, _)| other.split(".p/").next() == Some(stem));
    same.max_by_key(|(_, bytes)| bytes.len()).unwrap().0
}

#[test]
fn every_edit_deletion_swap_and_truncation_is_found_by_us_and_by_a_foreign_verifier() {
    let folder = tempfile::tempdir().unwrap();
    let public = folder.path().join(layout::PUBLIC);
    write(folder.path(), 0..290);
    let held = folder.path().join("held");
    std::fs::copy(public.join(layout::CHECKPOINT), &held).unwrap();
    write(folder.path(), 290..310);
    let signed = note::open(&std::fs::read(&held).unwrap(), key().verifier()).unwrap();

    let files = copy(&public);
    let whole = verify(&Source::Copy(files.clone()), key().verifier(), Some(signed));
    assert!(whole.faults.is_empty(), "{:?}", whole.faults);
    let all = tamperings(&files);
    assert!(all.len() >= EDITS + 3_000, "{}", all.len());

    let lines: Vec<String> = all.iter().map(line).collect();
    let said = Verifier::build().judge(&public, &key().verifier().to_string(), Some(&held), &lines);
    assert_eq!(said[0], format!("whole {}", whole.size));
    let missed: Vec<_> = all.iter().zip(&said[1..]).filter(|(_, said)| !said.starts_with("found ")).collect();
    assert!(missed.is_empty(), "{} missed by the foreign verifier, such as {:?}", missed.len(), missed[0]);

    // Each thread has a copy of its own.
    std::thread::scope(|threads| {
        for part in all.chunks(all.len().div_ceil(4)) {
            let mut files = files.clone();
            let public = &public;
            threads.spawn(move || {
                let missed: Vec<_> =
                    part.iter().filter(|tampering| !is_found(&mut files, signed, tampering)).collect();
                assert!(missed.is_empty(), "{} missed by ours, such as {:?}", missed.len(), missed[0]);
                assert_eq!(files, copy(public), "each was undone");
            });
        }
    });
}

/// Whoever has the key can sign another history, but not one that agrees with what others hold.
#[test]
fn another_history_signed_with_the_same_key_is_found_by_whoever_holds_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let write_to = |name: &str, numbers: &[std::ops::Range<usize>]| {
        let path = folder.path().join(name);
        numbers.iter().for_each(|numbers| write(&path, numbers.clone()));
        path.join(layout::PUBLIC)
    };
    let ours = write_to("ours", std::slice::from_ref(&(0..300)));
    let held = ours.join(layout::CHECKPOINT);
    let signed = note::open(&std::fs::read(&held).unwrap(), key().verifier()).unwrap();
    let (verifier, key) = (Verifier::build(), key());
    for (other, numbers) in [("shorter", 0..200), ("as long", 1..301), ("longer", 1..400)] {
        let public = write_to(other, &[numbers]);
        let source = Source::Folder(public.clone());
        assert!(verify(&source, key.verifier(), None).faults.is_empty(), "{other}: by itself it is whole");
        let faults = verify(&source, key.verifier(), Some(signed)).faults;
        assert_eq!(faults.len(), 1, "{other}: {faults:?}");
        let said = verifier.judge(&public, &key.verifier().to_string(), Some(&held), &[]);
        assert!(said[0].starts_with("found "), "{other}: {said:?}");
    }
}
