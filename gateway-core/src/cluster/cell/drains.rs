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

/// All of them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Drains {
    by_name: BTreeMap<ReplicaName, Drain>,
    /// Since when permits are counted at the latest; `None` in a cell that has not been asked since it began.
    counted_since: Option<Timestamp>,
}

/// Where none drains, it is not written down since when permits are counted: who begins with that takes it for later.
impl PartialEq for Drains {
    fn eq(&self, other: &Self) -> bool {
        self.by_name == other.by_name
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Drain {
    since: Timestamp,
    deadline: Timestamp,
    /// What ran there when it began.
    running: u32,
    reason: Option<String>,
    ttl: Duration,
}

impl Drains {
    /// Whether one drains.
    pub fn has(&self, replica: &ReplicaName) -> bool {
        self.by_name.contains_key(replica)
    }

    /// Their names, in order.
    pub fn names(&self) -> impl Iterator<Item = &ReplicaName> {
        self.by_name.keys()
    }

    /// Whether none drains.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// The cell is asked something. One that begins counts from now on.
    pub fn on_asked(&mut self, now: Timestamp) {
        self.counted_since.get_or_insert(now);
    }

    /// The same as they are written down for a cell that begins anew.
    fn uncounted(&self) -> Self {
        Self {
            by_name: self.by_name.clone(),
            counted_since: None,
        }
    }

    /// One begins, or goes on with another deadline, or drains no more. Those that `is_gone` are forgotten.
    fn set(&mut self, now: Timestamp, set: SetDrain, running: u32, is_gone: impl Fn(&ReplicaName) -> bool) {
        self.by_name.retain(|replica, _| !is_gone(replica));
        let before = self.by_name.remove(&set.replica);
        let Some(DrainOrder { deadline, reason, ttl }) = set.order else {
            return;
        };
        let (since, running) = before.map_or((now, running), |before| (before.since, before.running));
        let deadline = now + deadline;
        let drain = Drain {
            since,
            deadline,
            running,
            reason,
            ttl,
        };
        self.by_name.insert(set.replica, drain);
    }

    fn status(
        &self,
        now: Timestamp,
        replica: &ReplicaName,
        (left, oldest): (u32, Option<Timestamp>),
    ) -> Option<DrainStatus> {
        let drain = self.by_name.get(replica)?;
        let since = now.since(drain.since);
        // Whoever ran there before the cell began has renewed its permit by then.
        let counted = now.since(self.counted_since.unwrap_or(now));
        Some(DrainStatus {
            is_done: left == 0 && counted > drain.ttl,
            since,
            deadline_in: drain.deadline.since(now),
            oldest: oldest.map(|oldest| now.since(oldest)),
            ends_in: if left == 0 {
                Some(drain.ttl.saturating_sub(counted))
            } else {
                ends_in(since, drain.running, left)
            },
            reason: drain.reason.clone(),
        })
    }
}

/// In how long those end that are left, at the pace at which others did.
fn ends_in(since: Duration, before: u32, left: u32) -> Option<Duration> {
    // Divided by none it is more than a duration holds.
    let ended = before.saturating_sub(left);
    let seconds = since.as_secs_f64() * f64::from(left) / f64::from(ended);
    Duration::try_from_secs_f64(seconds).ok()
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
            drains: self.drains.uncounted(),
            scaling: self.scaling.lasting(),
            ..Self::default()
        }
    }
}
