//! Measures commands to one cell in Redis: `cells REDIS_URL MILLISECONDS`. Tasks take a place and give it back, again
//! and again, in one process and in several; a line for each of those says how many took one per second, and how long
//! it took them.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_core::cells::{CellCommand, CellId};
use tidegate_core::cluster::{Acquire, BreakerPolicy, ClusterCommand, Outcome, PermitId, Release, Room};
use tidegate_core::ids::Tokens;
use tidegate_native::{Redis, RedisAddress};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [url, time] => SHAPES.iter().for_each(|shape| table_row(url, time, *shape)),
        [url, time, tasks] => work(url, number(time), number(tasks)),
        _ => eprintln!("cells REDIS_URL MILLISECONDS"),
    }
}

/// Processes, and tasks in each.
type Shape = (usize, u64);

fn table_row(url: &str, time: &str, (processes, tasks): Shape) {
    let program = std::env::current_exe().expect("this program");
    let start = |_| {
        let mut command = Command::new(&program);
        command.args([url, time, &tasks.to_string()]).stdout(Stdio::piped());
        command.spawn().expect("started")
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
    let share = |percent: usize| took[took.len() * percent / 100];
    println!(
        "{processes} processes x {tasks} tasks: {rate} commands/s, {} us median, {} us p99",
        share(50),
        share(99)
    );
}

/// Prints how many microseconds each command took.
fn work(url: &str, time_ms: u64, tasks: u64) {
    let address = RedisAddress::parse(url, None).expect("a URL");
    let redis = Arc::new(Redis::open(&address).expect("connected"));
    let until = Instant::now() + Duration::from_millis(time_ms);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let took = runtime.expect("a runtime").block_on(async {
        let seed = u64::from(std::process::id()) << 32;
        let tasks = (0..tasks).map(|task| tokio::spawn(one_task(Arc::clone(&redis), until, seed + (task << 24))));
        let took = futures::future::join_all(tasks.collect::<Vec<_>>()).await;
        took.into_iter()
            .flat_map(|took| took.expect("it ended"))
            .collect::<Vec<u128>>()
    });
    took.iter().for_each(|micros| println!("{micros}"));
}

async fn one_task(redis: Arc<Redis>, until: Instant, mut permit: u64) -> Vec<u128> {
    let cell = CellId::Cluster("bench".into());
    let mut took = Vec::new();
    while Instant::now() < until {
        permit += 1;
        let asked = Instant::now();
        redis.call_cell(&cell, acquire(permit)).await.expect("a place");
        took.push(asked.elapsed().as_micros());
        redis.call_cell(&cell, release(permit)).await.expect("told");
    }
    took
}

fn acquire(permit: u64) -> CellCommand {
    CellCommand::Cluster(ClusterCommand::Acquire(Acquire {
        permit: PermitId(permit),
        kv_tokens: Tokens(1_000),
        replicas: (0..8)
            .map(|number| format!("http://10.0.0.{number}:8000").as_str().into())
            .collect(),
        room: Room {
            max_running: 256,
            kv_cache_tokens: Tokens(1_000_000),
        },
        tried: Vec::new(),
        affinity: Some(permit),
        ttl: Duration::from_secs(30),
    }))
}

fn release(permit: u64) -> CellCommand {
    CellCommand::Cluster(ClusterCommand::Release(Release {
        permit: PermitId(permit),
        replica: None,
        outcome: Outcome::Served,
        breaker: BreakerPolicy {
            failures: 3,
            open: Duration::from_secs(5),
        },
    }))
}

fn number(text: &str) -> u64 {
    text.parse().expect("a number")
}

const SHAPES: [Shape; 5] = [(1, 1), (1, 8), (1, 64), (8, 1), (8, 8)];
