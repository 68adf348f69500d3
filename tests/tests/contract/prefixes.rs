//! Where a conversation goes on: at the replica that has it warm, whichever gateway it comes through.

use serde_json::{Value, json};
use tidegate_tests::engine::Fault;
use tidegate_tests::gateway::{self, Role, Setup, WASHINGTON};
use tidegate_tests::process::Server;
use tidegate_tests::runtime::redis_server;
use tidegate_tests::world::{World, folder};

use crate::support::{AWAY_CONFIG, SHARED, ask, ask_stream, post_chat};

/// Turn `count` of a conversation that begins with that text, of some 2,000 tokens.
fn turn(model: &str, text: &str, count: usize) -> Value {
    let mut messages = vec![json!({"role": "user", "content": text.repeat(8_000 / text.len())})];
    for _ in 1..count {
        messages.push(json!({"role": "assistant", "content": "Yes."}));
        messages.push(json!({"role": "user", "content": "And then?"}));
    }
    json!({"model": model, "messages": messages, "max_tokens": 4})
}

#[test]
fn answers_tell_the_replica_and_how_much_of_the_prompt_was_warm() {
    let first = ask(&turn("tide-calm", "labels of prefixes, ", 1));
    let second = ask(&turn("tide-calm", "labels of prefixes, ", 2));
    let replica = first.header("x-tidegate-replica").expect("a replica");
    assert_eq!(replica.len(), 8, "{replica}");
    assert_eq!(second.header("x-tidegate-replica"), Some(replica));
    let told = second.header("x-tidegate-cached-tokens").expect("tokens");
    let (expected, cached) = told.split_once('/').expect("expected and found");
    let reported = second.json()["usage"]["prompt_tokens_details"]["cached_tokens"].clone();
    assert_eq!(reported, json!(cached.parse::<u64>().unwrap()), "{told}");
    let expected: u64 = expected.parse().unwrap();
    assert!(expected > 1_000, "{told}");
    let mut streamed = turn("tide-calm", "labels of prefixes, ", 3);
    streamed["stream"] = json!(true);
    let (third, _) = ask_stream(&streamed);
    let told = third.header("x-tidegate-cached-tokens").expect("tokens");
    assert!(told.parse::<u64>().unwrap() >= expected, "{told}");
    let metrics = SHARED.metrics();
    for name in [
        "tidegate_prefix_prompt_tokens_total",
        "tidegate_prefix_hit_tokens_total",
    ] {
        assert!(metrics.contains(&format!("{name}{{cluster=\"calm\"")), "{name}");
    }
}

/// A world in Washington, and another gateway there which shares cells and store with the world's own.
fn world_of_two(name: &str, config: &str) -> (World, Server) {
    let world = World::start(name, config, WASHINGTON, &[]);
    let folder = folder(&format!("{name}-other"));
    let other = gateway::start(Setup {
        name: "other",
        folder: &folder,
        config: &world.config(config),
        place: WASHINGTON,
        role: Role::All,
        secrets: &[],
        redis: world.redis.as_ref(),
    });
    (world, other)
}

#[test]
fn a_conversation_returns_to_its_replica_through_a_gateway_that_never_saw_it() {
    if redis_server().is_none() {
        return;
    }
    let (world, other) = world_of_two("prefixes", AWAY_CONFIG);
    let ask = |gateway: &Server, text: &str, count| {
        let response = post_chat(turn("tide-brittle", text, count).to_string()).send(gateway.address());
        assert_eq!(response.status, 200, "{}", response.text());
        response
    };
    for number in 0..6 {
        let text = format!("returning conversation {number}, ");
        // Where that is the first choice, the other one serves what the key does not lead to.
        world.engine("brittle-1").fault_times(&text, Fault::Status(500), 1);
        let first = ask(&world.gateway, &text, 1);
        let second = ask(&other, &text, 2);
        assert_eq!(
            second.header("x-tidegate-replica"),
            first.header("x-tidegate-replica"),
            "{text}"
        );
        let cached = second.json()["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64();
        assert!(cached.is_some_and(|cached| cached > 1_000), "{}", second.text());
        assert_eq!(world.engine("brittle-2").requests(&text).len(), 2);
    }
}

#[test]
fn a_conversation_that_was_moved_across_an_ocean_stays_where_it_is_warm_while_that_is_sooner() {
    if redis_server().is_none() {
        return;
    }
    // Computing it anew takes 0.4 s, and the way across the ocean 0.1.
    let slow = AWAY_CONFIG.replace("prefill_tokens_per_s = 20_000.0", "prefill_tokens_per_s = 5_000.0");
    let (world, other) = world_of_two("moved", &slow);
    let text = "told across the ocean, ";
    let served_by = |gateway: &Server, count| {
        let response = post_chat(turn("tide-global", text, count).to_string()).send(gateway.address());
        assert_eq!(response.status, 200, "{}", response.text());
        response.header("x-tidegate-cluster").unwrap_or_default().to_owned()
    };
    assert_eq!(served_by(&world.gateway, 1), "us");
    for count in [2, 3] {
        world.engine("us-1").fault_times(text, Fault::Status(503), 1);
        assert_eq!(served_by(&world.gateway, count), "eu");
    }
    for gateway in [&other, &world.gateway] {
        assert_eq!(served_by(gateway, 4), "eu");
    }
    assert_eq!(
        world.engine("us-1").requests(text).len(),
        3,
        "it works again, and is not asked"
    );
}
