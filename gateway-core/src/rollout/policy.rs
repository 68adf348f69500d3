//! What the configuration says of a model's rollouts.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::weights::Weights;

/// The versions of a model, and how one takes over from the others. It goes along with every message to the model's cell,
/// which keeps none of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutPolicy {
    /// All versions, with the weights that hold until an operator sets others.
    pub weights: Weights,
    /// The weights that a new version goes through, in percent from 1 to 100, ascending.
    pub steps: Vec<u32>,
    /// How long a step holds at least before the next; `None`: until an operator goes on.
    pub step_after: Option<Duration>,
    /// How many more requests of a hundred may fail than at the other versions, in hundredths of a percent.
    pub worse_errors: u32,
    /// How much longer the time to the first token may be than at the other versions, in percent.
    pub worse_ttft_percent: u32,
    /// Requests of the new version, and of the others, that a step has at least before the next.
    pub min_requests: u64,
}

impl RolloutPolicy {
    /// The first step beyond a weight, as a weight.
    pub fn step_after_weight(&self, weight: u32) -> Option<u32> {
        let steps = self.steps.iter().map(|percent| percent * (Weights::WHOLE / 100));
        steps.into_iter().find(|step| *step > weight)
    }
}
