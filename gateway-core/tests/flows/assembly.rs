//! Whole answers, which engines are asked for as streams.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use serde_json::{Value, json};
use tidegate_core::Body;
use tidegate_core::platform::Platform;

use crate::budgets::limited;
use crate::world::{Piece, Reaction, World};
use crate::{CHAT, chat, chunk, done, event, header, host, sse, usage, world};

/// The answer, and how long it took.
fn ask(world: &mut World) -> (Response<Body>, Duration) {
    let before = world.platform.now();
    let response = world.post(CHAT, &chat("big", false));
    let took = world.platform.now().since(before);
    (response, took)
}

/// The answer of the model that was asked for, or why there is none.
fn ask_no_other(world: &mut World) -> Response<Body> {
    let posting = world.posting(CHAT, &[("x-tidegate-lowest-tier", "gpt")], &chat("big", false));
    world.run(posting)
}

fn body(world: &mut World, response: Response<Body>) -> Value {
    serde_json::from_str(&world.rest(response.into_body())).unwrap()
}

fn content(answer: &Value) -> &str {
    answer["choices"][0]["message"]["content"].as_str().unwrap_or_default()
}

fn wait(seconds: u64) -> Piece {
    Piece::Wait(Duration::from_secs(seconds))
}

fn keepalive() -> Piece {
    Piece::Text(": keepalive\n\n".to_owned())
}

#[test]
fn an_engine_streams_what_its_client_gets_whole() {
    let mut world = world(|_| sse(vec![event("a"), event("b"), event("\\n"), usage(), done()]));
    let (response, _) = ask(&mut world);
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "content-type"), "application/json");
    assert_eq!(header(&response, "x-tidegate-cluster"), "near");
    let expected = json!({
        "model": "big",
        "choices": [{
            "index": 0, "message": {"content": "ab\n", "role": "assistant", "refusal": null},
            "finish_reason": null, "logprobs": null,
        }],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2},
    });
    assert_eq!(body(&mut world, response), expected);
    let (_, sent) = &world.sent()[0];
    let sent: Value = serde_json::from_str(sent).unwrap();
    assert_eq!(
        (&sent["stream"], &sent["stream_options"]),
        (&json!(true), &json!({"include_usage": true}))
    );
    assert_eq!(world.in_flight("near"), 0);
}

#[test]
fn a_stream_that_comes_in_one_piece_is_put_together_too() {
    let all = format!("data: {}\n\ndata: {}\n\ndata: [DONE]\n\n", chunk("a"), chunk("b"));
    let mut world = world(move |_| sse(vec![Piece::Text(all.clone())]));
    let (response, _) = ask(&mut world);
    let answer = body(&mut world, response);
    assert_eq!(content(&answer), "ab");
}

