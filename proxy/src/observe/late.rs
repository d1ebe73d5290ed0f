//! Births that the store did not take: they are brought to it again for a while, because a handle that nobody can place is of no use
//! to the client, who has it already.

use crate::house::House;
use crate::pins::Born;
use riparian_filters::identify::Tenant;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Answers whose births wait at once; a store that is away for long must not fill the memory.
const WAITING_MAX: usize = 4096;

/// Between one attempt and the next: together a minute, by when a store that was restarted is back.
const AFTER: [Duration; 8] = [
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(6),
    Duration::from_secs(20),
    Duration::from_secs(30),
];

static WAITING: AtomicUsize = AtomicUsize::new(0);

/// Counts itself out when it is dropped, however its task ends.
struct Place;

impl Drop for Place {
    fn drop(&mut self) {
        WAITING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Brings `births` to the store until it takes them.
pub(super) fn learn(house: Arc<House>, tenant: Tenant, births: Vec<Born>) {
    if WAITING.fetch_add(1, Ordering::Relaxed) >= WAITING_MAX {
        drop(Place);
        tracing::error!(
            handles = births.len(),
            "the pin store is away and too many births wait for it: these are lost"
        );
        return;
    }
    let place = Place;
    tokio::spawn(async move {
        let _place = place;
        for after in AFTER {
            tokio::time::sleep(after).await;
            if let Ok(new) = house.pins.learn(tenant, &births).await {
                house.metrics.handles_learned.increment(new);
                return;
            }
        }
        tracing::error!(
            handles = births.len(),
            "the pin store did not come back: these handles are unknown from now on"
        );
    });
}
