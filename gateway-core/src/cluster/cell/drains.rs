//! The replicas that drain. It decides nothing but when one is forgotten that has left the configuration; who places
//! requests passes them over. They are all of a cluster's cell that outlives a restart.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ClusterCell;
use crate::cluster::drain::{DrainOrder, DrainSet, DrainStatus, SetDrain};
use crate::cluster::message::{ClusterReply, Evidence};
use crate::ids::ReplicaName;
use crate::time::Timestamp;

/// All of them, by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Drains(BTreeMap<ReplicaName, Drain>);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Drain {
    since: Timestamp,
    deadline: Timestamp,
    /// What ran there when it began.
    running: u32,
    #[serde(default)]
    reason: Option<String>,
}

impl Drains {
    /// Whether one drains.
    pub fn has(&self, replica: &ReplicaName) -> bool {
        self.0.contains_key(replica)
    }

    /// Their names, in order.
    pub fn names(&self) -> impl Iterator<Item = &ReplicaName> {
        self.0.keys()
    }

    /// Whether none drains.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One begins, or goes on with another deadline, or drains no more. Those that `is_gone` are forgotten.
    fn set(&mut self, now: Timestamp, set: SetDrain, running: u32, is_gone: impl Fn(&ReplicaName) -> bool) {
        self.0.retain(|replica, _| !is_gone(replica));
        let Some(DrainOrder { deadline, reason }) = set.order else {
            self.0.remove(&set.replica);
            return;
        };
        let before = self.0.remove(&set.replica);
        let (since, running) = before.map_or((now, running), |before| (before.since, before.running));
        let deadline = now + deadline;
        let drain = Drain {
            since,
            deadline,
            running,
            reason,
        };
        self.0.insert(set.replica, drain);
    }

    fn status(
        &self,
        now: Timestamp,
        replica: &ReplicaName,
        (left, oldest): (u32, Option<Timestamp>),
    ) -> Option<DrainStatus> {
        let drain = self.0.get(replica)?;
        let since = now.since(drain.since);
        Some(DrainStatus {
            since,
            deadline_in: drain.deadline.since(now),
            oldest: oldest.map(|oldest| now.since(oldest)),
            ends_in: ends_in(since, drain.running, left),
            reason: drain.reason.clone(),
        })
    }
}

/// In how long those end that are left, at the pace at which others did.
fn ends_in(since: Duration, before: u32, left: u32) -> Option<Duration> {
    if left == 0 {
        return Some(Duration::ZERO);
    }
    let ended = before.saturating_sub(left);
    (ended > 0).then(|| since.mul_f64(f64::from(left) / f64::from(ended)))
}

impl ClusterCell {
    /// Whether a request may be sent there now, if there is room.
    pub(super) fn takes(&self, now: Timestamp, replica: &ReplicaName) -> bool {
        self.replicas.passes(now, replica) && !self.drains.has(replica)
    }

    /// An operator has a replica drain, or be as others again. One that begins is not waited for where prompts are warm:
    /// what it has of them is forgotten.
    pub(super) fn set_drain(&mut self, now: Timestamp, set: SetDrain) -> ClusterReply {
        let replica = set.replica.clone();
        let before = self.drain_status(now, &replica);
        let begins = before.is_none() && set.order.is_some();
        let configured = self.policies.replicas();
        let permits = &self.permits;
        // A cell that has begun anew knows no policy yet.
        let is_gone = |name: &ReplicaName| {
            !configured.is_empty() && !configured.contains(name) && permits.held(name).requests == 0
        };
        self.drains.set(now, set, permits.held(&replica).requests, is_gone);
        if begins {
            self.on_forgotten(now, &replica, &Evidence::Unreachable);
        }
        ClusterReply::DrainSet(Box::new(DrainSet {
            before,
            status: self.status_of(now, &replica),
        }))
    }

    /// How a replica drains; `None` where it does not.
    pub(super) fn drain_status(&self, now: Timestamp, replica: &ReplicaName) -> Option<DrainStatus> {
        let held = self.permits.held(replica).requests;
        // Permits that hold no requests any more have only to be told of.
        let permits = self.permits.iter().map(|(_, permit)| permit);
        let there = permits.filter(|permit| permit.replica == *replica && permit.capacity.requests > 0);
        let known = there.map(|permit| permit.since);
        let oldest = known.filter(|since| *since > Timestamp::default()).min();
        self.drains.status(now, replica, (held, oldest))
    }

    /// Nothing but what has to outlive a restart.
    #[must_use]
    pub fn lasting(&self) -> Self {
        Self {
            drains: self.drains.clone(),
            ..Self::default()
        }
    }
}
