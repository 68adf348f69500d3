//! What is counted about clusters: permits that requests here took and gave back, and how replicas stand everywhere.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::by_labels::ByLabels;
use super::labels::{ClusterLabels, ReplicaLabels};
use crate::cluster::{Outcome, ReplicaStatus};
use crate::ids::ClusterName;

/// The part of the metrics that is about clusters.
#[derive(Debug, Default)]
pub(super) struct ClusterMetrics {
    taken: ByLabels<TakenLabels>,
    released: ByLabels<ReleaseLabels>,
    in_flight: Family<ReplicaLabels, Gauge>,
    kv_tokens: Family<ReplicaLabels, Gauge>,
    available: Family<ReplicaLabels, Gauge>,
    draining: Family<ReplicaLabels, Gauge>,
    degraded: Family<ClusterLabels, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct TakenLabels {
    cluster: ClusterName,
    from: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct ReleaseLabels {
    cluster: ClusterName,
    outcome: &'static str,
}

impl ClusterMetrics {
    /// `named` has what tells replicas' names.
    pub fn register(&self, r: &mut Registry, named: &mut Registry) {
        r.register(
            "permits_taken",
            "Permits by whether they were kept here or asked of the cluster's cell",
            self.taken.family(),
        );
        r.register(
            "permits_released",
            "Permits by how their requests ended",
            self.released.family(),
        );
        named.register(
            "cluster_in_flight",
            "Requests in flight at a replica, and permits kept for the next, over all locations",
            self.in_flight.clone(),
        );
        named.register(
            "cluster_kv_tokens",
            "kv_cache held at a replica, over all locations",
            self.kv_tokens.clone(),
        );
        named.register(
            "cluster_available",
            "1 where the breaker of a replica lets requests pass",
            self.available.clone(),
        );
        named.register(
            "cluster_draining",
            "1 where an operator has a replica drain",
            self.draining.clone(),
        );
        named.register(
            "cluster_degraded",
            "1 where all replicas of a cluster are out, so that one request at a time tries the least bad one",
            self.degraded.clone(),
        );
    }

    pub fn on_permitted(&self, cluster: &ClusterName, is_kept: bool) {
        let from = if is_kept { "kept" } else { "cell" };
        let cluster = cluster.clone();
        self.taken.add(&TakenLabels { cluster, from }, 1);
    }

    pub fn on_released(&self, cluster: &ClusterName, outcome: Outcome) {
        let outcome = match outcome {
            Outcome::Served => "served",
            Outcome::Failed => "failed",
            Outcome::Unknown => "unknown",
        };
        let cluster = cluster.clone();
        self.released.add(&ReleaseLabels { cluster, outcome }, 1);
    }

    /// Fills the gauges with what the cells know, and with nothing else.
    pub fn fill(&self, clusters: &[(ClusterName, Vec<ReplicaStatus>)]) {
        for gauge in [&self.in_flight, &self.kv_tokens, &self.available, &self.draining] {
            gauge.clear();
        }
        self.degraded.clear();
        for (cluster, replicas) in clusters {
            if !replicas.is_empty() {
                let is_degraded = replicas.iter().all(|status| !status.available);
                let cluster = cluster.clone();
                self.degraded
                    .get_or_create(&ClusterLabels { cluster })
                    .set(is_degraded.into());
            }
            for status in replicas {
                let labels = ReplicaLabels {
                    cluster: cluster.clone(),
                    replica: status.replica.clone(),
                };
                let kv_tokens = i64::try_from(status.kv_tokens.0).unwrap_or(i64::MAX);
                self.in_flight.get_or_create(&labels).set(status.running.into());
                self.kv_tokens.get_or_create(&labels).set(kv_tokens);
                self.available.get_or_create(&labels).set(status.available.into());
                self.draining.get_or_create(&labels).set(status.drain.is_some().into());
            }
        }
    }
}
