//! The response cache: an answer is given again to the same request of the same tenant, whole and streamed.

use std::process::Command;
use std::thread;

use serde_json::{Value, json};
use tidegate_tests::http::{Request, Response};
use tidegate_tests::runtime::{self, Runtime};
use tidegate_tests::scripted::Script;
use tidegate_tests::sse::Stream;
use tidegate_tests::world::key;

use crate::sdk::{passes, programs};
use crate::support::{SHARED, assert_error, eventually, invalid_request, post_chat, scripted, with};

fn chunk(choice: &Value) -> String {
    let chunk = json!({
        "id": "chatcmpl-engine", "object": "chat.completion.chunk", "created": 1, "model": "scripted-upstream-name",
        "system_fingerprint": "fp", "choices": [choice],
    });
    format!("data: {chunk}\n\n")
}

/// An answer with all that answers have.
fn answer() -> Script {
    let piece = |delta: Value, logprobs: Value| {
        chunk(&json!({"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": null}))
    };
    let logprobs = json!({"content": [{"token": "tide", "logprob": -0.25, "bytes": [116, 105, 100, 101], "top_logprobs": []}], "refusal": null});
    let call = json!({"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{\"at\": \"sea\"}"}});
    let last =
        chunk(&json!({"index": 0, "delta": {}, "logprobs": null, "finish_reason": "tool_calls", "stop_reason": null}));
    let usage = json!({
        "id": "chatcmpl-engine", "object": "chat.completion.chunk", "created": 1, "model": "scripted-upstream-name", "choices": [], "system_fingerprint": "fp",
        "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8, "prompt_tokens_details": {"cached_tokens": 1}},
    });
    Script::stream()
        .then(piece(json!({"role": "assistant", "content": ""}), Value::Null))
        .then(piece(json!({"reasoning_content": "the moon \u{1F319}"}), Value::Null))
        .then(piece(json!({"content": "tide"}), logprobs))
        .then(piece(json!({"tool_calls": [call]}), Value::Null))
        .then(last)
        .then(format!("data: {usage}\n\ndata: [DONE]\n\n"))
}

fn request(marker: &str) -> Value {
    let tool = json!({"type": "function", "function": {"name": "look"}});
    json!({"model": "tide-scripted", "temperature": 0, "seed": 7, "messages": [{"role": "user", "content": marker}], "tools": [tool]})
}

fn wishing(wish: &str, body: &Value) -> Request {
    post_chat(body.to_string()).header("x-tidegate-cache", wish)
}

fn status(response: &Response) -> &str {
    response.header("x-tidegate-cache").unwrap_or_default()
}

/// The first answer to a request, and the first that is from the cache: the store may show it only after a while.
fn miss_and_hit(body: &Value) -> (Response, Response) {
    let first = SHARED.send(&wishing("use", body));
    assert_eq!((first.status, status(&first)), (200, "miss"), "{}", first.text());
    (first, hit(body))
}

fn hit(body: &Value) -> Response {
    let mut found = None;
    eventually("an answer is from the cache", || {
        let response = SHARED.send(&wishing("use", body));
        found = (status(&response) == "hit").then_some(response);
        found.is_some()
    });
    found.expect("it was")
}

/// A whole answer without what is new each time.
fn said(response: &Response) -> Value {
    let mut answer = response.json();
    answer["id"] = Value::Null;
    answer["created"] = Value::Null;
    answer
}

#[test]
fn an_answer_is_given_again_whole_and_streamed() {
    let marker = "cache-again";
    scripted().on(marker, answer());
    let (first, again) = miss_and_hit(&request(marker));
    assert_eq!(said(&again), said(&first));
    assert_ne!(again.json()["id"], first.json()["id"]);
    assert_eq!(
        said(&again)["choices"][0]["message"]["reasoning_content"],
        "the moon \u{1F319}"
    );
    assert_eq!(
        (again.header("x-tidegate-model"), again.header("x-tidegate-cluster")),
        (Some("tide-scripted"), None)
    );
    assert!(
        again
            .header("age")
            .and_then(|age| age.parse::<u64>().ok())
            .is_some_and(|age| age < 60)
    );
    let asked = scripted().seen(marker).len();
    let streamed = hit(&with(
        request(marker),
        json!({"stream": true, "stream_options": {"include_usage": true}}),
    ));
    assert_eq!(streamed.header("content-type"), Some("text/event-stream"));
    let text = streamed.text();
    let stream = Stream::parse(text);
    assert_eq!((stream.text().as_str(), stream.usages().len()), ("tide", 1));
    for part in [
        "the moon",
        "\"logprob\":-0.25",
        "\"name\":\"look\"",
        "\"cached_tokens\":1",
        "\"finish_reason\":\"tool_calls\"",
    ] {
        assert_eq!(text.matches(part).count(), 1, "{part}: {text}");
    }
    // However it is written.
    let rewritten = format!(
        r#"{{"messages":[{{"content":"{marker}","role":"user"}}],"seed":7.0,"n":1,"user":"u","temperature":0e0,"model":"tide-scripted","tools":[{{"function":{{"name":"look"}},"type":"function"}}]}}"#
    );
    let response = SHARED.send(&post_chat(rewritten).header("x-tidegate-cache", "use"));
    assert_eq!(status(&response), "hit");
    assert_eq!(scripted().seen(marker).len(), asked, "no engine was asked");
}

