//! Permits: what a request holds of a replica while it runs there.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{ReplicaName, Tokens};

/// A permit's name, drawn at random by the hop that asks for it, so that asking twice cannot hold twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PermitId(pub u64);

/// What a request asks of a cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Acquire {
    /// The permit's name.
    pub permit: PermitId,
    /// kv_cache that the request is expected to fill: prompt and answer.
    pub kv_tokens: Tokens,
    /// Replicas that the configuration names now.
    pub replicas: Vec<ReplicaName>,
    /// What each of them has room for.
    pub room: Room,
    /// The share of the room that is kept for requests of higher priority, in percent.
    #[serde(default)]
    pub kept_percent: u8,
    /// Replicas that this request has failed on already.
    pub tried: Vec<ReplicaName>,
    /// Fingerprint of the prompt's prefix; `None` where there is no prefix to keep warm.
    pub affinity: Option<u64>,
    /// How long the permit holds without renewal.
    pub ttl: Duration,
}

/// What fits into one replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// Requests at once.
    pub max_running: u32,
    /// Tokens of kv_cache.
    pub kv_cache_tokens: Tokens,
}

impl Room {
    /// The room for requests from which a share, in percent, is kept: for one at least.
    pub fn without(self, kept_percent: u8) -> Self {
        let open = 100 - u64::from(kept_percent.min(100));
        let max_running = u64::from(self.max_running) * open / 100;
        let kv_cache_tokens = u128::from(self.kv_cache_tokens.0) * u128::from(open) / 100;
        Self {
            max_running: u32::try_from(max_running.max(1)).unwrap_or(self.max_running),
            kv_cache_tokens: u64::try_from(kv_cache_tokens).map_or(self.kv_cache_tokens, Tokens),
        }
    }
}

/// A permit as its holder knows it: enough for a cell that has forgotten it to take it up again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// The permit's name.
    pub permit: PermitId,
    /// Where the request runs.
    pub replica: ReplicaName,
    /// kv_cache that it is expected to fill.
    pub kv_tokens: Tokens,
}

/// How the request that held a permit ended, as far as the replica is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The replica answered as it should.
    Served,
    /// The replica failed.
    Failed,
    /// It says nothing about the replica: the client left, or its request was wrong.
    Unknown,
}

/// A cluster's load, for hops that choose among clusters. Replicas whose breaker is open are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterLoad {
    /// Requests in flight.
    pub running: u32,
    /// Requests that fit at once; 0 when every replica is out.
    pub max_running: u32,
    /// kv_cache held, in tokens.
    pub kv_tokens: Tokens,
    /// kv_cache in all, in tokens.
    pub kv_cache_tokens: Tokens,
}
