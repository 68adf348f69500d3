//! Embeddings pass to the client as they come, however large they are.

use std::cell::Cell;
use std::time::Duration;

use http::{Request, Response};
use serde_json::Value;
use tidegate_core::{Body, BrokenOff};

use crate::budgets::{limited, usage};
use crate::world::{Piece, Reaction, World};
use crate::{header, streaming};

/// Numbers of about 64 KB.
const NUMBERS: usize = 8_000;

fn head(more: &str) -> Piece {
    Piece::Text(format!(
        "{{\"object\":\"list\",{more}\"data\":[{{\"index\":0,\"embedding\":[0"
    ))
}

fn numbers() -> Piece {
    Piece::Text(",-0.0125".repeat(NUMBERS))
}

fn end(more: &str) -> Piece {
    Piece::Text(format!("]}}]{more}}}"))
}

const NAME_AND_USAGE: &str = r#","model":"org/big","usage":{"prompt_tokens":7,"total_tokens":7}"#;

/// An engine that embeds in so many pieces between these.
fn embedding(before: Piece, pieces: usize, after: Vec<Piece>) -> Reaction {
    let numbers = std::iter::repeat_with(numbers).take(pieces);
    let all = std::iter::once(before).chain(numbers).chain(after).collect();
    Reaction::Answer(200, "application/json", all)
}

fn bounded(engine: impl Fn(&Request<bytes::Bytes>) -> Reaction + 'static) -> World {
    let bounds =
        "\n[sizes]\nresponse_body_bytes = 2_048\n\n[breaker]\nfailures = 1\n\n[timeouts]\nwhole_answer_ms = 60_000\n";
    World::new(&(limited("tokens_per_minute = 100_000") + bounds), engine)
}

fn ask(world: &mut World) -> Response<Body> {
    let request = Request::post("/v1/embeddings").header("authorization", "Bearer key-of-payer");
    let serving = world.serving(request, r#"{"model":"big","input":[1,2,3]}"#);
    world.run(serving)
}

fn spent(world: &mut World) -> u64 {
    world.pass(Duration::from_secs(2));
    let usage = usage(world);
    assert_eq!(usage["tokens"]["held"], 0);
    usage["tokens"]["spent"].as_u64().unwrap()
}

#[test]
fn embeddings_of_any_size_pass_with_the_public_name_and_cost_what_the_engine_reports() {
    for (before, after, cost) in [
        ("", NAME_AND_USAGE, 7),
        (r#""usage":{"prompt_tokens":8},"model":"org/big","#, "", 8),
        (r#""model":"org/big","#, "", 3),
    ] {
        let mut world = bounded(move |_| embedding(head(before), 20, vec![end(after)]));
        let response = ask(&mut world);
        assert_eq!(
            (response.status().as_u16(), header(&response, "content-type")),
            (200, "application/json")
        );
        assert_eq!(header(&response, "x-tidegate-cluster"), "near");
        assert!(matches!(response.body(), Body::Stream(_)));
        let text = world.rest(response.into_body());
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(answer["model"], "big");
        assert_eq!(
            answer["data"][0]["embedding"].as_array().unwrap().len(),
            20 * NUMBERS + 1
        );
        assert_eq!(world.in_flight("near"), 0);
        assert_eq!(spent(&mut world), cost);
        assert!(
            world
                .metrics()
                .contains("tidegate_whole_answer_seconds_count{cluster=\"near\",model=\"big\"} 1\n")
        );
    }
}

#[test]
fn embeddings_that_break_off_early_are_asked_for_elsewhere() {
    let asked = Cell::new(0);
    let mut world = bounded(move |_| {
        asked.set(asked.get() + 1);
        if asked.get() == 1 {
            embedding(head(""), 2, vec![Piece::Break])
        } else {
            embedding(head(""), 2, vec![end(NAME_AND_USAGE)])
        }
    });
    let response = ask(&mut world);
    assert_eq!(response.status(), 200);
    let text = world.rest(response.into_body());
    assert!(text.ends_with("\"total_tokens\":7}}"));
    assert_eq!(world.sent().len(), 2);
}

#[test]
fn what_breaks_off_later_breaks_off_at_the_client_and_is_its_replicas_doing() {
    let silence = || Piece::Wait(Duration::from_secs(31));
    for after in [
        vec![Piece::Break],
        vec![],
        vec![silence(), end(NAME_AND_USAGE)],
        (0..9)
            .flat_map(|_| [Piece::Wait(Duration::from_secs(20)), numbers()])
            .collect(),
    ] {
        let mut world = bounded(move |_| embedding(head(""), 8, after.clone()));
        let response = ask(&mut world);
        assert_eq!(response.status(), 200);
        let (text, broken_off) = world.rest_of(response.into_body());
        assert!(
            broken_off == Some(BrokenOff) && text.len() > 400_000,
            "{} bytes",
            text.len()
        );
        assert_eq!(world.in_flight("near"), 0);
        assert!(world.replicas("near").iter().any(|replica| !replica.available));
        assert_eq!(spent(&mut world), 3, "the prompt");
    }
}

#[test]
fn a_client_that_leaves_stops_the_engine_and_pays_for_the_prompt() {
    let wait = Piece::Wait(Duration::from_secs(20));
    let mut world = bounded(move |_| embedding(head(""), 8, vec![wait.clone(), end(NAME_AND_USAGE)]));
    let mut body = streaming(ask(&mut world));
    world.next(&mut body);
    assert_eq!(world.in_flight("near"), 1);
    drop(body);
    assert_eq!((world.in_flight("near"), world.cancelled()), (0, 1));
    assert_eq!(spent(&mut world), 3);
    assert!(world.replicas("near").iter().all(|replica| replica.available));
}

#[test]
fn a_client_that_reads_slowly_is_not_taken_for_a_silent_engine() {
    let mut world = bounded(|_| embedding(head(""), 8, vec![end(NAME_AND_USAGE)]));
    let mut body = streaming(ask(&mut world));
    let mut text = String::new();
    while let Some(piece) = world.next(&mut body) {
        text.push_str(&piece);
        world.pass(Duration::from_secs(40));
    }
    assert!(text.ends_with("\"total_tokens\":7}}"));
    assert_eq!(spent(&mut world), 7);
}
