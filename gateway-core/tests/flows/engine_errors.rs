//! Errors that engines tell of inside answers, and how streams end that they do not end as they should: whose fault it is,
//! what the log says of it, and what breakers hear.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Request;
use tidegate_core::observe::{Level, Sink};

use crate::world::{Piece, Reaction, World};
use crate::{CHAT, chat, done, event, header, host, sse, streaming, usage, world};

const TOO_LONG: &str = r#"{"error":{"message":"The input is longer than the model's context","code":400}}"#;

fn data(json: &str) -> Piece {
    Piece::Text(format!("data: {json}\n\n"))
}

fn role() -> Piece {
    data(
        r#"{"model":"org/big","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#,
    )
}

fn finish(reason: &str) -> Piece {
    data(&format!(
        r#"{{"model":"org/big","choices":[{{"index":0,"delta":{{}},"finish_reason":"{reason}"}}]}}"#
    ))
}

fn says(request: &Request<bytes::Bytes>, text: &str) -> bool {
    String::from_utf8_lossy(request.body()).contains(text)
}

/// The lines that the gateway logs, warnings only.
fn logged(world: &World) -> Arc<Mutex<Vec<String>>> {
    let lines = Arc::<Mutex<Vec<_>>>::default();
    let written = Arc::clone(&lines);
    world.gateway.set_sink(Sink::new(Level::Warn, move |record| {
        written.lock().unwrap().push(record.to_string());
    }));
    lines
}

#[test]
fn a_clients_own_fault_inside_a_stream_asks_no_other_replica_and_opens_no_breaker() {
    let mut world = world(|request| {
        if says(request, "gpt") {
            sse(vec![role(), data(TOO_LONG), done()])
        } else {
            sse(vec![event("a"), done()])
        }
    });
    for number in 1..=10 {
        let body = chat("gpt", true).replace("\"he\"", "\"gpt\"");
        let response = world.post(CHAT, &body);
        assert_eq!((response.status().as_u16(), world.sent().len()), (400, number));
        let text = world.rest(response.into_body());
        assert!(text.contains("longer than the model's context"), "{text}");
    }
    let response = world.post(CHAT, &chat("big", true));
    assert_eq!(header(&response, "x-tidegate-cluster"), "near");
    assert_eq!(world.in_flight("near"), 1);
}

#[test]
fn a_clients_own_fault_behind_the_first_event_ends_the_stream_and_opens_no_breaker() {
    let mut world = world(|_| sse(vec![event("a"), data(TOO_LONG), done()]));
    for _ in 0..10 {
        let response = world.post(CHAT, &chat("big", true));
        assert_eq!(header(&response, "x-tidegate-cluster"), "near");
        let text = world.rest(response.into_body());
        assert!(
            text.contains("longer than the model's context") && !text.contains("[DONE]"),
            "{text}"
        );
    }
}

