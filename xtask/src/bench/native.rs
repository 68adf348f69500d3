//! The native gateway beside nginx: under as much load as each takes, at a low rate, and idle.

use super::contenders::{Threads, gateway};
use super::delay::Added;
use super::measure::{Asked, Measured, Mode, Server};
use super::nginx::Nginx;
use super::table::{Row, Target};
use super::{Bench, build_of, usage};
use crate::error::TaskError;
use crate::runtime::Runtime;
use crate::terminal;

/// All rows of the native gateway.
///
/// # Errors
/// When something cannot be started, or an answer is no success.
pub fn rows(bench: &Bench) -> Result<Vec<Row>, TaskError> {
    let mut rows = at_full_load(bench)?;
    rows.extend(at_rest(&bench.unpinned()?)?);
    Ok(rows)
}

fn at_full_load(bench: &Bench) -> Result<Vec<Row>, TaskError> {
    let nginx = terminal::step("start nginx and the native gateway", || Nginx::start(bench))?;
    let tidegate = gateway(bench, &build_of(Runtime::Native, bench)?, Threads::One)?;
    let plain = Server::new("nginx", &nginx.process, "none");
    let streaming = plain.at(&nginx.streaming);
    let ours = Server::new("tidegate", &tidegate, &bench.key.key);
    let compare = |what, base: Asked, mode, target| -> Result<Row, TaskError> {
        let measured = terminal::step(what, || bench.meter.compare(base, ours.asked(mode)))?;
        Ok(Row::share(what, "nginx", measured, target))
    };
    let target = Target::AtLeast(0.60);
    // A whole answer is asked for as a stream (docs/decisions/0016): nginx gathers one in its buffers, too.
    let gathered = plain.asked(Mode::Streams);
    let whole = plain.asked(Mode::Requests);
    Ok(vec![
        compare("native, requests/s", gathered, Mode::Requests, target)?,
        compare("  one body, requests/s", whole, Mode::Requests, Target::None)?,
        compare(
            "native, streams/s",
            streaming.asked(Mode::Streams),
            Mode::Streams,
            target,
        )?,
        compare(
            "native, cached/s",
            plain.asked(Mode::File),
            Mode::Cached,
            Target::AtLeast(0.50),
        )?,
    ])
}

/// With few requests, and with none.
fn at_rest(bench: &Bench) -> Result<Vec<Row>, TaskError> {
    let nginx = terminal::step("start nginx and two native gateways", || Nginx::start(bench))?;
    let program = build_of(Runtime::Native, bench)?;
    let one = gateway(bench, &program, Threads::One)?;
    let more = gateway(bench, &program, Threads::Default)?;
    let mut rows = Vec::new();
    let resident = [nginx.process.group(), more.group()].map(usage::resident_mb);
    if let [Some(base), Some(ours)] = resident {
        let resident = Measured { base, ours };
        rows.push(Row::memory("native, memory when idle", "nginx", resident, IDLE_MB));
    }
    let direct = Server::new("direct", &bench.upstream, "none");
    let nginx = Server::new("nginx", &nginx.process, "none");
    let one = Server::new("tidegate, one thread", &one, &bench.key.key);
    let more = Server::new("tidegate", &more, &bench.key.key);
    for case in &CASES {
        let added = terminal::step(case.what, || {
            bench.meter.added(&direct, &[&nginx, &one, &more], case.connections)
        })?;
        if let [nginx, one, more] = added[..] {
            rows.extend(delays(&case.one_thread, nginx, one));
            rows.extend(delays(&case.threads, nginx, more));
        }
    }
    Ok(rows)
}

/// The rows about p50 and p99, with these names.
fn delays(names: &[&'static str; 2], nginx: Added, ours: Added) -> [Row; 2] {
    let row = |name, base, ours| Row::added(name, "nginx", Measured { base, ours }, ADDED_SHARE);
    [
        row(names[0], nginx.us_p50, ours.us_p50),
        row(names[1], nginx.us_p99, ours.us_p99),
    ]
}

/// So many clients at a low rate, and what the rows are called.
struct Case {
    what: &'static str,
    connections: u32,
    one_thread: [&'static str; 2],
    threads: [&'static str; 2],
}

const CASES: [Case; 2] = [
    Case {
        what: "native, 200 requests/s over one connection",
        connections: 1,
        one_thread: ["200/s on 1, 1 thread, p50", "200/s on 1, 1 thread, p99"],
        threads: ["200/s on 1, p50", "200/s on 1, p99"],
    },
    Case {
        what: "native, 200 requests/s over 8 connections",
        connections: 8,
        one_thread: ["200/s on 8, 1 thread, p50", "200/s on 8, 1 thread, p99"],
        threads: ["200/s on 8, p50", "200/s on 8, p99"],
    },
];

/// Most that the gateway adds to an answer, as a share of what nginx adds.
const ADDED_SHARE: f64 = 1.30;
/// Most memory of an idle gateway without token tables, in MB.
const IDLE_MB: f64 = 12.0;
