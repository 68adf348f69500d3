//! Cloudflare's own tool, with which operators try and deploy the Worker.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::command::Run;
use crate::error::TaskError;
use crate::setup::node_modules;
use crate::{terminal, workspace};

/// The program: the one that `TIDEGATE_WRANGLER` names, or else the locked one, which README names and which is installed.
///
/// # Errors
/// When what the variable names does not run, or the locked one cannot be installed.
pub fn program() -> Result<PathBuf, TaskError> {
    let modules = node_modules(&workspace::root().join("tests/miniflare"))?;
    let named = std::env::var_os(VARIABLE).filter(|program| !program.is_empty());
    let program = named.map_or_else(|| modules.join(".bin/wrangler"), PathBuf::from);
    let told = Run::new(&program).arg("--version").envs(quietly()?).quiet()?;
    terminal::note(&format!("wrangler {} ({VARIABLE} names another)", told.trim()));
    Ok(program)
}

/// Variables for wrangler: it sends no figures and no reports, looks for no newer version, and keeps its logs out of the
/// user's folders.
///
/// # Errors
/// When the target folder cannot be written to.
pub fn quietly() -> Result<[(&'static str, OsString); 4], TaskError> {
    Ok([
        ("WRANGLER_SEND_METRICS", "false".into()),
        ("WRANGLER_SEND_ERROR_REPORTS", "false".into()),
        ("WRANGLER_HIDE_BANNER", "true".into()),
        ("XDG_CONFIG_HOME", workspace::work_folder("wrangler")?.into()),
    ])
}

/// Names the wrangler to run.
const VARIABLE: &str = "TIDEGATE_WRANGLER";

#[cfg(test)]
mod tests {
    use super::*;

    /// What operators are told to run is what is tested.
    #[test]
    fn the_locked_wrangler_is_the_one_that_operators_are_told_of() {
        let read = |path: &str| workspace::read(&workspace::root().join(path)).expect("the file is there");
        let package: serde_json::Value =
            serde_json::from_str(&read("tests/miniflare/package.json")).expect("package.json is JSON");
        let locked = package["dependencies"]["wrangler"].as_str().expect("a fixed version");
        for path in ["README.md", "wrangler.toml"] {
            let text = read(path);
            let mut named = text.split("wrangler@").skip(1).peekable();
            assert!(named.peek().is_some(), "{path} names none");
            for rest in named {
                let version = rest.split(|c: char| !(c.is_ascii_digit() || c == '.')).next();
                assert_eq!(version, Some(locked), "{path}");
            }
        }
    }
}
