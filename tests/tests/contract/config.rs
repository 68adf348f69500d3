//! The configuration: what is in force, how a newer one comes into force, and what becomes of a wrong one.

use std::fs;
use std::sync::Mutex;

use serde_json::json;
use tidegate_tests::gateway::{self, Role, Setup, WASHINGTON};
use tidegate_tests::http::{Request, Response};
use tidegate_tests::redis::Redis;
use tidegate_tests::runtime::Runtime;
use tidegate_tests::world::{folder, key};

use crate::support::{
    AWAY, AWAY_CONFIG, ask_away, assert_error, assert_error_object, eventually, invalid_request, post_chat,
};

/// Held by tests that replace the configuration of that world.
static REPLACING: Mutex<()> = Mutex::new(());

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
    let newer = AWAY_CONFIG.replace(
        "name = \"tide-global\"",
        "name = \"tide-global\"\naliases = [\"tide-worldwide\"]",
    );
    assert_eq!(ask_away("tide-worldwide", "not yet").status, 404);
    let response = put_config(&AWAY.config(&newer));
    assert!((200..300).contains(&response.status), "{}", response.text());
    eventually("the new alias serves", || {
        ask_away("tide-worldwide", "now").status == 200
    });
    let response = put_config(&AWAY.config(AWAY_CONFIG));
    assert!((200..300).contains(&response.status), "{}", response.text());
    eventually("the alias is gone again", || {
        ask_away("tide-worldwide", "no longer").status == 404
    });
}

#[test]
fn a_wrong_configuration_is_refused_with_all_that_is_wrong() {
    let _alone = REPLACING.lock();
    let wrong = AWAY
        .config(AWAY_CONFIG)
        .replacen("region = \"iad\"", "region = \"atlantis\"", 1)
        .replacen("failures = 2", "failures = \"two\"", 1)
        .replacen("latitude = 50.1", "latitude = 500.1", 1);
    let response = put_config(&wrong);
    assert_eq!(response.status, 422, "{}", response.text());
    let error = response.json()["error"].clone();
    assert_error_object(&error);
    let message = error["message"].as_str().expect("a message");
    for (what, line_of) in [
        ("atlantis", "atlantis"),
        ("breaker.failures", "\"two\""),
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
fn a_configuration_without_an_admin_key_has_to_be_meant() {
    let _alone = REPLACING.lock();
    let keyless = AWAY.config(&AWAY_CONFIG.replace("keys = [\"{key admin}\"]", ""));
    let response = put_config(&keyless);
    assert_error(&response, invalid_request(422, None, Some("invalid_configuration")));
    assert!(response.text().contains("?without-admin=1"), "{}", response.text());
    let config = AWAY.send(&Request::get("/admin/config").key(&key("admin")));
    assert_eq!(config.status, 200, "the one before stays: {}", config.text());
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
    let redis = Redis::if_wanted(&folder);
    let gateway = gateway::start(Setup {
        name: "gateway",
        folder: &folder,
        config: "[[models]]\nname = 7\n",
        place: WASHINGTON,
        role: Role::All,
        secrets: &[],
        redis: redis.as_ref(),
    });
    let response = Request::get("/healthz").send(gateway.address());
    assert_eq!(response.status, 200, "{}", response.text());
    let readiness = Request::get("/readyz").send(gateway.address()).json();
    assert_eq!(readiness["config_refused"], true, "{readiness}");
    let response = Request::get("/v1/models").key(&key("everyone")).send(gateway.address());
    assert_error(&response, invalid_request(401, None, Some("invalid_api_key")));
}

/// A build refuses a wrong one. Whoever asks is told no more than that it cannot be used.
#[test]
fn a_damaged_bundled_configuration_is_told_to_clients_without_details() {
    let folder = folder("wrong-bundle");
    let Some(gateway) = gateway::start_misbundled(&folder, "tidegate bundle\n\x10", "tidegate bundle\n\x7f") else {
        return;
    };
    for request in [Request::get("/healthz"), post_chat("{}")] {
        let response = request.send(gateway.address());
        assert_eq!(response.status, 503, "{}", response.text());
        assert_eq!(response.header("content-type"), Some("application/json"));
        assert!(response.header("retry-after").is_some(), "{:?}", response.headers());
        let error = response.json()["error"].clone();
        assert_error_object(&error);
        assert_eq!(
            (&error["type"], &error["code"]),
            (&json!("server_error"), &json!("invalid_configuration"))
        );
        assert!(!response.text().contains("damaged"), "{error}");
    }
    eventually("operators read what is wrong", || {
        gateway.log_text().contains("of another build, or damaged")
    });
}

/// What the store holds may revoke keys that the bundled configuration knows.
#[test]
fn without_its_store_a_gateway_refuses_requests_and_tells_probes_why() {
    let folder = folder("without-store");
    fs::create_dir_all(&folder).expect("a folder");
    let Some(gateway) = gateway::start_without_store(&folder) else {
        return;
    };
    for _ in 0..3 {
        let response = post_chat("{}").send(gateway.address());
        assert_eq!(response.status, 503, "{}", response.text());
        assert!(response.header("retry-after").is_some(), "{:?}", response.headers());
        let error = response.json()["error"].clone();
        assert_error_object(&error);
        assert_eq!(error["code"], "store_unavailable");
    }
    let readiness = Request::get("/readyz").send(gateway.address());
    assert_eq!(readiness.status, 503, "{}", readiness.text());
    assert_eq!(readiness.json()["status"], "not_ready");
    let response = Request::get("/healthz").send(gateway.address());
    assert_eq!(response.status, 200, "{}", response.text());
}

fn put_config(text: &str) -> Response {
    let request = Request::new("PUT", "/admin/config")
        .header("content-type", "application/toml")
        .key(&key("admin"));
    AWAY.send(&request.body(text))
}
