//! What each endpoint saw begin, and when it was used last: what outlives a term goes on where it began, or nowhere.

use std::collections::HashMap;
use std::time::Instant;

use jiff::Timestamp;

use super::contract::Life;
use super::{Clock, Sight};
use crate::cloud::Seen;
use crate::drive::Sample;

/// Births that are followed back from one handle; longer chains of turns than any mix drives.
const TURNS_MAX: usize = 10_000;

/// The handles of one endpoint.
pub(super) struct Lives<'a> {
    /// The request that each was born by.
    born: HashMap<&'a str, &'a Seen>,
    /// Each request that gave birth to it or cited it: when it arrived, and when its client had its answer.
    used: HashMap<&'a str, Vec<(Instant, Instant)>>,
}

impl<'a> Lives<'a> {
    pub(super) fn of(sight: &'a Sight, samples: &HashMap<&str, &Sample>) -> Lives<'a> {
        let (mut born, mut used) = (HashMap::new(), HashMap::<&str, Vec<_>>::new());
        for seen in &sight.seen {
            let sample = seen.nonce.as_deref().and_then(|nonce| samples.get(nonce));
            let answered = sample.map_or(seen.at, |sample| seen.at + sample.duration);
            for handle in &seen.created {
                born.entry(handle.as_str()).or_insert(seen);
            }
            for handle in seen.created.iter().chain(&seen.cited) {
                used.entry(handle.as_str()).or_default().push((seen.at, answered));
            }
        }
        Lives { born, used }
    }

    /// What is known of each handle that a request cites.
    pub(super) fn cited_by(&self, seen: &Seen, clock: Clock) -> Vec<Life> {
        let life = |handle: &String| Life {
            began: self.chain(handle, clock),
            rested: self
                .last_used(handle, seen.at)
                .map_or_else(Default::default, |last| seen.at.saturating_duration_since(last)),
        };
        seen.cited.iter().map(life).collect()
    }

    /// When it was born, and when that was born which its birth cites.
    fn chain(&self, handle: &str, clock: Clock) -> Vec<Timestamp> {
        let parent =
            |seen: &&'a Seen| seen.cited.first().and_then(|cited| self.born.get(cited.as_str()).copied());
        let births = std::iter::successors(self.born.get(handle).copied(), parent).take(TURNS_MAX);
        births.filter_map(|seen| Timestamp::try_from(clock.wall(seen.at)).ok()).collect()
    }

    /// Until when it had been used before `arrived`.
    fn last_used(&self, handle: &str, arrived: Instant) -> Option<Instant> {
        let uses = self.used.get(handle)?.iter().filter(|(at, _)| *at < arrived);
        uses.map(|(_, answered)| *answered).max()
    }
}
