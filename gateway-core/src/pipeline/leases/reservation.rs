//! What a request has reserved of its tenant's budgets, in the hands of whoever runs it: a slot before its body is read,
//! and the tokens that it is expected to take once they are counted. However the request ends, also when its future is dropped
//! because the client has left, it is settled.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use crate::api::Usage;
use crate::budget::{BudgetError, Rates};
use crate::config::{Budget, HitCost};
use crate::ids::{ModelName, Tokens};
use crate::observe::{Budgeting, Event};
use crate::pipeline::context::Exchange;
use crate::pipeline::leases::{Claim, LeaseClient, Likely};
use crate::platform::Platform;

/// A request's reservations. It is settled when dropped, if it was not before.
#[derive(Debug)]
pub(in crate::pipeline) struct Reservation<P: Platform> {
    exchange: Rc<Exchange<P>>,
    /// The share of each budget that is left for requests of higher priority, in percent.
    headroom_percent: u8,
    held: Vec<BudgetReservation>,
    state: Cell<State>,
    /// Chunks of an answer until its length is looked at again.
    until_look: Cell<u32>,
}

/// A reservation in one budget.
#[derive(Debug)]
struct BudgetReservation {
    client: LeaseClient,
    /// Tokens, extensions included; `None` while the request has given up what it had reserved to enter.
    reserved: Cell<Option<u64>>,
}

/// What is owed for a request that an engine works on, where nobody hears how far it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pipeline) enum Owed {
    /// The prompt, of so many tokens: what the engine says beyond it is heard as it says it.
    Prompt(Tokens),
    /// All that is reserved: the engine says nothing until all of the answer is there.
    Reserved,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It has entered. When it ends so, so much is owed.
    Entered { fee: u64 },
    /// All is reserved that it is expected to take, and no engine works on it: it costs nothing.
    Reserved,
    /// An engine works on it. When nothing more is heard of that, so much is owed.
    Dispatched(Owed),
    /// Over.
    Settled,
}

impl<P: Platform> Reservation<P> {
    /// The reservation of a request that has reserved nothing yet.
    pub fn new(exchange: &Rc<Exchange<P>>, headroom_percent: u8) -> Self {
        Self {
            exchange: Rc::clone(exchange),
            headroom_percent,
            held: Vec::new(),
            state: Cell::new(State::Entered { fee: 0 }),
            until_look: Cell::new(CHUNKS_BETWEEN_LOOKS),
        }
    }

    /// Reserves in a budget what a request must have before its body is read. `likely_prompt` is how many tokens its prompt
    /// is likely to take.
    ///
    /// # Errors
    /// When the budget has nothing left, or cannot be reached.
    pub async fn enter(&mut self, budget: &Arc<Budget>, likely_prompt: u64) -> Result<(), BudgetError> {
        let client = LeaseClient::new(&self.exchange, budget);
        let learned = client.with(|cache| cache.expected_output_of_any());
        let claim = Claim::Entry(Likely {
            prompt: likely_prompt,
            output: learned.unwrap_or(self.exchange.config.estimates.output.0),
        });
        let reserved = client.reserve(&self.exchange, claim, self.headroom_percent);
        if let Err(error) = reserved.await {
            return Err(self.refused(&client, error));
        }
        let reserved = Cell::new(Some(0));
        self.held.push(BudgetReservation { client, reserved });
        Ok(())
    }

    /// The body is read, and so long, as it was sent or as it was before it was compressed: what it takes to make sense of
    /// the longer of both is paid for, also by a request that is refused.
    pub fn on_body(&self, bytes: usize) {
        let fee = fee(bytes).max(self.fee());
        self.state.set(State::Entered { fee });
    }

    /// Whether it has reserved anything in that budget.
    pub fn is_in(&self, budget: &Budget) -> bool {
        self.held.iter().any(|held| held.client.budget.id == budget.id)
    }

    /// Reserves in a budget what the request is expected to take, in place of what it has reserved there to enter.
    ///
    /// # Errors
    /// When the budget has no room for the request, or cannot be reached.
    pub async fn reserve(&mut self, client: LeaseClient, tokens: u64) -> Result<(), BudgetError> {
        let entered = self.held.iter().find(|held| held.client.budget.id == client.budget.id);
        let claim = Claim::All {
            tokens,
            has_entered: entered.is_some(),
            fee: self.fee(),
        };
        if let Some(entered) = entered {
            entered.reserved.set(None);
        }
        let reserved = client.reserve(&self.exchange, claim, self.headroom_percent).await;
        match (reserved, entered) {
            (Err(error), _) => return Err(self.refused(&client, error)),
            (Ok(()), Some(entered)) => entered.reserved.set(Some(tokens)),
            (Ok(()), None) => {
                let reserved = Cell::new(Some(tokens));
                self.held.push(BudgetReservation {
                    client: client.clone(),
                    reserved,
                });
            }
        }
        let budget = &client.budget.id;
        self.exchange.tell(&Event::Budget(Budgeting::Reserved { budget }));
        Ok(())
    }

    /// All that the request is expected to take is reserved.
    pub fn on_reserved(&self) {
        self.state.set(State::Reserved);
    }

    fn refused(&self, client: &LeaseClient, error: BudgetError) -> BudgetError {
        let now = self.exchange.platform.now();
        self.exchange.rates.set(client.with(|cache| cache.rates(now)));
        self.exchange.tell(&Event::Budget(Budgeting::Refused {
            budget: &client.budget.id,
            error: &error,
        }));
        error
    }

