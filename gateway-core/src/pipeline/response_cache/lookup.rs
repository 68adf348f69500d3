//! Whether the answer to a request is there: in the memory of the process, or in the store, which is waited for as long as
//! the configuration says and no longer.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use super::{Caching, Hit};
use crate::api::{Endpoint, Generation};
use crate::cache::{CacheKey, CacheStatus, CacheWish, Entry, Freshness, PurgeScope, TenantScope, Use, use_of};
use crate::config::{CachePolicy, Model, Tenant};
use crate::observe::{Caching as Event, Event as Told};
use crate::pipeline::context::Exchange;
use crate::platform::Platform;

/// What a request finds.
pub(in crate::pipeline) enum Looked<P: Platform> {
    /// It does not use the cache.
    Bypass,
    /// Its answer.
    Hit(Hit),
    /// Nothing that may be given now; what becomes of its own answer.
    Miss(Rc<Caching<P>>),
}

/// Looks for the answer to a request.
pub(in crate::pipeline) async fn look_up<P: Platform>(
    exchange: &Rc<Exchange<P>>,
    tenant: &Tenant,
    model: &Model,
    request: &Generation,
    wish: CacheWish,
) -> Looked<P> {
    let settings = &exchange.config.response_cache;
    let policy = settings.policy_of(tenant, &model.name);
    let used = match request.endpoint {
        Endpoint::Chat | Endpoint::Completions => use_of(policy, wish, request),
        Endpoint::Embeddings => Use::Bypass,
    };
    let key = match used {
        Use::Bypass => return Looked::Bypass,
        Use::Cache | Use::Refresh => CacheKey::of(&TenantScope::of(tenant), model, request),
    };
    let mut caching = Caching::new(exchange, key, &model.name, used == Use::Cache);
    let found = match used {
        Use::Cache => find(exchange, key, &PurgeScope::of_answer(&tenant.name, &model.name)).await,
        Use::Bypass | Use::Refresh => None,
    };
    if let Some(entry) = found {
        match freshness(exchange, &entry, policy) {
            Freshness::Fresh => {
                if let Some(hit) = Hit::of(exchange, request, &entry, CacheStatus::Hit) {
                    caching.tell_answered(CacheStatus::Hit);
                    return Looked::Hit(hit);
                }
            }
            Freshness::Stale => caching.keep_stale(entry),
            Freshness::Over => {}
        }
    }
    Looked::Miss(Rc::new(caching))
}

fn freshness<P: Platform>(exchange: &Exchange<P>, entry: &Entry, policy: CachePolicy) -> Freshness {
    entry.freshness(exchange.platform.wall(), policy)
}

/// The answer of that key which was not purged. One that may have been, for all that is known here, is not given.
async fn find<P: Platform>(exchange: &Exchange<P>, key: CacheKey, scopes: &[PurgeScope]) -> Option<Arc<Entry>> {
    let (now, gateway) = (exchange.platform.now(), &exchange.gateway);
    let known = gateway.answers.with(|answers| answers.get(now, &key));
    let mut names = gateway.purges.with(|purges| purges.unknown(now, scopes));
    let of_purges = names.len();
    if known.is_none() {
        names.push(key.store_key());
    }
    let mut values = if names.is_empty() {
        Vec::new()
    } else {
        read(exchange, &names).await?
    };
    let value = values.get_mut(of_purges).and_then(Option::take);
    gateway.purges.with(|purges| {
        for (name, value) in names.drain(..of_purges).zip(&values) {
            purges.on_read(now, name, value.as_deref());
        }
    });
    let settings = &exchange.config.response_cache;
    let entry = known.or_else(|| {
        let entry = Arc::new(Entry::decode(&value?, settings.answer_bytes)?);
        let remembered = Arc::clone(&entry);
        let most = settings.memory_bytes;
        gateway
            .answers
            .with(|answers| answers.insert(now, key, remembered, most));
        Some(entry)
    });
    entry.filter(|entry| !gateway.purges.with(|purges| purges.is_purged(scopes, entry.stored)))
}

/// What the store has, where it says so in time.
async fn read<P: Platform>(exchange: &Exchange<P>, names: &[String]) -> Option<Vec<Option<Bytes>>> {
    let keys: Vec<&str> = names.iter().map(String::as_str).collect();
    let reading = exchange.platform.store_read(&keys);
    let read = exchange.within(exchange.config.response_cache.wait, reading).await;
    let (outcome, values) = match read {
        Some(Ok(values)) => ("read", Some(values)),
        Some(Err(_)) => ("failed", None),
        None => ("late", None),
    };
    exchange.tell(&Told::Cache(Event::Read { outcome }));
    values
}
