//! Trouble: one thing at a time goes wrong, for a while, and is then well again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::replica::Replica;
use super::tally::Tally;
use crate::cloud::{FakeCloud, Fault};
use crate::drive::Dice;

/// Well for so long between two troubles, in milliseconds: at least, and by chance more.
const WELL_MS: (u64, usize) = (100, 300);
/// How long an endpoint fails.
const ILL_MS: (u64, usize) = (100, 500);
/// How long a replica that was ended stays away.
const AWAY_MS: (u64, usize) = (20, 200);

/// Makes trouble until it is over; everything is well and running when it returns.
pub(super) async fn make(
    clouds: Arc<Vec<FakeCloud>>,
    replicas: Vec<Replica>,
    tally: Arc<Tally>,
    mut dice: Dice,
    wanted: bool,
    over: Arc<AtomicBool>,
) -> Result<(), String> {
    while wanted && !over.load(Ordering::SeqCst) {
        pause(&mut dice, WELL_MS).await;
        match dice.below(4) {
            0 => {
                let replica = &replicas[dice.below(replicas.len())];
                let politely = dice.below(2) == 0;
                tally.event(if politely { "replica SIGTERM" } else { "replica SIGKILL" });
                replica.end(politely).await?;
                pause(&mut dice, AWAY_MS).await;
                replica.start().await?;
            }
            _ => fail(&clouds, &mut dice, &tally).await?,
        }
    }
    Ok(())
}

/// One endpoint, or all of one party's.
async fn fail(clouds: &[FakeCloud], dice: &mut Dice, tally: &Tally) -> Result<(), String> {
    let chosen = &clouds[dice.below(clouds.len())];
    let all = dice.below(4) == 0;
    let ill: Vec<&FakeCloud> = clouds
        .iter()
        .filter(|cloud| cloud.name() == chosen.name() || all && cloud.cloud() == chosen.cloud())
        .collect();
    let status = |status| Fault::Status { status, retry_after_seconds: None };
    let fault = match dice.below(4) {
        0 => Fault::Refuse,
        1 => status(500),
        2 => status(429),
        _ => Fault::ResetBeforeHeaders,
    };
    let whom = if all { "party" } else { "endpoint" };
    tally.event(&format!("{whom} {fault}"));
    for cloud in &ill {
        cloud.fault(fault).await;
    }
    pause(dice, ILL_MS).await;
    for cloud in &ill {
        cloud.heal().await.map_err(|error| format!("{}: {error}", cloud.name()))?;
    }
    Ok(())
}

async fn pause(dice: &mut Dice, (least, more): (u64, usize)) {
    tokio::time::sleep(Duration::from_millis(least + dice.below(more) as u64)).await;
}
