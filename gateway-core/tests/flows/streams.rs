use std::time::Duration;

use crate::world::{Piece, Reaction};
use crate::{CHAT, chat, chunk, done, event, header, sse, streaming, usage, world};

#[test]
fn chunks_pass_with_the_public_name_and_without_the_usage_that_nobody_asked_for() {
    let mut world = world(|_| sse(vec![event("a"), event("b"), usage(), done()]));
    let response = world.post(CHAT, &chat("big", true));
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "content-type"), "text/event-stream");
    assert_eq!(header(&response, "x-tidegate-cluster"), "near");
    assert_eq!(header(&response, "x-tidegate-tier"), "0");
    let text = world.rest(response.into_body()).replace("\"big\"", "\"org/big\"");
    assert_eq!(
        text,
        format!("data: {}\n\ndata: {}\n\ndata: [DONE]\n\n", chunk("a"), chunk("b"))
    );
    let (_, body) = &world.sent()[0];
    assert!(
        body.contains(r#""model":"org/big""#) && body.contains(r#""include_usage":true"#),
        "{body}"
    );
    assert_eq!(world.in_flight("near"), 0);
}

#[test]
fn the_time_to_first_token_is_that_of_streams_alone() {
    let whole = Piece::Text(r#"{"choices":[]}"#.to_owned());
    let mut world = world(move |request| {
        if String::from_utf8_lossy(request.body()).contains("\"stream\":true") {
            sse(vec![event("a"), done()])
        } else {
            Reaction::Answer(200, "application/json", vec![whole.clone()])
        }
    });
    for stream in [true, false, false] {
        let response = world.post(CHAT, &chat("big", stream));
        world.rest(response.into_body());
    }
    let metrics = world.metrics();
    for (name, count) in [("time_to_first_token", 1), ("whole_answer", 2)] {
        let line = format!("tidegate_{name}_seconds_count{{cluster=\"near\",model=\"big\"}} {count}\n");
        assert!(metrics.contains(&line), "{metrics}");
    }
}

#[test]
fn what_was_expected_stands_beside_the_time_to_first_token() {
    let mut world = world(|_| sse(vec![Piece::Wait(Duration::from_millis(400)), event("a"), done()]));
    // About 2,000 tokens, of which the cluster computes 10,000 in a second.
    let prompt = chat("big", true).replace("\"he\"", &format!("\"{}\"", "told ".repeat(1_600)));
    let response = world.post(CHAT, &prompt);
    world.rest(response.into_body());
    let metrics = world.metrics();
    let sum = |name: &str| -> f64 {
        let name = format!("tidegate_time_to_first_token_{name}_sum{{cluster=\"near\",model=\"big\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
        line.expect("it is told").parse().unwrap()
    };
    assert!((0.39..0.42).contains(&sum("seconds")), "{metrics}");
    assert!((0.15..0.22).contains(&sum("expected_seconds")), "{metrics}");
    assert!((1.8..2.7).contains(&sum("ratio")), "{metrics}");
}

#[test]
fn nothing_is_sent_before_the_first_good_event_but_heartbeats_once_committed() {
    let mut world = world(|_| sse(vec![Piece::Wait(Duration::from_secs(30)), event("late"), done()]));
    let before = tidegate_core::platform::Platform::now(&world.platform);
    let response = world.post(CHAT, &chat("big", true));
    let waited = tidegate_core::platform::Platform::now(&world.platform).since(before);
    assert_eq!(waited, Duration::from_secs(10), "the early commit");
    assert_eq!(header(&response, "x-tidegate-cluster"), "", "nobody knows yet");
    let text = world.rest(response.into_body());
    let expected = ": waiting for an engine\n\n: keepalive\n\n: tidegate cache=bypass cluster=near model=big tier=0 prompt_tokens=12;estimated replica=";
    assert!(text.starts_with(expected), "{text}");
    assert!(text.ends_with("data: [DONE]\n\n"));
}

#[test]
fn a_quiet_stream_is_kept_alive_and_its_permit_too() {
    let quiet = || Piece::Wait(Duration::from_secs(25));
    let mut world = world(move |_| {
        sse(vec![
            event("a"),
            quiet(),
            event("b"),
            quiet(),
            event("c"),
            quiet(),
            done(),
        ])
    });
    let mut body = streaming(world.post(CHAT, &chat("big", true)));
    for expected in ["\"a\"", ": keepalive", "\"b\"", ": keepalive", "\"c\""] {
        let piece = world.next(&mut body).unwrap();
        assert!(piece.contains(expected), "{piece}");
        assert_eq!(world.in_flight("near"), 1);
    }
    assert_eq!(world.next(&mut body).as_deref(), Some(": keepalive\n\n"));
    assert_eq!(world.next(&mut body).as_deref(), Some("data: [DONE]\n\n"));
    assert_eq!(world.next(&mut body), None);
    assert_eq!(world.in_flight("near"), 0);
}

#[test]
fn what_breaks_off_ends_with_an_error_and_no_done() {
    let stall = Piece::Wait(Duration::from_secs(31));
    for (ending, code) in [
        (vec![], "upstream_unreachable"),
        (vec![Piece::Break], "upstream_unreachable"),
        (vec![stall, event("b"), done()], "upstream_timeout"),
        (
            vec![Piece::Text("data: {\"error\":{\"message\":\"oom\"}}\n\n".to_owned())],
            "upstream_error",
        ),
        (
            vec![Piece::Text("data: garbage\n\n".to_owned()), done()],
            "upstream_garbage",
        ),
        (
            vec![Piece::Text(format!("data: {}\n\n", "x".repeat(1 << 21)))],
            "answer_too_large",
        ),
    ] {
        let mut world = world(move |_| {
            let mut pieces = vec![event("a")];
            pieces.extend(ending.iter().cloned());
            sse(pieces)
        });
        let response = world.post(CHAT, &chat("big", true));
        let text = world.rest(response.into_body());
        let last = text.trim_end().rsplit("\n\n").next().unwrap().to_owned();
        assert!(
            last.starts_with("data: {\"error\":{\"message\"") && last.contains(code),
            "{code}: {text}"
        );
        assert!(text.contains("\"a\"") && !text.contains("[DONE]"), "{text}");
        assert_eq!(world.in_flight("near"), 0);
    }
}

#[test]
fn good_chunks_go_out_before_the_error_that_came_with_them() {
    let mut world = world(|_| {
        sse(vec![Piece::Text(format!(
            "data: {}\n\ndata: {}\n\ndata: nonsense\n\n",
            chunk("a"),
            chunk("b")
        ))])
    });
    let response = world.post(CHAT, &chat("big", true));
    assert_eq!(response.status(), 200);
    let text = world.rest(response.into_body());
    assert!(text.contains("\"b\"") && text.contains("upstream_garbage"), "{text}");
}

#[test]
fn a_client_that_reads_slowly_is_not_taken_for_a_silent_engine() {
    let mut world = world(|_| {
        sse(vec![
            event("a"),
            Piece::Wait(Duration::from_secs(1)),
            event("b"),
            done(),
        ])
    });
    let mut body = streaming(world.post(CHAT, &chat("big", true)));
    world.next(&mut body);
    world.pass(Duration::from_secs(300));
    let rest: Vec<_> = std::iter::from_fn(|| world.next(&mut body))
        .filter(|piece| !piece.starts_with(':'))
        .collect();
    assert!(rest.concat().ends_with("data: [DONE]\n\n"), "{rest:?}");
    assert_eq!(world.in_flight("near"), 0);
}

#[test]
fn a_whole_answer_is_edited_like_a_chunk() {
    let answer = r#"{ "model":"org/big","usage":{"prompt_tokens":1,"completion_tokens":2}, "choices":[],"x":1.0}"#;
    let mut world = world(move |_| Reaction::Answer(200, "application/json", vec![Piece::Text(answer.to_owned())]));
    let response = world.post(CHAT, &chat("gpt", false));
    assert_eq!(world.rest(response.into_body()), answer.replace("org/big", "big"));
    assert_eq!(world.in_flight("near"), 0);
}

#[test]
fn a_stop_ends_streams_with_an_error() {
    let mut world = world(|_| {
        sse(vec![
            event("a"),
            Piece::Wait(Duration::from_secs(20)),
            event("b"),
            done(),
        ])
    });
    let mut body = streaming(world.post(CHAT, &chat("big", true)));
    world.next(&mut body);
    world.gateway.stop();
    let last = world.next(&mut body).unwrap();
    assert!(last.contains("shutting_down"), "{last}");
    assert_eq!(world.next(&mut body), None);
    assert_eq!(world.in_flight("near"), 0);
}
