//! Engines are asked what they say of themselves, and what others have sent them takes room.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use serde_json::Value;

use crate::world::{Piece, Reaction, World};
use crate::{CHAT, chat, config, done, event, host, sse};

/// What the engines' pages say, by host; others answer 404.
type Pages = Rc<RefCell<Vec<(&'static str, String)>>>;

fn page(running: u32, waiting: u32) -> String {
    format!(
        "vllm:num_requests_running{{engine=\"0\"}} {running}.0\nvllm:num_requests_waiting{{engine=\"0\"}} {waiting}.0\n\
         vllm:kv_cache_usage_perc{{engine=\"0\"}} 0.0\n"
    )
}

fn configured() -> String {
    config().replace("enabled = false", "enabled = true")
}

/// Engines with these pages, which answer everything else at once.
fn world(config: &str) -> (World, Pages) {
    let pages = Pages::default();
    let engines = reactions(&pages);
    (World::new(config, engines), pages)
}

fn reactions(pages: &Pages) -> impl Fn(&Request<Bytes>) -> Reaction + 'static {
    let pages = Rc::clone(pages);
    move |request| {
        if request.uri().path() != "/metrics" {
            return sse(vec![event("a"), done()]);
        }
        let pages = pages.borrow();
        let page = pages.iter().find(|(of, _)| *of == host(request));
        match page.map(|(_, page)| page.as_str()) {
            None => Reaction::Answer(404, "text/plain", Vec::new()),
            Some("hangs") => Reaction::Hang,
            Some(page) => Reaction::Answer(200, "text/plain", vec![Piece::Text(page.to_owned())]),
        }
    }
}

fn say(pages: &Pages, near_a: &str, near_b: &str) {
    *pages.borrow_mut() = vec![("near-a", near_a.to_owned()), ("near-b", near_b.to_owned())];
}

/// Which replicas of the near cluster serve so many requests, all within half a second.
fn served_by(world: &mut World, count: usize) -> Vec<String> {
    let before = asked(world, CHAT).len();
    for _ in 0..count {
        let response = world.post(CHAT, &chat("big", true));
        assert_eq!(response.status(), 200);
        world.rest(response.into_body());
        world.pass(Duration::from_millis(10));
    }
    asked(world, CHAT).split_off(before)
}

fn asked(world: &World, path: &str) -> Vec<String> {
    let sent = world.sent().into_iter().map(|(url, _)| url);
    sent.filter(|url| url.ends_with(path)).collect()
}

/// Asks engines behind a request's back, and lets time pass until that is over.
fn poll(world: &mut World) {
    served_by(world, 1);
    world.pass(Duration::from_millis(1_200));
    served_by(world, 1);
    world.pass(Duration::from_millis(100));
}

fn ready(world: &mut World) -> Value {
    let serving = world.serving(Request::get("/readyz"), "");
    let response = world.run(serving);
    serde_json::from_str(&world.rest(response.into_body())).unwrap()
}

#[test]
fn what_others_have_sent_to_a_replica_sends_requests_to_the_other_one() {
    for (a, b, other) in [
        (page(4, 0), page(0, 0), "near-b"),
        (page(0, 0), page(4, 0), "near-a"),
        (page(1, 2), page(3, 0), "near-b"),
    ] {
        let (mut world, pages) = world(&configured());
        say(&pages, &a, &b);
        poll(&mut world);
        let replicas = served_by(&mut world, 5);
        assert!(replicas.iter().all(|url| url.contains(other)), "{replicas:?}");
        assert!(
            world.metrics().contains("tidegate_engine_running{cluster=\"near\""),
            "{}",
            world.metrics()
        );
    }
}

#[test]
fn what_is_stale_counts_no_more_and_is_told() {
    let (mut world, pages) = world(&configured());
    let home = served_by(&mut world, 1).remove(0);
    let (a, b) = if home.contains("near-a") { (4, 0) } else { (0, 4) };
    say(&pages, &page(a, 0), &page(b, 0));
    // None of them had a page: they are asked again after a while.
    world.pass(Duration::from_secs(12));
    poll(&mut world);
    assert!(!served_by(&mut world, 3).contains(&home));
    assert_eq!(ready(&mut world)["signals_stale"], serde_json::json!([]));
    for gone in ["hangs", "<html>"] {
        say(&pages, gone, gone);
        world.pass(Duration::from_secs(4));
        assert_eq!(served_by(&mut world, 3).len(), 3);
        assert_eq!(ready(&mut world)["signals_stale"], serde_json::json!(["near"]));
    }
    world.pass(Duration::from_secs(40));
    poll(&mut world);
    let metrics = world.metrics();
    assert!(
        metrics.contains("tidegate_signals_ignored_total{cluster=\"near\",reason=\"missing\"}"),
        "{metrics}"
    );
    assert!(
        metrics.contains("tidegate_signals_ignored_total{cluster=\"near\",reason=\"late\"}"),
        "{metrics}"
    );
    assert!(!metrics.contains("tidegate_engine_running{"), "{metrics}");
    assert!(metrics.contains("tidegate_signals_age_seconds{"), "{metrics}");
}

