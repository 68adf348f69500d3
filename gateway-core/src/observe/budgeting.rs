//! What happens to budgets.

use std::fmt;

use super::event::Level;
use crate::budget::BudgetError;
use crate::cells::CellError;
use crate::ids::{BudgetId, Tokens};

/// Something about a budget.
#[derive(Clone, Copy, Debug)]
pub enum Budgeting<'a> {
    /// A request has reserved what it is expected to take.
    Reserved {
        /// Of which budget.
        budget: &'a BudgetId,
    },
    /// A request was refused.
    Refused {
        /// By which budget.
        budget: &'a BudgetId,
        /// Why.
        error: &'a BudgetError,
    },
    /// A request has ended.
    Settled {
        /// In which budget.
        budget: &'a BudgetId,
        /// What it had reserved.
        reserved: Tokens,
        /// What it took.
        used: Tokens,
    },
    /// A budget's cell did not answer.
    Unreachable {
        /// Which budget.
        budget: &'a BudgetId,
        /// Why.
        error: &'a CellError,
    },
}

impl Budgeting<'_> {
    /// How much it matters.
    pub(super) fn level(&self) -> Level {
        match self {
            Self::Reserved { .. } | Self::Refused { .. } | Self::Settled { .. } => Level::Debug,
            Self::Unreachable { .. } => Level::Warn,
        }
    }

    /// What happened.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Reserved { .. } => "reserved",
            Self::Refused { .. } => "refused",
            Self::Settled { .. } => "settled",
            Self::Unreachable { .. } => "budget unreachable",
        }
    }

    /// The rest of its line in a log.
    pub(super) fn write_particulars(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reserved { budget } => write!(f, " budget={budget}"),
            Self::Refused { budget, error } => write!(f, " budget={budget} error={error}"),
            Self::Settled { budget, reserved, used } => write!(f, " budget={budget} reserved={reserved} used={used}"),
            Self::Unreachable { budget, error } => write!(f, " budget={budget} error={error}"),
        }
    }
}
