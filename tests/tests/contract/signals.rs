//! What engines say of themselves: what others send them sends requests elsewhere, and whatever they say stops nothing.

use std::sync::LazyLock;

use tidegate_tests::engine::{Engine, Fault};
use tidegate_tests::gateway::FRANKFURT;
use tidegate_tests::http::{Request, Response};
use tidegate_tests::scripted::Script;
use tidegate_tests::world::{World, key};

use crate::support::{chat, chat_stream, eventually, post_chat, with};

/// The world of worlds/signals.toml.
static SIGNALS: LazyLock<World> =
    LazyLock::new(|| World::start_or_exit("signals", include_str!("../../worlds/signals.toml"), FRANKFURT, &[]));

fn ask(model: &str, text: &str) -> Response {
    let response = SIGNALS.send(&post_chat(chat(model, text).to_string()));
    assert_eq!(response.status, 200, "{}", response.text());
    response
}

/// The figure of a replica under that name, as the cells know it.
fn figure(name: &str, replica: &str) -> Option<f64> {
    SIGNALS.figure(name, &format!("replica=\"{replica}\""))
}

#[test]
fn what_others_send_to_a_replica_sends_requests_to_the_other_one() {
    let engines = ["one", "other"].map(|name| SIGNALS.engine(name));
    let has_served = |engine: &Engine| !engine.requests("where does it go?").is_empty();
    for _ in 0..5 {
        ask("asked", "where does it go?");
    }
    let home = usize::from(has_served(engines[1]));
    let (engine, other) = (engines[home], engines[1 - home]);
    assert!(has_served(engine) && !has_served(other));
    engine.fault("straight to the engine", Fault::Slow(200));
    let body = with(
        chat_stream("sim", "straight to the engine"),
        serde_json::json!({"max_tokens": 2_000}),
    );
    let others: Vec<_> = (0..6)
        .map(|_| engine.open(&Request::post("/v1/chat/completions", body.to_string())))
        .collect();
    eventually("requests go to the replica that others leave alone", || {
        ask("asked", "where does it go?");
        has_served(other)
    });
    let running = || figure("tidegate_engine_running", &engine.url());
    assert!(running() >= Some(4.0), "{}", SIGNALS.metrics());
    drop(others);
    eventually("the engine says that they are gone", || {
        ask("asked", "where does it go?");
        running() == Some(0.0)
    });
}

fn page(running: u64) -> Script {
    let page = format!(
        "# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{{engine=\"0\"}} {running}.0\n\
         vllm:num_requests_waiting{{engine=\"0\"}} {running}.0\nvllm:kv_cache_usage_perc{{engine=\"0\"}} 1.0\n"
    );
    Script::answer("text/plain; version=0.0.4", &page)
}

#[test]
fn engines_that_lie_or_talk_nonsense_stop_nothing() {
    let engines = ["written-1", "written-2"].map(|name| SIGNALS.scripted(name));
    let answer = Script::stream()
        .then(crate::support::chunk("a"))
        .then("data: [DONE]\n\n");
    let say = |script: &Script| {
        engines
            .iter()
            .for_each(|engine| engine.on("GET /metrics ", script.clone()))
    };
    engines.iter().for_each(|engine| engine.on("lies", answer.clone()));
    let first = engines[0].url();
    say(&page(900_000));
    eventually("it is heard what they say", || {
        ask("written", "lies");
        figure("tidegate_engine_running", &first) == Some(900_000.0)
    });
    for _ in 0..10 {
        ask("written", "lies");
    }
    for nonsense in [
        Script::answer("text/plain", "vllm:num_requests_running NaN\n"),
        Script::answer("text/html", "<html>"),
        Script::raw("HTTP/1.1 500 Oh\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"),
        Script::default().wait(60_000),
    ] {
        say(&nonsense);
        eventually("what they said before is stale", || {
            ask("written", "lies");
            figure("tidegate_engine_running", &first).is_none()
        });
        assert!(figure("tidegate_signals_age_seconds", &first) > Some(1.0));
    }
}

#[test]
fn a_scheduler_has_engines_asked() {
    let poll = |name: &str, cluster: &str| {
        let path = format!("/admin/v1/clusters/{cluster}/poll");
        SIGNALS.send(&Request::post(&path, "").key(&key(name)))
    };
    assert_eq!(poll("everyone", "asked").status, 401);
    assert_eq!(poll("admin", "nowhere").status, 404);
    let mut told = serde_json::Value::Null;
    eventually("it is this call's turn", || {
        let response = poll("admin", "asked");
        assert_eq!(response.status, 200, "{}", response.text());
        told = response.json();
        told["turn"] == true
    });
    assert_eq!(told["read"], 2, "{told}");
}
