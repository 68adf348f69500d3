//! Budgets: what a tenant may use is told, kept to and settled, on every runtime.

use std::process::Command;
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidegate_tests::gateway::FRANKFURT;
use tidegate_tests::http::{Exchange, Request, Response, connect};
use tidegate_tests::runtime;
use tidegate_tests::scripted::Script;
use tidegate_tests::world::{World, key};

use crate::sdk::{passes, programs};
use crate::support::{assert_error_object, chunk, eventually, with};

pub static BUDGETS: LazyLock<World> =
    LazyLock::new(|| World::start_or_exit("budgets", include_str!("../../worlds/budgets.toml"), FRANKFURT, &[]));

/// A completion of a prompt of so many tokens, with at most so many of output; `marker` chooses the script.
pub fn ask(marker: &str, prompt: usize, output: u64) -> Value {
    json!({"model": "scripted", "prompt": vec![7; prompt], "max_tokens": output, "user": marker})
}

fn post(tenant: &str, body: &Value) -> Request {
    Request::post("/v1/completions", body.to_string()).key(&key(tenant))
}

pub fn send(tenant: &str, body: &Value) -> Response {
    BUDGETS.send(&post(tenant, body))
}

fn open(tenant: &str, body: &Value) -> Exchange {
    post(tenant, body).open(BUDGETS.gateway.address())
}

/// Has the engine answer requests with that marker, and report what they took.
pub fn on(marker: &str, prompt: u64, completion: u64) {
    let usage = json!({"prompt_tokens": prompt, "completion_tokens": completion});
    let body = json!({"id": "x", "model": "m", "choices": [], "usage": usage}).to_string();
    BUDGETS.scripted("scripted").on(marker, Script::json(&body));
}

/// Has it stream a token and then be silent for a while.
fn on_stream(marker: &str) {
    let stream = Script::stream().then(chunk("one")).wait(8_000);
    BUDGETS.scripted("scripted").on(marker, stream);
}

fn stream(marker: &str, prompt: usize) -> Value {
    json!({"model": "scripted", "prompt": vec![7; prompt], "max_tokens": 10, "user": marker, "stream": true})
}

fn figure(response: &Response, name: &str) -> u64 {
    let value = response.header(name).and_then(|value| value.parse().ok());
    value.unwrap_or_else(|| panic!("no `{name}`: {:?} {}", response.headers(), response.text()))
}

#[track_caller]
pub fn assert_limited(response: &Response, code: &str) {
    assert_eq!(response.status, 429, "{}", response.text());
    assert_error_object(&response.json()["error"]);
    assert_eq!(response.json()["error"]["code"], code);
}

fn usage(tenant: &str) -> Value {
    let response = BUDGETS.send(&Request::get("/v1/usage").key(&key(tenant)));
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(response.json()["tenant"], tenant);
    response.json()["budgets"][0].take()
}

fn admin(request: Request) -> Response {
    BUDGETS.send(&request.key(&key("admin")))
}

#[test]
fn waiting_exactly_as_long_as_told_works() {
    on("waiting", 900, 100);
    let body = ask("waiting", 900, 100);
    let mut sent = Instant::now();
    assert_eq!(send("waiting", &body).status, 200);
    let mut waits = 0;
    while waits < 2 {
        let again = Instant::now();
        let refused = send("waiting", &body);
        if refused.status == 200 {
            // A busy machine took a second for the answer before: the budget was whole again.
            assert!(sent.elapsed() >= Duration::from_secs(1), "{:?}", sent.elapsed());
            sent = again;
            continue;
        }
        assert_limited(&refused, "rate_limit_exceeded");
        let wait = figure(&refused, "retry-after-ms");
        assert!((1..=1_000).contains(&wait), "{wait}");
        assert_eq!(figure(&refused, "retry-after"), wait.div_ceil(1_000));
        thread::sleep(Duration::from_millis(wait));
        sent = Instant::now();
        let served = send("waiting", &body);
        assert_eq!(served.status, 200, "{}", served.text());
        waits += 1;
    }
}

#[test]
fn answers_and_streams_tell_what_is_left() {
    on("told whole", 100, 20);
    on_stream("told stream");
    let whole = send("told", &ask("told whole", 100, 20));
    let stream = open("told", &stream("told stream", 100));
    assert_eq!((whole.status, stream.status), (200, 200));
    let is_streamed = |name: String| stream.header(&name).is_some();
    for (name, limit) in [("tokens", 100_000), ("requests", 600)] {
        let header = |what: &str| format!("x-ratelimit-{what}-{name}");
        assert_eq!(figure(&whole, &header("limit")), limit);
        let left = figure(&whole, &header("remaining"));
        assert!(left < limit && left + 700 > limit, "{name}: {left}");
        assert!(whole.header(&header("reset")).is_some_and(|reset| reset.ends_with('s')));
        for what in ["limit", "remaining", "reset"] {
            assert!(is_streamed(header(what)), "streams are told {what} of {name}");
        }
    }
}

