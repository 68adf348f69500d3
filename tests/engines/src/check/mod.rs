//! A gateway before two replicas of each real engine: what holds is printed as a table, a line for each check.

mod answers;
mod conversations;
mod counts;
mod faults;
mod mistakes;
mod setting;

use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use tidegate_tests::runtime::Runtime;

use crate::engine::{Kind, Programs};
use setting::Setting;

/// What is needed, besides what the contract suite is told by environment.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    #[command(flatten)]
    programs: Programs,
    /// Only the checks whose names contain this.
    #[arg(long)]
    only: Option<String>,
}

/// A check: what it found is told beside its name; it panics where something does not hold.
type Check = fn(&mut Setting) -> String;

/// Those that stop engines come last.
const CHECKS: [(&str, Check); 15] = [
    ("whole answers are the engine's own", answers::whole_as_the_engine_s_own),
    ("a call that is cut", answers::calls),
    ("streams say what whole answers say", answers::streams_as_whole),
    (
        "a fingerprint without usage that nobody asked for",
        answers::fingerprint,
    ),
    ("what is charged is what the engine counted", answers::charged),
    ("forty at once, all answered", answers::many_at_once),
    ("prompts are counted exactly", counts::exactly),
    ("an estimate is told as one", counts::estimates),
    ("a bound beyond the context is cut", mistakes::large_bound),
    ("a prompt beyond the context", mistakes::too_long),
    (
        "a prompt beyond a context that only the engine knows",
        mistakes::too_long_for_the_engine,
    ),
    (
        "clients' mistakes keep their words, and nobody else's requests fail",
        mistakes::words_and_breakers,
    ),
    ("who leaves stops the engine", faults::leaving),
    (
        "an engine that hangs is noticed, and another one answers",
        faults::hanging,
    ),
    ("an engine that is told to end cuts no answer silently", faults::ending),
];

/// Runs the checks before each engine. Fails when one does.
pub fn run(options: &Options) -> ExitCode {
    let wanted = |(name, _): &&(&str, Check)| options.only.as_ref().is_none_or(|only| name.contains(only));
    let checks: Vec<_> = CHECKS.iter().filter(wanted).collect();
    let columns = Kind::ALL.map(|kind| {
        let mut setting = Setting::start(kind, &options.programs);
        let outcomes = checks.iter().map(|(name, check)| outcome(name, *check, &mut setting));
        outcomes.collect::<Vec<_>>()
    });
    let runtime = Runtime::current().name();
    println!(
        "| {runtime} | {} |\n|---|---|---|",
        Kind::ALL.map(Kind::name).join(" | ")
    );
    for (at, (name, _)) in checks.iter().enumerate() {
        let cells = columns.iter().map(|column| {
            column[at]
                .as_ref()
                .map_or_else(|why| format!("FAILED: {why}"), String::clone)
        });
        println!("| {name} | {} |", cells.collect::<Vec<_>>().join(" | "));
    }
    if columns.iter().flatten().all(Result::is_ok) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// What a check found, or why it failed.
fn outcome(name: &str, check: Check, setting: &mut Setting) -> Result<String, String> {
    let begun = Instant::now();
    let found = panic::catch_unwind(AssertUnwindSafe(|| check(setting)));
    eprintln!(
        "{}: {name}: {:.1} s",
        setting.kind.name(),
        begun.elapsed().as_secs_f64()
    );
    found.map_err(|reason| {
        let text = reason.downcast_ref::<String>().map(String::as_str);
        let text = text
            .or_else(|| reason.downcast_ref::<&str>().copied())
            .unwrap_or("it says no reason");
        text.replace('\n', " ").replace('|', "/")
    })
}

/// The folder for logs.
fn folder(kind: Kind) -> PathBuf {
    tidegate_tests::world::folder(&format!("engines-{}", kind.name()))
}
