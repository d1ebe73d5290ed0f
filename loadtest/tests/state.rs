//! The state test's own test: without a proxy it must find what is wrong where clouds are chosen at random, and nothing where
//! there is only one to choose.

use riparian_loadtest::Family;
use riparian_loadtest::state::{self, StatePlan, StateReport};

async fn direct(parties: usize, requests: u64) -> StateReport {
    let mut plan = StatePlan::new(None);
    plan.requests = requests;
    plan.clients = 16;
    plan.parties = parties;
    plan.thefts = parties > 1;
    state::run(&plan, |_| {}).await.expect("clouds can be started")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_cloud_a_family_gives_no_findings() {
    let report = direct(1, 1500).await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.families.len(), Family::ALL.len());
    for (family, counts) in &report.families {
        assert!(counts.stories > 0 && counts.continues > 0, "{family}: {report}");
    }
    assert!(report.judged.handles > 300 && report.judged.turns > 50, "{report}");
    assert_eq!(
        report.judged.gone,
        report.rightly_refused.values().sum::<u64>(),
        "what was deleted, and no more"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clouds_at_random_are_found_out_in_every_way() {
    let report = direct(3, 1500).await;
    assert!(!report.is_clean());
    let judged = report.judged;
    for (count, what) in [
        (judged.misplaced, "misplaced"),
        (judged.scattered, "scattered"),
        (judged.foreign_tenant, "foreign tenant"),
        (judged.foreign_handle, "foreign handle"),
    ] {
        assert!(count > 10, "{what}: {report}");
    }
    for kind in ["amnesia", "moved", "unusable", "stolen"] {
        assert!(report.found.get(kind).is_some_and(|count| *count > 0), "{kind}: {report}");
    }
    assert!(!report.violations.is_empty() && !report.told.is_empty());
}
