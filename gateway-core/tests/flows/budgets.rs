use std::time::Duration;

use http::{Request, Response};
use serde_json::{Value, json};
use tidegate_core::Body;
use tidegate_core::config::KeyDigest;

use crate::world::{Piece, Reaction, World};
use crate::{CHAT, config, done, event, header, sse, streaming};

/// The tests' configuration with one more tenant, whose key is `key-of-payer`, and whose budget has these limits.
pub fn limited(limits: &str) -> String {
    let digest = KeyDigest::of("key-of-payer");
    format!(
        "{}\n[[tenants]]\nname = \"payer\"\nkeys = [\"{digest}\"]\n[[tenants.budgets]]\nname = \"all\"\n{limits}\n",
        config()
    )
}

/// An engine whose answers take so many tokens.
pub fn taking(prompt: u64, cached: u64, completion: u64) -> impl Fn(&Request<bytes::Bytes>) -> Reaction {
    let usage = format!(
        r#""usage":{{"prompt_tokens":{prompt},"completion_tokens":{completion},"prompt_tokens_details":{{"cached_tokens":{cached}}}}}"#
    );
    move |_| {
        let body = format!(r#"{{"model":"org/big","choices":[],{usage}}}"#);
        Reaction::Answer(200, "application/json", vec![Piece::Text(body)])
    }
}

/// A completion whose prompt is exactly so many tokens, with at most so many of output.
pub fn ask(prompt: usize, output: u64) -> String {
    json!({"model": "big", "prompt": vec![7; prompt], "max_tokens": output}).to_string()
}

/// The response to a completion that the payer asks for.
pub fn post(world: &mut World, body: &str) -> Response<Body> {
    world.post_as("key-of-payer", "/v1/completions", body)
}

/// How the payer's budget stands.
pub fn usage(world: &mut World) -> Value {
    let get = Request::get("/v1/usage").header("authorization", "Bearer key-of-payer");
    let serving = world.serving(get, "");
    let response = world.run(serving);
    let body = world.rest(response.into_body());
    serde_json::from_str::<Value>(&body).unwrap()["budgets"][0].take()
}

fn admin(world: &mut World, request: http::request::Builder, body: &str) -> (u16, Value) {
    let serving = world.serving(request.header("authorization", "Bearer admin-key"), body);
    let response = world.run(serving);
    let status = response.status().as_u16();
    let body = world.rest(response.into_body());
    (status, serde_json::from_str(&body).unwrap_or_default())
}

fn error(world: &mut World, response: Response<Body>) -> (u16, Value) {
    let status = response.status().as_u16();
    let body = world.rest(response.into_body());
    (status, serde_json::from_str::<Value>(&body).unwrap()["error"].take())
}

fn figure(response: &Response<Body>, name: &str) -> u64 {
    header(response, name)
        .parse()
        .unwrap_or_else(|_| panic!("{response:?}"))
}

#[test]
fn what_a_request_did_not_take_is_there_for_the_next_at_once() {
    for pause in [20, 400, 800] {
        let mut world = World::new(&limited("tokens_per_minute = 600"), taking(10, 0, 57));
        for _ in 0..2 {
            assert_eq!(post(&mut world, &ask(10, 500)).status(), 200, "{pause} ms");
            world.pass(Duration::from_millis(pause));
        }
    }
}

#[test]
fn waiting_exactly_as_long_as_told_works_and_a_millisecond_less_does_not() {
    let mut world = World::new(&limited("tokens_per_minute = 1_000"), taking(600, 0, 100));
    assert_eq!(post(&mut world, &ask(600, 100)).status(), 200);
    let refused = post(&mut world, &ask(600, 100));
    let wait = figure(&refused, "retry-after-ms");
    assert_eq!(wait, 24_000, "700 are needed, 300 are there, 1,000 come in a minute");
    assert_eq!(figure(&refused, "retry-after"), 24);
    assert_eq!(header(&refused, "x-ratelimit-remaining-tokens"), "300");
    let (status, error) = error(&mut world, refused);
    assert_eq!(
        (status, &error["code"], &error["type"]),
        (429, &json!("rate_limit_exceeded"), &json!("tokens"))
    );
    world.pass(Duration::from_millis(wait - 2));
    assert_eq!(post(&mut world, &ask(600, 100)).status(), 429);
    let again = post(&mut world, &ask(600, 100));
    let wait = figure(&again, "retry-after-ms");
    world.pass(Duration::from_millis(wait));
    assert_eq!(post(&mut world, &ask(600, 100)).status(), 200);
}

#[test]
fn a_bucket_that_is_emptied_at_once_fills_from_that_moment_on() {
    let limits = limited("tokens_per_minute = 60_000\nburst_tokens = 1_000");
    let mut world = World::new(&limits, taking(900, 0, 100));
    assert_eq!(post(&mut world, &ask(900, 100)).status(), 200);
    for _ in 0..3 {
        world.pass(Duration::from_millis(13));
        let refused = post(&mut world, &ask(900, 100));
        let wait = figure(&refused, "retry-after-ms");
        assert!((1..=1_000).contains(&wait), "{wait}");
        world.pass(Duration::from_millis(wait));
        assert_eq!(post(&mut world, &ask(900, 100)).status(), 200);
    }
}

#[test]
fn answers_tell_what_is_left_and_when_all_of_it_is_there_again() {
    let mut world = World::new(
        &limited("tokens_per_minute = 6_000\nrequests_per_minute = 60"),
        taking(100, 0, 20),
    );
    let response = post(&mut world, &ask(100, 20));
    for (name, value) in [
        ("x-ratelimit-limit-tokens", "6000"),
        ("x-ratelimit-remaining-tokens", "5880"),
        ("x-ratelimit-reset-tokens", "2s"),
        ("x-ratelimit-limit-requests", "60"),
        ("x-ratelimit-remaining-requests", "59"),
        ("x-ratelimit-reset-requests", "1s"),
    ] {
        assert_eq!(header(&response, name), value, "{name}");
    }
    world.pass(Duration::from_secs(2));
    assert_eq!(usage(&mut world)["tokens"]["remaining"], 6_000);
}

#[test]
fn a_lease_serves_many_requests_without_asking() {
    let mut world = World::new(&limited("tokens_per_minute = 1_000_000"), taking(10, 0, 5));
    for _ in 0..100 {
        assert_eq!(post(&mut world, &ask(10, 5)).status(), 200);
        world.pass(Duration::from_millis(10));
    }
    assert!(world.commands() <= 10, "{}", world.commands());
    world.pass(Duration::from_secs(2));
    let usage = usage(&mut world);
    assert_eq!(
        (&usage["tokens"]["spent"], &usage["tokens"]["held"]),
        (&json!(1_500), &json!(0))
    );
}

#[test]
fn what_an_answer_takes_beyond_its_reservation_is_debt_that_time_repays() {
    let mut world = World::new(&limited("tokens_per_minute = 1_000"), taking(900, 0, 2_000));
    assert_eq!(post(&mut world, &ask(900, 50)).status(), 200);
    world.pass(Duration::from_secs(1));
    let usage_now = usage(&mut world);
    assert!(usage_now["tokens"]["debt"].as_u64().unwrap() > 1_850, "{usage_now}");
    let refused = post(&mut world, &ask(5, 5));
    let wait = figure(&refused, "retry-after-ms");
    assert!((110_000..115_000).contains(&wait), "{wait}");
    world.pass(Duration::from_millis(wait));
    assert_eq!(post(&mut world, &ask(5, 5)).status(), 200);
}

#[test]
fn cached_tokens_cost_what_the_budget_says() {
    let limits = "tokens_per_minute = 10_000\ncached_prompt_percent = 10";
    let mut world = World::new(&limited(limits), taking(1_000, 905, 20));
    post(&mut world, &ask(1_000, 50));
    world.pass(Duration::from_secs(2));
    assert_eq!(usage(&mut world)["tokens"]["spent"], 95 + 91 + 20);
}

#[test]
fn the_largest_of_the_bounds_on_output_counts() {
    let mut world = World::new(&limited("tokens_per_minute = 1_000"), taking(10, 0, 1));
    let body = json!({"model": "big", "prompt": [1], "max_tokens": 1, "max_completion_tokens": 5_000}).to_string();
    // Until answers have been seen, estimates.output_tokens bounds what is expected.
    let response = post(&mut world, &body);
    assert_eq!(header(&response, "x-ratelimit-remaining-tokens"), "487");
}

#[test]
fn what_is_expected_of_answers_is_learned() {
    let mut world = World::new(&limited("tokens_per_minute = 1_000_000"), taking(10, 0, 20));
    let body = ask(1, 300);
    for _ in 0..40 {
        post(&mut world, &body);
        world.pass(Duration::from_secs(1));
    }
    let response = post(&mut world, &body);
    let left = figure(&response, "x-ratelimit-remaining-tokens");
    assert!(
        (1_000_000 - 30..1_000_000).contains(&left),
        "one and about twenty are reserved: {left}"
    );
}

/// The bounds on output that engines were told, in a world whose budget has these limits, for what is asked for.
fn bounds_told(limits: &str, path: &str, bodies: &[Value]) -> Vec<(Value, String)> {
    let mut world = World::new(&limited(limits), taking(2, 0, 3));
    let told = |body: &Value| {
        let response = world.post_as("key-of-payer", path, &body.to_string());
        assert_eq!(response.status(), 200, "{body}");
        let sent: Value = serde_json::from_str(&world.sent().last().unwrap().1).unwrap();
        world.pass(Duration::from_secs(60));
        (
            sent["max_tokens"].clone(),
            header(&response, "x-tidegate-max-tokens").to_owned(),
        )
    };
    bodies.iter().map(told).collect()
}

#[test]
fn what_sets_no_bound_is_given_one_and_its_client_is_told() {
    let of = |limits: &str, more: Value| {
        let mut body = json!({"model": "big", "messages": [{"role": "user", "content": "hi"}]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        bounds_told(limits, CHAT, &[body]).remove(0)
    };
    let given = |bound: u64| (json!(bound), bound.to_string());
    let short = "tokens_per_minute = 100_000\n[estimates]\noutput_tokens = 100";
    for more in [
        json!({}),
        json!({"max_tokens": null, "ignore_eos": true}),
        json!({"n": 3, "min_tokens": 5}),
    ] {
        assert_eq!(of(short, more.clone()), given(2_048), "{more}");
    }
    let steep = "tokens_per_minute = 100_000\n[estimates]\noutput_tokens = 1_500\noutput_multiple = 2";
    assert_eq!(of(steep, json!({})), given(3_000));
    assert_eq!(of(steep, json!({"min_tokens": 1_700})), given(3_400));
    let embeddings = json!({"model": "big", "input": "hi"});
    assert_eq!(
        bounds_told(steep, "/v1/embeddings", &[embeddings])[0],
        (Value::Null, String::new())
    );
    // Whose context is what ends it, or the client's own bound.
    let none = |told: Value| (told, String::new());
    let ample = "tokens_per_minute = 100_000";
    assert_eq!(of(ample, json!({})), none(Value::Null));
    assert_eq!(of("requests_per_minute = 100", json!({})), none(Value::Null));
    assert_eq!(of(steep, json!({"max_tokens": 5_000})), none(json!(5_000)));
    // No more than the budget can have at once; for the client's own bound so much is held that it stands.
    assert_eq!(of("tokens_per_minute = 3_000", json!({"n": 4})).0, json!(2_048));
    let day = "tokens_per_minute = 100_000\ntokens_per_day = 5_000";
    let told: u64 = of(day, json!({})).1.parse().unwrap();
    assert!((4_900..5_000).contains(&told), "{told}");
    let small = "tokens_per_minute = 200\n[estimates]\noutput_tokens = 10";
    let told: u64 = of(small, json!({"max_tokens": 8_000})).1.parse().unwrap();
    assert!((2_500..3_200).contains(&told), "{told}");
}

#[test]
fn completions_keep_their_engines_default_and_the_least_of_several_budgets_counts() {
    let ample = "tokens_per_minute = 100_000";
    let bodies = [
        json!({"model": "big", "prompt": [1]}),
        json!({"model": "big", "prompt": [1], "max_tokens": null}),
        json!({"model": "big", "prompt": [1], "max_completion_tokens": 5}),
    ];
    let told: Vec<_> = bounds_told(ample, "/v1/completions", &bodies)
        .into_iter()
        .map(|told| told.0)
        .collect();
    assert_eq!(told, [Value::Null, Value::Null, json!(5)]);
    let two = "tokens_per_minute = 100_000\n[[tenants.budgets]]\nname = \"small\"\ntokens_per_minute = 4_000";
    assert_eq!(bounds_told(two, "/v1/completions", &bodies[1..2])[0].0, json!(3_999));
}

#[test]
fn as_much_is_held_for_a_bound_of_the_clients_own_that_it_stands() {
    let mut world = World::new(
        &limited("tokens_per_minute = 10_000\n[estimates]\noutput_tokens = 100"),
        taking(1, 0, 1),
    );
    for (body, held) in [
        (ask(1, 8_000), 500),
        (
            json!({"model": "big", "prompt": [1], "max_tokens": 8_000, "min_tokens": 600}).to_string(),
            600,
        ),
        (
            json!({"model": "big", "prompt": [[1], [2]], "max_tokens": 8_000, "n": 2}).to_string(),
            4 * 500 + 1,
        ),
        (json!({"model": "big", "prompt": ["a", "b", "c"]}).to_string(), 3 * 128),
    ] {
        let response = post(&mut world, &body);
        let left = figure(&response, "x-ratelimit-remaining-tokens");
        let prompt = 10_000 - left - held;
        assert!((1..30).contains(&prompt), "{body}: {left}");
        world.pass(Duration::from_secs(60));
    }
}

/// A world whose engine streams one token and is silent then, and its stream.
fn streaming_world(config: &str) -> (futures::stream::LocalBoxStream<'static, bytes::Bytes>, World) {
    let mut world = World::new(config, |_| {
        sse(vec![
            event("one two three"),
            Piece::Wait(Duration::from_secs(20)),
            done(),
        ])
    });
    let response = world.post_as("key-of-payer", CHAT, &crate::chat("big", true));
    assert_eq!(response.status(), 200);
    let has_limits = response
        .headers()
        .keys()
        .any(|name| name.as_str().starts_with("x-ratelimit-"));
    assert_eq!(has_limits, config.contains("per_minute"), "streams are told too");
    let mut body = streaming(response);
    world.next(&mut body);
    (body, world)
}

#[test]
fn a_client_that_leaves_pays_for_the_prompt_and_what_was_written() {
    let (body, mut world) = streaming_world(&limited("tokens_per_minute = 100_000"));
    drop(body);
    world.pass(Duration::from_secs(2));
    let spent = usage(&mut world)["tokens"]["spent"].as_u64().unwrap();
    assert!((5..60).contains(&spent), "a short prompt and three words: {spent}");
}

#[test]
fn a_request_that_no_engine_answered_costs_no_tokens() {
    let mut world = World::new(
        &limited("tokens_per_minute = 100_000\nrequests_per_minute = 10"),
        |_| Reaction::Refuse,
    );
    let small = json!({"model": "small", "prompt": [1, 2, 3]}).to_string();
    assert_eq!(post(&mut world, &small).status(), 502);
    world.pass(Duration::from_secs(2));
    let usage = usage(&mut world);
    assert_eq!(
        (&usage["tokens"]["spent"], &usage["requests"]["spent"]),
        (&json!(0), &json!(1)),
        "{usage}"
    );
}

#[test]
fn a_canned_response_costs_what_the_budget_says() {
    let mut world = World::new(&limited("tokens_per_minute = 100_000\ncanned_tokens = 7"), |_| {
        Reaction::Refuse
    });
    assert_eq!(header(&post(&mut world, &ask(3, 3)), "x-tidegate-tier"), "canned");
    world.pass(Duration::from_secs(2));
    assert_eq!(usage(&mut world)["tokens"]["spent"], 7);
}

#[test]
fn requests_at_once_are_counted_and_places_come_back() {
    let (body, mut world) = streaming_world(&limited("concurrent_requests = 1"));
    let refused = post(&mut world, &ask(1, 1));
    assert!(figure(&refused, "retry-after-ms") > 0);
    let (status, error) = error(&mut world, refused);
    assert_eq!((status, &error["type"]), (429, &json!("requests")), "{error}");
    assert_eq!(usage(&mut world)["running"], 1);
    drop(body);
    world.pass(Duration::from_secs(2));
    assert_eq!(usage(&mut world)["running"], 0);
}

#[test]
fn a_day_that_is_used_up_is_final_until_it_is_over() {
    let mut world = World::new(&limited("tokens_per_day = 100"), taking(60, 0, 20));
    assert_eq!(post(&mut world, &ask(60, 20)).status(), 200);
    let refused = post(&mut world, &ask(60, 20));
    assert_eq!(header(&refused, "x-should-retry"), "false");
    let wait = figure(&refused, "retry-after-ms");
    assert_eq!(error(&mut world, refused).1["code"], "insufficient_quota");
    world.pass(Duration::from_millis(wait));
    assert_eq!(post(&mut world, &ask(60, 20)).status(), 200);
}

#[test]
fn what_no_budget_ever_holds_is_refused_for_good() {
    let mut world = World::new(&limited("tokens_per_minute = 1_000"), taking(1, 0, 1));
    let refused = post(&mut world, &ask(900, 200));
    assert_eq!(
        (refused.status().as_u16(), header(&refused, "x-should-retry")),
        (429, "false")
    );
    assert!(refused.headers().get("retry-after").is_none());
    let (_, error) = error(&mut world, refused);
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("never holds more than 1000"),
        "{error}"
    );
}

#[test]
fn what_no_budget_ever_holds_keeps_nobody_else_waiting() {
    let mut world = World::new(&limited("tokens_per_minute = 1_000"), taking(1, 0, 1));
    assert_eq!(post(&mut world, &ask(900, 200)).status(), 429);
    assert_eq!(post(&mut world, &ask(100, 100)).status(), 200);
}

#[test]
fn an_engine_that_reports_more_tokens_than_there_can_be_is_not_believed() {
    for (prompt, completion) in [(u64::MAX, 1), (5, u64::MAX), (1_000_000_001, 0)] {
        let mut world = World::new(&limited("tokens_per_minute = 1_000"), taking(prompt, 0, completion));
        assert_eq!(post(&mut world, &ask(5, 50)).status(), 200);
        world.pass(Duration::from_secs(1));
        let usage = usage(&mut world);
        assert_eq!(
            (&usage["tokens"]["spent"], &usage["tokens"]["debt"]),
            (&json!(5), &json!(0)),
            "{usage}"
        );
    }
}

#[test]
fn a_budget_that_cannot_be_reached_refuses_or_allows_a_little() {
    let mut world = World::new(&limited("tokens_per_minute = 1_000"), taking(10, 0, 10));
    world.cut_off(true);
    let refused = post(&mut world, &ask(10, 10));
    let wait = figure(&refused, "retry-after-ms");
    let (status, error) = error(&mut world, refused);
    assert_eq!((status, &error["code"]), (503, &json!("budget_unreachable")));
    world.cut_off(false);
    world.pass(Duration::from_millis(wait));
    assert_eq!(post(&mut world, &ask(10, 10)).status(), 200);

    let open = limited("tokens_per_minute = 1_000\nunreachable_tokens_per_minute = 50");
    let mut world = World::new(&open, taking(10, 0, 10));
    world.cut_off(true);
    let statuses: Vec<u16> = (0..4)
        .map(|_| post(&mut world, &ask(10, 10)).status().as_u16())
        .collect();
    assert_eq!(statuses, [200, 200, 503, 503]);
    world.cut_off(false);
    world.pass(Duration::from_secs(3));
    post(&mut world, &ask(10, 10));
    world.pass(Duration::from_secs(2));
    assert_eq!(
        usage(&mut world)["tokens"]["spent"],
        60,
        "what was admitted meanwhile is accounted for"
    );
}

#[test]
fn operators_read_budgets_and_set_limits_in_place_of_the_configurations() {
    let mut world = World::new(&limited("tokens_per_minute = 1_000"), taking(10, 0, 10));
    let path = "/admin/budgets/payer/all";
    let (status, budget) = admin(&mut world, Request::get(path), "");
    assert_eq!((status, &budget["limits"]["tokens_per_minute"]), (200, &json!(1_000)));
    let (status, budget) = admin(&mut world, Request::put(path), r#"{"tokens_per_minute": 50}"#);
    assert_eq!(
        (status, &budget["overridden"], &budget["limits"]["burst_tokens"]),
        (200, &json!(true), &json!(50))
    );
    assert_eq!(post(&mut world, &ask(40, 20)).status(), 429);
    let (_, budget) = admin(&mut world, Request::delete(path), "");
    assert_eq!(
        (&budget["overridden"], &budget["limits"]["tokens_per_minute"]),
        (&json!(false), &json!(1_000))
    );
    let (_, listed) = admin(&mut world, Request::get("/admin/budgets"), "");
    assert_eq!(listed["budgets"][0]["tenant"], "payer");
    for wrong in ["", "[]", "{}", r#"{"tokens_per_minute": 0}"#, r#"{"tokens": 5}"#] {
        let (status, error) = admin(&mut world, Request::put(path), wrong);
        assert_eq!(
            (status, &error["error"]["code"]),
            (422, &json!("invalid_limits")),
            "{wrong}"
        );
    }
    assert_eq!(admin(&mut world, Request::get("/admin/budgets/payer/none"), "").0, 404);
    let serving = world.serving(Request::get(path).header("authorization", "Bearer key-of-payer"), "");
    assert_eq!(world.run(serving).status(), 401);
}

#[test]
fn a_long_stream_reserves_more_while_it_runs_and_one_without_budgets_is_none_the_worse() {
    let long = |_: &Request<bytes::Bytes>| {
        let mut pieces: Vec<_> = (0..200).map(|_| event("one two three four five six")).collect();
        pieces.extend([Piece::Wait(Duration::from_secs(20)), done()]);
        sse(pieces)
    };
    let mut world = World::new(&limited("tokens_per_minute = 100_000"), long);
    let body = json!({"model": "big", "prompt": [1], "stream": true, "max_tokens": 20}).to_string();
    let mut paid = streaming(post(&mut world, &body));
    let mut free = streaming(world.post("/v1/completions", &body));
    for body in [&mut paid, &mut free] {
        (0..200).for_each(|_| drop(world.next(body)));
    }
    let get = Request::get("/admin/budgets").header("authorization", "Bearer admin-key");
    let serving = world.serving(get, "");
    let response = world.run(serving);
    let budgets: Value = serde_json::from_str(&world.rest(response.into_body())).unwrap();
    let tokens = &budgets["budgets"][0]["token_totals"];
    assert!(
        tokens["spent"].as_u64().unwrap() > 500,
        "21 were reserved at first: {tokens}"
    );
}
