//! `wrangler deploy`, without the upload: it would upload what the tests run, and where the Worker cannot be built it says
//! what is missing and how that is made, as on a fresh clone.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::build::CONFIG;
use crate::carried::TOKENS;
use crate::command::Run;
use crate::error::TaskError;
use crate::setup::TABLE;
use crate::{terminal, workspace, wrangler};

/// What wrangler would upload, built as wrangler.toml and wrangler.region.toml say with the tables of the folder `tables`, has the
/// modules of the `worker` that is tested, byte for byte.
///
/// # Errors
/// When wrangler fails, or has other modules, or binds other things.
pub fn uploads_what_is_tested(program: &Path, worker: &Path, tables: &Path) -> Result<(), TaskError> {
    uploads(program, worker, tables, ("wrangler.toml", &BINDINGS))?;
    uploads(program, worker, tables, ("wrangler.region.toml", &BINDINGS_OF_REGION))
}

fn uploads(program: &Path, worker: &Path, tables: &Path, (config, bindings): (&str, &[&str])) -> Result<(), TaskError> {
    let tested = modules(worker)?;
    let out = workspace::work_folder("wrangler/uploaded")?;
    fs::remove_dir_all(&out).map_err(TaskError::file(&out))?;
    let run = dry_run(program, tables)?.args(["--config", config]);
    let told = run.arg("--outdir").arg(&out).quiet()?;
    let uploaded = modules(&out)?;
    let unlike = |found: &str, wanted: &str| Err(TaskError::unmet("what `wrangler deploy` uploads", found, wanted));
    if uploaded != tested || tested.is_empty() {
        let counts = format!("{} modules of code and tables", uploaded.len());
        return unlike(
            &counts,
            &format!("it should be the {} in {}", tested.len(), worker.display()),
        );
    }
    if let Some(missing) = bindings.iter().find(|binding| !told.contains(**binding)) {
        return unlike(&told, &format!("{missing} should be bound"));
    }
    let size = told.lines().find(|line| line.contains("Total Upload"));
    terminal::note(size.unwrap_or_default());
    Ok(())
}

/// Where the table that gateway.toml names is not there, wrangler shows what `tidegate check` says of it and how tables are
/// made, on one screen. `tidegate` is a native binary.
///
/// # Errors
/// When it deploys all the same, or shows something else.
pub fn says_which_table_is_missing(program: &Path, tidegate: &Path) -> Result<(), TaskError> {
    let none = workspace::work_folder("wrangler/no-tables")?;
    let checked = failure(
        Run::new(tidegate)
            .arg("check")
            .arg("--tokens")
            .arg(&none)
            .dir(&workspace::root()),
    )?;
    let shown = failure(dry_run(program, &none)?.without_env(CONFIG))?;
    let problems = checked.iter().filter(|line| line.starts_with("gateway.toml:"));
    let wanted: Vec<&str> = problems.map(String::as_str).chain([HOW_TO_MAKE_TABLES]).collect();
    let is_shown = |wanted: &&str| shown.iter().any(|line| line.contains(wanted));
    let is_trace = |line: &String| line.contains("panicked") || line.trim_start().starts_with("at ");
    // What cargo compiles before that may be much, and is gone by then.
    let lines = shown.iter().skip_while(|line| !line.contains(wanted[0])).count();
    if wanted.len() > 1 && wanted.iter().all(is_shown) && !shown.iter().any(is_trace) && lines <= SCREEN_LINES {
        return Ok(());
    }
    Err(TaskError::unmet(
        "`wrangler deploy` without the table",
        format!("it shows\n{}\n", shown.join("\n")),
        format!(
            "it should show, on one screen and without a trace,\n{}",
            wanted.join("\n")
        ),
    ))
}

/// `wrangler deploy --dry-run` as an operator runs it who has the tables of the folder `tables`.
fn dry_run(program: &Path, tables: &Path) -> Result<Run, TaskError> {
    let run = Run::new(program).args(["deploy", "--dry-run"]).dir(&workspace::root());
    Ok(run.envs(wrangler::quietly()?).env(TOKENS, tables))
}

/// The last lines of a command that should fail.
fn failure(run: Run) -> Result<Vec<String>, TaskError> {
    match run.quiet() {
        Err(TaskError::Command { output, .. }) => Ok(output),
        Err(other) => Err(other),
        Ok(told) => Err(TaskError::unmet(
            "a configuration without its table",
            told,
            "it should be refused",
        )),
    }
}

/// The contents of the code and tables in a folder: wrangler gives them names of its own.
fn modules(folder: &Path) -> Result<BTreeSet<Vec<u8>>, TaskError> {
    let mut modules = BTreeSet::new();
    for entry in fs::read_dir(folder).map_err(TaskError::file(folder))? {
        let path = entry.map_err(TaskError::file(folder))?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "wasm" || extension == TABLE)
        {
            modules.insert(fs::read(&path).map_err(TaskError::file(&path))?);
        }
    }
    Ok(modules)
}

/// What wrangler tells of the bindings in wrangler.toml.
const BINDINGS: [&str; 2] = ["env.CELLS (Cell)", "env.STORE"];
/// The same of the Worker beside a region's clusters.
const BINDINGS_OF_REGION: [&str; 3] = ["env.CELLS (Cell)", "env.STORE", "env.ROLE (\"region\")"];
/// What the build says where a table is missing.
const HOW_TO_MAKE_TABLES: &str = "`cargo xtask tokens` makes";
/// Of a terminal's usual window.
const SCREEN_LINES: usize = 30;
