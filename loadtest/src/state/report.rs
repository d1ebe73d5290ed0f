//! What a run found, as text and as JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::StatePlan;
use super::tally::{Book, FamilyCounts, Found};
use crate::cloud::{Counts, FakeCloud, Fleet};

/// A run of the state test, judged.
#[derive(Clone, Debug, Serialize)]
pub struct StateReport {
    /// Seed of the stories.
    pub seed: u64,
    /// Whether a proxy stood between.
    pub proxied: bool,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Requests that clients sent, retries and thefts among them.
    pub requests: u64,
    /// By family.
    pub families: BTreeMap<&'static str, FamilyCounts>,
    /// What went wrong on purpose, and how often.
    pub events: BTreeMap<String, u64>,
    /// The longest that each of these took, in seconds.
    pub slowest: BTreeMap<String, f64>,
    /// Answers that were no success, by status and reason. No findings by themselves.
    pub refusals: BTreeMap<String, u64>,
    /// What thieves were told, and those who asked for what was deleted.
    pub rightly_refused: BTreeMap<String, u64>,
    /// What the clouds saw together.
    pub judged: Judged,
    /// What clients found, counted by kind.
    pub found: BTreeMap<&'static str, u64>,
    /// The first of these, in words.
    pub told: Vec<Found>,
    /// The first violations that the clouds saw, in words.
    pub violations: Vec<String>,
    /// Requests that arrived at each cloud.
    pub arrived: BTreeMap<String, u64>,
}

/// The clouds' judgement. All but `handles`, `sessions`, `turns`, `spread` and `gone` must be 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Judged {
    /// Handles that arrived.
    pub handles: u64,
    /// Of these, at a cloud that does not own them.
    pub misplaced: u64,
    /// Of these, brought by a tenant who never got them.
    pub foreign_tenant: u64,
    /// Sessions that clients invented.
    pub sessions: u64,
    /// Requests in them.
    pub turns: u64,
    /// Of these, at another cloud than the first.
    pub scattered: u64,
    /// Of these, at the cloud where another tenant has the same name.
    pub shared_sessions: u64,
    /// Requests that a cloud refused because it never made what they cite.
    pub foreign_handle: u64,
    /// Requests that cite what was kept and is no longer.
    pub gone: u64,
    /// Requests without the cloud's credential, or with another beside it.
    pub credentials: u64,
    /// Requests that no cloud could read: no such path, a bad body, an unknown model.
    pub unreadable: u64,
    /// Clouds that were reached at all.
    pub spread: u64,
}

impl StateReport {
    pub(super) fn new(
        plan: &StatePlan,
        fleet: &Fleet,
        clouds: &[FakeCloud],
        book: &Book,
        elapsed: Duration,
    ) -> StateReport {
        let counts: Vec<Counts> = clouds.iter().map(FakeCloud::counts).collect();
        let sum = |of: fn(&Counts) -> u64| counts.iter().map(of).sum::<u64>();
        let common = fleet.counts();
        let judged = Judged {
            handles: common.handles,
            misplaced: common.misplaced,
            foreign_tenant: common.foreign_tenant,
            sessions: common.sessions,
            turns: common.turns,
            scattered: common.scattered,
            shared_sessions: common.shared_sessions,
            foreign_handle: sum(|counts| counts.foreign_handle),
            gone: sum(|counts| counts.gone_handle),
            credentials: sum(|counts| counts.wrong_credential + counts.stray_credentials),
            unreadable: sum(|counts| counts.unknown_path + counts.wrong_model),
            spread: counts.iter().filter(|counts| counts.requests > 0).count() as u64,
        };
        let violations = fleet.violations().into_iter().map(|violation| {
            format!("{} at {}: {} {}", violation.kind, violation.cloud, violation.what, violation.nonce)
        });
        StateReport {
            seed: plan.seed,
            proxied: plan.riparian.is_some(),
            seconds: elapsed.as_secs_f64(),
            requests: book.requests,
            families: book.families.clone(),
            events: book.events.clone(),
            slowest: book.slowest.clone(),
            refusals: book.refusals.clone(),
            rightly_refused: book.rightly.clone(),
            judged,
            found: book.found.clone(),
            told: book.told.clone(),
            violations: violations.collect(),
            arrived: clouds.iter().map(|cloud| (cloud.name().to_owned(), cloud.counts().requests)).collect(),
        }
    }

