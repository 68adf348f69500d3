//! Calls to cluster cells.

use super::{CellCall, CellCommand, CellReply};
use crate::cluster::{
    Acquire, Acquired, AskForTurn, ClusterCommand, ClusterReply, DrainSet, DryRun, Extend, Extended, PolicyUnknown,
    PollTurn, QueueStatus, ReadQueue, ReadReplicas, ReadScale, Releases, Renew, ReplicaStatus, Scale, SetDrain,
    TellSignals,
};

impl CellCall for Acquire {
    type Reply = Result<Acquired, PolicyUnknown>;

    fn into_command(self) -> CellCommand {
        CellCommand::Cluster(ClusterCommand::Acquire(self))
    }

    fn reply(reply: CellReply) -> Option<Self::Reply> {
        acquired(reply)
    }
}

impl CellCall for DryRun {
    type Reply = Result<Acquired, PolicyUnknown>;

    fn into_command(self) -> CellCommand {
        CellCommand::Cluster(ClusterCommand::DryRun(self))
    }

    fn reply(reply: CellReply) -> Option<Self::Reply> {
        acquired(reply)
    }
}

fn acquired(reply: CellReply) -> Option<Result<Acquired, PolicyUnknown>> {
    match cluster(reply)? {
        ClusterReply::Granted(grant) => Some(Ok(Acquired::Granted(grant))),
        ClusterReply::Refused(refusal) => Some(Ok(Acquired::Refused(refusal))),
        ClusterReply::Queued(queued) => Some(Ok(Acquired::Queued(queued))),
        ClusterReply::PolicyUnknown => Some(Err(PolicyUnknown)),
        ClusterReply::Extended(_)
        | ClusterReply::Done
        | ClusterReply::Status(_)
        | ClusterReply::Queue(_)
        | ClusterReply::DrainSet(_)
        | ClusterReply::Scale(_)
        | ClusterReply::PollTurn(_) => None,
    }
}

impl CellCall for Extend {
    type Reply = Result<Extended, PolicyUnknown>;

    fn into_command(self) -> CellCommand {
        CellCommand::Cluster(ClusterCommand::Extend(self))
    }

    fn reply(reply: CellReply) -> Option<Self::Reply> {
        match cluster(reply)? {
            ClusterReply::Extended(extended) => Some(Ok(extended)),
            ClusterReply::PolicyUnknown => Some(Err(PolicyUnknown)),
            ClusterReply::Granted(_)
            | ClusterReply::Refused(_)
            | ClusterReply::Queued(_)
            | ClusterReply::Done
            | ClusterReply::Status(_)
            | ClusterReply::Queue(_)
            | ClusterReply::DrainSet(_)
            | ClusterReply::Scale(_)
            | ClusterReply::PollTurn(_) => None,
        }
    }
}

impl CellCall for Renew {
    type Reply = ();

    fn into_command(self) -> CellCommand {
        CellCommand::Cluster(ClusterCommand::Renew(self))
    }

    fn reply(reply: CellReply) -> Option<()> {
        (cluster(reply)? == ClusterReply::Done).then_some(())
    }
}

impl CellCall for Releases {
    type Reply = ();

    fn into_command(self) -> CellCommand {
        CellCommand::Cluster(ClusterCommand::Release(self))
    }

    fn reply(reply: CellReply) -> Option<()> {
        (cluster(reply)? == ClusterReply::Done).then_some(())
    }
}

impl CellCall for ReadReplicas {
    type Reply = Vec<ReplicaStatus>;

    fn into_command(self) -> CellCommand {
        CellCommand::Cluster(ClusterCommand::Status)
    }

    fn reply(reply: CellReply) -> Option<Vec<ReplicaStatus>> {
        if let ClusterReply::Status(replicas) = cluster(reply)? {
            Some(replicas)
        } else {
            None
        }
    }
}

impl CellCall for ReadQueue {
    type Reply = QueueStatus;

    fn into_command(self) -> CellCommand {
        CellCommand::Cluster(ClusterCommand::Queue)
    }

    fn reply(reply: CellReply) -> Option<QueueStatus> {
        if let ClusterReply::Queue(status) = cluster(reply)? {
            Some(status)
        } else {
            None
        }
    }
}

impl CellCall for SetDrain {
    type Reply = DrainSet;

    fn into_command(self) -> CellCommand {
        CellCommand::Cluster(ClusterCommand::Drain(self))
    }

    fn reply(reply: CellReply) -> Option<DrainSet> {
        if let ClusterReply::DrainSet(set) = cluster(reply)? {
            Some(*set)
        } else {
            None
        }
    }
}

impl CellCall for ReadScale {
    type Reply = Scale;

    fn into_command(self) -> CellCommand {
        CellCommand::Cluster(ClusterCommand::Scale(self))
    }

    fn reply(reply: CellReply) -> Option<Scale> {
        if let ClusterReply::Scale(scale) = cluster(reply)? {
            Some(*scale)
        } else {
            None
        }
    }
}

impl CellCall for AskForTurn {
    type Reply = PollTurn;

    fn into_command(self) -> CellCommand {
        CellCommand::Cluster(ClusterCommand::AskForTurn(self))
    }

    fn reply(reply: CellReply) -> Option<PollTurn> {
        if let ClusterReply::PollTurn(turn) = cluster(reply)? {
            Some(turn)
        } else {
            None
        }
    }
}

impl CellCall for TellSignals {
    type Reply = ();

    fn into_command(self) -> CellCommand {
        CellCommand::Cluster(ClusterCommand::TellSignals(self))
    }

    fn reply(reply: CellReply) -> Option<()> {
        (cluster(reply)? == ClusterReply::Done).then_some(())
    }
}

fn cluster(reply: CellReply) -> Option<ClusterReply> {
    if let CellReply::Cluster(reply) = reply {
        Some(reply)
    } else {
        None
    }
}
