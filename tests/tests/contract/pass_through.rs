//! What passes the gateway untouched, what it changes, and what it holds back.

use serde_json::{Value, json};
use tidegate_tests::http::Request;
use tidegate_tests::scripted::{Script, Seen};
use tidegate_tests::sse::Stream;
use tidegate_tests::world::key;

use crate::support::{
    ENGINE_KEY_EU, SHARED, ask, ask_stream, asking_for_a_stream, chat, chat_stream, post, post_chat, scripted, with,
};

/// Numbers, escapes, spaces and an order of keys that every JSON library would write differently.
const PECULIAR: &str = concat!(
    "{ \"zeta\":1.0,\t\"temperature\" : 1.50e-1, \"seed\":123456789012345678901234567890,\n",
    r#""messages":[{"content":"MARKER \u00e9\ud83c\udf0a \/","role":"user","name":"x","unknown":{"b":1,"a":[0.10]}}],"#,
    r#" "model":"tide-scripted","logit_bias":{"50256":-100.00},"tools":[],"vendor_field":null,"#,
    r#""max_tokens":16,"nested":[[[[{"model":"inner"}]]]]  }"#
);

#[test]
fn a_request_reaches_the_engine_byte_for_byte_but_for_the_model_and_the_wish_for_a_stream() {
    let sent = PECULIAR.replace("MARKER", "pass-through-whole");
    let seen = seen_by_upstream("pass-through-whole", &sent, Script::json(ANSWER));
    let renamed = sent.replacen("\"tide-scripted\"", "\"scripted-upstream-name\"", 1);
    assert_eq!(seen.body_without_salt(), asking_for_a_stream(&renamed));
}

#[test]
fn a_request_that_streams_cannot_answer_reaches_the_engine_byte_for_byte_but_for_the_model() {
    let sent = PECULIAR
        .replace("MARKER", "pass-through-echo")
        .replacen('{', "{\"echo\":true,", 1);
    let seen = seen_by_upstream("pass-through-echo", &sent, Script::json(ANSWER));
    let expected = sent.replacen("\"tide-scripted\"", "\"scripted-upstream-name\"", 1);
    assert_eq!(seen.body_without_salt(), expected);
}

#[test]
fn a_streamed_request_gets_usage_asked_for_and_nothing_else() {
    let sent = PECULIAR
        .replace("MARKER", "pass-through-stream")
        .replacen('{', "{\"stream\":true,", 1);
    let seen = seen_by_upstream("pass-through-stream", &sent, done_stream());
    let body = String::from_utf8_lossy(&seen.body).into_owned();
    let parsed: Value = serde_json::from_str(&body).expect("still JSON");
    assert_eq!(parsed["stream_options"], json!({"include_usage": true}));
    for untouched in [
        "\"zeta\":1.0,\t\"temperature\" : 1.50e-1, \"seed\":123456789012345678901234567890,\n",
        r#"MARKER \u00e9\ud83c\udf0a \/","role":"user","name":"x","unknown":{"b":1,"a":[0.10]}}],"#,
        r#""nested":[[[[{"model":"inner"}]]]]"#,
    ] {
        assert!(
            body.contains(&untouched.replace("MARKER", "pass-through-stream")),
            "{untouched} is not in {body}"
        );
    }
}

#[test]
fn counts_that_are_written_as_fractions_reach_the_engine_as_whole_numbers() {
    let sent = with(
        chat("tide-scripted", "written-as-fractions"),
        json!({"max_tokens": 16.0, "n": 1.0, "temperature": 1.0, "top_k": 5.0}),
    );
    let sent = sent.to_string();
    assert!(sent.contains("16.0") && sent.contains("\"n\":1.0"), "{sent}");
    let seen = seen_by_upstream("written-as-fractions", &sent, Script::json(ANSWER));
    let expected = sent
        .replacen("\"tide-scripted\"", "\"scripted-upstream-name\"", 1)
        .replacen("16.0", "16", 1)
        .replacen("\"n\":1.0", "\"n\":1", 1);
    assert_eq!(seen.body_without_salt(), asking_for_a_stream(&expected));
}

