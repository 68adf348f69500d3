//! `tidegate schema`.

use std::io::{self, Write};

use crate::failure::Failure;

/// Prints the JSON Schema.
///
/// # Errors
/// When stdout is closed.
pub fn run() -> Result<(), Failure> {
    io::stdout().write_all(tidegate_core::config::json_schema().as_bytes())?;
    Ok(())
}
