//! The lease cache: what one process, isolate or instance may spend of a budget without asking. It reserves and settles
//! in memory, asks the budget cell before it runs dry, and tells it all of its account each time.
//!
//! It never holds more than the cell knows of: what requests turn out not to take comes back only as far as the lease
//! had room, and beyond that is given back.

mod asking;
mod balance;
mod shortage;
mod upkeep;

use std::collections::BTreeMap;
use std::time::Duration;

use self::balance::Balance;
use self::shortage::FRESH;
pub use self::upkeep::Upkeep;
use super::account::{Amount, LeaseAccount, signed};
use super::bucket::Bucket;
use super::limits::{BudgetLimits, Rate};
use super::message::{Denied, LeaseholderId, Left, Need, Shortage};
use super::outputs::Outputs;
use super::rates::Rates;
use super::spend_rate::SpendRate;
use crate::ids::ModelName;
use crate::time::Timestamp;

/// The cache of one budget.
#[derive(Clone, Debug)]
pub struct LeaseCache {
    holder: LeaseholderId,
    sequence: u64,
    tokens: Balance,
    requests: Balance,
    slots: u32,
    spare_slots: u32,
    running: u32,
    /// What the cell last told; nothing before it was first asked.
    terms: Option<LeaseTerms>,
    open_call: Option<OpenCall>,
    replies: u64,
    /// What requests wait for while the cell is asked for another one.
    waiting: Amount,
    /// No request has the cell asked before this, unless it asks for less than the one that was denied last.
    ask_after: Timestamp,
    denied: Option<Need>,
    /// Nothing has the cell asked ahead of need before this.
    top_up_after: Timestamp,
    /// Calls in a row that the cell did not answer.
    unanswered: u32,
    /// What may be spent while the cell does not answer.
    allowance: Option<Bucket>,
    token_rate: SpendRate,
    request_rate: SpendRate,
    last_used: Timestamp,
    /// Whether the account has changed since it was last told.
    is_news: bool,
    outputs: BTreeMap<ModelName, Outputs>,
    expected: BTreeMap<ModelName, u64>,
}

#[derive(Clone, Copy, Debug)]
struct LeaseTerms {
    limits: BudgetLimits,
    left: Left,
    at: Timestamp,
    /// When the next day begins.
    day_ends: Timestamp,
    /// When what is held must not be used any more.
    ends: Timestamp,
    /// When it is time to ask again.
    renew: Timestamp,
}

#[derive(Clone, Copy, Debug)]
struct OpenCall {
    sequence: u64,
    since: Timestamp,
    /// What the request needs that asks.
    need: Option<Need>,
}

/// Why nothing could be reserved from what the cache holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotReserved {
    /// The cell has to be asked.
    Ask,
    /// It is being asked: to be tried again when it has replied, at most [`MOST_WAITS`] times.
    Asking,
    /// There is nothing to be had now.
    Denied(Denied),
    /// The cell does not answer, and is not to be asked before that long.
    CutOff {
        /// How long.
        wait: Duration,
    },
}

impl LeaseCache {
    /// An empty cache of that holder, whose id nobody else has.
    pub fn new(holder: LeaseholderId, now: Timestamp) -> Self {
        Self {
            holder,
            sequence: 0,
            tokens: Balance::default(),
            requests: Balance::default(),
            slots: 0,
            spare_slots: 0,
            running: 0,
            terms: None,
            open_call: None,
            replies: 0,
            waiting: Amount::default(),
            ask_after: Timestamp::default(),
            denied: None,
            top_up_after: Timestamp::default(),
            unanswered: 0,
            allowance: None,
            token_rate: SpendRate::new(now),
            request_rate: SpendRate::new(now),
            last_used: now,
            is_news: false,
            outputs: BTreeMap::new(),
            expected: BTreeMap::new(),
        }
    }

