//! Replicas that drain: nothing new goes there, and what runs there comes to its end.

use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;
use http::Request;
use serde_json::{Value, json};
use tidegate_core::platform::Platform;

use crate::admin::{ask, assert_conforms};
use crate::world::{Piece, Reaction, World};
use crate::{CHAT, chat, config, done, event, sse, streaming};

/// Replicas with plenty of room, whose streams take ten minutes.
fn roomy() -> String {
    let config = config().replace("max_running = 4", "max_running = 64");
    config.replace("kv_cache_tokens = 100000", "kv_cache_tokens = 10000000")
}

fn ten_minutes(_: &Request<bytes::Bytes>) -> Reaction {
    let slowly = (0..60).flat_map(|_| [event("a"), Piece::Wait(Duration::from_secs(10))]);
    sse(slowly.chain([done()]).collect())
}

fn path(replica: &str) -> String {
    format!("/admin/v1/clusters/near/replicas/{replica}/drain")
}

fn drain(world: &mut World, method: &str, replica: &str) -> Value {
    let (status, answer) = ask(world, "admin-key", (method, &path(replica)), "");
    assert_eq!(status, 200, "{answer}");
    assert_conforms("/admin/v1/clusters/{cluster}/replicas/{replica}/drain", &answer);
    answer
}

/// Where requests have gone since so many were sent.
fn hosts_since(world: &World, before: usize) -> Vec<String> {
    let sent = world.sent();
    let hosts = sent[before..]
        .iter()
        .map(|(url, _)| url["http://".len()..].split('/').next());
    hosts.map(|host| host.expect("a host").to_owned()).collect()
}

#[test]
fn streams_of_ten_minutes_end_as_they_should_while_their_replica_drains() {
    let mut world = World::new(&roomy(), ten_minutes);
    let streams: Vec<_> = (0..20)
        .map(|_| streaming(world.post(CHAT, &chat("big", true))))
        .collect();
    let used = hosts_since(&world, 0);
    let busy = used[0].clone();
    let there = used.iter().filter(|host| **host == busy).count();
    let begun = drain(&mut world, "POST", &busy);
    assert!(begun["drain"]["left"].as_u64() >= Some(there as u64), "{begun}");
    // Within a second nothing goes there any more, also of what was kept here for the next request.
    let before = world.sent().len();
    let moments: Vec<_> = (0..150)
        .map(|number| {
            let posting = world.posting(CHAT, &[], &chat("big", true));
            let platform = world.platform.clone();
            async move {
                platform.sleep(Duration::from_millis(20 * number)).await;
                let response = posting.await;
                assert_eq!(response.status(), 200);
                // Who leaves at once gives back what others may take.
                drop(response);
            }
        })
        .collect();
    let begun = world.now();
    world.run(join_all(moments));
    assert!(world.now().since(begun) >= Duration::from_millis(2_900));
    let after = hosts_since(&world, before);
    let late = after.iter().skip(50).filter(|host| **host == busy).count();
    assert_eq!((after.len(), late), (150, 0), "{after:?}");
    let status = drain(&mut world, "GET", &busy);
    assert_eq!(
        (
            &status["drain"]["left"],
            &status["drain"]["done"],
            &status["takes_requests"]
        ),
        (&json!(there), &json!(false), &json!(false)),
        "kept slots are back"
    );
    let reading = join_all(streams.into_iter().map(StreamExt::collect::<Vec<_>>));
    for pieces in world.run(reading) {
        let text = String::from_utf8(pieces.concat()).unwrap();
        assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    }
    let over = drain(&mut world, "GET", &busy);
    assert_eq!(
        (
            &over["drain"]["left"],
            &over["drain"]["done"],
            &over["drain"]["ends_in_s"]
        ),
        (&json!(0), &json!(true), &json!(0.0))
    );
    assert!(drain(&mut world, "DELETE", &busy)["drain"].is_null());
    let before = world.sent().len();
    for number in 0..8 {
        let other = chat("big", false).replace("\"he\"", &format!("\"other {number}\""));
        drop(world.post(CHAT, &other));
    }
    assert!(hosts_since(&world, before).contains(&busy), "as others again");
}

#[test]
fn another_gateway_hears_of_it_within_a_second() {
    let mut world = World::new(&roomy(), |_| sse(vec![event("a"), done()]));
    let other = world.another(&roomy());
    let request = || Request::post(CHAT).header("authorization", "Bearer key");
    let serving = || other.serve(request(), &chat("big", true));
    drop(streaming(world.run(serving())));
    let busy = hosts_since(&world, 0)[0].clone();
    world.pass(Duration::from_millis(100));
    // It keeps the permit, and would take the next request there without asking.
    drain(&mut world, "POST", &busy);
    world.pass(Duration::from_millis(900));
    for _ in 0..20 {
        let before = world.sent().len();
        let response = world.run(serving());
        assert_eq!(response.status(), 200);
        assert_eq!(hosts_since(&world, before).len(), 1);
        assert!(!hosts_since(&world, before).contains(&busy));
        drop(response);
        world.pass(Duration::from_millis(50));
    }
}

