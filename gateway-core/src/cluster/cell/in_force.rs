//! Which policy is in force, of those that a cell is asked under while configurations change: the newest that it was told,
//! or another once newcomers have named no other for a while, as after a configuration was taken back. Whoever asks under
//! another one is sent where both have replicas, and no further than the one in force lets. So a cell does not fill a replica
//! by one policy and empty it by the next, and those that wait do so under the policy that newcomers have.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ClusterCell;
use super::policies::KnownPolicy;
use crate::cluster::message::Acquire;
use crate::cluster::policy::{ClusterPolicy, PolicyDigest};
use crate::time::Timestamp;

/// The policy in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct InForce {
    digest: Option<PolicyDigest>,
    /// When a newcomer named it last.
    named: Timestamp,
}

impl InForce {
    /// The cell was told that policy, which it did not know.
    pub fn on_told(&mut self, now: Timestamp, digest: PolicyDigest) {
        (self.digest, self.named) = (Some(digest), now);
    }

    fn on_newcomer(&mut self, now: Timestamp, digest: PolicyDigest) {
        if self.digest == Some(digest) || now.since(self.named) >= UNNAMED_FOR {
            self.on_told(now, digest);
        }
    }
}

impl ClusterCell {
    /// The policy in force, where the cell knows any.
    pub(super) fn in_force(&self) -> Option<&Arc<KnownPolicy>> {
        let digest = self.in_force.digest?;
        self.policies.get(digest)
    }

    /// Under which policy one asks that names another or the same.
    pub(super) fn ask_under(&mut self, now: Timestamp, acquire: &Acquire, named: Arc<KnownPolicy>) -> Arc<KnownPolicy> {
        if self.queue.get(acquire.permit).is_none() {
            self.in_force.on_newcomer(now, named.digest());
        }
        self.bound(named)
    }

    /// What one policy lets of what is in force.
    pub(super) fn bound(&self, named: Arc<KnownPolicy>) -> Arc<KnownPolicy> {
        let Some(in_force) = self.in_force().filter(|in_force| in_force.digest() != named.digest()) else {
            return named;
        };
        let is_left = |name| in_force.policy.replicas.contains(name);
        let both = named.policy.replicas.iter().zip(&named.sites);
        let both: Vec<_> = both.filter(|(name, _)| is_left(name)).collect();
        if both.is_empty() {
            // It is another cluster by now, and the old one is all that who asks knows.
            return named;
        }
        let policy = ClusterPolicy {
            replicas: both.iter().map(|(name, _)| (*name).clone()).collect(),
            ..(*in_force.policy).clone()
        };
        let sites = both.iter().map(|(_, site)| **site).collect();
        Arc::new(named.with(policy, sites))
    }
}

/// Longer than newcomers stay away from a cluster that is used, and shorter than an operator waits who takes a
/// configuration back.
const UNNAMED_FOR: Duration = Duration::from_secs(10);
