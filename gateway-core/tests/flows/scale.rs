//! How many replicas a cluster should have: what gateways see of it comes together in its cell, and what scales it can read
//! the answer.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use http::Request;
use serde_json::{Value, json};
use tidegate_core::Body;
use tidegate_core::platform::Platform;
use tidegate_virtual::Edge;

use crate::admin::{ask, assert_conforms};
use crate::hops::config_of_two_hops;
use crate::world::{Piece, Reaction, World};
use crate::{CHAT, chat, config, done, event, sse, usage};

const NEAR: &str = "/admin/v1/scale/near";

fn scale(world: &mut World) -> Value {
    let (status, told) = ask(world, "admin-key", ("GET", NEAR), "");
    assert_eq!(status, 200, "{told}");
    assert_conforms("/admin/v1/scale/{cluster}", &told);
    told
}

fn number(told: &Value, name: &str) -> f64 {
    told[name].as_f64().unwrap_or_else(|| panic!("{name} of {told}"))
}

/// A first event after a fifth of a second, and the rest after twice as much.
fn slow(_: &Request<bytes::Bytes>) -> Reaction {
    let wait = |millis| Piece::Wait(Duration::from_millis(millis));
    sse(vec![wait(200), event("a"), wait(400), event("b"), usage(), done()])
}

/// With so much room that permits are kept.
fn roomy() -> String {
    config()
        .replace("max_running = 4", "max_running = 400")
        .replace("kv_cache_tokens = 100000", "kv_cache_tokens = 10000000")
}

/// Ten requests a second for so long, to one gateway after the other.
fn come(world: &mut World, others: &[Edge], seconds: usize) {
    for number in 0..seconds * 10 {
        let request = || Request::post(CHAT).header("authorization", "Bearer key");
        let other = others.get(number % (others.len() + 1));
        let response = match other {
            Some(other) => other.serve(request(), &chat("big", true)).boxed_local(),
            None => world.serving(request(), &chat("big", true)).boxed_local(),
        };
        world.platform.after_response(async move {
            if let Body::Stream(pieces) = response.await.into_body() {
                pieces.for_each(async |_| {}).await;
            }
        });
        world.pass(Duration::from_millis(100));
    }
}

#[test]
fn what_all_gateways_see_comes_together_also_of_requests_of_which_the_cell_is_not_asked() {
    let mut world = World::new(&roomy(), slow);
    let others = [world.another(&roomy()), world.another(&roomy())];
    come(&mut world, &others, 120);
    let taken = world.metrics();
    assert!(taken.contains("from=\"kept\""), "{taken}");
    let told = scale(&mut world);
    assert!((number(&told, "arrival_requests_per_s") - 10.0).abs() < 0.5, "{told}");
    let p95 = number(&told, "ttft_ms_p95");
    assert!((195.0..206.0).contains(&p95), "{told}");
    assert!((500.0..=700.0).contains(&number(&told, "ttft_streams")), "{told}");
    assert_eq!(number(&told, "decode_tokens_per_s"), 5.0, "two in 400 ms: {told}");
    assert!(number(&told, "in_flight_tokens") > 0.0, "{told}");
    let standing = ["serving_replicas", "unknown_replicas"].map(|name| number(&told, name));
    assert_eq!(standing, [1.0, 1.0], "all are alike, and go to one: {told}");
    assert_eq!(number(&told, "desired_replicas"), 1.0, "{told}");
}

#[test]
fn a_cluster_of_which_nothing_is_there_is_scaled_up_for_a_request_that_is_held() {
    let is_up = Rc::new(Cell::new(false));
    let up = Rc::clone(&is_up);
    let config = config()
        .replacen("max_running = 4\n", "max_running = 4\nscaling = { min_replicas = 0, scale_down_after_ms = 0 }\n", 1)
        .replace("serving = [{ cluster = \"near\", served_name = \"org/big\" }, { cluster = \"far\", served_name = \"org/big\" }]", "serving = [{ cluster = \"near\" }]")
        .replace("tiers = [\"small\", {", "tiers = [{")
        .replace("wait_ms = 0", "wait_ms = 0\nhold_ms = 200_000")
        + "\n[timeouts]\ndeadline_ms = 300_000\n";
    let mut world = World::new(
        &config,
        move |request| {
            if up.get() { slow(request) } else { Reaction::Refuse }
        },
    );
    let response = world.serving(
        Request::post(CHAT).header("authorization", "Bearer key"),
        &chat("big", false),
    );
    let answered = Rc::new(Cell::new(0));
    let status = Rc::clone(&answered);
    world
        .platform
        .after_response(async move { status.set(response.await.status().as_u16()) });
    // Until it is known that nobody is there, all may be.
    world.pass(Duration::from_secs(10));
    let told = scale(&mut world);
    assert_eq!(
        (number(&told, "standby_replicas"), number(&told, "serving_replicas")),
        (2.0, 0.0),
        "{told}"
    );
    assert_eq!(number(&told, "desired_replicas"), 1.0, "{told}");
    world.pass(Duration::from_secs(45));
    assert_eq!(answered.get(), 0, "it is held");
    is_up.set(true);
    world.pass(Duration::from_secs(15));
    assert_eq!(answered.get(), 200);
    let told = scale(&mut world);
    assert_eq!(number(&told, "serving_replicas"), 1.0, "{told}");
    assert_eq!(number(&told, "cold_start_ms"), 60_000.0, "{told}");
    world.pass(Duration::from_secs(3_000));
    scale(&mut world);
    world.pass(Duration::from_secs(100));
    assert_eq!(number(&scale(&mut world), "desired_replicas"), 0.0);
}

