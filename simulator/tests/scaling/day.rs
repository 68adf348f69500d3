//! A day of an hour: what comes rises from a few requests a second to what six replicas carry, and falls again; now and then
//! half as much more comes for a minute.

use std::cell::{OnceCell, RefCell};
use std::f64::consts::TAU;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use http::Request;
use tidegate_core::config::{Config, KeyDigest};
use tidegate_core::tokens::Tables;
use tidegate_core::{Body, Gateway};
use tidegate_virtual::{Edge, Random, World};

use crate::autoscaler::Autoscaler;
use crate::fleet::{self, Fleet, MOST};
use crate::replica::{MAX_RUNNING, capacity};
use crate::{COLD_START_S, OBJECTIVE_S};

/// One day under one autoscaler.
pub struct Day {
    pub seed: u64,
    pub autoscaler: Autoscaler,
}

/// What came of it.
pub struct Outcome {
    autoscaler: String,
    pub requests: usize,
    /// When their first tokens came that were answered as they should be, in seconds after their arrival.
    first_tokens_s: Vec<f64>,
    /// Those that were not.
    pub lost: usize,
    pub gpu_hours: f64,
    changes: u32,
}

impl Day {
    pub fn pass(self) -> Outcome {
        let replicas = Rc::new(OnceCell::new());
        let mut world = World::new(self.seed, fleet::engines(&replicas));
        let (all, drivers) = fleet::replicas(&world.clock());
        drivers.into_iter().for_each(|driver| world.spawn(driver));
        assert!(replicas.set(all.clone()).is_ok());
        let edge = gateway(&mut world);
        let fleet = Fleet::new(&world, &edge, all, 1);
        let (clock, begun) = (world.clock(), world.now());
        edge.spawn(self.autoscaler.run(clock, edge.clone(), Rc::clone(&fleet)));
        let told = Rc::new(RefCell::new(Vec::new()));
        let (clients, answers, clock) = (edge.clone(), Rc::clone(&told), world.clock());
        let mut random = Random::of(self.seed, 7);
        // More come than should, and those that are too many are left out: so they come at random at any rate.
        world.at_random(Random::of(self.seed, 8), MOST_PER_S, move |_| {
            let now = clock.now().since(begun);
            if random.happens(per_second(now) / MOST_PER_S) {
                let body = request(&mut random);
                let (edge, answers) = (clients.clone(), Rc::clone(&answers));
                let (at, clock) = (clock.now(), Rc::clone(&clock));
                clients.spawn(async move {
                    let first = client(&edge, &body, move || clock.now().since(at)).await;
                    answers.borrow_mut().push(first.map(|first| first.as_secs_f64()));
                });
            }
            now < DAY
        });
        world.pass(DAY);
        let hours = fleet.replica_hours();
        world.pass(Duration::from_secs(300));
        let told = told.take();
        let first_tokens_s: Vec<f64> = told.iter().filter_map(|first| *first).collect();
        Outcome {
            autoscaler: self.autoscaler.name(),
            requests: told.len(),
            lost: told.len() - first_tokens_s.len(),
            first_tokens_s,
            gpu_hours: hours * GPUS,
            changes: fleet.changes(),
        }
    }
}

impl Outcome {
    pub const HEAD: &str = "| replicas by | requests | in time | p95 TTFT | p99 TTFT | lost | GPU hours | changes |\n|---|---|---|---|---|---|---|---|";

    /// The share of requests whose first token came in time.
    pub fn attainment(&self) -> f64 {
        let in_time = self.first_tokens_s.iter().filter(|first| **first <= OBJECTIVE_S);
        in_time.count() as f64 / self.requests as f64
    }

    fn percentile(&self, share: f64) -> f64 {
        let mut sorted = self.first_tokens_s.clone();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().saturating_sub(1);
        sorted.get((share * last as f64) as usize).copied().unwrap_or(f64::NAN)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "| {} | {} | {:.1}% | {:.1} s | {:.1} s | {} | {:.1} | {} |",
            self.autoscaler,
            self.requests,
            self.attainment() * 100.0,
            self.percentile(0.95),
            self.percentile(0.99),
            self.lost,
            self.gpu_hours,
            self.changes
        )
    }
}

