//! What a region hop tells the edge with an answer, in a header: who gives it, and what the edge should know of the cluster.

use http::{HeaderMap, HeaderValue};

use super::upkeep::Upkeep;
use crate::api::headers::X_TOLD;
use crate::cluster::HotDigest;
use crate::pipeline::dispatch::ServedBy;
use crate::pipeline::hops::Told;
use crate::platform::Platform;

/// Tells the edge, which knows those hot prefixes of the cluster.
pub(super) fn tell_edge<P: Platform>(
    upkeep: &Upkeep<P>,
    served_by: &ServedBy,
    known_hot: HotDigest,
    headers: &mut HeaderMap,
) {
    let ServedBy::Engine { cluster, visit, .. } = served_by else {
        return;
    };
    let exchange = upkeep.exchange();
    let Some(configured) = exchange.config.clusters.get(cluster) else {
        return;
    };
    let hot = exchange.hot_set(configured);
    let took = upkeep.now().since(exchange.arrived);
    let told = Told {
        visit: visit.as_ref().map(|visit| visit.to_told()),
        load: exchange.gateway.load(cluster).map(|snapshot| snapshot.load),
        hot: (hot.digest != known_hot).then(|| hot.as_ref().clone()),
        took_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
    };
    let value = told.to_header().and_then(|told| HeaderValue::try_from(told).ok());
    headers.extend(value.map(|value| (X_TOLD, value)));
}
