//! When this process, isolate or instance next asks whether it is its turn to ask a cluster's engines.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ids::ClusterName;
use crate::time::Timestamp;

/// By cluster, the moment before which it asks no more. Their number is that of the configuration's clusters.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct Polls(BTreeMap<ClusterName, Timestamp>);

impl Polls {
    /// Whether to ask now; then nobody else here does for that long.
    pub fn may_ask(&mut self, now: Timestamp, cluster: &ClusterName, every: Duration) -> bool {
        let may_ask = self.0.get(cluster).is_none_or(|not_before| *not_before <= now);
        if may_ask {
            self.put_off(cluster, now + every);
        }
        may_ask
    }

    /// It pays to ask at that moment, and not before.
    pub fn put_off(&mut self, cluster: &ClusterName, not_before: Timestamp) {
        self.0.insert(cluster.clone(), not_before);
    }
}
