//! What becomes of the answer to one request that uses the cache: whether it waits for that of the same request, and how its
//! own is kept.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::Hit;
use super::elsewhere::Elsewhere;
use crate::api::{Dialect, Generation, Usage};
use crate::cache::{CacheKey, CacheStatus, Ending, Entry, Joined, Seen, Ticket};
use crate::ids::ModelName;
use crate::observe::{Caching as Event, Event as Told};
use crate::pipeline::context::{Exchange, Paused};
use crate::pipeline::state::Gateway;
use crate::platform::Platform;
use crate::time::Timestamp;

/// The cache in the course of one request. When it is dropped, whoever waits for the request's answer hears that it does not
/// come.
#[derive(Debug)]
pub(in crate::pipeline) struct Caching<P: Platform> {
    exchange: Rc<Exchange<P>>,
    key: CacheKey,
    model: ModelName,
    /// When the request began, by the wall clock.
    began: Timestamp,
    /// Whether the answer to the same request which is under way will do.
    shares: bool,
    /// The answer that was found and is past its time.
    stale: Option<Arc<Entry>>,
    /// While others here may wait for its answer.
    leads: Cell<Option<Ticket>>,
    /// Its part in the same at other locations, where they share.
    elsewhere: Option<Elsewhere<P>>,
    is_discarded: Cell<bool>,
}

impl<P: Platform> Caching<P> {
    /// Of a request for that model whose answer has that key.
    pub fn new(exchange: &Rc<Exchange<P>>, key: CacheKey, model: &ModelName) -> Self {
        Self {
            exchange: Rc::clone(exchange),
            key,
            model: model.clone(),
            began: exchange.platform.wall(),
            shares: false,
            stale: None,
            leads: Cell::new(None),
            elsewhere: None,
            is_discarded: Cell::new(false),
        }
    }

    /// The answer to the same request which is under way will do, also that at other locations where these share.
    pub(super) fn share(&mut self, elsewhere: Option<Elsewhere<P>>) {
        self.shares = true;
        self.elsewhere = elsewhere;
    }

    /// The model that was asked for.
    pub fn model(&self) -> &str {
        self.model.as_str()
    }

    /// The largest answer that is kept, in bytes.
    pub fn most_bytes(&self) -> usize {
        self.exchange.config.response_cache.answer_bytes
    }

    /// An answer was found that is past its time.
    pub fn keep_stale(&mut self, entry: Arc<Entry>) {
        self.stale = Some(entry);
    }

    /// The answer that is past its time, for when no engine gives one.
    pub fn stale(&self, request: &Generation) -> Option<Hit> {
        let hit = Hit::of(&self.exchange, request, self.stale.as_ref()?, CacheStatus::Stale)?;
        self.tell_answered(CacheStatus::Stale);
        Some(hit)
    }

    /// The answer to the same request which is under way, once it has come. `None`: this one is to ask, as it is the
    /// first, or none has come in time.
    pub async fn follow(&self, request: &Generation) -> Option<Hit> {
        let longest = self.exchange.config.response_cache.share_wait;
        if !self.shares || longest.is_zero() {
            return None;
        }
        let (platform, gateway) = (&self.exchange.platform, &self.exchange.gateway);
        let began = platform.now();
        match gateway.flights.with(|flights| flights.join(began, self.key)) {
            Joined::Leads(ticket) => return self.lead(ticket, request, began + longest).await,
            Joined::Alone => return None,
            Joined::Follows => {}
        }
        let mut pause = FIRST_GLANCE;
        while platform.now().since(began) < longest {
            if self.exchange.pause(pause).await == Paused::Stopped {
                return None;
            }
            pause = (pause * 2).min(LAST_GLANCE);
            match gateway.flights.with(|flights| flights.look(platform.now(), self.key)) {
                Seen::Nothing => {}
                Seen::Landed(entry) => {
                    let hit = Hit::of(&self.exchange, request, &entry, CacheStatus::Shared)?;
                    self.tell_answered(CacheStatus::Shared);
                    return Some(hit);
                }
                Seen::Leads(ticket) => return self.lead(ticket, request, began + longest).await,
                Seen::Alone => return None,
            }
        }
        None
    }

