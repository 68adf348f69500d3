//! Every fault, as a client meets it.

use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};
use tidegate_simulator::Profile;

use crate::harness::{Answer, Engine, chat, request};

/// What a client gets when this fault is on.
async fn struck(fault: Value, more: Value) -> Answer {
    let engine = Engine::start(Profile::Instant).await;
    engine.fault(fault).await;
    engine.chat(&chat("mark", more)).await
}

fn streamed() -> Value {
    json!({ "stream": true, "max_tokens": 40, "ignore_eos": true })
}

#[tokio::test]
async fn refuse_closes_the_connection_without_an_answer() {
    let engine = Engine::start(Profile::Instant).await;
    engine.fault(json!({ "kind": "refuse", "count": 1 })).await;
    let sent = || request(Method::POST, "/v1/chat/completions", chat("x", json!({})).to_string());
    assert!(engine.try_send(sent()).await.is_err());
    assert_eq!(engine.try_send(sent()).await.unwrap().status, 200);
    assert_eq!(engine.counter("failed").await, 1);
}

#[tokio::test]
async fn hang_never_answers_and_sees_the_client_leave() {
    let engine = Engine::start(Profile::Instant).await;
    engine.fault(json!({ "kind": "hang", "match": "mark" })).await;
    let body = chat("mark", json!({}));
    let asked = tokio::time::timeout(Duration::from_millis(100), engine.chat(&body));
    assert!(asked.await.is_err());
    engine
        .until("the abort", async |engine| engine.counter("aborted").await == 1)
        .await;
    assert_eq!(engine.chat(&chat("other", json!({}))).await.status, 200);
}

#[tokio::test]
async fn status_answers_with_an_error() {
    for (status, kind) in [
        (429, "RateLimitError"),
        (500, "InternalServerError"),
        (503, "ServiceUnavailableError"),
    ] {
        let fault = json!({ "kind": "status", "status": status, "retry_after": "7", "message": "no" });
        let answer = struck(fault, json!({ "stream": true })).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.headers["retry-after"]),
            (status, &"7".parse().unwrap())
        );
        assert_eq!(
            answer.json()["error"],
            json!({ "message": "no", "type": kind, "param": null, "code": status })
        );
    }
    assert!(
        struck(json!({ "kind": "status", "status": 503 }), json!({}))
            .await
            .headers
            .get("retry-after")
            .is_none()
    );
}

#[tokio::test]
async fn cut_closes_in_the_middle() {
    for (reset, more) in [(false, streamed()), (true, streamed()), (false, json!({}))] {
        let engine = Engine::start(Profile::Instant).await;
        engine.fault(json!({ "kind": "cut", "after": 5, "reset": reset })).await;
        let answer = engine.chat(&chat("mark", more.clone())).await;
        assert!(!answer.complete && !answer.text().contains("[DONE]"), "{answer:?}");
        if !reset && more == streamed() {
            assert_eq!(answer.events().len(), 5);
        }
        if !reset {
            assert!(answer.body.len() > 50, "{answer:?}");
        }
        engine
            .until("its record", async |engine| engine.counter("failed").await == 1)
            .await;
        assert_eq!(engine.counter("aborted").await, 0);
    }
}

#[tokio::test]
async fn end_early_ends_in_good_order_without_done() {
    let answer = struck(json!({ "kind": "end_early", "after": 5 }), streamed()).await;
    assert!(
        answer.complete && answer.events().len() == 5 && !answer.text().contains("[DONE]"),
        "{answer:?}"
    );
}

#[tokio::test]
async fn stall_stops_for_a_time_or_for_good() {
    let started = Instant::now();
    let answer = struck(json!({ "kind": "stall", "after": 5, "for_ms": 150 }), streamed()).await;
    assert!(started.elapsed() >= Duration::from_millis(150) && answer.events().last().unwrap() == "[DONE]");

    for (more, running) in [(streamed(), 1.0), (json!({}), 0.0)] {
        let engine = Engine::start(Profile::Instant).await;
        engine.fault(json!({ "kind": "stall", "after": 5 })).await;
        let body = chat("x", more);
        let asked = tokio::time::timeout(Duration::from_millis(300), engine.chat(&body));
        let watch = async {
            engine
                .until("it runs", async |engine| engine.counter("running").await == 1)
                .await;
            engine.metric("vllm:num_requests_running").await
        };
        let (asked, seen) = tokio::join!(asked, watch);
        assert!(asked.is_err() && (seen - running).abs() < 1e-9, "{seen}");
        engine
            .until("the abort", async |engine| engine.counter("aborted").await == 1)
            .await;
        assert!(engine.metric("vllm:num_requests_running").await.abs() < 1e-9);
    }
}

