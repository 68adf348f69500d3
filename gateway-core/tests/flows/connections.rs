//! Connections to engines that end before an answer.

use std::cell::Cell;
use std::time::Duration;

use crate::world::{Piece, Reaction};
use crate::{CHAT, chat, done, event, host, sse, world};

#[test]
fn what_was_lost_with_a_kept_connection_goes_out_once_more_to_the_same_replica() {
    let lost = Cell::new(false);
    let mut world = world(move |_| {
        if lost.replace(true) {
            sse(vec![event("a"), done()])
        } else {
            Reaction::Lose
        }
    });
    let response = world.post(CHAT, &chat("big", true));
    assert_eq!(response.status(), 200);
    world.rest(response.into_body());
    let sent = world.sent();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0], sent[1], "the same request, to the same replica");
    assert!(
        !world.metrics().contains("reason=\"broken\""),
        "it is no failed attempt"
    );
}

#[test]
fn what_is_lost_twice_is_a_failed_attempt() {
    let mut world = world(|request| match host(request) {
        "far-a" => sse(vec![event("a"), Piece::Wait(Duration::ZERO), done()]),
        _ => Reaction::Lose,
    });
    let response = world.post(CHAT, &chat("big", true));
    world.rest(response.into_body());
    assert_eq!(
        world.sent().len(),
        5,
        "twice to each of two replicas, then to another cluster"
    );
}
