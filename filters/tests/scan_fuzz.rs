//! The scanners against their references: under property tests, and under a short run of the fuzz targets, whose bodies
//! these are, with a seeded generator.

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

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn scanner_and_reference_agree_on_json(choices in proptest::collection::vec(any::<u8>(), 0..300), chat: bool) {
        let mut entropy = Entropy::new(&choices);
        let body = fuzz::json::body(&mut entropy);
        let surface = if chat { fuzz::surfaces::chat() } else { fuzz::surfaces::responses() };
        let _ = fuzz::scan::agree(&surface, &body, &entropy.cuts(&body));
    }

    #[test]
    fn scanner_and_reference_agree_on_damaged_json(
        choices in proptest::collection::vec(any::<u8>(), 0..200),
        damage in proptest::collection::vec(any::<u8>(), 1..12),
    ) {
        let mut body = fuzz::json::body(&mut Entropy::new(&choices));
        let mut entropy = Entropy::new(&damage);
        entropy.mutate(&mut body);
        let _ = fuzz::scan::agree(&fuzz::surfaces::responses(), &body, &entropy.cuts(&body));
    }

    #[test]
    fn scanner_and_reference_agree_on_any_bytes(body in proptest::collection::vec(any::<u8>(), 0..40), at in 0..40_usize) {
        let _ = fuzz::scan::agree(&fuzz::surfaces::responses(), &body, &[at.min(body.len())]);
    }
}

#[test]
fn fuzz_scan_for_a_while() {
    for seed in seeds() {
        let mut data = seeded(seed, 16 + usize::try_from(seed % 400).expect("small"));
        // Bytes as they stand are refused at once; they are the other half of a real fuzzer's work.
        data[0] |= 2;
        fuzz::scan::body(&data);
    }
}

#[test]
fn fuzz_form_for_a_while() {
    for seed in seeds() {
        let mut data = seeded(seed, 16 + usize::try_from(seed % 100).expect("small"));
        data[0] |= 1;
        fuzz::form::body(&data);
    }
}

#[test]
fn the_generators_reach_both_outcomes() {
    let (mut right, mut found, mut models) = (0, 0, 0);
    let runs = 2000;
    for seed in 0..runs {
        let data = seeded(seed, 300);
        let mut entropy = Entropy::new(&data);
        let body = fuzz::json::body(&mut entropy);
        if let Ok(findings) = fuzz::scan::agree(&fuzz::surfaces::responses(), &body, &[]) {
            right += 1;
            found += u64::from(!findings.captures.is_empty());
            models += u64::from(findings.model.is_some());
        }
    }
    assert!(right > runs / 4 && right < runs, "bodies accepted: {right} of {runs}");
    assert!(found > runs / 50 && models > runs / 50, "with captures: {found}, with a model: {models}");
}
