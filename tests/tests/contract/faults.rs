//! Engines that fail: before an answer begins the client gets an error with a status, afterwards one in-band; and
//! what another replica can save, it saves.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use tidegate_tests::engine::Fault;
use tidegate_tests::http::Response;
use tidegate_tests::scripted::Script;

use crate::support::{
    AWAY, Expected, SHARED, ask, ask_away, ask_stream, assert_error, assert_error_object, chat, chat_stream, chunk,
    eventually, invalid_request, post_chat, scripted, with,
};

#[test]
fn an_engine_that_cannot_be_reached_is_a_bad_gateway() {
    for body in [
        chat("tide-gone-without-canned", "gone"),
        chat_stream("tide-gone-without-canned", "gone"),
    ] {
        assert_error(&ask(&body), server_error(502, "upstream_unreachable"));
    }
}

#[test]
fn an_engine_that_resets_the_connection_is_a_bad_gateway() {
    SHARED.engine("solo-1").fault("engine resets at once", Fault::Refuse);
    assert_error(
        &ask(&chat("tide-solo", "engine resets at once")),
        server_error(502, "upstream_unreachable"),
    );
}

#[test]
fn statuses_of_an_engine_become_statuses_that_sdks_retry() {
    for (status, expected) in [
        (429, server_error(503, "overloaded")),
        (500, server_error(502, "upstream_error")),
        (503, server_error(503, "overloaded")),
    ] {
        let marker = format!("engine answers {status}");
        SHARED.engine("solo-1").fault(&marker, Fault::Status(status));
        assert_error(&ask(&chat("tide-solo", &marker)), expected);
        assert_error(&ask(&chat_stream("tide-solo", &marker)), expected);
    }
}

#[test]
fn an_engines_wish_to_wait_reaches_the_client() {
    let answer = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 7\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    scripted().on("come-back-later", Script::raw(answer));
    let response = ask(&chat("tide-scripted", "come-back-later"));
    assert_error(&response, server_error(503, "overloaded"));
    assert_eq!(response.header("retry-after"), Some("7"));
    assert_eq!(response.header("retry-after-ms"), Some("7000"));
}

