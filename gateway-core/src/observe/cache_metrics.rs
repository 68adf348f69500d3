//! What is counted about the response cache.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::registry::Registry;

use super::by_labels::ByLabels;
use super::caching::Caching;
use super::labels::ModelLabels;
use crate::ids::ModelName;

/// The part of the metrics that is about the response cache.
#[derive(Debug, Default)]
pub(super) struct CacheMetrics {
    requests: ByLabels<StatusLabels>,
    reads: ByLabels<OutcomeLabels>,
    joins: ByLabels<OutcomeLabels>,
    writes: ByLabels<OutcomeLabels>,
    stored: ByLabels<ModelLabels>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct StatusLabels {
    model: ModelName,
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

impl CacheMetrics {
    pub fn register(&self, r: &mut Registry) {
        r.register(
            "cache_requests",
            "Requests that use the response cache and have an answer, by where it is from",
            self.requests.family(),
        );
        r.register(
            "cache_reads",
            "Reads of the store for answers, by how they ended",
            self.reads.family(),
        );
        r.register(
            "cache_joins",
            "Calls to cells of keys that ask whether another location asks an engine already, by what they said",
            self.joins.family(),
        );
        r.register(
            "cache_writes",
            "Answers that the store took, or refused",
            self.writes.family(),
        );
        r.register(
            "cache_stored_bytes",
            "Bytes of answers that the store took, as they are compressed",
            self.stored.family(),
        );
    }

    pub fn on(&self, event: &Caching<'_>) {
        match event {
            Caching::Answered { model, status, .. } => {
                let (model, status) = ((*model).clone(), status.as_str());
                self.requests.add(&StatusLabels { model, status }, 1);
            }
            Caching::Read { outcome } => self.reads.add(&OutcomeLabels { outcome }, 1),
            Caching::Joined { outcome } => self.joins.add(&OutcomeLabels { outcome }, 1),
            Caching::Stored { error: Some(_), .. } => self.writes.add(&OutcomeLabels { outcome: "refused" }, 1),
            Caching::Stored {
                model,
                bytes,
                error: None,
            } => {
                self.writes.add(&OutcomeLabels { outcome: "taken" }, 1);
                let model = (*model).clone();
                self.stored.add(&ModelLabels { model }, *bytes as u64);
            }
        }
    }
}
