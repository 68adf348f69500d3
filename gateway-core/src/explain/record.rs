//! The record of one request.

use std::time::Duration;

use serde::Serialize;

use super::millis::Millis;
use super::outcome::Outcome;
use super::step::{Step, What, is_zero};
use crate::ids::{ClusterName, ModelName, ReplicaName, RequestId, TenantName, Tokens};
use crate::time::Timestamp;

/// Why a request went where it went. Its size is bounded: [`DecisionRecord::MOST_STEPS`] and
/// [`DecisionRecord::MOST_REPLICAS`] say by what.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DecisionRecord {
    /// Which request.
    pub request: String,
    /// When it arrived, by the wall clock, in milliseconds since 1970.
    pub arrived_at_ms: u64,
    /// What it was for, in one word.
    pub route: &'static str,
    /// Whose it is.
    pub tenant: TenantName,
    /// Its key's priority.
    pub priority: &'static str,
    /// What it asks for, once its body is read.
    #[serde(flatten)]
    pub asked: Option<Asked>,
    /// The prompt, as the model that it asks for counts it.
    pub prompt: Option<Tokens>,
    /// What that count rests on.
    pub counted_by: Option<&'static str>,
    /// What budgets say, where nothing is reserved.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<BudgetSaid>,
    /// What happened, in order.
    pub steps: Vec<Step>,
    /// How many steps there were beyond those.
    #[serde(skip_serializing_if = "is_zero")]
    pub steps_left_out: usize,
    /// What would come of it, where it was only tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// The response's status; `None` before there is one, and where the client has left before that.
    pub status: Option<u16>,
    /// The error's code, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'static str>,
    /// When the response's head was there, from the request's arrival on.
    pub responded_ms: Option<Millis>,
    /// When all was over.
    pub ended_ms: Option<Millis>,
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Asked {
    /// The model.
    pub model: ModelName,
    /// Whether the answer is to come as a stream.
    pub stream: bool,
}

/// What a budget says of a request that is only tried.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BudgetSaid {
    /// Which.
    pub budget: String,
    /// What the request would reserve, in tokens.
    pub needs_tokens: u64,
    /// Whether it would find that, as far as its cell can tell: what edge locations hold of it comes besides. `None` where the
    /// cell does not answer.
    pub admits: Option<bool>,
    /// What nobody holds of its tokens; `None` where it does not bound them.
    pub left_tokens: Option<i64>,
    /// What edge locations hold.
    pub held_tokens: Option<u64>,
}

/// A request in one line.
#[derive(Debug, Serialize)]
pub struct Line<'a> {
    request: &'a str,
    arrived_at_ms: u64,
    tenant: &'a TenantName,
    model: Option<&'a ModelName>,
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
    cluster: Option<&'a ClusterName>,
    replica: Option<&'a ReplicaName>,
    reason: Option<&'static str>,
    failed_attempts: usize,
    waited_ms: Millis,
    first_token_ms: Option<Millis>,
    ended_ms: Option<Millis>,
}

impl DecisionRecord {
    /// A request has at most so many steps told; the last ones, since what is left out is in the middle of a long way down.
    pub const MOST_STEPS: usize = 48;
    /// And at most so many replicas as cells have weighed them, over all its steps.
    pub const MOST_REPLICAS: usize = 128;
    /// And what at most so many region hops have told.
    pub const MOST_TOLD: usize = 4;

    /// Of a request that has just been let in.
    pub fn new(
        id: &RequestId,
        arrived: Timestamp,
        route: &'static str,
        (tenant, priority): (TenantName, &'static str),
    ) -> Self {
        Self {
            request: id.as_str().to_owned(),
            arrived_at_ms: arrived.as_micros() / 1_000,
            route,
            tenant,
            priority,
            asked: None,
            prompt: None,
            counted_by: None,
            budgets: Vec::new(),
            steps: Vec::new(),
            steps_left_out: 0,
            outcome: None,
            status: None,
            error: None,
            responded_ms: None,
            ended_ms: None,
        }
    }

    /// It is over, so long after it arrived.
    pub fn on_ended(&mut self, after: Duration) {
        self.ended_ms = Some(Millis(after));
    }

    /// Whether the gateway or an engine has failed at it: a status of 500 or more, or an answer that broke off.
    pub fn has_failed(&self) -> bool {
        let broke_off = |step: &Step| matches!(step.what, What::BrokeOff(_));
        self.status.is_some_and(|status| status >= 500) || self.steps.iter().any(broke_off)
    }

    /// Where it went last, or was sent.
    pub fn cluster(&self) -> Option<&ClusterName> {
        self.place().map(|(cluster, _)| cluster)
    }

    /// Where it was answered, or tried last; nowhere where the canned answer was given.
    fn place(&self) -> Option<(&ClusterName, Option<&ReplicaName>)> {
        if self.steps.iter().any(|step| matches!(step.what, What::Canned { .. })) {
            return None;
        }
        self.steps.iter().rev().find_map(|step| {
            if let What::Permitted { cluster, replica, .. } = &step.what {
                Some((cluster, Some(replica)))
            } else if let What::Region { cluster, .. } = &step.what {
                Some((cluster, None))
            } else {
                None
            }
        })
    }

    /// In one line.
    pub fn line(&self) -> Line<'_> {
        let place = self.place();
        let mut line = Line {
            request: &self.request,
            arrived_at_ms: self.arrived_at_ms,
            tenant: &self.tenant,
            model: self.asked.as_ref().map(|asked| &asked.model),
            status: self.status,
            error: self.error,
            cluster: place.map(|(cluster, _)| cluster),
            replica: place.and_then(|(_, replica)| replica),
            reason: None,
            failed_attempts: 0,
            waited_ms: Millis::default(),
            first_token_ms: None,
            ended_ms: self.ended_ms,
        };
        for Step { at_ms, what } in &self.steps {
            match what {
                What::Permitted { reason, .. } => line.reason = *reason,
                What::Waited { ms, .. } => line.waited_ms.0 += ms.0,
                What::Failed(failed) => line.failed_attempts += usize::from(failed.replica.is_some()),
                What::FirstToken { .. } | What::WholeAnswer { .. } => line.first_token_ms = Some(*at_ms),
                What::Reserved { .. }
                | What::BudgetRefused { .. }
                | What::Ranked(_)
                | What::Version { .. }
                | What::FellBack { .. }
                | What::Weighed(_)
                | What::Queued { .. }
                | What::Region { .. }
                | What::Found { .. }
                | What::BrokeOff(_)
                | What::Detected { .. }
                | What::Used { .. }
                | What::Cached { .. }
                | What::Canned { .. }
                | What::CannedWithheld { .. }
                | What::Maintenance { .. } => {}
            }
        }
        line
    }

    /// About how much memory it takes, in bytes.
    pub fn weight(&self) -> usize {
        let of_step = |step: &Step| {
            if let What::Ranked(ranked) = &step.what {
                ranked.clusters.len() * CLUSTER_BYTES
            } else if let What::Weighed(weighed) = &step.what {
                weighed.replicas.len() * REPLICA_BYTES
            } else if let What::Region { record: Some(_), .. } = &step.what {
                // What is read of a header takes about three times what it was as text.
                3 * super::cut::HEADER_BYTES
            } else {
                0
            }
        };
        let steps: usize = self.steps.iter().map(of_step).sum();
        size_of::<Self>() + self.request.len() + self.steps.capacity() * size_of::<Step>() + steps
    }
}

/// What a ranked cluster takes in memory.
const CLUSTER_BYTES: usize = 128;
/// What a weighed replica does.
const REPLICA_BYTES: usize = 320;
