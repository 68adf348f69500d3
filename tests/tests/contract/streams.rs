//! Streams: what comes when, what ends them, and that nothing is held back.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use tidegate_tests::engine::Fault;
use tidegate_tests::http::Response;
use tidegate_tests::scripted::Script;
use tidegate_tests::sse::Stream;

use crate::support::{
    SHARED, ask, ask_stream, assert_error, assert_error_object, chat, chat_stream, chunk, invalid_request, open_stream,
    scripted, with,
};

#[test]
fn the_first_byte_arrives_while_the_engine_still_writes() {
    let script = Script::stream()
        .then(chunk("first"))
        .wait(500)
        .then(chunk("second"))
        .wait(500)
        .then(chunk("third"));
    scripted().on("not-held-back", script.then("data: [DONE]\n\n"));
    let response = ask(&chat_stream("tide-scripted", "not-held-back"));
    let done = scripted().seen("not-held-back")[0].steps_done.clone();
    let (second, third) = (done[3], done[5]);
    assert!(arrival(&response, "first") < second, "the first chunk was held back");
    assert!(arrival(&response, "second") < third, "the second chunk was held back");
}

#[test]
fn an_answer_is_not_begun_before_its_first_event() {
    let script = Script::stream().wait(300).then(chunk("late")).then("data: [DONE]\n\n");
    scripted().on("head-without-event", script);
    let asked = Instant::now();
    let exchange = open_stream(&chat_stream("tide-scripted", "head-without-event"));
    assert!(
        asked.elapsed() >= Duration::from_millis(250),
        "200 was sent before the engine had said anything"
    );
    assert_eq!(exchange.status, 200);
    let response = exchange.finish();
    let stream = Stream::parse(response.text());
    assert!(stream.done, "{stream:?}");
}

#[test]
fn a_slow_engine_is_waited_for_with_heartbeats() {
    let script = Script::stream()
        .wait(1_200)
        .then(chunk("at last"))
        .then("data: [DONE]\n\n");
    scripted().on("early-commit", script);
    let asked = Instant::now();
    let exchange = open_stream(&chat_stream("tide-scripted", "early-commit"));
    assert!(asked.elapsed() >= Duration::from_millis(400), "committed too early");
    assert_eq!(exchange.status, 200);
    assert_eq!(
        exchange.header("x-tidegate-cluster"),
        None,
        "nobody knows yet what will serve"
    );
    let response = exchange.finish();
    let stream = Stream::parse(response.text());
    assert!(stream.comments.len() >= 2, "a heartbeat and a label: {stream:?}");
    let label = ": tidegate cache=bypass cluster=scripted model=tide-scripted tier=0 prompt_tokens=";
    let behind = response.text().split_once(label).map(|(_, behind)| behind);
    let event = behind
        .and_then(|behind| behind.split_once("\n\n"))
        .map(|(_, event)| event);
    assert!(
        event.is_some_and(|event| event.starts_with("data: {")),
        "the label stands before the first event: {}",
        response.text()
    );
    assert_eq!(stream.text(), "at last");
    assert!(stream.done);
}

/// Many times `heartbeat_ms`, so that a heartbeat comes within it also where the machine stands still for a while.
const QUIET_MS: u64 = 1_500;

#[test]
fn a_quiet_stream_is_kept_alive_with_comments() {
    let script = Script::stream()
        .then(chunk("one"))
        .wait(QUIET_MS)
        .then(chunk("two"))
        .then("data: [DONE]\n\n");
    scripted().on("quiet-stream", script);
    let (response, stream) = ask_stream(&chat_stream("tide-scripted", "quiet-stream"));
    assert!(!stream.comments.is_empty(), "{stream:?}");
    assert!(
        response.text().find("one") < response.text().find("\n: ").or(response.text().find("\n:")),
        "{response:?}"
    );
    assert_eq!(stream.text(), "onetwo");
}

#[test]
fn a_heartbeat_never_falls_into_an_event() {
    let event = chunk("split");
    let (before, after) = event.split_at(20);
    let script = Script::stream()
        .then(chunk("one"))
        .then(before)
        .wait(QUIET_MS)
        .then(after)
        .then("data: [DONE]\n\n");
    scripted().on("heartbeat-within-event", script);
    let (_, stream) = ask_stream(&chat_stream("tide-scripted", "heartbeat-within-event"));
    assert_eq!(stream.text(), "onesplit");
    assert!(!stream.comments.is_empty());
}

#[test]
fn what_comes_after_done_is_not_passed_on() {
    let script = Script::stream()
        .then(chunk("one"))
        .then("data: [DONE]\n\n")
        .then(chunk("two"));
    scripted().on("after-done", script);
    let (_, stream) = ask_stream(&chat_stream("tide-scripted", "after-done"));
    assert_eq!(stream.text(), "one");
}

