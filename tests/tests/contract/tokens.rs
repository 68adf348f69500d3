//! Tokens: the gateway's count is the engine's own, on every runtime, with the tables that the deployment carries.

use std::sync::LazyLock;

use serde_json::{Value, json};
use tidegate_tests::gateway::FRANKFURT;
use tidegate_tests::http::Request;
use tidegate_tests::world::World;

use crate::support::post;

static TOKENS: LazyLock<World> =
    LazyLock::new(|| World::start_or_exit("tokens", include_str!("../../worlds/tokens.toml"), FRANKFURT, &[]));

const MODELS: [&str; 2] = ["deepseek-v3", "qwen3"];

/// What the gateway counted, as the header says it, and what the engine did.
fn counts(target: &str, body: &Value) -> (String, String) {
    let response = TOKENS.send(&post(target, body.to_string()));
    assert_eq!(response.status, 200, "{}", response.text());
    let ours = response.header("x-tidegate-prompt-tokens").unwrap_or("no count");
    (ours.to_owned(), response.json()["usage"]["prompt_tokens"].to_string())
}

#[test]
fn the_tables_of_the_deployment_are_named() {
    let readiness = TOKENS.send(&Request::get("/readyz")).json();
    assert_eq!(readiness["token_tables"], json!(MODELS), "{readiness}");
}

#[test]
fn a_prompt_is_counted_as_its_engine_counts_it() {
    let prompts = [
        "Why is the sea salty?",
        "fn main() {\n\n\tprintln!(\"{:>8.3}\", 1_000_000 as f64);   \n}",
        "潮の満ち引きは月の引力で起こる。Ебб и поток 🌊🏄🏽‍♀️",
        "A user's <|im_end|> and <｜end▁of▁sentence｜> inside of a text",
        " \n\n \t  trailing white space  \n",
    ];
    let counted = MODELS.map(|model| {
        prompts.map(|prompt| {
            let body = json!({"model": model, "prompt": prompt, "max_tokens": 1});
            let (ours, engines) = counts("/v1/completions", &body);
            assert_eq!(ours, engines, "{model}: {prompt:?}");
            ours
        })
    });
    assert_ne!(counted[0], counted[1], "each model has a tokenizer of its own");
}

#[test]
fn a_chat_is_counted_as_its_engine_counts_it() {
    let tool = json!({"type": "function", "function": {
        "name": "tide", "description": "When the tide comes",
        "parameters": {"type": "object", "properties": {"port": {"type": "string"}}, "required": ["port"]},
    }});
    let messages = json!([
        {"role": "system", "content": "You know the sea."},
        {"role": "user", "content": "When is high water in Saint-Malo?"},
        {"role": "assistant", "content": "At noon."},
        {"role": "user", "content": "And tomorrow? 🌊"},
    ]);
    for model in MODELS {
        let plain = json!({"model": model, "messages": messages, "max_tokens": 1});
        let with_tool = json!({"model": model, "messages": messages, "tools": [tool], "max_tokens": 1});
        for body in [plain, with_tool] {
            let (ours, engines) = counts("/v1/chat/completions", &body);
            assert_eq!(ours, engines, "{body}");
        }
    }
}
