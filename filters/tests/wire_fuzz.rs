//! Heads, frames, answers and event streams against their references: a short run of the fuzz targets, whose bodies these are, with a seeded generator.

#[path = "../fuzz/src/lib.rs"]
#[allow(dead_code, unreachable_pub, reason = "the fuzz crate's library; each test uses a part of it")]
mod fuzz;

use fuzz::entropy::{Entropy, seeded};
use proptest::prelude::*;

/// A few seconds in a test build; `RIPARIAN_FUZZ_RUNS` asks for more.
const FUZZ_RUNS: u64 = 4000;

fn seeds() -> std::ops::Range<u64> {
    let asked = std::env::var("RIPARIAN_FUZZ_RUNS").ok().and_then(|runs| runs.parse().ok());
    0..asked.unwrap_or(FUZZ_RUNS)
}

#[test]
fn fuzz_head_for_a_while() {
    let (mut passed, mut runs) = (0, 0);
    for seed in seeds() {
        let data = seeded(seed, 64);
        let mut entropy = Entropy::new(&data);
        let head = fuzz::head::head(&mut entropy);
        passed += u64::from(fuzz::head::agree(&head, entropy.below(head.len() + 1)));
        runs += 1;
    }
    assert!(passed > runs / 10 && passed < runs, "heads that pass: {passed} of {runs}");
}

#[test]
fn fuzz_frame_for_a_while() {
    let (mut whole, mut faulty, mut runs) = (0, 0, 0);
    for seed in seeds() {
        let data = seeded(seed, 128);
        let mut entropy = Entropy::new(&data);
        let masked = entropy.once_in(2);
        let bytes = fuzz::frame::stream(&mut entropy, masked);
        let heard = fuzz::frame::agree(&bytes, &entropy.cuts(&bytes), masked);
        whole += u64::from(!heard.faulty && heard.messages.len() > 2);
        faulty += u64::from(heard.faulty);
        runs += 1;
    }
    assert!(
        whole > runs / 5 && faulty > runs / 10,
        "of {runs}: {whole} are some messages, {faulty} are faulty"
    );
}

#[test]
fn fuzz_learn_for_a_while() {
    let (mut taught, mut not_stored, mut runs) = (0, 0, 0);
    for seed in seeds() {
        let data = seeded(seed, 64);
        let mut entropy = Entropy::new(&data);
        let stream = fuzz::learn::stream(&mut entropy);
        let heard = fuzz::learn::agree(&stream, &entropy.cuts(&stream));
        taught += u64::from(!heard.born.is_empty());
        not_stored += u64::from(heard.not_stored);
        runs += 1;
    }
    assert!(
        taught > runs / 20 && not_stored > runs / 50,
        "of {runs}: {taught} teach, {not_stored} are not stored"
    );
}

#[test]
fn fuzz_eventstream_for_a_while() {
    let (mut whole, mut broken, mut runs) = (0, 0, 0);
    for seed in seeds() {
        let data = seeded(seed, 96);
        let mut entropy = Entropy::new(&data);
        let stream = fuzz::eventstream::stream(&mut entropy);
        let told = fuzz::eventstream::agree(&stream, &entropy.cuts(&stream));
        whole += u64::from(told.whole && !told.messages.is_empty());
        broken += u64::from(!told.whole);
        runs += 1;
    }
    assert!(whole > runs / 5 && broken > runs / 10, "of {runs}: {whole} whole, {broken} broken");
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..60), at in 0..60_usize) {
        let at = at.min(bytes.len());
        fuzz::learn::agree(&bytes, &[at]);
        fuzz::frame::agree(&bytes, &[at], at % 2 == 0);
        fuzz::eventstream::agree(&bytes, &[at]);
        fuzz::eventstream::unwrap(&bytes);
        fuzz::head::agree(&bytes, at);
    }
}
