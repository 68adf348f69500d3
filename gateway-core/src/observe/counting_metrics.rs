//! What is counted about counting: whether exact counts are, and how good estimates are.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::by_labels::ByLabels;
use super::counting::Counting;
use super::labels::{ModelLabels, ServedLabels};
use super::metrics::{TokenLabels, on_tokens};
use crate::api::Usage;
use crate::ids::ModelName;
use crate::tokens::Correction;

/// The part of the metrics that is about counting.
#[derive(Debug, Default)]
pub(super) struct CountingMetrics {
    unreported: ByLabels<TokenLabels>,
    counts: ByLabels<CountLabels>,
    uncounted: ByLabels<UncountedLabels>,
    mismatches: ByLabels<ServedLabels>,
    mismatched_tokens: ByLabels<ServedLabels>,
    error: Family<ModelLabels, Gauge<f64, AtomicU64>>,
    factor: Family<ModelLabels, Gauge<f64, AtomicU64>>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct CountLabels {
    model: ModelName,
    basis: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct UncountedLabels {
    model: ModelName,
    reason: &'static str,
}

impl CountingMetrics {
    pub fn register(&self, r: &mut Registry) {
        r.register(
            "tokens_unreported",
            "Tokens of answers whose engines reported none, as counted here",
            self.unreported.family(),
        );
        r.register(
            "prompt_counts",
            "Prompts by what their count rests on",
            self.counts.family(),
        );
        r.register(
            "prompts_uncounted",
            "Prompts that a model's table could not count",
            self.uncounted.family(),
        );
        r.register(
            "prompt_tokens_mismatch",
            "Exact counts of prompts that the engine contradicts: table or template are not the engine's",
            self.mismatches.family(),
        );
        r.register(
            "prompt_tokens_mismatch_tokens",
            "Tokens by which they differ",
            self.mismatched_tokens.family(),
        );
        r.register(
            "estimate_error_ratio",
            "Mean error of estimated prompts as a share of the reported count, over all locations",
            self.error.clone(),
        );
        r.register(
            "estimate_factor",
            "What reports have taught to multiply estimates by, over all locations",
            self.factor.clone(),
        );
    }

    pub fn on(&self, event: &Counting<'_>) {
        match event {
            Counting::Counted { model, basis, .. } => {
                let (model, basis) = ((*model).clone(), basis.label());
                self.counts.add(&CountLabels { model, basis }, 1);
            }
            Counting::Uncounted { model, reason } => {
                let model = (*model).clone();
                self.uncounted.add(&UncountedLabels { model, reason }, 1);
            }
            Counting::Miscounted {
                cluster,
                model,
                counted,
                reported,
            } => {
                let labels = ServedLabels::new(cluster, model);
                self.mismatches.add(&labels, 1);
                let difference = counted.0.abs_diff(reported.0);
                self.mismatched_tokens.add(&labels, difference);
            }
            Counting::Unreported {
                model,
                prompt,
                completion,
            } => {
                let usage = Usage {
                    prompt_tokens: prompt.0,
                    cached_tokens: None,
                    completion_tokens: completion.0,
                };
                on_tokens(&self.unreported, model, usage);
            }
        }
    }

    /// Fills the gauges with what the cells tell, and with nothing else.
    pub fn fill(&self, corrections: &[(ModelName, Correction)]) {
        self.error.clear();
        self.factor.clear();
        for (model, correction) in corrections {
            let labels = ModelLabels { model: model.clone() };
            self.factor.get_or_create(&labels).set(correction.factor());
            if let Some(error) = correction.error() {
                self.error.get_or_create(&labels).set(error);
            }
        }
    }
}
