use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use http::{Request, StatusCode};
use serde_json::Value;
use tidegate_core::config::KeyDigest;

use crate::world::{Reaction, World};
use crate::{CHAT, chat, config, world};

/// Status, milliseconds until asking again may help, and the body.
fn ask(world: &mut World, path: &str) -> (StatusCode, Option<u64>, Value) {
    let serving = world.serving(Request::get(path).header("authorization", "Bearer key"), "");
    let response = world.run(serving);
    let wait = response.headers().get("retry-after-ms");
    let wait = wait.and_then(|wait| wait.to_str().ok()?.parse().ok());
    let status = response.status();
    let body = world.rest(response.into_body());
    (status, wait, serde_json::from_str(&body).unwrap())
}

fn models(world: &mut World) -> String {
    let serving = world.serving(Request::get("/v1/models").header("authorization", "Bearer key"), "");
    let response = world.run(serving);
    world.rest(response.into_body())
}

fn readiness(world: &mut World) -> String {
    let serving = world.serving(Request::get("/readyz"), "");
    let response = world.run(serving);
    world.rest(response.into_body())
}

fn renamed() -> String {
    config().replace("\"small\"", "\"tiny\"")
}

#[test]
fn what_the_store_holds_counts_from_the_first_request_on() {
    let mut world = world(|_| Reaction::Refuse);
    world.put("config", &renamed());
    assert!(models(&mut world).contains("tiny"));
}

#[test]
fn a_newer_configuration_is_in_force_within_a_minute() {
    let mut world = world(|_| Reaction::Refuse);
    assert!(models(&mut world).contains("small"));
    world.put("config", &renamed());
    world.pass(Duration::from_secs(30));
    models(&mut world);
    assert!(models(&mut world).contains("tiny"));
}

#[test]
fn a_wrong_configuration_is_refused_and_told_and_the_old_one_stays() {
    let mut world = world(|_| Reaction::Refuse);
    world.put("config", "[[clusters]]\nname = 7\n");
    assert!(models(&mut world).contains("small"));
    assert!(readiness(&mut world).contains("\"config_refused\":true"));
    world.put("config", &renamed());
    world.pass(Duration::from_secs(30));
    models(&mut world);
    assert!(readiness(&mut world).contains("\"config_refused\":false"));
}

#[test]
fn an_operator_replaces_it_and_nobody_else() {
    let mut world = world(|_| Reaction::Refuse);
    for (key, text, status) in [
        ("key", renamed(), 401),
        ("admin-key", "name = ".to_owned(), 422),
        ("admin-key", renamed(), 200),
    ] {
        let request = Request::put("/admin/config").header("authorization", format!("Bearer {key}"));
        let serving = world.serving(request, &text);
        let response = world.run(serving);
        assert_eq!(response.status(), status);
        assert_eq!(models(&mut world).contains("tiny"), status == 200);
    }
}

#[test]
fn the_last_admin_key_goes_only_where_that_is_meant_and_then_metrics_tell_no_names() {
    let mut world = world(|_| Reaction::Refuse);
    let config = config();
    let (before, after) = config.split_once("[admin]").expect("it has a key");
    let keys = after.lines().nth(1).expect("the key");
    let keyless = format!("{before}{}", after.replacen(keys, "", 1));
    for (path, status) in [("/admin/config", 422), ("/admin/config?without-admin=1", 200)] {
        let request = Request::put(path).header("authorization", "Bearer admin-key");
        let serving = world.serving(request, &keyless);
        assert_eq!(world.run(serving).status(), status, "{path}");
        let metrics = world.metrics();
        let names = ["tidegate_cluster_available{", "replica="];
        let is_named = names.map(|name| metrics.contains(name));
        assert_eq!(is_named, [status == 422; 2], "{metrics}");
        assert!(metrics.contains("tidegate_requests_total{"), "{metrics}");
    }
}

#[test]
fn a_request_keeps_the_configuration_that_it_came_in_with() {
    let mut world = world(|_| Reaction::Hang);
    let posting = world.posting(CHAT, &[], &chat("big", true));
    let response = world.run(posting);
    world.put("config", &config().replace("Please try again.", "Something else."));
    let maintaining = {
        let (gateway, platform) = (world.gateway.clone(), world.platform.clone());
        async move { gateway.maintain(platform).await }
    };
    world.run(maintaining);
    assert!(world.rest(response.into_body()).contains("Please try again."));
}

#[test]
fn what_was_read_before_an_operator_changed_it_does_not_come_back() {
    let mut world = world(|_| Reaction::Refuse);
    world.put("config", &config());
    assert!(models(&mut world).contains("small"));
    world.pass(Duration::from_secs(60));
    world.delay_store(Duration::from_millis(50));
    assert!(models(&mut world).contains("small"), "it has the store looked at");
    let request = Request::put("/admin/config").header("authorization", "Bearer admin-key");
    let serving = world.serving(request, &renamed());
    assert_eq!(world.run(serving).status(), StatusCode::OK);
    world.pass(Duration::from_secs(1));
    assert!(models(&mut world).contains("tiny"));
}

