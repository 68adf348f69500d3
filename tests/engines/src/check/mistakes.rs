//! What clients get wrong, and engines say about it in their own ways.

use serde_json::{Value, json};
use tidegate_tests::recording::Said;
use tidegate_tests::sse::Stream;

use super::setting::{CHAT, Setting};
use crate::cases::{body as chat, embeddings, image, long_prompt, of_schema, with};

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
    let mut said = String::new();
    for stream in [false, true] {
        let body = with(chat(long_prompt()), json!({"model": model, "stream": stream}));
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
            let words: String = Said::of(&own.body).error.unwrap_or_default().chars().take(40).collect();
            let tells = said.contains(&words) || path != CHAT;
            assert!(tells, "{name}: the engine says {words:?}, the client hears {said:?}");
        }
        setting.assert_serves(&format!("after {name}"));
        told.push(format!("{name} {} to {}", own.status, setting.ask(path, &body).status));
    }
    told.join(", ")
}

fn mistakes() -> Vec<(&'static str, &'static str, Value)> {
    let long = json!({"type": "object", "properties": {"a": {"type": "string", "pattern": "(a|b){1,5000}$"}}});
    vec![
        ("a schema of itself", CHAT, chat(of_schema(json!({"$ref": "#"})))),
        ("a long pattern", CHAT, chat(of_schema(long))),
        ("an image", CHAT, chat(image())),
        ("a temperature of -1", CHAT, chat(json!({"temperature": -1}))),
        ("embeddings", "/v1/embeddings", embeddings()),
    ]
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
