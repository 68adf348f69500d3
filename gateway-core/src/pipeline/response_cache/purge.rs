//! Purging answers, as operators ask for it.

use bytes::Bytes;

use super::elsewhere::forget;
use crate::cache::{CacheKey, PurgeScope};
use crate::pipeline::context::Exchange;
use crate::platform::{Platform, StoreError};

/// What is to be purged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::pipeline) enum Purged {
    /// One answer.
    Answer(CacheKey),
    /// All answers of a scope that are there by now.
    Scope(PurgeScope),
}

/// Purges answers: here at once, elsewhere as soon as the store shows it and a minute at most has passed for which others
/// remember what they know.
///
/// # Errors
/// When the store does not take it.
pub(in crate::pipeline) async fn purge<P: Platform>(exchange: &Exchange<P>, what: &Purged) -> Result<(), StoreError> {
    let (platform, gateway) = (&exchange.platform, &exchange.gateway);
    // Without an end, for stores may lose what has one at a crash. It stays little: one record for each scope, of which
    // there are as many as tenants and models, and an empty one for an answer until that is given again.
    match what {
        Purged::Answer(key) => {
            platform.store_write(&key.store_key(), Bytes::new(), None).await?;
            gateway.answers.with(|answers| answers.remove(key));
            if exchange.config.response_cache.share_across_locations {
                forget(exchange, *key).await;
            }
        }
        Purged::Scope(scope) => {
            let (key, purged) = (scope.store_key(), platform.wall());
            let value = PurgeScope::value(purged);
            platform.store_write(&key, value.into(), None).await?;
            let now = platform.now();
            gateway.purges.with(|purges| purges.on_purge(now, key, Some(purged)));
        }
    }
    Ok(())
}
