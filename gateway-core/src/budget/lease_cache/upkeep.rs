//! What a cache has done behind requests' backs: its leases renewed, and what nobody uses given back.

use super::balance::Balance;
use super::{IDLE, LeaseCache};
use crate::budget::account::signed;
use crate::budget::message::Report;
use crate::time::Timestamp;

/// What a cache would have done in the background.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upkeep {
    /// Ask the cell for more, or for longer.
    Renew,
    /// Tell the cell what is given back.
    Settle,
}

impl LeaseCache {
    /// What is to be done behind the request's back, if anything.
    pub fn upkeep(&self, now: Timestamp) -> Option<Upkeep> {
        let terms = self
            .terms
            .filter(|_| self.open_call.is_none() && now >= self.ask_after)?;
        let bounds = &terms.limits;
        if self.is_news && self.debt() > 0 && bounds.bounds_tokens() {
            // Others must not be lent what has been spent here.
            return Some(Upkeep::Settle);
        }
        let ahead = self.ahead(now, bounds, 0);
        let is_low = |balance: &Balance, ahead: u64| balance.account.available() < signed(ahead / 2);
        let is_low = bounds.bounds_tokens() && is_low(&self.tokens, ahead.tokens)
            || bounds.requests.is_some() && is_low(&self.requests, ahead.requests);
        let is_due = now >= terms.renew && (self.running > 0 || self.last_used + IDLE > now);
        if now >= self.top_up_after && (is_low || is_due) {
            return Some(Upkeep::Renew);
        }
        let gives_back = bounds.concurrent_requests.is_some() && self.slots > self.most_slots();
        gives_back.then_some(Upkeep::Settle)
    }

    /// Whether no request runs.
    pub fn is_at_rest(&self) -> bool {
        self.running == 0
    }

    /// Whether nothing has been asked of it for long enough to give everything back.
    pub fn is_idle(&self, now: Timestamp) -> bool {
        self.running == 0 && self.open_call.is_none() && now >= self.last_used + IDLE
    }

    /// Whether it has anything to give back or to tell.
    pub fn has_news(&self) -> bool {
        self.is_news || self.tokens.account.held() > 0 || self.requests.account.held() > 0 || self.slots > 0
    }

    /// Gives back all that is held, and tells the account as it is then.
    pub fn settle_up(&mut self, now: Timestamp) -> Report {
        if self.is_idle(now) {
            self.tokens.account.keep(0);
            self.requests.account.keep(0);
            self.spare_slots = 0;
        }
        self.slots = self.slots.min(self.most_slots());
        self.report(now)
    }
}
