//! What operators ask for and change.

use std::sync::{Arc, Mutex};

use http::Request;
use serde_json::{Value, json};
use tidegate_core::config::KeyDigest;
use tidegate_core::observe::{Level, Sink};

use crate::world::{Piece, World};
use crate::{CHAT, chat, config, done, event, sse, streaming};

/// With a key that may look, and a budget.
fn watched() -> String {
    let reader = KeyDigest::of("reader");
    let config = config().replace("[admin]\n", &format!("[admin]\nread_keys = [\"{reader}\"]\n"));
    assert!(config.contains("read_keys"));
    config
}

fn world_of(config: &str) -> World {
    World::new(config, |_| {
        sse(vec![event("a"), Piece::Wait(std::time::Duration::from_secs(3)), done()])
    })
}

/// Status and body of what an operator asks.
pub fn ask(world: &mut World, key: &str, (method, path): (&str, &str), body: &str) -> (u16, Value) {
    let request = Request::builder().method(method).uri(path);
    let serving = world.serving(request.header("authorization", format!("Bearer {key}")), body);
    let response = world.run(serving);
    let status = response.status().as_u16();
    let text = world.rest(response.into_body());
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

#[test]
fn a_key_that_may_look_changes_nothing() {
    let config = watched();
    let mut world = world_of(&config);
    for path in ["/admin/config", "/admin/v1/config", "/admin/v1/clusters", "/metrics"] {
        assert_eq!(ask(&mut world, "reader", ("GET", path), "").0, 200, "{path}");
        assert_eq!(ask(&mut world, "key", ("GET", path), "").0, 401, "{path}");
    }
    let newer = config.replace("\"small\"", "\"tiny\"");
    for (key, status) in [("reader", 403), ("key", 401), ("admin-key", 200)] {
        let (found, answer) = ask(&mut world, key, ("PUT", "/admin/v1/config"), &newer);
        assert_eq!(found, status, "{key}: {answer}");
        if status == 403 {
            assert_eq!(answer["error"]["code"], "read_only_key");
        }
    }
    let metrics = world.metrics();
    let counted = "tidegate_admin_changes_total{what=\"config\"} 1\n";
    assert!(metrics.contains(counted), "{metrics}");
}

#[test]
fn a_change_is_told_with_who_made_it_what_was_and_what_is() {
    let mut world = world_of(&watched());
    let lines = Arc::<Mutex<Vec<String>>>::default();
    let written = Arc::clone(&lines);
    world.gateway.set_sink(Sink::new(Level::Warn, move |record| {
        written.lock().unwrap().push(record.to_string());
    }));
    let newer = watched().replace("\"small\"", "\"tiny\"");
    assert_eq!(ask(&mut world, "admin-key", ("PUT", "/admin/v1/config"), &newer).0, 200);
    assert_eq!(
        ask(&mut world, "admin-key", ("PUT", "/admin/v1/config"), "wrong").0,
        422
    );
    let lines = lines.lock().unwrap();
    let id = KeyDigest::of("admin-key").to_string()[..15].to_owned();
    let [line] = lines.as_slice() else {
        panic!("one line for one change: {lines:?}")
    };
    assert!(
        line.contains(&format!(" by={id} what=config before=")) && line.contains(" after="),
        "{line}"
    );
    assert!(!line.contains("admin-key"), "{line}");
}

#[test]
fn clusters_are_told_as_they_stand_and_as_the_description_says() {
    let mut world = world_of(&watched());
    let stream = streaming(world.post(CHAT, &chat("big", true)));
    let (status, listed) = ask(&mut world, "reader", ("GET", "/admin/v1/clusters"), "");
    assert_eq!(status, 200);
    let (_, near) = ask(&mut world, "reader", ("GET", "/admin/v1/clusters/near"), "");
    assert!(listed["clusters"].as_array().unwrap().contains(&near), "{listed}");
    let replicas = near["replicas"].as_array().unwrap();
    assert_eq!(replicas.len(), 2);
    let running: u64 = replicas
        .iter()
        .map(|replica| replica["running"].as_u64().unwrap())
        .sum();
    assert_eq!(running, 1, "{near}");
    assert_eq!(
        (&near["takes_requests"], &near["queue"]["requests"], &near["ask_at"]),
        (&json!(true), &json!(0), &Value::Null)
    );
    assert_conforms("/admin/v1/clusters", &listed);
    assert_conforms("/admin/v1/clusters/{cluster}", &near);
    let (status, unknown) = ask(&mut world, "reader", ("GET", "/admin/v1/clusters/far%20away"), "");
    assert_eq!((status, &unknown["error"]["code"]), (404, &json!("cluster_not_found")));
    assert_eq!(ask(&mut world, "reader", ("POST", "/admin/v1/clusters"), "").0, 405);
    drop(stream);
}

/// Whether an answer to GET has the shape that `docs/admin-api.json` tells.
pub fn assert_conforms(path: &str, answer: &Value) {
    assert_conforms_to("get", path, answer);
}

/// The same of an answer to that method.
pub fn assert_conforms_to(method: &str, path: &str, answer: &Value) {
    let described = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/admin-api.json");
    let described = std::fs::read_to_string(described).expect("it is there");
    let described: Value = serde_json::from_str(&described).expect("JSON");
    let schema = &described["paths"][path][method]["responses"]["200"]["content"]["application/json"]["schema"];
    assert!(schema.is_object(), "{path} is described");
    let validator = jsonschema::validator_for(schema).expect("a schema");
    let errors: Vec<String> = validator.iter_errors(answer).map(|error| error.to_string()).collect();
    assert_eq!(errors, [""; 0], "{answer}");
}
