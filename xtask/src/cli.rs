//! The command line.

use clap::{Args, Parser, Subcommand};

use crate::runtime::Runtime;

/// Tasks of the Tidegate workspace. Each fetches what it needs.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask")]
pub struct Arguments {
    #[command(subcommand)]
    pub task: Task,
}

#[derive(Debug, Subcommand)]
pub enum Task {
    /// Builds what is deployed: all of it, or one runtime's.
    Build(BuildOptions),
    /// Prints what the wasm bundles weigh, and fails when one is over its budget.
    Size,
    /// Format, lints, documentation, licences: what needs no test run.
    Check,
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