#[test]
fn where_all_replicas_drain_the_next_cluster_serves_and_it_is_told() {
    let mut world = World::new(&roomy(), |_| sse(vec![event("a"), done()]));
    for replica in ["near-a", "near-b"] {
        drain(&mut world, "POST", replica);
    }
    let (_, near) = ask(&mut world, "admin-key", ("GET", "/admin/v1/clusters/near"), "");
    assert_eq!(near["takes_requests"], false, "{near}");
    let response = world.post(CHAT, &chat("big", true));
    assert_eq!(response.status(), 200);
    drop(response);
    assert!(hosts_since(&world, 0).iter().all(|host| !host.starts_with("near")));
    let metrics = world.metrics();
    let draining = "tidegate_cluster_draining{cluster=\"near\",replica=\"http://near-a\"} 1\n";
    assert!(metrics.contains(draining), "{metrics}");
    assert!(metrics.contains("tidegate_admin_changes_total{what=\"drain\"} 2\n"));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let mut world = World::new(&roomy(), |_| sse(vec![event("a"), done()]));
    let refused = |world: &mut World, method, path: &str, body| {
        let (status, answer) = ask(world, "admin-key", (method, path), body);
        (status, answer["error"]["code"].as_str().unwrap_or_default().to_owned())
    };
    for (method, path, body, status, code) in [
        ("POST", path("nobody"), "", 404, "replica_not_found"),
        ("GET", path("nobody"), "", 404, "replica_not_found"),
        (
            "POST",
            path("near-a").replace("/near/", "/nowhere/"),
            "",
            404,
            "cluster_not_found",
        ),
        ("POST", path("near-a"), "{\"deadline\": 3}", 422, "invalid_drain"),
        ("PUT", path("near-a"), "", 405, "method_not_allowed"),
    ] {
        assert_eq!(
            refused(&mut world, method, &path, body),
            (status, code.to_owned()),
            "{method} {path}"
        );
    }
    let encoded = path("http%3A%2F%2Fnear-a");
    let (status, answer) = ask(
        &mut world,
        "admin-key",
        ("POST", &encoded),
        r#"{"deadline_s": 5, "reason": "new driver"}"#,
    );
    assert_eq!((status, &answer["drain"]["reason"]), (200, &json!("new driver")));
    world.pass(Duration::from_secs(6));
    let late = drain(&mut world, "GET", "near-a");
    assert_eq!(
        (&late["drain"]["deadline_in_s"], &late["drain"]["overdue"]),
        (&json!(0.0), &json!(false)),
        "nothing is left there"
    );
}

#[test]
fn a_replica_that_leaves_the_configuration_drains_too() {
    let mut world = World::new(&roomy(), ten_minutes);
    let stream = streaming(world.post(CHAT, &chat("big", true)));
    let busy = hosts_since(&world, 0)[0].clone();
    let other = if busy == "near-a" { "near-b" } else { "near-a" };
    let without = roomy().replace(
        "[\"http://near-a\", \"http://near-b\"]",
        &format!("[\"http://{other}\"]"),
    );
    assert_eq!(
        ask(&mut world, "admin-key", ("PUT", "/admin/v1/config"), &without).0,
        200
    );
    let before = world.sent().len();
    for _ in 0..10 {
        drop(streaming(world.post(CHAT, &chat("big", true))));
    }
    assert!(!hosts_since(&world, before).contains(&busy));
    let status = drain(&mut world, "GET", &busy);
    assert_eq!(
        (&status["configured"], &status["running"]),
        (&json!(false), &json!(1)),
        "{status}"
    );
    let whole: Vec<_> = world.run(stream.collect());
    assert!(String::from_utf8(whole.concat()).unwrap().ends_with("data: [DONE]\n\n"));
    world.pass(Duration::from_secs(2));
    assert_eq!(
        ask(&mut world, "admin-key", ("GET", &path(&busy)), "").0,
        404,
        "it is gone"
    );
}

#[test]
fn an_edge_says_which_region_to_ask() {
    let config = roomy().replacen(
        "jurisdiction = \"eu\"",
        "jurisdiction = \"eu\"\nhop = \"http://hop\"",
        1,
    );
    let config = format!("{config}\n[hops]\nkeys = [\"HOP_KEY\"]\n");
    let (mut world, _hops) = World::of_two_hops(&config, |_| sse(vec![event("a"), done()]));
    let (status, answer) = ask(&mut world, "admin-key", ("POST", &path("near-a")), "");
    assert_eq!((status, &answer["error"]["code"]), (409, &json!("ask_region")));
    assert!(
        answer["error"]["message"].as_str().unwrap().contains("http://hop"),
        "{answer}"
    );
    let (_, near) = ask(&mut world, "admin-key", ("GET", "/admin/v1/clusters/near"), "");
    assert!(near["replicas"].is_null() && near["takes_requests"].is_null(), "{near}");
    assert!(near["ask_at"].as_str().unwrap().starts_with("http://hop"));
}
