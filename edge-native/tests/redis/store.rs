//! The store in Redis.

use std::time::Duration;

use bytes::Bytes;

use crate::world::{run, server, user};

#[test]
fn values_are_read_as_written_by_anybody_until_they_expire() {
    let server = server("store");
    let (one, other) = (user(&server), user(&server));
    let bytes = Bytes::from_static(b"\x00\xff\r\nno text");
    run(async {
        one.store().write("a", &bytes, None).await.expect("written");
        one.store()
            .write("b", b"soon gone", Some(Duration::from_millis(1)))
            .await
            .expect("written");
        one.store()
            .write("c", b"", Some(Duration::from_secs(60)))
            .await
            .expect("written");
        tokio::time::sleep(Duration::from_millis(20)).await;
        let read = other.store().read(&["c", "b", "missing", "a"]).await;
        assert_eq!(read, Ok(vec![Some(Bytes::new()), None, None, Some(bytes)]));
        assert_eq!(other.store().read(&[]).await, Ok(vec![]));
    });
    let left = server.command(&[b"TTL", b"tidegate:1:store:c"]);
    assert!([":60", ":59"].contains(&left.as_str()), "{left}");
}

#[test]
fn an_unchanged_file_does_not_replace_what_came_after_it_whoever_offers_it() {
    let server = server("offered");
    let (one, other) = (user(&server), user(&server));
    run(async {
        assert_eq!(one.store().offer_file("config", b"from the file").await, Ok(true));
        server.command(&[b"SET", b"tidegate:1:store:config", b"by an operator"]);
        assert_eq!(other.store().offer_file("config", b"from the file").await, Ok(false));
        let operators = Some(Bytes::from_static(b"by an operator"));
        assert_eq!(other.store().read(&["config"]).await, Ok(vec![operators]));
        assert_eq!(other.store().offer_file("config", b"edited").await, Ok(true));
        assert_eq!(
            one.store().read(&["config"]).await,
            Ok(vec![Some(Bytes::from_static(b"edited"))])
        );
    });
}

#[test]
fn a_store_that_is_gone_is_a_clear_error_and_comes_back() {
    let mut server = server("store-outage");
    let user = user(&server);
    run(async {
        server.stop();
        let error = user.store().read(&["a"]).await.expect_err("gone").to_string();
        assert!(error.contains("Redis"), "{error}");
        server.restart();
        let until = std::time::Instant::now() + Duration::from_secs(10);
        while user.store().write("a", b"1", None).await.is_err() {
            assert!(std::time::Instant::now() < until, "it does not recover");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(
            user.store().read(&["a"]).await,
            Ok(vec![Some(Bytes::from_static(b"1"))])
        );
    });
}