#[test]
fn until_the_store_is_read_requests_are_refused_and_a_revoked_key_is_not_taken() {
    let mut world = world(|_| Reaction::Refuse);
    let revoking = config().replace(&KeyDigest::of("key").to_string(), &KeyDigest::of("new").to_string());
    world.put("config", &revoking);
    world.fail_store(true);
    for path in ["/v1/models", "/metrics", "/v1/usage", "/admin/config"] {
        let (status, wait, body) = ask(&mut world, path);
        assert_eq!(
            (status.as_u16(), &body["error"]["code"]),
            (503, &"store_unavailable".into())
        );
        assert_eq!(wait, Some(1_000));
    }
    assert_eq!(world.store_reads(), 1, "once a second, however many ask");
    world.pass(Duration::from_millis(400));
    assert_eq!(ask(&mut world, "/v1/models").1, Some(600));
    let (status, _, body) = ask(&mut world, "/readyz");
    assert_eq!((status.as_u16(), &body["status"]), (503, &"not_ready".into()));
    assert!(body["reason"].as_str().unwrap().contains("store"));
    assert_eq!(ask(&mut world, "/healthz").0, 200);
    world.fail_store(false);
    world.pass(Duration::from_millis(600));
    assert_eq!(ask(&mut world, "/v1/models").0, 401);
    let (status, _, body) = ask(&mut world, "/readyz");
    assert_eq!((status.as_u16(), &body["reason"]), (200, &Value::Null));
}

#[test]
fn requests_that_come_at_once_share_the_first_look() {
    let mut world = world(|_| Reaction::Refuse);
    world.put("config", &renamed());
    world.delay_store(Duration::from_millis(300));
    let serving = [(); 40].map(|()| world.serving(Request::get("/v1/usage"), ""));
    let responses = world.run(join_all(serving));
    assert!(
        responses.iter().all(|response| response.status() == 401),
        "{responses:?}"
    );
    assert_eq!(world.store_reads(), 1);
}

#[test]
fn a_store_that_hangs_is_waited_for_once_and_for_seconds_only() {
    let mut world = world(|_| Reaction::Refuse);
    world.delay_store(Duration::from_secs(3_600));
    let started = world.now();
    let serving = [(); 40].map(|()| world.serving(Request::get("/v1/usage"), ""));
    let responses = world.run(join_all(serving));
    assert!(
        responses.iter().all(|response| response.status() == 503),
        "{responses:?}"
    );
    assert_eq!(world.now().since(started), Duration::from_secs(2));
    assert_eq!(world.store_reads(), 1);
    assert_eq!(ask(&mut world, "/healthz").0, 200);
    assert_eq!(world.now().since(started), Duration::from_secs(2), "and not by a probe");
}

#[test]
fn a_client_that_leaves_during_the_first_look_leaves_it_to_another() {
    let mut world = world(|_| Reaction::Refuse);
    world.delay_store(Duration::from_millis(300));
    let mut leaving = Box::pin(world.serving(Request::get("/v1/models"), ""));
    assert!(leaving.as_mut().now_or_never().is_none());
    drop(leaving);
    assert_eq!(ask(&mut world, "/v1/models").0, 200);
    assert_eq!(world.store_reads(), 2);
}

#[test]
fn the_bundled_configuration_serves_an_unread_store_where_it_says_so() {
    let text = format!("{}\n[refresh]\nbundled_until_read = true\n", config());
    let mut world = World::new(&text, |_| Reaction::Refuse);
    world.put("config", &renamed());
    world.fail_store(true);
    assert!(models(&mut world).contains("small"));
    assert_eq!(ask(&mut world, "/readyz").0, 200);
    world.fail_store(false);
    world.pass(Duration::from_secs(1));
    models(&mut world);
    assert!(models(&mut world).contains("tiny"), "it is looked at each second");
}

#[test]
fn an_outage_of_a_store_that_was_read_changes_nothing() {
    let mut world = world(|_| Reaction::Refuse);
    world.put("config", &renamed());
    assert!(models(&mut world).contains("tiny"));
    world.fail_store(true);
    world.pass(Duration::from_secs(30));
    models(&mut world);
    assert!(models(&mut world).contains("tiny"));
    let (status, _, body) = ask(&mut world, "/readyz");
    assert_eq!((status.as_u16(), &body["store_failing"]), (200, &"read".into()));
    let failing = "tidegate_store_failing{access=\"read\"} ";
    assert!(world.metrics().contains(&format!("{failing}1\n")));
    world.fail_store(false);
    world.pass(Duration::from_secs(30));
    models(&mut world);
    assert_eq!(ask(&mut world, "/readyz").2["store_failing"], Value::Null);
    assert!(world.metrics().contains(&format!("{failing}0\n")));
}
