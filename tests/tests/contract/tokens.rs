//! Tokens: the gateway's count is the engine's own, on every runtime, with the tables that the deployment carries.

use std::sync::LazyLock;

use serde_json::{Value, json};
use tidegate_tests::gateway::FRANKFURT;
use tidegate_tests::http::Request;
use tidegate_tests::scripted::Script;
use tidegate_tests::world::World;

use crate::support::{assert_error, chunk, eventually, invalid_request, post, with};

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

#[test]
fn embeddings_lists_and_tokens_are_counted_as_their_engine_counts_them() {
    for model in MODELS {
        for (target, body) in [
            ("/v1/embeddings", json!({"model": model, "input": "Spring tide"})),
            (
                "/v1/embeddings",
                json!({"model": model, "input": ["Spring tide", "neap tide", "\u{6f6e}"]}),
            ),
            (
                "/v1/embeddings",
                json!({"model": model, "input": "Spring tide", "add_special_tokens": false}),
            ),
            (
                "/v1/completions",
                json!({"model": model, "prompt": ["a b", "c"], "max_tokens": 1}),
            ),
            (
                "/v1/completions",
                json!({"model": model, "prompt": [1, 2, 3], "max_tokens": 1}),
            ),
            (
                "/v1/completions",
                json!({"model": model, "prompt": [[1], [2, 3]], "max_tokens": 1, "n": 2}),
            ),
        ] {
            let (ours, engines) = counts(target, &body);
            assert_eq!(ours, engines, "{body}");
        }
    }
}

#[test]
fn endings_and_parts_of_chats_are_counted_as_their_engine_counts_them() {
    let user =
        json!({"role": "user", "content": [{"type": "text", "text": "High"}, {"type": "text", "text": "water?"}]});
    let assistant = json!({"role": "assistant", "content": "It comes"});
    for (messages, fields) in [
        (json!([user]), json!({})),
        (json!([user, assistant]), json!({"add_generation_prompt": false})),
        (
            json!([user, assistant]),
            json!({"add_generation_prompt": false, "continue_final_message": true}),
        ),
        (
            json!([user]),
            json!({"chat_template_kwargs": {"enable_thinking": false}}),
        ),
        (json!([user]), json!({"add_special_tokens": true})),
    ] {
        let body = with(json!({"model": "qwen3", "messages": messages, "max_tokens": 1}), fields);
        let (ours, engines) = counts("/v1/chat/completions", &body);
        assert_eq!(ours, engines, "{body}");
    }
}

#[test]
fn what_agents_add_is_counted_as_vllm_counts_it() {
    let user = json!({"role": "user", "content": "When is high water?"});
    let tool = json!({"type": "function", "function": {
        "name": "tide", "description": "When the tide comes",
        "parameters": {"type": "object", "properties": {"port": {"type": "string"}}, "required": ["port"]},
    }});
    let call = json!({"index": 0, "id": "call_1", "type": "function",
        "function": {"name": "tide", "arguments": "{\"port\":\"Saint-Malo\"}"}});
    let reasoned = |name: &str| {
        let called = json!({"role": "assistant", "content": null, "tool_calls": [call],
            name: "The port is known, so the tool can be asked."});
        json!([user, called, {"role": "tool", "tool_call_id": "call_1", "content": "12:41"}])
    };
    let open = json!({"enable_thinking": null});
    // What transformers makes of the messages that vLLM's own request class has: see tests/templates.
    for (messages, fields, expected) in [
        (reasoned("reasoning"), json!({}), "69"),
        (reasoned("reasoning_content"), json!({}), "69"),
        (reasoned("hidden"), json!({}), "53"),
        (json!([user]), json!({"chat_template_kwargs": {"tools": [tool]}}), "149"),
        (json!([user]), json!({"reasoning_effort": "none"}), "17"),
        (
            json!([user]),
            json!({"reasoning_effort": "none", "chat_template_kwargs": open}),
            "13",
        ),
    ] {
        let body = with(json!({"model": "qwen3", "messages": messages, "max_tokens": 1}), fields);
        let (ours, engines) = counts("/v1/chat/completions", &body);
        assert_eq!((ours.as_str(), engines.as_str()), (expected, expected), "{body}");
    }
}

#[test]
fn a_count_on_which_versions_of_vllm_differ_says_so() {
    let system =
        |text: &str| json!([{"role": "system", "content": text}, {"role": "user", "content": "When is high water?"}]);
    for (text, expected) in [
        ("Be brief.", "21"),
        ("x-anthropic-billing-header: cch=1;\nBe brief.", "21;estimated"),
    ] {
        let body = json!({"model": "qwen3", "messages": system(text), "max_tokens": 1});
        let (ours, _) = counts("/v1/chat/completions", &body);
        assert_eq!(ours, expected, "{text:?}");
        let tokenized = TOKENS.send(&post("/tokenize", body.to_string())).json();
        assert_eq!(
            tokenized["estimated"] == json!(true),
            expected.ends_with("estimated"),
            "{tokenized}"
        );
        assert_eq!(tokenized["count"], 21, "{tokenized}");
    }
}

