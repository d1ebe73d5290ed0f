//! Promise: wherever pins are kept, they are kept alike: a first owner stays the owner, a life ends when it should, and what
//! is bound is bound once.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use riparian_proxy::pins::{Born, Life};
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::stores::{Ground, born, handle, keys, owner, pin, tenant};
use support::wire::SOON;

/// Each promise, for each store.
macro_rules! every_store {
    ($($promise:ident)*) => {
        every_store! { @ memory: $($promise)* }
        every_store! { @ journal: $($promise)* }
        every_store! { @ redis: $($promise)* }
    };
    (@ $store:ident: $($promise:ident)*) => {
        mod $store {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                super::$promise(super::Ground::$store()).await;
            })*
        }
    };
}

every_store! {
    what_was_learned_is_recalled_in_order_and_nothing_else
    a_living_handle_keeps_its_first_owner
    what_is_forgotten_is_unknown
    a_life_ends_when_it_should
    use_renews_what_it_renews
    of_many_that_bind_one_name_one_is_the_owner
    another_root_key_finds_nothing
}

async fn what_was_learned_is_recalled_in_order_and_nothing_else(ground: Ground) {
    let store = ground.open().await;
    let all = [born("one", "e-1"), born("two", "e-2"), born("three", "e-3")];
    assert_eq!(store.learn(tenant("a"), &all).await, Ok(3));
    let asked = ["three", "never seen", "one", "two", "three"].map(handle);
    let found = store.recall(&asked).await.unwrap();
    let owners: Vec<_> = found.iter().map(|pin| pin.as_ref().map(|pin| pin.endpoint.as_str())).collect();
    assert_eq!(owners, [Some("e-3"), None, Some("e-1"), Some("e-2"), Some("e-3")]);
    assert_eq!(found[2], Some(pin("e-1")), "all of it");
    assert_eq!(store.recall(&[]).await.unwrap().len(), 0);
    assert_eq!(store.learn(tenant("a"), &[]).await, Ok(0));
    assert_eq!(store.forget(&[]).await, Ok(()));
    let others = keys().pin(tenant("b"), "response", "one");
    assert_eq!(store.recall(&[others]).await.unwrap()[0], None, "another tenant's");
}

async fn a_living_handle_keeps_its_first_owner(ground: Ground) {
    let store = ground.open().await;
    assert_eq!(store.learn(tenant("a"), &[born("one", "first")]).await, Ok(1));
    assert_eq!(store.learn(tenant("a"), &[born("one", "second"), born("two", "second")]).await, Ok(1));
    assert_eq!(owner(&store, "one").await.as_deref(), Some("first"));
    assert_eq!(owner(&store, "two").await.as_deref(), Some("second"));
    let bound = store.bind(tenant("a"), born("one", "third")).await.unwrap();
    assert_eq!(bound, pin("first"), "what was learned is not bound to another");
    let bound = store.bind(tenant("a"), born("three", "third")).await.unwrap();
    assert_eq!(bound, pin("third"));
    assert_eq!(store.learn(tenant("a"), &[born("three", "fourth")]).await, Ok(0), "nor learned otherwise");
    assert_eq!(owner(&store, "three").await.as_deref(), Some("third"));
}

async fn what_is_forgotten_is_unknown(ground: Ground) {
    let store = ground.open().await;
    store.learn(tenant("a"), &[born("one", "e"), born("two", "e"), born("three", "e")]).await.unwrap();
    store.forget(&["one", "three", "never seen"].map(handle)).await.unwrap();
    assert_eq!(owner(&store, "one").await, None);
    assert_eq!(owner(&store, "three").await, None);
    assert_eq!(owner(&store, "two").await.as_deref(), Some("e"));
    assert_eq!(store.learn(tenant("a"), &[born("one", "new")]).await, Ok(1), "and can be born again");
    assert_eq!(owner(&store, "one").await.as_deref(), Some("new"));
}

async fn a_life_ends_when_it_should(mut ground: Ground) {
    ground.limits.ttl = Duration::from_millis(1500);
    ground.limits.sweep = Duration::from_millis(100);
    let store = ground.open().await;
    let lived = Instant::now();
    let brief = Life { lives: Some(Duration::from_millis(600)), idle: None };
    // Longer than pins are kept, both.
    let long = Life { lives: Some(Duration::from_secs(60)), idle: None };
    let all = [("brief", brief), ("long", long), ("unsaid", Life::default())];
    let all = all.map(|(name, life)| Born { life, ..born(name, "e") });
    store.learn(tenant("a"), &all).await.unwrap();
    for (name, ends) in [("brief", 600), ("long", 1500), ("unsaid", 1500)] {
        let ends = lived + Duration::from_millis(ends);
        while owner(&store, name).await.is_some() {
            // A question takes its time on a busy machine.
            assert!(Instant::now() < ends + SOON, "{name} ends");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // Stores count in whole milliseconds.
        let counted = Instant::now() + Duration::from_millis(1);
        assert!(counted >= ends, "{name} does not end before its time");
    }
    assert_eq!(store.learn(tenant("a"), &[born("brief", "new")]).await, Ok(1), "what has ended gives way");
}

async fn use_renews_what_it_renews(ground: Ground) {
    let store = ground.open().await;
    let idle = Duration::from_millis(1200);
    let used = Born { life: Life { lives: None, idle: Some(idle) }, ..born("used", "e") };
    let left = Born { life: Life { lives: None, idle: Some(idle) }, ..born("left", "e") };
    let lives = Some(Duration::from_millis(2500));
    let both = Born { life: Life { lives, idle: Some(idle) }, ..born("both", "e") };
    let begun = Instant::now();
    store.learn(tenant("a"), &[used, left, both]).await.unwrap();
    let mut newest = begun;
    while begun.elapsed() < Duration::from_millis(2500) {
        let asked = Instant::now();
        let found = store.recall(&[handle("used"), handle("both")]).await.unwrap();
        assert!(newest.elapsed() > idle || found[0].is_some(), "it is used");
        newest = asked;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(owner(&store, "left").await, None, "nobody used it");
    assert_eq!(owner(&store, "both").await, None, "use does not prolong a life");
    assert_eq!(owner(&store, "used").await.as_deref(), Some("e"));
}

async fn of_many_that_bind_one_name_one_is_the_owner(ground: Ground) {
    // Replicas, where there can be some; else one.
    let one = Arc::new(ground.open().await);
    let other = if ground.redis.is_some() { Arc::new(ground.open().await) } else { Arc::clone(&one) };
    for round in 0..8 {
        let tasks: Vec<_> = (0..32)
            .map(|number| {
                let store = Arc::clone(if number % 2 == 0 { &one } else { &other });
                tokio::spawn(async move {
                    let asserted = born(&format!("asserted {round}"), &format!("e-{number}"));
                    store.bind(tenant("a"), asserted).await.unwrap().endpoint.to_string()
                })
            })
            .collect();
        let mut owners = Vec::new();
        for task in tasks {
            owners.push(task.await.unwrap());
        }
        assert!(owners.iter().all(|owner| *owner == owners[0]), "one owner: {owners:?}");
        for store in [&one, &other] {
            assert_eq!(owner(store, &format!("asserted {round}")).await.as_ref(), Some(&owners[0]));
        }
    }
}

async fn another_root_key_finds_nothing(ground: Ground) {
    let store = ground.open().await;
    store.learn(tenant("a"), &[born("one", "e")]).await.unwrap();
    let other = riparian_filters::identify::Keys::derive(b"another key");
    let key = other.pin(tenant("a"), "response", "one");
    assert_eq!(store.recall(&[key]).await.unwrap()[0], None);
}
