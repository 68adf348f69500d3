//! The budget cell: what a tenant may use of a group of models, over all edge locations. It lends to holders, which
//! spend without asking; docs/budgets.md derives what holds in any window.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::account::{Account, Amount};
use super::limits::{BudgetLimits, Rate};
use super::message::{
    BudgetCommand, BudgetReply, BudgetStatus, Denied, HolderId, Lease, Leased, Left, Need, Report, Shortage,
};
use super::outputs::Outputs;
use super::pool::Pool;
use crate::ids::ModelName;
use crate::time::Timestamp;

/// The state of one budget.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetCell {
    /// The limits that the configuration sets, as it was last told.
    configured: BudgetLimits,
    /// Limits that were set in place of the configuration's.
    overridden: Option<BudgetLimits>,
    tokens: Pool,
    requests: Pool,
    /// The day that is counted, and tokens drawn on it.
    day: u64,
    day_tokens: u64,
    holders: BTreeMap<HolderId, Holder>,
    /// Places that holders keep, in all.
    slots: u32,
    /// Until when what is orphaned may still be reported.
    orphaned_until: Timestamp,
    /// Who waits for tokens, and has them kept.
    turn: Option<Turn>,
    outputs: BTreeMap<ModelName, Outputs>,
    /// The latest moment seen: time does not go back, whoever's clock tells it.
    now: Timestamp,
    /// No lease ends before this moment.
    sweep_at: Timestamp,
}

/// A holder of leases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Holder {
    sequence: u64,
    tokens: Account,
    requests: Account,
    slots: u32,
    pace: u64,
    /// The day on which it was last lent anything.
    day: u64,
    expires: Timestamp,
    /// What it was told to its last message.
    denied: Option<Denied>,
    /// Whether it has been written off.
    is_lapsed: bool,
}

/// The request that is first in line, known by its size: it may come back to another location. Half of what comes into the
/// bucket is kept for it, so that many small requests cannot keep a large one waiting for ever, nor a large one all small
/// ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Turn {
    tokens: u64,
    since: Timestamp,
    /// When all of it is there for certain.
    full: Timestamp,
}

impl BudgetCell {
    /// Runs one command.
    pub fn apply(&mut self, now: Timestamp, command: BudgetCommand) -> BudgetReply {
        self.now = self.now.max(now);
        let reply = match command {
            BudgetCommand::Lease(lease) => {
                self.put_in_force(lease.limits);
                BudgetReply::Leased(Box::new(self.lease(&lease)))
            }
            BudgetCommand::Settle(report) => {
                self.put_in_force(self.configured);
                self.on_report(&report, None);
                BudgetReply::Done
            }
            BudgetCommand::Status { limits } => {
                self.put_in_force(limits);
                BudgetReply::Status(Box::new(self.status()))
            }
            BudgetCommand::SetLimits(limits) => {
                self.overridden = limits.filter(BudgetLimits::is_sound);
                self.put_in_force(self.configured);
                BudgetReply::Status(Box::new(self.status()))
            }
        };
        self.refill();
        debug_assert_eq!(self.check_invariants(), Ok(()));
        reply
    }

    /// Tokens that were spent beyond all that there was.
    pub fn debt(&self) -> u64 {
        self.tokens.level().min(0).unsigned_abs()
    }

    /// What must survive a restart, without who holds what: leases are figures of the moment. Their sum is kept, so
    /// that a cell that begins from this lends nothing twice; holders tell their accounts when they next report.
    #[must_use]
    pub fn without_holders(&self) -> Self {
        let ends = self.live().map(|holder| holder.expires).max();
        Self {
            configured: self.configured,
            overridden: self.overridden,
            tokens: self.tokens.orphaned(),
            requests: self.requests.orphaned(),
            day: self.day,
            day_tokens: self.day_tokens,
            holders: BTreeMap::new(),
            slots: 0,
            orphaned_until: self.orphaned_until.max(ends.unwrap_or_default()),
            turn: None,
            outputs: self.outputs.clone(),
            now: self.now,
            sweep_at: Timestamp::NEVER,
        }
    }

