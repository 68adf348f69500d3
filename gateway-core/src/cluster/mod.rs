//! One cluster's exact state: which replica a request goes to, and what each replica holds at this moment. What an edge
//! location keeps of it for requests to come is in its
//! permit cache.

mod breaker;
mod cell;
mod choice;
mod hot;
mod message;
mod permit;
mod permit_cache;
mod policy;
mod prompt;
mod v3;
mod wire;

pub use breaker::BreakerPolicy;
pub use cell::ClusterCell;
pub(crate) use cell::ClusterCellV3;
pub use choice::{ChoiceReason, Obstacle, PassedOver};
pub use hot::{HotDigest, HotPrefix, HotSet, stateless_choice};
pub use message::{
    Acquire, Acquired, ClusterCommand, ClusterReply, Extend, Extended, Grant, PolicyUnknown, ReadReplicas, Refusal,
    Release, Releases, Renew, ReplicaStatus,
};
pub use permit::{Capacity, ClusterLoad, HeldPermit, Outcome, PermitId};
pub use permit_cache::{CachedGrant, LOOK_EVERY, PermitCache};
pub use policy::{ClusterPolicy, PolicyDigest, PolicyRef, UnderPolicy};
pub use prompt::{Boundary, PromptOutline, WarmAt};
pub(crate) use v3::ClusterCommandV3;