#[test]
fn replicas_that_all_say_they_are_full_are_asked_all_the_same() {
    let (mut world, pages) = world(&configured());
    say(&pages, &page(900_000, 900_000), &page(900_000, 900_000));
    poll(&mut world);
    for _ in 0..20 {
        let before = world.now();
        assert_eq!(served_by(&mut world, 1).len(), 1);
        assert!(world.now().since(before) < Duration::from_millis(100));
    }
}

#[test]
fn however_many_gateways_one_asks_at_a_time() {
    let (mut world, pages) = world(&configured());
    say(&pages, &page(0, 0), &page(0, 0));
    let others = [(); 4].map(|()| world.another(&configured()));
    for _ in 0..100 {
        served_by(&mut world, 1);
        for other in &others {
            let request = Request::post(CHAT).header("authorization", "Bearer key");
            let response = world.run(other.serve(request, &chat("big", true)));
            world.rest(response.into_body());
        }
        world.pass(Duration::from_millis(90));
    }
    // Ten seconds, two replicas, give or take an eighth.
    let count = asked(&world, "/metrics")
        .iter()
        .filter(|url| url.contains("near"))
        .count();
    assert!((14..=26).contains(&count), "{count}");
}

#[test]
fn without_traffic_a_timer_or_an_operator_has_engines_asked() {
    let (mut world, pages) = world(&configured());
    say(&pages, &page(3, 0), &page(0, 0));
    let (gateway, platform) = (std::sync::Arc::clone(&world.gateway), world.platform.clone());
    world.run(async move { gateway.maintain(platform).await });
    world.pass(Duration::from_millis(10));
    assert_eq!(asked(&world, "/metrics").len(), 3, "all of both clusters");
    let poll = |world: &mut World, key: &str, cluster: &str| {
        let request = Request::post(format!("/admin/v1/clusters/{cluster}/poll"));
        let serving = world.serving(request.header("authorization", format!("Bearer {key}")), "");
        let response = world.run(serving);
        let status = response.status().as_u16();
        (
            status,
            serde_json::from_str::<Value>(&world.rest(response.into_body())).unwrap(),
        )
    };
    let (status, told) = poll(&mut world, "admin-key", "near");
    assert_eq!((status, told["turn"].as_bool()), (200, Some(false)), "{told}");
    world.pass(Duration::from_secs(2));
    let (status, told) = poll(&mut world, "admin-key", "near");
    assert_eq!(status, 200);
    assert_eq!(
        told,
        serde_json::json!({"cluster": "near", "turn": true, "replicas": 2, "read": 2})
    );
    assert_eq!(poll(&mut world, "key", "near").0, 401);
    assert_eq!(poll(&mut world, "admin-key", "nowhere").0, 404);
}

#[test]
fn what_is_switched_off_is_not_asked() {
    let (mut world, _) = world(&config());
    poll(&mut world);
    assert_eq!(asked(&world, "/metrics"), [""; 0]);
    let path = "engine = \"vllm\"\nsignals_path = \"/load\"";
    let (mut world, _) = self::world(&configured().replace("engine = \"vllm\"", path));
    poll(&mut world);
    assert_eq!(asked(&world, "/metrics"), [""; 0]);
    assert!(!asked(&world, "/load").is_empty());
}

#[test]
fn at_the_edge_the_region_hop_asks() {
    let hop = configured().replace("jurisdiction = \"eu\"", "jurisdiction = \"eu\"\nhop = \"http://hop\"");
    let config = hop + "\n[hops]\nkeys = [\"HOP_KEY\"]\n";
    let pages = Pages::default();
    say(&pages, &page(0, 0), &page(0, 0));
    let (mut world, _hops) = World::of_two_hops(&config, reactions(&pages));
    let (gateway, platform) = (std::sync::Arc::clone(&world.gateway), world.platform.clone());
    world.run(async move { gateway.maintain(platform).await });
    world.pass(Duration::from_millis(10));
    assert_eq!(asked(&world, "/metrics"), ["http://far-a/metrics"]);
    let before = asked(&world, "/metrics").len();
    let response = world.post(CHAT, &chat("big", true));
    world.rest(response.into_body());
    world.pass(Duration::from_millis(100));
    let asked = asked(&world, "/metrics").split_off(before);
    assert_eq!(
        asked.iter().filter(|url| url.contains("near")).count(),
        2,
        "by the hop: {asked:?}"
    );
    let request = Request::post("/admin/v1/clusters/near/poll").header("authorization", "Bearer admin-key");
    let serving = world.serving(request, "");
    let refused = world.run(serving);
    assert_eq!(refused.status(), 409);
    assert!(world.rest(refused.into_body()).contains("ask the gateway there"));
}
