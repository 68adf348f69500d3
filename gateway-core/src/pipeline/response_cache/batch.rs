//! A batch of inputs to embed, of which each has an embedding of its own in the cache: engines are asked for those that are
//! missing, and the client gets all of them in its order.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::Hit;
use super::caching::{remember, write};
use super::lookup::find_all;
use crate::api::{Dialect, Generation, RequestError, Usage};
use crate::cache::{CacheKey, CacheStatus, Entry, Freshness, PurgeScope, TenantScope, Use};
use crate::config::{CachePolicy, Model, Tenant};
use crate::ids::ModelName;
use crate::ladder::{AttemptError, Garbage};
use crate::observe::{Caching as Event, Event as Told};
use crate::pipeline::context::Exchange;
use crate::platform::Platform;
use crate::time::Timestamp;

/// The inputs of one request, in its order.
#[derive(Debug)]
pub(in crate::pipeline) struct Batch<P: Platform> {
    exchange: Rc<Exchange<P>>,
    model: ModelName,
    slots: Vec<Slot>,
    takes_base64: bool,
    /// When the request began, by the wall clock.
    began: Timestamp,
}

/// One input.
#[derive(Debug)]
struct Slot {
    key: CacheKey,
    /// Its embedding, where it was found.
    known: Option<Arc<Entry>>,
}

/// What a batch finds.
pub(super) enum Found<P: Platform> {
    /// It does not use the cache.
    Nothing,
    /// All of it.
    Hit(Hit),
    /// Not all of it; the request for what is missing, where that is another one.
    Missing(Batch<P>, Option<Box<Generation>>),
}

impl<P: Platform> Batch<P> {
    /// Looks for the embeddings of a request's inputs.
    ///
    /// # Errors
    /// When what is missing makes no request, which does not happen.
    pub(super) async fn find(
        exchange: &Rc<Exchange<P>>,
        (tenant, model): (&Tenant, &Model),
        request: &Generation,
        (used, policy): (Use, CachePolicy),
    ) -> Result<Found<P>, RequestError> {
        let inputs = Dialect::inputs(request).filter(|inputs| inputs.len() <= MOST_INPUTS);
        let Some(inputs) = inputs.filter(|_| used != Use::Bypass) else {
            return Ok(Found::Nothing);
        };
        let began = exchange.platform.wall();
        let scope = TenantScope::of(tenant);
        let keys = inputs
            .iter()
            .map(|input| CacheKey::of_input(&scope, model, request, input));
        let keys: Vec<_> = keys.collect();
        let found = match used {
            Use::Cache => find_all(exchange, &keys, &PurgeScope::of_answer(&tenant.name, &model.name)).await,
            Use::Bypass | Use::Refresh => None,
        };
        let wall = exchange.platform.wall();
        let is_fresh = |entry: &Arc<Entry>| entry.freshness(wall, policy) == Freshness::Fresh;
        let mut found = found.unwrap_or_default().into_iter();
        let slots = keys.into_iter().map(|key| Slot {
            key,
            known: found.next().flatten().filter(is_fresh),
        });
        let batch = Self {
            exchange: Rc::clone(exchange),
            model: model.name.clone(),
            slots: slots.collect(),
            takes_base64: Dialect::takes_base64(request),
            began,
        };
        let is_missing = |(_, slot): &(&&str, &Slot)| slot.known.is_none();
        let missing: Vec<&str> = inputs
            .iter()
            .zip(&batch.slots)
            .filter(is_missing)
            .map(|(input, _)| *input)
            .collect();
        if missing.is_empty()
            && let Some(hit) = batch.hit()
        {
            batch.tell_answered(CacheStatus::Hit);
            return Ok(Found::Hit(hit));
        }
        let rest = if missing.len() < inputs.len() {
            let nesting = exchange.config.sizes.nesting;
            let mut rest = Dialect::with_inputs(request, &missing, nesting)?;
            rest.cache_salt = rest.cache_salt.within(&tenant.cache_salt);
            Some(Box::new(rest))
        } else {
            None
        };
        Ok(Found::Missing(batch, rest))
    }

