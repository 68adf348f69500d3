//! What is counted about canned answers.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::by_labels::ByLabels;
use super::canning::Canning;
use crate::config::CannedReason;
use crate::ids::ModelName;

/// The part of the metrics that is about canned answers.
#[derive(Debug, Default)]
pub(super) struct CannedMetrics {
    given: ByLabels<GivenLabels>,
    withheld: ByLabels<WithheldLabels>,
    refused: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct GivenLabels {
    model: ModelName,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct WithheldLabels {
    model: ModelName,
    why: &'static str,
}

impl CannedMetrics {
    pub fn register(&self, r: &mut Registry) {
        r.register(
            "canned",
            "Canned answers by the model asked for and why no engine answered",
            self.given.family(),
        );
        r.register(
            "canned_withheld",
            "Canned answers that were not given since no text is what the request asks for, by what that is",
            self.withheld.family(),
        );
        r.register(
            "canned_refused",
            "1 while the store holds canned texts that are wrong",
            self.refused.clone(),
        );
    }

    pub fn on(&self, event: &Canning<'_>) {
        match event {
            Canning::Given { model, reason } => self.given.add(&GivenLabels::new(model, *reason), 1),
            Canning::Withheld { model, why, .. } => {
                let model = (*model).clone();
                self.withheld.add(
                    &WithheldLabels {
                        model,
                        why: why.label(),
                    },
                    1,
                );
            }
            Canning::PassedOver { .. } => {}
            Canning::Applied { .. } => {
                self.refused.set(0);
            }
            Canning::Refused { .. } => {
                self.refused.set(1);
            }
        }
    }
}

impl GivenLabels {
    fn new(model: &ModelName, reason: CannedReason) -> Self {
        Self {
            model: model.clone(),
            reason: reason.as_str(),
        }
    }
}
