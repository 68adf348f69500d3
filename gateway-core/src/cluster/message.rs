//! What a cluster's cell can be asked and told, and what it replies.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::breaker::{BreakerPolicy, BreakerStanding};
use super::choice::{ChoiceReason, PassedOver};
use super::drain::{DrainSet, DrainStatus, SetDrain};
use super::hot::{HotDigest, HotSet};
use super::permit::{Capacity, ClusterLoad, HeldPermit, Outcome, PermitId};
use super::policy::{PolicyRef, UnderPolicy};
use super::prompt::{Boundary, PromptOutline};
use super::scaling::{ReadScale, Scale, Served};
use super::signals::{AskForTurn, PollTurn, Signal, TellSignals};
use super::waiting::{Dropped, QueueStatus, Queued, Queueing};
use super::watched::WatchedStatus;
use super::weighed::Weighed;
use super::wire::{AcquireWire, ExtendWire};
use crate::ids::{ReplicaName, Tokens};

/// What can be asked of a cluster cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClusterCommand {
    /// Choose a replica and hold a permit there.
    Acquire(Acquire),
    /// Go on lending: renews the permits too.
    Extend(Extend),
    /// Requests still run under these permits.
    Renew(Renew),
    /// Permits have ended, or a part of them, or a request under them; or a probe was answered.
    Release(Releases),
    /// Tell what every replica holds.
    Status,
    /// Tell what waits.
    Queue,
    /// Have a replica drain, or be as others again.
    Drain(SetDrain),
    /// Whose turn it is to ask the engines.
    AskForTurn(AskForTurn),
    /// What engines have said.
    TellSignals(TellSignals),
    /// Tell what would be replied to an `Acquire`, and do nothing.
    DryRun(DryRun),
    /// Tell how many replicas there should be.
    Scale(ReadScale),
}

/// What a request asks of a cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "AcquireWire", into = "AcquireWire")]
pub struct Acquire {
    /// The permit's name.
    pub permit: PermitId,
    /// kv_cache that the request is expected to fill: prompt and answer.
    pub kv_tokens: Tokens,
    /// How many slots like this one the holder would take besides, for requests to come.
    pub spare: u32,
    /// What the configuration says of the cluster.
    pub policy: PolicyRef,
    /// The share of the room that is kept for requests of higher priority, in percent.
    pub headroom_percent: u8,
    /// Replicas that this request has failed on already.
    pub tried: Vec<ReplicaName>,
    /// Fingerprint of the prompt's prefix; `None` where there is no prefix to keep warm.
    pub affinity: Option<u64>,
    /// What is known of the prompt.
    pub prompt: PromptOutline,
    /// The hot prefixes that the asker knows of.
    pub known_hot: HotDigest,
    /// How long the permit holds without renewal.
    pub ttl: Duration,
    /// How the request waits where there is no room. Whoever tells nothing of it does not.
    pub queueing: Option<Queueing>,
    /// Whether the reply is to tell what was weighed.
    pub explains: bool,
    /// Whether the cluster was not asked for the request before.
    pub is_new: bool,
}

/// Asks what would be replied to that, and has nothing done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DryRun(pub Acquire);

/// Whether permits at a replica may go on being used for request after request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "ExtendWire", into = "ExtendWire")]
pub struct Extend {
    /// Where they are.
    pub replica: ReplicaName,
    /// All of them that the holder has there.
    pub held: Vec<HeldPermit>,
    /// What the configuration says of the cluster.
    pub policy: PolicyRef,
    /// How long the permits hold without renewal.
    pub ttl: Duration,
    /// What else was seen since the cell was told last, if anything.
    pub served: Option<Served>,
}

impl UnderPolicy for Acquire {
    fn set_policy(&mut self, policy: PolicyRef) {
        self.policy = policy;
    }
}

impl UnderPolicy for DryRun {
    fn set_policy(&mut self, policy: PolicyRef) {
        self.0.set_policy(policy);
    }
}

impl UnderPolicy for Extend {
    fn set_policy(&mut self, policy: PolicyRef) {
        self.policy = policy;
    }
}

/// Permits under which requests still run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Renew {
    /// The permits.
    pub held: Vec<HeldPermit>,
    /// How long they hold from now without another renewal.
    pub ttl: Duration,
}

/// What holders tell of permits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Releases {
    /// Of each permit.
    pub releases: Vec<Release>,
    /// When failures open a replica's breaker.
    pub breaker: BreakerPolicy,
    /// Prompts that keep their replicas no longer.
    #[serde(default)]
    pub prefilled: Vec<Prefilled>,
    /// Replicas that have less in memory than was expected.
    #[serde(default)]
    pub forgotten: Vec<Forgotten>,
    /// What else was seen since the cell was told last, if anything.
    #[serde(default)]
    pub served: Option<Served>,
}

impl Releases {
    /// Nothing but that a replica has less in memory than was expected.
    pub fn of_forgotten(forgotten: Forgotten, breaker: BreakerPolicy) -> Self {
        Self {
            releases: Vec::new(),
            breaker,
            prefilled: Vec::new(),
            forgotten: vec![forgotten],
            served: None,
        }
    }

