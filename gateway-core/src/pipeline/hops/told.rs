//! What the region says of how it carries an order out.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cluster::{ClusterLoad, HotSet};
use crate::ids::{ReplicaName, Tokens};

/// What a region tells with an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::pipeline) struct Told {
    /// The replica that answers; `None` where the region does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visit: Option<ToldVisit>,
    /// The cluster's load, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<ClusterLoad>,
    /// The cluster's hot prefixes, where they are others than the edge knows of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hot: Option<HotSet>,
    /// From the order's arrival to the beginning of the answer, in microseconds: all else of the time that the edge waited is
    /// the way.
    #[serde(default)]
    pub took_us: u64,
}

/// A request at a replica, as the region's hop knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::pipeline) struct ToldVisit {
    /// Which replica.
    pub replica: ReplicaName,
    /// How much of the prompt should be warm there.
    pub expected: Tokens,
    /// Whether it is where the prompt's beginning alone leads.
    pub is_first_choice: bool,
    /// Whether it was known where the conversation was before.
    pub is_known: bool,
}

impl Told {
    /// As its header has it: JSON in ASCII.
    pub fn to_header(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }

    /// What a header says; `None` where that is not understood.
    pub fn parse(header: &str) -> Option<Self> {
        let mut told: Self = serde_json::from_str(header).ok()?;
        if let Some(load) = &mut told.load {
            load.expected_wait = load.expected_wait.min(LONGEST_WAIT);
        }
        Some(told)
    }

    /// How much of the time that the edge waited was the way there and back.
    pub fn way(&self, waited: Duration) -> Duration {
        waited.saturating_sub(Duration::from_micros(self.took_us))
    }
}

/// Longer waits are none that anybody would wait.
const LONGEST_WAIT: Duration = Duration::from_hours(1);
