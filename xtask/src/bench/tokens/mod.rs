//! `cargo xtask bench tokens`: the token counter beside other libraries, in one run, natively, in V8 and in wasmtime.

mod figures;
mod texts;

use std::path::{Path, PathBuf};

use crate::build::{self, Profile, Purpose};
use crate::command::Run;
use crate::error::TaskError;
use crate::packages::{OPTIMISED, TOKENS_BENCH, TOKENS_WASMTIME};
use crate::setup::{WASM_TARGET, WasmToolchain, corpus, token_tables, wasm_toolchain};
use crate::worker_build::{tools_folder, wasm_bindgen};
use crate::{terminal, workspace};

use figures::{Figures, Place};

/// Measures, prints the figures, and fails when a target is missed.
pub fn run(rounds: u32) -> Result<(), TaskError> {
    let corpus = terminal::step("texts", corpus)?;
    let tables = terminal::step("token tables", || {
        token_tables(&build::native(Profile::Debug, Purpose::Deployment)?)
    })?;
    let folder = workspace::work_folder("bench/tokens/texts")?;
    texts::write(&corpus, &folder, rounds)?;
    let native = terminal::step("build the native program", || program(TOKENS_BENCH))?;
    let module = terminal::step("build the module", || module(&wasm_toolchain()?))?;
    let host = terminal::step("build the program that runs it in wasmtime", || {
        program(TOKENS_WASMTIME)
    })?;
    let mut figures = Figures::default();
    let measure = |run: Run| run.arg(&tables).arg(&folder).arg(rounds.to_string()).quiet();
    let lines = terminal::step("measure natively", || measure(Run::new(&native)))?;
    figures.read(Place::Native, &lines)?;
    let script = workspace::root().join("tests/tokens-bench/node/measure.mjs");
    let lines = terminal::step("measure in V8", || measure(Run::new("node").arg(&script).arg(&module)))?;
    figures.read(Place::V8, &lines)?;
    let lines = terminal::step("measure in wasmtime", || measure(Run::new(&host).arg(built_module())))?;
    figures.read(Place::Wasmtime, &lines)?;
    figures.weigh(&tables)?;
    figures.print()
}

/// Builds a program that runs on the machine itself.
fn program(package: &str) -> Result<PathBuf, TaskError> {
    Run::cargo()
        .args(["build", "--package", package, "--profile", OPTIMISED])
        .shown()?;
    Ok(workspace::target().join(OPTIMISED).join(package))
}

/// Builds the module as the gateway is built for Workers.
fn module(wasm: &WasmToolchain) -> Result<PathBuf, TaskError> {
    Run::cargo()
        .args([
            "build",
            "--lib",
            "--package",
            TOKENS_BENCH,
            "--profile",
            "edge",
            "--target",
            WASM_TARGET,
        ])
        .envs(wasm.env.iter().map(|(name, value)| (name, value)))
        .shown()?;
    let out = workspace::work_folder("bench/tokens/module")?;
    Run::new(wasm_bindgen(&tools_folder(), &workspace::root())?)
        .args(["--target", "nodejs", "--out-dir"])
        .arg(&out)
        .arg(built_module())
        .quiet()?;
    Ok(out)
}

/// The module as it is compiled, before wasm-bindgen fits it to JavaScript.
fn built_module() -> PathBuf {
    let file = format!("{}.wasm", TOKENS_BENCH.replace('-', "_"));
    workspace::target().join(WASM_TARGET).join("edge").join(file)
}

/// The file of a tokenizer's table.
fn table(tables: &Path, tokenizer: &str) -> PathBuf {
    tables.join(format!("{tokenizer}.tokens"))
}
