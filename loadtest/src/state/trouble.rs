//! Trouble: a replica is ended and comes back, an endpoint fails and recovers, over and over, each independently of the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::replica::Replica;
use super::tally::Tally;
use crate::cloud::{FakeCloud, Fault};
use crate::drive::Dice;

/// A pause, in milliseconds: at least, and by chance more.
type Pause = (u64, usize);

/// All endpoints are well for so long between two failures.
const WELL: Pause = (50, 200);
/// How long an endpoint fails.
const ILL: Pause = (100, 400);
/// Both replicas run for so long between two ends.
const BOTH: Pause = (500, 2500);
/// How long a replica that was ended stays away.
const AWAY: Pause = (20, 200);

/// Makes trouble until it is over; everything is well and running when it returns.
///
/// # Errors
/// A replica does not come back, or an endpoint's port is gone.
pub(super) async fn make(
    clouds: Arc<Vec<FakeCloud>>,
    replicas: Vec<Replica>,
    tally: Arc<Tally>,
    mut dice: Dice,
    over: Arc<AtomicBool>,
) -> Result<(), String> {
    let (ends, failures) = (Dice::new(dice.next()), Dice::new(dice.next()));
    tokio::try_join!(end(&replicas, ends, &tally, &over), fail(&clouds, failures, &tally, &over))?;
    Ok(())
}

/// Ends one replica at a time, politely or not.
async fn end(replicas: &[Replica], mut dice: Dice, tally: &Tally, over: &AtomicBool) -> Result<(), String> {
    loop {
        pause(&mut dice, BOTH).await;
        if over.load(Ordering::SeqCst) {
            return Ok(());
        }
        let replica = &replicas[dice.below(replicas.len())];
        let politely = dice.below(2) == 0;
        tally.event(if politely { "replica SIGTERM" } else { "replica SIGKILL" });
        let began = Instant::now();
        replica.end(politely).await?;
        tally.took(if politely { "SIGTERM to the end" } else { "SIGKILL to the end" }, began.elapsed());
        pause(&mut dice, AWAY).await;
        let began = Instant::now();
        replica.start().await?;
        tally.took("start to ready", began.elapsed());
    }
}

/// Lets one endpoint fail, or all of one party's.
async fn fail(clouds: &[FakeCloud], mut dice: Dice, tally: &Tally, over: &AtomicBool) -> Result<(), String> {
    while !over.load(Ordering::SeqCst) {
        pause(&mut dice, WELL).await;
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
        pause(&mut dice, ILL).await;
        for cloud in &ill {
            cloud.heal().await.map_err(|error| format!("{}: {error}", cloud.name()))?;
        }
    }
    Ok(())
}

async fn pause(dice: &mut Dice, (least, more): Pause) {
    tokio::time::sleep(Duration::from_millis(least + dice.below(more) as u64)).await;
}
