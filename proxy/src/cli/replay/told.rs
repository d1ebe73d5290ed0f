//! What came of a replay: in requests, sessions and tokens, by what it was and what it would be; and what a record cannot say.

use super::record::{Outcome, Recorded};
use crate::cli::explain::compare::columns;
use riparian_config::Timestamp;
use riparian_filters::policy::Policy;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;

/// What would come out otherwise, of some requests.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Change {
    pub(super) was: Outcome,
    pub(super) is: Outcome,
    /// Where it went is allowed, but another cloud is preferred.
    pub(super) still_allowed: bool,
    pub(super) terms_were: Vec<String>,
    pub(super) terms_are: Vec<String>,
}

/// How many they are.
#[derive(Debug, Default)]
pub(super) struct Many {
    pub(super) requests: u64,
    pub(super) tokens: u64,
    /// Requests of which nobody counted the tokens.
    pub(super) uncounted: u64,
    pub(super) sessions: HashSet<String>,
}

impl Many {
    fn add(&mut self, recorded: &Recorded) {
        self.requests += 1;
        self.tokens = self.tokens.saturating_add(recorded.tokens.unwrap_or(0));
        self.uncounted += u64::from(recorded.tokens.is_none());
        if let Some(session) = recorded.session.as_ref().filter(|_| self.sessions.len() < SESSIONS_MAX) {
            self.sessions.insert(session.clone());
        }
    }
}

/// Sessions that are told apart, of one change; beyond that their number is a lower bound.
const SESSIONS_MAX: usize = 1_000_000;

/// All that was found.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Lines with something in them.
    pub(super) lines: u64,
    /// Those that are no record.
    pub(super) unread: u64,
    /// Entries of the ledger that are of no decision's end.
    pub(super) others: u64,
    /// Requests that were refused before anything was judged: no contract changes that.
    pub(super) unjudged: u64,
    pub(super) unknown_surfaces: u64,
    pub(super) assumed_owners: u64,
    /// Of those, turns of sessions that the record does not begin.
    pub(super) begun_before: u64,
    pub(super) signals_unknown: u64,
    pub(super) inner_unknown: u64,
    pub(super) changes: BTreeMap<Change, Many>,
    decisions: Many,
    span: Option<(Timestamp, Timestamp)>,
}

impl Told {
    /// A decision was read.
    pub(super) fn seen(&mut self, recorded: &Recorded) {
        self.decisions.add(recorded);
        let (first, last) = self.span.unwrap_or((recorded.time, recorded.time));
        self.span = Some((first.min(recorded.time), last.max(recorded.time)));
    }

    /// And would come out otherwise.
    pub(super) fn change(&mut self, change: Change, recorded: &Recorded) {
        self.changes.entry(change).or_default().add(recorded);
    }

    fn otherwise(&self) -> (u64, u64) {
        let add = |(requests, tokens): (u64, u64), many: &Many| {
            (requests + many.requests, tokens.saturating_add(many.tokens))
        };
        self.changes.values().fold((0, 0), add)
    }

    /// The most requests first.
    fn sorted(&self) -> Vec<(&Change, &Many)> {
        let mut all: Vec<_> = self.changes.iter().collect();
        all.sort_by_key(|(_, many)| std::cmp::Reverse(many.requests));
        all
    }

    /// What the record does not have, and what was taken for it.
    fn notes(&self) -> Vec<String> {
        let note = |count: u64, what: &str| (count > 0).then(|| format!("{count} {what}"));
        [
            note(self.assumed_owners, "cite state: taken to live where the record has it"),
            note(self.begun_before, "of them in sessions that the record does not begin: taken to have been lawful there at that moment alone (no lease)"),
            note(self.signals_unknown, "are judged by their grade alone: the record has no signals, and a reading speaks of some"),
            note(self.inner_unknown, "were made in the course of another session, whose grade the record has not: judged by themselves"),
            note(self.unknown_surfaces, "are of operations that this configuration does not know: judged as unrecognised"),
            note(self.unjudged, "were refused before anything was judged: no contract changes that"),
            note(self.decisions.uncounted, "have no tokens in the record: they count as requests only"),
            note(self.unread, "lines are no record of a decision"),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Tools build on its names.
    pub(super) fn json(&self, policy: &Policy, hash: &str) -> Value {
        let (requests, tokens) = self.otherwise();
        let cite = |id: &String| {
            let term = policy.config.contract.terms.iter().find(|term| term.id.as_str() == id);
            json!({ "id": id, "cite": term.and_then(|term| term.cite.clone()) })
        };
        let changes = self.sorted().into_iter().map(|(change, many)| {
            json!({
                "was": change.was,
                "is": change.is,
                "still_allowed": change.still_allowed,
                "terms_were": change.terms_were,
                "terms_are": change.terms_are.iter().map(cite).collect::<Vec<_>>(),
                "requests": many.requests,
                "tokens": many.tokens,
                "sessions": many.sessions.len(),
            })
        });
        json!({
            "config": hash,
            "from": self.span.map(|(first, _)| first.to_string()),
            "until": self.span.map(|(_, last)| last.to_string()),
            "decisions": self.decisions.requests,
            "tokens": self.decisions.tokens,
            "otherwise": { "requests": requests, "tokens": tokens },
            "changes": changes.collect::<Vec<_>>(),
            "unjudged": self.unjudged,
            "unread": self.unread,
            "not_known": self.notes(),
        })
    }

    /// For a terminal.
    pub(super) fn text(&self, policy: &Policy, hash: &str) -> String {
        let (requests, tokens) = self.otherwise();
        let span = self.span.map_or(String::new(), |(first, last)| format!(" from {first} to {last}"));
        let mut out = format!(
            "{} decisions, {} tokens{span}; under {hash} {requests} would come out otherwise, {tokens} tokens\n",
            self.decisions.requests, self.decisions.tokens
        );
        let mut cited: Vec<&String> = Vec::new();
        if !self.changes.is_empty() {
            let head = ["requests", "sessions", "tokens", "was", "would be", "by"].map(str::to_owned);
            let mut rows = vec![head];
            for (change, many) in self.sorted() {
                cited.extend(&change.terms_are);
                let still = if change.still_allowed {
                    format!(" (preferred; {} is allowed)", change.was.text())
                } else {
                    String::new()
                };
                let terms =
                    |terms: &[String]| if terms.is_empty() { "no term".to_owned() } else { terms.join(", ") };
                rows.push([
                    many.requests.to_string(),
                    many.sessions.len().to_string(),
                    many.tokens.to_string(),
                    change.was.text(),
                    format!("{}{still}", change.is.text()),
                    format!("{} -> {}", terms(&change.terms_were), terms(&change.terms_are)),
                ]);
            }
            out.push_str(&columns(&rows));
        }
        cited.sort();
        cited.dedup();
        for id in cited {
            let term = policy.config.contract.terms.iter().find(|term| term.id.as_str() == id);
            if let Some(cite) = term.and_then(|term| term.cite.as_ref()) {
                // A `String` takes whatever is written to it.
                let _ = writeln!(out, "{id}: {cite}");
            }
        }
        let notes = self.notes();
        if !notes.is_empty() {
            out.push_str("what the record cannot say:\n");
            notes.iter().for_each(|note| out.push_str(&format!("  {note}\n")));
        }
        out
    }
}

impl Outcome {
    fn text(&self) -> String {
        match self {
            Self::Cloud(cloud) => cloud.clone(),
            Self::Refused(reason) => format!("refused ({reason})"),
        }
    }
}
