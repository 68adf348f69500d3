//! Conversations as agents have them: all combinations of what a chat template may look at.

use serde_json::{Value, json};

use crate::cases::body as chat;
use crate::cases::with;

/// A body for each combination, each with a name that tells which.
pub fn all() -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for (system, first) in systems() {
        for (history, messages) in histories() {
            for (told, tools) in tools() {
                for (set, more) in settings() {
                    let messages: Vec<_> = first.iter().chain(&messages).cloned().collect();
                    let body = with(chat(json!({"messages": messages, "max_tokens": 1})), tools.clone());
                    all.push((format!("{system}, {history}, {told}, {set}"), with(body, more)));
                }
            }
        }
    }
    all
}

fn systems() -> Vec<(&'static str, Vec<Value>)> {
    let system = |text: &str| vec![json!({"role": "system", "content": text})];
    vec![
        ("no system text", Vec::new()),
        (
            "a system text",
            system("You know the tides of every port. Ответь коротко. 簡潔に。"),
        ),
        (
            "a billing line",
            system("x-anthropic-billing-header: cc_version=2.1\nYou know the tides."),
        ),
    ]
}

fn histories() -> Vec<(&'static str, Vec<Value>)> {
    let user = |text: &str| json!({"role": "user", "content": text});
    let call = json!([{"id": "call-1", "type": "function",
        "function": {"name": "get_tide", "arguments": "{\"port\": \"Porto\", \"days\": 2}"}}]);
    let result = json!({"role": "tool", "tool_call_id": "call-1", "content": "[\"03:12\", \"15:40\"]"});
    vec![
        (
            "a question",
            vec![user("When is high water?\n\n  ```sh\ntide --port Porto\n```")],
        ),
        (
            "reasoning behind",
            vec![
                user("When is high water?"),
                json!({"role": "assistant", "reasoning_content": "They want a time.", "content": "At noon. 🌊"}),
                user("And tomorrow?"),
            ],
        ),
        (
            "an agent's loop",
            vec![
                user("When is high water in Porto?"),
                json!({"role": "assistant", "content": null, "reasoning_content": "I have a tool for it.",
                    "tool_calls": call}),
                result,
            ],
        ),
        (
            "parts",
            vec![
                json!({"role": "user", "content": [{"type": "text", "text": "One. "}, {"type": "text", "text": "Two."}]}),
            ],
        ),
    ]
}

fn tools() -> Vec<(&'static str, Value)> {
    let tool = |name: &str| {
        json!({"type": "function", "function": {"name": name, "description": "When it is high water, in UTC.",
            "parameters": {"type": "object", "properties": {"port": {"type": "string", "description": "Its name"},
                "days": {"type": "integer", "minimum": 1}}, "required": ["port"]}}})
    };
    vec![
        ("no tools", json!({})),
        ("two tools", json!({"tools": [tool("get_tide"), tool("get_weather")]})),
    ]
}

fn settings() -> Vec<(&'static str, Value)> {
    vec![
        ("nothing set", json!({})),
        (
            "no thinking",
            json!({"chat_template_kwargs": {"enable_thinking": false}}),
        ),
        ("no effort", json!({"reasoning_effort": "none"})),
    ]
}
