//! Clients that leave: the engine is told to stop, and no permit stays behind.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidegate_tests::engine::Fault;
use tidegate_tests::http::connect;
use tidegate_tests::runtime::Runtime;
use tidegate_tests::scripted::Script;

use crate::support::{SHARED, ask, chat, chat_stream, chunk, eventually, open_stream, post_chat, scripted, with};

#[test]
fn an_engine_is_stopped_when_the_client_leaves_within_a_stream() {
    scripted().on(
        "left-within-stream",
        Script::stream()
            .then(chunk("one"))
            .wait(1_100)
            .then(chunk("two"))
            .wait(1_100),
    );
    let mut exchange = open_stream(&chat_stream("tide-scripted", "left-within-stream"));
    exchange.read_until("one");
    let left = Instant::now();
    drop(exchange);
    assert!(upstream_was_left("left-within-stream", left) < Duration::from_millis(1_000));
}

#[test]
fn an_engine_is_stopped_when_the_client_leaves_a_committed_stream() {
    scripted().on("left-committed", Script::default().wait(4_000));
    let mut exchange = open_stream(&chat_stream("tide-scripted", "left-committed"));
    exchange.read_until(":");
    let left = Instant::now();
    drop(exchange);
    assert!(upstream_was_left("left-committed", left) < Duration::from_millis(700));
}

#[test]
fn an_engine_is_stopped_when_the_client_leaves_before_an_answer() {
    scripted().on("left-before-answer", Script::default().wait(4_000));
    let request = post_chat(chat("tide-scripted", "left-before-answer").to_string());
    let mut connection = connect(SHARED.gateway.address());
    std::io::Write::write_all(&mut connection, &request.to_bytes("gateway")).expect("the request is sent");
    eventually("the engine is asked", || {
        !scripted().seen("left-before-answer").is_empty()
    });
    let left = Instant::now();
    drop(connection);
    // workerd and Spin tell of a client's leaving only when something is written to it; there the limit on the first
    // event, 2 s, ends the attempt.
    let at_most = match Runtime::current() {
        Runtime::Native => 700,
        Runtime::Cloudflare | Runtime::Spin => 2_600,
    };
    assert!(upstream_was_left("left-before-answer", left) < Duration::from_millis(at_most));
}

#[test]
fn permits_are_counted_while_requests_run_and_given_back_when_clients_leave() {
    for replica in WATCHED {
        SHARED.engine(replica).fault("counted and left", Fault::Stall(2));
    }
    let open = || {
        open_stream(&with(
            chat_stream("tide-watched", "counted and left"),
            json!({"max_tokens": 64}),
        ))
    };
    let streams = [open(), open(), open()];
    assert!(streams.iter().all(|stream| stream.status == 200));
    eventually("three permits are out", || in_flight() >= 3);
    drop(streams);
    eventually("all permits are back", || in_flight() == 0);
    let requests = || {
        WATCHED
            .map(|replica| SHARED.engine(replica).requests("counted and left"))
            .concat()
    };
    assert_eq!(requests().len(), 3);
    eventually("the engines stop", || {
        requests().iter().all(|request| request.outcome() == "aborted")
    });
}

#[test]
fn no_permit_stays_behind_whatever_becomes_of_requests() {
    for replica in WATCHED {
        SHARED.engine(replica).fault("storm stalls", Fault::Stall(2));
        SHARED.engine(replica).fault("storm cuts", Fault::Cut(2));
        SHARED.engine(replica).fault("storm fails", Fault::Status(500));
        SHARED.engine(replica).fault("storm rejects", Fault::Status(400));
        SHARED.engine(replica).fault("storm hangs", Fault::Hang);
        SHARED.engine(replica).fault("storm errs", Fault::StreamError(3));
        SHARED.engine(replica).fault("storm resets", Fault::Refuse);
    }
    thread::scope(|scope| {
        for number in 0..8 {
            scope.spawn(move || storm(number));
        }
    });
    eventually("all permits are back", || in_flight() == 0);
    let response = ask(&chat("tide-watched", "after the storm"));
    assert_eq!(response.status, 200, "{}", response.text());
}

fn storm(number: usize) {
    let watched = |text: &str| {
        with(
            chat_stream("tide-watched", &format!("{text} {number}")),
            json!({"max_tokens": 64}),
        )
    };
    let stays = |body: Value| drop(ask(&body));
    let leaves = |body: Value| drop(open_stream(&body));
    stays(watched("storm passes"));
    stays(chat("tide-watched", "storm passes whole"));
    leaves(watched("storm passes"));
    leaves(watched("storm stalls"));
    stays(watched("storm cuts"));
    stays(watched("storm fails"));
    stays(watched("storm rejects"));
    stays(watched("storm errs"));
    stays(watched("storm resets"));
    leaves(watched("storm hangs"));
    let connection = connect(SHARED.gateway.address());
    let request = post_chat(watched("storm hangs unheard").to_string()).to_bytes("gateway");
    std::io::Write::write_all(&mut &connection, &request).expect("the request is sent");
    let marker = format!("storm hangs unheard {number}");
    eventually("an engine is asked", || {
        let was_asked = |replica| !SHARED.engine(replica).requests(&marker).is_empty();
        WATCHED.into_iter().any(was_asked)
    });
}

/// Requests in flight at the watched cluster, as the gateway counts them.
fn in_flight() -> u64 {
    let metrics = SHARED.metrics();
    let gauges = metrics
        .lines()
        .filter(|line| line.starts_with("tidegate_cluster_in_flight{") && line.contains("cluster=\"watched\""));
    gauges
        .map(|line| {
            line.rsplit(' ')
                .next()
                .and_then(|value| value.parse().ok())
                .unwrap_or(0_u64)
        })
        .sum()
}

/// How long after `left` the scripted upstream's connection was closed.
fn upstream_was_left(marker: &str, left: Instant) -> Duration {
    let left_at = || scripted().seen(marker).first().and_then(|seen| seen.left_at);
    eventually("the engine is stopped", || left_at().is_some());
    let after = left_at().expect("just seen").saturating_duration_since(left);
    println!("the engine was stopped {after:?} after the client had left");
    after
}

const WATCHED: [&str; 2] = ["watched-1", "watched-2"];