/// How many requests come in a second.
fn per_second(now: Duration) -> f64 {
    let wave = (1.0 - (TAU * now.as_secs_f64() / DAY.as_secs_f64()).cos()) / 2.0;
    let base = LEAST_PER_S + (PEAK_PER_S - LEAST_PER_S) * wave;
    let is_burst = (BURST_AT_S..BURST_AT_S + BURST_S).contains(&(now.as_secs() % BURST_EVERY_S));
    if is_burst { base * BURST } else { base }
}

/// Lengths are spread exponentially, as far as they are allowed.
fn request(random: &mut Random) -> String {
    let mut length = |mean: f64, range: std::ops::Range<u64>| {
        let drawn = (-(1.0 - random.share()).ln() * mean) as u64;
        drawn.clamp(range.start, range.end)
    };
    let (prompt, output) = (length(4_000.0, 50..12_000), length(450.0, 10..1_500));
    // Prompts have nothing in common.
    let first = random.within(0..1 << 31);
    let rest = ",1".repeat(prompt as usize - 1);
    format!(r#"{{"model":"model","prompt":[{first}{rest}],"max_tokens":1500,"seed":{output},"stream":true}}"#)
}

/// How long after its request a client has its first token; `None` where the answer does not come to its end.
async fn client(edge: &Edge, body: &str, since: impl Fn() -> Duration) -> Option<Duration> {
    let request = Request::post("/v1/completions").header("authorization", "Bearer key");
    let response = edge.serve(request, body).await;
    let Body::Stream(mut pieces) = response.into_body() else {
        return None;
    };
    let (mut first, mut is_whole) = (None, false);
    while let Some(piece) = pieces.next().await {
        let piece = piece.ok()?;
        if first.is_none() && piece.windows(9).any(|window| window == b"\"choices\"") {
            first = Some(since());
        }
        is_whole |= piece.ends_with(b"data: [DONE]\n\n");
    }
    first.filter(|_| is_whole)
}

fn gateway(world: &mut World) -> Edge {
    let replicas: Vec<_> = (0..MOST).map(|index| format!("\"http://r{index}\"")).collect();
    let text = format!(
        r#"
[[regions]]
name = "fra"
latitude = 50.1
longitude = 8.7
jurisdiction = "eu"

[[clusters]]
name = "big"
region = "fra"
engine = "vllm"
replicas = [{}]
kv_cache_tokens = {}
prefill_tokens_per_s = 8_700
max_running = {MAX_RUNNING}
scaling = {{ cold_start_ms = {} }}

[[models]]
name = "model"
context_length = 16_384
serving = [{{ cluster = "big" }}]

[[tenants]]
name = "acme"
keys = ["{}"]

[admin]
keys = ["{}"]

[timeouts]
deadline_ms = 300_000
first_byte_ms = 240_000
between_bytes_ms = 300_000

[retries]
attempts = 10

[breaker]
failures = 1

[queue]
requests = 4_096
wait_ms = 240_000
hold_ms = 240_000
"#,
        replicas.join(", "),
        capacity().kv_cache_tokens,
        COLD_START_S * 1_000,
        KeyDigest::of("key"),
        KeyDigest::of("admin"),
    );
    let config = Config::parse(&text, Some(&[])).unwrap_or_else(|errors| panic!("{errors}"));
    let gateway = Gateway::with_config(config.into(), Bytes::from(text), Tables::default());
    Edge::new(gateway, world.start(Duration::ZERO))
}

const DAY: Duration = Duration::from_secs(3_600);
/// What one replica carries at night,
const LEAST_PER_S: f64 = 0.7;
/// and six at noon.
const PEAK_PER_S: f64 = 6.5;
/// So much as much comes
const BURST: f64 = 1.5;
/// for a minute,
const BURST_S: u64 = 60;
/// every ten minutes,
const BURST_EVERY_S: u64 = 600;
/// beginning with the fifth.
const BURST_AT_S: u64 = 300;
const MOST_PER_S: f64 = PEAK_PER_S * BURST;
/// Of each replica.
const GPUS: f64 = 4.0;
