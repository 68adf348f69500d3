//! Replicas that are ill without failing, and clusters of which all replicas are out.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use futures::future::join_all;
use http::Request;
use serde_json::Value;
use tidegate_core::platform::Platform;

use crate::world::{Piece, Reaction, World};
use crate::{CHAT, chat, done, event, sse, usage};

/// The cluster `near`, of two replicas.
fn config(more: &str) -> String {
    crate::config().replace("max_running = 4", "max_running = 12") + more
}

/// An engine that is well, and says so.
fn well(request: &Request<bytes::Bytes>) -> Reaction {
    if request.uri().path() == "/health" {
        return Reaction::Answer(200, "text/plain", Vec::new());
    }
    sse(vec![
        Piece::Wait(Duration::from_millis(200)),
        event("a"),
        usage(),
        done(),
    ])
}

fn asking(world: &World, millis: u64) -> impl Future<Output = u16> + use<> {
    let request = Request::post(CHAT)
        .header("authorization", "Bearer eu-key")
        .header("x-tidegate-lowest-tier", "gpt");
    let serving = world.serving(request, &chat("big", false));
    let platform = world.platform.clone();
    async move {
        platform.sleep(Duration::from_millis(millis)).await;
        serving.await.status().as_u16()
    }
}

fn readiness(world: &mut World) -> Value {
    let serving = world.serving(Request::get("/readyz"), "");
    let response = world.run(serving);
    serde_json::from_str(&world.rest(response.into_body())).unwrap()
}

#[test]
fn a_wedged_engine_gets_nothing_more_and_nothing_is_lost() {
    let wedged_at = |request: &Request<bytes::Bytes>| request.uri().host() == Some("near-a");
    let mut world = World::new(&config("\n[health]\nwedged_ms = 10_000\n"), move |request| {
        if wedged_at(request) && request.uri().path() == CHAT {
            return Reaction::Hang;
        }
        well(request)
    });
    let all: Vec<_> = (0..60).map(|number| asking(&world, number * 1_000)).collect();
    let answers = world.run(join_all(all));
    assert_eq!(answers, [200; 60]);
    let sent = world.sent();
    let to_it = sent
        .iter()
        .filter(|(url, _)| url.starts_with("http://near-a") && url.ends_with(CHAT));
    let count = to_it.count();
    assert!((1..=18).contains(&count), "{count} of 60 went to it");
}

#[test]
fn a_cluster_whose_replicas_are_all_out_says_so_and_is_tried_again_soon() {
    let is_there = Rc::new(Cell::new(true));
    let there = Rc::clone(&is_there);
    let mut world = World::new(&config("\n[breaker]\nfailures = 1\n"), move |request| {
        if there.get() { well(request) } else { Reaction::Refuse }
    });
    let ask = |world: &mut World| {
        let asking = asking(world, 0);
        world.run(asking)
    };
    assert_eq!(ask(&mut world), 200);
    assert_eq!(readiness(&mut world)["degraded"], serde_json::json!([]));
    is_there.set(false);
    assert_ne!(ask(&mut world), 200);
    assert_ne!(ask(&mut world), 200);
    let told = readiness(&mut world);
    assert_eq!(
        (&told["degraded"], &told["status"]),
        (&serde_json::json!(["near"]), &"ready".into())
    );
    assert!(
        world
            .metrics()
            .contains("tidegate_cluster_degraded{cluster=\"near\"} 1")
    );
    is_there.set(true);
    world.pass(Duration::from_millis(1_100));
    assert_eq!(ask(&mut world), 200, "long before its breakers would let anything pass");
    assert_eq!(ask(&mut world), 200);
    assert!(
        world
            .metrics()
            .contains("tidegate_cluster_degraded{cluster=\"near\"} 0")
    );
}
