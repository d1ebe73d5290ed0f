//! Evidence of sessions: how many turns each has had, since when, and how many handles it has left behind. A "session" of a single
//! turn is a stateless call in a session's clothes, and is counted apart when it falls idle.
//!
//! Kept in this process' memory and touched only by requests that have a session. A turn is a request that was let through; a
//! socket's further messages are further turns. What is refused is none.

use crate::locks::Mutex;
use crate::metrics::SessionMetrics;
use foldhash::fast::FixedState;
use riparian_config::Grade;
use riparian_filters::identify::SessionId;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::time::{Duration, Instant};

/// Sessions that are kept, all shards together: some 30 MB. Over it, one of those goes that have rested longest since they were last
/// looked at; should it come back, it begins anew.
pub const SESSIONS_MAX: usize = SHARDS * SHARD_MAX;

/// Requests of different sessions hardly ever meet at a lock.
const SHARDS: usize = 64;

const SHARD_MAX: usize = 4096;

/// How many are passed over, because they were used lately, before one goes that was, too.
const PASSED_MAX: usize = 16;

/// The sessions that have been seen lately.
pub struct Sessions {
    shards: [Mutex<Shard>; SHARDS],
    metrics: SessionMetrics,
}

#[derive(Default)]
struct Shard {
    // Their keys are digests and random numbers: nobody outside chooses where they fall.
    known: HashMap<SessionId, Known, FixedState>,
    /// Each of them once; at the front whoever is to go next, unless it was used since it got there.
    order: VecDeque<SessionId>,
}

struct Known {
    begun: Instant,
    used: Instant,
    turns: u64,
    handles: u64,
    /// The highest of its turns.
    grade: Grade,
    /// The readings under which a turn would have come out otherwise, one bit each.
    diverged: u16,
    /// Requests that have not ended: a stream that takes an hour is not idle.
    open: u64,
    used_lately: bool,
}

/// What is known of a session when one of its requests ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Which of its turns this was, from 1 on.
    pub turn: u64,
    /// How long ago the first began.
    pub age: Duration,
    /// The handles that were learned from its answers so far.
    pub handles: u64,
}

