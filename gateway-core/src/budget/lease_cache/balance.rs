//! What a cache has of one kind, tokens or requests.

use crate::budget::account::LeaseAccount;

/// An account, and the most that it may hold.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Balance {
    pub account: LeaseAccount,
    pub most: u64,
}

impl Balance {
    /// The account as it is told; until the reply nothing more than this is held.
    pub fn told(&mut self) -> LeaseAccount {
        self.most = self.account.held();
        self.account
    }

    /// Holds so much less at most.
    pub fn lower(&mut self, by: u64) {
        self.most = self.most.saturating_sub(by);
        self.account.keep(self.most);
    }

    pub fn on_lent(&mut self, granted: u64, held: u64) {
        self.account.granted = self.account.granted.max(granted);
        self.most = held;
    }
}
