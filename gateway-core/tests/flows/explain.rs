//! Why requests went where they went: the record that each leaves, who is told of it, where it is found, and what is foretold of
//! a request that is only tried. Records of whole scenarios are snapshots.

use std::time::Duration;

use bytes::Bytes;
use futures::{FutureExt, StreamExt, stream};
use http::Request;
use serde_json::{Value, json};
use tidegate_core::config::KeyDigest;
use tidegate_virtual::{CellKind, Link};

use crate::admin::{ask, assert_conforms};
use crate::budgets::{self, limited, taking};
use crate::hops::config_of_two_hops;
use crate::world::{Piece, Reaction, World};
use crate::{CHAT, chat, config, done, event, header, host, sse, streaming, usage};

const EXPLAINED: [(&str, &str); 2] = [("x-tidegate-explain", "1"), ("x-tidegate-admin-key", "reader")];

/// With a key that may look.
fn watched(config: &str) -> String {
    let reader = KeyDigest::of("reader");
    config.replace("[admin]\n", &format!("[admin]\nread_keys = [\"{reader}\"]\n"))
}

fn answering(_: &Request<Bytes>) -> Reaction {
    sse(vec![event("a"), event("b"), usage(), done()])
}

fn world_of(config: &str, engines: impl Fn(&Request<Bytes>) -> Reaction + 'static) -> World {
    let mut world = World::new(&watched(config), engines);
    world.come_in_at("fra");
    world
}

/// A request that asks to be explained: its status, the record in its header, and its body.
fn explained(world: &mut World, body: &str) -> (u16, Value, String) {
    let response = world.posting(CHAT, &EXPLAINED, body);
    let response = world.run(response);
    let status = response.status().as_u16();
    let text = header(&response, "x-tidegate-explain");
    assert!(text.len() <= 4096, "{} bytes", text.len());
    let record = serde_json::from_str(text).expect("JSON");
    (status, record, world.rest(response.into_body()))
}

/// The record that the comment at a stream's end has.
fn last_word(body: &str) -> Value {
    let (_, comment) = body.rsplit_once(": tidegate-explain ").expect("a comment");
    serde_json::from_str(comment.trim_end()).expect("JSON")
}

fn kept(world: &mut World, id: &Value) -> (u16, Value) {
    let path = format!("/admin/v1/requests/{}", id.as_str().expect("an id"));
    ask(world, "reader", ("GET", &path), "")
}

fn listed(world: &mut World, query: &str) -> Vec<Value> {
    let (status, answer) = ask(world, "reader", ("GET", &format!("/admin/v1/requests{query}")), "");
    assert_eq!(status, 200, "{answer}");
    assert_conforms("/admin/v1/requests", &answer);
    answer["requests"].as_array().expect("a list").clone()
}

fn steps<'r>(record: &'r Value, step: &str) -> Vec<&'r Value> {
    let steps = record["steps"].as_array().expect("steps");
    steps.iter().filter(|found| found["step"] == step).collect()
}

/// Compares a record with the snapshot, without what differs from run to run.
fn check(name: &str, scenario: &str, mut record: Value) {
    record["request"] = json!("#");
    record["arrived_at_ms"] = json!("#");
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_description(scenario);
    settings.bind(|| insta::assert_snapshot!(format!("explain_{name}"), format!("{record:#}")));
}

/// What is asked of `/admin/v1/explain`.
fn foretold(world: &mut World, asked: Value) -> (u16, Value) {
    let (status, answer) = ask(world, "reader", ("POST", "/admin/v1/explain"), &asked.to_string());
    assert_eq!(world.in_flight("near") + world.in_flight("far"), 0, "nothing is held");
    (status, answer)
}

fn to_try(tenant: &str, model: &str) -> Value {
    json!({"tenant": tenant, "body": serde_json::from_str::<Value>(&chat(model, true)).expect("JSON")})
}