    /// This one leads here: it alone looks at other locations, and whoever follows it gets what it finds there.
    async fn lead(&self, ticket: Ticket, request: &Generation, until: Timestamp) -> Option<Hit> {
        self.leads.set(Some(ticket));
        // Few requests come here: the others are not to be as large as it takes.
        let entry = Box::pin(self.elsewhere.as_ref()?.follow(until)).await?;
        let hit = Hit::of(&self.exchange, request, &entry, CacheStatus::Shared)?;
        let (now, most) = (
            self.exchange.platform.now(),
            self.exchange.config.response_cache.memory_bytes,
        );
        let answers = &self.exchange.gateway.answers;
        answers.with(|answers| answers.insert(now, self.key, Arc::clone(&entry), most));
        self.end(Ending::Landed(entry));
        self.tell_answered(CacheStatus::Shared);
        Some(hit)
    }

    /// The request goes on: whoever waits for its answer goes on waiting.
    pub fn renew(&self) {
        if let Some(elsewhere) = &self.elsewhere {
            elsewhere.renew();
        }
    }

    /// An engine has given that whole answer. `is_bounded` says that its tenant's budgets have bounded it.
    pub fn on_whole(&self, request: &Generation, body: &Bytes, is_bounded: bool) {
        match Dialect::kept(body, request, is_bounded) {
            Some(usage) if body.len() <= self.most_bytes() && !self.is_discarded.get() => {
                self.keep(body.clone(), usage)
            }
            Some(_) | None => self.end(Ending::Unfit),
        }
    }

    /// The answer is not to be kept, whatever comes of it, nor to be given to whoever waits for it: it was found wrong, was
    /// cut, or there is none.
    pub fn discard(&self) {
        self.is_discarded.set(true);
        self.end(Ending::Unfit);
    }

    /// The request has that answer.
    pub fn tell_answered(&self, status: CacheStatus) {
        self.exchange.tell(&Told::Cache(Event::Answered {
            model: &self.model,
            status,
            key: &self.key,
        }));
    }

    /// Keeps an answer: here at once, and in the store behind the response's back.
    fn keep(&self, body: Bytes, usage: Usage) {
        let entry = Arc::new(Entry {
            began: self.began,
            stored: self.exchange.platform.wall(),
            usage,
            body,
        });
        let may_write = remember(&self.exchange, self.key, &entry);
        self.end(Ending::Landed(Arc::clone(&entry)));
        if may_write {
            self.write(entry);
        }
    }

    fn write(&self, entry: Arc<Entry>) {
        let (gateway, platform) = (Arc::clone(&self.exchange.gateway), self.exchange.platform.clone());
        let (key, model) = (self.key, self.model.clone());
        let ttl = self.exchange.config.response_cache.longest();
        self.exchange.platform.after_response(async move {
            write(&gateway, &platform, (&key, &model), &entry, ttl).await;
        });
    }

    /// Whoever waits for the answer hears that.
    fn end(&self, ending: Ending) {
        if let Some(elsewhere) = &self.elsewhere {
            elsewhere.end(&ending);
        }
        let Some(ticket) = self.leads.take() else { return };
        let now = self.exchange.platform.now();
        let flights = &self.exchange.gateway.flights;
        flights.with(|flights| flights.end(now, (self.key, ticket), ending));
    }
}

impl<P: Platform> Drop for Caching<P> {
    fn drop(&mut self) {
        self.end(Ending::Left);
    }
}

/// Remembers an answer here. Whether it is to be written to the store as well: the same key was not just now.
pub(super) fn remember<P: Platform>(exchange: &Exchange<P>, key: CacheKey, entry: &Arc<Entry>) -> bool {
    let (now, most) = (exchange.platform.now(), exchange.config.response_cache.memory_bytes);
    exchange.gateway.answers.with(|answers| {
        answers.insert(now, key, Arc::clone(entry), most);
        answers.may_write(now, key)
    })
}

/// Writes an answer to the store, and tells how that went. What the store refuses is dropped: the next request writes again.
pub(super) async fn write<P: Platform>(
    gateway: &Gateway,
    platform: &P,
    (key, model): (&CacheKey, &ModelName),
    entry: &Entry,
    ttl: Duration,
) {
    let Some(value) = entry.encode() else { return };
    let bytes = value.len();
    let written = platform.store_write(&key.store_key(), value, Some(ttl)).await;
    let error = written.as_ref().err();
    let event = Event::Stored { model, bytes, error };
    gateway.tell(platform.now(), &Told::Cache(event));
}

/// How soon a request looks for the first time whether the answer that it waits for is there, and how often at last: what an
/// answer takes to be written is many times as long.
const FIRST_GLANCE: Duration = Duration::from_millis(5);
const LAST_GLANCE: Duration = Duration::from_millis(50);
