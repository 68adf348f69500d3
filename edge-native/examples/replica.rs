//! Measures the choice of a replica in a cluster's cell, in this process: 64 replicas, prompts of 64 boundaries, a busy
//! cluster and all that a cell may know. Each line is one kind of prompt: what the choice alone takes, and the whole permit.

use std::time::{Duration, Instant};

use tidegate_core::cluster::{
    Acquire, Boundary, BreakerPolicy, Capacity, ClusterCell, ClusterCommand, ClusterPolicy, ClusterReply, HealthPolicy,
    HotDigest, Outcome, PermitId, PolicyRef, PrefillPolicy, PromptOutline, Release, Releases,
};
use tidegate_core::ids::{PrefixKey, Tokens};
use tidegate_core::time::Timestamp;

fn main() {
    for (name, shared) in [("unique prompts", 0), ("one system prompt", 10), ("conversations", 63)] {
        let mut bench = Bench::new();
        let took = (0..WARM_UP + ROUNDS).map(|_| (bench.choose(shared), bench.step(shared)));
        let (choices, permits): (Vec<_>, Vec<_>) = took.skip(WARM_UP).unzip();
        println!("{name}: the choice {}, the permit {}", told(choices), told(permits));
    }
}

fn told(mut took: Vec<Duration>) -> String {
    took.sort_unstable();
    let [median, p99] = [50, 99].map(|percent| took[took.len() * percent / 100].as_nanos());
    format!("{median} ns median, {p99} ns p99")
}

struct Bench {
    cell: ClusterCell,
    policy: PolicyRef,
    permit: u64,
    /// What was told last of hot prefixes.
    known_hot: HotDigest,
}

impl Bench {
    fn new() -> Self {
        let replicas = (0..REPLICAS).map(|number| format!("http://10.0.0.{number}:8000").as_str().into());
        let policy = ClusterPolicy {
            replicas: replicas.collect(),
            capacity: Capacity {
                requests: 256,
                kv_tokens: Tokens(10_000_000),
            },
            // Nobody tells that prompts are computed: they are waited for as long as they are expected to take.
            prefill: PrefillPolicy {
                most_queued: Duration::from_hours(1),
                ..PrefillPolicy::default()
            },
            health: HealthPolicy::default(),
        };
        let mut bench = Self {
            cell: ClusterCell::default(),
            policy: PolicyRef::Digest(policy.digest()),
            permit: 0,
            known_hot: HotDigest::default(),
        };
        let whole = Acquire {
            policy: policy.into(),
            ..bench.acquire(0)
        };
        bench.apply(ClusterCommand::Acquire(whole));
        bench
    }

    fn apply(&mut self, command: ClusterCommand) -> ClusterReply {
        self.cell
            .apply(Timestamp::from_millis(1_000_000 + self.permit * 5), command)
    }

    /// How long it takes to find out how warm the next prompt is everywhere, and what it costs: all replicas have somebody,
    /// and no room but for their first request, so that nobody gets it and nothing is learned.
    fn choose(&mut self, shared: u64) -> Duration {
        self.permit += 1;
        let acquire = ClusterCommand::Acquire(Acquire {
            headroom_percent: 100,
            ..self.acquire(shared)
        });
        self.permit -= 1;
        let asked = Instant::now();
        let reply = self.apply(acquire);
        let took = asked.elapsed();
        assert!(
            self.permit < RUNNING || matches!(reply, ClusterReply::Refused(_)),
            "{reply:?}"
        );
        if let ClusterReply::Granted(_) = reply {
            // Somebody has room still.
            self.end(self.permit + 1);
        }
        took
    }

    /// How long a permit takes to get; one that was given before ends.
    fn step(&mut self, shared: u64) -> Duration {
        self.permit += 1;
        let acquire = ClusterCommand::Acquire(self.acquire(shared));
        let asked = Instant::now();
        let reply = self.apply(acquire);
        let took = asked.elapsed();
        let ClusterReply::Granted(grant) = reply else {
            panic!("{reply:?}");
        };
        if let Some(hot) = grant.hot {
            self.known_hot = hot.digest;
        }
        if let Some(ended) = self.permit.checked_sub(RUNNING) {
            self.end(ended);
        }
        took
    }

    fn end(&mut self, permit: u64) {
        self.apply(ClusterCommand::Release(Releases {
            releases: vec![Release::of_all(PermitId(permit), None, Outcome::Served)],
            breaker: BreakerPolicy {
                failures: 3,
                open: Duration::from_secs(5),
            },
            prefilled: Vec::new(),
            forgotten: Vec::new(),
            served: Default::default(),
        }));
    }

    fn acquire(&self, shared: u64) -> Acquire {
        let conversation = self.permit % 400;
        let boundary = |place: u64| {
            let own = if shared > 20 { conversation } else { self.permit };
            Boundary {
                key: PrefixKey(if place < shared.min(10) {
                    place
                } else {
                    own << 16 | place
                }),
                tokens: Tokens((place + 1) * 256),
            }
        };
        let boundaries: Vec<_> = (0..BOUNDARIES).map(boundary).collect();
        Acquire {
            permit: PermitId(self.permit),
            kv_tokens: Tokens(20_000),
            spare: 0,
            policy: self.policy.clone(),
            headroom_percent: 0,
            tried: Vec::new(),
            affinity: Some(boundaries[1].key.0),
            prompt: PromptOutline {
                boundaries,
                ..PromptOutline::of_tokens(Tokens(BOUNDARIES * 256))
            },
            known_hot: self.known_hot,
            ttl: Duration::from_secs(30),
            queueing: None,
            explains: false,
            is_new: false,
        }
    }
}

const REPLICAS: u64 = 64;
const BOUNDARIES: u64 = 64;
/// Permits held at a time.
const RUNNING: u64 = 1_000;
const WARM_UP: usize = 2_000;
const ROUNDS: usize = 20_000;
