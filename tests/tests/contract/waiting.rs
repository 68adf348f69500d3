//! Waiting for room: a request waits in the gateway, and is served, sent away or forgotten as it should be.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use tidegate_tests::gateway::FRANKFURT;
use tidegate_tests::http::Exchange;
use tidegate_tests::runtime::Runtime;
use tidegate_tests::scripted::Script;
use tidegate_tests::world::World;

use crate::support::{DONE, chat_stream, chunk, eventually, post_chat, served};

/// The world of worlds/waiting.toml.
static WAITING: LazyLock<World> =
    LazyLock::new(|| World::start_or_exit("waiting", include_str!("../../worlds/waiting.toml"), FRANKFURT, &[]));

fn open(model: &str, text: &str) -> Exchange {
    post_chat(chat_stream(model, text).to_string()).open(WAITING.gateway.address())
}

/// The cluster's one place is taken for so long by a request that has begun to be answered.
fn hold(model: &str, text: &str, millis: u64) -> Exchange {
    let answer = Script::stream().then(chunk("begun")).wait(millis).then(DONE);
    WAITING.scripted(model).on(text, answer);
    let mut held = open(model, text);
    held.read_until("begun");
    held
}

/// How many wait at a cluster, as its cell knows.
fn waiting(cluster: &str) -> u64 {
    let found = WAITING.figure("tidegate_queue_requests", &format!("cluster=\"{cluster}\""));
    found.map_or(0, |requests| requests as u64)
}

#[test]
fn a_request_waits_for_room_and_has_the_place_as_soon_as_it_is_free() {
    let engine = WAITING.scripted("turns");
    let mut gaps: Vec<Duration> = (0..7).map(|round| turn(&format!("turn-{round}"))).collect();
    gaps.sort_unstable();
    let median = gaps[gaps.len() / 2];
    println!("from a freed place to the next dispatch: {median:?} of {gaps:?}");
    let at_most = match Runtime::current() {
        Runtime::Native => 100,
        Runtime::Cloudflare => 200,
        Runtime::Spin => 600,
    };
    assert!(median < Duration::from_millis(at_most), "{gaps:?}");
    assert_eq!(engine.seen("turn-0 waits").len(), 1);
}

/// One request holds the place, the next waits for it; from the end of the one to when the other is dispatched.
fn turn(name: &str) -> Duration {
    let engine = WAITING.scripted("turns");
    let (holds, waits) = (format!("{name} holds"), format!("{name} waits"));
    engine.on(&waits, served());
    let held = hold("turns", &holds, 700);
    // It is opened early, while it waits.
    let mut waiter = open("turns", &waits);
    assert_eq!(waiter.status, 200);
    assert!(
        engine.seen(&waits).is_empty(),
        "it is not dispatched while there is no room"
    );
    waiter.read_until("served");
    let answer = waiter.finish();
    assert!(answer.text().ends_with(DONE), "{}", answer.text());
    assert!(held.finish().text().ends_with(DONE));
    let ended = *engine.seen(&holds)[0].steps_done.last().expect("it has ended");
    let begun: Instant = engine.seen(&waits)[0].steps_done[0];
    begun.saturating_duration_since(ended)
}

#[test]
fn as_many_wait_as_may_and_the_next_is_told_so() {
    let held = hold("bounded", "bounded holds", 3_000);
    WAITING.scripted("bounded").on("bounded waits", served());
    let waiters = [open("bounded", "bounded waits 1"), open("bounded", "bounded waits 2")];
    eventually("two wait", || waiting("bounded") == 2);
    let refused = post_chat(chat_stream("bounded", "bounded waits 3").to_string()).send(WAITING.gateway.address());
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert_eq!(refused.header("x-tidegate-dropped"), Some("queue_full"));
    assert_eq!(refused.json()["error"]["code"], "overloaded");
    let retry_after = refused
        .header("retry-after")
        .and_then(|seconds| seconds.parse::<u64>().ok());
    assert!(
        retry_after.is_some_and(|seconds| (1..=10).contains(&seconds)),
        "{retry_after:?}"
    );
    for waiter in waiters {
        assert!(waiter.finish().text().ends_with(DONE));
    }
    drop(held);
    assert_eq!(waiting("bounded"), 0);
}

