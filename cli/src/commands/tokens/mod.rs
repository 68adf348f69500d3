//! `tidegate tokens`: tables of tokens, made and tried.

mod compile;
mod count;
mod oracle;

use crate::failure::Failure;

/// What to do with token tables.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Make a token table of a Hugging Face tokenizer. It is checked against the `tokenizers` library before it is
    /// written.
    Compile(compile::Args),
    /// Count the tokens of standard input: a number for all of it, or a line for each line of JSON.
    Count(count::Args),
}

/// Does it.
///
/// # Errors
/// What went wrong.
pub fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Compile(args) => compile::run(args),
        Command::Count(args) => count::run(args),
    }
}
