//! `cargo xtask bench detectors`: what the detectors find in texts that are fine and in answers that failed, and how fast.

use std::path::PathBuf;

use crate::command::Run;
use crate::error::TaskError;
use crate::packages::{self, OPTIMISED, selected};
use crate::setup::detector_corpus;
use crate::{terminal, workspace};

/// Gathers the corpus, runs the detectors over it, and fails when a target is missed. `show`: how many texts of a kind to
/// show that were taken wrongly.
pub fn run(show: u32) -> Result<(), TaskError> {
    let corpus = terminal::step("texts", detector_corpus)?;
    let program = terminal::step("build the program", program)?;
    Run::new(program)
        .arg(corpus)
        .arg("--show")
        .arg(show.to_string())
        .shown()
}

fn program() -> Result<PathBuf, TaskError> {
    let build = Run::cargo().arg("build").args(selected(packages::NATIVE));
    build.args(["--example", "detectors", "--profile", OPTIMISED]).shown()?;
    Ok(workspace::target().join(OPTIMISED).join("examples/detectors"))
}
