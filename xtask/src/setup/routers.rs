//! Routers of others, to compare the gateway with: each in a Python environment of its own.

use std::path::PathBuf;

use super::python_with;
use crate::error::TaskError;
use crate::workspace;

/// A router on Python's registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Router {
    /// Shepherd Model Gateway.
    Smg,
    /// vLLM's.
    Vllm,
}

impl Router {
    /// Its program.
    pub fn name(self) -> &'static str {
        match self {
            Self::Smg => "smg",
            Self::Vllm => "vllm-router",
        }
    }

    /// What comes before its options.
    pub fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Smg => &["launch"],
            Self::Vllm => &[],
        }
    }
}

/// The program of a router, installed when it is not there yet.
///
/// # Errors
/// When Python is missing or pip fails.
pub fn router(router: Router) -> Result<PathBuf, TaskError> {
    let requirements = workspace::root().join(format!("xtask/src/bench/routing/{}.txt", router.name()));
    let python = python_with(&requirements, "to run the routers that the gateway is compared with")?;
    Ok(python.with_file_name(router.name()))
}
