//! Debian's compiler with a standard library for wasm, which its package of sources is compiled to once.
//!
//! Debian packages no such library for this compiler. What is compiled goes into a sysroot in the user's cache; a
//! wrapper named `rustc` adds that sysroot to every call, so that cargo, and tools that call `rustc` themselves, find
//! it. Nothing under `/usr` is written to.

use std::ffi::OsString;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use super::apt;
use super::wasm::{WASM_TARGET, WasmToolchain, has_std};
use crate::command::Run;
use crate::error::TaskError;
use crate::{terminal, workspace};

/// Makes the sysroot when it is not there, and says how to use it.
///
/// # Errors
/// When the packages are missing and cannot be installed, or the library does not compile.
pub fn toolchain() -> Result<WasmToolchain, TaskError> {
    let purpose = "to compile for wasm where rustup cannot add the target";
    let packages = ["rustc-web", "rust-web-src", "cargo-web", "rust-web-clippy", "lld-22"];
    let debian = apt::with_packages("a compiler with its sources", purpose, &packages, find)?;
    let sysroot = workspace::cache()?.join(format!("wasm-sysroot-{}", debian.release));
    if !has_std(&sysroot.join("lib/rustlib").join(WASM_TARGET).join("lib")) {
        terminal::note(&format!(
            "compiling the standard library of Rust {} for wasm",
            debian.release
        ));
        make_sysroot(&debian, &sysroot)?;
    }
    let bin = sysroot.join("bin");
    let old = std::env::var_os("PATH").unwrap_or_default();
    let path = std::iter::once(bin.clone()).chain(std::env::split_paths(&old));
    let path = std::env::join_paths(path).unwrap_or(old);
    let env = vec![
        ("RUSTC", bin.join("rustc").into_os_string()),
        ("PATH", path),
        ("SYSROOT", sysroot.into_os_string()),
        (LINKER, debian.linker.into_os_string()),
    ];
    Ok(WasmToolchain {
        env,
        clippy: Some(OsString::from(CLIPPY)),
    })
}

struct Debian {
    release: String,
    linker: PathBuf,
}

/// What the packages bring, when all of it is there.
fn find() -> Option<Debian> {
    let needed = [RUSTC, CARGO, CLIPPY, "/usr/lib/rustlib/src/rust/library/std/Cargo.toml"];
    if !needed.iter().all(|path| Path::new(path).exists()) {
        return None;
    }
    let about = Run::new(RUSTC).arg("-vV").probe()?;
    let release = about
        .lines()
        .find_map(|line| line.strip_prefix("release: "))?
        .to_owned();
    Some(Debian {
        release,
        linker: newest_linker()?,
    })
}

/// `/usr/bin/wasm-ld-N` with the greatest N, else `/usr/bin/wasm-ld`.
fn newest_linker() -> Option<PathBuf> {
    let names = std::fs::read_dir("/usr/bin")
        .ok()?
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok());
    let versions = names.filter_map(|name| name.strip_prefix("wasm-ld-")?.parse::<u32>().ok());
    let versioned = versions
        .max()
        .map(|version| PathBuf::from(format!("/usr/bin/wasm-ld-{version}")));
    versioned.or_else(|| Some(PathBuf::from("/usr/bin/wasm-ld")).filter(|path| path.exists()))
}

/// Compiles the library beside the sysroot's place, and moves the sysroot there when it is whole.
fn make_sysroot(debian: &Debian, sysroot: &Path) -> Result<(), TaskError> {
    let work = sysroot.with_extension("making");
    let _ = std::fs::remove_dir_all(&work);
    let libraries = compile_std(debian, &work.join("crate"))?;
    let made = work.join("sysroot");
    let rustlib = workspace::made(made.join("lib/rustlib"))?;
    let target = workspace::made(rustlib.join(WASM_TARGET).join("lib"))?;
    for entry in std::fs::read_dir(&libraries)
        .map_err(TaskError::file(&libraries))?
        .flatten()
    {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "rlib") {
            std::fs::copy(&path, target.join(entry.file_name())).map_err(TaskError::file(&path))?;
        }
    }
    link_host(&rustlib)?;
    let wrapper = made.join("bin/rustc");
    let script = format!("#!/bin/sh\nexec {RUSTC} --sysroot '{}' \"$@\"\n", sysroot.display());
    workspace::write(&wrapper, script)?;
    std::fs::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o755)).map_err(TaskError::file(&wrapper))?;
    let _ = std::fs::remove_dir_all(sysroot);
    std::fs::rename(&made, sysroot).map_err(TaskError::file(sysroot))?;
    std::fs::remove_dir_all(&work).map_err(TaskError::file(&work))
}

/// Links what the compiler has for other targets, the host first of all: build scripts and macros are made for it.
fn link_host(rustlib: &Path) -> Result<(), TaskError> {
    let system = Path::new("/usr/lib/rustlib");
    for entry in std::fs::read_dir(system).map_err(TaskError::file(system))?.flatten() {
        let link = rustlib.join(entry.file_name());
        if !link.exists() {
            symlink(entry.path(), &link).map_err(TaskError::file(&link))?;
        }
    }
    Ok(())
}

/// Compiles the standard library as a dependency of an empty crate, and returns the folder with its parts.
fn compile_std(debian: &Debian, folder: &Path) -> Result<PathBuf, TaskError> {
    let manifest = "[package]\nname = \"empty\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[lib]\npath = \"lib.rs\"\n\n[workspace]\n";
    workspace::write(&folder.join("Cargo.toml"), manifest)?;
    workspace::write(&folder.join("lib.rs"), "")?;
    let target = folder.join("target");
    // Debian's stable compiler takes the unstable `build-std` for this one crate.
    Run::new(CARGO)
        .args([
            "build",
            "--release",
            "--target",
            WASM_TARGET,
            "-Zbuild-std=std,panic_abort,proc_macro",
        ])
        .dir(folder)
        .env("RUSTC", RUSTC)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_DIR", &target)
        .env(LINKER, &debian.linker)
        // What is deployed is optimised as a whole, which takes the library's bitcode.
        .env("RUSTFLAGS", "-Cembed-bitcode=yes")
        .without_env("RUSTUP_TOOLCHAIN")
        .quiet()?;
    Ok(target.join(WASM_TARGET).join("release/deps"))
}

const RUSTC: &str = "/usr/bin/rustc";
const CARGO: &str = "/usr/bin/cargo";
const CLIPPY: &str = "/usr/bin/cargo-clippy";
const LINKER: &str = "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER";