    /// What must hold after every command.
    ///
    /// # Errors
    /// What is broken.
    pub fn check_invariants(&self) -> Result<(), String> {
        let sum = |held: fn(&Holder) -> u64| self.live().map(held).sum();
        self.tokens
            .check(sum(|holder| holder.tokens.held()), self.limits().tokens)?;
        self.requests
            .check(sum(|holder| holder.requests.held()), self.limits().requests)?;
        let slots: u32 = self.live().map(|holder| holder.slots).sum();
        if slots != self.slots {
            return Err(format!("holders keep {slots} places, not {}", self.slots));
        }
        let in_debt = |account: &Account| account.available() < 0;
        match self
            .live()
            .find(|holder| in_debt(&holder.tokens) || in_debt(&holder.requests))
        {
            Some(holder) => Err(format!("a debt that is not in the bucket: {holder:?}")),
            None => Ok(()),
        }
    }

    fn live(&self) -> impl Iterator<Item = &Holder> {
        self.holders.values().filter(|holder| !holder.is_lapsed)
    }

    fn put_in_force(&mut self, configured: BudgetLimits) {
        self.configured = configured;
        let day = self.limits().day(self.now);
        if day != self.day {
            (self.day, self.day_tokens) = (day, 0);
        }
        self.sweep();
        self.refill();
        self.turn = self.turn.filter(|turn| self.now <= turn.full + TURN);
    }

    /// The limits in force.
    fn limits(&self) -> BudgetLimits {
        self.overridden.unwrap_or(self.configured)
    }

    fn refill(&mut self) {
        let limits = self.limits();
        self.tokens.refill(self.now, limits.tokens);
        self.requests.refill(self.now, limits.requests);
    }

    fn lease(&mut self, lease: &Lease) -> Leased {
        let limits = self.limits();
        // A day's tokens are spent on that day.
        let until_reset = limits.tokens_per_day.map(|_| limits.until_next_day(self.now));
        let ttl = lease.ttl.min(until_reset.unwrap_or(Duration::MAX));
        let id = lease.report.holder;
        let is_news = self
            .holders
            .get(&id)
            .is_none_or(|holder| holder.sequence < lease.report.sequence);
        let mut holder = self.on_report(&lease.report, Some(ttl));
        self.refill();
        // A message that comes twice is granted once, and replied to alike.
        if is_news {
            holder.denied = lease.need.and_then(|need| self.serve(&mut holder, need));
            if holder.denied.is_none() {
                self.top_up(id, &mut holder, lease);
            }
        }
        let leased = Leased {
            sequence: lease.report.sequence,
            granted: Amount {
                tokens: holder.tokens.granted,
                requests: holder.requests.granted,
            },
            held: Amount {
                tokens: holder.tokens.held(),
                requests: holder.requests.held(),
            },
            slots: holder.slots,
            spare_slots: self.spare_slots(),
            denied: holder.denied,
            ttl,
            limits,
            left: self.left(),
            expected: self.expected(),
        };
        self.holders.insert(id, holder);
        leased
    }

    /// Takes in what a holder tells, and gives how it stands now. `ttl` from now its lease ends; `None` leaves it.
    fn on_report(&mut self, report: &Report, ttl: Option<Duration>) -> Holder {
        let known = self.holders.get(&report.holder).cloned();
        let mut holder = match known {
            Some(holder) => holder,
            None => self.adopt(report),
        };
        if holder.is_lapsed {
            self.tokens.revive(&holder.tokens);
            self.requests.revive(&holder.requests);
            holder.is_lapsed = false;
        }
        if report.sequence > holder.sequence {
            holder.sequence = report.sequence;
            holder.pace = report.pace;
            let drawn = self.tokens.on_account(&mut holder.tokens, &report.tokens);
            // What was drawn on an earlier day is no more of this one.
            let drawn = if holder.day == self.day { drawn } else { drawn.max(0) };
            self.day_tokens = self.day_tokens.saturating_add_signed(drawn);
            self.requests.on_account(&mut holder.requests, &report.requests);
            self.set_slots(&mut holder, report.slots);
            for (model, outputs) in &report.outputs {
                self.learn(model, outputs);
            }
        }
        if let Some(ttl) = ttl {
            holder.expires = self.now + ttl + GRACE;
            holder.day = self.day;
        }
        self.sweep_at = self.sweep_at.min(holder.expires);
        self.holders.insert(report.holder, holder.clone());
        holder
    }

    /// A holder that is new, or whose account was lost with an earlier state of this cell.
    fn adopt(&mut self, report: &Report) -> Holder {
        let (tokens, drawn) = self.tokens.adopt(&report.tokens);
        let (requests, _) = self.requests.adopt(&report.requests);
        self.day_tokens = self.day_tokens.saturating_add_signed(drawn);
        self.slots += report.slots;
        Holder {
            sequence: report.sequence,
            tokens,
            requests,
            slots: report.slots,
            pace: report.pace,
            day: self.day,
            expires: self.now + GRACE,
            denied: None,
            is_lapsed: false,
        }
    }

