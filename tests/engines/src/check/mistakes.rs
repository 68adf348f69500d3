//! What clients get wrong, and engines say about it in their own ways.

use serde_json::{Value, json};
use tidegate_tests::sse::Stream;

use super::setting::{CHAT, Setting, chat};

/// A bound that is larger than what is left of the context is no mistake.
pub fn large_bound(setting: &mut Setting) -> String {
    for bound in [4_090, 100_000] {
        let stream = chat(json!({"max_tokens": bound, "stream": true}));
        let mut exchange = setting.open(CHAT, &stream);
        assert_eq!(exchange.status, 200, "{bound}: {}", exchange.text());
        exchange.read_until("content");
    }
    "200".to_owned()
}

/// Told before the engine sees it.
pub fn too_long(setting: &mut Setting) -> String {
    refused_as_too_long(setting, "tiny")
}

/// Told by the engine.
pub fn too_long_for_the_engine(setting: &mut Setting) -> String {
    refused_as_too_long(setting, "unknown")
}

fn refused_as_too_long(setting: &Setting, model: &str) -> String {
    let messages = json!([{"role": "user", "content": "tide ".repeat(5_000)}]);
    let mut said = String::new();
    for stream in [false, true] {
        let body = chat(json!({"model": model, "messages": messages, "stream": stream}));
        let response = setting.ask(CHAT, &body);
        assert_eq!(response.status, 400, "{}", response.text());
        let error = &response.json()["error"];
        assert_eq!(error["code"], "context_length_exceeded", "{error}");
        said = error["message"].as_str().unwrap_or_default().to_owned();
    }
    said
}

/// Each mistake, several times in a row: the client hears what the engine says about it, and no breaker opens.
pub fn words_and_breakers(setting: &mut Setting) -> String {
    let mut told = Vec::new();
    for (name, path, body) in mistakes() {
        let own = setting.ask_engine(path, &body);
        for _ in 0..4 {
            let response = setting.ask(path, &body);
            if own.status == 200 {
                continue;
            }
            assert!(
                (400..500).contains(&response.status),
                "{name}: {} {}",
                response.status,
                response.text()
            );
            let said = response.json()["error"]["message"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            let words = words(&own.json());
            let tells = said.contains(&words) || path != CHAT;
            assert!(tells, "{name}: the engine says {words:?}, the client hears {said:?}");
        }
        setting.assert_serves(&format!("after {name}"));
        told.push(format!("{name} {} to {}", own.status, setting.ask(path, &body).status));
    }
    told.join(", ")
}

fn mistakes() -> Vec<(&'static str, &'static str, Value)> {
    let schema = |schema: Value| json!({"type": "json_schema", "json_schema": {"name": "own", "schema": schema}});
    let pixel = "data:image/png;base64,\
        iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
    let image = json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": pixel}}]}]);
    let long = json!({"type": "object", "properties": {"a": {"type": "string", "pattern": "(a|b){1,5000}$"}}});
    vec![
        (
            "a schema of itself",
            CHAT,
            chat(json!({"response_format": schema(json!({"$ref": "#"}))})),
        ),
        ("a long pattern", CHAT, chat(json!({"response_format": schema(long)}))),
        ("an image", CHAT, chat(json!({"messages": image}))),
        ("a temperature of -1", CHAT, chat(json!({"temperature": -1}))),
        (
            "embeddings",
            "/v1/embeddings",
            json!({"model": "tiny", "input": "The sea"}),
        ),
    ]
}

/// What an error of an engine says.
fn words(error: &Value) -> String {
    let message = error["error"]["message"].as_str().or(error["detail"].as_str());
    message.unwrap_or_default().chars().take(40).collect()
}

/// A stream that ended as it should, or told why not.
#[track_caller]
pub fn assert_told(body: &str) -> &'static str {
    let stream = Stream::parse(body);
    let finished = stream
        .chunks
        .iter()
        .any(|chunk| chunk["choices"][0]["finish_reason"].is_string());
    match (stream.done, stream.error()) {
        (true, None) if finished => "complete",
        (false, Some(_)) => "an error in the stream",
        (_, _) => panic!(
            "neither complete nor told: …{}",
            &body[body.len().saturating_sub(300)..]
        ),
    }
}
