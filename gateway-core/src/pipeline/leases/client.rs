//! What passes between a lease cache and its cell: a request that finds its cache short asks, and waits; everything else
//! goes on behind requests' backs.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::Either;

use crate::budget::{
    BudgetError, Denied, IDLE, LONGEST_CALL, Lease, LeaseCache, Leased, MOST_WAITS, NotReserved, Shortage, Upkeep,
};
use crate::cells::{CellAddress, CellError, CellId};
use crate::config::Budget;
use crate::observe::{Budgeting, Event};
use crate::pipeline::context::{Exchange, Waiting};
use crate::pipeline::state::SharedLeaseCache;
use crate::platform::Platform;
use crate::time::Timestamp;

/// A budget, and its cache here.
#[derive(Clone, Debug)]
pub(in crate::pipeline) struct LeaseClient {
    pub budget: Arc<Budget>,
    cache: Arc<SharedLeaseCache>,
}

/// What a request is to have of a budget: one request, a slot, and tokens.
#[derive(Clone, Copy, Debug)]
pub(in crate::pipeline) enum Claim {
    /// No tokens, though some must be there: before its body is read.
    Entry(Likely),
    /// All that it is expected to take.
    All {
        /// So many tokens.
        tokens: u64,
        /// Whether it has entered, and gives that up for it.
        has_entered: bool,
        /// Tokens that it pays if it is refused.
        fee: u64,
    },
}

/// Tokens that a request is likely to need when its body is read.
#[derive(Clone, Copy, Debug)]
pub(in crate::pipeline) struct Likely {
    /// Of its prompt.
    pub prompt: u64,
    /// Of its answer.
    pub output: u64,
}

impl Claim {
    fn tokens(self) -> u64 {
        match self {
            Self::Entry(_) => 0,
            Self::All { tokens, .. } => tokens,
        }
    }

    /// Tokens that the cell, where it is asked anyway, is to lend beyond those, as far as they are there: so it need not be
    /// asked again.
    fn likely(self) -> u64 {
        match self {
            Self::Entry(Likely { prompt, output }) => prompt + output,
            Self::All { .. } => 0,
        }
    }

    /// Tokens that must be there, beyond those that it was denied, when it comes back: its prompt's, and what it has paid.
    fn lacking(self) -> u64 {
        match self {
            Self::Entry(Likely { prompt, .. }) => prompt,
            Self::All { fee, .. } => fee,
        }
    }

    fn has_entered(self) -> bool {
        match self {
            Self::Entry(_) => false,
            Self::All { has_entered, .. } => has_entered,
        }
    }
}

impl LeaseClient {
    /// The client of a budget.
    pub fn new<P: Platform>(exchange: &Exchange<P>, budget: &Arc<Budget>) -> Self {
        Self {
            budget: Arc::clone(budget),
            cache: exchange.gateway.leases.of(&exchange.platform, &budget.id),
        }
    }

    /// Looks at the cache, or changes it.
    pub fn with<T>(&self, work: impl FnOnce(&mut LeaseCache) -> T) -> T {
        self.cache.with(work)
    }

