//! What a holder is lent: what a waiting request needs, all or nothing, and as much beyond it as leaves enough for others.

use super::head_of_line::HeadOfLine;
use super::{BudgetCell, Leaseholder};
use crate::budget::account::{Amount, signed};
use crate::budget::message::{Denied, Lease, LeaseholderId, Need, Shortage};

impl BudgetCell {
    /// Grants what a request needs, all or nothing.
    pub(super) fn serve(&mut self, holder: &mut Leaseholder, need: Need) -> Option<Denied> {
        let lacking = Amount {
            tokens: need.tokens.saturating_sub(holder.tokens.held()),
            requests: u64::from(holder.requests.held() == 0),
        };
        let lacking_slots = need.slots.saturating_sub(holder.slots);
        let shortage = if lacking_slots > self.free_slots() {
            let short = Shortage::Concurrency;
            Some(Denied { short, wait: None })
        } else {
            self.shortage(need, holder.tokens.held(), lacking.requests)
        };
        if shortage.is_none() {
            self.grant(holder, lacking);
            // The request that waits for it spends it, so that the bucket fills again from now on.
            if self.limits().bounds_tokens() {
                self.tokens.spend(&mut holder.tokens, need.tokens);
            }
            if self.limits().requests.is_some() {
                self.requests.spend(&mut holder.requests, 1);
            }
            self.set_slots(holder, holder.slots + lacking_slots);
            self.head_of_line = self.head_of_line.filter(|head| !head.is_for(need.tokens));
        }
        shortage
    }

    /// Why a holder, which holds so many tokens and lacks so many requests, cannot have what it needs, with the longest of
    /// the waits.
    fn shortage(&mut self, need: Need, held: u64, lacking_requests: u64) -> Option<Denied> {
        let limits = self.limits();
        let tokens = Need::must_be_there(need.tokens);
        let denied = |short, wait| Some(Denied { short, wait });
        if limits.bounds_tokens() && tokens > limits.most_for_one(need.headroom_percent) {
            return denied(Shortage::TooLarge, None);
        }
        if limits.tokens_per_day.is_some() && tokens.saturating_sub(held) > self.left().day_tokens {
            return denied(Shortage::Day, Some(limits.until_next_day(self.wall)));
        }
        let of_tokens = self.shortage_of_tokens(need, held);
        let of_requests = match (limits.requests, self.requests.bucket()) {
            (Some(rate), Some(bucket)) => Some(bucket.wait(rate, lacking_requests)),
            (None, _) | (_, None) => None,
        };
        let of_requests = of_requests.filter(|wait| lacking_requests > 0 && !wait.is_zero());
        match (of_tokens, of_requests) {
            (Some(tokens), Some(requests)) if tokens.wait < Some(requests) => {
                denied(Shortage::Requests, Some(requests))
            }
            (None, Some(requests)) => denied(Shortage::Requests, Some(requests)),
            (of_tokens, _) => of_tokens,
        }
    }

    /// Why a holder, which holds so much, cannot have the tokens of the minute that it needs. It comes to be first in
    /// line, if nobody is.
    fn shortage_of_tokens(&mut self, need: Need, held: u64) -> Option<Denied> {
        let rate = self.limits().tokens?;
        let tokens = Need::must_be_there(need.tokens);
        let lacking = tokens.saturating_sub(held);
        // What the holder has left then counts as well: it would come back.
        let kept = rate.kept(need.headroom_percent);
        // Who enters may be who is first in line.
        let is_entry = need.tokens == 0;
        let ahead = if is_entry { 0 } else { self.ahead(need.tokens) };
        let wanted = (tokens + kept).saturating_sub(held) + ahead;
        let bucket = self.tokens.bucket()?;
        if lacking + kept == 0 || bucket.level() >= signed(wanted) {
            return None;
        }
        let wait = bucket.wait(rate, wanted);
        if kept > 0 {
            let (short, wait) = (Shortage::Priority, Some(wait));
            return Some(Denied { short, wait });
        }
        if is_entry {
            let (short, wait) = (Shortage::Tokens, Some(wait));
            return Some(Denied { short, wait });
        }
        let first_in_line = self.head_of_line.filter(|head| head.is_for(need.tokens));
        // Who waited once and found others quicker waits until all of it is there for certain.
        let wait = first_in_line.map_or(wait, |head| wait.max(head.full.since(self.now)));
        self.head_of_line.get_or_insert(HeadOfLine {
            tokens: need.tokens,
            since: self.now,
            full: self.now + wait * 2,
        });
        let (short, wait) = (Shortage::Tokens, Some(wait));
        Some(Denied { short, wait })
    }