#[test]
fn an_error_behind_a_chunk_that_says_nothing_fails_over() {
    let mut world = world(|request| {
        if host(request) == "near-a" {
            sse(vec![
                role(),
                role(),
                Piece::Wait(Duration::from_secs(1)),
                data(r#"{"error":{"message":"oom","code":500}}"#),
            ])
        } else {
            sse(vec![role(), Piece::Wait(Duration::from_secs(1)), event("a"), done()])
        }
    });
    for _ in 0..3 {
        let response = world.post(CHAT, &chat("big", true));
        assert_eq!(response.status(), 200);
        let text = world.rest(response.into_body());
        assert!(text.ends_with("data: [DONE]\n\n") && !text.contains("error"), "{text}");
        assert_eq!(text.matches("assistant").count(), 1, "{text}");
        assert!(text.find("assistant") < text.find("\"a\""), "{text}");
    }
}

#[test]
fn an_answer_that_the_engine_gave_up_on_is_never_told_as_complete() {
    for reason in ["abort", "error"] {
        let mut world = world(move |_| sse(vec![event("a"), finish(reason), usage(), done()]));
        let response = world.post(CHAT, &chat("big", true));
        let text = world.rest(response.into_body());
        assert!(text.contains("upstream_error") && !text.contains("[DONE]"), "{text}");
        let whole = format!(r#"{{"choices":[{{"message":{{"content":"a"}},"finish_reason":"{reason}"}}]}}"#);
        let mut world = crate::world(move |request| {
            let is_first = host(request) == "near-a";
            let body = if is_first {
                whole.clone()
            } else {
                whole.replace(reason, "stop")
            };
            Reaction::Answer(200, "application/json", vec![Piece::Text(body)])
        });
        for _ in 0..3 {
            let response = world.post(CHAT, &chat("big", false));
            let text = world.rest(response.into_body());
            assert!(text.contains("\"stop\""), "{text}");
        }
    }
}

#[test]
fn a_stream_that_finished_is_whole_however_it_ends() {
    for ending in [
        vec![],
        vec![usage()],
        vec![Piece::Text("data: [DONE]".to_owned())],
        vec![Piece::Text("data: [DONE] \n".to_owned()), Piece::Text(" \n".to_owned())],
    ] {
        let mut world = world(move |_| {
            let mut pieces = vec![event("a"), finish("stop")];
            pieces.extend(ending.iter().cloned());
            sse(pieces)
        });
        let response = world.post(CHAT, &chat("big", true));
        let text = world.rest(response.into_body());
        assert!(
            text.contains("\"stop\"") && text.ends_with("data: [DONE]\n\n"),
            "{text}"
        );
        assert_eq!(text.matches("[DONE]").count(), 1, "{text}");
        assert!(!text.contains("error"), "{text}");
    }
}

#[test]
fn what_was_held_back_goes_out_before_the_error_that_ends_the_stream() {
    let stall = Piece::Wait(Duration::from_secs(31));
    for ending in [
        vec![Piece::Break],
        vec![stall],
        vec![data("{\"error\":\"boom\"}")],
        vec![data("nonsense")],
    ] {
        let mut world = world(move |_| {
            let mut pieces = vec![event("a"), finish("stop")];
            pieces.extend(ending.iter().cloned());
            sse(pieces)
        });
        let response = world.post(CHAT, &chat("big", true));
        let text = world.rest(response.into_body());
        let events: Vec<_> = text.split("\n\n").filter(|event| event.starts_with("data")).collect();
        assert!(
            events[1].contains("\"stop\"") && events[2].contains("\"error\""),
            "{text}"
        );
        assert_eq!(events.len(), 3, "{text}");
    }
}

#[test]
fn comments_are_no_progress() {
    let mut pieces = vec![event("a")];
    for _ in 0..100 {
        pieces.push(Piece::Wait(Duration::from_secs(1)));
        pieces.push(Piece::Text(": keepalive\n\ndata:\n\n".to_owned()));
    }
    let mut world = world(move |_| sse(pieces.clone()));
    let mut body = streaming(world.post(CHAT, &chat("big", true)));
    let begun = tidegate_core::platform::Platform::now(&world.platform);
    let rest: Vec<_> = std::iter::from_fn(|| world.next(&mut body)).collect();
    assert!(rest.concat().contains("upstream_timeout"), "{rest:?}");
    let after = tidegate_core::platform::Platform::now(&world.platform).since(begun);
    assert!((29..=31).contains(&after.as_secs()), "{after:?}");
    assert_eq!(world.in_flight("near"), 0);
}

#[test]
fn a_log_tells_an_engines_error_in_its_words_and_each_reason_once() {
    let oom = r#"{"error":{"message":"CUDA out of memory, got 'the prompt'","code":502}}"#;
    for (reaction, expected) in [
        (
            sse(vec![data(oom)]),
            "error=in_band: the engine reported an error inside its answer (502: CUDA out of memory, got …)",
        ),
        (
            Reaction::Answer(200, "text/html; charset=utf-8", vec![]),
            "error=garbage: the engine's answer is not understood (unexpected content type `text/html; charset=utf-8`)",
        ),
        (
            sse(vec![data("nonsense")]),
            "error=garbage: the engine's answer is not understood (not the JSON of an answer)",
        ),
        (
            sse(vec![data(TOO_LONG)]),
            "error=rejected: the engine rejected the request with status 400 (400: The input is longer than the model's context)",
        ),
    ] {
        let mut world = world(move |_| reaction.clone());
        let lines = logged(&world);
        let response = world.post(CHAT, &chat("big", true));
        let text = world.rest(response.into_body());
        let lines = lines.lock().unwrap();
        assert!(
            lines[0].starts_with("attempt failed") && lines[0].ends_with(expected),
            "{lines:#?}"
        );
        assert!(!text.contains("CUDA") && !text.contains("text/html"), "{text}");
    }
}