    /// Reserves what is claimed. What had been reserved to enter is given up for it, also where it is refused.
    ///
    /// # Errors
    /// When the budget has no room for the request, or cannot be reached.
    pub async fn reserve<P: Platform>(
        &self,
        exchange: &Rc<Exchange<P>>,
        claim: Claim,
        headroom_percent: u8,
    ) -> Result<(), BudgetError> {
        let (limits, ttl) = (self.budget.limits, exchange.config.leases.ttl);
        let tokens = claim.tokens();
        let mut has_entered = claim.has_entered();
        let mut waits = 0;
        loop {
            let now = exchange.platform.now();
            // In one step: another thread must not ask as well, nor have a reply in between.
            let (reserved, lease, replies) = self.with(|cache| {
                let reserved = if std::mem::take(&mut has_entered) {
                    cache.reserve_entered(now, tokens, headroom_percent)
                } else {
                    cache.reserve(now, tokens, headroom_percent)
                };
                let asks = reserved == Err(NotReserved::Ask);
                let mut lease = asks.then(|| cache.ask(now, Some((tokens, headroom_percent)), limits, ttl));
                let likely = claim.likely();
                if let Some(lease) = lease.as_mut().filter(|_| cache.may_be_lent(&limits, likely)) {
                    lease.waiting.tokens = lease.waiting.tokens.saturating_add(likely);
                }
                (reserved, lease, cache.replies())
            });
            match reserved {
                Ok(()) => break,
                Err(NotReserved::Ask) => {
                    let Some(lease) = lease else { continue };
                    match self.lease(exchange, lease, Waiting::Request).await {
                        Some(Ok(())) => break,
                        Some(Err(denied)) => return Err(self.denied(denied, claim, headroom_percent)),
                        None => {}
                    }
                }
                Err(NotReserved::Asking) if exchange.cell_time.left_but_for_clusters().is_zero() => {
                    self.reserve_cut_off(now, tokens, LONGEST_CALL)?;
                    break;
                }
                Err(NotReserved::Asking) if waits < MOST_WAITS => {
                    waits += 1;
                    self.await_reply(exchange, tokens, replies).await;
                }
                Err(NotReserved::Asking) => {
                    let denied = self.with(|cache| cache.crowded_out(now, tokens, headroom_percent));
                    return Err(self.denied(denied, claim, headroom_percent));
                }
                Err(NotReserved::Denied(denied)) => return Err(self.denied(denied, claim, headroom_percent)),
                Err(NotReserved::CutOff { wait }) => {
                    self.reserve_cut_off(now, tokens, wait)?;
                    break;
                }
            }
        }
        self.keep_up(exchange);
        Ok(())
    }

    /// Reserves what may be had while the cell does not answer; it is asked again after `wait`.
    fn reserve_cut_off(&self, now: Timestamp, tokens: u64, wait: Duration) -> Result<(), BudgetError> {
        let allowance = self.budget.unreachable;
        match allowance.map(|rate| self.with(|cache| cache.reserve_cut_off(now, tokens, rate))) {
            Some(true) => Ok(()),
            Some(false) | None => Err(BudgetError::Unreachable { wait }),
        }
    }

    /// Does what the cache wants done, behind the request's back.
    pub fn keep_up<P: Platform>(&self, exchange: &Rc<Exchange<P>>) {
        let now = exchange.platform.now();
        let (limits, ttl) = (self.budget.limits, exchange.config.leases.ttl);
        let due = self.with(|cache| match cache.upkeep(now)? {
            Upkeep::Renew => Some(Either::Left(cache.ask(now, None, limits, ttl))),
            Upkeep::Settle => Some(Either::Right(cache.settle_up(now))),
        });
        let Some(due) = due else { return };
        let (client, background) = (self.clone(), Rc::clone(exchange));
        exchange.platform.after_response(async move {
            match due {
                Either::Left(lease) => {
                    // Nobody waits for it: what is denied now is asked for again when it is needed.
                    let _ = client.lease(&background, lease, Waiting::Background).await;
                }
                Either::Right(report) => {
                    // What is lost on the way the next report tells.
                    let cell = address(&client.budget);
                    let _ = background
                        .call_cell(&cell, report, Waiting::Background, LONGEST_CALL)
                        .await;
                }
            }
        });
    }

    /// Has everything given back when no request has come for a while.
    pub fn watch<P: Platform>(&self, exchange: &Exchange<P>) {
        if self.with(|cache| !cache.is_at_rest()) || self.cache.is_watched.swap(true, Ordering::Relaxed) {
            return;
        }
        let (client, platform) = (self.clone(), exchange.platform.clone());
        exchange.platform.after_response(async move {
            let report = loop {
                platform.sleep(IDLE).await;
                let now = platform.now();
                let (is_at_rest, is_idle) = client.with(|cache| (cache.is_at_rest(), cache.is_idle(now)));
                if !is_at_rest {
                    // The request that runs will see to it.
                    break None;
                }
                if is_idle {
                    break client.with(|cache| cache.has_news().then(|| cache.settle_up(now)));
                }
            };
            client.cache.is_watched.store(false, Ordering::Relaxed);
            if let Some(report) = report {
                let _ = platform.call(&address(&client.budget), report).await;
            }
        });
    }

    /// Has the cell asked, and the cache hear its reply; `None` when there is none to what was asked.
    async fn lease<P: Platform>(
        &self,
        exchange: &Exchange<P>,
        lease: Lease,
        waiting: Waiting,
    ) -> Option<Result<(), Denied>> {
        let under_way = LeaseCall::new(self, lease.report.sequence);
        let leased = call(exchange, &self.budget, lease, waiting).await;
        if let Err(error) = &leased {
            let budget = &self.budget.id;
            exchange.tell(&Event::Budget(Budgeting::Unreachable { budget, error }));
        }
        under_way.on_reply(exchange.platform.now(), leased)
    }

