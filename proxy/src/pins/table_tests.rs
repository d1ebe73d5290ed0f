use super::*;
use proptest::prelude::*;
use riparian_config::{CloudName, EndpointName, Timestamp};
use riparian_filters::identify::SessionId;

const SECOND: u64 = 1000;
const TTL: u64 = 60 * SECOND;

fn table(max: u64, per_tenant: u64) -> Table {
    let limits = Pins {
        store: None,
        ttl: Duration::from_millis(TTL),
        max,
        per_tenant,
        sweep: Duration::from_secs(60),
    };
    Table::new(limits, PinMetrics::noop())
}

fn tenant(number: u8) -> Tenant {
    Tenant::from_bytes([number; 16])
}

fn key(number: u8) -> PinKey {
    PinKey::from_bytes([number; 16])
}

fn born(number: u8, endpoint: &str, life: Life) -> Born {
    let pin = Pin {
        endpoint: EndpointName::new(endpoint).unwrap(),
        cloud: CloudName::new("c").unwrap(),
        session: SessionId::mint([1; 16]),
        since: Timestamp::from_second(1).unwrap(),
    };
    Born { key: key(number), pin, life }
}

fn life(lives: Option<u64>, idle: Option<u64>) -> Life {
    Life { lives: lives.map(Duration::from_millis), idle: idle.map(Duration::from_millis) }
}

const ANY: Life = Life { lives: None, idle: None };

