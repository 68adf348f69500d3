//! Calls to budget cells.

use super::{CellCall, CellCommand, CellReply};
use crate::budget::{BudgetCommand, BudgetReply, BudgetStatus, Lease, Leased, ReadBudget, Report, SetLimits};

impl CellCall for Lease {
    type Reply = Leased;

    fn into_command(self) -> CellCommand {
        CellCommand::Budget(BudgetCommand::Lease(self))
    }

    fn reply(reply: CellReply) -> Option<Leased> {
        if let BudgetReply::Leased(leased) = budget(reply)? {
            Some(*leased)
        } else {
            None
        }
    }
}

impl CellCall for Report {
    type Reply = ();

    fn into_command(self) -> CellCommand {
        CellCommand::Budget(BudgetCommand::Settle(self))
    }

    fn reply(reply: CellReply) -> Option<()> {
        (budget(reply)? == BudgetReply::Done).then_some(())
    }
}

impl CellCall for ReadBudget {
    type Reply = BudgetStatus;

    fn into_command(self) -> CellCommand {
        let ReadBudget { limits } = self;
        CellCommand::Budget(BudgetCommand::Status { limits })
    }

    fn reply(reply: CellReply) -> Option<BudgetStatus> {
        status(reply)
    }
}

impl CellCall for SetLimits {
    type Reply = BudgetStatus;

    fn into_command(self) -> CellCommand {
        CellCommand::Budget(BudgetCommand::SetLimits(self.0))
    }

    fn reply(reply: CellReply) -> Option<BudgetStatus> {
        status(reply)
    }
}

fn status(reply: CellReply) -> Option<BudgetStatus> {
    if let BudgetReply::Status(status) = budget(reply)? {
        Some(*status)
    } else {
        None
    }
}

fn budget(reply: CellReply) -> Option<BudgetReply> {
    if let CellReply::Budget(reply) = reply {
        Some(reply)
    } else {
        None
    }
}
