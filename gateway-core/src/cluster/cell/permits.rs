//! The permits that are held in a cluster: what each replica holds is the sum over them. Permits that nobody renews
//! expire.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cluster::permit::{Capacity, HeldPermit, PermitId};
use crate::ids::ReplicaName;
use crate::time::Timestamp;

/// All permits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct PermitTable {
    permits: BTreeMap<PermitId, Permit>,
    /// What each replica holds; those that hold nothing are left out.
    held: BTreeMap<ReplicaName, Capacity>,
    /// No permit expires before this moment.
    sweep_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Permit {
    pub replica: ReplicaName,
    pub capacity: Capacity,
    pub expires: Timestamp,
    /// Since when it is held. Of a version that does not tell, it has always been.
    #[serde(default)]
    pub since: Timestamp,
}

impl PermitTable {
    /// These permits, of which none expires before that moment.
    pub fn new(permits: BTreeMap<PermitId, Permit>, sweep_at: Timestamp) -> Self {
        let held = sums(&permits);
        Self {
            permits,
            held,
            sweep_at,
        }
    }

    /// All permits, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = (PermitId, &Permit)> {
        self.permits.iter().map(|(id, permit)| (*id, permit))
    }

    /// No permit expires before this moment.
    pub fn sweep_at(&self) -> Timestamp {
        self.sweep_at
    }

    /// Where that permit is held.
    pub fn replica(&self, permit: PermitId) -> Option<&ReplicaName> {
        self.permits.get(&permit).map(|permit| &permit.replica)
    }

    /// What a replica holds.
    pub fn held(&self, replica: &ReplicaName) -> Capacity {
        self.held.get(replica).copied().unwrap_or_default()
    }

    /// What every replica holds that holds anything, in order.
    pub fn held_by_replica(&self) -> impl Iterator<Item = (&ReplicaName, &Capacity)> {
        self.held.iter()
    }

    /// Every replica that holds anything, in order.
    pub fn replicas(&self) -> impl Iterator<Item = &ReplicaName> {
        self.held.keys()
    }

    /// Holds a permit for that long. One that is known may have become less, never more.
    pub fn hold(&mut self, now: Timestamp, held: HeldPermit, ttl: Duration) {
        let expires = now + ttl;
        self.sweep_at = if self.permits.is_empty() {
            expires
        } else {
            self.sweep_at.min(expires)
        };
        if let Some(permit) = self.permits.get_mut(&held.permit) {
            permit.expires = expires;
            self.shrink(held.permit, held.capacity);
            return;
        }
        let at_replica = self.held.entry(held.replica.clone()).or_default();
        *at_replica = *at_replica + held.capacity;
        let permit = Permit {
            replica: held.replica,
            capacity: held.capacity,
            expires,
            since: now,
        };
        self.permits.insert(held.permit, permit);
    }

    /// Gives back what the permit has more than `left`, and tells at which replica that is.
    pub fn shrink(&mut self, permit: PermitId, left: Capacity) -> Option<ReplicaName> {
        let permit = self.permits.get_mut(&permit)?;
        let less = permit.capacity.without(left);
        permit.capacity = permit.capacity.without(less);
        let replica = permit.replica.clone();
        self.give_back(&replica, less);
        Some(replica)
    }

    /// Ends the permit, and tells at which replica it was.
    pub fn free(&mut self, permit: PermitId) -> Option<ReplicaName> {
        let Permit { replica, capacity, .. } = self.permits.remove(&permit)?;
        self.give_back(&replica, capacity);
        Some(replica)
    }

    /// Ends the permits that nobody renewed, and tells which they are and where they were.
    pub fn sweep(&mut self, now: Timestamp) -> Vec<(PermitId, ReplicaName)> {
        if now <= self.sweep_at {
            return Vec::new();
        }
        let expired = self.permits.iter().filter(|(_, permit)| permit.expires < now);
        let expired: Vec<_> = expired.map(|(id, _)| *id).collect();
        let freed = expired.into_iter().filter_map(|id| Some((id, self.free(id)?)));
        let freed = freed.collect();
        let expiries = self.permits.values().map(|permit| permit.expires);
        self.sweep_at = expiries.min().unwrap_or_default();
        freed
    }

    /// What must hold after every command: each replica's figures are the sums over its permits, and no permit expires
    /// before the next sweep.
    ///
    /// # Errors
    /// What is broken.
    pub fn check_invariants(&self) -> Result<(), String> {
        if let Some((id, _)) = self.permits.iter().find(|(_, permit)| permit.expires < self.sweep_at) {
            return Err(format!("{id:?} expires before the next sweep"));
        }
        let sums = sums(&self.permits);
        if sums == self.held {
            Ok(())
        } else {
            Err(format!("replicas hold {:?}, but permits sum to {sums:?}", self.held))
        }
    }

    fn give_back(&mut self, replica: &ReplicaName, less: Capacity) {
        let Some(held) = self.held.get_mut(replica) else { return };
        *held = held.without(less);
        if *held == Capacity::default() {
            self.held.remove(replica);
        }
    }
}

/// What each replica holds under these permits; those that hold nothing are left out.
fn sums(permits: &BTreeMap<PermitId, Permit>) -> BTreeMap<ReplicaName, Capacity> {
    let mut sums: BTreeMap<ReplicaName, Capacity> = BTreeMap::new();
    for permit in permits.values() {
        let sum = sums.entry(permit.replica.clone()).or_default();
        *sum = *sum + permit.capacity;
    }
    sums.retain(|_, sum| *sum != Capacity::default());
    sums
}
