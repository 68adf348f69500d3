//! What a cache has of one kind, tokens or requests.

use crate::budget::account::LeaseAccount;

/// An account, and the most that it may hold.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Balance {
    pub account: LeaseAccount,
    pub most: u64,
    /// What had been given back by the last report.
    reported: u64,
    /// The same of the report to which the cell replied last: what it said is left has that in it.
    known: u64,
}

impl Balance {
    /// The account as it is told; until the reply nothing more than this is held.
    pub fn told(&mut self) -> LeaseAccount {
        self.most = self.account.held();
        self.reported = self.account.returned;
        self.account
    }

    /// What was given back since the cell said what is left.
    pub fn given_back(&self) -> u64 {
        self.account.returned.saturating_sub(self.known)
    }

    /// Holds so much less at most.
    pub fn lower(&mut self, by: u64) {
        self.most = self.most.saturating_sub(by);
        self.account.keep(self.most);
    }

    pub fn on_lent(&mut self, granted: u64, held: u64) {
        self.account.granted = self.account.granted.max(granted);
        self.most = held;
        self.known = self.reported;
    }
}