#[test]
fn who_cannot_know_says_so_and_gives_no_number() {
    let (mut world, _hops) = World::of_two_hops(&config_of_two_hops(), slow);
    let (status, told) = ask(&mut world, "admin-key", ("GET", NEAR), "");
    assert_eq!((status, &told["error"]["code"]), (409, &json!("ask_region")));
    assert!(
        told["error"]["message"].as_str().unwrap().contains("http://hop"),
        "{told}"
    );
    let (_, all) = ask(&mut world, "admin-key", ("GET", "/admin/v1/scale"), "");
    assert_conforms("/admin/v1/scale", &all);
    assert_eq!(
        (&all["clusters"][0]["cluster"], &all["elsewhere"][0]["cluster"]),
        (&json!("far"), &json!("near"))
    );
    world.cut_clusters_off();
    let (status, told) = ask(&mut world, "admin-key", ("GET", "/admin/v1/scale/far"), "");
    assert_eq!(status, 503, "{told}");
    let (_, all) = ask(&mut world, "admin-key", ("GET", "/admin/v1/scale"), "");
    assert_eq!((&all["clusters"], &all["unreachable"]), (&json!([]), &json!(["far"])));
    assert_eq!(
        ask(&mut world, "admin-key", ("GET", "/admin/v1/scale/nowhere"), "").0,
        404
    );
    assert_eq!(ask(&mut world, "key", ("GET", "/admin/v1/scale"), "").0, 401);
}

/// Everything that stands in the examples' YAML, by its path: lists and tables in block style, one scalar a line.
fn yaml(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut within: Vec<(usize, String)> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let mut indent = line.len() - line.trim_start().len();
        let mut rest = line.trim_start();
        within.retain(|(outer, _)| *outer < indent);
        if let Some(entry) = rest.strip_prefix("- ") {
            within.push((indent, "[]".to_owned()));
            (indent, rest) = (indent + 2, entry);
        }
        let (key, value) = rest.split_once(':').unwrap_or_else(|| panic!("{line}"));
        within.push((indent, key.to_owned()));
        if !value.trim().is_empty() {
            let path: Vec<_> = within.iter().map(|(_, key)| key.as_str()).collect();
            let before = found.insert(path.join("."), value.trim().trim_matches('"').to_owned());
            assert_eq!(before, None, "{line}");
        }
    }
    found
}

#[test]
fn the_examples_for_kubernetes_name_what_there_is() {
    const PAGE: &str = include_str!("../../../docs/deploy/scaling.md");
    let fences = PAGE
        .split("```yaml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap());
    let documents = fences.flat_map(|fence| fence.split("---\n")).map(yaml);
    let by_kind: BTreeMap<_, _> = documents
        .map(|told| (told.get("kind").cloned().unwrap_or_default(), told))
        .collect();
    let of = |kind: &str, path: &str| {
        let told = &by_kind[kind];
        told.get(path).unwrap_or_else(|| panic!("{path} of {told:?}")).as_str()
    };
    let mut world = World::new(&config(), slow);
    let told = scale(&mut world);
    // KEDA: https://keda.sh/docs/latest/scalers/metrics-api
    let trigger = |key: &str| of("ScaledObject", &format!("spec.triggers.[].{key}"));
    assert_eq!(of("ScaledObject", "apiVersion"), "keda.sh/v1alpha1");
    assert_eq!(
        (trigger("type"), trigger("metricType")),
        ("metrics-api", "AverageValue")
    );
    assert_eq!(
        (trigger("metadata.targetValue"), trigger("metadata.authMode")),
        ("1", "bearer")
    );
    let path = trigger("metadata.url").split_once("8081").unwrap().1;
    assert_eq!(path.replace("/eu", "/near"), NEAR);
    assert!(told[trigger("metadata.valueLocation")].is_u64(), "{told}");
    assert_eq!(
        trigger("authenticationRef.name"),
        of("TriggerAuthentication", "metadata.name")
    );
    assert_eq!(
        of("TriggerAuthentication", "spec.secretTargetRef.[].parameter"),
        "token"
    );
    let stabilisation = "scaleDown.stabilizationWindowSeconds";
    let of_keda = format!("spec.advanced.horizontalPodAutoscalerConfig.behavior.{stabilisation}");
    assert_eq!(of("ScaledObject", &of_keda), "0");
    // HorizontalPodAutoscaler v2: the external metric is one that the adapter is told of, and that there is.
    let autoscaler = |key: &str| of("HorizontalPodAutoscaler", &format!("spec.{key}"));
    assert_eq!(of("HorizontalPodAutoscaler", "apiVersion"), "autoscaling/v2");
    assert_eq!(autoscaler("metrics.[].type"), "External");
    assert_eq!(autoscaler("metrics.[].external.target.type"), "AverageValue");
    assert_eq!(autoscaler("metrics.[].external.target.averageValue"), "1");
    assert_eq!(autoscaler(&format!("behavior.{stabilisation}")), "0");
    let metric = autoscaler("metrics.[].external.metric.name");
    assert!(
        world.metrics().contains(&format!("\n{metric}{{cluster=\"near\"}} ")),
        "{}",
        world.metrics()
    );
    assert_eq!(of("", "rules.external.[].seriesQuery"), metric);
    for kind in ["ScaledObject", "HorizontalPodAutoscaler"] {
        assert_eq!(of(kind, "spec.scaleTargetRef.kind"), "StatefulSet");
    }
}
