use std::time::Duration;

use http::Request;

use crate::world::{Reaction, World};
use crate::{CHAT, chat, config, world};

fn models(world: &mut World) -> String {
    let serving = world.serving(Request::get("/v1/models").header("authorization", "Bearer key"), "");
    let response = world.run(serving);
    world.rest(response.into_body())
}

fn readiness(world: &mut World) -> String {
    let serving = world.serving(Request::get("/readyz"), "");
    let response = world.run(serving);
    world.rest(response.into_body())
}

fn renamed() -> String {
    config().replace("\"small\"", "\"tiny\"")
}

#[test]
fn what_the_store_holds_counts_from_the_first_request_on() {
    let mut world = world(|_| Reaction::Refuse);
    world.put("config", &renamed());
    assert!(models(&mut world).contains("tiny"));
}

#[test]
fn a_newer_configuration_is_in_force_within_a_minute() {
    let mut world = world(|_| Reaction::Refuse);
    assert!(models(&mut world).contains("small"));
    world.put("config", &renamed());
    world.pass(Duration::from_secs(30));
    models(&mut world);
    assert!(models(&mut world).contains("tiny"));
}

#[test]
fn a_wrong_configuration_is_refused_and_told_and_the_old_one_stays() {
    let mut world = world(|_| Reaction::Refuse);
    world.put("config", "[[clusters]]\nname = 7\n");
    assert!(models(&mut world).contains("small"));
    assert!(readiness(&mut world).contains("\"config_refused\":true"));
    world.put("config", &renamed());
    world.pass(Duration::from_secs(30));
    models(&mut world);
    assert!(readiness(&mut world).contains("\"config_refused\":false"));
}

#[test]
fn an_operator_replaces_it_and_nobody_else() {
    let mut world = world(|_| Reaction::Refuse);
    for (key, text, status) in [
        ("key", renamed(), 401),
        ("admin-key", "name = ".to_owned(), 422),
        ("admin-key", renamed(), 200),
    ] {
        let request = Request::put("/admin/config").header("authorization", format!("Bearer {key}"));
        let serving = world.serving(request, &text);
        let response = world.run(serving);
        assert_eq!(response.status(), status);
        assert_eq!(models(&mut world).contains("tiny"), status == 200);
    }
}

#[test]
fn a_request_keeps_the_configuration_that_it_came_in_with() {
    let mut world = world(|_| Reaction::Hang);
    let posting = world.posting(CHAT, &[], &chat("big", true));
    let response = world.run(posting);
    world.put("config", &config().replace("Please try again.", "Something else."));
    let maintaining = {
        let (gateway, platform) = (world.gateway.clone(), world.platform.clone());
        async move { gateway.maintain(platform).await }
    };
    world.run(maintaining);
    assert!(world.rest(response.into_body()).contains("Please try again."));
}
