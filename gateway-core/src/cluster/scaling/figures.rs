//! What is measured of a cluster for its advice, and how a gateway asks for both.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::advice::{Advice, ScalingPolicy};
use super::arrivals::Rates;
use crate::cluster::policy::ClusterPolicy;
use crate::ids::Tokens;

/// Asks how many replicas a cluster should have: `ClusterCommand::Scale` as a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReadScale {
    /// What the configuration says of the cluster.
    pub policy: Arc<ClusterPolicy>,
    /// And of how it is scaled.
    pub scaling: ScalingPolicy,
}

/// How many replicas a cluster should have, and from what that follows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Scale {
    /// The advice.
    pub advice: Advice,
    /// What was measured.
    pub figures: Figures,
}

/// What is measured of a cluster, over all gateways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// How its replicas stand.
    pub replicas: ReplicaCounts,
    /// The time to first token that 95% of streams of the last minute had at most; `None` where there were none.
    pub ttft_p95: Option<Duration>,
    /// How many streams that is of.
    pub ttft_streams: u64,
    /// What waits.
    pub waiting: Waiting,
    /// Whether somebody has asked for a place within the last minute.
    #[serde(default)]
    pub is_asked_for: bool,
    /// Requests in flight, also those of others, as far as engines tell.
    pub running: u32,
    /// Their prompts and expected answers, in tokens.
    pub running_tokens: Tokens,
    /// The share of the places of replicas that serve or drain which is taken, from 0 to 1.
    pub batch_fullness: f64,
    /// The share of their kv_cache.
    pub kv_cache_usage: f64,
    /// What comes now.
    pub arrival: Rates,
    /// By how many tokens a second the arrival of tokens changes in a second.
    pub arrival_trend: f64,
    /// What will come once a replica is there that is started now.
    pub arrival_ahead: Rates,
    /// Prompt tokens in no cache that one replica computes in a second; more than 0.
    pub prefill_tokens_per_s: f64,
    /// Tokens that one answer writes in a second beside others; more than 0.
    pub decode_tokens_per_s: f64,
    /// How many an answer has; at least 0.
    pub output_tokens: f64,
    /// From the advice of a replica to its first sign.
    pub cold_start: Duration,
}

/// What waits at a cluster, or is held there for replicas to come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Requests.
    pub requests: u32,
    /// For how long the first of them has.
    pub oldest: Duration,
    /// What of their prompts has to be computed.
    pub uncached_tokens: Tokens,
    /// Their prompts and expected answers.
    pub tokens: Tokens,
}

/// A cluster's replicas by how they stand. Each that is configured is counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaCounts {
    /// Those that serve.
    pub serving: u32,
    /// Those whose engines say that they load.
    pub loading: u32,
    /// Those that drain.
    pub draining: u32,
    /// Those that are there and fail, or have hung.
    pub ill: u32,
    /// Those that are not there, as far as is known: they stand by.
    pub standby: u32,
    /// Those of which nothing was heard.
    pub unknown: u32,
}

impl ReplicaCounts {
    /// All that are configured.
    pub fn configured(self) -> u32 {
        self.present() + self.standby + self.unknown
    }

    /// Those that are there, in whatever state.
    pub fn present(self) -> u32 {
        self.serving + self.loading + self.draining + self.ill
    }
}