#[test]
fn what_is_another_request_or_another_tenants_is_asked_for() {
    let marker = "cache-apart";
    scripted().on(marker, answer());
    drop(miss_and_hit(&request(marker)));
    for more in [
        json!({"seed": 8}),
        json!({"max_tokens": 9}),
        json!({"top_k": 1}),
        json!({"stop": ["x"]}),
    ] {
        let response = SHARED.send(&wishing("use", &with(request(marker), more.clone())));
        assert_eq!(status(&response), "miss", "{more}");
    }
    let other = Request::post("/v1/chat/completions", request(marker).to_string());
    for tenant in ["operators", "operators-too"] {
        let response = SHARED.send(&other.clone().key(&key(tenant)).header("x-tidegate-cache", "use"));
        assert_eq!((response.status, status(&response)), (200, "miss"), "{tenant}");
    }
}

#[test]
fn requests_that_do_not_ask_or_may_be_answered_otherwise_bypass_the_cache() {
    let marker = "cache-bypass";
    scripted().on(marker, answer());
    drop(miss_and_hit(&request(marker)));
    let plain = SHARED.send(&post_chat(request(marker).to_string()));
    assert_eq!(status(&plain), "bypass");
    for (wish, body, expected) in [
        ("bypass", request(marker), "bypass"),
        ("use", with(request(marker), json!({"temperature": 1})), "bypass"),
        ("refresh", request(marker), "miss"),
    ] {
        assert_eq!(status(&SHARED.send(&wishing(wish, &body))), expected, "{wish}");
    }
    let no_store = wishing("use", &request(marker)).header("cache-control", "no-store");
    assert_eq!(status(&SHARED.send(&no_store)), "bypass");
    let wrong = SHARED.send(&wishing("yes", &request(marker)));
    assert_error(&wrong, invalid_request(400, None, Some("invalid_header")));
}

#[test]
fn what_an_engine_refuses_or_breaks_off_is_asked_for_again() {
    let marker = "cache-broken";
    let begun = chunk(&json!({"index": 0, "delta": {"content": "ti"}, "finish_reason": null}));
    scripted().on(marker, Script::stream().then(begun));
    let streamed = with(request(marker), json!({"stream": true}));
    for _ in 0..2 {
        let response = SHARED.send(&wishing("use", &streamed));
        assert_eq!(status(&response), "miss");
        assert!(Stream::parse(response.text()).error().is_some(), "{}", response.text());
    }
    scripted().on(marker, answer());
    let (_, again) = miss_and_hit(&request(marker));
    assert_eq!(said(&again)["choices"][0]["message"]["content"], "tide");
}

#[test]
fn equal_requests_under_way_share_one_answer() {
    let marker = "cache-shared";
    let slow = Script::stream().wait(700);
    let slow = slow.then(chunk(
        &json!({"index": 0, "delta": {"content": "tide"}, "finish_reason": null}),
    ));
    let slow = slow.then(chunk(&json!({"index": 0, "delta": {}, "finish_reason": "stop"})));
    scripted().on(marker, slow.then("data: [DONE]\n\n"));
    let asking: Vec<_> = (0..6)
        .map(|number| {
            let body = with(request(marker), json!({"stream": number % 2 == 1}));
            thread::spawn(move || SHARED.send(&wishing("use", &body)))
        })
        .collect();
    for response in asking.into_iter().map(|asked| asked.join().expect("an answer")) {
        assert!(
            response.status == 200 && response.text().contains("tide"),
            "{}",
            response.text()
        );
    }
    let asked = scripted().seen(marker).len();
    let most = match Runtime::current() {
        Runtime::Native | Runtime::Cloudflare => 1,
        // Each request may come to an instance of its own.
        Runtime::Spin => 6,
    };
    assert!((1..=most).contains(&asked), "{asked}");
}

#[test]
fn operators_purge_answers() {
    let marker = "cache-purge";
    scripted().on(marker, answer());
    drop(miss_and_hit(&request(marker)));
    let purge = |query: &str| {
        let asked = Request::new("DELETE", &format!("/admin/v1/cache?{query}")).key(&key("admin"));
        SHARED.send(&asked)
    };
    assert_error(&purge(""), invalid_request(422, None, Some("invalid_purge")));
    let purged = purge("model=tide-scripted&tenant=small-only");
    assert_eq!(purged.status, 200, "{}", purged.text());
    let explained = wishing("use", &request(marker))
        .header("x-tidegate-explain", "1")
        .header("x-tidegate-admin-key", &key("admin"));
    let response = SHARED.send(&explained);
    let record: Value = serde_json::from_str(response.header("x-tidegate-explain").expect("a record")).expect("JSON");
    let mut steps = record["steps"].as_array().expect("steps").iter();
    let step = steps
        .find(|step| step["step"] == "cached")
        .unwrap_or_else(|| panic!("{record}"));
    let purged = purge(&format!("key={}", step["key"].as_str().expect("a key")));
    assert_eq!(purged.status, 200, "{}", purged.text());
    eventually("the answer is gone where it was purged", || {
        status(&SHARED.send(&wishing("use", &request(marker)))) == "miss"
    });
}

#[test]
fn sdks_make_the_same_of_an_answer_that_is_given_again() {
    let mut python = Command::new(runtime::python());
    python.arg(programs().join("python/cache.py"));
    let mut node = Command::new("node");
    node.arg(programs().join("node/cache.mjs"))
        .env("TIDEGATE_NODE_MODULES", runtime::node_modules());
    for (command, sdk) in [(python, "python"), (node, "node")] {
        for begun_as in ["stream", "whole"] {
            scripted().on(&format!("cache-{sdk}-{begun_as}"), answer());
        }
        passes(command, sdk, &SHARED, &key("everyone"));
    }
}
