//! The contract suite and the conformance suite, over the runtimes that are wanted.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Scope, Target, conformance, deploy};
use crate::build::{self, Profile, Purpose};
use crate::command::Run;
use crate::dev::Gateway;
use crate::error::TaskError;
use crate::packages::{self, CONTRACT, ENGINES, selected};
use crate::runtime::Runtime;
use crate::setup::{
    Engines, WasmToolchain, node_modules, python_with, redis_server, tested_tables, tokenizers, wasm_toolchain,
};
use crate::steps::{Outcome, Steps};
use crate::{check, size, spin, terminal, workspace, wrangler};

/// What the suites need: the binary, the SDKs that act as clients, and what the runtimes run.
pub struct Suite {
    /// Only the tests whose names contain this, and then no conformance suite.
    only: Option<String>,
    targets: Vec<Target>,
    tidegate: Outcome<PathBuf>,
    tables: Outcome<PathBuf>,
    node_sdk: Outcome<PathBuf>,
    python_sdk: Outcome<PathBuf>,
    redis: Outcome<PathBuf>,
    wasm: Outcome<WasmToolchain>,
    cloudflare: Option<Cloudflare>,
    spin: Option<Spin>,
}

struct Cloudflare {
    miniflare: Outcome<PathBuf>,
    wrangler: Outcome<PathBuf>,
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
        let runs_on = |runtime| scope.targets.iter().any(|target| target.runtime() == runtime);
        let redis = if scope.targets.iter().any(|target| target.is_on_redis()) {
            steps.run("Redis", redis_server)
        } else {
            Outcome::unwanted()
        };
        let wasm = if runs_on(Runtime::Cloudflare) || runs_on(Runtime::Spin) {
            steps.run("compiler for wasm", wasm_toolchain)
        } else {
            Outcome::unwanted()
        };
        if scope.everything {
            steps.run("lints, wasm", || check::lint_wasm(wasm.get()?));
        }
        let cloudflare =
            runs_on(Runtime::Cloudflare).then(|| Cloudflare::prepare(steps, scope, &tidegate, &wasm, &tables));
        let spin = runs_on(Runtime::Spin).then(|| Spin {
            component: steps.run("build spin", || {
                build::spin(wasm.get()?, Purpose::Deployment, tables.get()?)
            }),
            host: steps.run("Spin, or the tests' host for it", spin::host),
        });
        if let (Some(cloudflare), Some(spin)) = (&cloudflare, &spin) {
            steps.run("sizes", || size::check(cloudflare.worker.get()?, spin.component.get()?));
        }
        Self {
            only: scope.only.clone(),
            targets: scope.targets.clone(),
            tidegate,
            tables,
            node_sdk,
            python_sdk,
            redis,
            wasm,
            cloudflare,
            spin,
        }
    }

    /// Runs the suites.
    pub fn run(&self, steps: &mut Steps) {
        for target in &self.targets {
            let unsteady = steps.run(target.contract(), || self.contract(*target));
            for test in unsteady.get().into_iter().flatten() {
                let contract = target.contract();
                steps.remark(format!("{contract}: {test} failed beside the others, and passed alone"));
            }
        }
        if self.only.is_some() {
            return;
        }
        if self.targets.contains(&Target::Wrangler) {
            steps.run("wrangler deploy, dry run", || self.deployment());
        }
        for target in &self.targets {
            if let Some(conformance) = target.conformance() {
                steps.run(conformance, || self.conformance(*target));
            }
        }
        if self.targets.contains(&Target::NativeRedis) {
            steps.run("processes that share a Redis", || self.shared());
        }
    }

    /// Runs the contract over a target. A few tests that fail are run once more, alone: limits of time that clients see are
    /// tested in real time, beside other tests, on machines that may have one core for both. Gives those that passed then.
    ///
    /// # Errors
    /// When tests fail that way too, or many do.
    fn contract(&self, target: Target) -> Result<Vec<String>, TaskError> {
        let only = self.only.as_deref();
        let names = only.as_ref().map_or(target.themes(), std::slice::from_ref);
        let (output, outcome) = self.tests_of_contract(target, names)?.shown_and_kept()?;
        let failed = failed_tests(&output);
        match outcome {
            Err(TaskError::Command { .. }) if (1..=MOST_UNSTEADY).contains(&failed.len()) => {
                terminal::note(&format!("once more, alone: {}", failed.join(", ")));
                let alone = ["--exact", "--test-threads", "1"];
                self.tests_of_contract(target, &failed)?.args(alone).shown()?;
                Ok(failed)
            }
            outcome => outcome.map(|()| Vec::new()),
        }
    }

    fn tests_of_contract(&self, target: Target, names: &[impl AsRef<OsStr>]) -> Result<Run, TaskError> {
        Ok(Run::cargo()
            .args(["test", "--package", CONTRACT, "--test", "contract", "--"])
            .args(names)
            .envs(self.artifacts(target)?)
            .env("TIDEGATE_TOKENIZERS", tokenizers()?)
            .env("TIDEGATE_NODE_MODULES", self.node_sdk.get()?)
            .env("TIDEGATE_PYTHON", self.python_sdk.get()?)
            .envs(wrangler::quietly()?)
            .limit(CONTRACT_LIMIT))
    }

    /// Puts a gateway on each target before real engines.
    pub fn run_before(&self, engines: &Outcome<Engines>, steps: &mut Steps) {
        for target in &self.targets {
            steps.run(target.before_engines(), || {
                Run::cargo()
                    .args(["run", "--quiet", "--package", ENGINES, "--", "check"])
                    .args(engines.get()?.arguments())
                    .envs(self.artifacts(*target)?)
                    .limit(ENGINES_LIMIT)
                    .shown()
            });
        }
    }

    /// The variables that tell a test which gateway to start.
    fn artifacts(&self, target: Target) -> Result<Vec<(&'static str, OsString)>, TaskError> {
        let mut artifacts = match target.runtime() {
            Runtime::Native => Vec::new(),
            Runtime::Cloudflare => {
                let Cloudflare {
                    miniflare,
                    wrangler,
                    worker,
                } = wanted(&self.cloudflare)?;
                miniflare.get()?;
                let wrangler = (target == Target::Wrangler).then(|| wrangler.get()).transpose()?;
                let worker = ("TIDEGATE_WORKER_DIR", worker.get()?);
                wrangler
                    .map(|program| ("TIDEGATE_WRANGLER_DEV", program))
                    .into_iter()
                    .chain([worker])
                    .collect()
            }
            Runtime::Spin => {
                let Spin { component, host } = wanted(&self.spin)?;
                vec![
                    ("TIDEGATE_SPIN_HOST", host.get()?),
                    ("TIDEGATE_SPIN_COMPONENT", component.get()?),
                ]
            }
        };
        if target.is_on_redis() {
            artifacts.push((REDIS_SERVER, self.redis.get()?));
        }
        artifacts.push(("TIDEGATE_BIN", self.tidegate.get()?));
        artifacts.push(("TIDEGATE_TOKENS", self.tables.get()?));
        let paths = artifacts.into_iter().map(|(name, path)| (name, OsString::from(path)));
        let runtime = ("TIDEGATE_RUNTIME", OsString::from(target.runtime().name()));
        Ok(paths.chain([runtime]).collect())
    }

    /// What wrangler would deploy.
    fn deployment(&self) -> Result<(), TaskError> {
        let Cloudflare { wrangler, worker, .. } = wanted(&self.cloudflare)?;
        deploy::uploads_what_is_tested(wrangler.get()?, worker.get()?, self.tables.get()?)
    }

    fn conformance(&self, target: Target) -> Result<(), TaskError> {
        let tables = self.tables.get()?;
        let gateway = match target.runtime() {
            Runtime::Native => Gateway::Native {
                tidegate: build::native(Profile::Debug, Purpose::Conformance)?,
                tables: tables.clone(),
            },
            Runtime::Cloudflare => {
                wanted(&self.cloudflare)?.miniflare.get()?;
                let worker = build::cloudflare(self.wasm.get()?, Purpose::Conformance, tables)?;
                Gateway::Cloudflare { worker }
            }
            Runtime::Spin => Gateway::Spin {
                host: wanted(&self.spin)?.host.get()?.clone(),
                component: build::spin(self.wasm.get()?, Purpose::Conformance, tables)?,
            },
        };
        let redis = target.is_on_redis().then(|| self.redis.get()).transpose()?;
        conformance::run(&gateway, self.tidegate.get()?, redis.map(PathBuf::as_path))
    }

    /// The tests that take a Redis of their own.
    fn shared(&self) -> Result<(), TaskError> {
        let redis: &Path = self.redis.get()?;
        Run::cargo()
            .arg("test")
            .args(selected(packages::NATIVE))
            .args(["--test", "redis", "--test", "shared"])
            .env(REDIS_SERVER, redis)
            .shown()
    }
}

