//! The configuration: what is in force, how a newer one comes into force, and what becomes of a wrong one. And what
//! the common world cannot show: another place, and breakers that open.

use std::fs;
use std::sync::{LazyLock, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tidegate_tests::engine::Fault;
use tidegate_tests::gateway::{self, WASHINGTON};
use tidegate_tests::http::{Request, Response};
use tidegate_tests::runtime::Runtime;
use tidegate_tests::world::{World, folder, key};

use crate::support::{Expected, assert_error, assert_error_object, chat, eventually, invalid_request, post_chat};

static AWAY: LazyLock<World> = LazyLock::new(|| World::start_or_exit("away", TEMPLATE, WASHINGTON, &[]));
const TEMPLATE: &str = include_str!("../../worlds/away.toml");

/// Held by tests that replace the configuration of that world.
static REPLACING: Mutex<()> = Mutex::new(());

#[test]
fn the_nearest_cluster_is_another_one_from_another_place() {
    let response = ask_away("tide-global", "near to here");
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(response.header("x-tidegate-cluster"), Some("us"));
}

#[test]
fn a_replica_that_keeps_failing_is_left_alone_until_it_has_recovered() {
    let engine = AWAY.engine("fragile-1");
    engine.fault("failing again", Fault::Status(500));
    // What a failed attempt says of its replica is noted while its error is already on the way to the client.
    eventually("the breaker opens", || {
        ask_away("tide-fragile", "failing again").status == 503
    });
    assert!(
        (2..5).contains(&engine.requests("failing again").len()),
        "it opens after two failures"
    );
    let refused = ask_away("tide-fragile", "after it failed");
    assert_error(
        &refused,
        Expected {
            status: 503,
            kind: "server_error",
            param: None,
            code: Some("overloaded"),
        },
    );
    let wait: u64 = refused
        .header("retry-after")
        .expect("how long to wait")
        .parse()
        .expect("in whole seconds");
    assert!((1..=2).contains(&wait), "{wait}");
    assert!(
        engine.requests("after it failed").is_empty(),
        "an open breaker lets nothing through"
    );
    thread::sleep(Duration::from_secs(wait));
    assert_eq!(ask_away("tide-fragile", "after it recovered").status, 200);
    eventually("the breaker is closed", || {
        ask_away("tide-fragile", "and again").status == 200
    });
}

#[test]
fn the_configuration_in_force_is_told_to_operators() {
    let _unchanged = REPLACING.lock();
    let response = AWAY.send(&Request::get("/admin/config").key(&key("admin")));
    assert_eq!(response.status, 200, "{}", response.text());
    assert!(
        response.text().contains("name = \"tide-fragile\""),
        "{}",
        response.text()
    );
    assert!(
        response
            .header("x-tidegate-config")
            .is_some_and(|version| version.len() == 16),
        "{response:?}"
    );
}

#[test]
fn only_an_admin_key_reads_or_replaces_the_configuration() {
    for request in [
        Request::get("/admin/config"),
        Request::new("PUT", "/admin/config").body("anything"),
    ] {
        assert_error(
            &AWAY.send(&request),
            invalid_request(401, None, Some("invalid_api_key")),
        );
        let as_tenant = request.clone().key(&key("everyone"));
        assert_error(
            &AWAY.send(&as_tenant),
            invalid_request(401, None, Some("invalid_api_key")),
        );
    }
}

#[test]
fn a_newer_configuration_comes_into_force_without_a_restart() {
    let _alone = REPLACING.lock();
    let newer = TEMPLATE.replace(
        "name = \"tide-global\"",
        "name = \"tide-global\"\naliases = [\"tide-worldwide\"]",
    );
    assert_eq!(ask_away("tide-worldwide", "not yet").status, 404);
    let response = put_config(&AWAY.config(&newer));
    assert!((200..300).contains(&response.status), "{}", response.text());
    eventually("the new alias serves", || {
        ask_away("tide-worldwide", "now").status == 200
    });
    let response = put_config(&AWAY.config(TEMPLATE));
    assert!((200..300).contains(&response.status), "{}", response.text());
    eventually("the alias is gone again", || {
        ask_away("tide-worldwide", "no longer").status == 404
    });
}

#[test]
fn a_wrong_configuration_is_refused_with_all_that_is_wrong() {
    let _alone = REPLACING.lock();
    let wrong = AWAY
        .config(TEMPLATE)
        .replacen("region = \"iad\"", "region = \"atlantis\"", 1)
        .replacen("breaker_failures = 2", "breaker_failures = \"two\"", 1)
        .replacen("latitude = 50.1", "latitude = 500.1", 1);
    let response = put_config(&wrong);
    assert_eq!(response.status, 422, "{}", response.text());
    let error = response.json()["error"].clone();
    assert_error_object(&error);
    let message = error["message"].as_str().expect("a message");
    for (what, line_of) in [
        ("atlantis", "atlantis"),
        ("breaker_failures", "\"two\""),
        ("latitude", "500.1"),
    ] {
        let line = 1 + wrong
            .lines()
            .position(|line| line.contains(line_of))
            .expect("the line is there");
        assert!(message.contains(what), "{what} is not in {message}");
        assert!(
            message.contains(&line.to_string()),
            "line {line} of {what} is not in {message}"
        );
    }
    assert_eq!(ask_away("tide-global", "as before").status, 200);
}

#[test]
fn what_is_no_configuration_at_all_is_refused() {
    let _alone = REPLACING.lock();
    for nonsense in ["", "= = =", "{}", "[[models]]\nname = 7"] {
        assert_eq!(put_config(nonsense).status, 422, "{nonsense}");
    }
    let response = AWAY.send(
        &Request::new("PUT", "/admin/config")
            .key(&key("admin"))
            .body(b"\xff\xfe".to_vec()),
    );
    assert!(matches!(response.status, 400 | 422), "{}", response.text());
    assert_eq!(ask_away("tide-global", "as before").status, 200);
}

/// The runtimes whose store is filled from outside carry a bundled configuration; it serves when the store's is
/// wrong. Natively the file given is the bundled one, and the store takes nothing that is wrong.
#[test]
fn a_wrong_configuration_in_the_store_is_reported_and_the_bundled_one_serves() {
    if Runtime::current() == Runtime::Native {
        return;
    }
    let folder = folder("wrong-store");
    fs::create_dir_all(&folder).expect("a folder");
    let gateway = gateway::start("[[models]]\nname = 7\n", WASHINGTON, &[], &folder);
    let response = Request::get("/healthz").send(gateway.address());
    assert_eq!(response.status, 200, "{}", response.text());
    let readiness = Request::get("/readyz").send(gateway.address()).json();
    assert_eq!(readiness["config_refused"], true, "{readiness}");
    let response = Request::get("/v1/models").key(&key("everyone")).send(gateway.address());
    assert_error(&response, invalid_request(401, None, Some("invalid_api_key")));
}

fn ask_away(model: &str, text: &str) -> Response {
    let body: Value = chat(model, text);
    AWAY.send(&post_chat(body.to_string()))
}

fn put_config(text: &str) -> Response {
    let request = Request::new("PUT", "/admin/config")
        .header("content-type", "application/toml")
        .key(&key("admin"));
    AWAY.send(&request.body(text))
}
