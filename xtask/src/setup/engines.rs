//! Real engines for CPUs, with a tiny model: vLLM in a Python environment of its own, llama.cpp's server built from source.
//! They are large, some 8 GB, and take half an hour to make: nothing but what says so needs them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{apt, python_with, stamp, tokenizers};
use crate::command::Run;
use crate::error::TaskError;
use crate::{terminal, workspace};

/// Where they are.
#[derive(Debug)]
pub struct Engines {
    vllm: PathBuf,
    llama_server: PathBuf,
    model: PathBuf,
    gguf: PathBuf,
}

/// The versions, as the folders of their recordings name them.
pub const VLLM: &str = "0.32.0";
/// Of the package whose source has llama.cpp in it.
pub const LLAMA_CPP_PYTHON: &str = "0.3.36";

impl Engines {
    /// The arguments by which `tidegate-engines` is told.
    pub fn arguments(&self) -> [OsString; 8] {
        let Self {
            vllm,
            llama_server,
            model,
            gguf,
        } = self;
        [
            "--vllm".into(),
            vllm.into(),
            "--llama-server".into(),
            llama_server.into(),
            "--model".into(),
            model.into(),
            "--gguf".into(),
            gguf.into(),
        ]
    }
}

/// Fetches and makes them.
///
/// # Errors
/// When Python, a C++ compiler or cmake cannot be had, or something cannot be fetched or built.
pub fn engines() -> Result<Engines, TaskError> {
    let folder = workspace::root().join("tests/engines/python");
    let python = python_with(&folder.join("requirements.txt"), PURPOSE)?;
    let vllm = vllm(&python, &folder.join("install.py"))?;
    let source = llama_source(&python)?;
    let llama_server = llama_server(&source)?;
    let model = workspace::cache()?.join("tiny-qwen3");
    let gguf = model.join("tiny-qwen3.gguf");
    let script = workspace::read(&folder.join("model.py"))?;
    stamp::once(&model, &[&script, VLLM, LLAMA_CPP_PYTHON], || {
        terminal::note("a tiny model with random weights");
        let run = |script: PathBuf| Run::new(&python).arg(script).env("CUDA_VISIBLE_DEVICES", "");
        let made = run(folder.join("model.py"))
            .arg(tokenizers()?.join("qwen3"))
            .arg(&model);
        made.quiet()?;
        let convert = run(source.join("convert_hf_to_gguf.py"))
            .arg(&model)
            .arg("--outfile")
            .arg(&gguf);
        convert.args(["--outtype", "f16"]).quiet().map(drop)
    })?;
    Ok(Engines {
        vllm,
        llama_server,
        model,
        gguf,
    })
}

/// The program `vllm`, in the environment of `python`.
fn vllm(python: &Path, install: &Path) -> Result<PathBuf, TaskError> {
    let bin = python.parent().unwrap_or(python);
    let script = workspace::read(install)?;
    stamp::once(bin, &[&script, VLLM], || {
        terminal::note(&format!("vLLM {VLLM} for CPUs, 7 GB"));
        Run::new(python)
            .arg(install)
            .arg(VLLM)
            .limit(BUILD_LIMIT)
            .quiet()
            .map(drop)
    })?;
    Ok(bin.join("vllm"))
}

/// The source of llama.cpp.
fn llama_source(python: &Path) -> Result<PathBuf, TaskError> {
    let folder = workspace::made(workspace::cache()?.join(format!("llama-cpp-python-{LLAMA_CPP_PYTHON}")))?;
    stamp::once(&folder, &[LLAMA_CPP_PYTHON], || {
        terminal::note("the source of llama.cpp");
        let package = format!("llama-cpp-python=={LLAMA_CPP_PYTHON}");
        let download = [
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--no-binary",
            "llama-cpp-python",
        ];
        Run::new(python)
            .args(download)
            .arg(package)
            .arg("--dest")
            .arg(&folder)
            .quiet()?;
        let archive = folder.join(format!("llama_cpp_python-{LLAMA_CPP_PYTHON}.tar.gz"));
        let unpack = Run::new("tar")
            .arg("xzf")
            .arg(archive)
            .arg("--strip-components=1")
            .arg("-C")
            .arg(&folder);
        unpack.quiet().map(drop)
    })?;
    Ok(folder.join("vendor/llama.cpp"))
}

/// llama.cpp's server, built.
fn llama_server(source: &Path) -> Result<PathBuf, TaskError> {
    let built = workspace::cache()?.join(format!("llama-server-{LLAMA_CPP_PYTHON}"));
    let program = built.join("bin/llama-server");
    if program.exists() {
        return Ok(program);
    }
    apt::with_packages("cmake", PURPOSE, &["cmake", "g++", "make"], || {
        Run::new("cmake").arg("--version").probe()
    })?;
    terminal::note("llama.cpp's server is compiled");
    let options = [
        "LLAMA_BUILD_SERVER=ON",
        "LLAMA_BUILD_TESTS=OFF",
        "LLAMA_BUILD_EXAMPLES=OFF",
        "LLAMA_BUILD_UI=OFF",
    ];
    let configure = Run::new("cmake")
        .arg("-S")
        .arg(source)
        .arg("-B")
        .arg(&built)
        .arg("-DCMAKE_BUILD_TYPE=Release");
    configure.args(options.map(|option| format!("-D{option}"))).quiet()?;
    let build = Run::new("cmake").arg("--build").arg(&built);
    build
        .args(["--target", "llama-server", "--parallel"])
        .limit(BUILD_LIMIT)
        .quiet()?;
    Ok(program)
}

const PURPOSE: &str = "to run real engines";
/// On two busy cores.
const BUILD_LIMIT: Duration = Duration::from_mins(90);
