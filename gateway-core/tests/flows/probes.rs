//! The request that probes a replica whose breaker was open: what it takes to be answered is not what it takes to be heard.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use http::{Request, Response};
use serde_json::json;
use tidegate_core::Body;
use tidegate_core::platform::Platform;

use crate::world::{Piece, Reaction, World};
use crate::{CHAT, chat, done, event, header, sse, usage};

/// One replica, whose breaker opens for five seconds at the first failure. It fails at the first request.
fn failed_once(then: impl Fn(&Request<bytes::Bytes>) -> Reaction + 'static) -> World {
    let config = crate::config().replace("\"http://near-a\", \"http://near-b\"", "\"http://near-a\"");
    let strict = config + "\n[breaker]\nfailures = 1\n";
    let has_failed = Rc::new(Cell::new(false));
    let mut world = World::new(&strict, move |request| {
        if request.uri().path() == "/health" {
            Reaction::Answer(200, "text/plain", Vec::new())
        } else if has_failed.replace(true) {
            then(request)
        } else {
            Reaction::Answer(503, "text/plain", Vec::new())
        }
    });
    assert_eq!(ask(&mut world, CHAT, &chat("big", true)).status(), 503);
    assert_eq!(
        ask(&mut world, CHAT, &chat("big", true)).status(),
        503,
        "its breaker is open"
    );
    assert_eq!(world.sent().len(), 1);
    world.pass(Duration::from_secs(5));
    world
}

fn asking(world: &World, path: &str, body: &str) -> impl Future<Output = Response<Body>> + use<> {
    let request = Request::post(path)
        .header("authorization", "Bearer eu-key")
        .header("x-tidegate-lowest-tier", "gpt");
    world.serving(request, body)
}

fn ask(world: &mut World, path: &str, body: &str) -> Response<Body> {
    let asking = asking(world, path, body);
    world.run(asking)
}

/// Begins the one request, and gives the answer to another one that comes so many seconds later.
fn ask_while(world: &mut World, probe: (&str, &str), seconds: u64) -> Response<Body> {
    let probe = asking(world, probe.0, probe.1);
    let next = asking(world, CHAT, &chat("big", true));
    let later = world.platform.sleep(Duration::from_secs(seconds));
    world.run(async move {
        let next = async move {
            later.await;
            next.await
        };
        match futures::future::select(Box::pin(probe), Box::pin(next)).await {
            futures::future::Either::Left(_) => panic!("the probe is to take longer"),
            futures::future::Either::Right((response, probe)) => {
                drop(probe);
                response
            }
        }
    })
}

fn wait(seconds: u64) -> Piece {
    Piece::Wait(Duration::from_secs(seconds))
}

#[test]
fn a_probe_that_is_a_long_whole_answer_keeps_nobody_out_once_it_has_begun() {
    let begun = Rc::new(Cell::new(0));
    let mut world = failed_once(move |_| {
        begun.set(begun.get() + 1);
        match begun.get() {
            1 => sse((0..30).flat_map(|_| [event("a"), wait(10)]).chain([done()]).collect()),
            _ => sse(vec![event("b"), usage(), done()]),
        }
    });
    let response = ask_while(&mut world, (CHAT, &chat("big", false)), 1);
    assert_eq!(response.status(), 200);
}

#[test]
fn a_probe_that_is_a_long_stream_keeps_nobody_out_once_it_has_begun() {
    let mut world = failed_once(|_| sse(vec![event("a"), wait(10), event("b"), usage(), done()]));
    let probe = ask(&mut world, CHAT, &chat("big", true));
    let next = ask(&mut world, CHAT, &chat("big", true));
    assert_eq!((probe.status().as_u16(), next.status().as_u16()), (200, 200));
    assert_eq!(world.in_flight("near"), 2);
}

#[test]
fn only_what_probes_is_told_of_before_its_end() {
    let mut world = failed_once(|_| sse(vec![event("a"), usage(), done()]));
    let mut commands = Vec::new();
    for _ in 0..2 {
        let before = world.cluster_commands();
        let response = ask(&mut world, CHAT, &chat("big", true));
        world.rest(response.into_body());
        world.pass(Duration::from_secs(1));
        commands.push(world.cluster_commands() - before);
    }
    assert_eq!(commands, [3, 2]);
}

#[test]
fn a_probe_that_says_nothing_until_it_is_there_keeps_others_out_for_a_while_only() {
    let mut world = failed_once(|request| match request.uri().path() {
        CHAT => sse(vec![event("a"), usage(), done()]),
        _ => Reaction::Hang,
    });
    let embed = json!({"model": "big", "input": "long"}).to_string();
    let response = ask_while(&mut world, ("/v1/embeddings", &embed), 15);
    assert_eq!(response.status(), 503);
    assert_eq!(header(&response, "retry-after"), "5", "then the next may try");
    let response = ask_while(&mut world, ("/v1/embeddings", &embed), 21);
    assert_eq!(response.status(), 200);
}

#[test]
fn a_probe_before_an_engine_that_still_hangs_is_given_up_sooner_than_others() {
    let mut world = failed_once(|_| Reaction::Hang);
    let before = world.now();
    assert_eq!(ask(&mut world, CHAT, &chat("big", false)).status(), 504);
    let took = world.now().since(before).as_millis();
    assert!((10_000..10_010).contains(&took), "a few tokens take no time: {took}");
    assert_eq!(
        ask(&mut world, CHAT, &chat("big", false)).status(),
        503,
        "its breaker is open again"
    );
}

#[test]
fn an_engine_that_says_that_it_is_not_ready_gets_no_request() {
    let is_ready = Rc::new(Cell::new(false));
    let ready = Rc::clone(&is_ready);
    let config = crate::config().replace("\"http://near-a\", \"http://near-b\"", "\"http://near-a\"");
    let mut world = World::new(&(config + "\n[breaker]\nfailures = 1\n"), move |request| {
        let status = if ready.get() { 200 } else { 503 };
        match request.uri().path() {
            "/health" => Reaction::Answer(status, "text/plain", Vec::new()),
            _ if ready.get() => sse(vec![event("a"), usage(), done()]),
            _ => Reaction::Answer(500, "text/plain", Vec::new()),
        }
    });
    let asked = |world: &World| world.sent().iter().filter(|(url, _)| url.ends_with(CHAT)).count();
    assert_eq!(ask(&mut world, CHAT, &chat("big", true)).status(), 502);
    for _ in 0..5 {
        world.pass(Duration::from_secs(5));
        assert_eq!(ask(&mut world, CHAT, &chat("big", true)).status(), 502);
    }
    assert_eq!(asked(&world), 1, "nobody's request goes to it while it is not ready");
    is_ready.set(true);
    world.pass(Duration::from_secs(5));
    let response = ask(&mut world, CHAT, &chat("big", true));
    assert_eq!(response.status(), 200);
    world.rest(response.into_body());
    assert_eq!(asked(&world), 2);
    assert_eq!(ask(&mut world, CHAT, &chat("big", true)).status(), 200);
    let looks = world.sent().iter().filter(|(url, _)| url.ends_with("/health")).count();
    assert_eq!(looks, 6, "and it is asked only where it was out");
}
