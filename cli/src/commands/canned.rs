//! `tidegate canned`: the texts that are answered where no model does, as a document of the gateway's store.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use http::Method;

use super::operator::{Gateway, Operator};
use crate::failure::Failure;
use crate::server;

/// What to do with the texts.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Print the texts in force, as a document that `set` takes.
    Get(GetArgs),
    /// Put a document in force, in place of the configuration's texts, on every gateway.
    Set(SetArgs),
    /// Put the configuration's texts in force again.
    Unset(GetArgs),
}

#[derive(Debug, clap::Args)]
pub struct GetArgs {
    #[command(flatten)]
    gateway: Gateway,
}

#[derive(Debug, clap::Args)]
pub struct SetArgs {
    /// The document: a `[canned]` table as gateway.toml has it; `-` reads standard input.
    file: PathBuf,
    #[command(flatten)]
    gateway: Gateway,
}

/// Does it, and prints what the gateway says.
///
/// # Errors
/// When the document cannot be read, or the gateway does not answer or refuses.
pub fn run(command: &Command) -> Result<(), Failure> {
    let (gateway, method, body) = match command {
        Command::Get(args) => (&args.gateway, Method::GET, None),
        Command::Set(args) => (&args.gateway, Method::PUT, Some(document(&args.file)?)),
        Command::Unset(args) => (&args.gateway, Method::DELETE, None),
    };
    let said = server::block_on(async {
        let operator = Operator::new(gateway)?;
        operator.ask_text(method, "/canned", body).await
    })?;
    let end = if said.ends_with('\n') { "" } else { "\n" };
    io::stdout().write_all([said.as_str(), end].concat().as_bytes())?;
    Ok(())
}

fn document(file: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(file)
    };
    read.map_err(|error| Failure::usage(format!("{}: {error}", file.display())))
}
