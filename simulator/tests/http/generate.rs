//! Chat and text completions.

use serde_json::{Value, json};
use tidegate_simulator::Profile;

use crate::harness::{Answer, Engine, MODEL, chat};

const WEATHER: &str = r#"{"type":"function","function":{"name":"get_weather","parameters":{"type":"object",
    "properties":{"city":{"type":"string","enum":["Oslo","Lima"]},"days":{"type":"integer","minimum":1,"maximum":7}}}}}"#;
const TIME: &str =
    r#"{"type":"function","function":{"name":"get_time","parameters":{"type":"object","properties":{}}}}"#;

fn tools() -> Value {
    json!([
        serde_json::from_str::<Value>(WEATHER).unwrap(),
        serde_json::from_str::<Value>(TIME).unwrap()
    ])
}

#[tokio::test]
async fn an_answer_has_vllms_shape_and_the_same_seed_gives_it_again() {
    let engine = Engine::start(Profile::Instant).await;
    let answer = engine.chat(&chat("Tell me about tides", json!({}))).await;
    let body = answer.json();
    assert_eq!(
        (answer.status.as_u16(), &body["object"], &body["model"]),
        (200, &json!("chat.completion"), &json!(MODEL))
    );
    assert!(body["id"].as_str().unwrap().starts_with("chatcmpl-") && body["created"].is_u64());
    assert_eq!(body["choices"][0]["message"]["role"], "assistant");
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    assert_eq!(body["choices"][0]["message"]["tool_calls"], json!([]));
    let usage = &body["usage"];
    let total = usage["prompt_tokens"].as_u64().unwrap() + usage["completion_tokens"].as_u64().unwrap();
    assert_eq!(usage["total_tokens"], total);

    let twin = Engine::start(Profile::Instant).await;
    assert_eq!(
        twin.chat(&chat("Tell me about tides", json!({}))).await.content(),
        answer.content()
    );
    assert_ne!(
        twin.chat(&chat("Tell me about ties", json!({}))).await.content(),
        answer.content()
    );
    let stranger = Engine::with(Profile::Instant, |options| options.seed = 8).await;
    assert_ne!(
        stranger.chat(&chat("Tell me about tides", json!({}))).await.content(),
        answer.content()
    );
}

#[tokio::test]
async fn a_stream_interval_puts_several_tokens_into_an_event_but_the_first() {
    let engine = Engine::with(Profile::Instant, |options| {
        options.stream_interval = 8.try_into().unwrap();
    })
    .await;
    let limit = json!({ "max_tokens": 20, "ignore_eos": true });
    let whole = engine.chat(&chat("Tides", limit.clone())).await;
    let mut streamed = limit;
    streamed["stream"] = json!(true);
    let streamed = engine.chat(&chat("Tides", streamed)).await;
    assert_eq!(streamed.content(), whole.content());
    assert_eq!(streamed.finish_reason(), whole.finish_reason());
    // The role, up to 8 tokens at a time, and the end: an engine without delays has all of them out at once.
    assert_eq!(streamed.events().len(), 1 + 3 + 1, "{}", streamed.text());

    let engine = Engine::with(Profile::Fast, |options| {
        options.stream_interval = 8.try_into().unwrap();
    })
    .await;
    let options = json!({ "max_tokens": 20, "ignore_eos": true, "stream": true });
    let streamed = engine.chat(&chat("Tides", options)).await;
    let first = streamed.events()[1]["choices"][0]["delta"]["content"]
        .as_str()
        .unwrap()
        .len();
    assert!(first <= 6, "one token comes first: {}", streamed.text());
    assert_eq!(streamed.content(), whole.content());
}