#[test]
fn a_bound_of_minus_one_is_what_the_context_leaves_to_engines_that_take_it_for_none() {
    let llama = SHARED.scripted("llama");
    llama.on("bound-of-minus-one", Script::json(ANSWER));
    let asked = with(chat("tide-llama", "bound-of-minus-one"), json!({"max_tokens": -1})).to_string();
    let response = SHARED.send(&post_chat(&asked));
    assert_eq!(response.status, 200, "{}", response.text());
    let seen = llama.seen("bound-of-minus-one");
    // All of the context: a prompt that is estimated is surely of no length.
    let told = asked.replace("-1", "16384");
    assert_eq!(seen[0].body_without_salt(), asking_for_a_stream(&told));
}

#[test]
fn embeddings_of_messages_pass() {
    let sent = r#"{"model":"tide-scripted","messages":[{"role":"user","content":[{"type":"text","text":"embed-messages"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]}],"encoding_format":"float"}"#;
    let answer = r#"{"object":"list","model":"m","data":[{"object":"embedding","index":0,"embedding":[0.5]}],"usage":{"prompt_tokens":7,"total_tokens":7}}"#;
    scripted().on("embed-messages", Script::json(answer));
    let response = SHARED.send(&post("/v1/embeddings", sent));
    assert_eq!(response.text(), answer.replacen("\"m\"", "\"tide-scripted\"", 1));
    let seen = scripted().seen("embed-messages");
    assert_eq!(
        seen[0].body_without_salt(),
        sent.replace("tide-scripted", "scripted-upstream-name")
    );
}

#[test]
fn options_of_a_stream_stay_beside_the_usage_that_is_asked_for() {
    for (marker, options) in [
        (
            "options-false",
            json!({"include_usage": false, "continuous_usage_stats": false, "x": 1.50}),
        ),
        ("options-absent", json!({"x": 1})),
        ("options-null", Value::Null),
        ("options-true", json!({"include_usage": true})),
    ] {
        let asked = with(chat_stream("tide-scripted", marker), json!({"stream_options": options}));
        let seen = seen_by_upstream(marker, &asked.to_string(), done_stream());
        let received: Value = serde_json::from_slice(&seen.body).expect("JSON");
        let expected = if options.is_null() { json!({}) } else { options };
        assert_eq!(
            received["stream_options"],
            with(expected, json!({"include_usage": true})),
            "{marker}"
        );
    }
}

#[test]
fn an_answer_reaches_the_client_byte_for_byte_but_for_the_model() {
    let answer = r#"{ "id":"x", "vendor":{"b":1.0,"a":1e400}, "model":"scripted-upstream-name","choices":[{"index":0,"message":{"content":"caf\u00e9 \/","role":"assistant","refusal":null},"finish_reason":"stop","logprobs":null}],
 "usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4,"prompt_tokens_details":{"cached_tokens":0}},"service_tier":null }"#;
    scripted().on("answer-whole", Script::json(answer));
    let response = ask(&chat("tide-scripted", "answer-whole"));
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(
        response.text(),
        answer.replacen("scripted-upstream-name", "tide-scripted", 1)
    );
}

