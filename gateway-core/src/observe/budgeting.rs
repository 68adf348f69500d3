//! What happens to budgets.

use std::fmt;

use super::event::Level;
use crate::budget::BudgetError;
use crate::cells::CellError;
use crate::ids::{BudgetId, RequestId, Tokens};

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
        /// The request.
        id: &'a RequestId,
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
            Self::Reserved { .. } | Self::Refused { .. } | Self::Settled { .. } => Level::Info,
            Self::Unreachable { .. } => Level::Warn,
        }
    }
}

impl fmt::Display for Budgeting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reserved { budget } => write!(f, "reserved budget={budget}"),
            Self::Refused { id, budget, error } => {
                write!(f, "refused request={} budget={budget} error={error}", id.as_str())
            }
            Self::Settled { budget, reserved, used } => {
                write!(f, "settled budget={budget} reserved={reserved} used={used}")
            }
            Self::Unreachable { budget, error } => write!(f, "budget unreachable budget={budget} error={error}"),
        }
    }
}
