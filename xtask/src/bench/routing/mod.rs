//! `cargo xtask bench routing`: which router finds most of prompts in caches and answers soonest. Eight simulated engines,
//! the same schedule of requests for each router, in one run.
//!
//! Requests come at their times whether others are answered or not. Engines and routers are new for each schedule, so
//! caches are empty. Time passes faster than in real engines ([`workloads::Workload::speed`]), and all figures are in the
//! engines' own time: what a router or this machine adds counts as many times.

mod contenders;
mod engines;
mod overload;
mod picture;
mod prompt;
mod random;
mod report;
mod run;
mod schedule;
mod workloads;

use std::path::{Path, PathBuf};

use crate::cli::RoutingOptions;
use crate::command::Run;
use crate::error::TaskError;
use crate::packages::{self, OPTIMISED, selected};
use crate::{setup, terminal, workspace};

pub use contenders::Contender;
pub use workloads::Workload;

use contenders::Setting;
use engines::REPLICAS;
use report::{Entry, Outcome, Section};
use run::Bench;
use schedule::Schedule;

/// Measures, prints the tables, and writes them and the picture to `target/bench/routing`.
///
/// # Errors
/// When something does not build, and in the end when one of ours could not be measured. What could not is told as absent.
pub fn run(options: &RoutingOptions) -> Result<(), TaskError> {
    let built = terminal::step("build the programs", build)?;
    let redis = terminal::step("Redis", setup::redis_server)?;
    let results = workspace::work_folder("bench/routing")?;
    // Several runs may go on at once.
    let folder = workspace::made(results.join(std::process::id().to_string()))?;
    let trace = options.trace.clone().unwrap_or_else(default_trace);
    let mut sections = Vec::new();
    for workload in chosen(&options.workload, &Workload::ALL) {
        if workload.needs_trace() && !trace.exists() {
            terminal::note(&format!(
                "{} is left out: there is no {}",
                workload.name(),
                trace.display()
            ));
            continue;
        }
        let schedule = schedule(workload, &trace, options)?;
        let setting = Setting {
            gateway: options.gateway.clone().unwrap_or_else(|| built.join("tidegate")),
            redis: redis.clone(),
            folder: folder.clone(),
            speed: options.speed.unwrap_or_else(|| workload.speed()),
        };
        let section = measure(workload, schedule, (setting, &built), options)?;
        println!("{}", section.table());
        sections.push(section);
    }
    std::fs::remove_dir_all(&folder).map_err(TaskError::file(&folder))?;
    write(&results, &sections)?;
    let mut entries = sections.iter().flat_map(|section| &section.entries);
    match entries.find(|entry| entry.contender.is_ours() && matches!(entry.outcome, Outcome::Absent(_))) {
        None => Ok(()),
        Some(entry) => Err(TaskError::unmet(
            entry.contender.title(),
            "could not be measured",
            "it should be: the table says why",
        )),
    }
}

/// What is sent.
fn schedule(workload: Workload, trace: &Path, options: &RoutingOptions) -> Result<Schedule, TaskError> {
    let mut requests = workload.requests(trace)?;
    requests.sort_by(|one, other| one.at_s.total_cmp(&other.at_s));
    requests.truncate(options.most_requests());
    let load = workload.load().unwrap_or(options.load);
    Ok(Schedule::new(requests, load, REPLICAS))
}

/// All contenders, one after the other; the programs are in the folder `built`.
fn measure(
    workload: Workload,
    schedule: Schedule,
    (setting, built): (Setting, &Path),
    options: &RoutingOptions,
) -> Result<Section, TaskError> {
    let file = setting.folder.join("schedule.jsonl");
    schedule.write(&file)?;
    let bench = Bench {
        setting,
        engine: &built.join("tidegate"),
        load: &built.join("tidegate-load"),
        schedule: &file,
    };
    let contenders = chosen(&options.only, &Contender::COMPARED).into_iter();
    let entries = contenders.map(|contender| entry(&bench, workload, contender));
    Ok(Section {
        workload,
        speed: bench.setting.speed,
        entries: entries.collect::<Result<_, _>>()?,
        schedule,
    })
}

/// A contender's line.
fn entry(bench: &Bench, workload: Workload, contender: Contender) -> Result<Entry, TaskError> {
    let name = format!("{}: {}", workload.name(), contender.title());
    let outcome = match terminal::step(&name, || bench.measure(contender)) {
        Ok(measured) => Outcome::Measured(measured),
        Err(TaskError::Stopped) => return Err(TaskError::Stopped),
        Err(error) => {
            terminal::line(&format!("absent: {error}"));
            Outcome::Absent(error.to_string())
        }
    };
    Ok(Entry { contender, outcome })
}

/// What was asked for, or all.
fn chosen<T: Copy>(asked: &[T], all: &[T]) -> Vec<T> {
    if asked.is_empty() { all } else { asked }.to_vec()
}

fn build() -> Result<PathBuf, TaskError> {
    let build = Run::cargo().arg("build").args(selected(packages::NATIVE));
    build
        .args(["--bin", "tidegate", "--bin", "tidegate-load", "--profile", OPTIMISED])
        .shown()?;
    Ok(workspace::target().join(OPTIMISED))
}

fn write(folder: &Path, sections: &[Section]) -> Result<(), TaskError> {
    let (table, picture) = (folder.join("routing.md"), folder.join("routing.svg"));
    workspace::write(&table, report::document(sections))?;
    workspace::write(&picture, picture::svg(sections))?;
    terminal::note(&format!("tables: {}, picture: {}", table.display(), picture.display()));
    Ok(())
}

/// Beside the repository, or beside a folder that it is in: traces are no part of it.
fn default_trace() -> PathBuf {
    let root = workspace::root();
    let places = root.ancestors().skip(1).map(|folder| folder.join(TRACE));
    places
        .into_iter()
        .find(|file| file.exists())
        .unwrap_or_else(|| TRACE.into())
}

const TRACE: &str = "shared/traces/conversation_trace.jsonl";
/// What clients ask for.
const MODEL: &str = "bench";