impl Sessions {
    /// None yet.
    #[must_use]
    pub fn new(metrics: SessionMetrics) -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()), metrics }
    }

    fn with<R>(&self, session: SessionId, look: impl FnOnce(&mut Shard) -> R) -> R {
        let at = usize::from(session.bytes()[0]) % SHARDS;
        look(&mut self.shards[at].lock().expect("no holder of this lock panics"))
    }

    /// A turn begins; the number that it has.
    pub fn begin(&self, session: SessionId, grade: Grade, now: Instant) -> u64 {
        self.with(session, |shard| {
            if let Some(known) = shard.known.get_mut(&session) {
                known.turns += 1;
                known.open += 1;
                known.used_lately = true;
                known.grade = known.grade.max(grade);
                self.grown(known.turns - 1, known.turns);
                return known.turns;
            }
            if shard.known.len() >= SHARD_MAX {
                self.make_room(shard);
            }
            let fresh = Known {
                begun: now,
                used: now,
                turns: 1,
                handles: 0,
                grade,
                diverged: 0,
                open: 1,
                used_lately: false,
            };
            shard.known.insert(session, fresh);
            shard.order.push_back(session);
            self.metrics.begun.increment(1);
            self.metrics.live.increment(1.0);
            1
        })
    }

    /// It came to differ under the reading of this number; whether that is new. Of one that is not remembered nothing is new.
    pub fn diverges(&self, session: SessionId, reading: usize) -> bool {
        self.with(session, |shard| {
            let Some(known) = shard.known.get_mut(&session) else { return false };
            let before = known.diverged;
            known.diverged |= 1 << reading;
            known.diverged != before
        })
    }

    /// The highest grade that its turns had; `None` when it is not remembered.
    #[must_use]
    pub fn grade(&self, session: SessionId) -> Option<Grade> {
        self.with(session, |shard| shard.known.get(&session).map(|known| known.grade))
    }

    /// How long ago it was last used: not at all while one of its requests goes on. `None` when it is not remembered.
    #[must_use]
    pub fn rested(&self, session: SessionId, now: Instant) -> Option<Duration> {
        self.with(session, |shard| {
            let known = shard.known.get(&session)?;
            let rested = now.saturating_duration_since(known.used);
            Some(if known.open > 0 { Duration::ZERO } else { rested })
        })
    }

    /// Handles were born in it.
    pub fn bore(&self, session: SessionId, handles: u64) {
        self.with(session, |shard| {
            if let Some(known) = shard.known.get_mut(&session) {
                known.handles += handles;
            }
        });
    }

    /// Its turn of this number is over, and so many that followed on the same socket. `None` when it had to go meanwhile.
    pub fn end(&self, session: SessionId, turn: u64, further: u64, now: Instant) -> Option<Evidence> {
        self.with(session, |shard| {
            let known = shard.known.get_mut(&session)?;
            self.grown(known.turns, known.turns + further);
            known.turns += further;
            known.open = known.open.saturating_sub(1);
            known.used = now;
            let age = now.saturating_duration_since(known.begun);
            Some(Evidence { turn: turn + further, age, handles: known.handles })
        })
    }

    /// Lets go of those that have not been used for `idle`; how many that were.
    pub fn sweep(&self, now: Instant, idle: Duration) -> usize {
        let mut ended = 0;
        for shard in &self.shards {
            let shard = &mut *shard.lock().expect("no holder of this lock panics");
            let is_idle =
                |known: &Known| known.open == 0 && now.saturating_duration_since(known.used) >= idle;
            shard.known.retain(|_, known| {
                let idle = is_idle(known);
                if idle {
                    ended += 1;
                    self.ended(known);
                }
                !idle
            });
            shard.order.retain(|session| shard.known.contains_key(session));
        }
        ended
    }

    /// One more session has had a second turn.
    fn grown(&self, before: u64, after: u64) {
        if before < 2 && after >= 2 {
            self.metrics.multi_turn.increment(1);
        }
    }

    fn ended(&self, known: &Known) {
        self.metrics.live.decrement(1.0);
        if known.turns == 1 {
            self.metrics.single_turn.increment(1);
        }
    }

    fn make_room(&self, shard: &mut Shard) {
        for passed in 0..=PASSED_MAX {
            let Some(session) = shard.order.pop_front() else { return };
            match shard.known.get_mut(&session) {
                Some(known) if passed < PASSED_MAX && (known.used_lately || known.open > 0) => {
                    known.used_lately = false;
                    shard.order.push_back(session);
                }
                _ => {
                    if let Some(known) = shard.known.remove(&session) {
                        self.ended(&known);
                    }
                    return;
                }
            }
        }
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sessions(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    const IDLE: Duration = Duration::from_secs(30 * 60);

    fn session(number: u64) -> SessionId {
        let mut bytes = [0; 16];
        bytes[8..].copy_from_slice(&number.to_be_bytes());
        SessionId::mint(bytes)
    }

    fn count(metrics: &Metrics, name: &str) -> u64 {
        let text = metrics.render();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
        value.unwrap_or_default()
    }

    #[test]
    fn turns_age_and_handles_are_counted_and_single_turns_apart() {
        let metrics = Metrics::new();
        let sessions = Sessions::new(metrics.sessions.clone());
        let (began, minute) = (Instant::now(), Duration::from_secs(60));
        let (talk, single) = (session(1), session(2));
        assert_eq!(sessions.begin(talk, Grade::Creates, began), 1);
        assert_eq!(sessions.begin(single, Grade::Creates, began), 1);
        sessions.bore(talk, 2);
        assert_eq!(
            sessions.end(talk, 1, 0, began + minute),
            Some(Evidence { turn: 1, age: minute, handles: 2 })
        );
        assert_eq!(sessions.begin(talk, Grade::Creates, began + minute), 2);
        sessions.bore(talk, 1);
        let evidence = sessions.end(talk, 2, 0, began + 2 * minute);
        assert_eq!(evidence, Some(Evidence { turn: 2, age: 2 * minute, handles: 3 }));
        assert_eq!(
            sessions.sweep(began + 2 * IDLE, IDLE),
            1,
            "the other one has a request that has not ended"
        );
        sessions.end(single, 1, 0, began + IDLE);
        assert_eq!(sessions.sweep(began + 2 * IDLE - minute, IDLE), 0, "not idle for long enough");
        assert_eq!(sessions.sweep(began + 2 * IDLE, IDLE), 1);
        assert_eq!(
            sessions.begin(talk, Grade::Creates, began + 3 * IDLE),
            1,
            "a session that comes back begins anew"
        );
        for (name, expected) in
            [("begun_total", 3), ("multi_turn_total", 1), ("single_turn_total", 1), ("live", 1)]
        {
            assert_eq!(count(&metrics, &format!("riparian_sessions_{name}")), expected, "{name}");
        }
    }

    #[test]
    fn the_messages_of_a_socket_are_turns() {
        let metrics = Metrics::new();
        let sessions = Sessions::new(metrics.sessions.clone());
        let now = Instant::now();
        assert_eq!(sessions.begin(session(1), Grade::Creates, now), 1);
        assert_eq!(sessions.end(session(1), 1, 4, now).map(|evidence| evidence.turn), Some(5));
        sessions.sweep(now + IDLE, IDLE);
        assert_eq!(count(&metrics, "riparian_sessions_multi_turn_total"), 1);
        assert_eq!(count(&metrics, "riparian_sessions_single_turn_total"), 0);
    }

    #[test]
    fn the_table_has_a_bound_and_keeps_what_is_in_use() {
        let metrics = Metrics::new();
        let sessions = Sessions::new(metrics.sessions.clone());
        let now = Instant::now();
        // All in one shard, which is full long before the table is.
        let (talk, streams) = (session(1), session(2));
        sessions.begin(talk, Grade::Creates, now);
        sessions.end(talk, 1, 0, now);
        sessions.begin(streams, Grade::Creates, now);
        for number in 3..3 * SHARD_MAX as u64 {
            assert_eq!(sessions.begin(session(number), Grade::Creates, now), 1);
            sessions.end(session(number), 1, 0, now);
            if number % 100 == 0 {
                assert!(sessions.begin(talk, Grade::Creates, now) > 1, "used all the time, and still known");
                sessions.end(talk, 2, 0, now);
            }
        }
        assert_eq!(count(&metrics, "riparian_sessions_live"), SHARD_MAX as u64);
        assert!(sessions.end(streams, 1, 0, now).is_some(), "it is still open");
        let shard = sessions.shards[0].lock().unwrap();
        assert_eq!((shard.known.len(), shard.order.len()), (SHARD_MAX, SHARD_MAX));
    }
}
