//! Why a request cannot be admitted from what a cache holds, and whether the cell is worth asking: what it told a moment
//! ago says how long to wait as well as another call would.

use std::time::Duration;

use super::{LONGEST_CALL, LeaseCache, LeaseTerms, NotReserved};
use crate::budget::account::{LeaseAccount, signed};
use crate::budget::limits::Rate;
use crate::budget::message::{Denied, Need, Shortage};
use crate::time::Timestamp;

impl LeaseCache {
    /// What a request cannot have of what is held. What the one that asks counts on is spoken for: the cell grants that
    /// one only what it lacks beyond it.
    pub(super) fn shortage(
        &self,
        now: Timestamp,
        terms: &LeaseTerms,
        tokens: u64,
        headroom_percent: u8,
    ) -> Option<Shortage> {
        let limits = &terms.limits;
        let counted_on = self.open_call.and_then(|call| call.need).map(|need| need.tokens);
        let ahead = u32::from(counted_on.is_some());
        if limits.concurrent_requests.is_some() && self.running.saturating_add(ahead) >= self.slots {
            return Some(Shortage::Concurrency);
        }
        if limits.requests.is_some() && self.requests.account.available() <= i64::from(ahead) {
            return Some(Shortage::Requests);
        }
        let available = self.tokens.account.available() - signed(counted_on.unwrap_or(0));
        let is_short = if tokens == 0 {
            !self.may_have_tokens(now, terms)
        } else {
            available < signed(tokens)
        };
        if limits.bounds_tokens() && is_short {
            return Some(Shortage::Tokens);
        }
        let tokens = Need::must_be_there(tokens);
        let kept = limits.tokens.map_or(0, |rate| rate.kept(headroom_percent));
        let left = self.tokens_left(now, terms).saturating_add(available);
        (kept > 0 && left < signed(tokens + kept)).then_some(Shortage::Priority)
    }

    /// Whether there are tokens for a request that reserves none yet, here or, going by what the cell told last, there. The
    /// cell need not be asked for it while it has told anything that still holds, or is about to.
    fn may_have_tokens(&self, now: Timestamp, terms: &LeaseTerms) -> bool {
        let of_day = terms
            .limits
            .tokens_per_day
            .map_or(i64::MAX, |_| signed(terms.left.day_tokens));
        let left = self.tokens_left(now, terms).min(of_day);
        let left = left.max(0).saturating_add(self.tokens.account.available());
        now < terms.ends && (left > 0 || self.is_being_asked(now))
    }

    /// What the cell would say, going by what it told last; `None` where it may have what is short.
    pub(super) fn expected_denial(
        &self,
        now: Timestamp,
        terms: &LeaseTerms,
        short: Shortage,
        tokens: u64,
        headroom_percent: u8,
    ) -> Option<Denied> {
        let limits = &terms.limits;
        let tokens = Need::must_be_there(tokens);
        let lacking = |account: &LeaseAccount, amount| signed(amount) - account.available();
        let (rate, left, wanted) = match short {
            Shortage::Requests => (
                limits.requests,
                self.requests_left(now, terms),
                lacking(&self.requests.account, 1),
            ),
            Shortage::Tokens | Shortage::Priority => {
                let lacking = lacking(&self.tokens.account, tokens).max(0);
                if limits.tokens_per_day.is_some() && signed(terms.left.day_tokens) < lacking {
                    let (short, wait) = (Shortage::Day, Some(terms.day_ends.since(now)));
                    return Some(Denied { short, wait });
                }
                let kept = limits.tokens.map_or(0, |rate| rate.kept(headroom_percent));
                (limits.tokens, self.tokens_left(now, terms), lacking + signed(kept))
            }
            Shortage::Concurrency | Shortage::Day | Shortage::TooLarge => return None,
        };
        let missing = u64::try_from(wanted.saturating_sub(left))
            .ok()
            .filter(|missing| *missing > 0)?;
        let wait = Some(rate?.time_for(missing));
        Some(Denied { short, wait })
    }

    fn is_being_asked(&self, now: Timestamp) -> bool {
        self.open_call.is_some_and(|call| now.since(call.since) < LONGEST_CALL)
    }

    /// Tokens left in the cell by now, if nobody took any and it has heard what was given back here.
    fn tokens_left(&self, now: Timestamp, terms: &LeaseTerms) -> i64 {
        let left = terms.left.tokens.saturating_add(signed(self.tokens.given_back()));
        grown(terms.limits.tokens, left, now.since(terms.at), self.tokens.most)
    }

    /// Requests, likewise.
    fn requests_left(&self, now: Timestamp, terms: &LeaseTerms) -> i64 {
        let left = terms.left.requests.saturating_add(signed(self.requests.given_back()));
        grown(terms.limits.requests, left, now.since(terms.at), self.requests.most)
    }

    /// What to do about a shortage: what the cell told a moment ago saves asking it again.
    pub(super) fn not_reserved(
        &self,
        now: Timestamp,
        short: Shortage,
        pause: Duration,
        expected: Option<Denied>,
    ) -> NotReserved {
        if self.is_being_asked(now) {
            return NotReserved::Asking;
        }
        let wait = self.ask_after.since(now);
        if self.unanswered > 1 && !wait.is_zero() {
            return NotReserved::CutOff { wait };
        }
        let is_fresh = self.terms.is_some_and(|terms| now.since(terms.at) < FRESH);
        match expected {
            Some(denied) if is_fresh && denied.wait > Some(SOON) || !pause.is_zero() => {
                NotReserved::Denied(denied.at_least(pause))
            }
            None if !pause.is_zero() => {
                let wait = Some(pause);
                NotReserved::Denied(Denied { short, wait })
            }
            Some(_) | None => NotReserved::Ask,
        }
    }
}

/// What was left some time ago has grown, but not into the room of what the cell believes to be held.
fn grown(rate: Option<Rate>, left: i64, elapsed: Duration, held: u64) -> i64 {
    rate.map_or(i64::MAX, |rate| {
        let most = signed(rate.burst.saturating_sub(held));
        rate.grown(left, elapsed).min(most.max(left))
    })
}

/// What the cell told is relied on for that long, where it says that there is nothing to be had.
pub(super) const FRESH: Duration = Duration::from_secs(1);
/// What should be there that soon may be there already.
const SOON: Duration = Duration::from_millis(100);
