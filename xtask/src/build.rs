//! `cargo xtask build`: what is deployed on each runtime, and its variants for tests.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::cli::BuildOptions;
use crate::command::Run;
use crate::component::componentize;
use crate::error::TaskError;
use crate::packages::{self, selected};
use crate::runtime::Runtime;
use crate::setup::{WASM_TARGET, WasmToolchain, wasm_toolchain};
use crate::wasm_opt::optimize;
use crate::worker_build::{WorkerBuild, build_worker, tools_folder};
use crate::{carried, terminal, workspace};

/// What an artifact is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To be deployed.
    Deployment,
    /// To run the platform's conformance suite, which it then serves.
    Conformance,
}

/// How the native binary is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Quickly, with its assertions on.
    Debug,
    /// As it is deployed.
    Release,
}

/// Builds what was asked for, and says where it is.
pub fn run(options: &BuildOptions) -> Result<(), TaskError> {
    let wanted = options.runtime.or(options.on);
    let tables = carried::by_operator()?;
    for runtime in Runtime::ALL
        .into_iter()
        .filter(|runtime| wanted.is_none_or(|wanted| wanted == *runtime))
    {
        let built = terminal::step(&format!("build {}", runtime.name()), || match runtime {
            Runtime::Native => native(Profile::Release, Purpose::Deployment),
            Runtime::Cloudflare => cloudflare(&wasm_toolchain()?, Purpose::Deployment, &tables),
            Runtime::Spin => spin(&wasm_toolchain()?, Purpose::Deployment, &tables),
        })?;
        terminal::note(&built.display().to_string());
    }
    Ok(())
}

/// The `tidegate` binary.
pub fn native(profile: Profile, purpose: Purpose) -> Result<PathBuf, TaskError> {
    let build = Run::cargo()
        .arg("build")
        .args(selected(packages::NATIVE))
        .args(["--bin", "tidegate"]);
    let build = match profile {
        Profile::Debug => build,
        Profile::Release => build.arg("--release"),
    };
    let folder = workspace::target().join(match profile {
        Profile::Debug => "debug",
        Profile::Release => "release",
    });
    match purpose {
        Purpose::Deployment => {
            build.shown()?;
            Ok(folder.join("tidegate"))
        }
        Purpose::Conformance => {
            build.args(["--features", "tidegate/conformance"]).shown()?;
            // The next build without the feature would replace it.
            let kept = workspace::work_folder("conformance")?.join("tidegate");
            copy(&folder.join("tidegate"), &kept)?;
            Ok(kept)
        }
    }
}

/// The folder with the Worker, which carries the token tables of the folder `tables`.
pub fn cloudflare(wasm: &WasmToolchain, purpose: Purpose, tables: &Path) -> Result<PathBuf, TaskError> {
    let out = match purpose {
        Purpose::Deployment => workspace::deployed("cloudflare")?,
        Purpose::Conformance => workspace::work_folder("conformance/cloudflare")?,
    };
    let features = worker_features(purpose);
    compile("tidegate-cloudflare", wasm, features, Some(tables))?;
    worker("edge-cloudflare", &out, wasm, features, Some(tables))?;
    carried::into_worker(tables, &out)?;
    Ok(out)
}

/// The folder with the bare pass-through Worker that the bench compares with.
pub fn bare_cloudflare(wasm: &WasmToolchain) -> Result<PathBuf, TaskError> {
    let out = workspace::work_folder("bench/bare-cloudflare")?;
    worker("tests/bare/cloudflare", &out, wasm, &[], None)?;
    Ok(out)
}

/// The Spin component, which carries the token tables of the folder `tables`.
pub fn spin(wasm: &WasmToolchain, purpose: Purpose, tables: &Path) -> Result<PathBuf, TaskError> {
    let out = match purpose {
        Purpose::Deployment => workspace::deployed("spin")?.join("tidegate.wasm"),
        Purpose::Conformance => workspace::work_folder("conformance")?.join("tidegate.wasm"),
    };
    component("tidegate-spin", &out, wasm, features(purpose), Some(tables))?;
    Ok(out)
}

