//! Python environments: with the official OpenAI SDK, for the tests that use it as a client; with transformers, which
//! says how chats become prompts.

use std::path::{Path, PathBuf};

use super::{apt, stamp};
use crate::command::Run;
use crate::error::TaskError;
use crate::{terminal, workspace};

/// Makes the environment that the requirements describe, and returns its Python. `purpose`: `to test with X`.
///
/// # Errors
/// When Python is missing or pip fails.
pub fn python_with(requirements: &Path, purpose: &str) -> Result<PathBuf, TaskError> {
    let base = apt::with_packages(
        "Python 3.11 or newer",
        purpose,
        &["python3", "python3-venv"],
        find_python,
    )?;
    let wanted = workspace::read(requirements)?;
    let folder = workspace::cache()?.join(format!("python-{}", stamp::digest(&[&base.version, &wanted])));
    let python = folder.join("bin/python");
    stamp::once(&folder, &[&wanted], || {
        terminal::note("python3 -m venv, pip install");
        let create = || {
            let create = Run::new("python3").args(["-m", "venv", "--clear"]).arg(&folder).probe();
            create.and_then(|_| Run::new(&python).args(["-m", "pip", "--version"]).probe())
        };
        apt::with_packages("Python's venv module", purpose, &["python3-venv"], create)?;
        let pip = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--requirement",
        ];
        Run::new(&python).args(pip).arg(requirements).quiet().map(drop)
    })?;
    Ok(python)
}

struct Python {
    version: String,
}

/// The Python on the `PATH` when it is new enough.
fn find_python() -> Option<Python> {
    let script = "import sys; assert sys.version_info >= (3, 11); print(sys.version, sys.executable)";
    Run::new("python3")
        .args(["-c", script])
        .probe()
        .map(|version| Python { version })
}
