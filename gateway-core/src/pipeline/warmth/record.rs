//! What the index is told after a request was served: written behind its back, each row at most once a second.

use std::sync::Arc;

use crate::observe::{Event, Prefixing};
use crate::pipeline::context::Exchange;
use crate::platform::Platform;
use crate::prefix::index::{Row, RowKey};

/// Has a row written, as soon as that may be. What the store refuses is dropped: the next request writes again.
pub(super) fn write<P: Platform>(exchange: &Exchange<P>, key: RowKey, row: Row) {
    let now = exchange.platform.now();
    let index = &exchange.gateway.prefix_index;
    let Some(wait) = index.with(|memory| memory.to_write(now, &key, row)) else {
        return;
    };
    let (gateway, platform) = (Arc::clone(&exchange.gateway), exchange.platform.clone());
    let ttl = exchange.config.prefixes.ttl;
    exchange.platform.after_response(async move {
        if !wait.is_zero() {
            platform.sleep(wait).await;
        }
        let row = gateway.prefix_index.with(|memory| memory.take(platform.now(), &key));
        let Some(value) = row.and_then(|row| row.encode()) else {
            return;
        };
        let written = platform.store_write(key.as_str(), value.into(), Some(ttl)).await;
        gateway.tell(
            platform.now(),
            &Event::Prefix(match &written {
                Ok(()) => Prefixing::Written,
                Err(error) => Prefixing::Refused { error },
            }),
        );
    });
}
