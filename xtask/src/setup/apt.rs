//! Debian's packages, for the few things that come neither from cargo nor from npm.

use std::path::Path;

use crate::command::Run;
use crate::error::TaskError;
use crate::terminal;

/// Returns what `find` finds; when that is nothing, installs Debian's `packages` first, which takes root.
///
/// # Errors
/// When it is not there and cannot be installed by this user on this machine: says what to do instead.
pub fn with_packages<T>(
    need: &str,
    purpose: &str,
    packages: &[&str],
    find: impl Fn() -> Option<T>,
) -> Result<T, TaskError> {
    if let Some(found) = find() {
        return Ok(found);
    }
    let names = packages.join(" ");
    let missing = |remedy: String| TaskError::Missing {
        need: need.to_owned(),
        purpose: purpose.to_owned(),
        remedy,
    };
    if !Path::new("/usr/bin/apt-get").exists() {
        return Err(missing(format!("install what Debian has in the packages `{names}`")));
    }
    if !is_root() {
        return Err(missing(format!("run `sudo apt-get install {names}`")));
    }
    terminal::note(&format!("apt-get install {names}"));
    if install(packages).is_err() {
        apt_get(&["update"])?;
        install(packages)?;
    }
    find().ok_or_else(|| {
        missing(format!(
            "the packages `{names}` are installed and it is still not there"
        ))
    })
}

fn install(packages: &[&str]) -> Result<(), TaskError> {
    apt_get(&[&["install", "--yes", "--no-install-recommends"], packages].concat())
}

fn apt_get(arguments: &[&str]) -> Result<(), TaskError> {
    Run::new("/usr/bin/apt-get")
        .args(["-o", "DPkg::Lock::Timeout=300"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .quiet()
        .map(drop)
}

fn is_root() -> bool {
    Run::new("id").arg("-u").probe().is_some_and(|id| id.trim() == "0")
}
