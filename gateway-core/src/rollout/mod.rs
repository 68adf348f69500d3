//! Rollouts: the versions of a model's clusters, what share of conversations each gets, which version a conversation is on,
//! and when a new version is worse than the others. From weights, keys and evidence that it is given; it asks nobody.

mod cell;
mod choice;
mod evidence;
mod judge;
mod message;
mod policy;
mod weights;

pub use cell::RolloutCell;
pub use choice::{Choice, Conversation, KnownWeights};
pub use evidence::{Evidence, FaultKind, PromptClass, TimeToFirst};
pub use judge::{ALPHA, Worse, judge};
pub use message::{
    Change, ChangeKind, Ended, EvidenceReport, OrderRefused, OrderRollout, Ordered, ReadRollout, RolloutAction,
    RolloutCommand, RolloutReply, RolloutStatus, Running, Standing, WeightsSince,
};
pub use policy::RolloutPolicy;
pub use weights::{Weights, WeightsError};
