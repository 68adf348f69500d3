//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::bench::{Contender, Workload};
use crate::runtime::Runtime;
use crate::test::Target;

/// Tasks of the Tidegate workspace. Each fetches what it needs.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask")]
pub struct Arguments {
    #[command(subcommand)]
    pub task: Task,
}

#[derive(Debug, Subcommand)]
pub enum Task {
    /// Runs the gateway in front of two simulated clusters in two regions. Prints `ready url=… key=…` when it answers.
    Dev(DevOptions),
    /// Runs every test and every check, on every runtime.
    Test(TestOptions),
    /// Builds what is deployed: all of it, or one runtime's.
    Build(BuildOptions),
    /// Makes the token tables of tokenizers with open licences: target/tokens/NAME.tokens.
    Tokens,
    /// Prints what the wasm bundles weigh, and fails when one is over its budget.
    Size,
    /// Compares the gateway on each runtime with the least that a proxy there can cost, or its token counter with other
    /// libraries, and fails when it is too slow.
    Bench(BenchOptions),
    /// Looks for inputs that break what reads bytes from elsewhere.
    Fuzz(FuzzOptions),
    /// Records anew what real engines send, for the tests that replay it: tests/recordings/.
    Record(RecordOptions),
    /// Format, layers, lints, documentation, licences: what needs no test run.
    Check,
}

#[derive(Args, Debug)]
pub struct DevOptions {
    /// What the gateway runs on.
    #[arg(long, value_enum, default_value = "native")]
    pub on: Runtime,
    /// Where it listens on this machine; a free port by default.
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    pub port: u16,
    /// In two hops: a gateway beside the clusters in Frankfurt, and an edge that sends it what is for them.
    #[arg(long)]
    pub hops: bool,
}

#[derive(Args, Debug)]
pub struct TestOptions {
    /// Only this runtime.
    #[arg(long, value_enum)]
    pub on: Option<Target>,
    /// Only the native runtime unless --on says another, without the slow checks.
    #[arg(long)]
    pub fast: bool,
    /// Only the tests of the contract whose names contain this.
    #[arg(long, value_name = "NAME", conflicts_with = "fast")]
    pub only: Option<String>,
    /// Only the gateway before real engines, vLLM and llama.cpp's server, with a tiny model. They are fetched and built
    /// first, 8 GB in half an hour.
    #[arg(long, conflicts_with_all = ["fast", "only"])]
    pub engines: bool,
    /// Runs no further step after one that failed.
    #[arg(long)]
    pub fail_fast: bool,
}

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct BenchOptions {
    /// The gateway, when nothing else is named.
    #[command(subcommand)]
    pub of: Option<BenchOf>,
    /// Only this runtime.
    #[arg(long, value_enum)]
    pub on: Option<Runtime>,
    /// How many times each pair is measured.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=50))]
    pub rounds: u32,
    /// How long one measurement takes, in milliseconds.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(100..=60_000))]
    pub round_ms: u32,
}

#[derive(Debug, Subcommand)]
pub enum BenchOf {
    /// The token counter, natively and in V8.
    Tokens {
        /// How many times each library counts each text.
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=50))]
        rounds: u32,
    },
    /// Commands to one cell in Redis.
    Cells {
        /// How long each case is measured, in milliseconds.
        #[arg(long, default_value_t = 3_000, value_parser = clap::value_parser!(u32).range(100..=60_000))]
        time_ms: u32,
    },
    /// Budgets: a reservation from a lease, commands to a cell, and eight gateways under load.
    Budgets {
        /// How long each case of commands to a cell is measured, in milliseconds.
        #[arg(long, default_value_t = 3_000, value_parser = clap::value_parser!(u32).range(100..=60_000))]
        time_ms: u32,
        /// How long each load of the gateways lasts, in milliseconds.
        #[arg(long, default_value_t = 60_000, value_parser = clap::value_parser!(u32).range(5_000..=600_000))]
        load_ms: u32,
    },
    /// Detectors of answers that failed, on texts that are fine and on failures.
    Detectors {
        /// How many texts of each kind to show that were taken wrongly, of those that thresholds are chosen by.
        #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100))]
        show: u32,
    },
    /// Routers before eight simulated engines: prefix hits, and times to first tokens.
    Routing(RoutingOptions),
}

#[derive(Args, Debug)]
pub struct RoutingOptions {
    /// The first 300 requests of each workload only: for development.
    #[arg(long)]
    pub quick: bool,
    /// Only these routers.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub only: Vec<Contender>,
    /// Only these workloads.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub workload: Vec<Workload>,
    /// At most so many requests of each workload.
    #[arg(long, value_parser = clap::value_parser!(u32).range(20..))]
    pub requests: Option<u32>,
    /// Mooncake's conversation trace; shared/traces/conversation_trace.jsonl beside the repository where that is. Without
    /// it, the workloads that are read from it are left out.
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// The share of what the engines can carry, if they find all that is possible in their caches.
    #[arg(long, default_value_t = 0.65, value_parser = positive)]
    pub load: f64,
    /// How many times as fast as real engines these are, instead of the workload's own.
    #[arg(long, value_parser = positive)]
    pub speed: Option<f64>,
    /// A built `tidegate` to measure, instead of this workspace's.
    #[arg(long, value_name = "FILE")]
    pub gateway: Option<PathBuf>,
}

impl RoutingOptions {
    /// How many requests of a workload are sent.
    pub fn most_requests(&self) -> usize {
        let asked = self.requests.map_or(usize::MAX, |requests| requests as usize);
        if self.quick { asked.min(QUICK_REQUESTS) } else { asked }
    }
}

fn positive(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "it should be a number".to_owned())?;
    let is_positive = number.is_finite() && number > 0.0;
    is_positive
        .then_some(number)
        .ok_or_else(|| "it should be more than 0".to_owned())
}

const QUICK_REQUESTS: usize = 300;

#[derive(Args, Debug)]
pub struct FuzzOptions {
    /// Only this target.
    #[arg(value_parser = crate::fuzz::TARGETS)]
    pub target: Option<String>,
    /// How long each target runs.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds: u64,
}

#[derive(Args, Debug)]
pub struct RecordOptions {
    /// Only this engine.
    #[arg(value_parser = ["vllm", "llama.cpp"])]
    pub engine: Option<String>,
}

#[derive(Args, Debug)]
pub struct BuildOptions {
    /// Only this runtime's artifact.
    #[arg(value_enum)]
    pub runtime: Option<Runtime>,
    /// The same, spelled as for the other tasks.
    #[arg(long, value_enum, conflicts_with = "runtime")]
    pub on: Option<Runtime>,
}
