//! What is counted about rollouts: what requests have met at versions here, and how rollouts stand everywhere.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::by_labels::ByLabels;
use super::labels::ModelLabels;
use super::rolling_out::{RollingOut, outcome};
use crate::ids::{ModelName, VersionName};
use crate::rollout::{RolloutStatus, Weights};

/// The part of the metrics that is about rollouts.
#[derive(Debug, Default)]
pub(super) struct RolloutMetrics {
    requests: ByLabels<OutcomeLabels>,
    fallbacks: ByLabels<VersionLabels>,
    changes: ByLabels<ChangeLabels>,
    unreachable: ByLabels<ModelLabels>,
    weight: Family<VersionLabels, Gauge<f64, AtomicU64>>,
    running: Family<VersionLabels, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct VersionLabels {
    model: ModelName,
    version: VersionName,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    model: ModelName,
    version: VersionName,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct ChangeLabels {
    model: ModelName,
    change: &'static str,
}

impl RolloutMetrics {
    /// `named` has what the cells tell.
    pub fn register(&self, r: &mut Registry, named: &mut Registry) {
        r.register(
            "version_requests",
            "Requests that came to an answer or a fault at the version that they had, by outcome",
            self.requests.family(),
        );
        r.register(
            "version_fallbacks",
            "Requests that another version answered than the one that they had",
            self.fallbacks.family(),
        );
        r.register(
            "rollout_changes",
            "Steps that rollouts went forward or back by themselves, as reports of this gateway brought them about",
            self.changes.family(),
        );
        r.register(
            "rollout_unreachable",
            "Calls to a rollout's cell that were not answered",
            self.unreachable.family(),
        );
        named.register(
            "rollout_weight_ratio",
            "The share of new conversations that a version gets",
            self.weight.clone(),
        );
        named.register(
            "rollout_running",
            "1 for the version of a rollout that is under way",
            self.running.clone(),
        );
    }

    pub fn on(&self, event: &RollingOut<'_>) {
        match event {
            RollingOut::Allotted { .. } => {}
            RollingOut::Met { model, version, fault } => {
                let labels = OutcomeLabels {
                    model: (*model).clone(),
                    version: (*version).clone(),
                    outcome: outcome(*fault),
                };
                self.requests.add(&labels, 1);
            }
            RollingOut::FellBack { model, version, .. } => self.fallbacks.add(&VersionLabels::of(model, version), 1),
            RollingOut::Changed { model, change } => {
                let labels = ChangeLabels {
                    model: (*model).clone(),
                    change: change.kind.as_str(),
                };
                self.changes.add(&labels, 1);
            }
            RollingOut::Unreachable { model } => {
                let model = (*model).clone();
                self.unreachable.add(&ModelLabels { model }, 1);
            }
        }
    }

    /// Fills the gauges with what the cells tell, and with nothing else.
    pub fn fill(&self, rollouts: &[(ModelName, RolloutStatus)]) {
        self.weight.clear();
        self.running.clear();
        for (model, status) in rollouts {
            for (version, weight) in status.weights.iter() {
                let share = f64::from(weight) / f64::from(Weights::WHOLE);
                self.weight.get_or_create(&VersionLabels::of(model, version)).set(share);
            }
            if let Some(running) = &status.running {
                self.running
                    .get_or_create(&VersionLabels::of(model, &running.version))
                    .set(1);
            }
        }
    }
}

impl VersionLabels {
    fn of(model: &ModelName, version: &VersionName) -> Self {
        Self {
            model: model.clone(),
            version: version.clone(),
        }
    }
}
