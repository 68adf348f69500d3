//! `cargo xtask bench`: what the gateway costs on each runtime, as a share of the least that a proxy there can cost.
//!
//! One run compares two servers at a time in front of the same fixed-answer upstream. Rounds alternate between the
//! two, so that what else the machine does hits both; the figures are medians over the rounds. Where there are two
//! cores, the servers have one for themselves, and load and upstream share the other: what is compared is then what
//! gets slow first. At a low rate nothing is kept to a core, as where it is deployed.

mod budgets;
mod cells;
mod contenders;
mod delay;
mod detectors;
mod measure;
mod native;
mod nginx;
mod routing;
mod table;
mod tokens;
mod usage;

use std::path::PathBuf;

use crate::build::{self, Profile, Purpose};
use crate::cli::{BenchOf, BenchOptions};
use crate::command::Run;
use crate::dev::{Child, Key, new_key};
use crate::error::TaskError;
use crate::packages::{self, selected};
use crate::runtime::Runtime;
use crate::setup::{node_modules, tested_tables, wasm_toolchain};
use crate::{spin, terminal, workspace};

pub use routing::{Contender, Workload};

use contenders::{Bare, Relays, Threads, bare, config, gateway};
use measure::{Asked, Meter, Mode, Server};
use table::{Row, Target};

/// Measures every runtime, or one, and prints the table; fails when a target is missed.
pub fn run(options: &BenchOptions) -> Result<(), TaskError> {
    match options.of {
        Some(BenchOf::Tokens { rounds }) => return tokens::run(rounds),
        Some(BenchOf::Cells { time_ms }) => return cells::run(time_ms),
        Some(BenchOf::Budgets { time_ms, load_ms }) => return budgets::run(time_ms, load_ms),
        Some(BenchOf::Detectors { show }) => return detectors::run(show),
        Some(BenchOf::Routing(ref routing)) => return routing::run(routing),
        None => {}
    }
    let bench = Bench::set_up(options)?;
    let wanted = |runtime: Runtime| options.on.is_none_or(|only| only == runtime);
    let mut rows = Vec::new();
    if wanted(Runtime::Native) {
        rows.extend(native::rows(&bench)?);
    }
    if wanted(Runtime::Cloudflare) {
        rows.extend(bench.cloudflare()?);
    }
    if wanted(Runtime::Spin) {
        rows.extend(bench.spin()?);
    }
    table::print(&rows)
}

/// What all comparisons share.
struct Bench {
    folder: PathBuf,
    tidegate: PathBuf,
    tables: PathBuf,
    meter: Meter,
    key: Key,
    config: PathBuf,
    upstream: Child,
}

impl Bench {
    fn set_up(options: &BenchOptions) -> Result<Self, TaskError> {
        let folder = workspace::work_folder("bench")?;
        let tidegate = terminal::step("build tidegate, as deployed", || {
            let load = Run::cargo()
                .args(["build", "--release"])
                .args(selected(packages::NATIVE));
            load.args(["--bin", "tidegate-load"]).shown()?;
            build::native(Profile::Release, Purpose::Deployment)
        })?;
        let tables = terminal::step("token tables", || tested_tables(&tidegate))?;
        let meter = Meter::new(workspace::target().join("release/tidegate-load"), options);
        let upstream = Child::start("upstream", &meter.upstream(), &folder)?;
        let key = new_key(&tidegate)?;
        Ok(Self {
            config: config(&folder, &key, &upstream.url)?,
            folder,
            tidegate,
            tables,
            meter,
            key,
            upstream,
        })
    }

    /// The same for whoever shares the cores with load and upstream, and has no token tables.
    fn unpinned(&self) -> Result<Self, TaskError> {
        let folder = workspace::work_folder("bench/unpinned")?;
        let meter = self.meter.unpinned();
        let upstream = Child::start("upstream", &meter.upstream(), &folder)?;
        Ok(Self {
            config: config(&folder, &self.key, &upstream.url)?,
            tables: workspace::made(folder.join("no-tables"))?,
            folder,
            tidegate: self.tidegate.clone(),
            meter,
            key: self.key.clone(),
            upstream,
        })
    }

