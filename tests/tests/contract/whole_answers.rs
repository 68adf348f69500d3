//! Answers that are not streamed: engines are asked for them as streams, and clients get what the engine would have sent
//! whole, without waiting for one that hangs.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidegate_tests::engine::Fault;
use tidegate_tests::http::{Request, connect};
use tidegate_tests::runtime::Runtime;
use tidegate_tests::scripted::Script;

use crate::support::{
    AWAY, Expected, SHARED, ask, ask_away, assert_error, chat, chunk, eventually, post, scripted, with,
};

#[test]
fn a_whole_answer_is_what_the_engine_itself_sends() {
    let tool = json!({"type": "function", "function": {"name": "get_tide", "parameters": {"type": "object",
        "properties": {"port": {"type": "string"}}, "required": ["port"]}}});
    let chat = |text: &str, fields: Value| ("/v1/chat/completions", with(chat("tide-solo", text), fields));
    let completion = |fields: Value| {
        let body = json!({"model": "tide-solo", "prompt": "whole as it is", "max_tokens": 12});
        ("/v1/completions", with(body, fields))
    };
    for (path, body) in [
        chat("as it is", json!({})),
        chat("as it is twice", json!({"n": 2, "max_tokens": 20})),
        chat("as probable as it is", json!({"logprobs": true, "top_logprobs": 2})),
        chat("call get_tide now", json!({"tools": [tool, tool], "max_tokens": 200})),
        chat("as long as it is", json!({"max_tokens": 400, "temperature": 0})),
        completion(json!({})),
        completion(json!({"n": 3, "logprobs": 2})),
        completion(json!({"prompt": ["one", "two"]})),
        completion(json!({"echo": true, "logprobs": 1})),
    ] {
        let passed = SHARED.send(&post(path, body.to_string()));
        assert_eq!(passed.status, 200, "{body}: {}", passed.text());
        let id = passed.header("x-request-id").expect("an id").to_owned();
        let direct = Request::post(path, with(body.clone(), json!({"model": "sim"})).to_string());
        let direct = SHARED.engine("solo-1").send(&direct.header("x-request-id", &id));
        let mut expected = direct.json();
        expected["model"] = json!("tide-solo");
        assert_eq!(comparable(passed.json()), comparable(expected), "{body}");
    }
}

/// An answer without what differs from one request to the next, and without what is told only to say that it is not there.
fn comparable(mut answer: Value) -> Value {
    answer["created"] = Value::Null;
    answer["usage"]["prompt_tokens_details"] = Value::Null;
    without_nothing(answer)
}

fn without_nothing(value: Value) -> Value {
    let says_something = |value: &Value| !value.is_null() && *value != json!([]);
    match value {
        Value::Object(members) => {
            let said = members.into_iter().filter(|(_, value)| says_something(value));
            said.map(|(name, value)| (name, without_nothing(value))).collect()
        }
        Value::Array(values) => values.into_iter().map(without_nothing).collect(),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => other,
    }
}

