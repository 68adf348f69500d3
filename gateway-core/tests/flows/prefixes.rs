//! What a request asks of the index of prefixes, what it tells it, and how long it waits.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use serde_json::json;
use tidegate_core::Body;

use crate::world::{Piece, Reaction, World};
use crate::{CHAT, chat, config, header};

/// A conversation of so many turns that begins with that word; about 2,000 tokens, and few more with each turn.
fn turns(word: &str, count: usize) -> String {
    let long = word.repeat(8_000 / word.len());
    let mut messages = vec![json!({"role": "user", "content": long})];
    for _ in 1..count {
        messages.push(json!({"role": "assistant", "content": "Yes."}));
        messages.push(json!({"role": "user", "content": "And then?"}));
    }
    json!({"model": "big", "messages": messages}).to_string()
}

fn whole(prompt: u64, cached: Option<u64>) -> Reaction {
    let details = cached.map(|cached| json!({"cached_tokens": cached}));
    let usage = json!({"prompt_tokens": prompt, "completion_tokens": 1, "prompt_tokens_details": details});
    let body = json!({"model": "org/big", "choices": [{"message": {"content": "a"}}], "usage": usage});
    Reaction::Answer(200, "application/json", vec![Piece::Text(body.to_string())])
}

/// The first prompt that an engine gets fails; so the one behind it is served where its key does not lead.
fn first_fails() -> impl Fn(&Request<Bytes>) -> Reaction + 'static {
    let is_first = Cell::new(true);
    move |request| {
        if request.method() == Method::POST && is_first.take() {
            Reaction::Answer(500, "application/json", vec![Piece::Text("{}".to_owned())])
        } else {
            whole(2_000, None)
        }
    }
}

/// Asks, and lets what goes on behind requests' backs come to its end.
fn ask(world: &mut World, body: &str) -> Response<Body> {
    let response = world.post(CHAT, body);
    assert_eq!(response.status(), 200);
    world.pass(Duration::from_millis(100));
    response
}

fn lookups(world: &mut World, outcome: &str) -> u64 {
    figure(
        world,
        &format!("tidegate_prefix_index_lookups_total{{outcome=\"{outcome}\"}}"),
    )
}

fn writes(world: &mut World, outcome: &str) -> u64 {
    figure(
        world,
        &format!("tidegate_prefix_index_writes_total{{outcome=\"{outcome}\"}}"),
    )
}

fn waits(world: &mut World, outcome: &str) -> u64 {
    figure(
        world,
        &format!("tidegate_prefix_index_waits_total{{outcome=\"{outcome}\"}}"),
    )
}

fn figure(world: &mut World, name: &str) -> u64 {
    let metrics = world.metrics();
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    line.map_or(0, |figure| figure.trim().parse().unwrap())
}

#[test]
fn what_goes_where_its_key_leads_costs_a_read_and_no_write() {
    let mut world = World::new(&config(), |_| whole(2_000, None));
    ask(&mut world, &chat("big", false));
    let before = world.store_reads();
    ask(&mut world, &turns("a", 1));
    assert_eq!(world.store_reads(), before, "a first turn finds nothing");
    for count in 2..6 {
        ask(&mut world, &turns("a", count));
    }
    ask(&mut world, &chat("big", false));
    assert_eq!(world.store_reads() - before, 1);
    assert_eq!(
        (lookups(&mut world, "absent"), lookups(&mut world, "remembered")),
        (1, 3)
    );
    assert_eq!(writes(&mut world, "taken"), 0);
}

/// Also when the cell has forgotten where the conversation was: without the index it goes where its key leads.
#[test]
fn an_exception_is_found_by_a_gateway_that_never_saw_it() {
    for has_index in [true, false] {
        let config = format!("{}\n[prefixes]\nindex = {has_index}\n", config());
        let mut world = World::new(&config, first_fails());
        ask(&mut world, &turns("a", 1));
        let first = ask(&mut world, &turns("a", 2));
        world.pass(Duration::from_secs(60));
        world.restart_cell("near");
        let elsewhere = world.another(&config);
        let request = Request::post(CHAT).header("authorization", "Bearer key");
        let serving = elsewhere.serve(request, &turns("a", 3));
        let response = world.run(serving);
        let [before, now] = [&first, &response].map(|response| header(response, "x-tidegate-replica"));
        assert_eq!(before == now, has_index);
        let expected: u64 = header(&response, "x-tidegate-cached-tokens").parse().unwrap();
        // Half of it is expected where nothing is known, and no engine has reported how far that holds.
        let range = if has_index { 1_500..2_000 } else { 750..1_000 };
        assert!(range.contains(&expected), "{expected}");
    }
}

#[test]
fn another_tenant_finds_nothing_of_it() {
    let mut world = World::new(&config(), first_fails());
    ask(&mut world, &turns("a", 1));
    assert_eq!(writes(&mut world, "taken"), 0, "most never come back");
    ask(&mut world, &turns("a", 2));
    assert_eq!(writes(&mut world, "taken"), 1);
    let response = world.post_as("eu-key", CHAT, &turns("a", 2));
    assert_eq!(response.status(), 200);
    assert_eq!((lookups(&mut world, "absent"), lookups(&mut world, "found")), (2, 0));
}