#[test]
fn a_stream_ends_when_done_was_said_though_the_engine_keeps_the_connection() {
    let script = Script::stream().then(chunk("one")).then("data: [DONE]\n\n").wait(5_000);
    scripted().on("done-and-held", script);
    let response = ask(&chat_stream("tide-scripted", "done-and-held"));
    assert!(response.took < Duration::from_secs(1), "{:?}", response.took);
    assert!(response.complete && Stream::parse(response.text()).done);
}

#[test]
fn a_stream_that_comes_in_crumbs_and_is_spelled_unusually_reads_the_same() {
    SHARED.engine("solo-1").fault("in crumbs", Fault::UnusualFraming(7));
    let whole = ask(&chat("tide-solo", "plain spelling")).json();
    let (_, plain) = ask_stream(&chat_stream("tide-solo", "plain spelling"));
    assert_eq!(
        plain.text(),
        whole["choices"][0]["message"]["content"].as_str().expect("text")
    );
    let (_, crumbs) = ask_stream(&chat_stream("tide-solo", "in crumbs"));
    assert_eq!(crumbs.chunks.len(), plain.chunks.len());
    assert!(crumbs.done && !crumbs.text().is_empty(), "{crumbs:?}");
}

#[test]
fn a_client_that_reads_slowly_slows_the_engine_down_and_loses_nothing() {
    const CHUNKS: usize = 512;
    let text = "x".repeat(64 << 10);
    let script = (0..CHUNKS).fold(Script::stream(), |script, _| script.then(chunk(&text)));
    scripted().on("read-slowly", script.then("data: [DONE]\n\n"));
    let mut exchange = open_stream(&chat_stream("tide-scripted", "read-slowly"));
    exchange.read_until("choices");
    // Longer than an engine may be silent: the silence here is the client's.
    thread::sleep(Duration::from_millis(2_400));
    let written = scripted().seen("read-slowly")[0].steps_done.len();
    assert!(
        written < CHUNKS * 3 / 4,
        "{written} of {CHUNKS} chunks are held between engine and client"
    );
    let stream = Stream::parse(exchange.finish().text());
    assert!(stream.done && stream.error().is_none(), "{:?}", stream.error());
    assert_eq!(stream.text().len(), CHUNKS * text.len());
}

#[test]
fn several_choices_stream_side_by_side() {
    let (_, stream) = ask_stream(&with(chat_stream("tide-solo", "two answers"), json!({"n": 2})));
    for index in 0..2 {
        assert!(
            stream.chunks.iter().any(|chunk| chunk["choices"][0]["index"] == index),
            "choice {index}: {stream:?}"
        );
    }
    assert!(stream.done);
}

#[test]
fn reasons_to_finish_are_those_that_clients_know() {
    let chunk = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"},\"finish_reason\":\"eos_token\"}]}\n\n";
    scripted().on("eos-token", Script::stream().then(chunk).then("data: [DONE]\n\n"));
    let (_, stream) = ask_stream(&chat_stream("tide-scripted", "eos-token"));
    assert_eq!(stream.chunks[0]["choices"][0]["finish_reason"], "stop");
}

#[test]
fn an_event_without_end_is_cut_off_in_band() {
    let endless = "x".repeat(64 << 10);
    let mut script = Script::stream()
        .then(chunk("one"))
        .then("data: {\"choices\":[{\"delta\":{\"content\":\"");
    for _ in 0..40 {
        script = script.then(&endless);
    }
    scripted().on("endless-event", script.wait(3_000));
    let (_, stream) = ask_stream(&chat_stream("tide-scripted", "endless-event"));
    assert_error_object(stream.error().expect("an in-band error"));
}

#[test]
fn an_answer_without_end_is_refused() {
    let mut script =
        Script::raw("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n{\"x\":\"");
    let piece = "x".repeat(1 << 20);
    for _ in 0..40 {
        script = script.then(&piece);
    }
    scripted().on("endless-answer", script);
    let response = ask(&chat("tide-scripted", "endless-answer"));
    assert_error(&response, invalid_request(400, None, Some("answer_too_large")));
}

/// When the piece of the body arrived that completed `text`.
pub fn arrival(response: &Response, text: &str) -> Instant {
    let end = response
        .text()
        .find(text)
        .unwrap_or_else(|| panic!("{text} did not arrive: {response:?}"))
        + text.len();
    response
        .pieces
        .iter()
        .find(|piece| piece.end >= end)
        .expect("a piece")
        .at
}
