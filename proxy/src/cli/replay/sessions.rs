//! What the record has of each session: where it was, and since when the contract at hand has allowed that. So a session that goes on
//! when a term has ended is judged as it would be live, by that term's `on_expiry`.

use super::record::Recorded;
use riparian_config::Timestamp;
use std::collections::HashMap;
use std::time::Duration;

/// Sessions that are remembered; of those beyond it nothing is, as if they had begun before the record.
const SESSIONS_MAX: usize = 1_000_000;

/// Sessions, by the name that the record has for them.
#[derive(Debug, Default)]
pub(super) struct Sessions(HashMap<String, Stay>);

#[derive(Debug)]
struct Stay {
    endpoint: String,
    /// When the contract at hand last allowed it to be there, where it ever did.
    since: Option<Timestamp>,
    last: Timestamp,
}

impl Sessions {
    /// When a session was last allowed where this turn of it went, and how long it had rested; nothing of one that is new here.
    pub(super) fn stay(&self, recorded: &Recorded) -> Option<(Timestamp, Duration)> {
        let stay = self.0.get(recorded.session.as_ref()?)?;
        let rested = Duration::try_from(recorded.time.duration_since(stay.last)).unwrap_or_default();
        (stay.endpoint == recorded.endpoint).then_some((stay.since.unwrap_or(recorded.time), rested))
    }

    /// A turn went where it went, which the contract at hand allows at that moment, or does not.
    pub(super) fn seen(&mut self, recorded: &Recorded, allowed: bool) {
        let Some(session) = &recorded.session else { return };
        let (endpoint, last) = (recorded.endpoint.clone(), recorded.time);
        let since = allowed.then_some(recorded.time);
        let full = self.0.len() >= SESSIONS_MAX;
        match self.0.get_mut(session) {
            Some(stay) if stay.endpoint == endpoint => {
                *stay = Stay { endpoint, since: since.or(stay.since), last };
            }
            Some(stay) => *stay = Stay { endpoint, since, last },
            None if full => {}
            None => {
                self.0.insert(session.clone(), Stay { endpoint, since, last });
            }
        }
    }
}
