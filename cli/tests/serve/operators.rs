//! What operators ask from a shell: exit codes, and what they read.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::client::{Stream, fetch};
use crate::process::{Bench, Gateway, TIDEGATE};

const VARIABLE: &str = "TIDEGATE_ADMIN_KEY";

/// The exit code and stdout of a command that asks the gateway.
fn ask(gateway: &Gateway, key: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let url = format!("http://{}", gateway.address());
    let mut command = Command::new(TIDEGATE);
    command.args(arguments).args(["--url", &url]).env(VARIABLE, key);
    let output = command.output().expect("run");
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stdout).into_owned(),
    )
}

fn target(gateway: &Gateway) -> String {
    let (code, told) = ask(gateway, &gateway.admin_key, &["status", "--json"]);
    assert_eq!(code, Some(0));
    let told: Value = serde_json::from_str(&told).expect("JSON");
    let replica = told["clusters"][0]["replicas"][0]["replica"]
        .as_str()
        .expect("a replica");
    format!("engines/{}", replica.trim_start_matches("http://"))
}

#[test]
fn a_drain_waits_for_what_runs_and_its_exit_code_says_how_it_went() {
    let bench = Bench::new("drain");
    let config = fs::read_to_string(bench.config()).expect("readable");
    let quicker = format!("{config}\n[permits]\nttl_ms = 2_000\n");
    fs::write(bench.config(), quicker).expect("written");
    let gateway = Gateway::start(&bench, &[]);
    let target = target(&gateway);
    let drain = |arguments: &[&str]| ask(&gateway, &gateway.admin_key, &[&["drain", &target], arguments].concat());
    let mut stream = Stream::open(&gateway, 20_000);
    stream.next_event();
    let (code, _) = drain(&["--wait", "--timeout", "1s", "--reason", "a test"]);
    assert_eq!(code, Some(3), "a stream is left");
    let (_, table) = ask(&gateway, &gateway.admin_key, &["status"]);
    assert!(
        table.contains("TAKES NO REQUESTS") && table.contains("1 left"),
        "{table}"
    );
    assert!(table.lines().all(|line| line.chars().count() <= 100), "{table}");
    drop(stream);
    let (code, told) = drain(&["--wait", "--json"]);
    let told: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!((code, &told["drain"]["done"]), (Some(0), &Value::Bool(true)));
    assert_eq!(drain(&["--undo"]).0, Some(0));
    let (_, table) = ask(&gateway, &gateway.admin_key, &["status"]);
    assert!(!table.contains("TAKES NO REQUESTS"), "{table}");
}

#[test]
fn what_cannot_be_drained_has_an_exit_code_of_its_own() {
    let bench = Bench::new("drain-errors");
    let mut gateway = Gateway::start(&bench, &[]);
    let admin_key = gateway.admin_key.clone();
    for (key, arguments, code) in [
        (&admin_key, ["drain", "engines/nobody"], 4),
        (&admin_key, ["drain", "nowhere/nobody"], 4),
        (&gateway.key, ["drain", "engines/nobody"], 5),
        (&admin_key, ["drain", "engines"], 2),
    ] {
        assert_eq!(ask(&gateway, key, &arguments).0, Some(code), "{arguments:?}");
    }
    let without_key = Command::new(TIDEGATE)
        .args(["status"])
        .env_remove(VARIABLE)
        .output()
        .expect("run");
    assert_eq!(without_key.status.code(), Some(2));
    gateway.signal("TERM");
    gateway.exit_code();
    assert_eq!(ask(&gateway, &admin_key, &["drain", "engines/nobody"]).0, Some(1));
}

