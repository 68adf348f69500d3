//! `tidegate schema`.

use std::io::{self, Write};

use clap::ValueEnum;
use tidegate_core::{api, config};

use crate::failure::Failure;

/// What to print.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Of what.
    #[arg(value_enum, default_value_t = Of::Config)]
    of: Of,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Of {
    /// The JSON Schema of gateway.toml.
    Config,
    /// The OpenAPI description of operators' paths.
    Admin,
}

/// Prints it.
///
/// # Errors
/// When stdout is closed.
pub fn run(args: &Args) -> Result<(), Failure> {
    let text = match args.of {
        Of::Config => config::json_schema(),
        Of::Admin => api::admin_api(),
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(())
}