    /// Whether a part of it is known, which only the model that was asked for can complete.
    pub fn is_partly_known(&self) -> bool {
        self.slots.iter().any(|slot| slot.known.is_some())
    }

    /// The answer to the whole batch, of an answer to what was missing of it, by the model that was asked for or, where
    /// nothing was known, another one. Those of the former are kept.
    ///
    /// # Errors
    /// When the answer has not as many embeddings as it should.
    pub fn join(&self, body: Bytes, is_asked_for: bool) -> Result<Bytes, AttemptError> {
        let is_partly_known = self.is_partly_known();
        let missing: Vec<&Slot> = self.slots.iter().filter(|slot| slot.known.is_none()).collect();
        let text = std::str::from_utf8(&body).ok();
        let read = |text| Some((text, Dialect::embeddings(text, missing.len(), self.takes_base64)?));
        let Some((text, new)) = text.and_then(read) else {
            // What is not understood passes, as without a cache.
            return if is_partly_known {
                Err(Garbage::NotJson.into())
            } else {
                Ok(body)
            };
        };
        if is_asked_for {
            self.keep(missing.iter().map(|slot| slot.key).zip(&new));
        }
        if !is_partly_known {
            return Ok(body);
        }
        let mut new = new.into_iter();
        let all = self.slots.iter().map(|slot| match &slot.known {
            Some(entry) => std::str::from_utf8(&entry.body).ok(),
            None => new.next(),
        });
        let all: Option<Vec<&str>> = all.collect();
        let joined = all.and_then(|all| Dialect::joined_embeddings(Some(text), self.model.as_str(), &all));
        joined.ok_or_else(|| Garbage::NotJson.into())
    }

    /// The request has an answer.
    pub fn tell_answered(&self, status: CacheStatus) {
        let Some(Slot { key, .. }) = self.slots.first() else {
            return;
        };
        let model = &self.model;
        self.exchange.tell(&Told::Cache(Event::Answered { model, status, key }));
    }

    /// All of it, as it was found.
    fn hit(&self) -> Option<Hit> {
        let known = || self.slots.iter().filter_map(|slot| slot.known.as_ref());
        let all: Option<Vec<&str>> = known().map(|entry| std::str::from_utf8(&entry.body).ok()).collect();
        let wall = self.exchange.platform.wall();
        Some(Hit {
            status: CacheStatus::Hit,
            body: Dialect::joined_embeddings(None, self.model.as_str(), &all?)?,
            age: known().map(|entry| entry.age(wall)).max().unwrap_or(Duration::ZERO),
            usage: Usage::default(),
        })
    }

    /// Keeps embeddings: here at once, and in the store behind the response's back, one after the other.
    fn keep<'e>(&self, new: impl Iterator<Item = (CacheKey, &'e &'e str)>) {
        let (platform, gateway) = (&self.exchange.platform, &self.exchange.gateway);
        let settings = &self.exchange.config.response_cache;
        let stored = platform.wall();
        let mut to_write = Vec::new();
        for (key, embedding) in new.filter(|(_, embedding)| embedding.len() <= settings.answer_bytes) {
            let entry = Arc::new(Entry {
                began: self.began,
                stored,
                usage: Usage::default(),
                body: Bytes::copy_from_slice(embedding.as_bytes()),
            });
            if remember(&self.exchange, key, &entry) {
                to_write.push((key, entry));
            }
        }
        let (gateway, handle, model) = (Arc::clone(gateway), platform.clone(), self.model.clone());
        let ttl = settings.longest();
        platform.after_response(async move {
            for (key, entry) in to_write {
                write(&gateway, &handle, (&key, &model), &entry, ttl).await;
            }
        });
    }
}

/// A larger batch bypasses the cache: each input is a read and a write of the store, and a Worker may have no more than 50
/// in one request.
const MOST_INPUTS: usize = 16;
