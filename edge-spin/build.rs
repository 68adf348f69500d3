//! Bundles the configuration: the file that `TIDEGATE_CONFIG` names, the workspace's `gateway.toml` by default.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-env-changed={CONFIG_VARIABLE}");
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../gateway.toml");
    let config = env::var_os(CONFIG_VARIABLE).map_or_else(default, PathBuf::from);
    println!("cargo::rerun-if-changed={}", config.display());
    let bundled = Path::new(&env::var("OUT_DIR")?).join("gateway.toml");
    fs::copy(&config, bundled).map_err(|error| format!("{}: {error}", config.display()))?;
    Ok(())
}

const CONFIG_VARIABLE: &str = "TIDEGATE_CONFIG";
