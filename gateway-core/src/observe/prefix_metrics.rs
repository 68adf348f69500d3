//! What is counted about prefixes: how much of prompts engines had, how much was expected, and what the index costs.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::registry::Registry;

use super::by_labels::ByLabels;
use super::labels::ReplicaLabels;
use super::prefixing::Prefixing;

/// The part of the metrics that is about prefixes.
#[derive(Debug, Default)]
pub(super) struct PrefixMetrics {
    lookups: ByLabels<OutcomeLabels>,
    waits: ByLabels<OutcomeLabels>,
    writes: ByLabels<OutcomeLabels>,
    prompt: ByLabels<ReplicaLabels>,
    hit: ByLabels<ReplicaLabels>,
    expected: ByLabels<ReplicaLabels>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

impl PrefixMetrics {
    /// `named` has what tells replicas' names.
    pub fn register(&self, r: &mut Registry, named: &mut Registry) {
        r.register(
            "prefix_index_lookups",
            "Rows of the prefix index that requests asked for: remembered in the process, or read from the store",
            self.lookups.family(),
        );
        r.register(
            "prefix_index_waits",
            "Requests that waited for their row of the prefix index, by whether it came in time",
            self.waits.family(),
        );
        r.register(
            "prefix_index_writes",
            "Rows of the prefix index that the store took, or refused",
            self.writes.family(),
        );
        named.register(
            "prefix_prompt_tokens",
            "Tokens of prompts of which a replica told how many it had in its prefix cache",
            self.prompt.family(),
        );
        named.register(
            "prefix_hit_tokens",
            "Of those, tokens that it had: over the former this is the hit ratio",
            self.hit.family(),
        );
        named.register(
            "prefix_expected_tokens",
            "Of those, tokens that were expected to be there",
            self.expected.family(),
        );
    }

    pub fn on(&self, event: &Prefixing<'_>) {
        let looked_up = |outcome| self.lookups.add(&OutcomeLabels { outcome }, 1);
        match event {
            Prefixing::Remembered => looked_up("remembered"),
            Prefixing::Read { is_found: true } => looked_up("found"),
            Prefixing::Read { is_found: false } => looked_up("absent"),
            Prefixing::Unread => looked_up("failed"),
            Prefixing::Waited { is_late } => {
                let outcome = if *is_late { "late" } else { "in_time" };
                self.waits.add(&OutcomeLabels { outcome }, 1);
            }
            Prefixing::Written => self.writes.add(&OutcomeLabels { outcome: "taken" }, 1),
            Prefixing::Refused { .. } => self.writes.add(&OutcomeLabels { outcome: "refused" }, 1),
            Prefixing::Found {
                cluster,
                replica,
                prompt,
                expected,
                cached,
            } => {
                let (cluster, replica) = ((*cluster).clone(), (*replica).clone());
                let labels = ReplicaLabels { cluster, replica };
                self.prompt.add(&labels, prompt.0);
                self.hit.add(&labels, cached.0);
                self.expected.add(&labels, expected.0);
            }
        }
    }
}
