//! An answer that was cut is continued to exactly what it would have been.

use serde_json::{Value, json};
use tidegate_simulator::Profile;

use crate::harness::{Answer, Engine, MODEL, chat};

/// Text and number of tokens of the first events.
fn beginning(answer: &Answer, tokens: usize) -> String {
    let events = answer.events();
    let pieces = events[1..=tokens]
        .iter()
        .filter_map(|event| event["choices"][0]["delta"]["content"].as_str());
    pieces.collect()
}

#[tokio::test]
async fn a_chat_goes_on_from_any_token() {
    let engine = Engine::start(Profile::Instant).await;
    let other_replica = Engine::start(Profile::Instant).await;
    let question = json!({ "role": "user", "content": "Tell me about tides" });
    let limit = 60;
    let whole = engine
        .chat(&chat(
            "Tell me about tides",
            json!({ "stream": true, "max_tokens": limit }),
        ))
        .await;
    for tokens in [1, 7, 23, 59] {
        let so_far = beginning(&whole, tokens);
        let rest = json!({
            "model": MODEL,
            "messages": [question, { "role": "assistant", "content": so_far }],
            "continue_final_message": true,
            "add_generation_prompt": false,
            "max_tokens": limit - tokens,
            "stream": true,
        });
        let rest = other_replica.chat(&rest).await;
        assert_eq!(
            format!("{so_far}{}", rest.content()),
            whole.content(),
            "after {tokens} tokens"
        );
        assert_eq!(rest.finish_reason(), whole.finish_reason());
    }
}

#[tokio::test]
async fn a_chat_that_ended_by_itself_ends_there_again() {
    let engine = Engine::start(Profile::Instant).await;
    let whole = engine.chat(&chat("Tides", json!({}))).await;
    let rest = json!({
        "model": MODEL,
        "messages": [{ "role": "user", "content": "Tides" }, { "role": "assistant", "content": whole.content() }],
        "continue_final_message": true,
        "add_generation_prompt": false,
    });
    let rest = engine.chat(&rest).await;
    assert_eq!((rest.content().as_str(), rest.finish_reason().as_str()), ("", "stop"));
}

#[tokio::test]
async fn json_goes_on_too() {
    let engine = Engine::start(Profile::Instant).await;
    let format = json!({ "type": "json_object" });
    let whole = engine
        .chat(&chat("x", json!({ "response_format": format })))
        .await
        .content();
    let rest = json!({
        "model": MODEL,
        "messages": [{ "role": "user", "content": "x" }, { "role": "assistant", "content": whole[..30] }],
        "response_format": format,
        "continue_final_message": true,
        "add_generation_prompt": false,
    });
    assert_eq!(format!("{}{}", &whole[..30], engine.chat(&rest).await.content()), whole);
}

#[tokio::test]
async fn a_completion_goes_on_from_prompt_and_text() {
    let engine = Engine::start(Profile::Instant).await;
    let ask = async |prompt: &str, max_tokens: u64| {
        let body = json!({ "model": MODEL, "prompt": prompt, "max_tokens": max_tokens, "stream": true });
        engine.post("/v1/completions", &body).await
    };
    let whole = ask("It was a quiet morning in", 80).await;
    for tokens in [1, 10, 40] {
        let events = whole.events();
        let so_far: String = events[..tokens]
            .iter()
            .filter_map(|event| event["choices"][0]["text"].as_str())
            .collect();
        let rest = ask(&format!("It was a quiet morning in{so_far}"), 80 - tokens as u64).await;
        assert_eq!(format!("{so_far}{}", rest.content()), whole.content());
    }
}

#[tokio::test]
async fn the_usage_of_a_continued_answer_counts_what_is_new() {
    let engine = Engine::start(Profile::Instant).await;
    let body = |content: &str| -> Value {
        json!({
            "model": MODEL,
            "messages": [{ "role": "user", "content": "x" }, { "role": "assistant", "content": content }],
            "continue_final_message": true, "add_generation_prompt": false, "max_tokens": 5, "ignore_eos": true,
        })
    };
    let usage = engine.chat(&body("The quiet harbor")).await.json()["usage"].clone();
    assert_eq!(usage["completion_tokens"], 5);
    let longer = engine.chat(&body("The quiet harbor and the quiet river")).await.json()["usage"].clone();
    assert!(longer["prompt_tokens"].as_u64() > usage["prompt_tokens"].as_u64());
}
