//! Who answered.

use crate::ids::{ClusterName, ModelName, Tokens};
use crate::pipeline::warmth::Visit;

/// Who answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::pipeline) enum ServedBy {
    Engine {
        cluster: ClusterName,
        model: ModelName,
        tier: usize,
        prompt: Tokens,
        /// Whether that is what the engine will report.
        is_exact: bool,
        /// The bound on each answer that the tenant's budgets set, where it is the least.
        budgeted: Option<Tokens>,
        /// Where in the cluster, and how warm its prompt is there.
        visit: Option<Visit>,
    },
    Canned,
}
