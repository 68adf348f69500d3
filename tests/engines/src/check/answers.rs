//! Good answers: what a client gets is what the engine says, whole and streamed, and is charged as the engine counts.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_tests::http::{Request, Response};
use tidegate_tests::recording::Said;
use tidegate_tests::sse::Stream;
use tidegate_tests::wait::wait_until;
use tidegate_tests::world::key;

use super::setting::{CHAT, Setting};
use crate::cases::{body as chat, forced_call, with};
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
        let own = setting.ask_engine(CHAT, body);
        assert_eq!(Said::of(&through.body), Said::of(&own.body), "{body}");
    }
    format!("{} of {0}", bodies.len())
}

/// A call that is cut by its bound is, whole, as far as the engine streams it: vLLM's own whole answer has it as text.
pub fn calls(setting: &mut Setting) -> String {
    let body = chat(forced_call());
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
    // What is reserved counts as used, until caches tell the cell within seconds what was.
    wait_until("what was reported is charged", Duration::from_secs(10), || {
        used() == before + reported
    });
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