#[test]
fn many_clients_at_once_get_what_there_is_and_no_more() {
    on("crowd", 90, 10);
    let clients: Vec<_> = (0..24)
        .map(|_| thread::spawn(|| send("crowd", &ask("crowd", 90, 10)).status))
        .collect();
    let statuses: Vec<u16> = clients.into_iter().filter_map(|client| client.join().ok()).collect();
    let served = statuses.iter().filter(|status| **status == 200).count();
    let refused = statuses.iter().filter(|status| **status == 429).count();
    assert_eq!((served, refused), (10, 14), "{statuses:?}");
}

#[test]
fn what_an_answer_takes_beyond_its_reservation_has_to_be_repaid() {
    on("indebted", 100, 1_900);
    let asked = Instant::now();
    assert_eq!(send("indebted", &ask("indebted", 100, 10)).status, 200);
    on("repaid", 1, 1);
    // Where several isolates or instances serve requests, the next one may be admitted before the cell knows the debt.
    eventually("the debt is known to all", || {
        usage("indebted")["tokens"]["spent"] == 2_000
    });
    eventually("it is served again", || {
        send("indebted", &ask("repaid", 1, 1)).status == 200
    });
    let took = asked.elapsed();
    assert!(
        took >= Duration::from_millis(990),
        "2,000 of 1,000 tokens were taken, 1,000 come in a second: {took:?}"
    );
}

