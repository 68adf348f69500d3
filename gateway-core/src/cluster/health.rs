//! What a configuration says of replicas' health, as far as their cluster's cell has to know it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// When replicas are taken for ill, and how those are loaded that come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthPolicy {
    /// How long nothing may be heard of a replica to which something was sent, beyond the time that what is queued there
    /// should take.
    pub wedged_after: Duration,
    /// In how long one that came back, or is new, gets all of its room.
    pub slow_start: Duration,
    /// How long a breaker stays open that the cell opens by itself.
    pub open: Duration,
}

/// Of whoever tells none: the defaults of the configuration.
impl Default for HealthPolicy {
    fn default() -> Self {
        Self {
            wedged_after: Duration::from_secs(60),
            slow_start: Duration::from_secs(30),
            open: Duration::from_secs(5),
        }
    }
}
