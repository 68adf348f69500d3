//! `cargo xtask`: every habit of the project behind one command. Each subcommand is one module; what it needs beyond
//! Rust and Node it fetches itself (see [`setup`]).

mod bench;
mod build;
mod carried;
mod check;
mod cli;
mod command;
mod component;
mod dev;
mod error;
mod fuzz;
mod http;
mod layers;
mod packages;
mod processes;
mod record;
mod runtime;
mod setup;
mod size;
mod spin;
mod steps;
mod terminal;
mod test;
mod wasm_opt;
mod worker_build;
mod workspace;
mod wrangler;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::{Arguments, Task};
use crate::error::TaskError;

fn main() -> ExitCode {
    processes::catch_interrupts();
    let done = match Arguments::parse().task {
        Task::Dev(options) => dev::run(&options),
        Task::Test(options) => test::run(&options),
        Task::Build(options) => build::run(&options),
        Task::Tokens => tokens(),
        Task::Size => size::run(),
        Task::Bench(options) => bench::run(&options),
        Task::Fuzz(options) => fuzz::run(&options),
        Task::Record(options) => record::run(&options),
        Task::Check => check::run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(TaskError::Stopped) => ExitCode::from(INTERRUPTED),
        Err(error) => {
            terminal::line(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn tokens() -> Result<(), TaskError> {
    let tidegate = terminal::step("build tidegate", || {
        build::native(build::Profile::Debug, build::Purpose::Deployment)
    })?;
    let tables = terminal::step("token tables", || setup::token_tables(&tidegate))?;
    terminal::note(&tables.display().to_string());
    Ok(())
}

/// What shells report for a command that an interrupt ended.
const INTERRUPTED: u8 = 130;
