//! The checker of a fleet: what engines run, which they tell, beside what the cell and the locations know.

use std::collections::BTreeMap;

use tidegate_core::cluster::{Capacity, ReplicaStatus};
use tidegate_core::ids::{ReplicaName, Tokens};
use tidegate_core::time::Timestamp;

use crate::config::{ROOM, replicas};

/// What is known of a fleet.
pub struct Audit {
    seed: u64,
    running: BTreeMap<ReplicaName, Capacity>,
}

impl Audit {
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            running: BTreeMap::new(),
        }
    }

    /// A replica begins to work on a request.
    pub fn on_begun(&mut self, replica: &ReplicaName, takes: Capacity) {
        let running = self.running.entry(replica.clone()).or_default();
        *running = *running + takes;
    }

    /// A request is over, or was dropped.
    pub fn on_ended(&mut self, replica: &ReplicaName, takes: Capacity) {
        let running = self.running.entry(replica.clone()).or_default();
        *running = running.without(takes);
    }

    /// Everything that happens at this moment has happened. `idle` is what locations keep of a replica for requests to
    /// come.
    pub fn check(&self, now: Timestamp, known: &[ReplicaStatus], idle: impl Fn(&ReplicaName) -> Capacity) {
        let seed = self.seed;
        for replica in replicas() {
            let running = self.running(&replica);
            let held = running + idle(&replica);
            let known = known_of(known, &replica);
            assert!(ROOM.holds(running), "seed {seed}, {now:?}, {replica}: {running:?} run");
            assert!(
                known.holds(held),
                "seed {seed}, {now:?}, {replica}: the cell knows of {known:?}, held are {held:?}"
            );
        }
    }

    /// Everything has ended, and what was lost on the way has expired.
    pub fn check_free(&self, known: &[ReplicaStatus], idle: impl Fn(&ReplicaName) -> Capacity) {
        for replica in replicas() {
            let left = [self.running(&replica), idle(&replica), known_of(known, &replica)];
            assert_eq!(left, [Capacity::default(); 3], "seed {}, {replica}", self.seed);
        }
    }

    fn running(&self, replica: &ReplicaName) -> Capacity {
        self.running.get(replica).copied().unwrap_or_default()
    }
}

fn known_of(known: &[ReplicaStatus], replica: &ReplicaName) -> Capacity {
    let status = known.iter().find(|status| status.replica == *replica);
    status.map_or(Capacity::default(), |status| Capacity {
        requests: status.running,
        kv_tokens: Tokens(status.kv_tokens.0),
    })
}
