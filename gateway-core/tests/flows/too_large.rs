//! Answers that are too large for the gateway: whoever asks for so much is told, and pays for what engines made of it.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use serde_json::json;
use tidegate_core::Body;

use crate::budgets::{limited, post, usage};
use crate::world::{Piece, Reaction, World};
use crate::{chunk, done, sse};

/// Bounds that are easily reached, a budget, and breakers that open at the first failure.
fn bounded(engine: impl Fn(&Request<Bytes>) -> Reaction + 'static) -> World {
    let bounds = "\n[sizes]\nresponse_body_bytes = 2_048\nevent_bytes = 1_024\n\n[breaker]\nfailures = 1\n";
    World::new(&(limited("tokens_per_minute = 100_000") + bounds), engine)
}

/// Asks for a completion of one token's prompt.
fn ask(world: &mut World, stream: bool) -> Response<Body> {
    let ask = json!({"model": "big", "prompt": [1], "max_tokens": 100, "stream": stream});
    post(world, &ask.to_string())
}

fn spent(world: &mut World) -> u64 {
    world.pass(Duration::from_secs(2));
    let usage = usage(world);
    assert_eq!(usage["tokens"]["held"], 0);
    usage["tokens"]["spent"].as_u64().unwrap()
}

fn words() -> Piece {
    Piece::Text(format!("data: {}\n\n", chunk("one two three four ")))
}

fn large_event() -> Piece {
    Piece::Text(format!("data: {}\n\n", chunk(&"x".repeat(2_000))))
}

#[track_caller]
fn assert_told(world: &mut World, response: Response<Body>) {
    assert_eq!(response.status(), 400);
    assert_eq!(response.headers()["x-should-retry"], "false");
    let told = world.rest(response.into_body());
    for part in [
        "\"message\":\"the answer takes more",
        "\"answer_too_large\"",
        "invalid_request_error",
    ] {
        assert!(told.contains(part), "{told}");
    }
}

/// No other replica was asked for it, and the one that was is still asked.
#[track_caller]
fn assert_on_nobody_else(world: &mut World, asked: usize) {
    let hosts = |world: &World| Vec::from_iter(world.sent().into_iter().map(|(url, _)| url));
    assert_eq!(hosts(world).len(), asked, "{:?}", hosts(world));
    assert!(world.replicas("near").iter().all(|replica| replica.available));
    assert_eq!(world.in_flight("near"), 0);
}

#[test]
fn a_whole_answer_that_grows_too_large_is_its_clients_who_pays_for_what_was_said() {
    let mut world = bounded(|_| sse((0..2_000).map(|_| words()).chain([done()]).collect()));
    let response = ask(&mut world, false);
    assert_told(&mut world, response);
    assert_on_nobody_else(&mut world, 1);
    assert_eq!(world.cancelled(), 1);
    assert!(world.metrics().contains("too_large"));
    let spent = spent(&mut world);
    assert!((300..1_000).contains(&spent), "2 KB of four words in 19 bytes: {spent}");
}

#[test]
fn what_begins_with_an_event_that_is_too_large_costs_what_was_reserved() {
    for stream in [true, false] {
        let mut world = bounded(|_| sse(vec![large_event(), done()]));
        let response = ask(&mut world, stream);
        assert_told(&mut world, response);
        assert_on_nobody_else(&mut world, 1);
        assert_eq!(spent(&mut world), 101, "the prompt and all that it may say");
    }
}

#[test]
fn a_stream_that_comes_to_an_event_that_is_too_large_says_so_and_costs_what_was_said() {
    let mut world = bounded(|_| sse(vec![words(), large_event(), done()]));
    let response = ask(&mut world, true);
    assert_eq!(response.status(), 200);
    let told = world.rest(response.into_body());
    assert!(told.contains("four") && told.contains("\"answer_too_large\""), "{told}");
    assert_on_nobody_else(&mut world, 1);
    let spent = spent(&mut world);
    assert!((3..20).contains(&spent), "{spent}");
}

#[test]
fn an_answer_that_comes_whole_and_is_too_large_costs_what_was_reserved() {
    let mut world = bounded(|_| {
        let body = json!({"object": "list", "data": vec![0.5; 4_000]}).to_string();
        Reaction::Answer(200, "application/json", vec![Piece::Text(body)])
    });
    let ask = json!({"model": "big", "prompt": [1], "max_tokens": 9, "echo": true});
    let response = post(&mut world, &ask.to_string());
    assert_told(&mut world, response);
    assert_on_nobody_else(&mut world, 1);
    assert_eq!(spent(&mut world), 10);
}

#[test]
fn an_engine_that_refuses_with_many_words_refuses() {
    let mut world = bounded(|_| {
        let body = json!({"detail": [{"msg": "too long", "input": "x".repeat(100_000)}]}).to_string();
        Reaction::Answer(422, "application/json", vec![Piece::Text(body)])
    });
    let response = ask(&mut world, false);
    assert_eq!(response.status(), 422);
    assert!(world.rest(response.into_body()).contains("rejected_by_engine"));
    assert_on_nobody_else(&mut world, 1);
    assert_eq!(spent(&mut world), 0);
}
