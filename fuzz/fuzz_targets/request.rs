//! Any bytes as a request's body, at each endpoint: what is accepted goes on as it came, but for the model's name, the
//! wish for usage and the numbers that the gateway has to change; and what makes its prompt is what stands in it. A canned
//! answer to it is JSON, in JSON.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tidegate_core::api::{CannedAnswer, Dialect, Endpoint, Generation, OutputLimit};
use tidegate_core::config::EngineKind;
use tidegate_core::ids::{RequestId, Tokens};
use tidegate_core::time::Timestamp;

fuzz_target!(|bytes: &[u8]| {
    let body = Bytes::copy_from_slice(bytes);
    for endpoint in [Endpoint::Chat, Endpoint::Completions, Endpoint::Embeddings] {
        let Ok(request) = Dialect::decode(endpoint, body.clone(), 32) else {
            continue;
        };
        // It also takes what is JSON and no value here, such as 1e999.
        let Ok(came) = serde_json::from_slice::<Value>(bytes) else {
            continue;
        };
        assert_eq!(came["model"], request.model.as_str());
        for json in request.prompt_json() {
            let part: Value = serde_json::from_slice(json).expect("parts of JSON are JSON");
            let fields = came.as_object().expect("an object");
            assert!(fields.values().any(|field| *field == part));
        }
        let _ = (
            request.prompt_source().is_ok(),
            request.prompt_lengths(),
            request.truncation(),
            request.last_words(64),
        );
        check_canned(&request, &came);
        for (engine, room, most) in [
            (EngineKind::Vllm, u64::MAX, None),
            (EngineKind::Tgi, 7, Some(Tokens(5))),
            (EngineKind::LlamaCpp, 7, None),
        ] {
            let limit = OutputLimit {
                room: Tokens(room),
                surely_left: Tokens(room),
                most,
            };
            let sent = request.body_for("served", engine, &limit);
            let sent: Value = serde_json::from_slice(&sent).expect("what is sent is JSON");
            assert_eq!(sent["model"], "served");
            assert_eq!(unchanged(sent), unchanged(came.clone()));
        }
    }
});

/// The content of a canned answer is JSON wherever the request sets a form.
fn check_canned(request: &Generation, came: &Value) {
    let answer = CannedAnswer {
        text: "\"later\"\n",
        id: &RequestId::from_random(1, 2),
        now: Timestamp::from_millis(0),
    };
    let Ok(answer) = Dialect::canned(answer, request) else {
        return;
    };
    let text = std::str::from_utf8(&answer).expect("UTF-8");
    let first = text.strip_prefix("data: ").and_then(|events| events.lines().next());
    assert_eq!(first.is_some(), request.stream);
    let first: Value = serde_json::from_str(first.unwrap_or(text)).expect("JSON");
    let choice = &first["choices"][0];
    let said = ["message", "delta"].iter().find_map(|name| choice[name].get("content"));
    let said = said.unwrap_or(&choice["text"]).as_str().expect("a text");
    let form = came["response_format"]["type"].as_str().unwrap_or("text");
    assert!(form == "text" || serde_json::from_str::<Value>(said).is_ok(), "{form}: {said}");
}

/// What no engine is told otherwise.
fn unchanged(mut body: Value) -> Value {
    let fields = body.as_object_mut().expect("an object");
    for name in CHANGED {
        fields.remove(name);
    }
    body
}

const CHANGED: [&str; 7] = [
    "model",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "n_predict",
    "n",
];
