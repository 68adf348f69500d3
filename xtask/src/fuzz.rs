//! `cargo xtask fuzz`: looks for inputs that break what reads bytes from elsewhere, guided by coverage.

use std::path::PathBuf;
use std::time::Duration;

use crate::build::{self, Profile, Purpose};
use crate::cli::FuzzOptions;
use crate::command::Run;
use crate::error::TaskError;
use crate::packages::ENGINES;
use crate::setup::{CargoTool, cargo_tool, token_tables};
use crate::{terminal, workspace};

/// Runs every target, or one, for a while. What breaks one is kept below `fuzz/artifacts/`.
pub fn run(options: &FuzzOptions) -> Result<(), TaskError> {
    let fuzz = cargo_tool(CargoTool {
        name: "cargo-fuzz",
        version: CARGO_FUZZ,
        arguments: &["--locked"],
    })?;
    let chosen = |target: &&&str| options.target.as_ref().is_none_or(|only| only == **target);
    let targets: Vec<&str> = TARGETS.iter().filter(chosen).copied().collect();
    let tables = targets.contains(&ENCODER).then(|| {
        terminal::step("token tables", || {
            token_tables(&build::native(Profile::Debug, Purpose::Deployment)?)
        })
    });
    let tables = tables.transpose()?.unwrap_or_default();
    let seeds = workspace::work_folder("fuzz-seeds")?;
    Run::cargo()
        .args(["run", "--quiet", "--package", ENGINES, "--", "seeds", "--out"])
        .arg(&seeds)
        .shown()?;
    for target in targets {
        terminal::step(&format!("fuzz {target}"), || {
            let folder = workspace::root().join("fuzz");
            let found = workspace::made(folder.join("corpus").join(target))?;
            let own = own(target);
            let recorded = recorded(target).map(|kind| seeds.join(kind));
            Run::new(&fuzz)
                // The code has nothing unsafe that a sanitizer would watch, and without one any compiler will do.
                .args(["fuzz", "run", "--sanitizer", "none", target])
                .arg(found)
                .args(own.is_dir().then_some(own))
                .args(recorded)
                .arg("--")
                .arg(format!("-max_total_time={}", options.seconds))
                .arg(format!("-max_len={MAX_BYTES}"))
                .arg(format!("-timeout={TIMEOUT_S}"))
                .dir(&workspace::root())
                .env("CARGO_TARGET_DIR", workspace::target().join("fuzz"))
                // Counting the branches that an input takes is not stable yet.
                .env("RUSTC_BOOTSTRAP", "1")
                .env("TIDEGATE_TOKENS", &tables)
                .limit(BUILD_LIMIT + Duration::from_secs(options.seconds))
                .shown()
        })?;
    }
    Ok(())
}

/// A target's own inputs.
fn own(target: &str) -> PathBuf {
    let folder = match target {
        "signals" => "gateway-core/src/signals/fixtures".to_owned(),
        _ => format!("fuzz/seeds/{target}"),
    };
    workspace::root().join(folder)
}

/// Which recordings are inputs of a target.
fn recorded(target: &str) -> Option<&'static str> {
    match target {
        "sse" | "answer" => Some("answers"),
        "request" | "walker" => Some("requests"),
        _ => None,
    }
}

/// Also the files in `fuzz/fuzz_targets/`.
pub const TARGETS: [&str; 8] = ["table", ENCODER, "sse", "answer", "request", "walker", "row", "signals"];
/// The one that needs the models' tables.
const ENCODER: &str = "encoder";
const CARGO_FUZZ: &str = "0.13.2";
/// Long enough for windows and parts of pieces to end.
const MAX_BYTES: u32 = 20_000;
/// Of one input; the slowest take milliseconds.
const TIMEOUT_S: u32 = 10;
const BUILD_LIMIT: Duration = Duration::from_mins(20);
