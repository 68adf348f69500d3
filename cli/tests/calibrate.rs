//! `tidegate calibrate` against a simulated engine, whose figures are known.

use std::path::Path;
use std::process::{Command, Output};

use tidegate_tests::process::Server;

const TIDEGATE: &str = env!("CARGO_BIN_EXE_tidegate");

fn engine(name: &str, options: &[&str]) -> Server {
    let mut command = Command::new(TIDEGATE);
    command.args([
        "engine",
        "--listen",
        "127.0.0.1:0",
        "--model",
        "m",
        "--profile",
        "h100x4-70b",
    ]);
    command.env("ENGINE_TOKEN", "sesame");
    Server::start(name, command.args(options), Path::new(env!("CARGO_TARGET_TMPDIR")))
}

fn calibrate(url: &str, options: &[&str]) -> Output {
    let mut command = Command::new(TIDEGATE);
    command.args(["calibrate", url]).args(options);
    command.env("ENGINE_TOKEN", "sesame").output().expect("it runs")
}

fn figure(lines: &str, key: &str) -> f64 {
    let value = lines.lines().find_map(|line| line.strip_prefix(&format!("{key} = ")));
    let value = value.unwrap_or_else(|| panic!("no {key} in {lines}"));
    value.split(' ').next().unwrap_or_default().parse().expect("a number")
}

#[test]
fn what_is_measured_is_what_the_engine_does() {
    // Ten times as fast as 8,600 tokens a second, so that the test is short; machines that run tests are noisy.
    let engine = engine("calibrated", &["--time-scale", "0.1", "--kv-cache-tokens", "160000"]);
    let done = calibrate(&engine.url, &["--longest", "4096"]);
    let lines = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(figure(&lines, "kv_cache_tokens"), 160_000.0);
    let speed = figure(&lines, "prefill_tokens_per_s");
    assert!((43_000.0..172_000.0).contains(&speed), "{lines}");
    assert!(lines.contains("A decode step takes"), "{lines}");
}

#[test]
fn what_keeps_it_from_measuring_is_told() {
    let engine = engine("locked", &["--time-scale", "0", "--api-key-env", "ENGINE_TOKEN"]);
    let refused = calibrate(&engine.url, &[]);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("401"), "{said}");
    let unset = calibrate(&engine.url, &["--api-key-env", "NO_SUCH_TOKEN"]);
    assert_eq!(unset.status.code(), Some(2));
    let nobody = calibrate("http://127.0.0.1:9", &[]);
    assert_eq!(nobody.status.code(), Some(1));
    let said = String::from_utf8_lossy(&nobody.stderr).into_owned();
    assert!(said.contains("cannot connect"), "{said}");
}
