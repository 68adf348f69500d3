//! Replies that are lost, a Redis that is gone or silent, and keys that hold something else.

use std::time::{Duration, Instant};

use tidegate_core::cells::CellError;
use tidegate_native::{Redis, RedisAddress};
use tidegate_tests::redis::PASSWORD;

use crate::proxy::{Manner, Proxy};
use crate::world::{acquire, entries, length, log_key, recovered, release, run, running, server, user, user_at};

#[test]
fn a_lost_reply_does_not_make_a_command_run_twice() {
    let server = server("lost");
    let proxy = Proxy::start(server.address());
    let lossy = user_at(&format!("redis://:{PASSWORD}@{}", proxy.address()));
    let other = user(&server);
    run(async {
        for permit in 0..LOSSES {
            proxy.set(Manner::LoseNext);
            assert_eq!(acquire(&lossy, "a", permit, 1_000).await, Ok(true));
            assert!(proxy.has_lost(), "the reply came through");
            assert_eq!(entries(&server, "a"), 2 * permit + 1, "one entry for each command");
            assert_eq!(acquire(&other, "a", 1_000 + permit, 1_000).await, Ok(true));
        }
        assert_eq!(running(&lossy, "a").await, Ok(2 * LOSSES as u32));
    });
}

#[test]
fn where_nobody_can_tell_whether_a_command_ran_the_caller_hears_so() {
    let server = server("doubt");
    let proxy = Proxy::start(server.address());
    let lossy = user_at(&format!("redis://:{PASSWORD}@{}", proxy.address()));
    run(async {
        assert_eq!(acquire(&lossy, "a", 1, 9).await, Ok(true));
        proxy.set(Manner::Hold);
        let held = tokio::spawn(async move { (acquire(&lossy, "a", 2, 9).await, lossy) });
        let until = Instant::now() + Duration::from_secs(5);
        while entries(&server, "a") < 2 {
            assert!(Instant::now() < until, "the command does not arrive");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // Before the reply is asked for again, the log was cut behind the entry.
        let snapshot = br#"{"v":1,"state":{"cluster":{"replicas":{},"permits":{},"sweep_at":0}}}"#;
        server.command(&[b"DEL", &log_key("a")]);
        server.command(&[
            b"RPUSH",
            &log_key("a"),
            b"63",
            b"64",
            snapshot,
            b"1700000000000000nobodys!",
        ]);
        proxy.set(Manner::LoseNext);
        let (reply, lossy) = held.await.expect("it ended");
        assert!(
            matches!(&reply, Err(CellError::Unreachable(why)) if why.contains("lost")),
            "{reply:?}"
        );
        assert_eq!(recovered(&lossy, "a").await, 0);
    });
}

/// Redis was restarted empty, or another took over, and others have begun a log of the same length.
#[test]
fn another_log_of_the_same_length_is_not_taken_for_the_own() {
    let server = server("histories");
    let (one, other) = (user(&server), user(&server));
    run(async {
        for permit in [1, 2] {
            assert_eq!(acquire(&one, "a", permit, 9).await, Ok(true));
        }
        server.command(&[b"DEL", &log_key("a")]);
        for _ in 0..2 {
            assert_eq!(running(&other, "a").await, Ok(0));
        }
        assert_eq!(running(&one, "a").await, Ok(0));
    });
}

#[test]
fn an_outage_is_a_clear_error_and_over_when_it_is_over() {
    let mut server = server("outage");
    let user = user(&server);
    run(async {
        assert_eq!(acquire(&user, "a", 1, 9).await, Ok(true));
        server.stop();
        let first = timed(&user).await;
        assert!(first < Duration::from_millis(1_500), "{first:?}");
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        let later = timed(&user).await;
        assert!(
            later < Duration::from_millis(100),
            "an outage that is known costs nobody time: {later:?}"
        );
        server.restart();
        assert_eq!(recovered(&user, "a").await, 0, "Redis kept nothing");
        assert_eq!(acquire(&user, "a", 2, 9).await, Ok(true));
    });
}

#[test]
fn a_short_outage_is_ridden_over() {
    let mut server = server("short");
    let user = user(&server);
    run(async {
        assert_eq!(acquire(&user, "a", 1, 9).await, Ok(true));
        server.restart();
        assert_eq!(acquire(&user, "a", 2, 9).await, Ok(true));
        assert_eq!(running(&user, "a").await, Ok(1), "Redis kept nothing");
    });
}

#[test]
fn a_silent_redis_holds_nobody_up_for_long() {
    let server = server("silent");
    let proxy = Proxy::start(server.address());
    let user = user_at(&format!("redis://:{PASSWORD}@{}", proxy.address()));
    run(async {
        assert_eq!(acquire(&user, "a", 1, 9).await, Ok(true));
        proxy.set(Manner::Hold);
        let calls = (0..20).map(|_| timed(&user));
        for took in futures::future::join_all(calls).await {
            assert!(took < Duration::from_millis(1_500), "{took:?}");
        }
        proxy.set(Manner::Pass);
        assert_eq!(recovered(&user, "a").await, 1);
        release(&user, "a", 1).await;
        assert_eq!(running(&user, "a").await, Ok(0));
    });
}

#[test]
fn a_snapshot_of_another_version_is_an_error_that_says_so() {
    let server = server("version");
    let user = user(&server);
    let entry = [b"1700000000000000nobodys!".as_slice(), b"\x09"].concat();
    let snapshot = br#"{"v":9,"state":{"of":"the future"}}"#;
    server.command(&[b"RPUSH", &log_key("a"), b"63", b"64", snapshot, &entry]);
    run(async {
        for _ in 0..2 {
            let error = running(&user, "a").await.expect_err("not readable").to_string();
            assert!(error.contains("version 9, this code reads 1"), "{error}");
        }
        server.command(&[b"DEL", &log_key("a")]);
        assert_eq!(running(&user, "a").await, Ok(0));
    });
}

#[test]
fn a_key_that_holds_something_else_is_an_error() {
    let server = server("foreign");
    let user = user(&server);
    server.command(&[b"SET", &log_key("a"), b"text"]);
    server.command(&[b"RPUSH", &log_key("b"), b"no", b"log", b"here"]);
    run(async {
        for (name, says) in [("a", "WRONGTYPE"), ("b", "no log of a cell")] {
            let error = running(&user, name).await.expect_err("no log").to_string();
            assert!(error.contains(says), "{error}");
        }
    });
}

#[test]
fn a_redis_that_refuses_is_told_without_its_password() {
    let server = server("refused");
    for (url, says) in [
        (server.url(), "NOAUTH"),
        (
            format!("redis://:{PASSWORD}x@{}", server.address()),
            "authentication failed",
        ),
        (format!("redis://:{PASSWORD}@127.0.0.1:1"), "refused"),
    ] {
        let address = RedisAddress::parse(&url, None).expect("a URL");
        let error = Redis::open(&address).expect_err("refused");
        let told = format!("{error} {error:?}");
        assert!(told.to_lowercase().contains(&says.to_lowercase()), "{told}");
        assert!(!told.contains(PASSWORD), "{told}");
    }
}

/// How long a call takes that must fail.
async fn timed(user: &Redis) -> Duration {
    let started = Instant::now();
    let error = running(user, "a").await.expect_err("Redis is gone");
    assert!(
        matches!(&error, CellError::Unreachable(detail) if detail.contains("Redis")),
        "{error}"
    );
    started.elapsed()
}

/// How often a reply is lost.
const LOSSES: u64 = 20;

/// What the README tells operators to grant.
#[test]
fn a_user_with_few_rights_is_enough() {
    let server = server("rights");
    let readme = include_str!("../../../README.md");
    let rights = readme
        .split("`ACL SETUSER ")
        .nth(1)
        .and_then(|rest| rest.split('`').next());
    let rights = rights.expect("the README names the rights").replace('…', "secret");
    let command = format!("ACL SETUSER {rights}");
    let command: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
    assert_eq!(server.command(&command), "+OK");
    let user = user_at(&format!("redis://tidegate:secret@{}", server.address()));
    run(async {
        for permit in 0..400 {
            assert_eq!(acquire(&user, "a", permit, 1_000).await, Ok(true));
        }
        assert!(length(&server, "a") < 400, "snapshots and cuts are allowed");
        assert_eq!(user.store().offer_file("config", b"text").await, Ok(true));
        let read = user.store().read(&["config"]).await.expect("read");
        assert_eq!(read[0].as_deref(), Some(&b"text"[..]));
    });
}
