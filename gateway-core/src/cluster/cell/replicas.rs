//! What a cluster's cell knows of its replicas beside the permits that they hold: how they have served lately.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cluster::breaker::Breaker;
use crate::cluster::permit::PermitId;
use crate::ids::ReplicaName;
use crate::time::Timestamp;

/// All replicas; nothing is kept of those that have done no wrong.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Replicas {
    breakers: BTreeMap<ReplicaName, Breaker>,
}

impl Replicas {
    /// Replicas with these breakers.
    pub fn new(breakers: impl Iterator<Item = (ReplicaName, Breaker)>) -> Self {
        Self {
            breakers: breakers.filter(|(_, breaker)| *breaker != Breaker::default()).collect(),
        }
    }

    /// Whether a request may be sent there now.
    pub fn passes(&self, now: Timestamp, replica: &ReplicaName) -> bool {
        self.breaker(replica).passes(now)
    }

    /// Whether nothing is known to have failed there since it last served.
    pub fn is_well(&self, replica: &ReplicaName) -> bool {
        !self.breakers.contains_key(replica)
    }

    /// Whether that holds for all of them.
    pub fn are_all_well(&self) -> bool {
        self.breakers.is_empty()
    }

    /// How long until a request may be sent there, as far as that is known.
    pub fn recovery(&self, now: Timestamp, replica: &ReplicaName) -> Option<Duration> {
        self.breaker(replica).recovery(now)
    }

    /// A request is sent there.
    pub fn on_pass(&mut self, now: Timestamp, replica: &ReplicaName, permit: PermitId) {
        if let Some(breaker) = self.breakers.get_mut(replica) {
            breaker.on_pass(now, permit);
        }
    }

    /// A request was answered or ended there, or its permit expired.
    pub fn with_breaker(&mut self, replica: &ReplicaName, change: impl FnOnce(&mut Breaker)) {
        let mut breaker = self.breaker(replica);
        change(&mut breaker);
        if breaker == Breaker::default() {
            self.breakers.remove(replica);
        } else {
            self.breakers.insert(replica.clone(), breaker);
        }
    }

    /// Those of which something is known, in order.
    pub fn names(&self) -> impl Iterator<Item = &ReplicaName> {
        self.breakers.keys()
    }

    /// Its breaker.
    pub fn breaker(&self, replica: &ReplicaName) -> Breaker {
        self.breakers.get(replica).copied().unwrap_or_default()
    }
}
