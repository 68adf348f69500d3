//! `tidegate`: the gateway, the simulated engine and the operator's tools in one binary. Each subcommand is one file
//! under `commands`.

mod commands;
mod failure;
mod log;
mod server;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use commands::{calibrate, check, detect, drain, engine, explain, keys, rollout, schema, serve, status, tokens};
use mimalloc::MiMalloc;

/// A request makes some seventy small allocations, all freed on the same thread: with this allocator it takes about a
/// tenth fewer instructions in all than with glibc's. It asks for no huge pages (`no_thp`): they make nothing faster that
/// can be measured, and keep 8 MB in an idle process.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// One OpenAI-compatible endpoint in front of GPU clusters.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 120, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway on this machine.
    Serve(serve::Args),
    /// Run a simulated engine: vLLM's API and timing, without a GPU.
    Engine(engine::Args),
    /// Have a replica drain: it gets no more requests, and those that run there come to their ends.
    Drain(drain::Args),
    /// Tell how the clusters behind a gateway stand.
    Status(status::Args),
    /// Have a version of a model's clusters take over from the others, and tell how far that is.
    #[command(subcommand)]
    Rollout(rollout::Command),
    /// Tell why a request went where it went, or where one would go.
    Explain(explain::Args),
    /// Measure what a replica can do, and print lines for gateway.toml.
    Calibrate(calibrate::Args),
    /// Make API keys and their digests.
    #[command(subcommand)]
    Keys(keys::Command),
    /// Validate a configuration and list everything that is wrong with it.
    Check(check::Args),
    /// Run the detectors of failed answers over saved ones.
    Detect(detect::Args),
    /// Print the JSON Schema of gateway.toml, with which editors complete and check it, or the description of the admin API.
    Schema(schema::Args),
    /// Make token tables of tokenizers, and count with them.
    #[command(subcommand)]
    Tokens(tokens::Command),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve(args) => serve::run(args),
        Command::Engine(args) => engine::run(args),
        Command::Drain(args) => drain::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Rollout(command) => rollout::run(&command),
        Command::Explain(args) => explain::run(&args),
        Command::Calibrate(args) => calibrate::run(&args),
        Command::Keys(command) => keys::run(&command),
        Command::Check(args) => check::run(&args),
        Command::Detect(args) => detect::run(&args),
        Command::Schema(args) => schema::run(&args),
        Command::Tokens(command) => tokens::run(&command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

const EXIT_CODES: &str = "Exit codes:
  0  done; for `serve`, also when a signal ended it
  1  it did not work, the message says why; for `check`, the configuration has errors; for `detect`, answers failed
  2  the command line or the configuration is wrong; for `detect`, lines are no answers
  3  the time was over before it was done, for `drain --wait`: requests are left
  4  there is no such cluster, replica, tenant or request, or no such model, or none with versions
  5  the key is unknown, or may only look
  6  another gateway has to be asked, the message says which
  7  for `rollout … --wait`: the version was taken back, the message says why";
