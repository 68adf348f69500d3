//! Why requests went where they went: who is told, and where it is found.

use std::sync::LazyLock;

use serde_json::{Value, json};
use tidegate_tests::gateway::{FRANKFURT, Role};
use tidegate_tests::http::{Request, Response};
use tidegate_tests::scripted::Script;
use tidegate_tests::world::{World, key};

use crate::support::{DONE, chat, chat_stream, eventually, post_chat, served};

static EXPLAIN: LazyLock<World> = LazyLock::new(|| {
    let world = World::start_or_exit("explain", CONFIG, FRANKFURT, &[]);
    for engine in ["one", "two"] {
        for marker in ["explain good", SECRETLY, DRY] {
            world.scripted(engine).on(marker, served());
        }
        world.scripted(engine).on("explain bad", Script::raw(OVERLOADED));
    }
    world
});

fn explained(request: Request) -> Request {
    request
        .header("x-tidegate-explain", "1")
        .header("x-tidegate-admin-key", &key("reader"))
}

fn record(response: &Response) -> Value {
    let header = response.header("x-tidegate-explain").expect("the record");
    assert!(header.len() <= 4_096, "{} bytes", header.len());
    serde_json::from_str(header).expect("JSON")
}

fn as_reader(world: &World, request: Request) -> Response {
    world.send(&request.key(&key("reader")))
}

fn step<'r>(record: &'r Value, step: &str) -> &'r Value {
    let mut steps = record["steps"].as_array().expect("steps").iter();
    steps
        .find(|found| found["step"] == step)
        .unwrap_or_else(|| panic!("{step}: {record}"))
}

#[test]
fn who_sends_an_operators_key_beside_its_own_is_told_why() {
    let response = EXPLAIN.send(&explained(post_chat(chat("pair", "explain good").to_string())));
    assert_eq!(response.status, 200, "{}", response.text());
    let record = record(&response);
    assert_eq!(record["request"], response.header("x-request-id").expect("an id"));
    let (weighed, permitted) = (step(&record, "weighed"), step(&record, "permitted"));
    assert_eq!(weighed["replicas"].as_array().map(Vec::len), Some(2), "{record}");
    let url = permitted["replica"].as_str().expect("a replica");
    let engine = ["one", "two"]
        .into_iter()
        .find(|engine| EXPLAIN.scripted(engine).url() == url);
    assert!(engine.is_some(), "{record}");
    step(&record, "ranked");
    step(&record, "whole_answer");
}

#[test]
fn a_stream_has_its_record_behind_its_end_and_is_the_same_before_it() {
    let body = chat_stream("pair", "explain good").to_string();
    let response = EXPLAIN.send(&explained(post_chat(&body)));
    assert_eq!(response.status, 200, "{}", response.text());
    let (stream, comment) = response.text().rsplit_once(": tidegate-explain ").expect("a comment");
    assert!(stream.ends_with(DONE), "{stream}");
    let last: Value = serde_json::from_str(comment.trim_end()).expect("JSON");
    assert_eq!(last["request"], record(&response)["request"]);
    step(&last, "first_token");
    let plain = EXPLAIN.send(&post_chat(&body));
    assert!(plain.text().ends_with(DONE) && plain.header("x-tidegate-explain").is_none());
}

#[test]
fn nobody_else_is_told_and_no_engine_hears_of_it() {
    let ask = |headers: &[(&str, &str)]| {
        let request = post_chat(chat("pair", SECRETLY).to_string());
        let request = headers
            .iter()
            .fold(request, |request, (name, value)| request.header(name, value));
        EXPLAIN.send(&request)
    };
    let seen = || ["one", "two"].map(|engine| EXPLAIN.scripted(engine).seen(SECRETLY));
    for (headers, status, code) in [
        (&[("x-tidegate-explain", "1")][..], 401, "admin_key_missing"),
        (
            &[("x-tidegate-explain", "1"), ("x-tidegate-admin-key", "nobody")],
            403,
            "admin_key_unknown",
        ),
    ] {
        let refused = ask(headers);
        assert_eq!(
            (refused.status, &refused.json()["error"]["code"]),
            (status, &json!(code))
        );
        assert!(refused.header("x-tidegate-explain").is_none());
    }
    assert_eq!(seen().concat().len(), 0);
    assert_eq!(
        ask(&[("x-tidegate-explain", "1"), ("x-tidegate-admin-key", &key("reader"))]).status,
        200
    );
    let seen = seen().concat();
    assert_eq!(seen.len(), 1);
    assert!(!format!("{seen:?}").contains("x-tidegate"), "{seen:?}");
}

