//! What is measured of clusters, over all gateways, for who scales them, and what is advised.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::labels::ClusterLabels;
use crate::cluster::{Figures, Scale};
use crate::ids::ClusterName;

/// The part of the metrics that is about scaling.
#[derive(Debug, Default)]
pub(super) struct ScaleMetrics {
    desired: Family<ClusterLabels, Gauge>,
    replicas: Family<StandingLabels, Gauge>,
    ttft: Family<ClusterLabels, Gauge<f64, AtomicU64>>,
    tokens: Family<ClusterLabels, Gauge>,
    arrival: Family<ClusterLabels, Gauge<f64, AtomicU64>>,
    expected: Family<ClusterLabels, Gauge<f64, AtomicU64>>,
    batch: Family<ClusterLabels, Gauge<f64, AtomicU64>>,
    kv_cache: Family<ClusterLabels, Gauge<f64, AtomicU64>>,
    cold_start: Family<ClusterLabels, Gauge<f64, AtomicU64>>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct StandingLabels {
    cluster: ClusterName,
    standing: &'static str,
}

impl ScaleMetrics {
    /// `named` has what cells are asked for.
    pub fn register(&self, named: &mut Registry) {
        let mut gauge = |name, help, gauge: &Family<ClusterLabels, Gauge<f64, AtomicU64>>| {
            named.register(name, help, gauge.clone());
        };
        gauge(
            "cluster_ttft_p95_seconds",
            "Time to first token that 95% of streams of the last minute had at most, give or take 2%; none without streams",
            &self.ttft,
        );
        gauge(
            "cluster_arrival_tokens_per_second",
            "Tokens of prompts and expected answers that come",
            &self.arrival,
        );
        gauge(
            "cluster_expected_arrival_tokens_per_second",
            "The same as is expected once a replica is there that is started now",
            &self.expected,
        );
        gauge(
            "cluster_batch_fullness_ratio",
            "Share of the places of replicas that serve which is taken",
            &self.batch,
        );
        gauge(
            "cluster_kv_cache_usage_ratio",
            "Share of the kv_cache of replicas that serve which is taken",
            &self.kv_cache,
        );
        gauge(
            "cluster_cold_start_seconds",
            "From the advice of a replica to its first sign, as measured, or else as configured",
            &self.cold_start,
        );
        named.register(
            "cluster_desired_replicas",
            "How many replicas a cluster should have",
            self.desired.clone(),
        );
        named.register(
            "cluster_replicas",
            "Configured replicas of a cluster by how they stand",
            self.replicas.clone(),
        );
        named.register(
            "cluster_in_flight_tokens",
            "Tokens of prompts and expected answers in flight",
            self.tokens.clone(),
        );
    }

    /// Fills the gauges with what the cells know, and with nothing else.
    pub fn fill(&self, clusters: &[(ClusterName, Scale)]) {
        for gauge in [
            &self.ttft,
            &self.arrival,
            &self.expected,
            &self.batch,
            &self.kv_cache,
            &self.cold_start,
        ] {
            gauge.clear();
        }
        self.desired.clear();
        self.tokens.clear();
        self.replicas.clear();
        for (cluster, scale) in clusters {
            self.fill_one(cluster, scale);
        }
    }

    fn fill_one(&self, cluster: &ClusterName, scale: &Scale) {
        let labels = ClusterLabels {
            cluster: cluster.clone(),
        };
        let Scale { advice, figures } = scale;
        let Figures { replicas, .. } = figures;
        self.desired.get_or_create(&labels).set(advice.desired.into());
        let tokens = i64::try_from(figures.running_tokens.0).unwrap_or(i64::MAX);
        self.tokens.get_or_create(&labels).set(tokens);
        for (gauge, value) in [
            (&self.ttft, figures.ttft_p95.map(|ttft| ttft.as_secs_f64())),
            (&self.arrival, Some(figures.arrival.tokens_per_s)),
            (&self.expected, Some(figures.arrival_ahead.tokens_per_s)),
            (&self.batch, Some(figures.batch_fullness)),
            (&self.kv_cache, Some(figures.kv_cache_usage)),
            (&self.cold_start, Some(figures.cold_start.as_secs_f64())),
        ] {
            if let Some(value) = value {
                gauge.get_or_create(&labels).set(value);
            }
        }
        for (standing, count) in [
            ("serving", replicas.serving),
            ("loading", replicas.loading),
            ("draining", replicas.draining),
            ("ill", replicas.ill),
            ("standby", replicas.standby),
            ("unknown", replicas.unknown),
        ] {
            let cluster = cluster.clone();
            let labels = StandingLabels { cluster, standing };
            self.replicas.get_or_create(&labels).set(count.into());
        }
    }
}
