//! How many replicas a cluster should have, as operators and what scales in their name are told.

use std::sync::LazyLock;
use std::thread;

use serde_json::Value;
use tidegate_tests::gateway::FRANKFURT;
use tidegate_tests::http::Request;
use tidegate_tests::runtime::Runtime;
use tidegate_tests::scripted::Script;
use tidegate_tests::world::{World, key};

use crate::support::{chat_stream, chunk, eventually, post_chat};

/// The world of worlds/scale.toml.
static SCALE: LazyLock<World> =
    LazyLock::new(|| World::start_or_exit("scale", include_str!("../../worlds/scale.toml"), FRANKFURT, &[]));

fn scale(cluster: &str) -> Value {
    let response = SCALE.send(&Request::new("GET", &format!("/admin/v1/scale/{cluster}")).key(&key("reader")));
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()
}

/// What KEDA's scaler reads by that name.
fn number(told: &Value, name: &str) -> f64 {
    told[name].as_f64().unwrap_or_else(|| panic!("{name} of {told}"))
}

#[test]
fn what_runs_and_waits_is_demand_and_what_was_served_is_measured() {
    let long = Script::stream()
        .then(chunk("a"))
        .wait(4_000)
        .then(chunk("b"))
        .then("data: [DONE]\n\n");
    for name in ["one", "two"] {
        SCALE.scripted(name).on("scale holds", long.clone());
    }
    // Four run, and two wait.
    let held: Vec<_> = (0..6)
        .map(|number| {
            let body = chat_stream("busy", &format!("{number} scale holds"));
            thread::spawn(move || SCALE.send(&post_chat(body.to_string())))
        })
        .collect();
    eventually("all of them are known", || {
        let told = scale("busy");
        number(&told, "in_flight_requests") >= 4.0 && number(&told, "queue_requests") >= 2.0
    });
    let told = scale("busy");
    assert_eq!(number(&told, "desired_replicas"), 2.0, "{told}");
    assert_eq!(number(&told, "serving_replicas"), 2.0, "{told}");
    assert!(number(&told, "batch_fullness") >= 1.0, "{told}");
    assert!(number(&told, "in_flight_tokens") > 0.0, "{told}");
    let reasons = told["reasons"].as_array().expect("reasons");
    assert!(
        reasons
            .iter()
            .any(|reason| reason.as_str().is_some_and(|words| words.contains("requests wait"))),
        "{told}"
    );
    for stream in held {
        let answer = stream.join().expect("an answer");
        assert!(answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
    }
    eventually("it is told how they were served", || {
        number(&scale("busy"), "ttft_streams") >= 6.0
    });
    let told = scale("busy");
    assert!(number(&told, "ttft_ms_p95") >= 1.0, "{told}");
    assert!(number(&told, "arrival_requests_per_s") >= 0.0, "{told}");
    let metrics = SCALE.metrics();
    for name in [
        "desired_replicas",
        "ttft_p95_seconds",
        "arrival_tokens_per_second",
        "in_flight_tokens",
    ] {
        assert!(
            metrics.contains(&format!("\ntidegate_cluster_{name}{{cluster=\"busy\"}} ")),
            "{metrics}"
        );
    }
    let serving = "\ntidegate_cluster_replicas{cluster=\"busy\",standing=\"serving\"} 2\n";
    assert!(metrics.contains(serving), "{metrics}");
}

#[test]
fn a_request_that_is_held_asks_for_a_replica_where_there_is_none() {
    let held = post_chat(chat_stream("gone", "is anybody there?").to_string()).open(SCALE.gateway.address());
    // A Worker is not told why a connection failed: one that is not there might be ill as well.
    let absent = match Runtime::current() {
        Runtime::Cloudflare => "ill_replicas",
        Runtime::Native | Runtime::Spin => "standby_replicas",
    };
    eventually("nobody is there, and one should be", || {
        let told = scale("gone");
        number(&told, absent) == 1.0 && number(&told, "desired_replicas") == 1.0
    });
    drop(held);
}

#[test]
fn who_may_look_is_told_and_nobody_else() {
    let ask = |name: &str, path: &str| SCALE.send(&Request::new("GET", path).key(&key(name))).status;
    for path in ["/admin/v1/scale", "/admin/v1/scale/busy"] {
        assert_eq!(
            (ask("reader", path), ask("admin", path), ask("everyone", path)),
            (200, 200, 401),
            "{path}"
        );
    }
    assert_eq!(ask("admin", "/admin/v1/scale/nowhere"), 404);
    let all = SCALE
        .send(&Request::new("GET", "/admin/v1/scale").key(&key("admin")))
        .json();
    let names: Vec<_> = all["clusters"]
        .as_array()
        .expect("clusters")
        .iter()
        .map(|told| &told["cluster"])
        .collect();
    assert_eq!(names, ["busy", "gone"]);
}
