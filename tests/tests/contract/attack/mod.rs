//! Attacks: what was tried on gateways, each with what must hold while it lasts and behind it. They are bounded and go to
//! this machine alone: `cargo xtask test --only attack`. What other themes hold already is not here a second time:
//!
//! | attack | held by |
//! |---|---|
//! | answers without end or too large, left or not | [`spending`], `faults::an_answer_that_is_too_large…`, `budgets::a_client_that_leaves…` |
//! | a probe that is a long answer | [`spending`], `faults::a_replica_that_keeps_failing…` |
//! | a client's mistake that opens breakers | `blame::a_request_at_which_two_replicas_fail_alike…` |
//! | fields and media that steer engines | `steering` |
//! | requests that servers tell apart in two ways | [`smuggling`], `bad_input::garbage_on_the_connection…`, cli `crowds::what_servers_read_differently…` |
//! | other hosts, upstreams and engines by name | `bad_input::the_gateway_is_no_proxy…`, `…a_header_that_would_name_an_upstream…`, `…a_line_end_in_a_header…` |
//! | paths | [`paths`], `bad_input::what_is_not_there…` |
//! | members twice or escaped, two keys, keys spelled otherwise | [`keys`], `bad_input::a_parameter_that_stands_twice…`, `keys::two_keys_are_none`, `keys::a_wrong_key…` |
//! | work without a key | [`keys`], `keys::keys_are_checked_before_bodies_are_read`, `bad_input::a_client_that_sends_to_the_end…` |
//! | nesting, sizes, bodies that stop | `bad_input` |
//! | clients that leave, in a storm | `clients_leave::no_permit_stays_behind…` |
//! | floods of HTTP/2 | [`http2`] |
//! | connections, idle, half or unread | [`connections`], cli `crowds` |
//! | kill -9 again and again | [`kills`], cli `shared::the_places_of_a_gateway_that_was_killed…` |
//! | configurations under load | [`configurations`], `config` |
//! | what operators alone may read | [`paths`], `metrics::metrics_are_for_operators`, `metrics::metrics_say_nothing…`, `config::only_an_admin_key…`, `explain::nobody_else_is_told…` |

mod configurations;
mod connections;
mod http2;
mod keys;
mod kills;
mod paths;
mod smuggling;
mod spending;

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use tidegate_tests::engine::Engine;
use tidegate_tests::gateway::FRANKFURT;
use tidegate_tests::http::Request;
use tidegate_tests::runtime::{Runtime, redis_server};
use tidegate_tests::wait::wait_until;
use tidegate_tests::world::{World, key};

use crate::support::chat;

/// The world of worlds/attack.toml for those attacks that do each other no harm.
static ATTACK: LazyLock<World> = LazyLock::new(|| World::start_or_exit("attack", CONFIG, FRANKFURT, &[]));

const CONFIG: &str = include_str!("../../../worlds/attack.toml");

/// How long a connection may stay silent before what came over it is all that comes.
const SILENCE: Duration = Duration::from_secs(2);

/// Whether the native gateway is under test, by itself; where it is not, says why what follows is not tried there.
fn is_native(why: &str) -> bool {
    let skipped = match (Runtime::current(), redis_server()) {
        (Runtime::Native, None) => return true,
        (Runtime::Native, Some(_)) => "with Redis: it is the same process as without",
        (Runtime::Cloudflare | Runtime::Spin, _) => why,
    };
    println!("skipped on {}: {skipped}", Runtime::current().name());
    false
}

/// Has a load that goes on until it hears of the end hear of it, also where a test fails before.
struct EndOfLoad<'a>(&'a AtomicBool);

impl Drop for EndOfLoad<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A chat request with the key of that tenant.
fn post(owner: &str, body: &Value) -> Request {
    Request::post("/v1/chat/completions", body.to_string()).key(&key(owner))
}

#[track_caller]
fn assert_neighbour_is_served(world: &World) {
    let response = world.send(&post("neighbour", &chat("calm", "a neighbour")));
    assert_eq!(response.status, 200, "{}", response.text());
    assert!(response.took < SERVED_WITHIN, "{:?}", response.took);
}

/// The tokens that a tenant is charged for.
fn spent(world: &World, tenant: &str) -> u64 {
    let usage = world.send(&Request::get("/v1/usage").key(&key(tenant)));
    let usage = usage.json();
    usage["budgets"][0]["tokens"]["spent"]
        .as_u64()
        .unwrap_or_else(|| panic!("{usage}"))
}

/// The tokens that an engine has generated.
fn generated(engine: &Engine) -> u64 {
    sum(&metrics_of(engine), "vllm:generation_tokens_total{")
}

fn is_idle(engine: &Engine) -> bool {
    sum(&metrics_of(engine), "vllm:num_requests_") == 0
}

fn metrics_of(engine: &Engine) -> String {
    engine.send(&Request::get("/metrics")).text().to_owned()
}

/// The sum of the samples whose lines begin so.
fn sum(metrics: &str, series: &str) -> u64 {
    let samples = metrics.lines().filter(|line| line.starts_with(series));
    let values = samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    values.sum::<f64>() as u64
}

/// What no attack may leave behind, by what `/metrics`, operators' figures and the log say, once the attacks beside it in
/// the same world are over.
fn assert_nothing_is_left_behind(world: &World) {
    wait_until("permits and reservations are back", Duration::from_secs(60), || {
        let metrics = world.metrics();
        sum(&metrics, "tidegate_cluster_in_flight{") == 0 && sum(&metrics, "tidegate_budget_tokens_held{") == 0
    });
    assert_is_sound(&world.metrics(), &world.gateway.log_text());
}

/// No breaker is open but the one that a test opens, nothing panicked, and no key can be read.
#[track_caller]
fn assert_is_sound(metrics: &str, log: &str) {
    let breakers = metrics
        .lines()
        .filter(|line| line.starts_with("tidegate_cluster_available{"));
    let open = breakers.filter(|line| line.ends_with(" 0") && !line.contains("cluster=\"probed\""));
    assert_eq!(open.count(), 0, "a breaker is open: {metrics}");
    assert!(!log.contains("panicked"), "{log}");
    for owner in ["neighbour", "leaver", "glutton", "daily", "admin"] {
        let secret = &key(owner)[3..];
        assert!(
            !metrics.contains(secret) && !log.contains(secret),
            "the key of {owner}: {log}"
        );
    }
}

/// The most time that somebody who does no harm may be held up.
const SERVED_WITHIN: Duration = Duration::from_secs(2);
