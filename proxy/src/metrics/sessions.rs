//! What is counted of sessions.

use super::Registry;
use metrics::{Counter, Gauge};

/// The handles of the sessions' table.
#[derive(Clone, Debug)]
pub struct SessionMetrics {
    /// Sessions that had a first turn.
    pub begun: Counter,
    /// Those that had a second one.
    pub multi_turn: Counter,
    /// Those that ended after the first.
    pub single_turn: Counter,
    /// Those that have not fallen idle.
    pub live: Gauge,
}

impl SessionMetrics {
    pub(super) fn new(registry: &Registry<'_>) -> Self {
        Self {
            begun: registry.counter("riparian_sessions_begun_total", vec![]),
            multi_turn: registry.counter("riparian_sessions_multi_turn_total", vec![]),
            single_turn: registry.counter("riparian_sessions_single_turn_total", vec![]),
            live: registry.gauge("riparian_sessions_live", vec![]),
        }
    }
}
