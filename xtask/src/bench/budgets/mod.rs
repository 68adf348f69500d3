//! `cargo xtask bench budgets`: what a reservation from a lease costs, how many commands a budget's cell takes, and what
//! gateways that share a budget admit when clients ask for more than it has.

mod load;
mod log;
mod verdicts;

use std::path::PathBuf;

use serde_json::Value;

use crate::command::Run;
use crate::error::TaskError;
use crate::packages::{self, OPTIMISED, selected};
use crate::{setup, terminal, workspace};

use load::{Case, Fleet};
use verdicts::Verdicts;

/// Measures, prints the figures, and fails when a target is missed.
pub fn run(time_ms: u32, load_ms: u32) -> Result<(), TaskError> {
    let redis = terminal::step("Redis", setup::redis_server)?;
    let built = terminal::step("build the programs", build)?;
    let mut verdicts = Verdicts::default();
    println!("\na request that reserves from a lease which is held, and settles");
    terminal::step("a reservation", || book(&built, &mut verdicts))?;
    println!("\ncommands to one budget cell, each a lease that is asked for, in process");
    terminal::step("cells in process", || cells(&built, "memory", time_ms))?;
    println!("\nthe same, in Redis");
    terminal::step("cells in Redis", || {
        let folder = workspace::work_folder("bench/budgets")?;
        let redis = crate::dev::start_redis(&redis, &folder)?;
        cells(&built, &redis.url, time_ms)
    })?;
    let fleet = Fleet::new(&built, redis, load_ms)?;
    for case in &Case::ALL {
        let load = terminal::step(case.name, || fleet.run(case))?;
        println!("\n{}", case.name);
        load.judge(case, &mut verdicts);
    }
    verdicts.end()
}

fn build() -> Result<PathBuf, TaskError> {
    let build = Run::cargo().arg("build").args(selected(packages::NATIVE));
    let build = build.args(["--example", "book", "--example", "cells"]);
    build
        .args(["--bin", "tidegate", "--bin", "tidegate-load", "--profile", OPTIMISED])
        .shown()?;
    Ok(workspace::target().join(OPTIMISED))
}

fn book(built: &std::path::Path, verdicts: &mut Verdicts) -> Result<(), TaskError> {
    let printed = Run::new(built.join("examples/book")).arg(BOOK_ROUNDS).quiet()?;
    let figures: Value = serde_json::from_str(&printed).unwrap_or_default();
    for (what, name) in [("reserve", "reserve_ns"), ("settle", "settle_ns")] {
        let ns = figure(&figures, name)?;
        verdicts.judge(
            what,
            &format!("{ns:.0} ns"),
            ns < MOST_NS,
            &format!("< {MOST_NS:.0} ns"),
        );
    }
    let (allocating, of) = (figure(&figures, "allocating")?, figure(&figures, "operations")?);
    verdicts.judge(
        "that allocate",
        &format!("{allocating:.0} of {of:.0}"),
        allocating == 0.0,
        "0",
    );
    Ok(())
}

fn cells(built: &std::path::Path, place: &str, time_ms: u32) -> Result<(), TaskError> {
    let cells = Run::new(built.join("examples/cells"));
    cells.args(["budget", place, &time_ms.to_string()]).shown()
}

/// One figure of what a program printed.
fn figure(figures: &Value, name: &str) -> Result<f64, TaskError> {
    let wanted = || TaskError::unmet("a report", figures.to_string(), format!("it needs `{name}`"));
    figures[name].as_f64().ok_or_else(wanted)
}

/// What a request may add natively for each operation on its tenant's budget, in nanoseconds.
const MOST_NS: f64 = 1_000.0;
/// Rounds of 10,000 reservations and settlements.
const BOOK_ROUNDS: &str = "101";
