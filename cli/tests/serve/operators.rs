//! What operators ask from a shell: exit codes, and what they read.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::client::Stream;
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
