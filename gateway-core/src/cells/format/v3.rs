//! Version 3 of the formats: what differs from the current one, and how one becomes the other.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::budget::{BudgetCell, BudgetCommand};
use crate::cache::FlightCell;
use crate::cells::{CellCommand, CellState};
use crate::cluster::{ClusterCellV3, ClusterCommandV3};
use crate::hop::OrdersCell;
use crate::rollout::RolloutCell;
use crate::tokens::{ModelCorrections, Observed};

/// A command to a cell of any kind.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum CommandV3 {
    Cluster(ClusterCommandV3),
    Estimate(Observed),
    Budget(BudgetCommand),
}

impl CommandV3 {
    /// The command in version 3; `None` where that cannot say it.
    pub fn of(command: &CellCommand) -> Option<Self> {
        match command {
            CellCommand::Cluster(command) => ClusterCommandV3::of(command).map(Self::Cluster),
            CellCommand::Estimate(reports) => reports.without_names().map(Self::Estimate),
            CellCommand::Budget(command) => Some(Self::Budget(command.clone())),
            CellCommand::Order(_) | CellCommand::Rollout(_) | CellCommand::Flight(_) => None,
        }
    }
}

impl From<CommandV3> for CellCommand {
    fn from(command: CommandV3) -> Self {
        match command {
            CommandV3::Cluster(command) => Self::Cluster(command.into()),
            CommandV3::Estimate(observed) => Self::Estimate(observed.into()),
            CommandV3::Budget(command) => Self::Budget(command),
        }
    }
}

/// The state of a cell of any kind.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum StateV3<'a> {
    Cluster(Box<ClusterCellV3>),
    Estimate(Cow<'a, ModelCorrections>),
    Budget(Box<Cow<'a, BudgetCell>>),
    /// Version 3 has no such cells; nobody who reads only that asks for one.
    Orders(Cow<'a, OrdersCell>),
    /// Likewise.
    Rollout(Box<Cow<'a, RolloutCell>>),
    /// Likewise.
    Flight(Cow<'a, FlightCell>),
}

impl<'a> StateV3<'a> {
    /// The state in version 3.
    pub fn of(state: &'a CellState) -> Self {
        match state {
            CellState::Cluster(cell) => Self::Cluster(Box::new((&**cell).into())),
            CellState::Estimate(corrections) => Self::Estimate(Cow::Borrowed(corrections)),
            CellState::Budget(cell) => Self::Budget(Box::new(Cow::Borrowed(cell))),
            CellState::Orders(cell) => Self::Orders(Cow::Borrowed(cell)),
            CellState::Rollout(cell) => Self::Rollout(Box::new(Cow::Borrowed(cell))),
            CellState::Flight(cell) => Self::Flight(Cow::Borrowed(cell)),
        }
    }
}

impl From<StateV3<'_>> for CellState {
    fn from(state: StateV3<'_>) -> Self {
        match state {
            StateV3::Cluster(cell) => Self::Cluster(Box::new((*cell).into())),
            StateV3::Estimate(corrections) => Self::Estimate(corrections.into_owned()),
            StateV3::Budget(cell) => Self::Budget(Box::new(cell.into_owned())),
            StateV3::Orders(cell) => Self::Orders(cell.into_owned()),
            StateV3::Rollout(cell) => Self::Rollout(Box::new(cell.into_owned())),
            StateV3::Flight(cell) => Self::Flight(cell.into_owned()),
        }
    }
}