    fn cloudflare(&self) -> Result<Vec<Row>, TaskError> {
        let [tidegate, passing, gathering, javascript, reading] =
            terminal::step("build and start five Workers", || self.workers())?;
        let ours = Server::new("tidegate", &tidegate, &self.key.key);
        let rust = Server::new("bare Worker", &passing, "none");
        let gathering = Server::new("bare Worker", &gathering, "none");
        let javascript = Server::new("JavaScript", &javascript, "none");
        // What a share of the bare Worker can be at best for whoever reads streams.
        let reading = Server::new("JS that reads", &reading, "none");
        let (requests, streams) = (Mode::Requests, Mode::Streams);
        let names = ["workerd, requests/s", "  one body, requests/s", "workerd, streams/s"];
        let mut rows = self.beside_bare(names, [ours, rust, gathering], Target::AtLeast(0.50))?;
        for (what, base, asked) in [
            (
                "  bare Worker, requests/s",
                javascript.asked(requests),
                rust.asked(requests),
            ),
            (
                "  bare Worker, streams/s",
                javascript.asked(streams),
                rust.asked(streams),
            ),
            (
                "  JS that reads, streams/s",
                rust.asked(streams),
                reading.asked(streams),
            ),
        ] {
            rows.push(self.share(what, base, asked, Target::None)?);
        }
        Ok(rows)
    }

    /// The gateway; a bare Worker that passes everything through, and one that gathers whole answers; two in JavaScript, of
    /// which the second reads what passes.
    fn workers(&self) -> Result<[Child; 5], TaskError> {
        node_modules(&workspace::root().join("tests/miniflare"))?;
        let tidegate = gateway(self, &build_of(Runtime::Cloudflare, self)?, Threads::Default)?;
        let script = |folder: &str| Bare::Worker {
            folder: workspace::root().join("tests/bare").join(folder),
        };
        let rust = Bare::Worker {
            folder: build::bare_cloudflare(&wasm_toolchain()?)?,
        };
        Ok([
            tidegate,
            bare(self, "bare-worker", &rust, Relays::Pieces)?,
            bare(self, "gathering-worker", &rust, Relays::Whole)?,
            bare(self, "bare-js", &script("cloudflare-js"), Relays::Pieces)?,
            bare(self, "reading-js", &script("cloudflare-js-reading"), Relays::Pieces)?,
        ])
    }

    fn spin(&self) -> Result<Vec<Row>, TaskError> {
        let [tidegate, passing, gathering] = terminal::step("build and start three Spin components", || {
            let host = spin::host()?;
            let tidegate = gateway(self, &build_of(Runtime::Spin, self)?, Threads::Default)?;
            let component = build::bare_spin(&wasm_toolchain()?)?;
            let component = Bare::Component { component, host };
            let passing = bare(self, "bare-spin", &component, Relays::Pieces)?;
            Ok([
                tidegate,
                passing,
                bare(self, "gathering-spin", &component, Relays::Whole)?,
            ])
        })?;
        let ours = Server::new("tidegate", &tidegate, &self.key.key);
        let passing = Server::new("bare component", &passing, "none");
        let gathering = Server::new("bare component", &gathering, "none");
        let names = ["Spin, requests/s", "  one body, requests/s", "Spin, streams/s"];
        self.beside_bare(names, [ours, passing, gathering], Target::AtLeast(0.70))
    }

    /// The gateway beside what gathers whole answers as it does, beside what passes them on in one body, of which no share
    /// is wanted, and beside what passes streams on.
    fn beside_bare(
        &self,
        [whole, one_body, streamed]: [&'static str; 3],
        [ours, passing, gathering]: [Server<'_>; 3],
        target: Target,
    ) -> Result<Vec<Row>, TaskError> {
        let (requests, streams) = (Mode::Requests, Mode::Streams);
        Ok(vec![
            self.share(whole, gathering.asked(requests), ours.asked(requests), target)?,
            self.share(one_body, passing.asked(requests), ours.asked(requests), Target::None)?,
            self.share(streamed, passing.asked(streams), ours.asked(streams), target)?,
        ])
    }

    /// The row of that name.
    fn share(&self, what: &'static str, base: Asked, ours: Asked, target: Target) -> Result<Row, TaskError> {
        let measured = terminal::step(what.trim(), || self.meter.compare(base, ours))?;
        Ok(Row::share(what, base.server.name, measured, target))
    }
}

/// What the gateway runs as on a runtime.
fn build_of(runtime: Runtime, bench: &Bench) -> Result<crate::dev::Gateway, TaskError> {
    crate::dev::Gateway::build(runtime, &bench.tidegate, &bench.tables)
}
