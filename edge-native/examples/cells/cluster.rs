//! Tasks that take a place in a cluster, and give it back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_core::cells::{CellCommand, CellId};
use tidegate_core::cluster::{
    Acquire, BreakerPolicy, Capacity, ClusterCommand, ClusterPolicy, HealthPolicy, HotDigest, Outcome, PermitId,
    PrefillPolicy, PromptOutline, Release, Releases,
};
use tidegate_core::ids::Tokens;

use super::Place;

/// How long each place took to get.
pub async fn one_task(cells: Arc<Place>, until: Instant, mut permit: u64) -> Vec<Duration> {
    let cell = CellId::Cluster("bench".into());
    let mut took = Vec::new();
    while Instant::now() < until {
        permit += 1;
        let asked = Instant::now();
        cells.call(&cell, acquire(permit)).await.expect("a place");
        took.push(asked.elapsed());
        cells.call(&cell, release(permit)).await.expect("told");
    }
    took
}

fn acquire(permit: u64) -> CellCommand {
    CellCommand::Cluster(ClusterCommand::Acquire(Acquire {
        permit: PermitId(permit),
        kv_tokens: Tokens(1_000),
        spare: 0,
        policy: ClusterPolicy {
            replicas: (0..8)
                .map(|number| format!("http://10.0.0.{number}:8000").as_str().into())
                .collect(),
            capacity: Capacity {
                requests: 256,
                kv_tokens: Tokens(1_000_000),
            },
            prefill: PrefillPolicy::default(),
            health: HealthPolicy::default(),
        }
        .into(),
        tried: Vec::new(),
        affinity: Some(permit),
        prompt: PromptOutline::default(),
        known_hot: HotDigest::default(),
        headroom_percent: 0,
        ttl: Duration::from_secs(30),
        queueing: None,
        explains: false,
        is_new: false,
    }))
}

fn release(permit: u64) -> CellCommand {
    CellCommand::Cluster(ClusterCommand::Release(Releases {
        releases: vec![Release::of_all(PermitId(permit), None, Outcome::Served)],
        breaker: BreakerPolicy {
            failures: 3,
            open: Duration::from_secs(5),
        },
        prefilled: Vec::new(),
        forgotten: Vec::new(),
        served: Default::default(),
    }))
}
