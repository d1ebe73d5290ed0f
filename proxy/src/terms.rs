//! What the contract's dates bring: which epoch it is, when the terms change next, and when they run out.

use crate::house::House;
use riparian_config::{Contract, Term, Timestamp};
use std::fmt::Write;

/// What the dates say at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dates {
    pub(crate) epoch: u32,
    pub(crate) in_force: usize,
    /// When the terms change next.
    pub(crate) next: Option<Timestamp>,
    /// From when on no term is in force, where that is near enough to warn of it.
    pub(crate) run_out: Option<Timestamp>,
}

pub(crate) fn dates(house: &House, now: Timestamp) -> Dates {
    let policy = &house.snapshot.load().policy;
    let contract = &policy.config.contract;
    let soon = now.checked_add(contract.warn_before).unwrap_or(Timestamp::MAX);
    Dates {
        epoch: policy.table.epoch(now),
        in_force: contract.terms.iter().filter(|term| term.is_in_force(now)).count(),
        next: policy.table.next_boundary(now),
        run_out: run_out(contract, now).filter(|at| *at <= soon),
    }
}

/// The first moment from `now` on at which no term is in force.
fn run_out(contract: &Contract, now: Timestamp) -> Option<Timestamp> {
    let ends = contract.terms.iter().filter_map(|term| term.until).filter(|until| *until > now);
    let mut moments: Vec<Timestamp> = std::iter::once(now).chain(ends).collect();
    moments.sort_unstable();
    moments.into_iter().find(|at| !contract.terms.iter().any(|term| term.is_in_force(*at)))
}

/// What changes at a boundary: the terms that end, and those that begin.
fn changes(contract: &Contract, at: Timestamp) -> String {
    let ids = |is: &dyn Fn(&Term) -> bool| {
        let terms = contract.terms.iter().filter(|term| is(term));
        terms.map(|term| term.id.as_str()).collect::<Vec<_>>().join(", ")
    };
    let (ends, begins) = (ids(&|term| term.until == Some(at)), ids(&|term| term.from == Some(at)));
    match (ends.is_empty(), begins.is_empty()) {
        (false, false) => format!("{ends} end, {begins} begin"),
        (false, true) => format!("{ends} end"),
        (true, _) => format!("{begins} begin"),
    }
}

/// For `/readyz?verbose`: what is in force, and what the dates bring.
pub(crate) fn verbose(house: &House, now: Timestamp) -> String {
    let dates = dates(house, now);
    let snapshot = house.snapshot.load();
    let contract = &snapshot.policy.config.contract;
    let mut text = format!(
        "config {}\nreading {}, band {}\nepoch {}, {} terms in force\n",
        snapshot.hash,
        contract.enforced().name,
        contract.band.as_str(),
        dates.epoch,
        dates.in_force,
    );
    // Writing into memory does not fail.
    let _ = match dates.next {
        Some(at) => writeln!(
            text,
            "next boundary {at}, in {} s: {}",
            at.duration_since(now).as_secs(),
            changes(contract, at)
        ),
        None => writeln!(text, "no boundary ahead"),
    };
    if let Some(at) = dates.run_out {
        let _ = writeln!(text, "warning: {}", running_out(at, now));
    }
    text
}

fn running_out(at: Timestamp, now: Timestamp) -> String {
    if at <= now {
        return "no term of the contract is in force: everything is refused".to_owned();
    }
    format!("the last term in force ends at {at}; from then on everything is refused")
}

/// Shows what the dates say, and warns once of each end.
pub(crate) fn show(house: &House, now: Timestamp, warned: &mut Option<Timestamp>) {
    let dates = dates(house, now);
    let seconds = |at: Timestamp| at.as_duration().as_secs_f64();
    let metrics = &house.metrics.contract;
    metrics.epoch.set(f64::from(dates.epoch));
    metrics.next_boundary.set(dates.next.map_or(0.0, seconds));
    metrics.run_out.set(dates.run_out.map_or(0.0, seconds));
    let end = dates.run_out.map(|at| end(at, now));
    if let Some(at) = dates.run_out.filter(|_| *warned != end) {
        tracing::warn!("{}", running_out(at, now));
    }
    *warned = end;
}

/// What an end is told by. Once no term is in force, they run out at each moment anew: that is one end, and is told once.
fn end(run_out: Timestamp, now: Timestamp) -> Timestamp {
    if run_out > now { run_out } else { Timestamp::MIN }
}

/// Says what a boundary that has just passed brought.
pub(crate) fn passed(house: &House, now: Timestamp) {
    let snapshot = house.snapshot.load();
    let contract = &snapshot.policy.config.contract;
    let boundaries = contract.terms.iter().flat_map(|term| [term.from, term.until]).flatten();
    if let Some(at) = boundaries.filter(|at| *at <= now).max() {
        let epoch = snapshot.policy.table.epoch(now);
        tracing::info!(epoch, at = %at, "the contract's terms changed: {}", changes(contract, at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use riparian_config::Config;

    fn contract(terms: &str) -> Contract {
        let text = format!(
            "version: 1\nlisteners: [{{ name: a, bind: 127.0.0.1:0 }}]\nclouds: {{ c: {{ endpoints: [{{ name: e, dialect: openai, url: \"http://127.0.0.1:1\", credential: none }}] }} }}\ncontract:\n  enforce: r\n  readings: {{ r: {{ stateful_from: never }} }}\n  terms: [{terms}]\n"
        );
        Config::parse(&text, "test").unwrap_or_else(|faults| panic!("{faults}")).contract
    }

    #[test]
    fn an_end_that_has_come_was_warned_of_again_and_again() {
        let at = |second| Timestamp::from_second(second).expect("an instant");
        let over = contract("{ id: a, until: 2025-01-01, only: c }");
        let told = |now| run_out(&over, now).map(|run_out| end(run_out, now));
        assert_eq!(
            told(at(1_800_000_000)),
            told(at(1_800_000_005)),
            "one end, however often it is looked at"
        );
        assert_ne!(end(at(9), at(5)), end(at(8), at(5)), "two ends ahead are two");
    }

    #[test]
    fn terms_run_out_where_none_follows() {
        let at = |text: &str| text.parse::<Timestamp>().expect("an instant");
        let now = at("2026-01-01T00:00:00Z");
        let two =
            "{ id: a, until: 2026-02-01, only: c }, { id: b, from: 2026-02-01, until: 2026-03-01, only: c }";
        assert_eq!(run_out(&contract(two), now), Some(at("2026-03-01T00:00:00Z")));
        let gap = "{ id: a, until: 2026-02-01, only: c }, { id: b, from: 2026-02-02, only: c }";
        assert_eq!(run_out(&contract(gap), now), Some(at("2026-02-01T00:00:00Z")), "the gap counts");
        assert_eq!(run_out(&contract("{ id: a, only: c }"), now), None);
        assert_eq!(run_out(&contract("{ id: a, until: 2025-01-01, only: c }"), now), Some(now), "they have");
        assert_eq!(changes(&contract(two), at("2026-02-01T00:00:00Z")), "a end, b begin");
    }
}
