//! Where requests may go and where they go first, whatever fails on their way.

use std::time::Duration;

use proptest::prelude::*;

use crate::hops::config_of_two_hops;
use crate::world::{Piece, Reaction, World};
use crate::{CHAT, config, done, event, header, host, sse};

const IN_THE_EU: &str = "said in the eu";

fn chat(text: &str, stream: bool) -> String {
    format!(r#"{{"model":"big","stream":{stream},"messages":[{{"role":"user","content":"{text}"}}]}}"#)
}

/// What an engine may do, from a good answer to none.
fn reaction() -> impl Strategy<Value = Reaction> {
    let ending = |piece: Piece| sse(vec![event("a"), piece]);
    prop_oneof![
        3 => Just(sse(vec![event("a"), done()])),
        1 => Just(ending(Piece::Break)),
        1 => Just(sse(vec![Piece::Break])),
        1 => Just(sse(vec![Piece::Wait(Duration::from_secs(90)), event("late"), done()])),
        2 => prop::sample::select(vec![429_u16, 500, 503]).prop_map(|status| Reaction::Answer(
            status,
            "application/json",
            vec![Piece::Text("{}".to_owned())],
        )),
        1 => Just(Reaction::Refuse),
        1 => Just(Reaction::Lose),
        1 => Just(Reaction::Hang),
    ]
}

#[derive(Clone, Debug)]
enum Step {
    Ask { key: &'static str, stream: bool },
    Pass(Duration),
    RestartCell(&'static str),
    CutClusters(bool),
    ComeInAt(&'static str),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (prop::sample::select(vec!["key", "eu-key"]), any::<bool>())
            .prop_map(|(key, stream)| Step::Ask { key, stream }),
        1 => (0_u64..20).prop_map(|seconds| Step::Pass(Duration::from_secs(seconds))),
        1 => prop::sample::select(vec!["near", "far"]).prop_map(Step::RestartCell),
        1 => any::<bool>().prop_map(Step::CutClusters),
        1 => prop::sample::select(vec!["FRA", "IAD", "nowhere"]).prop_map(Step::ComeInAt),
    ]
}

fn take(world: &mut World, step: Step) {
    match step {
        Step::Ask { key, stream } => {
            let text = if key == "eu-key" { IN_THE_EU } else { "said anywhere" };
            let response = world.post_as(key, CHAT, &chat(text, stream));
            world.rest_of(response.into_body());
        }
        Step::Pass(time) => world.pass(time),
        Step::RestartCell(cluster) => world.restart_cell(cluster),
        Step::CutClusters(true) => world.cut_clusters_off(),
        Step::CutClusters(false) => {
            world.set_link(tidegate_virtual::CellKind::Cluster, tidegate_virtual::Link::IDEAL);
        }
        Step::ComeInAt(code) => world.come_in_at(code),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_that_fails_takes_a_tenant_s_data_out_of_its_jurisdiction(
        reactions in prop::collection::vec(reaction(), 1..24),
        steps in prop::collection::vec(step(), 1..24),
        is_of_two_hops in any::<bool>(),
    ) {
        let next = std::cell::Cell::new(0);
        let engines = move |_: &_| {
            let index = next.replace(next.get() + 1);
            reactions[index % reactions.len()].clone()
        };
        let mut world = if is_of_two_hops {
            World::of_two_hops(&config_of_two_hops(), engines).0
        } else {
            World::new(&config(), engines)
        };
        for step in steps {
            take(&mut world, step);
        }
        for (url, body) in world.sent() {
            prop_assert!(url.starts_with("http://near-") || !body.contains(IN_THE_EU), "{url} was sent {body}");
        }
        prop_assert_eq!(world.in_flight("near") + world.in_flight("far"), 0);
    }
}

#[test]
fn what_may_go_anywhere_does_where_the_near_ones_fail() {
    let mut world = World::new(&config(), |request| match host(request) {
        "far-a" => sse(vec![event("a"), done()]),
        _ => Reaction::Refuse,
    });
    assert_eq!(
        header(&world.post_as("key", CHAT, &chat("x", true)), "x-tidegate-cluster"),
        "far"
    );
    assert_eq!(
        header(&world.post_as("eu-key", CHAT, &chat("x", true)), "x-tidegate-cluster"),
        ""
    );
}

/// The cluster that serves a request with that place in a header.
fn served_from(world: &mut World, place: &str) -> String {
    let serving = world.posting(CHAT, &[("x-edge-location", place)], &chat("x", true));
    let response = world.run(serving);
    assert_eq!(response.status(), 200);
    header(&response, "x-tidegate-cluster").to_owned()
}

#[test]
fn a_header_says_where_a_request_came_in_where_the_configuration_trusts_it() {
    let engines = |_: &http::Request<bytes::Bytes>| sse(vec![event("a"), done()]);
    let mut trusting = World::new(
        &format!("{}\n[routing]\nlocation_headers = [\"x-edge-location\"]\n", config()),
        engines,
    );
    assert_eq!(served_from(&mut trusting, "IAD"), "far");
    assert_eq!(served_from(&mut trusting, "51.5,-0.1"), "near");
    assert_eq!(served_from(&mut trusting, "40.7,-74.0"), "far");
    trusting.come_in_at("IAD");
    assert_eq!(
        served_from(&mut trusting, "nowhere"),
        "near",
        "all count as equally far"
    );
    let mut other = World::new(&config(), engines);
    other.come_in_at("FRA");
    assert_eq!(served_from(&mut other, "IAD"), "near", "anybody can send a header");
}

#[test]
fn a_cluster_that_costs_less_is_worth_the_way() {
    let priced = config()
        .replace(
            "max_running = 4\n\n[[clusters]]",
            "max_running = 4\nprice = 3\n\n[[clusters]]",
        )
        .replace(
            "max_running = 4\n\n[[models]]",
            "max_running = 4\nprice = 0.5\n\n[[models]]",
        );
    for (weight, expected) in [(0, "near"), (30, "near"), (60, "far")] {
        let text = format!("{priced}\n[routing]\nprice_weight_ms = {weight}\n");
        let mut world = World::new(&text, |_| sse(vec![event("a"), done()]));
        world.come_in_at("FRA");
        let response = world.post_as("key", CHAT, &chat("x", true));
        assert_eq!(header(&response, "x-tidegate-cluster"), expected, "{weight} ms");
    }
}
