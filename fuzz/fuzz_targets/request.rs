//! Any bytes as a request's body, at each endpoint: what is accepted goes on as it came, but for the model's name, the
//! wish for usage and the numbers that the gateway has to change; and what makes its prompt is what stands in it.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tidegate_core::api::{Dialect, Endpoint, OutputLimit};
use tidegate_core::config::EngineKind;
use tidegate_core::ids::Tokens;

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
        );
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
