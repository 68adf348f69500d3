//! The state of a cell: a state machine that follows from its commands and their times alone. What it keeps is figures
//! of the moment, which heal, and of some kinds a part that has to survive a restart.

use serde::{Deserialize, Serialize};

use super::{CellCommand, CellId, CellReply};
use crate::budget::{BudgetCell, BudgetCommand, BudgetReply};
use crate::cache::{FlightCell, FlightCommand, FlightReply};
use crate::cluster::{ClusterCell, ClusterCommand, ClusterReply, PermitId};
use crate::hop::{Admit, Admitted, OrdersCell};
use crate::rollout::{RolloutCell, RolloutCommand, RolloutReply};
use crate::time::{Moment, Timestamp};
use crate::tokens::{Lesson, ModelCorrections, Reports};

/// The state of a cell of any kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CellState {
    /// Of a cluster cell.
    Cluster(Box<ClusterCell>),
    /// Of a model's estimate.
    Estimate(ModelCorrections),
    /// Of a budget cell.
    Budget(Box<BudgetCell>),
    /// Of the orders that a region hop has taken.
    Orders(OrdersCell),
    /// Of a model's rollout.
    Rollout(Box<RolloutCell>),
    /// Of who asks for the answer of a key.
    Flight(FlightCell),
}

/// What running a command came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied<R = CellReply> {
    /// What is replied.
    pub reply: R,
    /// Whether what must survive a restart is another now: its record is to be written.
    pub lasting_changed: bool,
}

impl CellState {
    /// A cell that has seen nothing yet.
    pub fn new(id: &CellId) -> Self {
        match id {
            CellId::Cluster(_) => Self::Cluster(Box::default()),
            CellId::Estimate(_) => Self::Estimate(ModelCorrections::default()),
            CellId::Budget(_) => Self::Budget(Box::default()),
            CellId::Orders(_) => Self::Orders(OrdersCell::default()),
            CellId::Rollout(_) => Self::Rollout(Box::default()),
            CellId::Flight(_) => Self::Flight(FlightCell::default()),
        }
    }

    /// Runs one command, at a moment of the cell's own time.
    pub(super) fn apply(&mut self, now: Moment, command: CellCommand) -> Applied {
        let cell: &mut dyn Cell = match self {
            Self::Cluster(cell) => cell.as_mut(),
            Self::Estimate(corrections) => corrections,
            Self::Budget(cell) => cell.as_mut(),
            Self::Orders(cell) => cell,
            Self::Rollout(cell) => cell.as_mut(),
            Self::Flight(cell) => cell,
        };
        cell.apply_any(now, command)
    }

    /// The permits that are waited for and whose turns have come.
    pub(super) fn turns(&self, now: Timestamp) -> Vec<PermitId> {
        match self {
            Self::Cluster(cell) => cell.turns(now),
            Self::Estimate(_) | Self::Budget(_) | Self::Orders(_) | Self::Rollout(_) | Self::Flight(_) => Vec::new(),
        }
    }

    /// The latest moment that it has seen, where it keeps it.
    pub(super) fn latest(&self) -> Option<Timestamp> {
        match self {
            Self::Cluster(_) | Self::Estimate(_) | Self::Orders(_) | Self::Rollout(_) | Self::Flight(_) => None,
            Self::Budget(cell) => cell.latest(),
        }
    }

    /// Whether it is as one that has seen nothing, and can be forgotten. Kinds of which there are few are not looked at.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        match self {
            Self::Flight(cell) => cell.is_over(now),
            Self::Cluster(_) | Self::Estimate(_) | Self::Budget(_) | Self::Orders(_) | Self::Rollout(_) => false,
        }
    }

    /// What must survive a restart; `None` for kinds that keep figures of the moment only.
    pub(super) fn lasting(&self) -> Option<Self> {
        match self {
            Self::Estimate(_) | Self::Orders(_) | Self::Flight(_) => None,
            Self::Cluster(cell) => Some(Self::Cluster(Box::new(cell.lasting()))),
            Self::Budget(cell) => Some(Self::Budget(Box::new(cell.without_holders()))),
            Self::Rollout(cell) => Some(Self::Rollout(Box::new(cell.without_evidence()))),
        }
    }
}

/// A kind of cell: which of all commands are for it, and how it runs them.
trait Kind {
    type Command;
    type Reply;

    fn command(command: CellCommand) -> Option<Self::Command>;

    fn reply(reply: Self::Reply) -> CellReply;

    fn run(&mut self, now: Moment, command: Self::Command) -> Applied<Self::Reply>;
}

/// A cell of whatever kind.
trait Cell {
    fn apply_any(&mut self, now: Moment, command: CellCommand) -> Applied;
}

