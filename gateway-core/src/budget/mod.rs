//! What tenants may use. A budget is one tenant's, for all models or a group of them: tokens and requests by the minute,
//! tokens by the day, requests at once. Its cell lends to lease caches, one at each edge location, which spend without asking;
//! docs/budgets.md tells what that bounds, and why.

mod account;
mod bucket;
mod cell;
mod error;
mod lease_cache;
mod limits;
mod message;
mod outputs;
mod pool;
mod rates;
mod spend_rate;

pub use account::{Amount, LeaseAccount};
pub use bucket::Bucket;
pub use cell::BudgetCell;
pub use error::BudgetError;
pub use lease_cache::{IDLE, LONGEST_CALL, LeaseCache, MOST_WAITS, NotReserved, Upkeep};
pub use limits::{BudgetLimits, MOST_PER_DAY, Rate};
pub use message::{
    BudgetCommand, BudgetReply, BudgetStatus, Denied, Lease, Leased, LeaseholderId, Left, Need, ReadBudget, Report,
    SetLimits, Shortage, Totals,
};
pub use outputs::Outputs;
pub use rates::{RateState, Rates};
