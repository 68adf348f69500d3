//! `tidegate tokens count`.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;

use tidegate_core::tokens::Table;

use crate::failure::Failure;

/// What to count with, and how.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The token table.
    #[arg(long, value_name = "NAME.tokens")]
    table: PathBuf,
    /// Standard input is a JSON object a line: `text`, or `messages` and maybe `tools`. Prints a number for each.
    #[arg(long)]
    jsonl: bool,
}

/// Counts.
///
/// # Errors
/// When the table or the input cannot be read; names the line.
pub fn run(args: &Args) -> Result<(), Failure> {
    let unusable = |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", args.table.display()));
    let file = fs::read(&args.table).map_err(|error| unusable(&error))?;
    let table = Table::open(file).map_err(|error| unusable(&error))?;
    if args.jsonl {
        return Err(Failure::usage("not yet"));
    }
    let mut text = String::new();
    io::stdin().read_to_string(&mut text)?;
    writeln!(io::stdout(), "{}", table.count(&text).0)?;
    Ok(())
}
