//! Two gateways that share a Redis, as an operator runs them: what one does counts for the other, an outage is told and
//! over when it is over, and the password of Redis is never to be seen.

#[path = "../serve/client.rs"]
mod client;
#[path = "../serve/process.rs"]
#[expect(dead_code, reason = "shared with the tests of one gateway, which use all of it")]
mod process;

use std::fs;
use std::time::{Duration, Instant};

use client::{Stream, fetch, get, put};
use process::{Bench, Gateway, eventually};
use tidegate_tests::redis::{PASSWORD, Redis};
use tidegate_tests::runtime::redis_server;

/// An engine with four places, a Redis, and gateways that share both.
struct World {
    bench: Bench,
    redis: Redis,
}

impl World {
    fn new(name: &str) -> Self {
        let bench = Bench::new(&format!("shared-{name}"));
        let config = fs::read_to_string(bench.config()).expect("readable");
        let config = config.replace("max_running = 16", "max_running = 4") + LIMITS;
        fs::write(bench.config(), config).expect("written");
        let program = redis_server().expect("TIDEGATE_REDIS_SERVER names `redis-server`: run `cargo xtask test`");
        let redis = Redis::start(&program, bench.folder());
        Self { bench, redis }
    }

    fn gateway(&self, name: &str) -> Gateway {
        let environment = [("TIDEGATE_REDIS_PASSWORD", PASSWORD)];
        Gateway::start_as(name, &self.bench, &["--redis", &self.redis.url()], &environment)
    }
}

#[test]
fn places_are_counted_over_all_gateways() {
    let world = World::new("places");
    let [one, other] = ["one", "other"].map(|name| world.gateway(name));
    let mut streams: Vec<_> = [&one, &other, &one, &other]
        .map(|gateway| Stream::open(gateway, 20_000))
        .into();
    streams.iter_mut().for_each(|stream| drop(stream.next_event()));
    for gateway in [&one, &other] {
        let refused = ask(gateway);
        assert!(
            refused.starts_with("HTTP/1.1 503") && refused.contains("overloaded"),
            "{refused}"
        );
    }
    streams.pop();
    eventually("the place is free for the other", || {
        ask(&one).starts_with("HTTP/1.1 200")
    });
}

#[test]
fn the_places_of_a_gateway_that_was_killed_are_free_again_after_their_time() {
    let world = World::new("killed");
    let [mut one, other] = ["one", "other"].map(|name| world.gateway(name));
    let mut streams = [(); 4].map(|()| Stream::open(&one, 20_000));
    streams.iter_mut().for_each(|stream| drop(stream.next_event()));
    one.signal("KILL");
    let killed = Instant::now();
    assert_eq!(one.exit_code(), None, "killed");
    assert!(
        ask(&other).starts_with("HTTP/1.1 503"),
        "places that may still be in use"
    );
    eventually("they expire", || ask(&other).starts_with("HTTP/1.1 200"));
    let expired = killed.elapsed();
    let ttl = Duration::from_millis(PERMIT_TTL_MS);
    assert!(expired > ttl / 2 && expired < ttl * 2, "{expired:?}");
}

#[test]
fn a_gateway_that_ends_in_good_order_leaves_no_place_taken() {
    let world = World::new("ended");
    let [mut one, other] = ["one", "other"].map(|name| world.gateway(name));
    let mut streams: Vec<_> = (0..4).map(|_| Stream::open(&one, 300)).collect();
    streams.iter_mut().for_each(|stream| drop(stream.next_event()));
    one.signal("TERM");
    for stream in streams {
        assert_eq!(stream.rest().last().map(String::as_str), Some("[DONE]"));
    }
    assert_eq!(one.exit_code(), Some(0));
    let answer = ask(&other);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn a_configuration_put_at_one_gateway_is_in_force_at_all_and_over_restarts() {
    let world = World::new("config");
    let [mut one, other] = ["one", "other"].map(|name| world.gateway(name));
    let file = fs::read_to_string(world.bench.config()).expect("readable");
    let answer = put(&one, "/admin/config", &file.replace("name = \"m\"", "name = \"put\""));
    assert!(answer.starts_with("HTTP/1.1 20"), "{answer}");
    eventually("the other has it", || get(&other, "/v1/models").contains("\"put\""));
    one.signal("TERM");
    assert_eq!(one.exit_code(), Some(0));
    let again = world.gateway("again");
    assert!(get(&again, "/v1/models").contains("\"put\""));
}

#[test]
fn an_outage_of_redis_is_told_leaves_streams_alone_and_passes() {
    let mut world = World::new("outage");
    let gateway = world.gateway("one");
    let mut stream = Stream::open(&gateway, 2_000);
    stream.next_event();
    world.redis.stop();
    let asked = Instant::now();
    let refused = ask(&gateway);
    let told = refused.starts_with("HTTP/1.1 503") && refused.contains("cell_unreachable");
    assert!(
        told && asked.elapsed() < Duration::from_secs(3),
        "{:?}: {refused}",
        asked.elapsed()
    );
    eventually("the log tells", || gateway.log().contains("cannot reach Redis"));
    assert_eq!(stream.rest().last().map(String::as_str), Some("[DONE]"));
    world.redis.restart();
    eventually("it answers again", || ask(&gateway).starts_with("HTTP/1.1 200"));
    assert!(gateway.log().contains("connected to Redis again"));
}

#[test]
fn the_password_is_never_to_be_seen() {
    let mut world = World::new("password");
    let with_password = world.redis.url_with_password();
    let options = ["--log-requests", "--redis", &with_password];
    let gateway = Gateway::start_as("one", &world.bench, &options, &[]);
    let mut seen = vec![ask(&gateway), get(&gateway, "/metrics"), get(&gateway, "/readyz")];
    world.redis.stop();
    seen.push(ask(&gateway));
    eventually("the log tells", || gateway.log().contains("cannot reach Redis"));
    seen.push(gateway.log());
    let wrong = with_password.replace("redis://", "http://");
    let data = world.bench.folder().join("data");
    for options in [
        &["--redis", &with_password][..],
        &["--redis", &wrong],
        &["--redis", PASSWORD],
        &["--redis", &with_password, "--data", data.to_str().expect("text")],
    ] {
        let (code, said) = world.bench.fail(options);
        assert!(code.is_some_and(|code| code > 0) && !said.is_empty(), "{said}");
        seen.push(said);
    }
    for text in seen {
        assert!(!text.contains(PASSWORD), "{text}");
    }
}

/// The whole response to a short request.
fn ask(gateway: &Gateway) -> String {
    let body = r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"hi"}]}"#;
    fetch(
        &gateway.address(),
        "POST /v1/chat/completions",
        Some(&gateway.key),
        body,
    )
}

const PERMIT_TTL_MS: u64 = 2_000;
const LIMITS: &str = "
[permits]
ttl_ms = 2_000

[queue]
wait_ms = 0

[refresh]
config_ms = 100
";
