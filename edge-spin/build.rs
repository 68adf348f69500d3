//! What both edge adapters bundle: the configuration, which is the file that `TIDEGATE_CONFIG` names or else the
//! workspace's `gateway.toml`, as its text and as it was read; and for Spin the token tables in the folder that
//! `TIDEGATE_TOKENS` names. `cargo xtask build` always names one, and then the configuration must be sound with the tables
//! that are there, and they with themselves: what is wrong is found now, and not by the first request, and told as
//! `tidegate check` tells it.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use tidegate_core::config::{Config, ConfigErrors, Problem};
use tidegate_core::tokens::{TABLE_EXTENSION, Table};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-env-changed={CONFIG_VARIABLE}");
    println!("cargo::rerun-if-env-changed={TOKENS_VARIABLE}");
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../gateway.toml");
    let config = env::var_os(CONFIG_VARIABLE).map_or_else(default, PathBuf::from);
    println!("cargo::rerun-if-changed={}", config.display());
    let text = fs::read_to_string(&config).map_err(|error| about(&config, &error))?;
    let tables = env::var_os(TOKENS_VARIABLE)
        .map(|folder| tables(Path::new(&folder)))
        .transpose()?;
    let names: Option<Vec<&str>> = tables
        .as_ref()
        .map(|tables| tables.iter().map(|(name, _)| name.as_str()).collect());
    let parsed = match Config::parse(&text, names.as_deref()) {
        Ok(parsed) => parsed,
        Err(errors) => {
            tell(&config, &errors);
            return Ok(());
        }
    };
    let mut elements = String::new();
    for (name, path) in tables.unwrap_or_default() {
        write!(elements, "({name:?}, include_bytes!({path:?})),")?;
    }
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("gateway.toml"), text)?;
    fs::write(out.join("gateway.bundle"), parsed.to_bundle()?)?;
    fs::write(out.join("tables.rs"), format!("&[{elements}]"))?;
    Ok(())
}

/// Has cargo show what is wrong, line by line, and fail. An error of this program would be shown with all that it
/// printed.
fn tell(config: &Path, errors: &ConfigErrors) {
    let listed = errors.to_string();
    let lines = listed.lines();
    println!("cargo::error={} cannot be bundled", config.display());
    lines.for_each(|line| println!("cargo::error={line}"));
    let lacks_table = |problem: &Problem| matches!(problem, Problem::NoTable { .. });
    if errors.as_slice().iter().any(|error| lacks_table(&error.problem)) {
        let folder = env::var_os(TOKENS_VARIABLE).map(PathBuf::from).unwrap_or_default();
        println!("cargo::error=tables belong into {}. {MAKING_TABLES}", folder.display());
    }
}

/// The sound tables in a folder, with their names; none when there is no such folder.
fn tables(folder: &Path) -> Result<Vec<(String, PathBuf)>, Box<dyn Error>> {
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut tables = Vec::new();
    if !folder.is_dir() {
        return Ok(tables);
    }
    for entry in fs::read_dir(folder).map_err(|error| about(folder, &error))? {
        let path = fs::canonicalize(entry?.path())?;
        if path.extension().is_none_or(|extension| extension != TABLE_EXTENSION) {
            continue;
        }
        println!("cargo::rerun-if-changed={}", path.display());
        let file = fs::read(&path).map_err(|error| about(&path, &error))?;
        Table::open(file).map_err(|error| about(&path, &error))?;
        let name = path.file_stem().and_then(|name| name.to_str());
        tables.push((name.ok_or("a table's name is not UTF-8")?.to_owned(), path));
    }
    tables.sort();
    Ok(tables)
}

fn about(path: &Path, error: &dyn Error) -> String {
    format!("{}: {error}", path.display())
}

const MAKING_TABLES: &str = "`cargo xtask tokens` makes those of qwen3, deepseek-v3 and gpt-oss, target/tokens/NAME.tokens; \
    `tidegate tokens compile` makes one of any tokenizer";
const CONFIG_VARIABLE: &str = "TIDEGATE_CONFIG";
const TOKENS_VARIABLE: &str = "TIDEGATE_TOKENS";
