//! Builds a Worker in Rust into the two files that Cloudflare runs, with the official `worker-build`.
//!
//! `worker-build` would download its own tools. Here they come from the registries that the rest of the build uses too,
//! at fixed versions, and once: they live outside the repository, so that a second clone finds them. Each is put
//! together beside its place and renamed into it, so that what stands there is whole.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::wasm_opt::optimize;

/// What to build, and where.
#[derive(Debug)]
pub struct WorkerBuild<'a> {
    /// The folder of the Worker's crate, in this workspace.
    pub crate_folder: &'a Path,
    /// The folder to put `index.js` and `index_bg.wasm` in; made when missing, its other files left alone. The names of
    /// the module's functions go beside it, to `NAME.names.txt`.
    pub out: &'a Path,
    /// The folder of the tools, such as [`tools_folder`].
    pub tools: &'a Path,
    /// The crate's features to switch on.
    pub features: &'a [&'a str],
    /// Environment variables for the compilation: `TIDEGATE_CONFIG`, or another compiler.
    pub environment: &'a [(&'a str, OsString)],
}

/// Why a Worker was not built.
#[derive(Debug, thiserror::Error)]
pub enum WorkerBuildError {
    /// A program could not be started.
    #[error("cannot run `{program}`: {source}")]
    Start {
        /// Which one.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// A program failed; it has said why on the terminal.
    #[error("`{program}` failed")]
    Failed {
        /// Which one.
        program: String,
    },
    /// A file or folder could not be read, made or moved.
    #[error("{path}: {source}")]
    File {
        /// Which one.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// `Cargo.lock` fixes no version of `wasm-bindgen`, so that no tool can match it.
    #[error("{0} names no version of wasm-bindgen")]
    NoWasmBindgen(String),
}

/// Where tools are kept between builds and between clones: `tidegate/tools` in the user's cache folder.
pub fn tools_folder() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .filter(|folder| !folder.is_empty())
        .map(PathBuf::from);
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| OsString::from("."))).join(".cache");
    cache.unwrap_or_else(home).join("tidegate/tools")
}

/// Builds the Worker, having installed what is missing of the tools.
///
/// # Errors
/// When a tool cannot be installed or the crate does not build; the terminal has the details.
pub fn build_worker(build: &WorkerBuild, workspace: &Path) -> Result<(), WorkerBuildError> {
    let tools = Tools::install(build.tools, &wasm_bindgen_version(&workspace.join("Cargo.lock"))?)?;
    std::fs::create_dir_all(build.out).map_err(|source| file_error(build.out, source))?;
    let out = build
        .out
        .canonicalize()
        .map_err(|source| file_error(build.out, source))?;
    let mut command = Command::new(&tools.worker_build);
    command
        .current_dir(build.crate_folder)
        // It would run `wasm-opt` with passes of its own.
        .args(["--profile", "edge", "--no-opt", "--out-dir"])
        .arg(&out)
        .env("WASM_BINDGEN_BIN", &tools.wasm_bindgen)
        .env("ESBUILD_BIN", &tools.esbuild)
        .envs(build.environment.iter().map(|(name, value)| (name, value)));
    if !build.features.is_empty() {
        command.args(["--", "--features", &build.features.join(",")]);
    }
    run(command)?;
    optimize(
        &out.join("index_bg.wasm"),
        &out.with_extension("names.txt"),
        build.tools,
    )
}

/// `wasm-bindgen`, of the version that the workspace's modules are built with, installed when it is missing.
///
/// # Errors
/// When it cannot be installed.
pub fn wasm_bindgen(tools: &Path, workspace: &Path) -> Result<PathBuf, WorkerBuildError> {
    let version = wasm_bindgen_version(&workspace.join("Cargo.lock"))?;
    Ok(install_crate(tools, "wasm-bindgen-cli", &version)?.join("bin/wasm-bindgen"))
}

/// The programs that `worker-build` is made of.
struct Tools {
    worker_build: PathBuf,
    wasm_bindgen: PathBuf,
    esbuild: PathBuf,
}

