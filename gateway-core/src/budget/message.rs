//! What lease caches and budget cells tell each other. A holder always tells all of its account and a cell always replies with
//! all that it has granted, so that a message that is lost, late or there twice changes nothing.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::account::{Amount, LeaseAccount};
use super::limits::BudgetLimits;
use super::outputs::Outputs;
use crate::ids::ModelName;

/// What can be asked of a budget cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BudgetCommand {
    /// Hear what a holder has spent, and lend it more.
    Lease(Lease),
    /// Hear what a holder has spent and gives back; it wants nothing.
    Settle(Report),
    /// Tell how the budget stands.
    Status {
        /// The limits that the configuration sets.
        limits: BudgetLimits,
    },
    /// Put these limits in place of the configuration's; `None` puts those back.
    SetLimits(Option<BudgetLimits>),
}

/// Asks how a budget stands: `BudgetCommand::Status` as a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadBudget {
    /// The limits that the configuration sets.
    pub limits: BudgetLimits,
}

/// Puts these limits in place of the configuration's; `None` puts those back: `BudgetCommand::SetLimits` as a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetLimits(pub Option<BudgetLimits>);

/// Who holds leases: one lease cache, that of a budget in one process, isolate or instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LeaseholderId(pub u64);

/// How a holder's account stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Whose it is.
    pub holder: LeaseholderId,
    /// Counts the holder's messages: an older report than the last one is no news.
    pub sequence: u64,
    /// Tokens, as the holder knows of them.
    pub tokens: LeaseAccount,
    /// Requests, likewise.
    pub requests: LeaseAccount,
    /// Slots for running requests that the holder keeps, in use or not.
    pub slots: u32,
    /// Tokens per second that it has spent lately.
    #[serde(rename = "pace")]
    pub tokens_per_s: u64,
    /// Answers that have ended since the last report, by model. Written also where there are none: the compact form of
    /// logs knows fields by their order.
    #[serde(default)]
    pub outputs: Vec<(ModelName, Outputs)>,
}

/// A holder asks for more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Its account until here.
    pub report: Report,
    /// What a request is waiting for; `None` where none is.
    pub need: Option<Need>,
    /// What further requests wait for that came meanwhile: each takes what there is.
    pub waiting: Amount,
    /// What it would like to have beyond that.
    pub want: Amount,
    /// Slots that it would like to have, those in use included.
    pub want_slots: u32,
    /// The limits that the configuration sets.
    pub limits: BudgetLimits,
    /// How long it will use what it is lent, from the moment at which it asks.
    pub ttl: Duration,
}

/// What one request takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// Tokens that must be reserved for it; none for a request that enters, for which some must be there all the same.
    pub tokens: u64,
    /// Slots that its holder must have for it, those in use included.
    pub slots: u32,
    /// The share of the bucket that is kept for requests of higher priority, in percent.
    #[serde(rename = "kept_percent")]
    pub headroom_percent: u8,
}

impl Need {
    /// Tokens that must be there for a request that reserves so many.
    pub(super) fn must_be_there(tokens: u64) -> u64 {
        tokens.max(1)
    }
}

/// What a budget cell replies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BudgetReply {
    /// To `Lease`.
    Leased(Box<Leased>),
    /// To `Settle`.
    Done,
    /// To `Status` and `SetLimits`.
    Status(Box<BudgetStatus>),
}

/// What a holder has been lent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leased {
    /// The report that this replies to.
    pub sequence: u64,
    /// All that the holder has ever been granted.
    pub granted: Amount,
    /// What it holds of that.
    pub held: Amount,
    /// Requests that it may run.
    pub slots: u32,
    /// Slots that it may keep without a request in them.
    pub spare_slots: u32,
    /// How long the lease holds, from the moment at which it was asked for.
    pub ttl: Duration,
    /// Why what was needed is not granted.
    pub denied: Option<Denied>,
    /// The limits in force.
    pub limits: BudgetLimits,
    /// What is left in the cell.
    pub left: Left,
    /// Until the next day begins; a cell of the version before does not tell.
    #[serde(default)]
    pub day_resets_in: Option<Duration>,
    /// Output tokens to expect, by model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expected: Vec<(ModelName, u64)>,
}

/// What nobody holds, at one moment. Figures of what has no limit are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// Tokens, below zero for debt.
    pub tokens: i64,
    /// Requests, likewise.
    pub requests: i64,
    /// Tokens of the day.
    pub day_tokens: u64,
}

/// A request cannot be admitted now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denied {
    /// What is short.
    pub short: Shortage,
    /// How long to wait; `None` where nobody can tell.
    pub wait: Option<Duration>,
}

impl Denied {
    /// The same, with a wait of at least that long, where there is one.
    #[must_use]
    pub fn at_least(self, least: Duration) -> Self {
        Self {
            wait: self.wait.map(|wait| wait.max(least)),
            ..self
        }
    }
}

/// What a request cannot have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shortage {
    /// Tokens of the minute.
    Tokens,
    /// Requests of the minute.
    Requests,
    /// Slots for requests that run at once.
    Concurrency,
    /// Tokens of the minute that are kept for requests of higher priority.
    Priority,
    /// Tokens of the day.
    Day,
    /// It needs more tokens than the budget ever holds.
    TooLarge,
}

impl Shortage {
    /// Whether waiting for minutes will help.
    pub fn passes(self) -> bool {
        match self {
            Self::Tokens | Self::Requests | Self::Concurrency | Self::Priority => true,
            Self::Day | Self::TooLarge => false,
        }
    }

    /// One word for metrics and logs.
    pub fn label(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Requests => "requests",
            Self::Concurrency => "concurrency",
            Self::Priority => "priority",
            Self::Day => "day",
            Self::TooLarge => "too_large",
        }
    }
}

/// How a budget stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetStatus {
    /// The limits in force.
    pub limits: BudgetLimits,
    /// Whether they were set in place of the configuration's.
    pub is_overridden: bool,
    /// What nobody holds.
    pub left: Left,
    /// Leased and not known to be spent.
    pub held: Amount,
    /// Spent on this day and leased on it.
    pub day_tokens_used: u64,
    /// Until the next day begins.
    pub day_resets_in: Duration,
    /// Slots for running requests that holders keep.
    pub slots: u32,
    /// Holders whose leases run.
    pub holders: u32,
    /// Tokens since the cell exists.
    pub tokens: Totals,
    /// Requests, likewise.
    pub requests: Totals,
}

/// What has become of all that a cell granted: `granted` is the sum of the others and of what is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Taken out of the bucket.
    pub granted: u64,
    /// Used by requests.
    pub spent: u64,
    /// Given back unused.
    pub returned: u64,
    /// Held by holders that were not heard of again.
    pub written_off: u64,
}
