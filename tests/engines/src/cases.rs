//! What engines are asked when their answers are recorded. A case's name begins with what is asked for, `chat` or
//! `completion`, and how, `stream` or `whole`; what an engine refuses begins with `error`.

use serde_json::{Value, json};
use tidegate_tests::http::Request;

use crate::engine::SERVED_NAME;

/// One request.
#[derive(Debug)]
pub struct Case {
    /// What its recording is called.
    pub name: &'static str,
    /// The request.
    pub request: Request,
}

/// All cases, for engines as [`crate::engine::Engine::start`] starts them without further arguments.
pub fn all() -> Vec<Case> {
    [chats(), completions(), errors()].into_iter().flatten().collect()
}

/// Those that want vLLM to take reasoning apart and to send keepalives.
pub fn reasoning() -> Vec<Case> {
    vec![
        chat("chat-stream-reasoning", stream(json!({"max_tokens": 12}))),
        chat("chat-whole-reasoning", json!({"max_tokens": 12})),
    ]
}

/// A stream that takes long enough for the engine to be stopped in the middle.
pub fn long_stream() -> Case {
    chat("chat-stream-stopped", stream(json!({"max_tokens": 3_000})))
}

fn chats() -> Vec<Case> {
    let tools = json!([{"type": "function", "function": {"name": "get_tide", "description": "When it is high water.",
        "parameters": {"type": "object", "properties": {"port": {"type": "string", "enum": ["Hamburg", "Porto"]}},
            "required": ["port"], "additionalProperties": false}}}]);
    let tool = json!({"tools": tools, "tool_choice": "required", "max_tokens": 64});
    let two = json!({"n": 2, "logprobs": true, "top_logprobs": 2, "max_tokens": 4});
    vec![
        chat("chat-stream", stream(json!({}))),
        chat("chat-stream-without-usage", json!({"stream": true})),
        chat("chat-stream-one-token", stream(json!({"max_tokens": 1}))),
        // Long enough for characters that begin in one token and end in another.
        chat("chat-stream-long", stream(json!({"max_tokens": 96}))),
        chat("chat-stream-two", stream(two.clone())),
        chat("chat-stream-tool", stream(tool.clone())),
        chat("chat-whole", json!({})),
        chat("chat-whole-two", two),
        chat("chat-whole-tool", tool),
    ]
}

fn completions() -> Vec<Case> {
    let completion = |name, more: Value| Case {
        name,
        request: post(
            "/v1/completions",
            &with(
                json!({"model": SERVED_NAME, "prompt": "The sea is", "max_tokens": 6, "seed": 7}),
                more,
            ),
        ),
    };
    vec![
        completion("completion-stream", stream(json!({}))),
        completion(
            "completion-stream-prompts",
            stream(json!({"prompt": ["The sea is", "The tide"], "logprobs": 1})),
        ),
        completion("completion-whole", json!({})),
        completion(
            "completion-whole-prompts",
            json!({"prompt": ["The sea is", "The tide"], "logprobs": 1}),
        ),
    ]
}

fn errors() -> Vec<Case> {
    let recursive = json!({"type": "json_schema", "json_schema": {"name": "own", "schema": {"$ref": "#"}}});
    let pixel = "data:image/png;base64,\
        iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
    let image = json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": pixel}}]}]);
    let long = json!([{"role": "user", "content": "tide ".repeat(5_000)}]);
    vec![
        chat("error-too-long", json!({"messages": long})),
        chat("error-too-long-stream", stream(json!({"messages": long}))),
        chat("error-schema", json!({"response_format": recursive})),
        chat("error-schema-stream", stream(json!({"response_format": recursive}))),
        chat("error-image", json!({"messages": image})),
        chat("error-temperature", json!({"temperature": -1})),
        chat("error-model", json!({"model": "another"})),
        Case {
            name: "error-json",
            request: Request::post("/v1/chat/completions", "{\"model\": "),
        },
        Case {
            name: "error-embeddings",
            request: post("/v1/embeddings", &json!({"model": SERVED_NAME, "input": "The sea"})),
        },
    ]
}

fn chat(name: &'static str, more: Value) -> Case {
    let body = json!({"model": SERVED_NAME, "messages": [{"role": "user", "content": "Why is the sea salty?"}],
        "max_tokens": 8, "seed": 7});
    Case {
        name,
        request: post("/v1/chat/completions", &with(body, more)),
    }
}

fn post(path: &str, body: &Value) -> Request {
    Request::post(path, body.to_string())
}

fn stream(more: Value) -> Value {
    with(json!({"stream": true, "stream_options": {"include_usage": true}}), more)
}

/// `body` with more fields.
pub fn with(mut body: Value, more: Value) -> Value {
    if let (Value::Object(fields), Value::Object(more)) = (&mut body, more) {
        fields.extend(more);
    }
    body
}
