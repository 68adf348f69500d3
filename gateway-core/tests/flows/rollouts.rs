//! Versions of a model that take over from each other while conversations go on.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use serde_json::{Value, json};
use tidegate_core::Body;
use tidegate_virtual::{CellKind, Edge, Link};

use crate::admin::{ask, assert_conforms};
use crate::hops::config_of_two_hops;
use crate::world::{Piece, Reaction, World};
use crate::{CHAT, config, done, event, header, host, sse};

/// The version `v1` of the model at `near`, and `v2` at `far`, to which it goes in steps of ten minutes.
fn versioned(config: &str) -> String {
    let serving = |cluster: &str| format!("{{ cluster = \"{cluster}\", served_name = \"org/big\"");
    let config = [("near", "v1"), ("far", "v2")]
        .iter()
        .fold(config.to_owned(), |config, (cluster, version)| {
            let with_version = format!("{}, version = \"{version}\"", serving(cluster));
            config.replacen(&serving(cluster), &with_version, 1)
        });
    let rollout = "[[rollouts]]\nmodel = \"gpt\"\nsteps = [10, 50, 100]\nstep_after_ms = 600_000\nmin_requests = 20\n";
    format!("{config}\n{rollout}")
}

/// A turn of a conversation that begins with that name.
fn turn(name: &str, turn: usize) -> String {
    let mut messages = vec![json!({"role": "user", "content": format!("conversation {name}")})];
    for _ in 1..turn {
        messages.push(json!({"role": "assistant", "content": "Yes."}));
        messages.push(json!({"role": "user", "content": "And then?"}));
    }
    json!({"model": "big", "stream": true, "messages": messages}).to_string()
}

fn served(_: &Request<Bytes>) -> Reaction {
    sse(vec![event("a"), done()])
}