impl Cloudflare {
    /// Fetches and builds it. First what wrangler tells of a table that is missing: the build that fails for it leaves
    /// nothing for the next one to find done.
    fn prepare(
        steps: &mut Steps,
        scope: &Scope,
        tidegate: &Outcome<PathBuf>,
        wasm: &Outcome<WasmToolchain>,
        tables: &Outcome<PathBuf>,
    ) -> Self {
        let miniflare = steps.run("workerd", || node_modules(&workspace::root().join("tests/miniflare")));
        let wrangler = if scope.targets.contains(&Target::Wrangler) {
            steps.run("wrangler", wrangler::program)
        } else {
            Outcome::unwanted()
        };
        if scope.targets.contains(&Target::Wrangler) && scope.only.is_none() {
            steps.run("wrangler deploy, no table", || {
                wasm.get()?;
                deploy::says_which_table_is_missing(wrangler.get()?, tidegate.get()?)
            });
        }
        let worker = steps.run("build cloudflare", || {
            build::cloudflare(wasm.get()?, Purpose::Deployment, tables.get()?)
        });
        Self {
            miniflare,
            wrangler,
            worker,
        }
    }
}

/// What was prepared because a target wants it.
fn wanted<T>(prepared: &Option<T>) -> Result<&T, TaskError> {
    prepared.as_ref().ok_or(TaskError::Stopped)
}

