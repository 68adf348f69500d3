//! `cargo xtask test`: every check of the project, on every runtime. This is what CI runs.

mod conformance;
mod deploy;
mod suite;
mod target;
mod templates;
mod tokens;

use std::path::Path;

use crate::build::{self, Profile, Purpose};
use crate::cli::TestOptions;
use crate::command::Run;
use crate::error::TaskError;
use crate::packages::{self, CONTRACT, SPIN_HOST, SPIN_HOST_PROFILE, selected};
use crate::setup::{corpus, engines};
use crate::steps::{Outcome, Steps};
use crate::{check, layers, workspace};

use suite::Suite;

pub use target::Target;

/// Runs the steps, the quick ones first, and fails when one does.
pub fn run(options: &TestOptions) -> Result<(), TaskError> {
    let mut steps = Steps::new(options.fail_fast);
    let scope = Scope::of(options);
    if options.engines {
        return before_engines(steps, &scope);
    }
    if scope.units {
        steps.run("format", check::format);
        steps.run("changelog", check::changelog);
        steps.run("layers", layers::check);
        steps.run("lints, native", check::lint_native);
        steps.run("unit tests", unit_tests);
    }
    let chats = if scope.units {
        steps.run("chat templates, against Python", templates::run)
    } else {
        Outcome::unwanted()
    };
    let tidegate = steps.run("build tidegate", || build::native(Profile::Debug, Purpose::Deployment));
    if scope.units {
        steps.run("schema of gateway.toml", || schema(tidegate.get()?));
    }
    if scope.everything {
        let corpus = steps.run("texts to count tokens of", corpus);
        steps.run("token counts", || {
            tokens::counts(tidegate.get()?, corpus.get()?, chats.get()?)
        });
    }
    Suite::prepare(&mut steps, &scope, tidegate).run(&mut steps);
    if scope.everything {
        steps.run("tests of the Spin host", spin_host_tests);
        steps.run("documentation", check::documentation);
        steps.run("dependencies", check::dependencies);
    }
    steps.conclude()
}

/// Nothing but the gateway before real engines.
fn before_engines(mut steps: Steps, scope: &Scope) -> Result<(), TaskError> {
    let engines = steps.run("real engines", engines);
    let tidegate = steps.run("build tidegate", || build::native(Profile::Debug, Purpose::Deployment));
    Suite::prepare(&mut steps, scope, tidegate).run_before(&engines, &mut steps);
    steps.conclude()
}

/// How much is wanted.
#[derive(Debug)]
struct Scope {
    targets: Vec<Target>,
    /// Only the tests of the contract whose names contain this.
    only: Option<String>,
    /// What says something about the code without a runtime.
    units: bool,
    /// Also what is slow and rarely fails.
    everything: bool,
}

impl Scope {
    fn of(options: &TestOptions) -> Self {
        let targets = match options.on {
            Some(target) => vec![target],
            None if options.fast => vec![Target::Native],
            None if options.engines => vec![Target::Native, Target::Cloudflare, Target::Spin],
            None => Target::ALL.to_vec(),
        };
        let units = options.only.is_none() && !options.engines;
        Self {
            targets,
            only: options.only.clone(),
            units,
            everything: units && !options.fast && options.on.is_none(),
        }
    }
}

/// All tests that need no runtime: of units, of flows, of the binary, of examples in the documentation.
fn unit_tests() -> Result<(), TaskError> {
    Run::cargo().arg("test").args(selected(packages::NATIVE)).shown()?;
    Run::cargo()
        .arg("test")
        .args(selected(packages::WASM_ADAPTERS))
        .arg("--lib")
        .shown()?;
    check::lint_adapters_tests()?;
    Run::cargo().args(["test", "--package", CONTRACT, "--lib"]).shown()?;
    Run::cargo().args(["test", "--package", "xtask"]).shown()
}

fn spin_host_tests() -> Result<(), TaskError> {
    check::lint_spin_host()?;
    Run::cargo()
        .args(["test", "--package", SPIN_HOST, "--profile", SPIN_HOST_PROFILE])
        .shown()
}

/// gateway.schema.json and docs/admin-api.json are what `tidegate schema` prints.
fn schema(tidegate: &Path) -> Result<(), TaskError> {
    for (of, file) in [("config", "gateway.schema.json"), ("admin", "docs/admin-api.json")] {
        let printed = Run::new(tidegate).args(["schema", of]).quiet()?;
        if workspace::read(&workspace::root().join(file))?.trim_end() != printed.trim_end() {
            let wanted = format!("it should say what the code does: `cargo run -p tidegate -- schema {of} > {file}`");
            return Err(TaskError::unmet(file, "out of date", &wanted));
        }
    }
    Ok(())
}
