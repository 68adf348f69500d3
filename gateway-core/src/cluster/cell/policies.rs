//! The policies that a cluster's cell knows by their digests, and where their replicas stand among all that it knows.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::cluster::policy::{ClusterPolicy, PolicyDigest, PolicyRef};
use crate::ids::ReplicaName;

/// The latest few policies that were told whole, the newest last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(in crate::cluster) struct Policies(Vec<Arc<KnownPolicy>>);

/// A policy that was told whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::cluster) struct KnownPolicy {
    digest: PolicyDigest,
    pub policy: Arc<ClusterPolicy>,
    /// Where each of its replicas stands among all that the cell knows.
    #[serde(default)]
    pub sites: Vec<usize>,
}

impl KnownPolicy {
    /// What tells it from others.
    pub fn digest(&self) -> PolicyDigest {
        self.digest
    }

    /// Another one that goes by the same digest.
    pub fn with(&self, policy: ClusterPolicy, sites: Vec<usize>) -> Self {
        Self {
            digest: self.digest,
            policy: Arc::new(policy),
            sites,
        }
    }
}

impl Policies {
    /// The policy that a command names; `None` where it is not known.
    pub fn resolve(&self, policy: &PolicyRef) -> Option<Arc<KnownPolicy>> {
        let mut known = self.0.iter();
        let known = match policy {
            PolicyRef::Digest(digest) => known.find(|known| known.digest == *digest),
            PolicyRef::Whole(policy) => known.find(|known| known.policy == *policy),
        };
        known.map(Arc::clone)
    }

    /// One is known from now on, and the oldest one is forgotten where there are too many.
    pub fn add(&mut self, policy: &Arc<ClusterPolicy>) {
        if self.0.len() >= MOST_POLICIES {
            self.0.remove(0);
        }
        self.0.push(Arc::new(KnownPolicy {
            digest: policy.digest(),
            policy: Arc::clone(policy),
            sites: Vec::new(),
        }));
    }

    /// The one with that digest.
    pub fn get(&self, digest: PolicyDigest) -> Option<&Arc<KnownPolicy>> {
        self.0.iter().find(|known| known.digest == digest)
    }

    /// The replicas of all of them.
    pub fn replicas(&self) -> BTreeSet<ReplicaName> {
        self.0
            .iter()
            .flat_map(|known| &known.policy.replicas)
            .cloned()
            .collect()
    }

    /// Their replicas stand elsewhere now.
    pub fn find_sites(&mut self, site: impl Fn(&ReplicaName) -> Option<usize>) {
        for known in &mut self.0 {
            let known = Arc::make_mut(known);
            known.sites = known.policy.replicas.iter().filter_map(&site).collect();
        }
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Configurations that may be in force at one time, in processes that have and have not heard of the latest ones. More
/// cost each of them a second message now and then.
pub(super) const MOST_POLICIES: usize = 4;