    /// Grants what a request needs, all or nothing.
    fn serve(&mut self, holder: &mut Holder, need: Need) -> Option<Denied> {
        let lacking = Amount {
            tokens: need.tokens.saturating_sub(holder.tokens.held()),
            requests: u64::from(holder.requests.held() == 0),
        };
        let lacking_slots = need.slots.saturating_sub(holder.slots);
        let shortage = if lacking_slots > self.free_slots() {
            let short = Shortage::Concurrency;
            Some(Denied { short, wait: None })
        } else {
            self.shortage(need, holder.tokens.held(), lacking)
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
            self.turn = self.turn.filter(|turn| !turn.is_for(need.tokens));
        }
        shortage
    }

    /// Why a holder cannot have what it lacks, with the longest of the waits.
    fn shortage(&mut self, need: Need, held: u64, lacking: Amount) -> Option<Denied> {
        let limits = self.limits();
        let denied = |short, wait| Some(Denied { short, wait });
        if limits.bounds_tokens() && need.tokens > limits.most_for_one(need.kept_percent) {
            return denied(Shortage::TooLarge, None);
        }
        if limits.tokens_per_day.is_some() && lacking.tokens > self.left().day_tokens {
            return denied(Shortage::Day, Some(limits.until_next_day(self.now)));
        }
        let of_tokens = self.shortage_of_tokens(need, held);
        let of_requests = match (limits.requests, self.requests.bucket()) {
            (Some(rate), Some(bucket)) => Some(bucket.wait(rate, lacking.requests)),
            (None, _) | (_, None) => None,
        };
        let of_requests = of_requests.filter(|wait| lacking.requests > 0 && !wait.is_zero());
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
        let lacking = need.tokens.saturating_sub(held);
        // What the holder has left then counts as well: it would come back.
        let kept = rate.kept(need.kept_percent);
        let wanted = (need.tokens + kept).saturating_sub(held) + self.ahead(need.tokens);
        let bucket = self.tokens.bucket()?;
        if lacking + kept == 0 || bucket.level() >= signed(wanted) {
            return None;
        }
        let wait = bucket.wait(rate, wanted);
        if kept > 0 {
            let (short, wait) = (Shortage::Priority, Some(wait));
            return Some(Denied { short, wait });
        }
        let first_in_line = self.turn.filter(|turn| turn.is_for(need.tokens));
        // Who waited once and found others quicker waits until all of it is there for certain.
        let wait = first_in_line.map_or(wait, |turn| wait.max(turn.full.since(self.now)));
        self.turn.get_or_insert(Turn {
            tokens: need.tokens,
            since: self.now,
            full: self.now + wait * 2,
        });
        let (short, wait) = (Shortage::Tokens, Some(wait));
        Some(Denied { short, wait })
    }