#[test]
fn an_answer_that_nothing_ends_is_given_a_bound_and_its_client_is_told() {
    for (marker, path, bounds) in [
        ("greedy chat", "/v1/chat/completions", json!({})),
        (
            "greedy stream",
            "/v1/chat/completions",
            json!({"stream": true, "stream_options": {"include_usage": true}, "max_tokens": null}),
        ),
        ("greedy completion", "/v1/completions", json!({"max_tokens": null})),
    ] {
        let messages = json!([{"role": "user", "content": marker}]);
        let body = json!({"model": "sim", "messages": messages, "prompt": marker, "ignore_eos": true});
        let request = Request::post(path, with(body, bounds).to_string()).key(&key("greedy"));
        let mut answer = None;
        eventually("what the one before it owes is repaid", || {
            let response = BUDGETS.send(&request);
            answer = Some(response).filter(|response| response.status == 200);
            answer.is_some()
        });
        let Some(answer) = answer else { continue };
        let told = figure(&answer, "x-tidegate-max-tokens");
        assert!(
            (2_048..3_000).contains(&told),
            "no more than it can have at once: {told}"
        );
        assert!(answer.text().contains(r#""finish_reason":"length""#), "{marker}");
        let usage_told = format!(r#""completion_tokens":{told}"#);
        assert!(answer.text().contains(&usage_told), "{marker}: {}", answer.text());
        eventually("it is paid for", || usage("greedy")["tokens"]["held"] == 0);
    }
    let spent = usage("greedy")["tokens"]["spent"].as_u64().unwrap_or(0);
    assert!((3 * 2_048..3 * 3_000).contains(&spent), "{spent}");
}

#[test]
fn a_client_that_leaves_pays_for_its_prompt() {
    on_stream("leaving");
    let mut stream = open("leaving", &stream("leaving", 300));
    stream.read_until("one");
    drop(stream);
    eventually("the prompt is paid for", || {
        let spent = usage("leaving")["tokens"]["spent"].as_u64().unwrap_or(0);
        (300..=310).contains(&spent)
    });
    eventually("nothing is held any more", || usage("leaving")["tokens"]["held"] == 0);
}

#[test]
fn a_client_that_leaves_a_whole_answer_pays_for_what_was_said() {
    // Where a client's leaving is not told, the engine comes to the end, and reports as much.
    let usage_chunk = json!({"choices": [], "usage": {"prompt_tokens": 300, "completion_tokens": 100}});
    let script = (0..100).fold(Script::stream(), |script, _| script.then(chunk(" tide")));
    let end = format!("data: {usage_chunk}\n\ndata: [DONE]\n\n");
    BUDGETS
        .scripted("scripted")
        .on("left whole", script.wait(3_000).then(end));
    let mut connection = connect(BUDGETS.gateway.address());
    let request = post("left-whole", &ask("left whole", 300, 4_000)).to_bytes("gateway");
    std::io::Write::write_all(&mut connection, &request).expect("the request is sent");
    eventually("all of it is said", || {
        let seen = BUDGETS.scripted("scripted").seen("left whole");
        seen.first().is_some_and(|seen| seen.steps_done.len() > 100)
    });
    drop(connection);
    eventually("what was said is paid for, and nothing is held", || {
        let tokens = &usage("left-whole")["tokens"];
        let spent = tokens["spent"].as_u64().unwrap_or(0);
        (370..=600).contains(&spent) && tokens["held"] == 0
    });
}

#[test]
fn requests_at_once_are_bounded_and_places_come_back() {
    on_stream("abreast");
    let streams = [1, 2].map(|_| open("abreast", &stream("abreast", 1)));
    assert!(streams.iter().all(|stream| stream.status == 200));
    assert_limited(&send("abreast", &ask("abreast", 1, 1)), "rate_limit_exceeded");
    drop(streams);
    on("abreast again", 1, 1);
    eventually("a place is free", || {
        send("abreast", &ask("abreast again", 1, 1)).status == 200
    });
}

#[test]
fn a_request_of_low_priority_is_refused_first() {
    on("graded", 200, 1);
    let status = |key| send(key, &ask("graded", 200, 1)).status;
    // A quarter is kept from low priority.
    assert_eq!(
        [status("graded low"), status("graded low"), status("graded low")],
        [200; 3]
    );
    assert_eq!(status("graded low"), 429);
    assert_eq!(status("graded"), 200);
}

#[test]
fn a_day_that_is_used_up_is_final() {
    on("daily", 90, 10);
    assert_eq!(send("daily", &ask("daily", 90, 10)).status, 200);
    let refused = send("daily", &ask("daily", 90, 10));
    assert_limited(&refused, "insufficient_quota");
    assert_eq!(refused.header("x-should-retry"), Some("false"));
    let too_large = send("waiting", &ask("waiting", 2_000, 10));
    assert_limited(&too_large, "insufficient_quota");
    assert_eq!(
        (too_large.header("x-should-retry"), too_large.header("retry-after")),
        (Some("false"), None)
    );
}

#[test]
fn operators_read_budgets_and_set_their_limits() {
    let path = "/admin/budgets/operated/all";
    let of = |response: Response| response.json();
    assert_eq!(of(admin(Request::get(path)))["limits"]["tokens_per_minute"], 100_000);
    let set = admin(Request::new("PUT", path).body(r#"{"tokens_per_minute": 50}"#));
    assert_eq!(
        (set.status, &set.json()["overridden"]),
        (200, &json!(true)),
        "{}",
        set.text()
    );
    let day = admin(Request::new("PUT", path).body(r#"{"tokens_per_day": 700000}"#));
    assert_eq!(day.json()["limits"]["tokens_per_minute"], 50, "{}", day.text());
    on("operated", 10, 1);
    assert_limited(&send("operated", &ask("operated", 60, 1)), "insufficient_quota");
    assert_eq!(of(admin(Request::new("DELETE", path)))["overridden"], false);
    eventually("the configuration's limits hold again", || {
        send("operated", &ask("operated", 60, 1)).status == 200
    });
    let listed = of(admin(Request::get("/admin/budgets")));
    let names: Vec<_> = listed["budgets"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|budget| &budget["tenant"])
        .collect();
    assert!(
        names.contains(&&json!("operated")) && names.contains(&&json!("daily")),
        "{listed}"
    );
    assert_eq!(admin(Request::new("PUT", path).body("{}")).status, 422);
    assert_eq!(admin(Request::get("/admin/budgets/operated/none")).status, 404);
    assert_eq!(BUDGETS.send(&Request::get(path).key(&key("operated"))).status, 401);
    assert_eq!(BUDGETS.send(&Request::get("/v1/usage")).status, 401);
    let metrics = BUDGETS.send(&Request::get("/metrics").key(&key("admin")));
    assert!(
        metrics
            .text()
            .contains("tidegate_budget_tokens_left{tenant=\"operated\",budget=\"all\"}")
    );
}

#[test]
fn sdks_wait_as_long_as_they_are_told_and_are_served() {
    let mut python = Command::new(runtime::python());
    python.arg(programs().join("python/budgets.py"));
    let mut node = Command::new("node");
    node.arg(programs().join("node/budgets.mjs"))
        .env("TIDEGATE_NODE_MODULES", runtime::node_modules());
    for (command, sdk) in [(python, "python"), (node, "node")] {
        on(&format!("patient {sdk}"), 800, 100);
        passes(command, sdk, &BUDGETS, &key(&format!("sdk {sdk}")));
    }
}