#[test]
fn reasoning_calls_and_fields_of_the_engine_s_own_are_put_together() {
    let event = |choices: Value, more: Value| {
        let chunk =
            json!({"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices});
        format!("data: {}\n\n", with(chunk, more))
    };
    let delta = |delta: Value| event(json!([{"index": 0, "delta": delta, "finish_reason": null}]), json!({}));
    let call = |function: Value| json!({"tool_calls": [{"index": 0, "id": null, "function": function}]});
    let script = Script::stream()
        .then(delta(json!({"role": "assistant", "content": ""})))
        .then(delta(json!({"reasoning_content": "let me "})))
        .then(delta(json!({"reasoning_content": "see"})))
        .then(delta(json!({"tool_calls": [{"index": 0, "id": "call-1", "type": "function", "function": {"name": "f"}}]})))
        .then(delta(call(json!({"arguments": "{\"a\""}))))
        .then(delta(call(json!({"arguments": ":1}"}))))
        .then(event(
            json!([{"index": 0, "delta": {}, "finish_reason": "tool_calls", "stop_reason": 7}]),
            json!({"timings": {"predicted_n": 5}}),
        ))
        .then(event(
            json!([]),
            json!({"usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}, "system_fingerprint": "f1"}),
        ))
        .then("data: [DONE]\n\n");
    scripted().on("put-together", script);
    let response = ask(&chat("tide-scripted", "put-together"));
    let message = json!({"role": "assistant", "content": null, "refusal": null, "reasoning_content": "let me see",
        "tool_calls": [{"id": "call-1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}}]});
    let expected = json!({
        "id": "x", "object": "chat.completion", "created": 1, "model": "tide-scripted",
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls", "stop_reason": 7, "logprobs": null}],
        "timings": {"predicted_n": 5}, "system_fingerprint": "f1",
        "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8},
    });
    assert_eq!(response.json(), expected, "{}", response.text());
}

#[test]
fn an_engine_that_gets_slow_is_waited_for() {
    // At the edge pieces may be held back for as long as it was fast.
    let at_once = Script::stream().then(chunk("one ").repeat(40));
    let slow = (0..8).fold(at_once, |script, _| script.wait(350).then(chunk("late ")));
    scripted().on("gets-slow", slow.then("data: [DONE]\n\n"));
    let response = ask(&chat("tide-scripted", "gets-slow"));
    assert_eq!(response.status, 200, "{}", response.text());
    let said = ["one ".repeat(40), "late ".repeat(8)].concat();
    assert_eq!(response.json()["choices"][0]["message"]["content"], said.as_str());
}

#[test]
fn an_engine_that_hangs_in_the_middle_is_noticed() {
    SHARED.engine("solo-1").fault("hangs in the middle", Fault::Stall(3));
    // A server in front of an engine's core sends comments also while that hangs.
    let comments = (0..16).fold(Script::stream().then(chunk("one")), |script, _| {
        script.wait(300).then(": keepalive\n\n")
    });
    scripted().on("hangs-with-comments", comments);
    for body in [
        with(chat("tide-solo", "hangs in the middle"), json!({"max_tokens": 64})),
        chat("tide-scripted", "hangs-with-comments"),
    ] {
        let response = ask(&body);
        assert_error(&response, timeout());
        let took = response.took.as_millis();
        assert!(
            (1_800..4_500).contains(&took),
            "the limit between two events is 2 s: {took}"
        );
    }
}

#[test]
fn a_breaker_hears_of_an_engine_that_hangs_in_the_middle() {
    AWAY.engine("stuck-1").fault("hangs for good", Fault::Stall(3));
    let ask = || ask_away("tide-stuck", "hangs for good");
    assert_error(&ask(), timeout());
    eventually("the breaker opens", || ask().status == 503);
    let asked = AWAY.engine("stuck-1").requests("hangs for good").len();
    assert!((2..5).contains(&asked), "{asked}");
}

#[test]
fn an_engine_is_stopped_when_the_client_leaves_a_whole_answer() {
    let script = Script::stream()
        .then(chunk("one"))
        .wait(1_500)
        .then(chunk("two"))
        .wait(4_000);
    scripted().on("left-whole", script);
    let request = post("/v1/chat/completions", chat("tide-scripted", "left-whole").to_string());
    let mut connection = connect(SHARED.gateway.address());
    std::io::Write::write_all(&mut connection, &request.to_bytes("gateway")).expect("the request is sent");
    let seen = || scripted().seen("left-whole").first().cloned();
    eventually("the answer has begun", || {
        seen().is_some_and(|seen| !seen.steps_done.is_empty())
    });
    let left = Instant::now();
    drop(connection);
    eventually("the engine is stopped", || {
        seen().is_some_and(|seen| seen.left_at.is_some())
    });
    let after = seen()
        .and_then(|seen| seen.left_at)
        .expect("just seen")
        .saturating_duration_since(left);
    // workerd and Spin tell of a client's leaving only when something is written to it; there the limit between two
    // events ends the attempt.
    let at_most = match Runtime::current() {
        Runtime::Native => 700,
        Runtime::Cloudflare | Runtime::Spin => 5_000,
    };
    assert!(after < Duration::from_millis(at_most), "{after:?}");
}

fn timeout() -> Expected {
    Expected {
        status: 504,
        kind: "server_error",
        param: None,
        code: Some("upstream_timeout"),
    }
}