/// About 2,000 tokens, so that it matters where they are warm.
fn long() -> String {
    let messages = json!([{"role": "user", "content": "told ".repeat(1_600)}, {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": "And then?"}]);
    json!({"model": "big", "stream": true, "messages": messages}).to_string()
}

#[test]
fn a_warm_replica() {
    let mut world = world_of(&config(), answering);
    let first = world.post(CHAT, &long());
    world.rest(first.into_body());
    world.pass(Duration::from_millis(100));
    let (status, head, body) = explained(&mut world, &long());
    assert_eq!(status, 200);
    let record = last_word(&body);
    assert!(
        body.contains("data: [DONE]\n\n: tidegate-explain {"),
        "the last of all: {body}"
    );
    assert_eq!(
        (&head["request"], &head["ended_ms"]),
        (&record["request"], &Value::Null)
    );
    let [weighed] = steps(&head, "weighed")[..] else {
        panic!("the cell was asked: {head}")
    };
    let costs: Vec<_> = weighed["replicas"].as_array().expect("replicas").iter().collect();
    assert!(costs[0]["cost_ms"].as_f64() < costs[1]["cost_ms"].as_f64(), "{weighed}");
    let id = record["request"].clone();
    let (status, found) = kept(&mut world, &id);
    assert_eq!(status, 200);
    check(
        "warm",
        "A conversation comes back to the replica that has it in memory.",
        found,
    );
}

#[test]
fn a_kept_permit() {
    let roomy = config().replace("max_running = 4", "max_running = 64");
    let mut world = world_of(&roomy, answering);
    let first = world.post(CHAT, &chat("big", true));
    world.rest(first.into_body());
    let asked = world.cluster_commands();
    let (_, _, body) = explained(&mut world, &chat("big", true));
    assert_eq!(
        world.cluster_commands(),
        asked,
        "an explanation asks no cell that the request does not"
    );
    let record = last_word(&body);
    assert!(steps(&record, "weighed").is_empty());
    check(
        "kept_permit",
        "A request that runs under a permit which this gateway has kept.",
        record,
    );
}

#[test]
fn a_full_cluster_then_a_wait_then_the_next_tier() {
    let narrow = config()
        .replace("max_running = 4", "max_running = 1")
        .replace("wait_ms = 0", "wait_ms = 2000")
        .replace("serving = [{ cluster = \"near\", served_name = \"org/big\" }, { cluster = \"far\", served_name = \"org/big\" }]",
            "serving = [{ cluster = \"near\", served_name = \"org/big\" }]");
    let mut world = world_of(&narrow, |request| {
        let slow = String::from_utf8_lossy(request.body()).contains("org/big");
        let wait = Piece::Wait(Duration::from_secs(if slow { 600 } else { 0 }));
        sse(vec![event("a"), wait, usage(), done()])
    });
    let held: Vec<_> = (0..2)
        .map(|_| streaming(world.post(CHAT, &chat("big", true))))
        .collect();
    let (status, record, _) = explained(&mut world, &chat("big", false));
    assert_eq!((status, &record["status"]), (200, &json!(200)));
    assert_eq!(
        (steps(&record, "ranked").len(), steps(&record, "waited").len()),
        (2, 1),
        "{record}"
    );
    check(
        "full",
        "A full cluster, a wait there, and then the next tier of the ladder.",
        record,
    );
    drop(held);
}

#[test]
fn a_replica_that_fails() {
    let mut world = world_of(&config(), |request| match host(request) {
        "near-a" => Reaction::Answer(
            500,
            "application/json",
            vec![Piece::Text(r#"{"error":{"message":"he"}}"#.to_owned())],
        ),
        _ => answering(request),
    });
    let (status, record, _) = explained(&mut world, &chat("big", false));
    assert_eq!(status, 200);
    let text = record.to_string();
    assert!(!text.contains("\"he\""), "an engine's words stay out: {text}");
    check(
        "failing",
        "A replica fails, and another one of its cluster serves.",
        record,
    );
}

#[test]
fn another_jurisdiction() {
    let mut world = world_of(&config(), |request| match host(request) {
        "near-a" | "near-b" => Reaction::Refuse,
        other => panic!("{other} was asked"),
    });
    let response = world.post_as("eu-key", CHAT, &chat("big", false));
    assert_eq!(header(&response, "x-tidegate-tier"), "canned");
    world.rest(response.into_body());
    let [line] = &listed(&mut world, "?tenant=europeans")[..] else {
        panic!("one request")
    };
    let id = line["request"].clone();
    let (_, record) = kept(&mut world, &id);
    check(
        "jurisdiction",
        "Clusters outside of the tenant's jurisdictions, and none inside that answers.",
        record,
    );
}

#[test]
fn nobody_is_told_without_an_operators_key_and_engines_never_are() {
    let mut world = world_of(&config(), answering);
    for (headers, status, code) in [
        (&[("x-tidegate-explain", "1")][..], 401, "admin_key_missing"),
        (
            &[("x-tidegate-explain", "1"), ("x-tidegate-admin-key", "key")],
            403,
            "admin_key_unknown",
        ),
        (
            &[("x-tidegate-explain", "all"), ("x-tidegate-admin-key", "reader")],
            400,
            "invalid_header",
        ),
    ] {
        let response = world.posting(CHAT, headers, &chat("big", false));
        let response = world.run(response);
        assert_eq!(response.status(), status);
        assert!(response.headers().get("x-tidegate-explain").is_none());
        let body = world.rest(response.into_body());
        assert!(body.contains(code), "{body}");
    }
    assert!(world.sent().is_empty());
    assert_eq!(explained(&mut world, &chat("big", false)).0, 200);
    assert_eq!(world.sent().len(), 1);
    let told = world.headers_sent();
    assert!(told.iter().all(|name| !name.starts_with("x-tidegate")), "{told:?}");
}

#[test]
fn a_request_that_nobody_can_serve_tells_why() {
    let bottomless = config().replace(", { canned = \"Please try again.\" }", "");
    let mut world = world_of(&bottomless, |_| Reaction::Refuse);
    let (status, record, _) = explained(&mut world, &chat("big", false));
    assert_eq!(
        (status, &record["error"]),
        (502, &json!("upstream_unreachable")),
        "{record}"
    );
    assert!(steps(&record, "failed").len() > 1, "{record}");
}

#[test]
fn the_latest_requests_are_listed_and_older_ones_are_gone() {
    let few = config() + "\n[explain]\nkept_requests = 3\n";
    let mut world = world_of(&few, answering);
    let mut ids = Vec::new();
    for model in ["big", "small", "big", "nothing", "big"] {
        let response = world.post(CHAT, &chat(model, false));
        ids.push(json!(header(&response, "x-request-id")));
        world.rest(response.into_body());
    }
    let lines = listed(&mut world, "");
    let found: Vec<_> = lines.iter().map(|line| line["request"].clone()).collect();
    assert_eq!(
        found,
        [ids[4].clone(), ids[3].clone(), ids[2].clone()],
        "the newest first"
    );
    assert_eq!(lines[1]["error"], "model_not_found");
    assert_eq!(lines[0]["cluster"], "near");
    assert!(lines[0]["ended_ms"].is_number());
    for (query, count) in [
        ("?status=404", 1),
        ("?status=200&cluster=near", 2),
        ("?tenant=europeans", 0),
    ] {
        assert_eq!(listed(&mut world, query).len(), count, "{query}");
    }
    let wrong = ask(&mut world, "reader", ("GET", "/admin/v1/requests?status=x"), "");
    assert_eq!((wrong.0, &wrong.1["error"]["code"]), (422, &json!("invalid_explain")));
    let (status, gone) = kept(&mut world, &ids[0]);
    assert_eq!((status, &gone["error"]["code"]), (404, &json!("request_not_found")));
    assert_eq!(
        ask(&mut world, "reader", ("GET", "/admin/v1/requests/..%2Fconfig"), "").0,
        404
    );
    for path in [
        "/admin/v1/requests".to_owned(),
        format!("/admin/v1/requests/{}", ids[4].as_str().unwrap()),
    ] {
        assert_eq!(ask(&mut world, "key", ("GET", &path), "").0, 401, "{path}");
    }
}

#[test]
fn nothing_is_kept_where_nothing_is_to_be() {
    let none = config() + "\n[explain]\nkept_requests = 0\n";
    let mut world = world_of(&none, answering);
    world.post(CHAT, &chat("big", false));
    assert_eq!(listed(&mut world, "").len(), 0);
    let (_, record, _) = explained(&mut world, &chat("big", false));
    assert!(!steps(&record, "permitted").is_empty(), "who asks is told all the same");
}

#[test]
fn a_request_under_way_is_listed_and_one_whose_client_has_left_has_ended() {
    let mut world = world_of(&config(), |_| {
        sse(vec![event("a"), Piece::Wait(Duration::from_secs(600)), done()])
    });
    let stream = streaming(world.post(CHAT, &chat("big", true)));
    let [line] = &listed(&mut world, "")[..] else {
        panic!("one")
    };
    assert_eq!((&line["status"], &line["ended_ms"]), (&json!(200), &Value::Null));
    drop(stream);
    world.pass(Duration::from_millis(10));
    assert!(listed(&mut world, "")[0]["ended_ms"].is_number());
}

#[test]
fn who_leaves_before_there_is_an_answer_has_an_end_and_no_status() {
    let mut world = world_of(&config(), |_| Reaction::Hang);
    let body = stream::pending().boxed_local();
    for mut response in [
        world.posting(CHAT, &[], &chat("big", false)).boxed_local(),
        world.post_pieces("key", CHAT, body).boxed_local(),
    ] {
        world.begin(&mut response);
        drop(response);
        world.pass(Duration::from_millis(10));
        let line = listed(&mut world, "")[0].clone();
        assert_eq!(line["status"], Value::Null, "{line}");
        assert!(line["ended_ms"].is_number(), "{line}");
    }
}

#[test]
fn every_gateway_finds_what_was_asked_for_and_what_failed() {
    let bottomless = config().replace(", { canned = \"Please try again.\" }", "");
    let mut world = world_of(&bottomless, |request| {
        if String::from_utf8_lossy(request.body()).contains("org/small") {
            answering(request)
        } else {
            Reaction::Refuse
        }
    });
    let (_, asked_for, _) = explained(&mut world, &chat("small", false));
    let served = world.post(CHAT, &chat("small", false));
    let usual = json!(header(&served, "x-request-id"));
    world.pass(Duration::from_secs(2));
    let other = world.another(&watched(&bottomless));
    let find = |world: &mut World, id: &Value| {
        let path = format!("/admin/v1/requests/{}", id.as_str().expect("an id"));
        let request = Request::get(path).header("authorization", "Bearer reader");
        let response = world.run(other.serve(request, ""));
        response.status().as_u16()
    };
    assert_eq!(find(&mut world, &asked_for["request"]), 200);
    assert_eq!(find(&mut world, &usual), 404, "one that went well is its own gateway's");
}

#[test]
fn of_those_that_fail_one_a_second_is_stored() {
    let bottomless = config().replace(", { canned = \"Please try again.\" }", "");
    let mut world = world_of(&bottomless, |_| Reaction::Refuse);
    let other = world.another(&watched(&bottomless));
    let mut ids = Vec::new();
    for _ in 0..3 {
        let response = world.post(CHAT, &chat("big", false));
        assert!(response.status().is_server_error());
        ids.push(header(&response, "x-request-id").to_owned());
    }
    world.pass(Duration::from_secs(1));
    let response = world.post(CHAT, &chat("big", false));
    ids.push(header(&response, "x-request-id").to_owned());
    world.pass(Duration::from_millis(100));
    let found: Vec<bool> = ids
        .iter()
        .map(|id| {
            let request = Request::get(format!("/admin/v1/requests/{id}")).header("authorization", "Bearer reader");
            world.run(other.serve(request, "")).status() == 200
        })
        .collect();
    assert_eq!(found, [true, false, false, true]);
}

#[test]
fn a_budget_that_refuses_is_told() {
    let mut world = world_of(&limited("tokens_per_minute = 1_000"), taking(600, 0, 100));
    for status in [200, 429] {
        let response = world.post_as("key-of-payer", "/v1/completions", &budgets::ask(600, 100));
        assert_eq!(response.status(), status);
        world.rest(response.into_body());
    }
    let lines = listed(&mut world, "?status=429");
    assert_eq!(
        (lines.len(), &lines[0]["error"]),
        (1, &json!("rate_limit_exceeded")),
        "{lines:?}"
    );
    let id = lines[0]["request"].clone();
    let (_, record) = kept(&mut world, &id);
    let [refused] = steps(&record, "budget_refused")[..] else {
        panic!("{record}")
    };
    assert_eq!(refused["budget"], "payer/all");
    assert_eq!(record["prompt"], 600);
}

#[test]
fn what_is_foretold_comes_true() {
    let mut world = world_of(&config(), answering);
    for model in ["big", "small"] {
        let (status, record) = foretold(&mut world, to_try("acme", model));
        assert_eq!(status, 200, "{record}");
        assert!(world.sent().is_empty() || model == "small");
        let (_, truth, _) = explained(&mut world, &chat(model, false));
        let [permitted] = steps(&truth, "permitted")[..] else {
            panic!("{truth}")
        };
        for field in ["cluster", "replica"] {
            assert_eq!(record["outcome"][field], permitted[field], "{record}");
        }
        world.pass(Duration::from_secs(60));
    }
    assert!(
        listed(&mut world, "").iter().all(|line| line["status"] == 200),
        "what is tried is no request"
    );
}

#[test]
fn a_request_that_is_tried_leaves_nothing_behind() {
    let mut world = world_of(&limited("tokens_per_minute = 1_000"), answering);
    let before = (world.replicas("near"), world.metrics());
    let tried = json!({"tenant": "payer", "path": "/v1/completions", "location": "iad",
        "body": {"model": "big", "prompt": "he", "max_tokens": 100}});
    for _ in 0..30 {
        let (status, record) = foretold(&mut world, tried.clone());
        assert_eq!(
            (status, &record["outcome"]["kind"]),
            (200, &json!("served")),
            "{record}"
        );
        assert_eq!(
            record["budgets"][0]["admits"], true,
            "each has the whole budget before it: {record}"
        );
    }
    assert!(world.sent().is_empty());
    let of_requests = |text: &str| {
        let is_counted = |line: &&str| !line.starts_with('#') && !line.contains("route=\"admin\"");
        let mut lines: Vec<_> = text.lines().filter(is_counted).map(str::to_owned).collect();
        lines.retain(|line| !line.contains("route=\"metrics\""));
        lines.sort();
        lines
    };
    let after = (world.replicas("near"), world.metrics());
    assert_eq!(before.0, after.0);
    assert_eq!(of_requests(&before.1), of_requests(&after.1));
    assert_eq!(listed(&mut world, "").len(), 0);
}

#[test]
fn it_is_foretold_who_waits_who_is_refused_and_what_budgets_lack() {
    let narrow = config()
        .replace("max_running = 4", "max_running = 1")
        .replace("wait_ms = 0", "wait_ms = 5000");
    let mut world = world_of(&narrow, |_| {
        sse(vec![event("a"), Piece::Wait(Duration::from_secs(600)), done()])
    });
    let held: Vec<_> = (0..3)
        .map(|_| streaming(world.post(CHAT, &chat("big", true))))
        .collect();
    let asked = to_try("acme", "big").to_string();
    let (_, record) = ask(&mut world, "reader", ("POST", "/admin/v1/explain"), &asked);
    assert_eq!(record["outcome"]["kind"], "waits", "{record}");
    assert_eq!(steps(&record, "failed").len(), 2, "both have no room: {record}");
    drop(held);
    for (change, status, code) in [
        (json!({"tenant": "nobody", "body": {}}), 404, "tenant_not_found"),
        (to_try("acme", "nothing"), 404, "model_not_found"),
        (
            json!({"tenant": "acme", "body": {"model": "big"}}),
            400,
            "missing_parameter",
        ),
        (json!({"tenant": "acme"}), 422, "invalid_explain"),
        (to_try("europeans", "small"), 403, "jurisdiction"),
    ] {
        let (found, answer) = ask(&mut world, "reader", ("POST", "/admin/v1/explain"), &change.to_string());
        assert_eq!((found, &answer["error"]["code"]), (status, &json!(code)), "{change}");
    }
    let mut poor = world_of(&limited("tokens_per_minute = 50"), answering);
    let tried = json!({"tenant": "payer", "path": "/v1/completions", "body": {"model": "big", "prompt": "he", "max_tokens": 100}});
    let (_, record) = foretold(&mut poor, tried);
    assert_eq!(record["budgets"][0]["admits"], false, "{record}");
}

#[test]
fn a_cell_that_does_not_answer_is_told() {
    let mut world = world_of(&config(), answering);
    world.set_link(CellKind::Cluster, Link::CUT);
    let asked = to_try("acme", "small").to_string();
    let (status, record) = ask(&mut world, "reader", ("POST", "/admin/v1/explain"), &asked);
    assert_eq!((status, &record["outcome"]["error"]), (200, &json!("cell")), "{record}");
}

#[test]
fn a_region_tells_its_part_to_the_edge_that_asks_and_to_nobody_else() {
    let (mut world, hops) = World::of_two_hops(&watched(&config_of_two_hops()), answering);
    world.come_in_at("fra");
    let (status, record, _) = explained(&mut world, &chat("big", false));
    assert_eq!(status, 200);
    let [region] = steps(&record, "region")[..] else {
        panic!("{record}")
    };
    assert_eq!(region["hop"], "http://hop/");
    let its = &region["record"];
    assert_eq!(
        (steps(its, "weighed").len(), steps(its, "permitted").len()),
        (1, 1),
        "{its}"
    );
    assert_eq!(its["request"], record["request"]);
    let usual = world.post(CHAT, &chat("big", false));
    world.rest(usual.into_body());
    let line = listed(&mut world, "")[0]["request"].clone();
    let (_, usual) = kept(&mut world, &line);
    let [region] = steps(&usual, "region")[..] else {
        panic!("{usual}")
    };
    assert_eq!(region["record"], Value::Null, "{usual}");
    let (_, tried) = foretold(&mut world, to_try("acme", "big"));
    assert_eq!(tried["outcome"]["kind"], "region", "{tried}");
    drop(hops);
}

#[test]
fn a_record_stays_small_however_many_replicas_there_are() {
    let many: Vec<_> = (0..200).map(|number| format!("\"http://near-{number:03}\"")).collect();
    let config = config().replace("\"http://near-a\", \"http://near-b\"", &many.join(", "));
    let mut world = world_of(&config, answering);
    let (_, head, body) = explained(&mut world, &chat("big", true));
    let told = |record: &Value| {
        let weighed = steps(record, "weighed")[0];
        let replicas = weighed["replicas"].as_array().expect("replicas").len() as u64;
        (replicas, replicas + weighed["left_out"].as_u64().unwrap_or_default())
    };
    let ((few, all), (more, all_again)) = (told(&head), told(&last_word(&body)));
    assert_eq!((all, all_again), (200, 200), "what is left out is counted");
    assert!(0 < few && few < more && more <= 64, "{few} {more}");
}

#[test]
fn pieces_of_a_stream_come_as_before_and_the_comment_behind_them() {
    let mut world = world_of(&config(), answering);
    let plain = world.post(CHAT, &chat("big", true));
    let plain: Vec<_> = world.run(streaming(plain).collect());
    let response = world.posting(CHAT, &EXPLAINED, &chat("big", true));
    let response = world.run(response);
    let explained: Vec<_> = world.run(streaming(response).collect());
    assert_eq!(explained.len(), plain.len() + 1);
}
