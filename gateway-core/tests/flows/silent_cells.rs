//! What cells live in hangs: nothing is refused, and nothing replies.

use std::time::Duration;

use tidegate_virtual::{CellKind, Link};

use crate::budgets::{ask, limited, taking};
use crate::world::World;
use crate::{CHAT, chat, done, event, header, sse, world};

/// Whatever is sent disappears.
const HANGING: Link = Link {
    lost: 1.0,
    patience: Duration::from_secs(600),
    ..Link::IDEAL
};

/// The status of a request of which no lower tier may answer, and how long it took in milliseconds.
fn timed(world: &mut World, key: &str, path: &str, body: &str) -> (u16, u128) {
    let request = http::Request::post(path)
        .header("authorization", format!("Bearer {key}"))
        .header("x-tidegate-lowest-tier", "big");
    let begun = world.now();
    let serving = world.serving(request, body);
    let response = world.run(serving);
    (response.status().as_u16(), world.now().since(begun).as_millis())
}

#[test]
fn a_request_waits_a_second_for_all_cells_and_the_next_ones_do_not() {
    let mut world = world(|_| sse(vec![event("a"), done()]));
    let ask = |world: &mut World| timed(world, "key", CHAT, &chat("big", true));
    world.set_link(CellKind::Cluster, HANGING);
    assert_eq!(ask(&mut world), (503, 1_000), "both clusters together");
    assert_eq!(ask(&mut world), (503, 1_000), "the second cluster was not asked yet");
    let waited: u128 = (0..100).map(|_| ask(&mut world).1).sum();
    assert!(waited <= 2_000, "one for each cluster tries, at most: {waited}");
    world.set_link(CellKind::Cluster, Link::IDEAL);
    // What was told behind requests' backs has waited in vain as well, until a second ago.
    world.pass(Duration::from_secs(2));
    assert_eq!(ask(&mut world), (200, 0), "one that tries finds that they are back");
    assert_eq!(world.in_flight("near") + world.in_flight("far"), 0);
}

#[test]
fn where_cells_hang_a_canned_answer_comes_within_a_second() {
    let mut world = world(|_| sse(vec![event("a"), done()]));
    world.set_link(CellKind::Cluster, HANGING);
    let begun = world.now();
    let response = world.post(CHAT, &chat("big", false));
    assert_eq!(header(&response, "x-tidegate-tier"), "canned");
    assert_eq!(world.now().since(begun), Duration::from_secs(1));
}

#[test]
fn a_cluster_whose_cell_hangs_alone_costs_the_others_nothing() {
    let mut world = world(|_| sse(vec![event("a"), done()]));
    let ask = |world: &mut World| timed(world, "key", CHAT, &chat("big", true));
    assert_eq!(ask(&mut world), (200, 0));
    world.set_link(CellKind::Cluster, HANGING);
    ask(&mut world);
    world.set_link(CellKind::Cluster, Link::IDEAL);
    // The nearer one is known to be silent for a second; the farther one answers meanwhile.
    assert_eq!(ask(&mut world), (200, 0));
}

#[test]
fn cells_that_fail_at_once_are_asked_again_at_once() {
    let mut world = world(|_| sse(vec![event("a"), done()]));
    world.cut_clusters_off();
    assert_eq!(timed(&mut world, "key", CHAT, &chat("big", true)), (503, 0));
    world.set_link(CellKind::Cluster, Link::IDEAL);
    assert_eq!(timed(&mut world, "key", CHAT, &chat("big", true)), (200, 0));
}

#[test]
fn budgets_that_hang_cost_a_request_less_than_a_second_and_then_nothing() {
    let mut world = World::new(&limited("tokens_per_minute = 1_000"), taking(10, 0, 10));
    let completion = |world: &mut World| timed(world, "key-of-payer", "/v1/completions", &ask(10, 10));
    world.set_link(CellKind::Budget, HANGING);
    let posting: Vec<_> = (0..5)
        .map(|_| {
            let request = http::Request::post("/v1/completions").header("authorization", "Bearer key-of-payer");
            world.serving(request, &ask(10, 10))
        })
        .collect();
    let begun = world.now();
    for response in world.run(futures::future::join_all(posting)) {
        assert_eq!(response.status(), 503, "also who waited for the one that asked");
    }
    assert!(world.now().since(begun) <= Duration::from_millis(800));
    assert_eq!(completion(&mut world), (503, 0));
    world.set_link(CellKind::Budget, Link::IDEAL);
    world.pass(Duration::from_secs(1));
    assert_eq!(completion(&mut world), (200, 0));
}

#[test]
fn an_allowance_is_used_within_a_second_and_the_clusters_still_have_time() {
    let limits = limited("tokens_per_minute = 1_000\nunreachable_tokens_per_minute = 500");
    let mut world = World::new(&limits, taking(10, 0, 10));
    let completion = |world: &mut World| timed(world, "key-of-payer", "/v1/completions", &ask(10, 10));
    world.set_link(CellKind::Budget, HANGING);
    assert_eq!(completion(&mut world), (200, 750));
    assert_eq!(completion(&mut world), (200, 0));
    world.pass(Duration::from_secs(2));
    world.set_link(CellKind::Cluster, HANGING);
    assert_eq!(completion(&mut world), (503, 1_000), "all cells together");
}
