//! Calls to rollout cells.

use super::{CellCall, CellCommand, CellReply};
use crate::rollout::{
    EvidenceReport, OrderRefused, OrderRollout, Ordered, ReadRollout, RolloutCommand, RolloutReply, RolloutStatus,
    Standing,
};

impl CellCall for EvidenceReport {
    type Reply = Standing;

    fn into_command(self) -> CellCommand {
        CellCommand::Rollout(RolloutCommand::Report(self))
    }

    fn reply(reply: CellReply) -> Option<Standing> {
        if let RolloutReply::Standing(standing) = rollout(reply)? {
            Some(standing)
        } else {
            None
        }
    }
}

impl CellCall for ReadRollout {
    type Reply = RolloutStatus;

    fn into_command(self) -> CellCommand {
        CellCommand::Rollout(RolloutCommand::Status(self))
    }

    fn reply(reply: CellReply) -> Option<RolloutStatus> {
        if let RolloutReply::Status(status) = rollout(reply)? {
            Some(*status)
        } else {
            None
        }
    }
}

impl CellCall for OrderRollout {
    type Reply = Result<Ordered, OrderRefused>;

    fn into_command(self) -> CellCommand {
        CellCommand::Rollout(RolloutCommand::Order(self))
    }

    fn reply(reply: CellReply) -> Option<Self::Reply> {
        match rollout(reply)? {
            RolloutReply::Ordered(ordered) => Some(Ok(*ordered)),
            RolloutReply::Refused(refused) => Some(Err(refused)),
            RolloutReply::Standing(_) | RolloutReply::Status(_) => None,
        }
    }
}

fn rollout(reply: CellReply) -> Option<RolloutReply> {
    if let CellReply::Rollout(reply) = reply {
        Some(reply)
    } else {
        None
    }
}
