//! What is counted about waiting at clusters: waits of requests here by how they ended, and what waits everywhere.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::by_labels::ByLabels;
use super::labels::ClusterLabels;
use crate::cluster::QueueStatus;
use crate::ids::ClusterName;

/// The part of the metrics that is about waiting.
#[derive(Debug)]
pub(super) struct QueueMetrics {
    waits: ByLabels<WaitLabels, Histogram>,
    requests: Family<ClusterLabels, Gauge>,
    oldest: Family<ClusterLabels, Gauge<f64, AtomicU64>>,
    expected: Family<ClusterLabels, Gauge<f64, AtomicU64>>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct WaitLabels {
    cluster: ClusterName,
    ended: &'static str,
}

impl Default for QueueMetrics {
    fn default() -> Self {
        Self {
            waits: ByLabels::new(|| Histogram::new(WAIT_BUCKETS_S)),
            requests: Family::default(),
            oldest: Family::default(),
            expected: Family::default(),
        }
    }
}

impl QueueMetrics {
    /// `named` has what cells are asked for.
    pub fn register(&self, r: &mut Registry, named: &mut Registry) {
        r.register(
            "queue_wait_seconds",
            "Waits for room at a cluster, by how they ended",
            self.waits.family(),
        );
        named.register(
            "queue_requests",
            "Requests that wait for room at a cluster, over all locations",
            self.requests.clone(),
        );
        named.register(
            "queue_oldest_seconds",
            "For how long the request has waited at a cluster that came first, over all locations",
            self.oldest.clone(),
        );
        named.register(
            "queue_expected_wait_seconds",
            "How long a request would wait at a cluster that came now",
            self.expected.clone(),
        );
    }

    pub fn on_waited(&self, cluster: &ClusterName, ended: &'static str, after: Duration) {
        let cluster = cluster.clone();
        let labels = WaitLabels { cluster, ended };
        self.waits
            .with(&labels, |histogram| histogram.observe(after.as_secs_f64()));
    }

    /// Fills the gauges with what the cells know, and with nothing else.
    pub fn fill(&self, queues: &[(ClusterName, QueueStatus)]) {
        self.requests.clear();
        self.oldest.clear();
        self.expected.clear();
        for (cluster, status) in queues {
            let cluster = cluster.clone();
            let labels = ClusterLabels { cluster };
            let expected = if status.requests == 0 {
                Duration::ZERO
            } else {
                status.expected
            };
            self.requests.get_or_create(&labels).set(status.requests.into());
            self.oldest.get_or_create(&labels).set(status.oldest.as_secs_f64());
            self.expected.get_or_create(&labels).set(expected.as_secs_f64());
        }
    }
}

/// From a place that becomes free at once to the longest wait that anybody configures who serves people.
const WAIT_BUCKETS_S: [f64; 11] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