    /// Nothing but what else was seen.
    pub fn of_served(served: Served, breaker: BreakerPolicy) -> Self {
        Self {
            releases: Vec::new(),
            breaker,
            prefilled: Vec::new(),
            forgotten: Vec::new(),
            served: Some(served),
        }
    }
}

/// A replica has less in memory than was expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forgotten {
    /// Which.
    pub replica: ReplicaName,
    /// How that is known.
    pub evidence: Evidence,
}

/// How it is known that a replica has less in memory than was expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// Nobody could connect to it: its engine is gone.
    Unreachable,
    /// Its engine had so little of a prompt that it has computed all the rest of it.
    Missed(Missed),
    /// It says that it loads its model.
    Loading,
}

/// A prompt that went to where it had been, of which little was in memory there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missed {
    /// Its boundaries, as the cell was told them with it.
    pub boundaries: Vec<Boundary>,
    /// What of it was in memory.
    pub cached: Tokens,
    /// How long ago it was sent.
    pub ago: Duration,
}

/// A prompt keeps its replica no longer: the answer has begun, or nobody waits for it any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prefilled {
    /// The permit under which it was sent.
    pub permit: PermitId,
    /// Where.
    pub replica: ReplicaName,
    /// From the permit to the answer's beginning; `None` where there was none.
    pub took: Option<Duration>,
}

/// Asks what every replica holds: `ClusterCommand::Status` as a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadReplicas;

/// What a holder tells of a permit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Release {
    /// The permit's name.
    pub permit: PermitId,
    /// What stays of it; `None` when all of it ends.
    pub left: Option<Capacity>,
    /// Where it was held; `None` when its holder never heard where.
    pub replica: Option<ReplicaName>,
    /// Whether requests of this holder were served there that the cell was not told of, before the one that ended now.
    pub served_before: bool,
    /// How the request ended, or goes.
    pub outcome: Outcome,
}

impl Release {
    /// All of a permit ends, with the one request that ran under it.
    pub fn of_all(permit: PermitId, replica: Option<ReplicaName>, outcome: Outcome) -> Self {
        Self {
            permit,
            left: None,
            replica,
            served_before: false,
            outcome,
        }
    }

    /// The room that a permit has is free; how its request ended is to follow.
    pub fn of_room(permit: PermitId, replica: ReplicaName) -> Self {
        Self {
            left: Some(Capacity::default()),
            ..Self::of_all(permit, Some(replica), Outcome::Unknown)
        }
    }

    /// A request is being answered, and goes on. Whatever becomes of the rest, its replica is not to be taken for dead.
    pub fn answered(permit: PermitId, replica: ReplicaName) -> Self {
        Self {
            left: Some(Capacity::MOST),
            ..Self::of_all(permit, Some(replica), Outcome::Served)
        }
    }

    /// A request has been answered for a while, and goes on: that says nothing of whoever comes next, but that its replica
    /// does something.
    pub fn running(permit: PermitId, replica: ReplicaName) -> Self {
        Self {
            left: Some(Capacity::MOST),
            ..Self::of_all(permit, Some(replica), Outcome::Unknown)
        }
    }

    /// A request failed whose part of a permit went back before.
    pub fn late(permit: PermitId, replica: ReplicaName, served_before: bool) -> Self {
        Self {
            left: Some(Capacity::MOST),
            served_before,
            ..Self::of_all(permit, Some(replica), Outcome::Failed)
        }
    }

    /// Whether it tells that the replica does something.
    pub fn is_sign_of_life(&self) -> bool {
        let is_running = self.left == Some(Capacity::MOST) && self.outcome == Outcome::Unknown;
        self.served_before || is_running || self.outcome == Outcome::Served
    }

    /// Whether it tells how a request went. What goes back of a permit while requests run under it says nothing of them.
    pub fn tells_outcome(&self) -> bool {
        self.left.is_none() || self.served_before || self.outcome != Outcome::Unknown
    }
}

/// What a cluster cell replies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClusterReply {
    /// To `Acquire` and `DryRun`: held, or what would be.
    Granted(Grant),
    /// To `Acquire` and `DryRun`: no replica can take the request now.
    Refused(Refusal),
    /// To `Acquire` and `DryRun`: the request waits for its turn, or would.
    Queued(Queued),
    /// To `Extend`.
    Extended(Extended),
    /// To `Renew`, `Release` and `TellSignals`.
    Done,
    /// To `Status`: every replica that the cell knows.
    Status(Vec<ReplicaStatus>),
    /// To `Queue`.
    Queue(QueueStatus),
    /// To `AskForTurn`.
    PollTurn(PollTurn),
    /// To `Acquire`, `DryRun` and `Extend`: the cell does not know the policy by the digest that names it, and has done nothing.
    PolicyUnknown,
    /// To `Drain`.
    DrainSet(Box<DrainSet>),
    /// To `Scale`.
    Scale(Box<Scale>),
}

