//! One cluster's exact state: which replica a request goes to, and what each replica holds at this moment.

mod breaker;
mod cell;
mod choice;
mod permit;

pub use breaker::BreakerPolicy;
pub use cell::{ClusterCell, ClusterCommand, ClusterReply, Grant, Refusal, Release, ReplicaStatus};
pub use permit::{Acquire, ClusterLoad, Held, Outcome, PermitId, Room};
