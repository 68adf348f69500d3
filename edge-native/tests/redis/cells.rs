//! Many who use one cell at once.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::future::join_all;
use tidegate_core::cells::CellCall;
use tidegate_core::cells::log::Entry;
use tidegate_core::cluster::{Outcome, PermitId, Release, Releases};
use tidegate_core::time::Timestamp;
use tidegate_native::Redis;

use crate::world::{BREAKER, acquire, entries, length, log_key, release, run, running, server, user};

#[test]
fn many_at_once_get_exactly_the_places_there_are() {
    let server = server("many");
    let users: Vec<_> = (0..8).map(|_| user(&server)).collect();
    run(async {
        let asked = (0..800_u64).map(|permit| acquire(&users[permit as usize % 8], "a", permit, 100));
        let granted: Vec<bool> = join_all(asked)
            .await
            .into_iter()
            .map(|given| given.expect("a reply"))
            .collect();
        assert_eq!(granted.iter().filter(|given| **given).count(), 100);
        for user in &users {
            assert_eq!(running(user, "a").await, Ok(100));
        }
        let held = (0..800).filter(|permit| granted[*permit as usize]);
        join_all(held.map(|permit| release(&users[(permit as usize + 1) % 8], "a", permit))).await;
    });
    users.iter().for_each(Redis::flush);
    let late = user(&server);
    run(async {
        assert_eq!(running(&users[0], "a").await, Ok(0));
        assert_eq!(running(&late, "a").await, Ok(0), "who comes later agrees");
    });
}

/// Three processes that never stop, snapshots and cuts in between, and one that looks now and then.
#[test]
fn snapshots_and_cuts_lose_and_double_nothing() {
    let server = server("snapshots");
    let users: Vec<_> = (0..3).map(|_| Arc::new(user(&server))).collect();
    let (away, late) = (user(&server), user(&server));
    run(async {
        assert_eq!(running(&away, "a").await, Ok(0));
        let workers = users.iter().enumerate().map(|(number, user)| {
            let user = Arc::clone(user);
            tokio::spawn(async move { work(&user, number as u64).await })
        });
        let granted: u64 = join_all(workers)
            .await
            .into_iter()
            .map(|granted| granted.expect("it ended"))
            .sum();
        assert_eq!(granted, 3 * ROUNDS, "with a place for each there is never a refusal");
        let kept = u64::from(running(&users[0], "a").await.expect("a reply"));
        assert_eq!(kept, 3, "each keeps its last");
        let all = entries(&server, "a");
        assert!(
            all > ROUNDS && length(&server, "a") < 400,
            "{all} entries, {} kept",
            length(&server, "a")
        );
        assert_eq!(running(&away, "a").await, Ok(3), "who was away for long");
        assert_eq!(running(&late, "a").await, Ok(3), "who comes later");
    });
}

#[test]
fn a_log_is_forgotten_some_days_after_its_last_use() {
    let server = server("forgotten");
    let user = user(&server);
    run(async { assert_eq!(running(&user, "a").await, Ok(0)) });
    let left = server.command(&[b"PTTL", &log_key("a")]);
    let left: u64 = left.trim_start_matches(':').parse().expect("a time to live");
    let day = 24 * 60 * 60 * 1_000;
    assert!((7 * day..=8 * day).contains(&left), "{left} ms");
}

/// A server whose clock was an hour ahead as the log's last entry was appended, and is right again.
#[test]
fn an_entry_that_is_an_hour_ahead_keeps_nobody_waiting() {
    let server = server("ahead");
    let failed = Releases {
        releases: vec![Release::of_all(
            PermitId(7),
            Some("http://replica".into()),
            Outcome::Failed,
        )],
        breaker: BREAKER,
        prefilled: Vec::new(),
        forgotten: Vec::new(),
        served: Default::default(),
    };
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock");
    let at = (since_epoch + Duration::from_secs(3_600)).as_micros();
    let entry = Entry::new(Timestamp::default(), vec![failed.into_command()]);
    let entry = [format!("{at}its name").as_bytes(), &entry.encode().expect("bytes")].concat();
    server.command(&[b"RPUSH", &log_key("a"), b"0", b"0", b"", &entry]);
    let user = user(&server);
    run(async {
        assert_eq!(acquire(&user, "a", 1, 1).await, Ok(false), "its breaker is open");
        let until = Instant::now() + Duration::from_secs(5);
        while !acquire(&user, "a", 1, 1).await.expect("a reply") {
            assert!(Instant::now() < until, "it stays open");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
}

/// How often each of three takes a place.
const ROUNDS: u64 = 400;

/// Takes and gives back a place, again and again, and keeps the last.
async fn work(user: &Redis, number: u64) -> u64 {
    let mut granted = 0;
    for round in 0..ROUNDS {
        let permit = number * 1_000_000 + round;
        granted += u64::from(acquire(user, "a", permit, 6).await.expect("a reply"));
        if round + 1 < ROUNDS {
            release(user, "a", permit).await;
        }
    }
    granted
}