impl ClusterReply {
    /// The same, without saying that the policy may be named by its digest.
    #[must_use]
    pub fn without_policy(mut self) -> Self {
        match &mut self {
            Self::Granted(grant) => grant.knows_policy = false,
            Self::Refused(refusal) => refusal.knows_policy = false,
            Self::Queued(queued) => queued.knows_policy = false,
            Self::Extended(extended) => extended.knows_policy = false,
            Self::Done
            | Self::Status(_)
            | Self::Queue(_)
            | Self::PollTurn(_)
            | Self::PolicyUnknown
            | Self::DrainSet(_)
            | Self::Scale(_) => {}
        }
        self
    }
}

/// The cell does not know a policy by the digest that names it: it has to be told all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyUnknown;

/// What is replied to `Acquire`.
#[derive(Clone, Debug, PartialEq)]
pub enum Acquired {
    /// Held.
    Granted(Grant),
    /// No replica can take the request now.
    Refused(Refusal),
    /// The request waits for its turn.
    Queued(Queued),
}

/// A permit was given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Grant {
    /// Where to send the request.
    pub replica: ReplicaName,
    /// How many slots like its own the permit holds besides, when the holder may keep it for requests to come; `None`
    /// when it ends with the request.
    pub lent: Option<u32>,
    /// The cluster's load with this request in it.
    pub load: ClusterLoad,
    /// Why there; `None` where the permit was held already, and from a cell of a version that does not tell.
    #[serde(default, rename = "reason")]
    pub choice: Option<ChoiceReason>,
    /// What to expect there; `None` where the choice is not told either.
    #[serde(default)]
    pub expected: Option<Expectation>,
    /// Whether the replica's breaker waits for news of this request: then the cell is told once it is being answered. A cell
    /// of a version that does not say so waits for its end.
    #[serde(default)]
    pub is_probe: bool,
    /// The cluster's hot prefixes, where they are others than the asker knows of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hot: Option<HotSet>,
    /// Whether the cell knows the policy by its digest from now on. A cell of a version that does not tell knows none.
    #[serde(default)]
    pub knows_policy: bool,
    /// What was weighed, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weighed: Option<Box<Weighed>>,
}

/// What a request is to expect of its replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expectation {
    /// What of its prompt is in memory there, most likely.
    pub warm: Tokens,
    /// In how long the answer begins.
    pub first_token_in: Duration,
}

/// No permit was given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refusal {
    /// The cluster's load.
    pub load: ClusterLoad,
    /// Until the first open breaker lets a probe pass, where that is what is missing.
    pub recovery: Option<Duration>,
    /// Why each replica did not get the request.
    #[serde(default)]
    pub passed_over: PassedOver,
    /// How long the request would have to wait for its turn, as far as can be told; `None` where nobody can wait here.
    #[serde(default)]
    pub expected_wait: Option<Duration>,
    /// Why it does not wait, or no longer, where it wanted to.
    #[serde(default)]
    pub dropped: Option<Dropped>,
    /// Whether the cell knows the policy by its digest from now on. A cell of a version that does not tell knows none.
    #[serde(default)]
    pub knows_policy: bool,
    /// What was weighed, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weighed: Option<Box<Weighed>>,
}

/// Whether a holder may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extended {
    /// Whether slots at the replica are still lent.
    pub lends: bool,
    /// The cluster's load.
    pub load: ClusterLoad,
    /// Whether the cell knows the policy by its digest from now on. A cell of a version that does not tell knows none.
    #[serde(default)]
    pub knows_policy: bool,
}

/// A replica at this moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReplicaStatus {
    /// Which.
    pub replica: ReplicaName,
    /// Requests in flight, and slots that edge locations keep for their next ones.
    pub running: u32,
    /// kv_cache held, in tokens.
    pub kv_tokens: Tokens,
    /// Whether its breaker lets requests pass.
    pub available: bool,
    /// How its breaker stands.
    #[serde(default)]
    pub breaker: BreakerStanding,
    /// In how long that lets a request pass, where it is not closed.
    #[serde(default)]
    pub breaker_passes_in: Option<Duration>,
    /// How it drains, where it does.
    #[serde(default)]
    pub drain: Option<DrainStatus>,
    /// What its engine has said last; `None` where it has said nothing, and from a cell of a version that does not tell.
    #[serde(default)]
    pub signal: Option<Signal>,
    /// What detectors found in its answers; `None` where none were watched, and from a cell of a version that does not tell.
    #[serde(default)]
    pub watched: Option<WatchedStatus>,
}

impl ReplicaStatus {
    /// One of which a cell knows nothing: it is idle and well.
    pub fn idle(replica: ReplicaName) -> Self {
        Self {
            replica,
            running: 0,
            kv_tokens: Tokens(0),
            available: true,
            breaker: BreakerStanding::Closed,
            breaker_passes_in: None,
            drain: None,
            signal: None,
            watched: None,
        }
    }
}
