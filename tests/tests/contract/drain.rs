//! Draining a replica: nothing new goes there, and what runs there comes to its end.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_tests::gateway::{self, FRANKFURT, NativeOptions, Role};
use tidegate_tests::http::{Request, Response};
use tidegate_tests::process::Server;
use tidegate_tests::runtime::Runtime;
use tidegate_tests::scripted::Script;
use tidegate_tests::world::{World, key};

use crate::support::{DONE, chat_stream, chunk, eventually, post_chat, served};

const TEMPLATE: &str = include_str!("../../worlds/drain.toml");
const NAMES: [&str; 2] = ["one", "two"];

fn start(name: &str) -> World {
    let world = World::start_or_exit(name, TEMPLATE, FRANKFURT, &[]);
    for engine in NAMES {
        world.scripted(engine).on("drain new", served());
    }
    world
}

fn admin(world: &World, method: &str, path: &str) -> Response {
    world.send(&Request::new(method, path).key(&key("admin")))
}

fn cluster(world: &World) -> Value {
    admin(world, "GET", "/admin/v1/clusters/pair").json()
}

/// Where an engine's replica drains.
fn path(world: &World, engine: usize) -> String {
    let cluster = cluster(world);
    let replicas = cluster["replicas"].as_array().expect("replicas");
    // A cell tells those first of which it knows.
    let url = world.scripted(NAMES[engine]).url();
    assert!(replicas.iter().any(|replica| replica["replica"] == url), "{cluster}");
    let encoded = url.replace(':', "%3A").replace('/', "%2F");
    format!("/admin/v1/clusters/pair/replicas/{encoded}/drain")
}

fn seen(world: &World, engine: usize, text: &str) -> usize {
    world.scripted(NAMES[engine]).seen(text).len()
}

fn new_request(gateway: &Server, number: usize) {
    let request = post_chat(chat_stream("pair", &format!("{number} drain new")).to_string());
    let answer = request.send(gateway.address());
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.text().ends_with(DONE), "{}", answer.text());
}

#[test]
fn a_replica_that_drains_gets_nothing_new_and_ends_what_it_has() {
    let world = start("drain");
    for engine in NAMES {
        let long = Script::stream().then(chunk("begun")).wait(5_000).then(DONE);
        world.scripted(engine).on("drain holds", long);
    }
    let mut held = post_chat(chat_stream("pair", "drain holds").to_string()).open(world.gateway.address());
    held.read_until("begun");
    let busy = (0..2)
        .find(|engine| seen(&world, *engine, "drain holds") == 1)
        .expect("one");
    // Where cells are shared, every other request comes to another gateway.
    let shares = world.redis.is_some();
    let other = shares.then(|| world.start_another("drain-other", TEMPLATE, Role::All, &[]));
    let ask = |number: usize| {
        let other = other.as_ref().filter(|_| number % 2 == 1);
        new_request(other.unwrap_or(&world.gateway), number);
    };
    // Permits are kept of both.
    (0..40).for_each(ask);
    let path = path(&world, busy);

    let reader = world.send(&Request::new("POST", &path).key(&key("reader")));
    assert_eq!(
        (reader.status, &reader.json()["error"]["code"]),
        (403, &json!("read_only_key"))
    );
    let begun = admin(&world, "POST", &path);
    assert_eq!(begun.status, 200, "{}", begun.text());
    assert_eq!(begun.json()["takes_requests"], false);
    assert!(begun.json()["drain"]["left"].as_u64() >= Some(1), "{}", begun.text());
    thread::sleep(Duration::from_secs(1));
    let before = seen(&world, busy, "drain new");
    (100..140).for_each(ask);
    assert_eq!(seen(&world, busy, "drain new"), before);
    assert!(seen(&world, 1 - busy, "drain new") >= 40);
    eventually("all but the long one is back", || {
        admin(&world, "GET", &path).json()["drain"]["left"] == 1
    });
    assert!(held.finish().text().ends_with(DONE));
    eventually("it is over", || {
        let drain = admin(&world, "GET", &path).json()["drain"].clone();
        drain["done"] == true && drain["left"] == 0
    });

    let undone = admin(&world, "DELETE", &path);
    assert_eq!((undone.status, &undone.json()["drain"]), (200, &Value::Null));
    let mut number = 200;
    eventually("it is as others again", || {
        ask(number);
        number += 1;
        seen(&world, busy, "drain new") > before
    });
}

#[test]
fn a_drain_outlives_the_gateway() {
    if Runtime::current() != Runtime::Native {
        println!("the runtime keeps state apart from what can be killed here");
        return;
    }
    let options = NativeOptions::default();
    let mut world = World::start_by("drain-killed", TEMPLATE, |setup| gateway::start_native(setup, &options));
    let path = path(&world, 0);
    assert_eq!(admin(&world, "POST", &path).status, 200);
    world.gateway.kill();
    world.start_again("gateway-again", TEMPLATE, |setup| {
        gateway::start_native(setup, &options)
    });
    let kept = || admin(&world, "GET", &path).json()["drain"].clone();
    assert_eq!(
        kept()["deadline_in_s"].as_f64().map(|left| left > 890.0),
        Some(true),
        "{}",
        kept()
    );
    eventually("who ran there would have told by now", || kept()["done"] == true);
    for engine in NAMES {
        world.scripted(engine).on("drain new", served());
    }
    (0..20).for_each(|number| new_request(&world.gateway, number));
    assert_eq!(seen(&world, 0, "drain new"), 0);
}
