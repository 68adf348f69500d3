//! Which replica serves, and that a full one is full, where the region's hop decides: it knows what any edge has sent.

use std::sync::Mutex;
use std::thread;

use serde_json::{Value, json};
use tidegate_tests::engine::Fault;
use tidegate_tests::gateway::{FRANKFURT, Role};
use tidegate_tests::http::{Request, Response};
use tidegate_tests::process::Server;
use tidegate_tests::world::World;

use super::{CONFIG, HOPS, SECRETS, as_operator, ask, served_by, worlds};
use crate::support::{Expected, assert_error, chat, chat_stream, eventually, post_chat, with};

/// Held by tests that fill the cluster with one place.
static TIGHT: Mutex<()> = Mutex::new(());

#[test]
fn a_full_cluster_refuses_or_leaves_it_to_the_next_tier() {
    let _alone = TIGHT.lock();
    for world in worlds() {
        world.engine("tight-1").fault("takes its time", Fault::Stall(2));
        let slow = with(chat_stream("tide-tight", "takes its time"), json!({"max_tokens": 64}));
        let first = post_chat(slow.to_string()).open(world.gateway.address());
        assert_eq!(first.header("x-tidegate-cluster"), Some("tight"));
        let refused = ask(world, &chat("tide-tight", "one too many"));
        let overloaded = Expected {
            status: 503,
            kind: "server_error",
            param: None,
            code: Some("overloaded"),
        };
        assert_error(&refused, overloaded);
        let tiered = ask(world, &chat("tide-tiered", "one too many"));
        assert_eq!(
            (served_by(&tiered), tiered.header("x-tidegate-tier")),
            ("us", Some("1"))
        );
        assert!(world.engine("tight-1").requests("one too many").is_empty());
        drop(first);
        eventually("the room is free again", || {
            let response = ask(world, &chat("tide-tiered", "room again"));
            served_by(&response) == "tight"
        });
    }
}

#[test]
fn places_are_those_of_all_edges_together() {
    let _alone = TIGHT.lock();
    let other = HOPS.start_another("hops-places", CONFIG, Role::Edge, &SECRETS);
    HOPS.engine("tight-1").fault("holds the place", Fault::Stall(2));
    let slow = with(chat_stream("tide-tight", "holds the place"), json!({"max_tokens": 64}));
    let first = post_chat(slow.to_string()).open(HOPS.gateway.address());
    assert_eq!(first.status, 200);
    let refused = post_chat(chat("tide-tight", "from elsewhere").to_string()).send(other.address());
    assert_eq!(refused.status, 503, "{}", refused.text());
    drop(first);
    eventually("the place is free for the other", || {
        post_chat(chat("tide-tight", "from elsewhere").to_string())
            .send(other.address())
            .status
            == 200
    });
}

#[test]
fn a_request_waits_for_room_in_the_region() {
    let config = CONFIG.replace("wait_ms = 0", "wait_ms = 5_000");
    let world = &World::start("hops-waiting", &config, FRANKFURT, &SECRETS);
    world.engine("tight-1").fault("holds the place", Fault::Stall(2));
    let slow = with(chat_stream("tide-tight", "holds the place"), json!({"max_tokens": 64}));
    let first = post_chat(slow.to_string()).open(world.gateway.address());
    assert_eq!(first.status, 200);
    let is_waiting = || metrics(world.region("fra")).contains("tidegate_queue_requests{cluster=\"tight\"} 1");
    thread::scope(|scope| {
        let waits = scope.spawn(|| ask(world, &chat("tide-tight", "waits for the place")));
        eventually("it waits where the place is counted", is_waiting);
        drop(first);
        let served = waits.join().expect("it is answered");
        assert_eq!(served_by(&served), "tight");
    });
}

#[test]
fn a_conversation_returns_to_its_replica_through_another_edge() {
    let other = HOPS.start_another("hops-warm", CONFIG, Role::Edge, &SECRETS);
    let ask = |edge: &Server, text: &str, count| {
        let response = post_chat(turn(text, count).to_string()).send(edge.address());
        assert_eq!(response.status, 200, "{}", response.text());
        response
    };
    for number in 0..6 {
        let text = format!("conversation {number} between edges, ");
        // Where that is the first choice, the other one serves what the key does not lead to.
        HOPS.engine("brittle-1").fault_times(&text, Fault::Status(500), 1);
        let first = ask(&HOPS.gateway, &text, 1);
        let second = ask(&other, &text, 2);
        assert!(replica(&first).is_some());
        assert_eq!(replica(&second), replica(&first), "{text}");
        let cached = second.json()["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64();
        assert!(cached.is_some_and(|cached| cached > 1_000), "{}", second.text());
        let (expected, found) = warm(&second);
        assert_eq!((expected > 500, Some(found)), (true, cached), "{expected}");
    }
}

#[test]
fn answers_tell_the_replica_and_how_much_of_the_prompt_was_warm() {
    for world in worlds() {
        let ask = |count| ask(world, &turn("told by two hops, ", count));
        let (first, second) = (ask(1), ask(2));
        assert!(replica(&first).is_some_and(|name| name.len() == 8));
        assert_eq!(replica(&second), replica(&first));
        let (expected, found) = warm(&second);
        // What is presumed of a conversation follows how far that held for its tenant before.
        assert!(expected > 500 && found > 1_000, "{expected} and {found}");
    }
}

#[test]
fn requests_are_counted_where_they_run() {
    let body = chat("tide-eu", "counted at the region").to_string();
    assert_eq!(post_chat(body).send(HOPS.gateway.address()).status, 200);
    let prompts = "tidegate_prefix_prompt_tokens_total{cluster=\"eu\"";
    assert!(
        metrics(HOPS.region("fra")).contains(prompts),
        "the region knows what its replicas computed"
    );
}

fn metrics(gateway: &Server) -> String {
    let response = as_operator(Request::get("/metrics")).send(gateway.address());
    assert_eq!(response.status, 200, "{}", response.text());
    response.text().to_owned()
}

fn replica(response: &Response) -> Option<&str> {
    response.header("x-tidegate-replica")
}

/// The tokens that were expected to be in the replica's memory, and those that were.
fn warm(response: &Response) -> (u64, u64) {
    let told = response.header("x-tidegate-cached-tokens").expect("a label");
    let (expected, found) = told.split_once('/').expect("expected and found");
    (expected.parse().expect("a figure"), found.parse().expect("a figure"))
}

/// Turn `count` of a conversation that begins with that text, of some 2,000 tokens.
fn turn(text: &str, count: usize) -> Value {
    let mut messages = vec![json!({"role": "user", "content": text.repeat(8_000 / text.len())})];
    for _ in 1..count {
        messages.push(json!({"role": "assistant", "content": "Yes."}));
        messages.push(json!({"role": "user", "content": "And then?"}));
    }
    json!({"model": "tide-brittle", "messages": messages, "max_tokens": 4})
}
