//! The official OpenAI SDKs as clients, with only the base URL and the key set.

use std::path::Path;
use std::process::Command;

use tidegate_tests::engine::Fault;
use tidegate_tests::runtime;
use tidegate_tests::world::{World, key};

use crate::support::SHARED;

#[test]
fn the_python_sdk_works_unchanged() {
    set_faults("python");
    let mut command = Command::new(runtime::python());
    command.arg(programs().join("python/check.py"));
    passes(command, "python", &SHARED, &key("everyone"));
}

#[test]
fn the_node_sdk_works_unchanged() {
    set_faults("node");
    let mut command = Command::new("node");
    command
        .arg(programs().join("node/check.mjs"))
        .env("TIDEGATE_NODE_MODULES", runtime::node_modules());
    passes(command, "node", &SHARED, &key("everyone"));
}

/// The texts that the programs send to meet faults.
fn set_faults(sdk: &str) {
    let engine = SHARED.engine("solo-1");
    engine.fault(
        &format!("{sdk} meets an error within the stream"),
        Fault::StreamError(3),
    );
    engine.fault_times(&format!("{sdk} meets a busy engine once"), Fault::Status(503), 1);
    engine.fault(&format!("{sdk} meets an engine that is down"), Fault::Status(500));
    engine.fault(&format!("{sdk} meets a call of no tool"), Fault::UndeclaredTool);
}

/// Runs a program that uses an SDK with that key against the gateway of that world.
pub fn passes(mut command: Command, sdk: &str, world: &World, key: &str) {
    let output = command
        .arg(&world.gateway.url)
        .arg(key)
        .output()
        .expect("the interpreter runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "the {sdk} SDK's program failed:\n{said}{errors}"
    );
    assert!(said.ends_with("all passed\n"), "{said}");
}

/// Where the programs are.
pub fn programs() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sdk")
}
