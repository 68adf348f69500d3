//! The same request at other locations: whether one asks an engine there already, as the cell of its key knows.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::lookup::{find_all, is_current};
use crate::cache::{
    AskerId, CacheKey, EndFlight, Ending, Entry, EntryBytes, FlightEnding, FlightStanding, ForgetFlight, Freshness,
    JoinFlight, PurgeScope,
};
use crate::cells::{CellAddress, CellCall, CellId};
use crate::config::{CachePolicy, Model, Tenant};
use crate::observe::{Caching as Event, Event as Told};
use crate::pipeline::context::{Exchange, Paused, SHORTEST_ALARM, within};
use crate::platform::Platform;
use crate::time::Timestamp;

/// One request's part in it. Whoever makes it tells how it ends.
#[derive(Debug)]
pub(super) struct Elsewhere<P: Platform> {
    exchange: Rc<Exchange<P>>,
    key: CacheKey,
    cell: CellAddress,
    asker: AskerId,
    scopes: [PurgeScope; 4],
    policy: CachePolicy,
    /// Whether others may wait for its answer, for all that is known.
    may_lead: Cell<bool>,
}

impl<P: Platform> Elsewhere<P> {
    /// Of a request whose answer has that key; `None` where locations do not share, or no cluster serves the model.
    pub fn new(
        exchange: &Rc<Exchange<P>>,
        key: CacheKey,
        (tenant, model): (&Tenant, &Model),
        policy: CachePolicy,
    ) -> Option<Self> {
        let cluster = &model.serving.first()?.cluster;
        exchange.config.response_cache.share_across_locations.then(|| Self {
            exchange: Rc::clone(exchange),
            key,
            cell: CellAddress {
                id: CellId::Flight(key),
                near: cluster.region.coordinates,
            },
            asker: AskerId(exchange.platform.random()),
            scopes: PurgeScope::of_answer(&tenant.name, &model.name),
            policy,
            may_lead: Cell::new(false),
        })
    }

    /// The answer of whoever asks elsewhere, once it has come. `None`: this one is to ask, as it is the first, nobody could
    /// tell, or none has come in time.
    pub async fn follow(&self, until: Timestamp) -> Option<Arc<Entry>> {
        let mut pause = FIRST_GLANCE;
        loop {
            match self.join().await? {
                FlightStanding::Leads | FlightStanding::Alone => return None,
                FlightStanding::Landed(bytes) => return self.landed(&bytes).await,
                FlightStanding::Stored => return self.stored().await,
                FlightStanding::Follows { again_in } => {
                    let left = until.since(self.exchange.platform.now());
                    let wait = pause.min(again_in).min(left).max(SHORTEST_ALARM);
                    if left.is_zero() || self.exchange.pause(wait).await == Paused::Stopped {
                        return None;
                    }
                    pause = (pause * 2).min(LAST_GLANCE);
                }
            }
        }
    }

    /// It goes on leading, where it does. Nobody waits for the reply: who has lost its place to another is told nothing by it
    /// that matters.
    pub fn renew(&self) {
        if self.may_lead.get() {
            self.tell(self.joining());
        }
    }

    /// The request's asking has ended.
    pub fn end(&self, ending: &Ending) {
        if !self.may_lead.replace(false) {
            return;
        }
        let ending = match ending {
            Ending::Landed(entry) => match entry.encode() {
                Some(bytes) if bytes.len() <= EntryBytes::MOST => FlightEnding::Landed(EntryBytes(bytes)),
                Some(_) => FlightEnding::TooLarge,
                None => FlightEnding::Unfit,
            },
            Ending::Unfit => FlightEnding::Unfit,
            Ending::Left => FlightEnding::Left,
        };
        let asker = self.asker;
        self.tell(EndFlight { asker, ending });
    }

    fn joining(&self) -> JoinFlight {
        JoinFlight {
            asker: self.asker,
            // What the request holds at clusters is as long its own, and is renewed with it.
            ttl: self.exchange.config.permits.ttl,
        }
    }

    /// What the cell says in time. Where it does not, this one may lead, for all that is known, and tells its end; and others
    /// do not wait for cells for a while.
    async fn join(&self) -> Option<FlightStanding> {
        let exchange = &self.exchange;
        let (platform, silent) = (&exchange.platform, &exchange.gateway.silent_flights);
        if !silent.with(|silent| silent.may_ask(platform.now(), &())) {
            return None;
        }
        self.may_lead.set(true);
        let asking = platform.call(&self.cell, self.joining());
        let asked = exchange.within(exchange.config.response_cache.wait, asking).await;
        let standing = asked.and_then(Result::ok);
        silent.with(|silent| match standing {
            Some(_) => silent.on_reply(&()),
            None => silent.on_silence(platform.now(), &()),
        });
        let outcome = outcome(standing.as_ref());
        exchange.tell(&Told::Cache(Event::Joined { outcome }));
        let standing = standing?;
        self.may_lead.set(standing == FlightStanding::Leads);
        Some(standing)
    }

    /// An answer that has landed, unless it may not be given: then nobody else is to find it either.
    async fn landed(&self, EntryBytes(bytes): &EntryBytes) -> Option<Arc<Entry>> {
        let exchange = &self.exchange;
        let entry = Entry::decode(bytes, exchange.config.response_cache.answer_bytes);
        let entry = entry.filter(|entry| self.is_fresh(entry));
        if let Some(entry) = entry
            && is_current(exchange, &self.scopes, &entry).await
        {
            return Some(Arc::new(entry));
        }
        self.tell(ForgetFlight);
        None
    }

    /// The answer that is too large for the cell, where the store shows it here already.
    async fn stored(&self) -> Option<Arc<Entry>> {
        let found = find_all(&self.exchange, &[self.key], &self.scopes).await?;
        let entry = found.into_iter().next().flatten();
        entry.filter(|entry| self.is_fresh(entry))
    }

    fn is_fresh(&self, entry: &Entry) -> bool {
        entry.freshness(self.exchange.platform.wall(), self.policy) == Freshness::Fresh
    }

    /// Tells the cell that behind the request's back. What is lost ends by itself.
    fn tell(&self, call: impl CellCall + 'static) {
        let (platform, cell) = (self.exchange.platform.clone(), self.cell.clone());
        let limit = self.exchange.config.timeouts.cells;
        self.exchange.platform.after_response(async move {
            let _ = within(&platform, limit, platform.call(&cell, call)).await;
        });
    }
}

/// Has an answer forgotten that has landed and is purged. One that the cell does not hear of goes within two minutes.
pub(super) async fn forget<P: Platform>(exchange: &Exchange<P>, key: CacheKey) {
    let config = &exchange.config;
    let Some(cluster) = config.clusters.values().next() else {
        return;
    };
    let cell = CellAddress {
        id: CellId::Flight(key),
        near: cluster.region.coordinates,
    };
    let _ = exchange
        .within(config.timeouts.cells, exchange.platform.call(&cell, ForgetFlight))
        .await;
}

fn outcome(standing: Option<&FlightStanding>) -> &'static str {
    match standing {
        Some(FlightStanding::Leads) => "leads",
        Some(FlightStanding::Follows { .. }) => "follows",
        Some(FlightStanding::Landed(_)) => "landed",
        Some(FlightStanding::Stored) => "stored",
        Some(FlightStanding::Alone) => "alone",
        None => "silent",
    }
}

/// How soon a request that follows asks the cell for the second time, and how often at last: each is a call to it.
const FIRST_GLANCE: Duration = Duration::from_millis(20);
const LAST_GLANCE: Duration = Duration::from_millis(500);
