//! The budget cell: what a tenant may use of a group of models, over all edge locations. It lends to holders, which
//! spend without asking; docs/budgets.md derives what holds in any window.

mod grant;
mod head_of_line;
mod lasting;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::head_of_line::HeadOfLine;
use super::account::{Amount, LeaseAccount};
use super::limits::BudgetLimits;
use super::message::{BudgetCommand, BudgetReply, BudgetStatus, Denied, Lease, Leased, LeaseholderId, Left, Report};
use super::outputs::Outputs;
use super::pool::Pool;
use crate::ids::ModelName;
use crate::time::{Moment, Timestamp};

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
    holders: BTreeMap<LeaseholderId, Leaseholder>,
    /// Slots that holders keep, in all.
    slots: u32,
    /// Until when what is orphaned may still be reported.
    orphaned_until: Timestamp,
    /// Who waits for tokens, and has them kept.
    #[serde(rename = "turn")]
    head_of_line: Option<HeadOfLine>,
    outputs: BTreeMap<ModelName, Outputs>,
    /// The latest moment seen.
    now: Timestamp,
    /// The wall clock then, for the day.
    #[serde(skip)]
    wall: Timestamp,
    /// Until when days' tokens have been given out, if each lasts for a day. A wall clock that goes to and fro between days
    /// has it run ahead by a day at most.
    #[serde(default, skip_serializing_if = "is_default")]
    days_until: Timestamp,
    /// No lease ends before this moment.
    sweep_at: Timestamp,
}

/// A holder of leases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Leaseholder {
    sequence: u64,
    tokens: LeaseAccount,
    requests: LeaseAccount,
    slots: u32,
    /// Tokens that it has spent in a second, lately.
    #[serde(rename = "pace")]
    tokens_per_s: u64,
    /// The day on which it was last lent anything.
    day: u64,
    expires: Timestamp,
    /// What it was told to its last message.
    denied: Option<Denied>,
    /// Whether it has been written off.
    is_lapsed: bool,
}

impl BudgetCell {
    /// Runs one command.
    pub fn apply(&mut self, now: impl Into<Moment>, command: BudgetCommand) -> BudgetReply {
        let Moment { steady, wall } = now.into();
        (self.now, self.wall) = (self.now.max(steady), wall);
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

    /// What must hold after every command.
    ///
    /// # Errors
    /// What is broken.
    pub fn check_invariants(&self) -> Result<(), String> {
        let sum = |held: fn(&Leaseholder) -> u64| self.live().map(held).sum();
        self.tokens
            .check(sum(|holder| holder.tokens.held()), self.limits().tokens)?;
        self.requests
            .check(sum(|holder| holder.requests.held()), self.limits().requests)?;
        let slots: u32 = self.live().map(|holder| holder.slots).sum();
        if slots != self.slots {
            return Err(format!("holders keep {slots} slots, not {}", self.slots));
        }
        let in_debt = |account: &LeaseAccount| account.available() < 0;
        match self
            .live()
            .find(|holder| in_debt(&holder.tokens) || in_debt(&holder.requests))
        {
            Some(holder) => Err(format!("a debt that is not in the bucket: {holder:?}")),
            None => Ok(()),
        }
    }

    fn live(&self) -> impl Iterator<Item = &Leaseholder> {
        self.holders.values().filter(|holder| !holder.is_lapsed)
    }

    fn put_in_force(&mut self, configured: BudgetLimits) {
        self.configured = configured;
        self.begin_day();
        self.sweep();
        self.refill();
        self.head_of_line = self.head_of_line.filter(|head| self.now <= head.full + LONGEST_TURN);
    }

    /// Counts the wall clock's day. One that it comes to again when it has been set back is no new one: what was drawn
    /// since still counts.
    fn begin_day(&mut self) {
        let limits = self.limits();
        let day = limits.day(self.wall);
        self.day = self.day.min(day);
        if self.day < day && self.days_until <= self.now + DAY {
            (self.day, self.day_tokens) = (day, 0);
            let ends = self.now + limits.until_next_day(self.wall);
            self.days_until = ends.max(self.days_until + DAY);
        }
    }

    /// The latest moment seen; `None` before the first.
    pub(crate) fn latest(&self) -> Option<Timestamp> {
        (self.now > Timestamp::default()).then_some(self.now)
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
        let day_resets_in = limits.until_next_day(self.wall);
        let until_reset = limits.tokens_per_day.map(|_| day_resets_in);
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
            day_resets_in: Some(day_resets_in),
            expected: self.expected(),
        };
        self.holders.insert(id, holder);
        leased
    }

    /// Takes in what a holder tells, and gives how it stands now. `ttl` from now its lease ends; `None` leaves it.
    fn on_report(&mut self, report: &Report, ttl: Option<Duration>) -> Leaseholder {
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
            holder.tokens_per_s = report.tokens_per_s;
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
    fn adopt(&mut self, report: &Report) -> Leaseholder {
        let (tokens, drawn) = self.tokens.adopt(&report.tokens);
        let (requests, _) = self.requests.adopt(&report.requests);
        self.day_tokens = self.day_tokens.saturating_add_signed(drawn);
        self.slots += report.slots;
        Leaseholder {
            sequence: report.sequence,
            tokens,
            requests,
            slots: report.slots,
            tokens_per_s: report.tokens_per_s,
            day: self.day,
            expires: self.now + GRACE,
            denied: None,
            is_lapsed: false,
        }
    }

    fn grant(&mut self, holder: &mut Leaseholder, amount: Amount) {
        if self.limits().bounds_tokens() {
            self.tokens.grant(&mut holder.tokens, amount.tokens);
            self.day_tokens += amount.tokens;
        }
        if self.limits().requests.is_some() {
            self.requests.grant(&mut holder.requests, amount.requests);
        }
    }

    fn set_slots(&mut self, holder: &mut Leaseholder, slots: u32) {
        self.slots = self.slots - holder.slots + slots;
        holder.slots = slots;
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
            day_resets_in: self.limits().until_next_day(self.wall),
            slots: self.slots,
            holders: u32::try_from(self.live().count()).unwrap_or(u32::MAX),
            tokens: self.tokens.totals(),
            requests: self.requests.totals(),
        }
    }
}

fn is_default(moment: &Timestamp) -> bool {
    *moment == Timestamp::default()
}

/// A holder stops using a lease that long before the cell writes it off. Both measure by durations and the holder begins
/// first, so that this only has to cover clocks that run at different speeds.
const GRACE: Duration = Duration::from_secs(1);
/// How long tokens are kept, once they are there, for who is first in line.
const LONGEST_TURN: Duration = Duration::from_secs(2);
/// How long a holder that was written off may still account for what it held.
const REMEMBERED: Duration = Duration::from_secs(600);
/// A day.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Models of which the length of answers is learned: far more than one budget covers.
const MOST_MODELS: usize = 256;
