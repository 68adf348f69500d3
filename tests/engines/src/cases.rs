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

/// A short chat, with more fields or others. The seed makes engines say the same again.
pub fn body(more: Value) -> Value {
    let body = json!({"model": SERVED_NAME, "messages": [{"role": "user", "content": "Why is the sea salty?"}],
        "max_tokens": 8, "seed": 7});
    with(body, more)
}

/// Fields that have the model call a tool.
pub fn forced_call() -> Value {
    let tools = json!([{"type": "function", "function": {"name": "get_tide", "description": "When it is high water.",
        "parameters": {"type": "object", "properties": {"port": {"type": "string", "enum": ["Hamburg", "Porto"]}},
            "required": ["port"], "additionalProperties": false}}}]);
    json!({"tools": tools, "tool_choice": "required", "max_tokens": 64})
}

/// A prompt that is longer than the context.
pub fn long_prompt() -> Value {
    json!({"messages": [{"role": "user", "content": "tide ".repeat(5_000)}]})
}

/// An image, for a model that reads text.
pub fn image() -> Value {
    let pixel = "data:image/png;base64,\
        iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
    json!({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": pixel}}]}]})
}

/// An answer of that schema.
pub fn of_schema(schema: Value) -> Value {
    json!({"response_format": {"type": "json_schema", "json_schema": {"name": "own", "schema": schema}}})
}

/// A request for what a chat model does not do.
pub fn embeddings() -> Value {
    json!({"model": SERVED_NAME, "input": "The sea"})
}

fn chats() -> Vec<Case> {
    let tool = forced_call();
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
    let recursive = of_schema(json!({"$ref": "#"}));
    vec![
        chat("error-too-long", long_prompt()),
        chat("error-too-long-stream", stream(long_prompt())),
        chat("error-schema", recursive.clone()),
        chat("error-schema-stream", stream(recursive)),
        chat("error-image", image()),
        chat("error-temperature", json!({"temperature": -1})),
        chat("error-model", json!({"model": "another"})),
        Case {
            name: "error-json",
            request: Request::post("/v1/chat/completions", "{\"model\": "),
        },
        Case {
            name: "error-embeddings",
            request: post("/v1/embeddings", &embeddings()),
        },
    ]
}

fn chat(name: &'static str, more: Value) -> Case {
    Case {
        name,
        request: post("/v1/chat/completions", &body(more)),
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
