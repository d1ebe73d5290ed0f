//! What is counted of the ledger.

use super::Registry;
use crate::ledger::Meters;
use crate::ledger::entry::Kind;
use metrics::Label;

/// The ledger's handles.
pub(super) fn meters(registry: &Registry<'_>) -> Meters {
    let entries = [
        (Kind::Sent, "sent"),
        (Kind::Ended, "ended"),
        (Kind::Refused, "refused"),
        (Kind::Gap, "gap"),
        (Kind::Started, "started"),
    ];
    Meters {
        entries: entries
            .map(|(kind, word)| {
                (kind, registry.counter("riparian_ledger_entries_total", vec![Label::new("kind", word)]))
            })
            .into(),
        size: registry.gauge("riparian_ledger_size", vec![]),
        queue: registry.gauge("riparian_ledger_queue", vec![]),
        lost: registry.counter("riparian_ledger_lost_total", vec![]),
        sync_seconds: registry.histogram("riparian_ledger_sync_seconds", vec![]),
        unavailable: registry.gauge("riparian_ledger_unavailable", vec![]),
    }
}
