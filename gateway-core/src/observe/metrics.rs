//! Counters and histograms, folded from events. They are figures of one process, isolate or instance; what cells
//! tell is exact and the same everywhere.

use std::fmt::Write;
use std::sync::Mutex;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::admin_change::AdminChange;
use super::budget_metrics::BudgetMetrics;
use super::by_labels::ByLabels;
use super::cache_metrics::CacheMetrics;
use super::canned_metrics::CannedMetrics;
use super::cluster_metrics::ClusterMetrics;
use super::counting_metrics::CountingMetrics;
use super::detection_metrics::DetectionMetrics;
use super::event::{Event, StoreAccess};
use super::labels::ServedLabels;
use super::prefix_metrics::PrefixMetrics;
use super::queue_metrics::QueueMetrics;
use super::rollout_metrics::RolloutMetrics;
use super::scale_metrics::ScaleMetrics;
use super::signal_metrics::SignalMetrics;
use crate::api::Usage;
use crate::budget::BudgetStatus;
use crate::cluster::{QueueStatus, ReplicaStatus, Scale};
use crate::ids::{BudgetId, ClusterName, ModelName};
use crate::ladder::AttemptError;
use crate::rollout::RolloutStatus;
use crate::tokens::Correction;

/// What cells know at the moment, for the metrics.
#[derive(Debug, Default)]
pub struct CellFigures {
    /// Of clusters' replicas.
    pub clusters: Vec<(ClusterName, Vec<ReplicaStatus>)>,
    /// Of what waits at clusters.
    pub queues: Vec<(ClusterName, QueueStatus)>,
    /// Of how many replicas clusters should have.
    pub scales: Vec<(ClusterName, Scale)>,
    /// Of the estimates of models that have no table.
    pub corrections: Vec<(ModelName, Correction)>,
    /// Of budgets.
    pub budgets: Vec<(BudgetId, BudgetStatus)>,
    /// Of models' rollouts.
    pub rollouts: Vec<(ModelName, RolloutStatus)>,
}