    /// Lends what other requests of the holder wait for, as far as it is there, and beyond that what it would like to have:
    /// in proportion to its share of what all spend, and never so much that others find nothing.
    pub(super) fn top_up(&mut self, id: LeaseholderId, holder: &mut Leaseholder, lease: &Lease) {
        let headroom_percent = lease.need.map_or(0, |need| need.headroom_percent);
        let kept = self.limits().tokens.map_or(0, |rate| rate.kept(headroom_percent));
        let free = Amount {
            tokens: self.free_tokens().saturating_sub(kept),
            requests: u64::try_from(self.requests.level()).unwrap_or(0),
        };
        let own = u128::from(holder.tokens_per_s) + 1;
        let others = self
            .holders
            .iter()
            .filter(|(other, holder)| **other != id && !holder.is_lapsed);
        let all = own
            + others
                .map(|(_, other)| u128::from(other.tokens_per_s) + 1)
                .sum::<u128>();
        let share = |free: u64| u64::try_from(u128::from(free / 2) * own / all).unwrap_or(u64::MAX);
        let more = |waiting: u64, want: u64, held: u64, free: u64| {
            let at_once = waiting.saturating_sub(held).min(free);
            let ahead = waiting.saturating_add(want).saturating_sub(held + at_once);
            at_once + ahead.min(share(free - at_once))
        };
        let Lease { waiting, want, .. } = lease;
        let more = Amount {
            tokens: more(waiting.tokens, want.tokens, holder.tokens.held(), free.tokens),
            requests: more(waiting.requests, want.requests, holder.requests.held(), free.requests),
        };
        self.grant(holder, more);
        let more = lease.want_slots.saturating_sub(holder.slots).min(self.free_slots());
        self.set_slots(holder, holder.slots + more);
    }

    /// Tokens that may be lent beyond need.
    fn free_tokens(&self) -> u64 {
        let level = self.tokens.level().saturating_sub(signed(self.ahead(0)));
        let level = u64::try_from(level).unwrap_or(0);
        match self.limits().tokens_per_day {
            Some(_) => level.min(self.left().day_tokens),
            None => level,
        }
    }

    /// Tokens that are kept by now for the request that is first in line, if that is another one.
    fn ahead(&self, tokens: u64) -> u64 {
        match (
            self.head_of_line.filter(|head| !head.is_for(tokens)),
            self.limits().tokens,
        ) {
            (Some(head), Some(rate)) => head.kept(self.now, rate),
            (None, _) | (_, None) => 0,
        }
    }

    fn free_slots(&self) -> u32 {
        let most = self.limits().concurrent_requests.unwrap_or(u32::MAX);
        most.saturating_sub(self.slots)
    }

    /// Slots that one holder may keep without use: none where there are few for many.
    pub(super) fn spare_slots(&self) -> u32 {
        let holders = u32::try_from(self.live().count()).unwrap_or(u32::MAX);
        let most = self.limits().concurrent_requests.unwrap_or(u32::MAX);
        most / holders.saturating_mul(SPARE_SHARE).max(1)
    }
}

/// All holders together keep at most one of so many slots without use.
const SPARE_SHARE: u32 = 4;
