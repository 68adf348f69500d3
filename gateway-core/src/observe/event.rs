//! The events. `particulars.rs` has how the rest of a line is written.

use std::time::Duration;

use http::StatusCode;

use super::admin_change::AdminChange;
use super::budgeting::Budgeting;
use super::caching::Caching;
use super::canning::Canning;
use super::counting::Counting;
use super::detecting::Detecting;
use super::ignored_signal::IgnoredSignal;
use super::prefixing::Prefixing;
use super::rolling_out::RollingOut;
use super::weighing::Weighing;
use crate::api::Usage;
use crate::cluster::{ChoiceReason, Expectation, Outcome};
use crate::config::ConfigErrors;
use crate::ids::{ClusterName, ModelName, ReplicaName, Tokens};
use crate::ladder::AttemptError;
use crate::platform::SendError;
use crate::route::Estimate;

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A request has its response head.
    Responded {
        /// What it was for.
        route: &'static str,
        /// Its status.
        status: StatusCode,
        /// The error's code, where it is one.
        error: Option<&'static str>,
        /// Time since it arrived.
        after: Duration,
    },
    /// An attempt ended without an answer.
    AttemptFailed {
        /// Which cluster was asked.
        cluster: &'a ClusterName,
        /// Which replica, where the cluster gave one.
        replica: Option<&'a ReplicaName>,
        /// Why.
        error: &'a AttemptError,
    },
    /// The first event of a stream is here.
    FirstToken {
        /// Which cluster answered.
        cluster: &'a ClusterName,
        /// As which model.
        model: &'a ModelName,
        /// Time since the request arrived.
        after: Duration,
        /// What that was expected to be when the request had its permit; `None` where the cell did not tell.
        expected: Option<Duration>,
    },
    /// An answer that is not streamed is here, all of it.
    WholeAnswer {
        /// Which cluster answered.
        cluster: &'a ClusterName,
        /// As which model.
        model: &'a ModelName,
        /// Time since the request arrived.
        after: Duration,
    },
    /// Something about the counting of tokens.
    Counting(Counting<'a>),
    /// Something about a budget.
    Budget(Budgeting<'a>),
    /// Something about prefixes.
    Prefix(Prefixing<'a>),
    /// Something about the response cache.
    Cache(Caching<'a>),
    /// Something about versions of a model and its rollout.
    Rollout(RollingOut<'a>),
    /// Something about detectors.
    Detection(Detecting<'a>),
    /// A request was refused because bodies take all the memory that they may.
    BodyRefused {
        /// Whose: `tenant` or `process`.
        bound: &'static str,
    },
    /// A region hop did not take an order of the edge.
    OrderRefused {
        /// Why, in one word.
        reason: &'static str,
    },
    /// An engine reported what an answer took.
    Used {
        /// Which model it was.
        model: &'a ModelName,
        /// The figures.
        usage: Usage,
    },
    /// A stream broke off after its first event.
    StreamFailed {
        /// Which cluster.
        cluster: &'a ClusterName,
        /// Which replica.
        replica: &'a ReplicaName,
        /// Why.
        error: &'a AttemptError,
    },
    /// A request has come to a tier of its ladder, and the clusters that may serve it there are ranked.
    Ranked {
        /// The tier's model.
        model: &'a ModelName,
        /// The tier's index in the ladder.
        tier: usize,
        /// The prompt, as that model counts it.
        prompt: Tokens,
        /// What is expected of each, in the order in which they are tried.
        estimates: &'a [Estimate<'a>],
        /// Those that may not see the tenant's data.
        excluded: &'a [&'a ClusterName],
    },
    /// Something was decided elsewhere.
    Weighing(Weighing<'a>),
    /// What an engine says of itself, or a part of it, is not believed.
    SignalIgnored(IgnoredSignal<'a>),
    /// A request waits for its turn at a cluster.
    Queued {
        /// Which cluster.
        cluster: &'a ClusterName,
        /// How long, as far as can be told.
        expected: Duration,
    },
    /// A request waits no longer at a cluster.
    Waited {
        /// Which cluster.
        cluster: &'a ClusterName,
        /// `served`, why it was dropped, `refused` for another reason, or `left` where its client did or nobody answered.
        ended_as: &'static str,
        /// How long it has waited.
        after: Duration,
    },
    /// A request has a permit to run at a replica.
    Permitted {
        /// Which cluster.
        cluster: &'a ClusterName,
        /// Which replica.
        replica: &'a ReplicaName,
        /// Whether the permit was kept here; else the cluster's cell was asked.
        is_kept: bool,
        /// Why at this replica; `None` where the cell does not tell.
        choice: Option<ChoiceReason>,
        /// What the request is to expect there; `None` likewise.
        expected: Option<Expectation>,
    },
    /// A permit was given back.
    Released {
        /// Which cluster.
        cluster: &'a ClusterName,
        /// How its request ended.
        outcome: Outcome,
    },
    /// Something about canned answers.
    Canned(Canning<'a>),
    /// An operator has changed something.
    AdminChange(AdminChange<'a>),
    /// A newer configuration is in force.
    ConfigApplied {
        /// Its version.
        version: &'a str,
    },
    /// The configuration in the store is wrong; the one before stays.
    ConfigRefused {
        /// What is wrong with it.
        errors: &'a ConfigErrors,
    },
    /// The store does no more what is asked of it; told once until it does again.
    StoreFailing {
        /// What it does not do.
        access: StoreAccess,
        /// What the platform says.
        detail: &'a str,
    },
    /// The store does it again.
    StoreWorks {
        /// What it had not done.
        access: StoreAccess,
    },
}

/// What the store is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StoreAccess {
    /// To be read for a newer configuration.
    Read,
    /// To keep what must outlive the process.
    Write,
}

impl StoreAccess {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Read, Self::Write];

    /// One word for metrics and log lines.
    pub fn label(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// How much an event matters to somebody who reads logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The course of one request.
    Debug,
    /// The course of the gateway.
    Info,
    /// Something failed, and the gateway went on; or somebody has changed how it goes on.
    Warn,
}

impl Event<'_> {
    /// How much it matters.
    pub fn level(&self) -> Level {
        match self {
            Self::Counting(counting) => counting.level(),
            Self::Budget(budgeting) => budgeting.level(),
            Self::Prefix(prefixing) => prefixing.level(),
            Self::Cache(caching) => caching.level(),
            Self::Rollout(rolling_out) => rolling_out.level(),
            Self::Canned(canning) => canning.level(),
            Self::Detection(detecting) => detecting.level(),
            Self::Responded { .. }
            | Self::BodyRefused { .. }
            | Self::FirstToken { .. }
            | Self::WholeAnswer { .. }
            | Self::Used { .. }
            | Self::Ranked { .. }
            | Self::Weighing(_)
            // It befalls the same engine each second.
            | Self::SignalIgnored(_)
            | Self::Queued { .. }
            | Self::Waited { .. }
            | Self::Permitted { .. }
            | Self::Released { .. } => Level::Debug,
            Self::ConfigApplied { .. } | Self::StoreWorks { .. } => Level::Info,
            // It befalls every request at once; the platform tells of it, in its own measure.
            Self::AttemptFailed {
                error: AttemptError::Send(SendError::Local(_)),
                ..
            } => Level::Debug,
            Self::AdminChange(_)
            | Self::AttemptFailed { .. }
            | Self::OrderRefused { .. }
            | Self::StreamFailed { .. }
            | Self::ConfigRefused { .. }
            | Self::StoreFailing { .. } => Level::Warn,
        }
    }

    /// What happened, as a line of a log begins.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Responded { .. } => "responded",
            Self::AttemptFailed { .. } => "attempt failed",
            Self::FirstToken { .. } => "first token",
            Self::WholeAnswer { .. } => "whole answer",
            Self::Counting(counting) => counting.name(),
            Self::Budget(budgeting) => budgeting.name(),
            Self::Prefix(prefixing) => prefixing.name(),
            Self::Cache(caching) => caching.name(),
            Self::Rollout(rolling_out) => rolling_out.name(),
            Self::Detection(detecting) => detecting.name(),
            Self::BodyRefused { .. } => "no memory for body",
            Self::OrderRefused { .. } => "order refused",
            Self::Used { .. } => "used",
            Self::StreamFailed { .. } => "stream failed",
            Self::Ranked { .. } => "ranked",
            Self::Weighing(weighing) => weighing.name(),
            Self::SignalIgnored(_) => "signal ignored",
            Self::Queued { .. } => "queued",
            Self::Waited { .. } => "waited",
            Self::Permitted { .. } => "permitted",
            Self::Released { .. } => "released",
            Self::Canned(canning) => canning.name(),
            Self::AdminChange(_) => "changed by an operator",
            Self::ConfigApplied { .. } => "configuration applied",
            Self::ConfigRefused { .. } => "configuration in the store refused, the one before stays",
            Self::StoreFailing { .. } => "store failing",
            Self::StoreWorks { .. } => "store works again",
        }
    }
}
