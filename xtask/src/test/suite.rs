//! The contract suite and the conformance suite, over the runtimes that are wanted.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::{Scope, conformance};
use crate::build::{self, Profile, Purpose};
use crate::command::Run;
use crate::dev::Gateway;
use crate::error::TaskError;
use crate::packages::CONTRACT;
use crate::runtime::Runtime;
use crate::setup::{WasmToolchain, node_modules, python_with, tested_tables, tokenizers, wasm_toolchain};
use crate::steps::{Outcome, Steps};
use crate::{check, size, workspace};

/// What the suites need: the binary, the SDKs that act as clients, and what the runtimes run.
pub struct Suite {
    /// Only the tests whose names contain this, and then no conformance suite.
    only: Option<String>,
    native: bool,
    tidegate: Outcome<PathBuf>,
    tables: Outcome<PathBuf>,
    node_sdk: Outcome<PathBuf>,
    python_sdk: Outcome<PathBuf>,
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

impl Suite {
    /// Fetches and builds it, with the checks that only then can be made.
    pub fn prepare(steps: &mut Steps, scope: &Scope, tidegate: Outcome<PathBuf>) -> Self {
        let tests = workspace::root().join("tests");
        let tables = steps.run("token tables", || tested_tables(tidegate.get()?));
        let node_sdk = steps.run("SDK for Node", || node_modules(&tests.join("sdk/node")));
        let python_sdk = steps.run("SDK for Python", || {
            python_with(
                &tests.join("sdk/python/requirements.txt"),
                "to test with the OpenAI SDK for Python",
            )
        });
        let wasm = match scope.runtimes[..] {
            [Runtime::Native] => Outcome::unwanted(),
            _ => steps.run("compiler for wasm", wasm_toolchain),
        };
        if scope.everything {
            steps.run("lints, wasm", || check::lint_wasm(wasm.get()?));
        }
        let cloudflare = scope.runtimes.contains(&Runtime::Cloudflare).then(|| Cloudflare {
            miniflare: steps.run("workerd", || node_modules(&tests.join("miniflare"))),
            worker: steps.run("build cloudflare", || {
                build::cloudflare(wasm.get()?, Purpose::Deployment, tables.get()?)
            }),
        });
        let spin = scope.runtimes.contains(&Runtime::Spin).then(|| Spin {
            component: steps.run("build spin", || {
                build::spin(wasm.get()?, Purpose::Deployment, tables.get()?)
            }),
            host: steps.run("build the Spin host", build::spin_host),
        });
        if let (Some(cloudflare), Some(spin)) = (&cloudflare, &spin) {
            steps.run("sizes", || size::check(cloudflare.worker.get()?, spin.component.get()?));
        }
        let native = scope.runtimes.contains(&Runtime::Native);
        Self {
            only: scope.only.clone(),
            native,
            tidegate,
            tables,
            node_sdk,
            python_sdk,
            wasm,
            cloudflare,
            spin,
        }
    }

    /// Runs the suites.
    pub fn run(&self, steps: &mut Steps) {
        if self.native {
            steps.run("contract, native", || self.contract(Runtime::Native, []));
        }
        if let Some(Cloudflare { miniflare, worker }) = &self.cloudflare {
            steps.run("contract, cloudflare", || {
                miniflare.get()?;
                self.contract(Runtime::Cloudflare, [("TIDEGATE_WORKER_DIR", worker.get()?)])
            });
        }
        if let Some(Spin { component, host }) = &self.spin {
            steps.run("contract, spin", || {
                let artifacts = [
                    ("TIDEGATE_SPIN_HOST", host.get()?),
                    ("TIDEGATE_SPIN_COMPONENT", component.get()?),
                ];
                self.contract(Runtime::Spin, artifacts)
            });
        }
        if self.only.is_none() {
            self.run_conformance(steps);
        }
    }

    fn contract<const N: usize>(&self, runtime: Runtime, artifacts: [(&str, &PathBuf); N]) -> Result<(), TaskError> {
        Run::cargo()
            .args(["test", "--package", CONTRACT, "--test", "contract", "--"])
            .args(&self.only)
            .env("TIDEGATE_RUNTIME", runtime.name())
            .env("TIDEGATE_BIN", self.tidegate.get()?)
            .env("TIDEGATE_TOKENS", self.tables.get()?)
            .env("TIDEGATE_TOKENIZERS", tokenizers()?)
            .env("TIDEGATE_NODE_MODULES", self.node_sdk.get()?)
            .env("TIDEGATE_PYTHON", self.python_sdk.get()?)
            .envs(artifacts.map(|(name, path)| (name, OsString::from(path))))
            .limit(CONTRACT_LIMIT)
            .shown()
    }

    fn run_conformance(&self, steps: &mut Steps) {
        if self.native {
            steps.run("conformance, native", || {
                let tidegate = build::native(Profile::Debug, Purpose::Conformance)?;
                let tables = self.tables.get()?.clone();
                conformance::run(&Gateway::Native { tidegate, tables }, self.tidegate.get()?)
            });
        }
        if let Some(Cloudflare { miniflare, .. }) = &self.cloudflare {
            steps.run("conformance, cloudflare", || {
                miniflare.get()?;
                let worker = build::cloudflare(self.wasm.get()?, Purpose::Conformance, self.tables.get()?)?;
                conformance::run(&Gateway::Cloudflare { worker }, self.tidegate.get()?)
            });
        }
        if let Some(Spin { host, .. }) = &self.spin {
            steps.run("conformance, spin", || {
                let host = host.get()?.clone();
                let component = build::spin(self.wasm.get()?, Purpose::Conformance, self.tables.get()?)?;
                conformance::run(&Gateway::Spin { component, host }, self.tidegate.get()?)
            });
        }
    }
}

/// The suite takes about a minute on a quiet machine; one that hangs should not hold up everything else.
const CONTRACT_LIMIT: Duration = Duration::from_mins(15);
