//! Good answers: what a client gets is what the engine says, whole and streamed, and is charged as the engine counts.

use std::thread;

use serde_json::{Value, json};
use tidegate_tests::http::{Request, Response};
use tidegate_tests::recording::Said;
use tidegate_tests::sse::Stream;
use tidegate_tests::world::key;

use super::setting::{CHAT, Setting, chat};
use crate::cases::with;
use crate::engine::Kind;

/// Chats of several kinds, with seeds.
fn chats() -> Vec<Value> {
    vec![
        chat(json!({})),
        chat(json!({"max_tokens": 96})),
        chat(json!({"n": 2})),
        chat(json!({"logprobs": true, "top_logprobs": 2})),
    ]
}

/// Whole answers, put together from streams, are as the engine sends them whole.
pub fn whole_as_the_engine_s_own(setting: &mut Setting) -> String {
    let bodies = chats();
    for body in &bodies {
        let through = setting.ask(CHAT, body);
        assert_eq!(through.status, 200, "{body}: {}", through.text());
        let own = setting.ask_engine(CHAT, body).json();
        assert_eq!(comparable(&through.json()), comparable(&own), "{body}");
    }
    format!("{} of {0}", bodies.len())
}

/// A call that is cut by its bound is, whole, as far as the engine streams it: vLLM's own whole answer has it as text.
pub fn calls(setting: &mut Setting) -> String {
    let tool = json!({"type": "function", "function": {"name": "get_tide", "parameters": {"type": "object",
        "properties": {"port": {"type": "string", "enum": ["Hamburg", "Porto"]}}, "required": ["port"],
        "additionalProperties": false}}});
    let body = chat(json!({"tools": [tool], "tool_choice": "required", "max_tokens": 64}));
    let streamed = setting.ask_engine(CHAT, &with(body.clone(), json!({"stream": true})));
    let own = Said::of(&streamed.body).choices;
    let whole = Said::of(&setting.ask(CHAT, &body).body).choices;
    assert_eq!(whole, own);
    let calls = own.values().flat_map(|choice| choice.calls.values());
    calls
        .map(|(name, arguments)| format!("{name}, {} bytes of arguments", arguments.len()))
        .next()
        .unwrap_or_else(|| "the engine makes none".to_owned())
}

/// What the choices of an answer say, and what was counted.
fn comparable(answer: &Value) -> Value {
    let usage = &answer["usage"];
    let choices = answer["choices"].as_array().into_iter().flatten().map(|choice| {
        let message = &choice["message"];
        let calls = message["tool_calls"].as_array().into_iter().flatten();
        let tokens = choice["logprobs"]["content"].as_array().into_iter().flatten();
        json!({
            "content": message["content"].as_str().unwrap_or_default(),
            "reasoning": message["reasoning"].as_str().or(message["reasoning_content"].as_str()).unwrap_or_default(),
            "calls": calls.map(|call| call["function"].clone()).collect::<Vec<_>>(),
            "tokens": tokens.map(|token| token["token"].clone()).collect::<Vec<_>>(),
            "finish_reason": choice["finish_reason"],
        })
    });
    json!({"choices": choices.collect::<Vec<_>>(), "prompt": usage["prompt_tokens"], "output": usage["completion_tokens"]})
}

/// The same request says the same as a stream.
pub fn streams_as_whole(setting: &mut Setting) -> String {
    let mut same = 0;
    for body in chats().into_iter().take(2) {
        let whole = setting.ask(CHAT, &body).json();
        let asked = with(body, json!({"stream": true, "stream_options": {"include_usage": true}}));
        let streamed = setting.ask(CHAT, &asked);
        let stream = Stream::parse(streamed.text());
        assert!(stream.done, "{}", streamed.text());
        assert_eq!(
            stream.text(),
            whole["choices"][0]["message"]["content"].as_str().unwrap_or_default()
        );
        let [usage] = stream.usages()[..] else {
            panic!("usage once: {}", streamed.text())
        };
        assert_eq!(usage["usage"]["completion_tokens"], whole["usage"]["completion_tokens"]);
        same += 1;
    }
    format!("{same} of {same}")
}

/// Who does not ask for usage gets none, and the fingerprint all the same.
pub fn fingerprint(setting: &mut Setting) -> String {
    let own = setting.ask_engine(CHAT, &chat(json!({}))).json()["system_fingerprint"].take();
    let streamed = setting.ask(CHAT, &chat(json!({"stream": true})));
    let stream = Stream::parse(streamed.text());
    assert!(stream.done && stream.usages().is_empty(), "{}", streamed.text());
    let told = stream.chunks.iter().any(|chunk| chunk["system_fingerprint"] == own);
    assert!(told || own.is_null(), "{own}: {}", streamed.text());
    own.as_str().unwrap_or("the engine tells none").to_owned()
}

/// A budget's use grows by the usage that engines report.
pub fn charged(setting: &mut Setting) -> String {
    let used = || {
        let read = Request::get("/v1/usage")
            .key(&key("counted"))
            .send(setting.gateway.address());
        let budget = read.json()["budgets"][0].take();
        budget["day"]["tokens_used"]
            .as_u64()
            .unwrap_or_else(|| panic!("{budget}"))
    };
    let before = used();
    let mut reported = 0;
    for body in chats() {
        let response = Request::post(CHAT, body.to_string())
            .key(&key("counted"))
            .send(setting.gateway.address());
        reported += taken(setting.kind, &response);
    }
    // Caches tell the cell what was spent within seconds.
    let charged = (0..100).map(|_| {
        thread::sleep(std::time::Duration::from_millis(100));
        used() - before
    });
    let last = charged.scan(0, |last, charged| {
        let is_due = *last != reported;
        *last = charged;
        is_due.then_some(charged)
    });
    assert_eq!(last.last(), Some(reported));
    format!("{reported} tokens")
}

/// What an answer took. llama.cpp reports what one of several answers did.
fn taken(kind: Kind, response: &Response) -> u64 {
    let usage = &response.json()["usage"];
    let tokens = |name: &str| usage[name].as_u64().unwrap_or_else(|| panic!("{}", response.text()));
    let answers = match kind {
        Kind::Vllm => 1,
        Kind::LlamaCpp => response.json()["choices"].as_array().map_or(1, Vec::len),
    };
    tokens("prompt_tokens") + tokens("completion_tokens") * answers as u64
}

/// More than the engines run at once, streamed and whole.
pub fn many_at_once(setting: &mut Setting) -> String {
    let asked: Vec<usize> = (0..40).collect();
    thread::scope(|scope| {
        let setting = &*setting;
        let asking = asked.chunks(4).map(|numbers| {
            scope.spawn(move || {
                for number in numbers {
                    let text = format!("What is {number} times {number}?");
                    let more = json!({"messages": [{"role": "user", "content": text}], "stream": number % 2 == 0});
                    let response = setting.ask(CHAT, &chat(more));
                    assert_eq!(response.status, 200, "{}", response.text());
                    assert!(
                        number % 2 == 1 || Stream::parse(response.text()).done,
                        "{}",
                        response.text()
                    );
                }
            })
        });
        for thread in asking.collect::<Vec<_>>() {
            thread.join().unwrap_or_else(|reason| std::panic::resume_unwind(reason));
        }
    });
    "40 of 40".to_owned()
}