#[tokio::test]
async fn stream_error_comes_inside_a_200() {
    for after in [0, 4] {
        let fault = json!({ "kind": "stream_error", "after": after, "status": 503, "message": "gone" });
        let answer = struck(fault, streamed()).await;
        let events = answer.events();
        assert_eq!((answer.status.as_u16(), events.len()), (200, after + 2));
        assert_eq!(
            (&events[after]["error"]["message"], &events[after]["error"]["code"]),
            (&json!("gone"), &json!(503))
        );
        assert_eq!(events[after + 1], "[DONE]");
    }
    assert_eq!(struck(json!({ "kind": "stream_error" }), json!({})).await.status, 500);
}

#[tokio::test]
async fn malformed_breaks_one_event() {
    let answer = struck(json!({ "kind": "malformed", "after": 3 }), streamed()).await;
    let events = answer.events();
    assert!(events[3].is_string() && events[3] != "[DONE]", "{}", events[3]);
    assert!(events[4].is_object() && events.last().unwrap() == "[DONE]");
    let whole = struck(json!({ "kind": "malformed" }), json!({})).await;
    assert!(whole.complete && serde_json::from_slice::<Value>(&whole.body).is_err());
}

#[tokio::test]
async fn answers_turn_bad() {
    let gibberish = struck(json!({ "kind": "gibberish", "after": 20 }), json!({ "stream": true }))
        .await
        .content();
    assert!(
        gibberish.matches(" the ").count() < 10 && gibberish.len() > 300,
        "{gibberish}"
    );
    let repetition = struck(
        json!({ "kind": "repetition", "after": 20 }),
        json!({ "max_tokens": 600 }),
    )
    .await;
    let text = repetition.content();
    assert!(
        text.matches(&text[text.len() - 50..]).count() > 5 && repetition.finish_reason() == "length",
        "{text}"
    );
    let empty = struck(json!({ "kind": "empty" }), json!({})).await;
    assert_eq!((empty.content().as_str(), empty.finish_reason().as_str()), ("", "stop"));
    let odd = struck(json!({ "kind": "finish_reason", "reason": "eos_token" }), streamed()).await;
    assert_eq!(odd.finish_reason(), "eos_token");
}

#[tokio::test]
async fn tool_calls_turn_bad() {
    let tools = json!([{ "type": "function", "function": { "name": "known", "parameters": { "type": "object" } } }]);
    let undeclared = struck(
        json!({ "kind": "undeclared_tool", "name": "launch" }),
        json!({ "tools": tools }),
    )
    .await;
    let call = undeclared.json()["choices"][0]["message"]["tool_calls"][0].clone();
    assert_eq!(
        (&call["function"]["name"], undeclared.finish_reason().as_str()),
        (&json!("launch"), "tool_calls")
    );
    let broken = struck(json!({ "kind": "broken_arguments" }), json!({ "tools": tools })).await;
    let call = broken.json()["choices"][0]["message"]["tool_calls"][0].clone();
    assert_eq!(call["function"]["name"], "known");
    assert!(serde_json::from_str::<Value>(call["function"]["arguments"].as_str().unwrap()).is_err());
}

#[tokio::test]
async fn out_of_memory_fails_one_request_or_all() {
    let one = struck(json!({ "kind": "out_of_memory" }), json!({ "stream": true })).await;
    assert_eq!(one.status, 500);
    assert!(
        one.json()["error"]["message"]
            .as_str()
            .unwrap()
            .starts_with("CUDA out of memory")
    );

    let engine = Engine::start(Profile::Fast).await;
    engine
        .fault(json!({ "kind": "out_of_memory", "crash": true, "restart_ms": 300, "match": "mark", "count": 1 }))
        .await;
    let long = json!({ "max_tokens": 20_000, "ignore_eos": true });
    let streamed_long = json!({ "stream": true, "max_tokens": 20_000, "ignore_eos": true });
    let (whole, stream) = (chat("long", long), chat("long", streamed_long));
    let crash = async {
        engine
            .until("both run", async |engine| {
                engine.metric("vllm:num_requests_running").await > 1.5
            })
            .await;
        assert_eq!(engine.chat(&chat("mark", json!({}))).await.status, 500);
        assert_eq!(engine.get("/health").await.status, 503);
        assert_eq!(engine.chat(&chat("x", json!({}))).await.status, 500);
    };
    let (whole, stream, ()) = tokio::join!(engine.chat(&whole), engine.chat(&stream), crash);
    assert_eq!(
        (whole.status.as_u16(), &whole.json()["error"]["type"]),
        (500, &json!("InternalServerError"))
    );
    let events = stream.events();
    assert!(
        events[events.len() - 2]["error"]["message"]
            .as_str()
            .unwrap()
            .contains("EngineCore")
    );
    engine
        .until("the restart", async |engine| engine.get("/health").await.status == 200)
        .await;
    assert_eq!(engine.chat(&chat("x", json!({ "max_tokens": 3 }))).await.status, 200);
}

