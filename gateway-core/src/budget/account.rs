//! A holder's account of what it was lent: sums since the holder began, so that telling them twice changes nothing.

use serde::{Deserialize, Serialize};

/// Tokens and requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// Tokens.
    pub tokens: u64,
    /// Requests.
    pub requests: u64,
}

/// One holder's account of tokens, or of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseAccount {
    /// Ever granted to it.
    pub granted: u64,
    /// Spent, less what requests turned out not to take: it may fall.
    pub spent: u64,
    /// Ever given back.
    pub returned: u64,
}

impl LeaseAccount {
    /// What it holds; below zero when more was spent than granted.
    pub fn available(&self) -> i64 {
        signed(self.granted) - signed(self.spent) - signed(self.returned)
    }

    /// What it holds, none for debt.
    pub fn held(&self) -> u64 {
        u64::try_from(self.available()).unwrap_or(0)
    }

    /// Gives back what it holds beyond `most`.
    pub fn keep(&mut self, most: u64) {
        self.returned += self.held().saturating_sub(most);
    }
}

/// No sum comes near the bounds of an `i64`: a cell lends at most 10^12 tokens a day.
pub(super) fn signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}
