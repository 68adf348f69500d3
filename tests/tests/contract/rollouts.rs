//! Versions of a model: which one serves, that a conversation stays on its own while weights move, and that one which fails
//! is taken back.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_tests::gateway::{self, FRANKFURT, NativeOptions};
use tidegate_tests::http::{Request, Response};
use tidegate_tests::runtime::Runtime;
use tidegate_tests::scripted::Script;
use tidegate_tests::wait::wait_until;
use tidegate_tests::world::{World, key};

use crate::support::{DONE, eventually, post_chat, served};

const TEMPLATE: &str = include_str!("../../worlds/rollouts.toml");
const PATH: &str = "/admin/v1/rollouts/org%2Ftide";

fn start(name: &str, new: &Script) -> World {
    let world = World::start_or_exit(name, TEMPLATE, FRANKFURT, &[]);
    world.scripted("old").on("conversation", served());
    world.scripted("new").on("conversation", new.clone());
    world
}

fn admin(world: &World, method: &str, path: &str, body: &Value) -> Response {
    let request = Request::new(method, path).key(&key("admin"));
    world.send(&if body.is_null() {
        request
    } else {
        request.body(body.to_string())
    })
}

fn status(world: &World) -> Value {
    let answer = admin(world, "GET", PATH, &Value::Null);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn set(world: &World, percent: u32) {
    let answer = admin(
        world,
        "PUT",
        PATH,
        &json!({"weights": {"v2": percent}, "reason": "a test"}),
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
    eventually("the weights are in force", || status(world)["in_force_in_s"] == 0.0);
}

/// Turn `count` of a conversation; gives the version that answers.
fn turn(world: &World, name: &str, count: usize) -> String {
    let mut messages = vec![json!({"role": "user", "content": format!("conversation {name}")})];
    for _ in 1..count {
        messages.push(json!({"role": "assistant", "content": "Yes."}));
        messages.push(json!({"role": "user", "content": "And then?"}));
    }
    let body = json!({"model": "tide", "stream": true, "messages": messages});
    let answer = post_chat(body.to_string()).send(world.gateway.address());
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.text().ends_with(DONE), "{}", answer.text());
    answer.header("x-tidegate-version").expect("a version").to_owned()
}

fn weight(status: &Value) -> &Value {
    let versions = status["versions"].as_array().expect("versions");
    let new = versions.iter().find(|version| version["version"] == "v2");
    &new.expect("the new one")["weight"]
}

#[test]
fn conversations_stay_on_their_version_while_an_operator_moves_the_weights() {
    let world = start("rollouts", &served());
    for number in 0..10 {
        assert_eq!(turn(&world, &format!("before-{number}"), 1), "v1");
    }
    set(&world, 50);
    let (mut begun, mut number) = (Vec::new(), 0);
    eventually("both versions get new conversations", || {
        let name = format!("between-{number}");
        number += 1;
        begun.push((turn(&world, &name, 1), name));
        let on = |version| begun.iter().filter(|(on, _)| on == version).count();
        on("v1") >= 3 && on("v2") >= 3
    });
    set(&world, 100);
    for number in 0..10 {
        assert_eq!(turn(&world, &format!("after-{number}"), 1), "v2");
        assert_eq!(turn(&world, &format!("before-{number}"), 2), "v1");
    }
    for (version, name) in &begun {
        assert_eq!(turn(&world, name, 2), *version, "{name}");
    }
    let done = status(&world);
    assert_eq!(
        (&done["state"], &done["ended"]["how"]),
        (&json!("steady"), &json!("done")),
        "{done}"
    );
    assert_eq!(done["log"][0]["reason"], "a test");
    let metrics = world.metrics();
    let weight = "tidegate_rollout_weight_ratio{model=\"org/tide\",version=\"v2\"} 1.0";
    assert!(metrics.contains(weight), "{metrics}");
}

#[test]
fn a_version_that_fails_is_taken_back_and_its_clients_are_served() {
    let error = "HTTP/1.1 500 Internal Server Error\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
    let world = start("rollouts-failing", &Script::raw(error).close());
    let begun = admin(&world, "POST", PATH, &json!({"action": "start", "version": "v2"}));
    assert_eq!(
        (begun.status, weight(&begun.json())),
        (200, &json!(50)),
        "{}",
        begun.text()
    );
    eventually("the weights are in force", || status(&world)["in_force_in_s"] == 0.0);
    let (mut number, mut instead) = (0, 0);
    // Some fifty requests of each version have to be known of.
    wait_until("it is taken back", Duration::from_secs(120), || {
        let world = &world;
        let versions: Vec<String> = thread::scope(|scope| {
            let ask = |name: String| scope.spawn(move || turn(world, &name, 1));
            let asked: Vec<_> = (0..8).map(|more| ask(format!("failing-{}", number + more))).collect();
            asked
                .into_iter()
                .map(|asked| asked.join().expect("an answer"))
                .collect()
        });
        number += versions.len();
        assert!(versions.iter().all(|version| version.starts_with("v1")), "{versions:?}");
        instead += versions.iter().filter(|version| *version == "v1;instead_of=v2").count();
        status(world)["ended"]["how"] == "rolled_back"
    });
    assert!(instead > 0);
    let taken_back = status(&world);
    assert_eq!(
        (weight(&taken_back), &taken_back["state"]),
        (&json!(0), &json!("steady"))
    );
    let reason = taken_back["ended"]["reason"].as_str().expect("why");
    assert!(reason.contains("requests failed"), "{reason}");
    eventually("nothing goes there any more", || {
        number += 1;
        turn(&world, &format!("over-{number}"), 1) == "v1"
    });
}

#[test]
fn who_may_only_look_changes_nothing_and_what_makes_no_sense_is_refused() {
    let world = start("rollouts-refused", &served());
    let reader = Request::new("POST", PATH)
        .key(&key("reader"))
        .body(r#"{"action": "pause"}"#);
    let refused = world.send(&reader);
    assert_eq!(
        (refused.status, &refused.json()["error"]["code"]),
        (403, &json!("read_only_key"))
    );
    for (method, path, body, status, code) in [
        ("POST", PATH, json!({"action": "pause"}), 422, "invalid_rollout"),
        (
            "POST",
            PATH,
            json!({"action": "start", "version": "v9"}),
            422,
            "invalid_rollout",
        ),
        ("PUT", PATH, json!({"weights": {"v2": 101}}), 422, "invalid_rollout"),
        (
            "GET",
            "/admin/v1/rollouts/nothing",
            Value::Null,
            404,
            "rollout_not_found",
        ),
    ] {
        let answer = admin(&world, method, path, &body);
        assert_eq!(
            (answer.status, &answer.json()["error"]["code"]),
            (status, &json!(code)),
            "{path} {body}"
        );
    }
    let all = admin(&world, "GET", "/admin/v1/rollouts", &Value::Null).json();
    assert_eq!(all["rollouts"][0]["model"], "org/tide");
    assert_eq!(all["rollouts"][0]["log"], json!([]));
}

#[test]
fn weights_outlive_the_gateway() {
    if Runtime::current() != Runtime::Native {
        println!("the runtime keeps state apart from what can be killed here");
        return;
    }
    let options = NativeOptions::default();
    let mut world = World::start_by("rollouts-killed", TEMPLATE, |setup| {
        gateway::start_native(setup, &options)
    });
    let begun = admin(&world, "POST", PATH, &json!({"action": "start", "version": "v2"}));
    assert_eq!(begun.status, 200, "{}", begun.text());
    world.gateway.kill();
    world.start_again("gateway-again", TEMPLATE, |setup| {
        gateway::start_native(setup, &options)
    });
    let kept = status(&world);
    assert_eq!(
        (weight(&kept), &kept["rollout"]["version"]),
        (&json!(50), &json!("v2")),
        "{kept}"
    );
}