    /// Waits until the cell has replied more often than so many times. Requests cannot await each other's calls on every
    /// runtime, so they look again and again.
    async fn await_reply<P: Platform>(&self, exchange: &Exchange<P>, tokens: u64, replies: u64) {
        let platform = &exchange.platform;
        let begun = platform.now();
        let _waiting = WaitingRequest::new(self, tokens);
        let limit = LONGEST_CALL.min(exchange.cell_time.left_but_for_clusters());
        let mut pause = SHORTEST_PAUSE;
        while self.with(|cache| cache.replies()) == replies && platform.now().since(begun) < limit {
            platform.sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        exchange.cell_time.on_waited(platform.now().since(begun));
    }

    fn denied(&self, denied: Denied, claim: Claim, headroom_percent: u8) -> BudgetError {
        let limits = self.with(|cache| cache.limits()).unwrap_or(self.budget.limits);
        let most = limits.most_for_one(headroom_percent);
        let wait = match (denied.short, denied.wait, limits.tokens) {
            (Shortage::Tokens | Shortage::Priority, Some(wait), Some(rate)) => {
                Some(wait + rate.time_for(claim.lacking().min(most)))
            }
            (_, wait, _) => wait,
        };
        BudgetError::Denied {
            denied: Denied { wait, ..denied },
            tokens: match claim {
                Claim::Entry(_) => None,
                Claim::All { tokens, .. } => Some(tokens),
            },
            most,
        }
    }
}

/// A call to the cell that is under way. When who asked leaves before the reply, others may ask.
struct LeaseCall<'l> {
    client: &'l LeaseClient,
    /// Of the report that went along.
    sequence: u64,
    is_over: bool,
}

impl<'l> LeaseCall<'l> {
    fn new(client: &'l LeaseClient, sequence: u64) -> Self {
        Self {
            client,
            sequence,
            is_over: false,
        }
    }

    /// `None` when the cell did not answer, or so late that it has been asked again.
    fn on_reply(mut self, now: Timestamp, leased: Result<Leased, CellError>) -> Option<Result<(), Denied>> {
        self.is_over = true;
        match leased {
            Ok(leased) => self.client.with(|cache| cache.on_leased(now, leased)),
            Err(_) => {
                self.unless_overtaken(|cache| cache.on_unanswered(now));
                None
            }
        }
    }

    /// Changes the cache, unless the cell has been asked again since.
    fn unless_overtaken(&self, change: impl FnOnce(&mut LeaseCache)) {
        self.client.with(|cache| {
            if cache.is_asking(self.sequence) {
                change(cache);
            }
        });
    }
}

impl Drop for LeaseCall<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.unless_overtaken(LeaseCache::on_left);
        }
    }
}

/// A request that waits for the reply to another one, until it is dropped: when its client leaves, nothing is asked for
/// in its name.
struct WaitingRequest<'l> {
    client: &'l LeaseClient,
    tokens: u64,
}

impl<'l> WaitingRequest<'l> {
    fn new(client: &'l LeaseClient, tokens: u64) -> Self {
        client.with(|cache| cache.on_waiting(tokens));
        Self { client, tokens }
    }
}

impl Drop for WaitingRequest<'_> {
    fn drop(&mut self) {
        self.client.with(|cache| cache.on_waited(self.tokens));
    }
}

async fn call<P: Platform>(
    exchange: &Exchange<P>,
    budget: &Budget,
    lease: Lease,
    waiting: Waiting,
) -> Result<Leased, CellError> {
    let limit = match waiting {
        Waiting::Request => LONGEST_CALL.min(exchange.cell_time.left_but_for_clusters()),
        Waiting::Turn { .. } | Waiting::Background => LONGEST_CALL,
    };
    exchange.call_cell(&address(budget), lease, waiting, limit).await
}

/// The address of a budget's cell.
pub(in crate::pipeline) fn address(budget: &Budget) -> CellAddress {
    CellAddress {
        id: CellId::Budget(budget.id.clone()),
        near: budget.near,
    }
}

/// Between two looks for a reply: as long as a cell next door takes, and rising to a tenth of what a far one does.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(16);
