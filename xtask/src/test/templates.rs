//! Chat templates against transformers: Python renders thousands of made-up conversations, and the core's test renders
//! them too and compares.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::command::Run;
use crate::error::TaskError;
use crate::setup::{python_with, tokenizers};
use crate::{terminal, workspace};

/// Renders, and compares. Returns the file with the conversations, their prompts, and how many tokens they are.
///
/// # Errors
/// When Python or the packages with the templates cannot be had, and when a prompt differs.
pub fn run() -> Result<PathBuf, TaskError> {
    let folder = workspace::root().join("tests/templates");
    let python = python_with(
        &folder.join("requirements.txt"),
        "to compare chat templates with transformers",
    )?;
    let tokenizers = tokenizers()?;
    let models = MODELS.map(|name| (name, tokenizers.join(name).join("tokenizer_config.json")));
    let own = OWN.map(|name| (name, folder.join(name).with_extension("jinja")));
    let sources = models.into_iter().chain(own).map(|(name, path)| {
        let mut source = OsString::from(format!("{name}="));
        source.push(path);
        source
    });
    terminal::note("transformers renders");
    let cases = Run::new(&python)
        .arg(folder.join("oracle.py"))
        .args([CONVERSATIONS, SEED])
        .args(sources)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONIOENCODING", "utf-8")
        .quiet()?;
    let path = workspace::work_folder("templates")?.join("cases.jsonl");
    workspace::write(&path, cases)?;
    Run::cargo()
        .args(["test", "--package", "tidegate-core", "--features", "compile"])
        .args(["--test", "templates", "--", "--ignored", "--nocapture"])
        .env("TIDEGATE_TEMPLATE_CASES", &path)
        .shown()?;
    Ok(path)
}

/// Of those whose tokenizers are at hand, all that have a template.
const MODELS: [&str; 2] = ["deepseek-v3", "qwen3"];
/// Templates of our own, in tests/templates.
const OWN: [&str; 2] = ["language", "parts"];
/// Of each kind, for each template.
const CONVERSATIONS: &str = "500";
const SEED: &str = "1";
