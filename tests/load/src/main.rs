//! `tidegate-load`: what `cargo xtask bench` measures with. Both halves do as little as they can per request, so that
//! what stands between them is what gets slow first: one thread each, no HTTP library, no allocation per request.

mod budgets;
mod completion;
mod generate;
mod message;
mod replay;
mod report;
mod upstream;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::budgets::{BudgetLoad, Limits};
use crate::generate::Load;
use crate::replay::Replay;

/// A load generator and a fixed-answer upstream.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answers every chat completion with the same bytes, and completions with what they take. Prints `ready url=…` when it listens.
    Upstream {
        /// Where to listen; port 0 takes a free one.
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
    },
    /// Sends chat completions and prints one line of JSON about the answers.
    Run(RunOptions),
    /// Sends completions of one tenant that ask for more than its budget has, and prints one line of JSON about what
    /// was admitted.
    Budget(BudgetOptions),
    /// Sends a schedule of requests at its times, and prints one line of JSON about how long first events took.
    Replay(ReplayOptions),
}

#[derive(Args, Debug)]
struct RunOptions {
    /// Where to: `IP:PORT`.
    #[arg(long)]
    to: SocketAddr,
    /// Sent as a bearer token.
    #[arg(long, default_value = "none")]
    key: String,
    /// Asks for a stream.
    #[arg(long)]
    stream: bool,
    /// The model.
    #[arg(long, default_value = "bench")]
    model: String,
    /// Gets this path, in place of sending chat completions.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["stream", "model"])]
    get: Option<String>,
    /// Connections, each with one request at a time; at most 256.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=256))]
    connections: u32,
    /// Requests per second over all connections; as many as are answered when it is left out.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: Option<u32>,
    /// How long to go on, in milliseconds; at most a minute.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    ms: u64,
}

#[derive(Args, Debug)]
struct BudgetOptions {
    /// Gateways, each as `IP:PORT`.
    #[arg(long, required = true)]
    to: Vec<SocketAddr>,
    /// Sent as a bearer token.
    #[arg(long)]
    key: String,
    /// Clients, each with one request at a time; at most 256.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=256))]
    clients: u32,
    /// The budget's burst, in tokens.
    #[arg(long)]
    burst: u64,
    /// The budget's tokens in a minute.
    #[arg(long)]
    per_minute: u64,
    /// How long to go on, in milliseconds; at most ten minutes.
    #[arg(long, default_value_t = 60_000, value_parser = clap::value_parser!(u64).range(1..=600_000))]
    ms: u64,
}

#[derive(Args, Debug)]
struct ReplayOptions {
    /// Routers, each as `IP:PORT`, which take turns.
    #[arg(long, required = true)]
    to: Vec<SocketAddr>,
    /// Sent as bearer tokens: that of each tenant, or one for all.
    #[arg(long, default_value = "none")]
    key: Vec<String>,
    /// The schedule, as `cargo xtask bench routing` writes it.
    #[arg(long)]
    schedule: PathBuf,
    /// How many times as fast as in the schedule time passes.
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
    /// How soon an answer has to begin to count as in time, in milliseconds of the schedule.
    #[arg(long, default_value_t = 10_000)]
    in_time_ms: u64,
    /// The longest wait for an answer, in milliseconds of this machine.
    #[arg(long, default_value_t = 60_000)]
    patience_ms: u64,
    /// Takes `--to` as engines whose prefix caches hold so many tokens each, and chooses among them as the oracle does.
    #[arg(long, value_name = "TOKENS")]
    oracle: Option<u64>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Upstream { listen } => upstream::serve(listen).await,
        Command::Run(options) => run(options).await,
        Command::Budget(options) => run_budget(options).await,
        Command::Replay(options) => run_replay(options).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: RunOptions) -> std::io::Result<()> {
    let RunOptions {
        to,
        key,
        stream,
        model,
        get,
        connections,
        rate,
        ms,
    } = options;
    let load = Load {
        to,
        key,
        stream,
        model,
        get,
        connections,
        rate,
        time: Duration::from_millis(ms),
    };
    println!("{}", generate::run(&load).await?.to_json());
    Ok(())
}

async fn run_budget(options: BudgetOptions) -> std::io::Result<()> {
    let BudgetOptions {
        to,
        key,
        clients,
        burst,
        per_minute,
        ms,
    } = options;
    let load = BudgetLoad {
        to,
        key,
        clients,
        time: Duration::from_millis(ms),
        limits: Limits { burst, per_minute },
    };
    println!("{}", budgets::run(&load).await?.to_json());
    Ok(())
}

async fn run_replay(options: ReplayOptions) -> std::io::Result<()> {
    let ReplayOptions {
        to,
        key,
        schedule,
        speed,
        in_time_ms,
        patience_ms,
        oracle,
    } = options;
    let replay = Replay {
        to,
        keys: key,
        speed,
        in_time: Duration::from_millis(in_time_ms),
        patience: Duration::from_millis(patience_ms),
        oracle_tokens: oracle,
    };
    println!("{}", replay::run(replay, &schedule).await?.to_json());
    Ok(())
}
