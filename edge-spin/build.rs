//! Bundles the configuration, the file that `TIDEGATE_CONFIG` names, the workspace's `gateway.toml` by default; and the
//! token tables in the folder that `TIDEGATE_TOKENS` names, none by default.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    println!("cargo::rerun-if-env-changed={CONFIG_VARIABLE}");
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../gateway.toml");
    let config = env::var_os(CONFIG_VARIABLE).map_or_else(default, PathBuf::from);
    println!("cargo::rerun-if-changed={}", config.display());
    fs::copy(&config, out.join("gateway.toml")).map_err(|error| format!("{}: {error}", config.display()))?;
    println!("cargo::rerun-if-env-changed={TOKENS_VARIABLE}");
    let tables = match env::var_os(TOKENS_VARIABLE) {
        Some(folder) => tables(Path::new(&folder))?,
        None => String::new(),
    };
    fs::write(out.join("tables.rs"), format!("&[{tables}]"))?;
    Ok(())
}

/// Each table in `folder` as an element of an array of names and contents, in Rust.
fn tables(folder: &Path) -> Result<String, Box<dyn Error>> {
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut elements = String::new();
    for entry in fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))? {
        let path = fs::canonicalize(entry?.path())?;
        if let (Some(name), true) = (path.file_stem(), path.extension().is_some_and(|end| end == "tokens")) {
            let name = name.to_str().ok_or_else(|| format!("{}: not UTF-8", path.display()))?;
            write!(elements, "({name:?}, include_bytes!({path:?})),")?;
        }
    }
    Ok(elements)
}

const CONFIG_VARIABLE: &str = "TIDEGATE_CONFIG";
const TOKENS_VARIABLE: &str = "TIDEGATE_TOKENS";