#[test]
fn events_reach_the_client_byte_for_byte_but_for_the_model() {
    let event = |delta: &str| {
        format!(
            r#"{{ "id":"x","vendor":[1.0,1e400],"model":"NAME","choices":[{{"index":0,"delta":{delta},"finish_reason":null}}] }}"#
        )
    };
    let events = [
        event(r#"{"role":"assistant","content":""}"#),
        event(r#"{"content":"\u00e9\/","unknown":0.10}"#),
    ];
    let mut script = Script::stream();
    let mut expected = String::new();
    for event in &events {
        script = script.then(format!("data: {}\n\n", event.replace("NAME", "scripted-upstream-name")));
        expected.push_str(&format!("data: {}\n\n", event.replace("NAME", "tide-scripted")));
    }
    scripted().on("answer-stream", script.then("data: [DONE]\n\n"));
    let response = ask(&chat_stream("tide-scripted", "answer-stream"));
    assert_eq!(response.text(), expected + "data: [DONE]\n\n");
}

#[test]
fn the_engine_gets_the_secret_and_never_the_clients_key() {
    let request = post_chat(chat("tide-pair", "secret-and-key").to_string())
        .header("x-api-key", &key("everyone"))
        .header("cookie", "session=1")
        .header("x-forwarded-for", "203.0.113.7")
        .header("x-stainless-lang", "python")
        .header("te", "trailers")
        .header("openai-organization", "org-1");
    assert_eq!(SHARED.send(&request).status, 200);
    let mut seen = SHARED.engine("eu-1").requests("secret-and-key");
    seen.extend(SHARED.engine("eu-2").requests("secret-and-key"));
    let [seen] = seen.as_slice() else {
        panic!("one replica, once: {seen:?}")
    };
    assert_eq!(
        seen.header("authorization"),
        Some(format!("Bearer {ENGINE_KEY_EU}").as_str())
    );
    for held_back in [
        "x-api-key",
        "cookie",
        "x-forwarded-for",
        "x-stainless-lang",
        "te",
        "openai-organization",
    ] {
        assert_eq!(seen.header(held_back), None, "{held_back}");
    }
    let everything = format!("{seen:?}");
    assert!(!everything.contains(&key("everyone")), "{everything}");
}

#[test]
fn a_cluster_without_a_secret_is_sent_no_authorization() {
    assert_eq!(ask(&chat("tide-solo", "no secret here")).status, 200);
    let seen = SHARED.engine("solo-1").requests("no secret here");
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].header("authorization"), None);
    assert_eq!(seen[0].header("content-type"), Some("application/json"));
}

#[test]
fn headers_of_the_engine_stay_with_the_engine() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nset-cookie: a=b\r\nserver: uvicorn\r\n\
        keep-alive: timeout=5\r\nconnection: close\r\nx-engine-secret: 1\r\nx-tidegate-cluster: forged\r\nx-request-id: forged\r\n";
    let answer = format!("{head}content-length: {}\r\n\r\n{ANSWER}", ANSWER.len());
    scripted().on("engine-headers", Script::raw(answer));
    let response = ask(&chat("tide-scripted", "engine-headers"));
    assert_eq!(response.status, 200);
    for held_back in ["set-cookie", "keep-alive", "x-engine-secret"] {
        assert_eq!(response.header(held_back), None, "{held_back}");
    }
    assert_eq!(response.header("x-tidegate-cluster"), Some("scripted"));
    assert_ne!(response.header("x-request-id"), Some("forged"));
}

#[test]
fn usage_comes_once_for_those_who_ask() {
    let asked = with(
        chat_stream("tide-solo", "usage please"),
        json!({"stream_options": {"include_usage": true}}),
    );
    let (_, stream) = ask_stream(&asked);
    let [usage] = stream.usages()[..] else {
        panic!("one usage: {stream:?}")
    };
    assert_eq!(usage["choices"], json!([]));
    assert!(
        usage["usage"]["completion_tokens"]
            .as_u64()
            .is_some_and(|tokens| tokens > 0)
    );
    assert_eq!(stream.chunks.last(), Some(usage), "usage comes last");
    assert!(stream.done);
}

#[test]
fn usage_does_not_come_for_those_who_do_not_ask() {
    for fields in [
        json!({}),
        json!({"stream_options": {"include_usage": false}}),
        json!({"stream_options": null}),
    ] {
        let (_, stream) = ask_stream(&with(chat_stream("tide-solo", "no usage please"), fields.clone()));
        assert!(stream.usages().is_empty(), "{fields}: {stream:?}");
        assert!(
            stream.chunks.iter().all(|chunk| chunk["choices"] != json!([])),
            "{fields}: an empty chunk is left"
        );
        assert!(stream.done);
    }
}