/// A second version, at an address where nothing listens: a pipeline that rolls it out learns that it was taken back.
#[test]
fn a_rollout_that_is_waited_for_ends_with_a_code_of_its_own() {
    let bench = Bench::new("rollout");
    let config = fs::read_to_string(bench.config()).expect("readable");
    let dead = r#"
[[clusters]]
name = "dead"
region = "here"
engine = "vllm"
replicas = ["http://127.0.0.1:9"]
kv_cache_tokens = 1_000_000
prefill_tokens_per_s = 10_000
max_running = 16

[[rollouts]]
model = "m"
steps = [50, 100]
"#;
    let both = r#"serving = [{ cluster = "engines", version = "v1" }, { cluster = "dead", version = "v2" }]"#;
    let one = r#"serving = [{ cluster = "engines", served_name = "m" }]"#;
    assert!(config.contains(one));
    fs::write(bench.config(), config.replace(one, both) + dead).expect("written");
    let gateway = Gateway::start(&bench, &[]);
    let rollout = |arguments: &[&str]| ask(&gateway, &gateway.admin_key, &[&["rollout"], arguments].concat());
    assert_eq!(rollout(&["start", "m", "v3"]).0, Some(2));
    assert_eq!(rollout(&["pause", "m"]).0, Some(2));
    assert_eq!(rollout(&["status", "nothing"]).0, Some(4));
    assert_eq!(rollout(&["set", "m", "v2"]).0, Some(2));
    let (code, told) = rollout(&["set", "m", "v2=10", "--reason", "a test"]);
    assert!(code == Some(0) && told.contains("v2 takes over, 10%, paused"), "{told}");
    let (code, told) = rollout(&["resume", "m", "--wait", "--timeout", "1s"]);
    assert!(code == Some(3) && told.contains("50% when somebody says so"), "{told}");
    assert_eq!(rollout(&["abort", "m"]).0, Some(0));
    let (code, told) = thread::scope(|scope| {
        let waiting = scope.spawn(|| rollout(&["start", "m", "v2", "--wait", "--timeout", "60s"]));
        let mut number = 0;
        while !waiting.is_finished() {
            number += 1;
            let body = format!(
                r#"{{"model":"m","stream":true,"max_tokens":2,"messages":[{{"role":"user","content":"{number}"}}]}}"#
            );
            let request = "POST /v1/chat/completions";
            let answer = fetch(&gateway.address(), request, Some(&gateway.key), &body);
            assert!(
                answer.contains("x-tidegate-version: v1") && answer.contains("[DONE]"),
                "{answer}"
            );
            thread::sleep(Duration::from_millis(50));
        }
        waiting.join().expect("it does not panic")
    });
    assert!(
        code == Some(7) && told.contains("v2 was taken back: "),
        "{code:?} {told}"
    );
    let (_, table) = rollout(&["status"]);
    assert!(
        table.contains("m: v2 was taken back") && table.contains("v1"),
        "{table}"
    );
}

#[test]
fn canned_texts_are_read_put_and_taken_back() {
    let bench = Bench::new("canned");
    let gateway = Gateway::start(&bench, &[]);
    let file = bench.config().with_file_name("canned.toml");
    let path = file.to_str().expect("UTF-8");
    let ask = |arguments: &[&str]| ask(&gateway, &gateway.admin_key, arguments);
    let (code, before) = ask(&["canned", "get"]);
    assert_eq!(code, Some(0));
    assert!(before.contains("[canned]"), "{before}");
    for (text, expected) in [
        ("[[canned.texts]]\ntext = \"later\"\n", 0),
        ("[[canned.texts]]\ntext = 7\n", 2),
    ] {
        fs::write(&file, text).expect("written");
        assert_eq!(ask(&["canned", "set", path]).0, Some(expected), "{text}");
    }
    assert_eq!(ask(&["canned", "get"]).1, "[[canned.texts]]\ntext = \"later\"\n");
    assert_eq!(ask(&["canned", "unset"]).0, Some(0));
    assert_eq!(ask(&["canned", "get"]).1, before);
    assert_eq!(ask(&["canned", "set", "nowhere.toml"]).0, Some(2));
}
