//! What engines tell inside answers of status 200: errors in every shape that real ones have, ends that are none, and
//! oddities that are no reason to break a stream.

use serde_json::json;
use tidegate_tests::engine::Fault;
use tidegate_tests::scripted::Script;

use crate::support::{
    DONE, Expected, SHARED, ask, ask_stream, assert_error, assert_error_object, chat, chat_stream, chunk,
    invalid_request, scripted, with,
};

/// The engine's words about what a client got wrong. TGI's begin so.
const WORDS: &str = "Input validation error: 9000 stop sequences are more than 4.";

/// Errors that are the client's own, each as an engine writes it into a stream.
fn clients_faults() -> [(&'static str, u16, String); 7] {
    [
        (
            "sglang",
            400,
            format!(
                "data: {{\"error\": {{\"object\": \"error\", \"message\": \"{WORDS}\", \"type\": \"BadRequestError\", \"param\": null, \"code\": 400}}}}\n\n"
            ),
        ),
        (
            "vllm-2024",
            400,
            format!(
                "data: {{\"object\": \"error\", \"message\": \"{WORDS}\", \"type\": \"BadRequestError\", \"param\": null, \"code\": 400}}\n\n"
            ),
        ),
        (
            "llama.cpp-2025",
            400,
            format!("error: {{\"code\":400,\"message\":\"{WORDS}\",\"type\":\"invalid_request_error\"}}\n\n"),
        ),
        (
            "tgi-chat",
            422,
            format!("data: {{\"error\":{{\"message\":\"{WORDS}\",\"http_status_code\":422}}}}\n\n"),
        ),
        (
            "tgi-generate",
            422,
            format!("data:{{\"error\":\"{WORDS}\",\"error_type\":\"validation\"}}\n\n"),
        ),
        (
            "status",
            400,
            format!("data: {{\"error\":{{\"message\":\"{WORDS}\",\"status\":400}}}}\n\n"),
        ),
        (
            "named",
            400,
            format!("event: error\ndata: {{\"message\":\"{WORDS}\",\"code\":400}}\n\n"),
        ),
    ]
}

/// Errors that are the engine's, in each shape.
const ENGINES_FAULTS: [(&str, &str); 8] = [
    (
        "object",
        "data: {\"error\":{\"message\":\"CUDA error\",\"code\":500}}\n\n",
    ),
    ("text", "data: {\"error\":\"CUDA error\"}\n\n"),
    (
        "flat",
        "data: {\"object\":\"error\",\"message\":\"CUDA error\",\"code\":500}\n\n",
    ),
    (
        "bare",
        "data: {\"code\":500,\"message\":\"CUDA error\",\"type\":\"server_error\"}\n\n",
    ),
    ("fastapi", "data: {\"detail\":\"CUDA error\"}\n\n"),
    (
        "line",
        "error: {\"code\":500,\"message\":\"CUDA error\",\"type\":\"server_error\"}\n\n",
    ),
    ("named", "event: error\ndata: CUDA error\n\n"),
    ("silent", ": CUDA error\nevent: error\n\n"),
];

/// A chunk that only says whose turn it is.
const ROLE: &str = "data: {\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n";

/// What the client is told of an engine's error.
const BAD_GATEWAY: Expected = Expected {
    status: 502,
    kind: "server_error",
    param: None,
    code: Some("upstream_error"),
};

/// A last chunk with that reason.
fn finish(reason: &str) -> String {
    format!("data: {{\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{{}},\"finish_reason\":\"{reason}\"}}]}}\n\n")
}

#[test]
fn a_clients_own_fault_as_the_first_event_is_told_as_such_and_not_tried_again() {
    for (engine, status, event) in clients_faults() {
        for (kind, script) in [
            ("first", Script::stream()),
            ("behind-role", Script::stream().then(ROLE)),
        ] {
            let marker = format!("own-fault-{engine}-{kind}");
            println!("{marker}");
            scripted().on(&marker, script.then(&event).then(DONE));
            let response = ask(&chat_stream("tide-scripted", &marker));
            assert_eq!(response.status, status, "{}", response.text());
            let error = &response.json()["error"];
            assert!(
                error["message"].as_str().is_some_and(|words| words.contains(WORDS)),
                "{error}"
            );
            assert!(error["type"].is_string(), "{error}");
            assert_eq!(scripted().seen(&marker).len(), 1, "it was asked again");
        }
    }
}

#[test]
fn an_overflow_of_llama_cpps_context_is_told_by_the_code_that_clients_look_for() {
    let body = json!({"error": {
        "code": 400, "message": "the request exceeds the available context size", "type": "exceed_context_size_error",
        "n_prompt_tokens": 9000, "n_ctx": 4096,
    }})
    .to_string();
    let refusal = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    scripted().on("overflow-refused", Script::raw(refusal));
    scripted().on("overflow-streamed", Script::stream().then(format!("data: {body}\n\n")));
    for marker in ["overflow-refused", "overflow-streamed"] {
        let response = ask(&chat_stream("tide-scripted", marker));
        assert_error(&response, invalid_request(400, None, Some("context_length_exceeded")));
        assert!(response.text().contains("exceeds the available context size"));
    }
}

#[test]
fn an_engines_error_as_the_first_event_is_a_bad_gateway_in_every_shape() {
    for (shape, event) in ENGINES_FAULTS {
        let marker = format!("engine-fault-first-{shape}");
        println!("{marker}");
        scripted().on(&marker, Script::stream().then(event).then(DONE));
        let response = ask(&chat_stream("tide-scripted", &marker));
        assert_error(&response, BAD_GATEWAY);
        assert!(!response.text().contains("CUDA"), "{}", response.text());
    }
}

#[test]
fn an_engines_error_in_the_middle_ends_the_stream_in_every_shape() {
    for (shape, event) in ENGINES_FAULTS {
        let marker = format!("engine-fault-later-{shape}");
        println!("{marker}");
        scripted().on(&marker, Script::stream().then(chunk("one")).then(event).then(DONE));
        let (_, stream) = ask_stream(&chat_stream("tide-scripted", &marker));
        assert_eq!((stream.chunks.len(), stream.text().as_str()), (2, "one"), "{stream:?}");
        let error = stream.error().expect("an in-band error");
        assert_error_object(error);
        assert_eq!(error["code"], "upstream_error");
    }
}

#[test]
fn a_clients_own_fault_in_the_middle_is_told_in_band() {
    for (engine, _, event) in clients_faults() {
        let marker = format!("own-fault-later-{engine}");
        println!("{marker}");
        scripted().on(&marker, Script::stream().then(chunk("one")).then(&event).then(DONE));
        let (_, stream) = ask_stream(&chat_stream("tide-scripted", &marker));
        assert_eq!((stream.chunks.len(), stream.text().as_str()), (2, "one"), "{stream:?}");
        let error = stream.error().expect("an in-band error");
        assert!(
            error["message"].as_str().is_some_and(|words| words.contains(WORDS)),
            "{error}"
        );
    }
}

#[test]
fn an_error_behind_a_chunk_that_says_nothing_is_served_by_another_replica() {
    let body = chat_stream("tide-pair", "fails behind its role");
    ask_stream(&body);
    let saw = |replica: &&str| !SHARED.engine(replica).requests("fails behind its role").is_empty();
    let first = ["eu-1", "eu-2"].into_iter().find(saw).expect("a replica saw it");
    SHARED
        .engine(first)
        .fault("fails behind its role", Fault::StreamError(1));
    let (_, stream) = ask_stream(&body);
    assert!(stream.done && stream.error().is_none(), "{stream:?}");
    let roles = stream
        .chunks
        .iter()
        .filter(|chunk| chunk["choices"][0]["delta"]["role"].is_string());
    assert_eq!(roles.count(), 1, "{stream:?}");
}

#[test]
fn an_answer_that_the_engine_gave_up_on_is_not_told_as_complete() {
    for reason in ["abort", "error"] {
        let marker = format!("gave-up-{reason}");
        SHARED.engine("solo-1").fault(&marker, Fault::FinishReason(reason));
        let (_, stream) = ask_stream(&with(chat_stream("tide-solo", &marker), json!({"max_tokens": 32})));
        assert!(!stream.text().is_empty(), "{stream:?}");
        assert_eq!(stream.error().expect("an in-band error")["code"], "upstream_error");
        assert_error(&ask(&chat("tide-solo", &marker)), BAD_GATEWAY);
    }
}

#[test]
fn a_reason_to_finish_that_is_empty_is_none_yet() {
    let early = |text: &str| chunk(text).replace("}}]}", "},\"finish_reason\":\"\"}]}");
    let script = Script::stream()
        .then(early("one"))
        .then(early("two"))
        .then(finish("stop"));
    scripted().on("empty-reason", script.then(DONE));
    let (_, stream) = ask_stream(&chat_stream("tide-scripted", "empty-reason"));
    let reasons: Vec<_> = stream
        .chunks
        .iter()
        .map(|chunk| &chunk["choices"][0]["finish_reason"])
        .collect();
    assert_eq!(reasons, [&json!(null), &json!(null), &json!("stop")]);
    assert!(stream.done);
}

#[test]
fn a_stream_that_has_finished_is_whole_however_its_bytes_end() {
    for (ending, last) in [
        ("no-done", ""),
        ("no-empty-line", "data: [DONE]"),
        ("no-line-end", "data: [DONE]\n"),
        ("white-space", "data: [DONE] \n \n  "),
        ("white-space-only", "\n\n \n"),
        ("comment", ": bye"),
    ] {
        let marker = format!("finished-{ending}");
        println!("{marker}");
        scripted().on(
            &marker,
            Script::stream().then(chunk("one")).then(finish("stop")).then(last),
        );
        let (_, stream) = ask_stream(&chat_stream("tide-scripted", &marker));
        assert!(stream.done && stream.error().is_none(), "{stream:?}");
        assert_eq!((stream.text().as_str(), stream.chunks.len()), ("one", 2), "{stream:?}");
    }
}

#[test]
fn a_stream_of_two_choices_is_whole_when_both_have_finished() {
    let second = |event: String| event.replace("\"index\":0", "\"index\":1");
    let both = || {
        let script = Script::stream().then(chunk("one")).then(second(chunk("two")));
        script.then(second(finish("stop")))
    };
    scripted().on("both-finished", both().then(finish("length")));
    let (_, stream) = ask_stream(&chat_stream("tide-scripted", "both-finished"));
    assert!(stream.done, "{stream:?}");
    scripted().on("one-finished", both());
    let (_, stream) = ask_stream(&chat_stream("tide-scripted", "one-finished"));
    assert_error_object(stream.error().expect("an in-band error"));
}

#[test]
fn oddities_break_no_stream() {
    let broken: &[u8] = b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"wor\xc3\"}}]}\n\n";
    let both = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"},\"message\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
    let head = "HTTP/1.1 200 OK\r\ncontent-type: Text/Event-Stream; Charset=UTF-8\r\nconnection: close\r\n\r\n";
    for (oddity, script, text) in [
        (
            "empty-data",
            Script::stream()
                .then("data:\n\ndata: \n\n")
                .then(chunk("x"))
                .then("data:\n\n"),
            "x",
        ),
        (
            "byte-order-mark",
            Script::stream().then(b"\xef\xbb").then(b"\xbf").then(chunk("x")),
            "x",
        ),
        ("half-a-character", Script::stream().then(broken), "wor\u{fffd}"),
        ("delta-and-message", Script::stream().then(both), "x"),
        ("content-type", Script::raw(head).then(chunk("x")), "x"),
    ] {
        let marker = format!("oddity-{oddity}");
        println!("{marker}");
        scripted().on(&marker, script.then(DONE));
        let (_, stream) = ask_stream(&chat_stream("tide-scripted", &marker));
        assert!(stream.done && stream.error().is_none(), "{stream:?}");
        assert_eq!(stream.text(), text);
    }
}

#[test]
fn an_engine_that_sends_comments_alone_has_fallen_silent() {
    let mut script = Script::stream().then(chunk("one"));
    for _ in 0..15 {
        script = script.wait(300).then(": keepalive\n\n");
    }
    scripted().on("comments-alone", script.then(chunk("two")).then(DONE));
    let (_, stream) = ask_stream(&chat_stream("tide-scripted", "comments-alone"));
    assert_eq!(stream.text(), "one");
    assert_eq!(stream.error().expect("an in-band error")["code"], "upstream_timeout");
}

#[test]
fn a_usage_that_nobody_asked_for_leaves_nothing_behind_but_its_fingerprint() {
    for (kind, usage) in [
        ("figures", "{\"prompt_tokens\":3,\"completion_tokens\":1}"),
        ("nothing", "{}"),
    ] {
        let marker = format!("unasked-usage-{kind}");
        let last =
            format!("data: {{\"model\":\"m\",\"choices\":[],\"usage\":{usage},\"system_fingerprint\":\"fp_1\"}}\n\n");
        let script = Script::stream().then(chunk("one")).then(finish("stop")).then(&last);
        scripted().on(&marker, script.then(DONE));
        let (_, stream) = ask_stream(&chat_stream("tide-scripted", &marker));
        assert!(stream.done && stream.usages().is_empty(), "{stream:?}");
        assert_eq!(stream.chunks.len(), 2, "{stream:?}");
        let last = &stream.chunks[1];
        assert_eq!(
            (&last["choices"][0]["finish_reason"], &last["system_fingerprint"]),
            (&json!("stop"), &json!("fp_1"))
        );
        let asking = with(
            chat_stream("tide-scripted", &marker),
            json!({"stream_options": {"include_usage": true}}),
        );
        let (_, stream) = ask_stream(&asking);
        assert_eq!(stream.chunks.len(), 3, "{stream:?}");
        assert_eq!(stream.chunks[2]["system_fingerprint"], "fp_1");
    }
}
