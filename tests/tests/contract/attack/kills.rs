//! A gateway that is killed in the middle of its work, again and again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;
use tidegate_tests::gateway::{self, NativeOptions};
use tidegate_tests::http::Request;
use tidegate_tests::http::raw::answers;
use tidegate_tests::process::Server;
use tidegate_tests::wait::wait_until;
use tidegate_tests::world::{World, key};

use super::{
    CONFIG, EndOfLoad, SILENCE, assert_neighbour_is_served, assert_nothing_is_left_behind, is_native, post, sum,
};
use crate::support::{chat, eventually};

#[test]
fn a_gateway_that_is_killed_again_and_again_forgets_no_use_and_no_limit() {
    if !is_native("the runtime keeps state apart from what may be killed") {
        return;
    }
    let options = NativeOptions::default();
    let mut world = World::start_by("kills", CONFIG, |setup| gateway::start_native(setup, &options));
    for round in 1..=KILLS {
        let limits = json!({"tokens_per_minute": 1_000_000 + round});
        let put = Request::new("PUT", LIMITS).key(&key("admin")).body(limits.to_string());
        let put = world.send(&put);
        assert_eq!(put.status, 200, "{}", put.text());
        let on_disk = killed_under_load(&world);
        let name = format!("gateway-{round}");
        world.start_again(&name, CONFIG, |setup| gateway::start_native(setup, &options));
        let kept = world.send(&Request::get(LIMITS).key(&key("admin"))).json();
        assert_eq!(kept["limits"]["tokens_per_minute"], 1_000_000 + round, "{kept}");
        assert!(used(&world) >= on_disk, "{} of {on_disk}", used(&world));
        assert_neighbour_is_served(&world);
        wait_until("no permit of the dead is out", PERMITS_TTL * 2, || {
            sum(&world.metrics(), "tidegate_cluster_in_flight{") == 0
        });
    }
    eventually("the tenant is served again", || {
        world.send(&post("daily", &chat("calm", "a day"))).status == 200
    });
    assert_nothing_is_left_behind(&world);
}

/// Kills the gateway while it serves, and gives what is sure to be on its disk of the day's use.
fn killed_under_load(world: &World) -> u64 {
    let is_over = AtomicBool::new(false);
    let before = used(world);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| load(&world.gateway, &is_over));
        }
        let _end = EndOfLoad(&is_over);
        eventually("the tenant is served", || used(world) > before);
        let known = used(world);
        // A record is written within a second: what a process has that is killed sooner may be lost.
        thread::sleep(WRITTEN_WITHIN);
        world.gateway.kill();
        known
    })
}

fn load(gateway: &Server, is_over: &AtomicBool) {
    let request = post("daily", &chat("calm", "a day")).to_bytes("gateway");
    while !is_over.load(Ordering::Relaxed) {
        answers(gateway.address(), &request, SILENCE);
    }
}

/// The tokens of the day that the tenant has used.
fn used(world: &World) -> u64 {
    let usage = world.send(&Request::get("/v1/usage").key(&key("daily"))).json();
    usage["budgets"][0]["day"]["tokens_used"].as_u64().expect("a figure")
}

const KILLS: u64 = 5;
const LIMITS: &str = "/admin/budgets/daily/all";
/// `permits.ttl_ms` of the world.
const PERMITS_TTL: Duration = Duration::from_secs(2);
const WRITTEN_WITHIN: Duration = Duration::from_millis(1_500);
