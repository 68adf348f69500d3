//! What the API answers when all is well.

use std::io::{Read, Write};
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_tests::http::{Request, connect};
use tidegate_tests::sse::Stream;
use tidegate_tests::world::key;

use crate::support::{
    Expected, SHARED, ask, ask_stream, assert_error, chat, chat_stream, eventually, invalid_request, post, post_chat,
    with,
};

#[test]
fn models_are_listed_as_the_sdks_read_them() {
    let response = SHARED.send(&Request::get("/v1/models").key(&key("everyone")));
    assert_eq!(response.status, 200);
    let list = response.json();
    assert_eq!(list["object"], "list");
    let models = list["data"].as_array().expect("a list");
    let solo = models
        .iter()
        .find(|model| model["id"] == "tide-solo")
        .expect("tide-solo is listed");
    assert_eq!(
        solo,
        &json!({"id": "tide-solo", "object": "model", "created": 1_700_000_000, "owned_by": "the harbour"})
    );
    for model in models {
        assert!(model["created"].is_u64() && model["owned_by"].is_string(), "{model}");
    }
}

#[test]
fn a_tenant_sees_the_models_it_may_ask_for() {
    let list = SHARED.send(&Request::get("/v1/models").key(&key("small-only"))).json();
    let ids: Vec<&Value> = list["data"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|model| &model["id"])
        .collect();
    assert_eq!(ids, ["tide-small"]);
}

#[test]
fn one_model_is_found_by_name_and_by_alias() {
    for name in ["tide-solo", "gpt-4o"] {
        let response = SHARED.send(&Request::get(&format!("/v1/models/{name}")).key(&key("everyone")));
        assert_eq!(response.status, 200, "{}", response.text());
        assert_eq!(response.json()["object"], "model");
        assert_eq!(response.json()["owned_by"], "the harbour");
    }
    let response = SHARED.send(&Request::get("/v1/models/no-such-model").key(&key("everyone")));
    assert_error(&response, invalid_request(404, Some("model"), Some("model_not_found")));
}

#[test]
fn a_model_with_a_slash_in_its_name_is_found_as_sdks_ask_for_it() {
    for path in ["harbour/tide-slash", "harbour%2Ftide-slash"] {
        let response = SHARED.send(&Request::get(&format!("/v1/models/{path}")).key(&key("everyone")));
        assert_eq!(response.json()["id"], "harbour/tide-slash", "{path}");
    }
    assert_eq!(
        ask(&chat("harbour/tide-slash", "hello")).json()["model"],
        "harbour/tide-slash"
    );
}

#[test]
fn a_chat_completion_names_the_model_as_the_client_knows_it() {
    let response = ask(&chat("tide-solo", "hello"));
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(response.header("content-type"), Some("application/json"));
    let body = response.json();
    assert_eq!(body["object"], "chat.completion");
    assert_eq!(body["model"], "tide-solo");
    assert_eq!(body["choices"][0]["message"]["role"], "assistant");
    assert!(
        body["choices"][0]["message"]["content"]
            .as_str()
            .is_some_and(|text| !text.is_empty()),
        "{body}"
    );
    let usage = &body["usage"];
    let sum = usage["prompt_tokens"]
        .as_u64()
        .zip(usage["completion_tokens"].as_u64())
        .map(|(prompt, out)| prompt + out);
    assert_eq!(usage["total_tokens"].as_u64(), sum, "{body}");
}

#[test]
fn an_alias_serves_and_the_answer_names_the_model_itself() {
    let response = ask(&chat("gpt-4o", "hello"));
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(response.json()["model"], "tide-solo");
    assert_eq!(response.header("x-tidegate-model"), Some("tide-solo"));
}

#[test]
fn a_streamed_chat_completion_says_the_same_as_one_at_once() {
    let whole = ask(&chat("tide-solo", "say it twice")).json();
    let (response, stream) = ask_stream(&chat_stream("tide-solo", "say it twice"));
    assert!(
        response
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("text/event-stream"))
    );
    assert_eq!(response.header("cache-control"), Some("no-cache"));
    assert!(stream.done);
    assert_eq!(
        stream.text(),
        whole["choices"][0]["message"]["content"].as_str().expect("text")
    );
    assert!(stream.chunks.iter().all(|chunk| chunk["model"] == "tide-solo"));
    assert!(
        stream
            .chunks
            .iter()
            .all(|chunk| chunk["object"] == "chat.completion.chunk")
    );
    let last = stream.chunks.last().expect("chunks");
    assert!(last["choices"][0]["finish_reason"].is_string(), "{last}");
}

#[test]
fn null_is_as_good_as_absent() {
    let nulls =
        json!({"stream": null, "stream_options": null, "n": null, "max_completion_tokens": null, "tools": null});
    let response = ask(&with(chat("tide-solo", "nulls"), nulls));
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(response.json()["object"], "chat.completion");
}

#[test]
fn completions_are_served_whole_and_streamed() {
    let asked = json!({"model": "tide-solo", "prompt": "Once upon a time", "max_tokens": 8});
    let whole = SHARED.send(&post("/v1/completions", asked.to_string()));
    assert_eq!(whole.status, 200, "{}", whole.text());
    let whole = whole.json();
    assert_eq!(
        (&whole["object"], &whole["model"]),
        (&json!("text_completion"), &json!("tide-solo"))
    );

    let streamed = SHARED.send(&post(
        "/v1/completions",
        with(asked, json!({"stream": true})).to_string(),
    ));
    assert_eq!(streamed.status, 200, "{}", streamed.text());
    let stream = Stream::parse(streamed.text());
    assert!(stream.done);
    assert_eq!(stream.text(), whole["choices"][0]["text"].as_str().expect("text"));
    assert!(stream.usages().is_empty(), "usage that nobody asked for");
}