#[tokio::test]
async fn a_stream_says_the_same_token_by_token() {
    let engine = Engine::start(Profile::Instant).await;
    let whole = engine.chat(&chat("Tides", json!({}))).await;
    let options = json!({ "stream": true, "stream_options": { "include_usage": true } });
    let streamed = engine.chat(&chat("Tides", options)).await;
    assert_eq!(streamed.headers["content-type"], "text/event-stream; charset=utf-8");
    assert_eq!(streamed.headers["cache-control"], "no-cache");
    assert_eq!(
        (streamed.content(), streamed.finish_reason()),
        (whole.content(), whole.finish_reason())
    );

    let events = streamed.events();
    assert_eq!(
        events[0]["choices"][0]["delta"],
        json!({ "role": "assistant", "content": "" })
    );
    assert_eq!(events[0]["object"], "chat.completion.chunk");
    assert!(events[1].get("usage").is_none());
    let [.., finish, usage, done] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(finish["choices"][0]["finish_reason"], "stop");
    assert_eq!(
        (&usage["choices"], &usage["usage"]["completion_tokens"]),
        (&json!([]), &whole.json()["usage"]["completion_tokens"])
    );
    assert_eq!(done, "[DONE]");
    assert_eq!(
        events.len() as u64,
        3 + usage["usage"]["completion_tokens"].as_u64().unwrap()
    );
}

#[tokio::test]
async fn continuous_usage_counts_up() {
    let engine = Engine::start(Profile::Instant).await;
    let options = json!({ "include_usage": true, "continuous_usage_stats": true });
    let events = engine
        .chat(&chat(
            "Tides",
            json!({ "stream": true, "max_tokens": 5, "stream_options": options }),
        ))
        .await
        .events();
    let counts: Vec<u64> = events
        .iter()
        .filter_map(|event| event["usage"]["completion_tokens"].as_u64())
        .collect();
    assert_eq!(counts, [0, 1, 2, 3, 4, 5, 5]);
    let without = engine
        .chat(&chat("Tides", json!({ "stream": true, "max_tokens": 5 })))
        .await;
    assert!(!without.text().contains("usage"));
}

#[tokio::test]
async fn output_is_bounded_as_vllm_bounds_it() {
    const CONTEXT: u64 = 2_000;
    let engine = Engine::with(Profile::Instant, |options| options.context_tokens = Some(2_000)).await;
    let written = async |path: &str, bounds: &Value| {
        let mut body = chat("Tides", bounds.clone());
        body["prompt"] = json!("Tides");
        body["ignore_eos"] = json!(true);
        let answer = engine.post(path, &body).await;
        let usage = &answer.json()["usage"];
        let is_full = usage["total_tokens"] == CONTEXT;
        (!is_full).then(|| usage["completion_tokens"].as_u64().unwrap())
    };
    for (bounds, of_chat, of_completion) in [
        (json!({}), None, Some(16)),
        (json!({ "max_tokens": null, "max_output_tokens": 9 }), None, None),
        (
            json!({ "max_tokens": 30, "max_completion_tokens": 9 }),
            Some(9),
            Some(30),
        ),
        (
            json!({ "max_tokens": 9, "max_completion_tokens": null }),
            Some(9),
            Some(9),
        ),
    ] {
        assert_eq!(written("/v1/chat/completions", &bounds).await, of_chat, "{bounds}");
        assert_eq!(written("/v1/completions", &bounds).await, of_completion, "{bounds}");
    }
    let bounded = engine.chat(&chat("Tides", json!({ "max_tokens": 3 }))).await;
    assert_eq!(bounded.finish_reason(), "length");
    let longer = engine.chat(&chat("Tides", json!({ "min_tokens": 600 }))).await;
    assert!(longer.json()["usage"]["completion_tokens"].as_u64() >= Some(600));
}

#[tokio::test]
async fn stop_strings_end_it_unseen() {
    let engine = Engine::start(Profile::Instant).await;
    let whole = engine.chat(&chat("Tides", json!({}))).await.content();
    let stop = &whole[20..27];
    for stream in [false, true] {
        let answer = engine
            .chat(&chat("Tides", json!({ "stop": [stop, "never"], "stream": stream })))
            .await;
        assert_eq!(answer.content(), whole[..whole.find(stop).unwrap()]);
        assert_eq!(answer.finish_reason(), "stop");
        assert!(answer.text().contains(&format!("\"stop_reason\":{}", json!(stop))));
    }
}