    /// Nothing that must not be was found.
    pub fn is_clean(&self) -> bool {
        let Judged {
            misplaced,
            foreign_tenant,
            scattered,
            shared_sessions,
            foreign_handle,
            credentials,
            unreadable,
            ..
        } = self.judged;
        let wrong =
            [misplaced, foreign_tenant, scattered, shared_sessions, foreign_handle, credentials, unreadable];
        wrong.iter().all(|count| *count == 0) && self.found.is_empty()
    }
}

impl fmt::Display for StateReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.proxied { "through two replicas" } else { "straight to the clouds" };
        writeln!(f, "{} requests in {:.1} s {how}, seed {}", self.requests, self.seconds, self.seed)?;
        writeln!(f)?;
        let head = [
            "family",
            "requests",
            "ok",
            "stories",
            "made",
            "continued",
            "delayed",
            "races",
            "thefts",
            "deleted",
        ];
        writeln!(
            f,
            "{:<18}{}",
            head[0],
            head[1..].iter().map(|name| format!("{name:>10}")).collect::<String>()
        )?;
        for (family, counts) in &self.families {
            let FamilyCounts {
                requests,
                ok,
                stories,
                creates,
                continues,
                races,
                thefts,
                after_deletion,
                delayed,
            } = *counts;
            let cells = [requests, ok, stories, creates, continues, delayed, races, thefts, after_deletion];
            writeln!(
                f,
                "{family:<18}{}",
                cells.iter().map(|cell| format!("{cell:>10}")).collect::<String>()
            )?;
        }
        let lists: [(&str, &BTreeMap<String, u64>); 3] = [
            ("what went wrong on purpose", &self.events),
            ("refused meanwhile", &self.refusals),
            ("refused as it must be", &self.rightly_refused),
        ];
        for (title, list) in lists {
            writeln!(f, "\n{title}")?;
            for (what, count) in list {
                writeln!(f, "{count:>10}  {what}")?;
            }
        }
        for (what, seconds) in &self.slowest {
            writeln!(f, "{seconds:>9.2}s  at most, {what}")?;
        }
        let judged = self.judged;
        writeln!(f, "\nthe clouds' judgement")?;
        for (count, what) in [
            (judged.spread, "clouds were reached"),
            (judged.handles, "handles arrived"),
            (judged.misplaced, "of them misplaced"),
            (judged.foreign_tenant, "of them another tenant's"),
            (judged.turns, "requests in sessions that clients invented"),
            (judged.scattered, "of them at another cloud than the first"),
            (judged.shared_sessions, "of them in another tenant's session"),
            (judged.foreign_handle, "requests refused for a handle that was never made there"),
            (judged.gone, "requests for what is no longer kept"),
            (judged.credentials, "requests with a wrong or a stray credential"),
            (judged.unreadable, "requests with an unknown path or model"),
        ] {
            writeln!(f, "{count:>10}  {what}")?;
        }
        let found: u64 = self.found.values().sum();
        writeln!(f, "{found:>10}  findings of the clients")?;
        for (kind, count) in &self.found {
            writeln!(f, "{count:>10}    {kind}")?;
        }
        for found in self.told.iter().take(20) {
            writeln!(f, "  {} [{}] {}", found.kind, found.family, found.what)?;
        }
        for violation in self.violations.iter().take(20) {
            writeln!(f, "  {violation}")?;
        }
        write!(f, "\n{}", if self.is_clean() { "clean" } else { "NOT CLEAN" })
    }
}
