//! Tools that are built from source by `cargo install`, kept by name and version in the user's cache.

use std::path::PathBuf;

use crate::command::Run;
use crate::error::TaskError;
use crate::{terminal, workspace};

/// A crate with a program of the same name.
#[derive(Clone, Copy, Debug)]
pub struct CargoTool<'a> {
    /// The crate's name.
    pub name: &'a str,
    /// Exactly this version.
    pub version: &'a str,
    /// More arguments for `cargo install`, such as its features.
    pub arguments: &'a [&'a str],
}

/// Builds the tool unless it was built before, and returns its program. It is built without optimisation: it runs for
/// seconds, and would be compiled for minutes.
///
/// # Errors
/// When cargo cannot build it.
pub fn cargo_tool(tool: CargoTool) -> Result<PathBuf, TaskError> {
    let CargoTool {
        name,
        version,
        arguments,
    } = tool;
    let cache = workspace::cache()?;
    let folder = cache.join(format!("{name}-{version}"));
    let program = folder.join("bin").join(name);
    if program.exists() {
        return Ok(program);
    }
    terminal::note(&format!("cargo install {name} {version}"));
    Run::cargo()
        .args(["install", name, "--version", version, "--debug", "--quiet", "--root"])
        .arg(&folder)
        .args(arguments)
        .env("CARGO_TARGET_DIR", cache.join("build"))
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .quiet()?;
    Ok(program)
}
