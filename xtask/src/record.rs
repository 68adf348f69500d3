//! `cargo xtask record`: keeps what real engines send, as files that tests replay.

use crate::cli::RecordOptions;
use crate::command::Run;
use crate::error::TaskError;
use crate::packages::ENGINES;
use crate::setup::{LLAMA_CPP_PYTHON, VLLM, engines};
use crate::{terminal, workspace};

/// Records all of it anew, or one engine's, in folders that name the engines' versions.
pub fn run(options: &RecordOptions) -> Result<(), TaskError> {
    let engines = terminal::step("real engines", engines)?;
    let recordings = workspace::root().join("tests/recordings");
    terminal::step("record", || {
        Run::cargo()
            .args(["run", "--quiet", "--package", ENGINES, "--", "record"])
            .args(engines.arguments())
            .arg("--vllm-out")
            .arg(recordings.join(format!("vllm-{VLLM}")))
            .arg("--llama-out")
            .arg(recordings.join(format!("llama.cpp-python-{LLAMA_CPP_PYTHON}")))
            .arg("--logs")
            .arg(workspace::work_folder("recording")?)
            .args(options.engine.iter().flat_map(|engine| ["--only", engine]))
            .shown()
    })
}