#[test]
fn the_context_is_checked_before_any_engine_is_asked() {
    TOKENS.scripted("scripted").on("too-long", Script::json("{}"));
    let send = |body: Value| TOKENS.send(&post("/v1/completions", body.to_string()));
    let exceeded = invalid_request(400, Some("prompt"), Some("context_length_exceeded"));
    let prompt = format!("too-long {}", "tide ".repeat(40));
    let response = send(json!({"model": "scripted", "prompt": prompt}));
    assert_error(&response, exceeded);
    let message = response.json()["error"]["message"].to_string();
    assert!(message.contains("maximum context length is 40 tokens"), "{message}");

    let far_too_long = format!("too-long {}", "tide ".repeat(100_000));
    let response = send(json!({"model": "scripted", "prompt": far_too_long}));
    assert_error(&response, exceeded);
    let message = response.json()["error"]["message"].to_string();
    let counted = message
        .split("resulted in at least ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    let counted: u64 = counted
        .and_then(|counted| counted.parse().ok())
        .unwrap_or_else(|| panic!("{message}"));
    assert!(
        (80..5_000).contains(&counted),
        "the counting goes on for no more than some kilobytes: {message}"
    );

    let response = send(json!({"model": "scripted", "prompt": vec![7; 40], "max_tokens": 1, "user": "too-long"}));
    assert_error(&response, exceeded);
    let message = response.json()["error"]["message"].to_string();
    assert!(message.contains("your prompt resulted in 40 tokens"), "{message}");
    assert!(TOKENS.scripted("scripted").seen("too-long").is_empty());

    send(json!({"model": "scripted", "prompt": vec![7; 39], "max_tokens": 1, "user": "too-long"}));
    assert_eq!(TOKENS.scripted("scripted").seen("too-long").len(), 1, "it fits exactly");
}

#[test]
fn more_output_than_the_context_has_room_for_is_cut_to_what_is_left() {
    let engine = TOKENS.scripted("scripted");
    let asked_and_sent = [(1, 1), (37, 37), (38, 37), (40, 37), (1_000_000, 37)];
    for (asked, sent) in asked_and_sent {
        let marker = format!("much-{asked}-");
        engine.on(&marker, Script::json(ANSWER));
        let body = json!({"model": "scripted", "prompt": [1, 2, 3], "max_tokens": asked, "user": marker});
        let response = TOKENS.send(&post("/v1/completions", body.to_string()));
        assert_eq!(response.status, 200, "{}", response.text());
        assert_eq!(sent_body(&marker)["max_tokens"], sent, "{body}");
    }
    engine.on("much-chat", Script::json(ANSWER));
    let bounds = json!({"max_tokens": 5, "max_completion_tokens": 8_192, "temperature": 1.5e0});
    let body = json!({"model": "scripted", "messages": [{"role": "user", "content": "hi"}], "user": "much-chat"});
    let response = TOKENS.send(&post("/v1/chat/completions", with(body, bounds).to_string()));
    assert_eq!(response.status, 200, "{}", response.text());
    let prompt: u64 = response
        .header("x-tidegate-prompt-tokens")
        .unwrap_or_default()
        .parse()
        .unwrap();
    let sent = sent_body("much-chat");
    assert_eq!(
        (&sent["max_tokens"], &sent["max_completion_tokens"]),
        (&json!(5), &json!(40 - prompt)),
        "{sent}"
    );
}

const ANSWER: &str = r#"{"model":"sim","choices":[{"index":0,"text":"Noon","finish_reason":"stop"}]}"#;

/// What the scripted engine was sent last with that marker in it.
fn sent_body(marker: &str) -> Value {
    let seen = TOKENS.scripted("scripted").seen(marker);
    serde_json::from_slice(&seen.last().expect("the engine was asked").body).unwrap()
}

#[test]
fn what_the_template_refuses_no_engine_sees() {
    TOKENS.scripted("scripted").on("unopened", Script::json("{}"));
    let body = json!({
        "model": "scripted", "user": "unopened", "continue_final_message": true, "add_generation_prompt": false,
        "messages": [{"role": "user", "content": "hi"}, {"role": "critic", "content": "Unheard by the template"}],
    });
    let response = TOKENS.send(&post("/v1/chat/completions", body.to_string()));
    assert_error(&response, invalid_request(400, Some("messages"), Some("chat_template")));
    assert!(TOKENS.scripted("scripted").seen("unopened").is_empty());
}

#[test]
fn tokenize_answers_as_the_engine_does() {
    for model in MODELS {
        for fields in [
            json!({"prompt": "Spring tide \u{1f30a}<|im_end|>"}),
            json!({"prompt": "Spring tide", "add_special_tokens": false, "return_token_strs": true}),
            json!({"messages": [{"role": "user", "content": "Spring tide"}]}),
            json!({"messages": [{"role": "user", "content": "Spring tide"}], "add_generation_prompt": false}),
        ] {
            let ours = TOKENS.send(&post(
                "/tokenize",
                with(json!({"model": model}), fields.clone()).to_string(),
            ));
            assert_eq!(ours.status, 200, "{}", ours.text());
            let asked = with(json!({"model": "sim"}), fields).to_string();
            let request = Request::post("/tokenize", asked.as_str()).replace("content-type", "application/json");
            let (ours, engines) = (ours.json(), TOKENS.tokenizing(model).send(&request).json());
            for field in ["count", "tokens", "token_strs"] {
                assert_eq!(ours[field], engines[field], "{model} {asked}");
            }
            assert_eq!(ours["max_model_len"], 16_384, "{ours}");
        }
    }
}

#[test]
fn tokenize_refuses_what_is_wrong() {
    for (body, param, code) in [
        ("{", None, "invalid_json"),
        ("[]", None, "invalid_json"),
        (r#"{"prompt":"a"}"#, Some("model"), "missing_parameter"),
        (r#"{"model":"qwen3"}"#, Some("prompt"), "missing_parameter"),
        (r#"{"model":"qwen3","prompt":["a"]}"#, Some("prompt"), "invalid_type"),
        (r#"{"model":"qwen3","messages":[]}"#, Some("messages"), "invalid_type"),
        (
            r#"{"model":"qwen3","prompt":"a","add_special_tokens":"x"}"#,
            Some("add_special_tokens"),
            "invalid_type",
        ),
    ] {
        let response = TOKENS.send(&post("/tokenize", body));
        assert_error(&response, invalid_request(400, param, Some(code)));
    }
    let unknown = TOKENS.send(&post("/tokenize", r#"{"model":"none","prompt":"a"}"#));
    assert_error(&unknown, invalid_request(404, Some("model"), Some("model_not_found")));
    let keyless = TOKENS.send(&Request::post("/tokenize", r#"{"model":"qwen3","prompt":"a"}"#));
    assert_error(&keyless, invalid_request(401, None, Some("invalid_api_key")));
}

#[test]
fn estimates_say_so() {
    let body = json!({"model": "tableless", "prompt": "Spring tide", "max_tokens": 1});
    let (ours, _) = counts("/v1/completions", &body);
    assert!(ours.ends_with(";estimated"), "{ours}");
    let answer = TOKENS.send(&post("/tokenize", body.to_string())).json();
    assert_eq!(
        (&answer["tokens"], &answer["estimated"]),
        (&Value::Null, &json!(true)),
        "{answer}"
    );
    assert!(answer["count"].as_u64().is_some_and(|count| count > 0), "{answer}");
}

#[test]
fn an_estimate_is_no_longer_than_the_client_wants_the_prompt_cut_to() {
    for (cut, expected) in [(2, "2;estimated"), (1, "1;estimated")] {
        let body = json!({"model": "tableless", "prompt": "Spring tide and neap tide", "max_tokens": 1,
            "truncate_prompt_tokens": cut});
        let (ours, _) = counts("/v1/completions", &body);
        assert_eq!(ours, expected);
    }
}

#[test]
fn a_count_that_differs_from_the_engines_is_told_to_operators() {
    let answer = r#"{"model":"sim","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":1}}"#;
    TOKENS.scripted("scripted").on("counts-otherwise", Script::json(answer));
    let body = json!({"model": "scripted", "prompt": [1, 2, 3], "user": "counts-otherwise"}).to_string();
    // Counters are those of one process, isolate or instance: sooner or later one served both.
    eventually("the mismatch is counted", || {
        TOKENS.send(&post("/v1/completions", body.as_str()));
        let series = "tidegate_prompt_tokens_mismatch_total{cluster=\"scripted\",model=\"scripted\"}";
        TOKENS.metrics().contains(series)
    });
}

#[test]
fn what_was_written_is_counted_where_the_engine_does_not_tell() {
    let stream = Script::stream()
        .then(chunk("Spring tide comes"))
        .then("data: [DONE]\n\n");
    TOKENS.scripted("scripted").on("tells-nothing", stream);
    let body = json!({"model": "scripted", "stream": true, "messages": [{"role": "user", "content": "tells-nothing"}]});
    eventually("the tokens are counted", || {
        TOKENS.send(&post("/v1/chat/completions", body.to_string()));
        let series = "tidegate_tokens_unreported_total{model=\"scripted\",kind=\"completion\"}";
        let metrics = TOKENS.metrics();
        let counts: Vec<_> = metrics.lines().filter_map(|line| line.strip_prefix(series)).collect();
        counts.iter().any(|count| {
            count
                .trim()
                .parse::<u64>()
                .is_ok_and(|count| count > 0 && count.is_multiple_of(3))
        })
    });
}
