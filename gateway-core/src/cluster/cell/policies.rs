//! The policies that a cluster's cell knows by their digests.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::cluster::policy::{ClusterPolicy, PolicyDigest, PolicyRef};

/// The latest few policies that were told whole, the newest last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(in crate::cluster) struct Policies(Vec<(PolicyDigest, Arc<ClusterPolicy>)>);

impl Policies {
    /// The policy that a command names. One that is told whole is known from now on, and the oldest one is forgotten
    /// where there are too many; `None` is one that is not known.
    pub fn resolve(&mut self, policy: &PolicyRef) -> Option<Arc<ClusterPolicy>> {
        match policy {
            PolicyRef::Digest(digest) => {
                let known = self.0.iter().find(|(known, _)| known == digest);
                known.map(|(_, policy)| Arc::clone(policy))
            }
            PolicyRef::Whole(policy) => {
                if !self.0.iter().any(|(_, known)| known == policy) {
                    if self.0.len() == MOST_POLICIES {
                        self.0.remove(0);
                    }
                    self.0.push((policy.digest(), Arc::clone(policy)));
                }
                Some(Arc::clone(policy))
            }
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