    /// Reserves what a request needs, and a slot to run in, from what is held. Allocates nothing.
    ///
    /// # Errors
    /// Why it cannot be had from here.
    pub fn reserve(&mut self, now: Timestamp, tokens: u64, headroom_percent: u8) -> Result<(), NotReserved> {
        self.let_go(now);
        let Some(terms) = self.terms else {
            return Err(self.not_reserved(now, Shortage::Tokens, self.pause(now, tokens, headroom_percent), None));
        };
        let is_fresh = now.since(terms.at) < FRESH;
        if is_fresh && terms.limits.bounds_tokens() && tokens > terms.limits.most_for_one(headroom_percent) {
            let short = Shortage::TooLarge;
            return Err(NotReserved::Denied(Denied { short, wait: None }));
        }
        match self.shortage(now, &terms, tokens, headroom_percent) {
            None => {
                self.spend(now, tokens);
                Ok(())
            }
            Some(shortage) => {
                let expected = self.expected_denial(now, &terms, shortage, tokens, headroom_percent);
                Err(self.not_reserved(now, shortage, self.pause(now, tokens, headroom_percent), expected))
            }
        }
    }

    /// A request begins to wait for the reply to somebody else: the next lease is to be large enough for it too. When it
    /// waits no more, [`on_waited`](Self::on_waited) is to hear of it.
    pub fn on_waiting(&mut self, tokens: u64) {
        self.waiting.tokens = self.waiting.tokens.saturating_add(tokens);
        self.waiting.requests += 1;
    }

    /// A request that needs so many tokens has stopped waiting.
    pub fn on_waited(&mut self, tokens: u64) {
        self.waiting.tokens = self.waiting.tokens.saturating_sub(tokens);
        self.waiting.requests = self.waiting.requests.saturating_sub(1);
    }

    /// How often the cell has replied, or failed to: it tells those who wait whether it was for them.
    pub fn replies(&self) -> u64 {
        self.replies
    }

    /// What to tell a request that has waited for long enough while others took what came.
    pub fn crowded_out(&self, now: Timestamp, tokens: u64, headroom_percent: u8) -> Denied {
        let short = self
            .terms
            .and_then(|terms| self.shortage(now, &terms, tokens, headroom_percent));
        Denied {
            short: short.unwrap_or(Shortage::Tokens),
            wait: Some(DENIED_PAUSE),
        }
    }

    /// Reserves without a lease, while the cell does not answer, from an allowance of that rate. What is spent so is
    /// debt, which the cell is told of when it answers again. Gives whether the allowance had so much.
    pub fn reserve_cut_off(&mut self, now: Timestamp, tokens: u64, allowance: Rate) -> bool {
        let bucket = self
            .allowance
            .get_or_insert_with(|| Bucket::holding(allowance.burst, now));
        bucket.refill(now, allowance, allowance.burst);
        let has_so_much = bucket.level() >= signed(Need::must_be_there(tokens));
        if has_so_much {
            bucket.take(tokens);
            self.spend(now, tokens);
        }
        has_so_much
    }

    /// A running request takes more than it reserved. It gets it, whether it is there or not.
    pub fn extend(&mut self, now: Timestamp, tokens: u64) {
        self.tokens.account.spent += tokens;
        self.token_rate.on_spent(now, tokens);
        self.is_news = true;
    }

    /// A request that had reserved `reserved` tokens, extensions included, has ended and took `used`.
    pub fn settle(&mut self, now: Timestamp, reserved: u64, used: u64) {
        let account = &mut self.tokens.account;
        account.spent = (account.spent + used).saturating_sub(reserved);
        self.token_rate.on_settled(now, reserved, used);
        self.running = self.running.saturating_sub(1);
        self.last_used = now;
        self.is_news = true;
        self.let_go(now);
    }

    /// Reserves what a request needs that has entered, which is to reserve no tokens: its place as a request and its slot
    /// are given up for it, also where it cannot be had. Where it is not had in the end either, [`charge`](Self::charge)
    /// is to hear of it.
    ///
    /// # Errors
    /// Why it cannot be had from here.
    pub fn reserve_entered(&mut self, now: Timestamp, tokens: u64, headroom_percent: u8) -> Result<(), NotReserved> {
        let requests = &mut self.requests;
        requests.account.spent = requests.account.spent.saturating_sub(1);
        // For this one step: it is the one that the request has had all the while.
        requests.most += 1;
        self.request_rate.on_settled(now, 1, 0);
        self.running = self.running.saturating_sub(1);
        let reserved = self.reserve(now, tokens, headroom_percent);
        self.requests.most = self.requests.most.saturating_sub(1);
        self.let_go(now);
        reserved
    }

    /// A request that has given up what it entered with ends without more: it counts as one, and pays so many tokens,
    /// whether they are there or not.
    pub fn charge(&mut self, now: Timestamp, tokens: u64) {
        self.requests.account.spent += 1;
        self.request_rate.on_spent(now, 1);
        self.last_used = now;
        self.extend(now, tokens);
        self.let_go(now);
    }