/// Everything that is counted.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// What tells the names of tenants, budgets and replicas.
    named: Registry,
    requests: ByLabels<RequestLabels>,
    attempts_failed: ByLabels<FailureLabels>,
    streams_failed: ByLabels<FailureLabels>,
    clusters: ClusterMetrics,
    queues: QueueMetrics,
    signals: SignalMetrics,
    scales: ScaleMetrics,
    tokens: ByLabels<TokenLabels>,
    counting: CountingMetrics,
    budgets: BudgetMetrics,
    prefixes: PrefixMetrics,
    caches: CacheMetrics,
    rollouts: RolloutMetrics,
    detection: DetectionMetrics,
    bodies_bytes: Gauge,
    bodies_refused: ByLabels<BoundLabels>,
    orders_refused: ByLabels<ReasonLabels>,
    canned: CannedMetrics,
    admin_changes: ByLabels<WhatLabels>,
    first_token: ByLabels<ServedLabels, Histogram>,
    first_token_expected: ByLabels<ServedLabels, Histogram>,
    first_token_ratio: ByLabels<ServedLabels, Histogram>,
    whole_answer: ByLabels<ServedLabels, Histogram>,
    config_refused: Gauge,
    store_failing: Family<AccessLabels, Gauge>,
    /// Gauges are filled and encoded under it, so that two scrapes do not mix.
    scrape: Mutex<()>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct FailureLabels {
    cluster: ClusterName,
    error: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct BoundLabels {
    bound: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct WhatLabels {
    what: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AccessLabels {
    access: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub(super) struct TokenLabels {
    pub model: ModelName,
    pub kind: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Everything at zero.
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("tidegate"),
            named: Registry::with_prefix("tidegate"),
            requests: ByLabels::default(),
            attempts_failed: ByLabels::default(),
            streams_failed: ByLabels::default(),
            clusters: ClusterMetrics::default(),
            queues: QueueMetrics::default(),
            signals: SignalMetrics::default(),
            scales: ScaleMetrics::default(),
            tokens: ByLabels::default(),
            counting: CountingMetrics::default(),
            budgets: BudgetMetrics::default(),
            prefixes: PrefixMetrics::default(),
            caches: CacheMetrics::default(),
            rollouts: RolloutMetrics::default(),
            detection: DetectionMetrics::default(),
            bodies_bytes: Gauge::default(),
            bodies_refused: ByLabels::default(),
            orders_refused: ByLabels::default(),
            canned: CannedMetrics::default(),
            admin_changes: ByLabels::default(),
            first_token: ByLabels::new(|| Histogram::new(FIRST_TOKEN_BUCKETS_S)),
            first_token_expected: ByLabels::new(|| Histogram::new(FIRST_TOKEN_BUCKETS_S)),
            first_token_ratio: ByLabels::new(|| Histogram::new(FIRST_TOKEN_BUCKETS_RATIO)),
            whole_answer: ByLabels::new(|| Histogram::new(WHOLE_ANSWER_BUCKETS_S)),
            config_refused: Gauge::default(),
            store_failing: Family::default(),
            scrape: Mutex::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let r = &mut self.registry;
        r.register("requests", "Responses by route and status", self.requests.family());
        r.register(
            "attempts_failed",
            "Attempts that ended without an answer",
            self.attempts_failed.family(),
        );
        r.register(
            "streams_failed",
            "Streams that broke off after their first event",
            self.streams_failed.family(),
        );
        self.clusters.register(r, &mut self.named);
        self.queues.register(r, &mut self.named);
        self.signals.register(r, &mut self.named);
        self.scales.register(&mut self.named);
        r.register("tokens", "Tokens that engines reported", self.tokens.family());
        self.counting.register(r);
        self.budgets.register(&mut self.named);
        self.prefixes.register(r, &mut self.named);
        self.caches.register(r);
        self.rollouts.register(r, &mut self.named);
        self.detection.register(r, &mut self.named);
        r.register(
            "bodies_bytes",
            "Bytes of request bodies in memory that are not admitted yet",
            self.bodies_bytes.clone(),
        );
        r.register(
            "bodies_refused",
            "Requests that were refused because bodies took all the memory that they may, of a tenant or of the process",
            self.bodies_refused.family(),
        );
        r.register(
            "orders_refused",
            "Orders of gateways at the edge that this region hop did not take, by why",
            self.orders_refused.family(),
        );
        self.canned.register(r);
        r.register(
            "admin_changes",
            "Changes that operators made here, by what they changed",
            self.admin_changes.family(),
        );
        r.register(
            "config_refused",
            "1 while the store holds a configuration that is wrong",
            self.config_refused.clone(),
        );
        r.register(
            "store_failing",
            "1 while the store cannot be read, or cannot keep what must outlive the process",
            self.store_failing.clone(),
        );
        for access in StoreAccess::ALL {
            self.on_store(access, 0);
        }
        self.register_durations();
    }

    fn register_durations(&mut self) {
        let r = &mut self.registry;
        r.register(
            "time_to_first_token_seconds",
            "From arrival to the first event of an engine's stream",
            self.first_token.family(),
        );
        r.register(
            "time_to_first_token_expected_seconds",
            "The same, as it was expected when the request had its permit",
            self.first_token_expected.family(),
        );
        r.register(
            "time_to_first_token_ratio",
            "The time to the first token over what was expected",
            self.first_token_ratio.family(),
        );
        r.register(
            "whole_answer_seconds",
            "From arrival to an engine's whole answer, where the answer is not streamed",
            self.whole_answer.family(),
        );
    }

    /// Counts an event.
    pub fn on(&self, event: &Event<'_>) {
        match event {
            Event::Responded { route, status, .. } => {
                let status = status.as_u16();
                self.requests.add(&RequestLabels { route, status }, 1);
            }
            Event::AttemptFailed { cluster, error, .. } => {
                self.attempts_failed.add(&FailureLabels::new(cluster, error), 1);
            }
            Event::StreamFailed { cluster, error, .. } => {
                self.streams_failed.add(&FailureLabels::new(cluster, error), 1);
            }
            Event::Permitted { cluster, is_kept, .. } => self.clusters.on_permitted(cluster, *is_kept),
            Event::Queued { .. } => {}
            Event::SignalIgnored(ignored) => self.signals.on_ignored(ignored),
            Event::Waited {
                cluster,
                ended_as,
                after,
            } => self.queues.on_waited(cluster, ended_as, *after),
            Event::Released { cluster, outcome } => self.clusters.on_released(cluster, *outcome),
            Event::FirstToken {
                cluster,
                model,
                after,
                expected,
            } => self.on_first_token(ServedLabels::new(cluster, model), *after, *expected),
            Event::WholeAnswer { cluster, model, after } => {
                on_duration(&self.whole_answer, &ServedLabels::new(cluster, model), *after);
            }
            Event::Used { model, usage } => on_tokens(&self.tokens, model, *usage),
            Event::Counting(counting) => self.counting.on(counting),
            Event::Budget(budgeting) => self.budgets.on(budgeting),
            Event::Prefix(prefixing) => self.prefixes.on(prefixing),
            Event::Cache(caching) => self.caches.on(caching),
            Event::Rollout(rolling_out) => self.rollouts.on(rolling_out),
            Event::Detection(detecting) => self.detection.on(detecting),
            Event::OrderRefused { reason } => self.orders_refused.add(&ReasonLabels { reason }, 1),
            Event::BodyRefused { bound } => self.bodies_refused.add(&BoundLabels { bound }, 1),
            Event::Canned(canning) => self.canned.on(canning),
            Event::AdminChange(AdminChange { what, .. }) => self.admin_changes.add(&WhatLabels { what }, 1),
            Event::ConfigApplied { .. } => {
                self.config_refused.set(0);
            }
            Event::ConfigRefused { .. } => {
                self.config_refused.set(1);
            }
            Event::StoreFailing { access, .. } => self.on_store(*access, 1),
            Event::StoreWorks { access } => self.on_store(*access, 0),
            Event::Ranked { .. } | Event::Weighing(_) => {}
        }
    }

    fn on_first_token(&self, labels: ServedLabels, after: Duration, expected: Option<Duration>) {
        on_duration(&self.first_token, &labels, after);
        let Some(expected) = expected else { return };
        on_duration(&self.first_token_expected, &labels, expected);
        let ratio = after.as_secs_f64() / expected.max(SHORTEST_EXPECTED).as_secs_f64();
        self.first_token_ratio
            .with(&labels, |histogram| histogram.observe(ratio));
    }

    /// Bodies take so many bytes now.
    pub fn on_bodies(&self, bytes: usize) {
        self.bodies_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    fn on_store(&self, access: StoreAccess, failing: i64) {
        let access = access.label();
        self.store_failing.get_or_create(&AccessLabels { access }).set(failing);
    }

    /// Everything in OpenMetrics' text format, with what the cells know.
    pub fn scrape(&self, figures: &CellFigures) -> String {
        let _alone = self.scrape.lock();
        self.clusters.fill(&figures.clusters);
        self.signals.fill(&figures.clusters);
        self.detection.fill(&figures.clusters);
        self.queues.fill(&figures.queues);
        self.scales.fill(&figures.scales);
        self.counting.fill(&figures.corrections);
        self.budgets.fill(&figures.budgets);
        self.rollouts.fill(&figures.rollouts);
        written(&[&self.registry, &self.named])
    }

    /// The same for anybody: without what tells the names of tenants, budgets and replicas, and without asking cells.
    pub fn scrape_without_names(&self) -> String {
        written(&[&self.registry])
    }
}

fn written(registries: &[&Registry]) -> String {
    let mut text = String::new();
    let written = registries
        .iter()
        .try_for_each(|registry| encode_registry(&mut text, registry));
    if written.and_then(|()| encode_eof(&mut text)).is_err() {
        text.clear();
        let _ = text.write_str("# the metrics could not be written\n# EOF\n");
    }
    text
}

pub(super) fn on_tokens(family: &ByLabels<TokenLabels>, model: &ModelName, usage: Usage) {
    for (kind, tokens) in [("prompt", usage.prompt_tokens), ("completion", usage.completion_tokens)] {
        let model = model.clone();
        family.add(&TokenLabels { model, kind }, tokens);
    }
}

fn on_duration(family: &ByLabels<ServedLabels, Histogram>, labels: &ServedLabels, duration: Duration) {
    family.with(labels, |histogram| histogram.observe(duration.as_secs_f64()));
}

impl FailureLabels {
    fn new(cluster: &ClusterName, error: &AttemptError) -> Self {
        Self {
            cluster: cluster.clone(),
            error: error.label(),
        }
    }
}

/// From a warm small model next door to a cold large one behind a queue.
const FIRST_TOKEN_BUCKETS_S: [f64; 12] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// From four times as soon as expected to ten times as late; around 1 they tell a tenth.
const FIRST_TOKEN_BUCKETS_RATIO: [f64; 12] = [0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0];

/// Clocks of edge locations tell milliseconds: a ratio to less says nothing.
const SHORTEST_EXPECTED: Duration = Duration::from_millis(1);

/// From an embedding to thousands of tokens of a large model.
const WHOLE_ANSWER_BUCKETS_S: [f64; 12] = [0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];

#[cfg(test)]
mod tests;
