//! A cluster's replicas as records tell them.

use serde::Serialize;

use super::millis::Millis;
use super::step::is_zero;
use crate::cluster::{BreakerStanding, Hindrance, Signal, WarmthBasis, Weighed, WeighedReplica};
use crate::ids::{ClusterName, ReplicaName, Tokens};

/// A cluster's replicas as its cell has weighed them, the ones that would have answered soonest first.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WeighedHere {
    /// Whose.
    pub cluster: ClusterName,
    /// The replicas.
    pub replicas: Vec<ReplicaHere>,
    /// How many more there were.
    #[serde(skip_serializing_if = "is_zero")]
    pub left_out: usize,
}

/// What was known of a replica.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReplicaHere {
    replica: ReplicaName,
    /// Why it could not have the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_because: Option<Hindrance>,
    cost_ms: Option<Millis>,
    queued_ms: Millis,
    queued_tokens: Tokens,
    prefill_ms: Millis,
    uncached: Tokens,
    step_ms: Millis,
    tokens_per_s: u32,
    warm: Tokens,
    warm_by: WarmthBasis,
    running: u32,
    max_running: u32,
    kv_tokens: Tokens,
    max_kv_tokens: Tokens,
    #[serde(skip_serializing_if = "is_none")]
    of_others: u32,
    breaker: BreakerStanding,
    #[serde(skip_serializing_if = "Option::is_none")]
    passes_in_ms: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<SignalHere>,
}

/// What an engine had said of itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct SignalHere {
    running: u32,
    waiting: u32,
    kv_used: Option<f64>,
    age_ms: Millis,
    believed: bool,
}

impl WeighedHere {
    /// Of what a cell has told; no more than so many replicas.
    pub fn new(cluster: &ClusterName, weighed: &Weighed, most: usize) -> Self {
        let replicas: Vec<_> = weighed.replicas.iter().take(most).map(ReplicaHere::of).collect();
        let left_out = weighed.replicas.len() - replicas.len();
        Self {
            cluster: cluster.clone(),
            replicas,
            left_out: left_out + usize::try_from(weighed.left_out).unwrap_or(usize::MAX),
        }
    }
}

impl ReplicaHere {
    fn of(weighed: &WeighedReplica) -> Self {
        Self {
            replica: weighed.replica.clone(),
            not_because: weighed.hindrance,
            cost_ms: weighed.first_token_in.map(Millis),
            queued_ms: weighed.queued.into(),
            queued_tokens: weighed.queued_tokens,
            prefill_ms: weighed.prefill.into(),
            uncached: weighed.uncached,
            step_ms: weighed.step.into(),
            tokens_per_s: weighed.tokens_per_s,
            warm: weighed.warm,
            warm_by: weighed.basis,
            running: weighed.held.requests,
            max_running: weighed.room.requests,
            kv_tokens: weighed.held.kv_tokens,
            max_kv_tokens: weighed.room.kv_tokens,
            of_others: weighed.foreign.requests,
            breaker: weighed.breaker,
            passes_in_ms: weighed.breaker_passes_in.map(Millis),
            signal: weighed.signal.map(SignalHere::of),
        }
    }
}

impl SignalHere {
    fn of(signal: Signal) -> Self {
        Self {
            running: signal.figures.running,
            waiting: signal.figures.waiting,
            kv_used: signal.figures.kv_used.map(|used| used.share()),
            age_ms: signal.age.into(),
            believed: signal.is_fresh,
        }
    }
}

fn is_none(count: &u32) -> bool {
    *count == 0
}
