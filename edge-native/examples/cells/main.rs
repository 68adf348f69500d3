//! Measures commands to one cell: `cells cluster|budget REDIS_URL|memory MILLISECONDS`. Tasks ask and tell, again and
//! again, in one process and in several; a line for each of those says how many were answered per second, and how long
//! it took them. In memory a task is a thread.

mod budget;
mod cluster;

use std::fmt;
use std::io::{BufRead, BufReader, BufWriter, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_core::cells::{CellCommand, CellError, CellId, CellReply};
use tidegate_core::time::Timestamp;
use tidegate_native::{Cells, Redis, RedisAddress};
use tokio::runtime::Builder;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [kind, place, time] => {
            let shapes = if place == MEMORY { IN_MEMORY } else { IN_REDIS };
            shapes.iter().for_each(|shape| table_row(kind, place, time, *shape));
        }
        [kind, place, time, tasks] => work(kind, place, number(time), number(tasks)),
        _ => eprintln!("cells cluster|budget REDIS_URL|memory MILLISECONDS"),
    }
}

/// Processes, and tasks in each.
type Shape = (usize, u64);

fn table_row(kind: &str, place: &str, time: &str, (processes, tasks): Shape) {
    let program = std::env::current_exe().expect("this program");
    let start = |_| {
        let mut command = Command::new(&program);
        command.args([kind, place, time, &tasks.to_string()]);
        command.stdout(Stdio::piped()).spawn().expect("started")
    };
    let running: Vec<Child> = (0..processes).map(start).collect();
    let mut took: Vec<u64> = Vec::new();
    for mut child in running {
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        took.extend(lines.map(|line| number(&line.expect("a line"))));
        assert!(child.wait().expect("it ended").success());
    }
    took.sort_unstable();
    let rate = took.len() as u64 * 1_000 / number(time);
    let share = |percent: usize| Micros(took[took.len() * percent / 100]);
    println!(
        "{processes} processes x {tasks} tasks: {rate} commands/s, {} us median, {} us p99",
        share(50),
        share(99)
    );
}

/// Prints how many nanoseconds each command that asks took.
fn work(kind: &str, place: &str, time_ms: u64, tasks: u64) {
    let (runtime, cells) = if place == MEMORY {
        let threads = usize::try_from(tasks).expect("few tasks");
        let runtime = Builder::new_multi_thread().worker_threads(threads).enable_all().build();
        (runtime, Place::Memory(Cells::default()))
    } else {
        let address = RedisAddress::parse(place, None).expect("a URL");
        let runtime = Builder::new_current_thread().enable_all().build();
        (runtime, Place::Redis(Redis::open(&address).expect("connected")))
    };
    let (cells, until) = (Arc::new(cells), Instant::now() + Duration::from_millis(time_ms));
    let seed = u64::from(std::process::id()) << 32;
    let took = runtime.expect("a runtime").block_on(async {
        let tasks = (0..tasks).map(|task| {
            let (cells, seed) = (Arc::clone(&cells), seed + (task << 24));
            match kind {
                "budget" => tokio::spawn(budget::one_task(cells, until, seed)),
                _ => tokio::spawn(cluster::one_task(cells, until, seed)),
            }
        });
        let took = futures::future::join_all(tasks.collect::<Vec<_>>()).await;
        took.into_iter()
            .flat_map(|took| took.expect("it ended"))
            .collect::<Vec<Duration>>()
    });
    let mut out = BufWriter::new(std::io::stdout().lock());
    took.iter()
        .for_each(|took| writeln!(out, "{}", took.as_nanos()).expect("it is read"));
}

/// Where cells are.
enum Place {
    Memory(Cells),
    Redis(Redis),
}

impl Place {
    async fn call(&self, id: &CellId, command: CellCommand) -> Result<CellReply, CellError> {
        match self {
            Self::Memory(cells) => cells.call(id, now(), command, |_| Ok(None)),
            Self::Redis(redis) => redis.call_cell(id, command).await,
        }
    }
}

fn now() -> Timestamp {
    let since_epoch = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    Timestamp::from_micros(u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX))
}

/// Nanoseconds, printed as microseconds.
struct Micros(u64);

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = usize::from(self.0 < 100_000);
        write!(f, "{:.digits$}", self.0 as f64 / 1e3)
    }
}

fn number(text: &str) -> u64 {
    text.parse().expect("a number")
}

const MEMORY: &str = "memory";
const IN_MEMORY: &[Shape] = &[(1, 1), (1, 8)];
const IN_REDIS: &[Shape] = &[(1, 1), (1, 8), (1, 64), (8, 1), (8, 8)];