    /// An answer of that model has ended after so many tokens.
    pub fn on_output(&mut self, model: &ModelName, tokens: u64) {
        match self.outputs.get_mut(model) {
            Some(outputs) => outputs.on_output(tokens),
            None => self.outputs.entry(model.clone()).or_default().on_output(tokens),
        }
    }

    /// Output tokens to expect of an answer of that model, where enough have been seen.
    pub fn expected_output(&self, model: &ModelName) -> Option<u64> {
        self.expected.get(model).copied()
    }

    /// Output tokens to expect of an answer before its model is known: those of the model with the longest ones.
    pub fn expected_output_of_any(&self) -> Option<u64> {
        self.expected.values().copied().max()
    }

    /// What may be spent without asking.
    pub fn held(&self) -> Amount {
        Amount {
            tokens: self.tokens.account.held(),
            requests: self.requests.account.held(),
        }
    }

    /// The account of tokens, as it stands.
    pub fn account(&self) -> LeaseAccount {
        self.tokens.account
    }

    /// The limits in force, as the cell last told.
    pub fn limits(&self) -> Option<BudgetLimits> {
        self.terms.map(|terms| terms.limits)
    }

    /// The most tokens that one request may have now, where that share is kept for others: `limits` hold until the cell was
    /// first asked. `None` where tokens have no limit.
    pub fn most_for_one(&self, limits: &BudgetLimits, headroom_percent: u8) -> Option<u64> {
        let limits = self.limits().unwrap_or(*limits);
        let of_day = self.terms.filter(|_| limits.tokens_per_day.is_some());
        let of_day = of_day.map_or(u64::MAX, |terms| {
            terms.left.day_tokens.saturating_add(self.held().tokens)
        });
        let most = limits.most_for_one(headroom_percent).min(of_day);
        limits.bounds_tokens().then_some(most)
    }

    /// Tokens that were spent here beyond all that was granted.
    pub fn debt(&self) -> u64 {
        self.tokens.account.available().min(0).unsigned_abs()
    }

    /// How the budget stands, as far as it is known here; `None` before the cell was first asked.
    pub fn rates(&self, now: Timestamp) -> Option<Rates> {
        let LeaseTerms { limits, left, at, .. } = self.terms?;
        let elapsed = now.since(at);
        Some(Rates::new(
            &limits,
            left,
            elapsed,
            self.held(),
            self.tokens.account.available().min(0),
        ))
    }

    fn spend(&mut self, now: Timestamp, tokens: u64) {
        self.tokens.account.spent += tokens;
        self.requests.account.spent += 1;
        self.running += 1;
        self.token_rate.on_spent(now, tokens);
        self.request_rate.on_spent(now, 1);
        self.last_used = now;
        self.is_news = true;
    }

    /// Slots of use: for what runs, for what waits for the reply to somebody else, and the spare ones.
    fn most_slots(&self) -> u32 {
        self.running
            .saturating_add(self.waiting_slots())
            .saturating_add(self.spare_slots)
    }

    fn waiting_slots(&self) -> u32 {
        u32::try_from(self.waiting.requests).unwrap_or(u32::MAX)
    }

    /// Gives back what the lease has no room or no time for.
    fn let_go(&mut self, now: Timestamp) {
        if self.terms.is_none_or(|terms| now >= terms.ends) {
            self.tokens.most = 0;
            self.requests.most = 0;
            self.slots = self.slots.min(self.running);
        }
        self.tokens.account.keep(self.tokens.most);
        self.requests.account.keep(self.requests.most);
    }
}

/// Between two times that the cell is asked ahead of need.
const TOP_UP_PAUSE: Duration = Duration::from_secs(1);
/// After a denial nothing is asked for that long.
const DENIED_PAUSE: Duration = Duration::from_millis(500);
/// After a call that was not answered.
const CUT_OFF_PAUSE: Duration = Duration::from_secs(1);
/// After that long without a request everything is given back.
pub const IDLE: Duration = Duration::from_millis(500);
/// How often a request waits for a reply to somebody before it is told to come later.
pub const MOST_WAITS: u32 = 3;
/// A call that takes longer was given up.
pub const LONGEST_CALL: Duration = Duration::from_secs(2);