    /// Tokens that it owes if it is refused.
    fn fee(&self) -> u64 {
        match self.state.get() {
            State::Entered { fee } => fee,
            State::Reserved | State::Dispatched(_) | State::Settled => 0,
        }
    }

    /// How the tightest of the budgets stands.
    pub fn rates(&self) -> Option<Rates> {
        let now = self.exchange.platform.now();
        let rates = self
            .held
            .iter()
            .filter_map(|held| held.client.with(|cache| cache.rates(now)));
        rates.reduce(Rates::tighter)
    }

    /// An engine is sent the request: from here on that is paid for, also when the client leaves.
    pub fn on_dispatched(&self, owed: Owed) {
        self.state.set(State::Dispatched(owed));
    }

    /// The attempt failed: nothing has come of it.
    pub fn on_attempt_failed(&self) {
        self.state.set(State::Reserved);
    }

    /// A chunk of the answer has passed. Every so many of them `written` is asked how long the answer is by now, and one
    /// that outgrows what is reserved for it reserves more; a stream is never cut for want of tokens.
    pub fn on_chunk(&self, prompt: Tokens, written: impl FnOnce() -> Tokens) {
        if self.held.is_empty() {
            return;
        }
        let left = self.until_look.get().saturating_sub(1);
        self.until_look.set(if left == 0 { CHUNKS_BETWEEN_LOOKS } else { left });
        if left > 0 {
            return;
        }
        let so_far = (prompt + written()).0;
        let now = self.exchange.platform.now();
        for held in &self.held {
            let reserved = held.reserved.get().unwrap_or_default();
            if so_far <= reserved {
                continue;
            }
            // With as much again as the looks are apart, so that a stream seldom finds itself beyond it.
            let more = so_far - reserved + u64::from(CHUNKS_BETWEEN_LOOKS);
            held.client.with(|cache| cache.extend(now, more));
            held.reserved.set(Some(reserved + more));
            held.client.keep_up(&self.exchange);
        }
    }

    /// The request still runs: leases are to be renewed where it is time.
    pub fn keep_up(&self) {
        self.held.iter().for_each(|held| held.client.keep_up(&self.exchange));
    }

    /// The request, which asked for that model, has ended, and took that much.
    pub fn settle(&self, model: &ModelName, usage: Usage, answers: u64) {
        if let Some(each) = usage.completion_tokens.checked_div(answers) {
            for held in &self.held {
                held.client.with(|cache| cache.on_output(model, each));
            }
        }
        self.settle_by(|held| cost(&held.client.budget, usage));
    }

    /// The answer is from the response cache, and took that much when it was made.
    pub fn settle_cached(&self, usage: Usage, hit_cost: HitCost) {
        self.settle_by(|held| match hit_cost {
            HitCost::Request => 0,
            HitCost::Tokens => cost(&held.client.budget, usage),
        });
    }

    /// A canned response was given.
    pub fn settle_canned(&self) {
        self.settle_by(|held| held.client.budget.canned_tokens);
    }

    /// The request has ended, and an engine has made of the answer nobody knows how much. One that is settled already stays
    /// as it is.
    pub fn settle_as_reserved(&self) {
        self.settle_by(|held| held.reserved.get().unwrap_or_default());
    }

    fn settle_by(&self, cost: impl Fn(&BudgetReservation) -> u64) {
        if self.state.replace(State::Settled) == State::Settled {
            return;
        }
        let now = self.exchange.platform.now();
        for held in &self.held {
            let BudgetReservation { client, reserved } = held;
            let (reserved, used) = (reserved.get(), cost(held));
            client.with(|cache| match reserved {
                Some(reserved) => cache.settle(now, reserved, used),
                None => cache.charge(now, used),
            });
            self.exchange.tell(&Event::Budget(Budgeting::Settled {
                budget: &client.budget.id,
                reserved: Tokens(reserved.unwrap_or_default()),
                used: Tokens(used),
            }));
            client.keep_up(&self.exchange);
            client.watch(&self.exchange);
        }
    }
}

impl<P: Platform> Drop for Reservation<P> {
    fn drop(&mut self) {
        let prompt = match self.state.get() {
            State::Entered { fee } => Tokens(fee),
            State::Reserved => Tokens(0),
            State::Dispatched(Owed::Prompt(prompt)) => prompt,
            State::Dispatched(Owed::Reserved) => return self.settle_as_reserved(),
            State::Settled => return,
        };
        self.settle_by(|_| prompt.0);
    }
}

/// What a request pays for a body of so many bytes that nothing comes of: a token for each KiB beyond [`FREE_KIB`]. That is
/// a two hundredth of what a prompt of that length costs, and it cannot be had without any tokens.
fn fee(body_bytes: usize) -> u64 {
    (body_bytes as u64 / 1024).saturating_sub(FREE_KIB)
}

/// To read and count so much takes a quarter of a millisecond: it is paid for by the request alone.
const FREE_KIB: u64 = 16;

/// What a budget charges for that.
fn cost(budget: &Budget, usage: Usage) -> u64 {
    let found = usage.cached_tokens.unwrap_or(0);
    let cached = u128::from(found) * u128::from(budget.cached_prompt_percent);
    let cached = u64::try_from(cached.div_ceil(100)).unwrap_or(u64::MAX);
    (usage.prompt_tokens - found) + cached + usage.completion_tokens
}

/// To look at an answer's length costs some microseconds: it is done for every so many chunks, each about a token.
const CHUNKS_BETWEEN_LOOKS: u32 = 32;
