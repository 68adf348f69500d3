//! Replicas that are ill: they get nothing, a cluster of which all are so says it and does not stop, and who is well again
//! serves.

use std::io::Write;
use std::sync::LazyLock;
use std::time::Duration;

use tidegate_tests::gateway::FRANKFURT;
use tidegate_tests::http::{Request, Response, connect};
use tidegate_tests::scripted::Script;
use tidegate_tests::world::World;

use crate::support::{chat_stream, eventually, post_chat, served};

/// The world of worlds/health.toml.
static HEALTH: LazyLock<World> =
    LazyLock::new(|| World::start_or_exit("health", include_str!("../../worlds/health.toml"), FRANKFURT, &[]));

fn ask(model: &str, text: &str) -> Response {
    HEALTH.send(&post_chat(chat_stream(model, text).to_string()))
}

#[test]
fn a_cluster_all_of_whose_replicas_are_out_says_so_and_serves_as_soon_as_one_does() {
    let engines = ["ill-1", "ill-2"].map(|name| HEALTH.scripted(name));
    let breaks_off = Script::raw("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n").close();
    engines
        .iter()
        .for_each(|engine| engine.on("ill asks", breaks_off.clone()));
    let is_degraded = || HEALTH.figure("tidegate_cluster_degraded", "cluster=\"ill\"") == Some(1.0);
    eventually("all of them are out", || {
        let refused = ask("ill", "ill asks");
        assert!([502, 503].contains(&refused.status), "{}", refused.text());
        is_degraded()
    });
    eventually("readiness names the cluster, and does not fail for it", || {
        ask("ill", "ill asks");
        let ready = HEALTH.send(&Request::get("/readyz"));
        assert_eq!(ready.status, 200, "{}", ready.text());
        ready.json()["degraded"] == serde_json::json!(["ill"])
    });
    // Those that were out are asked for nothing but by one request at a time.
    engines[0].on("ill asks", served());
    engines[1].on("ill asks", served());
    eventually("one is tried long before its breaker would let it", || {
        ask("ill", "ill asks").status == 200
    });
    eventually("nothing is degraded any more", || {
        ask("ill", "ill asks");
        !is_degraded()
    });
}

#[test]
fn a_replica_of_which_nothing_is_heard_gets_nothing_more() {
    let names = ["wedged-1", "wedged-2"];
    let engines = names.map(|name| HEALTH.scripted(name));
    for engine in engines {
        engine.on("wedged holds", Script::default().wait(60_000));
        engine.on("wedged asks", served());
    }
    let address = HEALTH.gateway.address();
    let mut held = connect(address);
    let request = post_chat(chat_stream("wedged", "wedged holds").to_string());
    held.write_all(&request.to_bytes(address)).expect("it is sent");
    let mut stuck = None;
    eventually("it is sent to one of them", || {
        stuck = engines
            .iter()
            .position(|engine| !engine.seen("wedged holds").is_empty());
        stuck.is_some()
    });
    let stuck = stuck.expect("one");
    let replica = format!("replica=\"{}\"", engines[stuck].url());
    eventually("it is taken for wedged", || {
        HEALTH.figure("tidegate_cluster_available", &replica) == Some(0.0)
    });
    // Its place is free from here on.
    drop(held);
    std::thread::sleep(Duration::from_millis(500));
    for _ in 0..6 {
        assert_eq!(ask("wedged", "wedged asks").status, 200);
    }
    assert!(engines[stuck].seen("wedged asks").is_empty());
    assert_eq!(engines[1 - stuck].seen("wedged asks").len(), 6);
}
