//! The walk down the ladder, and each attempt at a replica.

mod attempt;
mod cluster_client;
mod descend;
mod permit;
mod served_by;

pub(super) use attempt::{Begun, Target, attempt};
pub(super) use cluster_client::{ClusterClient, address, command};
pub(super) use descend::{Answer, Answered, descend};
pub(super) use permit::{Permit, Wanted};
pub(super) use served_by::ServedBy;