impl Tools {
    fn install(folder: &Path, wasm_bindgen_version: &str) -> Result<Self, WorkerBuildError> {
        std::fs::create_dir_all(folder).map_err(|source| file_error(folder, source))?;
        Ok(Self {
            worker_build: install_crate(folder, "worker-build", WORKER_BUILD)?.join("bin/worker-build"),
            wasm_bindgen: install_crate(folder, "wasm-bindgen-cli", wasm_bindgen_version)?.join("bin/wasm-bindgen"),
            esbuild: install_package(folder, "esbuild", ESBUILD)?.join("node_modules/esbuild/bin/esbuild"),
        })
    }
}

/// Builds a crate's programs, not optimised: that takes half the time, and they run for seconds.
fn install_crate(folder: &Path, name: &str, version: &str) -> Result<PathBuf, WorkerBuildError> {
    install(folder, name, version, |place| {
        let mut command = Command::new("cargo");
        command
            .args(["install", "--debug", "--no-track", name, "--version", version, "--root"])
            .arg(place);
        // Nothing of the caller's cross-compilation concerns a program for this machine.
        command.env_remove("CARGO_BUILD_TARGET").env_remove("RUSTFLAGS");
        command
    })
}

/// Installs a package from npm when it is missing, and returns the folder that has it in `node_modules`.
///
/// # Errors
/// When npm cannot install it.
pub fn install_package(folder: &Path, name: &str, version: &str) -> Result<PathBuf, WorkerBuildError> {
    install(folder, name, version, |place| {
        let mut command = Command::new("npm");
        command
            .args([
                "install",
                "--no-save",
                "--no-package-lock",
                "--no-audit",
                "--no-fund",
                "--ignore-scripts",
            ])
            .args(["--loglevel", "error", "--prefix"])
            .arg(place)
            .arg(format!("{name}@{version}"));
        command
    })
}

/// Where the tool stands, put there by `installer` when it is missing. When two builds install it at once, one of the
/// two copies stays.
fn install(
    folder: &Path,
    name: &str,
    version: &str,
    installer: impl FnOnce(&Path) -> Command,
) -> Result<PathBuf, WorkerBuildError> {
    let place = folder.join(format!("{name}-{version}"));
    if place.is_dir() {
        return Ok(place);
    }
    println!("installing {name} {version} into {}", folder.display());
    let partial = folder.join(format!("{name}-{version}.partial-{}", std::process::id()));
    std::fs::create_dir_all(&partial).map_err(|source| file_error(&partial, source))?;
    run(installer(&partial))?;
    match std::fs::rename(&partial, &place) {
        Err(_) if place.is_dir() => {
            std::fs::remove_dir_all(&partial).map_err(|source| file_error(&partial, source))?;
        }
        moved => moved.map_err(|source| file_error(&place, source))?,
    }
    Ok(place)
}

fn wasm_bindgen_version(lock: &Path) -> Result<String, WorkerBuildError> {
    let text = std::fs::read_to_string(lock).map_err(|source| file_error(lock, source))?;
    text.lines()
        .skip_while(|line| *line != "name = \"wasm-bindgen\"")
        .find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'))
        .map(str::to_owned)
        .ok_or_else(|| WorkerBuildError::NoWasmBindgen(lock.display().to_string()))
}

/// Runs a program to its end, with its output on the terminal.
///
/// # Errors
/// When it cannot be started or fails.
pub fn run(mut command: Command) -> Result<(), WorkerBuildError> {
    let program = Path::new(command.get_program())
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let status = command
        .stdin(Stdio::null())
        .status()
        .map_err(|source| WorkerBuildError::Start {
            program: program.clone(),
            source,
        })?;
    if status.success() {
        Ok(())
    } else {
        Err(WorkerBuildError::Failed { program })
    }
}

fn file_error(path: &Path, source: io::Error) -> WorkerBuildError {
    WorkerBuildError::File {
        path: path.display().to_string(),
        source,
    }
}

/// The version that belongs to the `worker` crate in use.
const WORKER_BUILD: &str = "0.8.7";
/// The version of `esbuild` that this `worker-build` is tested with.
const ESBUILD: &str = "0.28.2";
