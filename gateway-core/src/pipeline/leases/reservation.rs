//! What a request has reserved of its tenant's budgets, in the hands of whoever runs it. However the request ends, also
//! when its future is dropped because the client has left, it is settled.

use std::cell::Cell;
use std::rc::Rc;

use crate::api::Usage;
use crate::budget::Rates;
use crate::config::Budget;
use crate::ids::{ModelName, Tokens};
use crate::observe::{Budgeting, Event};
use crate::pipeline::context::Exchange;
use crate::pipeline::leases::LeaseClient;
use crate::platform::Platform;

/// A request's reservations. It is settled when dropped, if it was not before.
#[derive(Debug)]
pub(in crate::pipeline) struct Reservation<P: Platform> {
    exchange: Rc<Exchange<P>>,
    /// The model that was asked for.
    model: ModelName,
    held: Vec<BudgetReservation>,
    state: Cell<State>,
    /// Chunks of an answer until its length is looked at again.
    until_look: Cell<u32>,
}

/// A reservation in one budget.
#[derive(Debug)]
struct BudgetReservation {
    client: LeaseClient,
    /// Tokens, extensions included.
    reserved: Cell<u64>,
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
    /// No engine works on it: it costs nothing.
    Reserved,
    /// An engine works on it. When nothing more is heard of that, so much is owed.
    Dispatched(Owed),
    /// Over.
    Settled,
}

impl<P: Platform> Reservation<P> {
    /// The reservation of a request that has reserved nothing yet.
    pub fn new(exchange: &Rc<Exchange<P>>, model: &ModelName) -> Self {
        Self {
            exchange: Rc::clone(exchange),
            model: model.clone(),
            held: Vec::new(),
            state: Cell::new(State::Reserved),
            until_look: Cell::new(CHUNKS_BETWEEN_LOOKS),
        }
    }

    /// So much is reserved in a budget.
    pub fn on_reserved(&mut self, client: LeaseClient, tokens: u64) {
        let reserved = Cell::new(tokens);
        self.held.push(BudgetReservation { client, reserved });
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
            if so_far <= held.reserved.get() {
                continue;
            }
            // With as much again as the looks are apart, so that a stream seldom finds itself beyond it.
            let more = so_far - held.reserved.get() + u64::from(CHUNKS_BETWEEN_LOOKS);
            held.client.with(|cache| cache.extend(now, more));
            held.reserved.set(held.reserved.get() + more);
            held.client.keep_up(&self.exchange);
        }
    }

    /// The request still runs: leases are to be renewed where it is time.
    pub fn keep_up(&self) {
        self.held.iter().for_each(|held| held.client.keep_up(&self.exchange));
    }

    /// The request has ended, and took that much.
    pub fn settle(&self, usage: Usage, answers: u64) {
        if let Some(each) = usage.completion_tokens.checked_div(answers) {
            for held in &self.held {
                held.client.with(|cache| cache.on_output(&self.model, each));
            }
        }
        self.settle_by(|held| cost(&held.client.budget, usage));
    }

    /// A canned response was given.
    pub fn settle_canned(&self) {
        self.settle_by(|held| held.client.budget.canned_tokens);
    }

    /// The request has ended, and an engine has made of the answer nobody knows how much. One that is settled already stays
    /// as it is.
    pub fn settle_as_reserved(&self) {
        self.settle_by(|held| held.reserved.get());
    }

    fn settle_by(&self, cost: impl Fn(&BudgetReservation) -> u64) {
        if self.state.replace(State::Settled) == State::Settled {
            return;
        }
        let now = self.exchange.platform.now();
        for held in &self.held {
            let BudgetReservation { client, reserved } = held;
            let (reserved, used) = (reserved.get(), cost(held));
            client.with(|cache| cache.settle(now, reserved, used));
            self.exchange.tell(&Event::Budget(Budgeting::Settled {
                budget: &client.budget.id,
                reserved: Tokens(reserved),
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
            State::Reserved => Tokens(0),
            State::Dispatched(Owed::Prompt(prompt)) => prompt,
            State::Dispatched(Owed::Reserved) => return self.settle_as_reserved(),
            State::Settled => return,
        };
        self.settle_by(|_| prompt.0);
    }
}

/// What a budget charges for that.
fn cost(budget: &Budget, usage: Usage) -> u64 {
    let cached = u128::from(usage.cached_tokens) * u128::from(budget.cached_prompt_percent);
    let cached = u64::try_from(cached.div_ceil(100)).unwrap_or(u64::MAX);
    (usage.prompt_tokens - usage.cached_tokens) + cached + usage.completion_tokens
}

/// To look at an answer's length costs some microseconds: it is done for every so many chunks, each about a token.
const CHUNKS_BETWEEN_LOOKS: u32 = 32;
