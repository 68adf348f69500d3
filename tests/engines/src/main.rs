//! Real engines with a tiny model: `record` keeps what they send, `check` puts a gateway before them. `cargo xtask record`
//! and `cargo xtask test --engines` fetch what both need. `seeds` needs no engine.

mod cases;
mod check;
mod engine;
mod record;
mod seeds;

use std::process::ExitCode;

use clap::Parser;

/// Real engines with a tiny model.
#[derive(Debug, Parser)]
enum Command {
    /// Keeps what they send, as files.
    Record(record::Options),
    /// Writes what they sent, and are asked, as the first inputs of fuzz targets.
    Seeds(seeds::Options),
    /// Puts a gateway before them, and prints a table of what holds.
    Check(check::Options),
}

fn main() -> ExitCode {
    match Command::parse() {
        Command::Record(options) => {
            record::run(&options);
            ExitCode::SUCCESS
        }
        Command::Seeds(options) => {
            seeds::run(&options);
            ExitCode::SUCCESS
        }
        Command::Check(options) => check::run(&options),
    }
}
