//! Tokens for nothing, and engines for one tenant alone: what was made is charged, however its end is avoided, and no
//! tenant's answers shut a replica for the others.

use std::io::Write;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_tests::engine::Fault;
use tidegate_tests::http::connect;

use super::{ATTACK, assert_nothing_is_left_behind, generated, is_idle, post, spent};
use crate::support::{chat, eventually, with};

#[test]
fn who_leaves_whole_answers_again_and_again_pays_for_them() {
    let engine = ATTACK.engine("spent");
    // In the time that a client stays it makes a part of what is asked for: 300 tokens of each answer would take 1.5 s.
    engine.fault("left in time", Fault::Slow(5));
    let body = with(chat("spent", "left in time"), answers(20, 300));
    for _ in 0..VOLLEYS {
        let mut connection = connect(ATTACK.gateway.address());
        let request = post("leaver", &body).to_bytes("gateway");
        connection.write_all(&request).expect("the request is sent");
        // The attack itself: a client that stays for so long, whatever it is told.
        thread::sleep(Duration::from_millis(300));
    }
    eventually("engines have come to an end", || is_idle(engine));
    let made = generated(engine);
    assert!(made > 0, "nothing was made");
    eventually("all but a volley in flight is charged", || {
        spent(&ATTACK, "leaver") >= made - made / VOLLEYS
    });
    assert_nothing_is_left_behind(&ATTACK);
}

#[test]
fn answers_that_are_too_large_are_charged_and_take_no_engine_from_others() {
    let engine = ATTACK.engine("shared");
    let before = generated(engine);
    engine.fault("far too large", Fault::Slow(1));
    let body = with(chat("shared", "far too large"), answers(40, 400));
    for _ in 0..4 {
        let refused = ATTACK.send(&post("glutton", &body));
        assert_eq!(refused.status, 400, "{}", refused.text());
        assert_eq!(refused.json()["error"]["code"], "answer_too_large");
        let served = ATTACK.send(&post("neighbour", &chat("shared", "a neighbour")));
        assert_eq!(served.status, 200, "{}", served.text());
    }
    eventually("engines have come to an end", || is_idle(engine));
    let made = generated(engine) - before;
    // No engine reports it, so it is estimated, here at half of what the engine counts; and the neighbour's answers, of
    // at most eight tokens, are of the engine's figure too.
    eventually("what was made is charged", || {
        spent(&ATTACK, "glutton") + 4 * 8 >= made * 2 / 5
    });
    assert_nothing_is_left_behind(&ATTACK);
}

#[test]
fn a_probe_that_takes_long_as_a_whole_keeps_nobody_out() {
    let engine = ATTACK.engine("probed");
    engine.fault_times("opens the breaker", Fault::Status(500), 2);
    let refused = || ATTACK.send(&post("neighbour", &chat("probed", "opens the breaker")));
    eventually("the breaker opens", || refused().status == 503);
    engine.fault("a long whole answer", Fault::Slow(20));
    let probe = with(chat("probed", "a long whole answer"), answers(1, 400));
    let mut connections = Vec::new();
    eventually("the breaker lets a probe pass", || {
        let mut connection = connect(ATTACK.gateway.address());
        let request = post("neighbour", &probe).to_bytes("gateway");
        connection.write_all(&request).expect("the request is sent");
        connections.push(connection);
        !engine.requests("a long whole answer").is_empty()
    });
    eventually("others are served", || {
        ATTACK.send(&post("neighbour", &chat("probed", "meanwhile"))).status == 200
    });
    let probes = engine.requests("a long whole answer");
    assert!(probes.iter().any(|probe| probe.outcome() == "running"), "{probes:?}");
}

/// So many answers of so many tokens each.
fn answers(number: u64, tokens: u64) -> Value {
    json!({"n": number, "max_tokens": tokens, "ignore_eos": true})
}

const VOLLEYS: u64 = 5;
