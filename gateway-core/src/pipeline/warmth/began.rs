//! At which replica a conversation has begun, where that is not where it is presumed: a row of its own in the index of
//! prefixes, written with its first turn and read by those that follow.

use super::lookup::Lookup;
use super::record::write;
use crate::pipeline::context::Exchange;
use crate::platform::Platform;
use crate::prefix::index::{Place, ReplicaId, Row, RowKey};

/// The replica that the row names; `None` without one, or where it does not come in time.
pub(in crate::pipeline) async fn replica_of_first_turn<P: Platform>(
    exchange: &Exchange<P>,
    key: RowKey,
) -> Option<ReplicaId> {
    let settings = &exchange.config.prefixes;
    if !settings.index {
        return None;
    }
    let row = Lookup::begin(exchange, key, true).row(exchange).await?;
    row.latest(exchange.platform.wall(), settings.ttl)
}

/// A conversation has begun at that replica.
pub(in crate::pipeline) fn write_first_turn<P: Platform>(exchange: &Exchange<P>, key: RowKey, replica: ReplicaId) {
    if exchange.config.prefixes.index {
        let place = Place::new(replica, &[], exchange.platform.wall());
        write(exchange, key, Row::of_place(place));
    }
}
