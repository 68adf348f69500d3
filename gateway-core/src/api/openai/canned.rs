//! A fixed answer in the shape that the client waits for.

use bytes::Bytes;
use serde_json::{Value, json};

use super::stream_end::write_end;
use crate::api::endpoint::Endpoint;
use crate::api::request::Generation;
use crate::api::sse::data_event;
use crate::ids::RequestId;
use crate::time::Timestamp;

/// `text` as the answer to `request`: one JSON body, or the events of a whole stream. Its `model` is `canned`, its
/// usage zero. `None` for embeddings, which no text can stand for.
pub fn canned(text: &str, request: &Generation, id: &RequestId, now: Timestamp) -> Option<Bytes> {
    let (mut choice, object) = match (request.endpoint, request.stream) {
        (Endpoint::Embeddings, _) => return None,
        (Endpoint::Chat, false) => (
            json!({"message": {"role": "assistant", "content": text}}),
            "chat.completion",
        ),
        (Endpoint::Chat, true) => (
            json!({"delta": {"role": "assistant", "content": text}}),
            "chat.completion.chunk",
        ),
        (Endpoint::Completions, _) => (json!({"text": text}), "text_completion"),
    };
    choice["index"] = json!(0);
    choice["logprobs"] = Value::Null;
    choice["finish_reason"] = json!("stop");
    let usage = json!({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0});
    let envelope = |choices: Value| json!({"id": id.as_str(), "object": object, "created": now.as_secs(), "model": "canned", "choices": choices});
    let mut answer = envelope(json!([choice]));
    if !request.stream {
        answer["usage"] = usage;
        return Some(answer.to_string().into());
    }
    let mut events = Vec::new();
    if request.include_usage {
        answer["usage"] = Value::Null;
    }
    data_event(&answer.to_string(), &mut events);
    if request.include_usage {
        let mut last = envelope(json!([]));
        last["usage"] = usage;
        data_event(&last.to_string(), &mut events);
    }
    write_end(&mut events);
    Some(events.into())
}
