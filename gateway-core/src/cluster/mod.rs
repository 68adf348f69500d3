//! One cluster's exact state: which replica a request goes to, and what each replica holds at this moment. What an edge
//! location keeps of it for requests to come is in its
//! permit cache.

mod breaker;
mod cell;
mod choice;
mod drain;
mod health;
mod hot;
mod message;
mod permit;
mod permit_cache;
mod policy;
mod prompt;
mod scaling;
mod signals;
mod stateless;
mod v3;
mod waiting;
mod watched;
mod weighed;
mod wire;

pub use breaker::{BreakerPolicy, BreakerStanding};
pub use cell::ClusterCell;
pub(crate) use cell::ClusterCellV3;
pub use choice::{Basis as WarmthBasis, ChoiceReason, Hindrance, Obstacle, PassedOver};
pub use drain::{DrainOrder, DrainSet, DrainStatus, SetDrain};
pub use health::HealthPolicy;
pub use hot::{HotDigest, HotPrefix, HotSet};
pub use message::{
    Acquire, Acquired, ClusterCommand, ClusterReply, DryRun, Evidence, Expectation, Extend, Extended, Forgotten, Grant,
    Missed, PolicyUnknown, Prefilled, ReadReplicas, Refusal, Release, Releases, Renew, ReplicaStatus,
};
pub use permit::{Capacity, ClusterLoad, HeldPermit, Outcome, PermitId};
pub use permit_cache::{CachedGrant, LOOK_EVERY, PermitCache};
pub use policy::{ClusterPolicy, PolicyDigest, PolicyRef, PrefillPolicy, UnderPolicy};
pub(crate) use prompt::TELLS_FROM;
pub use prompt::{Boundary, PromptOutline, WarmAt};
pub use scaling::{
    Advice, Ended, Figures, LatencySketch, Rates, ReadScale, ReplicaCounts, Scale, ScalingPolicy, Served, Waiting, Work,
};
pub use signals::{AskForTurn, EngineFigures, KvUsed, PollTurn, Signal, SignalState, TellSignals};
pub use stateless::{ExpectedPlace, expected_place, stateless_choice};
pub(crate) use v3::ClusterCommandV3;
pub use waiting::{Dropped, QueueBounds, QueueStatus, Queued, Queueing, ReadQueue};
pub use watched::{WatchedAnswers, WatchedStatus, request_digest, tenant_digest};
pub use weighed::{Weighed, WeighedReplica};
