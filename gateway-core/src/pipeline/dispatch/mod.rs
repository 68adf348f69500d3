//! The walk down the ladder, and each attempt at a replica.

mod attempt;
mod cluster_client;
mod label;
mod permit;
mod upstream;
mod walk;

pub(super) use attempt::{UpstreamAnswer, attempt};
pub(super) use cluster_client::{ClusterClient, address, command};
pub(super) use label::ServedBy;
pub(super) use permit::{Permit, Wanted};
pub(super) use walk::{Answered, Walk};
