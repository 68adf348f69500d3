//! What a record tells, step by step: one for each event that decided something.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::failed::Failed;
use super::millis::Millis;
use super::weighed::WeighedHere;
use crate::api::Usage;
use crate::cluster::{ChoiceReason, Expectation};
use crate::ids::{ClusterName, ModelName, ReplicaName, Tokens, VersionName};
use crate::route::Estimate;

/// One step of a request's way.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// When, from the request's arrival on.
    pub at_ms: Millis,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// What happened in a step.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
#[expect(
    missing_docs,
    reason = "docs/explain.md has the fields of each step; a second list would drift"
)]
pub enum What {
    /// A budget has reserved what the request is expected to take.
    Reserved { budget: String },
    /// A budget has refused it.
    BudgetRefused { budget: String, error: String },
    /// It has come to a tier, whose clusters are ranked.
    Ranked(Ranked),
    /// It has a version of the tier's model; whether what it meets there counts for a rollout.
    Version {
        model: ModelName,
        version: VersionName,
        counts: bool,
    },
    /// Another version than its own answers.
    FellBack {
        model: ModelName,
        version: VersionName,
        served: VersionName,
    },
    /// A cluster's cell has weighed its replicas.
    Weighed(WeighedHere),
    /// It may run at a replica.
    Permitted {
        cluster: ClusterName,
        replica: ReplicaName,
        /// Whether the permit was kept by this gateway, which has not asked the cell therefore.
        kept: bool,
        reason: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        saves_ms: Option<u32>,
        warm: Option<Tokens>,
        expected_ms: Option<Millis>,
    },
    /// It waits for its turn at a cluster.
    Queued { cluster: ClusterName, expected_ms: Millis },
    /// It waits no longer.
    Waited {
        cluster: ClusterName,
        ended: &'static str,
        ms: Millis,
    },
    /// It was sent to a cluster's region hop, which has told of its own part what it tells.
    Region {
        cluster: ClusterName,
        hop: String,
        record: Option<Box<Value>>,
    },
    /// An attempt came to nothing.
    Failed(Failed),
    /// The first event of a stream is here.
    FirstToken {
        cluster: ClusterName,
        model: ModelName,
        expected_ms: Option<Millis>,
    },
    /// All of an answer is here.
    WholeAnswer { cluster: ClusterName, model: ModelName },
    /// The engine has told how much of the prompt it had in memory.
    Found { expected: Tokens, cached: Tokens },
    /// A stream broke off.
    BrokeOff(Failed),
    /// A detector has found something in the answer.
    Detected {
        cluster: ClusterName,
        replica: Option<ReplicaName>,
        detector: &'static str,
        action: &'static str,
        at_bytes: u64,
        reason: String,
    },
    /// The engine has told what the answer took.
    Used { prompt: u64, completion: u64 },
    /// It uses the response cache, and has an answer from there, or one that may be kept there.
    Cached { status: &'static str, key: String },
    /// The canned answer was given.
    Canned { reason: &'static str },
    /// It was not, since no text is what is asked for.
    CannedWithheld { reason: &'static str, why: String },
    /// A tier was passed over, since its model is kept out of service.
    Maintenance { model: ModelName },
}

/// A tier's clusters, in the order in which they are tried.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ranked {
    /// The tier's place in the ladder.
    pub tier: usize,
    /// Its model.
    pub model: ModelName,
    /// The prompt, as that counts it.
    pub prompt: Tokens,
    /// No more than [`Ranked::MOST`] of them.
    pub clusters: Vec<RankedCluster>,
    /// How many more there were.
    #[serde(skip_serializing_if = "is_zero")]
    pub left_out: usize,
    /// Those that may not see the tenant's data.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outside_jurisdiction: Vec<ClusterName>,
}

/// What was expected of a cluster.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RankedCluster {
    cluster: ClusterName,
    round_trip_ms: Millis,
    wait_ms: Millis,
    prefill_ms: Millis,
    price_ms: Millis,
    warm: Tokens,
    full: bool,
    /// How old its figures were; `None` where it counted as idle, for want of any.
    load_age_ms: Option<Millis>,
}

impl Ranked {
    /// No more clusters are told of.
    pub const MOST: usize = 32;

    /// Of these estimates, in order; `excluded` may not see the tenant's data.
    pub fn new(
        (tier, model): (usize, &ModelName),
        prompt: Tokens,
        estimates: &[Estimate<'_>],
        excluded: &[&ClusterName],
    ) -> Self {
        let told = |estimate: &Estimate<'_>| RankedCluster {
            cluster: estimate.cluster.clone(),
            round_trip_ms: estimate.round_trip.into(),
            wait_ms: estimate.wait.into(),
            prefill_ms: estimate.prefill.into(),
            price_ms: estimate.price.into(),
            warm: estimate.warm,
            full: estimate.full,
            load_age_ms: estimate.load_age.map(Millis),
        };
        Self {
            tier,
            model: model.clone(),
            prompt,
            clusters: estimates.iter().take(Self::MOST).map(told).collect(),
            left_out: estimates.len().saturating_sub(Self::MOST),
            outside_jurisdiction: excluded.iter().take(Self::MOST).map(|name| (*name).clone()).collect(),
        }
    }
}

impl What {
    /// That a request may run at a replica, as it was told.
    pub fn permitted(
        (cluster, replica): (&ClusterName, &ReplicaName),
        kept: bool,
        choice: Option<ChoiceReason>,
        expected: Option<Expectation>,
    ) -> Self {
        let saves_ms = match choice {
            Some(ChoiceReason::Cheaper(millis)) => Some(millis),
            Some(
                ChoiceReason::Warm
                | ChoiceReason::Shared
                | ChoiceReason::Presumed
                | ChoiceReason::First
                | ChoiceReason::Spread
                | ChoiceReason::Next(_)
                | ChoiceReason::NoAffinity
                | ChoiceReason::Degraded,
            )
            | None => None,
        };
        Self::Permitted {
            cluster: cluster.clone(),
            replica: replica.clone(),
            kept,
            reason: choice.map(ChoiceReason::as_str),
            saves_ms,
            warm: expected.map(|expected| expected.warm),
            expected_ms: expected.map(|expected| Millis(expected.first_token_in)),
        }
    }

    /// That it waits for its turn.
    pub fn queued(cluster: &ClusterName, expected: Duration) -> Self {
        Self::Queued {
            cluster: cluster.clone(),
            expected_ms: expected.into(),
        }
    }

    /// That it waits no longer.
    pub fn waited(cluster: &ClusterName, ended: &'static str, after: Duration) -> Self {
        Self::Waited {
            cluster: cluster.clone(),
            ended,
            ms: after.into(),
        }
    }

    /// That a stream has begun.
    pub fn first_token(cluster: &ClusterName, model: &ModelName, expected: Option<Duration>) -> Self {
        Self::FirstToken {
            cluster: cluster.clone(),
            model: model.clone(),
            expected_ms: expected.map(Millis),
        }
    }

    /// That all of an answer is here.
    pub fn whole_answer(cluster: &ClusterName, model: &ModelName) -> Self {
        Self::WholeAnswer {
            cluster: cluster.clone(),
            model: model.clone(),
        }
    }

    /// What an answer took.
    pub fn used(usage: Usage) -> Self {
        Self::Used {
            prompt: usage.prompt_tokens,
            completion: usage.completion_tokens,
        }
    }
}

/// Whether nothing was left out, so that nothing is told of it.
pub(super) fn is_zero(count: &usize) -> bool {
    *count == 0
}