#[test]
fn usage_within_a_chunk_of_text_is_taken_out_of_it_and_the_text_stays() {
    let chunk = |usage: &str| {
        format!(
            "data: {{\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"x\"}}}}],\"usage\":{usage}}}\n\n"
        )
    };
    let counted = chunk(r#"{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}"#);
    let script = Script::stream()
        .then(chunk("null"))
        .then(&counted)
        .then("data: [DONE]\n\n");
    scripted().on("usage-within-chunks", script);
    let asked = chat_stream("tide-scripted", "usage-within-chunks");
    let (_, stream) = ask_stream(&asked);
    assert_eq!(stream.text(), "xx");
    assert!(
        stream.chunks.iter().all(|chunk| chunk.get("usage").is_none()),
        "{stream:?}"
    );
    let (_, stream) = ask_stream(&with(asked, json!({"stream_options": {"include_usage": true}})));
    assert_eq!((stream.text().as_str(), stream.usages().len()), ("xx", 1));
}

#[test]
fn an_empty_list_of_choices_without_usage_is_the_engines_own_and_passes() {
    let filter = r#"{"id":"x","model":"scripted-upstream-name","choices":[],"prompt_filter_results":[]}"#;
    let script = Script::stream()
        .then(format!("data: {filter}\n\n"))
        .then(CHUNK)
        .then("data: [DONE]\n\n");
    scripted().on("filter-results", script);
    let (_, stream) = ask_stream(&chat_stream("tide-scripted", "filter-results"));
    assert!(stream.chunks[0].get("prompt_filter_results").is_some(), "{stream:?}");
}

#[test]
fn other_spellings_of_events_are_understood() {
    let spelled = ": a comment\n\nevent: message\r\nid: 7\r\ndata:{\"choices\":[{\"index\":0,\r\ndata: \"delta\":{\"content\":\"one\"}}]}\r\n\r\n";
    let script = Script::stream()
        .then(spelled)
        .then(CHUNK.replace("text", "two"))
        .then("data: [DONE]\r\n\r\n");
    scripted().on("spellings", script);
    let (_, stream) = ask_stream(&chat_stream("tide-scripted", "spellings"));
    assert_eq!(stream.text(), "onetwo");
    assert!(stream.done);
}

#[test]
fn text_that_is_split_within_a_character_arrives_whole() {
    let event = CHUNK.replace("text", "tide 🌊 café 潮");
    let script = event
        .as_bytes()
        .iter()
        .fold(Script::stream(), |script, byte| script.then([*byte]).wait(1));
    scripted().on("split-bytes", script.then("data: [DONE]\n\n"));
    let (_, stream) = ask_stream(&chat_stream("tide-scripted", "split-bytes"));
    assert_eq!(stream.text(), "tide 🌊 café 潮");
}

#[test]
fn completions_pass_untouched_too() {
    let sent = r#"{"prompt":[1,2,3],"echo":false,"model":"tide-scripted","suffix":"prompt-of-tokens","best_of":1.0}"#;
    scripted().on(
        "prompt-of-tokens",
        Script::json(r#"{"model":"m","choices":[{"text":"x"}]}"#),
    );
    let response = SHARED.send(&post("/v1/completions", sent));
    assert_eq!(response.text(), r#"{"model":"tide-scripted","choices":[{"text":"x"}]}"#);
    let seen = scripted().seen("prompt-of-tokens");
    assert_eq!(
        seen[0].body_without_salt(),
        sent.replace("tide-scripted", "scripted-upstream-name")
    );
    assert!(seen[0].head.starts_with("POST /v1/completions "), "{}", seen[0].head);
}

#[test]
fn a_query_string_stays_with_the_gateway() {
    scripted().on("with-a-query", Script::json(ANSWER));
    let asked = chat("tide-scripted", "with-a-query").to_string();
    let response = SHARED.send(&Request::post("/v1/chat/completions?api-version=1", asked).key(&key("everyone")));
    assert_eq!(response.status, 200, "{}", response.text());
    assert!(
        scripted().seen("with-a-query")[0]
            .head
            .starts_with("POST /v1/chat/completions HTTP/1.1")
    );
}

/// What the scripted upstream received when `body` was sent, whose text contains `marker`.
fn seen_by_upstream(marker: &str, body: &str, script: Script) -> Seen {
    scripted().on(marker, script);
    let response = SHARED.send(&post_chat(body));
    assert_eq!(response.status, 200, "{}", response.text());
    if response.text().starts_with("data:") {
        assert!(Stream::parse(response.text()).done);
    }
    scripted().seen(marker).first().expect("the upstream was asked").clone()
}

fn done_stream() -> Script {
    Script::stream().then(CHUNK).then("data: [DONE]\n\n")
}

const ANSWER: &str = r#"{"id":"x","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"text"},"finish_reason":"stop"}]}"#;
const CHUNK: &str =
    "data: {\"id\":\"x\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"text\"}}]}\n\n";
