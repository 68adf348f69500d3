//! Conversations between clusters in two regions: where they are warm, and when that is worth the way.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use serde_json::json;

use crate::world::{Piece, Reaction, World};
use crate::{CHAT, config, done, event, header, sse, streaming};

/// Turn `count` of a conversation of about 2,000 tokens.
fn turn(count: usize) -> String {
    let mut messages = vec![json!({"role": "user", "content": "told ".repeat(1_600)})];
    for _ in 1..count {
        messages.push(json!({"role": "assistant", "content": "Yes."}));
        messages.push(json!({"role": "user", "content": "And then?"}));
    }
    json!({"model": "big", "stream": true, "messages": messages}).to_string()
}

/// What keeps a slot of a replica for as long as its client listens.
fn hold() -> String {
    json!({"model": "big", "stream": true, "messages": [{"role": "user", "content": "hold"}]}).to_string()
}

fn engines(request: &Request<Bytes>) -> Reaction {
    let mut pieces = vec![event("a"), done()];
    if String::from_utf8_lossy(request.body()).contains("hold") {
        pieces.insert(1, Piece::Wait(Duration::from_secs(1_000)));
    }
    sse(pieces)
}

/// The cluster that serves a request in Frankfurt, through the first gateway or another one.
fn served(world: &mut World, config: &str, is_elsewhere: bool, body: &str) -> String {
    let request = Request::post(CHAT).header("authorization", "Bearer key");
    let response = if is_elsewhere {
        let mut other = world.another(config);
        other.location.code = "FRA".to_owned();
        world.run(other.serve(request, body))
    } else {
        let serving = world.serving(request, body);
        world.run(serving)
    };
    assert_eq!(response.status(), 200);
    let cluster = header(&response, "x-tidegate-cluster").to_owned();
    world.rest(response.into_body());
    world.pass(Duration::from_millis(100));
    cluster
}

/// A world in Frankfurt where a conversation had to go across the ocean twice, since the near cluster was full; there is
/// room again. Clusters read so many tokens in a second.
fn moved(tokens_per_s: u32) -> (World, String) {
    let speed = format!("prefill_tokens_per_s = {tokens_per_s}");
    let config = config().replace("prefill_tokens_per_s = 10000", &speed);
    let mut world = World::new(&config, engines);
    world.come_in_at("FRA");
    assert_eq!(served(&mut world, &config, false, &turn(1)), "near");
    let held: Vec<_> = (0..8).map(|_| streaming(world.post(CHAT, &hold()))).collect();
    for count in [2, 3] {
        assert_eq!(served(&mut world, &config, false, &turn(count)), "far");
    }
    drop(held);
    // What the near cluster told of its load is too old by then.
    world.pass(Duration::from_secs(30));
    (world, config)
}

#[test]
fn a_conversation_that_was_moved_stays_where_it_is_warm_while_that_is_sooner() {
    for is_elsewhere in [false, true] {
        // Computing it anew takes 0.2 s, and the way 0.1.
        let (mut world, config) = moved(10_000);
        for count in 4..6 {
            assert_eq!(served(&mut world, &config, is_elsewhere, &turn(count)), "far");
        }
    }
}

#[test]
fn a_conversation_that_was_moved_returns_where_that_is_sooner() {
    for is_elsewhere in [false, true] {
        let (mut world, config) = moved(40_000);
        for count in 4..6 {
            assert_eq!(served(&mut world, &config, is_elsewhere, &turn(count)), "near");
        }
    }
}
