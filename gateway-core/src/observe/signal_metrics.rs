//! What is counted about what engines say of themselves: what of it was not believed here, and what clusters' cells know.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::by_labels::ByLabels;
use super::ignored_signal::IgnoredSignal;
use super::labels::ReplicaLabels;
use crate::cluster::{KvUsed, ReplicaStatus, Signal};
use crate::ids::ClusterName;

/// The part of the metrics that is about signals.
#[derive(Debug, Default)]
pub(super) struct SignalMetrics {
    ignored: ByLabels<IgnoredLabels>,
    age: Family<ReplicaLabels, Gauge<f64, AtomicU64>>,
    running: Family<ReplicaLabels, Gauge>,
    waiting: Family<ReplicaLabels, Gauge>,
    kv_usage: Family<ReplicaLabels, Gauge<f64, AtomicU64>>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct IgnoredLabels {
    cluster: ClusterName,
    reason: &'static str,
}

impl SignalMetrics {
    /// `named` has what tells replicas' names.
    pub fn register(&self, r: &mut Registry, named: &mut Registry) {
        r.register(
            "signals_ignored",
            "Pages of engines, and figures on them, that were not believed, by why",
            self.ignored.family(),
        );
        named.register(
            "signals_age_seconds",
            "Time since an engine was asked that has answered, by whichever gateway",
            self.age.clone(),
        );
        named.register(
            "engine_running",
            "Requests that an engine says it computes; none while that is stale",
            self.running.clone(),
        );
        named.register(
            "engine_waiting",
            "Requests that an engine says wait inside of it; none while that is stale",
            self.waiting.clone(),
        );
        named.register(
            "engine_kv_cache_usage_ratio",
            "Share of its kv_cache that an engine says is taken; none while that is stale",
            self.kv_usage.clone(),
        );
    }

    pub fn on_ignored(&self, ignored: &IgnoredSignal<'_>) {
        let labels = IgnoredLabels {
            cluster: ignored.cluster.clone(),
            reason: ignored.reason.label(),
        };
        self.ignored.add(&labels, 1);
    }

    /// Fills the gauges with what the cells know, and with nothing else.
    pub fn fill(&self, clusters: &[(ClusterName, Vec<ReplicaStatus>)]) {
        self.age.clear();
        self.running.clear();
        self.waiting.clear();
        self.kv_usage.clear();
        for (cluster, replicas) in clusters {
            let heard = replicas.iter().filter_map(|status| Some((status, status.signal?)));
            for (ReplicaStatus { replica, .. }, signal) in heard {
                let (cluster, replica) = (cluster.clone(), replica.clone());
                self.fill_one(&ReplicaLabels { cluster, replica }, signal);
            }
        }
    }

    fn fill_one(&self, labels: &ReplicaLabels, signal: Signal) {
        self.age.get_or_create(labels).set(signal.age.as_secs_f64());
        if signal.is_fresh {
            self.running.get_or_create(labels).set(signal.figures.running.into());
            self.waiting.get_or_create(labels).set(signal.figures.waiting.into());
            if let Some(kv_used) = signal.figures.kv_used.map(KvUsed::share) {
                self.kv_usage.get_or_create(labels).set(kv_used);
            }
        }
    }
}
