//! What would come of a request that is only tried.

use serde::Serialize;

use super::millis::Millis;
use crate::cluster::{ChoiceReason, Obstacle};
use crate::ids::{ClusterName, ModelName, ReplicaName};

/// What would come of a request, as things stand.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(
    missing_docs,
    reason = "docs/explain.md has the fields of each; a second list would drift"
)]
pub enum Outcome {
    /// A replica would serve it.
    Served {
        tier: usize,
        model: ModelName,
        cluster: ClusterName,
        replica: ReplicaName,
        /// Why there, in words.
        why: String,
        /// When its first token would come, from its arrival on; `None` where the cell does not tell.
        first_token_ms: Option<Millis>,
    },
    /// It would wait for its turn at a cluster.
    Waits {
        tier: usize,
        model: ModelName,
        cluster: ClusterName,
        expected_ms: Millis,
    },
    /// It would be sent to a cluster's region hop, which is to be asked what comes then.
    Region {
        tier: usize,
        model: ModelName,
        cluster: ClusterName,
        hop: String,
    },
    /// It would get the canned answer.
    Canned { reason: &'static str },
    /// Nothing would answer it; the last error in one word, and in words.
    Refused { error: &'static str, why: String },
}

/// Why a replica is the one, in words.
pub fn words(reason: ChoiceReason) -> String {
    let fixed = match reason {
        ChoiceReason::Cheaper(millis) => {
            return format!(
                "it answers {millis} ms sooner than the one that has most of the prompt, or comes first by affinity"
            );
        }
        ChoiceReason::Warm => "it served the conversation before, and has most of the prompt in memory",
        ChoiceReason::Shared => "nobody has more of the prompt than it has of others that begin alike",
        ChoiceReason::Presumed => {
            "it comes first by affinity, and an earlier request of the conversation should have gone there"
        }
        ChoiceReason::First => {
            "it comes first by affinity, and nothing of the prompt is known to be in memory anywhere"
        }
        ChoiceReason::Spread => "it answers soonest of those to which a prefix is spread that many requests share",
        ChoiceReason::NoAffinity => "it answers soonest, and the request has no prefix to keep warm",
        ChoiceReason::Degraded => "all replicas are out, and it is the one that is tried first",
        ChoiceReason::Next(Obstacle::Full) => "the one that it would be has no room, and this is the next",
        ChoiceReason::Next(Obstacle::Open) => {
            "the one that it would be is left alone after failures, and this is the next"
        }
        ChoiceReason::Next(Obstacle::Tried) => {
            "the request has failed at the one that it would be, and this is the next"
        }
        ChoiceReason::Next(Obstacle::Draining) => "the one that it would be drains, and this is the next",
    };
    fixed.to_owned()
}
