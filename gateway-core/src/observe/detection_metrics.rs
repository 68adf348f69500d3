//! What is counted about detectors: what they found here, and which replicas clusters' cells leave alone because of it.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::by_labels::ByLabels;
use super::detecting::Detecting;
use super::labels::ReplicaLabels;
use crate::cluster::ReplicaStatus;
use crate::ids::{ClusterName, ModelName};

/// The part of the metrics that is about detectors.
#[derive(Debug, Default)]
pub(super) struct DetectionMetrics {
    detected: ByLabels<DetectedLabels>,
    answers: Family<ReplicaLabels, Gauge>,
    faulty: Family<ReplicaLabels, Gauge>,
    left_alone: Family<ReplicaLabels, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct DetectedLabels {
    cluster: ClusterName,
    model: ModelName,
    detector: &'static str,
    action: &'static str,
}

impl DetectionMetrics {
    /// `named` has what the cells tell.
    pub fn register(&self, r: &mut Registry, named: &mut Registry) {
        r.register(
            "detected",
            "What detectors found in answers, by what followed",
            self.detected.family(),
        );
        named.register(
            "watched_answers",
            "Answers of a replica that detectors watched in the present window, over all locations",
            self.answers.clone(),
        );
        named.register(
            "watched_faulty_answers",
            "Those of them in which something was found",
            self.faulty.clone(),
        );
        named.register(
            "watched_left_alone",
            "1 where a replica is left alone because its answers are faulty far more often than others'",
            self.left_alone.clone(),
        );
    }

    pub fn on(&self, event: &Detecting<'_>) {
        match event {
            Detecting::Found {
                cluster,
                model,
                finding,
                action,
                replica: _,
            } => {
                let labels = DetectedLabels {
                    cluster: (*cluster).clone(),
                    model: (*model).clone(),
                    detector: finding.detector.name(),
                    action: action.name(),
                };
                self.detected.add(&labels, 1);
            }
        }
    }

    /// Fills the gauges with what the cells tell, and with nothing else.
    pub fn fill(&self, clusters: &[(ClusterName, Vec<ReplicaStatus>)]) {
        for gauge in [&self.answers, &self.faulty, &self.left_alone] {
            gauge.clear();
        }
        let figure = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        for (cluster, replicas) in clusters {
            let watched = replicas
                .iter()
                .filter_map(|status| Some((&status.replica, status.watched?)));
            for (replica, watched) in watched {
                let labels = ReplicaLabels {
                    cluster: cluster.clone(),
                    replica: replica.clone(),
                };
                self.answers.get_or_create(&labels).set(figure(watched.answers));
                self.faulty.get_or_create(&labels).set(figure(watched.faulty));
                let is_left_alone = watched.left_alone_for.is_some();
                self.left_alone.get_or_create(&labels).set(is_left_alone.into());
            }
        }
    }
}
