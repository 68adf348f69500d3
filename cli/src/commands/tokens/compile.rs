//! `tidegate tokens compile`.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use tidegate_core::tokens::Table;
use tidegate_core::tokens::compile::{Source, compile};

use super::oracle;
use crate::failure::Failure;

/// Which tokenizer, and where to.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The tokenizer: byte-level BPE, as most open models have it.
    #[arg(value_name = "TOKENIZER.JSON")]
    tokenizer: PathBuf,
    /// Its configuration, with special tokens and the chat template; by default the tokenizer_config.json beside the
    /// tokenizer.
    #[arg(value_name = "TOKENIZER_CONFIG.JSON")]
    config: Option<PathBuf>,
    /// A chat template, instead of the configuration's; by default the chat_template.jinja beside the tokenizer.
    #[arg(long, value_name = "FILE")]
    chat_template: Option<PathBuf>,
    /// The table to write; its name without `.tokens` is what the configuration calls it.
    #[arg(short, long, value_name = "NAME.tokens")]
    output: PathBuf,
}

/// Compiles the tokenizer, checks the table and writes it.
///
/// # Errors
/// When a file cannot be read, the tokenizer cannot be represented, or the table counts otherwise than the tokenizer.
pub fn run(args: &Args) -> Result<(), Failure> {
    let tokenizer = read(&args.tokenizer)?;
    let config = read_or_beside(args.config.as_deref(), &args.tokenizer, "tokenizer_config.json")?;
    let chat_template = read_or_beside(args.chat_template.as_deref(), &args.tokenizer, "chat_template.jinja")?;
    let source = Source {
        tokenizer: &tokenizer,
        config: config.as_deref(),
        chat_template: chat_template.as_deref(),
    };
    let file = compile(&source).map_err(|error| Failure::failed(format!("{}: {error}", args.tokenizer.display())))?;
    let table = Table::open(file.clone()).map_err(Failure::failed)?;
    oracle::compare(&table, &tokenizer)?;
    fs::write(&args.output, &file).map_err(|error| unusable(&args.output, "write", &error))?;
    let chat = if table.chat().is_some() { "with" } else { "without" };
    println!(
        "{}: {} bytes, {chat} a chat template",
        args.output.display(),
        file.len()
    );
    Ok(())
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| unusable(path, "read", &error))
}

/// The file at `path`; where none is named, the one beside the tokenizer, if there is one.
fn read_or_beside(path: Option<&Path>, tokenizer: &Path, name: &str) -> Result<Option<String>, Failure> {
    let Some(path) = path else {
        let beside = tokenizer.with_file_name(name);
        return match fs::read_to_string(&beside) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unusable(&beside, "read", &error)),
            Ok(text) => Ok(Some(text)),
        };
    };
    read(path).map(Some)
}

fn unusable(path: &Path, verb: &str, error: &std::io::Error) -> Failure {
    Failure::usage(format!("cannot {verb} {}: {error}", path.display()))
}