#[tokio::test]
async fn several_choices_differ_and_count_the_prompt_once() {
    let engine = Engine::start(Profile::Instant).await;
    let one = engine.chat(&chat("Tides", json!({ "max_tokens": 8 }))).await.json();
    let three = engine
        .chat(&chat("Tides", json!({ "max_tokens": 8, "n": 3 })))
        .await
        .json();
    let texts: Vec<_> = three["choices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|choice| &choice["message"]["content"])
        .collect();
    assert!(texts.len() == 3 && texts[0] != texts[1] && texts[1] != texts[2]);
    assert_eq!(texts[0], &one["choices"][0]["message"]["content"]);
    assert_eq!(three["usage"]["prompt_tokens"], one["usage"]["prompt_tokens"]);
    assert_eq!(three["usage"]["completion_tokens"], 24);
    let streamed = engine
        .chat(&chat("Tides", json!({ "max_tokens": 8, "n": 3, "stream": true })))
        .await
        .events();
    for (index, text) in texts.into_iter().enumerate() {
        let pieces = streamed.iter().filter(|event| event["choices"][0]["index"] == index);
        let joined: String = pieces
            .filter_map(|event| event["choices"][0]["delta"]["content"].as_str())
            .collect();
        assert_eq!(&Value::String(joined), text);
    }
}

#[tokio::test]
async fn log_probabilities_belong_to_the_tokens() {
    let engine = Engine::start(Profile::Instant).await;
    let answer = engine
        .chat(&chat(
            "Tides",
            json!({ "logprobs": true, "top_logprobs": 2, "max_tokens": 6 }),
        ))
        .await;
    let tokens = answer.json()["choices"][0]["logprobs"]["content"].clone();
    let tokens = tokens.as_array().unwrap();
    let joined: String = tokens.iter().map(|token| token["token"].as_str().unwrap()).collect();
    assert_eq!(joined, answer.content());
    assert!(
        tokens
            .iter()
            .all(|token| token["logprob"].as_f64().unwrap() < 0.0
                && token["top_logprobs"].as_array().unwrap().len() == 2)
    );
    let completion = json!({ "model": MODEL, "prompt": "The tide", "logprobs": 2, "max_tokens": 6 });
    let logprobs = engine.post("/v1/completions", &completion).await.json()["choices"][0]["logprobs"].clone();
    assert_eq!(logprobs["tokens"].as_array().unwrap().len(), 6);
    assert_eq!(logprobs["text_offset"][0], 0);
    assert_eq!(logprobs["top_logprobs"][0].as_object().unwrap().len(), 2);
}

fn streamed_arguments(answer: &Answer, call: usize) -> String {
    let events = answer.events();
    let deltas = events
        .iter()
        .map(|event| &event["choices"][0]["delta"]["tool_calls"][0]);
    deltas
        .filter(|delta| delta["index"] == call)
        .filter_map(|delta| delta["function"]["arguments"].as_str())
        .collect()
}

#[tokio::test]
async fn tools_are_called_with_arguments_that_fit_their_schema() {
    let engine = Engine::start(Profile::Instant).await;
    for choice in [
        json!("required"),
        json!({ "type": "function", "function": { "name": "get_weather" } }),
    ] {
        let body = chat("Weather?", json!({ "tools": tools(), "tool_choice": choice }));
        let answer = engine.chat(&body).await.json();
        let message = &answer["choices"][0]["message"];
        assert_eq!(
            (&message["content"], &answer["choices"][0]["finish_reason"]),
            (&Value::Null, &json!("tool_calls"))
        );
        let function = &message["tool_calls"][0]["function"];
        assert_eq!(function["name"], "get_weather");
        let arguments: Value = serde_json::from_str(function["arguments"].as_str().unwrap()).unwrap();
        assert!(
            ["Oslo", "Lima"].contains(&arguments["city"].as_str().unwrap()),
            "{arguments}"
        );
        assert!((1..=7).contains(&arguments["days"].as_i64().unwrap()), "{arguments}");

        let mut body = body;
        body["stream"] = json!(true);
        let streamed = engine.chat(&body).await;
        let opening = &streamed.events()[1]["choices"][0]["delta"]["tool_calls"][0];
        assert_eq!(
            (&opening["type"], &opening["function"]),
            (&json!("function"), &json!({ "name": "get_weather", "arguments": "" }))
        );
        assert_eq!(opening["id"], message["tool_calls"][0]["id"]);
        assert_eq!(
            streamed_arguments(&streamed, 0),
            function["arguments"].as_str().unwrap()
        );
        assert_eq!(streamed.finish_reason(), "tool_calls");
    }
}

#[tokio::test]
async fn tools_are_called_when_the_last_message_says_so() {
    let engine = Engine::start(Profile::Instant).await;
    let body = chat(
        "call get_weather and call get_time",
        json!({ "tools": tools(), "stream": true }),
    );
    let streamed = engine.chat(&body).await;
    assert_eq!(
        (
            streamed_arguments(&streamed, 1).as_str(),
            streamed.finish_reason().as_str()
        ),
        ("{}", "tool_calls")
    );
    for more in [json!({ "tools": tools(), "tool_choice": "none" }), json!({})] {
        assert_eq!(
            engine.chat(&chat("call get_weather", more)).await.finish_reason(),
            "stop"
        );
    }
    let unknown = json!({ "tools": tools(), "tool_choice": { "type": "function", "function": { "name": "no" } } });
    assert_eq!(engine.chat(&chat("x", unknown)).await.status, 400);
}

#[tokio::test]
async fn response_formats_give_json() {
    let engine = Engine::start(Profile::Instant).await;
    let any = engine
        .chat(&chat("x", json!({ "response_format": { "type": "json_object" } })))
        .await
        .content();
    assert!(serde_json::from_str::<Value>(&any).unwrap().is_object());
    let schema =
        json!({ "type": "object", "properties": { "size": { "type": "integer", "minimum": 3, "maximum": 3 } } });
    let format = json!({ "type": "json_schema", "json_schema": { "name": "s", "schema": schema } });
    let shaped = engine
        .chat(&chat("x", json!({ "response_format": format, "stream": true })))
        .await
        .content();
    assert_eq!(shaped, r#"{"size":3}"#);
}

#[tokio::test]
async fn completions_take_a_prompt_in_four_forms() {
    let engine = Engine::start(Profile::Instant).await;
    let ask = async |prompt: Value| {
        let answer = engine
            .post("/v1/completions", &json!({ "model": MODEL, "prompt": prompt }))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    };
    let tokens = engine.post("/tokenize", &json!({ "prompt": "The tide" })).await.json()["tokens"].clone();
    let text = ask(json!("The tide")).await;
    assert_eq!(
        (&text["object"], &text["usage"]["completion_tokens"]),
        (&json!("text_completion"), &json!(16))
    );
    assert_eq!(ask(tokens.clone()).await["choices"], text["choices"]);
    let lists = ask(json!([tokens, tokens])).await;
    assert_eq!(lists["choices"][1]["text"], text["choices"][0]["text"]);
    let texts = ask(json!(["The tide", "A stone"])).await;
    assert_eq!(texts["choices"][0]["text"], text["choices"][0]["text"]);
    assert_ne!(texts["choices"][1]["text"], text["choices"][0]["text"]);
    assert_eq!(texts["choices"][1]["index"], 1);
    let echo = json!({ "model": MODEL, "prompt": "The tide", "echo": true });
    assert!(
        engine
            .post("/v1/completions", &echo)
            .await
            .content()
            .starts_with("The tide")
    );
}

#[tokio::test]
async fn a_completion_streams() {
    let engine = Engine::start(Profile::Instant).await;
    let body = json!({ "model": MODEL, "prompt": "The tide", "max_tokens": 12 });
    let whole = engine.post("/v1/completions", &body).await.content();
    let mut body = body;
    body["stream"] = json!(true);
    let streamed = engine.post("/v1/completions", &body).await;
    assert_eq!(
        (streamed.content(), streamed.finish_reason().as_str()),
        (whole, "length")
    );
    assert_eq!(streamed.events().last().unwrap(), "[DONE]");
}

#[tokio::test]
async fn a_cached_prefix_is_reported() {
    let engine = Engine::start(Profile::Instant).await;
    let long = "A long system prompt about harbors and tides. ".repeat(20);
    let cached = async |body: Value| {
        engine.chat(&body).await.json()["usage"]["prompt_tokens_details"]["cached_tokens"]
            .as_u64()
            .unwrap()
    };
    assert_eq!(cached(chat(&long, json!({}))).await, 0);
    let again = cached(chat(&long, json!({}))).await;
    assert!(again > 100 && again.is_multiple_of(16), "{again}");
    assert_eq!(cached(chat(&long, json!({ "cache_salt": "other" }))).await, 0);
}
