//! A compiler with a standard library for `wasm32-unknown-unknown`: the toolchain's own where it has one or rustup can
//! add it; else Debian's.

use std::ffi::OsString;
use std::path::Path;

use super::wasm_debian;
use crate::command::Run;
use crate::error::TaskError;
use crate::terminal;

/// How to build for wasm.
#[derive(Clone, Debug, Default)]
pub struct WasmToolchain {
    /// Variables for `cargo` and for tools that call it, in builds for wasm only.
    pub env: Vec<(&'static str, OsString)>,
    /// The clippy that belongs to the compiler, when it is not cargo's own.
    pub clippy: Option<OsString>,
}

/// Finds or makes a compiler for wasm.
///
/// # Errors
/// When there is none, and none can be made on this machine.
pub fn wasm_toolchain() -> Result<WasmToolchain, TaskError> {
    let forced = std::env::var_os(FORCE).is_some_and(|which| which == "debian");
    if !forced && (has_target() || rustup_adds_target()) {
        return Ok(WasmToolchain::default());
    }
    wasm_debian::toolchain()
}

/// Whether the compiler in use has the target's standard library.
fn has_target() -> bool {
    let libraries = Run::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args(["--print", "target-libdir", "--target", WASM_TARGET])
        .dir(&crate::workspace::root())
        .probe();
    libraries.is_some_and(|folder| has_std(Path::new(folder.trim())))
}

/// Whether a folder holds a standard library.
pub fn has_std(folder: &Path) -> bool {
    let names = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name());
    names
        .filter_map(|name| name.into_string().ok())
        .any(|name| name.starts_with("libstd-") && name.ends_with(".rlib"))
}

fn rustup_adds_target() -> bool {
    terminal::note(&format!("rustup target add {WASM_TARGET}"));
    // A rustup that cannot reach its server tries for long.
    let limit = std::time::Duration::from_mins(3);
    let added = Run::new("rustup")
        .args(["target", "add", WASM_TARGET])
        .limit(limit)
        .quiet();
    match added {
        Ok(_) => has_target(),
        Err(error) => {
            let reason = error.to_string();
            terminal::note(&format!(
                "rustup cannot: {}",
                reason.lines().last().unwrap_or_default().trim()
            ));
            false
        }
    }
}

/// The one target of both wasm runtimes.
pub const WASM_TARGET: &str = "wasm32-unknown-unknown";
/// `TIDEGATE_WASM_TOOLCHAIN=debian` takes Debian's compiler even where rustup has the target.
const FORCE: &str = "TIDEGATE_WASM_TOOLCHAIN";
