//! What probes ask: whether the gateway takes requests, and its figures.

use std::sync::Arc;

use futures::future::{join, join_all, join3};
use http::request::Parts;
use http::{Response, StatusCode};
use serde_json::json;

use super::{budgets, clusters, rollouts, scale};
use crate::api::Right;
use crate::auth::authenticate_admin;
use crate::config::Cluster;
use crate::ids::ClusterName;
use crate::observe::{CellFigures, StoreAccess};
use crate::pipeline::body::Body;
use crate::pipeline::context::Exchange;
use crate::pipeline::entrance::Entrance;
use crate::pipeline::failure::Failure;
use crate::pipeline::intake::correction_in_cell;
use crate::pipeline::response;
use crate::platform::Platform;

/// `GET /readyz`: 503 with the reason where requests are refused, or should not come. A store that fails once it was read
/// is told, and no reason: what requests need is in memory, and a full disk must not take every gateway out. Nor is it one
/// that all replicas of a cluster are out, as far as requests have found lately: this gateway can do nothing about it.
pub(in crate::pipeline) fn readiness<P: Platform>(exchange: &Exchange<P>) -> Response<Body> {
    let gateway = &exchange.gateway;
    let (status, reason) = if gateway.shutdown.is_draining() {
        ("draining", Some("the process is shutting down"))
    } else if gateway.active_config.is_unknown() {
        let reason = "the store, which may hold a newer configuration, could not be read yet";
        ("not_ready", Some(reason))
    } else {
        ("ready", None)
    };
    let body = json!({
        "status": status,
        "reason": reason,
        "role": gateway.role().as_str(),
        "config": exchange.config.version,
        "config_refused": gateway.active_config.is_refusing(),
        "canned_refused": gateway.canned.is_refusing(),
        "degraded": degraded(exchange),
        "store_failing": gateway.store.failing().map(StoreAccess::label),
        "signals_stale": stale_signals(exchange),
        "token_tables": gateway.tables.names(),
    });
    let mut response = response::json(body.to_string().into());
    if reason.is_some() {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}

/// The clusters of which this process has heard lately that a replica has said nothing of itself that still counts: there
/// the gateway goes by its own count.
fn stale_signals<P: Platform>(exchange: &Exchange<P>) -> Vec<&str> {
    let now = exchange.platform.now();
    let config = &exchange.config;
    let is_stale = |cluster: &&Arc<Cluster>| {
        let load = exchange.gateway.load(&cluster.name);
        load.is_some_and(|told| now.since(told.at) <= config.load.ttl && told.load.signals.stale > 0)
    };
    let asked = config
        .clusters
        .values()
        .filter(|cluster| cluster.signals_path.is_some());
    asked.filter(is_stale).map(|cluster| cluster.name.as_str()).collect()
}

/// The clusters of which requests here have heard lately that all replicas are out.
fn degraded<P: Platform>(exchange: &Exchange<P>) -> Vec<&str> {
    let now = exchange.platform.now();
    let is_out = |cluster: &&ClusterName| {
        let known = exchange.gateway.load(cluster);
        known.is_some_and(|known| known.load.max_running == 0 && now.since(known.at) <= exchange.config.load.ttl)
    };
    let clusters = exchange.config.clusters.keys().filter(is_out);
    clusters.map(ClusterName::as_str).collect()
}

/// `GET /metrics`: for admin keys where the configuration has any. Else for everybody, with the names of tenants, budgets
/// and replicas for those alone who came in by the operators' entrance.
pub(in crate::pipeline) async fn metrics<P: Platform>(
    exchange: &Exchange<P>,
    head: &Parts,
) -> Result<Response<Body>, Failure> {
    let admin = &exchange.config.admin;
    if !admin.is_closed() {
        authenticate_admin(admin, &head.headers, Right::Read)?;
    }
    let is_open = admin.is_closed() && Entrance::of(head) != Entrance::Operators;
    let metrics = &exchange.gateway.metrics;
    metrics.on_bodies(exchange.gateway.bodies.held_bytes());
    let text = if is_open {
        metrics.scrape_without_names()
    } else {
        metrics.scrape(&cell_figures(exchange).await)
    };
    Ok(response::with_type(
        text.into(),
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
    ))
}

/// What the cells tell, asked all at once: a backend that hangs holds a scrape up for one call's time.
async fn cell_figures<P: Platform>(exchange: &Exchange<P>) -> CellFigures {
    let config = &exchange.config;
    // Who asks a region hop for replicas knows nothing of them.
    let is_asked = |cluster: &&Arc<Cluster>| exchange.hop(cluster).is_none();
    let asked = || config.clusters.values().filter(is_asked);
    let clusters = asked().map(async |cluster| {
        let replicas = clusters::replicas(exchange, cluster).await;
        (cluster.name.clone(), replicas.unwrap_or_default())
    });
    let estimated = config.models.values().filter(|model| model.tokens.is_none());
    let corrections = estimated.map(async |model| {
        let correction = correction_in_cell(&exchange.platform, model).await?;
        Some((model.name.clone(), correction))
    });
    let budgets = config.tenants.iter().flat_map(|tenant| &tenant.budgets);
    let budgets = budgets.map(async |budget| Some((budget.id.clone(), budgets::status(exchange, budget).await.ok()?)));
    let queues = asked().map(async |cluster| Some((cluster.name.clone(), clusters::queue(exchange, cluster).await?)));
    let rollouts = config.models.values().filter(|model| model.rollout.is_some());
    let rollouts = rollouts.map(async |model| Some((model.name.clone(), rollouts::status(exchange, model).await?)));
    let scales = asked().map(async |cluster| Some((cluster.name.clone(), scale::read(exchange, cluster).await?)));
    let of_clusters = join3(join_all(clusters), join_all(queues), join_all(scales));
    let of_others = join3(join_all(corrections), join_all(budgets), join_all(rollouts));
    let ((clusters, queues, scales), (corrections, budgets, rollouts)) = join(of_clusters, of_others).await;
    CellFigures {
        clusters,
        queues: queues.into_iter().flatten().collect(),
        scales: scales.into_iter().flatten().collect(),
        corrections: corrections.into_iter().flatten().collect(),
        budgets: budgets.into_iter().flatten().collect(),
        rollouts: rollouts.into_iter().flatten().collect(),
    }
}
