//! What a request that may wait tells a cluster's cell, and what it is told while it waits.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;

use super::choice::PassedOver;
use super::permit::ClusterLoad;
use super::weighed::Weighed;
use crate::ids::TenantName;

/// How a request waits where no replica has room for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queueing {
    /// A hash of its tenant's name.
    pub tenant: u64,
    /// What its conversation is known by; any number where it has none.
    pub session: u64,
    /// Whose turn comes first: 0 is before 1.
    pub priority: u8,
    /// What its asker holds of it in memory meanwhile, in bytes.
    pub bytes: u64,
    /// For how long it has waited here.
    pub waited: Duration,
    /// For how long it would wait from now on; zero to be told at once.
    pub patience: Duration,
    /// What may wait at the cluster.
    pub bounds: QueueBounds,
    /// Whether the call may be held until its turn comes: its asker gives it time for that.
    pub may_be_held: bool,
}

impl Queueing {
    /// What a tenant's name is told as.
    pub fn tenant_key(name: &TenantName) -> u64 {
        SipHasher13::new().hash(name.as_str().as_bytes())
    }
}

/// What may wait at a cluster at once, over all locations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueBounds {
    /// Requests.
    pub requests: u32,
    /// The sum of what their askers hold of them in memory, in bytes.
    pub bytes: u64,
}

/// A request waits for its turn. Its asker asks again under the same permit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Queued {
    /// The cluster's load.
    pub load: ClusterLoad,
    /// How long until its turn comes, as far as can be told; more than nothing.
    pub expected: Duration,
    /// After how long to ask again, where nobody can hold the call.
    pub again_in: Duration,
    /// For how long whoever can hold the call may hold it, unless its turn comes before that.
    pub hold_for: Duration,
    /// Why each replica does not get the request now.
    pub passed_over: PassedOver,
    /// Whether the cell knows the policy by its digest from now on.
    pub knows_policy: bool,
    /// What was weighed, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weighed: Option<Box<Weighed>>,
}

/// Why a request does not wait, or no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dropped {
    /// As many wait as may, or so many that none of its priority may.
    QueueFull,
    /// Its turn did not come in time, or would not.
    Deadline,
    /// Its place went to a request of higher priority, or to one of a tenant of which fewer wait.
    Evicted,
}

impl Dropped {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::QueueFull, Self::Deadline, Self::Evicted];

    /// One word for headers, metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::Deadline => "deadline",
            Self::Evicted => "evicted",
        }
    }
}

/// What waits at a cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueStatus {
    /// So many requests.
    pub requests: u32,
    /// Those of each priority, the highest first.
    #[serde(default)]
    pub by_priority: [u32; 3],
    /// What their askers hold of them in memory, in bytes.
    pub bytes: u64,
    /// For how long the one has waited that came first.
    pub oldest: Duration,
    /// How long one that came now would wait.
    pub expected: Duration,
}

/// Asks what waits: `ClusterCommand::Queue` as a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadQueue;
