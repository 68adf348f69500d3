//! Requests at which engines fail, and engines that fail at requests.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use tidegate_core::Body;

use crate::world::{Piece, Reaction, World};
use crate::{CHAT, done, event, header, host, sse, world};

fn json(status: u16, body: &str) -> Reaction {
    Reaction::Answer(status, "application/json", vec![Piece::Text(body.to_owned())])
}

/// As vLLM says it.
fn crash() -> Reaction {
    json(
        500,
        r#"{"error":{"message":"the grammar has no end","type":"InternalServerError","param":null,"code":500}}"#,
    )
}

fn says(text: &str) -> String {
    format!(r#"{{"model":"big","stream":true,"messages":[{{"role":"user","content":"{text}"}}]}}"#)
}

fn is_bad(request: &Request<Bytes>) -> bool {
    String::from_utf8_lossy(request.body()).contains("bad")
}

/// Engines that fail at bad requests, and answer all others.
fn sound() -> World {
    world(|request| {
        if is_bad(request) {
            crash()
        } else {
            sse(vec![event("a"), done()])
        }
    })
}

fn asked(world: &World) -> Vec<String> {
    let hosts = world.sent().into_iter().map(|(url, _)| url);
    hosts.map(|url| url["http://".len()..].replace(CHAT, "")).collect()
}

fn serves(world: &mut World, text: &str) -> bool {
    let response = world.post(CHAT, &says(text));
    let cluster = header(&response, "x-tidegate-cluster").to_owned();
    world.rest(response.into_body()).contains("[DONE]") && cluster == "near"
}

fn assert_blamed(world: &mut World, response: Response<Body>) {
    assert_eq!(response.status(), 400);
    assert_eq!(header(&response, "x-should-retry"), "false");
    let text = world.rest(response.into_body());
    assert!(text.contains("the grammar has no end"), "{text}");
    assert!(text.contains(r#""type":"invalid_request_error""#), "{text}");
}

#[test]
fn a_request_at_which_two_replicas_fail_alike_is_told_so_and_takes_no_breaker_along() {
    let mut world = sound();
    for number in 0..8 {
        let response = world.post(CHAT, &says(&format!("bad {number}")));
        assert_blamed(&mut world, response);
        assert_eq!(world.sent().len(), 2 * (number + 1), "two replicas each time");
    }
    assert!(serves(&mut world, "good"), "both breakers are closed");
    assert_eq!(world.in_flight("near") + world.in_flight("far"), 0);
}

/// As vLLM says it where the answer has begun with status 200.
#[test]
fn a_failure_that_is_told_inside_a_stream_counts_alike() {
    let mut world = world(|_| {
        let error = r#"{"error":{"message":"the grammar has no end","type":"InternalServerError","code":500}}"#;
        sse(vec![Piece::Text(format!("data: {error}\n\n")), done()])
    });
    for number in 0..4 {
        let response = world.post(CHAT, &says(&format!("bad {number}")));
        assert_blamed(&mut world, response);
    }
    assert_eq!(world.sent().len(), 8);
    assert!(world.replicas("near").iter().all(|replica| replica.available));
}

#[test]
fn its_retries_are_answered_without_asking_anybody_for_some_minutes() {
    let mut world = sound();
    for _ in 0..3 {
        let response = world.post(CHAT, &says("bad"));
        assert_blamed(&mut world, response);
    }
    assert_eq!(world.sent().len(), 2);
    let other = world.post_as("eu-key", CHAT, &says("bad"));
    assert_blamed(&mut world, other);
    assert_eq!(world.sent().len(), 4, "tenants learn nothing of each other");
    world.pass(Duration::from_secs(301));
    let response = world.post(CHAT, &says("bad"));
    assert_blamed(&mut world, response);
    assert_eq!(world.sent().len(), 6);
}

#[test]
fn at_once_as_many_bad_requests_as_there_are_take_no_breaker_along() {
    let mut world = sound();
    let bodies: Vec<_> = (0..4).map(|number| says(&format!("bad {number}"))).collect();
    let posting: Vec<_> = bodies.iter().map(|body| world.posting(CHAT, &[], body)).collect();
    for response in world.run(futures::future::join_all(posting)) {
        assert_eq!(response.status(), 400);
    }
    assert!(world.replicas("near").iter().all(|replica| replica.available));
}

#[test]
fn one_replica_that_fails_alone_is_passed_over_and_then_left_alone() {
    let mut world = world(|request| match host(request) {
        "near-a" => crash(),
        _ => sse(vec![event("a"), done()]),
    });
    for number in 0..12 {
        assert!(serves(&mut world, &number.to_string()));
    }
    let failed = |world: &World| asked(world).iter().filter(|host| *host == "near-a").count();
    assert_eq!(failed(&world), 3, "its breaker is open");
    world.pass(Duration::from_secs(6));
    for number in 0..12 {
        assert!(serves(&mut world, &format!("later {number}")));
    }
    assert_eq!(failed(&world), 4, "one probe, and it is left alone again");
    assert_eq!(world.in_flight("near"), 0);
}

#[test]
fn where_nobody_else_can_be_asked_the_replica_is_at_fault() {
    let mut world = world(|_| crash());
    let body = r#"{"model":"small","messages":[{"role":"user","content":"x"}]}"#;
    for _ in 0..3 {
        assert_eq!(world.post(CHAT, body).status(), 502);
    }
    let response = world.post(CHAT, body);
    assert_eq!(response.status(), 503, "its breaker is open");
    assert_eq!(world.sent().len(), 3);
}

#[test]
fn a_client_that_leaves_before_the_second_replica_answers_leaves_no_permit_behind() {
    let mut world = world(|request| match host(request) {
        "near-a" => crash(),
        _ => Reaction::Hang,
    });
    // Whichever is asked first: of several prompts, some go to the one that fails.
    for number in 0..6 {
        let posting = world.posting(CHAT, &[], &says(&number.to_string()));
        let sleep = tidegate_core::platform::Platform::sleep(&world.platform, Duration::from_millis(50));
        world.run(async move {
            futures::future::select(Box::pin(posting), Box::pin(sleep)).await;
        });
    }
    assert!(asked(&world).contains(&"near-a".to_owned()));
    assert_eq!(world.in_flight("near"), 0);
}

#[test]
fn a_cluster_that_fails_at_everything_is_found_out() {
    let mut world = world(|request| match host(request) {
        "far-a" => sse(vec![event("a"), done()]),
        _ => crash(),
    });
    let statuses: Vec<_> = (0..14)
        .map(|number| world.post(CHAT, &says(&number.to_string())).status().as_u16())
        .collect();
    assert_eq!(statuses, [[400; 10].as_slice(), &[200; 4]].concat());
    assert_eq!(
        world.post(CHAT, &says("0")).status(),
        200,
        "what was put on a request is forgotten"
    );
}

#[test]
fn what_the_model_does_not_serve_is_asked_once_and_costs_nobody_a_breaker() {
    for (status, body, told, words) in [
        (
            501,
            r#"{"error":{"code":501,"message":"This server does not support embeddings. Start it with `--embeddings`","type":"not_supported_error"}}"#,
            400,
            "This server does not support embeddings",
        ),
        (404, r#"{"detail":"Not Found"}"#, 404, "Not Found"),
        (
            404,
            r#"{"error":{"code":404,"message":"File Not Found","type":"not_found_error"}}"#,
            404,
            "File Not Found",
        ),
        (404, "", 404, "Not Found"),
    ] {
        let mut world = world(move |request| {
            if request.uri().path().contains("embeddings") {
                json(status, body)
            } else {
                sse(vec![event("a"), done()])
            }
        });
        for number in 1..=4 {
            let response = world.post("/v1/embeddings", r#"{"model":"big","input":"x"}"#);
            assert_eq!(response.status(), told);
            let text = world.rest(response.into_body());
            assert!(
                text.contains(words) && text.contains(r#""code":"not_served""#),
                "{text}"
            );
            assert_eq!(world.sent().len(), number);
        }
        assert!(serves(&mut world, "good"));
    }
}

#[test]
fn a_model_that_an_engine_knows_by_another_name_is_the_operators_mistake() {
    let mut world = world(|request| match host(request) {
        "far-a" => sse(vec![event("a"), done()]),
        _ => json(
            404,
            r#"{"error":{"message":"The model `org/big` does not exist.","type":"NotFoundError","param":"model","code":404}}"#,
        ),
    });
    let response = world.post(CHAT, &says("hi"));
    assert_eq!(header(&response, "x-tidegate-cluster"), "far");
}

#[test]
fn time_outs_open_a_breaker() {
    let mut world = world(|request| match host(request) {
        "near-a" => Reaction::Hang,
        _ => sse(vec![event("a"), done()]),
    });
    for number in 0..12 {
        let response = world.post(CHAT, &says(&number.to_string()));
        world.rest(response.into_body());
    }
    let silent = asked(&world).iter().filter(|host| *host == "near-a").count();
    // A breaker is open for five seconds, and each time-out takes sixty: what comes after it goes to the other one.
    assert_eq!(silent, 3);
}

#[test]
fn silence_within_streams_opens_a_breaker() {
    let mut world = world(|request| match host(request) {
        "near-a" => sse(vec![event("a"), Piece::Wait(Duration::from_secs(600)), done()]),
        _ => sse(vec![event("a"), done()]),
    });
    let mut broken = 0;
    for number in 0..12 {
        let response = world.post(CHAT, &says(&number.to_string()));
        broken += usize::from(world.rest(response.into_body()).contains("upstream_timeout"));
    }
    assert_eq!(broken, 3);
}

#[test]
fn where_one_replica_refuses_and_the_others_are_full_the_client_is_told_to_wait() {
    for refusing in [Reaction::Refuse, json(503, "{}"), json(429, "{}")] {
        let mut world = world(move |request| match host(request) {
            "near-a" => refusing.clone(),
            _ => sse(vec![event("a"), Piece::Wait(Duration::from_secs(20)), done()]),
        });
        let near = [("x-tidegate-lowest-tier", "big")];
        let held: Vec<_> = (0..8)
            .map(|number| {
                let posting = world.posting(CHAT, &near, &says(&number.to_string()));
                world.run(posting)
            })
            .collect();
        assert!(held.iter().all(|response| response.status() == 200));
        world.pass(Duration::from_secs(6));
        let posting = world.posting(CHAT, &near, &says("one more"));
        let response = world.run(posting);
        assert_eq!(response.status(), 503);
        assert!(!header(&response, "retry-after").is_empty());
        let text = world.rest(response.into_body());
        assert!(text.contains("overloaded"), "{text}");
        drop(held);
    }
}
