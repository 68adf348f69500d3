//! What a model's rollout cell is told and replies. Times are told as durations: clocks differ.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::evidence::Evidence;
use super::policy::RolloutPolicy;
use super::weights::{Weights, WeightsError};
use crate::ids::VersionName;

/// A command to a rollout cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutCommand {
    /// What requests have met; with nothing it only asks.
    Report(EvidenceReport),
    /// How does it stand?
    Status(ReadRollout),
    /// An operator changes something.
    Order(OrderRollout),
}

/// A rollout cell's reply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutReply {
    /// The weights.
    Standing(Standing),
    /// All that is known.
    Status(Box<RolloutStatus>),
    /// What an operator wanted is done.
    Ordered(Box<Ordered>),
    /// It is not, and why.
    Refused(OrderRefused),
}

/// What requests have met at each version. It replies the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvidenceReport {
    /// As the gateway has it that reports.
    pub policy: RolloutPolicy,
    /// Of the weights by which the requests went; what was met under others says nothing of these.
    pub revision: u64,
    /// By version.
    pub seen: Vec<(VersionName, Evidence)>,
}

/// Asks for all that is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReadRollout {
    /// As the gateway has it that asks.
    pub policy: RolloutPolicy,
}

/// What an operator wants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrderRollout {
    /// As the gateway has it that was asked.
    pub policy: RolloutPolicy,
    /// What.
    pub action: RolloutAction,
    /// Why, in the operator's words.
    pub reason: Option<String>,
}

/// What an operator can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutAction {
    /// A version begins to take over from the others, in steps.
    Start(VersionName),
    /// These versions get these weights, the others what is left.
    Set(Vec<(VersionName, u32)>),
    /// No step forward follows by itself.
    Pause,
    /// They follow again.
    Resume,
    /// The weights are what they were before.
    Abort,
}

/// The weights in force, those before and those to come, the oldest first; none where nobody ever set any.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// Each with its time.
    pub weights: Vec<WeightsSince>,
    /// What the report brought about by itself.
    #[serde(default)]
    pub changed: Option<Change>,
}

/// Weights and when they came into force, or will.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WeightsSince {
    /// What tells them from those before, ascending.
    pub revision: u64,
    /// The weights.
    pub weights: Weights,
    /// How long ago.
    pub ago: Duration,
    /// In how long; zero where they have.
    pub in_force_in: Duration,
}

impl WeightsSince {
    /// Weights that come into force now.
    pub fn new(revision: u64, weights: Weights) -> Self {
        Self {
            revision,
            weights,
            ago: Duration::ZERO,
            in_force_in: Duration::ZERO,
        }
    }
}

/// How a model's rollout stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RolloutStatus {
    /// The weights that were set last.
    pub weights: Weights,
    /// In how long they come into force; zero where they have.
    pub in_force_in: Duration,
    /// The rollout that is under way.
    pub running: Option<Running>,
    /// How the last one ended that did.
    pub ended: Option<Ended>,
    /// What requests have met at each version since the weights last changed.
    pub evidence: Vec<(VersionName, Evidence)>,
    /// What has changed, the latest last.
    pub log: Vec<Change>,
}

/// A rollout under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Running {
    /// Which version takes over.
    pub version: VersionName,
    /// The weights before.
    pub before: Weights,
    /// For how long it has been under way.
    pub since: Duration,
    /// For how long the step has held.
    pub step_for: Duration,
    /// Whether steps forward wait for an operator.
    pub is_paused: bool,
    /// The next step, as a weight; `None` where this was the last.
    pub next: Option<u32>,
}

/// How a rollout ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// Which version was to take over.
    pub version: VersionName,
    /// How: [`ChangeKind::Done`], [`ChangeKind::RolledBack`] or [`ChangeKind::Aborted`].
    pub how: ChangeKind,
    /// Why, in words.
    pub reason: Option<String>,
    /// How long ago.
    pub ago: Duration,
}

/// What has changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// In which way.
    pub kind: ChangeKind,
    /// The version that it is about, where it is about one.
    pub version: Option<VersionName>,
    /// The weights from then on.
    pub weights: Weights,
    /// Why, in words.
    pub reason: Option<String>,
    /// How long ago.
    pub ago: Duration,
}

/// In which way a rollout changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// An operator began it.
    Started,
    /// An operator set weights.
    Set,
    /// A step went by well, and the next one came.
    Stepped,
    /// An operator has it stop at its step.
    Paused,
    /// An operator has it go on.
    Resumed,
    /// The version has taken over.
    Done,
    /// The version was worse than the others.
    RolledBack,
    /// An operator took it back.
    Aborted,
}

impl ChangeKind {
    /// One word for metrics, log lines and operators.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Set => "set",
            Self::Stepped => "stepped",
            Self::Paused => "paused",
            Self::Resumed => "resumed",
            Self::Done => "done",
            Self::RolledBack => "rolled_back",
            Self::Aborted => "aborted",
        }
    }
}

/// What an operator has done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ordered {
    /// How it stood before.
    pub before: RolloutStatus,
    /// How it stands.
    pub status: RolloutStatus,
}

/// Why an operator's order is not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Error)]
#[serde(rename_all = "snake_case")]
pub enum OrderRefused {
    /// There is a rollout under way.
    #[error("a rollout of `{version}` is under way: abort it first, or set its weight")]
    Running {
        /// Of which version.
        version: VersionName,
    },
    /// There is none.
    #[error("no rollout is under way")]
    NotRunning,
    /// The version has all there is.
    #[error("`{version}` has all conversations already")]
    HasAll {
        /// Which version.
        version: VersionName,
    },
    /// No step lies beyond its weight.
    #[error("no step of the configuration lies beyond the weight that `{version}` has: set one")]
    NoStep {
        /// Which version.
        version: VersionName,
    },
    /// Weights that cannot be.
    #[error("{0}")]
    Weights(String),
}

impl From<WeightsError> for OrderRefused {
    fn from(error: WeightsError) -> Self {
        Self::Weights(error.to_string())
    }
}