#[test]
fn what_the_operator_got_wrong_is_not_told_as_the_clients_mistake() {
    for status in [
        "401 Unauthorized",
        "403 Forbidden",
        "404 Not Found",
        "301 Moved\r\nlocation: http://127.0.0.1:1/",
    ] {
        let body = r#"{"error":{"message":"Bearer sk-internal is wrong","type":"x","param":null,"code":null}}"#;
        let answer = format!(
            "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let marker = format!("operator-mistake-{}", &status[..3]);
        scripted().on(&marker, Script::raw(answer));
        let response = ask(&chat("tide-scripted", &marker));
        assert_error(&response, server_error(502, "upstream_error"));
        assert!(!response.text().contains("sk-internal"), "{}", response.text());
    }
}

#[test]
fn an_engine_that_hangs_is_given_up() {
    SHARED.engine("solo-1").fault("engine hangs", Fault::Hang);
    let response = ask(&chat("tide-solo", "engine hangs"));
    assert_error(&response, server_error(504, "upstream_timeout"));
    assert!(
        (1_800..4_000).contains(&response.took.as_millis()),
        "{:?}",
        response.took
    );
}

#[test]
fn an_engine_that_hangs_under_a_committed_stream_ends_it_in_band() {
    SHARED.engine("solo-1").fault("engine hangs a stream", Fault::Hang);
    let (_, stream) = ask_stream(&chat_stream("tide-solo", "engine hangs a stream"));
    assert!(stream.comments.len() >= 3, "heartbeats: {stream:?}");
    let error = stream.error().expect("an in-band error");
    assert_error_object(error);
    assert_eq!(error["code"], "upstream_timeout");
}

#[test]
fn a_stall_within_a_stream_ends_it_in_band() {
    SHARED.engine("solo-1").fault("engine stalls", Fault::Stall(3));
    let (response, stream) = ask_stream(&long("tide-solo", "engine stalls"));
    assert!(!stream.text().is_empty(), "what came before the stall: {stream:?}");
    assert_error_object(stream.error().expect("an in-band error"));
    assert!(response.took < Duration::from_secs(5), "{:?}", response.took);
}

#[test]
fn a_stream_that_breaks_off_ends_in_band() {
    for (marker, fault) in [
        ("engine cuts", Fault::Cut(3)),
        ("engine resets", Fault::Reset(3)),
        ("engine ends early", Fault::EndEarly(3)),
        ("engine errs in its stream", Fault::StreamError(3)),
        ("engine breaks an event off", Fault::Malformed(3)),
    ] {
        SHARED.engine("solo-1").fault(marker, fault);
        let (_, stream) = ask_stream(&long("tide-solo", marker));
        assert!(
            !stream.text().is_empty(),
            "{marker}: what came before is there: {stream:?}"
        );
        assert_error_object(
            stream
                .error()
                .unwrap_or_else(|| panic!("{marker}: no in-band error: {stream:?}")),
        );
    }
}

#[test]
fn a_stream_that_ends_without_done_ends_in_band() {
    scripted().on("no-done", Script::stream().then(chunk("one")));
    let (_, stream) = ask_stream(&chat_stream("tide-scripted", "no-done"));
    assert_eq!(stream.chunks[0]["choices"][0]["delta"]["content"], "one");
    assert_error_object(stream.error().expect("an in-band error"));
}

#[test]
fn an_error_as_the_first_event_becomes_a_status() {
    let error = "data: {\"error\":{\"message\":\"out of memory\",\"type\":\"x\",\"code\":500}}\n\n";
    scripted().on("error-first", Script::stream().then(error).then("data: [DONE]\n\n"));
    assert_error(
        &ask(&chat_stream("tide-scripted", "error-first")),
        server_error(502, "upstream_error"),
    );
}

#[test]
fn an_error_within_an_answer_of_status_200_is_an_error() {
    scripted().on(
        "error-in-200",
        Script::json(r#"{"error":{"message":"boom","code":500}}"#),
    );
    assert_error(
        &ask(&chat("tide-scripted", "error-in-200")),
        server_error(502, "upstream_error"),
    );
}

#[test]
fn garbage_instead_of_an_answer_is_a_bad_gateway() {
    for (marker, script) in [
        ("garbage-html", Script::answer("text/html", "<h1>It works!</h1>")),
        ("garbage-text", Script::answer("application/json", "not JSON")),
        ("garbage-list", Script::json("[1,2,3]")),
        ("garbage-type", Script::answer("text/html", r#"{"choices":[]}"#)),
        ("garbage-empty", Script::json("")),
        ("garbage-half", Script::json(r#"{"choices":["#)),
        (
            "garbage-binary",
            Script::raw(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: 4\r\n\r\n\xff\xfe\x00\x01",
            ),
        ),
        (
            "garbage-stream",
            Script::answer("text/event-stream", "data: {}\n\ndata: [DONE]\n\n"),
        ),
    ] {
        println!("{marker}");
        scripted().on(marker, script);
        assert_error(
            &ask(&chat("tide-scripted", marker)),
            server_error(502, "upstream_garbage"),
        );
    }
}

#[test]
fn garbage_instead_of_a_stream_is_a_bad_gateway() {
    for (marker, script) in [
        ("garbage-not-sse", Script::answer("text/html", "<h1>It works!</h1>")),
        ("garbage-data", Script::stream().then("data: not JSON\n\n")),
        ("garbage-done-only", Script::stream().then("data: [DONE]\n\n")),
        ("garbage-bytes", Script::stream().then(b"data: \xff\xfe\x00\x01\n\n")),
        ("garbage-list-data", Script::stream().then("data: [1]\n\n")),
    ] {
        println!("{marker}");
        scripted().on(marker, script);
        assert_error(
            &ask(&chat_stream("tide-scripted", marker)),
            server_error(502, "upstream_garbage"),
        );
    }
}

#[test]
fn an_answer_that_is_too_large_is_the_fault_of_who_asked_for_it() {
    let text = "x".repeat(300_000);
    let pieces = (0..10).fold(Script::stream(), |script, _| script.then(chunk(&text[..250_000])));
    let whole = json!({"choices": [{"message": {"content": text.repeat(8)}}]}).to_string();
    for (marker, script) in [
        ("large-event", Script::stream().then(chunk(&text))),
        ("large-whole", Script::json(&whole)),
        ("large-together", pieces),
    ] {
        println!("{marker}");
        scripted().on(marker, script);
        let response = ask(&chat("tide-scripted", marker));
        assert_error(&response, invalid_request(400, None, Some("answer_too_large")));
        assert_eq!(response.header("x-should-retry"), Some("false"));
        assert_eq!(scripted().seen(marker).len(), 1, "it is asked once");
    }
}

#[test]
fn a_broken_connection_is_a_bad_gateway() {
    for (marker, script) in [
        ("broken-at-once", Script::raw("")),
        ("broken-not-http", Script::raw("SSH-2.0-OpenSSH_9.7\r\n")),
        ("broken-in-head", Script::raw("HTTP/1.1 200 OK\r\ncontent-ty")),
        (
            "broken-in-body",
            Script::raw("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{\"a\":"),
        ),
    ] {
        println!("{marker}");
        scripted().on(marker, script);
        let response = ask(&chat("tide-scripted", marker));
        assert_eq!(response.status, 502, "{marker}: {}", response.text());
        assert_error_object(&response.json()["error"]);
    }
}

#[test]
fn a_connection_that_the_engine_has_closed_is_not_used_again() {
    let answer = r#"{"choices":[]}"#;
    let kept_alive = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 14\r\n\r\n";
    let upstream = SHARED.scripted("forgetful");
    let closes = Script::raw(kept_alive).then(answer).wait(50).close();
    upstream.on("closed-while-idle", closes);
    for number in 0..3 {
        let response = ask(&chat("tide-forgetful", "closed-while-idle"));
        assert_eq!(response.status, 200, "{}", response.text());
        eventually("the gateway has learnt of it", || {
            let seen = upstream.seen("closed-while-idle");
            seen.get(number).is_some_and(|seen| seen.left_at.is_some())
        });
    }
    assert_eq!(upstream.seen("closed-while-idle").len(), 3);
}

#[test]
fn a_stream_that_ends_before_it_began_is_a_bad_gateway() {
    for (marker, script) in [
        ("broken-no-events", Script::stream()),
        ("broken-no-sense", Script::stream().then(b"\xff\xfe\x00\x01\n\n\n\n")),
        ("broken-first-event", Script::stream().then("data: {\"choices\":[")),
    ] {
        println!("{marker}");
        scripted().on(marker, script);
        assert_error(
            &ask(&chat_stream("tide-scripted", marker)),
            server_error(502, "upstream_unreachable"),
        );
    }
}

#[test]
fn what_an_engine_says_about_a_wrong_request_passes_and_is_not_tried_again() {
    let words = r#"{"error":{"message":"max_tokens is too large: 9","type":"BadRequestError","param":"max_tokens","code":400}}"#;
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{words}",
        words.len()
    );
    scripted().on("rejected-by-engine", Script::raw(answer));
    let response = ask(&chat("tide-scripted", "rejected-by-engine"));
    assert_eq!((response.status, response.text()), (400, words));
    assert_eq!(scripted().seen("rejected-by-engine").len(), 1);
}

#[test]
fn other_shapes_of_a_rejection_are_put_into_the_apis() {
    let words = r#"{"object":"error","message":"temperature must be at most 2"}"#;
    let answer = format!(
        "HTTP/1.1 422 Unprocessable\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{words}",
        words.len()
    );
    scripted().on("rejected-otherwise", Script::raw(answer));
    let response = ask(&chat("tide-scripted", "rejected-otherwise"));
    assert_eq!(response.status, 422, "{}", response.text());
    assert_error_object(&response.json()["error"]);
    assert!(response.text().contains("temperature must be at most 2"));
}

#[test]
fn another_replica_answers_when_one_fails() {
    for (name, fault) in [
        ("status 503", Fault::Status(503)),
        ("status 429", Fault::Status(429)),
        ("out of memory", Fault::OutOfMemory),
        ("a reset", Fault::Refuse),
        ("a hang", Fault::Hang),
    ] {
        for body in [
            chat("tide-pair", &format!("retry after {name}")),
            chat_stream("tide-pair", &format!("stream after {name}")),
        ] {
            let text = body["messages"][0]["content"].as_str().expect("text");
            assert_eq!(ask(&body).status, 200);
            let first = replica_that_saw(text);
            SHARED.engine(first).fault(text, fault);
            let response = ask(&body);
            assert_eq!(response.status, 200, "{}", response.text());
            assert_served(&response);
            let other = if first == "eu-1" { "eu-2" } else { "eu-1" };
            assert_eq!(
                SHARED.engine(other).requests(text).len(),
                1,
                "{name}: the other replica was asked"
            );
        }
    }
}

#[test]
fn a_stream_that_failed_before_its_first_event_is_served_by_another_replica() {
    let body = chat_stream("tide-pair", "fails before the first event");
    ask_stream(&body);
    let first = replica_that_saw("fails before the first event");
    SHARED
        .engine(first)
        .fault("fails before the first event", Fault::StreamError(0));
    let (_, stream) = ask_stream(&body);
    assert!(stream.done && stream.error().is_none(), "{stream:?}");
}

#[test]
fn a_replica_that_keeps_failing_is_left_alone_until_it_has_recovered() {
    let engine = AWAY.engine("fragile-1");
    engine.fault("failing again", Fault::Status(500));
    // What a failed attempt says of its replica is noted while its error is already on the way to the client.
    eventually("the breaker opens", || {
        ask_away("tide-fragile", "failing again").status == 503
    });
    assert!(
        (2..5).contains(&engine.requests("failing again").len()),
        "it opens after two failures"
    );
    let refused = ask_away("tide-fragile", "after it failed");
    assert_error(
        &refused,
        Expected {
            status: 503,
            kind: "server_error",
            param: None,
            code: Some("overloaded"),
        },
    );
    let wait: u64 = refused
        .header("retry-after")
        .expect("how long to wait")
        .parse()
        .expect("in whole seconds");
    assert!((1..=2).contains(&wait), "{wait}");
    assert!(
        engine.requests("after it failed").is_empty(),
        "an open breaker lets nothing through"
    );
    thread::sleep(Duration::from_secs(wait));
    // Chunks that say nothing are held back, so that the engine has to say a token before it stalls.
    engine.fault("a long answer", Fault::Stall(2));
    let probe = chat_stream("tide-fragile", "a long answer").to_string();
    let mut probe = post_chat(probe).open(AWAY.gateway.address());
    probe.read_until("data:");
    let begun = Instant::now();
    eventually("the breaker is closed", || {
        ask_away("tide-fragile", "meanwhile").status == 200
    });
    let took = begun.elapsed();
    assert!(
        took < Duration::from_millis(2_000),
        "the answer ends a second after it has begun, and not well: {took:?}"
    );
}

fn replica_that_saw(text: &str) -> &'static str {
    let saw = |replica: &&str| !SHARED.engine(replica).requests(text).is_empty();
    ["eu-1", "eu-2"].into_iter().find(saw).expect("a replica saw it")
}

fn assert_served(response: &Response) {
    assert!(
        response.text().contains("choices") && !response.text().contains("\"error\""),
        "{}",
        response.text()
    );
}

/// A stream long enough to fail in its middle.
fn long(model: &str, text: &str) -> serde_json::Value {
    with(chat_stream(model, text), json!({"max_tokens": 64}))
}

fn server_error(status: u16, code: &'static str) -> Expected {
    Expected {
        status,
        kind: "server_error",
        param: None,
        code: Some(code),
    }
}
