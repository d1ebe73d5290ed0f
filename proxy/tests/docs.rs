//! Promise: the README says what the program does: its reasons, its metrics, its commands and its smallest configuration.

#![allow(clippy::unwrap_used, reason = "test code")]

use riparian_filters::decision::Reason;
use riparian_filters::meter::Usage;
use riparian_proxy::metrics::{Diverged, Divergence, Labels, Metrics, Outcome, TokenLabels};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn readme() -> String {
    std::fs::read_to_string(root().join("README.md")).unwrap()
}

#[test]
fn the_table_of_codes_is_the_closed_list() {
    let readme = readme();
    let from = readme.find("| code | status | means |").unwrap();
    let rows: Vec<&str> = readme[from..].lines().skip(2).take_while(|line| line.starts_with('|')).collect();
    let expected: Vec<String> = Reason::ALL
        .iter()
        .filter(|reason| !reason.allows())
        .map(|reason| format!("| `{}` | {} | {} |", reason.as_str(), reason.status(), reason.advice()))
        .collect();
    assert_eq!(rows, expected);
}

#[test]
fn every_metric_is_in_the_readme_and_every_one_there_exists() {
    let metrics = Metrics::new();
    let labels = Labels {
        cloud: "c",
        endpoint: "e",
        surface: "s",
        grade: "pure",
        class: "stateless",
        outcome: Outcome::Ok,
    };
    metrics.settled(0, &labels, |settled| {
        settled.requests.increment(1);
        settled.first_byte_seconds.record(0.1);
        settled.request_seconds.record(0.1);
    });
    for (code, term) in [None, Some("t")].into_iter().enumerate() {
        let labels = TokenLabels { cloud: "c", term, class: "stateless", tenant: "other" };
        metrics.tokens(code as u64, &labels, &Usage::default(), Some((1, "USD")));
    }
    let divergence = Divergence { reading: "r", term: "t", outcome: "refused" };
    metrics.diverged(divergence, Diverged { tokens: 1, session: true });
    let _ = (metrics.commitment("c", "USD"), metrics.share("p", "t", "USD"));
    metrics.decision_seconds.record(0.1);
    metrics.endpoint_up("c", "e").set(1.0);
    metrics.config("hash", true);
    metrics.reloaded(true);
    let exposition = metrics.render();
    let exposed: BTreeSet<&str> =
        exposition.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let readme = readme();
    let documented: BTreeSet<&str> = readme
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with("riparian_"))
        .collect();
    assert_eq!(exposed, documented);
}

#[test]
fn the_configuration_in_the_readme_is_the_shipped_one() {
    let minimal = std::fs::read_to_string(root().join("config/examples/minimal.yaml")).unwrap();
    assert!(
        readme().contains(minimal.trim_end()),
        "README.md shows config/examples/minimal.yaml, to the letter"
    );
}

#[test]
fn every_example_is_linked() {
    let readme = readme();
    for entry in std::fs::read_dir(root().join("config/examples")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let linked = readme.contains(&format!("config/examples/{name}")) || name == "minimal.yaml";
        assert!(linked, "README.md links config/examples/{name}");
    }
}