    /// Lends what the holder would like to have beyond what it needs: in proportion to its share of what all spend,
    /// and never so much that others find nothing.
    fn top_up(&mut self, id: HolderId, holder: &mut Holder, lease: &Lease) {
        let own = u128::from(holder.pace) + 1;
        let others = self
            .holders
            .iter()
            .filter(|(other, holder)| **other != id && !holder.is_lapsed);
        let all = own + others.map(|(_, other)| u128::from(other.pace) + 1).sum::<u128>();
        let share = |free: u64| u64::try_from(u128::from(free / 2) * own / all).unwrap_or(u64::MAX);
        let tokens = lease.want.tokens.saturating_sub(holder.tokens.held());
        let requests = lease.want.requests.saturating_sub(holder.requests.held());
        let free = self.free_tokens();
        let more = Amount {
            tokens: tokens.min(share(free)),
            requests: requests.min(share(u64::try_from(self.requests.level()).unwrap_or(0))),
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
        match (self.turn.filter(|turn| !turn.is_for(tokens)), self.limits().tokens) {
            (Some(turn), Some(rate)) => turn.kept(self.now, rate),
            (None, _) | (_, None) => 0,
        }
    }

    fn grant(&mut self, holder: &mut Holder, amount: Amount) {
        if self.limits().bounds_tokens() {
            self.tokens.grant(&mut holder.tokens, amount.tokens);
            self.day_tokens += amount.tokens;
        }
        if self.limits().requests.is_some() {
            self.requests.grant(&mut holder.requests, amount.requests);
        }
    }

    fn free_slots(&self) -> u32 {
        let most = self.limits().concurrent_requests.unwrap_or(u32::MAX);
        most.saturating_sub(self.slots)
    }

    fn set_slots(&mut self, holder: &mut Holder, slots: u32) {
        self.slots = self.slots - holder.slots + slots;
        holder.slots = slots;
    }

    /// Places that one holder may keep without use: none where there are few for many.
    fn spare_slots(&self) -> u32 {
        let holders = u32::try_from(self.live().count()).unwrap_or(u32::MAX);
        let most = self.limits().concurrent_requests.unwrap_or(u32::MAX);
        most / holders.saturating_mul(SPARE_SHARE).max(1)
    }

    /// Writes off what nobody reported, and forgets who was written off long ago.
    fn sweep(&mut self) {
        let now = self.now;
        if now > self.orphaned_until {
            self.tokens.write_off_orphaned();
            self.requests.write_off_orphaned();
        }
        if now <= self.sweep_at {
            return;
        }
        for holder in self.holders.values_mut() {
            if holder.expires < now && !holder.is_lapsed {
                self.tokens.write_off(&holder.tokens);
                self.requests.write_off(&holder.requests);
                self.slots -= std::mem::take(&mut holder.slots);
                holder.is_lapsed = true;
            }
        }
        self.holders.retain(|_, holder| now < holder.expires + REMEMBERED);
        let ends = self.holders.values().map(|holder| {
            if holder.is_lapsed {
                holder.expires + REMEMBERED
            } else {
                holder.expires
            }
        });
        self.sweep_at = ends.min().unwrap_or(Timestamp::NEVER);
    }

    fn learn(&mut self, model: &ModelName, outputs: &Outputs) {
        if self.outputs.contains_key(model) || self.outputs.len() < MOST_MODELS {
            self.outputs.entry(model.clone()).or_default().add(outputs);
        }
    }

    fn expected(&self) -> Vec<(ModelName, u64)> {
        let expected = self.outputs.iter();
        expected
            .filter_map(|(model, outputs)| Some((model.clone(), outputs.expected()?)))
            .collect()
    }

    fn left(&self) -> Left {
        let most = self.limits().tokens_per_day.unwrap_or(0);
        Left {
            tokens: self.tokens.bucket().map_or(0, |bucket| bucket.level()),
            requests: self.requests.bucket().map_or(0, |bucket| bucket.level()),
            day_tokens: most.saturating_sub(self.day_tokens),
        }
    }

    fn status(&self) -> BudgetStatus {
        BudgetStatus {
            limits: self.limits(),
            is_overridden: self.overridden.is_some(),
            left: self.left(),
            held: Amount {
                tokens: self.tokens.held(),
                requests: self.requests.held(),
            },
            day_tokens_used: self.day_tokens,
            day_resets_in: self.limits().until_next_day(self.now),
            slots: self.slots,
            holders: u32::try_from(self.live().count()).unwrap_or(u32::MAX),
            tokens: self.tokens.totals(),
            requests: self.requests.totals(),
        }
    }
}

impl Turn {
    /// Whether it is for a request about that large: a small one must not use up what a large one waits for.
    fn is_for(&self, tokens: u64) -> bool {
        tokens <= self.tokens && tokens.saturating_mul(2) > self.tokens
    }

    /// What is kept for it by now.
    fn kept(&self, now: Timestamp, rate: Rate) -> u64 {
        let micros = u64::try_from(now.since(self.since).as_micros()).unwrap_or(u64::MAX);
        let half = u128::from(micros) * u128::from(rate.per_minute) / (2 * MICROS_PER_MINUTE);
        u64::try_from(half).unwrap_or(u64::MAX).min(self.tokens)
    }
}

fn signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

/// A holder stops using a lease that long before the cell writes it off. Both measure by durations and the holder begins
/// first, so that this only has to cover clocks that run at different speeds.
const GRACE: Duration = Duration::from_secs(1);
const MICROS_PER_MINUTE: u128 = 60_000_000;
/// How long tokens are kept, once they are there, for who is first in line.
const TURN: Duration = Duration::from_secs(2);
/// How long a holder that was written off may still account for what it held.
const REMEMBERED: Duration = Duration::from_secs(600);
/// All holders together keep at most one of so many places without use.
const SPARE_SHARE: u32 = 4;
/// Models of which the length of answers is learned: far more than one budget covers.
const MOST_MODELS: usize = 256;
