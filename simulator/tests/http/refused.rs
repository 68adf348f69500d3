//! Requests that are wrong are told what is wrong, in vLLM's words and shape.

use http::Method;
use serde_json::{Value, json};
use tidegate_simulator::Profile;

use crate::harness::{Engine, MODEL, chat, request};

const CHAT: &str = "/v1/chat/completions";

/// Sends the body to an engine with a context of 64 tokens.
async fn check(path: &str, body: Value, status: u16, message: &str) {
    let engine = Engine::with(Profile::Instant, |options| options.context_tokens = Some(64)).await;
    let answer = engine.post(path, &body).await;
    let error = answer.json()["error"].clone();
    assert_eq!(
        (answer.status.as_u16(), &error["code"]),
        (status, &json!(status)),
        "{body} {error}"
    );
    assert!(error["message"].as_str().unwrap().contains(message), "{body} {error}");
    assert!(error["type"].is_string() && error.get("param").is_some(), "{error}");
}

#[tokio::test]
async fn a_model_that_is_not_served() {
    let error = "The model `gpt` does not exist.";
    check(CHAT, chat("x", json!({ "model": "gpt" })), 404, error).await;
    check("/v1/completions", json!({ "model": "gpt", "prompt": "x" }), 404, error).await;
}

#[tokio::test]
async fn more_than_the_context_holds() {
    check(
        CHAT,
        chat(&"word ".repeat(100), json!({})),
        400,
        "maximum context length is 64 tokens",
    )
    .await;
    let too_much = chat("x", json!({ "max_tokens": 100 }));
    check(
        CHAT,
        too_much,
        400,
        "max_tokens=100 cannot be greater than max_model_len=64",
    )
    .await;
}

#[tokio::test]
async fn numbers_out_of_range() {
    check(
        CHAT,
        chat("x", json!({ "max_tokens": 0 })),
        400,
        "max_tokens must be at least 1",
    )
    .await;
    check(CHAT, chat("x", json!({ "max_tokens": "many" })), 400, "invalid type").await;
    check(CHAT, chat("x", json!({ "n": 0 })), 400, "n must be at least 1").await;
    check(
        CHAT,
        chat("x", json!({ "min_tokens": 9, "max_tokens": 8 })),
        400,
        "min_tokens must be",
    )
    .await;
    check(
        CHAT,
        chat("x", json!({ "stop": [""] })),
        400,
        "stop cannot contain an empty string",
    )
    .await;
}

#[tokio::test]
async fn fields_that_contradict_each_other_or_are_missing() {
    check(
        CHAT,
        chat("x", json!({ "continue_final_message": true })),
        400,
        "Cannot set both",
    )
    .await;
    check(
        CHAT,
        chat("x", json!({ "tool_choice": "required" })),
        400,
        "`tools` must be set",
    )
    .await;
    let no_stream = chat("x", json!({ "stream_options": { "include_usage": true } }));
    check(CHAT, no_stream, 400, "Stream options can only be defined").await;
    check(
        CHAT,
        chat("x", json!({ "top_logprobs": 2 })),
        400,
        "`logprobs` must be set",
    )
    .await;
    check(CHAT, json!({ "model": MODEL, "messages": [] }), 400, "messages").await;
    check(CHAT, json!({ "model": MODEL }), 400, "messages").await;
    check("/v1/completions", json!({ "model": MODEL }), 400, "prompt is required").await;
    check(
        "/v1/completions",
        json!({ "model": MODEL, "prompt": "" }),
        400,
        "prompt cannot be empty",
    )
    .await;
    let unknown_token = json!({ "model": MODEL, "prompt": [4_000_000_000_u32] });
    check("/v1/completions", unknown_token, 400, "out of vocabulary").await;
}

#[tokio::test]
async fn what_is_no_json() {
    let engine = Engine::start(Profile::Instant).await;
    for body in [
        "{",
        "[]",
        "",
        "\u{0}",
        "{\"model\":\"sim\",\"messages\":[{\"role\":5}]}",
        &"[".repeat(100_000),
    ] {
        let answer = engine
            .try_send(request(Method::POST, CHAT, body.to_owned()))
            .await
            .unwrap();
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["error"]["type"]),
            (400, &json!("Bad Request"))
        );
    }
    let mut plain = request(Method::POST, CHAT, "{}");
    plain.headers_mut().remove("content-type");
    assert_eq!(engine.try_send(plain).await.unwrap().status, 400);
}

#[tokio::test]
async fn wrong_paths_and_methods() {
    let engine = Engine::start(Profile::Instant).await;
    let answer = engine.get(CHAT).await;
    assert_eq!(
        (answer.status.as_u16(), answer.headers["allow"].to_str().unwrap()),
        (405, "POST")
    );
    assert_eq!(answer.json(), json!({ "detail": "Method Not Allowed" }));
    assert_eq!(engine.get("/v1/nothing").await.json(), json!({ "detail": "Not Found" }));
    assert_eq!(engine.get("/sim/faults/x").await.status, 404);
}