/// The bare pass-through component that the bench compares with.
pub fn bare_spin(wasm: &WasmToolchain) -> Result<PathBuf, TaskError> {
    let out = workspace::work_folder("spin")?.join("bare.wasm");
    component("tidegate-bare-spin", &out, wasm, &[], None)?;
    Ok(out)
}

fn features(purpose: Purpose) -> &'static [&'static str] {
    match purpose {
        Purpose::Deployment => &[],
        Purpose::Conformance => &["conformance"],
    }
}

/// Those of the Worker, which holds calls of tools against their schemas where `TIDEGATE_SCHEMAS` says so.
fn worker_features(purpose: Purpose) -> &'static [&'static str] {
    let has_schemas = std::env::var_os(SCHEMAS).is_some();
    match (purpose, has_schemas) {
        (_, false) => features(purpose),
        (Purpose::Deployment, true) => &["schemas"],
        (Purpose::Conformance, true) => &["conformance", "schemas"],
    }
}

/// The compiler's variables; `TIDEGATE_CONFIG`, the configuration to bundle, as a path that is right in any folder; and
/// `TIDEGATE_TOKENS`, the folder of the tables.
fn environment(wasm: &WasmToolchain, tables: Option<&Path>) -> Vec<(&'static str, OsString)> {
    let config = std::env::var_os(CONFIG).and_then(|path| std::path::absolute(path).ok());
    wasm.env
        .iter()
        .cloned()
        .chain(config.map(|path| (CONFIG, path.into_os_string())))
        .chain(tables.map(|folder| (carried::TOKENS, folder.as_os_str().to_owned())))
        .collect()
}

/// Compiles an adapter. `worker-build` would do the same for a Worker, and then finds it done; but what cargo says of a
/// wrong configuration would be lost in what it says itself.
fn compile(package: &str, wasm: &WasmToolchain, features: &[&str], tables: Option<&Path>) -> Result<(), TaskError> {
    let build = Run::cargo().args(["build", "--lib", "--profile", "edge", "--target", WASM_TARGET]);
    build
        .args(["--package", package, "--features", &features.join(",")])
        .env("WASM_BINDGEN_USE_JS_SYS", "1") // As `worker-build` does, for the macros of wasm-bindgen.
        .envs(environment(wasm, tables))
        .shown()
}

fn worker(
    folder: &str,
    out: &Path,
    wasm: &WasmToolchain,
    features: &[&str],
    tables: Option<&Path>,
) -> Result<(), TaskError> {
    let build = WorkerBuild {
        crate_folder: &workspace::root().join(folder),
        out,
        tools: &tools_folder(),
        features,
        environment: &environment(wasm, tables),
    };
    Ok(build_worker(&build, &workspace::root())?)
}

fn component(
    package: &str,
    out: &Path,
    wasm: &WasmToolchain,
    features: &[&str],
    tables: Option<&Path>,
) -> Result<(), TaskError> {
    compile(package, wasm, features, tables)?;
    let module = workspace::target()
        .join(WASM_TARGET)
        .join("edge")
        .join(format!("{}.wasm", package.replace('-', "_")));
    // cargo keeps what it has made.
    let optimized = module.with_extension("opt.wasm");
    copy(&module, &optimized)?;
    optimize(&optimized, &out.with_extension("names.txt"), &tools_folder())?;
    let imports = componentize(&optimized, out)?;
    terminal::note(&format!("{package} imports {}", imports.join(", ")));
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<(), TaskError> {
    // A running program cannot be written to, but its file can be replaced.
    let _ = std::fs::remove_file(to);
    std::fs::copy(from, to).map(drop).map_err(TaskError::file(from))
}

/// Set, to whatever, for a Worker that holds calls of tools against their schemas.
const SCHEMAS: &str = "TIDEGATE_SCHEMAS";
/// Names the configuration that a build bundles.
pub const CONFIG: &str = "TIDEGATE_CONFIG";
