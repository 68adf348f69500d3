use std::time::Duration;

use tidegate_core::platform::Platform;

use crate::world::{Piece, Reaction};
use crate::{CHAT, chat, done, event, sse, streaming, world};

#[test]
fn a_client_that_leaves_mid_stream_leaves_nothing_behind() {
    let mut world = world(|_| {
        sse(vec![
            event("a"),
            Piece::Wait(Duration::from_secs(5)),
            event("b"),
            done(),
        ])
    });
    let mut body = streaming(world.post(CHAT, &chat("big", true)));
    world.next(&mut body);
    assert_eq!(world.in_flight("near"), 1);
    drop(body);
    assert_eq!(world.in_flight("near"), 0);
    assert_eq!(world.cancelled(), 1);
}

#[test]
fn a_client_that_leaves_before_the_head_leaves_nothing_behind() {
    let mut world = world(|_| Reaction::Hang);
    for stream in [true, false] {
        let posting = world.posting(CHAT, &[], &chat("big", stream));
        let given_up = world.platform.sleep(Duration::from_secs(3));
        world.run(async move {
            futures::future::select(Box::pin(posting), Box::pin(given_up)).await;
        });
        assert_eq!(world.in_flight("near"), 0);
    }
    assert_eq!(world.cancelled(), 2);
}

#[test]
fn a_client_that_leaves_after_the_early_commit_leaves_nothing_behind() {
    let mut world = world(|_| Reaction::Hang);
    let mut body = streaming(world.post(CHAT, &chat("big", true)));
    world.next(&mut body);
    assert_eq!(world.in_flight("near"), 1);
    drop(body);
    assert_eq!(world.in_flight("near"), 0);
}

#[test]
fn a_process_that_dies_with_a_permit_costs_it_for_its_ttl_only() {
    let mut world = world(|_| sse(vec![event("a"), Piece::Wait(Duration::from_secs(5)), done()]));
    let body = streaming(world.post(CHAT, &chat("big", true)));
    // Nothing runs destructors in a process that is killed.
    std::mem::forget(body);
    world.pass(Duration::from_secs(29));
    assert_eq!(world.in_flight("near"), 1);
    world.pass(Duration::from_secs(2));
    assert_eq!(world.in_flight("near"), 0);
}
