//! What a request costs and holds before it is known what it asks for: nothing is read for those who have nothing left,
//! what is refused later counts, and bodies have a bound of memory.

use std::time::Duration;

use futures::stream::{self, LocalBoxStream};
use futures::{FutureExt, StreamExt};
use http::Response;
use serde_json::Value;
use tidegate_core::Body;

use crate::budgets::{ask, limited, post, taking, usage};
use crate::header;
use crate::world::World;

type Pieces = LocalBoxStream<'static, Result<bytes::Bytes, String>>;

/// A body of which so many bytes come, and the rest never does.
fn begun(bytes: usize) -> Pieces {
    let piece = Ok(vec![b' '; bytes].into());
    stream::iter([piece]).chain(stream::pending()).boxed_local()
}

fn code(world: &mut World, response: Response<Body>) -> (u16, String) {
    let status = response.status().as_u16();
    let body = world.rest(response.into_body());
    let error: Value = serde_json::from_str(&body).unwrap();
    (status, error["error"]["code"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn nothing_is_read_for_a_tenant_in_debt() {
    let mut world = World::new(&limited("tokens_per_minute = 1_000"), taking(600, 0, 900));
    assert_eq!(post(&mut world, &ask(600, 100)).status(), 200);
    let before = world.now();
    let response = world.post_pieces("key-of-payer", "/v1/completions", begun(10));
    let refused = world.run(response);
    assert_eq!(header(&refused, "x-ratelimit-remaining-tokens"), "0");
    assert_eq!(code(&mut world, refused), (429, "rate_limit_exceeded".to_owned()));
    assert!(
        world.now().since(before) < Duration::from_secs(2),
        "the body never comes, and nobody waits for it"
    );
}

#[test]
fn a_day_that_is_used_up_is_told_before_the_body_is_read() {
    let mut world = World::new(&limited("tokens_per_day = 1_000"), taking(600, 0, 400));
    assert_eq!(post(&mut world, &ask(600, 100)).status(), 200);
    let response = world.post_pieces("key-of-payer", "/v1/completions", begun(10));
    let refused = world.run(response);
    assert_eq!(code(&mut world, refused), (429, "insufficient_quota".to_owned()));
}

#[test]
fn what_is_refused_has_cost_a_request() {
    for (path, body, status) in [
        ("/v1/completions", "{", 400),
        ("/v1/completions", r#"{"model":"none","prompt":"a"}"#, 404),
        ("/tokenize", r#"{"model":"none","prompt":"a"}"#, 404),
        ("/tokenize", r#"{"model":"big","prompt":"a"}"#, 200),
    ] {
        let limits = limited("requests_per_minute = 1\nburst_requests = 2");
        let mut world = World::new(&limits, taking(1, 0, 1));
        for _ in 0..2 {
            assert_eq!(world.post_as("key-of-payer", path, body).status(), status, "{body}");
        }
        let refused = world.post_as("key-of-payer", path, body);
        assert_eq!(
            code(&mut world, refused),
            (429, "rate_limit_exceeded".to_owned()),
            "{body}"
        );
    }
}

#[test]
fn budgets_of_some_models_are_entered_once_the_model_is_known() {
    let limits = limited("models = [\"big\"]\nrequests_per_minute = 1\nburst_requests = 2\ntokens_per_minute = 60_000");
    let mut world = World::new(&limits, taking(10, 0, 10));
    let long = ask(100_000, 1);
    assert_eq!(post(&mut world, &long).status(), 400);
    let tokenize = r#"{"model":"big","prompt":"a"}"#;
    assert_eq!(world.post_as("key-of-payer", "/tokenize", tokenize).status(), 200);
    assert_eq!(world.post_as("key-of-payer", "/tokenize", tokenize).status(), 429);
    world.pass(Duration::from_secs(1));
    let usage = usage(&mut world);
    assert_eq!(usage["requests"]["spent"], 2);
    assert_eq!(usage["tokens"]["spent"], long.len() / 1024 - 16);
}

#[test]
fn a_request_that_is_served_is_one_request() {
    let limits = limited("requests_per_minute = 1\nburst_requests = 3\ntokens_per_minute = 1_000_000");
    let mut world = World::new(&limits, taking(10, 0, 10));
    for _ in 0..3 {
        assert_eq!(post(&mut world, &ask(10, 10)).status(), 200);
    }
    assert_eq!(post(&mut world, &ask(10, 10)).status(), 429);
    world.pass(Duration::from_secs(2));
    let usage = usage(&mut world);
    assert_eq!(
        (&usage["requests"]["spent"], &usage["tokens"]["spent"]),
        (&3.into(), &60.into())
    );
}

#[test]
fn a_body_on_its_way_holds_a_slot() {
    let mut world = World::new(&limited("concurrent_requests = 1"), taking(10, 0, 10));
    let mut on_its_way = world
        .post_pieces("key-of-payer", "/v1/completions", begun(10))
        .boxed_local();
    world.begin(&mut on_its_way);
    assert_eq!(post(&mut world, &ask(10, 10)).status(), 429);
    drop(on_its_way);
    world.pass(Duration::from_secs(1));
    assert_eq!(post(&mut world, &ask(10, 10)).status(), 200);
}

#[test]
fn what_was_read_for_nothing_is_paid_for_and_may_make_a_debt() {
    let mut world = World::new(&limited("tokens_per_minute = 60"), taking(10, 0, 10));
    let long = ask(100_000, 1);
    assert_eq!(post(&mut world, &long).status(), 400);
    world.pass(Duration::from_secs(1));
    assert_eq!(
        usage(&mut world)["tokens"]["spent"],
        long.len() / 1024 - 16,
        "a token for each KiB beyond 16"
    );
    let response = world.post_pieces("key-of-payer", "/v1/completions", begun(10));
    let refused = world.run(response);
    assert_eq!(code(&mut world, refused), (429, "rate_limit_exceeded".to_owned()));
    let left = r#"{"model":"big","prompt":"a"}"#;
    world.pass(Duration::from_secs(240));
    assert_eq!(world.post_as("key-of-payer", "/tokenize", left).status(), 200);
}

#[test]
fn who_is_denied_tokens_pays_for_what_was_read_and_waiting_as_told_is_enough() {
    let limits = limited("tokens_per_minute = 60_000\nburst_tokens = 6_000");
    let mut world = World::new(&limits, taking(5_000, 0, 900));
    // A KiB for each hundred tokens.
    let ask = |prompt, output| ask(prompt, output) + &" ".repeat(50_000);
    assert_eq!(post(&mut world, &ask(5_000, 1_000)).status(), 200);
    for _ in 0..3 {
        world.pass(Duration::from_millis(10));
        let refused = post(&mut world, &ask(5_000, 1_000));
        let wait = header(&refused, "retry-after-ms").parse().unwrap();
        world.pass(Duration::from_millis(wait));
        assert_eq!(post(&mut world, &ask(5_000, 1_000)).status(), 200, "after {wait} ms");
    }
}

#[test]
fn bodies_have_a_bound_of_memory_and_a_neighbour_has_some_left() {
    let limits = format!(
        "{}\n[sizes]\nrequest_body_bytes = 1_024\ntenant_bodies_bytes = 2_048\nbodies_bytes = 3_072\n",
        limited("requests_per_minute = 1_000")
    );
    let mut world = World::new(&limits, taking(1, 0, 1));
    let mut on_their_way: Vec<_> = (0..2)
        .map(|_| {
            world
                .post_pieces("key-of-payer", "/v1/completions", begun(1_000))
                .boxed_local()
        })
        .collect();
    for response in &mut on_their_way {
        world.begin(response);
    }
    assert!(
        world.metrics().contains("tidegate_bodies_bytes 2000"),
        "{}",
        world.metrics()
    );
    let refused = post(&mut world, &ask(40, 1));
    assert_eq!(header(&refused, "retry-after"), "1");
    assert_eq!(code(&mut world, refused), (503, "too_many_bodies".to_owned()));
    let served = world.post("/v1/completions", &ask(40, 1));
    assert_eq!(served.status(), 200, "the neighbour is served");
    assert!(
        world
            .metrics()
            .contains("tidegate_bodies_refused_total{bound=\"tenant\"} 1")
    );
    on_their_way.clear();
    world.pass(Duration::from_millis(10));
    assert_eq!(post(&mut world, &ask(40, 1)).status(), 200);
    assert!(world.metrics().contains("tidegate_bodies_bytes 0"));
}
