//! Configurations that follow each other faster than requests end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::json;
use tidegate_tests::engine::Fault;
use tidegate_tests::gateway::FRANKFURT;
use tidegate_tests::http::{Exchange, Request, Response};
use tidegate_tests::sse::Stream;
use tidegate_tests::world::{World, key};

use super::{CONFIG, EndOfLoad, assert_nothing_is_left_behind, post};
use crate::support::{chat, eventually, with};

#[test]
fn configurations_that_follow_each_other_break_no_request() {
    let world = World::start_or_exit("configurations", CONFIG, FRANKFURT, &[]);
    world.engine("calm").fault("outlives many", Fault::Slow(10));
    let long = json!({"stream": true, "max_tokens": 300, "ignore_eos": true});
    let long = with(chat("calm", "outlives many"), long);
    let streams = [(); 3].map(|()| post("neighbour", &long).open(world.gateway.address()));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let load = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let response = world.send(&post("neighbour", &chat("calm", "under load")));
                assert_eq!(response.status, 200, "{}", response.text());
            }
        });
        let end = EndOfLoad(&is_over);
        for number in 1..=CONFIGURATIONS {
            let response = put(&world, &configuration(number));
            assert_eq!(
                response.status,
                if is_wrong(number) { 422 } else { 200 },
                "{}",
                response.text()
            );
        }
        drop(end);
        load.join().expect("every request was served");
    });
    for stream in streams.map(Exchange::finish) {
        assert!(stream.complete, "{}", stream.text());
        let stream = Stream::parse(stream.text());
        assert!(stream.done && stream.error().is_none(), "{stream:?}");
    }
    eventually("the last sound one is in force", || {
        let last = (1..=CONFIGURATIONS)
            .rev()
            .find(|number| !is_wrong(*number))
            .expect("one");
        world
            .send(&post("neighbour", &chat(&format!("calm-{last}"), "by its alias")))
            .status
            == 200
    });
    assert_nothing_is_left_behind(&world);
}

/// The world's configuration with an alias and a number of its own, or with a mistake.
fn configuration(number: u32) -> String {
    let alias = format!("name = \"calm\"\naliases = [\"calm-{number}\"]\ncontext_length");
    let failures = if is_wrong(number) {
        "-1".to_owned()
    } else {
        (number + 1).to_string()
    };
    CONFIG
        .replace("name = \"calm\"\ncontext_length", &alias)
        .replace("failures = 2", &format!("failures = {failures}"))
}

fn is_wrong(number: u32) -> bool {
    number.is_multiple_of(5)
}

fn put(world: &World, config: &str) -> Response {
    let request = Request::new("PUT", "/admin/config").header("content-type", "application/toml");
    world.send(&request.key(&key("admin")).body(world.config(config)))
}

const CONFIGURATIONS: u32 = 50;