#[test]
fn what_was_asked_for_and_what_failed_is_found_by_its_id_by_whoever_is_asked() {
    let asked = EXPLAIN.send(&explained(post_chat(chat("pair", "explain good").to_string())));
    let failed = EXPLAIN.send(&post_chat(chat("pair", "explain bad alone").to_string()));
    assert_eq!(failed.status, 503, "{}", failed.text());
    let found = |response: &Response| {
        let id = response.header("x-request-id").expect("an id");
        as_reader(&EXPLAIN, Request::get(&format!("/admin/v1/requests/{id}")))
    };
    eventually("it is found", || found(&asked).status == 200);
    let record = found(&asked).json();
    assert_eq!(
        (&record["status"], &record["tenant"]),
        (&json!(200), &json!("everyone"))
    );
    assert!(record["ended_ms"].is_number(), "{record}");
    eventually("so is what failed", || found(&failed).status == 200);
    let record = found(&failed).text().to_owned();
    assert!(record.contains("\"failed\"") && !record.contains("quoted"), "{record}");
    let nobody = as_reader(
        &EXPLAIN,
        Request::get("/admin/v1/requests/req_00000000000000000000000000000000"),
    );
    assert_eq!(
        (nobody.status, &nobody.json()["error"]["code"]),
        (404, &json!("request_not_found"))
    );
    let listed = as_reader(&EXPLAIN, Request::get("/admin/v1/requests"));
    assert!(listed.json()["requests"].is_array(), "{}", listed.text());
    let stranger = EXPLAIN.send(&Request::get("/admin/v1/requests").key(&key("everyone")));
    assert_eq!(stranger.status, 401);
}

#[test]
fn gateways_that_share_a_store_find_each_others_records() {
    if EXPLAIN.redis.is_none() {
        println!("gateways share nothing here");
        return;
    }
    let other = EXPLAIN.start_another("explain-other", CONFIG, Role::All, &[]);
    let asked = EXPLAIN.send(&explained(post_chat(chat("pair", "explain good").to_string())));
    let id = asked.header("x-request-id").expect("an id").to_owned();
    let find = Request::get(&format!("/admin/v1/requests/{id}")).key(&key("reader"));
    eventually("the other finds it", || find.send(other.address()).status == 200);
}

#[test]
fn where_a_request_would_go_is_told_without_sending_it() {
    let body = chat("pair", DRY);
    let tried = json!({"tenant": "everyone", "body": body}).to_string();
    let ask = |tried: &str| as_reader(&EXPLAIN, Request::post("/admin/v1/explain", tried));
    let answer = ask(&tried);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let record = answer.json();
    assert_eq!(
        (&record["outcome"]["kind"], &record["outcome"]["cluster"]),
        (&json!("served"), &json!("pair"))
    );
    assert_eq!(record["budgets"][0]["admits"], true, "{record}");
    let seen = || ["one", "two"].map(|engine| EXPLAIN.scripted(engine).seen(DRY).len());
    assert_eq!(seen(), [0, 0]);
    assert_eq!(EXPLAIN.send(&post_chat(body.to_string())).status, 200);
    assert_eq!(seen().iter().sum::<usize>(), 1, "it is seen once it is sent");
    let cluster = as_reader(&EXPLAIN, Request::get("/admin/v1/clusters/pair")).json();
    assert!(cluster["replicas"].is_array(), "{cluster}");
    for (tried, status, code) in [
        (json!({"tenant": "nobody", "body": body}), 404, "tenant_not_found"),
        (
            json!({"tenant": "everyone", "body": chat("nothing", "x")}),
            404,
            "model_not_found",
        ),
        (json!({"tenant": "everyone"}), 422, "invalid_explain"),
    ] {
        let answer = ask(&tried.to_string());
        assert_eq!(
            (answer.status, &answer.json()["error"]["code"]),
            (status, &json!(code)),
            "{tried}"
        );
    }
    let client = EXPLAIN.send(&Request::post("/admin/v1/explain", tried).key(&key("everyone")));
    assert_eq!(client.status, 401);
}

const CONFIG: &str = include_str!("../../worlds/explain.toml");
/// What an engine says that has too much to do, with words that may quote a request.
const OVERLOADED: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: 32\r\n\r\n\
     {\"error\":{\"message\":\"quoted!\"}}";
/// What no engine is to see before its time, or ever.
const SECRETLY: &str = "explain secretly";
const DRY: &str = "explain dry";