#[test]
fn embeddings_are_served() {
    let asked = json!({"model": "tide-solo", "input": ["the tide", "the gate"]});
    let response = SHARED.send(&post("/v1/embeddings", asked.to_string()));
    assert_eq!(response.status, 200, "{}", response.text());
    let body = response.json();
    assert_eq!(body["model"], "tide-solo");
    assert_eq!(body["data"].as_array().map(Vec::len), Some(2));
    assert!(body["data"][1]["embedding"][0].is_number(), "{body}");
    assert!(body["usage"]["prompt_tokens"].as_u64().is_some_and(|tokens| tokens > 0));
}

#[test]
fn health_and_readiness_need_no_key() {
    for target in ["/healthz", "/readyz"] {
        let response = SHARED.send(&Request::get(target));
        assert_eq!(response.status, 200, "{target}: {}", response.text());
        assert!(response.header("x-request-id").is_some());
    }
}

#[test]
fn what_can_be_read_can_be_asked_for_by_its_head() {
    for target in ["/healthz", "/readyz", "/v1/models", "/v1/models/tide-solo"] {
        // What `/readyz` tells of clusters changes while other tests disturb them, and from one instance to the next.
        eventually("the head is that of the whole answer", || {
            let get = SHARED.send(&Request::get(target).key(&key("everyone")));
            let head = ask_for_head(target);
            let is_alike = |name| {
                let line = format!("{name}: {}", get.header(name).unwrap_or_default());
                head.lines().any(|other| other == line)
            };
            ["content-type", "content-length"].into_iter().all(is_alike)
        });
    }
    let no_key = SHARED.send(&Request::get("/v1/models"));
    assert_eq!(no_key.status, 401);
}

/// The head of what is answered to `HEAD`, in small letters: a good one, and nothing behind it.
fn ask_for_head(target: &str) -> String {
    let mut connection = connect(SHARED.gateway.address());
    let request = Request::new("HEAD", target).key(&key("everyone"));
    connection
        .write_all(&request.to_bytes(SHARED.gateway.address()))
        .expect("the request is sent");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).expect("it is answered");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert_eq!(body, "", "{target}");
    let head = head.to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 200"), "{target}: {head}");
    assert!(head.contains("x-request-id: req_"), "{head}");
    head
}

#[test]
fn an_answer_is_labelled_with_what_served_it() {
    for body in [chat("tide-solo", "labels"), chat_stream("tide-solo", "labels")] {
        let response = ask(&body);
        assert_eq!(response.header("x-tidegate-cluster"), Some("solo"));
        assert_eq!(response.header("x-tidegate-model"), Some("tide-solo"));
        assert_eq!(response.header("x-tidegate-tier"), Some("0"));
        assert_eq!(response.header("x-tidegate-cache"), Some("bypass"));
        assert!(
            response
                .header("server-timing")
                .is_some_and(|timing| timing.contains("dur="))
        );
        assert!(
            response
                .header("x-request-id")
                .is_some_and(|id| id.starts_with("req_") && id.len() == 36)
        );
    }
}

#[test]
fn a_connection_serves_one_request_after_the_other() {
    let address = SHARED.gateway.address();
    let first = post_chat(chat("tide-solo", "first of two").to_string()).replace("connection", "keep-alive");
    let second = post_chat(chat("tide-solo", "second of two").to_string());
    let mut connection = connect(address);
    // Both at once: the second waits until the first is answered.
    connection
        .write_all(&[first.to_bytes(address), second.to_bytes(address)].concat())
        .expect("both are sent");
    let mut answers = String::new();
    connection.read_to_string(&mut answers).expect("both are answered");
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 2, "{answers}");
    assert_eq!(answers.matches("\"chat.completion\"").count(), 2, "{answers}");
}

#[test]
fn a_client_that_waits_to_be_told_to_go_on_is_served() {
    let body = chat("tide-solo", "waits for 100").to_string();
    let length = body.len().to_string();
    let head = post_chat("")
        .header("expect", "100-continue")
        .replace("content-length", &length);
    let mut connection = connect(SHARED.gateway.address());
    connection
        .write_all(&head.to_bytes("gateway"))
        .expect("the head is sent");
    // As curl does it: not every server speaks of going on, so the wait is short.
    connection
        .set_read_timeout(Some(Duration::from_millis(500)))
        .expect("a timeout can be set");
    let mut interim = [0; 25];
    if connection.read_exact(&mut interim).is_ok() {
        assert_eq!(String::from_utf8_lossy(&interim), "HTTP/1.1 100 Continue\r\n\r\n");
    }
    connection
        .set_read_timeout(Some(Duration::from_secs(5)))
        .expect("a timeout can be set");
    connection.write_all(body.as_bytes()).expect("the body is sent");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).expect("an answer");
    assert!(answer.contains("HTTP/1.1 200"), "{answer}");
}

#[test]
fn every_request_has_an_id_of_its_own() {
    let id = || ask(&chat("tide-solo", "ids")).header("x-request-id").map(str::to_owned);
    assert_ne!(id(), id());
}

#[test]
fn a_tenant_may_have_several_keys() {
    let request = Request::post("/v1/chat/completions", chat("tide-solo", "hello").to_string());
    assert_eq!(SHARED.send(&request.key(&key("everyone's second"))).status, 200);
}

#[test]
fn a_model_that_the_tenant_may_not_ask_for_does_not_exist_for_it() {
    let request = Request::post("/v1/chat/completions", chat("tide-solo", "hello").to_string());
    let response = SHARED.send(&request.key(&key("small-only")));
    assert_error(
        &response,
        Expected {
            status: 404,
            ..invalid_request(404, Some("model"), Some("model_not_found"))
        },
    );
}
