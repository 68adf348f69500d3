//! Draining a replica: what an operator tells a cluster's cell, and what that tells of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::message::ReplicaStatus;
use crate::ids::ReplicaName;

/// Has a replica drain, or be as others again. It gets no more requests; those that run there go on to their ends, also
/// beyond the deadline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetDrain {
    /// Which.
    pub replica: ReplicaName,
    /// How; `None` where it is to be as others again.
    pub order: Option<DrainOrder>,
}

/// How a replica is to drain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainOrder {
    /// In how long it should hold nothing any more.
    pub deadline: Duration,
    /// Why, in the operator's words.
    pub reason: Option<String>,
    /// How long permits hold without renewal: a cell that has begun anew knows after that what runs.
    pub ttl: Duration,
}

/// What is replied to [`SetDrain`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DrainSet {
    /// How it had drained, where it had.
    pub before: Option<DrainStatus>,
    /// How it stands now.
    pub status: ReplicaStatus,
}

/// How a replica drains.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainStatus {
    /// For how long it has.
    pub since: Duration,
    /// Whether nothing is held there any more, as far as can be known: a cell that has just begun says so once all that run
    /// would have renewed their permits.
    pub is_done: bool,
    /// Until it should be over; zero when that has passed.
    pub deadline_in: Duration,
    /// For how long the oldest permit has been held there, of those that hold anything: no request runs longer, unless the
    /// cell has begun anew since.
    pub oldest: Option<Duration>,
    /// In how long it will be over if requests go on to end as fast as they have; `None` as long as none has.
    pub ends_in: Option<Duration>,
    /// Why, in the operator's words.
    pub reason: Option<String>,
}
