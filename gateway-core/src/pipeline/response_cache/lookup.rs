//! Whether the answer to a request is there: in the memory of the process, or in the store, which is waited for as long as
//! the configuration says and no longer.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use super::batch::{Batch, Found};
use super::elsewhere::Elsewhere;
use super::{Caching, Hit};
use crate::api::{Generation, RequestError};
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
    /// Not all of its inputs' embeddings; the request for those that are missing, where that is another one.
    Inputs(Rc<Batch<P>>, Option<Box<Generation>>),
}

/// Looks for the answer to a request.
///
/// # Errors
/// When what is missing of its inputs makes no request, which does not happen.
pub(in crate::pipeline) async fn look_up<P: Platform>(
    exchange: &Rc<Exchange<P>>,
    tenant: &Tenant,
    model: &Model,
    request: &Generation,
    wish: CacheWish,
) -> Result<Looked<P>, RequestError> {
    let settings = &exchange.config.response_cache;
    let policy = settings.policy_of(tenant, &model.name);
    let used = use_of(policy, wish, request);
    if !request.endpoint.generates() {
        return Ok(
            match Batch::find(exchange, (tenant, model), request, (used, policy)).await? {
                Found::Nothing => Looked::Bypass,
                Found::Hit(hit) => Looked::Hit(hit),
                Found::Missing(batch, request) => Looked::Inputs(Rc::new(batch), request),
            },
        );
    }
    let key = match used {
        Use::Bypass => return Ok(Looked::Bypass),
        Use::Cache | Use::Refresh => CacheKey::of(&TenantScope::of(tenant), model, request),
    };
    let mut caching = Caching::new(exchange, key, &model.name);
    if used == Use::Cache {
        caching.share(Elsewhere::new(exchange, key, (tenant, model), policy));
    }
    let found = match used {
        Use::Cache => find_all(exchange, &[key], &PurgeScope::of_answer(&tenant.name, &model.name)).await,
        Use::Bypass | Use::Refresh => None,
    };
    let found = found.and_then(|found| found.into_iter().next().flatten());
    if let Some(entry) = found {
        match freshness(exchange, &entry, policy) {
            Freshness::Fresh => {
                if let Some(hit) = Hit::of(exchange, request, &entry, CacheStatus::Hit) {
                    caching.tell_answered(CacheStatus::Hit);
                    return Ok(Looked::Hit(hit));
                }
            }
            Freshness::Stale => caching.keep_stale(entry),
            Freshness::Over => {}
        }
    }
    Ok(Looked::Miss(Rc::new(caching)))
}

fn freshness<P: Platform>(exchange: &Exchange<P>, entry: &Entry, policy: CachePolicy) -> Freshness {
    entry.freshness(exchange.platform.wall(), policy)
}

/// The answers of these keys which were not purged, each where there is one. What may have been, for all that is known here,
/// is not given: `None`.
pub(super) async fn find_all<P: Platform>(
    exchange: &Exchange<P>,
    keys: &[CacheKey],
    scopes: &[PurgeScope],
) -> Option<Vec<Option<Arc<Entry>>>> {
    let (now, gateway) = (exchange.platform.now(), &exchange.gateway);
    let settings = &exchange.config.response_cache;
    let known = |key: &CacheKey| gateway.answers.with(|answers| answers.get(now, key));
    let mut found: Vec<_> = keys.iter().map(known).collect();
    let purges = gateway.purges.with(|purges| purges.unknown(now, scopes));
    let unknown = || {
        keys.iter()
            .zip(&found)
            .filter(|(_, entry)| entry.is_none())
            .map(|(key, _)| key)
    };
    let names: Vec<String> = purges
        .iter()
        .cloned()
        .chain(unknown().map(CacheKey::store_key))
        .collect();
    let mut values = if names.is_empty() {
        Vec::new().into_iter()
    } else {
        read(exchange, &names).await?.into_iter()
    };
    gateway.purges.with(|memory| {
        for (name, value) in purges.into_iter().zip(values.by_ref()) {
            memory.on_read(now, name, value.as_deref());
        }
    });
    for (key, place) in keys.iter().zip(&mut found).filter(|(_, place)| place.is_none()) {
        let value = values.next().flatten();
        *place = value
            .and_then(|value| Entry::decode(&value, settings.answer_bytes))
            .map(Arc::new);
        if let Some(entry) = place {
            let (entry, most) = (Arc::clone(entry), settings.memory_bytes);
            gateway.answers.with(|answers| answers.insert(now, *key, entry, most));
        }
    }
    let stays = |entry: &Arc<Entry>| !may_be_purged(exchange, scopes, entry);
    Some(found.into_iter().map(|entry| entry.filter(stays)).collect())
}

/// Whether an answer that was not looked for counts, for all that is known of purges or can be read now.
pub(super) async fn is_current<P: Platform>(exchange: &Exchange<P>, scopes: &[PurgeScope], entry: &Entry) -> bool {
    find_all(exchange, &[], scopes).await.is_some() && !may_be_purged(exchange, scopes, entry)
}

/// Whether a purge that is known here counts for an answer: its request had begun by then.
fn may_be_purged<P: Platform>(exchange: &Exchange<P>, scopes: &[PurgeScope], entry: &Entry) -> bool {
    let purges = &exchange.gateway.purges;
    purges.with(|purges| purges.may_be_purged(scopes, entry.began))
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