#[tokio::test]
async fn slow_takes_so_many_times_as_long() {
    for stream in [true, false] {
        let started = Instant::now();
        let more = json!({ "stream": stream, "max_tokens": 20, "ignore_eos": true });
        let answer = struck(json!({ "kind": "slow", "factor": 10 }), more).await;
        assert!(
            answer.complete && started.elapsed() >= Duration::from_millis(180),
            "{:?}",
            started.elapsed()
        );
    }
}

#[tokio::test]
async fn a_slow_request_runs_while_others_pass_it() {
    let engine = Engine::start(Profile::Instant).await;
    engine
        .fault(json!({ "kind": "slow", "factor": 20, "match": "mark" }))
        .await;
    let slow = chat("mark", streamed());
    let watch = async {
        engine
            .until("it runs", async |engine| {
                engine.metric("vllm:num_requests_running").await > 0.5
            })
            .await;
        assert!(engine.metric("vllm:kv_cache_usage_perc").await > 0.0);
        assert_eq!(engine.chat(&chat("other", json!({}))).await.status, 200);
        assert_eq!(engine.counter("running").await, 1);
    };
    let (answer, ()) = tokio::join!(engine.chat(&slow), watch);
    assert_eq!(answer.events().last().unwrap(), "[DONE]");
}

#[tokio::test]
async fn framing_changes_the_bytes_and_not_the_events() {
    let engine = Engine::start(Profile::Instant).await;
    let plain = engine.chat(&chat("mark", streamed())).await;
    engine
        .fault(json!([
            { "kind": "framing", "split": 7, "crlf": true, "comments": true },
            { "kind": "framing", "event_lines": true, "data_lines": true },
        ]))
        .await;
    let framed = engine.chat(&chat("mark", streamed())).await;
    let text = framed.text();
    assert!(
        !text.replace("\r\n", "").contains('\n') && text.contains(": a comment") && text.contains("event: message")
    );
    assert!(
        framed.frames.iter().all(|frame| frame.len() <= 7),
        "each piece is a write of its own"
    );
    let events = text.split("\r\n\r\n").filter_map(|event| {
        let lines = event.split("\r\n").filter_map(|line| line.strip_prefix("data: "));
        let data = lines.collect::<Vec<_>>().join("\n");
        serde_json::from_str::<Value>(&data).ok()
    });
    let pieces: Vec<String> = events
        .filter_map(|event| event["choices"][0]["delta"]["content"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(pieces.concat(), plain.content());
}

#[tokio::test]
async fn pieces_can_arrive_apart() {
    let started = Instant::now();
    let fault = json!({ "kind": "framing", "split": 64, "pause_ms": 5 });
    let answer = struck(fault, json!({ "stream": true, "max_tokens": 10, "ignore_eos": true })).await;
    let pauses = answer.frames.len() - answer.events().len();
    assert!(pauses > 20 && answer.events().last().unwrap() == "[DONE]");
    let pause = Duration::from_millis(5);
    assert!(
        started.elapsed() >= pause * pauses as u32,
        "{pauses} in {:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn operators_endpoints_can_be_struck_by_path() {
    let engine = Engine::start(Profile::Instant).await;
    engine
        .fault(json!([
            { "kind": "status", "status": 503, "path": "/metrics" },
            { "kind": "status", "status": 503, "path": "/v1/models" },
        ]))
        .await;
    assert_eq!(engine.get("/metrics").await.status, 503);
    assert_eq!(engine.get("/v1/models").await.status, 503);
    assert_eq!(engine.chat(&chat("x", json!({}))).await.status, 200);
}

#[tokio::test]
async fn faults_are_listed_counted_and_removed() {
    let engine = Engine::start(Profile::Instant).await;
    let added = engine
        .post("/sim/faults", &json!({ "kind": "empty", "match": "a" }))
        .await
        .json()["faults"]
        .clone();
    let id = added[0]["id"].as_u64().unwrap();
    engine.fault(json!({ "kind": "slow", "factor": 2, "count": 5 })).await;
    engine.chat(&chat("a", json!({ "max_tokens": 1 }))).await;
    let listed = engine.get("/sim/faults").await.json()["faults"].clone();
    assert_eq!(listed[0], json!({ "id": id, "kind": "empty", "match": "a", "hits": 1 }));
    assert_eq!((&listed[1]["count"], &listed[1]["hits"]), (&json!(4), &json!(1)));
    assert_eq!(engine.delete(&format!("/sim/faults/{id}")).await.status, 200);
    assert_eq!(engine.delete(&format!("/sim/faults/{id}")).await.status, 404);
    assert_eq!(engine.delete("/sim/faults").await.json(), json!({ "removed": 1 }));
    let wrong = engine.post("/sim/faults", &json!({ "kind": "explode" })).await;
    assert_eq!(wrong.status, 400);
    assert!(
        wrong.json()["error"]["message"]
            .as_str()
            .unwrap()
            .contains("unknown variant")
    );
}
