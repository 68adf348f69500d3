//! What one tenant's prompts teach, for itself and for others.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use serde_json::json;
use tidegate_core::tokens::Scripts;

use crate::budgets::{limited, post, usage};
use crate::world::{Piece, Reaction, World};
use crate::{CHAT, done, event, header, sse, streaming};

const ODD: &str = "zqxj";
/// How many times what is likely an engine makes of odd text.
const TIMES: f64 = 3.0;

/// Engines that report of each prompt what is likely, and more of odd ones.
fn engine(request: &Request<Bytes>) -> Reaction {
    let body = String::from_utf8_lossy(request.body());
    let messages = &body[body.find("[{").expect("messages")..=body.rfind("}]").expect("their end")];
    let likely = Scripts::of(messages.as_bytes()).tokens();
    let times = if body.contains(ODD) { TIMES } else { 1.0 };
    let usage = json!({"prompt_tokens": (likely * times) as u64, "completion_tokens": 2});
    let answer = json!({"model": "org/big", "choices": [], "usage": usage});
    let pieces = vec![Piece::Text(answer.to_string())];
    Reaction::Answer(200, "application/json", pieces)
}

fn chat(word: &str, words: usize) -> String {
    let content = format!("{word} ").repeat(words);
    json!({"model": "big", "messages": [{"role": "user", "content": content}]}).to_string()
}

/// Has a tenant send a prompt, which is counted as the result.
fn counted(world: &mut World, key: &str, body: &str) -> f64 {
    let response = world.post_as(key, CHAT, body);
    let count = header(&response, "x-tidegate-prompt-tokens");
    let count = count.trim_end_matches(";estimated").parse().expect("a count");
    world.pass(Duration::from_secs(1));
    count
}

/// Has the payer send so many odd prompts, and waits until all is told.
fn teach_odd(world: &mut World, prompts: usize, words: usize) {
    for _ in 0..prompts {
        counted(world, "key-of-payer", &chat(ODD, words));
    }
    world.pass(Duration::from_secs(15));
    counted(world, "key-of-payer", &chat(ODD, words));
}

#[test]
fn six_odd_requests_of_one_tenant_move_another_by_less_than_5_percent() {
    for others_before in [0, 40] {
        let mut world = World::new(&limited("tokens_per_minute = 100_000_000"), engine);
        for _ in 0..others_before {
            counted(&mut world, "key", &chat("tide", 100));
        }
        let before = counted(&mut world, "key", &chat("tide", 1_000));
        teach_odd(&mut world, 5, 100_000);
        let after = counted(&mut world, "key", &chat("tide", 1_000));
        assert!((0.95..1.05).contains(&(after / before)), "{before}, then {after}");
    }
}

#[test]
fn a_tenant_is_soon_counted_by_what_its_own_prompts_taught() {
    let mut world = World::new(&limited("tokens_per_minute = 100_000_000"), engine);
    let before = counted(&mut world, "key-of-payer", &chat(ODD, 1_000));
    teach_odd(&mut world, 30, 1_000);
    let after = counted(&mut world, "key-of-payer", &chat(ODD, 1_000));
    assert!(
        (0.9..1.1).contains(&(after / (before * TIMES))),
        "{before}, then {after}"
    );
}

#[test]
fn odd_prompts_of_one_tenant_have_no_prompt_of_another_refused() {
    let mut world = World::new(&limited("tokens_per_minute = 100_000_000"), engine);
    teach_odd(&mut world, 200, 300);
    for sent in 0..40 {
        let response = world.post_as("key", CHAT, &chat("tide", 6_000));
        assert_eq!(response.status(), 200, "after {sent}");
        world.pass(Duration::from_secs(1));
    }
}

#[test]
fn a_stream_left_early_is_charged_by_what_the_tenants_prompts_taught() {
    let said = format!("{ODD} ").repeat(200);
    let text = said.clone();
    let mut world = World::new(&limited("tokens_per_minute = 100_000_000"), move |request| {
        if request.body().starts_with(br#"{"stream":true"#) {
            sse(vec![event(&text), Piece::Wait(Duration::from_secs(5)), done()])
        } else {
            engine(request)
        }
    });
    teach_odd(&mut world, 30, 1_000);
    let spent = |world: &mut World| {
        world.pass(Duration::from_secs(2));
        usage(world)["tokens"]["spent"].as_u64().unwrap() as f64
    };
    let before = spent(&mut world);
    let ask = r#"{"stream":true,"model":"big","prompt":[1,2,3]}"#;
    let mut body = streaming(post(&mut world, ask));
    world.next(&mut body);
    drop(body);
    let charged = spent(&mut world) - before - 3.0;
    let taken = Scripts::of(said.as_bytes()).tokens() * TIMES;
    assert!((0.9..1.1).contains(&(charged / taken)), "{charged} of {taken}");
}

#[test]
fn no_piece_of_a_stream_costs_less_than_a_token() {
    let pieces = || (0..40).map(|_| event("a"));
    let mut world = World::new(&limited("tokens_per_minute = 100_000"), move |_| {
        sse(pieces().chain([Piece::Wait(Duration::from_secs(5)), done()]).collect())
    });
    let ask = r#"{"stream":true,"model":"big","prompt":[1,2,3]}"#;
    let mut body = streaming(post(&mut world, ask));
    for _ in 0..40 {
        world.next(&mut body);
    }
    drop(body);
    world.pass(Duration::from_secs(2));
    assert_eq!(usage(&mut world)["tokens"]["spent"], 43);
}
