//! What the configuration says of a cluster, as far as its cell has to know it.

use serde::{Deserialize, Serialize};

use super::permit::Capacity;
use crate::ids::ReplicaName;

/// What one configuration says of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterPolicy {
    /// Its replicas, in the order written.
    pub replicas: Vec<ReplicaName>,
    /// What each of them has room for.
    pub capacity: Capacity,
}
