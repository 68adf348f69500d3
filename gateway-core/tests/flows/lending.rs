//! Permits that are kept for the next request.

use std::time::Duration;

use tidegate_core::platform::Platform;

use crate::world::{Piece, Reaction, World};
use crate::{CHAT, chat, config, done, event, host, sse, streaming};

/// Replicas with plenty of room.
fn roomy(engines: impl Fn(&http::Request<bytes::Bytes>) -> Reaction + 'static) -> World {
    World::new(&config().replace("max_running = 4", "max_running = 64"), engines)
}

fn whole() -> Reaction {
    let body = r#"{"model":"org/big","choices":[{"message":{"content":"a"}}],"usage":{"prompt_tokens":1}}"#;
    Reaction::Answer(200, "application/json", vec![Piece::Text(body.to_owned())])
}

#[test]
fn a_cell_is_asked_about_once_a_second_and_gets_back_what_nobody_uses() {
    let mut world = roomy(|_| whole());
    for _ in 0..400 {
        assert_eq!(world.post(CHAT, &chat("big", false)).status(), 200);
        world.pass(Duration::from_millis(10));
    }
    let commands = world.cluster_commands();
    assert!(
        (7..=10).contains(&commands),
        "{commands} commands for 400 requests in 4 s"
    );
    let metrics = world.metrics();
    for (from, taken) in [("cell", 1), ("kept", 399)] {
        let line = format!("tidegate_permits_taken_total{{cluster=\"near\",from=\"{from}\"}} {taken}\n");
        assert!(metrics.contains(&line), "{metrics}");
    }
    assert_eq!(world.in_flight("near"), 1);
    world.pass(Duration::from_secs(2));
    assert_eq!(world.in_flight("near"), 0);
}

#[test]
fn requests_at_once_hold_a_place_each() {
    let mut world = roomy(|_| sse(vec![event("a"), Piece::Wait(Duration::from_secs(3)), done()]));
    assert_eq!(world.post(CHAT, &chat("small", true)).status(), 200);
    let streams: Vec<_> = (0..20)
        .map(|_| streaming(world.post(CHAT, &chat("big", true))))
        .collect();
    let in_flight = world.in_flight("near");
    assert!((20..=23).contains(&in_flight), "{in_flight}");
    drop(streams);
    assert_eq!(world.in_flight("near"), in_flight, "kept for a second");
    world.pass(Duration::from_secs(2));
    assert_eq!(world.in_flight("near"), 0);
}

#[test]
fn streams_that_run_for_long_keep_their_places() {
    let mut world = roomy(|_| {
        let slowly = (0..12).flat_map(|_| [event("a"), Piece::Wait(Duration::from_secs(5))]);
        sse(slowly.chain([done()]).collect())
    });
    let streams: Vec<_> = (0..3)
        .map(|_| streaming(world.post(CHAT, &chat("big", true))))
        .collect();
    let reading: Vec<_> = streams.into_iter().map(futures::StreamExt::collect::<Vec<_>>).collect();
    let before = world.cluster_commands();
    let reading = futures::future::join_all(reading);
    let looked = Box::pin(world.platform.sleep(Duration::from_secs(50)));
    let still_reading = world.run(futures::future::select(reading, looked));
    assert_eq!(world.in_flight("near"), 3, "renewed, though a permit holds for 30 s");
    let told = world.cluster_commands() - before;
    assert!(told <= 8, "one message renews all: {told}");
    drop(still_reading);
}

#[test]
fn after_a_failure_the_cell_decides() {
    let mut world = roomy(
        |request| match (host(request), request.body().windows(4).any(|text| text == b"FAIL")) {
            // One fails at it, before the other there is nobody: that is not the request's fault.
            ("near-a", true) => Reaction::Answer(500, "application/json", vec![Piece::Text("{}".to_owned())]),
            ("near-b", true) => Reaction::Answer(502, "application/json", vec![Piece::Text("{}".to_owned())]),
            _ => whole(),
        },
    );
    let failing = chat("big", false).replace("\"he\"", "\"he FAIL\"");
    // As warm as the one that fails: the affinity is that of the first user message.
    for text in [chat("big", false), failing.clone(), failing] {
        assert_eq!(world.post(CHAT, &text).status(), 200);
    }
    assert!(world.in_flight("near") <= 1);
    let before = world.cluster_commands();
    assert_eq!(
        world
            .post(CHAT, &chat("big", false).replace("\"he\"", "\"he FAIL\""))
            .status(),
        200
    );
    assert!(world.cluster_commands() - before >= 2, "each replica was asked for");
}

#[test]
fn a_client_that_leaves_gives_its_place_to_the_next() {
    let mut world = roomy(|_| sse(vec![event("a"), Piece::Wait(Duration::from_secs(3)), done()]));
    drop(streaming(world.post(CHAT, &chat("big", true))));
    let before = world.cluster_commands();
    drop(streaming(world.post(CHAT, &chat("big", true))));
    assert_eq!(world.cluster_commands(), before);
    assert_eq!((world.in_flight("near"), world.cancelled()), (1, 2));
}

#[test]
fn a_gateway_that_stops_gives_back_what_it_keeps() {
    let mut world = roomy(|_| whole());
    world.post(CHAT, &chat("big", false));
    assert_eq!(world.in_flight("near"), 1);
    world.gateway.stop();
    assert_eq!(world.in_flight("near"), 0);
}

#[test]
fn a_cell_that_began_anew_is_told_what_the_configuration_says() {
    // A cluster with few slots keeps none: each request asks.
    let mut world = World::new(&config(), |_| whole());
    let asked = |world: &mut World| {
        let before = world.cluster_commands();
        assert_eq!(world.post(CHAT, &chat("big", false)).status(), 200);
        assert_eq!(world.in_flight("near"), 0);
        world.cluster_commands() - before
    };
    assert_eq!(
        [asked(&mut world), asked(&mut world)],
        [2, 2],
        "one asks, one gives back"
    );
    world.restart_cell("near");
    assert_eq!([asked(&mut world), asked(&mut world)], [3, 2], "it was told once more");
}
