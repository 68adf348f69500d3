//! What a cache asks its cell for, and what it makes of the reply.

use std::time::Duration;

use super::{CUT_OFF_PAUSE, DENIED_PAUSE, LeaseCache, LeaseTerms, OpenCall, TOP_UP_PAUSE};
use crate::budget::account::Amount;
use crate::budget::limits::{BudgetLimits, Rate};
use crate::budget::message::{Denied, Lease, Leased, Need, Report, Shortage};
use crate::time::Timestamp;

impl LeaseCache {
    /// Begins to ask the cell. The reply goes to [`on_leased`](Self::on_leased), and its absence to
    /// [`on_unanswered`](Self::on_unanswered).
    pub fn ask(&mut self, now: Timestamp, need: Option<(u64, u8)>, limits: BudgetLimits, ttl: Duration) -> Lease {
        let needed = need.map_or(0, |(tokens, _)| tokens);
        let in_force = self.limits().unwrap_or(limits);
        let want = self.ahead(now, &in_force, needed);
        self.let_go(now);
        // What is far beyond what it would ask for now, others can use; and what is too little for the request that asks
        // may be what they lack.
        let most = needed
            .saturating_add(self.waiting.tokens)
            .saturating_add(want.tokens.saturating_mul(2));
        let is_too_little = self.tokens.account.held() < needed;
        self.tokens.account.keep(if is_too_little { 0 } else { most });
        self.requests
            .account
            .keep(1 + self.waiting.requests + want.requests.saturating_mul(2));
        self.slots = self.slots.min(self.most_slots());
        let report = self.report(now);
        let slots = self.running.saturating_add(need.is_some().into());
        let need = need.map(|(tokens, headroom_percent)| Need {
            tokens,
            slots,
            headroom_percent,
        });
        self.open_call = Some(OpenCall {
            sequence: self.sequence,
            since: now,
            need,
        });
        self.top_up_after = now + TOP_UP_PAUSE;
        Lease {
            report,
            need,
            waiting: self.waiting,
            want,
            want_slots: slots
                .saturating_add(self.waiting_slots())
                .saturating_add(self.spare_slots.min(self.running)),
            limits,
            ttl,
        }
    }

    /// Whether the reply to this report is awaited: nobody has asked again since.
    pub fn is_asking(&self, sequence: u64) -> bool {
        self.open_call.is_some_and(|call| call.sequence == sequence)
    }

    /// The cell has replied. What was needed is reserved then, unless it was denied. `None` where the reply is not the one
    /// that is awaited: what it grants is taken back with the next report.
    pub fn on_leased(&mut self, now: Timestamp, leased: Leased) -> Option<Result<(), Denied>> {
        let call = self.open_call.filter(|call| call.sequence == leased.sequence)?;
        self.end_asking();
        self.unanswered = 0;
        self.allowance = None;
        self.tokens.on_lent(leased.granted.tokens, leased.held.tokens);
        self.requests.on_lent(leased.granted.requests, leased.held.requests);
        if let (Some(need), None) = (call.need, leased.denied) {
            self.spend(now, need.tokens);
        }
        self.slots = leased.slots;
        self.spare_slots = leased.spare_slots;
        self.terms = Some(LeaseTerms {
            limits: leased.limits,
            left: leased.left,
            at: now,
            day_ends: now
                + leased
                    .day_resets_in
                    .unwrap_or_else(|| leased.limits.until_next_day(now)),
            ends: call.since + leased.ttl,
            renew: call.since + leased.ttl / 3,
        });
        self.expected = leased.expected.into_iter().collect();
        match leased.denied {
            Some(denied) => {
                self.on_denied(now, call.need, denied.short);
                Some(Err(denied.at_least(DENIED_PAUSE)))
            }
            None => Some(Ok(())),
        }
    }

    /// Nothing is asked for a while, where the denial says anything about other requests.
    fn on_denied(&mut self, now: Timestamp, need: Option<Need>, short: Shortage) {
        self.denied = match short {
            Shortage::TooLarge => return,
            Shortage::Tokens | Shortage::Priority | Shortage::Day => need,
            Shortage::Requests | Shortage::Concurrency => None,
        };
        self.ask_after = now + DENIED_PAUSE;
    }

    /// How long a request has to wait before the cell may be asked for it. What was denied to one of twice its size, or of
    /// lower priority, may be there for this one.
    pub(super) fn pause(&self, now: Timestamp, tokens: u64, headroom_percent: u8) -> Duration {
        let asks_less = self.denied.is_some_and(|denied| {
            Need::must_be_there(tokens).saturating_mul(2) <= denied.tokens || headroom_percent < denied.headroom_percent
        });
        if asks_less {
            Duration::ZERO
        } else {
            self.ask_after.since(now)
        }
    }

    /// The cell has not answered. It is asked once more at once, since a message may have got lost; then the cache counts
    /// as cut off.
    pub fn on_unanswered(&mut self, now: Timestamp) {
        self.on_left();
        self.unanswered = self.unanswered.saturating_add(1);
        if self.unanswered > 1 {
            self.ask_after = now + CUT_OFF_PAUSE;
        }
    }

    /// Nobody waits for the reply any more. The cell may have granted what was asked for, and then believes that what was
    /// held here went into it: it is given back, so that nothing is there twice.
    pub fn on_left(&mut self) {
        if let Some(need) = self.open_call.and_then(|call| call.need) {
            self.tokens.lower(need.tokens);
            self.requests.lower(1);
        }
        self.end_asking();
    }

    /// What it would like to hold beyond what requests wait for: what is likely to be spent next, and once more what the
    /// request that asks needs. Nothing of a budget whose burst is only a few requests' worth: what several caches held of
    /// it would soon be enough for none of them.
    pub(super) fn ahead(&self, now: Timestamp, limits: &BudgetLimits, needed: u64) -> Amount {
        let (tokens, requests) = (self.token_rate.ahead(now), self.request_rate.ahead(now));
        let size = needed.max(tokens / requests.max(1));
        let unless_few = |amount, is_for_many| if is_for_many { amount } else { 0 };
        Amount {
            tokens: unless_few(tokens.saturating_add(needed), is_for_many(limits.tokens, size)),
            requests: unless_few(requests + u64::from(needed > 0), is_for_many(limits.requests, 1)),
        }
    }

    /// Whether the cell may lend so many tokens for a request that does not need them for certain.
    pub fn may_be_lent(&self, limits: &BudgetLimits, tokens: u64) -> bool {
        is_for_many(self.limits().as_ref().unwrap_or(limits).tokens, tokens)
    }

    fn end_asking(&mut self) {
        self.open_call = None;
        self.replies += 1;
    }

    /// The account as it is now, which the cell is about to be told.
    pub(super) fn report(&mut self, now: Timestamp) -> Report {
        self.sequence += 1;
        self.is_news = false;
        Report {
            holder: self.holder,
            sequence: self.sequence,
            tokens: self.tokens.told(),
            requests: self.requests.told(),
            slots: self.slots,
            tokens_per_s: self.token_rate.per_second(now),
            outputs: std::mem::take(&mut self.outputs).into_iter().collect(),
        }
    }
}

/// Whether the burst is worth many requests of that size.
fn is_for_many(rate: Option<Rate>, size: u64) -> bool {
    rate.is_none_or(|rate| rate.burst / LEAST_SHARED >= size)
}

/// Where the burst is worth fewer requests than this, nothing is lent ahead.
const LEAST_SHARED: u64 = 16;