#[test]
fn a_client_that_leaves_gives_up_its_place_in_the_queue() {
    let held = hold("left", "left holds", 3_500);
    let leaves = open("left", "left waits");
    eventually("it waits", || waiting("left") == 1);
    let left = Instant::now();
    drop(leaves);
    eventually("it waits no longer", || waiting("left") == 0);
    assert!(left.elapsed() < Duration::from_millis(2_000), "{:?}", left.elapsed());
    drop(held.finish());
    assert!(
        WAITING.scripted("left").seen("left waits").is_empty(),
        "nobody is asked for it"
    );
}

#[test]
fn whose_turn_does_not_come_is_told_so() {
    let held = hold("late", "late holds", 9_000);
    let mut body = chat_stream("late", "late waits");
    body["stream"] = false.into();
    let begun = Instant::now();
    let refused = post_chat(body.to_string()).send(WAITING.gateway.address());
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert_eq!(refused.header("x-tidegate-dropped"), Some("deadline"));
    assert!(refused.header("retry-after").is_some(), "{:?}", refused.headers());
    let took = begun.elapsed();
    assert!((3_900..5_500).contains(&took.as_millis()), "{took:?}");
    drop(held);
}

#[test]
fn who_meets_a_replica_that_is_gone_waits_for_the_other() {
    let engine = WAITING.scripted("gone");
    let held = hold("gone", "gone holds", 1_500);
    engine.on("gone waits", served());
    let waiters = [open("gone", "gone waits 1"), open("gone", "gone waits 2")];
    for waiter in waiters {
        let answer = waiter.finish();
        assert!(answer.text().ends_with(DONE), "{}", answer.text());
        assert!(!answer.text().contains("\"error\""), "{}", answer.text());
    }
    drop(held);
}

/// An engine's 503.
fn unavailable(words: &str) -> Script {
    let body = format!(r#"{{"error":{{"message":"{words}","type":"unavailable_error","code":503}}}}"#);
    Script::raw(format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    ))
}

#[test]
fn a_request_is_held_until_its_only_engine_has_loaded() {
    let engine = WAITING.scripted("loading");
    engine.on("loading waits", unavailable("Loading model"));
    let waiter = open("loading", "loading waits");
    assert_eq!(waiter.status, 200, "its stream is opened, and kept alive");
    std::thread::sleep(Duration::from_millis(6_500));
    let asked = engine.seen("loading waits").len();
    assert!((1..=8).contains(&asked), "asked {asked} times");
    engine.on("loading waits", served());
    let answer = waiter.finish();
    let text = answer.text();
    assert!(text.contains("served") && text.ends_with(DONE), "{text}");
    assert!(text.contains(": keepalive") && !text.contains("\"error\""), "{text}");
}

#[test]
fn an_engine_that_failed_gets_no_request_before_it_says_that_it_is_ready() {
    let engine = WAITING.scripted("unready");
    engine.on(READY, unavailable("not yet"));
    engine.on("unready asks", unavailable("out of order"));
    let waiter = open("unready", "unready asks");
    eventually("its breaker is open", || engine.seen("unready asks").len() == 3);
    eventually("it is asked whether it is ready", || !engine.seen(READY).is_empty());
    std::thread::sleep(Duration::from_millis(2_500));
    assert_eq!(engine.seen("unready asks").len(), 3, "and gets nothing before it is");
    engine.on("unready asks", served());
    engine.on(READY, Script::answer("text/plain", ""));
    let answer = waiter.finish();
    let text = answer.text();
    assert!(text.contains("served") && text.ends_with(DONE), "{text}");
}

/// The question whether an engine is ready.
const READY: &str = "GET /health ";