/// The tests that have failed, by what libtest prints.
fn failed_tests(output: &str) -> Vec<String> {
    let name = |line: &str| Some(line.strip_prefix("test ")?.strip_suffix(" ... FAILED")?.to_owned());
    output.lines().filter_map(name).collect()
}

/// Names the program `redis-server` to the tests that take one.
const REDIS_SERVER: &str = "TIDEGATE_REDIS_SERVER";
/// The suite takes about a minute on a quiet machine; one that hangs should not hold up everything else.
const CONTRACT_LIMIT: Duration = Duration::from_mins(15);
/// Of more tests that fail, none does by chance.
const MOST_UNSTEADY: usize = 3;
/// Engines of two kinds are started twice each, for minutes on a busy machine.
const ENGINES_LIMIT: Duration = Duration::from_hours(1);

#[cfg(test)]
mod tests {
    use super::failed_tests;

    #[test]
    fn tests_that_failed_are_read_from_what_libtest_prints() {
        let output = "running 3 tests\ntest keys::one ... ok\ntest budgets::two ... FAILED\ntest keys::three ... ignored\n\n\
                      failures:\n\n---- budgets::two stdout ----\ntest of mine ... FAILED not\n\nfailures:\n    budgets::two\n";
        assert_eq!(failed_tests(output), ["budgets::two"]);
    }
}
