//! What the configuration says of a cluster, as far as its cell has to know it, and how commands name it. A command
//! carries all of it only until the cell has said that it knows it: then its digest says as much.
//!
//! During a rollout several configurations ask of one cell, each by its own policy. A cell knows the latest few; who
//! names one that it does not know is told so, and tells all of it.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::health::HealthPolicy;
use super::permit::Capacity;
use crate::ids::ReplicaName;

/// What one configuration says of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterPolicy {
    /// Its replicas, in the order written.
    pub replicas: Vec<ReplicaName>,
    /// What each of them has room for.
    pub capacity: Capacity,
    /// How long prompts keep them.
    #[serde(default)]
    pub prefill: PrefillPolicy,
    /// When they are taken for ill.
    #[serde(default)]
    pub health: HealthPolicy,
}

/// How long prompts keep a cluster's replicas, and what is put up with for one that is warm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PrefillPolicy {
    /// Uncached prompt tokens that one replica computes in a second, as far as nothing else has been learned; at least 1.
    pub tokens_per_s: u32,
    /// How much later than another a replica may answer that has the prompt in memory.
    pub warm_penalty: Duration,
    /// How long prompts may keep a replica that were sent there and are not computed yet: beyond it, requests wait in the
    /// gateway, where who sends long prompts does not keep out who sends short ones.
    pub most_queued: Duration,
}

/// Of whoever tells none: a 70B model on four H100, and the default of the configuration.
impl Default for PrefillPolicy {
    fn default() -> Self {
        Self {
            tokens_per_s: 10_000,
            warm_penalty: Duration::from_secs(2),
            most_queued: Duration::from_secs(2),
        }
    }
}

/// What tells one policy from another: the first 64 bits of a SHA-256 over all of it. It is the same in every process and
/// every version that knows the same fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PolicyDigest(u64);

/// A policy as a command names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyRef {
    /// By its digest, to a cell that has said that it knows it.
    Digest(PolicyDigest),
    /// All of it.
    Whole(Arc<ClusterPolicy>),
}

/// A command that is run under a policy.
pub trait UnderPolicy {
    /// Names the policy.
    fn set_policy(&mut self, policy: PolicyRef);
}

impl ClusterPolicy {
    /// Its digest. Hashing is too slow to do it for each request: once for a configuration, and once in a cell.
    pub fn digest(&self) -> PolicyDigest {
        let mut hasher = Sha256::new();
        hasher.update(self.capacity.requests.to_le_bytes());
        hasher.update(self.capacity.kv_tokens.0.to_le_bytes());
        hasher.update(self.prefill.tokens_per_s.to_le_bytes());
        hasher.update(self.prefill.warm_penalty.as_micros().to_le_bytes());
        if self.prefill.most_queued != PrefillPolicy::default().most_queued {
            hasher.update(self.prefill.most_queued.as_micros().to_le_bytes());
        }
        if self.health != HealthPolicy::default() {
            for time in [self.health.wedged_after, self.health.slow_start, self.health.open] {
                hasher.update(time.as_micros().to_le_bytes());
            }
        }
        for replica in &self.replicas {
            // No name holds a zero byte: lists that read alike end to end are told apart.
            hasher.update(replica.as_str().as_bytes());
            hasher.update([0]);
        }
        let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(hasher.finalize());
        PolicyDigest(u64::from_le_bytes([a, b, c, d, e, f, g, h]))
    }
}

impl From<ClusterPolicy> for PolicyRef {
    fn from(policy: ClusterPolicy) -> Self {
        Self::Whole(Arc::new(policy))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Tokens;

    fn policy(replicas: &[&str], requests: u32) -> ClusterPolicy {
        let kv_tokens = Tokens(1_000);
        ClusterPolicy {
            replicas: replicas.iter().map(|name| ReplicaName::from(*name)).collect(),
            capacity: Capacity { requests, kv_tokens },
            prefill: PrefillPolicy::default(),
            health: HealthPolicy::default(),
        }
    }

    #[test]
    fn a_digest_is_stable_and_tells_policies_apart() {
        let one = policy(&["http://a", "http://b"], 8);
        assert_eq!(one.digest(), one.clone().digest());
        assert_eq!(
            one.digest(),
            PolicyDigest(16_442_199_359_612_733_642),
            "other versions know it by that"
        );
        let mut slower = one.clone();
        slower.prefill.tokens_per_s -= 1;
        let mut more_patient = one.clone();
        more_patient.prefill.warm_penalty += Duration::from_millis(1);
        let mut deeper = one.clone();
        deeper.prefill.most_queued += Duration::from_millis(1);
        let mut patient = one.clone();
        patient.health.wedged_after += Duration::from_millis(1);
        for other in [
            patient,
            policy(&["http://a", "http://b"], 9),
            policy(&["http://b", "http://a"], 8),
            policy(&["http://ahttp://b"], 8),
            policy(&["http://a"], 8),
            slower,
            more_patient,
            deeper,
        ] {
            assert_ne!(other.digest(), one.digest(), "{other:?}");
        }
    }
}
