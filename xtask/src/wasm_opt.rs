//! Makes a module smaller with Binaryen's `wasm-opt`, and writes down what its functions were called.
//!
//! The passes are those that only tidy: nothing is inlined or traded for speed, since the compiler has done that. Names of
//! functions would be a tenth of the Worker; a trace that says `wasm-function[123]` is read with the list of names.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::worker_build::{WorkerBuildError, install_package, run};

/// Replaces the module in the file `module`, without the names of its functions, which go to the file `names` with their
/// numbers, `123:crate::function` each. Installs `wasm-opt` into the folder `tools` when it is missing.
///
/// # Errors
/// When `wasm-opt` cannot be installed or refuses the module; the terminal has the details.
pub fn optimize(module: &Path, names: &Path, tools: &Path) -> Result<(), WorkerBuildError> {
    let mut command = Command::new(wasm_opt(tools)?);
    command
        .arg(module)
        // A token table stays in one segment, as it is in its file.
        .args(["-O1", "--skip-pass=memory-packing"])
        // wasm-bindgen puts it into what the compiler made; all else that a module may use, the module says itself.
        .arg("--enable-exception-handling")
        .arg(format!("--symbolmap={}", names.display()))
        .arg("-o")
        .arg(module);
    run(command)
}

fn wasm_opt(tools: &Path) -> Result<PathBuf, WorkerBuildError> {
    Ok(install_package(tools, "binaryen", BINARYEN)?.join("node_modules/binaryen/bin/wasm-opt"))
}

const BINARYEN: &str = "132.0.0";
