//! Texts for the token counter's tests, and what the reference in Python makes of them.

use std::path::{Path, PathBuf};

use super::{node_modules, python_with, stamp, tokenizers};
use crate::command::Run;
use crate::error::TaskError;
use crate::{terminal, workspace};

/// The folder with a file of JSON lines per class of texts, and below `python/` the counts by Python's `tokenizers`.
/// Both are made again only when what makes them has changed.
///
/// # Errors
/// When a package cannot be fetched, or Python fails.
pub fn corpus() -> Result<PathBuf, TaskError> {
    let tests = workspace::root().join("tests/tokens");
    let python = python_with(&tests.join("oracle/requirements.txt"), "to test token counts")?;
    let texts = workspace::work_folder("corpus")?;
    let made_of = made_of(&tests)?;
    let sources = tokenizers()?;
    stamp::once(&texts, &made_of.each_ref().map(String::as_str), || {
        make(&tests, &python, &sources, &texts)
    })?;
    Ok(texts)
}

/// All that the corpus and the counts follow from.
fn made_of(tests: &Path) -> Result<[String; 6], TaskError> {
    let tokenizers = workspace::root().join("tests/tokenizers/package-lock.json");
    let read = |path: &str| workspace::read(&tests.join(path));
    Ok([
        workspace::read(&tokenizers)?,
        read("corpus/package-lock.json")?,
        read("corpus/make.py")?,
        read("corpus/synthetic.py")?,
        read("oracle/requirements.txt")?,
        read("oracle/count.py")?,
    ])
}

fn make(tests: &Path, python: &Path, sources: &Path, texts: &Path) -> Result<(), TaskError> {
    let tokenizers = names(sources)?;
    let file = |name: &String| sources.join(name).join("tokenizer.json");
    let modules = node_modules(&tests.join("corpus"))?;
    terminal::note("gathering texts");
    Run::new(python)
        .arg(tests.join("corpus/make.py"))
        .arg("--packages")
        .arg(&modules)
        .arg("--out")
        .arg(texts)
        .args(tokenizers.iter().map(file))
        .shown()?;
    terminal::note("counting with tokenizers for Python");
    let named = |name: &String| format!("{name}={}", file(name).display());
    Run::new(python)
        .arg(tests.join("oracle/count.py"))
        .arg("--corpus")
        .arg(texts)
        .arg("--out")
        .arg(texts.join("python"))
        .args(tokenizers.iter().map(named))
        .shown()
}

/// The tokenizers that have a folder, in the order of their names.
fn names(sources: &Path) -> Result<Vec<String>, TaskError> {
    let entries = std::fs::read_dir(sources).map_err(TaskError::file(sources))?;
    let folders = entries.flatten().filter(|entry| entry.path().is_dir());
    let mut names: Vec<String> = folders
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    Ok(names)
}