#[test]
fn a_life_ends_at_the_earliest_of_its_ends() {
    /// Lives, idle, uses: when it ends.
    type Row = (Option<u64>, Option<u64>, &'static [u64], u64);
    let rows: [Row; 8] = [
        (None, None, &[], TTL),
        (None, None, &[30 * SECOND], TTL),
        (Some(5 * SECOND), None, &[4 * SECOND], 5 * SECOND),
        (Some(90 * SECOND), None, &[50 * SECOND], TTL),
        (None, Some(10 * SECOND), &[], 10 * SECOND),
        (None, Some(10 * SECOND), &[9 * SECOND, 18 * SECOND], 28 * SECOND),
        (Some(20 * SECOND), Some(10 * SECOND), &[9 * SECOND, 18 * SECOND], 20 * SECOND),
        (None, Some(2 * TTL), &[30 * SECOND], TTL + 30 * SECOND),
    ];
    for (lives, idle, uses, end) in rows {
        let (table, start) = (table(10, 10), 1_000_000);
        table.learn(tenant(1), &born(1, "e", life(lives, idle)), start);
        let row = format!("{lives:?} {idle:?} {uses:?}");
        for at in uses {
            assert!(table.recall(key(1), start + at).is_some(), "{row}: at {at}");
        }
        // Looked at without a use: a recall would renew it.
        let ends = table.stored(key(1)).unwrap().times.ends;
        assert_eq!(ends, start + end, "{row}");
        assert!(table.recall(key(1), start + end).is_none(), "{row}: at its end");
        assert_eq!((table.sweep(start + end), table.len()), (1, 0), "{row}");
    }
}

#[test]
fn lives_of_every_length_are_swept_when_they_end_and_not_before() {
    let (table, start) = (table(100, 100), 1_000_000);
    for number in 1..=20 {
        table.learn(tenant(1), &born(number, "e", life(Some(u64::from(21 - number) * SECOND), None)), start);
    }
    for seconds in 1..=20_u8 {
        assert_eq!(table.sweep(start + u64::from(seconds) * SECOND), 1);
        assert_eq!(table.len(), u64::from(20 - seconds));
        assert!(table.stored(key(21 - seconds)).is_none());
    }
}

#[test]
fn over_its_share_a_tenant_loses_its_own_oldest_and_nobody_elses() {
    let table = table(100, 2);
    table.learn(tenant(2), &born(9, "e", ANY), 1);
    for number in 1..=3 {
        table.learn(tenant(1), &born(number, "e", ANY), 1);
    }
    let known = |number| table.recall(key(number), 2).is_some();
    assert!(!known(1) && known(2) && known(3) && known(9));
    assert_eq!(table.len(), 3);
}

#[test]
fn over_the_whole_the_oldest_goes_however_long_it_would_live() {
    let table = table(3, 3);
    table.learn(tenant(1), &born(1, "e", ANY), 1);
    for number in 2..=4 {
        table.learn(tenant(number), &born(number, "e", life(Some(SECOND), None)), 1);
    }
    assert_eq!(table.len(), 3);
    assert!(table.recall(key(1), 2).is_none() && table.recall(key(2), 2).is_some());
}

#[test]
fn what_was_forgotten_and_learned_again_is_young() {
    let table = table(2, 2);
    table.learn(tenant(1), &born(1, "e", ANY), 1);
    table.learn(tenant(1), &born(2, "e", ANY), 1);
    table.forget(key(1));
    table.learn(tenant(1), &born(1, "f", ANY), 2);
    table.learn(tenant(1), &born(3, "e", ANY), 3);
    assert!(table.recall(key(2), 4).is_none(), "the oldest birth goes");
    assert_eq!(table.recall(key(1), 4).unwrap().endpoint.as_str(), "f");
    assert_eq!(table.len(), 2);
}

#[test]
fn a_living_pin_keeps_its_owner_and_an_ended_one_gives_way() {
    let table = table(10, 10);
    let brief = life(Some(SECOND), None);
    assert!(table.learn(tenant(1), &born(1, "first", brief), 1000));
    assert!(!table.learn(tenant(1), &born(1, "second", brief), 1500));
    assert_eq!(table.bind(tenant(1), &born(1, "third", brief), 1600).endpoint.as_str(), "first");
    assert_eq!(table.bind(tenant(1), &born(1, "fourth", brief), 2000).endpoint.as_str(), "fourth");
    assert_eq!(table.recall(key(1), 2100).unwrap().endpoint.as_str(), "fourth");
    assert_eq!(table.len(), 1);
}

#[test]
fn a_pin_that_was_kept_is_no_older_and_no_younger_for_it() {
    let stored = |times| Stored { tenant: tenant(1), pin: born(1, "e", ANY).pin, times };
    let restored = |mut times: Times, now| {
        let table = table(10, 10);
        times.shorten(Duration::from_millis(TTL), now);
        table.restore(key(1), stored(times), now);
        table.stored(key(1)).map(|stored| stored.times.ends)
    };
    let now = 10_000_000;
    let lived = Times { born: now - 10 * SECOND, hard: Some(now + SECOND), idle: None, ends: now + SECOND };
    assert_eq!(restored(lived, now), Some(now + SECOND));
    assert_eq!(restored(lived, now + SECOND), None, "it ended meanwhile");
    // A clock that was set back by an hour gives it what it had left, not an hour more.
    assert_eq!(restored(lived, now - 3600 * SECOND), Some(now - 3600 * SECOND + 11 * SECOND));
    let long =
        Times { born: now - 10 * SECOND, hard: Some(now + 10 * TTL), idle: None, ends: now + 10 * TTL };
    assert_eq!(restored(long, now), Some(now - 10 * SECOND + TTL), "the configured life got shorter");
    let idle = Times { born: now - TTL, hard: None, idle: Some(5 * TTL), ends: now + 4 * TTL };
    assert_eq!(restored(idle, now), Some(now + TTL), "the same, from its last use on");
}

proptest! {
    /// Whatever happens in whatever order, the counts are those of the table and no limit is passed.
    #[test]
    fn counts_and_limits_hold(steps in prop::collection::vec((0..6_u8, 0..4_u8, 0..24_u8, 0..4_u64), 0..400)) {
        let (table, mut now) = (table(12, 5), 1_000_000);
        for (what, who, number, seconds) in steps {
            now += seconds * SECOND;
            // A key belongs to one tenant: it is a digest of it.
            let (tenant_of, key_of) = (tenant(who), key(who * 32 + number));
            let mut born = born(number, "e", life(Some(30 * SECOND), (number % 2 == 0).then_some(5 * SECOND)));
            born.key = key_of;
            match what {
                0 | 1 => { table.learn(tenant_of, &born, now); }
                2 => { table.bind(tenant_of, &born, now); }
                3 => { table.recall(key_of, now); }
                4 => table.forget(key_of),
                _ => { table.sweep(now); }
            }
            prop_assert_eq!(table.len(), table.pins.len() as u64);
            prop_assert!(table.len() <= 12);
            for who in 0..4 {
                let live = table.pins.iter().filter(|entry| entry.tenant == tenant(who)).count() as u64;
                let counted = table.tenants.get(&tenant(who)).map_or(0, |own| own.live);
                prop_assert_eq!(live, counted, "tenant {}", who);
                prop_assert!(live <= 5);
            }
        }
    }
}
