//! What the demo prints.

use super::clouds::Clouds;
use super::scenes::{Added, Scene};
use crate::server::Running;
use riparian_loadtest::Report;
use std::collections::BTreeMap;

/// Who is on the stage.
pub(super) fn cast(clouds: &Clouds, running: &Running, file: &str) {
    println!("Three fake clouds, as strict as real ones:");
    for cloud in clouds.iter() {
        println!("  {:<7} {:<20} {}", cloud.cloud(), cloud.name(), cloud.url());
    }
    println!("Riparian between, with {file}:");
    for (_, address) in &running.listeners {
        println!("  clients   http://{address}/v1");
    }
    if let Some(address) = running.admin {
        println!("  operators http://{address}/metrics");
    }
}

/// The shipped contract in words.
pub(super) fn contract() {
    println!(
        "The contract: stateless calls only to azure, stateful ones only to aws; no term in force names openai."
    );
}

/// One scene.
pub(super) fn scene(scene: &Scene) {
    let mark = if scene.is_as_due() { "ok" } else { "NOT AS DUE" };
    let place = if scene.endpoint == "none" { String::new() } else { format!(" at {}", scene.endpoint) };
    println!("  {:<52} {} {}{place}  {mark}", scene.what, scene.status, scene.reason);
}

/// How much of the traffic the readings disagree about, as `/metrics` has it.
#[derive(Clone, Copy)]
pub(super) struct Band {
    disputed: u64,
    all: u64,
}

impl Band {
    pub(super) fn of(exposition: &str) -> Self {
        let sum = |name: &str| {
            let values = exposition.lines().filter_map(|line| {
                let (series, value) = line.rsplit_once(' ')?;
                (series.split('{').next() == Some(name)).then(|| value.parse::<u64>().ok()).flatten()
            });
            values.sum()
        };
        Self { disputed: sum("riparian_band_requests_total"), all: sum("riparian_requests_total") }
    }
}

/// What came of it.
pub(super) fn table(report: &Report, added: &Added, forbidden: u64, band: Band) {
    println!("\nWhat reached each cloud, by the clouds' own count:");
    println!("  {:<8} {:>10} {:>10}", "cloud", "stateless", "stateful");
    let mut counts: BTreeMap<&str, [u64; 2]> =
        [("aws", [0; 2]), ("azure", [0; 2]), ("openai", [0; 2])].into();
    for ((cloud, _, class), count) in &report.arrivals {
        counts.entry(cloud).or_default()[usize::from(*class == "stateful")] += count;
    }
    for (cloud, [stateless, stateful]) in &counts {
        println!("  {cloud:<8} {stateless:>10} {stateful:>10}");
    }
    let findings = &report.findings;
    println!(
        "  leaks {}, misplaced continuations {}, altered bodies {}, broken streams {}",
        findings.leaks.len(),
        findings.misplaced.len(),
        findings.altered.len(),
        findings.broken.len() + findings.cut.len()
    );
    println!("  requests at openai, scenes included: {forbidden}");
    println!(
        "  the parties' readings disagree about {} of {} requests; the strict one would have had them at azure",
        band.disputed, band.all
    );
    if report.refusals.is_empty() {
        println!("  refused in the traffic: none");
    }
    for ((status, reason), count) in &report.refusals {
        println!("  refused in the traffic: {count} with {status} {reason}");
    }
    for (kind, finding) in findings.violations() {
        println!("  {kind} at {}: {}", finding.endpoint, finding.what);
    }
    let micros = |us: u64| i64::try_from(us).unwrap_or(i64::MAX);
    println!(
        "\nLatency of one request at a time, straight to the cloud and through Riparian, in turn ({} pairs):",
        added.direct.count
    );
    println!("  {:<10} {:>9} {:>9}", "", "p50 us", "p99 us");
    println!("  {:<10} {:>9} {:>9}", "straight", added.direct.p50_us, added.direct.p99_us);
    println!("  {:<10} {:>9} {:>9}", "through", added.through.p50_us, added.through.p99_us);
    println!(
        "  {:<10} {:>+9} {:>+9}",
        "added",
        micros(added.through.p50_us) - micros(added.direct.p50_us),
        micros(added.through.p99_us) - micros(added.direct.p99_us)
    );
}

/// How to try it with an SDK.
pub(super) fn how_to(target: &str) {
    println!("\nIt stays up. Point an SDK at it, in another terminal:");
    println!("  export OPENAI_BASE_URL={target} OPENAI_API_KEY=anything");
    println!(
        "  python -c 'import openai; print(openai.OpenAI().responses.create(model=\"gpt-5.5\", input=\"hello\").output_text)'"
    );
    println!("Ctrl-C ends it.");
}

/// What to do next.
pub(super) fn invite() {
    println!("\nTo point an SDK at it, add --serve.");
}