#[test]
fn a_row_is_waited_for_a_moment_and_remembered_when_it_comes() {
    let mut world = World::new(&config(), |_| whole(2_000, None));
    ask(&mut world, &chat("big", false));
    world.delay_store(Duration::from_millis(500));
    let before = world.now();
    let response = world.post(CHAT, &turns("a", 2));
    assert_eq!(
        (response.status().as_u16(), world.now().since(before)),
        (200, Duration::from_millis(10))
    );
    assert_eq!(waits(&mut world, "late"), 1);
    world.pass(Duration::from_millis(500));
    ask(&mut world, &turns("a", 3));
    assert_eq!(
        (lookups(&mut world, "absent"), lookups(&mut world, "remembered")),
        (1, 1)
    );
    assert_eq!(waits(&mut world, "late"), 1);
}

#[test]
fn a_store_that_is_gone_or_refuses_writes_is_done_without() {
    let mut world = World::new(&config(), first_fails());
    // The configuration has been read before.
    world.post_as("nobody's", CHAT, "{}");
    world.fail_store(true);
    ask(&mut world, &turns("a", 1));
    ask(&mut world, &turns("a", 2));
    assert_eq!(lookups(&mut world, "failed"), 1);
    assert_eq!(writes(&mut world, "refused"), 1);
}

#[test]
fn rows_that_are_seen_late_change_nothing() {
    let mut world = World::new(&config(), first_fails());
    world.delay_sight_of_store(Duration::from_secs(60));
    ask(&mut world, &turns("a", 1));
    let elsewhere = world.another(&config());
    for _ in 0..3 {
        let serving = elsewhere.serve(
            Request::post(CHAT).header("authorization", "Bearer key"),
            &turns("a", 2),
        );
        assert_eq!(world.run(serving).status(), 200);
        world.pass(Duration::from_secs(11));
    }
}

#[test]
fn without_an_index_nothing_is_read_or_written() {
    let config = format!("{}\n[prefixes]\nindex = false\n", config());
    let mut world = World::new(&config, first_fails());
    ask(&mut world, &turns("a", 1));
    let before = world.store_reads();
    ask(&mut world, &turns("a", 2));
    assert_eq!(world.store_reads(), before);
    assert_eq!(writes(&mut world, "taken"), 0);
}

#[test]
fn answers_tell_the_replica_and_how_warm_the_prompt_was() {
    let mut world = World::new(&config(), |_| whole(2_000, Some(1_500)));
    let first = ask(&mut world, &turns("a", 1));
    let second = ask(&mut world, &turns("a", 2));
    let [one, other] = [&first, &second].map(|response| header(response, "x-tidegate-replica"));
    assert_eq!((one.len(), one), (8, other));
    assert_eq!(header(&first, "x-tidegate-cached-tokens"), "0/1500");
    let (expected, cached) = header(&second, "x-tidegate-cached-tokens").split_once('/').unwrap();
    assert!(expected.parse::<u64>().unwrap() > 1_000, "{expected}");
    assert_eq!(cached, "1500");
    let figure = |world: &mut World, name: &str| -> u64 {
        let metrics = world.metrics();
        let lines = metrics.lines().filter(|line| line.starts_with(name));
        lines
            .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
            .sum()
    };
    assert_eq!(figure(&mut world, "tidegate_prefix_hit_tokens_total{"), 3_000);
    assert_eq!(figure(&mut world, "tidegate_prefix_prompt_tokens_total{"), 4_000);
}

/// What a request finds that another one has found out: the replica has begun anew.
#[test]
fn one_conversation_finds_out_that_a_replica_has_lost_its_memory_for_all_others() {
    let has_restarted = Rc::new(Cell::new(false));
    let is_cold = Rc::clone(&has_restarted);
    let mut world = World::new(&config(), move |_| {
        whole(2_000, Some(if is_cold.get() { 0 } else { 1_900 }))
    });
    let one = header(&ask(&mut world, &turns("a", 1)), "x-tidegate-replica").to_owned();
    let mut words = ["b", "c", "d", "e", "f", "g", "h", "i"].into_iter();
    let other = words.find(|word| header(&ask(&mut world, &turns(word, 1)), "x-tidegate-replica") == one);
    let other = other.expect("one of them goes to the same replica");
    let expected = |world: &mut World, word, count| {
        let response = ask(world, &turns(word, count));
        let told = header(&response, "x-tidegate-cached-tokens");
        told.split_once('/').unwrap().0.parse::<u64>().unwrap()
    };
    assert!(expected(&mut world, other, 2) > 1_500);
    has_restarted.set(true);
    assert!(expected(&mut world, "a", 2) > 1_500, "nobody knows yet");
    assert!(expected(&mut world, other, 3) <= 1_500, "no more than is presumed");
}

#[test]
fn a_replica_that_refuses_a_connection_is_cold_when_it_comes_back() {
    let is_gone = Rc::new(Cell::new(false));
    let refuses = Rc::clone(&is_gone);
    let mut world = World::new(&config(), move |_| {
        if refuses.take() {
            Reaction::Refuse
        } else {
            whole(2_000, None)
        }
    });
    let first = ask(&mut world, &turns("a", 1));
    is_gone.set(true);
    let second = ask(&mut world, &turns("a", 2));
    let [one, other] = [&first, &second].map(|response| header(response, "x-tidegate-replica"));
    assert_ne!(one, other);
    let third = ask(&mut world, &turns("a", 3));
    assert_eq!(
        header(&third, "x-tidegate-replica"),
        other,
        "and the one that has it is known"
    );
}
