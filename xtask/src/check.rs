//! `cargo xtask check`, and the same checks as steps of `cargo xtask test`: all that can be said about the code
//! without running it.

use std::time::Duration;

use crate::command::Run;
use crate::error::TaskError;
use crate::layers;
use crate::packages::{
    self, CONTRACT, ENGINES, SPIN_HOST, SPIN_HOST_PROFILE, TOKENS, TOKENS_BENCH, TOKENS_WASMTIME, WASM, WASM_ADAPTERS,
    selected,
};
use crate::setup::{CargoTool, WASM_TARGET, WasmToolchain, cargo_tool, wasm_toolchain};
use crate::steps::Steps;
use crate::{terminal, workspace};

/// Runs all checks, and fails when one does.
pub fn run() -> Result<(), TaskError> {
    let mut steps = Steps::new(false);
    steps.run("format", format);
    steps.run("changelog", changelog);
    steps.run("layers", layers::check);
    steps.run("lints, native", lint_native);
    let wasm = steps.run("compiler for wasm", wasm_toolchain);
    steps.run("lints, wasm", || lint_wasm(wasm.get()?));
    steps.run("lints, Spin host", lint_spin_host);
    steps.run("lints, adapters' tests", lint_adapters_tests);
    steps.run("documentation", documentation);
    steps.run("dependencies", dependencies);
    steps.conclude()
}

/// `cargo fmt --check`.
pub fn format() -> Result<(), TaskError> {
    Run::cargo().args(["fmt", "--all", "--check"]).shown()
}

/// Clippy over what runs on the machine itself, tests included.
pub fn lint_native() -> Result<(), TaskError> {
    let every = [packages::NATIVE, &[CONTRACT, ENGINES, TOKENS, TOKENS_BENCH]].concat();
    Run::cargo()
        .arg("clippy")
        .args(selected(&every))
        .args(["--all-targets", "--", "-D", "warnings"])
        .shown()?;
    Run::cargo()
        .args(["clippy", "--package", "xtask", "--all-targets", "--", "-D", "warnings"])
        .shown()
}

/// Clippy over what is compiled for wasm, as it is deployed and as it is tested.
pub fn lint_wasm(wasm: &WasmToolchain) -> Result<(), TaskError> {
    let features = "tidegate-cloudflare/conformance,tidegate-spin/conformance";
    for features in ["", features] {
        let clippy = match &wasm.clippy {
            None => Run::cargo(),
            Some(program) => Run::new(program).dir(&workspace::root()).env("CARGO", "/usr/bin/cargo"),
        };
        clippy
            .arg("clippy")
            .args(selected(WASM))
            .args(["--target", WASM_TARGET, "--features", features, "--", "-D", "warnings"])
            .envs(wasm.env.iter().map(|(name, value)| (name, value)))
            .shown()?;
    }
    Ok(())
}

/// Clippy over what takes wasmtime: the tests' own host for Spin components, and what measures token counting in it.
pub fn lint_spin_host() -> Result<(), TaskError> {
    lint_built(
        &[SPIN_HOST, TOKENS_WASMTIME],
        &["--profile", SPIN_HOST_PROFILE, "--all-targets"],
    )
}

/// Clippy over the adapters' own tests, which run on the machine itself.
pub fn lint_adapters_tests() -> Result<(), TaskError> {
    lint_built(WASM_ADAPTERS, &["--tests"])
}

/// Clippy over what has been built, or is to be. `cargo clippy` would check all that it takes, which is minutes of work;
/// clippy in the place of the compiler finds it built.
fn lint_built(packages: &[&str], options: &[&str]) -> Result<(), TaskError> {
    Run::cargo()
        .arg("build")
        .args(selected(packages))
        .args(options)
        .env("RUSTC_WORKSPACE_WRAPPER", "clippy-driver")
        .env("CLIPPY_ARGS", "-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__")
        .shown()
}

/// The documentation, in which no link may be broken.
pub fn documentation() -> Result<(), TaskError> {
    let doc = Run::cargo()
        .args(["doc", "--no-deps", "--document-private-items"])
        .args(selected(packages::NATIVE));
    doc.env("RUSTDOCFLAGS", "-D warnings").shown()
}

/// Licences, origins and doubles of all dependencies; known holes in them too, where the list of holes can be reached.
pub fn dependencies() -> Result<(), TaskError> {
    let deny = cargo_tool(CargoTool {
        name: "cargo-deny",
        version: CARGO_DENY,
        arguments: &["--locked", "--no-default-features"],
    })?;
    let deny = || Run::new(&deny).dir(&workspace::root());
    deny()
        .args(["check", "--hide-inclusion-graph", "bans", "licenses", "sources"])
        .shown()?;
    match deny().args(["fetch", "db"]).limit(Duration::from_mins(2)).quiet() {
        Ok(_) => deny().args(["check", "--disable-fetch", "advisories"]).shown(),
        Err(TaskError::Stopped) => Err(TaskError::Stopped),
        Err(_) => {
            terminal::note("NOT checked against known advisories: their database cannot be reached from here");
            Ok(())
        }
    }
}

/// CHANGELOG.md says what has changed since the last release.
pub fn changelog() -> Result<(), TaskError> {
    let text = workspace::read(&workspace::root().join("CHANGELOG.md"))?;
    if text.lines().any(|line| line == "## Unreleased") {
        return Ok(());
    }
    Err(TaskError::unmet(
        "CHANGELOG.md",
        "it has no line `## Unreleased`",
        "what is not released yet stands there",
    ))
}

const CARGO_DENY: &str = "0.20.2";
