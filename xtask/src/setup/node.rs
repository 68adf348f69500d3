//! Node packages, as each folder's lock file names them.

use std::path::{Path, PathBuf};

use super::stamp;
use crate::command::Run;
use crate::error::TaskError;
use crate::{terminal, workspace};

/// Installs the packages of a folder with a `package-lock.json`, and returns its `node_modules`.
///
/// # Errors
/// When Node is missing or too old, or npm fails.
pub fn node_modules(folder: &Path) -> Result<PathBuf, TaskError> {
    let version = node_version()?;
    let lock = workspace::read(&folder.join("package-lock.json"))?;
    let modules = folder.join("node_modules");
    stamp::once(&modules, &[&version, &lock], || {
        terminal::note(&format!(
            "npm ci in {}",
            folder.strip_prefix(workspace::root()).unwrap_or(folder).display()
        ));
        Run::new("npm")
            .args(["ci", "--no-audit", "--no-fund"])
            .dir(folder)
            .quiet()
            .map(drop)
    })?;
    Ok(modules)
}

/// The version of the Node on the `PATH`.
fn node_version() -> Result<String, TaskError> {
    let missing = |remedy: String| TaskError::Missing {
        need: format!("Node {NODE_MAJOR} or newer, with npm,"),
        purpose: "to run Cloudflare's workerd and the OpenAI SDK for Node, and to fetch tokenizers".to_owned(),
        remedy,
    };
    let version = Run::new("node").arg("--version").probe();
    let version = version
        .ok_or_else(|| missing("put `node` on the PATH".to_owned()))?
        .trim()
        .to_owned();
    let major = version
        .trim_start_matches('v')
        .split('.')
        .next()
        .and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < NODE_MAJOR) {
        return Err(missing(format!("this one is {version}")));
    }
    Ok(version)
}

/// The oldest Node that the locked packages run on.
const NODE_MAJOR: u32 = 20;