/// Engines of which those at `far` do something else.
fn with_far(far: impl Fn() -> Reaction + 'static) -> impl Fn(&Request<Bytes>) -> Reaction + 'static {
    move |request| {
        if host(request).starts_with("far") {
            far()
        } else {
            served(request)
        }
    }
}

fn failing() -> Reaction {
    Reaction::Answer(500, "application/json", vec![Piece::Text("{}".to_owned())])
}

fn version(response: &Response<Body>) -> String {
    assert_eq!(response.status(), 200, "{:?}", response.body());
    header(response, "x-tidegate-version").to_owned()
}

/// Has an answer pass to its end; gives the version that gave it.
fn answered(world: &mut World, body: &str) -> String {
    let response = world.post(CHAT, body);
    let version = version(&response);
    world.rest(response.into_body());
    version
}

fn answered_by(world: &mut World, edge: &Edge, body: &str) -> String {
    let serving = edge.serve(Request::post(CHAT).header("authorization", "Bearer key"), body);
    let response = world.run(serving);
    let version = version(&response);
    world.rest(response.into_body());
    version
}

const PATH: &str = "/admin/v1/rollouts/big";

fn order(world: &mut World, method: &str, body: &str) -> Value {
    let (status, answer) = ask(world, "admin-key", (method, PATH), body);
    assert_eq!(status, 200, "{answer}");
    assert_conforms("/admin/v1/rollouts/{model}", &answer);
    answer
}

fn status(world: &mut World) -> Value {
    order(world, "GET", "")
}

fn start(world: &mut World) {
    let begun = order(world, "POST", r#"{"action": "start", "version": "v2"}"#);
    assert_eq!(begun["in_force_in_s"], 3.0);
    world.pass(Duration::from_secs(4));
}

fn set(world: &mut World, percent: u32) {
    order(world, "PUT", &format!(r#"{{"weights": {{"v2": {percent}}}}}"#));
    world.pass(Duration::from_secs(4));
}

fn weight(status: &Value) -> &Value {
    let versions = status["versions"].as_array().expect("versions");
    let new = versions.iter().find(|version| version["version"] == "v2");
    &new.expect("the new one")["weight"]
}

/// So many new conversations, a second apart; how many were answered by each version's clusters.
fn conversations(world: &mut World, prefix: &str, count: usize) -> (usize, usize) {
    let mut new = 0;
    for index in 0..count {
        new += usize::from(answered(world, &turn(&format!("{prefix}-{index}"), 1)).starts_with("v2"));
        world.pass(Duration::from_secs(1));
    }
    (count - new, new)
}

/// Conversations go on at two gateways that share nothing but cells and store, while the weights go from 0 to 100. Gives how
/// many conversations began on the new version, and how many turns came to another version than the turn before.
fn moved(config: &str, fail_store: bool) -> (usize, usize) {
    let mut world = World::new(config, served);
    let other = world.another(config);
    // Both have read their configuration.
    answered(&mut world, &turn("first", 1));
    answered_by(&mut world, &other, &turn("first", 1));
    world.fail_store(fail_store);
    let mut known: Vec<(String, usize, String)> = Vec::new();
    let (mut began_on_new, mut moved) = (0, 0);
    for (step, percent) in [0, 1, 5, 25, 50, 100].into_iter().enumerate() {
        if percent > 0 {
            set(&mut world, percent);
        }
        for round in 0..2 {
            for index in 0..25 {
                let name = format!("{step}-{round}-{index}");
                let version = answered(&mut world, &turn(&name, 1));
                began_on_new += usize::from(version == "v2");
                known.push((name, 1, version));
            }
            world.pass(Duration::from_secs(5));
            for (index, (name, count, version)) in known.iter_mut().enumerate() {
                *count += 1;
                let body = turn(name, *count);
                let now = if (index + *count) % 2 == 0 {
                    answered(&mut world, &body)
                } else {
                    answered_by(&mut world, &other, &body)
                };
                moved += usize::from(now != *version);
                *version = now;
            }
            world.pass(Duration::from_secs(120));
        }
    }
    assert!((70..115).contains(&began_on_new), "{began_on_new} of {}", known.len());
    (began_on_new, moved)
}

#[test]
fn no_conversation_changes_its_version_while_weights_move() {
    assert_eq!(moved(&versioned(&config()), false).1, 0);
}

/// What began in what a step has moved comes back to the other gateway and is not known there: it goes where the weights
/// before say, and stays. Nothing else moves.
#[test]
fn without_a_store_what_began_by_the_last_weights_may_move_back_once() {
    let (began_on_new, moved) = moved(&versioned(&config()), true);
    assert!(moved > 0 && moved <= began_on_new, "{moved} of {began_on_new}");
}

#[test]
fn weights_come_into_force_at_one_moment_at_all_gateways_that_have_requests() {
    let config = versioned(&config());
    let mut world = World::new(&config, served);
    let other = world.another(&config);
    for ahead_ms in [0, 700, 1_900] {
        set(&mut world, 0);
        let mut versions = Vec::new();
        for number in 0..60 {
            if number == 20 {
                order(&mut world, "PUT", r#"{"weights": {"v2": 100}}"#);
            }
            versions.push(answered(&mut world, &turn(&format!("{ahead_ms}-{number}"), 1)));
            // They ask at moments of their own.
            if number == 0 {
                world.pass(Duration::from_millis(ahead_ms));
            }
            versions.push(answered_by(
                &mut world,
                &other,
                &turn(&format!("{ahead_ms}-{number}-other"), 1),
            ));
            world.pass(Duration::from_millis(100));
        }
        let first = versions
            .iter()
            .position(|version| version == "v2")
            .expect("it comes into force");
        assert!(versions[first..].iter().all(|version| version == "v2"), "{versions:?}");
        assert!((90..110).contains(&first), "{first}");
    }
}

#[test]
fn a_version_that_does_well_takes_over_by_itself() {
    let config = versioned(&config());
    let mut world = World::new(&config, served);
    assert_eq!(conversations(&mut world, "before", 20), (20, 0));
    start(&mut world);
    for (name, expected, next) in [("a", 10, 50), ("b", 50, 100)] {
        let (_, new) = conversations(&mut world, name, 300);
        let share = 300 * expected / 100;
        assert!(new.abs_diff(share) < 30, "{new}");
        assert_eq!(*weight(&status(&mut world)), json!(expected));
        world.pass(Duration::from_secs(600));
        // One has the cell told, and is told; what follows goes by it.
        conversations(&mut world, "next", 3);
        world.pass(Duration::from_secs(4));
        assert_eq!(*weight(&status(&mut world)), json!(next));
    }
    assert_eq!(conversations(&mut world, "after", 20), (0, 20));
    let status = status(&mut world);
    assert_eq!(
        (&status["state"], &status["ended"]["how"]),
        (&json!("steady"), &json!("done"))
    );
    let metrics = world.metrics();
    for line in [
        "tidegate_rollout_weight_ratio{model=\"big\",version=\"v2\"} 1.0",
        "tidegate_rollout_changes_total{model=\"big\",change=\"stepped\"} 1",
        "tidegate_rollout_changes_total{model=\"big\",change=\"done\"} 1",
    ] {
        assert!(metrics.contains(line), "{line}");
    }
}

#[test]
fn a_version_that_fails_is_taken_back_and_nobody_notices() {
    let mut world = World::new(&versioned(&config()), with_far(failing));
    start(&mut world);
    set(&mut world, 50);
    let mut instead = 0;
    for index in 0..60 {
        let version = answered(&mut world, &turn(&index.to_string(), 1));
        assert!(version.starts_with("v1"), "{version}");
        instead += usize::from(version == "v1;instead_of=v2");
        world.pass(Duration::from_secs(1));
    }
    assert!((8..40).contains(&instead), "{instead}");
    let status = status(&mut world);
    assert_eq!((weight(&status), &status["state"]), (&json!(0), &json!("steady")));
    let reason = status["ended"]["reason"].as_str().expect("why");
    assert!(
        status["ended"]["how"] == "rolled_back" && reason.contains("requests failed"),
        "{status}"
    );
    let metrics = world.metrics();
    for line in [
        "tidegate_rollout_changes_total{model=\"big\",change=\"rolled_back\"} 1",
        "tidegate_version_requests_total{model=\"big\",version=\"v2\",outcome=\"error\"} ",
        "tidegate_version_fallbacks_total{model=\"big\",version=\"v2\"} ",
    ] {
        assert!(metrics.contains(line), "{line}");
    }
}

/// Clients' mistakes are as many at each version: one that refuses more does not take what the other does.
#[test]
fn a_version_that_refuses_what_the_other_takes_is_taken_back() {
    let refuses = |request: &Request<Bytes>| {
        let is_wrong = String::from_utf8_lossy(request.body()).contains("mistake");
        if is_wrong || host(request).starts_with("far") {
            let told = r#"{"error":{"message":"no such template","code":422}}"#.to_owned();
            Reaction::Answer(422, "application/json", vec![Piece::Text(told)])
        } else {
            served(request)
        }
    };
    let mut world = World::new(&versioned(&config()), refuses);
    set(&mut world, 50);
    for index in 0..40 {
        assert_eq!(world.post(CHAT, &turn(&format!("mistake {index}"), 1)).status(), 422);
        world.pass(Duration::from_millis(500));
    }
    for index in 0..150 {
        world.post(CHAT, &turn(&format!("right {index}"), 1));
        world.pass(Duration::from_millis(500));
    }
    let status = status(&mut world);
    assert_eq!(
        (weight(&status), &status["ended"]["how"]),
        (&json!(0), &json!("rolled_back")),
        "{status}"
    );
}

/// Two replicas of a version that fail alike show that the request is at fault, or the version: the other one tells.
#[test]
fn a_version_at_which_all_replicas_fail_alike_is_told_from_a_request_at_fault() {
    let only_near = |request: &Request<Bytes>| {
        let body = String::from_utf8_lossy(request.body());
        let is_wrong = body.contains("poison") || host(request).starts_with("near");
        if is_wrong { failing() } else { served(request) }
    };
    // The new version has two replicas.
    let config = versioned(&config())
        .replace("v2", "v0")
        .replace("v1", "v2")
        .replace("v0", "v1");
    let config = config.replace(
        "model = \"gpt\"\n",
        "model = \"gpt\"\nversions = [{ name = \"v1\", weight = 1 }]\n",
    );
    let mut world = World::new(&config, only_near);
    set(&mut world, 50);
    for index in 0..8 {
        let response = world.post(CHAT, &turn(&format!("poison {index}"), 1));
        assert_eq!(response.status(), 400);
        world.pass(Duration::from_secs(3));
    }
    let poisoned = status(&mut world);
    let requests: u64 = poisoned["versions"]
        .as_array()
        .expect("versions")
        .iter()
        .filter_map(|version| version["requests"].as_u64())
        .sum();
    assert_eq!(requests, 0, "{poisoned}");
    assert_eq!(conversations(&mut world, "a", 60), (60, 0));
    let status = status(&mut world);
    assert_eq!(
        (weight(&status), &status["ended"]["how"]),
        (&json!(0), &json!("rolled_back")),
        "{status}"
    );
}

#[test]
fn a_version_whose_first_tokens_are_late_is_taken_back() {
    let far = || sse(vec![Piece::Wait(Duration::from_secs(3)), event("a"), done()]);
    let mut world = World::new(&versioned(&config()), with_far(far));
    set(&mut world, 50);
    let kept = answered(&mut world, &turn("kept", 1));
    conversations(&mut world, "a", 250);
    let status = status(&mut world);
    let reason = status["ended"]["reason"].as_str().expect("why");
    assert!(reason.contains("first tokens took longer"), "{status}");
    // What began on it goes on elsewhere.
    assert_eq!(conversations(&mut world, "b", 20), (20, 0));
    assert_eq!(answered(&mut world, &turn("kept", 2)), "v1", "it began on {kept}");
}

#[test]
fn a_stream_that_breaks_off_speaks_against_its_version() {
    let far = || sse(vec![event("a"), Piece::Break]);
    let mut world = World::new(&versioned(&config()), with_far(far));
    set(&mut world, 50);
    conversations(&mut world, "a", 20);
    world.pass(Duration::from_secs(5));
    let metrics = world.metrics();
    assert!(metrics.contains("version=\"v2\",outcome=\"broken\""), "{metrics}");
    assert!(!metrics.contains("version=\"v1\",outcome=\"broken\""), "{metrics}");
}

#[test]
fn a_rollout_that_is_paused_stays_until_it_is_resumed() {
    let mut world = World::new(&versioned(&config()), served);
    start(&mut world);
    assert_eq!(order(&mut world, "POST", r#"{"action": "pause"}"#)["state"], "paused");
    conversations(&mut world, "a", 900);
    assert_eq!(*weight(&status(&mut world)), json!(10));
    assert_eq!(order(&mut world, "POST", r#"{"action": "resume"}"#)["state"], "running");
    conversations(&mut world, "b", 3);
    assert_eq!(*weight(&status(&mut world)), json!(50));
    let aborted = order(&mut world, "POST", r#"{"action": "abort", "reason": "no good"}"#);
    assert_eq!(
        (weight(&aborted), &aborted["ended"]["reason"]),
        (&json!(0), &json!("no good"))
    );
    world.pass(Duration::from_secs(2));
    assert_eq!(conversations(&mut world, "c", 20), (20, 0));
}

#[test]
fn while_the_cell_is_silent_requests_go_on_and_wait_no_longer_than_they_may() {
    let mut world = World::new(&versioned(&config()), served);
    let slow = |seconds| Link {
        delay: Duration::from_secs(seconds)..Duration::from_secs(seconds),
        ..Link::IDEAL
    };
    let took = |world: &mut World, name: &str| {
        let begun = world.now();
        answered(world, &turn(name, 1));
        world.now().since(begun)
    };
    world.set_link(CellKind::Rollout, slow(60));
    // Nothing is known yet: it waits as long as it may, and leaves some for the clusters' cells. The next ones do not.
    assert_eq!(took(&mut world, "a"), Duration::from_millis(750));
    assert_eq!(took(&mut world, "b"), Duration::ZERO);
    world.set_link(CellKind::Rollout, Link::IDEAL);
    world.pass(Duration::from_secs(2));
    set(&mut world, 100);
    assert_eq!(conversations(&mut world, "c", 10), (0, 10));
    world.set_link(CellKind::Rollout, Link::CUT);
    world.pass(Duration::from_secs(300));
    assert_eq!(conversations(&mut world, "d", 10), (0, 10), "what was known goes on");
    world.set_link(CellKind::Rollout, slow(60));
    world.pass(Duration::from_secs(300));
    assert_eq!(took(&mut world, "e"), Duration::from_millis(100));
    assert_eq!(ask(&mut world, "admin-key", ("GET", PATH), "").0, 503);
    let (_, list) = ask(&mut world, "admin-key", ("GET", "/admin/v1/rollouts"), "");
    assert_eq!((&list["rollouts"], &list["unreachable"]), (&json!([]), &json!(["big"])));
}

#[test]
fn another_configuration_under_a_rollout_has_the_versions_that_it_names() {
    let mut world = World::new(&versioned(&config()), served);
    set(&mut world, 50);
    let without = versioned(&config()).replace("v2", "v3");
    let other = world.another(&without);
    for index in 0..30 {
        let version = answered_by(&mut world, &other, &turn(&index.to_string(), 1));
        assert_eq!(version, "v1", "what has come since has no weight");
        world.pass(Duration::from_secs(1));
    }
    let (old, new) = conversations(&mut world, "a", 40);
    assert!(old > 5 && new > 5, "{old} {new}");
    assert_eq!(status(&mut world)["state"], "paused");
}

#[test]
fn a_model_without_versions_is_as_it_was() {
    let mut world = World::new(&config(), served);
    for index in 0..10 {
        let response = world.post(CHAT, &turn(&index.to_string(), 1));
        assert!(!response.headers().contains_key("x-tidegate-version"));
    }
    assert_eq!(world.commands_of(CellKind::Rollout), 0);
    let (status, list) = ask(&mut world, "admin-key", ("GET", "/admin/v1/rollouts"), "");
    assert_eq!((status, list), (200, json!({"rollouts": [], "unreachable": []})));
    assert_eq!(ask(&mut world, "admin-key", ("GET", PATH), "").0, 404);
}

#[test]
fn what_cannot_be_done_is_refused_in_words() {
    let mut world = World::new(&versioned(&config()), served);
    for (method, body, word) in [
        ("POST", r#"{"action": "start", "version": "v9"}"#, "no version `v9`"),
        (
            "POST",
            r#"{"action": "start", "version": "v1"}"#,
            "has all conversations",
        ),
        ("POST", r#"{"action": "pause"}"#, "no rollout is under way"),
        ("POST", r#"{"action": "leap"}"#, "unknown variant"),
        ("PUT", r#"{"weights": {"v1": 60, "v2": 60}}"#, "sum up to 100"),
        ("PUT", r#"{"weights": {"v1": 50, "v2": 49.99}}"#, "sum up to 100"),
        ("PUT", r#"{"weights": {"v2": 101}}"#, "from 0 to 100"),
    ] {
        let (status, answer) = ask(&mut world, "admin-key", (method, PATH), body);
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(status == 422 && message.contains(word), "{body}: {answer}");
        assert_eq!(answer["error"]["code"], "invalid_rollout");
    }
    assert_eq!(status(&mut world)["log"], json!([]));
}

/// What a request of two hops meets at its version is told where the version was chosen.
#[test]
fn with_two_hops_the_edge_chooses_and_learns() {
    let is_failing = Rc::new(Cell::new(false));
    let fails = Rc::clone(&is_failing);
    let engines = move |request: &Request<Bytes>| {
        if fails.get() && host(request).starts_with("near") {
            failing()
        } else {
            served(request)
        }
    };
    // The new version is the one behind the hop.
    let config = versioned(&config_of_two_hops())
        .replace("v2", "v0")
        .replace("v1", "v2")
        .replace("v0", "v1");
    let config = config.replace(
        "model = \"gpt\"\n",
        "model = \"gpt\"\nversions = [{ name = \"v1\", weight = 1 }]\n",
    );
    let (mut world, hops) = World::of_two_hops(&config, engines);
    set(&mut world, 50);
    let (old, new) = conversations(&mut world, "a", 40);
    assert!(old > 5 && new > 5, "{old} {new}");
    assert_eq!(hops.orders().len(), new);
    is_failing.set(true);
    conversations(&mut world, "b", 60);
    let status = status(&mut world);
    assert_eq!(
        (weight(&status), &status["ended"]["how"]),
        (&json!(0), &json!("rolled_back")),
        "{status}"
    );
}
