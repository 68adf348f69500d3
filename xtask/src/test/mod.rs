//! `cargo xtask test`: every check of the project, on every runtime. This is what CI runs.

mod conformance;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::build::{self, Profile, Purpose};
use crate::cli::TestOptions;
use crate::command::Run;
use crate::dev::Gateway;
use crate::error::TaskError;
use crate::packages::{self, CONTRACT, SPIN_HOST, selected};
use crate::runtime::Runtime;
use crate::setup::{WasmToolchain, node_modules, python_clients, wasm_toolchain};
use crate::steps::{Outcome, Steps};
use crate::{check, size, workspace};

/// Runs the steps, the quick ones first, and fails when one does.
pub fn run(options: &TestOptions) -> Result<(), TaskError> {
    let mut steps = Steps::new(options.fail_fast);
    let wanted = match options.on {
        Some(runtime) => vec![runtime],
        None if options.fast => vec![Runtime::Native],
        None => Runtime::ALL.to_vec(),
    };
    steps.run("format", check::format);
    steps.run("changelog", check::changelog);
    steps.run("lints, native", check::lint_native);
    steps.run("unit tests", unit_tests);
    let tidegate = steps.run("build tidegate", || build::native(Profile::Debug, Purpose::Deployment));
    steps.run("schema of gateway.toml", || schema(tidegate.get()?));
    let clients = Clients {
        node: steps.run("Node SDK", node_client),
        python: steps.run("Python SDK", python_client),
    };
    let runtimes = Runtimes::build(&mut steps, &wanted, options.fast);
    if wanted.contains(&Runtime::Native) {
        steps.run("contract, native", || {
            contract(Runtime::Native, &tidegate, &clients, Vec::new())
        });
        steps.run("conformance, native", || {
            let conformant = build::native(Profile::Debug, Purpose::Conformance)?;
            conformance::run(&Gateway::Native { tidegate: conformant }, tidegate.get()?)
        });
    }
    runtimes.run(&mut steps, &tidegate, &clients);
    if !options.fast && options.on.is_none() {
        steps.run("documentation", check::documentation);
        steps.run("dependencies", check::dependencies);
    }
    steps.conclude()
}

/// The SDKs that act as clients.
struct Clients {
    /// A `node_modules` with the SDK for Node.
    node: Outcome<PathBuf>,
    /// A Python with the SDK for Python.
    python: Outcome<PathBuf>,
}

/// What the two runtimes other than the native one run, where they are wanted.
struct Runtimes {
    wasm: Outcome<WasmToolchain>,
    cloudflare: Option<Cloudflare>,
    spin: Option<Spin>,
}

struct Cloudflare {
    miniflare: Outcome<PathBuf>,
    worker: Outcome<PathBuf>,
}

struct Spin {
    component: Outcome<PathBuf>,
    host: Outcome<PathBuf>,
}

impl Runtimes {
    fn build(steps: &mut Steps, wanted: &[Runtime], fast: bool) -> Self {
        let wasm = steps.run("compiler for wasm", wasm_toolchain);
        if !fast {
            steps.run("lints, wasm", || check::lint_wasm(wasm.get()?));
        }
        let cloudflare = wanted.contains(&Runtime::Cloudflare).then(|| Cloudflare {
            miniflare: steps.run("workerd", || node_modules(&workspace::root().join("tests/miniflare"))),
            worker: steps.run("build cloudflare", || {
                build::cloudflare(wasm.get()?, Purpose::Deployment)
            }),
        });
        let spin = wanted.contains(&Runtime::Spin).then(|| Spin {
            component: steps.run("build spin", || build::spin(wasm.get()?, Purpose::Deployment)),
            host: steps.run("build the Spin host", build::spin_host),
        });
        if spin.is_some() && !fast {
            steps.run("Spin host", || {
                check::lint_spin_host()?;
                Run::cargo().args(["test", "--release", "--package", SPIN_HOST]).shown()
            });
        }
        if let (Some(cloudflare), Some(spin)) = (&cloudflare, &spin) {
            steps.run("sizes", || size::check(cloudflare.worker.get()?, spin.component.get()?));
        }
        Self { wasm, cloudflare, spin }
    }

    fn run(&self, steps: &mut Steps, tidegate: &Outcome<PathBuf>, clients: &Clients) {
        if let Some(cloudflare) = &self.cloudflare {
            steps.run("contract, cloudflare", || {
                cloudflare.miniflare.get()?;
                let worker = ("TIDEGATE_WORKER_DIR", cloudflare.worker.get()?.into());
                contract(Runtime::Cloudflare, tidegate, clients, vec![worker])
            });
            steps.run("conformance, cloudflare", || {
                cloudflare.miniflare.get()?;
                let worker = build::cloudflare(self.wasm.get()?, Purpose::Conformance)?;
                conformance::run(&Gateway::Cloudflare { worker }, tidegate.get()?)
            });
        }
        if let Some(spin) = &self.spin {
            steps.run("contract, spin", || {
                let host = ("TIDEGATE_SPIN_HOST", spin.host.get()?.into());
                let component = ("TIDEGATE_SPIN_COMPONENT", spin.component.get()?.into());
                contract(Runtime::Spin, tidegate, clients, vec![host, component])
            });
            steps.run("conformance, spin", || {
                let host = spin.host.get()?.clone();
                let component = build::spin(self.wasm.get()?, Purpose::Conformance)?;
                conformance::run(&Gateway::Spin { component, host }, tidegate.get()?)
            });
        }
    }
}

fn unit_tests() -> Result<(), TaskError> {
    let libraries = [packages::NATIVE, &[CONTRACT]].concat();
    Run::cargo()
        .arg("test")
        .args(selected(&libraries))
        .args(["--lib", "--bins"])
        .shown()?;
    Run::cargo().args(["test", "--package", "xtask"]).shown()
}

fn node_client() -> Result<PathBuf, TaskError> {
    node_modules(&workspace::root().join("tests/sdk/node"))
}

fn python_client() -> Result<PathBuf, TaskError> {
    python_clients(&workspace::root().join("tests/sdk/python/requirements.txt"))
}

/// The contract suite over one runtime.
fn contract(
    runtime: Runtime,
    tidegate: &Outcome<PathBuf>,
    clients: &Clients,
    artifacts: Vec<(&str, OsString)>,
) -> Result<(), TaskError> {
    let every = [packages::NATIVE, &[CONTRACT]].concat();
    Run::cargo()
        .arg("test")
        .args(selected(&every))
        .args(["--test", "contract"])
        .env("TIDEGATE_RUNTIME", runtime.name())
        .env("TIDEGATE_BIN", tidegate.get()?)
        .env("TIDEGATE_NODE_MODULES", clients.node.get()?)
        .env("TIDEGATE_PYTHON", clients.python.get()?)
        .envs(artifacts)
        .limit(CONTRACT_LIMIT)
        .shown()
}

/// gateway.schema.json is what `tidegate schema` prints.
fn schema(tidegate: &PathBuf) -> Result<(), TaskError> {
    let printed = Run::new(tidegate).arg("schema").quiet()?;
    let path = workspace::root().join("gateway.schema.json");
    if workspace::read(&path)? == printed {
        return Ok(());
    }
    let wanted = "it should say what the code does: `cargo run -p tidegate -- schema > gateway.schema.json`";
    Err(TaskError::unmet("gateway.schema.json", "out of date", wanted))
}

/// The suite takes about a minute on a quiet machine; one that hangs should not hold up everything else.
const CONTRACT_LIMIT: Duration = Duration::from_mins(15);
