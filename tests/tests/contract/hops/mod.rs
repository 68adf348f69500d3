//! Two hops on a request's way: an edge where clients come in, and a gateway beside the clusters of a region.

mod loss;
mod orders;
mod passes;
mod places;
mod rotation;

use std::sync::LazyLock;

use serde_json::Value;
use tidegate_tests::gateway::{self, FRANKFURT, Role, Setup};
use tidegate_tests::http::{Request, Response};
use tidegate_tests::process::Server;
use tidegate_tests::world::{World, key};

use crate::support::{ENGINE_KEY_EU, post_chat};

/// The edge, the region hop of Frankfurt, and their engines.
static HOPS: LazyLock<World> = LazyLock::new(|| World::start_or_exit("hops", CONFIG, FRANKFURT, &SECRETS));

/// A gateway that does all by itself, before the same engines.
static SINGLE: LazyLock<Server> = LazyLock::new(|| HOPS.start_another("hops-single", CONFIG, Role::All, &SECRETS));

/// The same as [`HOPS`], but that the edge reaches the region hop by a service binding, where the runtime has such.
static BOUND: LazyLock<Option<World>> = LazyLock::new(|| {
    gateway::binds_services().then(|| {
        let config = CONFIG.replace("{hop fra}", "binding:FRA");
        let start = |setup: Setup| {
            let setup = Setup {
                secrets: &SECRETS,
                ..setup
            };
            gateway::start_bound(setup, &["FRA"])
        };
        World::start_by("hops-bound", &config, start)
    })
});

/// Every world of two hops that differs in how the edge reaches the other.
fn worlds() -> impl Iterator<Item = &'static World> {
    [&*HOPS].into_iter().chain(BOUND.as_ref())
}

/// Asks a world for a chat completion.
fn ask(world: &World, body: &Value) -> Response {
    world.send(&post_chat(body.to_string()))
}

/// The same with a tenant's key.
fn ask_as(world: &World, tenant: &str, body: &Value) -> Response {
    world.send(&post_chat(body.to_string()).key(&key(tenant)))
}

/// A request for what operators see.
fn as_operator(request: Request) -> Request {
    request.key(&key("admin"))
}

#[track_caller]
fn served_by(response: &Response) -> &str {
    assert_eq!(response.status, 200, "{}", response.text());
    response.header("x-tidegate-cluster").expect("the cluster is told")
}

const CONFIG: &str = include_str!("../../../worlds/hops.toml");

const SECRETS: [(&str, &str); 3] = [
    ("FRA_ENGINE_TOKEN", ENGINE_KEY_EU),
    (KEY, KEY_SECRET),
    (NEXT_KEY, NEXT_SECRET),
];
const KEY: &str = "TIDEGATE_HOP_KEY";
const KEY_SECRET: &str = "the-secret-of-two-hops-0123456789";
const NEXT_KEY: &str = "TIDEGATE_HOP_KEY_NEXT";
const NEXT_SECRET: &str = "another-secret-of-two-hops-0123456789";