impl<K: Kind> Cell for K {
    fn apply_any(&mut self, now: Moment, command: CellCommand) -> Applied {
        let Some(command) = K::command(command) else {
            return Applied {
                reply: CellReply::AnotherKind,
                lasting_changed: false,
            };
        };
        let Applied { reply, lasting_changed } = self.run(now, command);
        Applied {
            reply: K::reply(reply),
            lasting_changed,
        }
    }
}

impl Kind for ClusterCell {
    type Command = ClusterCommand;
    type Reply = ClusterReply;

    fn command(command: CellCommand) -> Option<ClusterCommand> {
        if let CellCommand::Cluster(command) = command {
            Some(command)
        } else {
            None
        }
    }

    fn reply(reply: ClusterReply) -> CellReply {
        CellReply::Cluster(reply)
    }

    fn run(&mut self, now: Moment, command: ClusterCommand) -> Applied<ClusterReply> {
        let is_drain = matches!(command, ClusterCommand::Drain(_));
        let before = matches!(command, ClusterCommand::Scale(_)).then(|| self.lasting_scaling());
        let reply = self.apply(now.steady, command);
        let is_advice = before.is_some_and(|before| before != self.lasting_scaling());
        Applied {
            reply,
            lasting_changed: is_drain || is_advice,
        }
    }
}

impl Kind for ModelCorrections {
    type Command = Reports;
    type Reply = Lesson;

    fn command(command: CellCommand) -> Option<Reports> {
        if let CellCommand::Estimate(reports) = command {
            Some(reports)
        } else {
            None
        }
    }

    fn reply(reply: Lesson) -> CellReply {
        CellReply::Estimate(reply)
    }

    fn run(&mut self, _: Moment, reports: Reports) -> Applied<Lesson> {
        Applied {
            reply: self.learn(&reports),
            lasting_changed: false,
        }
    }
}

impl Kind for BudgetCell {
    type Command = BudgetCommand;
    type Reply = BudgetReply;

    fn command(command: CellCommand) -> Option<BudgetCommand> {
        if let CellCommand::Budget(command) = command {
            Some(command)
        } else {
            None
        }
    }

    fn reply(reply: BudgetReply) -> CellReply {
        CellReply::Budget(reply)
    }

    fn run(&mut self, now: Moment, command: BudgetCommand) -> Applied<BudgetReply> {
        let (reply, lasting_changed) = self.apply_and_compare(now, command);
        Applied { reply, lasting_changed }
    }
}

impl Kind for OrdersCell {
    type Command = Admit;
    type Reply = Admitted;

    fn command(command: CellCommand) -> Option<Admit> {
        if let CellCommand::Order(admit) = command {
            Some(admit)
        } else {
            None
        }
    }

    fn reply(reply: Admitted) -> CellReply {
        CellReply::Order(reply)
    }

    fn run(&mut self, now: Moment, admit: Admit) -> Applied<Admitted> {
        Applied {
            reply: self.admit(now.steady, admit),
            lasting_changed: false,
        }
    }
}

impl Kind for FlightCell {
    type Command = FlightCommand;
    type Reply = FlightReply;

    fn command(command: CellCommand) -> Option<FlightCommand> {
        if let CellCommand::Flight(command) = command {
            Some(command)
        } else {
            None
        }
    }

    fn reply(reply: FlightReply) -> CellReply {
        CellReply::Flight(reply)
    }

    fn run(&mut self, now: Moment, command: FlightCommand) -> Applied<FlightReply> {
        Applied {
            reply: self.apply(now.steady, command),
            lasting_changed: false,
        }
    }
}

impl Kind for RolloutCell {
    type Command = RolloutCommand;
    type Reply = RolloutReply;

    fn command(command: CellCommand) -> Option<RolloutCommand> {
        if let CellCommand::Rollout(command) = command {
            Some(command)
        } else {
            None
        }
    }

    fn reply(reply: RolloutReply) -> CellReply {
        CellReply::Rollout(reply)
    }

    fn run(&mut self, now: Moment, command: RolloutCommand) -> Applied<RolloutReply> {
        let (reply, lasting_changed) = self.apply(now.steady, command);
        Applied { reply, lasting_changed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cells::CellId;

    #[test]
    fn a_command_to_another_kind_of_cell_changes_nothing() {
        let now = Timestamp::default();
        let mut cell = CellState::new(&CellId::Estimate("model".into()));
        let before = cell.clone();
        let applied = cell.apply(now.into(), CellCommand::Cluster(ClusterCommand::Status));
        assert_eq!((applied.reply, cell), (CellReply::AnotherKind, before));
    }
}
