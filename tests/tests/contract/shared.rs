//! Gateways that share a Redis. Where the gateway under test keeps its state by itself, there is nothing to test.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use tidegate_tests::engine::Fault;
use tidegate_tests::gateway::{self, Role, Setup, WASHINGTON};
use tidegate_tests::http::{Exchange, Request, Response};
use tidegate_tests::process::Server;
use tidegate_tests::redis::PASSWORD;
use tidegate_tests::runtime::redis_server;
use tidegate_tests::world::{World, folder};

use crate::support::{AWAY_CONFIG, chat, chat_stream, eventually, post_chat, with};

#[test]
fn gateways_that_share_a_redis_share_the_places_of_a_cluster() {
    let Some(world) = world("shared-places") else { return };
    let folder = folder("shared-places-other");
    let other = gateway::start(Setup {
        name: "other",
        folder: &folder,
        config: &world.config(&config()),
        place: WASHINGTON,
        role: Role::All,
        secrets: &[],
        redis: world.redis.as_ref(),
    });
    world.engine("fragile-1").fault("takes long", Fault::Slow(200));
    let [mut first, mut second] = [&world.gateway, &other].map(open_stream);
    first.read_until("content");
    second.read_until("content");
    for gateway in [&world.gateway, &other] {
        assert_refused(&ask(gateway), "overloaded");
    }
    drop(first);
    eventually("the place is free for the other", || ask(&other).status == 200);
}

#[test]
fn gateways_that_share_a_redis_share_equal_requests_under_way() {
    if redis_server().is_none() {
        return;
    }
    let sharing = "\n[response_cache]\nshare_across_locations = true\nwait_ms = 1_000\n";
    let config = format!("{AWAY_CONFIG}{sharing}");
    let world = World::start("shared-flights", &config, WASHINGTON, &[]);
    let other = gateway::start(Setup {
        name: "other",
        folder: &folder("shared-flights-other"),
        config: &world.config(&config),
        place: WASHINGTON,
        role: Role::All,
        secrets: &[],
        redis: world.redis.as_ref(),
    });
    world.engine("fragile-1").fault("takes long", Fault::Slow(200));
    let alike = json!({"temperature": 0, "seed": 7, "max_tokens": 10, "ignore_eos": true});
    let asked = |stream: bool| {
        let body = with(
            with(chat("tide-fragile", "takes long"), alike.clone()),
            json!({"stream": stream}),
        );
        post_chat(body.to_string()).header("x-tidegate-cache", "use")
    };
    let mut first = asked(true).open(world.gateway.address());
    first.read_until("content");
    let second = asked(false).send(other.address());
    assert_eq!(
        (second.status, second.header("x-tidegate-cache")),
        (200, Some("shared")),
        "{}",
        second.text()
    );
    drop(first);
}

#[test]
fn an_outage_of_redis_is_told_without_its_password_and_passes() {
    let Some(mut world) = world("shared-outage") else {
        return;
    };
    assert_eq!(ask(&world.gateway).status, 200);
    let config = world.config(&config());
    let redis = world.redis.as_mut().expect("a Redis");
    redis.stop();
    let asked = Instant::now();
    let refused = ask(&world.gateway);
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    assert_refused(&refused, "cell_unreachable");
    assert!(!refused.text().contains(PASSWORD), "{}", refused.text());
    redis.restart();
    redis.put_config(&config);
    eventually("it answers again", || ask(&world.gateway).status == 200);
    let log = world.gateway.log_text();
    assert!(!log.contains(PASSWORD), "{log}");
}

/// Also where an instance begins during the outage, as on Spin after a second without requests: what is bundled with it
/// does not know the key.
#[test]
fn a_valid_key_is_never_refused_as_unknown_while_redis_is_away() {
    let Some(mut world) = world("shared-unread") else {
        return;
    };
    assert_eq!(ask(&world.gateway).status, 200);
    let config = world.config(&config());
    let redis = world.redis.as_mut().expect("a Redis");
    redis.stop();
    for pause in [0, 2_000, 0, 2_000] {
        thread::sleep(Duration::from_millis(pause));
        let refused = ask(&world.gateway);
        assert_eq!(refused.status, 503, "{}", refused.text());
        assert!(refused.header("retry-after").is_some(), "{:?}", refused.headers());
        let response = Request::get("/healthz").send(world.gateway.address());
        assert_eq!(response.status, 200, "{}", response.text());
    }
    redis.restart();
    redis.put_config(&config);
    eventually("it answers again", || {
        let response = ask(&world.gateway);
        assert!([200, 503].contains(&response.status), "{}", response.text());
        response.status == 200
    });
    eventually("it is ready again", || {
        Request::get("/readyz").send(world.gateway.address()).status == 200
    });
}

/// A world whose cluster has two places; none where state is not in Redis.
fn world(name: &str) -> Option<World> {
    redis_server().map(|_| World::start(name, &config(), WASHINGTON, &[]))
}

fn config() -> String {
    AWAY_CONFIG.replace("max_running = 64", "max_running = 2")
}

fn ask(gateway: &Server) -> Response {
    post_chat(chat("tide-fragile", "short").to_string()).send(gateway.address())
}

fn open_stream(gateway: &Server) -> Exchange {
    let long = json!({"max_tokens": 1_000, "ignore_eos": true});
    let body = with(chat_stream("tide-fragile", "takes long"), long);
    post_chat(body.to_string()).open(gateway.address())
}

#[track_caller]
fn assert_refused(response: &Response, code: &str) {
    let text = response.text();
    assert!(
        response.status == 503 && text.contains(code),
        "{}: {text}",
        response.status
    );
}
