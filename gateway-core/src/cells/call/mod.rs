//! What cells are told and what they reply. Each command knows its reply, so that who asks gets that and no other.

mod budget;
mod cluster;
mod flight;
mod rollout;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::CellError;
use crate::budget::{BudgetCommand, BudgetReply};
use crate::cache::{FlightCommand, FlightReply};
use crate::cluster::{ClusterCommand, ClusterReply, PermitId};
use crate::hop::{Admit, Admitted};
use crate::rollout::{RolloutCommand, RolloutReply};
use crate::tokens::{Lesson, Reports};

/// A command to a cell of any kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CellCommand {
    /// To a cluster cell.
    Cluster(ClusterCommand),
    /// To a model's estimate: learn from these reports. Empty ones only ask.
    Estimate(Reports),
    /// To a budget cell.
    Budget(BudgetCommand),
    /// To the orders that a region hop has taken.
    Order(Admit),
    /// To a model's rollout.
    Rollout(RolloutCommand),
    /// To the cell of a key.
    Flight(FlightCommand),
}

/// A cell's reply to a command of its kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CellReply {
    /// From a cluster cell.
    Cluster(ClusterReply),
    /// From a model's estimate: what holds now.
    Estimate(Lesson),
    /// From a budget cell.
    Budget(BudgetReply),
    /// The command is for cells of another kind; nothing was done.
    AnotherKind,
    /// From the orders that a region hop has taken.
    Order(Admitted),
    /// From a model's rollout.
    Rollout(RolloutReply),
    /// From the cell of a key.
    Flight(FlightReply),
}

impl CellReply {
    /// For how long the call may be held whose command this is the reply to, where that lets it.
    pub fn held_for(&self) -> Option<Duration> {
        match self {
            Self::Cluster(ClusterReply::Queued(queued)) => Some(queued.hold_for),
            Self::Cluster(
                ClusterReply::Granted(_)
                | ClusterReply::Refused(_)
                | ClusterReply::Extended(_)
                | ClusterReply::Done
                | ClusterReply::Status(_)
                | ClusterReply::Queue(_)
                | ClusterReply::DrainSet(_)
                | ClusterReply::Scale(_)
                | ClusterReply::PollTurn(_)
                | ClusterReply::PolicyUnknown,
            )
            | Self::Estimate(_)
            | Self::Order(_)
            | Self::Rollout(_)
            | Self::Flight(_)
            | Self::Budget(_)
            | Self::AnotherKind => None,
        }
    }

    /// The same where somebody reads along of a version that knows no digests and no signals.
    #[must_use]
    pub fn without_policy(self) -> Self {
        match self {
            Self::Cluster(reply) => Self::Cluster(reply.without_policy()),
            Self::Estimate(_)
            | Self::Budget(_)
            | Self::AnotherKind
            | Self::Order(_)
            | Self::Rollout(_)
            | Self::Flight(_) => self,
        }
    }
}

impl CellCommand {
    /// The reply to a command that only tells the cell something: it is known beforehand, so that such a command can
    /// wait a moment for company. `None` where the reply says something.
    pub fn reply_to_come(&self) -> Option<CellReply> {
        match self {
            Self::Cluster(ClusterCommand::Release(_) | ClusterCommand::Renew(_) | ClusterCommand::TellSignals(_)) => {
                Some(CellReply::Cluster(ClusterReply::Done))
            }
            Self::Budget(BudgetCommand::Settle(_)) => Some(CellReply::Budget(BudgetReply::Done)),
            Self::Cluster(
                ClusterCommand::Acquire(_)
                | ClusterCommand::Extend(_)
                | ClusterCommand::Status
                | ClusterCommand::Queue
                | ClusterCommand::Drain(_)
                | ClusterCommand::AskForTurn(_)
                | ClusterCommand::DryRun(_)
                | ClusterCommand::Scale(_),
            )
            | Self::Estimate(_)
            | Self::Order(_)
            | Self::Rollout(_)
            | Self::Flight(_)
            | Self::Budget(BudgetCommand::Lease(_) | BudgetCommand::Status { .. } | BudgetCommand::SetLimits(_)) => {
                None
            }
        }
    }

    /// The permit whose turn the call may be held for.
    pub fn may_be_held_for(&self) -> Option<PermitId> {
        match self {
            Self::Cluster(ClusterCommand::Acquire(acquire)) => {
                let queueing = acquire.queueing.as_ref()?;
                queueing.may_be_held.then_some(acquire.permit)
            }
            Self::Cluster(
                ClusterCommand::Extend(_)
                | ClusterCommand::Renew(_)
                | ClusterCommand::Release(_)
                | ClusterCommand::Status
                | ClusterCommand::Queue
                | ClusterCommand::Drain(_)
                | ClusterCommand::AskForTurn(_)
                | ClusterCommand::TellSignals(_)
                | ClusterCommand::DryRun(_)
                | ClusterCommand::Scale(_),
            )
            | Self::Estimate(_)
            | Self::Order(_)
            | Self::Rollout(_)
            | Self::Flight(_)
            | Self::Budget(_) => None,
        }
    }

    /// The same where no call can be held: the cell is not to count on it.
    #[must_use]
    pub fn without_holding(mut self) -> Self {
        if let Self::Cluster(ClusterCommand::Acquire(acquire)) = &mut self
            && let Some(queueing) = &mut acquire.queueing
        {
            queueing.may_be_held = false;
        }
        self
    }

    /// Whether who is replied to takes it that what the cell was told outlives the process. What requests have spent is
    /// written behind their backs.
    pub fn must_last(&self) -> bool {
        matches!(
            self,
            Self::Budget(BudgetCommand::SetLimits(_))
                | Self::Cluster(ClusterCommand::Drain(_))
                | Self::Rollout(RolloutCommand::Order(_))
        )
    }
}

/// A command that knows what is replied to it.
pub trait CellCall {
    /// What is replied.
    type Reply;

    /// The command as cells take it.
    fn into_command(self) -> CellCommand;

    /// What the cell replied, if it is a reply to this; `None` if it is one to something else.
    fn reply(reply: CellReply) -> Option<Self::Reply>;

    /// What the cell replied.
    ///
    /// # Errors
    /// When it is a reply to something else.
    fn read(reply: CellReply) -> Result<Self::Reply, CellError> {
        Self::reply(reply).ok_or_else(|| CellError::Malformed("a reply to another command".to_owned()))
    }
}

impl CellCall for Reports {
    type Reply = Lesson;

    fn into_command(self) -> CellCommand {
        CellCommand::Estimate(self)
    }

    fn reply(reply: CellReply) -> Option<Lesson> {
        if let CellReply::Estimate(lesson) = reply {
            Some(lesson)
        } else {
            None
        }
    }
}

impl CellCall for Admit {
    type Reply = Admitted;

    fn into_command(self) -> CellCommand {
        CellCommand::Order(self)
    }

    fn reply(reply: CellReply) -> Option<Admitted> {
        if let CellReply::Order(admitted) = reply {
            Some(admitted)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::Report;
    use crate::cluster::{Acquire, ReadReplicas, Renew};

    #[test]
    fn a_reply_to_another_command_is_none() {
        let done = || CellReply::Cluster(ClusterReply::Done);
        assert_eq!(Renew::read(done()), Ok(()));
        assert!(matches!(Acquire::read(done()), Err(CellError::Malformed(_))));
        assert_eq!(ReadReplicas::reply(done()), None);
        assert_eq!(Report::reply(done()), None);
        assert_eq!(Reports::reply(CellReply::AnotherKind), None);
    }
}