#[test]
fn what_streams_cannot_have_is_asked_for_whole() {
    let whole = |_: &Request<Bytes>| {
        let body = r#"{"object":"list","data":[],"usage":{"prompt_tokens":1}}"#;
        Reaction::Answer(200, "application/json", vec![wait(70), Piece::Text(body.to_owned())])
    };
    let mut world = world(whole);
    let echo = r#"{"model":"big","prompt":"hi","echo":true,"max_tokens":1}"#;
    for (path, body) in [
        ("/v1/embeddings", r#"{"model":"big","input":"hi"}"#),
        ("/v1/completions", echo),
    ] {
        // It has nothing to say until it is there: the limits of streams are not for it.
        assert_eq!(world.post(path, body).status(), 200, "{path}");
    }
    for (_, sent) in world.sent() {
        assert!(!sent.contains("stream"), "{sent}");
    }
}

#[test]
fn an_engine_that_falls_silent_is_noticed_and_another_one_answers() {
    for silence in [
        vec![wait(3_600)],
        vec![keepalive(), wait(20), keepalive(), wait(20), keepalive(), wait(3_600)],
    ] {
        let mut world = world(move |request| match host(request) {
            "near-a" => sse([vec![event("a")], silence.clone(), vec![event("b"), done()]].concat()),
            _ => sse(vec![event("whole"), usage(), done()]),
        });
        let (response, took) = ask(&mut world);
        assert_eq!(took, Duration::from_secs(30));
        let answer = body(&mut world, response);
        assert_eq!(content(&answer), "whole");
        let asked: Vec<_> = world.sent().into_iter().map(|(url, _)| url).collect();
        assert_eq!(asked, ["near-a", "near-b"].map(|host| format!("http://{host}{CHAT}")));
        assert!(world.metrics().contains("between_bytes_timeout"));
        assert_eq!(world.in_flight("near"), 0);
    }
}

#[test]
fn a_breaker_opens_before_an_engine_that_hangs_in_the_middle_of_whole_answers() {
    let strict = crate::config() + "\n[breaker]\nfailures = 1\nopen_ms = 600_000\n";
    let mut world = World::new(&strict, |_| sse(vec![event("a"), wait(3_600)]));
    assert_eq!(ask_no_other(&mut world).status(), 504);
    let replicas = world.replicas("near");
    assert!(replicas.iter().all(|replica| !replica.available), "{replicas:?}");
}

#[test]
fn an_engine_that_never_begins_is_given_up_as_with_streams() {
    let mut world = world(|request| match host(request) {
        "near-a" | "near-b" => Reaction::Hang,
        _ => sse(vec![keepalive(), wait(59), event("far"), usage(), done()]),
    });
    let (response, took) = ask(&mut world);
    assert_eq!(
        header(&response, "x-tidegate-tier"),
        "canned",
        "the ladder's deadline has passed"
    );
    assert_eq!(took, Duration::from_secs(120), "twice the limit on the first event");
}

#[test]
fn a_whole_answer_has_a_limit_however_steadily_it_comes() {
    let mut world = world(|_| sse((0..100).flat_map(|_| [event("a"), wait(20)]).chain([done()]).collect()));
    let (response, took) = ask(&mut world);
    assert_eq!(took, Duration::from_secs(600));
    assert_eq!(header(&response, "x-tidegate-tier"), "canned");
    assert_eq!(world.in_flight("near"), 0);
}

#[test]
fn a_permit_is_kept_as_long_as_chunks_come() {
    let pieces: Vec<_> = (0..5)
        .flat_map(|_| [event("a"), wait(25)])
        .chain([usage(), done()])
        .collect();
    let mut world = world(move |_| sse(pieces.clone()));
    let posting = world.posting(CHAT, &[], &chat("big", false));
    let late = world.platform.sleep(Duration::from_secs(100));
    let posting = world.run(async move {
        match futures::future::select(Box::pin(posting), Box::pin(late)).await {
            futures::future::Either::Left(_) => None,
            futures::future::Either::Right(((), posting)) => Some(posting),
        }
    });
    let posting = posting.expect("it takes 125 s");
    assert_eq!(world.in_flight("near"), 1, "longer than a permit holds without renewal");
    assert_eq!(world.run(posting).status(), 200);
    assert_eq!(world.in_flight("near"), 0);
}

#[test]
fn what_breaks_off_in_the_middle_is_answered_by_another_replica() {
    for ending in [
        vec![],
        vec![Piece::Break],
        vec![Piece::Text("data: {\"error\":{\"message\":\"oom\"}}\n\n".to_owned())],
        vec![Piece::Text("data: garbage\n\n".to_owned())],
    ] {
        let mut world = world(move |request| match host(request) {
            "near-a" => sse([vec![event("a"), wait(1)], ending.clone()].concat()),
            _ => sse(vec![event("whole"), usage(), done()]),
        });
        let (response, _) = ask(&mut world);
        let answer = body(&mut world, response);
        assert_eq!(content(&answer), "whole");
        assert_eq!(world.sent().len(), 2);
    }
}

#[test]
fn a_stream_of_nothing_is_no_answer() {
    let mut world = world(|request| match host(request) {
        "near-a" => sse(vec![Piece::Text("data: {}\n\n".to_owned()), done()]),
        _ => sse(vec![event("whole"), done()]),
    });
    let (response, _) = ask(&mut world);
    let answer = body(&mut world, response);
    assert_eq!(content(&answer), "whole");
}

#[test]
fn an_engine_that_answers_whole_all_the_same_is_taken_at_its_word() {
    let whole = r#"{"model":"org/big","choices":[{"message":{"content":"whole"}}],"x":1.0}"#;
    let mut world = world(move |_| Reaction::Answer(200, "application/json", vec![Piece::Text(whole.to_owned())]));
    let (response, _) = ask(&mut world);
    assert_eq!(world.rest(response.into_body()), whole.replace("org/big", "big"));
}

/// What is spent of the payer's budget when the client leaves a request after so many seconds.
fn spent_when_left_after(seconds: u64, engine: impl Fn(&Request<Bytes>) -> Reaction + 'static) -> (u64, usize) {
    let ask = json!({"model": "big", "prompt": [1], "max_tokens": 4_000});
    spent_when_left(seconds, &ask, engine)
}

/// The same for that request.
fn spent_when_left(seconds: u64, ask: &Value, engine: impl Fn(&Request<Bytes>) -> Reaction + 'static) -> (u64, usize) {
    let mut world = World::new(&limited("tokens_per_minute = 100_000"), engine);
    let request = Request::post("/v1/completions").header("authorization", "Bearer key-of-payer");
    let posting = world.serving(request, &ask.to_string());
    let left = world.platform.sleep(Duration::from_secs(seconds));
    world.run(async move {
        futures::future::select(Box::pin(posting), Box::pin(left)).await;
    });
    world.pass(Duration::from_secs(2));
    let get = Request::get("/v1/usage").header("authorization", "Bearer key-of-payer");
    let serving = world.serving(get, "");
    let response = world.run(serving);
    let usage = body(&mut world, response);
    assert_eq!(world.in_flight("near"), 0);
    assert_eq!(usage["budgets"][0]["tokens"]["held"], 0);
    (
        usage["budgets"][0]["tokens"]["spent"].as_u64().unwrap(),
        world.cancelled(),
    )
}

#[test]
fn a_client_that_leaves_a_whole_answer_pays_for_what_was_said_and_the_engine_is_cancelled() {
    let words = || Piece::Text(format!("data: {}\n\n", chunk("one two three four ")));
    let (begun, cancelled) = spent_when_left_after(5, move |_| sse(vec![words(), wait(100)]));
    assert_eq!(cancelled, 1);
    let (said, _) = spent_when_left_after(5, move |_| sse((0..100).map(|_| words()).chain([wait(100)]).collect()));
    assert!(begun > 1 && said > 50 * begun.min(10), "{begun} {said}");
    assert_eq!(spent_when_left_after(5, |_| Reaction::Hang).0, 1, "the prompt alone");
}

#[test]
fn a_client_that_leaves_what_engines_say_nothing_of_pays_for_what_was_reserved() {
    let ask = json!({"model": "big", "prompt": [1], "max_tokens": 100, "n": 3, "echo": true});
    assert_eq!(spent_when_left(5, &ask, |_| Reaction::Hang), (301, 1));
}

#[test]
fn a_gateway_that_stops_charges_what_was_said_of_whole_answers() {
    let mut world = World::new(&limited("tokens_per_minute = 100_000"), |_| {
        sse((0..50).map(|_| event("one two three ")).chain([wait(100)]).collect())
    });
    let request = Request::post("/v1/completions").header("authorization", "Bearer key-of-payer");
    let posting = world.serving(
        request,
        &json!({"model": "big", "prompt": [1], "max_tokens": 9}).to_string(),
    );
    let gateway = std::sync::Arc::clone(&world.gateway);
    let stop = world.platform.sleep(Duration::from_secs(3));
    let response = world.run(async move {
        let stopped = async move {
            stop.await;
            gateway.stop();
        };
        futures::future::join(posting, stopped).await.0
    });
    assert_eq!(response.status(), 503);
    let metrics = world.metrics();
    let name = "tidegate_budget_tokens_used_total{tenant=\"payer\",budget=\"all\"} ";
    let used = metrics
        .lines()
        .find_map(|line| line.strip_prefix(name)?.parse::<u64>().ok());
    assert!(used.is_some_and(|used| used > 100), "{metrics}");
}
