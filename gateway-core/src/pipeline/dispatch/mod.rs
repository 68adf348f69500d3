//! The walk down the ladder, and each attempt at a replica.

mod attempt;
mod cluster_client;
mod foretell;
mod judge;
mod opened;
mod permit;
mod readiness;
mod refusal;
mod region;
mod served_by;
mod slot;
mod upstream;
mod wait;
mod walk;

pub(super) use cluster_client::ClusterClient;
pub(super) use foretell::foretell;
pub(super) use judge::outcome;
pub(super) use opened::UpstreamAnswer;
pub(super) use permit::{Permit, Wanted};
pub(super) use served_by::ServedBy;
pub(super) use slot::PermitSlot;
pub(super) use walk::{Answered, Walk};
