//! Embeddings and tokens.

use serde_json::{Value, json};
use tidegate_simulator::Profile;

use crate::harness::{Engine, MODEL};

#[tokio::test]
async fn vectors_are_units_in_both_encodings() {
    let engine = Engine::start(Profile::Instant).await;
    let ask = async |more: Value| {
        let mut body = json!({ "model": MODEL, "input": ["the harbor", "the tide"] });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = engine.post("/v1/embeddings", &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    };
    let floats = ask(json!({ "dimensions": 8 })).await;
    let vector: Vec<f64> = serde_json::from_value(floats["data"][1]["embedding"].clone()).unwrap();
    assert_eq!(
        (vector.len(), &floats["data"][1]["index"], &floats["object"]),
        (8, &json!(1), &json!("list"))
    );
    assert!((vector.iter().map(|value| value * value).sum::<f64>() - 1.0).abs() < 1e-4);
    assert_eq!(floats["usage"]["completion_tokens"], 0);
    assert_eq!(floats["usage"]["prompt_tokens"], floats["usage"]["total_tokens"]);

    let encoded = ask(json!({ "dimensions": 3, "encoding_format": "base64" })).await;
    assert_eq!(encoded["data"][0]["embedding"].as_str().unwrap().len(), 16, "12 bytes");
    assert_eq!(
        ask(json!({})).await["data"][0]["embedding"].as_array().unwrap().len(),
        1_024
    );
}

#[tokio::test]
async fn wrong_embedding_requests_are_refused() {
    let engine = Engine::start(Profile::Instant).await;
    for body in [
        json!({ "model": MODEL }),
        json!({ "model": MODEL, "input": [] }),
        json!({ "model": MODEL, "input": "x", "encoding_format": "hex" }),
        json!({ "model": MODEL, "input": "x", "dimensions": 0 }),
    ] {
        let answer = engine.post("/v1/embeddings", &body).await;
        assert_eq!(answer.status, 400, "{body}");
    }
    assert_eq!(
        engine
            .post("/v1/embeddings", &json!({ "model": "gpt", "input": "x" }))
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn tokens_go_there_and_back_and_count_what_usage_counts() {
    let engine = Engine::start(Profile::Instant).await;
    let asked = json!({ "model": MODEL, "prompt": "Tides, 2026: élan!", "return_token_strs": true });
    let answer = engine.post("/tokenize", &asked).await.json();
    assert_eq!(
        answer["count"].as_u64().unwrap() as usize,
        answer["tokens"].as_array().unwrap().len()
    );
    assert_eq!(answer["max_model_len"], 131_072);
    let texts: Vec<String> = serde_json::from_value(answer["token_strs"].clone()).unwrap();
    assert_eq!(texts.concat(), "Tides, 2026: élan!");
    let back = engine
        .post("/detokenize", &json!({ "model": MODEL, "tokens": answer["tokens"] }))
        .await
        .json();
    assert_eq!(back["prompt"], "Tides, 2026: élan!");

    let messages = json!([{ "role": "user", "content": [{ "type": "text", "text": "Tides" }] }]);
    let counted = engine.post("/tokenize", &json!({ "messages": messages })).await.json();
    let used = engine
        .chat(&json!({ "model": MODEL, "messages": messages, "max_tokens": 1 }))
        .await
        .json();
    assert_eq!(counted["count"], used["usage"]["prompt_tokens"]);
    assert_eq!(engine.post("/tokenize", &json!({ "model": MODEL })).await.status, 400);
}
