//! What answers are charged where engines report little of what they took, or nothing.

use std::time::Duration;

use serde_json::json;

use crate::budgets::{limited, post, taking, usage};
use crate::world::{Piece, Reaction, World};
use crate::{done, event, sse, streaming};

/// A prompt of so many tokens, of which the gateway is sure.
const PROMPT: u64 = 150;
/// What the engine says, and how the gateway counts it without a table.
const TEXT: &str = "ten words that are written by an engine in stream";

fn report(usage: &str) -> Piece {
    Piece::Text(format!("data: {{\"choices\":[],\"usage\":{usage}}}\n\n"))
}

fn ask(stream: bool) -> String {
    json!({"model": "big", "prompt": vec![7; 150], "max_tokens": 20, "stream": stream}).to_string()
}

fn spent(world: &mut World) -> u64 {
    world.pass(Duration::from_secs(2));
    usage(world)["tokens"]["spent"].as_u64().unwrap()
}

/// What is charged for an answer whose stream has these pieces.
fn charged(pieces: Vec<Piece>) -> u64 {
    let mut world = World::new(&limited("tokens_per_minute = 100_000"), move |_| sse(pieces.clone()));
    let response = post(&mut world, &ask(true));
    world.rest(response.into_body());
    spent(&mut world)
}

/// What the gateway itself counts of prompt and text.
fn counted() -> u64 {
    charged(vec![event(TEXT), done()])
}

#[test]
fn a_report_without_figures_is_none() {
    let counted = counted();
    assert!((PROMPT + 8..PROMPT + 15).contains(&counted), "{counted}");
    for usage in [
        "{}",
        "null",
        r#"{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#,
        r#"{"prompt_tokens":150}"#,
        r#"{"prompt_tokens":150,"completion_tokens":0,"total_tokens":150}"#,
        r#"{"prompt_tokens":"many","completion_tokens":7e300}"#,
    ] {
        assert_eq!(charged(vec![event(TEXT), report(usage), done()]), counted, "{usage}");
    }
}

#[test]
fn a_report_is_believed_under_every_name() {
    for usage in [
        r#"{"prompt_tokens":150,"completion_tokens":5}"#,
        r#"{"input_tokens":150,"output_tokens":5}"#,
        r#"{"prompt_tokens":150,"total_tokens":155}"#,
        r#"{"prompt_tokens":150.0,"completion_tokens":5.0}"#,
        r#"{"completion_tokens":5}"#,
    ] {
        let pieces = vec![event(TEXT), report(usage), done()];
        assert_eq!(charged(pieces), PROMPT + 5, "{usage}");
    }
}

#[test]
fn a_report_at_the_beginning_is_not_all_of_it() {
    let first = || report(r#"{"prompt_tokens":150,"completion_tokens":0}"#);
    assert_eq!(charged(vec![first(), event(TEXT), done()]), counted());
    let early = report(r#"{"prompt_tokens":150,"completion_tokens":2}"#);
    assert_eq!(charged(vec![early, event(TEXT), done()]), counted());
    let last = report(r#"{"completion_tokens":5}"#);
    assert_eq!(charged(vec![first(), event(TEXT), last, done()]), PROMPT + 5);
}

#[test]
fn a_client_that_leaves_is_charged_what_was_counted_where_the_report_so_far_says_less() {
    for (completion, expected) in [(2, counted()), (400, PROMPT + 400)] {
        let chunk = format!(
            r#"{{"choices":[{{"text":"{TEXT}"}}],"usage":{{"prompt_tokens":150,"completion_tokens":{completion}}}}}"#
        );
        let mut world = World::new(&limited("tokens_per_minute = 100_000"), move |_| {
            sse(vec![
                Piece::Text(format!("data: {chunk}\n\n")),
                Piece::Wait(Duration::from_secs(20)),
                done(),
            ])
        });
        let mut body = streaming(post(&mut world, &ask(true)));
        assert!(world.next(&mut body).is_some_and(|piece| piece.contains("ten words")));
        drop(body);
        assert_eq!(spent(&mut world), expected, "{completion}");
    }
}

#[test]
fn whole_answers_without_figures_are_counted() {
    let charged = |usage: &str| {
        let body = format!(r#"{{"choices":[{{"text":"{TEXT}"}}],"usage":{usage}}}"#);
        let mut world = World::new(&limited("tokens_per_minute = 100_000"), move |_| {
            Reaction::Answer(200, "application/json", vec![Piece::Text(body.clone())])
        });
        let response = post(&mut world, &ask(false));
        assert_eq!(response.status(), 200);
        spent(&mut world)
    };
    for usage in ["{}", "null", r#"{"prompt_tokens":150,"completion_tokens":0}"#] {
        assert_eq!(charged(usage), counted(), "{usage}");
    }
    assert_eq!(charged(r#"{"prompt_tokens":150,"total_tokens":155}"#), PROMPT + 5);
}

#[test]
fn a_report_of_one_of_several_answers_is_not_all_of_it() {
    let pieces = |usage: &str| {
        let choice = |index: u32| format!(r#"{{"choices":[{{"index":{index},"text":"{TEXT}"}}]}}"#);
        let texts = [0, 1].map(|index| Piece::Text(format!("data: {}\n\n", choice(index))));
        [&texts[..], &[report(usage), done()]].concat()
    };
    let charged = |body: serde_json::Value, usage: &str| {
        let pieces = pieces(usage);
        let mut world = World::new(&limited("tokens_per_minute = 100_000"), move |_| sse(pieces.clone()));
        let response = post(&mut world, &body.to_string());
        world.rest(response.into_body());
        spent(&mut world)
    };
    let output = counted() - PROMPT;
    let prompts = json!({"model": "big", "prompt": [vec![7; 75], vec![7; 75]], "max_tokens": 20, "stream": true});
    let choices = json!({"model": "big", "prompt": vec![7; 150], "n": 2, "max_tokens": 20, "stream": true});
    for stream in [true, false] {
        let of = |body: &serde_json::Value| {
            let mut body = body.clone();
            body["stream"] = json!(stream);
            body
        };
        // Two texts are rounded up together.
        let both = PROMPT + 2 * output - 1..=PROMPT + 2 * output;
        let of_one = charged(of(&prompts), r#"{"prompt_tokens":75,"completion_tokens":5}"#);
        assert!(both.contains(&of_one), "{of_one}");
        let of_one = charged(of(&choices), r#"{"prompt_tokens":150,"completion_tokens":5}"#);
        assert!(both.contains(&of_one), "{of_one}");
        let of_both = charged(of(&choices), r#"{"prompt_tokens":150,"completion_tokens":90}"#);
        assert_eq!(of_both, PROMPT + 90);
    }
}

#[test]
fn answers_that_are_made_to_choose_from_are_reserved_too() {
    let mut world = World::new(&limited("tokens_per_minute = 1_000"), taking(150, 0, 20));
    for (n, best_of, status) in [(1, 2, 200), (2, 1, 200), (1, 50, 429), (50, 1, 429)] {
        let ask = json!({"model": "big", "prompt": vec![7; 150], "max_tokens": 20, "n": n, "best_of": best_of});
        assert_eq!(post(&mut world, &ask.to_string()).status(), status, "{n} {best_of}");
    }
}
